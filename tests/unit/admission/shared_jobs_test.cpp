// Jobs that callers share: for whom they are in line, for whom they run, and who gets the answer when others leave.
#include "admission/shared_jobs.hpp"

#include "admission/gate.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <catch2/catch_test_macros.hpp>

#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace asio = boost::asio;
using namespace sandboxd;
using namespace sandboxd::admission;
using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

namespace {

constexpr client_key ann{1};
constexpr client_key bob{2};
constexpr client_key cem{3};

using outcome = result<std::string>;

struct caller {
    async::stop_source stop;
    clock_type::time_point since{clock_type::now()};
    std::optional<outcome> got;

    bool answered() const { return got && got->has_value(); }
    errc refused() const { return got && got->has_error() ? got->error().code : errc{}; }
};

struct house {
    explicit house(gate_limits limits)
        : entry{loop.get_executor(), tasks, {.limits = limits}, metrics}, jobs{tasks, loop.get_executor()}
    {
    }

    asio::io_context loop;
    async::task_group tasks{loop.get_executor()};
    metrics::registry metrics;
    gate entry;
    shared_jobs<outcome> jobs;
    std::deque<caller> callers;
    std::string begun;              // the keys of the jobs that run or ran, in order
    std::deque<async::event> ends;  // one for each of them

    static asio::awaitable<outcome> work(house& in, std::string key, std::shared_ptr<party> with,
                                         async::stop_source& stop)
    {
        const auto turn = co_await in.entry.acquire(std::move(with), stop);
        if (!turn) co_return turn.error();
        in.begun += key;
        auto& end = in.ends.emplace_back(in.loop.get_executor());
        const async::stop_callback on_stop{stop, [&end](errc) { end.set(); }};
        co_await end.wait();
        if (stop.requested()) co_return make_error(stop.cause());
        co_return key;
    }

    static asio::awaitable<void> call(house& in, std::string key, client_key client, caller& as)
    {
        auto start = [&in, key](std::shared_ptr<party> with, async::stop_source& stop) {
            return work(in, key, std::move(with), stop);
        };
        auto got = co_await in.jobs.run(key, client, as.stop, std::move(start));
        as.got.emplace(std::move(got));
    }

    caller& ask(const client_key& client, std::string key)
    {
        auto& one = callers.emplace_back();
        asio::co_spawn(loop, call(*this, std::move(key), client, one), [](std::exception_ptr failed) {
            if (failed) std::rethrow_exception(failed);
        });
        settle();
        return one;
    }

    void leave(caller& one)
    {
        one.stop.request(errc::disconnected);
        settle();
    }

    // The job that has begun as the nth ends.
    void finish(std::size_t nth)
    {
        ends.at(nth).set();
        settle();
    }

    void settle()
    {
        loop.restart();
        loop.poll();
    }

    // Everybody leaves; nothing may be left.
    void close()
    {
        for (auto& one : callers) one.stop.request(errc::draining);
        loop.restart();
        loop.run();
        CHECK(entry.running() == 0);
        CHECK(entry.queued() == 0);
        CHECK(tasks.size() == 0);
        CHECK_FALSE(jobs.under_way("1"));
    }
};

}  // namespace

TEST_CASE("a shared job starts when it is the turn of one of its clients", "[admission][shared]")
{
    house h{{.max_running = 1}};
    h.ask(ann, "1");
    h.ask(ann, "2");
    auto& hers = h.ask(ann, "3");
    auto& his = h.ask(bob, "3");
    auto& also_his = h.ask(bob, "3");
    CHECK(h.entry.queued() == 2);
    h.finish(0);
    CHECK(h.begun == "13");
    h.finish(1);
    for (const auto* one : {&hers, &his, &also_his}) CHECK(one->answered());
    CHECK(h.begun == "132");
    h.close();
}

