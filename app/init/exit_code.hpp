// How a process of sandboxd-init passes on the end of another.
#pragma once

#include <sys/wait.h>

namespace sandboxd::init {

// `status`: of wait(2). The exit code, 128 + n for signal n.
inline int exit_code_of(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

}  // namespace sandboxd::init
