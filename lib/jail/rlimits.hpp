// The limits that setrlimit(2) keeps for every jail alike.
#pragma once

#include "jail/spec.hpp"
#include "process/command.hpp"

#include <vector>

namespace sandboxd::jail {

// Core dumps are always off. The number of processes is left to each jail: what RLIMIT_NPROC counts
// depends on the user namespace.
std::vector<process::rlimit_setting> common_rlimits(const limits& wanted);

}  // namespace sandboxd::jail
