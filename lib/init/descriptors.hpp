// How the server hands descriptors to a program in a container: over a Unix socket (AF_UNIX, SOCK_SEQPACKET) that
// `--descriptors` names, which init connects to (app/init/jail.cpp).
#pragma once

#include <cstdint>

namespace sandboxd::init {

inline constexpr std::uint32_t max_descriptors = 8;

// Sent with that many descriptors (SCM_RIGHTS), in one message: the numbers that the program is to find them at.
struct descriptor_numbers {
    std::uint32_t count;
    std::int32_t number[max_descriptors];
};

}  // namespace sandboxd::init
