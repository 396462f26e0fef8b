#include "async/task_group.hpp"

#include "async/event.hpp"
#include "support/captured_stderr.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <catch2/catch_test_macros.hpp>

#include <exception>
#include <stdexcept>
#include <string>

namespace asio = boost::asio;
using namespace sandboxd;
using namespace sandboxd::test;
using async::event;
using async::task_group;

namespace {

void rethrow(std::exception_ptr failed)
{
    if (failed) std::rethrow_exception(failed);
}

asio::awaitable<void> count(int& done)
{
    ++done;
    co_return;
}

asio::awaitable<void> wait_for_it(event& what, int& done)
{
    co_await what.wait();
    ++done;
}

asio::awaitable<void> wait_empty(task_group& tasks, bool& returned)
{
    co_await tasks.wait_empty();
    returned = true;
}

asio::awaitable<void> start_another(task_group& tasks, event& go, event& others, int& done)
{
    co_await go.wait();
    tasks.spawn("another", wait_for_it(others, done));
}

asio::awaitable<void> throw_exception()
{
    throw std::runtime_error("no such luck");
    co_return;
}

asio::awaitable<void> throw_something_else()
{
    throw 7;
    co_return;
}

void run_ready(asio::io_context& loop)
{
    loop.restart();
    loop.poll();
}

}  // namespace

TEST_CASE("a task's first step runs from the loop, not from spawn", "[async][task_group]")
{
    asio::io_context loop;
    task_group tasks{loop.get_executor()};
    int done = 0;
    tasks.spawn("count", count(done));
    CHECK(done == 0);
    CHECK(tasks.size() == 1);
    loop.run();
    CHECK(done == 1);
    CHECK(tasks.size() == 0);
}

TEST_CASE("wait_empty returns when the last task is done", "[async][task_group]")
{
    asio::io_context loop;
    task_group tasks{loop.get_executor()};
    event first{loop.get_executor()};
    event second{loop.get_executor()};
    int done = 0;
    bool returned = false;
    tasks.spawn("first", wait_for_it(first, done));
    tasks.spawn("second", wait_for_it(second, done));
    asio::co_spawn(loop, wait_empty(tasks, returned), rethrow);
    run_ready(loop);
    first.set();
    run_ready(loop);
    CHECK(done == 1);
    CHECK(tasks.size() == 1);
    CHECK_FALSE(returned);
    second.set();
    run_ready(loop);
    CHECK(returned);
}

TEST_CASE("wait_empty returns at once when there is nothing", "[async][task_group]")
{
    asio::io_context loop;
    task_group tasks{loop.get_executor()};
    bool returned = false;
    asio::co_spawn(loop, wait_empty(tasks, returned), rethrow);
    run_ready(loop);
    CHECK(returned);
}

TEST_CASE("wait_empty waits for tasks that tasks have started, and for a second round", "[async][task_group]")
{
    asio::io_context loop;
    task_group tasks{loop.get_executor()};
    event go{loop.get_executor()};
    event others{loop.get_executor()};
    int done = 0;
    bool returned = false;
    tasks.spawn("starter", start_another(tasks, go, others, done));
    asio::co_spawn(loop, wait_empty(tasks, returned), rethrow);
    run_ready(loop);
    go.set();
    run_ready(loop);
    CHECK(tasks.size() == 1);
    CHECK_FALSE(returned);
    others.set();
    run_ready(loop);
    CHECK(returned);

    returned = false;
    event more{loop.get_executor()};
    tasks.spawn("again", wait_for_it(more, done));
    asio::co_spawn(loop, wait_empty(tasks, returned), rethrow);
    run_ready(loop);
    CHECK_FALSE(returned);
    more.set();
    run_ready(loop);
    CHECK(returned);
}

TEST_CASE("an exception is logged with the task's name, and the others go on", "[async][task_group]")
{
    asio::io_context loop;
    task_group tasks{loop.get_executor()};
    int done = 0;
    const captured_stderr captured;
    tasks.spawn("the unlucky one", throw_exception());
    tasks.spawn("count", count(done));
    CHECK_NOTHROW(loop.run());
    CHECK(done == 1);
    CHECK(tasks.size() == 0);
    const auto text = captured.text();
    CAPTURE(text);
    CHECK(text.find(" error ") != std::string::npos);
    CHECK(text.find("\"the unlucky one\"") != std::string::npos);
    CHECK(text.find("\"no such luck\"") != std::string::npos);
}

TEST_CASE("what is thrown and is no std::exception does not end the loop either", "[async][task_group]")
{
    asio::io_context loop;
    task_group tasks{loop.get_executor()};
    bool returned = false;
    const captured_stderr captured;
    tasks.spawn("odd", throw_something_else());
    asio::co_spawn(loop, wait_empty(tasks, returned), rethrow);
    CHECK_NOTHROW(loop.run());
    CHECK(returned);
    CHECK(captured.text().find("task=odd") != std::string::npos);
}
