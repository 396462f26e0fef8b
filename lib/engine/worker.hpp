// The worker process: one interpreter, one request at a time, behind its own walls.
#pragma once

#include <string_view>

namespace sandboxd::engine {

// Confines this process for good: from here on it can only read and write open descriptors, map non-executable
// memory, set its timer, and exit. Any other system call kills it (seccomp, SECCOMP_RET_KILL_PROCESS). Throws when
// the kernel refuses.
void confine_this_process();

// Writes all of it, with write(2) alone: not stdio, because a confined process may read and write, but not ask what a
// descriptor is. False when not all of it could be written.
bool write_all(int to, std::string_view bytes);

// Serves frames on the socket (script/frame_socket.hpp) until the other side closes it. Boots the interpreter and
// confines the process first, then says that it is ready with an empty frame. Returns the exit
// status.
int serve(int socket);

}  // namespace sandboxd::engine
