// Proves that a jail works, by running a small program in it and reading what that says about its
// walls.
#pragma once

#include "jail/jail.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::jail {

// What the view from inside must show.
struct expectation {
    uid_range uids{inside.uid, 1};  // one of these
    gid_t gid{inside.gid};
    // Where the jail has a kernel of its own (gVisor): the host's /proc/version, which must not be seen. Such a
    // kernel tells less about itself.
    std::string not_this_kernel{};
};

// What the probe runs: it prints /proc/self/status, /proc/version and /proc/net/dev, as seen inside, and with `init`
// (sandboxd-init, outside) what of the mounts can be changed from there (app/init/look.hpp), or without, what
// /proc/self/mountinfo says about them.
//
// `directory`: for the program to write to. Empty: none.
spec probe_spec(const std::string& directory, const std::string& init);

// Pure. Which wall the printed text does not show; empty when all stand.
std::optional<std::string> missing_wall(std::string_view printed, const expectation& expected = {});

// Empty when the jail works; else why not.
boost::asio::awaitable<std::optional<std::string>> probe(jail& candidate, std::string jobs_directory, std::string init,
                                                         expectation expected = {});

}  // namespace sandboxd::jail
