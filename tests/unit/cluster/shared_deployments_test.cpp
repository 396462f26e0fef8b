// Deployments that servers share, in a real Redis and a cache that does as it is told.
#include "cluster/shared_deployments.hpp"

#include "base/uuid.hpp"
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
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace asio = boost::asio;
using namespace sandboxd;
using namespace sandboxd::cluster;
using namespace sandboxd::test;
using namespace std::chrono_literals;
using held = faas::fleet::held;
using offered = faas::fleet::offered;
using seat_taken = faas::fleet::seat_taken;
using seat_held = faas::fleet::seat_held;
using files = std::vector<faas::deployment_file>;

namespace {

// One of several servers.
struct server {
    server(const asio::any_io_executor& executor, async::task_group& tasks, const redis_server& to,
           const cache_stand_in& cache, const std::string& address, shared_deployments_settings how = patient())
        : redis{executor, tasks, redis_settings(to), nullptr, metrics},
          blobs{executor, tasks, blob_settings(cache), nullptr, metrics},
          all{redis, blobs, std::move(how), address, metrics}
    {
        redis.start();
    }

    // Nothing ends by its time, however slow the machine is.
    static shared_deployments_settings patient()
    {
        shared_deployments_settings how;
        how.time = 3600s;
        return how;
    }
    void close()
    {
        redis.close();
        blobs.close();
    }

    metrics::registry metrics;
    redis_client redis;
    remote::blob_store blobs;
    shared_deployments all;
};

faas::manifest example(const std::string& owner = {})
{
    faas::manifest made;
    made.id = new_uuid();
    made.sandbox_id = new_uuid();
    made.runtime = "node";
    made.entry_point = "index.js";
    made.env = {{"SECRET", "word"}};
    made.created = 1'764'457'276;
    made.owner = owner;
    made.revision = 1;
    return made;
}

const files first{{"index.js", "1"}, {"b", "22"}};

using user = std::function<asio::awaitable<void>(server&, server&)>;
asio::awaitable<bool> use_two(const redis_server& redis, const cache_stand_in& cache, user what,
                              shared_deployments_settings how = server::patient())
{
    const auto executor = co_await asio::this_coro::executor;
    async::task_group tasks{executor};
    server one{executor, tasks, redis, cache, "10.0.0.1:1", how};
    server two{executor, tasks, redis, cache, "10.0.0.2:2", how};
    REQUIRE(co_await comes_true([&] { return one.redis.is_connected() && two.redis.is_connected(); }));
    co_await what(one, two);
    for (auto* each : {&one, &two}) each->close();
    co_await tasks.wait_empty();
    co_return true;
}

// One that this server has made, and runs.
asio::awaitable<faas::manifest> kept(server& on, std::string owner = {})
{
    auto what = example(owner);
    CHECK((co_await on.all.keep(what, first)).has_value());
    co_return what;
}

}  // namespace

