// What a handler gets: one request, and everything about its connection that a handler may want.
//
// A handler answers in one of three ways. It returns its response; or it begins an answer in pieces (`begin`,
// `write`, `finish`), and what it returns is ignored; or it takes the connection over (`take_over`). It may read
// the body first, whole or piece by piece, or while it answers in pieces; it may ask to be told when the client
// goes away (`watch_disconnect`), and it may note timings, which end up in Server-Timing and in the access log.
#pragma once

#include "async/stop.hpp"
#include "base/errc.hpp"
#include "http/message.hpp"
#include "http/quota.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/verb.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::http {

using verb = boost::beast::http::verb;
using field = boost::beast::http::field;
using stream_socket = boost::asio::generic::stream_protocol::socket;

class session;

class exchange {
public:
    explicit exchange(session& owner);
    exchange(const exchange&) = delete;
    exchange& operator=(const exchange&) = delete;

    // What follows is empty for a request whose header was refused: nobody may trust what it said.
    verb method() const noexcept;
    // The raw path, as it came: not decoded, not normalised. The query without its '?'.
    std::string_view path() const noexcept { return path_; }
    std::string_view query() const noexcept { return query_; }
    // `/a?` has a query, an empty one, and is another resource than `/a` (RFC 3986, 6.2.3).
    bool has_query() const noexcept { return query_.data() != nullptr; }
    // The field's (first) value; empty when it is absent.
    std::string_view operator[](field name) const;
    std::string_view operator[](std::string_view name) const;
    std::string_view request_id() const noexcept { return request_id_; }
    // Every field as it came, in order.
    const boost::beast::http::fields& fields() const;
    // 10 or 11.
    unsigned version() const noexcept;
    // The authority that is asked for: that of an absolute-form target, else the Host field (RFC 9112 3.2.2).
    std::string_view host() const;
    // The other end of the connection, as it was accepted.
    const peer& from() const;

    // What the route's pattern captured, in order.
    static constexpr std::size_t max_params = 4;
    std::string_view param(std::size_t i) const noexcept { return params_[i]; }

    // The whole body, at most `max_bytes`. Sends `100 Continue` when the client waits for it.
    // Errors: payload_too_large (before anything is read, when Content-Length tells), request_timeout,
    // invalid_request (broken chunks), disconnected.
    boost::asio::awaitable<result<std::string>> read_body(std::size_t max_bytes);
    // The next piece of the body; 0 bytes when it is over. The same errors, but for payload_too_large.
    boost::asio::awaitable<result<std::size_t>> read_some(std::span<char> into);
    // What Content-Length announces; empty without, as with chunks and without a body.
    std::optional<std::uint64_t> content_length() const;
    // Whether there is nothing (more) of a body to be read.
    bool body_done() const;
    // Bytes that are here already, of the body and behind it.
    std::size_t buffered() const;
    // From here on the body may take as long as it likes, as long as something of it comes in every `idle` that
    // somebody waits for it.
    void pace_body(std::chrono::milliseconds idle) noexcept;
    // Wakes who waits for a piece of the body, with `disconnected`; no more of it is read.
    void stop_reading();

    // ---- An answer in pieces, written by one coroutine at a time.

    // Begins it; nothing is sent yet. Of `head` the body is ignored. With `length` the pieces must come to just so
    // many bytes; without, the answer is chunked, and for HTTP/1.0 it ends with the connection. For a HEAD, and for
    // 204 and 304, the pieces are dropped. Once for each request.
    void begin(const response& head, std::optional<std::uint64_t> length = std::nullopt);
    void begin(const raw_head& head, std::optional<std::uint64_t> length = std::nullopt);
    bool begun() const noexcept;
    // Sends the head, if it has not been sent: before a wait for the first piece.
    boost::asio::awaitable<result<void>> flush();
    // Sends a piece, and the head before it; returns when the socket has taken it all, so who writes goes as fast as
    // the client reads. An empty piece is nothing. Error: disconnected, also when the client took nothing for
    // http.writeTimeoutSecs, or has kept the answer waiting for longer than that and its size at
    // http.minWriteBytesPerSec allow; internal for more bytes than were announced.
    boost::asio::awaitable<result<void>> write(std::string_view piece);
    // Sends the last piece, which may be empty, and ends the answer. Error: as write; internal for fewer bytes than
    // were announced: it is cut then.
    boost::asio::awaitable<result<void>> finish(std::string_view piece = {});
    // Ends the answer so that the client sees that it is not complete: the connection is closed without the last
    // chunk, or short of the length, or reset where its end is the answer's. So does a handler that returns or
    // throws after `begin` without `finish`.
    void cut() noexcept;
    // Sends an answer before the answer (1xx, but 101), for HTTP/1.1 only: `fields` are lines, as in raw_head.
    // Before `begin`. Error: disconnected.
    boost::asio::awaitable<result<void>> interim(unsigned status, std::string_view fields);

