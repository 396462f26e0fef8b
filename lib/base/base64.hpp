// Base64, for binary files (RFC 4648).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sandboxd {

// Strict: the alphabet of section 4, padded, without line ends or other characters, and with zero pad bits (section
// 3.5). Returns nullopt for anything else. Linear.
std::optional<std::string> decode_base64(std::string_view text);

// The same alphabet, padded, in one line.
std::string encode_base64(std::string_view bytes);

}  // namespace sandboxd
