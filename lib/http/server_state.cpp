#include "http/server_state.hpp"

#include "base/digest.hpp"
#include "http/giving_up.hpp"
#include "http/session.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <array>
#include <charconv>
#include <utility>

namespace sandboxd::http {

namespace asio = boost::asio;

server_state::server_state(const asio::any_io_executor& executor, server_settings how_much, server_hooks what,
                           metrics::registry& metrics)
    : bounds{how_much},
      hooks{std::move(what)},
      received{bounds.received_bytes},
      pending{bounds.pending_bytes},
      unsent{bounds.unsent_bytes},
      tasks{executor},
      requests{bounds.requests_a_minute},
      accepted{metrics.add_counter("sandboxd_http_connections_accepted_total", "Connections accepted.")},
      evicted{metrics.add_counter("sandboxd_http_connections_evicted_total",
                                  "Idle connections closed to make room (http.maxConnections).")},
      evicted_headers{metrics.add_counter("sandboxd_http_headers_evicted_total",
                                          "Connections closed to make room while their header was unfinished.")},
      evicted_bodies{metrics.add_counter("sandboxd_http_bodies_evicted_total",
                                         "Connections closed to make room while their body was unfinished.")},
      evicted_answers{metrics.add_counter("sandboxd_http_answers_evicted_total",
                                          "Connections closed to make room while their answer was read slowly, or "
                                          "was endless (http.maxConnections).")},
      over_connections{metrics.add_counter("sandboxd_http_over_connections_total",
                                           "Connections of clients at their limit (http.maxConnectionsPerClient).")},
      refused_bodies{metrics.add_counter(
          "sandboxd_http_bodies_refused_total",
          "Requests refused because bodies use all memory (http.maxReceivedMB, http.maxPendingMB).")},
      evicted_readers{metrics.add_counter("sandboxd_http_readers_evicted_total",
                                          "Connections closed because unread answers exceeded http.maxUnsentMB.")},
      accept_errors{metrics.add_counter("sandboxd_http_accept_errors_total", "Failures of accept(2).")},
      expired{metrics.add_counter("sandboxd_http_deadlines_total",
                                  "Connections that ran into a header, body, idle or write timeout.")},
      slow_bodies{metrics.add_counter("sandboxd_http_slow_bodies_total",
                                      "Bodies for programs that were given up because they came too slowly "
                                      "(http.minReadBytesPerSec).")},
      over_quota{metrics.add_counter("sandboxd_http_over_quota_total",
                                     "Requests refused by the rate limit (http.maxRequestsPerMinutePerClient).")},
      quiet_{executor, asio::steady_timer::time_point::max()},
      id_prefix_{random_hex(5) + "-"}
{
    metrics.add_gauge("sandboxd_http_connections", "Open connections.",
                      [this] { return static_cast<double>(sessions.size()); });
    metrics.add_gauge("sandboxd_http_received_bytes", "Bytes of incomplete requests.",
                      [this] { return static_cast<double>(received.held()); });
    metrics.add_gauge("sandboxd_http_pending_bytes", "Bytes of bodies whose requests are being answered.",
                      [this] { return static_cast<double>(pending.held()); });
    metrics.add_gauge("sandboxd_http_unsent_bytes", "Bytes of answers that clients have not read yet.",
                      [this] { return static_cast<double>(unsent.held()); });
    metrics.add_gauge("sandboxd_http_requests_active", "Requests being answered.",
                      [this] { return static_cast<double>(active_); });
}

bool server_state::make_fit_received(const session_entry& asking, std::size_t bytes)
{
    while (!received.fits(bytes)) {
        const auto one = for_received_bytes(sessions, asking);
        if (!one.whom) return false;
        (one.what == unfinished::body ? evicted_bodies : evicted_headers).add();
        one.whom->owner->abort();
    }
    return true;
}

bool server_state::make_fit_unsent(const session_entry& asking, std::size_t bytes)
{
    while (!unsent.fits(bytes)) {
        auto* const slowest = for_unsent_bytes(sessions, asking);
        if (!slowest) break;
        evicted_readers.add();
        slowest->owner->abort();
    }
    return unsent.fits(bytes);
}

void server_state::request_ended()
{
    if (--active_ == 0) quiet_.cancel();
}

asio::awaitable<void> server_state::wait_quiet()
{
    boost::system::error_code ignored;  // the timer ends only by cancellation
    while (active_ > 0) co_await quiet_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

std::string server_state::next_request_id()
{
    std::array<char, 16> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), ++next_id_, 16).ptr;
    std::string id;
    id.reserve(id_prefix_.size() + digits.size());
    id += id_prefix_;
    id.append(digits.data(), end);
    return id;
}

std::string_view server_state::date()
{
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec != date_second_) {
        // IMF-fixdate, RFC 9110 5.6.7.
        std::tm parts{};
        ::gmtime_r(&now.tv_sec, &parts);
        std::array<char, 64> text{};
        date_.assign(text.data(), std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts));
        date_second_ = now.tv_sec;
    }
    return date_;
}

}  // namespace sandboxd::http
