// The life of one deployment as a state machine without clocks, processes or files: events go in with the time
// at which they happened, what is to be done comes out. The service around it does it.
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
    starting,   // started, not reachable yet
    running,    // reachable
    crashed,    // ended or not reachable in time; started again after a pause
    failed,     // crashed too often in a row; started again by an update, or by a request after the longest pause
    completed,  // ended by itself with 0; the next request starts it
    deleting,
};

// "Running", "Stopped", …: as clients see it.
std::string_view name(status which) noexcept;

struct lifecycle_settings {
    std::chrono::milliseconds first_pause{250};  // before the first restart; doubles with each in a row
    std::chrono::milliseconds longest_pause{60'000};
    std::chrono::milliseconds stable{30'000};   // ran that long: a crash counts as the first again
    unsigned most_crashes{10};                  // in a row; then failed
    std::chrono::milliseconds patience{2'000};  // requests wait for a restart no longer than this away
    std::size_t max_waiting{256};
    std::chrono::milliseconds idle{600'000};  // without a request; then stopped. 0: never
};

class lifecycle {
public:
    explicit lifecycle(lifecycle_settings how) : settings_{how} {}

    enum class verdict {
        forward,      // it runs
        wait,         // for the start under way, or the restart that comes soon
        start,        // the caller must start it, and wait
        refuse_full,  // too many wait already
        refuse_down,  // it crashed, and is not to be started yet: see next_start()
        refuse_gone,  // it is being deleted
    };
    // A request has come while `waiting` others wait.
    verdict on_request(clock::time_point now, std::size_t waiting);

    // It is being started for another reason: a deploy, an update, the end of a pause. False when it must not be
    // (it runs, is being started or deleted).
    bool on_start(clock::time_point now);
    void on_ready(clock::time_point now);
    // The new one of a restart has taken over.
    void on_switched(clock::time_point now);
    // The program has ended without being told to. `clean`: with exit code 0.
    void on_ended(clock::time_point now, bool clean);
    // It was not reachable in time, or could not be started at all.
    void on_start_failed(clock::time_point now);
    // A request has ended, or data went through: it is in use.
    void on_use(clock::time_point now) noexcept { used_ = now; }
    // Its files were updated: what failed may be tried again.
    void on_update() noexcept;
    void on_delete() noexcept { status_ = status::deleting; }
    // It can never be started: what is on disk of it is broken.
    void on_broken() noexcept;

    // Whether it is to be stopped now for idleness; it is `stopped` then. `active`: requests under way.
    bool on_tick(clock::time_point now, std::size_t active);

    status current() const noexcept { return status_; }
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
