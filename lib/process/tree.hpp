// Which children are ours to wait for, and the end of all others. Internal to this room.
#pragma once

#include <boost/asio/awaitable.hpp>

#include <sys/types.h>

#include <chrono>

namespace sandboxd::process {

// A child that a `run` waits for. While this lives nobody else reaps it; when it goes before
// `reaped` was called (the loop was torn down), the child's group is killed and the child reaped
// here.
class live_child {
public:
    explicit live_child(pid_t pid);
    ~live_child();
    live_child(const live_child&) = delete;
    live_child& operator=(const live_child&) = delete;

    pid_t pid() const noexcept { return pid_; }
    // Sends to the child's whole group; harmless when it is gone.
    void signal(int number) const noexcept;
    // The child has been waited for: the group's rest is killed, the pid forgotten.
    void reaped() noexcept;

private:
    pid_t pid_;
    bool forgotten_{false};
};

// Kills and reaps what has been re-parented to this process, until nothing is left or `bound` has
// passed. Orphans that still are in the process group of a running child are left to that child's
// `run`.
boost::asio::awaitable<void> bury_orphans(std::chrono::milliseconds bound);

}  // namespace sandboxd::process
