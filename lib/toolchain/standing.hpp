// Where a process stands, as seen from outside: in which namespaces, as whom, under which limits. Two processes of one
// jail stand in the same place; that is how the server makes sure that a tool's child has entered a jail completely.
#pragma once

#include "base/errc.hpp"
#include "toolchain/tool_protocol.hpp"

#include <sys/stat.h>
#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace sandboxd::toolchain {

struct standing {
    // user, mnt, pid, net, ipc, uts, cgroup: "user:[4026531837]"
    std::array<std::string, 7> namespaces;
    std::string identity;  // the lines of /proc/<pid>/status about ids, capabilities, seccomp and no_new_privs
    std::string limits;    // /proc/<pid>/limits
    std::string cgroup;    // /proc/<pid>/cgroup
    std::pair<dev_t, ino_t> root;

    bool operator==(const standing&) const = default;
};

// Blocks, on /proc alone. Error: `unavailable` when the process has gone, or may not be looked at.
result<standing> standing_of(pid_t process);

// In which member they differ, in a word; empty: they stand in the same place.
std::string_view difference(const standing& one, const standing& other);

// Whether the two share any namespace but that of time.
bool share_a_namespace(const standing& one, const standing& other);

// The bounding set of capabilities, by `identity`. All of them where it does not say.
std::uint64_t bounding_set(const standing& of);

// setrlimit(2), by the resources' numbers; RLIM_INFINITY where there is none. prlimit(2) would need CAP_SYS_RESOURCE.
struct soft_and_hard {
    std::uint64_t soft;
    std::uint64_t hard;
    bool operator==(const soft_and_hard&) const = default;
};
inline constexpr std::size_t resources = protocol::limits;

// By `limits`, the kernel's table in the order of the numbers. Nothing where it is of another shape.
std::optional<std::array<soft_and_hard, resources>> resource_limits(const standing& of);

// Whether a process that stands there could change the file, or its mode, if it were not mounted read-only. True
// if its ids are unknown.
bool could_change(const standing& who, const struct stat& file);

// Whether `ancestor` is the process or one of the next few above it.
bool descends_from(pid_t process, pid_t ancestor);

// How many descriptors a process has open. 0: it cannot be told.
std::size_t open_descriptors(pid_t process);

}  // namespace sandboxd::toolchain
