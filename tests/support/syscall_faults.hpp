// Runs a piece of work in a child of its own and counts the system calls by which it makes, changes and opens files;
// at the n-th of them the child is killed, or the call fails as on a full disk or without descriptors.
//
// The kernel tells of each call before it is carried out (seccomp(2), SECCOMP_RET_USER_NOTIF), so nothing of the code
// under test is replaced, and no run depends on time.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::test {

struct syscall_fault {
    enum class kind { none, kill, no_space, over_quota, no_descriptor, broken };
    kind what{kind::none};
    std::size_t at{0};  // the first call is 1
    bool lasts{false};  // every later call for which it makes sense fails, too
};

std::string describe(const syscall_fault& fault);

struct syscall_run {
    std::size_t calls{0};  // those that count
    bool hit{false};       // the fault has struck
    bool killed{false};
    int code{-1};  // what `work` returned; -1 when it did not; 99 when it threw
};

// False, with the reason, where the kernel or a filter around this process does not allow it.
bool can_make_faults(std::string& why);

// `work` runs in a forked child, and must not write to what it shares with this process.
syscall_run run_with_fault(const syscall_fault& fault, const std::function<int()>& work);

// Runs `attempt` with every fault at every call: `attempt` prepares, calls run_with_fault, and judges. It returns
// whether the fault has struck; that it did not means that there is no such call any more. Returns the number of runs.
std::size_t for_every_fault(const std::function<bool(const syscall_fault&)>& attempt);

}  // namespace sandboxd::test
