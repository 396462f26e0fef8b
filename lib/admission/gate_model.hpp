// Who may start a job, and when: the decision alone, without clocks, files or waiting.
//
// A job may start when fewer than `max_running` jobs run and `current + reserved + estimate <= max`: max and current
// are the cgroup's, and reserved is the sum of what the running jobs hold. Jobs start in order of arrival: a later
// one never overtakes, even if nothing else would stop it.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

namespace sandboxd::admission {

// memory.max and memory.current of a cgroup, in bytes. Without a max, memory does not limit.
struct memory_reading {
    std::optional<std::uint64_t> max;
    std::uint64_t current{0};
};

struct gate_limits {
    std::uint64_t estimate_bytes{256u << 20};         // jobMemoryEstimateMB
    std::size_t max_queued{64};                       // maxQueuedJobs
    std::size_t max_running{0};                       // maxConcurrentJobs; 0: as many as memory allows
    std::chrono::milliseconds queue_timeout{30'000};  // queueTimeoutSecs
};

class gate_model {
public:
    using time_point = std::chrono::steady_clock::time_point;
    using ticket = std::uint64_t;

    struct decision {
        ticket whose;
        bool admitted;  // false: it has waited longer than the queue timeout and is out of the queue
    };

    explicit gate_model(gate_limits limits) : limits_{limits} {}

    // Puts a new job at the end of the queue. Returns nullopt when it cannot start now and the queue is full. Call
    // `poll` next.
    std::optional<ticket> arrive(time_point now, const memory_reading& memory);

    // What can be decided now, in order. An admitted job holds a reservation until `release`.
    std::vector<decision> poll(time_point now, const memory_reading& memory);

    // The owner of a queued ticket has gone. Returns false when it is not (or no longer) in the queue.
    bool leave(ticket whose);

    // An admitted job has ended.
    void release();

    std::size_t queued() const noexcept { return queue_.size(); }
    std::size_t running() const noexcept { return running_; }
    std::uint64_t reserved_bytes() const noexcept { return running_ * limits_.estimate_bytes; }

private:
    struct waiting {
        ticket whose;
        time_point since;
    };
    bool fits(const memory_reading& memory) const;

    gate_limits limits_;
    std::deque<waiting> queue_;
    std::size_t running_{0};
    ticket next_{1};
};

}  // namespace sandboxd::admission
