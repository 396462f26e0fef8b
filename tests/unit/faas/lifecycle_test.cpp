#include "faas/lifecycle.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>

using namespace sandboxd::faas;
using namespace std::chrono_literals;
using enum lifecycle::verdict;

namespace {

const lifecycle_settings how{.first_pause = 100ms,
                             .longest_pause = 1'000ms,
                             .stable = 10s,
                             .most_crashes = 5,
                             .patience = 300ms,
                             .max_waiting = 2,
                             .idle = 60s};
const clock::time_point t0{1h};

lifecycle running_at(clock::time_point when)
{
    lifecycle made{how};
    REQUIRE(made.on_request(when, 0) == start);
    made.on_ready(when);
    REQUIRE(made.current() == status::running);
    return made;
}

}  // namespace

TEST_CASE("one start for all who ask, and the queue is bounded", "[faas]")
{
    lifecycle life{how};
    CHECK(life.current() == status::stopped);
    CHECK(life.on_request(t0, 0) == start);
    CHECK(life.on_request(t0, 1) == wait);
    CHECK(life.on_request(t0, 2) == refuse_full);
    CHECK_FALSE(life.on_start(t0));
    life.on_ready(t0);
    CHECK(life.on_request(t0, 2) == forward);
    CHECK(life.starts() == 1);
}

TEST_CASE("idle is measured from the last use, and not while there are requests", "[faas]")
{
    auto life = running_at(t0);
    CHECK_FALSE(life.on_tick(t0 + 59s, 0));
    CHECK_FALSE(life.on_tick(t0 + 61s, 1));
    life.on_use(t0 + 61s);
    CHECK_FALSE(life.on_tick(t0 + 120s, 0));
    CHECK(life.on_tick(t0 + 121s, 0));
    CHECK(life.current() == status::stopped);
    CHECK(life.on_request(t0 + 200s, 0) == start);
    CHECK(life.starts() == 2);
    auto never = how;
    never.idle = 0ms;
    lifecycle for_ever{never};
    for_ever.on_start(t0);
    for_ever.on_ready(t0);
    CHECK_FALSE(for_ever.on_tick(t0 + 10'000s, 0));
}

TEST_CASE("crashes are paused for ever longer, then given up", "[faas]")
{
    lifecycle life{how};
    auto now = t0;
    for (const auto pause : {100ms, 200ms, 400ms, 800ms}) {
        REQUIRE(life.on_start(now));
        life.on_ended(now, false);
        CHECK(life.current() == status::crashed);
        CHECK(*life.next_start() - now == pause);
        CHECK(life.on_request(now, 0) == (pause <= 300ms ? wait : refuse_down));
        now = *life.next_start();
    }
    REQUIRE(life.on_start(now));
    life.on_start_failed(now);
    CHECK(life.current() == status::failed);
    CHECK(life.on_request(now, 0) == refuse_down);
    CHECK(life.on_request(now + 1'000ms, 0) == start);
    CHECK(life.crashes() == 5);
}

TEST_CASE("a program that ran for long starts its count anew", "[faas]")
{
    auto life = running_at(t0);
    life.on_ended(t0 + 1s, false);
    REQUIRE(life.on_start(t0 + 2s));
    life.on_ready(t0 + 2s);
    life.on_ended(t0 + 3s, false);
    CHECK(*life.next_start() - (t0 + 3s) == 200ms);
    REQUIRE(life.on_start(t0 + 4s));
    life.on_ready(t0 + 4s);
    life.on_ended(t0 + 20s, false);
    CHECK(*life.next_start() - (t0 + 20s) == 100ms);
}

TEST_CASE("an end with 0 is no crash", "[faas]")
{
    auto life = running_at(t0);
    life.on_ended(t0, true);
    CHECK(life.current() == status::completed);
    CHECK_FALSE(life.next_start());
    CHECK(life.on_request(t0, 0) == start);
}

TEST_CASE("an update gives what failed another chance", "[faas]")
{
    lifecycle life{how};
    life.on_start(t0);
    life.on_ended(t0, false);
    life.on_update();
    CHECK(life.current() == status::stopped);
    CHECK(life.on_request(t0, 0) == start);
    auto other = running_at(t0);
    other.on_update();
    CHECK(other.current() == status::running);
}

TEST_CASE("what is deleted stays deleted", "[faas]")
{
    auto life = running_at(t0);
    life.on_delete();
    CHECK(life.on_request(t0, 0) == refuse_gone);
    CHECK_FALSE(life.on_start(t0));
    life.on_ended(t0, false);
    life.on_ready(t0);
    life.on_switched(t0);
    CHECK(life.current() == status::deleting);
    CHECK_FALSE(life.on_tick(t0 + 100h, 0));
    CHECK(name(life.current()) == "Deleting");
}
