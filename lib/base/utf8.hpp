// UTF-8 (Unicode 15, section 3.9; RFC 3629): the output of jobs need not be valid, JSON answers must be.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sandboxd {

bool is_valid_utf8(std::string_view bytes) noexcept;

// A copy in which every maximal ill-formed subsequence is one U+FFFD, as the Unicode standard
// recommends (table 3-8). Valid text comes back unchanged. Linear; at most three times as long as
// the input.
std::string to_valid_utf8(std::string_view bytes);

// How many of these bytes fit into `room` bytes of a JSON string, as to_valid_utf8() and its escapes write them; takes
// them off `room`. A character that is cut at either end of `bytes`, which may be a piece of more, counts as itself.
std::size_t take_json_room(std::string_view bytes, std::size_t& room) noexcept;

// The longest prefix of `text` of at most `max_bytes` bytes that does not end inside a character.
std::string_view utf8_prefix(std::string_view text, std::size_t max_bytes) noexcept;

}  // namespace sandboxd
