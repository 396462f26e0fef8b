// The life cycle of one deployment, as a state machine without clocks, processes or files. Input: events with the
// time at which they happened. Output: what to do, which the service then does.
//
//     stopped ──request──▶ starting ──ready──▶ running ──idle──▶ stopped
//        ▲                    │                   │
//        │      ended with 0  │ ended, deadline   │ ended
//     completed ◀─────────────┤                   │
//                             ▼                   ▼
//                          crashed ──pause──▶ starting          after too many in a row: failed
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sandboxd::faas {

using clock = std::chrono::steady_clock;

enum class status {
    stopped,    // not running; the next request starts it
    starting,   // started, but not reachable yet
    running,    // reachable
    crashed,    // ended or not reachable in time; restarted after a pause
    failed,     // crashed too often in a row; restarted by an update, or by a request after the longest pause
    completed,  // exited with 0 by itself; the next request starts it
    deleting,
};

// "Running", "Stopped", …: the names for clients.
std::string_view name(status which) noexcept;

struct lifecycle_settings {
    std::chrono::milliseconds first_pause{250};  // before the first restart; doubles with each crash in a row
    std::chrono::milliseconds longest_pause{60'000};
    std::chrono::milliseconds stable{30'000};   // after running that long, a crash counts as the first again
    unsigned most_crashes{10};                  // in a row; then failed
    std::chrono::milliseconds patience{2'000};  // requests wait for a restart that is at most this far away
    std::size_t max_waiting{256};
    std::chrono::milliseconds idle{600'000};  // without a request; then stopped. 0: never
};

class lifecycle {
public:
    explicit lifecycle(lifecycle_settings how) : settings_{how} {}

    enum class verdict {
        forward,      // it runs
        wait,         // for the current start, or for a restart that comes soon
        start,        // the caller must start it, and wait
        refuse_full,  // too many requests wait
        refuse_down,  // it crashed and must not be started yet: see next_start()
        refuse_gone,  // it is being deleted
    };
    // A request arrived while `waiting` others wait.
    verdict on_request(clock::time_point now, std::size_t waiting);

    // It is started for another reason: a deploy, an update, the end of a pause. False when it must not be started
    // (it runs, is starting or being deleted).
    bool on_start(clock::time_point now);
    void on_ready(clock::time_point now);
    // The new program of a restart has taken over.
    void on_switched(clock::time_point now);
    // The program has ended by itself. `clean`: with exit code 0.
    void on_ended(clock::time_point now, bool clean);
    // It was not reachable in time, or could not be started at all.
    void on_start_failed(clock::time_point now);
    // A request has ended, or data was transferred: it is in use.
    void on_use(clock::time_point now) noexcept { used_ = now; }
    // Its files were updated: a failed deployment may be tried again.
    void on_update() noexcept;
    void on_delete() noexcept { status_ = status::deleting; }
    // It can never be started: its data on disk is damaged.
    void on_broken() noexcept;

    // Whether to stop it now because it is idle; its status is `stopped` then. `active`: current requests.
    bool on_tick(clock::time_point now, std::size_t active);

    status current() const noexcept { return status_; }
    // When it was last in use, or became reachable.
    clock::time_point used() const noexcept { return used_; }
    // When a crashed or failed one may be started again.
    std::optional<clock::time_point> next_start() const;
    std::uint64_t starts() const noexcept { return starts_; }
    std::uint64_t crashes() const noexcept { return crashes_; }

private:
    void crash(clock::time_point now);

    lifecycle_settings settings_;
    status status_{status::stopped};
    unsigned in_a_row_{0};
    std::uint64_t starts_{0};
    std::uint64_t crashes_{0};
    clock::time_point since_{};  // of the status
    clock::time_point used_{};
    clock::time_point next_{};
};

}  // namespace sandboxd::faas
