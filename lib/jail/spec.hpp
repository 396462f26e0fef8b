// What a jailed program may see and use, in the jail's own terms. A spec knows no compilers and no
// runtimes; a jail (none, bubblewrap, nsjail, …) turns it into a command.
//
// Beside the mounts named here a walled jail has a private /tmp, /dev, /dev/shm and /proc, and
// nothing else.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace sandboxd::jail {

struct mount {
    std::string source;  // absolute path outside; need not be reachable for the job's uid
    std::string target;  // absolute path inside
    bool writable{false};
    bool optional{false};  // leave it out when the source does not exist
    // A program of the server's own, which a jail must not change for another: where the jail's uid would own the
    // file, the jail gets a copy to itself. It must be executable, or nothing is run (`unavailable`).
    bool own_copy{false};

    bool operator==(const mount&) const = default;
};

// Ceilings for the program and all its descendants. 0 means: not limited by this jail.
struct limits {
    std::uint64_t memory_bytes{0};  // of the whole job where a cgroup caps it; RLIMIT_DATA of each process
    std::uint64_t data_bytes{0};    // RLIMIT_DATA, where it is to be another: some map more than they ever use
    std::uint64_t file_bytes{0};    // RLIMIT_FSIZE: one file (nsjail rounds up to MiB, bubblewrap to its own files)
    std::uint64_t tmp_bytes{0};     // size of the private /tmp, and of /dev/shm beside it
    std::uint32_t open_files{0};    // RLIMIT_NOFILE of each process
    std::uint32_t processes{0};     // of the whole job, where walls() has "process limit"
    std::uint32_t cpu_percent{0};   // of one processor, for the whole job; only where a cgroup caps it
    std::chrono::seconds cpu{0};    // RLIMIT_CPU of each process
};

// none: no network at all; sockets of the Internet families cannot even be made.
// own:  a network of the job's own in which there is nothing but its loopback, up; for servers.
// host: the host's network, for what has to fetch something; never for strangers' programs.
enum class network_access { none, own, host };

struct spec {
    std::vector<std::string> argv;                         // argv[0] absolute, as seen inside
    std::vector<std::pair<std::string, std::string>> env;  // the whole environment
    std::string cwd{"/"};                                  // as seen inside
    std::vector<mount> mounts;
    std::string hostname{"sandbox"};
    struct limits limits;
    network_access network{network_access::none};
    // Whether it has the files below /etc that C libraries look for (system_files.hpp). A compiler needs none, and
    // sources that ask for them find nothing.
    bool has_system_files{true};
    std::string stdin_text;  // what the program reads from its standard input; empty: /dev/null
    bool merge_stderr{false};
    // The program itself is PID 1 of its namespace: it reaps what is adopted, and when it ends, all else is
    // killed. Otherwise a small init of the jail's does that.
    bool as_pid_1{false};
    // (descriptor of ours, its number inside, 8 or higher): what the program gets beside 0, 1 and 2.
    std::vector<std::pair<int, int>> pass_fds;
    // Is set to the number of the process from which all of the job descends, as this process sees it, while there is
    // one, and to 0 else; may be null. Not by jails whose processes are another's (Docker).
    std::shared_ptr<pid_t> leader{};
};

}  // namespace sandboxd::jail
