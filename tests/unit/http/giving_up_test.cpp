// Whom a server gives up, over lists without a socket.
#include "http/giving_up.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <deque>
#include <string>
#include <vector>

using sandboxd::client_key;
using namespace sandboxd::http;
using namespace std::chrono_literals;

namespace {

constexpr clock::time_point now{100s};
constexpr auto long_ago = now - 1min;

// One TCP client a digit; 0 is the Unix socket.
struct one {
    char client;
    phase in;
    clock::time_point began{long_ago};
    std::size_t received{0};
};

class crowd {
public:
    explicit crowd(const std::vector<one>& who)
    {
        for (const auto& each : who) {
            auto& entry = entries_.emplace_back();
            entry.from.local = each.client == '0';
            entry.from.client[0] = static_cast<std::uint8_t>(each.client);
            entry.began = each.began;
            entry.buffer = each.received;
            all.enter(entry);
            all.move(entry, each.in);
        }
    }
    // Its place among those that the crowd was made of; -1: nobody.
    int place_of(const session_entry* whom) const
    {
        for (std::size_t i = 0; i < entries_.size(); ++i)
            if (&entries_[i] == whom) return static_cast<int>(i);
        return -1;
    }
    session_entry& operator[](std::size_t place) { return entries_[place]; }

    session_list all;

private:
    std::deque<session_entry> entries_;
};

}  // namespace

TEST_CASE("for a connection goes who can be missed most easily", "[http][connection]")
{
    struct row {
        const char* what;
        std::vector<one> who;
        int whom;
        unfinished unfinished_part;
    };
    const auto fresh = now - 1s;
    const row rows[] = {
        {"nobody is there", {}, -1, unfinished::nothing},
        {"all are busy", {{'1', phase::busy}, {'2', phase::busy}}, -1, unfinished::nothing},
        {"the idle before all others",
         {{'1', phase::header}, {'1', phase::sending}, {'2', phase::idle}, {'3', phase::idle}},
         2,
         unfinished::nothing},
        {"then the oldest header",
         {{'1', phase::body}, {'2', phase::header}, {'3', phase::header}},
         1,
         unfinished::header},
        {"then a body that lasts", {{'1', phase::sending}, {'2', phase::body}}, 1, unfinished::body},
        {"not a body that has just begun", {{'1', phase::body, fresh}}, -1, unfinished::nothing},
        {"an answer that lasts", {{'1', phase::body, fresh}, {'2', phase::sending}}, 1, unfinished::answer},
        {"not one that has just begun",
         {{'1', phase::sending, fresh}, {'2', phase::endless, fresh}},
         -1,
         unfinished::nothing},
        {"of the client with the most connections first",
         {{'1', phase::sending}, {'2', phase::endless}, {'2', phase::busy}},
         1,
         unfinished::answer},
        {"of any other, when that one has none",
         {{'1', phase::endless}, {'2', phase::busy}, {'2', phase::busy}},
         0,
         unfinished::answer},
        {"the Unix socket is nobody's many connections",
         {{'0', phase::sending}, {'0', phase::busy}, {'1', phase::sending}},
         2,
         unfinished::answer},
    };
    for (const auto& row : rows) {
        CAPTURE(row.what);
        const crowd c{row.who};
        const auto got = for_a_connection(c.all, now);
        CHECK(c.place_of(got.whom) == row.whom);
        CHECK(got.what == row.unfinished_part);
    }
}

TEST_CASE("a client with too many connections loses one that waits for it", "[http][connection]")
{
    const client_key mine{'1'};
    const auto whom = [&mine](const std::vector<one>& who) {
        const crowd c{who};
        return c.place_of(for_a_connection_of(mine, c.all));
    };
    CHECK(whom({{'2', phase::idle}, {'1', phase::header}, {'1', phase::idle}}) == 2);
    CHECK(whom({{'1', phase::body}, {'1', phase::header}}) == 1);
    CHECK(whom({{'1', phase::body}, {'1', phase::sending}}) == 0);
    CHECK(whom({{'1', phase::busy}, {'1', phase::sending}, {'1', phase::endless}, {'2', phase::idle}}) == -1);
    CHECK(whom({{'0', phase::idle}}) == -1);
}

TEST_CASE("for bytes goes the oldest body, then who has sent most ahead, never who asks", "[http][connection]")
{
    struct row {
        const char* what;
        std::vector<one> who;  // the first asks
        int whom;
        unfinished unfinished_part;
    };
    const row rows[] = {
        {"alone", {{'1', phase::body, long_ago, 9}}, -1, unfinished::header},
        {"the oldest body, however small",
         {{'1', phase::body}, {'2', phase::busy, long_ago, 9}, {'3', phase::body}, {'4', phase::body, long_ago, 9}},
         2,
         unfinished::body},
        {"who has sent most ahead",
         {{'1', phase::busy, long_ago, 99}, {'2', phase::busy, long_ago, 8}, {'3', phase::sending, long_ago, 9}},
         2,
         unfinished::header},
        {"who holds nothing is not in the way", {{'1', phase::body}, {'2', phase::busy}}, -1, unfinished::header},
    };
    for (const auto& row : rows) {
        CAPTURE(row.what);
        crowd c{row.who};
        const auto got = for_received_bytes(c.all, c[0]);
        CHECK(c.place_of(got.whom) == row.whom);
        CHECK(got.what == row.unfinished_part);
    }

    crowd senders{{{'1', phase::sending}, {'2', phase::sending}, {'3', phase::sending}, {'4', phase::idle}}};
    CHECK(senders.place_of(for_unsent_bytes(senders.all, senders[3])) == 0);
    CHECK(senders.place_of(for_unsent_bytes(senders.all, senders[0])) == 1);
    // Whose client has just taken something is the last in line.
    senders.all.move(senders[0], phase::sending);
    CHECK(senders.place_of(for_unsent_bytes(senders.all, senders[3])) == 1);
    crowd alone{{{'1', phase::sending}}};
    CHECK(for_unsent_bytes(alone.all, alone[0]) == nullptr);
}
