// The names in the store: ids of entries, names of artifacts, and the media types of their suffixes.
#pragma once

#include <string>
#include <string_view>

namespace sandboxd::artifacts {

// Exactly 32 lower-case hexadecimal digits.
bool is_id(std::string_view text) noexcept;

// [A-Za-z0-9_][A-Za-z0-9._-]*, at most 200 bytes: one path component that is never `.`, `..` or
// hidden. Names with a leading dot are the store's own.
bool is_plain_name(std::string_view text) noexcept;

// The media type for a name's suffix; `application/octet-stream` for an unknown one. Text is declared as UTF-8, which
// the compiler writes; otherwise a classic script would be read in its page's encoding.
std::string_view media_type_of(std::string_view name) noexcept;

}  // namespace sandboxd::artifacts
