// The URL of an HTTP service that the operator runs, as the configuration has it, and the credential for it.
#pragma once

#include "base/errc.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::remote {

struct host_and_port {
    std::string host;  // lower case; an IPv6 address without brackets
    std::uint16_t port{0};
};

// What the authority of a URL says, without a user: "host", "host:port", "[address]", "[address]:port". Nullopt: it
// names no host, or a port that is none.
std::optional<host_and_port> read_authority(std::string_view text, std::uint16_t usual_port);

// Whether what is sent to this host never leaves this machine: `localhost`, 127.0.0.0/8 or ::1.
bool is_loopback(const std::string& host);

struct service_url {
    bool tls{false};
    std::string host;  // lower case; an IPv6 address without brackets
    std::uint16_t port{80};
    std::string path;  // before every target: empty, or "/cache/one"

    // What the Host field says: without the scheme's own port (RFC 9110 7.2).
    std::string authority() const;
    std::string text() const;
    bool is_loopback() const { return remote::is_loopback(host); }

    bool operator==(const service_url&) const = default;
};

// Errors: invalid_request, which says what is wrong with it. A URL has no user, password, query or fragment: a secret
// in it would be printed with it.
result<service_url> parse_service_url(std::string_view url);

// The value of an Authorization field, of a file's text: "Bearer TOKEN" (RFC 6750) or "Basic USER:PASSWORD" (RFC 7617).
// Errors: invalid_request, without the text.
result<std::string> authorization_of(std::string_view text);

}  // namespace sandboxd::remote
