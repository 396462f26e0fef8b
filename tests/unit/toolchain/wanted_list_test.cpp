#include "toolchain/wanted_list.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <string>
#include <vector>

using sandboxd::client_key;
using wanted = sandboxd::toolchain::wanted_list<int>;
using added = wanted::added;

namespace {

const client_key flooder{1};
const client_key other{2};
const client_key third{3};

std::vector<std::string> all_of(wanted& list)
{
    std::vector<std::string> keys;
    while (const auto one = list.next()) keys.push_back(one->key);
    return keys;
}

}  // namespace

TEST_CASE("a flood of one client takes no place of the others", "[toolchain]")
{
    wanted list{4};
    for (int i = 0; i < 100; ++i) {
        const auto how = list.add({flooder, "flood " + std::to_string(i), i});
        CHECK(how == (i < 4 ? added::waits : added::no_room));
    }
    // What it wanted last goes first, until each has as much.
    CHECK(list.add({other, "a", 0}) == added::instead);
    CHECK(list.add({other, "b", 0}) == added::instead);
    CHECK(list.add({other, "c", 0}) == added::no_room);
    CHECK(list.add({third, "x", 0}) == added::instead);
    CHECK(list.add({flooder, "again", 0}) == added::no_room);
    CHECK(list.size() == 4);
    const auto keys = all_of(list);
    CHECK(keys.size() == 4);
    CHECK(std::ranges::count(keys, "x") == 1);
    CHECK(std::ranges::count(keys, "a") == 1);
    CHECK(list.size() == 0);
}

TEST_CASE("nobody is served twice in a row while others wait", "[toolchain]")
{
    wanted list{8};
    for (const char* key : {"f1", "f2", "f3"}) CHECK(list.add({flooder, key, 0}) == added::waits);
    for (const char* key : {"o1", "o2"}) CHECK(list.add({other, key, 0}) == added::waits);
    CHECK(all_of(list) == std::vector<std::string>{"f1", "o1", "f2", "o2", "f3"});
}

TEST_CASE("what waits, or is being made, is not wanted twice", "[toolchain]")
{
    wanted list{2};
    CHECK(list.add({flooder, "a", 1}) == added::waits);
    CHECK(list.add({other, "a", 2}) == added::known);
    const auto first = list.next();
    REQUIRE(first);
    CHECK(first->what == 1);
    CHECK(list.add({other, "a", 2}) == added::known);
    CHECK(list.size() == 1);
    CHECK_FALSE(list.next());
    CHECK(list.add({other, "a", 2}) == added::waits);
    list.clear();
    CHECK(list.empty());
    CHECK(list.add({other, "a", 2}) == added::waits);
}
