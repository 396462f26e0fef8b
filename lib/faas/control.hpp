// The server's end of a deployment's control socket: asks sandboxd-init for connections into its jail.
//
// What comes from there is not trusted: a packet of another size, an answer nobody asked for, a descriptor too
// many, or one that is no connected stream socket of the Internet families or AF_UNIX ends the channel.
#pragma once

#include "async/event.hpp"
#include "async/stop.hpp"
#include "base/errc.hpp"
#include "base/unique_fd.hpp"
#include "init/control.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace sandboxd::faas {

using stream_socket = boost::asio::generic::stream_protocol::socket;

// Both ends of a new control socket. Error: internal.
struct control_ends {
    unique_fd ours;
    unique_fd theirs;
};
result<control_ends> make_control_socket();

// Whether a descriptor is what a connect may bring; empty, or what is wrong with it.
std::optional<std::string_view> descriptor_fault(int fd);

class control_channel {
public:
    control_channel(boost::asio::any_io_executor executor, unique_fd ours);

    // Reads answers until the other side closes, breaks the rules, or `close` is called; then every connect
    // under way fails. Run it once, in a task.
    boost::asio::awaitable<void> serve();

    // A connection to the program. Errors: unavailable (the errno is in last_errno(), the message names it),
    // timeout when it does not come about in `patience`, the cause of `stop`.
    boost::asio::awaitable<result<stream_socket>> connect(std::uint16_t port, std::chrono::milliseconds patience,
                                                          async::stop_source& stop);

    // What init accepts in there goes to `taker`; without one it is an offence. Call it before serve().
    void on_accepted(std::function<void(stream_socket)> taker) { taker_ = std::move(taker); }

    // Where programs listen in there, in words: "127.0.0.1:8080"; none when init does not tell in `patience`.
    boost::asio::awaitable<std::vector<std::string>> listeners(std::chrono::milliseconds patience);

    // Reads what has come already: for the end, when serve() may not have had its turn.
    void catch_up();

    // 0 once the program was executed, or why it could not be; empty as long as init has not told: then it does not
    // run, either.
    std::optional<int> begun() const noexcept { return begun_; }

    // Asks for SIGTERM to the program.
    void terminate();
    void close();
    bool is_open() const noexcept { return open_; }
    // The program's wait status as init tells it; empty before that.
    std::optional<int> ended() const noexcept { return ended_; }

private:
    struct waiting {
        async::event answered;
        unique_fd fd;
        int failed{0};
    };

    bool take_answers();
    bool send(const init::control::request& what);
    std::optional<stream_socket> socket_of(unique_fd& fd);

    boost::asio::any_io_executor executor_;
    boost::asio::posix::stream_descriptor socket_;
    std::map<std::uint32_t, waiting*> waiting_;
    std::function<void(stream_socket)> taker_;
    std::uint32_t next_id_{0};
    // Asked for and given up: their answers may still come.
    std::map<std::uint32_t, bool> forgotten_;
    std::optional<int> ended_;
    std::optional<int> begun_;
    struct listing {
        std::uint32_t id;
        async::event answered;
        std::vector<std::string> found;
    };
    listing* listing_{nullptr};
    bool open_{true};
};

}  // namespace sandboxd::faas
