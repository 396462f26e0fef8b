#include "remote/breaker.hpp"

#include <catch2/catch_test_macros.hpp>

using namespace sandboxd::remote;
using namespace std::chrono_literals;

TEST_CASE("a service that fails too often in a row is left alone, and then tried by one", "[remote]")
{
    const breaker::clock::time_point start{};
    breaker one{3, 10s};
    CHECK(one.allows(start));
    one.failed(start);
    one.failed(start);
    one.succeeded();  // in a row
    one.failed(start);
    one.failed(start);
    CHECK(one.allows(start));
    CHECK_FALSE(one.is_open());
    one.failed(start);
    CHECK(one.is_open());
    CHECK_FALSE(one.allows(start));
    CHECK(one.wait(start) == 10s);
    CHECK_FALSE(one.allows(start + 9s));

    // One tries; the others wait for another pause, even when that one never says how it went.
    CHECK(one.wait(start + 10s) == 0s);
    CHECK(one.allows(start + 10s));
    CHECK_FALSE(one.allows(start + 10s));
    CHECK_FALSE(one.allows(start + 19s));
    CHECK(one.allows(start + 20s));
    one.failed(start + 21s);
    CHECK_FALSE(one.allows(start + 30s));
    CHECK(one.allows(start + 31s));
    one.succeeded();
    CHECK_FALSE(one.is_open());
    CHECK(one.allows(start + 31s));
    CHECK(one.allows(start + 31s));
}
