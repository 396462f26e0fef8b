// Builds a jail of Linux namespaces, and begins a program in it (lib/init/build.hpp).
#pragma once

namespace sandboxd::init {

// Returns the program's exit code, 128 + n for signal n; what failed before is told on standard error.
int build_main(int argc, char** argv);

}  // namespace sandboxd::init
