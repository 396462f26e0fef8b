#include "base/known_places.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace sandboxd;

namespace {

std::string at(const known_places& all, std::string_view name)
{
    const auto* const found = all.find(name);
    return found ? *found : "nowhere";
}

}  // namespace

TEST_CASE("of too many places one is forgotten, never the newest, and counted", "[base][cluster]")
{
    metrics::registry counted;
    const auto& forgotten = counted.add_counter("sandboxd_cluster_places_forgotten_total", "", "of=\"test\"");
    known_places all{2, counted, "test"};
    CHECK(at(all, "b") == "nowhere");
    all.set("b", "one");
    all.set("c", "two");
    // What is known already takes nobody's place.
    all.set("b", "three");
    CHECK(all.size() == 2);
    CHECK(forgotten.value() == 0);
    CHECK(at(all, "b") == "three");
    CHECK(at(all, "c") == "two");
    all.set("a", "four");
    CHECK(all.size() == 2);
    CHECK(forgotten.value() == 1);
    CHECK(at(all, "a") == "four");
    all.set("d", "five");
    CHECK(all.size() == 2);
    CHECK(forgotten.value() == 2);
    CHECK(at(all, "d") == "five");
    all.erase("d");
    all.erase("d");
    CHECK(at(all, "d") == "nowhere");
    CHECK(all.size() == 1);
}
