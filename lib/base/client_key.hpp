// Whom a request counts for.
#pragma once

#include <array>
#include <cstdint>

namespace sandboxd {

// One client: an IPv4 address (mapped into IPv6, RFC 4291, 2.5.5.2), or the /64 of an IPv6 address, which a provider's
// customer has as a whole. Zeros: all who have no address. Where requests have keys, it is the key's tenant instead
// (tenants::client_of_tenant). All others only compare it.
using client_key = std::array<std::uint8_t, 16>;

}  // namespace sandboxd
