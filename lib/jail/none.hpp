// No wall: the program runs as the server's user, with rlimits, its own environment and its own process group.
#pragma once

#include "jail/spec.hpp"
#include "process/command.hpp"

namespace sandboxd::jail {

// There are no mounts: in argv, cwd and the environment's values, a path at or below a mount's target is replaced by
// the path outside. Hostname, network, tmp_bytes and processes are ignored (RLIMIT_NPROC would count all processes of
// the server's uid).
process::command none_command(const spec& what);

}  // namespace sandboxd::jail
