#include "jobs/job_list.hpp"

#include "async/event.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <string>
#include <vector>

using namespace sandboxd;
using sandboxd::jobs::job;
using sandboxd::jobs::job_list;

namespace asio = boost::asio;

namespace {

client_key client(std::uint8_t name) { return {name}; }

// Waits until it is told to end, as a job's work does.
asio::awaitable<http::response> until_stopped(asio::any_io_executor executor, job* of)
{
    async::event stopped{executor};
    const async::stop_callback wake{of->stop(), [&stopped](errc) { stopped.set(); }};
    co_await stopped.wait();
    http::response r;
    r.status = 408;
    co_return r;
}

asio::awaitable<http::response> at_once(std::string text)
{
    http::response r;
    r.body = std::move(text);
    co_return r;
}

class list_under_test {
public:
    explicit list_under_test(jobs::job_list_settings how) : list{loop.get_executor(), tasks, how, registry} {}
    ~list_under_test()
    {
        list.stop(errc::draining);
        turn();
    }

    result<std::shared_ptr<job>> start(std::uint8_t who, std::size_t bytes = 0)
    {
        return list.start(client(who), "/compile", bytes,
                          [this](job& of) { return until_stopped(loop.get_executor(), &of); });
    }
    result<std::shared_ptr<job>> start_short(std::uint8_t who, std::string text = "done")
    {
        auto made = list.start(client(who), "/compile", 0, [text](job&) { return at_once(text); });
        turn();
        return made;
    }
    std::shared_ptr<job> start_unlisted(std::uint8_t who, std::string text)
    {
        auto made = list.start_unlisted(client(who), "/compile", [text](job&) { return at_once(text); });
        turn();
        return made;
    }
    // All that can go on now.
    void turn()
    {
        loop.restart();
        loop.poll();
    }
    void remove(const std::shared_ptr<job>& which)
    {
        asio::co_spawn(loop, list.remove(which), asio::detached);
        turn();
    }

    asio::io_context loop;
    async::task_group tasks{loop.get_executor()};
    metrics::registry registry;
    job_list list;
};

}  // namespace

TEST_CASE("a job is found by its id until it is removed, and ends then", "[job_list]")
{
    list_under_test t{{}};
    const auto one = t.start(1).value();
    t.turn();
    CHECK(one->id().size() == 32);
    CHECK(t.list.find(one->id()) == one);
    CHECK(t.list.find("0123456789abcdef0123456789abcdef") == nullptr);
    CHECK_FALSE(one->is_over());
    t.remove(one);
    CHECK(one->is_over());
    CHECK(one->answer()->status == 408);
    CHECK(t.list.find(one->id()) == nullptr);
    CHECK(t.list.size() == 0);
}

TEST_CASE("a job's events have numbers, and are bounded", "[job_list]")
{
    list_under_test t{{.max_bytes = 8 * 1024}};
    const auto one = t.start(1).value();
    t.turn();
    CHECK(one->phase() == "queued");
    one->tell("started", "{}");
    CHECK(one->phase() == "started");
    CHECK(one->events() == std::vector<std::string>{"id: 1\nevent: started\ndata: {}\n\n"});
    for (int i = 0; i < 1000; ++i) one->tell("step", "{}");
    CHECK(one->events().size() < 20);
    CHECK(t.list.bytes() <= 1024);
    t.remove(one);
}

TEST_CASE("jobs of a client are bounded; answers that it has seen make room", "[job_list]")
{
    list_under_test t{{.max_jobs = 10, .max_jobs_per_client = 2}};
    const auto first = t.start_short(1).value();
    const auto second = t.start_short(1).value();
    CHECK(t.start_short(1).error().code == errc::too_many_requests);
    second->mark_told();
    CHECK(t.start_short(1).has_value());
    CHECK(t.list.find(first->id()) == first);
    CHECK(t.list.find(second->id()) == nullptr);
    CHECK(t.start_short(2).has_value());
}

TEST_CASE("where there are too many jobs, a client with more of them makes room", "[job_list]")
{
    list_under_test t{{.max_jobs = 3, .max_jobs_per_client = 3}};
    const auto first = t.start_short(1).value();
    CHECK(t.start_short(1).has_value());
    CHECK(t.start(1).has_value());
    CHECK(t.start(2).has_value());
    CHECK(t.list.find(first->id()) == nullptr);
    CHECK(t.list.size() == 3);
    // None of those that are under way gives way.
    CHECK(t.start(2).has_value());
    CHECK(t.start(3).error().code == errc::queue_full);
}

