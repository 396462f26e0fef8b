// Listens, accepts, owns the sessions, enforces their deadlines, and shuts down in order.
#pragma once

#include "base/metrics.hpp"
#include "http/address.hpp"
#include "http/exchange.hpp"
#include "http/quota.hpp"
#include "http/server_settings.hpp"
#include "http/server_state.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>

#include <sys/types.h>

#include <functional>
#include <string>
#include <variant>

namespace sandboxd::http {

class server {
public:
    using hooks = server_hooks;

    server(boost::asio::io_context& io, server_settings how_much, hooks what, metrics::registry& metrics);
    ~server();

    // Errors: `unavailable` with the address and the cause (in use, no permission, no such host).
    result<void> listen(const address& where);
    // The address listened on, with the real port, for the ready line.
    struct bound_address {
        std::string addr;  // `http://127.0.0.1:8080`, `http://[::]:8080`, `unix:/path`
        std::string url;   // the same for a client on this machine: a loopback address if `addr` is any address
        bool loopback_only{false};  // other machines cannot reach it
    };
    bound_address bound() const;

    // Starts accepting and reaping.
    void start();

    // Serves a connection that somebody else has accepted; non-blocking. It is closed where there is no room for it, or
    // the server drains.
    void adopt(stream_socket socket, peer from);
    // Whether `adopt` has room for one, maybe in the place of another that can be missed.
    bool has_place() const noexcept;

    // Closes the listeners; answers from now on end their connections. Returns when no request is active and idle
    // connections are closed.
    boost::asio::awaitable<void> drain();
    bool draining() const noexcept { return state_.draining; }
    // Stops all requests with this cause; their answers are still sent.
    void stop_requests(errc cause);
    // Closes every connection at once.
    void abort();
    // Returns when all sessions and tasks have ended; call after drain or abort.
    boost::asio::awaitable<void> closed();

    const server_settings& bounds() const noexcept { return state_.bounds; }

private:
    using tcp_acceptor = boost::asio::ip::tcp::acceptor;
    using unix_acceptor = boost::asio::local::stream_protocol::acceptor;

    result<void> listen_tcp(const tcp_address& where);
    result<void> listen_unix(const unix_address& where);
    void unlink_own_socket() noexcept;
    template <class Acceptor>
    boost::asio::awaitable<void> accept_loop(Acceptor& acceptor);
    boost::asio::awaitable<void> serve(stream_socket socket, peer from);
    boost::asio::awaitable<void> reap();
    // Frees a place. False when all others have an active request.
    bool evict();
    // Whether a connection of this client may be served; at its limit, one of its own is ended.
    bool admit(const peer& from);

    boost::asio::io_context& io_;
    server_state state_;
    std::variant<std::monostate, tcp_acceptor, unix_acceptor> acceptor_;
    std::string unix_path_;
    // The socket file that listen() made; another server may have replaced it since.
    dev_t unix_device_{};
    ino_t unix_inode_{};
    bool closing_{false};  // the reaper must end
    boost::asio::steady_timer reaper_;
};

}  // namespace sandboxd::http
