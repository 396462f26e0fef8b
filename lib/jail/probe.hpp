// Proves that a jail works, by running a small program in it and reading what that says about its
// walls.
#pragma once

#include "jail/jail.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::jail {

// What the probe runs: it prints /proc/self/status and /proc/net/dev, as seen inside.
spec probe_spec(const std::string& jobs_directory);

// Pure. Which wall the printed text does not show; empty when all stand.
std::optional<std::string> missing_wall(std::string_view printed);

// Empty when the jail works; else why not.
boost::asio::awaitable<std::optional<std::string>> probe(jail& candidate,
                                                         std::string jobs_directory);

}  // namespace sandboxd::jail
