// Text for people, made of what strangers wrote.
#pragma once

#include <string>
#include <string_view>

namespace sandboxd {

// A name that came from outside, for an error message: in single quotes, no more than its first 100 bytes (then
// "..."), and with everything but printable ASCII escaped as \xHH, so that it is valid UTF-8 and cannot forge a line.
std::string in_quotes(std::string_view name);

}  // namespace sandboxd
