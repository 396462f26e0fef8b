// A request to end work early, with its cause.
//
// A deadline, a client, a limit or the server's shutdown can end a job. Each calls `stop_source::request`; the first
// cause wins and is reported. Work that can end early registers what to do (kill the tree, leave the queue) with a
// `stop_callback`. Nothing here is asynchronous or thread-safe: the one thread calls the callbacks in place, in order
// of registration.
//
// It does not use Asio's cancellation, on purpose: that ends a coroutine at its next await, but killing, reaping and
// cleaning up must go on awaiting.
#pragma once

#include "base/errc.hpp"

#include <functional>
#include <list>
#include <optional>

namespace sandboxd::async {

class stop_source {
public:
    stop_source() = default;
    stop_source(const stop_source&) = delete;
    stop_source& operator=(const stop_source&) = delete;

    // Records the cause and runs the callbacks. Only the first call has an effect; returns whether this one did.
    bool request(errc cause);

    bool requested() const noexcept { return cause_.has_value(); }
    // The cause; call only when `requested()`.
    errc cause() const noexcept { return *cause_; }

private:
    friend class stop_callback;
    std::optional<errc> cause_;
    std::list<std::function<void(errc)>> callbacks_;
};

// Runs `action` when the source is stopped (at once when it already is); forgets it on destruction.
// Must not outlive the source.
class stop_callback {
public:
    stop_callback(stop_source& source, std::function<void(errc)> action);
    ~stop_callback();
    stop_callback(const stop_callback&) = delete;
    stop_callback& operator=(const stop_callback&) = delete;

private:
    stop_source& source_;
    std::list<std::function<void(errc)>>::iterator place_;
};

}  // namespace sandboxd::async
