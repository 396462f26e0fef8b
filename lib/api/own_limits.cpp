#include "api/own_limits.hpp"

#include "api/reply.hpp"

namespace sandboxd::api {

namespace asio = boost::asio;
using tenants::limit;
using coming = tenants::account::coming;
using job = tenants::account::job;

namespace {

errc code_of(limit by) noexcept
{
    switch (by) {
        case limit::requests_per_minute: return errc::tenant_request_limit;
        case limit::concurrent_jobs: return errc::tenant_job_limit;
        case limit::cpu_seconds_per_day: return errc::tenant_cpu_limit;
        case limit::fuel_per_day: return errc::tenant_fuel_limit;
        case limit::deployments: return errc::tenant_deployment_limit;
        case limit::kept_bytes: break;
    }
    return errc::tenant_storage_limit;
}

std::string words_of(const tenants::over_limit& over)
{
    const auto most = std::to_string(over.most);
    switch (over.by) {
        case limit::requests_per_minute: return "may send " + most + " requests per minute; send the next one later";
        case limit::concurrent_jobs:
            return "has reached its limit of " + most + " jobs that run or wait; wait until one has ended";
        case limit::cpu_seconds_per_day:
            return "has used up its " + most + " processor seconds for today; wait for the next day (UTC)";
        case limit::fuel_per_day: return "has used up its " + most + " fuel for today; wait for the next day (UTC)";
        case limit::deployments: return "has reached its limit of " + most + " deployments; delete one";
        case limit::kept_bytes: break;
    }
    return "may keep " + most + " bytes of files, and this would be more; delete a sandbox or a deployment";
}

limit_refusal refusal_of(const http::exchange& x, const tenants::over_limit& over)
{
    const std::string quoted = "\"" + std::string{name(over.by)} + "\"";
    limit_refusal made{.why = {code_of(over.by), "the key of '" + x.tenant()->name + "' " + words_of(over) +
                                                     ", or ask the operator for more (limits." +
                                                     std::string{name(over.by)} + " of the key)"},
                       .fields = {}};
    // draft-ietf-httpapi-ratelimit-headers-10: of what is no rate there is no window, and of requests and bytes a unit.
    auto policy = quoted + ";q=" + std::to_string(over.most);
    if (over.by == limit::concurrent_jobs) policy += ";qu=\"concurrent-requests\"";
    if (over.by == limit::kept_bytes) policy += ";qu=\"content-bytes\"";
    if (over.window) policy += ";w=" + std::to_string(over.window->count());
    auto left = quoted + ";r=0";
    if (over.wait) left += ";t=" + std::to_string(over.wait->count());
    made.fields.emplace_back("Retry-After", std::to_string(over.wait.value_or(std::chrono::seconds{1}).count()));
    made.fields.emplace_back("RateLimit-Policy", std::move(policy));
    made.fields.emplace_back("RateLimit", std::move(left));
    return made;
}

std::optional<limit_refusal> refusal_of(const http::exchange& x, const std::optional<tenants::over_limit>& over)
{
    return over ? std::optional{refusal_of(x, *over)} : std::nullopt;
}

}  // namespace

http::response limited(http::response answer, limit_refusal&& refused)
{
    if (refused.fields.empty()) return answer;
    std::erase_if(answer.fields, [](const auto& one) { return one.first == "Retry-After"; });
    for (auto& one : refused.fields) answer.fields.push_back(std::move(one));
    return answer;
}

std::shared_ptr<tenants::account> account_of(const http::exchange& x)
{
    return x.tenant() ? x.tenant()->account : nullptr;
}

bool counts_as_request(const http::exchange& x)
{
    if (!x.tenant() || x.from().fleet) return false;
    const auto method = x.method();
    return method != http::verb::get && method != http::verb::head && method != http::verb::options;
}

asio::awaitable<std::optional<limit_refusal>> refuse_request(services& with, const http::exchange& x)
{
    using clock = std::chrono::steady_clock;
    auto& of = *x.tenant()->account;
    if (with.quotas && of.limits().get(limit::requests_per_minute)) {
        if (auto over = of.refuse_request(clock::now())) co_return refusal_of(x, *over);
        const auto counted = co_await with.quotas->count_request(x.tenant()->name);
        if (counted) co_return refusal_of(x, of.take_counted(*counted, clock::now()));
    }
    co_return refusal_of(x, of.take_request(clock::now()));
}

asio::awaitable<job_place> take_job_place(services& with, const http::exchange& x, tenants::work what)
{
    const auto of = account_of(x);
    if (!of) co_return job_place{.refused = {}, .mine = job{nullptr}};
    if (auto over = of->refuse(what, std::chrono::system_clock::now()))
        co_return job_place{.refused = refusal_of(x, *over), .mine = job{nullptr}};
    job mine{of};
    if (with.quotas && of->is_bounded(what)) {
        const auto elsewhere = co_await with.quotas->count(x.tenant()->name, of);
        auto over = elsewhere ? of->refuse_counted(what, std::chrono::system_clock::now(), *elsewhere) : std::nullopt;
        if (over) co_return job_place{.refused = refusal_of(x, *over), .mine = job{nullptr}};
    }
    co_return job_place{.refused = {}, .mine = std::move(mine)};
}

asio::awaitable<keeping_place> take_keeping_place(services& with, const http::exchange& x, tenants::keeping more)
{
    const auto of = account_of(x);
    if (!of || (!of->limits().get(limit::deployments) && !of->limits().get(limit::kept_bytes)))
        co_return keeping_place{.refused = {}, .mine = coming{of, more}};
    // What is on its way counts as it is now, before anybody asks what is there: what arrives meanwhile counts twice
    // rather than not at all.
    auto others = of->on_its_way();
    coming mine{of, more};
    if (with.quotas) {
        if (const auto elsewhere = co_await with.quotas->count(x.tenant()->name, of)) {
            others.deployments += elsewhere->coming.deployments;
            others.bytes += elsewhere->coming.bytes;
        }
    }
    const auto refused = [](limit_refusal why) {
        return keeping_place{.refused = std::move(why), .mine = coming{nullptr, {}}};
    };
    if (with.sandboxes) {
        const auto bytes = co_await with.sandboxes->bytes_of(x.tenant()->name);
        if (!bytes) co_return refused({.why = bytes.error(), .fields = {}});
        others.bytes += static_cast<std::int64_t>(*bytes);
    }
    if (with.faas) {
        const auto held = co_await with.faas->held_by(x.tenant()->name);
        if (!held) co_return refused({.why = held.error(), .fields = {}});
        others.deployments += static_cast<std::int64_t>(held->deployments);
        others.bytes += static_cast<std::int64_t>(held->bytes);
    }
    if (const auto over = of->refuse(others, more)) co_return refused(refusal_of(x, *over));
    co_return keeping_place{.refused = {}, .mine = std::move(mine)};
}

std::function<void(std::chrono::microseconds)> charge_cpu(const http::exchange& x)
{
    auto of = account_of(x);
    if (!of) return {};
    return
        [of = std::move(of)](std::chrono::microseconds used) { of->spend_cpu(used, std::chrono::system_clock::now()); };
}

std::function<void(std::int64_t)> charge_fuel(const http::exchange& x)
{
    auto of = account_of(x);
    if (!of) return {};
    return [of = std::move(of)](std::int64_t used) { of->spend_fuel(used, std::chrono::system_clock::now()); };
}

}  // namespace sandboxd::api
