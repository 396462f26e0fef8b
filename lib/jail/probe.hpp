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
    process::identity who{inside};
    // Where the jail has a kernel of its own (gVisor): the host's /proc/version, which must not be seen. Such a
    // kernel tells less about itself.
    std::string not_this_kernel{};
};

// What the probe runs: it prints /proc/self/status, /proc/version and /proc/net/dev, as seen inside.
spec probe_spec(const std::string& jobs_directory);

// Pure. Which wall the printed text does not show; empty when all stand.
std::optional<std::string> missing_wall(std::string_view printed, const expectation& expected = {});

// Empty when the jail works; else why not.
boost::asio::awaitable<std::optional<std::string>> probe(jail& candidate, std::string jobs_directory,
                                                         expectation expected = {});

}  // namespace sandboxd::jail
