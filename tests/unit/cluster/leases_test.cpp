// Leases, and compiles that take turns by them, in a real Redis.
#include "cluster/compile_leases.hpp"
#include "cluster/lease.hpp"
#include "support/captured_stderr.hpp"
#include "support/comes_true.hpp"
#include "support/on_loop.hpp"
#include "support/redis_server.hpp"
#include "unit/cluster/sharing.hpp"
#include "unit/cluster/stand_in.hpp"

#include <boost/asio/this_coro.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace asio = boost::asio;
using namespace sandboxd;
using namespace sandboxd::cluster;
using namespace sandboxd::test;
using namespace std::chrono_literals;
using turn = artifacts::leases::turn;

namespace {

// What a server has written for others, as the test says it.
class written final : public artifacts::elsewhere {
public:
    explicit written(const asio::any_io_executor& executor) : done{executor} {}

    asio::awaitable<found> fetch(std::string, client_key) override { co_return found::nowhere; }
    void share(const std::string&) override {}
    asio::awaitable<bool> settled(std::string, std::chrono::steady_clock::duration patience) override
    {
        ++asked;
        co_return co_await done.wait_for(patience);
    }

    async::event done;
    int asked{0};
};

// One of several servers.
struct server {
    server(const asio::any_io_executor& executor, async::task_group& tasks, const std::string& url,
           compile_leases_settings how)
        : redis{executor, tasks, redis_settings(url), nullptr, metrics},
          others{executor},
          leases{executor, tasks, std::move(how), redis, others, metrics}
    {
        redis.start();
    }

    std::uint64_t came_of_it(const std::string& what)
    {
        return metrics.add_counter("sandboxd_cluster_compile_turns_total", "", "result=\"" + what + "\"").value();
    }
    // Whether so many compiles come to wait here for other servers.
    asio::awaitable<bool> has_waiting(int compiles)
    {
        const auto sample = "sandboxd_cluster_compiles_waiting " + std::to_string(compiles) + "\n";
        co_return co_await comes_true([&] { return metrics.expose().find(sample) != std::string::npos; });
    }
    std::uint64_t lost() { return metrics.add_counter("sandboxd_cluster_leases_lost_total", "").value(); }

    metrics::registry metrics;
    redis_client redis;
    written others;
    compile_leases leases;
};

// What a key says, and for how long: "token 9876".
struct key_state {
    std::string value;  // empty: there is none
    long long left_ms{0};
};
key_state state_of(const redis_server& redis, const std::string& key)
{
    key_state seen;
    const auto said = redis.say("GET " + key);
    if (const auto head = said.find("\r\n"); said.starts_with('$') && said != "$-1\r\n")
        seen.value = said.substr(head + 2, said.size() - head - 4);
    if (!seen.value.empty()) seen.left_ms = std::stoll(redis.say("PTTL " + key).substr(1));
    return seen;
}

// Nothing ends by its time, however slow the machine is.
compile_leases_settings patient() { return {.time = 3600s, .wait = 3600s, .over = 3600s}; }

constexpr const char* key_of_a = "sandboxd:compile:a";

// Two servers that are connected, one by each way that there is, and tasks of theirs.
asio::awaitable<bool> use_two(const redis_server& redis, compile_leases_settings how,
                              std::function<asio::awaitable<void>(server&, server&, async::task_group&)> what)
{
    const auto executor = co_await asio::this_coro::executor;
    async::task_group tasks{executor};
    server one{executor, tasks, redis.url(), how};
    server two{executor, tasks, redis.socket_url(), how};
    REQUIRE(co_await comes_true([&] { return one.redis.is_connected() && two.redis.is_connected(); }));
    co_await what(one, two, tasks);
    for (auto* each : {&one, &two}) each->redis.close();
    co_await tasks.wait_empty();
    co_return true;
}

// A task that takes a turn.
struct taking {
    asio::awaitable<void> run(compile_leases& of, std::string id)
    {
        got = co_await of.take(std::move(id), stop);
        done = true;
    }
    async::stop_source stop;
    turn got;
    bool done{false};
};

}  // namespace

