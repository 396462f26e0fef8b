#include "process/child.hpp"

#include "async/readable.hpp"
#include "base/unique_fd.hpp"
#include "process/output_sink.hpp"
#include "process/spawn.hpp"
#include "process/stdin_file.hpp"
#include "process/tree.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/process/v2/process.hpp>

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace asio = boost::asio;
using boost::system::error_code;

namespace sandboxd::process {
namespace {

// How long a pipe may stay open after the child and all descendants that we can find are gone. Only a process outside
// the tree that was handed the pipe can make us wait that long.
constexpr std::chrono::milliseconds drain_bound{1'000};
// How long we wait for the kernel to end killed processes before we go on.
constexpr std::chrono::milliseconds burial_bound{5'000};

wait_status decode(int native)
{
    if (WIFSIGNALED(native)) return signaled{WTERMSIG(native)};
    return exited{WEXITSTATUS(native)};
}

struct pipe_ends {
    unique_fd read;
    unique_fd write;
};

result<pipe_ends> make_pipe()
{
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return system_error(errc::internal, "cannot make a pipe");
    pipe_ends made{unique_fd{ends[0]}, unique_fd{ends[1]}};
    return made;
}

result<unique_fd> make_stdin(const std::string& text)
{
    if (text.empty()) {
        unique_fd null{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
        if (!null) return system_error(errc::internal, "cannot open /dev/null");
        return null;
    }
    auto file = make_stdin_file();
    if (!file) return file;
    if (auto filled = fill_stdin_file(*file, text); !filled) return filled.error();
    return file;
}

// One running child. Four coroutines share it: two drain the pipes, one waits for the exit, and the watchdog owns the
// only timer, which stands in turn for the deadline, the end of the grace and the end of the draining.
struct job {
    job(const asio::any_io_executor& executor, started child, pipe_ends out_pipe, pipe_ends err_pipe,
        const child_limits& its_limits, async::stop_source& its_stop, output_taker* its_taker,
        std::shared_ptr<pid_t> its_leader)
        : limits{its_limits},
          stop{its_stop},
          leader{std::move(its_leader)},
          tree{child.pid},
          death{executor, ::fcntl(child.pidfd.get(), F_DUPFD_CLOEXEC, 3)},
          handle{executor, child.pid, child.pidfd.release()},
          out{executor, out_pipe.read.release()},
          err{executor},
          timer{executor},
          began{std::chrono::steady_clock::now()},
          sink{seen, its_limits.output_bytes, its_taker, its_stop}
    {
        if (err_pipe.read) err.assign(err_pipe.read.release());
        timer.expires_at(began + limits.wall);
        if (leader) *leader = tree.pid();
    }

    ~job() { nobody_leads(); }

    // From now on its pid may belong to another process.
    void nobody_leads() const noexcept
    {
        if (leader) *leader = 0;
    }

    // The action of `stop`: ends the tree and makes the watchdog follow up.
    void end_early()
    {
        if (has_exited) {
            timer.expires_after(std::chrono::seconds{0});
        } else if (limits.term_grace.count() > 0) {
            tree.signal(SIGTERM);
            timer.expires_after(limits.term_grace);
        } else {
            tree.signal(SIGKILL);
            timer.expires_at(never);
        }
    }

    void one_finished()
    {
        if (--unfinished == 0) timer.cancel();
    }

    static constexpr auto never = std::chrono::steady_clock::time_point::max();

    child_limits limits;
    async::stop_source& stop;
    std::shared_ptr<pid_t> leader;
    live_child tree;
    asio::posix::stream_descriptor death;
    boost::process::v2::basic_process<asio::any_io_executor> handle;
    asio::posix::stream_descriptor out;
    asio::posix::stream_descriptor err;
    asio::steady_timer timer;
    std::chrono::steady_clock::time_point began;
    outcome seen{};
    output_sink sink;
    error_code wait_failed;
    int unfinished{3};
    bool has_exited{false};
    bool abandoned{false};  // nobody reads the pipes any more
};

asio::awaitable<void> drain(job& j, asio::posix::stream_descriptor& pipe, output_stream which)
{
    std::array<char, 16'384> block;
    while (pipe.is_open() && !j.abandoned) {
        const auto [ec, count] =
            co_await pipe.async_read_some(asio::buffer(block), asio::as_tuple(asio::use_awaitable));
        if (ec) break;  // end of file, or given up
        co_await j.sink.take(which, std::string_view{block.data(), count});
    }
    j.one_finished();
}

// Whether the child has died; does not reap it.
bool has_died(pid_t pid)
{
    siginfo_t seen{};
    return ::waitid(P_PID, static_cast<id_t>(pid), &seen, WEXITED | WNOHANG | WNOWAIT) != 0 || seen.si_pid == pid;
}

// The wait of Boost.Process (1.83) trusts an event that may be another descriptor's (async/readable.hpp) and blocks in
// waitpid, and the server with it, until the child exits. So we await the death first.
asio::awaitable<void> await_death(job& j)
{
    if (has_died(j.tree.pid())) co_return;
    const auto ignored = co_await async::wait_readable(j.death);
    static_cast<void>(ignored);  // whatever it is, Boost.Process meets it too
}

asio::awaitable<void> await_exit(job& j)
{
    co_await await_death(j);
    j.nobody_leads();
    const auto [ec, ignored] = co_await j.handle.async_wait(asio::as_tuple(asio::use_awaitable));
    static_cast<void>(ignored);  // it mixes up exit codes and signals
    j.seen.wall = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - j.began);
    if (ec)
        j.wait_failed = ec;
    else
        j.seen.status = decode(j.handle.native_exit_code());
    j.has_exited = true;
    j.tree.reaped();
    j.timer.expires_at(job::never);
    co_await bury_orphans(burial_bound);
    j.timer.expires_after(drain_bound);
    j.one_finished();
}

asio::awaitable<void> watch(job& j)
{
    while (j.unfinished > 0) {
        co_await j.timer.async_wait(asio::as_tuple(asio::use_awaitable));
        // The wait also ends when the timer is reset; then the new expiry decides.
        if (j.unfinished == 0 || j.timer.expiry() > std::chrono::steady_clock::now()) continue;
        j.timer.expires_at(job::never);
        if (j.has_exited) {
            j.abandoned = true;
            error_code ignored;
            j.out.cancel(ignored);
            j.err.cancel(ignored);
        } else if (!j.stop.requested()) {
            j.stop.request(errc::timeout);
        } else {
            j.tree.signal(SIGKILL);
        }
    }
}

asio::awaitable<result<outcome>> run_here(command what, std::string stdin_text, child_limits limits,
                                          async::stop_source& stop, output_taker* taker)
{
    if (stop.requested()) {
        outcome nothing{};
        nothing.status = signaled{SIGKILL};
        co_return nothing;
    }
    auto in = make_stdin(stdin_text);
    if (!in) co_return in.error();
    auto out = make_pipe();
    if (!out) co_return out.error();
    result<pipe_ends> err = pipe_ends{};
    if (!what.merge_stderr) err = make_pipe();
    if (!err) co_return err.error();

    auto child = start(what, in->get(), out->write.get(), what.merge_stderr ? out->write.get() : err->write.get());
    if (!child) co_return child.error();
    // Close our ends, or the pipes never end.
    in->reset();
    out->write.reset();
    err->write.reset();

    const auto executor = co_await asio::this_coro::executor;
    job j{executor, std::move(*child), std::move(*out), std::move(*err), limits, stop, taker, what.leader};
    const async::stop_callback on_stop{stop, [&j](errc) { j.end_early(); }};

    auto all = asio::experimental::make_parallel_group(
        asio::co_spawn(executor, drain(j, j.out, output_stream::out), asio::deferred),
        asio::co_spawn(executor, drain(j, j.err, output_stream::err), asio::deferred),
        asio::co_spawn(executor, await_exit(j), asio::deferred), asio::co_spawn(executor, watch(j), asio::deferred));
    const auto [order, out_failed, err_failed, exit_failed, watch_failed] =
        co_await all.async_wait(asio::experimental::wait_for_all(), asio::use_awaitable);
    static_cast<void>(order);
    for (const auto& failed : {out_failed, err_failed, exit_failed, watch_failed})
        if (failed) std::rethrow_exception(failed);
    if (j.wait_failed) {
        error lost{errc::internal, "cannot wait for " + what.argv.front() + ": " + j.wait_failed.message()};
        co_return lost;
    }
    co_return std::move(j.seen);
}

}  // namespace

std::string describe_end(const wait_status& status, std::string_view exit_word)
{
    if (const auto* const done = std::get_if<exited>(&status))
        return std::string{exit_word} + " " + std::to_string(done->code);
    return "signal " + std::to_string(std::get<signaled>(status).signal);
}

asio::awaitable<result<outcome>> run(command what, std::string stdin_text, child_limits limits,
                                     async::stop_source& stop, output_taker* taker)
{
    // A separate coroutine without a cancellation slot: killing and reaping must go on awaiting.
    const auto executor = co_await asio::this_coro::executor;
    auto apart = run_here(std::move(what), std::move(stdin_text), limits, stop, taker);
    auto uncancelled = asio::bind_cancellation_slot(asio::cancellation_slot{}, asio::use_awaitable);
    co_return co_await asio::co_spawn(executor, std::move(apart), std::move(uncancelled));
}

}  // namespace sandboxd::process
