// Runs scripts for clients: bounds their limits, continues a cached sandbox if requested, and counts.
#pragma once

#include "async/stop.hpp"
#include "async/task_group.hpp"
#include "base/client_key.hpp"
#include "base/metrics.hpp"
#include "jail/jail.hpp"
#include "js/image_cache.hpp"
#include "js/worker_pool.hpp"
#include "script/run.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace sandboxd::js {

struct service_settings {
    pool_settings pool;
    script::run_limits defaults;     // for limits that a request leaves out
    script::run_limits most;         // the maximum of a request
    std::size_t max_modules{1'000};  // of one request
    std::size_t cache_bytes{134'217'728};
};

struct service_request {
    // One client's sandbox, reused between its requests if possible. Nobody else may know the id.
    std::optional<std::string> sandbox_id;
    client_key client{};  // whom it counts for while it waits and runs
    // The service sets its `image` and `image_bytes`.
    script::run_request run;
};

class service {
public:
    service(boost::asio::any_io_executor executor, async::task_group& tasks, jail::jail& wall,
            service_settings settings, metrics::registry& counted);

    void start() { pool_.start(); }
    void close() { pool_.close(); }
    boost::asio::awaitable<result<void>> ready(std::chrono::milliseconds patience) { return pool_.ready(patience); }

    std::string failure() const { return pool_.failure(); }
    bool starting() const noexcept { return pool_.starting(); }

    // The errors are those of worker_pool::run; whatever a script does is an answer.
    boost::asio::awaitable<result<script::run_answer>> run(service_request request, async::stop_source& stop);

    const script::run_limits& defaults() const noexcept { return settings_.defaults; }
    const script::run_limits& most() const noexcept { return settings_.most; }
    std::size_t max_modules() const noexcept { return settings_.max_modules; }

private:
    script::run_limits bounded(script::run_limits wanted) const;
    std::uint32_t image_bytes(const script::run_request& run) const;

    service_settings settings_;
    worker_pool pool_;
    image_cache cache_;
    std::array<metrics::counter*, script::run_status_count> runs_{};
    metrics::histogram& seconds_;
    metrics::counter& hits_;
    metrics::counter& misses_;
};

}  // namespace sandboxd::js
