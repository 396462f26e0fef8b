#include "js/image_cache.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace sandboxd::js;

TEST_CASE("an image is taken out by its id and init script, once", "[js]")
{
    image_cache cache{10'000};
    cache.put("a", "init", "image of a");
    CHECK(cache.size() == 1);
    CHECK_FALSE(cache.take("b", "init"));
    CHECK(cache.take("a", "init") == "image of a");
    CHECK_FALSE(cache.take("a", "init"));
    CHECK(cache.bytes() == 0);
}

TEST_CASE("another init script discards the sandbox", "[js]")
{
    image_cache cache{10'000};
    cache.put("a", "init", "image");
    CHECK_FALSE(cache.take("a", "other"));
    CHECK_FALSE(cache.take("a", "init"));
    CHECK(cache.size() == 0);
    CHECK(cache.bytes() == 0);
}

TEST_CASE("the cache keeps to its bytes; what was used longest ago goes first", "[js]")
{
    image_cache cache{1'000};
    cache.put("a", "", std::string(399, 'a'));
    cache.put("b", "", std::string(399, 'b'));
    CHECK(cache.bytes() == 800);
    const auto a = cache.take("a", "");
    cache.put("a", "", *a);
    cache.put("c", "", std::string(399, 'c'));
    CHECK(cache.bytes() == 800);
    CHECK_FALSE(cache.take("b", ""));
    CHECK(cache.take("a", ""));
    CHECK(cache.take("c", ""));
    cache.put("big", "", std::string(2'000, 'x'));
    CHECK(cache.size() == 0);
    cache.put("a", "", "old");
    cache.put("a", "", "new");
    CHECK(cache.size() == 1);
    CHECK(cache.take("a", "") == "new");
    image_cache off{0};
    off.put("a", "", "x");
    CHECK_FALSE(off.take("a", ""));
}
