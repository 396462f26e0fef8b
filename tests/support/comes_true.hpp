// Waits on the loop for something to become true: asks again and again, and lets the loop go on meanwhile. As
// support/eventually.hpp, within a coroutine.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <functional>

namespace sandboxd::test {

// False: it has not come true within a minute.
inline boost::asio::awaitable<bool> comes_true(std::function<bool()> what)
{
    boost::asio::steady_timer pause{co_await boost::asio::this_coro::executor};
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{60};
    while (!what()) {
        if (std::chrono::steady_clock::now() > until) co_return false;
        pause.expires_after(std::chrono::milliseconds{1});  // between polls
        co_await pause.async_wait(boost::asio::use_awaitable);
    }
    co_return true;
}

}  // namespace sandboxd::test
