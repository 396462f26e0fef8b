// A handler's view of one request and its connection.
//
// A handler answers in one of three ways: it returns its response; it sends an answer in pieces (`begin`, `write`,
// `finish`), and its return value is ignored; or it takes over the connection (`take_over`). It may read the body
// first, whole or piece by piece, or while it answers in pieces. It may watch for the client's disconnect
// (`watch_disconnect`), and note timings for Server-Timing and the access log.
#pragma once

#include "async/stop.hpp"
#include "base/client_key.hpp"
#include "base/errc.hpp"
#include "http/message.hpp"
#include "http/quota.hpp"
#include "tenants/tenant.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/verb.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
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

// What somebody keeps of a request while it is answered (lib/telemetry). It goes with the exchange.
class request_trace {
public:
    virtual ~request_trace() = default;
};

class exchange {
public:
    explicit exchange(session& owner);
    // The same request, whose body has been read, without its connection: what handles it may last for longer. It is
    // not answered in pieces, and `stop` is its owner's. Of its Accept field, the wish for a stream is left out.
    exchange(const exchange& of, std::string body);
    ~exchange();
    exchange(const exchange&) = delete;
    exchange& operator=(const exchange&) = delete;

    // The following are empty for a request whose header was refused, because nothing in it can be trusted.
    verb method() const noexcept;
    // The raw path, neither decoded nor normalised. The query excludes its '?'.
    std::string_view path() const noexcept { return path_; }
    std::string_view query() const noexcept { return query_; }
    // `/a?` has an empty query, and is a different resource from `/a` (RFC 3986, 6.2.3).
    bool has_query() const noexcept { return query_.data() != nullptr; }
    // The field's (first) value; empty when it is absent.
    std::string_view operator[](field name) const;
    std::string_view operator[](std::string_view name) const;
    std::string_view request_id() const noexcept { return request_id_; }
    // All fields as received, in order.
    const boost::beast::http::fields& fields() const;
    // 10 or 11.
    unsigned version() const noexcept;
    // The requested authority: that of an absolute-form target, otherwise the Host field (RFC 9112 3.2.2).
    std::string_view host() const noexcept { return host_; }
    // Whether it has the connection on which it came; without one it is not answered in pieces.
    bool has_connection() const noexcept { return session_ != nullptr; }
    // The peer of the connection, as accepted.
    const peer& from() const;
    // Where the request comes from: the peer, or the client that a trusted proxy names last in X-Forwarded-For. Zeros
    // for a proxy on the Unix socket that names nobody.
    const client_key& address() const;
    // Whom the request counts for, in all limits, lines and stores: its tenant, else its address.
    const client_key& client() const { return tenant_ ? tenant_->client : address(); }

    // Whose key the request has; null: it has none, or needs none. It stays what it was when the keys change meanwhile.
    const tenants::tenant* tenant() const noexcept { return tenant_.get(); }
    void set_tenant(std::shared_ptr<const tenants::tenant> who) noexcept { tenant_ = std::move(who); }

    // The segments that the route's pattern captured, in order.
    static constexpr std::size_t max_params = 4;
    std::string_view param(std::size_t i) const noexcept { return params_[i]; }

    // Reads the whole body, at most `max_bytes`. Sends `100 Continue` if the client waits for it. Errors:
    // payload_too_large (before reading, if Content-Length is too large), request_timeout, invalid_request (malformed
    // chunks), disconnected.
    boost::asio::awaitable<result<std::string>> read_body(std::size_t max_bytes);
    // Reads the next piece of the body; 0 bytes at its end. The same errors, except payload_too_large.
    boost::asio::awaitable<result<std::size_t>> read_some(std::span<char> into);
    // The value of Content-Length; nullopt without one (a chunked body, or none).
    std::optional<std::uint64_t> content_length() const;
    // Whether nothing of the body is left to read.
    bool body_done() const;
    // Gives back a body that was read whole: `read_body` returns it to who reads it next.
    void put_back_body(std::string body) { put_back_ = std::move(body); }
    // The bytes of the body, and after it, that have already arrived.
    std::size_t buffered() const;
    // From here on the body has no total time limit, but no read may wait longer than `idle`, and all reads together no
    // longer than http.bodyTimeoutSecs plus the time for what has come at http.minReadBytesPerSec (class body_pace).
    void pace_body(std::chrono::milliseconds idle) noexcept;
    // Wakes a reader of the body with `disconnected`; no more of the body is read.
    void stop_reading();

    // ---- An answer in pieces, written by one coroutine at a time.

    // Begins the answer; sends nothing yet. The body of `head` is ignored. With `length` the pieces must have exactly
    // so many bytes in total; without it the answer is chunked, or ends with the connection for HTTP/1.0. For HEAD,
    // 204 and 304 the pieces are dropped. Call once for each request.
    void begin(const response& head, std::optional<std::uint64_t> length = std::nullopt);
    void begin(const raw_head& head, std::optional<std::uint64_t> length = std::nullopt);
    bool begun() const noexcept;
    // The status of the answer that has begun; 0: none has.
    unsigned begun_status() const noexcept;
    // Sends the head if it was not sent yet. For use before a wait for the first piece.
    boost::asio::awaitable<result<void>> flush();
    // Sends a piece, and the head before it. Returns when the socket has taken everything, so the writer keeps the
    // client's pace. An empty piece does nothing. Error: disconnected, also when the client read nothing for
    // http.writeTimeoutSecs, or kept the answer waiting for longer than that plus the time for its size at
    // http.minWriteBytesPerSec; internal for more bytes than announced.
    boost::asio::awaitable<result<void>> write(std::string_view piece);
    // Sends the last piece, which may be empty, and ends the answer. Error: as write; internal for fewer bytes than
    // announced (the answer is cut then).
    boost::asio::awaitable<result<void>> finish(std::string_view piece = {});
    // Ends the answer visibly incomplete: closes the connection without the last chunk or short of the length, or
    // resets it if its end would be the answer's end. The same happens if a handler returns or throws after `begin`
    // without `finish`.
    void cut() noexcept;
    // Sends an interim answer (1xx except 101), for HTTP/1.1 only: `fields` are lines, as in raw_head. Call before
    // `begin`. Error: disconnected.
    boost::asio::awaitable<result<void>> interim(unsigned status, std::string_view fields);

