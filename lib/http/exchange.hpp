// What a handler gets: one request, and everything about its connection that a handler may want.
//
// A handler returns its response. It may read the body first, whole or piece by piece; it may ask to be
// told when the client goes away (`watch_disconnect`), and it may note timings, which end up in
// Server-Timing and in the access log.
#pragma once

#include "async/stop.hpp"
#include "base/errc.hpp"
#include "http/message.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/verb.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::http {

using verb = boost::beast::http::verb;
using field = boost::beast::http::field;

class session;

class exchange {
public:
    explicit exchange(session& owner);
    exchange(const exchange&) = delete;
    exchange& operator=(const exchange&) = delete;

    verb method() const noexcept;
    // The raw path, as it came: not decoded, not normalised. The query without its '?'.
    std::string_view path() const noexcept { return path_; }
    std::string_view query() const noexcept { return query_; }
    // The field's (first) value; empty when it is absent.
    std::string_view operator[](field name) const;
    std::string_view operator[](std::string_view name) const;
    std::string_view request_id() const noexcept { return request_id_; }

    // What the route's pattern captured, in order.
    static constexpr std::size_t max_params = 4;
    std::string_view param(std::size_t i) const noexcept { return params_[i]; }

    // The whole body, at most `max_bytes`. Sends `100 Continue` when the client waits for it.
    // Errors: payload_too_large (before anything is read, when Content-Length tells), request_timeout,
    // invalid_request (broken chunks), disconnected.
    boost::asio::awaitable<result<std::string>> read_body(std::size_t max_bytes);
    // The next piece of the body; 0 bytes when it is over.
    boost::asio::awaitable<result<std::size_t>> read_some(std::span<char> into);

    // Stopped with `disconnected` when the client goes away while watched, and with `draining` when the
    // server's patience at shutdown is over.
    async::stop_source& stop() noexcept { return stop_; }
    // Call once the body has been read and before a long wait.
    void watch_disconnect();

    // `name` is a literal token.
    void note_timing(std::string_view name, std::chrono::microseconds spent);
    std::optional<std::chrono::microseconds> timing(std::string_view name) const;

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

private:
    friend class session;
    session& session_;
    std::string_view path_;
    std::string_view query_;
    std::array<std::string_view, max_params> params_;
    std::string_view route_{"unmatched"};
    std::optional<std::size_t> row_;
    std::string request_id_;
    std::vector<std::pair<std::string_view, std::chrono::microseconds>> timings_;
    async::stop_source stop_;
};

}  // namespace sandboxd::http
