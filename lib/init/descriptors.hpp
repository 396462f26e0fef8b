// How the server passes descriptors to a program in a container: init connects to the Unix socket (AF_UNIX,
// SOCK_SEQPACKET) that `--descriptors` names (app/init/jail.cpp).
#pragma once

#include <cstdint>

namespace sandboxd::init {

inline constexpr std::uint32_t max_descriptors = 8;

// Sent with that many descriptors (SCM_RIGHTS) in one message: their numbers in the program.
struct descriptor_numbers {
    std::uint32_t count;
    std::int32_t number[max_descriptors];
};

}  // namespace sandboxd::init