TEST_CASE("a newcomer to a job may be the one who starts it", "[admission][shared]")
{
    house h{{.max_running = 1, .max_reserved = 1}};
    h.ask(ann, "1");
    h.ask(ann, "2");
    CHECK(h.begun == "1");
    h.ask(bob, "2");  // the reserved place is his
    CHECK(h.begun == "12");
    h.close();
}

TEST_CASE("a shared job does not give way in place of its other client", "[admission][shared]")
{
    house h{{.max_queued = 2, .max_running = 1}};
    h.ask(ann, "1");
    auto& alone = h.ask(ann, "2");
    auto& shared = h.ask(ann, "3");
    auto& his = h.ask(bob, "3");
    auto& other = h.ask(cem, "4");
    CHECK(alone.refused() == errc::queue_full);
    CHECK_FALSE(shared.got);
    CHECK_FALSE(his.got);
    CHECK_FALSE(other.got);
    // A full line does not matter to whoever joins a job that is in it.
    auto& passenger = h.ask(ann, "4");
    CHECK_FALSE(passenger.got);
    h.finish(0);
    h.finish(1);
    h.finish(2);
    for (const auto* one : {&shared, &his, &other, &passenger}) CHECK(one->answered());
    h.close();
}

TEST_CASE("a shared job counts for those who still want it", "[admission][shared]")
{
    for (const bool while_it_waits : {true, false}) {
        CAPTURE(while_it_waits);
        house h{{.max_running = 2}};
        h.ask(cem, "c");
        auto& holds = h.ask(ann, "x");
        auto& goes = h.ask(ann, "1");
        auto& stays = h.ask(bob, "1");
        if (while_it_waits) h.leave(goes);
        h.leave(holds);
        CHECK(h.begun == "cx1");
        if (!while_it_waits) h.leave(goes);
        CHECK_FALSE(stays.got);
        // The job is Bob's alone: his next one is behind Ann's, although it came first.
        h.ask(bob, "2");
        h.ask(ann, "3");
        h.finish(0);
        CHECK(h.begun == "cx13");
        h.finish(2);
        CHECK(stays.answered());
        CHECK(h.begun == "cx132");
        h.close();
    }
}

TEST_CASE("the last caller takes the job along, waiting or running", "[admission][shared]")
{
    house h{{.max_running = 1}};
    auto& first = h.ask(ann, "1");
    auto& also = h.ask(bob, "1");
    auto& second = h.ask(ann, "2");
    auto& also_second = h.ask(bob, "2");
    h.leave(also_second);
    h.leave(second);
    CHECK(h.entry.queued() == 0);
    h.leave(first);
    CHECK(h.entry.running() == 1);
    h.leave(also);
    CHECK(h.entry.running() == 0);
    // The same key starts anew.
    auto& anew = h.ask(cem, "1");
    CHECK(h.begun == "11");
    h.finish(1);
    CHECK(anew.answered());
    h.close();
}

TEST_CASE("each caller of a shared job waits for the queue timeout, and no longer", "[admission][shared]")
{
    constexpr auto most = 300ms;
    house h{{.max_running = 1, .queue_timeout = most}};
    h.ask(ann, "1");
    auto& early = h.ask(ann, "2");
    h.loop.restart();
    h.loop.run_one();  // the gate has looked again, once
    auto& late = h.ask(bob, "2");
    h.loop.restart();
    while (!early.got && h.loop.run_one() > 0) {
    }
    CHECK(early.refused() == errc::queue_timeout);
    CHECK(clock_type::now() - early.since >= most);
    // A machine that stands still may make him late as well, but not because of her.
    if (late.got) CHECK(clock_type::now() - late.since >= most);
    h.loop.restart();
    while (!late.got && h.loop.run_one() > 0) {
    }
    CHECK(late.refused() == errc::queue_timeout);
    h.settle();
    CHECK(h.entry.queued() == 0);
    CHECK(h.metrics.expose().find("sandboxd_jobs_refused_total{cause=\"queue_timeout\"} 1\n") != std::string::npos);
    h.close();
}
