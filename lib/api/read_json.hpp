// Reads a request's body as a JSON object, and words the error if it is not one.
#pragma once

#include "base/errc.hpp"
#include "base/json_reader.hpp"

#include <cstddef>
#include <optional>
#include <string_view>

namespace sandboxd::api {

// The messages of a family of endpoints. Clients match these texts, so each family keeps its own.
struct body_words {
    std::string_view no_json;  // before the reader's own message
    std::string_view no_object;
};
// Compiles and scripts.
inline constexpr body_words usual_words{"invalid JSON: ", "invalid JSON: the body must be an object"};
// Sandboxes and deployments.
inline constexpr body_words program_words{"the body is not JSON: ", "the body must be a JSON object"};

// What a family of endpoints reads at most.
struct request_limits {
    json_limits json{};                                   // http.maxJsonDepth, http.maxJsonMembers
    std::size_t max_files{static_cast<std::size_t>(-1)};  // maxFiles of its section
};

// Reads `body` into the members that `root` has been told of; empty when that went well. Errors: invalid_request, in
// these words, or with the path of the member at fault and what it must be, or what json_members::member::at_most() was
// told. Limits and grammar: base/json_reader.hpp.
std::optional<error> read_body(std::string_view body, json_members& root, const body_words& words = usual_words,
                               const json_limits& limits = {});

}  // namespace sandboxd::api
