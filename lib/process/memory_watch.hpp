// The memory of a job as a whole, where no cgroup counts it: resource limits are of one process each, and count what is
// writable now, so that pages written and then made read-only, and page tables, are free.
#pragma once

#include "async/event.hpp"
#include "async/stop.hpp"
#include "async/turns.hpp"
#include "base/errc.hpp"

#include <boost/asio/awaitable.hpp>

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

namespace sandboxd::process {

struct memory_use {
    std::uint64_t bytes{0};         // anonymous memory, swapped or not, page tables, mappings, pipes
    std::uint64_t socket_bytes{0};  // what the sockets of its network namespace could hold
    std::size_t processes{0};
};

struct memory_caps {
    std::uint64_t bytes{0};
    std::uint64_t socket_bytes{0};  // looked at only where the job has a pid namespace of its own; 0: never
    std::uint32_t open_files{0};    // that a process may have; 0: any number
};

// Adds up what the process `leader` and all that descends from it use (proc_pid_status(5): RssAnon, VmSwap, VmPTE);
// more than 4096 processes exceed `caps.bytes`. What processes share after a fork(2) counts in each of them until
// that exceeds the cap; then once (proc_pid_smaps(5), Pss), where this process may look and `may_weigh` allows it.
// Where the job's processes could have more than 64 MiB of them, also what the kernel keeps for mappings (250 bytes
// each) and pipes (8 KiB each, once however many have it), unless `caps.bytes` is 0. Files in a tmpfs are not counted:
// they have the size of their file system. In turns; about 0.1 ms for a process. Sockets: TCP ones with 128 KiB, which
// is what their buffers hold at most in a network of a jail's own, others with 208 KiB (the kernel's
// net.core.wmem_default; a jail's filter keeps SO_SNDBUF from raising it).
boost::asio::awaitable<memory_use> memory_of(pid_t leader, memory_caps caps, async::turns& turn);

// Whether the kernel can soon tell how much memory a process shares, by its /proc/PID/status: it walks all that the
// process has mapped in one read(2), and the loop stands still meanwhile. One file can be mapped thousands of times.
bool may_weigh(std::string_view status, const memory_caps& caps);

// What ends a watch.
struct memory_watch {
    memory_watch(const boost::asio::any_io_executor& executor, async::stop_source& source,
                 std::shared_ptr<async::event> first = {})
        : begins{std::move(first)}, over{executor}, stop{source}
    {
    }
    std::shared_ptr<async::event> begins;  // null, or set when there is something to watch, at the latest with `over`
    async::event over;         // set when the job has ended: neither `stop` nor the leader is touched any more
    async::stop_source& stop;  // gets `memory_limit`
};

// Looks five times a second, and less often where looking takes long. Above the cap it looks once more, a moment later:
// what a vfork(2) shares with its parent is gone then.
boost::asio::awaitable<void> watch_memory(std::shared_ptr<memory_watch> watch, std::shared_ptr<const pid_t> leader,
                                          memory_caps caps);

}  // namespace sandboxd::process
