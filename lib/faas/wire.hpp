// What the server and sandboxd-init say to each other over the control socket (AF_UNIX, SOCK_SEQPACKET): one
// packet a message, both sides on one machine, so plain structs are sent as they are.
//
//     server → init   request   "connect", "terminate"
//     init → server   reply     the answer to a connect, with the connected socket as SCM_RIGHTS when it went
//                               well; `ended`, once, just before init exits; `accepted`, unasked, in an
//                               install's jail
//
// Shared with app/init_main.cpp, which is linked with nothing else of this library.
#pragma once

#include <cstdint>

namespace sandboxd::faas::wire {

// The descriptor under which init finds its end of the socket.
inline constexpr int control_fd_inside = 9;

// At most so many connects may be open in init; a further one is answered with EAGAIN.
inline constexpr unsigned max_pending = 512;

enum class request_kind : std::uint32_t {
    connect = 1,    // answered by exactly one reply with the same id
    terminate = 2,  // SIGTERM to the program; not answered
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
};

struct reply {
    reply_kind kind;
    std::uint32_t id;
    std::int32_t value;
};

}  // namespace sandboxd::faas::wire
