// Keys that servers share, in a real Redis.
#include "cluster/shared_keys.hpp"

#include "cluster/signed_text.hpp"
#include "support/captured_stderr.hpp"
#include "support/comes_true.hpp"
#include "support/files.hpp"
#include "support/on_loop.hpp"
#include "support/redis_server.hpp"
#include "support/temporary_directory.hpp"
#include "unit/cluster/sharing.hpp"

#include <boost/asio/this_coro.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <sys/stat.h>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace asio = boost::asio;
using namespace sandboxd;
using namespace sandboxd::cluster;
using namespace sandboxd::test;
using namespace std::chrono_literals;
using tenants::key_source;

namespace {

// No test waits for the time between two looks; those who wait for one look themselves.
constexpr auto never = std::chrono::hours{24};

redis_client_settings with_calls(redis_client_settings how, std::size_t calls)
{
    how.calls = calls;
    return how;
}

// One of several servers, whose keys file has one key.
struct server {
    // `calls`: of Redis at a time.
    server(const asio::any_io_executor& executor, async::task_group& tasks, const std::string& url,
           shared_keys_settings how, std::size_t calls)
        : table{{.file = file()}, metrics},
          redis{executor, tasks, with_calls(redis_settings(url), calls), nullptr, metrics},
          keys{executor, tasks, redis, fleet, std::move(how), table, metrics}
    {
        put_file("filed");
        REQUIRE(table.load());
        redis.start();
    }

    fs::path file() const { return own / "keys.json"; }
    void put_file(const std::string& its_name) const
    {
        write_file(file(), R"({"keys": [{"name": ")" + its_name + R"(", "sha256": ")" + to_hex(sha256_of("filed")) +
                               R"(", "scopes": ["admin"]}]})");
        REQUIRE(::chmod(file().c_str(), 0600) == 0);
    }
    std::string who(std::string_view key) const
    {
        const auto found = table.find(key);
        return found ? found->name : "nobody";
    }
    void close()
    {
        keys.close();
        redis.close();
    }

    temporary_directory own;
    metrics::registry metrics;
    tenants::key_table table;
    redis_client redis;
    shared_keys keys;
};

// A Redis, and the servers that share it.
struct ground {
    server& add(shared_keys_settings how = {.poll = never}, std::size_t calls = 256)
    {
        return servers.emplace_back(executor, tasks, redis.url(), std::move(how), calls);
    }

    // Returns when all of them have.
    asio::awaitable<void> reach_redis() const
    {
        const auto has = [](const server& one) { return one.redis.is_connected(); };
        REQUIRE(co_await comes_true([&] { return std::ranges::all_of(servers, has); }));
    }

    redis_server& redis;
    async::task_group& tasks;
    const asio::any_io_executor executor;
    std::list<server> servers{};
};

// Runs this, and then closes the servers. Skips the test where there is no Redis.
void with_redis(std::function<asio::awaitable<void>(ground&)> body)
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    on_loop(with_tasks([&](async::task_group& tasks) -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        ground on{.redis = redis, .tasks = tasks, .executor = executor};
        co_await body(on);
        for (auto& each : on.servers) each.close();
        co_await tasks.wait_empty();
    }));
}

tenants::fleet_key example(const std::string& its_name, const std::string& key, std::chrono::seconds created = 1s)
{
    tenants::fleet_key made{.what = {.name = its_name, .digest = sha256_of(key)},
                            .created = std::chrono::system_clock::time_point{created},
                            .by = "op"};
    made.what.scopes.add(tenants::scope::compile);
    made.what.limits.set(tenants::limit::concurrent_jobs, 3);
    return made;
}

std::string digest_of(const std::string& key) { return to_hex(sha256_of(key)); }

