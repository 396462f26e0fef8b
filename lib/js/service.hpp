// Runs scripts for clients: bounds their limits, continues a cached sandbox if requested, and counts.
#pragma once

#include "async/stop.hpp"
#include "async/task_group.hpp"
#include "base/client_key.hpp"
#include "base/metrics.hpp"
#include "jail/jail.hpp"
#include "js/continuations.hpp"
#include "js/image_cache.hpp"
#include "js/worker_pool.hpp"
#include "script/run.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace sandboxd::js {

struct service_settings {
    pool_settings pool;
    script::run_limits defaults;     // for limits that a request leaves out
    script::run_limits most;         // the maximum of a request
    std::size_t max_modules{1'000};  // of one request
    std::size_t cache_bytes{134'217'728};
    std::size_t max_tools{128};            // of one request
    std::uint32_t max_pending_calls{100};  // of one run, at the same time
    continuation_settings continuations{};
};

struct service_request {
    // One client's sandbox, reused between its requests if possible. Nobody else may know the id.
    std::optional<std::string> sandbox_id;
    client_key client{};  // whom it counts for while it waits and runs
    std::string owner{};  // the tenant, whose sandboxes have ids of their own; empty: nobody needs a key
    // Told what the run has burnt, however it ends; of one that was broken off, all that it might have. Empty: nobody
    // asks.
    std::function<void(std::int64_t fuel)> charge{};
    // Told when a worker gets it. Empty: nobody asks.
    std::function<void()> started{};
    // The service sets its `image`, `image_bytes` and `max_calls`.
    script::run_request run;
};

struct continue_request {
    std::string continuation;
    std::vector<std::uint32_t> calls;  // those that `results` answers
    std::string results;               // script::run_resumption
    bool keep{false};                  // the continuation can be used again
    client_key client{};
    std::string owner{};
    std::function<void(std::int64_t fuel)> charge{};  // these two as of a service_request
    std::function<void()> started{};
};

// Why a run does not go on.
enum class continue_fault : std::uint8_t {
    none,
    unknown,  // there is no such continuation, or it has expired
    used,
};

class service {
public:
    service(boost::asio::any_io_executor executor, async::task_group& tasks, jail::jail& wall,
            service_settings settings, metrics::registry& counted);

    void start() { pool_.start(); }
    void close()
    {
        pool_.close();
        continuations_.clear();
    }
    boost::asio::awaitable<result<void>> ready(std::chrono::milliseconds patience) { return pool_.ready(patience); }

    std::string failure() const { return pool_.failure(); }
    bool starting() const noexcept { return pool_.starting(); }

    // The errors are those of worker_pool::run; whatever a script does is an answer.
    // A run with tools may be pending, with a continuation; `unavailable` when it cannot be kept
    // (js.continuationBytes).
    boost::asio::awaitable<result<script::run_answer>> run(service_request request, async::stop_source& stop);

    // Continues a pending run. `why` says whether it is another error than those of run(): then the error has code
    // `not_found`. Also `invalid_request`, when the results are not those of exactly the calls that are pending; then
    // the continuation can still be used, as after every error of this function.
    boost::asio::awaitable<result<script::run_answer>> resume(continue_request request, continue_fault& why,
                                                              async::stop_source& stop);

    const script::run_limits& defaults() const noexcept { return settings_.defaults; }
    const script::run_limits& most() const noexcept { return settings_.most; }
    // How long a run waits in line at most.
    std::chrono::milliseconds queue_timeout() const noexcept { return settings_.pool.queue_timeout; }
    std::size_t max_modules() const noexcept { return settings_.max_modules; }
    // 0: scripts have no tools.
    std::size_t max_tools() const noexcept { return settings_.continuations.max_bytes > 0 ? settings_.max_tools : 0; }
    std::size_t max_pending_calls() const noexcept { return settings_.max_pending_calls; }
    // Forgets pending runs that have expired.
    std::size_t sweep() { return continuations_.sweep(); }

private:
    script::run_limits bounded(script::run_limits wanted) const;
    std::uint32_t image_bytes(const script::run_request& run, std::size_t cache_bytes) const;
    result<script::run_answer> finish(kept_run told, script::run_answer answer);
    void count(const script::run_answer& answer);

    service_settings settings_;
    worker_pool pool_;
    image_cache cache_;
    continuations continuations_;
    std::array<metrics::counter*, script::run_status_count> runs_{};
    metrics::histogram& seconds_;
    metrics::counter& hits_;
    metrics::counter& misses_;
};

}  // namespace sandboxd::js
