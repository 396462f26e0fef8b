// What keys use, counted by several servers in a real Redis.
#include "cluster/shared_quotas.hpp"

#include "support/comes_true.hpp"
#include "support/on_loop.hpp"
#include "support/redis_server.hpp"
#include "unit/cluster/sharing.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

namespace asio = boost::asio;
using namespace sandboxd;
using namespace sandboxd::cluster;
using namespace sandboxd::test;
using namespace std::chrono_literals;
using tenants::account;
using tenants::usage;

namespace {

struct server {
    server(const asio::any_io_executor& executor, async::task_group& tasks, const redis_server& to,
           shared_quotas_settings how = {.time = 3600s})
        : redis{executor, tasks, redis_settings(to), nullptr, metrics},
          quotas{executor, tasks, redis, std::move(how), metrics}
    {
        redis.start();
        quotas.start();
    }
    asio::awaitable<usage> count(std::string tenant = "a")
    {
        auto there = co_await quotas.count(std::move(tenant), his);
        INFO((there ? std::string{} : there.error().message));
        REQUIRE(there.has_value());
        co_return *there;
    }
    asio::awaitable<void> close()
    {
        co_await quotas.close();
        redis.close();
    }

    metrics::registry metrics;
    std::shared_ptr<account> his =
        std::make_shared<account>(std::make_shared<tenants::meters>(metrics, "tenant=\"a\""));
    redis_client redis;
    shared_quotas quotas;
};

// Of those who count nothing themselves.
asio::awaitable<bool> others_see(server& who, usage expected)
{
    const auto until = std::chrono::steady_clock::now() + 60s;
    while (co_await who.count() != expected) {
        if (std::chrono::steady_clock::now() > until) co_return false;
        asio::steady_timer pause{co_await asio::this_coro::executor, 5ms};  // between two questions
        co_await pause.async_wait(asio::use_awaitable);
    }
    co_return true;
}

void with_servers(const std::function<asio::awaitable<void>(redis_server&, server&, server&)>& body,
                  shared_quotas_settings how = {.time = 3600s})
{
    redis_server redis;
    on_loop(with_tasks([&](async::task_group& tasks) -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        server one{executor, tasks, redis, how};
        server two{executor, tasks, redis, how};
        REQUIRE(co_await comes_true([&] { return one.redis.is_connected() && two.redis.is_connected(); }));
        co_await body(redis, one, two);
        for (auto* each : {&one, &two}) co_await each->close();
        co_await tasks.wait_empty();
    }));
}

}  // namespace

TEST_CASE("requests of a minute count on all servers together, for each tenant", "[cluster][tenants]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    with_servers([](redis_server& redis, server& one, server& two) -> asio::awaitable<void> {
        CHECK((co_await one.quotas.count_request("a")).value().requests == 1);
        const auto second = (co_await two.quotas.count_request("a")).value();
        CHECK(second.requests == 2);
        CHECK(second.left <= 60s);
        CHECK((co_await one.quotas.count_request("b")).value().requests == 1);
        const account::job mine{one.his};
        CHECK(co_await one.count() == usage{});
        CHECK(co_await two.count() == usage{.jobs = 1});
        CHECK(co_await two.count("b") == usage{});
        // The next minute begins with the next request.
        CHECK(redis.say("DEL sandboxd:tenant-minute:a") == ":1\r\n");
        CHECK((co_await two.quotas.count_request("a")).value().requests == 1);
    });
}

TEST_CASE("of two servers that begin a job at the same moment, the second one knows of both", "[cluster][tenants]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    with_servers([](redis_server&, server& one, server& two) -> asio::awaitable<void> {
        std::optional<account::job> first;
        first.emplace(one.his);
        CHECK(co_await one.count() == usage{});
        {
            const account::job second{two.his};
            const account::coming kept{two.his, {.deployments = 1, .bytes = 40}};
            CHECK(co_await two.count() == usage{.jobs = 1});
            CHECK(co_await one.count() == usage{.jobs = 1, .coming = {.deployments = 1, .bytes = 40}});
        }
        CHECK(co_await others_see(one, {}));
        first.reset();
        CHECK(co_await others_see(two, {}));
        CHECK(co_await comes_true([&] { return one.quotas.watched() == 0 && two.quotas.watched() == 0; }));
    });
}

TEST_CASE("what was used on a day counts after its server has gone", "[cluster][tenants]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    with_servers([](redis_server& redis, server& one, server& two) -> asio::awaitable<void> {
        const auto now = std::chrono::system_clock::now();
        {
            const account::job first{one.his};
            CHECK(co_await one.count() == usage{});
            one.his->spend_cpu(2s, now);
            one.his->spend_fuel(5, now);
        }
        CHECK(co_await others_see(two, {.cpu = 2s, .fuel = 5}));
        const account::job second{two.his};
        two.his->spend_fuel(7, now);
        CHECK(co_await two.count() == usage{.cpu = 2s, .fuel = 5});
        // What it used itself it has counted.
        CHECK(co_await one.count() == usage{.jobs = 1, .fuel = 7});
        CHECK(redis.say("EVAL \"return #redis.call('KEYS', 'sandboxd:tenant-day:*')\" 0") == ":1\r\n");
    });
}