// What a text in Redis is, as its protocol has it.
std::string bulk(const std::string& text) { return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n"; }

// As one who can write to Redis does it.
asio::awaitable<void> put(server& by, std::string digest, std::string text)
{
    std::vector<std::string> words{"HSET", "sandboxd:keys", std::move(digest), std::move(text)};
    CHECK((co_await by.redis.call(std::move(words))).has_value());
    std::vector<std::string> version{"SET", "sandboxd:keys-version", random_hex(8)};
    CHECK((co_await by.redis.call(std::move(version))).has_value());
}

asio::awaitable<std::string> entry_of(server& by, std::string digest)
{
    std::vector<std::string> words{"HGET", "sandboxd:keys", std::move(digest)};
    const auto said = co_await by.redis.call(std::move(words));
    co_return said ? said->text : std::string{};
}

}  // namespace

TEST_CASE("a key that one server makes counts there at once, and on another when that looks", "[cluster][tenants]")
{
    with_redis([](ground& on) -> asio::awaitable<void> {
        auto& one = on.add();
        auto& two = on.add();
        co_await on.reach_redis();
        CHECK_FALSE(two.table.are_fleet_keys_known());
        CHECK((co_await two.keys.look()).has_value());
        CHECK(two.table.are_fleet_keys_known());
        CHECK((co_await one.keys.make(example("a", "key-a"))).has_value());
        CHECK(one.who("key-a") == "a");
        CHECK(two.who("key-a") == "nobody");
        CHECK((co_await two.keys.look()).has_value());
        CHECK(two.who("key-a") == "a");
        CHECK(two.who("filed") == "filed");
        CHECK(two.table.list().back().what == example("a", "key-a").what);
        CHECK(two.table.list().back().created == example("a", "key-a").created);
        CHECK(two.table.list().back().by == "op");
        // Redis has the key nowhere.
        CHECK(on.redis.say("HGET sandboxd:key-names a") == bulk(digest_of("key-a")));
        CHECK((co_await entry_of(one, digest_of("key-a"))).find("key-a") == std::string::npos);

        const auto gone = co_await two.keys.forget(sha256_of("key-a"));
        REQUIRE(gone.has_value());
        CHECK(*gone == "a");
        CHECK(two.who("key-a") == "nobody");
        CHECK((co_await one.keys.look()).has_value());
        CHECK(one.who("key-a") == "nobody");
        CHECK(one.table.knows("key-a"));
        CHECK((co_await one.keys.forget(sha256_of("key-a"))).error().code == errc::not_found);
        CHECK((co_await one.keys.forget(sha256_of("filed"))).error().code == errc::not_found);
        CHECK(on.redis.say("EXISTS sandboxd:keys sandboxd:key-names") == ":0\r\n");
        // The name is free again.
        CHECK((co_await one.keys.make(example("a", "key-b"))).has_value());
    });
}

TEST_CASE("a server looks by itself, and reads nothing where nothing has changed", "[cluster][tenants]")
{
    with_redis([](ground& on) -> asio::awaitable<void> {
        auto& one = on.add();
        auto& two = on.add({.poll = 1ms});
        two.keys.start();
        co_await on.reach_redis();
        CHECK((co_await one.keys.make(example("a", "key-a"))).has_value());
        CHECK(co_await comes_true([&] { return two.who("key-a") == "a"; }));
        CHECK((co_await one.keys.forget(sha256_of("key-a"))).has_value());
        CHECK(co_await comes_true([&] { return two.who("key-a") == "nobody"; }));
        CHECK(co_await comes_true([&] {
            return two.metrics.expose().find(R"(sandboxd_cluster_keys_total{what="look",result="same"})") !=
                   std::string::npos;
        }));
        // What this server has changed itself it does not read again.
        CHECK((co_await one.keys.look()).has_value());
        CHECK((co_await one.keys.make(example("b", "key-b"))).has_value());
        CHECK((co_await one.keys.look()).has_value());
        const auto told = one.metrics.expose();
        CHECK(told.find("sandboxd_cluster_keys_total{what=\"look\",result=\"changed\"} 1\n") != std::string::npos);
        CHECK(told.find("sandboxd_cluster_keys_total{what=\"look\",result=\"same\"} 1\n") != std::string::npos);
    });
}

