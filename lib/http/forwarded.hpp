// The client that a trusted proxy speaks for.
#pragma once

#include <string_view>

namespace sandboxd::http {

// The address that the last proxy has added to an X-Forwarded-For: the last element, without brackets and port, as
// inet_pton(3) reads it. Empty if it is not an address. The proxy's client may have invented the elements before it.
std::string_view last_hop(std::string_view forwarded_for) noexcept;

}  // namespace sandboxd::http
