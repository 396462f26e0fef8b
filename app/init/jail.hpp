// The other half of sandboxd-init: PID 1 of a container, because the engines (OCI runtimes, Docker) have no suitable
// init.
//
// Starts the program, reaps orphans, and exits with the program's status (128 + n for signal n); the kernel then
// kills everything else in the namespace. It also exits at once when the server is gone: when the runtime that
// started it dies (PR_SET_PDEATHSIG), when nobody reads its output, and, with --stdin, when its standard input ends.
//
// The arguments are in lib/init/arguments.hpp. With --exec only the first of those holds: the program is PID 1
// itself. With --stdin, bytes after the program's mean the end; with --keep, all other descriptors above 2 are
// closed.
#pragma once

namespace sandboxd::init {

// `argv[1]` is "--jail". Returns an exit status: 2 for bad arguments, 127 when the program cannot be started.
int jail_main(int argc, char** argv);

}  // namespace sandboxd::init
