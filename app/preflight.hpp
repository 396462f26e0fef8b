// The checks of --check-config: everything that could keep a server with these settings from starting or working, as
// far as that shows without starting one.
#pragma once

#include "config/config.hpp"

#include <string>
#include <vector>

namespace sandboxd::app {

// One sentence for each problem, beginning with the key; empty when there is none. Changes nothing on this host: it
// leaves no directory, ends no process and does not listen (it only binds the address). It tests the jail by running
// a program in it.
std::vector<std::string> check_start(const config::settings& settings);

// The arguments of `defaultArgs` that no compile gets, in the same form; also for the log at the start.
std::vector<std::string> lost_default_args(const config::settings& settings);

}  // namespace sandboxd::app
