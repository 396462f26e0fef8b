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
    constexpr std::chrono::minutes length{1};
    if (!minute_ || *minute_ + length <= now) {
        minute_ = now;
        requests_ = 0;
    }
    if (requests_ >= *most)
        return refused(limit::requests_per_minute, *most, length, ceil<seconds>(*minute_ + length - now));
    ++requests_;
    return std::nullopt;
}

std::optional<over_limit> account::refuse(work what, utc_time now)
{
    if (const auto most = limits_.get(limit::concurrent_jobs); most && jobs_ >= *most)
        return refused(limit::concurrent_jobs, *most, std::nullopt, std::nullopt);
    turn_to(now);
    const auto left = ceil<seconds>(day_ + days{1} - now);
    if (what == work::processor) {
        const auto most = limits_.get(limit::cpu_seconds_per_day);
        if (most && cpu_ >= seconds{*most}) return refused(limit::cpu_seconds_per_day, *most, a_day, left);
    } else {
        const auto most = limits_.get(limit::fuel_per_day);
        if (most && fuel_ >= *most) return refused(limit::fuel_per_day, *most, a_day, left);
    }
    return std::nullopt;
}

void account::spend_cpu(std::chrono::microseconds used, utc_time now)
{
    turn_to(now);
    used = std::max(used, std::chrono::microseconds{0});
    cpu_ += used;
    meters_->cpu += used;
}

void account::spend_fuel(std::int64_t used, utc_time now)
{
    turn_to(now);
    used = std::clamp<std::int64_t>(used, 0, most_of(limit::fuel_per_day));
    fuel_ = std::min(fuel_, most_of(limit::fuel_per_day)) + used;
    meters_->fuel.add(static_cast<std::uint64_t>(used));
}

std::optional<over_limit> account::refuse(const keeping& there, const keeping& more)
{
    const auto deployments = limits_.get(limit::deployments);
    if (deployments && more.deployments > 0 &&
        there.deployments + coming_.deployments + more.deployments > *deployments)
        return refused(limit::deployments, *deployments, std::nullopt, std::nullopt);
    const auto bytes = limits_.get(limit::kept_bytes);
    if (bytes && more.bytes > 0 && there.bytes + coming_.bytes + more.bytes > *bytes)
        return refused(limit::kept_bytes, *bytes, std::nullopt, std::nullopt);
    return std::nullopt;
}

bool account::is_idle(utc_time now)
{
    turn_to(now);
    return jobs_ == 0 && cpu_.count() == 0 && fuel_ == 0 && coming_.deployments == 0 && coming_.bytes == 0;
}

}  // namespace sandboxd::tenants
