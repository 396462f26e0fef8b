#include "js/image_cache.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace sandboxd::js;
using sandboxd::client_key;

namespace {

constexpr client_key one{1};
constexpr client_key two{2};
constexpr client_key three{3};

}  // namespace

TEST_CASE("an image is taken out by its id and init script, once", "[js]")
{
    image_cache cache{10'000};
    cache.put(one, "a", "init", "image of a");
    CHECK(cache.size() == 1);
    CHECK_FALSE(cache.take("b", "init"));
    CHECK(cache.take("a", "init") == "image of a");
    CHECK_FALSE(cache.take("a", "init"));
    CHECK(cache.bytes() == 0);
}

TEST_CASE("another init script discards the sandbox", "[js]")
{
    image_cache cache{10'000};
    cache.put(one, "a", "init", "image");
    CHECK_FALSE(cache.take("a", "other"));
    CHECK_FALSE(cache.take("a", "init"));
    CHECK(cache.size() == 0);
    CHECK(cache.bytes() == 0);
}

TEST_CASE("the cache keeps to its bytes; what was used longest ago goes first", "[js]")
{
    image_cache cache{1'000};
    cache.put(one, "a", "", std::string(399, 'a'));
    cache.put(one, "b", "", std::string(399, 'b'));
    CHECK(cache.bytes() == 800);
    const auto a = cache.take("a", "");
    cache.put(one, "a", "", *a);
    cache.put(one, "c", "", std::string(399, 'c'));
    CHECK(cache.bytes() == 800);
    CHECK_FALSE(cache.take("b", ""));
    CHECK(cache.take("a", ""));
    CHECK(cache.take("c", ""));
    cache.put(one, "big", "", std::string(2'000, 'x'));
    CHECK(cache.size() == 0);
    cache.put(one, "a", "", "old");
    cache.put(one, "a", "", "new");
    CHECK(cache.size() == 1);
    CHECK(cache.take("a", "") == "new");
    image_cache off{0};
    off.put(one, "a", "", "x");
    CHECK_FALSE(off.take("a", ""));
}

TEST_CASE("the client who holds the most gives way, and nobody else", "[js]")
{
    image_cache cache{1'000};
    cache.put(two, "b", "", std::string(199, 'b'));
    for (int i = 0; i < 100; ++i) cache.put(one, std::to_string(i % 10), "", std::string(199, 'a'));
    CHECK(cache.bytes() == 1'000);
    // He has lost his own, the one that was used longest ago first.
    CHECK_FALSE(cache.take("5", ""));
    CHECK(cache.take("6", ""));
    cache.put(one, "6", "", std::string(199, 'a'));
    cache.put(three, "c", "", std::string(199, 'c'));
    CHECK_FALSE(cache.take("7", ""));
    CHECK(cache.take("b", ""));
    CHECK(cache.take("c", ""));
    // Who would hold the most with it, and has nothing to lose, keeps nothing.
    image_cache full{1'000};
    full.put(one, "a", "", std::string(399, 'a'));
    full.put(two, "b", "", std::string(399, 'b'));
    full.put(three, "c", "", std::string(499, 'c'));
    CHECK_FALSE(full.take("c", ""));
    CHECK(full.bytes() == 800);
}

TEST_CASE("an image that another client continues counts for that one", "[js]")
{
    image_cache cache{1'000};
    cache.put(one, "x", "", std::string(299, 'x'));
    cache.put(two, "x", "", std::string(299, 'x'));
    cache.put(one, "y", "", std::string(299, 'y'));
    cache.put(two, "z", "", std::string(299, 'z'));
    cache.put(three, "c", "", std::string(199, 'c'));
    CHECK_FALSE(cache.take("x", ""));
    CHECK(cache.take("y", ""));
    CHECK(cache.take("z", ""));
    CHECK(cache.take("c", ""));
}
