// What /proc says about processes.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace sandboxd {

// The children that a thread has made, or was given as a subreaper; `thread` is its directory, as /proc/PID/task/TID.
// Empty when it is gone. The kernel may omit some while others are being reaped. Blocks.
// https://docs.kernel.org/filesystems/proc.html#proc-pid-task-tid-children-information-about-task-children
std::vector<pid_t> children_of_thread(const std::string& thread);

}  // namespace sandboxd
