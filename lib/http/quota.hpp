// Limits the requests of each client in a minute.
#pragma once

#include "base/client_key.hpp"

#include <sys/socket.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::http {

// The peer of a connection, taken when it was accepted: getpeername(2) fails after a reset. Only the kind of listener
// decides whom to trust.
struct peer {
    // Accepted on the Unix socket, or another server of the fleet: the peer is a proxy that speaks for others.
    bool local{false};
    // Another server of the fleet, which has proved that it is one.
    bool fleet{false};
    // The client that connections and requests count for. All TCP peers with an unknown kind of address share the
    // value of zeros.
    client_key client{};
    std::string address{};  // "127.0.0.1", "::1"; empty when local or of an unknown kind
};

// The peer of a TCP listener, from whatever accept(2) returned in `from`.
peer tcp_peer(const sockaddr* from, std::size_t size);
// The client of an address in text form: "192.0.2.1", "2001:db8::1". Nullopt if it is not an address.
std::optional<client_key> client_of(std::string_view address) noexcept;
inline peer unix_peer() { return {.local = true}; }
inline peer fleet_peer() { return {.local = true, .fleet = true}; }

class quota {
public:
    using clock = std::chrono::steady_clock;

    // `clients` bounds the memory: beyond it the client with the oldest minute is forgotten.
    explicit quota(std::size_t a_minute, std::size_t clients = 16'384) : a_minute_{a_minute}, clients_{clients} {}

    // Counts a request. 0: it may be answered; otherwise the time until this client's next request is allowed.
    std::chrono::seconds take(const client_key& client, clock::time_point now);

    std::size_t clients() const noexcept { return minutes_.size(); }

private:
    // Begins with a client's first request.
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