    // Keeps what an answer in pieces says from now on, as far as `most` bytes; it must stay until the answer ends.
    struct recording {
        std::size_t most{0};
        std::string_view content_type{};  // empty: nothing has begun
        std::string body{};
        bool is_cut{false};    // there was more
        bool is_whole{false};  // it has come to its end
    };
    void record(recording& into) noexcept { recording_ = &into; }

    // Tells who follows the request how far its work has come: `name` is a literal, `data` is JSON.
    using follower = std::function<void(std::string_view name, const std::string& data)>;
    void set_follower(follower who) { follower_ = std::move(who); }
    const follower& followed_by() const noexcept { return follower_; }

    // ---- The whole connection.

    struct connection {
        stream_socket& socket;  // non-blocking; closed when the handler returns or the server must end
        std::string buffered;   // bytes that arrived after the request
    };
    // Sends `head` (101, or 2xx to a CONNECT) without adding fields, and hands over the connection: from here on the
    // handler enforces deadlines. Error: disconnected.
    boost::asio::awaitable<result<connection>> take_over(const raw_head& head);
    // Counts bytes that were sent to the client over it, for the access log.
    void count_sent(std::uint64_t bytes) noexcept;
    // Counts bytes that the client has not read yet, here and in the kernel, as unsent answers (http.maxUnsentMB),
    // until `release_unsent`. False when there is no room even after closing the slowest of the others; this
    // connection may then be the next to be closed.
    bool hold_unsent(std::size_t bytes);
    void release_unsent() noexcept;

    // Stopped with `disconnected` when the client disconnects while watched, and with `draining` when the server's
    // grace at shutdown is over.
    async::stop_source& stop() noexcept { return stop_; }
    // Call after the body was read and before a long wait.
    void watch_disconnect();
    // The same, but only if the answer takes longer than about 250 ms; otherwise it costs nothing.
    void watch_disconnect_if_slow() noexcept;
    // Marks an endless answer: `stop` is requested as soon as the server drains, without a grace.
    void end_when_draining();
    bool is_endless() const noexcept { return endless_; }

    // Adds a field to the answer's head, also of an answer in pieces or an error, but not to a forwarded one
    // (raw_head). `name` is a literal; `value` has no control characters.
    void add_field(std::string_view name, std::string value) { added_fields_.emplace_back(name, std::move(value)); }
    const std::vector<std::pair<std::string_view, std::string>>& added_fields() const noexcept { return added_fields_; }

    // `name` is a literal token.
    void note_timing(std::string_view name, std::chrono::microseconds spent);
    std::optional<std::chrono::microseconds> timing(std::string_view name) const;
    const std::vector<std::pair<std::string_view, std::chrono::microseconds>>& timings() const noexcept
    {
        return timings_;
    }

    // The trace that the request belongs to, for the log: 32 hexadecimal digits; empty: none.
    static constexpr std::size_t trace_id_digits = 32;
    std::string_view trace_id() const noexcept { return {trace_id_.data(), trace_id_size_}; }
    void set_trace_id(std::string_view id) noexcept { trace_id_size_ = id.copy(trace_id_.data(), trace_id_.size()); }
    // What is kept of it; null: nothing.
    request_trace* trace() const noexcept { return trace_.get(); }
    void set_trace(std::unique_ptr<request_trace> its) noexcept { trace_ = std::move(its); }

    // Set by the router: the row of the table that answers, and the captured segments.
    void set_route(std::string_view pattern, std::size_t row) noexcept
    {
        route_ = pattern;
        row_ = row;
    }
    void set_param(std::size_t i, std::string_view value) noexcept { params_[i] = value; }
    std::string_view route() const noexcept { return route_; }
    // Nullopt when no row matched.
    std::optional<std::size_t> row() const noexcept { return row_; }

    // The answer comes from an upstream: its errors do not count as this server's in the access log.
    void set_relayed() noexcept { relayed_ = true; }
    bool relayed() const noexcept { return relayed_; }

private:
    const boost::beast::http::request_header<>& header() const noexcept;
    void read_target();

    session& connected() const;
    void record(const response& head);
    void record(std::string_view piece);

    struct alone;
    session* session_;  // null: without a connection
    std::unique_ptr<alone> alone_;
    std::optional<std::string> put_back_;
    recording* recording_{nullptr};
    follower follower_;
    std::string_view path_;
    std::string_view query_;
    std::string_view host_;
    std::array<std::string_view, max_params> params_;
    std::string_view route_{"unmatched"};
    std::optional<std::size_t> row_;
    std::shared_ptr<const tenants::tenant> tenant_;
    std::string request_id_;
    std::vector<std::pair<std::string_view, std::string>> added_fields_;
    std::vector<std::pair<std::string_view, std::chrono::microseconds>> timings_;
    async::stop_source stop_;
    std::array<char, trace_id_digits> trace_id_{};
    std::size_t trace_id_size_{0};
    std::unique_ptr<request_trace> trace_;
    bool endless_{false};
    bool relayed_{false};
};

}  // namespace sandboxd::http
