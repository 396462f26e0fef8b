// Errors as application/problem+json (RFC 9457), for clients that ask for it by name.
#pragma once

#include "http/message.hpp"

#include <string_view>
#include <vector>

namespace sandboxd::api {

// A `code` of errors, as the API's description lists them.
struct told_code {
    std::string_view name;
    unsigned status;
    std::string_view meaning;  // a sentence
};
// All that there are: those of errc, and those of scripts that fail.
const std::vector<told_code>& told_codes();

// Whether a client that sends this Accept field gets its errors in that form: it names the type, with a weight above 0.
// Wildcards do not count, so that nobody gets what he did not ask for.
bool wants_problem(std::string_view accept) noexcept;

// Makes it of an error's JSON, in place; leaves all other answers alone, also JSON without `code`. `type` points to the
// code in the API's description, `title` is what that says, `detail` is `error` (or `message`). The other members
// follow as they are, as extensions, except `ok`; `status`, where that is a text, is called `status_text`, because the
// RFC's is the number.
void make_problem(http::response& answer);

}  // namespace sandboxd::api
