// `sandboxd-init --call -- PROGRAM ARGUMENTS…`: the first program in a jail in which started tools are to do the work
// (lib/toolchain/tool_protocol.hpp).
//
// Says to the server that the jail stands, and waits until the tools have entered it. Then it has emcc's Python run
// the program's words, with its own environment, directory and descriptors 0, 1 and 2, and ends as that ends. Where the
// tools are not there, or vanish before they have said how it ended, it becomes the program itself.
#pragma once

namespace sandboxd::init {

// `argv[1]` is "--call". Returns an exit status: 2 for bad arguments, 127 when the program cannot be started.
int call_main(int argc, char** argv);

}  // namespace sandboxd::init
