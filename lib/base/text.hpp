// Text for people, made from untrusted text.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sandboxd {

// An untrusted name for an error message: in single quotes, at most its first 100 bytes (then "..."). Quotes,
// backslashes, control characters and what is invisible or turns the direction of a text are escaped as \xHH, and so is
// what is no UTF-8: the message is valid UTF-8, and the name cannot forge a line or look like another.
std::string in_quotes(std::string_view name);

// Edit distance ("optimal string alignment"): how many characters must be changed, added, removed or exchanged with the
// next one to turn one word into the other, ignoring case. It takes time and memory for both, so neither may be long.
std::size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace sandboxd
