// Sends spans to a collector, in batches, over one connection, behind all that they tell of: nothing ever waits for it.
//
//     take ── no room? dropped ──▶ queue ── delay, or a full batch ──▶ POST …/v1/traces ── taken ──▶ gone
//                                    ▲                                       │
//                                    ╰──────── pause, as often as allowed ───╯ away, 429, 502, 503, 504
//
// The collector is trusted no further than its answers can be checked: every request has a deadline, what is read of an
// answer has a bound, and no pause that it asks for is longer than our own longest.
#pragma once

#include "async/event.hpp"
#include "async/task_group.hpp"
#include "base/metrics.hpp"
#include "remote/client.hpp"
#include "telemetry/otlp.hpp"
#include "telemetry/span.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <string>

namespace sandboxd::telemetry {

struct exporter_settings {
    remote::client_settings client;                   // telemetry.otlpEndpoint, telemetry.otlpCredentialFile
    std::string target{traces_path};                  // behind the URL's own path
    sender who{};                                     // telemetry.serviceName
    std::size_t queued_bytes{1024 * 1024};            // telemetry.maxQueuedKB: of spans that are not taken yet
    std::size_t batch_bytes{256 * 1024};              // telemetry.maxBatchKB: of the spans of one request
    std::chrono::milliseconds delay{1'000};           // telemetry.batchDelayMs: what the first span waits for others
    std::chrono::milliseconds timeout{5'000};         // telemetry.timeoutMs: of one request
    std::chrono::milliseconds longest_pause{60'000};  // telemetry.retryMaxMs
    unsigned attempts{5};                             // telemetry.maxAttempts: of one batch
};

class exporter final : public span_sender {
public:
    // What each span counts for beside its own text.
    static constexpr std::size_t span_overhead = 64;

    // `tls`: needed if the URL begins with https.
    exporter(boost::asio::any_io_executor executor, async::task_group& tasks, exporter_settings how,
             std::shared_ptr<boost::asio::ssl::context> tls, metrics::registry& metrics);
    exporter(const exporter&) = delete;
    exporter& operator=(const exporter&) = delete;
    ~exporter() override = default;

    void take(std::string span) override;
    void refuse() noexcept override { rate_limited_.add(); }

    // Sends what there is, without a pause and for a moment at most, and drops the rest; what is taken later is
    // dropped.
    boost::asio::awaitable<void> close();

    // With span_overhead.
    std::size_t queued_bytes() const noexcept { return bytes_; }

    // What does not work, without where and why: those are in the log, since whoever reaches /readyz reads this. Empty:
    // all works, or has not been tried yet.
    std::string trouble() const;

private:
    using clock = std::chrono::steady_clock;

    struct batch {
        std::string body{};
        std::uint64_t spans{0};
        std::size_t bytes{0};  // as they were counted in the queue
        unsigned attempts{0};
    };

    struct verdict {
        bool is_over{true};  // the batch is done with
        std::chrono::milliseconds pause{0};
    };

    boost::asio::awaitable<void> send_all();
    boost::asio::awaitable<void> gather();
    batch next_batch();
    boost::asio::awaitable<verdict> send(batch& one);
    verdict judge(const batch& one, const remote::reply& said, const std::string& body);
    verdict try_again(const batch& one, std::string why, std::optional<std::chrono::seconds> asked_for);
    void is_taken(const batch& one, const partial_success& said);
    void tell_trouble(std::string why);
    void drop_queue();
    std::size_t counted() const noexcept;

    boost::asio::any_io_executor executor_;
    async::task_group& tasks_;
    exporter_settings settings_;
    envelope around_;
    remote::client client_;
    std::minstd_rand chance_;

    std::deque<std::string> queue_;
    std::size_t bytes_{0};  // of the queue, and of the batch that is sent
    bool is_sending_{false};
    std::shared_ptr<async::event> news_;  // of who gathers: the batch is full, or all ends; null: nobody
    async::event closing_;
    std::shared_ptr<async::event> idle_;  // who waits for the last one; null: nobody
    unsigned failures_{0};                // in a row
    std::string trouble_;                 // as it was told last; empty: none

    metrics::counter& exported_;
    metrics::counter& rejected_;
    metrics::counter& failed_;
    metrics::counter& queue_full_;
    metrics::counter& rate_limited_;
    metrics::counter& at_shutdown_;
    metrics::counter& requests_done_;
    metrics::counter& requests_again_;
    metrics::counter& requests_refused_;
    metrics::histogram& seconds_;
};

}  // namespace sandboxd::telemetry
