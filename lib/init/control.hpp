// The protocol between the server and sandboxd-init on the control socket (AF_UNIX, SOCK_SEQPACKET): one packet per
// message. Both sides are on one machine, so plain structs are sent unchanged.
//
//     server → init   request   "connect", "terminate"
//     init → server   reply     the answer to a connect, with the connected socket as SCM_RIGHTS when it went
//                               well; `ended`, once, just before init exits; `accepted`, unasked, in an
//                               install's jail
//
// The server's side is faas/control, the other app/init/main.cpp.
#pragma once

#include <cstdint>

namespace sandboxd::init::control {

// init's descriptor of its end of the socket.
inline constexpr int control_fd_inside = 9;

// The limit of pending connects in init; one more is answered with EAGAIN. It bounds init's descriptors, not requests
// (faas.maxRequests): a connect is done at once, so many are pending only in a program that accepts none.
inline constexpr unsigned max_pending = 512;

enum class request_kind : std::uint32_t {
    connect = 1,    // answered by exactly one reply with the same id
    terminate = 2,  // SIGTERM to the program; not answered
    list = 3,       // answered by a `listening` for each listening address inside, then a `listed`
};

struct request {
    request_kind kind;
    std::uint32_t id;
    std::uint32_t port;  // connect: on the loopback, IPv4, then IPv6, then the Unix socket
};

enum class reply_kind : std::uint32_t {
    connected = 1,  // with one descriptor
    failed = 2,     // `value` is the errno of the last attempt
    ended = 3,      // `value` is the program's wait status (wait(2))
    accepted = 4,   // with one descriptor: a connection to the port that init listens on (--accept); `id` is 0
    listening = 5,  // `value` is the port, `address` the IPv4 address; for IPv6 see `v6`
    listed = 6,     // the end of the list
    begun = 7,      // once: `value` is 0 when the program was executed, otherwise the errno
};

struct reply {
    reply_kind kind;
    std::uint32_t id;
    std::int32_t value;
    std::uint32_t address{0};  // listening: IPv4, the first part as the highest byte
    std::uint32_t v6{0};       // listening: 0 for IPv4, else one of these
    std::uint32_t sort{0};     // listening: 0 for TCP, else one of these
};

inline constexpr std::uint32_t v6_any = 1;
inline constexpr std::uint32_t v6_loopback = 2;
inline constexpr std::uint32_t v6_other = 3;
inline constexpr std::uint32_t sort_udp = 1;   // a port that was chosen: below the kernel's own (ip_local_port_range)
inline constexpr std::uint32_t sort_unix = 2;  // of any name but SOCKET_PATH; no port, no address

// A `list` is answered with at most this many addresses.
inline constexpr unsigned max_listed = 16;

// Descriptors that init needs beyond its program's limit: pending connects, and as many as others of its uid may have
// in flight at their own limit (unix(7), SCM_RIGHTS; 253 per message).
inline constexpr unsigned descriptors_of_init = max_pending + 253 + 64;

}  // namespace sandboxd::init::control
