#include "jobs/answer_store.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace sandboxd;
using sandboxd::jobs::answer_store;
using state = answer_store::state;

namespace {

client_key client(std::uint8_t name) { return {name}; }

http::response answer_of(std::string text)
{
    http::response made;
    made.body = std::move(text);
    return made;
}

class store_under_test {
public:
    explicit store_under_test(jobs::answer_store_settings how) : store{how, registry} {}

    // The right to answer it, or what is there instead.
    answer_store::found find(std::uint8_t who, const std::string& key, const std::string& request = "same")
    {
        return store.find(client(who), sha256_of(std::string{static_cast<char>(who)} + key), sha256_of(request), now);
    }
    state ask(std::uint8_t who, const std::string& key, const std::string& text = "answer")
    {
        auto found = find(who, key);
        if (found.mine) found.mine->keep(answer_of(text));
        return found.what;
    }

    metrics::registry registry;
    answer_store store;
    answer_store::clock::time_point now{};
};

}  // namespace

TEST_CASE("the same request with the same key has the same answer", "[answer_store]")
{
    store_under_test t{{}};
    {
        auto first = t.find(1, "k");
        REQUIRE(first.what == state::fresh);
        CHECK(t.find(1, "k").what == state::under_way);
        CHECK(t.find(1, "k", "another").what == state::other_request);
        first.mine->keep(answer_of("done"));
    }
    const auto again = t.find(1, "k");
    REQUIRE(again.what == state::kept);
    CHECK(again.answer.text() == "done");
    CHECK(t.find(1, "k", "another").what == state::other_request);
    // Another client has keys of its own.
    CHECK(t.find(2, "k").what == state::fresh);
}

TEST_CASE("a key without an answer is forgotten", "[answer_store]")
{
    store_under_test t{{}};
    CHECK(t.find(1, "k").what == state::fresh);
    CHECK(t.store.size() == 0);
    CHECK(t.ask(1, "k") == state::fresh);
    CHECK(t.ask(1, "k") == state::kept);
}

TEST_CASE("an answer is kept for its time", "[answer_store]")
{
    store_under_test t{{.ttl = std::chrono::seconds{60}}};
    CHECK(t.ask(1, "k") == state::fresh);
    t.now += std::chrono::seconds{59};
    CHECK(t.ask(1, "k") == state::kept);
    t.now += std::chrono::seconds{1};
    t.store.sweep(t.now);
    CHECK(t.store.size() == 0);
    CHECK(t.store.bytes() == 0);
    CHECK(t.ask(1, "k") == state::fresh);
}

TEST_CASE("a client that sends many keys loses its own", "[answer_store]")
{
    store_under_test t{{.max_keys = 4, .max_keys_per_client = 3}};
    CHECK(t.ask(2, "mine") == state::fresh);
    for (int i = 0; i < 100; ++i) CHECK(t.ask(1, "k" + std::to_string(i)) == state::fresh);
    CHECK(t.store.size() == 4);
    CHECK(t.ask(2, "mine") == state::kept);
    CHECK(t.ask(1, "k99") == state::kept);
    CHECK(t.ask(1, "k0") == state::fresh);
    // Of several clients, the one with the most makes room.
    CHECK(t.ask(3, "k") == state::fresh);
    CHECK(t.store.size() == 4);
    CHECK(t.ask(2, "mine") == state::kept);
}

TEST_CASE("requests under way are not forgotten, and bounded", "[answer_store]")
{
    store_under_test t{{.max_keys = 2}};
    const auto one = t.find(1, "a");
    const auto two = t.find(1, "b");
    CHECK(t.find(2, "c").what == state::full);
    CHECK(t.find(1, "a").what == state::under_way);
}

TEST_CASE("answers are bounded in bytes, and one that is too large is remembered as given", "[answer_store]")
{
    store_under_test t{{.max_bytes = 64 * 1024}};
    CHECK(t.ask(1, "large", std::string(8 * 1024, 'x')) == state::fresh);
    CHECK(t.ask(1, "large") == state::not_kept);
    CHECK(t.ask(2, "mine", std::string(1000, 'x')) == state::fresh);
    for (int i = 0; i < 100; ++i) CHECK(t.ask(1, std::to_string(i), std::string(4000, 'x')) == state::fresh);
    CHECK(t.store.bytes() <= 64 * 1024);
    CHECK(t.ask(2, "mine") == state::kept);
}
