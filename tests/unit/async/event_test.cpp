#include "async/event.hpp"

#include "support/on_loop.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <exception>
#include <optional>
#include <vector>

namespace asio = boost::asio;
using namespace sandboxd;
using namespace std::chrono_literals;
using async::event;

namespace {

void rethrow(std::exception_ptr failed)
{
    if (failed) std::rethrow_exception(failed);
}

asio::awaitable<void> wait_and_count(event& what, int& done)
{
    co_await what.wait();
    ++done;
}

asio::awaitable<void> wait_patiently(event& what, std::chrono::steady_clock::duration patience,
                                     std::optional<bool>& returned)
{
    returned = co_await what.wait_for(patience);
}

// Runs what is ready, and only that.
void run_ready(asio::io_context& loop)
{
    loop.restart();
    loop.poll();
}

}  // namespace

TEST_CASE("an event wakes all who wait, once it is set", "[async][event]")
{
    asio::io_context loop;
    event what{loop.get_executor()};
    int done = 0;
    for (int i = 0; i < 3; ++i) asio::co_spawn(loop, wait_and_count(what, done), rethrow);
    run_ready(loop);
    CHECK(done == 0);
    CHECK_FALSE(what.is_set());
    what.set();
    CHECK(what.is_set());
    CHECK(done == 0);  // not from within set()
    run_ready(loop);
    CHECK(done == 3);
    what.set();  // again: nothing happens
    run_ready(loop);
    CHECK(done == 3);
}

TEST_CASE("who comes after the event was set does not wait", "[async][event]")
{
    asio::io_context loop;
    event what{loop.get_executor()};
    what.set();
    int done = 0;
    std::optional<bool> returned;
    asio::co_spawn(loop, wait_and_count(what, done), rethrow);
    asio::co_spawn(loop, wait_patiently(what, 1h, returned), rethrow);
    run_ready(loop);
    CHECK(done == 1);
    CHECK(returned == true);
}

TEST_CASE("set before a waiter's first step is not lost", "[async][event]")
{
    asio::io_context loop;
    event what{loop.get_executor()};
    int done = 0;
    asio::co_spawn(loop, wait_and_count(what, done), rethrow);
    what.set();
    run_ready(loop);
    CHECK(done == 1);
}

TEST_CASE("wait_for gives up when its time is over, and others wait on", "[async][event]")
{
    asio::io_context loop;
    event what{loop.get_executor()};
    std::optional<bool> hasty;
    std::optional<bool> patient;
    int done = 0;
    asio::co_spawn(loop, wait_patiently(what, 1ms, hasty), rethrow);
    asio::co_spawn(loop, wait_patiently(what, 24h, patient), rethrow);
    asio::co_spawn(loop, wait_and_count(what, done), rethrow);
    while (!hasty) loop.run_one();
    CHECK(hasty == false);
    CHECK_FALSE(patient);
    CHECK(done == 0);

    what.set();
    loop.run();  // returns: no timer of 24 hours is left behind
    CHECK(patient == true);
    CHECK(done == 1);
}

TEST_CASE("wait_for without patience looks once", "[async][event]")
{
    asio::io_context loop;
    event what{loop.get_executor()};
    std::optional<bool> returned;
    asio::co_spawn(loop, wait_patiently(what, 0ms, returned), rethrow);
    loop.run();
    CHECK(returned == false);
}

TEST_CASE("an event set while the patience runs out counts as set", "[async][event]")
{
    asio::io_context loop;
    event what{loop.get_executor()};
    std::optional<bool> returned;
    asio::co_spawn(loop, wait_patiently(what, 0ms, returned), rethrow);
    // The waiter's timer has expired by the time its handler runs, and the event is set before
    // that.
    asio::post(loop, [&what] { what.set(); });
    loop.run();
    CHECK(returned == true);
}

TEST_CASE("a patient waiter may be many times", "[async][event]")
{
    asio::io_context loop;
    event what{loop.get_executor()};
    std::vector<std::optional<bool>> returned(50);
    for (auto& one : returned) asio::co_spawn(loop, wait_patiently(what, 24h, one), rethrow);
    run_ready(loop);
    what.set();
    loop.run();
    for (const auto& one : returned) CHECK(one == true);
}
