// An isolation back end that runs programs behind a wall. It is chosen once, at start, by a probe that really runs a
// program in it.
//
//     none        no wall: rlimits and a process group only; for disposable hosts
//     bubblewrap  namespaces, seccomp filter, no capabilities, unprivileged uid
//     namespaces  the same wall, built by sandboxd-init
//     nsjail      the same wall, built by nsjail
//     oci         the same wall, built by crun or runc; or a kernel in user space, gVisor's runsc
//     docker      a container of a Docker daemon
#pragma once

#include "async/stop.hpp"
#include "base/errc.hpp"
#include "jail/spec.hpp"
#include "jail/uid_pool.hpp"
#include "process/child.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::jail {

enum class kind { none, bubblewrap, namespaces, nsjail, oci, docker };

// "none", "bubblewrap", "namespaces", "nsjail", "oci", "docker": the names in the configuration and in /version.
std::string_view name(kind which) noexcept;

// Whether it makes containers, whose programs have PID 1 and what goes with it from an image or an engine.
constexpr bool makes_containers(kind which) noexcept { return which == kind::oci || which == kind::docker; }

// Whether a process that was started outside can enter its jails completely (lib/toolchain).
constexpr bool lets_enter(kind which) noexcept { return which == kind::bubblewrap || which == kind::namespaces; }

// The uid and gid of every jailed program, as seen inside.
inline constexpr process::identity inside{65534, 65534};

class jail {
public:
    virtual ~jail() = default;

    virtual kind which() const noexcept = 0;

    // The walls and limits in force, for the log, /readyz and /version: "user namespace", "seccomp", ….
    virtual std::vector<std::string> walls() const = 0;

    // What this host does not allow and an operator should know, one sentence each; usually empty.
    virtual std::vector<std::string> warnings() const = 0;

    // Runs a program behind the wall to its end. The contract is that of `process::run`, with two differences: a jail
    // other than "none" reports a program that was ended by signal n as `exited{128 + n}`, and a jail that could not
    // be built as `unavailable`, with the builder's own message (runsc: not always). Additional errors: `unavailable`
    // when a mount's source is missing or the jail does not support what the spec asks for (warnings() say so
    // beforehand); `queue_full` when no uid is free. If jails have their own uids, writable mounts are given to the
    // jail's uid for good, and so is everything that the program leaves there.
    virtual boost::asio::awaitable<result<process::outcome>> run(spec what, process::child_limits limits,
                                                                 async::stop_source& stop,
                                                                 process::output_taker* taker = nullptr) = 0;

    // Whether `prepare` does anything now.
    virtual bool prepares() const noexcept { return false; }

    // Builds a jail ahead, for a spec whose argv has only the program, and calls `stands` when it is built: then the
    // sources of its mounts may be renamed and filled. The next `run` of a spec that differs only in argv and these
    // names uses it. A jail that is prepared and not run ends with the server.
    virtual void prepare(spec what, process::child_limits limits, std::function<void()> stands)
    {
        static_cast<void>(what);
        static_cast<void>(limits);
        static_cast<void>(stands);
    }

    // The owner of what a jail may read or write (the job directory) before a jail gets it: the server's user and the
    // group that all jails have outside. Empty: jails run as the server's user.
    virtual std::optional<process::identity> owner() const noexcept = 0;

    // The group of all jails' processes outside: only its members and the server can reach the directories that jails
    // mount. Empty: jails run as the server's user.
    std::optional<gid_t> group() const noexcept
    {
        const auto who = owner();
        return who ? std::optional{who->gid} : std::nullopt;
    }

    // Why a program cannot pass descriptors to the server, as sandboxd-init must with a deployment's connections.
    // Empty: it can.
    virtual std::string keeps_descriptors() const { return {}; }

    // The number of uids for jails. Empty: all jails run as the server's user and share what the kernel counts for
    // each user.
    virtual std::optional<uid_counts> uids() const noexcept { return std::nullopt; }
};

struct docker_settings {
    std::string socket_path{"/var/run/docker.sock"};
    std::string image;                          // empty: an image without files, which is made
    std::chrono::milliseconds timeout{30'000};  // for the answer to one request
};

struct jail_settings {
    std::string kind{"auto"};  // "auto": the first that works of namespaces, bubblewrap, nsjail; or a name
    // For messages: how the operator chose this kind ("jail", "nsjailEnabled", "--backend"), and how to choose
    // another one by the same means. Empty: `set "jail" to "NAME"`.
    std::string written_as{"jail"};
    std::function<std::string(std::string_view name)> how_to_choose{};
    std::string bubblewrap_path;  // empty: `bwrap` on the PATH
    std::string nsjail_path;      // empty: `nsjail` on the PATH
    docker_settings docker;
    std::string oci_runtime_path;  // empty: the first of `crun`, `runc`, `runsc` on the PATH
    // sandboxd-init, PID 1 of every container. Empty: there are no containers.
    std::string init_path;
    // The directory of containers' files while they run. Made if it is missing. Only one server may use it, because
    // everything in it at the start is considered an earlier server's and ended.
    std::string containers_directory;
    // Identifies this server to others, such as a Docker daemon that keeps its containers. The same after a restart,
    // and unique. Empty: the directory of its containers.
    std::string instance;
    // If the server is root, each running jail gets a uid from this range; nobody else may use them. The default is
    // free in Debian and systemd, below the 65536 ids that containers map: https://systemd.io/UIDS-GIDS/
    uid_range uids{61'000, 184};
    // Where each job gets its own cgroup. Null: only rlimits.
    std::shared_ptr<const process::cgroup_tree> cgroups;
    // The directory of job directories (must exist), in which the probe makes one. Empty: not probed.
    std::string jobs_directory;
};

// Finds the jail that `wanted` asks for, and proves that it works by running a program in it and checking its walls.
// "auto" tries namespaces, then bubblewrap, then nsjail, and never another.
//
// Errors: `unavailable`, with the reason why each candidate failed, and the cure.
boost::asio::awaitable<result<std::unique_ptr<jail>>> choose(jail_settings wanted);

}  // namespace sandboxd::jail