TEST_CASE("a Redis that is away at the start is asked again soon, and one that refuses at the usual pace",
          "[cluster][tenants]")
{
    with_redis([](ground& on) -> asio::awaitable<void> {
        auto& one = on.add();
        const auto after = [&one](errc why) { return one.keys.pause_after(result<void>{make_error(why)}); };
        CHECK(after(errc::unavailable) < 1s);
        for (const auto why : {errc::upstream_failed, errc::upstream_timeout, errc::queue_full})
            CHECK(after(why) == never);
        co_await on.reach_redis();
        const auto looked = co_await one.keys.look();
        REQUIRE(looked.has_value());
        CHECK(one.keys.pause_after(looked) == never);
        // The keys that are known stay.
        CHECK(after(errc::unavailable) == never);
    });
}

TEST_CASE("a Redis that lets nobody read its keys matters only where there are some", "[cluster][tenants]")
{
    with_redis([](ground& on) -> asio::awaitable<void> {
        REQUIRE(on.redis.say("ACL SETUSER default -hscan") == "+OK\r\n");
        auto& one = on.add();
        auto& two = on.add();
        co_await on.reach_redis();
        CHECK((co_await one.keys.look()).has_value());
        CHECK(one.table.are_fleet_keys_known());
        CHECK((co_await one.keys.make(example("a", "key-a"))).has_value());
        const auto refused = co_await two.keys.look();
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error().code == errc::upstream_failed);
        CHECK(two.keys.pause_after(refused) == never);
        CHECK_FALSE(two.table.are_fleet_keys_known());
        REQUIRE(on.redis.say("ACL SETUSER default +hscan") == "+OK\r\n");
        CHECK((co_await two.keys.look()).has_value());
        CHECK(two.who("key-a") == "a");
    });
}

TEST_CASE("of two keys of one name that are made at once, one is made", "[cluster][tenants]")
{
    with_redis([](ground& on) -> asio::awaitable<void> {
        auto& one = on.add();
        auto& two = on.add();
        co_await on.reach_redis();
        std::vector<result<void>> ends;
        const auto make = [&ends](shared_keys& by, std::string key) -> asio::awaitable<void> {
            ends.push_back(co_await by.make(example("a", key)));
        };
        on.tasks.spawn("make", make(one.keys, "key-1"));
        on.tasks.spawn("make", make(two.keys, "key-2"));
        REQUIRE(co_await comes_true([&] { return ends.size() == 2; }));
        CHECK(ends.front().has_value() != ends.back().has_value());
        const auto& lost = ends.front() ? ends.back() : ends.front();
        REQUIRE_FALSE(lost.has_value());
        CHECK(lost.error().code == errc::conflict);
        CHECK(lost.error().message.find("'a'") != std::string::npos);
        CHECK(on.redis.say("HLEN sandboxd:keys") == ":1\r\n");
    });
}

TEST_CASE("there are as many keys as auth.maxKeys says, those of the file included", "[cluster][tenants]")
{
    with_redis([](ground& on) -> asio::awaitable<void> {
        constexpr std::size_t most = 400;
        auto& one = on.add({.poll = never, .most = most});
        auto& two = on.add({.poll = never, .most = most});
        auto& small = on.add({.poll = never, .most = 10});
        co_await on.reach_redis();
        for (std::size_t i = 1; i < most; ++i) {
            const auto n = std::to_string(i);
            CHECK((co_await one.keys.make(example("t" + n, "key-" + n))).has_value());
        }
        const auto refused = co_await one.keys.make(example("more", "key-more"));
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error().code == errc::queue_full);
        CHECK(refused.error().message.find("auth.maxKeys") != std::string::npos);
        CHECK(one.who("key-more") == "nobody");
        // In more than one step.
        CHECK((co_await two.keys.look()).has_value());
        CHECK(two.table.size(key_source::fleet) == most - 1);
        CHECK(two.who("key-" + std::to_string(most - 1)) == "t" + std::to_string(most - 1));
        CHECK((co_await one.keys.forget(sha256_of("key-1"))).has_value());
        CHECK((co_await two.keys.make(example("more", "key-more"))).has_value());
        // One that may have fewer takes as many as it may.
        const captured_stderr log;
        CHECK((co_await small.keys.look()).has_value());
        CHECK(small.table.size(key_source::fleet) == 10);
        CHECK(log.text().find("more keys than there may be") != std::string::npos);
    });
}

