// The command line that puts a program behind bubblewrap, or behind sandboxd-init's own builder, which takes the same
// options (init/build.hpp) and costs less: it is one static program, makes one user namespace instead of two, and
// starts fewer processes.
//
// bubblewrap adds the variable PWD to the environment, with the working directory as seen inside.
#pragma once

#include "base/errc.hpp"
#include "base/unique_fd.hpp"
#include "jail/spec.hpp"
#include "process/command.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::jail {

struct bubblewrap_setup {
    std::string executable;  // bubblewrap
    // Outside: the uid and gid of bubblewrap and of all that runs in it. Empty: the server's own.
    std::optional<process::identity> run_as;
    // Whether RLIMIT_NPROC can count the processes of each job; see process::command::own_user_namespace.
    bool own_user_namespace{false};
    std::string devices{"/dev"};  // the directory of the nodes of devices
    // sandboxd-init, as a file in memory: it builds the jail. Null: `executable` does.
    std::shared_ptr<const unique_fd> own_builder{};
};

// The child's descriptor of the seccomp program.
inline constexpr int seccomp_fd_inside = 3;

// The child's descriptor of its options; see hide_options.
inline constexpr int options_fd_inside = 4;

// The child's descriptor to which bubblewrap writes how far it came (`--json-status-fd`); it closes it before it begins
// the program.
inline constexpr int status_fd_inside = 5;

// Whether the program was begun, by what bubblewrap wrote there until its end: it tells the exit code of a program that
// it has executed, and of no other. Pure.
bool tells_of_program(std::string_view status);

// The same, by what the own builder wrote, and when; nullopt: it was not begun. Pure.
std::optional<std::chrono::steady_clock::time_point> begun_at(std::string_view status);

// Moves the options from the command line into a file in memory (`--args`), which the caller keeps open until the
// child has it. The builder is PID 1 inside, so everybody there can read its command line, and the options contain
// paths of the host. Error: `internal` when the file cannot be made.
result<unique_fd> hide_options(process::command& command);

// A file that bubblewrap makes in the jail's root, a file system in memory.
struct file_inside {
    std::string path;
    std::string mode;  // octal
};

// The child's descriptor of the first file's text; the others follow it. It is above the spec's descriptors, but low,
// because a server may have few.
inline constexpr int first_file_fd_inside = 20;

// Pure. The caller adds the seccomp program to `pass_fds` as `seccomp_fd_inside`, a pipe as `status_fd_inside`, and the
// texts of `files`.
process::command bubblewrap_command(const spec& what, const bubblewrap_setup& setup,
                                    const std::vector<file_inside>& files = {});

}  // namespace sandboxd::jail