TEST_CASE("one server at a time has the lease of a deployment, and all know which", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    cache_stand_in cache;
    on_loop(use_two(redis, cache, [&](server& one, server& two) -> asio::awaitable<void> {
        const auto what = example("a");
        const auto id = what.id;
        CHECK((co_await two.all.claim(id)).error().code == errc::not_found);
        CHECK((co_await one.all.keep(what, first)).has_value());
        const auto there = co_await two.all.claim(id);
        REQUIRE(there.has_value());
        CHECK(there->server == "10.0.0.1:1");
        CHECK(there->what.owner == "a");
        CHECK(there->what.env.empty());
        const auto here = co_await one.all.claim(id);
        CHECK(here->server.empty());
        CHECK((co_await two.all.renew(id, {})).value() == held::others);
        CHECK((co_await one.all.renew(id, {faas::status::running, 3, 1})).value() == held::mine);

        const auto seen = co_await two.all.look(id);
        REQUIRE(seen.has_value());
        CHECK(seen->server == "10.0.0.1:1");
        CHECK(seen->state.status == faas::status::running);
        CHECK(seen->state.starts == 3);
        CHECK(seen->state.restarts == 1);
        CHECK(seen->bytes == 3);
        CHECK((co_await one.all.look(id))->server.empty());
        CHECK((co_await two.all.by_sandbox(what.sandbox_id)).value() == id);
        CHECK((co_await two.all.by_sandbox(id)).error().code == errc::not_found);
        CHECK((co_await two.all.list("a"))->size() == 1);
        CHECK((co_await two.all.list(std::nullopt))->front().server == "10.0.0.1:1");
        CHECK((co_await two.all.list("b"))->empty());
        CHECK((co_await two.all.held_by("a"))->deployments == 1);
        CHECK((co_await two.all.held_by("a"))->bytes == 3);
        CHECK((co_await two.all.held_by("b"))->deployments == 0);

        // What is another's is not given back.
        co_await two.all.give_back(id);
        CHECK((co_await two.all.claim(id))->server == "10.0.0.1:1");
        co_await one.all.give_back(id);
        CHECK((co_await two.all.look(id))->server.empty());
        CHECK((co_await two.all.claim(id))->server.empty());
        CHECK((co_await one.all.claim(id))->server == "10.0.0.2:2");
        CHECK((co_await one.all.renew(id, {})).value() == held::others);

        CHECK((co_await one.all.forget(id)).value());
        CHECK_FALSE((co_await one.all.forget(id)).value());
        CHECK((co_await two.all.renew(id, {})).value() == held::deleted);
        CHECK((co_await two.all.look(id)).error().code == errc::not_found);
        CHECK((co_await two.all.claim(id)).error().code == errc::not_found);
        CHECK((co_await two.all.by_sandbox(what.sandbox_id)).error().code == errc::not_found);
        CHECK((co_await two.all.list(std::nullopt))->empty());
        CHECK((co_await two.all.held_by("a"))->deployments == 0);
    }));
}

TEST_CASE("a lease that nobody renews ends, and the next who asks has it", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    cache_stand_in cache;
    on_loop(use_two(redis, cache, [&](server& one, server& two) -> asio::awaitable<void> {
        const auto what = co_await kept(one);
        CHECK(std::stoll(redis.say("PTTL sandboxd:deployment-server:" + what.id).substr(1)) > 1'800'000);
        // As its time would end it.
        redis.say("DEL sandboxd:deployment-server:" + what.id);
        CHECK((co_await two.all.claim(what.id))->server.empty());
        CHECK((co_await one.all.renew(what.id, {})).value() == held::others);
        // Who was away, and finds that nobody has it, has it still.
        redis.say("DEL sandboxd:deployment-server:" + what.id);
        CHECK((co_await two.all.renew(what.id, {})).value() == held::mine);
        CHECK((co_await one.all.claim(what.id))->server == "10.0.0.2:2");
        // The deployment itself does not end.
        CHECK(redis.say("PTTL sandboxd:deployment:" + what.id) == ":-1\r\n");
    }));
}

TEST_CASE("a server that is asked for a lease gives it back when it renews it", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    cache_stand_in cache;
    on_loop(use_two(redis, cache, [&](server& one, server& two) -> asio::awaitable<void> {
        const auto id = (co_await kept(one)).id;
        co_await two.all.ask_for(id);
        CHECK(std::stoll(redis.say("PTTL sandboxd:deployment-wanted:" + id).substr(1)) > 1'800'000);
        CHECK((co_await two.all.claim(id))->server == "10.0.0.1:1");
        CHECK((co_await one.all.renew(id, {})).value() == held::wanted);
        CHECK((co_await two.all.claim(id))->server.empty());
        CHECK((co_await two.all.renew(id, {})).value() == held::mine);
        CHECK((co_await one.all.renew(id, {})).value() == held::others);
        // Who takes a lease that has ended was not asked.
        co_await one.all.ask_for(id);
        redis.say("DEL sandboxd:deployment-server:" + id);
        CHECK((co_await two.all.claim(id))->server.empty());
        CHECK((co_await two.all.renew(id, {})).value() == held::mine);
    }));
}

