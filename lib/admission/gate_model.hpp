// Who may start a job, and when: the decision alone, without clocks, files or waiting.
//
// A job may start when fewer than `max_running` jobs run and `current + reserved + estimate <= max`: max and current
// are the cgroup's, and reserved is the sum of what the running jobs hold. Jobs start in the order of fair_line, which
// is that of arrival for one client's: a later one never overtakes, even if nothing else would stop it.
//
// Order alone does not help a client when slow jobs hold all slots for longer than the queue timeout. So up to
// `max_reserved` jobs beyond `max_running` start for clients that have none running. Memory has no such reserve: it
// would be lost to everybody, and on a small host the only job that fits could not start.
#pragma once

#include "admission/fair_line.hpp"
#include "base/client_key.hpp"

#include <chrono>
#include <cstdint>
#include <map>
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
    std::size_t max_reserved{0};                      // reservedJobs: beyond these
    std::chrono::milliseconds queue_timeout{30'000};  // queueTimeoutSecs
};

class gate_model {
public:
    using time_point = std::chrono::steady_clock::time_point;
    using ticket = fair_line::ticket;

    // All but the first: it is out of the queue.
    enum class fate {
        admitted,
        timed_out,  // it has waited longer than the queue timeout
        gave_way,   // in a full queue, to a client with fewer jobs
    };
    struct decision {
        ticket whose;
        fate what;
        client_key client{};  // whom the job counts for, where it is admitted
    };

    explicit gate_model(gate_limits limits) : limits_{limits}, line_{limits.max_queued} {}

    // Puts a new job into the queue. Returns nullopt when it cannot start now, the queue is full and nobody gives way.
    // Without a time it never times out. Call `poll` next.
    std::optional<ticket> arrive(std::optional<time_point> now, const memory_reading& memory,
                                 const client_key& client = {});

    // A queued job is for this client as well (call `poll` next), or no longer: not the last one.
    void share(ticket whose, const client_key& client) { line_.share(whose, client); }
    void stop_sharing(ticket whose, const client_key& client) { line_.stop_sharing(whose, client); }

    // What can be decided now, in order. An admitted job holds a reservation until `release`.
    std::vector<decision> poll(time_point now, const memory_reading& memory);

    // The owner of a queued ticket has gone. Returns false when it is not (or no longer) in the queue.
    bool leave(ticket whose);

    // An admitted job of this client has ended.
    void release(const client_key& client = {});

    // An admitted job of one client counts for another from now on.
    void hand_over(const client_key& from, const client_key& to) { line_.hand_over(from, to); }

    // See fair_line.
    std::optional<std::size_t> ahead(ticket whose) const { return line_.ahead(whose); }

    std::size_t queued() const noexcept { return line_.size(); }
    std::size_t running() const noexcept { return line_.running(); }
    std::uint64_t reserved_bytes() const noexcept { return running() * limits_.estimate_bytes; }

private:
    bool fits(const memory_reading& memory, const client_key& client) const;

    gate_limits limits_;
    fair_line line_;
    std::map<ticket, time_point> since_;  // of those in line that may time out
    std::vector<ticket> gave_way_;        // and have not been told yet
};

}  // namespace sandboxd::admission
