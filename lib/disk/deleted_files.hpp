// Files that a job has deleted but still uses: a walk cannot find them by name, and they occupy the disk until their
// last user is gone.
#pragma once

#include "async/turns.hpp"

#include <boost/asio/awaitable.hpp>

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace sandboxd::disk {

struct deleted_usage {
    std::uint64_t bytes{};
    std::uint64_t inodes{};
    // There was more than any honest job has; the numbers are lower bounds then.
    bool too_many{false};
};

// Counts the deleted files that a job's processes (`leader` and what descends from it) hold open or mapped through a
// mount whose source ends with `source` (as "/<job>.<random>/out" does), each file once. Other processes are ignored;
// if the kernel reuses a pid of the job meanwhile, the new process has no such mount and does not count. Needs /proc
// and, as the starter of those processes' user namespace, no other privilege. `leader` 0: finds nothing.
//
// Limits: without root, a file that is only mapped counts only as far as the mapping reaches. Descriptors in transit
// through a socket, and processes in this process' own mount namespace (no jail), are not seen. Takes about 0.2 ms
// for each process, in turns.
boost::asio::awaitable<deleted_usage> find_deleted(pid_t leader, std::string source, async::turns& turn);

}  // namespace sandboxd::disk
