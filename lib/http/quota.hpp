// How many requests each client may send a minute.
#pragma once

#include <sys/socket.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <optional>

namespace sandboxd::http {

// Who counts as one client: an IPv4 address, or the /64 of an IPv6 address, which one customer of a
// provider has all of.
using client_key = std::array<std::uint8_t, 16>;

// Empty for what has no address of its own: a Unix socket, behind which a proxy speaks for everybody.
std::optional<client_key> key_of(const sockaddr_storage& peer) noexcept;

class quota {
public:
    using clock = std::chrono::steady_clock;

    // `clients` bounds the memory: beyond it the client whose minute began first is forgotten.
    explicit quota(std::size_t a_minute, std::size_t clients = 16'384) : a_minute_{a_minute}, clients_{clients} {}

    // Counts a request. 0: it may be answered; else how long until this client's next one may.
    std::chrono::seconds take(const client_key& client, clock::time_point now);

    std::size_t clients() const noexcept { return minutes_.size(); }

private:
    // From a client's first request on.
    struct minute {
        client_key client;
        clock::time_point began;
        std::size_t requests;
    };

    std::size_t a_minute_;
    std::size_t clients_;
    std::list<minute> minutes_;  // the oldest first
    std::map<client_key, std::list<minute>::iterator> by_client_;
};

}  // namespace sandboxd::http
