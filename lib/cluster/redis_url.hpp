// The URL of a Redis or Valkey server, as the configuration has it, and what to say to it first.
#pragma once

#include "base/errc.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace sandboxd::cluster {

struct redis_url {
    enum class transport { tcp, tls, local };

    transport by{transport::tcp};
    std::string host{};  // lower case; an IPv6 address without brackets; empty for a socket
    std::uint16_t port{6379};
    std::string path{};  // of a Unix socket
    std::string user{};  // of Redis' ACL; empty: "default"
    unsigned database{0};

    std::string text() const;
    // Whether nobody on the way can read what is sent: by TLS, or since it never leaves this machine.
    bool is_private() const;

    bool operator==(const redis_url&) const = default;
};

// redis://[USER@]HOST[:PORT][/DATABASE], rediss://… for TLS, or unix://[USER@]/PATH. Errors: invalid_request, which
// says what is wrong with it. A URL has no password: it would be printed with it.
result<redis_url> parse_redis_url(std::string_view url);

struct credential {
    std::string user{};      // empty: "default"
    std::string password{};  // empty: none is needed
};

// Of a secret's one line. With a user in the URL the line is the password; else it is the password, or USER:PASSWORD.
credential credential_of(std::string line, const redis_url& where);

}  // namespace sandboxd::cluster
