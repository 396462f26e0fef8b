// The one launcher behind every jail: prepares the sources, lets the jail's builder make the
// command, runs it.
#pragma once

#include "base/unique_fd.hpp"
#include "jail/jail.hpp"

#include <chrono>
#include <functional>

namespace sandboxd::jail {

// How one jail is used on this host; decided once, by choose().
struct launch_plan {
    kind which{kind::none};
    std::string executable;  // the jail's own; empty for none
    std::function<result<process::command>(const spec&)> build;
    // Who looks up the sources of mounts; empty: the server itself, which reaches them.
    std::optional<process::identity> mounted_by;
    std::optional<process::identity> owner;
    std::chrono::milliseconds term_grace{0};
    // The seccomp programs without and with network, for a jail that takes one as a descriptor.
    unique_fd seccomp;
    unique_fd seccomp_with_network;
    std::shared_ptr<const process::cgroup_tree> cgroups;  // null: none
    std::vector<std::string> walls;
    std::vector<std::string> warnings;
};

std::unique_ptr<jail> make_jail(launch_plan plan);

}  // namespace sandboxd::jail
