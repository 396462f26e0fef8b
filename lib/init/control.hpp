// What the server and sandboxd-init say to each other over the control socket (AF_UNIX, SOCK_SEQPACKET): one
// packet a message, both sides on one machine, so plain structs are sent as they are.
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

// The descriptor under which init finds its end of the socket.
inline constexpr int control_fd_inside = 9;

// At most so many connects may be open in init; a further one is answered with EAGAIN.
inline constexpr unsigned max_pending = 512;

enum class request_kind : std::uint32_t {
    connect = 1,    // answered by exactly one reply with the same id
    terminate = 2,  // SIGTERM to the program; not answered
    list = 3,       // answered by a `listening` for each place that is listened on in there, and a `listed`
};

struct request {
    request_kind kind;
    std::uint32_t id;
    std::uint32_t port;  // connect: on the loopback, IPv4, then IPv6, then the Unix socket
};

enum class reply_kind : std::uint32_t {
    connected = 1,  // with one descriptor
    failed = 2,     // `value` is the errno of the last attempt
    ended = 3,      // `value` is the program's wait status as wait(2) gives it
    accepted = 4,   // with one descriptor: a connection to the port that init listens on (--gate); `id` is 0
    listening = 5,  // `value` is the port, `address` where; IPv6 has no place in it but what `v6` says
    listed = 6,     // no more of them
    begun = 7,      // once: `value` is 0 when the program was executed, or why not
};

struct reply {
    reply_kind kind;
    std::uint32_t id;
    std::int32_t value;
    std::uint32_t address{0};  // listening: IPv4, the first part as the highest byte
    std::uint32_t v6{0};       // listening: 0 for IPv4, else one of these
};

inline constexpr std::uint32_t v6_any = 1;
inline constexpr std::uint32_t v6_loopback = 2;
inline constexpr std::uint32_t v6_other = 3;

// A `list` is answered with no more places than this.
inline constexpr unsigned max_listed = 16;

// What init needs for itself beyond what its program may open: connects that wait, and as many descriptors as others of
// its uid may have in flight when they are at their own limit (unix(7), SCM_RIGHTS; 253 go with one message).
inline constexpr unsigned descriptors_of_init = max_pending + 253 + 64;

}  // namespace sandboxd::init::control
