// One tool that is started already: a process that stands where the tool's `main` would begin (app/tool_host.cpp), and
// forks a child for each jail that is to have the tool.
//
// It dies with the server, or with this object.
#pragma once

#include "async/event.hpp"
#include "async/stop.hpp"
#include "async/task_group.hpp"
#include "base/errc.hpp"
#include "base/unique_fd.hpp"
#include "toolchain/tool_protocol.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace sandboxd::toolchain {

struct host_plan {
    std::vector<std::string> argv;  // argv[0] absolute
    std::vector<std::pair<std::string, std::string>> env;
    bool python{false};  // tool_python.py instead of a tool: its arguments follow argv[0]
};

class host {
public:
    // Starts it, in a task of `tasks`. `filter`: the seccomp program of all jails. Null where there are no descriptors
    // left; whatever else is wrong shows in `greeting`.
    static std::unique_ptr<host> start(const boost::asio::any_io_executor& executor, async::task_group& tasks,
                                       host_plan plan, const unique_fd& filter);
    ~host();
    host(const host&) = delete;
    host& operator=(const host&) = delete;

    // What it says when it stands: of Python, what it has found. Once. Error: `unavailable`, when it ends before, or
    // says nothing in time; a program that is linked statically ends as it does without arguments.
    boost::asio::awaitable<result<std::string>> greeting(std::chrono::steady_clock::time_point until);

    // Ends it; `greeting` then says so soon.
    void end();

    bool alive() const noexcept;
    // 0: it has ended.
    pid_t pid() const noexcept;

    // Asks for a child. False when it cannot be asked now.
    bool ask(const protocol::enter& what, std::span<const int> descriptors);

private:
    struct state;
    explicit host(std::shared_ptr<state> made);

    std::shared_ptr<state> state_;
};

// Waits until there is something to read, or the other side has gone; no longer than `until`. Whether that came about.
boost::asio::awaitable<bool> readable(const boost::asio::any_io_executor& executor, int descriptor,
                                      std::chrono::steady_clock::time_point until);

// Two ends of a socket of messages. The kernel tells the first one which process a message is from (SO_PASSCRED).
// Error: `internal`.
result<std::pair<unique_fd, unique_fd>> telling_socket();

// Sends one message with 1 to protocol::most_descriptors descriptors (SCM_RIGHTS), and does not wait. Returns whether
// all of it went.
bool send_message(int to, const void* from, std::size_t bytes, std::span<const int> descriptors);

// Takes a message of exactly `bytes` bytes, without waiting, and returns the process that sent it. Nothing where none
// is there, or one of another shape. Descriptors that come along are closed by the kernel.
std::optional<pid_t> take_message(int from, void* into, std::size_t bytes);

}  // namespace sandboxd::toolchain
