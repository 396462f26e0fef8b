// The queue of jobs: a job waits here until it may start, in order of arrival, and holds a reservation while it runs.
// gate_model decides; this class reads the cgroup and does the waiting.
#pragma once

#include "admission/gate_model.hpp"
#include "async/event.hpp"
#include "async/stop.hpp"
#include "async/task_group.hpp"
#include "base/errc.hpp"
#include "base/metrics.hpp"

#include <boost/asio/steady_timer.hpp>

#include <filesystem>
#include <functional>
#include <map>
#include <string>

namespace sandboxd::admission {

// Reads memory.max and memory.current in a cgroup v2 directory. Unreadable files and `max` give a reading
// without a max. https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
memory_reading read_memory(const std::filesystem::path& cgroup);

struct gate_settings {
    bool by_memory{false};         // enableResourceGating
    std::filesystem::path cgroup;  // cgroupV2Root, absolute
    gate_limits limits;
    std::string label{};  // `kind="sandbox"`: tells the metrics of a second gate from those of the first
    // What other gates have reserved of the same memory; empty: there are none.
    std::function<std::uint64_t()> reserved_elsewhere{};
};

class gate;

// The right to run one job; given back on destruction.
class permit {
public:
    explicit permit(gate& from) noexcept : from_{&from} {}
    permit(permit&& other) noexcept : from_{std::exchange(other.from_, nullptr)} {}
    permit& operator=(permit&&) = delete;
    ~permit();

private:
    gate* from_;
};

class gate {
public:
    // `tasks` runs the retry timer and must outlive every permit.
    gate(boost::asio::any_io_executor executor, async::task_group& tasks, gate_settings how,
         metrics::registry& metrics);

    // Waits for the caller's turn; retries every 200 ms and whenever a job ends. Errors: queue_full at once,
    // queue_timeout, or the cause of `stop`.
    boost::asio::awaitable<result<permit>> acquire(async::stop_source& stop);

    std::size_t queued() const noexcept { return model_.queued(); }
    std::size_t running() const noexcept { return model_.running(); }
    std::uint64_t reserved_bytes() const noexcept { return model_.reserved_bytes(); }

private:
    friend class permit;
    enum class state { waiting, admitted, timed_out };
    struct waiter {
        async::event* woken;
        state now{state::waiting};
    };

    memory_reading reading();
    memory_reading claimed();  // includes the reservations of other gates
    void release();
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
