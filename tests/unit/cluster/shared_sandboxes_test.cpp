// Sandboxes that servers share, in a real Redis and a cache that does as it is told.
#include "cluster/shared_sandboxes.hpp"

#include "base/uuid.hpp"
#include "cluster/signed_text.hpp"
#include "support/cache_stand_in.hpp"
#include "support/captured_stderr.hpp"
#include "support/comes_true.hpp"
#include "support/on_loop.hpp"
#include "support/redis_server.hpp"
#include "unit/cluster/sharing.hpp"

#include <boost/asio/this_coro.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace asio = boost::asio;
using namespace sandboxd;
using namespace sandboxd::cluster;
using namespace sandboxd::test;
using namespace std::chrono_literals;

namespace {

// One of several servers.
struct server {
    server(const asio::any_io_executor& executor, async::task_group& tasks, const redis_server& to,
           const cache_stand_in& cache, shared_sandboxes_settings how = {})
        : redis{executor, tasks, redis_settings(to), nullptr, metrics},
          blobs{executor, tasks, blob_settings(cache), nullptr, metrics},
          all{redis, blobs, std::move(how), metrics}
    {
        redis.start();
    }

    void close()
    {
        redis.close();
        blobs.close();
    }

    metrics::registry metrics;
    redis_client redis;
    remote::blob_store blobs;
    shared_sandboxes all;
};

sandboxes::description example(const std::string& owner = {})
{
    return {.id = new_uuid(),
            .owner = owner,
            .runtime = "node",
            .entry_point = "index.js",
            .env = {{"A", "b"}},
            .bounds = {},
            .created = std::chrono::system_clock::time_point{1'764'457'276'123ms},
            .files = {{"index.js", "console.log(1)"}}};
}

std::string key_of(const std::string& id) { return "sandboxd:sandbox:" + id; }

}  // namespace

TEST_CASE("what one server keeps, another one lists, brings, uses and forgets", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    cache_stand_in cache;
    on_loop(with_tasks([&](async::task_group& tasks) -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        server one{executor, tasks, redis, cache};
        server two{executor, tasks, redis, cache};
        REQUIRE(co_await comes_true([&] { return one.redis.is_connected() && two.redis.is_connected(); }));
        const auto mine = example("a");
        const auto theirs = example("b");
        CHECK((co_await two.all.look(mine.id)).error().code == errc::not_found);
        CHECK_FALSE((co_await two.all.use(mine.id, 1s)).value());
        CHECK((co_await one.all.keep(mine)).has_value());
        CHECK((co_await one.all.keep(theirs)).has_value());

        const auto seen = co_await two.all.look(mine.id);
        REQUIRE(seen.has_value());
        CHECK(seen->owner == "a");
        CHECK(seen->files == 1);
        CHECK(seen->bytes == 14);
        CHECK(seen->executions == 0);
        CHECK(seen->created == mine.created);
        const auto brought = co_await two.all.fetch(mine.id);
        REQUIRE(brought.has_value());
        CHECK(brought->env == mine.env);
        CHECK(brought->files.front().content == "console.log(1)");

        CHECK((co_await two.all.use(mine.id, 1s)).value());
        CHECK((co_await one.all.use(mine.id, 1s)).value());
        const auto used = co_await one.all.look(mine.id);
        REQUIRE(used.has_value());
        CHECK(used->executions == 2);
        CHECK(used->last_used > mine.created);

        CHECK((co_await one.all.list(std::nullopt))->size() == 2);
        const auto of_a = co_await two.all.list("a");
        REQUIRE(of_a.has_value());
        REQUIRE(of_a->size() == 1);
        CHECK(of_a->front().id == mine.id);
        CHECK((co_await two.all.list("c"))->empty());
        CHECK((co_await two.all.bytes_of("a")).value() == 14);
        CHECK((co_await two.all.bytes_of("c")).value() == 0);

        CHECK((co_await two.all.forget(mine.id)).value());
        CHECK_FALSE((co_await one.all.forget(mine.id)).value());
        CHECK((co_await one.all.look(mine.id)).error().code == errc::not_found);
        CHECK((co_await one.all.fetch(mine.id)).error().code == errc::not_found);
        CHECK_FALSE((co_await one.all.use(mine.id, 1s)).value());
        CHECK((co_await one.all.list("a"))->empty());
        CHECK((co_await one.all.bytes_of("a")).value() == 0);
        CHECK((co_await one.all.list(std::nullopt))->size() == 1);
        CHECK(redis.say("EXISTS sandboxd:sandboxes-of:a") == ":0\r\n");
        for (auto* each : {&one, &two}) each->close();
        co_await tasks.wait_empty();
    }));
}

