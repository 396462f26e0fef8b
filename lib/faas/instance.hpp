// One program of a deployment, from its start to the end of its last process. A deployment has one that runs or
// starts, and for a while a second one that is finishing.
#pragma once

#include "async/event.hpp"
#include "async/stop.hpp"
#include "base/client_key.hpp"
#include "base/errc.hpp"
#include "base/unique_fd.hpp"
#include "faas/control.hpp"
#include "faas/program_log.hpp"
#include "init/hold.hpp"
#include "jail/jail.hpp"
#include "process/child.hpp"
#include "programs/hold_pipe.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::faas {

// How a program ended.
struct program_end {
    process::wait_status status;
    std::optional<errc> cause{};  // the limit that ended it; nullopt: none

    bool clean() const { return !cause && status == process::wait_status{process::exited{0}}; }
    bool operator==(const program_end&) const = default;
};

// "exit 1", "signal 9", "memory_limit, signal 9".
std::string describe(const program_end& end);

class instance {
public:
    // `control`: our end of its control socket. `number`: no other instance has it.
    instance(boost::asio::any_io_executor executor, unique_fd control, std::uint64_t number);

    // Runs the jail to its end, however it ends. Its output goes to `output`; a program that prints more than
    // `bytes_per_sec` is slowed down. `theirs`: the program's end of the control socket, closed once the program has
    // it. `id`: the deployment's, for the server's log. Afterwards `end` or `fault` is set, unless it throws. Call
    // `bury` in any case.
    boost::asio::awaitable<void> run(jail::jail& wall, jail::spec spec, unique_fd theirs, program_log& output,
                                     std::size_t bytes_per_sec, std::string_view id);

    struct ready_terms {
        std::chrono::milliseconds timeout;
        std::string port_in_code;  // how a program reads PORT, for a message
        // Called, possibly repeatedly, when it has listened on the wrong port for some seconds; `why` has the cure.
        std::function<void(const std::string& why)> on_wrong_port;
    };
    struct readiness {
        result<void> reached{};
        bool ended_itself{false};  // before it listened; `end` says how
    };
    // Returns once the program accepts connections or has ended; a program that does not listen in time is ended.
    // Errors: start_timeout, start_failed, unavailable (it never ran), draining (it was told to end), the cause of
    // `life`.
    boost::asio::awaitable<readiness> await_ready(program_log& output, ready_terms terms);

    // Connects to the program. Errors: start_failed (it has ended), start_timeout (it does not accept within
    // `patience`), the cause of `stop`.
    boost::asio::awaitable<result<stream_socket>> connect(std::chrono::milliseconds patience, async::stop_source& stop);

    // Kills it; the end does not count as a crash.
    void tell_to_end(errc cause)
    {
        told_to_end = true;
        life.request(cause);
    }
    // Nothing more follows: `end` or `fault` is set from here on.
    void close();
    // Its processes are gone: wakes everybody who waits for that.
    void bury();

    // Whether its program has begun: not while its runtime waits for the word, nor if it has ended before it read that.
    // The client hears nothing of it until then.
    bool has_begun();
    void begin()
    {
        word->say({&init::hold::begin_without_file, 1});
        is_told_ = true;
    }

    // It exited with 0 by itself.
    bool clean() const { return end && end->clean(); }
    std::string how_it_ended() const { return end ? describe(*end) : fault ? fault->message : "no end"; }

    async::stop_source life;  // kills it
    control_channel channel;
    async::event over;        // its processes are gone
    async::stop_source gone;  // the same, as a stop for everything that depends on them
    const std::uint64_t generation;
    std::shared_ptr<programs::hold_pipe> word;  // null: it began at once, or has begun
    bool told_to_end{false};
    bool hurry{false};               // do not wait for its requests
    std::optional<program_end> end;  // set when it has ended; empty: it never ran, and `fault` says why
    std::optional<error> fault;
    std::size_t active{0};    // current requests
    std::string package_key;  // of the packages that it was started with
    client_key payer{};       // for whom they are there

private:
    bool is_told_{false};
    boost::asio::any_io_executor executor_;
};

// Reads what init says until its end of the control socket is closed.
boost::asio::awaitable<void> serve_control(std::shared_ptr<instance> of);

// Ends a program gracefully: when its requests are answered or `drain` is over it gets SIGTERM, and `grace` later
// SIGKILL. Returns when it has ended.
boost::asio::awaitable<void> end_gently(std::shared_ptr<instance> which, std::chrono::milliseconds drain,
                                        std::chrono::milliseconds grace);

}  // namespace sandboxd::faas
