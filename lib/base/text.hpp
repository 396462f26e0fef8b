// Text for people, made from untrusted text.
#pragma once

#include <string>
#include <string_view>

namespace sandboxd {

// An untrusted name for an error message: in single quotes, at most its first 100 bytes (then "..."), with everything
// but printable ASCII escaped as \xHH, so that it is valid UTF-8 and cannot forge a line.
std::string in_quotes(std::string_view name);

}  // namespace sandboxd
