// The wall before the parser: a request header must be unambiguous, byte by byte, before Beast sees it.
//
// Beast up to 1.84 accepts headers that another server in the chain may read differently: unknown transfer codings, a
// Transfer-Encoding together with a Content-Length or on HTTP/1.0, obs-fold, no Host or two of them. If two servers
// frame a message differently, a request can be smuggled past one of them (RFC 9112 11.2). Such a header is refused
// and the connection closed, so that no byte after it is read as a request.
#pragma once

#include "base/errc.hpp"

#include <cstddef>
#include <optional>
#include <string_view>

namespace sandboxd::http {

struct header_limits {
    std::size_t target_bytes{8 * 1024};
    std::size_t fields{100};  // http.maxHeaderFields
};

// Checks one whole header: request line, field lines and the empty line at the end. Nullopt when it may pass;
// otherwise `invalid_request`, `target_too_long`, `header_too_large`, `method_not_implemented` or
// `version_not_supported`, each with a sentence that names the violation. RFC 9112 sections 2 to 6.
std::optional<error> check_header(std::string_view header, const header_limits& limits);

// Where a header ends in `bytes`: the size up to and including its empty line; 0 while it is incomplete. `scanned`
// keeps the position of the search between calls; start with 0. Errors: `invalid_request` for a line that ends in a
// bare LF, or a CR that ends no line (RFC 9112 2.2).
result<std::size_t> find_header_end(std::string_view bytes, std::size_t& scanned);

// The longest accepted chunk extension, in bytes (RFC 9112 7.1.1: recipients may limit them).
inline constexpr std::size_t max_chunk_extension_bytes = 256;

}  // namespace sandboxd::http