TEST_CASE("who says nothing more counts nothing after a while, and the others go on", "[cluster][tenants]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    on_loop(with_tasks([&](async::task_group& tasks) -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        // So short that the others see the end of it.
        server lost{executor, tasks, redis, {.time = 30ms}};
        server two{executor, tasks, redis};
        server three{executor, tasks, redis};
        for (auto* each : {&lost, &two, &three})
            REQUIRE(co_await comes_true([&] { return each->redis.is_connected(); }));
        const account::job stays{two.his};
        CHECK(co_await two.count() == usage{});
        const account::job goes{lost.his};
        CHECK(co_await lost.count() == usage{.jobs = 1});
        // It is told again and again, as long as there is somebody who does.
        CHECK(co_await others_see(three, {.jobs = 2}));
        lost.redis.close();
        CHECK(co_await others_see(three, {.jobs = 1}));
        CHECK(co_await two.count() == usage{});
        for (auto* each : {&lost, &two, &three}) co_await each->close();
        co_await tasks.wait_empty();
    }));
}

TEST_CASE("requests of one tenant at the same moment share a call, and each is counted", "[cluster][tenants]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    with_servers([](redis_server&, server& one, server& two) -> asio::awaitable<void> {
        constexpr int many = 1000;
        std::set<std::int64_t> seen;
        int left = many;
        const auto executor = co_await asio::this_coro::executor;
        async::event over{executor};
        for (int i = 0; i < many; ++i)
            asio::co_spawn(
                executor,
                [&]() -> asio::awaitable<void> {
                    const auto counted = co_await one.quotas.count_request("a");
                    if (counted) seen.insert(counted->requests);
                    if (--left == 0) over.set();
                },
                asio::detached);
        co_await over.wait();
        // Nobody was refused for want of calls.
        CHECK(seen.size() == many);
        CHECK(*seen.begin() == 1);
        CHECK(*seen.rbegin() == many);
        CHECK((co_await two.quotas.count_request("a")).value().requests == many + 1);
        const auto told = one.metrics.expose();
        const std::string calls = "sandboxd_cluster_quotas_total{what=\"request\",result=\"done\"} ";
        REQUIRE(told.find(calls) != std::string::npos);
        CHECK(std::stoi(told.substr(told.find(calls) + calls.size())) < many / 10);
    });
}

TEST_CASE("what is not told yet is told at the end", "[cluster][tenants]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    with_servers([](redis_server&, server& one, server& two) -> asio::awaitable<void> {
        {
            const account::job mine{one.his};
            CHECK(co_await one.count() == usage{});
            one.his->spend_fuel(5, std::chrono::system_clock::now());
        }
        // Nothing has run since that could have told it.
        co_await one.quotas.close();
        CHECK(co_await two.count() == usage{.fuel = 5});
    });
}

TEST_CASE("a Redis that has forgotten what is used is told again", "[cluster][tenants]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    with_servers([](redis_server& redis, server& one, server& two) -> asio::awaitable<void> {
        const account::job first{one.his};
        one.his->spend_fuel(5, std::chrono::system_clock::now());
        CHECK(co_await one.count() == usage{});
        CHECK(redis.say("FLUSHALL") == "+OK\r\n");
        CHECK(co_await two.count() == usage{});
        CHECK(co_await one.count() == usage{});
        CHECK(co_await two.count() == usage{.jobs = 1, .fuel = 5});
    });
}

TEST_CASE("what somebody has written to Redis is a number, or nothing", "[cluster][tenants]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    with_servers([](redis_server& redis, server& one, server&) -> asio::awaitable<void> {
        for (const std::string member : {"", "x", "ab", "ab:", "ab:x:1:1", "ab:-1:0:0", "ab:1e5:0:0", "zz:1:1:1"})
            CHECK(redis.say("ZADD sandboxd:tenant-now:a 9e15 \"" + member + "\"") == ":1\r\n");
        CHECK(co_await one.count() == usage{});
        CHECK(redis.say("ZCARD sandboxd:tenant-now:a") == ":0\r\n");
        // As many, and as large, as anybody writes.
        for (const std::string member : {"ab:99999999999999999999999999:1:1:9:9:9", "cd:99999999999999999999999999:1"})
            CHECK(redis.say("ZADD sandboxd:tenant-now:a 9e15 \"" + member + "\"") == ":1\r\n");
        CHECK(co_await one.count() ==
              usage{.jobs = 4'000'000'000'000'000'000, .coming = {.deployments = 2, .bytes = 1}});
        CHECK(redis.say("SET sandboxd:tenant-now:a x") == "+OK\r\n");
        CHECK((co_await one.quotas.count("a", one.his)).error().code == errc::index_unavailable);
    });
}

TEST_CASE("without Redis nobody says what the others count", "[cluster][tenants]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    with_servers([](redis_server& redis, server& one, server&) -> asio::awaitable<void> {
        redis.end();
        REQUIRE(co_await comes_true([&] { return !one.redis.is_connected(); }));
        const account::job first{one.his};
        CHECK((co_await one.quotas.count("a", one.his)).error().code == errc::index_unavailable);
        CHECK((co_await one.quotas.count_request("a")).error().code == errc::index_unavailable);
        CHECK(one.quotas.watched() == 1);
    });
}
