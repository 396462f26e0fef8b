// The kind of a request's body, by its Content-Type.
#pragma once

#include <string>
#include <string_view>

namespace sandboxd::api {

// `application/json`, with or without parameters. Other types and a missing one are refused: a page of another origin
// can send them without asking (CORS).
bool is_json(std::string_view content_type);

// `application/x-www-form-urlencoded`.
bool is_form(std::string_view content_type);

// The boundary of `multipart/form-data` (RFC 2046, 5.1.1: 1 to 70 characters); empty for everything else.
std::string multipart_boundary(std::string_view content_type);

}  // namespace sandboxd::api