TEST_CASE("who writes to Redis makes no key and changes none", "[cluster][tenants]")
{
    with_redis([](ground& on) -> asio::awaitable<void> {
        const captured_stderr log;
        auto& one = on.add();
        co_await on.reach_redis();
        CHECK((co_await one.keys.make(example("a", "key-a"))).has_value());
        const auto mine = example("evil", "key-evil");
        const auto digest = digest_of("key-evil");
        const remote::signing_key other{std::string(40, 'o')};
        const auto of_a = co_await entry_of(one, digest_of("key-a"));
        const std::vector<std::string> texts{
            to_text(mine),                                                         // not signed
            std::string(64, '0') + "\n" + to_text(mine),                           // by nobody
            write_signed(other, "tenant's key " + digest, to_text(mine)),          // by another fleet
            write_signed(fleet, "sandbox's info " + digest, to_text(mine)),        // for another use
            write_signed(fleet, "tenant's key " + digest, R"({"name": "evil"})"),  // not what this version writes
            of_a,                                                                  // of another key
            ""};
        for (const auto& text : texts) {
            CAPTURE(text);
            co_await put(one, digest, text);
            CHECK((co_await one.keys.look()).has_value());
            CHECK(one.who("key-evil") == "nobody");
            CHECK(one.who("key-a") == "a");
            // It takes a place, and somebody must be able to make that free.
            CHECK((co_await one.keys.forget(sha256_of("key-evil"))).value().empty());
            CHECK(on.redis.say("HEXISTS sandboxd:keys " + digest) == ":0\r\n");
            CHECK((co_await one.keys.forget(sha256_of("key-evil"))).error().code == errc::not_found);
        }
        // Signed for the digest, and under a name that is none.
        co_await put(one, "x", write_signed(fleet, "tenant's key x", to_text(mine)));
        CHECK((co_await one.keys.look()).has_value());
        CHECK(one.table.size(key_source::fleet) == 1);
        // A right one, to know that the words are right.
        co_await put(one, digest, write_signed(fleet, "tenant's key " + digest, to_text(mine)));
        CHECK((co_await one.keys.look()).has_value());
        CHECK(one.who("key-evil") == "evil");
        CHECK(one.metrics.expose().find(R"(sandboxd_cluster_keys_total{what="read",result="refused"})") !=
              std::string::npos);
        // A key of another kind: what is known stays.
        on.redis.say("DEL sandboxd:keys");
        on.redis.say("SET sandboxd:keys x");
        on.redis.say("SET sandboxd:keys-version odd");
        CHECK((co_await one.keys.look()).error().code == errc::upstream_failed);
        CHECK(one.table.are_fleet_keys_known());
        CHECK(one.who("key-a") == "a");
        CHECK((co_await one.keys.make(example("b", "key-b"))).error().code == errc::index_unavailable);
        CHECK(log.text().find("Redis has a key that this server cannot take for one of this fleet's") !=
              std::string::npos);
    });
}

