// Listens, accepts, keeps the sessions and their deadlines, and shuts down in order.
#pragma once

#include "async/task_group.hpp"
#include "base/metrics.hpp"
#include "http/address.hpp"
#include "http/budget.hpp"
#include "http/exchange.hpp"
#include "http/limits.hpp"
#include "http/quota.hpp"
#include "http/session.hpp"
#include "http/session_list.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>

#include <sys/types.h>

#include <functional>
#include <string>
#include <variant>

namespace sandboxd::http {

// A request that has been answered, for the access log and the metrics.
struct completed {
    const exchange& request;
    unsigned status;
    std::uint64_t body_bytes;
    std::chrono::microseconds total;  // from the end of the header to the end of the answer
    bool cut{false};                  // begun, and not ended as it should have been
};

class server {
public:
    // `handle` answers every request that passed the gate; what it throws becomes a 500. `refuse` words the
    // errors that are found before a handler is reached; of a request whose header is malformed the exchange has
    // nothing but an id, and an empty path. `observe` sees every answer.
    struct hooks {
        std::function<boost::asio::awaitable<response>(exchange&)> handle;
        std::function<response(const error&, exchange&)> refuse;
        std::function<void(const completed&)> observe;
    };

    server(boost::asio::io_context& io, limits how_much, hooks what, metrics::registry& metrics);
    ~server();

    // Errors: `unavailable` with the address and the cause (in use, no permission, no such host).
    result<void> listen(const address& where);
    // What is listened on, with the real port, for the ready line.
    struct bound_address {
        std::string addr;  // `http://127.0.0.1:8080`, `http://[::]:8080`, `unix:/path`
        std::string url;   // the same, but for a client on this machine: a loopback address where `addr` is any address
        bool loopback_only{false};  // no other machine can reach it
    };
    bound_address bound() const;

    // Starts accepting and reaping.
    void start();

    // Closes the listeners; answers from now on end their connections. Returns when no request is under
    // way, with idle connections closed.
    boost::asio::awaitable<void> drain();
    bool draining() const noexcept { return draining_; }
    // Ends what requests are doing with this cause; their answers still go out.
    void stop_requests(errc cause);
    // Closes every connection, whatever it is doing.
    void abort();
    // Returns when every session and task is gone; call after drain or abort.
    boost::asio::awaitable<void> closed();

    const limits& bounds() const noexcept { return limits_; }

private:
    friend class session;
    friend class exchange;
    using tcp_acceptor = boost::asio::ip::tcp::acceptor;
    using unix_acceptor = boost::asio::local::stream_protocol::acceptor;

    result<void> listen_tcp(const tcp_address& where);
    result<void> listen_unix(const unix_address& where);
    void unlink_own_socket() noexcept;
    template <class Acceptor>
    boost::asio::awaitable<void> accept_loop(Acceptor& acceptor);
    boost::asio::awaitable<void> serve(stream_socket socket, peer from);
    boost::asio::awaitable<void> reap();
    // Frees a place by ending the connection that can be missed most easily: the one that has been idle for longest,
    // else the oldest unfinished header, else a body or an answer that has lasted for some seconds. False when all
    // others have a request under way.
    bool evict();
    // Whether a connection of this client may be served; when it has as many as it may, one of its own is ended.
    bool admit(const peer& from);
    // Whether so many bytes fit into the budget, if need be with the oldest of the others given up: first bodies, then
    // who has sent most ahead of an answer; answers in the order in which their clients have last taken something.
    bool make_fit_received(const session& asking, std::size_t bytes);
    bool make_fit_unsent(const session& asking, std::size_t bytes);
    void request_started() noexcept { ++active_; }
    void request_ended();
    std::string next_request_id();
    std::string_view date();

    boost::asio::io_context& io_;
    limits limits_;
    hooks hooks_;
    std::variant<std::monostate, tcp_acceptor, unix_acceptor> acceptor_;
    std::string unix_path_;
    // The socket file that listen() made: another server may have put its own in that place since.
    dev_t unix_device_{};
    ino_t unix_inode_{};
    // Before the sessions, which give back what they hold.
    budget received_;
    budget pending_;
    budget unsent_;
    session_list sessions_;
    std::size_t active_{0};
    bool draining_{false};
    bool closing_{false};  // nothing is left to reap
    boost::asio::steady_timer reaper_;
    boost::asio::steady_timer quiet_;  // cancelled when the last active request ends
    async::task_group tasks_;
    quota quota_;
    std::string id_prefix_;
    std::uint64_t next_id_{0};
    std::string date_;
    std::time_t date_second_{-1};

    metrics::counter& accepted_;
    metrics::counter& evicted_;
    metrics::counter& evicted_headers_;
    metrics::counter& evicted_bodies_;
    metrics::counter& evicted_answers_;
    metrics::counter& over_connections_;
    metrics::counter& refused_bodies_;
    metrics::counter& evicted_readers_;
    metrics::counter& accept_errors_;
    metrics::counter& expired_;
    metrics::counter& over_quota_;
};

}  // namespace sandboxd::http
