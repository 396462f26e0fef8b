// A control group (cgroup v2) for each job: limits for all its processes together, a kill that misses none of them,
// and statistics of what the job used. https://docs.kernel.org/admin-guide/cgroup-v2.html
//
// The server must own a delegated subtree (systemd: Delegate=yes). cgroup v2 lets only leaves hold
// processes, so the server first moves itself into one:
//
//     <the server's cgroup>/server      this process
//     <the server's cgroup>/job-…       one a job, removed at its end
//
// A server that is started in a cgroup named `server` takes its parent (systemd: DelegateSubgroup=server): after a
// crash the server can be restarted only there.
#pragma once

#include "base/errc.hpp"
#include "base/unique_fd.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace sandboxd::process {

// 0: not limited.
struct cgroup_limits {
    std::uint64_t memory_bytes{0};  // memory.max, with memory.swap.max 0 and memory.oom.group 1
    std::uint32_t processes{0};     // pids.max: processes and threads
    std::uint32_t cpu_percent{0};   // cpu.max: 100 is one processor
};

struct cgroup_usage {
    std::uint64_t memory_peak_bytes{0};  // 0 where the kernel has no memory.peak (before 5.19)
    std::chrono::microseconds cpu{0};    // user and system
    std::uint64_t oom_kills{0};
};

class job_cgroup {
public:
    job_cgroup(job_cgroup&& other) noexcept
        : path_{std::exchange(other.path_, {})}, procs_{std::move(other.procs_)}, kill_{std::move(other.kill_)}
    {
    }
    job_cgroup& operator=(job_cgroup&&) = delete;
    // Kills what is left in the cgroup and tries once to remove it.
    ~job_cgroup();

    // cgroup.procs, open for writing: a child enters by writing "0".
    int procs() const noexcept { return procs_.get(); }
    // SIGKILL to every process in it (cgroup.kill; since Linux 5.14).
    void kill() const;
    cgroup_usage usage() const;
    // Kills all processes, waits until the cgroup is empty, and removes it.
    boost::asio::awaitable<void> remove();

private:
    friend class cgroup_tree;
    job_cgroup() = default;

    std::filesystem::path path_;  // empty: moved from, or removed
    unique_fd procs_;
    unique_fd kill_;
};

class cgroup_tree {
public:
    // Takes over the subtree that this process is in, and removes the job cgroups of an earlier server: waits at most
    // two seconds for each until its processes are dead. Errors: unavailable, naming what is missing and the cure: no
    // cgroup v2, not delegated to us, other processes in it, no memory or pids controller, a kernel before 5.14.
    // After an error this process is where it was. `allow_root`: also accept the root of the hierarchy, which nobody
    // can delegate.
    static result<cgroup_tree> take(bool allow_root);

    // `path`: a directory that was taken over before.
    explicit cgroup_tree(std::filesystem::path path) : path_{std::move(path)} {}

    // Creates a group; `name` must be unique among the existing ones. Errors: unavailable, naming the file that could
    // not be made or written; nothing is left behind.
    result<job_cgroup> create(std::string_view name, const cgroup_limits& limits) const;

    const std::filesystem::path& path() const noexcept { return path_; }

private:
    std::filesystem::path path_;
};

// The directory of a process' cgroup v2, given the texts of /proc/<pid>/cgroup and /proc/<pid>/mountinfo. Nullopt
// when it has none, or it is not mounted. Pure.
std::optional<std::filesystem::path> find_cgroup(std::string_view cgroup, std::string_view mountinfo);

}  // namespace sandboxd::process
