// What a key may use, counted in Redis by all servers together (tenants/fleet_usage.hpp).
//
//     <prefix>tenant-minute:<tenant>       a hash: `requests`, in the minute that began with the first of them
//     <prefix>tenant-now:<tenant>          a sorted set: what each server counts now, by when that ends
//     <prefix>tenant-day:<day>:<tenant>    a sorted set: what each server has counted on that day (UTC, since 1970)
//
// Each server writes what it counts itself, as a whole: a word that is lost, or comes twice, makes no difference to the
// sum, and what Redis has forgotten is there again with the next word. Before a job starts its server says so, and is
// told in the same step what the others have said; when it ends, in the background. A server that says nothing more
// counts nothing after cluster.leaseSecs, except for what was used on that day.
//
// Of each tenant there is one call of each kind under way. Whoever comes meanwhile shares the next one: so a tenant
// with a thousand requests does not keep others from Redis.
//
// Nothing here is signed: who writes to Redis can let a tenant have more or less than he may, as the operator's word.
#pragma once

#include "async/event.hpp"
#include "async/task_group.hpp"
#include "base/metrics.hpp"
#include "cluster/redis_client.hpp"
#include "tenants/fleet_usage.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::cluster {

struct shared_quotas_settings {
    std::string prefix{"sandboxd:"};         // cluster.keyPrefix
    std::chrono::milliseconds time{10'000};  // cluster.leaseSecs: of what a server counts that says nothing more
};

class shared_quotas final : public tenants::fleet_usage {
public:
    shared_quotas(boost::asio::any_io_executor executor, async::task_group& tasks, redis_client& redis,
                  shared_quotas_settings how, metrics::registry& metrics);

    void start();
    // Tells what is not told yet, as far as Redis answers, and nothing from then on. Before the client of Redis is
    // closed, and before accounts go.
    boost::asio::awaitable<void> close();

    boost::asio::awaitable<result<tenants::minute>> count_request(std::string tenant) override;
    boost::asio::awaitable<result<tenants::usage>> count(std::string tenant,
                                                         std::shared_ptr<tenants::account> his) override;

    // Tenants of whom something counts here, or was used today.
    std::size_t watched() const noexcept { return watched_.size(); }

private:
    using clock = std::chrono::steady_clock;

    // A tenant of whom the others are told.
    struct watching {
        std::shared_ptr<tenants::account> his;
        clock::time_point told{};
        bool changed{false};
        bool telling{false};
    };

    // A call, and how many ask for it.
    template <class T>
    struct round {
        explicit round(const boost::asio::any_io_executor& executor) : over{executor} {}
        async::event over;
        std::int64_t callers{0};
        result<T> said{error{errc::internal, "the call did not come to its end"}};
    };
    template <class T>
    struct line {
        std::shared_ptr<round<T>> now;
        std::shared_ptr<round<T>> next;
    };
    template <class T>
    using lines = std::map<std::string, std::shared_ptr<line<T>>>;
    // `ask`: makes the call for so many callers. What came of it, and the how manieth of them this one is.
    template <class T, class Ask>
    boost::asio::awaitable<std::pair<std::shared_ptr<const round<T>>, std::int64_t>> take_part(lines<T>& all,
                                                                                               std::string tenant,
                                                                                               Ask ask);
    boost::asio::awaitable<result<tenants::minute>> count_requests(std::string tenant, std::int64_t count);

    void watch(const std::string& tenant, const std::shared_ptr<tenants::account>& his);
    boost::asio::awaitable<result<tenants::usage>> say(std::string tenant, std::shared_ptr<tenants::account> his,
                                                       bool renews);
    boost::asio::awaitable<void> tell_others();
    void begin_telling();
    boost::asio::awaitable<void> tell_of(std::string tenant);
    void forget_idle(const std::string& tenant);
    std::vector<std::string> due() const;
    std::vector<std::string> names() const;
    void came(std::string_view what, bool answered);

    boost::asio::any_io_executor executor_;
    async::task_group& tasks_;
    redis_client& redis_;
    shared_quotas_settings settings_;
    std::string me_;
    std::map<std::string, watching> watched_;
    lines<tenants::minute> requests_;
    lines<tenants::usage> counts_;
    std::size_t telling_{0};
    std::shared_ptr<async::event> news_;  // another one for each time that there is some
    bool closing_{false};
    metrics::registry& metrics_;
};

}  // namespace sandboxd::cluster
