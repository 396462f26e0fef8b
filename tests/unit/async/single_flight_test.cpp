// The whole matrix: the work returns, throws, or is stopped; callers stay or leave, before or
// after.
#include "async/single_flight.hpp"

#include "support/captured_stderr.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <catch2/catch_test_macros.hpp>

#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace asio = boost::asio;
using namespace sandboxd;
using namespace sandboxd::test;
using async::event;
using async::single_flight;
using async::stop_callback;
using async::stop_source;
using async::task_group;

namespace {

// One run of the work: it goes on until `go` is set, then returns or throws. It notes what it is
// told to stop for, but goes on: killing and cleaning take time.
struct work_run {
    explicit work_run(asio::io_context& loop) : go{loop.get_executor()} {}
    event go;
    std::optional<errc> stopped;
    bool throws{false};
    std::string value;
};

// One caller and what came of it.
struct caller {
    stop_source stop;
    bool over{false};
    std::shared_ptr<const std::string> got;
    std::string thrown;
};

struct house {
    asio::io_context loop;
    task_group tasks{loop.get_executor()};
    single_flight<std::string> flights{tasks, loop.get_executor()};
    std::deque<work_run> runs;  // in the order in which they were started
    std::deque<caller> callers;

    static asio::awaitable<std::string> work(house& in, stop_source& stop)
    {
        auto& mine = in.runs.emplace_back(in.loop);
        const stop_callback note{stop, [&mine](errc cause) { mine.stopped = cause; }};
        co_await mine.go.wait();
        if (mine.throws) throw std::runtime_error("broken");
        co_return mine.value;
    }

    static asio::awaitable<void> call(house& in, std::string key, caller& as)
    {
        try {
            as.got =
                co_await in.flights.join(std::move(key), as.stop, [&in](stop_source& stop) { return work(in, stop); });
        } catch (const std::exception& e) {
            as.thrown = e.what();
        }
        as.over = true;
    }

    static asio::awaitable<std::string> whole_work(house& in)
    {
        stop_source never;
        co_return co_await work(in, never);
    }

    static asio::awaitable<void> call_whole(house& in, std::string key, caller& as)
    {
        as.got = co_await in.flights.join_to_the_end(std::move(key), as.stop, [&in] { return whole_work(in); });
        as.over = true;
    }

    // As join(), of work that nothing ends early.
    caller& join_to_the_end(std::string key)
    {
        auto& one = callers.emplace_back();
        asio::co_spawn(loop, call_whole(*this, std::move(key), one), [](std::exception_ptr failed) {
            if (failed) std::rethrow_exception(failed);
        });
        settle();
        return one;
    }

    // A caller that is waiting now, unless its stop was requested before.
    caller& join(std::string key, std::optional<errc> stopped = {})
    {
        auto& one = callers.emplace_back();
        if (stopped) one.stop.request(*stopped);
        asio::co_spawn(loop, call(*this, std::move(key), one), [](std::exception_ptr failed) {
            if (failed) std::rethrow_exception(failed);
        });
        settle();
        return one;
    }

    void leave(caller& one, errc cause)
    {
        one.stop.request(cause);
        settle();
    }

    void finish(std::size_t run, std::string value)
    {
        runs.at(run).value = std::move(value);
        runs.at(run).go.set();
        settle();
    }

    void fail(std::size_t run)
    {
        runs.at(run).throws = true;
        runs.at(run).go.set();
        settle();
    }

    void settle()
    {
        loop.restart();
        loop.poll();
    }
};

void check_got(const caller& one, const char* value)
{
    CHECK(one.over);
    CHECK(one.thrown.empty());
    REQUIRE(one.got);
    CHECK(*one.got == value);
}

void check_thrown(const caller& one)
{
    CHECK(one.over);
    CHECK_FALSE(one.got);
    CHECK(one.thrown == "broken");
}

void check_left(const caller& one)
{
    CHECK(one.over);
    CHECK_FALSE(one.got);
    CHECK(one.thrown.empty());
}

}  // namespace

TEST_CASE("all who ask for the same key get the result of one run", "[async][single_flight]")
{
    house h;
    auto& a = h.join("k");
    CHECK(h.flights.under_way("k"));
    auto& b = h.join("k");
    auto& c = h.join("k");
    CHECK(h.runs.size() == 1);
    CHECK_FALSE(a.over);
    h.finish(0, "done");
    check_got(a, "done");
    check_got(b, "done");
    check_got(c, "done");
    CHECK(a.got == b.got);  // the same object, not copies
    CHECK_FALSE(h.runs[0].stopped);
    CHECK_FALSE(h.flights.under_way("k"));
    CHECK(h.tasks.size() == 0);
}

