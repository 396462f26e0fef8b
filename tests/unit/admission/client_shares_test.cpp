// Who gives way where a store of several clients is full.
#include "admission/client_shares.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <cstdint>

using namespace sandboxd;
using admission::client_shares;
using equals = client_shares::among_equals;

namespace {

client_key client(std::uint8_t number)
{
    client_key key{};
    key.back() = number;
    return key;
}

constexpr client_shares::share one{.count = 1, .bytes = 0};

}  // namespace

TEST_CASE("what clients hold is counted, and forgotten with the last of it", "[client_shares]")
{
    client_shares shares{{.count = 3, .bytes = 100}};
    CHECK(shares.has_room({.count = 3, .bytes = 100}));
    CHECK(!shares.has_room({.count = 4, .bytes = 0}));
    CHECK(!shares.has_room({.count = 1, .bytes = 101}));
    shares.add(client(1), {.count = 1, .bytes = 60});
    shares.add(client(2), {.count = 2, .bytes = 10});
    CHECK(shares.all().count == 3);
    CHECK(shares.all().bytes == 70);
    CHECK(!shares.has_room(one));
    CHECK(shares.has_room({.count = 0, .bytes = 30}));
    CHECK(!shares.has_room({.count = 0, .bytes = 31}));
    CHECK(!shares.has_room({.count = 0, .bytes = static_cast<std::size_t>(-1)}));
    shares.remove(client(1), {.count = 1, .bytes = 60});
    shares.remove(client(3), one);
    CHECK(shares.of(client(1)).count == 0);
    CHECK(shares.of(client(2)).count == 2);
    CHECK(shares.all().bytes == 10);
    shares.clear();
    CHECK(shares.all().count == 0);
    CHECK(shares.of(client(2)).bytes == 0);
}

TEST_CASE("who holds the most gives way, and never to himself", "[client_shares]")
{
    client_shares shares{{.count = 10, .bytes = 1000}};
    shares.add(client(1), {.count = 3, .bytes = 0});
    shares.add(client(2), {.count = 6, .bytes = 0});
    shares.add(client(3), {.count = 1, .bytes = 700});
    for (const auto tie : {equals::who_was_there, equals::newcomer}) {
        // Of bytes as of numbers: seven tenths are more than six.
        CHECK(shares.gives_way(client(1), one, tie) == client(3));
        CHECK(shares.gives_way(client(9), one, tie) == client(3));
        CHECK(shares.gives_way(client(2), {.count = 0, .bytes = 100}, tie) == client(3));
        CHECK(!shares.gives_way(client(3), one, tie));
        CHECK(!shares.gives_way(client(9), {.count = 1, .bytes = 800}, tie));
        // Of what can go.
        CHECK(shares.gives_way(client(1), one, tie, [](const client_key& who) { return who != client(3); }) ==
              client(2));
        CHECK(!shares.gives_way(client(1), one, tie, [](const client_key&) { return false; }));
    }
}

TEST_CASE("among equals the store says who gives way", "[client_shares]")
{
    client_shares shares{{.count = 4, .bytes = 0}};
    shares.add(client(1), {.count = 2, .bytes = 0});
    shares.add(client(2), {.count = 2, .bytes = 0});
    CHECK(shares.gives_way(client(3), one, equals::newcomer) == client(1));
    shares.add(client(3), one);
    // It would hold two then, as the others do.
    CHECK(shares.gives_way(client(3), one, equals::who_was_there) == client(1));
    CHECK(!shares.gives_way(client(3), one, equals::newcomer));
    CHECK(!shares.gives_way(client(1), one, equals::who_was_there));
}

TEST_CASE("one who floods a store loses his own and nobody else's", "[client_shares]")
{
    client_shares shares{{.count = 8, .bytes = 0}};
    for (std::uint8_t i = 1; i <= 4; ++i) shares.add(client(i), one);
    int refused = 0;
    for (int i = 0; i < 100; ++i) {
        if (!shares.has_room(one)) {
            const auto loser = shares.gives_way(client(9), one, equals::who_was_there);
            CAPTURE(i);
            CHECK(!loser);
            ++refused;
            continue;
        }
        shares.add(client(9), one);
    }
    CHECK(refused == 96);
    for (std::uint8_t i = 1; i <= 4; ++i) CHECK(shares.of(client(i)).count == 1);
}
