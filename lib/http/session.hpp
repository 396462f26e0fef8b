// One connection: reads requests one after the other, has each one answered, and keeps the order. connection.hpp
// makes the decisions; this moves the bytes.
//
// The server's reaper enforces deadlines: a session only stores them, which needs no timer. When one expires, the
// reaper cancels the socket's pending operation.
#pragma once

#include "async/event.hpp"
#include "http/connection.hpp"
#include "http/exchange.hpp"
#include "http/quota.hpp"
#include "http/session_list.hpp"

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sandboxd::http {

class server_state;

// How an answer in pieces is framed, and how far it has come.
enum class framing : std::uint8_t { none, length, chunked, until_close };
enum class stream_stage : std::uint8_t {
    begun,
    head_sent,
    ended,
    cut,    // the client must see that it is incomplete
    taken,  // no longer an answer: a handler owns the connection
};
struct stream_state {
    framing how{framing::none};
    stream_stage stage{stream_stage::begun};
    bool keep_alive{false};
    unsigned status{0};
    std::uint64_t left{0};  // of the announced length
    std::uint64_t sent{0};
    clock::duration waited{};  // for the client

    bool is_over() const noexcept { return stage >= stream_stage::ended; }
    // The answer is incomplete and the connection is still ours.
    bool is_cut() const noexcept { return stage != stream_stage::ended && stage != stream_stage::taken; }
    // The connection is closed at once, without waiting until the client has read everything.
    bool is_abrupt() const noexcept
    {
        return stage == stream_stage::taken || (is_cut() && how == framing::until_close);
    }
};

class session {
public:
    using request_parser = boost::beast::http::request_parser<boost::beast::http::buffer_body>;

    // The state must outlive it.
    session(server_state& server, stream_socket socket, peer from);
    ~session();
    session(const session&) = delete;
    session& operator=(const session&) = delete;

    // Serves the connection to its end.
    boost::asio::awaitable<void> run();

    // ---- For the server.

    // For the reaper: ends waits that have expired.
    void reap(clock::time_point now)
    {
        const auto& until = connection_.until;
        if (until.read < now || until.write < now) expire(now);
        if (watch_from_ < now) begin_slow_watch();
    }
    // Ends the connection now and wakes all waits on its socket.
    void abort();
    // Stops the current request, if there is one, with this cause.
    void stop_request(errc cause);
    // The same, only if the request's answer is endless.
    void stop_endless_request(errc cause);

    // ---- For the exchange, which says what these are for.

    const peer& from() const noexcept { return entry_.from; }
    const client_key& address() const noexcept { return address_; }
    // Null for a request whose header was refused.
    const request_parser* request() const noexcept { return parser_ ? &*parser_ : nullptr; }
    std::string_view buffered() const noexcept { return {buffer_.data() + begin_, end_ - begin_}; }
    std::string new_request_id();

    void pace_body(std::chrono::milliseconds idle) noexcept;
    boost::asio::awaitable<std::optional<error>> prepare_body();
    boost::asio::awaitable<result<std::size_t>> read_body_some(std::span<char> into);
    // Counts bytes of a body that a handler collects, until the request is answered. Errors when there is no room,
    // even after the oldest others were dropped: queue_full, or disconnected when this one was dropped.
    result<void> hold_body(std::size_t bytes);
    // A body of this size is complete and counts as pending from now on. Errors: as above.
    result<void> keep_body(std::size_t bytes);
    void stop_reading();

    void begin_watch();
    void begin_watch_if_slow() noexcept { watch_from_ = clock::now(); }
    // Marks the request as endless. Returns whether the server is already draining.
    bool become_endless() noexcept;

    bool begun() const noexcept { return stream_.has_value(); }
    unsigned begun_status() const noexcept { return stream_ ? stream_->status : 0; }
    void begin(const exchange& x, const response& head, std::optional<std::uint64_t> length);
    void begin(const exchange& x, const raw_head& head, std::optional<std::uint64_t> length);
    boost::asio::awaitable<result<void>> flush();
    boost::asio::awaitable<result<void>> write(std::string_view piece, bool last);
    void cut() noexcept;
    boost::asio::awaitable<result<void>> send_interim(unsigned status, std::string_view fields);
    boost::asio::awaitable<result<exchange::connection>> take_over(const raw_head& head);
    void count_sent(std::uint64_t bytes) noexcept { stream_->sent += bytes; }
    // Counts an answer that the client has not read. False when there is no room, as above.
    bool hold_unsent(std::size_t bytes);
    // The same for a handler that has taken over the connection: it counts as sending.
    bool hold_unsent_of_taken(std::size_t bytes);
    void end_sending() noexcept;

private:
    // Receives at least one more byte into the buffer. False at the end of the connection, on an error and after the
    // deadline.
    boost::asio::awaitable<bool> receive(std::size_t at_most);
    boost::asio::awaitable<std::optional<error>> read_header();
    boost::asio::awaitable<response> answer(exchange& x);
    // Finds out where the request comes from. False when a proxy speaks for clients that it does not name.
    bool find_address(const exchange& x);
    // The answer to a client that has sent too many requests; nullopt for others.
    std::optional<response> refuse_excess(exchange& x);
    error no_room(const char* why);
    void expire(clock::time_point now);
    // Whether the connection may carry another request after an answer that does not end it.
    reuse reuse_now(bool may_persist) const;
    boost::asio::awaitable<bool> send(exchange& x, response& r);
    // Discards a small rest of the request's body. False when the connection cannot carry another request.
    boost::asio::awaitable<bool> discard_body(exchange& x);
    boost::asio::awaitable<bool> send_all(std::string_view head, std::string_view body);
    boost::asio::awaitable<bool> send_file(const file_slice& slice);
    boost::asio::awaitable<bool> writable();
    boost::asio::awaitable<void> linger();
    void observe(const exchange& x, const response& r, clock::time_point started) const;

    // An answer in pieces; stream.cpp.
    void begin_stream(const exchange& x, unsigned status, std::string_view phrase, std::optional<std::uint64_t> length);
    void end_stream_head();
    boost::asio::awaitable<bool> close_stream(exchange& x);
    boost::asio::awaitable<bool> send_pieces(std::string_view head, std::string_view body, std::string_view tail);

    void body_read() noexcept;
    void release_body() noexcept;
    // Counts the growth of the buffer. False when there is no room, even after the oldest others were dropped.
    bool hold_buffer();
    void release_unsent() noexcept;
    void begin_slow_watch();
    boost::asio::awaitable<void> watch();
    boost::asio::awaitable<void> end_watch();

    void consume(std::size_t bytes) noexcept;
    // False when the server may not keep more bytes of clients.
    bool make_room(std::size_t bytes);
    void compose_head(const exchange& x, const response& r, bool keep_alive);
    void append_fields_of(const exchange& x, const response& r);
    void append_connection(bool keep_alive);

    server_state& server_;
    stream_socket socket_;
    session_entry entry_;
    connection connection_;
    client_key address_{};  // of the current request

    std::string buffer_;  // received bytes are [begin_, end_)
    std::size_t begin_{0};
    std::size_t end_{0};
    std::string head_;

    std::optional<request_parser> parser_;
    std::function<void(std::uint64_t, boost::beast::string_view, boost::system::error_code&)> on_chunk_;
    bool body_started_{false};
    std::optional<body_pace> body_pace_;  // nullopt: the whole body has one deadline
    exchange* current_{nullptr};
    std::optional<stream_state> stream_;
    std::size_t sending_bytes_{0};  // bytes in memory while the current answer or piece is being sent

    // Whether a watcher reads ahead of the answer, to notice a disconnect.
    enum class watching : std::uint8_t { nobody, reads, is_to_end };
    watching watching_{watching::nobody};
    std::shared_ptr<async::event> watch_done_;
    clock::time_point watch_from_{deadlines::never};  // when to start, if the request is not answered by then
};

}  // namespace sandboxd::http
