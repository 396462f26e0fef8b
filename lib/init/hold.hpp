// The protocol between the server (programs/hold_pipe) and what waits in a warm jail, over a pipe: the
// `sandboxd-init --hold` that will become the program (app/init/main.cpp), or the program's own runtime, which has
// booted (lib/programs/wait_node.cjs, wait_bun.js).
#pragma once

#include <cstddef>
#include <string_view>

namespace sandboxd::init::hold {

// The descriptors inside of the pipe, and of the file that may become the program's standard input.
inline constexpr int begin_fd_inside = 8;
inline constexpr int stdin_fd_inside = 9;

// The byte starts the program, with the existing standard input or with the file. If the pipe ends without a byte,
// the program never starts.
inline constexpr char begin = 'b';
inline constexpr char begin_with_file = 'f';

// Only for a runtime, the one of a deployment, whose jail has no such file: the same as `begin`.
inline constexpr char begin_without_file = 'n';

// As the first two, with the value of the variable TRACEPARENT behind it, which always has this length. For a program
// that has no such variable yet.
inline constexpr char begin_traced = 'B';
inline constexpr char begin_traced_with_file = 'F';
inline constexpr std::size_t trace_bytes = 55;
inline constexpr const char* trace_variable = "TRACEPARENT";

// Only for a runtime, and already in the pipe when it starts: it reads this byte when it has booted. That it is gone
// tells the server so; no descriptor leads out of the jail.
inline constexpr char booted = 'w';

// Where such a runtime boots: nothing there is a client's. Node.js looks below its working directory for a
// package.json that says where the modules of --require are, also those that are named by an absolute path. With the
// word it goes where its program is to run, in a sandbox or in a deployment.
inline constexpr std::string_view boot_directory = "/";
inline constexpr std::string_view sandbox_directory = "/tmp";
inline constexpr std::string_view deployment_directory = "/srv/app";

}  // namespace sandboxd::init::hold
