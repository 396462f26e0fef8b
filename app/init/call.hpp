// `sandboxd-init --call`: the first program in a jail in which started tools are to do the work
// (lib/toolchain/tool_protocol.hpp).
//
// Says to the server that the jail stands, and waits until there is a job and the tools have entered. Then it has
// emcc's Python run the job's words, with its own environment, directory and descriptors 0, 1 and 2, and ends as that
// ends. Where the tools are not there, or vanish before they have said how it ended, it becomes the program itself.
#pragma once

namespace sandboxd::init {

// Behind "--call" there is nothing. Returns an exit status: 2 for arguments, 127 when no job came or the program cannot
// be started.
int call_main(int argc);

}  // namespace sandboxd::init