TEST_CASE("a key that a server cannot read keeps its name and its place until somebody deletes it",
          "[cluster][tenants]")
{
    with_redis([](ground& on) -> asio::awaitable<void> {
        const captured_stderr log;
        auto& one = on.add({.poll = never, .most = 2});
        co_await on.reach_redis();
        // As after store.signingKeyFile was replaced.
        const remote::signing_key former{std::string(40, 'o')};
        const auto digest = digest_of("key-former");
        const auto text = to_text(example("a", "key-former"));
        co_await put(one, digest, write_signed(former, "tenant's key " + digest, text));
        on.redis.say("HSET sandboxd:key-names a " + digest);
        CHECK((co_await one.keys.look()).has_value());
        const auto taken = co_await one.keys.make(example("a", "key-a"));
        REQUIRE_FALSE(taken.has_value());
        CHECK(taken.error().code == errc::conflict);
        CHECK(taken.error().message.find("DELETE /admin/keys/" + digest) != std::string::npos);
        CHECK((co_await one.keys.make(example("b", "key-b"))).error().code == errc::queue_full);
        CHECK((co_await one.keys.forget(sha256_of("key-former"))).value().empty());
        CHECK((co_await one.keys.make(example("a", "key-a"))).has_value());
        CHECK(on.redis.say("HGET sandboxd:key-names a") == bulk(digest_of("key-a")));
        CHECK((co_await one.keys.forget(sha256_of("key-a"))).value() == "a");
        // A digest that is none is not told further.
        on.redis.say("HSET sandboxd:keys odd x");
        on.redis.say("HSET sandboxd:key-names a odd");
        const auto odd = co_await one.keys.make(example("a", "key-a"));
        REQUIRE_FALSE(odd.has_value());
        CHECK(odd.error().code == errc::conflict);
        CHECK(odd.error().message.find("odd") == std::string::npos);
    });
}

TEST_CASE("who writes to Redis brings a former key back, but not beside a younger one of its name",
          "[cluster][tenants]")
{
    with_redis([](ground& on) -> asio::awaitable<void> {
        auto& one = on.add();
        auto& two = on.add();
        co_await on.reach_redis();
        CHECK((co_await one.keys.make(example("a", "key-1", 1s))).has_value());
        const auto former = co_await entry_of(one, digest_of("key-1"));
        CHECK((co_await one.keys.forget(sha256_of("key-1"))).has_value());
        co_await put(one, digest_of("key-1"), former);
        CHECK((co_await two.keys.look()).has_value());
        CHECK(two.who("key-1") == "a");
        CHECK((co_await two.keys.forget(sha256_of("key-1"))).has_value());

        CHECK((co_await one.keys.make(example("a", "key-2", 2s))).has_value());
        co_await put(one, digest_of("key-1"), former);
        CHECK((co_await two.keys.look()).has_value());
        CHECK(two.who("key-1") == "nobody");
        CHECK(two.who("key-2") == "a");
    });
}

TEST_CASE("a key that was taken out of Redis behind the servers' backs can still be deleted", "[cluster][tenants]")
{
    with_redis([](ground& on) -> asio::awaitable<void> {
        auto& one = on.add();
        auto& two = on.add();
        co_await on.reach_redis();
        CHECK((co_await one.keys.make(example("a", "key-a"))).has_value());
        CHECK((co_await two.keys.look()).has_value());
        on.redis.say("HDEL sandboxd:keys " + digest_of("key-a"));
        CHECK((co_await two.keys.look()).has_value());
        CHECK(two.who("key-a") == "a");
        CHECK((co_await one.keys.forget(sha256_of("key-a"))).value() == "a");
        CHECK(one.who("key-a") == "nobody");
        CHECK((co_await two.keys.look()).has_value());
        CHECK(two.who("key-a") == "nobody");
        // A name whose key is gone is free, also without that.
        CHECK((co_await one.keys.make(example("a", "key-b"))).has_value());
        on.redis.say("HDEL sandboxd:keys " + digest_of("key-b"));
        CHECK((co_await one.keys.make(example("a", "key-c"))).has_value());
        CHECK(one.who("key-b") == "nobody");
        CHECK(one.who("key-c") == "a");
        CHECK(on.redis.say("HGET sandboxd:key-names a") == bulk(digest_of("key-c")));
    });
}

