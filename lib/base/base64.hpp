// Base64, for files that are no text (RFC 4648).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sandboxd {

// Strict: the alphabet of section 4, padded, nothing else in it, line ends neither, and no bits set that are not read
// (section 3.5). Nothing for all else. Linear.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace sandboxd