TEST_CASE("a server that was started again has its leases at once", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    cache_stand_in cache;
    on_loop(use_two(redis, cache, [&](server& one, server& two) -> asio::awaitable<void> {
        const auto id = (co_await kept(one)).id;
        metrics::registry metrics;
        shared_deployments again{one.redis, one.blobs, server::patient(), "10.0.0.1:1", metrics};
        CHECK((co_await again.look(id))->server.empty());
        CHECK((co_await again.claim(id))->server.empty());
        CHECK((co_await again.renew(id, {})).value() == held::mine);
        // The one before, if it is still there, has it no more.
        CHECK((co_await one.all.renew(id, {})).value() == held::others);
        CHECK((co_await two.all.claim(id))->server == "10.0.0.1:1");
        // An address that only ends like it is another one.
        shared_deployments other{two.redis, two.blobs, server::patient(), "0.0.0.1:1", metrics};
        CHECK((co_await other.claim(id))->server == "10.0.0.1:1");
    }));
}

TEST_CASE("revisions follow each other, one at a time, and the last ones come back", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    cache_stand_in cache;
    auto how = server::patient();
    how.revisions = 2;
    on_loop(use_two(
        redis, cache,
        [&](server& one, server& two) -> asio::awaitable<void> {
            auto what = co_await kept(one, "a");
            const auto id = what.id;
            const auto got = co_await two.all.fetch(id, 1);
            REQUIRE(got.has_value());
            CHECK(got->what == what);
            CHECK(got->files.size() == 2);
            CHECK(got->files.at(1).content == "22");
            what.revision = 2;
            const files second{{"index.js", "2"}};
            // Only who has the lease, and only behind the newest.
            CHECK((co_await two.all.commit(what, second)).error().code == errc::conflict);
            CHECK((co_await one.all.commit(what, second)).has_value());
            CHECK((co_await one.all.commit(what, second)).error().code == errc::conflict);
            CHECK((co_await two.all.claim(id))->what.revision == 2);
            CHECK((co_await two.all.held_by("a"))->bytes == 1);
            CHECK((co_await two.all.fetch(id, 1))->files.size() == 2);
            CHECK((co_await two.all.fetch(id, 2))->files.front().content == "2");
            CHECK((co_await two.all.fetch(id, 3)).error().code == errc::not_found);
            what.revision = 3;
            CHECK((co_await one.all.commit(what, first)).has_value());
            CHECK((co_await two.all.fetch(id, 1)).error().code == errc::not_found);
            CHECK((co_await two.all.fetch(id, 2)).has_value());
            // Of two attempts at the same revision neither writes over the other.
            what.revision = 4;
            CHECK((co_await two.all.commit(what, {{"index.js", "stranger"}})).error().code == errc::conflict);
            CHECK((co_await one.all.commit(what, {{"index.js", "mine"}})).has_value());
            CHECK((co_await two.all.commit(what, {{"index.js", "stranger"}})).error().code == errc::conflict);
            CHECK((co_await two.all.fetch(id, 4))->files.front().content == "mine");
        },
        how));
}

TEST_CASE("an index that has lost a deployment gets it back, and never one that was deleted", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    cache_stand_in cache;
    on_loop(use_two(redis, cache, [&](server& one, server& two) -> asio::awaitable<void> {
        auto what = co_await kept(one, "a");
        redis.say("FLUSHALL");
        CHECK((co_await one.all.renew(what.id, {})).value() == held::unknown);
        CHECK((co_await one.all.offer(what, first, true)).value() == offered::taken);
        CHECK((co_await two.all.claim(what.id))->server == "10.0.0.1:1");
        CHECK((co_await two.all.list("a"))->size() == 1);
        CHECK((co_await two.all.fetch(what.id, 1)).has_value());
        // A copy that is older, or as old, changes nothing; a newer one does.
        CHECK((co_await two.all.offer(what, {}, false)).value() == offered::known);
        what.revision = 3;
        CHECK((co_await two.all.offer(what, first, false)).value() == offered::taken);
        CHECK((co_await one.all.look(what.id))->what.revision == 3);
        CHECK((co_await one.all.renew(what.id, {})).value() == held::mine);
        CHECK((co_await two.all.forget(what.id)).value());
        CHECK((co_await one.all.offer(what, first, true)).value() == offered::deleted);
        CHECK((co_await two.all.list(std::nullopt))->empty());
    }));
}

