// Compiles that servers share: what several of them are asked for at the same time, one of them compiles.
//
//     <prefix>compile:<id>    the token of the server that compiles it; then, for a moment, "over"
//
// Who does not get the lease asks every 200 ms whether it is over. Its holder keeps it until the artifacts are in the
// cache (store.remote) or cannot be, so then is the time to look there. The lease of a server that dies ends by itself.
// A failure that is not stored is nobody's but its own client's: all who wait then compile at once, none after another.
#pragma once

#include "artifacts/elsewhere.hpp"
#include "artifacts/leases.hpp"
#include "async/event.hpp"
#include "async/stop.hpp"
#include "async/task_group.hpp"
#include "base/metrics.hpp"
#include "cluster/redis_client.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <string>
#include <string_view>

namespace sandboxd::cluster {

struct compile_leases_settings {
    std::string prefix{"sandboxd:"};         // cluster.keyPrefix
    std::chrono::seconds time{10};           // cluster.leaseSecs: of a server that says nothing more
    std::chrono::milliseconds wait{15'000};  // cluster.compileWaitMs: the longest that anybody waits for another
    std::size_t waiting{256};                // cluster.maxCompileWaits: compiles that wait for others
    std::chrono::milliseconds renewal{0};    // how often a lease is renewed; 0: three times in its time
    // How long a key says "over": for those who wait, and for those who looked into the cache before the entry was
    // there and ask for the lease after.
    std::chrono::milliseconds over{5'000};
};

class compile_leases final : public artifacts::leases {
public:
    compile_leases(boost::asio::any_io_executor executor, async::task_group& tasks, compile_leases_settings how,
                   redis_client& redis, artifacts::elsewhere& others, metrics::registry& metrics);

    boost::asio::awaitable<turn> take(std::string id, async::stop_source& stop) override;

    // Gives all leases back, now and later ones at once. Returns when that is done, at the latest after the deadline of
    // a call. What waits goes on.
    boost::asio::awaitable<void> close();

private:
    using clock = std::chrono::steady_clock;

    // A lease that this server holds.
    struct holding {
        holding(const boost::asio::any_io_executor& executor, std::string entry, std::string its_key, std::string mine)
            : id{std::move(entry)}, key{std::move(its_key)}, token{std::move(mine)}, ended{executor}
        {
        }
        std::string id;
        std::string key;
        std::string token;
        async::event ended;  // the entry is made, or is not
        bool made{false};
    };
    class handle;

    boost::asio::awaitable<void> keep(std::shared_ptr<holding> one);
    boost::asio::awaitable<bool> renew(holding& one);
    metrics::counter& came_of_it(std::string_view what);

    boost::asio::any_io_executor executor_;
    async::task_group& tasks_;
    compile_leases_settings settings_;
    redis_client& redis_;
    artifacts::elsewhere& others_;

    std::list<std::shared_ptr<holding>> held_;
    std::size_t waiting_{0};
    bool closing_{false};
    async::event none_held_;  // after close()

    metrics::counter& lost_;
    metrics::histogram& wait_seconds_;
    metrics::registry& metrics_;
};

}  // namespace sandboxd::cluster
