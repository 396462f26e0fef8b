// Which server keeps a script's sandbox or continuation, in a real Redis.
#include "cluster/script_homes.hpp"

#include "support/captured_stderr.hpp"
#include "support/comes_true.hpp"
#include "support/on_loop.hpp"
#include "support/redis_server.hpp"
#include "unit/cluster/sharing.hpp"

#include <boost/asio/this_coro.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <string>
#include <utility>

namespace asio = boost::asio;
using namespace sandboxd;
using namespace sandboxd::cluster;
using namespace sandboxd::test;
using namespace std::chrono_literals;

namespace {

struct server {
    server(const asio::any_io_executor& executor, async::task_group& tasks, const redis_server& to,
           const std::string& address, script_homes_settings how = {.time = 3600s, .home = 1000s, .most = 5})
        : redis{executor, tasks, redis_settings(to), nullptr, metrics},
          homes{executor, tasks, redis, fleet, std::move(how), address, metrics}
    {
        redis.start();
    }
    std::string key() const { return "sandboxd:server:" + homes.tag(); }

    metrics::registry metrics;
    redis_client redis;
    script_homes homes;
};

bool is_there(const redis_server& redis, const std::string& key) { return redis.say("EXISTS " + key) == ":1\r\n"; }

}  // namespace

TEST_CASE("ids of sandboxes that nobody comes back to do not fill Redis", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    on_loop(with_tasks([&](async::task_group& tasks) -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        server one{executor, tasks, redis, "10.0.0.1:1"};
        server two{executor, tasks, redis, "10.0.0.2:2"};
        REQUIRE(co_await comes_true([&] { return one.redis.is_connected() && two.redis.is_connected(); }));
        one.homes.start();
        REQUIRE(co_await comes_true([&] { return is_there(redis, one.key()); }));
        for (int i = 0; i < 20; ++i) CHECK((co_await one.homes.home_of("a", std::to_string(i))).value().empty());
        CHECK(redis.say("ZCARD sandboxd:scripts") == ":5\r\n");
        // Those that are known are found still, and no further one is.
        CHECK((co_await two.homes.home_of("a", "4")).value() == "10.0.0.1:1");
        CHECK((co_await two.homes.home_of("a", "5")).value().empty());
        CHECK((co_await one.homes.home_of("a", "5")).value().empty());
        co_await one.homes.close();
        for (auto* each : {&one, &two}) each->redis.close();
        co_await tasks.wait_empty();
    }));
}

TEST_CASE("a script's sandbox is where it was asked for first, until its server is gone", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    on_loop(with_tasks([&](async::task_group& tasks) -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        server one{executor, tasks, redis, "10.0.0.1:1"};
        server two{executor, tasks, redis, "10.0.0.2:2"};
        REQUIRE(co_await comes_true([&] { return one.redis.is_connected() && two.redis.is_connected(); }));
        one.homes.start();
        two.homes.start();
        REQUIRE(co_await comes_true([&] { return is_there(redis, one.key()) && is_there(redis, two.key()); }));
        CHECK(one.homes.tag().size() == 16);
        CHECK(one.homes.tag() != two.homes.tag());
        CHECK((co_await one.homes.home_of("a", "x")).value().empty());
        CHECK((co_await two.homes.home_of("a", "x")).value() == "10.0.0.1:1");
        CHECK((co_await one.homes.home_of("a", "x")).value().empty());
        // Of another tenant it is another one.
        CHECK((co_await two.homes.home_of("b", "x")).value().empty());
        CHECK((co_await one.homes.home_of("b", "x")).value() == "10.0.0.2:2");
        // Redis knows neither tenant nor id.
        CHECK(redis.say("KEYS *:x*") == "*0\r\n");

        CHECK((co_await two.homes.server_of(one.homes.tag())).value() == "10.0.0.1:1");
        CHECK((co_await two.homes.server_of("0123456789abcdef")).error().code == errc::not_found);
        co_await one.homes.close();
        CHECK_FALSE(is_there(redis, one.key()));
        CHECK((co_await two.homes.server_of(one.homes.tag())).error().code == errc::not_found);
        CHECK((co_await two.homes.home_of("a", "x")).value().empty());
        co_await two.homes.close();
        for (auto* each : {&one, &two}) each->redis.close();
        co_await tasks.wait_empty();
    }));
}

