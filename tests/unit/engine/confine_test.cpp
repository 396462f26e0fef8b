// The worker's own filter is an allowlist: every system call there is, tried from a confined process.
#include "engine/worker.hpp"

#include <catch2/catch_test_macros.hpp>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

namespace {

constexpr long last_known_number = 500;  // beyond those of today's kernels
constexpr int came_back = 42;

// How a confined process ends that does this: "killed by the filter", "came back", or something else.
std::string confined(const std::function<void()>& what)
{
    const pid_t pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        sandboxd::engine::confine_this_process();
        what();
        ::syscall(SYS_exit_group, came_back);
    }
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGSYS ? "killed by the filter" : "signal " + std::to_string(WTERMSIG(status));
    return WEXITSTATUS(status) == came_back ? "came back" : "exit " + std::to_string(WEXITSTATUS(status));
}

// Arguments that no call does anything with, where it comes to that.
std::string tried(long number)
{
    return confined([number] { ::syscall(number, -1L, 0L, 0L, 0L, -1L, 0L); });
}

volatile sig_atomic_t alarms = 0;

// Comes back by rt_sigreturn.
std::string returned_from_a_signal()
{
    const auto before = ::signal(SIGALRM, [](int) { alarms = 1; });
    auto end = confined([] {
        const itimerval soon{{0, 0}, {0, 1'000}};
        ::setitimer(ITIMER_REAL, &soon, nullptr);
        while (alarms == 0) {
        }
    });
    ::signal(SIGALRM, before);
    return end;
}

}  // namespace

TEST_CASE("a confined process dies of every system call that an interpreter does not need", "[js]")
{
    const std::vector<long> allowed{
        SYS_read,      SYS_write,         SYS_exit,      SYS_exit_group,      SYS_futex,   SYS_rt_sigprocmask,
        SYS_setitimer, SYS_clock_gettime, SYS_getrandom, SYS_restart_syscall, SYS_madvise, SYS_munmap,
        SYS_mremap,    SYS_brk,           SYS_mprotect,  SYS_rt_sigreturn};
    // uretprobe and uprobe: x86 kernels since 6.11 and 6.18 keep them from every filter, and refuse them
    // everywhere but in the trampolines of their own probes.
    constexpr long uretprobe = 335;
    constexpr long uprobe = 336;
    for (long number = 0; number <= last_known_number; ++number) {
        if (std::ranges::find(allowed, number) != allowed.end()) continue;
        if (number == uretprobe || number == uprobe) continue;
        CAPTURE(number);
        CHECK(tried(number) == "killed by the filter");
    }
    for (const long number : allowed) {
        CAPTURE(number);
        // Without a signal's frame on the stack it goes on anywhere, and what is done there may be forbidden.
        CHECK((number == SYS_rt_sigreturn ? returned_from_a_signal() : tried(number)) != "killed by the filter");
    }
    CHECK(returned_from_a_signal() == "came back");
#ifdef __x86_64__
    // The second set of numbers that the same ABI has (x32): read, write, execve.
    for (const long number : {0L, 1L, 520L}) CHECK(tried(0x4000'0000 | number) == "killed by the filter");
#endif
}

TEST_CASE("a confined process gets memory, but no code and no files in it", "[js]")
{
    const auto map = [](int protection, int flags, int fd) {
        return confined([=] {
            if (::mmap(nullptr, 4'096, protection, flags, fd, 0) == MAP_FAILED) ::syscall(SYS_exit_group, 1);
        });
    };
    constexpr int anonymous = MAP_PRIVATE | MAP_ANONYMOUS;
    CHECK(map(PROT_READ | PROT_WRITE, anonymous, -1) == "came back");
    CHECK(map(PROT_READ | PROT_EXEC, anonymous, -1) == "killed by the filter");
    CHECK(map(PROT_READ, MAP_PRIVATE, STDIN_FILENO) == "killed by the filter");
    const auto protect = [](int protection) {
        void* const page = ::mmap(nullptr, 4'096, PROT_READ | PROT_WRITE, anonymous, -1, 0);
        const auto end = confined([=] {
            if (::mprotect(page, 4'096, protection) != 0) ::syscall(SYS_exit_group, 1);
        });
        ::munmap(page, 4'096);
        return end;
    };
    CHECK(protect(PROT_READ) == "came back");
    CHECK(protect(PROT_READ | PROT_EXEC) == "killed by the filter");
}