TEST_CASE("keys do not share", "[async][single_flight]")
{
    house h;
    auto& a = h.join("a");
    auto& b = h.join("b");
    REQUIRE(h.runs.size() == 2);
    h.finish(1, "for b");
    CHECK_FALSE(a.over);
    check_got(b, "for b");
    CHECK(h.flights.under_way("a"));
    CHECK_FALSE(h.flights.under_way("b"));
    h.finish(0, "for a");
    check_got(a, "for a");
}

TEST_CASE("who comes after the result starts a new run", "[async][single_flight]")
{
    house h;
    auto& a = h.join("k");
    h.finish(0, "first");
    auto& b = h.join("k");
    REQUIRE(h.runs.size() == 2);
    h.finish(1, "second");
    check_got(a, "first");
    check_got(b, "second");
}

TEST_CASE("an exception reaches all, and the next one starts anew", "[async][single_flight]")
{
    house h;
    const captured_stderr captured;
    auto& a = h.join("k");
    auto& b = h.join("k");
    h.fail(0);
    check_thrown(a);
    check_thrown(b);
    CHECK_FALSE(h.flights.under_way("k"));
    CHECK(captured.text().empty());  // it is theirs to log

    auto& c = h.join("k");
    REQUIRE(h.runs.size() == 2);
    h.finish(1, "fine");
    check_got(c, "fine");
}

TEST_CASE("one who leaves does not stop the work for the others", "[async][single_flight]")
{
    for (const bool first_leaves : {true, false}) {
        for (const bool works : {true, false}) {
            CAPTURE(first_leaves, works);
            house h;
            auto& a = h.join("k");
            auto& b = h.join("k");
            auto& leaver = first_leaves ? a : b;
            auto& stayer = first_leaves ? b : a;
            h.leave(leaver, errc::disconnected);
            check_left(leaver);
            CHECK_FALSE(stayer.over);
            CHECK_FALSE(h.runs[0].stopped);
            CHECK(h.flights.under_way("k"));
            auto& c = h.join("k");
            CHECK(h.runs.size() == 1);
            if (works) {
                h.finish(0, "done");
                check_got(stayer, "done");
                check_got(c, "done");
            } else {
                h.fail(0);
                check_thrown(stayer);
                check_thrown(c);
            }
            check_left(leaver);
        }
    }
}

TEST_CASE("the last one who leaves stops the work, with that one's cause", "[async][single_flight]")
{
    house h;
    auto& a = h.join("k");
    auto& b = h.join("k");
    h.leave(a, errc::disconnected);
    CHECK_FALSE(h.runs[0].stopped);
    check_left(a);
    h.leave(b, errc::draining);
    CHECK(h.runs[0].stopped == errc::draining);
    CHECK_FALSE(h.flights.under_way("k"));
    CHECK(h.tasks.size() == 1);  // still cleaning
    CHECK_FALSE(b.over);         // who has ended it can tell that it is gone
    h.finish(0, "too late");
    CHECK(h.tasks.size() == 0);
    check_left(a);
    check_left(b);
}

TEST_CASE("work that nothing ends early has no second beside it, whoever leaves", "[async][single_flight]")
{
    house h;
    auto& a = h.join_to_the_end("k");
    h.leave(a, errc::disconnected);
    check_left(a);  // at once: nothing of it is theirs to wait for
    CHECK(h.flights.under_way("k"));
    auto& b = h.join_to_the_end("k");
    auto& c = h.join_to_the_end("k");
    CHECK(h.runs.size() == 1);
    h.leave(b, errc::timeout);
    check_left(b);
    h.finish(0, "done");
    check_got(c, "done");
    CHECK(h.tasks.size() == 0);
    auto& d = h.join_to_the_end("k");
    REQUIRE(h.runs.size() == 2);
    h.finish(1, "again");
    check_got(d, "again");
}

TEST_CASE("what work throws that nothing ends early is logged when all have left", "[async][single_flight]")
{
    house h;
    const captured_stderr captured;
    auto& a = h.join_to_the_end("k");
    h.leave(a, errc::disconnected);
    h.fail(0);
    CHECK(captured.text().find("broken") != std::string::npos);
    CHECK_FALSE(h.flights.under_way("k"));
    CHECK(h.tasks.size() == 0);
}

