// The launcher of every jail that is a command line: lets the jail build the command, and runs it.
#pragma once

#include "base/unique_fd.hpp"
#include "jail/jail.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::jail {

// One job, ready to be started.
struct launch {
    process::command command;     // without the spec's own `pass_fds`
    std::vector<unique_fd> open;  // what `command.pass_fds` names; kept until the job has ended
    // Awaited at the end, however the job ended; may be empty.
    std::function<boost::asio::awaitable<void>()> clean_up;
    // Why the program was not begun, as the builder itself reports it, given the code of an exit other than 0. Nullopt:
    // it was begun. An empty text: the output says why. Such a code is not the program's exit: a full table of the
    // kernel is not the client's fault.
    std::function<std::optional<std::string>(int code)> why_not_begun{};
    // When the program was begun, as the builder reports it once it has ended. Empty: it does not.
    std::function<std::optional<std::chrono::steady_clock::time_point>()> begun{};
    std::vector<std::string> speaks_as{};  // how the builder's own messages begin, in the output
    std::string word{};                    // of sandboxd-init, by which it is known (first_words.hpp); empty: no init
};

// How one jail is used on this host; decided once, by choose().
struct launch_plan {
    kind which{kind::none};
    // Looks up the sources of mounts (prepare_sources) and makes the command. `who`: the uid and gid outside, if
    // there are `uids`.
    std::function<result<launch>(spec what, const std::optional<process::identity>& who)> build;
    std::shared_ptr<uid_pool> uids;  // null: jails run as the server's user
    std::chrono::milliseconds term_grace{0};
    std::shared_ptr<const process::cgroup_tree> cgroups;  // null: none
    bool own_cgroups{false};                              // the jail makes its own, which would conflict with ours
    bool own_kernel{false};                               // the memory of its programs is not that of host processes
    // Processes and threads of the jail itself that are also in the job's cgroup.
    std::uint32_t own_processes{0};
    // Why a program cannot get descriptors; empty if it can.
    std::string no_descriptors;
    // The value of jail::keeps_descriptors().
    std::string keeps_descriptors;
    std::vector<std::string> walls;
    std::vector<std::string> warnings;
};

std::unique_ptr<jail> make_jail(launch_plan plan);

// The value of jail::owner() if jails get their uids from `pool`, which may be null.
std::optional<process::identity> owner_beside(const uid_pool* pool);

// Makes `who` the owner of the directories that the spec mounts writable, but not of their contents. Error:
// `unavailable`.
result<void> give_mounts(const spec& what, const process::identity& who);

}  // namespace sandboxd::jail
