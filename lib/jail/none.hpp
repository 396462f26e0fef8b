// No wall: the program runs as the server does, with rlimits, its environment and a process group
// of its own.
#pragma once

#include "jail/spec.hpp"
#include "process/command.hpp"

namespace sandboxd::jail {

// Without mounts there is no inside: argv, cwd and values of the environment that are a mount's
// target, or lie below it, are given as the path outside. Mounts are not made, hostname, network,
// tmp_bytes and processes not looked at (RLIMIT_NPROC would count the server's whole uid).
process::command none_command(const spec& what);

}  // namespace sandboxd::jail
