// The server's end of a deployment's control socket: asks sandboxd-init for connections into its jail.
//
// Its messages are not trusted: a packet of the wrong size, an unexpected answer, an extra descriptor, or one that is
// not a connected stream socket (Internet or AF_UNIX) closes the channel.
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

// What is wrong with a descriptor that a connect returned; nullopt if it is valid.
std::optional<std::string_view> descriptor_fault(int fd);

// Whether one of the places of control_channel::listeners is a TCP port.
bool is_tcp_place(std::string_view place) noexcept;

class control_channel {
public:
    control_channel(boost::asio::any_io_executor executor, unique_fd ours);

    // Reads answers until the other side closes or breaks the rules, or `close` is called; then every pending connect
    // fails. Run it once, in a task.
    boost::asio::awaitable<void> serve();

    // Connects to the program. Errors: unavailable (the errno is in last_errno(), the message names it), timeout when
    // that takes longer than `patience`, the cause of `stop`.
    boost::asio::awaitable<result<stream_socket>> connect(std::uint16_t port, std::chrono::milliseconds patience,
                                                          async::stop_source& stop);

    // `taker` gets the connections that init accepts inside; without a taker they are a violation. Call it before
    // serve().
    void on_accepted(std::function<void(stream_socket)> taker) { taker_ = std::move(taker); }

    // The addresses on which programs listen inside, as text: "127.0.0.1:8080"; where there is no such port, "UDP
    // 127.0.0.1:53" and "a Unix socket that is not SOCKET_PATH". Empty when init does not answer within `patience`.
    boost::asio::awaitable<std::vector<std::string>> listeners(std::chrono::milliseconds patience);

    // Reads the answers that have already arrived. For the end, when serve() may not have had its turn.
    void catch_up();

    // 0 once the program was executed, or the errno that prevented it; nullopt until init reports it: the program
    // does not run then.
    std::optional<int> begun() const noexcept { return begun_; }

    // Asks init to send SIGTERM to the program.
    void terminate();
    void close();
    bool is_open() const noexcept { return open_; }
    // The program's wait status, once init has reported it.
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
    // Abandoned connects, whose answers may still come.
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
