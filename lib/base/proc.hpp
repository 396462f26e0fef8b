// What /proc says about processes.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd {

// The children that a thread has made, or was given as a subreaper; `thread` is its directory, as /proc/PID/task/TID.
// Empty when it is gone. The kernel may omit some while others are being reaped. Blocks.
// https://docs.kernel.org/filesystems/proc.html#proc-pid-task-tid-children-information-about-task-children
std::vector<pid_t> children_of_thread(const std::string& thread);

// The number behind the first `key` of a text of /proc, over blanks: 0 without it. "\nRssAnon:" is the key of a line of
// /proc/PID/status, which is in KiB there. Pure.
std::uint64_t number_behind(std::string_view text, std::string_view key);

}  // namespace sandboxd
