// The limits of a request's key (`limits` in the keys file): asked before work starts, and told what it has used.
#pragma once

#include "api/services.hpp"
#include "http/exchange.hpp"
#include "http/message.hpp"
#include "tenants/account.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::api {

// Why a request may not go on, and what its answer says besides.
struct limit_refusal {
    error why;
    std::vector<std::pair<std::string_view, std::string>> fields;
};
// The answer that says so: an endpoint's own words for `why`, with the fields.
http::response limited(http::response answer, limit_refusal&& refused);

// Null: nobody needs a key.
std::shared_ptr<tenants::account> account_of(const http::exchange& x);

// Counts the request. GET, HEAD and OPTIONS do not count, as for http.maxRequestsPerMinutePerClient.
std::optional<limit_refusal> refuse_request(const http::exchange& x);
// Whether a job may start. Where it may, an account::job holds its place.
std::optional<limit_refusal> refuse_work(const http::exchange& x, tenants::work what);
// Whether the tenant may keep that, too. Errors: those of reading how much he keeps.
boost::asio::awaitable<std::optional<limit_refusal>> refuse_keeping(services& with, const http::exchange& x,
                                                                    tenants::account::keeping more);

// What files will take, before those that they replace are gone.
template <class Files>
std::int64_t bytes_of(const Files& files)
{
    std::int64_t bytes = 0;
    for (const auto& one : files) bytes += static_cast<std::int64_t>(one.content.size());
    return bytes;
}

// Whom to tell what a job has used; empty: nobody.
std::function<void(std::chrono::microseconds)> charge_cpu(const http::exchange& x);
std::function<void(std::int64_t)> charge_fuel(const http::exchange& x);

}  // namespace sandboxd::api
