// Conditional and partial requests, and the choice of a content coding: which of 200, 206, 304, 412
// and 416 a GET or HEAD of something with a strong entity tag is answered with, and which bytes go
// out.
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

// The request's fields; absent ones are nullopt. A field that came several times is to be joined
// with ", " (RFC 9110 5.2), but for `range` and `if_range`, which must not: leave those out when
// they came twice.
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

// `bytes` and `etag` (quoted, strong) describe the selected representation, so in the coding that
// is sent. Beside Content-Range, the answer needs: with 200, 206 and 304 the ETag, Cache-Control
// and Vary; with 200 and 206 `Accept-Ranges: bytes`.
//
// A Range is ignored, and the whole sent, as the RFC allows, when it is malformed, names another
// unit, asks for several ranges (multipart answers serve nobody here and are a known way to make a
// server work), when If-Range does not match, and for HEAD. Positions of any number of digits are
// safe.
response_plan plan_response(const conditions& request, std::uint64_t bytes, std::string_view etag);

// What an Accept-Encoding field admits and prefers.
struct accepted_codings {
    bool gzip{false};
    bool brotli{false};
};

// `header` is the field's value, "" when it is absent (then nothing but identity is sent). A coding
// counts as accepted when its weight is above 0 and no lower than that of the other one and of an
// `identity` that is named, so what the client likes less is not sent. A malformed weight refuses
// its coding. With `identity;q=0` and nothing else to send, the caller sends identity all the same
// (RFC 9110 12.5.3 leaves that choice).
accepted_codings accept_encoding(std::string_view header) noexcept;

}  // namespace sandboxd::http
