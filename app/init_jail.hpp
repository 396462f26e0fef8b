// The other half of sandboxd-init: PID 1 of a container, where an engine (OCI runtime, Docker) brings no init of
// its own that would do.
//
//     sandboxd-init --jail [--exec] [--merge] [--stdin BYTES] [--descriptors SOCKET] [--filter DIGITS]
//                   [--keep NUMBER]… [--rlimit RESOURCE:VALUE]… [--unset NAME]… -- PROGRAM ARGUMENTS…
//
// Starts the program, reaps whatever is adopted, and ends with the program's status (128 + n for signal n); the
// kernel ends all else in the namespace then. It ends at once, and everything with it, when the server is gone:
// when the runtime that started it dies (PR_SET_PDEATHSIG), when nobody reads its output any more, and, with
// --stdin, when its standard input ends.
//
//     --exec         become the program, which is PID 1 itself; then only the first of those holds
//     --merge        2>&1, for an engine that copies the two and would lose their order
//     --stdin        the next BYTES of standard input are the program's, what comes behind them is the end
//     --descriptors  receive descriptors for the program from the server, which listens on SOCKET
//     --filter       a seccomp program for the program (array of sock_filter) in hexadecimal digits
//     --keep         a descriptor that was inherited and is the program's; all other numbers above 2 are closed
//     --rlimit       a limit of the program's, by the kernel's number: the runtime itself needs more
//     --unset        a variable that the engine added to the environment
#pragma once

namespace sandboxd::init {

// `argv[1]` is "--jail". Returns an exit status: 2 for bad arguments, 127 when the program cannot be started.
int jail_main(int argc, char** argv);

}  // namespace sandboxd::init
