#include "tenants/account.hpp"

#include <algorithm>

namespace sandboxd::tenants {

namespace {

using std::chrono::ceil;
using std::chrono::days;
using std::chrono::floor;
using std::chrono::seconds;

struct limit_row {
    std::string_view name;
    std::int64_t most;
};

// In the order of the enumeration.
constexpr std::array<limit_row, limit_count> limit_rows{{{"requestsPerMinute", 1'000'000'000},
                                                         {"concurrentJobs", 1'000'000},
                                                         {"cpuSecondsPerDay", 1'000'000'000},
                                                         {"fuelPerDay", 1'000'000'000'000'000'000},
                                                         {"deployments", 1'000'000},
                                                         {"keptBytes", 1'000'000'000'000'000}}};

constexpr seconds a_day{86'400};
constexpr std::chrono::minutes a_minute{1};

}  // namespace

std::string_view name(limit one) noexcept { return limit_rows[static_cast<std::size_t>(one)].name; }

std::int64_t most_of(limit one) noexcept { return limit_rows[static_cast<std::size_t>(one)].most; }

meters::meters(metrics::registry& into, std::string label)
    : requests{into.add_counter("sandboxd_tenant_requests_total",
                                "Requests with a key, by tenant ('other': those beyond the first 64).", label)},
      fuel{into.add_counter("sandboxd_tenant_fuel_total", "Fuel that JavaScript has burnt, by tenant.", label)},
      registry_{into},
      label_{std::move(label)}
{
    into.add_gauge(
        "sandboxd_tenant_cpu_seconds_total", "Processor time of compiles and executions of sandboxes, by tenant.",
        [this] { return std::chrono::duration<double>(cpu).count(); }, label_);
    into.add_gauge(
        "sandboxd_tenant_jobs", "Jobs that run or wait, by tenant.", [this] { return static_cast<double>(jobs); },
        label_);
}

void meters::count_refused(limit by)
{
    auto& counted = refused_[static_cast<std::size_t>(by)];
    if (!counted)
        counted = &registry_.add_counter("sandboxd_tenant_refused_total",
                                         "Requests refused for a limit of their key, by tenant and limit.",
                                         label_ + ",limit=\"" + std::string{name(by)} + "\"");
    counted->add();
}

std::optional<over_limit> account::refused(limit by, std::int64_t most, std::optional<seconds> window,
                                           std::optional<seconds> wait)
{
    meters_->count_refused(by);
    return over_limit{.by = by, .most = most, .window = window, .wait = wait};
}

void account::turn_to(utc_time now)
{
    // Also back, should somebody set the clock: the day that is now has a limit of its own.
    const auto today = floor<days>(now);
    if (today == day_) return;
    day_ = today;
    cpu_ = {};
    fuel_ = 0;
}

std::optional<over_limit> account::take_request(steady_time now)
{
    const auto most = limits_.get(limit::requests_per_minute);
    if (!most) return std::nullopt;
    count_request(now);
    if (requests_ <= *most) return std::nullopt;
    --requests_;
    return refused(limit::requests_per_minute, *most, a_minute, ceil<seconds>(*minute_ + a_minute - now));
}

void account::count_request(steady_time now)
{
    if (!minute_ || *minute_ + a_minute <= now) {
        minute_ = now;
        requests_ = 0;
    }
    ++requests_;
}

std::optional<over_limit> account::refuse_request(steady_time now)
{
    const auto most = limits_.get(limit::requests_per_minute);
    if (!most || !over_until_ || *over_until_ <= now) return std::nullopt;
    return refused(limit::requests_per_minute, *most, a_minute, ceil<seconds>(*over_until_ - now));
}

std::optional<over_limit> account::take_counted(const minute& counted, steady_time now)
{
    const auto most = limits_.get(limit::requests_per_minute);
    if (!most) return std::nullopt;
    if (counted.requests <= *most) {
        count_request(now);
        return std::nullopt;
    }
    over_until_ = now + counted.left;
    return refused(limit::requests_per_minute, *most, a_minute, std::max(ceil<seconds>(counted.left), seconds{1}));
}

std::optional<over_limit> account::refuse(work what, utc_time now) { return refuse_beside(what, now, {.jobs = 1}); }

std::optional<over_limit> account::refuse_counted(work what, utc_time now, const usage& elsewhere)
{
    return refuse_beside(what, now, elsewhere);
}

// `more`: beside what is counted here.
std::optional<over_limit> account::refuse_beside(work what, utc_time now, const usage& more)
{
    if (const auto most = limits_.get(limit::concurrent_jobs); most && jobs_ + more.jobs > *most)
        return refused(limit::concurrent_jobs, *most, std::nullopt, std::nullopt);
    turn_to(now);
    const auto left = ceil<seconds>(day_ + days{1} - now);
    if (what == work::processor) {
        const auto most = limits_.get(limit::cpu_seconds_per_day);
        if (most && cpu_ + more.cpu >= seconds{*most}) return refused(limit::cpu_seconds_per_day, *most, a_day, left);
    } else {
        const auto most = limits_.get(limit::fuel_per_day);
        if (most && fuel_ + more.fuel >= *most) return refused(limit::fuel_per_day, *most, a_day, left);
    }
    return std::nullopt;
}

bool account::is_bounded(work what) const noexcept
{
    const auto of_day = what == work::processor ? limit::cpu_seconds_per_day : limit::fuel_per_day;
    return limits_.get(limit::concurrent_jobs) || limits_.get(of_day);
}

usage account::here(utc_time now)
{
    turn_to(now);
    return {.jobs = jobs_, .coming = coming_, .cpu = cpu_, .fuel = fuel_};
}

void account::spend_cpu(std::chrono::microseconds used, utc_time now)
{
    turn_to(now);
    used = std::max(used, std::chrono::microseconds{0});
    cpu_ += used;
    meters_->cpu += used;
    tell();
}

void account::spend_fuel(std::int64_t used, utc_time now)
{
    turn_to(now);
    used = std::clamp<std::int64_t>(used, 0, most_of(limit::fuel_per_day));
    fuel_ = std::min(fuel_, most_of(limit::fuel_per_day)) + used;
    meters_->fuel.add(static_cast<std::uint64_t>(used));
    tell();
}

std::optional<over_limit> account::refuse(const keeping& others, const keeping& more)
{
    const auto deployments = limits_.get(limit::deployments);
    if (deployments && more.deployments > 0 && others.deployments + more.deployments > *deployments)
        return refused(limit::deployments, *deployments, std::nullopt, std::nullopt);
    const auto bytes = limits_.get(limit::kept_bytes);
    if (bytes && more.bytes > 0 && others.bytes + more.bytes > *bytes)
        return refused(limit::kept_bytes, *bytes, std::nullopt, std::nullopt);
    return std::nullopt;
}

bool account::is_idle(utc_time now)
{
    turn_to(now);
    return jobs_ == 0 && cpu_.count() == 0 && fuel_ == 0 && coming_.deployments == 0 && coming_.bytes == 0;
}

}  // namespace sandboxd::tenants
