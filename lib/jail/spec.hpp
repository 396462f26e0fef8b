// What a jailed program may see and use, independent of compilers and runtimes. A jail (none, bubblewrap, nsjail, …)
// turns a spec into a command.
//
// Besides these mounts, a jail other than "none" has only a private /tmp, /dev, /dev/shm and /proc.
#pragma once

#include "base/client_key.hpp"

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::async {
class event;
}

namespace sandboxd::jail {

struct mount {
    std::string source;  // absolute path outside; the job's uid need not be able to reach it
    std::string target;  // absolute path inside
    bool writable{false};
    bool optional{false};  // left out if the source does not exist
    // A program of the server that a jail must not change for others: if the jail's uid would own the file, the jail
    // gets its own copy. It must be executable, or nothing runs (`unavailable`).
    bool own_copy{false};

    bool operator==(const mount&) const = default;
};

// Ceilings for the program and all its descendants. 0 means: not limited by this jail.
struct job_limits {
    std::uint64_t memory_bytes{0};  // of the whole job, by a cgroup or a watch; RLIMIT_DATA of each process
    std::uint64_t data_bytes{0};    // RLIMIT_DATA, if it must differ: some programs map more than they ever use
    std::uint64_t file_bytes{0};    // RLIMIT_FSIZE: one file (nsjail rounds up to MiB, bubblewrap to its own files)
    std::uint64_t tmp_bytes{0};     // size of the private /tmp, and of /dev/shm beside it
    std::uint32_t open_files{0};    // RLIMIT_NOFILE of each process
    std::uint32_t processes{0};     // of the whole job, if walls() has "process limit"
    std::uint32_t cpu_percent{0};   // of one processor, for the whole job; only if a cgroup limits it
    std::chrono::seconds cpu{0};    // RLIMIT_CPU of each process

    bool operator==(const job_limits&) const = default;
};

// none: no network; sockets of the Internet families cannot be created.
// own:  a private network with only a loopback device; for servers.
// host: the host's network, for programs that fetch something; never for untrusted programs.
enum class network_access { none, own, host };

struct spec {
    std::vector<std::string> argv;                         // argv[0] absolute, as seen inside
    std::vector<std::pair<std::string, std::string>> env;  // the whole environment
    std::string cwd{"/"};                                  // as seen inside
    std::vector<mount> mounts;
    std::string hostname{"sandbox"};
    job_limits limits;
    network_access network{network_access::none};
    // Whether there are the files below /etc that C libraries look for (system_files.hpp). A compiler needs none of
    // them, and an untrusted source cannot include them then.
    bool has_system_files{true};
    std::string stdin_text;  // what the program reads from its standard input; empty: /dev/null
    bool merge_stderr{false};
    // The program itself is PID 1 of its namespace: it reaps orphans, and its end kills all other processes.
    // Otherwise the jail's own init does that.
    bool as_pid_1{false};
    // (descriptor of ours, its number inside, 8 or higher): passed to the program besides 0, 1 and 2.
    std::vector<std::pair<int, int>> pass_fds;
    // A program of the server that adds a filter for its system calls itself, as sandboxd-js does. No other may.
    bool own_filters{false};
    // Set to the pid, as seen by this process, of the job's first process while it lives, otherwise to 0; may be
    // null. Not set by jails whose processes belong to another program (Docker).
    std::shared_ptr<pid_t> leader{};
    // Where a jail is told how long the steps of its program took, it puts that here; the names are literals. May be
    // null. What is in it is the program's word.
    std::shared_ptr<std::vector<std::pair<std::string_view, std::chrono::microseconds>>> steps{};
    // Whom the program counts for, where what is done beside it has shares. No wall depends on it.
    client_key client{};
    // Of a jail that is built ahead: what its mounts need to exist. Let go when the jail has ended.
    std::shared_ptr<void> holds{};
    // Of a jail that is built ahead: set when the job comes, and at the jail's end. Until then only programs of the
    // server run in there, and their memory is not watched. Null: the job comes at once.
    std::shared_ptr<async::event> begins{};
};

}  // namespace sandboxd::jail