    // ---- The whole connection.

    struct connection {
        stream_socket& socket;  // not blocking; closed when the handler returns, and when the server must end
        std::string buffered;   // came behind the request already
    };
    // Sends `head` (101, or 2xx to a CONNECT), adds nothing to its fields, and hands the connection over: from here
    // on deadlines are the handler's. Error: disconnected.
    boost::asio::awaitable<result<connection>> take_over(const raw_head& head);
    // Counts what was sent to the client over it, for the access log.
    void count_sent(std::uint64_t bytes) noexcept;
    // So many bytes wait for the client to take them, here and in the kernel: they count among the answers that are not
    // sent (http.maxUnsentMB), until `release_unsent`. False when there is no room, even with the slowest of the others
    // given up; this one may be the next, which closes the connection.
    bool hold_unsent(std::size_t bytes);
    void release_unsent() noexcept;

    // Stopped with `disconnected` when the client goes away while watched, and with `draining` when the
    // server's patience at shutdown is over.
    async::stop_source& stop() noexcept { return stop_; }
    // Call once the body has been read and before a long wait.
    void watch_disconnect();
    // The same, but only if the answer takes longer than some 250 ms: costs nothing where it does not.
    void watch_disconnect_if_slow() noexcept;
    // This answer has no end of its own: `stop` is requested as soon as the server drains, without any patience.
    void end_when_draining();
    bool is_endless() const noexcept { return endless_; }

    // Adds a field to the answer's head, whoever makes that, also when it is begun in pieces or is an error; not to one
    // that is passed on from elsewhere (raw_head). `name` is a literal, `value` holds no control characters.
    void add_field(std::string_view name, std::string value) { added_fields_.emplace_back(name, std::move(value)); }
    const std::vector<std::pair<std::string_view, std::string>>& added_fields() const noexcept { return added_fields_; }

    // `name` is a literal token.
    void note_timing(std::string_view name, std::chrono::microseconds spent);
    std::optional<std::chrono::microseconds> timing(std::string_view name) const;
    const std::vector<std::pair<std::string_view, std::chrono::microseconds>>& timings() const noexcept
    {
        return timings_;
    }

    // Set by the router: which row of the table answers, and what its pattern captured.
    void set_route(std::string_view pattern, std::size_t row) noexcept
    {
        route_ = pattern;
        row_ = row;
    }
    void set_param(std::size_t i, std::string_view value) noexcept { params_[i] = value; }
    std::string_view route() const noexcept { return route_; }
    // Empty when no row matched.
    std::optional<std::size_t> row() const noexcept { return row_; }

    // The answer is somebody else's, and so are its errors: they are not this server's in the access log.
    void set_relayed() noexcept { relayed_ = true; }
    bool relayed() const noexcept { return relayed_; }

private:
    const boost::beast::http::request_header<>& header() const noexcept;

    session& session_;
    std::string_view path_;
    std::string_view query_;
    std::array<std::string_view, max_params> params_;
    std::string_view route_{"unmatched"};
    std::optional<std::size_t> row_;
    std::string request_id_;
    std::vector<std::pair<std::string_view, std::string>> added_fields_;
    std::vector<std::pair<std::string_view, std::chrono::microseconds>> timings_;
    async::stop_source stop_;
    bool endless_{false};
    bool relayed_{false};
};

}  // namespace sandboxd::http
