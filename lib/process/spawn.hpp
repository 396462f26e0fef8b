// Starts a child, from vfork to exec; `run` in child.hpp does the rest. Internal to this room.
#pragma once

#include "base/errc.hpp"
#include "base/unique_fd.hpp"
#include "process/command.hpp"

#include <sys/types.h>

namespace sandboxd::process {

struct started {
    pid_t pid;
    unique_fd pidfd;
};

// Starts `what` with these descriptors as 0, 1 and 2. The child leads its own session and process group, so the group
// exists as soon as this returns.
//
// Errors: `unavailable` when the executable cannot be run or the child cannot be prepared (the
// message names the executable, the step and the reason); `internal` when the fork fails. Nothing
// is left then.
result<started> start(const command& what, int in, int out, int err);

}  // namespace sandboxd::process
