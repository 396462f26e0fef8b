// The queue of jobs: a job waits here until it may start, in an order that is fair between clients (fair_line), and
// holds a reservation while it runs. gate_model decides; this class reads the cgroup and does the waiting.
#pragma once

#include "admission/gate_model.hpp"
#include "admission/party.hpp"
#include "async/event.hpp"
#include "async/stop.hpp"
#include "async/task_group.hpp"
#include "base/errc.hpp"
#include "base/metrics.hpp"

#include <boost/asio/steady_timer.hpp>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace sandboxd::admission {

// Reads memory.max and memory.current in a cgroup v2 directory. Unreadable files and `max` give a reading
// without a max. https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
memory_reading read_memory(const std::filesystem::path& cgroup);

// Whether less than a tenth of the host's memory is available (MemAvailable, proc_meminfo(5)). Pure; a text without
// these lines: false.
bool memory_is_short(std::string_view meminfo);
// The same for this host, now.
bool memory_is_short();

struct gate_settings {
    bool by_memory{false};           // enableResourceGating
    std::filesystem::path cgroup{};  // cgroupV2Root, absolute
    gate_limits limits;
    std::string label{};  // `kind="sandbox"`: tells the metrics of a second gate from those of the first
    // What other gates have reserved of the same memory; empty: there are none.
    std::function<std::uint64_t()> reserved_elsewhere{};
};

// The right to run one job; given back on destruction.
class permit {
public:
    explicit permit(std::shared_ptr<party> of) noexcept : of_{std::move(of)} {}
    permit(permit&& other) noexcept = default;
    permit& operator=(permit&&) = delete;
    ~permit();

private:
    std::shared_ptr<party> of_;
};

class gate {
public:
    // `tasks` runs the retry timer and must outlive every permit.
    gate(boost::asio::any_io_executor executor, async::task_group& tasks, gate_settings how,
         metrics::registry& metrics);

    // Waits for the client's turn; retries every 200 ms and whenever a job ends. Errors: queue_full, at once or when it
    // gives way to a client with fewer jobs in the queue; queue_timeout; the cause of `stop`.
    boost::asio::awaitable<result<permit>> acquire(client_key client, async::stop_source& stop);

    // The same for a job of several callers, of whom there is at least one. It waits as long as one of them does.
    boost::asio::awaitable<result<permit>> acquire(std::shared_ptr<party> callers, async::stop_source& stop);

    std::size_t queued() const noexcept { return model_.queued(); }
    // After that nobody waits any longer.
    std::chrono::milliseconds longest_wait() const noexcept { return settings_.limits.queue_timeout; }
    // Whether memory gates jobs and some of them wait, for memory or for their turn.
    bool waits_for_memory() const noexcept { return settings_.by_memory && queued() > 0; }
    std::size_t running() const noexcept { return model_.running(); }
    std::uint64_t reserved_bytes() const noexcept { return model_.reserved_bytes(); }

private:
    friend class party;
    friend class permit;
    struct waiter {
        async::event* woken;
        party* callers;
        std::optional<gate_model::fate> decided{};
    };

    boost::asio::awaitable<result<permit>> wait_for_turn(std::shared_ptr<party> callers, bool timed,
                                                         async::stop_source& stop);
    memory_reading reading();
    memory_reading claimed();  // includes the reservations of other gates
    void release(const client_key& client);
    void share(gate_model::ticket whose, const client_key& client);
    void stop_sharing(gate_model::ticket whose, const client_key& client);
    void hand_over(const client_key& from, const client_key& to);
    void decide();
    boost::asio::awaitable<void> retry();

    boost::asio::any_io_executor executor_;
    async::task_group& tasks_;
    gate_settings settings_;
    gate_model model_;
    std::map<gate_model::ticket, waiter> waiting_;
    bool retrying_{false};
    bool warned_{false};
    metrics::counter& full_;
    metrics::counter& timed_out_;
};

}  // namespace sandboxd::admission
