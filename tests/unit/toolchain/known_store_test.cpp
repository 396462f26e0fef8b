#include "toolchain/known_store.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <memory>
#include <string>

using sandboxd::toolchain::known_store;
using texts = known_store<std::string>;
using state = texts::state;

namespace {

auto value(const char* text) { return std::make_shared<const std::string>(text); }

}  // namespace

TEST_CASE("a value is known after it was kept, and a key is noted when it is asked for", "[toolchain]")
{
    texts store{10'000, std::chrono::hours{1}};
    CHECK(store.find("a").how == state::first);
    CHECK(store.find("a").how == state::again);
    store.keep("a", value("one"), 3);
    const auto found = store.find("a");
    CHECK(found.how == state::known);
    REQUIRE(found.value);
    CHECK(*found.value == "one");
    store.keep("a", value("other"), 5);
    CHECK(*store.find("a").value == "other");

    const auto before = store.bytes();
    store.give_up("b");
    CHECK(store.find("b").how == state::hopeless);
    CHECK(store.find("b").value == nullptr);
    CHECK(store.size() == 1);
    CHECK(store.bytes() > before);
    for (int i = 0; i < 2; ++i) {
        store.put_off("c");
        CHECK(store.find("c").how == state::again);
    }
    store.put_off("c");
    CHECK(store.find("c").how == state::hopeless);
    store.clear();
    CHECK(store.bytes() == 0);
    CHECK(store.size() == 0);
    CHECK(store.find("a").how == state::first);
    CHECK(store.find("b").how == state::first);
}

TEST_CASE("the values that were not used for longest make room", "[toolchain]")
{
    texts store{3'000, std::chrono::hours{1}};
    store.keep("a", value("a"), 700);
    store.keep("b", value("b"), 700);
    store.keep("c", value("c"), 700);
    CHECK(store.find("a").how == state::known);
    store.keep("d", value("d"), 700);
    CHECK(store.bytes() <= 3'000);
    CHECK(store.size() == 3);
    CHECK(store.find("b").how == state::first);
    CHECK(store.find("a").how == state::known);
    CHECK(store.find("d").how == state::known);
    // What is larger than all may be is not kept, and pushes nothing out.
    store.keep("e", value("e"), 3'000);
    CHECK(store.find("e").how == state::hopeless);
    CHECK(store.find("a").how == state::known);
    // Keys alone take room, too.
    for (int i = 0; i < 1000; ++i) store.find(std::to_string(i));
    CHECK(store.bytes() <= 3'000);
}

TEST_CASE("what is too old is not known any more, and a store of no bytes keeps nothing", "[toolchain]")
{
    texts old{3'000, std::chrono::seconds{-1}};
    old.keep("a", value("a"), 1);
    CHECK(old.find("a").how == state::first);
    texts none{0, std::chrono::hours{1}};
    CHECK_FALSE(none.keeps_anything());
    none.keep("a", value("a"), 1);
    CHECK(none.find("a").how != state::known);
}
