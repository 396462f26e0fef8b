// The command line that puts a program behind bubblewrap.
//
// bubblewrap adds one variable to the environment, PWD, with the working directory as seen inside.
#pragma once

#include "base/errc.hpp"
#include "base/unique_fd.hpp"
#include "jail/spec.hpp"
#include "process/command.hpp"

#include <optional>
#include <string>

namespace sandboxd::jail {

struct bubblewrap_setup {
    std::string executable;
    // Outside: the uid and gid of bubblewrap and of all that runs in it. Empty: the server's own.
    std::optional<process::identity> run_as;
    // Whether RLIMIT_NPROC can be counted for each job; see process::command::own_user_namespace.
    bool own_user_namespace{false};
};

// The number under which the child finds the seccomp program.
inline constexpr int seccomp_fd_inside = 3;

// The number under which the child finds its options; see hide_options.
inline constexpr int options_fd_inside = 4;

// Moves the options out of the command line into a file in memory (`--args`), which the caller keeps open
// until the child has it: bubblewrap is PID 1 inside, where everybody can read its command line, and the
// options name paths of the host.
// Error: `internal` when the file cannot be made.
result<unique_fd> hide_options(process::command& command);

// Pure. The caller adds the seccomp program to `pass_fds` as `seccomp_fd_inside`.
process::command bubblewrap_command(const spec& what, const bubblewrap_setup& setup);

}  // namespace sandboxd::jail
