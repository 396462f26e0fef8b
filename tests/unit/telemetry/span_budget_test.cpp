#include "telemetry/span_budget.hpp"

#include <catch2/catch_test_macros.hpp>

using namespace sandboxd::telemetry;
using namespace std::chrono_literals;

TEST_CASE("so many spans are made in a second, and what a request makes beyond that is paid for later", "[telemetry]")
{
    span_budget budget{10};
    const span_budget::clock::time_point start{1h};
    for (int i = 0; i < 10; ++i) {
        CHECK(budget.admit(start));
        budget.spend();
    }
    CHECK_FALSE(budget.admit(start));
    CHECK_FALSE(budget.admit(start + 99ms));
    CHECK(budget.admit(start + 101ms));
    // One that was let in makes twelve.
    for (int i = 0; i < 12; ++i) budget.spend();
    CHECK_FALSE(budget.admit(start + 1s));
    CHECK(budget.admit(start + 1400ms));
    // What nobody needed does not add up beyond a second.
    for (int i = 0; i < 10; ++i) {
        CHECK(budget.admit(start + 10h));
        budget.spend();
    }
    CHECK_FALSE(budget.admit(start + 10h));
    // A clock does not go back, and if it did, nothing would be given.
    CHECK_FALSE(budget.admit(start));
}
