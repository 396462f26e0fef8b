// Text for people, made from untrusted text.
#pragma once

#include <string>
#include <string_view>

namespace sandboxd {

// An untrusted name for an error message: in single quotes, at most its first 100 bytes (then "..."). Quotes,
// backslashes, control characters and what is invisible or turns the direction of a text are escaped as \xHH, and so is
// what is no UTF-8: the message is valid UTF-8, and the name cannot forge a line or look like another.
std::string in_quotes(std::string_view name);

}  // namespace sandboxd
