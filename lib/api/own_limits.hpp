// The limits of a request's key (`limits` in the keys file): asked before work starts, and told what it has used. Where
// servers count together (services::quotas), the others are asked, too; while nobody says what they count, each server
// goes by what it counts itself.
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

// Whether the request counts: GET, HEAD and OPTIONS do not, as for http.maxRequestsPerMinutePerClient, nor does what
// another server has counted.
bool counts_as_request(const http::exchange& x);
// Counts it.
boost::asio::awaitable<std::optional<limit_refusal>> refuse_request(services& with, const http::exchange& x);

// A job's place among those of its key; or why it may not start, and then it has none.
struct job_place {
    std::optional<limit_refusal> refused;
    tenants::account::job mine;
};
boost::asio::awaitable<job_place> take_job_place(services& with, const http::exchange& x, tenants::work what);

// What will be kept for a tenant, and counts until it is there; or why it may not be, and then it counts no more.
// Errors: those of reading how much he keeps.
struct keeping_place {
    std::optional<limit_refusal> refused;
    tenants::account::coming mine;
};
boost::asio::awaitable<keeping_place> take_keeping_place(services& with, const http::exchange& x,
                                                         tenants::keeping more);

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
