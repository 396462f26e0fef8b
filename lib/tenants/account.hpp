// What one tenant may use, and what he has used: the decision alone, without clocks, files or waiting.
//
// Work is refused before it starts, and what it has used counts when it is known; a job under way runs to its end, and
// what jobs at the same time use beyond a day's limit is bounded by the limits of a job. Days are those of UTC, so that
// an operator and a tenant mean the same day. A minute begins with the first request in it, as it does for
// http.maxRequestsPerMinutePerClient.
//
// Where several servers count together (tenants/fleet_usage.hpp), each decides by what it counts itself and what it is
// told that the others do.
#pragma once

#include "base/metrics.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace sandboxd::tenants {

// In the order in which the keys file's members are described.
enum class limit : std::uint8_t {
    requests_per_minute,
    concurrent_jobs,
    cpu_seconds_per_day,
    fuel_per_day,
    deployments,
    kept_bytes,
};
inline constexpr std::size_t limit_count = 6;
// As the keys file has it: "requestsPerMinute".
std::string_view name(limit one) noexcept;
// The most that the file may say; the least is 1. So no number of JSON can wrap.
std::int64_t most_of(limit one) noexcept;

// What `limits` of a key says. What is left out is not limited.
class limit_set {
public:
    void set(limit one, std::int64_t most) noexcept { most_[static_cast<std::size_t>(one)] = most; }
    std::optional<std::int64_t> get(limit one) const noexcept { return most_[static_cast<std::size_t>(one)]; }
    bool operator==(const limit_set&) const = default;

private:
    std::array<std::optional<std::int64_t>, limit_count> most_{};
};

// What is counted of a tenant, or of all those together that are not named in the metrics.
class meters {
public:
    meters(metrics::registry& into, std::string label);
    meters(const meters&) = delete;
    meters& operator=(const meters&) = delete;

    metrics::counter& requests;
    metrics::counter& fuel;
    std::chrono::microseconds cpu{0};
    std::size_t jobs{0};
    void count_refused(limit by);

private:
    metrics::registry& registry_;
    std::string label_;
    std::array<metrics::counter*, limit_count> refused_{};  // null: not refused yet
};

// Why something may not start.
struct over_limit {
    limit by{};
    std::int64_t most{0};
    std::optional<std::chrono::seconds> window{};  // in which it counts
    std::optional<std::chrono::seconds> wait{};    // until it may start; nullopt: until something ends, or is deleted
};

// What somebody keeps, or is about to.
struct keeping {
    std::int64_t deployments{0};
    std::int64_t bytes{0};
    bool operator==(const keeping&) const = default;
};

// What counts of a tenant: now, and on this day.
struct usage {
    std::int64_t jobs{0};
    keeping coming{};
    std::chrono::microseconds cpu{0};
    std::int64_t fuel{0};
    bool operator==(const usage&) const = default;
};

// The requests of a tenant in the minute that is now, with the one that was counted, and how long it lasts still.
struct minute {
    std::int64_t requests{0};
    std::chrono::milliseconds left{0};
};

// What a job will use.
enum class work : std::uint8_t { processor, script };

class account {
public:
    using steady_time = std::chrono::steady_clock::time_point;
    using utc_time = std::chrono::system_clock::time_point;

    explicit account(std::shared_ptr<meters> counted) noexcept : meters_{std::move(counted)} {}

    void set_limits(const limit_set& limits) noexcept
    {
        if (limits != limits_) over_until_.reset();
        limits_ = limits;
    }
    const limit_set& limits() const noexcept { return limits_; }
    meters& counted() const noexcept { return *meters_; }

    // Counts a request that does something, if it may.
    std::optional<over_limit> take_request(steady_time now);
    // Whether all servers together are known to have had too many in this minute: then nobody needs to count it.
    std::optional<over_limit> refuse_request(steady_time now);
    // Whether one may that all servers have counted. It counts here, too, for when they cannot.
    std::optional<over_limit> take_counted(const minute& counted, steady_time now);
    // Whether a job may start now. What holds it is a `job`.
    std::optional<over_limit> refuse(work what, utc_time now);
    // Whether one may that counts already, beside what counts `elsewhere`.
    std::optional<over_limit> refuse_counted(work what, utc_time now, const usage& elsewhere);
    // Whether what is elsewhere can make a difference to such a job.
    bool is_bounded(work what) const noexcept;
    // What a job has used; it may end on another day than it began.
    void spend_cpu(std::chrono::microseconds used, utc_time now);
    void spend_fuel(std::int64_t used, utc_time now);

    // What will be kept soon.
    const keeping& on_its_way() const noexcept { return coming_; }
    // Whether `more` may be kept beside `others`: what is there, and what was on its way before somebody looked there.
    // Looked at later, what has arrived in between would be in neither.
    std::optional<over_limit> refuse(const keeping& others, const keeping& more);

    // What counts on this server.
    usage here(utc_time now);
    // Calls that whenever a job ends, something has arrived, or was used; empty: nobody wants to know.
    void on_change(std::function<void()> told) { told_ = std::move(told); }

    // Whether nothing would be lost if it were forgotten.
    bool is_idle(utc_time now);

    // A job of the tenant's that runs or waits.
    class job {
    public:
        explicit job(std::shared_ptr<account> of) noexcept : of_{std::move(of)}
        {
            if (!of_) return;
            ++of_->jobs_;
            ++of_->meters_->jobs;
        }
        ~job()
        {
            if (!of_) return;
            --of_->jobs_;
            --of_->meters_->jobs;
            of_->tell();
        }
        job(job&& other) noexcept : of_{std::move(other.of_)} {}
        job& operator=(job&&) = delete;

    private:
        std::shared_ptr<account> of_;  // null: nobody's
    };

    // What will be kept soon. It counts until it is there (`arrived`), or will not be.
    class coming {
    public:
        coming(std::shared_ptr<account> of, const keeping& more) noexcept : of_{std::move(of)}, more_{more}
        {
            if (!of_) return;
            of_->coming_.deployments += more_.deployments;
            of_->coming_.bytes += more_.bytes;
        }
        ~coming() { arrived(); }
        coming(coming&& other) noexcept : of_{std::exchange(other.of_, nullptr)}, more_{other.more_} {}
        coming& operator=(coming&&) = delete;

        void arrived() noexcept
        {
            if (const auto held = std::exchange(of_, nullptr)) {
                held->coming_.deployments -= more_.deployments;
                held->coming_.bytes -= more_.bytes;
                held->tell();
            }
        }

    private:
        std::shared_ptr<account> of_;
        keeping more_;
    };

private:
    std::optional<over_limit> refused(limit by, std::int64_t most, std::optional<std::chrono::seconds> window,
                                      std::optional<std::chrono::seconds> wait);
    std::optional<over_limit> refuse_beside(work what, utc_time now, const usage& more);
    void turn_to(utc_time now);
    void count_request(steady_time now);
    void tell() const
    {
        if (told_) told_();
    }

    limit_set limits_{};
    std::shared_ptr<meters> meters_;
    std::optional<steady_time> minute_{};
    std::int64_t requests_{0};                 // in it
    std::optional<steady_time> over_until_{};  // of all servers' minute
    std::int64_t jobs_{0};
    std::chrono::sys_days day_{};
    std::chrono::microseconds cpu_{0};  // on that day
    std::int64_t fuel_{0};              // on that day
    keeping coming_{};
    std::function<void()> told_{};
};

}  // namespace sandboxd::tenants