TEST_CASE("keys are made and taken away while as many calls of Redis are under way as there may be",
          "[cluster][tenants]")
{
    with_redis([](ground& on) -> asio::awaitable<void> {
        auto& one = on.add({.poll = never}, 1);
        co_await on.reach_redis();
        // Redis answers it when there is something in the list, and what comes after it on this connection then.
        const auto wait_long = [&one]() -> asio::awaitable<void> {
            std::vector<std::string> words{"BLPOP", "gate", "0"};
            CHECK((co_await one.redis.call(std::move(words))).has_value());
        };
        const auto calls_under_way = [&one](int count) {
            return one.metrics.expose().find("\nsandboxd_cluster_redis_calls_running " + std::to_string(count) +
                                             "\n") != std::string::npos;
        };
        std::optional<result<void>> made;
        const auto make = [&]() -> asio::awaitable<void> { made = co_await one.keys.make(example("a", "key-a")); };
        std::optional<result<std::string>> gone;
        const auto forget = [&]() -> asio::awaitable<void> { gone = co_await one.keys.forget(sha256_of("key-a")); };

        on.tasks.spawn("wait long", wait_long());
        REQUIRE(co_await comes_true([&] { return calls_under_way(1); }));
        std::vector<std::string> words{"GET", "x"};
        CHECK((co_await one.redis.call(std::move(words))).error().code == errc::queue_full);
        on.tasks.spawn("make", make());
        REQUIRE(co_await comes_true([&] { return made || calls_under_way(2); }));
        on.redis.say("RPUSH gate x");
        REQUIRE(co_await comes_true([&] { return made.has_value(); }));
        CHECK(made->has_value());

        on.tasks.spawn("wait long", wait_long());
        REQUIRE(co_await comes_true([&] { return calls_under_way(1); }));
        on.tasks.spawn("forget", forget());
        REQUIRE(co_await comes_true([&] { return gone || calls_under_way(2); }));
        on.redis.say("RPUSH gate x");
        REQUIRE(co_await comes_true([&] { return gone.has_value(); }));
        CHECK(gone->has_value());
        CHECK(one.who("key-a") == "nobody");
    });
}

TEST_CASE("a key whose name the keys file takes while it is made is taken back", "[cluster][tenants]")
{
    with_redis([](ground& on) -> asio::awaitable<void> {
        auto& one = on.add();
        auto& two = on.add();
        co_await on.reach_redis();
        std::optional<result<void>> made;
        const auto make = [&]() -> asio::awaitable<void> { made = co_await one.keys.make(example("a", "key-a")); };
        on.tasks.spawn("make", make());
        // Before Redis has answered: nothing else runs meanwhile.
        one.put_file("a");
        one.table.reload();
        REQUIRE(co_await comes_true([&] { return made.has_value(); }));
        REQUIRE_FALSE(made->has_value());
        CHECK(made->error().code == errc::conflict);
        CHECK(made->error().message.find("auth.keysFile") != std::string::npos);
        CHECK(on.redis.say("EXISTS sandboxd:keys sandboxd:key-names") == ":0\r\n");
        CHECK_FALSE(one.table.look_up(sha256_of("key-a")));
        CHECK((co_await two.keys.look()).has_value());
        CHECK(two.who("key-a") == "nobody");
    });
}

TEST_CASE("without Redis keys stay as they are known, and a Redis that has lost all has none", "[cluster][tenants]")
{
    with_redis([](ground& on) -> asio::awaitable<void> {
        auto& one = on.add();
        co_await on.reach_redis();
        CHECK((co_await one.keys.make(example("a", "key-a"))).has_value());
        CHECK((co_await one.keys.look()).has_value());
        on.redis.end();
        REQUIRE(co_await comes_true([&] { return !one.redis.is_connected(); }));
        CHECK((co_await one.keys.look()).error().code == errc::unavailable);
        CHECK(one.who("key-a") == "a");
        const auto refused = co_await one.keys.make(example("b", "key-b"));
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error().code == errc::index_unavailable);
        CHECK((co_await one.keys.forget(sha256_of("key-a"))).error().code == errc::index_unavailable);
        CHECK(one.who("key-a") == "a");
        CHECK(one.who("key-b") == "nobody");

        on.redis.start_again();
        co_await on.reach_redis();
        CHECK((co_await one.keys.look()).has_value());
        CHECK(one.who("key-a") == "nobody");
        CHECK(one.who("filed") == "filed");
    });
}
