// Tracks the children that a `run` waits for, and ends all others. Internal to this room.
#pragma once

#include <boost/asio/awaitable.hpp>

#include <sys/types.h>

#include <chrono>

namespace sandboxd::process {

// A child that a `run` waits for. While this object lives nobody else reaps the child. If it is destroyed before
// `reaped` was called (the loop was torn down), it kills the child's group and reaps the child.
class live_child {
public:
    explicit live_child(pid_t pid);
    ~live_child();
    live_child(const live_child&) = delete;
    live_child& operator=(const live_child&) = delete;

    pid_t pid() const noexcept { return pid_; }
    // Sends to the child's whole group; harmless when it is gone.
    void signal(int number) const noexcept;
    // The child has been reaped: kills the rest of the group and forgets the pid.
    void reaped() noexcept;

private:
    pid_t pid_;
    bool forgotten_{false};
};

// Kills and reaps the processes that were re-parented to this one, until none is left or `bound` has passed. Orphans
// in the process group of a running child are left to that child's `run`.
boost::asio::awaitable<void> bury_orphans(std::chrono::milliseconds bound);

}  // namespace sandboxd::process