TEST_CASE("that a deployment was deleted is known for as long as the key says", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    cache_stand_in cache;
    auto how = server::patient();
    how.gone = 2h;
    on_loop(use_two(
        redis, cache,
        [&](server& one, server& two) -> asio::awaitable<void> {
            const auto what = co_await kept(one);
            CHECK((co_await one.all.forget(what.id)).value());
            const auto gone = "sandboxd:deployment-gone:" + what.id;
            const auto left = std::stoll(redis.say("PTTL " + gone).substr(1));
            CHECK(left > 3'600'000);
            CHECK(left <= 7'200'000);
            CHECK((co_await two.all.offer(what, first, false)).value() == offered::deleted);
            // As its time would end it.
            redis.say("DEL " + gone);
            CHECK((co_await two.all.offer(what, first, false)).value() == offered::taken);
        },
        how));
}

TEST_CASE("servers take seats beside the owner of a deployment, as many as there are", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    cache_stand_in cache;
    on_loop(use_two(redis, cache, [&](server& one, server& two) -> asio::awaitable<void> {
        const auto what = example("a");
        const auto id = what.id;
        const auto seats = "sandboxd:deployment-seats:" + id;
        metrics::registry metrics;
        shared_deployments three{one.redis, one.blobs, server::patient(), "10.0.0.3:3", metrics};
        shared_deployments four{one.redis, one.blobs, server::patient(), "10.0.0.4:4", metrics};
        CHECK((co_await two.all.take_seat(id, 1, 3)).value() == seat_taken::deleted);
        CHECK((co_await one.all.keep(what, first)).has_value());
        // What may run on one server has no seats.
        CHECK((co_await two.all.take_seat(id, 1, 1)).value() == seat_taken::full);
        CHECK((co_await two.all.take_seat(id, 1, 3)).value() == seat_taken::here);
        CHECK((co_await three.take_seat(id, 1, 3)).value() == seat_taken::here);
        CHECK((co_await four.take_seat(id, 1, 3)).value() == seat_taken::full);
        CHECK((co_await four.renew_seat(id, 1, true)).value() == seat_held::lost);
        CHECK((co_await one.all.look(id))->seats == 2);
        CHECK((co_await one.all.list("a"))->front().seats == 2);
        const auto lasts = [&] { return std::stoll(redis.say("PTTL " + seats).substr(1)); };
        CHECK(lasts() > 1'800'000);
        // The owner is whose the lease is, whoever has a seat.
        CHECK((co_await two.all.claim(id))->server == "10.0.0.1:1");
        CHECK((co_await two.all.renew_seat(id, 1, true)).value() == seat_held::mine);
        // What is another's is not given back.
        co_await four.give_seat_back(id);
        CHECK((co_await four.take_seat(id, 1, 3)).value() == seat_taken::full);
        co_await three.give_seat_back(id);
        CHECK((co_await three.renew_seat(id, 1, false)).value() == seat_held::lost);
        CHECK((co_await four.take_seat(id, 1, 3)).value() == seat_taken::here);
        // A server that was started again has the seat of the one before, which has none any more.
        shared_deployments again{one.redis, one.blobs, server::patient(), "10.0.0.4:4", metrics};
        CHECK((co_await again.take_seat(id, 1, 3)).value() == seat_taken::here);
        CHECK((co_await four.renew_seat(id, 1, false)).value() == seat_held::lost);
        CHECK((co_await one.all.look(id))->seats == 2);
        CHECK((co_await two.all.renew_seat(id, 1, false)).value() == seat_held::mine);
    }));
}

TEST_CASE("of servers that ask for the last seat at once, one gets it", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    cache_stand_in cache;
    on_loop(use_two(redis, cache, [&](server& one, server& two) -> asio::awaitable<void> {
        const auto what = co_await kept(one);
        const auto executor = co_await asio::this_coro::executor;
        async::task_group tasks{executor};
        for (int round = 0; round < 20; ++round) {
            std::vector<seat_taken> came;
            const auto ask = [&](server& by) -> asio::awaitable<void> {
                came.push_back((co_await by.all.take_seat(what.id, 1, 2)).value());
            };
            tasks.spawn("ask", ask(one));
            tasks.spawn("ask", ask(two));
            co_await tasks.wait_empty();
            REQUIRE(came.size() == 2);
            CHECK(std::ranges::count(came, seat_taken::here) == 1);
            CHECK(std::ranges::count(came, seat_taken::full) == 1);
            co_await one.all.give_seat_back(what.id);
            co_await two.all.give_seat_back(what.id);
        }
    }));
}

