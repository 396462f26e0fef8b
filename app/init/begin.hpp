// How sandboxd-init begins a program.
#pragma once

#include <unistd.h>

namespace sandboxd::init {

// Begins a program in a child, which `become` turns into it or ends. The child has this process's memory until then,
// and this process stands still (vfork(2)): a fork would copy the page tables, which costs more processor time than all
// namespaces of a jail. Returns the child's pid, or -1 with errno.
//
// Keep this function small: no value may live across vfork in a register that the child could overwrite.
template <class Become>
[[gnu::noinline]] pid_t begin_program(const Become& become)
{
    const pid_t program = ::vfork();  // NOLINT(bugprone-unsafe-functions): see above
    if (program == 0) {
        become();  // NOLINT(clang-analyzer-unix.Vfork): it ends with exec or _exit
        ::_exit(127);
    }
    return program;
}

}  // namespace sandboxd::init