TEST_CASE("requests and answers of jobs are bounded in bytes", "[job_list]")
{
    list_under_test t{{.max_bytes = 80'000}};
    CHECK(t.start(1, 20'000).error().code == errc::queue_full);  // more than its share
    for (int i = 0; i < 8; ++i) CHECK(t.start(1, 10'000).has_value());
    CHECK(t.start(2, 10'000).error().code == errc::queue_full);
    CHECK(t.list.bytes() == 80'000);
    t.list.stop(errc::draining);
    t.turn();
    CHECK(t.list.bytes() == 0);
}

TEST_CASE("answers over what all may have push out the oldest", "[job_list]")
{
    list_under_test t{{.max_bytes = 80'000}};
    const auto first = t.start_short(1, std::string(30'000, 'x')).value();
    const auto second = t.start_short(1, std::string(30'000, 'x')).value();
    const auto third = t.start_short(1, std::string(30'000, 'x')).value();
    CHECK(t.list.find(first->id()) == nullptr);
    CHECK(t.list.find(second->id()) == second);
    CHECK(t.list.find(third->id()) == third);
}

TEST_CASE("answers are kept for their time", "[job_list]")
{
    list_under_test t{{.ttl = std::chrono::seconds{60}}};
    const auto done = t.start_short(1).value();
    const auto running = t.start(1).value();
    t.list.sweep(job::clock::now() + std::chrono::seconds{50});
    CHECK(t.list.size() == 2);
    t.list.sweep(job::clock::now() + std::chrono::seconds{61});
    CHECK(t.list.find(done->id()) == nullptr);
    CHECK(t.list.find(running->id()) == running);
}

TEST_CASE("a server that drains ends the jobs that nobody follows", "[job_list]")
{
    list_under_test t{{}};
    const auto alone = t.start(1).value();
    const auto followed = t.start(1).value();
    t.turn();
    const job::follower reader{followed};
    t.list.drain();
    t.turn();
    CHECK(alone->is_over());
    CHECK_FALSE(followed->is_over());
    CHECK(t.start(1).error().code == errc::draining);
}

TEST_CASE("who follows a job is counted", "[job_list]")
{
    list_under_test t{{.max_followers = 1}};
    const auto one = t.start(1).value();
    CHECK(t.list.admits_follower(*one));
    {
        const job::follower reader{one};
        CHECK_FALSE(t.list.admits_follower(*one));
    }
    CHECK(t.list.admits_follower(*one));
}

TEST_CASE("large answers of a client push out its own, and nobody else's", "[job_list]")
{
    list_under_test t{{.max_bytes = 80'000}};
    const auto small = t.start_short(2, std::string(100, 'x')).value();
    const auto other = t.start_short(3, std::string(15'000, 'x')).value();
    std::vector<std::shared_ptr<job>> large;
    for (int i = 0; i < 10; ++i) {
        large.push_back(t.start_short(1, std::string(20'000, 'x')).value());
        CHECK(t.list.bytes() <= 80'000);
    }
    CHECK(t.list.find(small->id()) == small);
    CHECK(t.list.find(other->id()) == other);
    CHECK(t.list.find(large.back()->id()) == large.back());
    CHECK(t.list.find(large.front()->id()) == nullptr);
    CHECK(t.registry.expose().find("sandboxd_async_jobs_evicted_total 7") != std::string::npos);
    // Who brings little takes from who has much, also where nobody has room.
    const auto late = t.start_short(4, std::string(6'000, 'x')).value();
    CHECK(t.list.find(late->id()) == late);
    CHECK(t.list.find(small->id()) == small);
    CHECK(t.list.find(large[8]->id()) == large[8]);
    CHECK(t.list.find(large[7]->id()) == nullptr);
}

TEST_CASE("an answer of a job is at most a quarter of all, and is not copied", "[job_list]")
{
    list_under_test t{{.max_bytes = 80'000}};
    CHECK(t.list.admits_answer(20'000));
    CHECK_FALSE(t.list.admits_answer(20'001));
    const auto one = t.start_short(1, std::string(10'000, 'x')).value();
    const http::response copy = *one->answer();
    CHECK(copy.text().data() == one->answer()->text().data());
    CHECK(copy.text().size() == 10'000);
}

TEST_CASE("answers of requests under way take no room from jobs", "[job_list]")
{
    list_under_test t{{.max_bytes = 80'000}};
    const auto kept = t.start_short(1, std::string(20'000, 'x')).value();
    std::vector<std::shared_ptr<job>> unread;
    for (int i = 0; i < 5; ++i) unread.push_back(t.start_unlisted(2, std::string(20'000, 'x')));
    CHECK(t.list.bytes() == 20'000);
    CHECK(t.list.unlisted_bytes() == 100'000);
    const auto running = t.start(1, 5'000).value();
    t.turn();
    running->tell("started", "{}");
    CHECK(running->events().size() == 1);
    CHECK(t.start_short(3, std::string(20'000, 'x')).has_value());
    CHECK(t.list.find(kept->id()) == kept);
    CHECK(t.registry.expose().find("sandboxd_async_jobs_evicted_total 0") != std::string::npos);
    unread.clear();
    CHECK(t.list.unlisted_bytes() == 0);
}

TEST_CASE("answers of requests under way are bounded, and a client's by half of it", "[job_list]")
{
    list_under_test t{{.max_bytes = 80'000}};
    auto first = t.start_unlisted(1, std::string(20'000, 'x'));
    const auto second = t.start_unlisted(1, std::string(15'000, 'x'));
    CHECK(t.list.has_room_for_answer(*second, 5'000));
    CHECK_FALSE(t.list.has_room_for_answer(*second, 5'001));
    const auto other = t.start_unlisted(2, std::string(40'000, 'x'));
    const auto last = t.start_unlisted(3, {});
    CHECK(t.list.has_room_for_answer(*last, 5'000));
    CHECK_FALSE(t.list.has_room_for_answer(*last, 5'001));
    CHECK(t.registry.expose().find("sandboxd_async_jobs_refused_total{cause=\"bytes\"} 2") != std::string::npos);
    // Those of jobs push out others.
    CHECK(t.list.has_room_for_answer(*t.start(4).value(), 20'000));
    first.reset();
    CHECK(t.list.has_room_for_answer(*second, 25'000));
}