TEST_CASE("a seat that nobody renews ends by the clock of Redis", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    cache_stand_in cache;
    on_loop(use_two(redis, cache, [&](server& one, server& two) -> asio::awaitable<void> {
        const auto what = example();
        const auto id = what.id;
        CHECK((co_await one.all.keep(what, first)).has_value());
        CHECK((co_await two.all.take_seat(id, 1, 2)).value() == seat_taken::here);
        metrics::registry metrics;
        shared_deployments three{one.redis, one.blobs, server::patient(), "10.0.0.3:3", metrics};
        CHECK((co_await three.take_seat(id, 1, 2)).value() == seat_taken::full);
        // As its time would end it: a millisecond of 1970.
        std::vector<std::string> past{
            "EVAL",
            "for _, one in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do redis.call('ZADD', KEYS[1], 1, one) end "
            "return 1",
            "1", "sandboxd:deployment-seats:" + id};
        CHECK((co_await one.redis.call(std::move(past))).has_value());
        CHECK((co_await one.all.look(id))->seats == 0);
        CHECK((co_await three.take_seat(id, 1, 2)).value() == seat_taken::here);
        CHECK((co_await two.all.renew_seat(id, 1, true)).value() == seat_held::lost);
        CHECK((co_await two.all.take_seat(id, 1, 2)).value() == seat_taken::full);
        CHECK((co_await three.renew_seat(id, 1, false)).value() == seat_held::mine);
    }));
}

TEST_CASE("a seat is for the newest revision of what is there", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    cache_stand_in cache;
    on_loop(use_two(redis, cache, [&](server& one, server& two) -> asio::awaitable<void> {
        auto what = example();
        const auto id = what.id;
        CHECK((co_await one.all.keep(what, first)).has_value());
        CHECK((co_await two.all.take_seat(id, 2, 2)).value() == seat_taken::revised);
        CHECK((co_await two.all.take_seat(id, 1, 2)).value() == seat_taken::here);
        what.revision = 2;
        CHECK((co_await one.all.commit(what, first)).has_value());
        CHECK((co_await two.all.renew_seat(id, 1, true)).value() == seat_held::revised);
        // It was given back.
        CHECK((co_await one.all.look(id))->seats == 0);
        CHECK((co_await two.all.renew_seat(id, 2, true)).value() == seat_held::lost);
        CHECK((co_await two.all.take_seat(id, 1, 2)).value() == seat_taken::revised);
        CHECK((co_await two.all.take_seat(id, 2, 2)).value() == seat_taken::here);
        // What Redis has lost is nobody's, and what was deleted has no seats left.
        CHECK((co_await one.all.forget(id)).value());
        CHECK(redis.say("EXISTS sandboxd:deployment-seats:" + id) == ":0\r\n");
        CHECK((co_await two.all.renew_seat(id, 2, true)).value() == seat_held::deleted);
        CHECK((co_await two.all.take_seat(id, 2, 2)).value() == seat_taken::deleted);
        redis.say("FLUSHALL");
        CHECK((co_await two.all.renew_seat(id, 2, true)).value() == seat_held::lost);
    }));
}

TEST_CASE("who has a seat becomes the owner when there is none", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    cache_stand_in cache;
    on_loop(use_two(redis, cache, [&](server& one, server& two) -> asio::awaitable<void> {
        const auto what = example();
        const auto id = what.id;
        CHECK((co_await one.all.keep(what, first)).has_value());
        CHECK((co_await two.all.take_seat(id, 1, 2)).value() == seat_taken::here);
        co_await one.all.give_back(id);
        // One that has no program yet does not.
        CHECK((co_await two.all.renew_seat(id, 1, false)).value() == seat_held::mine);
        CHECK((co_await one.all.look(id))->server.empty());
        // Whoever takes a lease was not asked for it.
        co_await one.all.ask_for(id);
        CHECK((co_await two.all.renew_seat(id, 1, true)).value() == seat_held::owner);
        CHECK((co_await one.all.claim(id))->server == "10.0.0.2:2");
        // Whoever did not hear that asks again.
        CHECK((co_await two.all.renew_seat(id, 1, true)).value() == seat_held::owner);
        CHECK((co_await one.all.renew_seat(id, 1, true)).value() == seat_held::lost);
        CHECK((co_await two.all.renew(id, {})).value() == held::mine);
        // The seat is another's now.
        CHECK((co_await one.all.look(id))->seats == 0);
        CHECK((co_await one.all.take_seat(id, 1, 2)).value() == seat_taken::here);
    }));
}

