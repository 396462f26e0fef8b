// One connection: reads requests one after the other, has each answered, keeps the order.
//
// Deadlines are kept by the server's reaper: a session only says until when it may stay as it is, which
// costs a store and no timer; when the time is over, the reaper cancels what the socket is waiting for.
#pragma once

#include "async/event.hpp"
#include "http/exchange.hpp"
#include "http/limits.hpp"

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>

#include <functional>
#include <list>
#include <string>

namespace sandboxd::http {

class server;

using stream_socket = boost::asio::generic::stream_protocol::socket;
using clock = std::chrono::steady_clock;

class session {
public:
    session(server& owner, stream_socket socket);
    ~session();
    session(const session&) = delete;
    session& operator=(const session&) = delete;

    // Serves the connection to its end.
    boost::asio::awaitable<void> run();

    // For the reaper: the time until which the session may stay as it is.
    clock::time_point deadline() const noexcept { return deadline_; }
    void expire();

    // Between requests, with nothing read of the next one.
    bool idle() const noexcept { return idle_; }
    clock::time_point idle_since() const noexcept { return idle_since_; }
    // Ends the connection now; what waits on its socket is woken.
    void abort();
    // Ends what the current request is doing, if there is one, with this cause.
    void stop_request(errc cause);

private:
    friend class exchange;
    using request_parser = boost::beast::http::request_parser<boost::beast::http::buffer_body>;

    // Receives at least one byte behind what is buffered. False at the end of the connection, on an error
    // and on the deadline (`timed_out_`).
    boost::asio::awaitable<bool> receive(std::size_t at_most);
    boost::asio::awaitable<std::optional<error>> read_header();
    boost::asio::awaitable<response> answer(exchange& x);
    // The answer to a client that has sent too many requests; empty for all others.
    std::optional<response> refuse_excess(const exchange& x);
    boost::asio::awaitable<bool> send(exchange& x, response& r);
    boost::asio::awaitable<bool> send_all(std::string_view head, std::string_view body);
    boost::asio::awaitable<bool> send_file(const file_slice& slice);
    boost::asio::awaitable<bool> writable();
    boost::asio::awaitable<void> linger();

    boost::asio::awaitable<result<std::size_t>> read_body_some(std::span<char> into);
    boost::asio::awaitable<std::optional<error>> prepare_body();
    boost::asio::awaitable<void> watch();
    boost::asio::awaitable<void> end_watch();

    std::string_view buffered() const noexcept { return {buffer_.data() + begin_, end_ - begin_}; }
    void consume(std::size_t bytes) noexcept;
    void make_room(std::size_t bytes);
    void compose_head(const exchange& x, const response& r, bool keep_alive);

    server& server_;
    stream_socket socket_;
    std::list<session*>::iterator place_;

    std::string buffer_;  // received bytes are [begin_, end_)
    std::size_t begin_{0};
    std::size_t end_{0};
    std::string head_;

    std::optional<request_parser> parser_;
    std::function<void(std::uint64_t, boost::beast::string_view, boost::system::error_code&)> on_chunk_;
    bool body_started_{false};
    exchange* current_{nullptr};

    clock::time_point deadline_{clock::time_point::max()};
    clock::time_point send_until_{clock::time_point::max()};
    clock::time_point idle_since_;
    bool idle_{true};
    bool timed_out_{false};
    bool aborted_{false};
    bool peer_gone_{false};
    std::shared_ptr<async::event> watch_done_;  // null: nobody watches
    bool watch_over_{false};
};

}  // namespace sandboxd::http