TEST_CASE("a sandbox that nobody uses ends by itself, with all that is known of it", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    cache_stand_in cache;
    on_loop(with_tasks([&](async::task_group& tasks) -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        server one{executor, tasks, redis, cache, {.idle = 1'000s}};
        REQUIRE(co_await comes_true([&] { return one.redis.is_connected(); }));
        const auto time_of = [&](const std::string& key) { return std::stoll(redis.say("PTTL " + key).substr(1)); };
        const auto what = example("a");
        CHECK((co_await one.all.keep(what)).has_value());
        for (const auto& key :
             {key_of(what.id), std::string{"sandboxd:sandboxes"}, std::string{"sandboxd:sandboxes-of:a"}}) {
            CAPTURE(key);
            CHECK(time_of(key) > 500'000);
            CHECK(time_of(key) <= 1'000'000);
        }
        // For as long as it runs, and then for as long as ever.
        CHECK((co_await one.all.use(what.id, 1'000s)).value());
        CHECK(time_of(key_of(what.id)) > 1'500'000);
        CHECK(time_of("sandboxd:sandboxes") > 1'500'000);
        // A shorter one that begins meanwhile takes nothing away.
        CHECK((co_await one.all.use(what.id, 1s)).value());
        CHECK(time_of(key_of(what.id)) > 1'500'000);

        // The set knows when each ends: who asks sees no other.
        redis.say("DEL " + key_of(what.id));
        redis.say("ZADD sandboxd:sandboxes 1 " + what.id);
        redis.say("ZADD sandboxd:sandboxes-of:a 1 " + what.id);
        CHECK((co_await one.all.list(std::nullopt))->empty());
        CHECK((co_await one.all.bytes_of("a")).value() == 0);
        CHECK(redis.say("EXISTS sandboxd:sandboxes sandboxd:sandboxes-of:a") == ":0\r\n");
        one.close();
        co_await tasks.wait_empty();
    }));
}

TEST_CASE("all servers together have as many sandboxes as the key says", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    cache_stand_in cache;
    on_loop(with_tasks([&](async::task_group& tasks) -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        server one{executor, tasks, redis, cache, {.most = 70}};
        server two{executor, tasks, redis, cache, {.most = 70}};
        REQUIRE(co_await comes_true([&] { return one.redis.is_connected() && two.redis.is_connected(); }));
        std::vector<std::string> ids;
        for (int i = 0; i < 70; ++i) {
            const auto what = example();
            ids.push_back(what.id);
            CHECK((co_await (i % 2 == 0 ? one : two).all.keep(what)).has_value());
        }
        // More than one page.
        const auto all = co_await two.all.list("");
        REQUIRE(all.has_value());
        CHECK(all->size() == 70);
        const auto refused = co_await two.all.keep(example());
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error().code == errc::queue_full);
        CHECK(refused.error().message.find("cluster.maxSandboxes") != std::string::npos);
        CHECK((co_await one.all.forget(ids.front())).value());
        CHECK((co_await two.all.keep(example())).has_value());
        for (auto* each : {&one, &two}) each->close();
        co_await tasks.wait_empty();
    }));
}

TEST_CASE("who writes to Redis or to the cache takes a sandbox away, and changes none", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    cache_stand_in cache;
    const captured_stderr log;
    on_loop(with_tasks([&](async::task_group& tasks) -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        server one{executor, tasks, redis, cache};
        REQUIRE(co_await comes_true([&] { return one.redis.is_connected(); }));
        const auto mine = example("a");
        const auto other = example("b");
        CHECK((co_await one.all.keep(mine)).has_value());
        CHECK((co_await one.all.keep(other)).has_value());
        // Numbers are anybody's word, and bounded.
        redis.say("HSET " + key_of(mine.id) + " runs -5 used 99999999999999999");
        CHECK((co_await one.all.look(mine.id))->executions == 0);
        redis.say("HSET " + key_of(mine.id) + " runs many used never");
        CHECK((co_await one.all.look(mine.id))->last_used == mine.created);
        // Whose it is says a signature, of this sandbox.
        std::vector<std::string> copy{
            "EVAL", "return redis.call('HSET', KEYS[1], 'about', redis.call('HGET', KEYS[2], 'about'))", "2",
            key_of(mine.id), key_of(other.id)};
        CHECK((co_await one.redis.call(std::move(copy))).has_value());
        CHECK((co_await one.all.look(mine.id)).error().code == errc::not_found);
        CHECK((co_await one.all.fetch(mine.id)).error().code == errc::not_found);
        CHECK((co_await one.all.list(std::nullopt))->size() == 1);
        redis.say("HSET " + key_of(other.id) + " about x owner a");
        CHECK((co_await one.all.list("a"))->empty());
        CHECK((co_await one.all.list(std::nullopt))->empty());
        // A key of another kind.
        redis.say("DEL " + key_of(other.id));
        redis.say("LPUSH " + key_of(other.id) + " x");
        CHECK((co_await one.all.use(other.id, 1s)).error().code == errc::index_unavailable);
        CHECK((co_await one.all.look(other.id)).error().code == errc::index_unavailable);

        // The cache: nothing, or what was written for another.
        const auto third = example("a");
        CHECK((co_await one.all.keep(third)).has_value());
        const auto place = "/ac/" + fleet.place_of("sandbox " + third.id);
        cache.put(place, cache.contents().at("/ac/" + fleet.place_of("sandbox " + mine.id)));
        const auto lost = co_await one.all.fetch(third.id);
        CHECK(lost.error().code == errc::index_unavailable);
        CHECK(lost.error().message.find("delete it, and create it again") != std::string::npos);
        one.close();
        co_await tasks.wait_empty();
    }));
    CHECK(log.text().find("no server of this fleet has written") != std::string::npos);
}

TEST_CASE("without Redis, or without the cache, nothing is kept, and the cure is said", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    cache_stand_in cache;
    on_loop(with_tasks([&](async::task_group& tasks) -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        server one{executor, tasks, redis, cache};
        REQUIRE(co_await comes_true([&] { return one.redis.is_connected(); }));
        cache.lie([](const auto& asked) -> std::optional<cache_stand_in::answer> {
            if (asked.method != "PUT") return std::nullopt;
            return cache_stand_in::answer{.bytes = cache_stand_in::whole("", "500 Internal Server Error")};
        });
        const auto refused = co_await one.all.keep(example());
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error().code == errc::index_unavailable);
        CHECK(refused.error().message.find("store.remote") != std::string::npos);
        CHECK((co_await one.all.list(std::nullopt))->empty());
        cache.be_honest();

        redis.end();
        REQUIRE(co_await comes_true([&] { return !one.redis.is_connected(); }));
        const auto written = cache.requests("PUT");
        const auto away = co_await one.all.keep(example());
        REQUIRE_FALSE(away.has_value());
        CHECK(away.error().code == errc::index_unavailable);
        CHECK(away.error().message.find("cluster.redis") != std::string::npos);
        CHECK(cache.requests("PUT") == written);
        const auto id = new_uuid();
        CHECK((co_await one.all.look(id)).error().code == errc::index_unavailable);
        CHECK((co_await one.all.fetch(id)).error().code == errc::index_unavailable);
        CHECK((co_await one.all.use(id, 1s)).error().code == errc::index_unavailable);
        CHECK((co_await one.all.forget(id)).error().code == errc::index_unavailable);
        CHECK((co_await one.all.list("a")).error().code == errc::index_unavailable);
        CHECK((co_await one.all.bytes_of("a")).error().code == errc::index_unavailable);
        one.close();
        co_await tasks.wait_empty();
    }));
}