TEST_CASE("all servers together have as many deployments as the key says", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    cache_stand_in cache;
    auto how = server::patient();
    how.most = 70;
    on_loop(use_two(
        redis, cache,
        [&](server& one, server& two) -> asio::awaitable<void> {
            std::string last;
            for (int i = 0; i < 70; ++i) {
                auto what = example();
                last = what.id;
                CHECK((co_await (i % 2 == 0 ? one : two).all.keep(std::move(what), first)).has_value());
            }
            CHECK((co_await one.all.list(std::nullopt))->size() == 70);
            const auto refused = co_await one.all.keep(example(), first);
            CHECK(refused.error().code == errc::queue_full);
            CHECK(refused.error().message.find("cluster.maxDeployments") != std::string::npos);
            CHECK((co_await two.all.forget(last)).value());
            CHECK((co_await one.all.keep(example(), first)).has_value());
        },
        how));
}

TEST_CASE("a list of deployments is whole however long their descriptions are, and ends no connection", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    cache_stand_in cache;
    on_loop(use_two(redis, cache, [&](server& one, server& two) -> asio::awaitable<void> {
        constexpr std::size_t there = 70;
        for (std::size_t i = 0; i < there; ++i) {
            auto what = example("a");
            // Each of these takes six bytes in its description.
            what.entry_point += ' ' + std::string(4'000, '\x01');
            REQUIRE((co_await one.all.keep(what, first)).has_value());
        }
        const auto listed = co_await two.all.list(std::nullopt);
        REQUIRE(listed.has_value());
        CHECK(listed->size() == there);
        CHECK((co_await two.all.list("a"))->size() == there);
        CHECK((co_await two.all.list("b"))->empty());
        CHECK(two.metrics.expose().find("sandboxd_cluster_redis_connects_total{result=\"done\"} 1\n") !=
              std::string::npos);
    }));
}

TEST_CASE("who writes to Redis sends no request to a stranger, and changes no deployment", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    cache_stand_in cache;
    const captured_stderr log;
    on_loop(use_two(redis, cache, [&](server& one, server& two) -> asio::awaitable<void> {
        const auto mine = example("a");
        const auto other = example("b");
        CHECK((co_await one.all.keep(mine, first)).has_value());
        CHECK((co_await one.all.keep(other, {{"index.js", "b"}})).has_value());
        const auto lease = "sandboxd:deployment-server:" + mine.id;
        redis.say("SET " + lease + " 10.6.6.6:80");
        CHECK((co_await two.all.claim(mine.id)).error().code == errc::index_unavailable);
        CHECK((co_await two.all.look(mine.id))->server.empty());
        CHECK((co_await one.all.renew(mine.id, {})).value() == held::others);
        redis.say("DEL " + lease);
        // Whose it is, and of which revision, says a signature, of this deployment.
        std::vector<std::string> copy{
            "EVAL", "return redis.call('HSET', KEYS[1], 'about', redis.call('HGET', KEYS[2], 'about'))", "2",
            "sandboxd:deployment:" + mine.id, "sandboxd:deployment:" + other.id};
        CHECK((co_await one.redis.call(std::move(copy))).has_value());
        CHECK((co_await two.all.claim(mine.id)).error().code == errc::not_found);
        CHECK((co_await two.all.look(mine.id)).error().code == errc::not_found);
        CHECK((co_await two.all.list(std::nullopt))->size() == 1);
        // A sandbox's id leads to no other deployment.
        redis.say("SET sandboxd:deployment-of:" + mine.sandbox_id + " " + other.id);
        CHECK((co_await two.all.by_sandbox(mine.sandbox_id)).error().code == errc::not_found);
        // What a revision is, says the cache, signed for it.
        redis.say("HSET sandboxd:deployment:" + other.id + " content:1 x");
        CHECK((co_await two.all.fetch(other.id, 1)).error().code == errc::not_found);
        redis.say("HSET sandboxd:deployment:" + other.id + " status Nonsense starts -7 restarts many");
        CHECK((co_await two.all.look(other.id))->state.starts == 0);
        // Of seats a full set takes some away; a key of another kind is as no index.
        const auto seats = "sandboxd:deployment-seats:" + other.id;
        redis.say("ZADD " + seats + " 99999999999999 stranger");
        CHECK((co_await two.all.take_seat(other.id, 1, 2)).value() == seat_taken::full);
        redis.say("DEL " + seats);
        redis.say("LPUSH " + seats + " x");
        CHECK((co_await two.all.take_seat(other.id, 1, 2)).error().code == errc::index_unavailable);
        CHECK((co_await two.all.renew_seat(other.id, 1, true)).error().code == errc::index_unavailable);
        redis.say("DEL " + seats);
        // That it was deleted says the fleet alone: files are removed for it.
        redis.say("DEL sandboxd:deployment:" + other.id);
        redis.say("SET sandboxd:deployment-gone:" + other.id + " 1");
        CHECK((co_await one.all.renew(other.id, {})).value() == held::unknown);
        CHECK((co_await two.all.renew_seat(other.id, 1, true)).value() == seat_held::lost);
        CHECK((co_await one.all.offer(other, {{"index.js", "b"}}, true)).error().code == errc::index_unavailable);
        // Nor does it hold for another deployment.
        CHECK((co_await one.all.forget(mine.id)).value());
        std::vector<std::string> gone{"EVAL", "return redis.call('SET', KEYS[1], redis.call('GET', KEYS[2]))", "2",
                                      "sandboxd:deployment-gone:" + other.id, "sandboxd:deployment-gone:" + mine.id};
        CHECK((co_await one.redis.call(std::move(gone))).has_value());
        CHECK((co_await one.all.renew(other.id, {})).value() == held::unknown);
        CHECK((co_await two.all.renew_seat(other.id, 1, true)).value() == seat_held::lost);
        CHECK((co_await one.all.renew(mine.id, {})).value() == held::deleted);
        // A key of another kind.
        redis.say("LPUSH sandboxd:deployment:" + other.id + " x");
        CHECK((co_await two.all.claim(other.id)).error().code == errc::index_unavailable);
    }));
    CHECK(log.text().find("none of this fleet") != std::string::npos);
    CHECK(log.text().find("word") == std::string::npos);
}

TEST_CASE("without Redis nothing is known of deployments, and the cure is said", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    cache_stand_in cache;
    on_loop(use_two(redis, cache, [&](server& one, server& two) -> asio::awaitable<void> {
        redis.end();
        REQUIRE(co_await comes_true([&] { return !one.redis.is_connected() && !two.redis.is_connected(); }));
        const auto what = example();
        const auto refused = co_await one.all.keep(what, first);
        CHECK(refused.error().code == errc::index_unavailable);
        CHECK(refused.error().message.find("cluster.redis") != std::string::npos);
        CHECK(cache.requests("PUT") == 0);
        CHECK((co_await one.all.claim(what.id)).error().code == errc::index_unavailable);
        CHECK((co_await one.all.renew(what.id, {})).error().code == errc::index_unavailable);
        CHECK((co_await one.all.take_seat(what.id, 1, 2)).error().code == errc::index_unavailable);
        CHECK((co_await one.all.renew_seat(what.id, 1, true)).error().code == errc::index_unavailable);
        co_await one.all.give_seat_back(what.id);
        CHECK((co_await one.all.look(what.id)).error().code == errc::index_unavailable);
        CHECK((co_await one.all.list("a")).error().code == errc::index_unavailable);
        CHECK((co_await one.all.held_by("a")).error().code == errc::index_unavailable);
        CHECK((co_await one.all.by_sandbox(what.id)).error().code == errc::index_unavailable);
        CHECK((co_await one.all.commit(what, first)).error().code == errc::index_unavailable);
        CHECK((co_await one.all.offer(what, first, true)).error().code == errc::index_unavailable);
        CHECK((co_await one.all.forget(what.id)).error().code == errc::index_unavailable);
        CHECK((co_await one.all.fetch(what.id, 1)).error().code == errc::index_unavailable);
        co_await one.all.give_back(what.id);
    }));
}
