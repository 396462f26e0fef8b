// The shared state of one server's sessions: limits, hooks, the list of sessions, budgets and counters.
#pragma once

#include "async/task_group.hpp"
#include "base/metrics.hpp"
#include "http/budget.hpp"
#include "http/exchange.hpp"
#include "http/quota.hpp"
#include "http/server_settings.hpp"
#include "http/session_list.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <functional>
#include <string>
#include <string_view>

namespace sandboxd::http {

// An answered request, for the access log and the metrics.
struct completed {
    const exchange& request;
    unsigned status;
    std::uint64_t body_bytes;
    std::chrono::microseconds total;  // from the end of the header to the end of the answer
    bool cut{false};                  // begun, but not completed
};

// `handle` answers every request whose header passed the check; its exceptions become a 500. `refuse` words errors
// that happen before a handler is reached; for a malformed header the exchange has only an id and an empty path.
// `observe` sees every answer. `identify` finds out whose key a request has, if that was not done yet: its quota is
// then that tenant's. Empty: requests have no keys. `begin` sees every request before all others do, also one whose
// header was refused, and must not throw. Empty: nobody wants to.
struct server_hooks {
    std::function<boost::asio::awaitable<response>(exchange&)> handle;
    std::function<response(const error&, exchange&)> refuse;
    std::function<void(const completed&)> observe;
    std::function<void(exchange&)> identify{};
    std::function<void(exchange&)> begin{};
};

class server_state {
public:
    server_state(const boost::asio::any_io_executor& executor, server_settings how_much, server_hooks what,
                 metrics::registry& metrics);
    server_state(const server_state&) = delete;
    server_state& operator=(const server_state&) = delete;

    // Makes so many bytes fit into the budget, dropping others if necessary (giving_up.hpp). False if they do not
    // fit.
    bool make_fit_received(const session_entry& asking, std::size_t bytes);
    bool make_fit_unsent(const session_entry& asking, std::size_t bytes);

    void request_started() noexcept { ++active_; }
    void request_ended();
    std::size_t active() const noexcept { return active_; }
    // Returns when no request is being answered.
    boost::asio::awaitable<void> wait_quiet();

    std::string next_request_id();
    // The current time as IMF-fixdate (RFC 9110 5.6.7); valid until the next call.
    std::string_view date();

    const server_settings bounds;
    const server_hooks hooks;
    // Declared before the sessions, which return their bytes to it.
    budget received;
    budget pending;
    budget unsent;
    session_list sessions;
    async::task_group tasks;
    quota requests;
    bool draining{false};  // answers end their connections

    metrics::counter& accepted;
    metrics::counter& evicted;
    metrics::counter& evicted_headers;
    metrics::counter& evicted_bodies;
    metrics::counter& evicted_answers;
    metrics::counter& over_connections;
    metrics::counter& refused_bodies;
    metrics::counter& evicted_readers;
    metrics::counter& accept_errors;
    metrics::counter& expired;
    metrics::counter& slow_bodies;
    metrics::counter& over_quota;

private:
    std::size_t active_{0};
    boost::asio::steady_timer quiet_;  // cancelled when the last active request ends
    std::string id_prefix_;
    std::uint64_t next_id_{0};
    std::string date_;
    std::time_t date_second_{-1};
};

}  // namespace sandboxd::http
