// What --check-config looks at: all that could keep a server with these settings from starting, or from doing what they
// say, as far as that shows without starting one.
#pragma once

#include "config/config.hpp"

#include <string>
#include <vector>

namespace sandboxd::app {

// One sentence for each problem, beginning with the key; empty when there is none. Changes nothing on this host: makes
// no directory that stays, ends no process, listens on nothing (that an address can be bound is tried). The jail is
// tried for real, by running a program in it.
std::vector<std::string> check_start(const config::settings& settings);

// What `defaultArgs` holds that no compile will get, in the same form; for the log at the start, too.
std::vector<std::string> lost_default_args(const config::settings& settings);

}  // namespace sandboxd::app
