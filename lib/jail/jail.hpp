// One wall and how to put a program behind it. A jail is chosen once, at start, by a probe that
// really runs a program in it.
//
//     none        no wall: rlimits and a process group only; for hosts that are themselves disposable
//     bubblewrap  namespaces, seccomp filter, no capabilities, unprivileged uid
//     nsjail      the same wall, built by nsjail
//     oci         the same wall, built by crun or runc; or a kernel in user space, gVisor's runsc
//     docker      a container of a Docker daemon's
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

enum class kind { none, bubblewrap, nsjail, oci, docker };

// "none", "bubblewrap", "nsjail", "oci", "docker": the names in the configuration and in /version.
std::string_view name(kind which) noexcept;

// The uid and gid of every jailed program, as it sees itself.
inline constexpr process::identity inside{65534, 65534};

class jail {
public:
    virtual ~jail() = default;

    virtual kind which() const noexcept = 0;

    // Which walls and limits are in force, for the log, /readyz and /version: "user namespace",
    // "seccomp", ….
    virtual std::vector<std::string> walls() const = 0;

    // What this host does not allow and an operator should know, one sentence each; mostly empty.
    virtual std::vector<std::string> warnings() const = 0;

    // Runs a program behind the wall to its end; the contract is that of `process::run`, with one
    // difference: a walled jail reports a program that was ended by signal n as `exited{128 + n}`,
    // and a jail that could not be built as a failed exit with the jail's own message in the
    // output. Error beside those of `process::run`: `unavailable` when a mount's source is missing, or the jail
    // cannot do what the spec asks for (warnings() tell beforehand what that is); `queue_full` when no uid is free.
    // Where jails have uids of their own, directories that are mounted writable are given to the jail's for good: what
    // the program leaves there is its uid's.
    virtual boost::asio::awaitable<result<process::outcome>> run(spec what, process::run_limits limits,
                                                                 async::stop_source& stop,
                                                                 process::output_taker* taker = nullptr) = 0;

    // Who owns what a jail may write (the job directory) until it is given to one, and reads its sources: the server's
    // user and the group that all jails have outside. Empty: they run as the server's user.
    virtual std::optional<process::identity> owner() const noexcept = 0;

    // The group of all jails' processes outside: who has it gets through to the directories that they mount, and nobody
    // else but the server does. Empty: they have the server's own user.
    std::optional<gid_t> group() const noexcept
    {
        const auto who = owner();
        return who ? std::optional{who->gid} : std::nullopt;
    }

    // Why a program cannot pass descriptors to the server, as sandboxd-init does with a deployment's connections.
    // Empty: it can.
    virtual std::string keeps_descriptors() const { return {}; }

    // How many uids there are for jails that live. Empty where they have none of their own: then all of them run as
    // the server's user, and share what the kernel counts for each user.
    virtual std::optional<uid_counts> uids() const noexcept { return std::nullopt; }
};

struct docker_settings {
    std::string socket_path{"/var/run/docker.sock"};
    std::string image;                          // empty: one with nothing in it, which is made
    std::chrono::milliseconds timeout{30'000};  // for the answer to one request
};

struct settings {
    std::string kind{"auto"};  // "auto": the strongest that works; or a jail's name
    // For messages: how the operator chose this kind ("jail", "nsjailEnabled", "--backend"), and how to choose another
    // in the same words. Empty: `set "jail" to "NAME"`.
    std::string written_as{"jail"};
    std::function<std::string(std::string_view name)> how_to_choose{};
    std::string bubblewrap_path;  // empty: `bwrap` on the PATH
    std::string nsjail_path;      // empty: `nsjail` on the PATH
    docker_settings docker;
    std::string oci_runtime_path;  // empty: the first of `crun`, `runc`, `runsc` on the PATH
    // sandboxd-init, PID 1 of every container. Empty: there are no containers.
    std::string init_path;
    // Where a container's own files are kept while it runs. Made when it is missing; one server's alone, since
    // what is found there at the start is taken for an earlier one's and ended.
    std::string containers_directory;
    // Names this server in what others keep for it: a Docker daemon its containers. The same after a restart, and no
    // other server's. Empty: the directory of its containers.
    std::string instance;
    // A server that runs as root gives each jail that lives a uid and gid of its own out of these; they must be nobody
    // else's. The default is what Debian and systemd leave free below the 65536 ids that containers map:
    // https://systemd.io/UIDS-GIDS/
    uid_range uids{61'000, 184};
    // Where each job gets a cgroup of its own. Null: rlimits alone.
    std::shared_ptr<const process::cgroup_tree> cgroups;
    // Where job directories are made (must exist); the probe makes one of its own. Empty: not probed.
    std::string jobs_directory;
};

// Finds the jail that `wanted` asks for and proves that it works by running a program in it and
// looking at its walls. "auto" takes bubblewrap, else nsjail, never none.
//
// Errors: `unavailable`, with why each candidate failed, and the cure.
boost::asio::awaitable<result<std::unique_ptr<jail>>> choose(settings wanted);

}  // namespace sandboxd::jail
