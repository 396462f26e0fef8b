// Where a server listens: `:8080`, `localhost:3000`, `0.0.0.0:8080`, `[::1]:8080`, `unix:/path`.
#pragma once

#include "base/errc.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace sandboxd::http {

struct tcp_address {
    std::string host;  // empty: every interface, IPv6 and IPv4; without brackets
    std::uint16_t port;
};
struct unix_address {
    std::string path;
    // What may connect: the socket file's permission bits, and its group; empty: the server's own.
    unsigned mode{0660};
    std::string group{};
};
using address = std::variant<tcp_address, unix_address>;

// Errors: invalid_request, with what is wrong and examples of addresses.
result<address> parse_address(std::string_view text);

}  // namespace sandboxd::http
