// The other half of sandboxd-init: PID 1 of a container, where an engine (OCI runtime, Docker) brings no init of
// its own that would do.
//
// Starts the program, reaps whatever is adopted, and ends with the program's status (128 + n for signal n); the
// kernel ends all else in the namespace then. It ends at once, and everything with it, when the server is gone:
// when the runtime that started it dies (PR_SET_PDEATHSIG), when nobody reads its output any more, and, with
// --stdin, when its standard input ends.
//
// The arguments are in lib/init/arguments.hpp. With --exec only the first of those holds: the program is PID 1 itself.
// With --stdin, what comes behind the program's bytes is the end; with --keep, all other numbers above 2 are closed.
#pragma once

namespace sandboxd::init {

// `argv[1]` is "--jail". Returns an exit status: 2 for bad arguments, 127 when the program cannot be started.
int jail_main(int argc, char** argv);

}  // namespace sandboxd::init
