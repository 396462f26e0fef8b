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
#include <vector>

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

// A file that bubblewrap makes inside, on the file system in memory that is the jail's root.
struct file_inside {
    std::string path;
    std::string mode;  // octal
};

// The number under which the child finds the text of the first such file; the others follow it. Above those of the
// spec's descriptors, and low, since a server may have few.
inline constexpr int first_file_fd_inside = 20;

// Pure. The caller adds the seccomp program to `pass_fds` as `seccomp_fd_inside`, and the texts of `files`.
process::command bubblewrap_command(const spec& what, const bubblewrap_setup& setup,
                                    const std::vector<file_inside>& files = {});

}  // namespace sandboxd::jail
