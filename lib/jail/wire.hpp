// What a jail and the init inside it (app/init_jail.cpp) say to each other.
#pragma once

#include <cstdint>

namespace sandboxd::jail::wire {

inline constexpr std::uint32_t max_descriptors = 8;

// Sent with that many descriptors (SCM_RIGHTS), in one message: the numbers that the program is to find them at.
struct descriptor_numbers {
    std::uint32_t count;
    std::int32_t number[max_descriptors];
};

}  // namespace sandboxd::jail::wire
