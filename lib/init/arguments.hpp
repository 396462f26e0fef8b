// The command lines of sandboxd-init, as the server writes them and app/init/ reads them:
//
//     sandboxd-init [--socket-path PATH] [--gate PORT] [--open-files NUMBER] -- PROGRAM ARGUMENTS…
//         PID 1 of a deployment's jail, with the control socket (init/control.hpp)
//     sandboxd-init --hold -- PROGRAM ARGUMENTS…
//         becomes the program when it is told to (init/hold.hpp)
//     sandboxd-init --jail [--exec] [--merge] [--stdin BYTES] [--descriptors SOCKET] [--filter DIGITS]
//                   [--keep NUMBER]… [--rlimit RESOURCE:VALUE]… [--unset NAME]… -- PROGRAM ARGUMENTS…
//         PID 1 of a container of any kind
//     sandboxd-init --look
//         prints what the walls of its jail let through (app/init/look.hpp)
//
// Each prints what is wrong to standard error and ends with 2 when it does not understand its arguments, and with 127
// when the program cannot be started; else with the program's status, 128 + n for signal n.
#pragma once

namespace sandboxd::init::argument {

// What it is to be; without one of these: PID 1 of a deployment's jail.
inline constexpr const char* hold = "--hold";
inline constexpr const char* jail = "--jail";
inline constexpr const char* look = "--look";

// Of a deployment's jail.
inline constexpr const char* socket_path = "--socket-path";  // where the program may listen instead of on its port
inline constexpr const char* gate = "--gate";  // listen on that port of the loopback, hand out what connects there
inline constexpr const char* open_files = "--open-files";  // what the program may open; the process itself may more

// Of a container.
inline constexpr const char* exec = "--exec";    // become the program, which is PID 1 itself
inline constexpr const char* merge = "--merge";  // 2>&1, for an engine that copies the two and would lose their order
inline constexpr const char* stdin_bytes = "--stdin";  // so many bytes of standard input are the program's
// A listening Unix socket of the server's, which hands over descriptors for the program (init/descriptors.hpp).
inline constexpr const char* descriptors = "--descriptors";
inline constexpr const char* filter = "--filter";  // a seccomp program (array of sock_filter), hexadecimal
inline constexpr const char* keep = "--keep";      // an inherited descriptor that is the program's
inline constexpr const char* rlimit = "--rlimit";  // RESOURCE:VALUE, by the kernel's number of it (setrlimit(2))
inline constexpr const char* unset = "--unset";    // a variable that the engine added to the environment

}  // namespace sandboxd::init::argument