TEST_CASE("two who leave in the same moment stop the work", "[async][single_flight]")
{
    house h;
    auto& a = h.join("k");
    auto& b = h.join("k");
    a.stop.request(errc::disconnected);
    b.stop.request(errc::timeout);
    h.settle();
    CHECK(h.runs[0].stopped.has_value());
    CHECK(a.over != b.over);
    h.finish(0, "");
    check_left(a);
    check_left(b);
}

TEST_CASE("what a stopped work throws is logged: nobody else hears of it", "[async][single_flight]")
{
    house h;
    const captured_stderr captured;
    auto& a = h.join("k");
    h.leave(a, errc::disconnected);
    h.fail(0);
    check_left(a);
    CHECK(captured.text().find("broken") != std::string::npos);
    CHECK(h.tasks.size() == 0);
}

TEST_CASE("who comes while the work is being stopped starts a new one", "[async][single_flight]")
{
    for (const bool old_throws : {false, true}) {
        for (const bool old_ends_first : {false, true}) {
            CAPTURE(old_throws, old_ends_first);
            const captured_stderr captured;
            house h;
            auto& a = h.join("k");
            h.leave(a, errc::disconnected);
            auto& b = h.join("k");
            REQUIRE(h.runs.size() == 2);
            CHECK_FALSE(h.runs[1].stopped);

            const auto end_old = [&] {
                if (old_throws) {
                    h.fail(0);
                } else {
                    h.finish(0, "old");
                }
            };
            if (old_ends_first) {
                end_old();
                CHECK_FALSE(b.over);
                // The dying one must not have taken the new one's place with it.
                CHECK(h.flights.under_way("k"));
                auto& c = h.join("k");
                CHECK(h.runs.size() == 2);
                h.finish(1, "new");
                check_got(c, "new");
            } else {
                h.finish(1, "new");
                end_old();
            }
            check_got(b, "new");
            check_left(a);
            CHECK_FALSE(h.flights.under_way("k"));
            CHECK(h.tasks.size() == 0);
        }
    }
}

TEST_CASE("a caller whose stop was requested before gets nothing and keeps nothing running", "[async][single_flight]")
{
    house h;
    auto& a = h.join("k", errc::draining);
    CHECK_FALSE(h.flights.under_way("k"));
    // Whether the work was started at all does not matter, if it was told to stop.
    for (const auto& run : h.runs) CHECK(run.stopped == errc::draining);
    for (std::size_t i = 0; i < h.runs.size(); ++i) h.finish(i, "");
    check_left(a);
    CHECK(h.tasks.size() == 0);

    auto& b = h.join("k");
    auto& c = h.join("k", errc::disconnected);
    check_left(c);
    CHECK_FALSE(b.over);
    CHECK_FALSE(h.runs.back().stopped);
    h.finish(h.runs.size() - 1, "done");
    check_got(b, "done");
}

TEST_CASE("a result that is there when the caller is stopped is handed over", "[async][single_flight]")
{
    house h;
    auto& a = h.join("k");
    h.runs[0].value = "done";
    h.runs[0].go.set();
    h.loop.restart();
    while (h.flights.under_way("k")) h.loop.run_one();  // the work is over, the caller has not heard yet
    REQUIRE_FALSE(a.over);
    h.leave(a, errc::disconnected);
    check_got(a, "done");
}

TEST_CASE("a result outlives the flights", "[async][single_flight]")
{
    std::shared_ptr<const std::string> kept;
    {
        house h;
        auto& a = h.join("k");
        h.finish(0, "done");
        kept = a.got;
    }
    REQUIRE(kept);
    CHECK(*kept == "done");
}

TEST_CASE("work that is over before it ever waits still reaches its caller", "[async][single_flight]")
{
    boost::asio::io_context loop;
    task_group tasks{loop.get_executor()};
    single_flight<std::string> flights{tasks, loop.get_executor()};
    stop_source stop;
    std::shared_ptr<const std::string> got;
    tasks.spawn("call", [](auto& from, auto& its_stop, auto& into) -> boost::asio::awaitable<void> {
        into = co_await from.join("k", its_stop,
                                  [](stop_source&) -> boost::asio::awaitable<std::string> { co_return "at once"; });
    }(flights, stop, got));
    loop.run();
    REQUIRE(got);
    CHECK(*got == "at once");
    CHECK(tasks.size() == 0);
}
