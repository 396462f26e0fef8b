// The command lines of sandboxd-init, which the server writes and app/init/ reads:
//
//     sandboxd-init [--socket-path PATH] [--accept PORT] [--open-files NUMBER] -- PROGRAM ARGUMENTS…
//         PID 1 of a deployment's jail, with the control socket (init/control.hpp)
//     sandboxd-init --hold -- PROGRAM ARGUMENTS…
//         becomes the program when it is told to (init/hold.hpp)
//     sandboxd-init --jail [--exec] [--merge] [--stdin BYTES] [--descriptors SOCKET] [--word WORD] [--filter DIGITS]
//                   [--keep NUMBER]… [--rlimit RESOURCE:VALUE]… [--unset NAME]… -- PROGRAM ARGUMENTS…
//         PID 1 of a container of any kind
//     sandboxd-init --build --args DESCRIPTOR -- PROGRAM ARGUMENTS…
//         builds a jail of namespaces and begins the program in it (init/build.hpp)
//     sandboxd-init --call
//         is told what to run, and has tools that were let into the jail do it (toolchain/tool_protocol.hpp)
//     sandboxd-init --look
//         prints what the walls of its jail let through (app/init/look.hpp)
//
// Each prints errors to standard error. It exits with 2 for bad arguments, 127 when the program cannot be started,
// otherwise with the program's status, 128 + n for signal n.
#pragma once

#include <string_view>

namespace sandboxd::init {

// Where a jail has it.
inline constexpr std::string_view program_inside = "/sandboxd-init";

}  // namespace sandboxd::init

namespace sandboxd::init::argument {

// The modes; without one of these: PID 1 of a deployment's jail.
inline constexpr const char* hold = "--hold";
inline constexpr const char* jail = "--jail";
inline constexpr const char* look = "--look";
inline constexpr const char* call = "--call";
inline constexpr const char* build = "--build";

// Of the builder of a jail.
inline constexpr const char* build_options = "--args";  // the file of its options
// The builder's descriptor of its own program, which is a file in memory: everybody can reach it, and nobody change it.
inline constexpr int program_fd_inside = 6;

// Of a deployment's jail.
inline constexpr const char* socket_path =
    "--socket-path";  // the Unix socket on which the program may listen instead of its port
inline constexpr const char* accept = "--accept";          // listen on that loopback port and pass its connections out
inline constexpr const char* open_files = "--open-files";  // the program's limit; that of init itself is higher

// Of a container.
inline constexpr const char* exec = "--exec";  // become the program, which is PID 1 itself
inline constexpr const char* merge =
    "--merge";  // 2>&1, for an engine that copies both streams and would lose their order
inline constexpr const char* stdin_bytes = "--stdin";  // how many bytes of standard input belong to the program
// A listening Unix socket of the server, which passes descriptors for the program (init/descriptors.hpp).
inline constexpr const char* descriptors = "--descriptors";
// By which the server knows that it is the init that could not start the program: it is in front of the message, and
// the program never sees it. Not for a program whose arguments are too long, which is the client's fault.
inline constexpr const char* word = "--word";
inline constexpr const char* filter = "--filter";  // a seccomp program (array of sock_filter), hexadecimal
inline constexpr const char* keep = "--keep";      // an inherited descriptor for the program
inline constexpr const char* rlimit =
    "--rlimit";  // RESOURCE:VALUE, with the kernel's number of the resource (setrlimit(2))
inline constexpr const char* unset = "--unset";  // a variable that the engine added to the environment

}  // namespace sandboxd::init::argument
