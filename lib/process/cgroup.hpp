// A control group (cgroup v2) of its own for each job: limits that hold for all its processes together, a
// kill that misses none of them, and figures of what it used.
// https://docs.kernel.org/admin-guide/cgroup-v2.html
//
// The server must own a delegated subtree (systemd: Delegate=yes). cgroup v2 lets only leaves hold
// processes, so the server first moves itself into one:
//
//     <the server's cgroup>/server      this process
//     <the server's cgroup>/job-…       one a job, removed at its end
//
// A server that is started in a cgroup called `server` takes the one above it (systemd: DelegateSubgroup=server):
// after a crash that is the only place where it can be started again.
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
    // Kills what is left in it; tries once to remove it.
    ~job_cgroup();

    // cgroup.procs, open for writing: a child enters by writing "0".
    int procs() const noexcept { return procs_.get(); }
    // SIGKILL to every process in it (cgroup.kill; since Linux 5.14).
    void kill() const;
    cgroup_usage usage() const;
    // Kills, waits until nobody is in it, removes it.
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
    // Takes the subtree that this process is in, and removes the job cgroups of an earlier server: waits, for
    // two seconds at most each, until what is left in them is dead. Errors: unavailable, saying what is missing
    // and the cure: no cgroup v2, not delegated to us, other processes in it, no memory or pids controller, a
    // kernel before 5.14; then this process is where it was. `allow_root`: also where that is the root of the
    // hierarchy, which is nobody's to delegate.
    static result<cgroup_tree> take(bool allow_root);

    // `path`: a directory that has been taken.
    explicit cgroup_tree(std::filesystem::path path) : path_{std::move(path)} {}

    // A new group; `name` must be unique among those that exist.
    // Errors: unavailable, naming the file that could not be made or written; then nothing is left.
    result<job_cgroup> create(std::string_view name, const cgroup_limits& limits) const;

    const std::filesystem::path& path() const noexcept { return path_; }

private:
    std::filesystem::path path_;
};

// Where the cgroup v2 of a process is, by the texts of /proc/<pid>/cgroup and /proc/<pid>/mountinfo.
// Nothing when it is in none, or that is not mounted. Pure.
std::optional<std::filesystem::path> find_cgroup(std::string_view cgroup, std::string_view mountinfo);

}  // namespace sandboxd::process
