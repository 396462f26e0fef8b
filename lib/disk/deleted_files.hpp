// Files that a job has deleted and still uses: they have no name that a walk could find, and occupy
// the disk until their last user is gone.
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
    // There was more to look at than any honest job has; the numbers are then lower bounds.
    bool too_many{false};
};

// Counts the deleted files that a job's processes (`leader` and what descends from it) hold open or
// mapped through a mount whose source ends with `source` (as "/<job>.<random>/out" does), each file
// once. Other processes are not looked at, and if the kernel gives a number of the job's to another
// process meanwhile, that one has no such mount and does not count. Needs /proc, and no right beyond
// that of having started those processes in their user namespace. `leader` 0: nothing is found.
//
// Not seen: what is only mapped counts as far as the mapping reaches, where this process is not
// root; a descriptor on its way through a socket; and processes in this process' own mount
// namespace, as without a jail. About 0.2 ms for a process, in turns.
boost::asio::awaitable<deleted_usage> find_deleted(pid_t leader, std::string source, async::turns& turn);

}  // namespace sandboxd::disk
