#include "process/tree.hpp"

#include "base/proc.hpp"
#include "base/unique_fd.hpp"
#include "process/child.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

namespace asio = boost::asio;

namespace sandboxd::process {
namespace {

// Children belong to the process, so there is one list for the process.
std::vector<pid_t>& live_pids()
{
    static std::vector<pid_t> pids;
    return pids;
}

bool is_live(pid_t pid) { return std::ranges::find(live_pids(), pid) != live_pids().end(); }

struct burial {
    bool reaped{false};        // something was reaped: its children may be ours now
    std::vector<pid_t> dying;  // killed, and not dead yet
};

// Reaps the dead among the orphans and kills the others.
burial kill_round()
{
    burial seen;
    const auto reap = [&seen](pid_t pid) {
        const bool dead = ::waitpid(pid, nullptr, WNOHANG) != 0;
        seen.reaped = seen.reaped || dead;
        return dead;
    };
    // This thread is the only one. The kernel may omit some only while others are being reaped, and only we reap.
    for (const pid_t pid : children_of_thread("/proc/thread-self")) {
        if (is_live(pid) || reap(pid) || is_live(::getpgid(pid))) continue;
        ::kill(pid, SIGKILL);
        if (!reap(pid)) seen.dying.push_back(pid);
    }
    return seen;
}

}  // namespace

live_child::live_child(pid_t pid) : pid_{pid} { live_pids().push_back(pid); }

live_child::~live_child()
{
    if (forgotten_) return;
    signal(SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    reaped();
}

void live_child::signal(int number) const noexcept
{
    if (!forgotten_) ::kill(-pid_, number);
}

void live_child::reaped() noexcept
{
    // The kernel does not reuse the number of a group while it has members.
    signal(SIGKILL);
    forgotten_ = true;
    std::erase(live_pids(), pid_);
}

asio::awaitable<void> bury_orphans(std::chrono::milliseconds bound)
{
    const auto executor = co_await asio::this_coro::executor;
    const auto end = std::chrono::steady_clock::now() + bound;
    for (;;) {
        // Each death may hand us the dead one's children, so look again after each.
        const auto [reaped, dying] = kill_round();
        if (std::chrono::steady_clock::now() >= end) co_return;
        if (dying.empty()) {
            if (reaped) continue;
            co_return;
        }
        // Await it instead of blocking: freeing the memory of a large process takes a while.
        unique_fd pidfd{static_cast<int>(::syscall(SYS_pidfd_open, dying.front(), 0U))};
        asio::steady_timer timer{executor};
        if (!pidfd) {
            timer.expires_after(std::chrono::milliseconds{1});
            co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
            continue;
        }
        asio::posix::stream_descriptor death{executor, pidfd.release()};
        timer.expires_at(end);
        auto either = asio::experimental::make_parallel_group(
            death.async_wait(asio::posix::descriptor_base::wait_read, asio::deferred),
            timer.async_wait(asio::deferred));
        co_await either.async_wait(asio::experimental::wait_for_one(), asio::use_awaitable);
    }
}

void prepare_this_process()
{
    ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    ::signal(SIGPIPE, SIG_IGN);
    // All that is started inherits it: a pipe that holds 4 KiB of a huge page holds 2 MiB of memory.
    ::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    // A hard limit of 0 would not let a jail have the limit that keeps cores from a helper. Only root can raise it.
    rlimit core{};
    if (::getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0) {
        core.rlim_max = 1;
        static_cast<void>(::setrlimit(RLIMIT_CORE, &core));
    }
}

}  // namespace sandboxd::process
