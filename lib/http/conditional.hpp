// Conditional and partial requests, and the choice of a content coding: decides between 200, 206, 304, 412 and 416
// for a GET or HEAD of a resource with a strong entity tag, and which bytes are sent.
//
// Pure functions after RFC 9110, sections 12.5.3 (Accept-Encoding), 13 (preconditions) and 14
// (ranges). There are no modification dates here, so If-Modified-Since and If-Unmodified-Since are
// ignored, and an If-Range that holds a date never matches.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::http {

// The request's fields; absent ones are nullopt. Join a field that came several times with ", " (RFC 9110 5.2),
// except `range` and `if_range`: leave those out if they came twice.
struct conditions {
    bool head{false};
    std::optional<std::string_view> if_match;
    std::optional<std::string_view> if_none_match;
    std::optional<std::string_view> if_range;
    std::optional<std::string_view> range;
};

struct response_plan {
    // 200, 206, 304, 412 or 416.
    unsigned status{200};
    // The part of the representation that is the body, for 200 and 206; 0 and 0 for the rest. With
    // HEAD, `length` is what Content-Length says and nothing is sent.
    std::uint64_t offset{};
    std::uint64_t length{};
    // The value of Content-Range, for 206 and 416; else empty.
    std::string content_range;
};

// `bytes` and `etag` (quoted, strong) describe the selected representation, in the coding that is sent. Besides
// Content-Range, the answer needs ETag, Cache-Control and Vary with 200, 206 and 304, and `Accept-Ranges: bytes` with
// 200 and 206.
//
// A Range is ignored and the whole sent, as the RFC allows, if it is malformed, names another unit, or asks for
// several ranges (nobody needs multipart answers here, and they are a known attack on servers); also if If-Range does
// not match, and for HEAD. Positions of any number of digits are safe.
response_plan plan_response(const conditions& request, std::uint64_t bytes, std::string_view etag);

// What an Accept-Encoding field accepts and prefers.
struct accepted_codings {
    bool gzip{false};
    bool brotli{false};
};

// `header` is the field's value, "" when it is absent (only identity is sent then). A coding is accepted if its
// weight is above 0 and not lower than that of the other coding and of a named `identity`, so the client never gets
// what it likes less. A malformed weight refuses its coding. With `identity;q=0` and nothing else to send, the caller
// sends identity nevertheless (RFC 9110 12.5.3 leaves that choice).
accepted_codings accept_encoding(std::string_view header) noexcept;

}  // namespace sandboxd::http
