// Reads what a client posts to /compile: pure, so that it can be fuzzed and tested without a
// server.
#pragma once

#include "base/errc.hpp"
#include "compile/service.hpp"

#include <string_view>

namespace sandboxd::api {

// `application/json`, with or without parameters; a request without the field is taken as JSON too.
// Other types are refused, also because a page elsewhere can send them without asking (CORS).
bool is_json(std::string_view content_type);

// `application/x-www-form-urlencoded`.
bool is_form(std::string_view content_type);

// `{code, type?, args?, files?, cache?}`; what else there is is ignored, as emcc-sandboxd did. What
// comes back has files or code, never both. Errors: invalid_request; the message names the member
// by its path.
result<compile::request> read_compile_request(std::string_view body);

}  // namespace sandboxd::api
