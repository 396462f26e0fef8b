// Runs that wait for their tools: what is kept, for whom, and how long.
#include "js/continuations.hpp"

#include <catch2/catch_test_macros.hpp>

#include <set>
#include <string>
#include <utility>

using namespace sandboxd;
using namespace std::chrono_literals;
using js::continuations;

namespace {

js::kept_run run_of(std::size_t image_bytes, std::uint8_t client = 1)
{
    js::kept_run run;
    run.client[0] = client;
    run.run.resumed.emplace().image.assign(image_bytes, 'x');
    run.calls = {1};
    return run;
}

struct shelf {
    explicit shelf(js::continuation_settings settings) : kept{settings, counted, [this] { return now; }} {}
    metrics::registry counted;
    continuations::clock::time_point now{1h};
    continuations kept;

    continuations::state state(const std::string& id) { return kept.find(id).is; }
};

}  // namespace

TEST_CASE("a continuation is used once, unless it is kept", "[js][tools]")
{
    shelf all{{}};
    const auto id = all.kept.put(run_of(1'000));
    REQUIRE(id);
    CHECK(id->size() == 64);
    CHECK(all.state(*id) == continuations::state::kept);
    CHECK(all.kept.use(*id, true));
    CHECK(all.state(*id) == continuations::state::kept);
    CHECK(all.kept.use(*id, false));
    CHECK(all.state(*id) == continuations::state::used);
    CHECK(all.kept.size() == 0);
    CHECK(all.kept.bytes() == 0);
    CHECK(all.state(std::string(64, '0')) == continuations::state::unknown);
    CHECK(all.state("") == continuations::state::unknown);
}

TEST_CASE("a continuation that did not run can be used again", "[js][tools]")
{
    shelf all{{}};
    const auto id = all.kept.put(run_of(1'000));
    const auto later = all.kept.put(run_of(1'000));
    const auto found = all.kept.find(*id);
    {
        const auto lease = all.kept.use(*id, false);
        REQUIRE(lease);
        CHECK(all.state(*id) == continuations::state::used);
        all.kept.give_back(*id, found.run);
    }
    CHECK(all.state(*id) == continuations::state::kept);
    CHECK(all.kept.size() == 2);
    all.now += 24h;
    CHECK(all.kept.sweep() == 2);
    CHECK(all.state(*id) == continuations::state::unknown);
}

TEST_CASE("continuations expire, used ones are then unknown", "[js][tools]")
{
    shelf all{{.ttl = 60s}};
    const auto first = all.kept.put(run_of(10));
    all.now += 30s;
    const auto second = all.kept.put(run_of(10));
    CHECK(all.kept.use(*second, false));
    all.now += 30s;
    CHECK(all.state(*first) == continuations::state::unknown);
    CHECK(all.state(*second) == continuations::state::used);
    all.now += 30s;
    CHECK(all.state(*second) == continuations::state::unknown);
    CHECK(all.kept.size() == 0);
}

TEST_CASE("used ids are remembered for twice as many runs as can be kept", "[js][tools]")
{
    shelf all{{.max_count = 11'000}};
    const auto use_one = [&all] {
        auto id = all.kept.put(run_of(1)).value();
        CHECK(all.kept.use(id, false).has_value());
        return id;
    };
    const auto first = use_one();
    const auto second = use_one();
    for (int i = 2; i < 22'000; ++i) use_one();
    CHECK(all.state(first) == continuations::state::used);
    use_one();
    CHECK(all.state(first) == continuations::state::unknown);
    CHECK(all.state(second) == continuations::state::used);
}

TEST_CASE("bytes and number of continuations are bounded", "[js][tools]")
{
    shelf by_bytes{{.max_bytes = 100'000}};
    std::set<std::string> ids;
    for (int i = 0; i < 50; ++i)
        if (auto id = by_bytes.kept.put(run_of(10'000))) ids.insert(*id);
    CHECK(ids.size() == by_bytes.kept.size());
    CHECK(ids.size() >= 5);
    CHECK(by_bytes.kept.bytes() <= 100'000);
    CHECK_FALSE(by_bytes.kept.put(run_of(200'000, 2)));

    shelf by_count{{.max_count = 3}};
    for (int i = 0; i < 10; ++i) static_cast<void>(by_count.kept.put(run_of(10)));
    CHECK(by_count.kept.size() == 3);
}

TEST_CASE("who holds the most continuations gives way to who holds fewer", "[js][tools]")
{
    shelf all{{.max_count = 4}};
    const auto mine = all.kept.put(run_of(10, 2));
    std::vector<std::string> flood;
    for (int i = 0; i < 10; ++i)
        if (auto id = all.kept.put(run_of(10, 1))) flood.push_back(*id);
    REQUIRE(flood.size() == 3);
    CHECK(all.state(*mine) == continuations::state::kept);
    REQUIRE(all.kept.put(run_of(10, 3)));
    CHECK(all.state(flood[0]) == continuations::state::unknown);
    CHECK(all.state(flood[1]) == continuations::state::kept);
    CHECK(all.state(*mine) == continuations::state::kept);
    CHECK(all.kept.size() == 4);
}

TEST_CASE("runs that go on count towards the bytes", "[js][tools]")
{
    shelf all{{.max_bytes = 100'000}};
    const auto id = all.kept.put(run_of(40'000));
    auto first = all.kept.use(*id, true);
    REQUIRE(first);
    auto second = all.kept.use(*id, true);
    REQUIRE(second);
    CHECK_FALSE(all.kept.use(*id, true));
    first.reset();
    CHECK(all.kept.use(*id, true));
    all.kept.clear();
    CHECK(all.kept.size() == 0);
}
