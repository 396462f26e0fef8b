// What to run: an argument vector, never a shell line, and everything about the child that is decided before exec.
// The child inherits only what is named here.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sandboxd::process {

// setrlimit(2): the soft and the hard limit. It is capped at the server's own hard limit.
struct rlimit_setting {
    int resource;  // RLIMIT_…
    rlim_t value;  // in the resource's own unit

    bool operator==(const rlimit_setting&) const = default;
};

struct identity {
    uid_t uid;
    gid_t gid;

    bool operator==(const identity&) const = default;
};

// tcp(7), tcp_rmem and tcp_wmem: least, default and most bytes of a TCP socket's buffers in a jail's own network. The
// memory of all TCP sockets of the machine is one budget (tcp_mem).
inline constexpr const char* tcp_buffers = "4096 16384 65536";

// What every program expects in /dev and may write to.
struct device_node {
    const char* name;
    unsigned minor;  // of the memory devices, whose major number is 1
};
inline constexpr device_node device_nodes[] = {{"null", 3}, {"full", 7}, {"random", 8}, {"urandom", 9}};

// Other paths for files and directories, made as root before the uid is dropped: anything below a directory that the
// new uid may not enter (/root, a private home) gets a path that it can reach. The child moves to a mount namespace
// of its own, mounts a tmpfs on `directory` and binds each source there under its index: `<directory>/0`,
// `<directory>/1`, …. Needs root.
struct alias_mounts {
    std::string directory;  // an existing directory; its contents are hidden from the child
    std::vector<std::string> sources;
    // Also makes there new nodes of `device_nodes`, each under its name.
    bool devices{false};

    bool operator==(const alias_mounts&) const = default;
};

struct command {
    std::vector<std::string> argv;                         // argv[0] is the absolute path of the executable
    std::vector<std::pair<std::string, std::string>> env;  // the whole environment
    std::string cwd{"/"};
    std::vector<rlimit_setting> rlimits;
    std::optional<alias_mounts> aliases;
    // Drops to this uid and gid, without supplementary groups, before exec. Needs root.
    std::optional<identity> run_as;
    // Enters a user namespace that maps only the child's own uid and gid and gives it no capabilities. With it
    // RLIMIT_NPROC counts the processes of this command, not all those of its uid (Linux ≥ 5.14).
    bool own_user_namespace{false};
    // Enters, within its user namespace, which it must have, a network namespace with nothing but a loopback, up. Its
    // sockets have `tcp_buffers` where this process has a /proc/sys that can be written.
    bool own_network{false};
    bool no_new_privs{true};
    // A cgroup.procs file, open for writing: the child enters that cgroup before anything else.
    int enter_cgroup{-1};
    // (descriptor of ours, its number in the child): everything else from 3 upwards is closed.
    std::vector<std::pair<int, int>> pass_fds;
    bool merge_stderr{false};  // 2>&1: keeps the order in which a compiler printed
    // Set to the child's pid while it lives, otherwise to 0; may be null. Everything that the command starts descends
    // from that process.
    std::shared_ptr<pid_t> leader{};
};

}  // namespace sandboxd::process
