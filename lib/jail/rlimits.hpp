// The limits that setrlimit(2) enforces in every jail.
#pragma once

#include "jail/spec.hpp"
#include "process/command.hpp"

#include <vector>

namespace sandboxd::jail {

// Core dumps are always off. Each jail limits the number of processes itself, because what RLIMIT_NPROC counts
// depends on the user namespace.
std::vector<process::rlimit_setting> common_rlimits(const job_limits& wanted);

}  // namespace sandboxd::jail