TEST_CASE("who writes to Redis sends no script to a stranger", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    const captured_stderr log;
    on_loop(with_tasks([&](async::task_group& tasks) -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        server one{executor, tasks, redis, "10.0.0.1:1"};
        server two{executor, tasks, redis, "10.0.0.2:2"};
        REQUIRE(co_await comes_true([&] { return one.redis.is_connected() && two.redis.is_connected(); }));
        one.homes.start();
        REQUIRE(co_await comes_true([&] { return is_there(redis, one.key()); }));
        CHECK((co_await one.homes.home_of("a", "x")).value().empty());
        redis.say("SET " + one.key() + " 10.6.6.6:80");
        CHECK((co_await two.homes.server_of(one.homes.tag())).error().code == errc::not_found);
        CHECK((co_await two.homes.home_of("a", "x")).value().empty());
        // What one server says is not another one's.
        redis.say("SET sandboxd:server:0123456789abcdef x");
        CHECK((co_await two.homes.server_of("0123456789abcdef")).error().code == errc::not_found);
        redis.say("DEL " + one.key());
        redis.say("LPUSH " + one.key() + " x");
        CHECK((co_await two.homes.server_of(one.homes.tag())).error().code == errc::index_unavailable);
        co_await one.homes.close();
        for (auto* each : {&one, &two}) each->redis.close();
        co_await tasks.wait_empty();
    }));
    CHECK(log.text().find("none of this fleet") != std::string::npos);
}

TEST_CASE("a Redis that is away, or has forgotten, ends no continuation", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    on_loop(with_tasks([&](async::task_group& tasks) -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        server one{executor, tasks, redis, "10.0.0.1:1"};
        server two{executor, tasks, redis, "10.0.0.2:2", {.time = 30ms}};
        REQUIRE(co_await comes_true([&] { return one.redis.is_connected() && two.redis.is_connected(); }));
        one.homes.start();
        two.homes.start();
        REQUIRE(co_await comes_true([&] { return is_there(redis, one.key()); }));
        CHECK((co_await two.homes.server_of(one.homes.tag())).value() == "10.0.0.1:1");
        redis.end();
        REQUIRE(co_await comes_true([&] { return !two.redis.is_connected(); }));
        CHECK((co_await two.homes.server_of(one.homes.tag())).value() == "10.0.0.1:1");
        CHECK((co_await two.homes.server_of("0123456789abcdef")).error().code == errc::index_unavailable);
        CHECK((co_await two.homes.home_of("a", "x")).error().code == errc::index_unavailable);
        for (auto* each : {&one, &two}) each->redis.close();
        co_await one.homes.close();
        co_await two.homes.close();
        co_await tasks.wait_empty();
    }));
}

TEST_CASE("of the servers that keep scripts as many are remembered as the key says", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    on_loop(with_tasks([&](async::task_group& tasks) -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        server one{executor, tasks, redis, "10.0.0.1:1"};
        server two{executor, tasks, redis, "10.0.0.2:2"};
        server asks{executor, tasks, redis, "10.0.0.3:3", {.time = 3600s, .known = 1}};
        REQUIRE(co_await comes_true(
            [&] { return one.redis.is_connected() && two.redis.is_connected() && asks.redis.is_connected(); }));
        one.homes.start();
        two.homes.start();
        REQUIRE(co_await comes_true([&] { return is_there(redis, one.key()) && is_there(redis, two.key()); }));
        CHECK((co_await asks.homes.server_of(one.homes.tag())).value() == "10.0.0.1:1");
        CHECK((co_await asks.homes.server_of(two.homes.tag())).value() == "10.0.0.2:2");
        redis.end();
        REQUIRE(co_await comes_true([&] { return !asks.redis.is_connected(); }));
        CHECK((co_await asks.homes.server_of(two.homes.tag())).value() == "10.0.0.2:2");
        CHECK((co_await asks.homes.server_of(one.homes.tag())).error().code == errc::index_unavailable);
        CHECK(asks.metrics.add_counter("sandboxd_cluster_places_forgotten_total", "", "of=\"script\"").value() == 1);
        for (auto* each : {&one, &two, &asks}) each->redis.close();
        co_await one.homes.close();
        co_await two.homes.close();
        co_await tasks.wait_empty();
    }));
}
