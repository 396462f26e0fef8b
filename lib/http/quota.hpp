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
#include <string>
#include <string_view>

namespace sandboxd::http {

// Who counts as one client: an IPv4 address, or the /64 of an IPv6 address, which one customer of a
// provider has all of.
using client_key = std::array<std::uint8_t, 16>;

// The other end of a connection, taken when it was accepted: getpeername(2) fails once the peer has reset it. Whom to
// trust follows from the kind of listener alone.
struct peer {
    // Over the Unix socket comes what may open it: a proxy, which speaks for everybody.
    bool local{false};
    // Whose connections and requests these count as. A TCP peer whose address is of no known kind shares all zeros
    // with the others of that sort.
    client_key client{};
    std::string address{};  // "127.0.0.1", "::1"; empty when local, or when it is of no known kind
};

// `from` as accept(2) gave it, whatever it holds, for a TCP listener.
peer tcp_peer(const sockaddr* from, std::size_t size);
// Whom an address stands for, as text: "192.0.2.1", "2001:db8::1". Empty for what is none.
std::optional<client_key> client_of(std::string_view address) noexcept;
inline peer unix_peer() { return {.local = true}; }

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
