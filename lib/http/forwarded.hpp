// Which client a trusted proxy speaks for.
#pragma once

#include <string_view>

namespace sandboxd::http {

// The address that the last proxy has put into an X-Forwarded-For: the last element, without brackets and port, as
// inet_pton(3) reads it. Empty where that is no address. What stands before the last element, the proxy's own client
// may have made up.
std::string_view last_hop(std::string_view forwarded_for) noexcept;

}  // namespace sandboxd::http
