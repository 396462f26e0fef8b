// A flag that coroutines wait for: any number of waiters, all woken when it is set.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <list>

namespace sandboxd::async {

class event {
public:
    explicit event(const boost::asio::any_io_executor& executor);

    void set();
    bool is_set() const noexcept { return set_; }
    // Returns once the event is set, or at once when it is.
    boost::asio::awaitable<void> wait();
    // Like wait, but no longer than `patience`. Returns whether the event is set.
    boost::asio::awaitable<bool> wait_for(std::chrono::steady_clock::duration patience);

private:
    bool set_{false};
    boost::asio::steady_timer timer_;  // never expires; cancelling it wakes the waiters
    // One timer for each caller of wait_for.
    std::list<boost::asio::steady_timer> patient_;
};

}  // namespace sandboxd::async
