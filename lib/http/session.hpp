// One connection: reads requests one after the other, has each answered, keeps the order.
//
// Deadlines are kept by the server's reaper: a session only says until when it may stay as it is, which
// costs a store and no timer; when the time is over, the reaper cancels what the socket is waiting for.
#pragma once

#include "async/event.hpp"
#include "http/exchange.hpp"
#include "http/limits.hpp"
#include "http/quota.hpp"
#include "http/session_list.hpp"

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>

#include <functional>
#include <list>
#include <string>

namespace sandboxd::http {

class server;

using clock = std::chrono::steady_clock;

// How an answer in pieces is framed, and how far it has come.
enum class framing { none, length, chunked, until_close };
struct stream_state {
    framing how{framing::none};
    bool head_sent{false};
    bool ended{false};
    bool cut{false};
    bool taken{false};
    bool keep_alive{false};
    unsigned status{0};
    std::uint64_t left{0};  // of the announced length
    std::uint64_t sent{0};
    clock::duration waited{};  // for the client

    // The connection is closed at once, without waiting for the client to have read all.
    bool abrupt() const noexcept { return taken || (!ended && how == framing::until_close); }
};

class session {
public:
    session(server& owner, stream_socket socket, peer from);
    ~session();
    session(const session&) = delete;
    session& operator=(const session&) = delete;

    // Serves the connection to its end.
    boost::asio::awaitable<void> run();

    // Bytes of requests, and of an answer, that the server keeps for this client and counts.
    std::size_t received() const noexcept { return body_held_ + buffer_held_; }
    std::size_t unsent() const noexcept { return unsent_; }

    // For the reaper: ends what has waited for too long.
    void reap(clock::time_point now)
    {
        if (deadline_ < now || write_deadline_ < now) expire(now);
        if (watch_from_ < now) begin_slow_watch();
    }

    // Whether its current request's header was complete then or before.
    bool began_by(clock::time_point then) const noexcept { return began_ <= then; }

    const peer& from() const noexcept { return peer_; }
    // Ends the connection now; what waits on its socket is woken.
    void abort();
    // Ends what the current request is doing, if there is one, with this cause.
    void stop_request(errc cause);
    // The same for a request whose answer has no end.
    void stop_endless_request(errc cause);

private:
    friend class exchange;
    friend class session_list;
    using request_parser = boost::beast::http::request_parser<boost::beast::http::buffer_body>;

    // Receives at least one byte behind what is buffered. False at the end of the connection, on an error
    // and on the deadline (`timed_out_`).
    boost::asio::awaitable<bool> receive(std::size_t at_most);
    boost::asio::awaitable<std::optional<error>> read_header();
    boost::asio::awaitable<response> answer(exchange& x);
    // The answer to a client that has sent too many requests; empty for all others.
    std::optional<response> refuse_excess(exchange& x);
    // For a body of this size that is complete: it counts as pending from now on. False when there is no room.
    bool keep_body(std::size_t bytes);
    void expire(clock::time_point now);
    boost::asio::awaitable<bool> send(exchange& x, response& r);
    bool may_discard_body() const;
    // Reads away a small rest of the request's body. False when the connection cannot carry another request.
    boost::asio::awaitable<bool> discard_body(exchange& x);
    boost::asio::awaitable<bool> send_all(std::string_view head, std::string_view body);
    boost::asio::awaitable<bool> send_file(const file_slice& slice);
    boost::asio::awaitable<bool> writable();
    void end_sending() noexcept;
    boost::asio::awaitable<void> linger();

    // An answer in pieces; stream.cpp.
    void begin_stream(const exchange& x, unsigned status, std::string_view phrase, std::optional<std::uint64_t> length);
    void end_stream_head();
    boost::asio::awaitable<result<void>> send_stream(std::string_view piece, bool last);
    boost::asio::awaitable<bool> close_stream(exchange& x);
    boost::asio::awaitable<bool> send_pieces(std::string_view head, std::string_view body, std::string_view tail);

    boost::asio::awaitable<result<std::size_t>> read_body_some(std::span<char> into);
    boost::asio::awaitable<std::optional<error>> prepare_body();
    void body_read() noexcept;
    // Counts bytes of a body that a handler gathers, until the request has been answered. False when there is no room,
    // even with the oldest of the others given up.
    bool hold_body(std::size_t bytes);
    void release_body() noexcept;
    // Counts what has grown of the buffer. False as above.
    bool hold_buffer();
    // Counts an answer that the client does not take. False as above.
    bool hold_unsent(std::size_t bytes);
    void release_unsent() noexcept;
    void begin_watch();
    void begin_slow_watch();
    boost::asio::awaitable<void> watch();
    boost::asio::awaitable<void> end_watch();

    std::string_view buffered() const noexcept { return {buffer_.data() + begin_, end_ - begin_}; }
    void consume(std::size_t bytes) noexcept;
    // False when the server may keep no more bytes of clients.
    bool make_room(std::size_t bytes);
    void compose_head(const exchange& x, const response& r, bool keep_alive);
    void append_fields_of(const exchange& x, const response& r);
    void append_connection(bool keep_alive);

    server& server_;
    stream_socket socket_;
    peer peer_;
    phase phase_{phase::idle};
    std::list<session*>::iterator place_;  // among those of its phase

    std::string buffer_;  // received bytes are [begin_, end_)
    std::size_t begin_{0};
    std::size_t end_{0};
    std::string head_;

    std::optional<request_parser> parser_;
    std::function<void(std::uint64_t, boost::beast::string_view, boost::system::error_code&)> on_chunk_;
    bool body_started_{false};
    exchange* current_{nullptr};

    std::optional<stream_state> stream_;

    clock::time_point deadline_{clock::time_point::max()};  // of what is read
    clock::time_point write_deadline_{clock::time_point::max()};
    clock::time_point send_until_{clock::time_point::max()};
    clock::time_point watch_from_{clock::time_point::max()};
    clock::time_point began_{clock::time_point::max()};   // the current request: when its header was complete
    std::optional<std::chrono::milliseconds> body_idle_;  // empty: the whole body has one deadline
    std::size_t body_held_{0};                            // of a body that is not complete
    std::size_t pending_held_{0};                         // of one that is, until it is answered
    std::size_t buffer_held_{0};
    std::size_t unsent_{0};
    std::size_t sending_bytes_{0};  // what waits in memory while the current answer, or piece, is being sent
    bool timed_out_{false};
    bool write_timed_out_{false};
    bool reading_stopped_{false};
    bool aborted_{false};
    bool peer_gone_{false};
    std::shared_ptr<async::event> watch_done_;  // null: nobody watches
    bool watch_over_{false};
};

}  // namespace sandboxd::http
