// Runs one child to its end. Its output is drained up to a limit and its deadline is enforced. However it ends, its
// whole process tree is dead when `run` returns.
//
// The child leads its own session and process group, dies with the server (PR_SET_PDEATHSIG), and inherits only the
// descriptors 0, 1, 2 and those that the command names. Its standard input is /dev/null, or a sealed file in memory
// that holds the given text.
#pragma once

#include "async/stop.hpp"
#include "base/errc.hpp"
#include "process/cgroup.hpp"
#include "process/command.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace sandboxd::process {

// How a process ended, as wait(2) reports it (the shell's 128+n mixes the two up).
struct exited {
    int code;
    bool operator==(const exited&) const = default;
};
struct signaled {
    int signal;
    bool operator==(const signaled&) const = default;
};
using wait_status = std::variant<exited, signaled>;

// "exit 1", or "signal 9": for people. `exit_word` is what is said instead of "exit".
std::string describe_end(const wait_status& status, std::string_view exit_word = "exit");

struct child_limits {
    std::chrono::milliseconds wall{60'000};   // from exec to exit; then `stop` is requested with `timeout`
    std::size_t output_bytes{1 << 20};        // stdout and stderr together; then `output_limit`
    std::chrono::milliseconds term_grace{0};  // SIGTERM this long before SIGKILL (nsjail needs it); 0: at once
};

enum class output_stream { out, err };

// Receives a child's output while it runs, piece by piece as it was read; it may be invalid UTF-8. The next piece of
// a stream is read after `take` has returned, so a slow taker slows the child down.
class output_taker {
public:
    virtual boost::asio::awaitable<void> take(output_stream which, std::string_view piece) = 0;

protected:
    ~output_taker() = default;
};

struct outcome {
    wait_status status;
    std::string out;        // may be invalid UTF-8; empty where a taker got it
    std::string err;        // empty with merge_stderr
    bool truncated{false};  // the output cap cut `out` or `err`
    std::chrono::microseconds wall{0};
    std::optional<cgroup_usage> usage;  // of the whole job, where it had a cgroup of its own
    // When the program was begun behind its wall, where the builder of the jail tells it (steady clock).
    std::optional<std::chrono::steady_clock::time_point> begun{};
};

// Runs `what` until it has exited and its pipes are drained. `stop` ends it early: the tree is killed, the outcome is
// what was seen so far, and `stop.cause()` says why. The deadline and the output limit request `stop` themselves, so
// the first cause is the only one. If `stop` was requested before, nothing is started, and the outcome is that of a
// child killed by SIGKILL. A `taker` receives the output instead of the outcome; it must outlive the run, and must
// not wait for ever once `stop` is requested.
//
// Asio's cancellation has no effect: use `stop`. On return no process of the child's tree is left, neither in its
// group nor re-parented to us.
//
// Errors: `unavailable` when the executable cannot be run (the message names it), `internal` when
// fork or pipe fails.
boost::asio::awaitable<result<outcome>> run(command what, std::string stdin_text, child_limits limits,
                                            async::stop_source& stop, output_taker* taker = nullptr);

// Makes this process a subreaper (PR_SET_CHILD_SUBREAPER), ignores SIGPIPE, and disables huge pages for itself and
// all that it starts (PR_SET_THP_DISABLE). Once, in main.
void prepare_this_process();

}  // namespace sandboxd::process