TEST_CASE("a lease belongs to its token, for its time", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    on_loop(with_tasks([&](async::task_group& tasks) -> asio::awaitable<void> {
        server one{co_await asio::this_coro::executor, tasks, redis.url(), {}};
        auto& by = one.redis;
        REQUIRE(co_await comes_true([&] { return by.is_connected(); }));
        CHECK((co_await take_lease(by, "k", "me", 100s)).value() == lease_state::mine);
        CHECK(state_of(redis, "k").value == "me");
        CHECK(state_of(redis, "k").left_ms > 50'000);
        CHECK((co_await take_lease(by, "k", "you", 100s)).value() == lease_state::others);
        // Its own holder asks as everybody does.
        CHECK((co_await take_lease(by, "k", "me", 100s)).value() == lease_state::others);

        CHECK((co_await renew_lease(by, "k", "me", 1000s)).value());
        CHECK(state_of(redis, "k").left_ms > 500'000);
        CHECK_FALSE((co_await renew_lease(by, "k", "you", 1s)).value());
        CHECK_FALSE((co_await give_lease_back(by, "k", "you", 1s)).value());
        CHECK_FALSE((co_await give_lease_back(by, "k", "you", 0s)).value());
        CHECK(state_of(redis, "k").value == "me");
        CHECK(state_of(redis, "k").left_ms > 500'000);

        CHECK((co_await give_lease_back(by, "k", "me", 100s)).value());
        CHECK(state_of(redis, "k").value == "over");
        CHECK(state_of(redis, "k").left_ms <= 100'000);
        CHECK((co_await take_lease(by, "k", "you", 100s)).value() == lease_state::over);
        CHECK_FALSE((co_await renew_lease(by, "k", "me", 1s)).value());
        redis.say("DEL k");
        CHECK_FALSE((co_await renew_lease(by, "k", "me", 1s)).value());
        CHECK(state_of(redis, "k").value.empty());

        CHECK((co_await take_lease(by, "k", "you", 1ms)).value() == lease_state::mine);
        CHECK(co_await comes_true([&] { return state_of(redis, "k").value.empty(); }));
        CHECK((co_await take_lease(by, "k", "me", 100s)).value() == lease_state::mine);
        CHECK((co_await give_lease_back(by, "k", "me", 0s)).value());
        CHECK(state_of(redis, "k").value.empty());

        // A key of another kind is nobody's.
        redis.say("LPUSH list x");
        CHECK((co_await take_lease(by, "list", "me", 1s)).error().code == errc::upstream_failed);
        CHECK((co_await renew_lease(by, "list", "me", 1s)).error().code == errc::upstream_failed);
        by.close();
        CHECK((co_await take_lease(by, "k", "me", 1s)).error().code == errc::draining);
        co_await tasks.wait_empty();
    }));
}

TEST_CASE("an answer that is none of a lease gives none", "[cluster]")
{
    using words = redis_stand_in::words;
    for (const auto* const odd : {":1\r\n", "*0\r\n", "$2\r\nOK\r\n"}) {
        CAPTURE(odd);
        on_loop(with_tasks([&](async::task_group& tasks) -> asio::awaitable<void> {
            const auto executor = co_await asio::this_coro::executor;
            const auto script = [odd](const words& said) -> std::optional<redis_stand_in::answer> {
                if (said.front() == "PING") return std::nullopt;
                return redis_stand_in::answer{said.front() == "EVAL" ? "+OK\r\n" : odd};
            };
            redis_stand_in liar{executor, script};
            server one{executor, tasks, liar.url(), {}};
            REQUIRE(co_await comes_true([&] { return one.redis.is_connected(); }));
            CHECK((co_await take_lease(one.redis, "k", "me", 1s)).error().code == errc::upstream_failed);
            CHECK((co_await renew_lease(one.redis, "k", "me", 1s)).error().code == errc::upstream_failed);
            CHECK((co_await give_lease_back(one.redis, "k", "me", 1s)).error().code == errc::upstream_failed);
            one.redis.close();
            co_await tasks.wait_empty();
        }));
    }
}

TEST_CASE("who does not get the lease waits until its holder's entry is there", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    on_loop(use_two(redis, patient(), [&](server& one, server& two, async::task_group& tasks) -> asio::awaitable<void> {
        async::stop_source stop;
        auto first = co_await one.leases.take("a", stop);
        REQUIRE(first.mine);
        CHECK_FALSE(first.others_had_it);
        const auto token = state_of(redis, key_of_a).value;
        CHECK(token.size() == 36);
        CHECK(state_of(redis, key_of_a).left_ms > 1'000'000);
        // Another entry is another lease.
        auto other = co_await two.leases.take("b", stop);
        CHECK(other.mine);

        taking waits;
        tasks.spawn("take", waits.run(two.leases, "a"));
        REQUIRE(co_await two.has_waiting(1));
        first.mine->made();
        first.mine.reset();
        REQUIRE(co_await comes_true([&] { return one.others.asked > 0; }));
        // It is not written yet.
        CHECK(state_of(redis, key_of_a).value == token);
        CHECK_FALSE(waits.done);
        one.others.done.set();
        REQUIRE(co_await comes_true([&] { return waits.done; }));
        CHECK_FALSE(waits.got.mine);
        CHECK(waits.got.others_had_it);
        CHECK(state_of(redis, key_of_a).value == "over");
        // Who comes a moment later, too.
        const auto late = co_await two.leases.take("a", stop);
        CHECK_FALSE(late.mine);
        CHECK(late.others_had_it);

        CHECK(one.came_of_it("taken") == 1);
        CHECK(two.came_of_it("taken") == 1);
        CHECK(two.came_of_it("over") == 2);
        CHECK(one.lost() + two.lost() == 0);
        const auto text = one.metrics.expose();
        CHECK(text.find("sandboxd_cluster_leases_held 0\n") != std::string::npos);
        CHECK(two.metrics.expose().find("sandboxd_cluster_compile_wait_seconds_count 1\n") != std::string::npos);
        other.mine.reset();
        co_await two.leases.close();
        CHECK(state_of(redis, "sandboxd:compile:b").value == "over");
    }));
}

TEST_CASE("without an entry all who wait go at once", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    on_loop(use_two(redis, patient(), [&](server& one, server& two, async::task_group& tasks) -> asio::awaitable<void> {
        async::stop_source stop;
        auto first = co_await one.leases.take("a", stop);
        REQUIRE(first.mine);
        taking waits[3];
        for (auto& each : waits) tasks.spawn("take", each.run(two.leases, "a"));
        REQUIRE(co_await two.has_waiting(3));
        first.mine.reset();
        REQUIRE(co_await comes_true([&] { return waits[0].done && waits[1].done && waits[2].done; }));
        for (const auto& each : waits) {
            CHECK_FALSE(each.got.mine);
            CHECK(each.got.others_had_it);
        }
        CHECK(one.others.asked == 0);
    }));
}

TEST_CASE("a lease is kept as long as its compile runs, and ends by itself when its server dies", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    auto how = patient();
    how.renewal = 20ms;
    on_loop(use_two(redis, how, [&](server& one, server& two, async::task_group& tasks) -> asio::awaitable<void> {
        async::stop_source stop;
        auto first = co_await one.leases.take("a", stop);
        REQUIRE(first.mine);
        const auto token = state_of(redis, key_of_a).value;
        // Somebody makes it shorter: it is made longer again.
        redis.say(std::string{"PEXPIRE "} + key_of_a + " 600000");
        REQUIRE(co_await comes_true([&] { return state_of(redis, key_of_a).left_ms > 1'000'000; }));
        CHECK(state_of(redis, key_of_a).value == token);
        taking waits;
        tasks.spawn("take", waits.run(two.leases, "a"));
        // It says nothing more, and has given nothing back.
        one.redis.close();
        CHECK(state_of(redis, key_of_a).value == token);
        redis.say(std::string{"PEXPIRE "} + key_of_a + " 1");
        REQUIRE(co_await comes_true([&] { return waits.done; }));
        CHECK(waits.got.mine);
        CHECK(waits.got.others_had_it);
        first.mine.reset();
        waits.got.mine.reset();
        co_await two.leases.close();
    }));
}

TEST_CASE("a lease that was taken away is not given back", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    on_loop(with_tasks([&](async::task_group& tasks) -> asio::awaitable<void> {
        auto how = patient();
        how.renewal = 20ms;
        server one{co_await asio::this_coro::executor, tasks, redis.url(), how};
        REQUIRE(co_await comes_true([&] { return one.redis.is_connected(); }));
        async::stop_source stop;
        const auto first = co_await one.leases.take("a", stop);
        redis.say(std::string{"SET "} + key_of_a + " stranger");
        REQUIRE(co_await comes_true([&] { return one.lost() == 1; }));
        CHECK(state_of(redis, key_of_a).value == "stranger");
        // At its end, too.
        auto second = co_await one.leases.take("b", stop);
        redis.say("SET sandboxd:compile:b stranger");
        second.mine.reset();
        REQUIRE(co_await comes_true([&] { return one.lost() == 2; }));
        CHECK(state_of(redis, "sandboxd:compile:b").value == "stranger");
        one.redis.close();
        co_await tasks.wait_empty();
    }));
}

TEST_CASE("a wait for another server is bounded: in time, in number, and by who asked", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    redis.say(std::string{"SET "} + key_of_a + " stranger");
    on_loop(with_tasks([&](async::task_group& tasks) -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        server hasty{executor, tasks, redis.url(), {.wait = 300ms}};
        server never{executor, tasks, redis.url(), {.wait = 0ms}};
        server patient{executor, tasks, redis.url(), {.wait = 3600s, .waiting = 1}};
        REQUIRE(co_await comes_true(
            [&] { return hasty.redis.is_connected() && never.redis.is_connected() && patient.redis.is_connected(); }));
        async::stop_source stop;
        const auto began = std::chrono::steady_clock::now();
        const auto gave_up = co_await hasty.leases.take("a", stop);
        CHECK(std::chrono::steady_clock::now() - began >= 300ms);
        CHECK_FALSE(gave_up.mine);
        CHECK(gave_up.others_had_it);
        CHECK(hasty.came_of_it("wait_over") == 1);
        CHECK_FALSE((co_await never.leases.take("a", stop)).mine);
        CHECK(never.came_of_it("wait_over") == 1);

        taking waits;
        tasks.spawn("take", waits.run(patient.leases, "a"));
        REQUIRE(co_await patient.has_waiting(1));
        const auto crowded = co_await patient.leases.take("a", stop);
        CHECK_FALSE(crowded.mine);
        CHECK_FALSE(crowded.others_had_it);
        CHECK(patient.came_of_it("crowded") == 1);
        CHECK_FALSE(waits.done);
        waits.stop.request(errc::disconnected);
        REQUIRE(co_await comes_true([&] { return waits.done; }));
        CHECK_FALSE(waits.got.mine);
        CHECK(patient.came_of_it("stopped") == 1);
        CHECK(patient.metrics.expose().find("sandboxd_cluster_compiles_waiting 0\n") != std::string::npos);
        for (auto* each : {&hasty, &never, &patient}) each->redis.close();
        co_await tasks.wait_empty();
    }));
}

TEST_CASE("without Redis nobody waits", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    const captured_stderr log;
    on_loop(use_two(redis, patient(), [&](server& one, server& two, async::task_group& tasks) -> asio::awaitable<void> {
        async::stop_source stop;
        auto first = co_await one.leases.take("a", stop);
        REQUIRE(first.mine);
        // It goes while somebody waits.
        taking waits;
        tasks.spawn("take", waits.run(two.leases, "a"));
        REQUIRE(co_await two.has_waiting(1));
        redis.end();
        REQUIRE(co_await comes_true([&] { return waits.done; }));
        CHECK_FALSE(waits.got.mine);
        CHECK(waits.got.others_had_it);
        CHECK(two.came_of_it("unavailable") == 1);
        // Who asks later is told at once.
        const auto later = co_await two.leases.take("b", stop);
        CHECK_FALSE(later.mine);
        CHECK_FALSE(later.others_had_it);
        CHECK(two.came_of_it("unavailable") == 2);
        REQUIRE(co_await comes_true([&] { return !one.redis.is_connected(); }));
        CHECK_FALSE((co_await one.leases.take("c", stop)).mine);
        first.mine.reset();
    }));
}
