#include "admission/fair_line.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <deque>
#include <map>
#include <string>
#include <string_view>

using namespace sandboxd;
using sandboxd::admission::fair_line;

namespace {

client_key key(char name) { return {static_cast<std::uint8_t>(name)}; }

// Plays a script, one word for each event, and tells what came of it:
//
//     a    client a joins        "1" its ticket, "3-2" the same while ticket 2 gives way, "full"
//     !a   the same, at once
//     >    the next is taken     "b4" whose turn and ticket, "none"
//     a.   a job of a ends       nothing
//     #3   ticket 3 leaves       "no" if it is not in line, else nothing
//     b+3  b shares ticket 3     nothing
//     b-3  b no longer does      nothing
//     a:b  a's job is b's now    nothing
class table {
public:
    explicit table(std::size_t most) : line{most} {}

    std::string play(std::string_view script)
    {
        std::string told;
        while (!script.empty()) {
            const auto word = script.substr(0, script.find(' '));
            script.remove_prefix(std::min(word.size() + 1, script.size()));
            const auto said = event(word);
            if (!said.empty()) told += (told.empty() ? "" : " ") + said;
        }
        return told;
    }

    fair_line line;

private:
    std::string event(std::string_view word)
    {
        if (word == ">") {
            const auto next = line.next();
            if (!next) return "none";
            line.take(*next);
            return static_cast<char>(next->client[0]) + std::to_string(next->whose);
        }
        if (word[0] == '#') return line.leave(std::stoull(std::string{word.substr(1)})) ? "" : "no";
        if (word.size() > 2 && word[1] == '+') {
            line.share(std::stoull(std::string{word.substr(2)}), key(word[0]));
            return {};
        }
        if (word.size() > 2 && word[1] == '-') {
            line.stop_sharing(std::stoull(std::string{word.substr(2)}), key(word[0]));
            return {};
        }
        if (word.size() > 2 && word[1] == ':') {
            line.hand_over(key(word[0]), key(word[2]));
            return {};
        }
        if (word.ends_with('.')) {
            line.end(key(word[0]));
            return {};
        }
        const bool at_once = word[0] == '!';
        const auto joined = line.join(key(word.back()), at_once);
        if (!joined) return "full";
        return std::to_string(joined->mine) + (joined->gave_way ? "-" + std::to_string(*joined->gave_way) : "");
    }
};

}  // namespace

TEST_CASE("a line between clients: who is next, who gives way", "[admission][fair]")
{
    struct row {
        const char* what;
        std::size_t most;
        const char* script;
        const char* told;
    };
    const row rows[] = {
        {"nobody waits", 9, ">", "none"},
        {"one client: in order of arrival", 9, "a a a > a > a. > >", "1 2 3 a1 4 a2 a3 a4"},
        {"the fewest running first", 9, "a a a > > b >", "1 2 3 a1 a2 4 b4"},
        {"of as many running, the one whose latest job began the longest ago", 9, "a a b b > > > >",
         "1 2 3 4 a1 b3 a2 b4"},
        {"the same where only one runs at a time", 9, "a a a a > b b a. > b. > a. > b. > a. >",
         "1 2 3 4 a1 5 6 b5 a2 b6 a3 a4"},
        {"of those never served, the first to come", 9, "c a b > > >", "1 2 3 c1 a2 b3"},
        {"a client that is gone starts anew", 9, "a > a. b b > a >", "1 a1 2 3 b2 4 a4"},
        {"three take turns", 9, "a a a b b c > a. > b. > c. > a. > b. >", "1 2 3 4 5 6 a1 b4 c6 a2 b5 a3"},
        {"a running job counts for its client alone", 9, "a b > > a a b b. > >", "1 2 a1 b2 3 4 5 b5 a3"},
        {"full, one client: refused", 2, "a a a", "1 2 full"},
        {"full: the newest of whoever has most gives way", 4, "a a a b b", "1 2 3 4 5-3"},
        {"and no further than to as many each", 4, "a a a a b b b", "1 2 3 4 5-4 6-3 full"},
        {"who has most is refused", 4, "a a a b a", "1 2 3 4 full"},
        {"one seat each: first come, first served", 3, "a b c d", "1 2 3 full"},
        {"as many seats, but one has jobs running", 1, "a > a b a", "1 a1 2 3-2 full"},
        {"the same with as many running: first come, first served", 1, "!a > !b > a b", "1 a1 2 b2 3 full"},
        {"the newest gives way among equals", 4, "a a b b c", "1 2 3 4 5-4"},
        {"who is served at once needs no room", 0, "a !a > b", "full 1 a1 full"},
        {"leaving makes room, and only once", 2, "a b #1 #1 #9 c > > >", "1 2 no no 3 b2 c3 none"},
        {"who gave way is not in line", 2, "a a b #2 > >", "1 2 3-2 no a1 b3"},
        {"whose turn it is cannot leave any more", 2, "a > #1", "1 a1 no"},
        {"a shared seat is next when it is for one of its clients", 9, "a a a > > b b+3 >", "1 2 3 a1 a2 4 b3"},
        {"and runs for that one", 9, "a a a > > b+3 > a a b > > >", "1 2 3 a1 a2 b3 4 5 6 b6 a4 a5"},
        {"it is taken once", 9, "a b+1 > > b >", "1 a1 none 2 b2"},
        {"who shares it twice is in line once", 9, "a b+1 b+1 b-1 > >", "1 a1 none"},
        {"it stays in line when one goes", 9, "a b+1 a-1 > >", "1 b1 none"},
        {"who no longer shares it does not count", 9, "a > a b+2 b-2 c > >", "1 a1 2 3 c3 a2"},
        {"it takes one place", 2, "a b+1 c d", "1 2 full"},
        {"it gives way only where it would for each", 3, "a a a b+3 c d", "1 2 3 4-2 5-1"},
        {"so sharing among those who have much is no protection", 3, "a b+1 a b+2 a b+3 c d e", "1 2 3 4-3 5-2 full"},
        {"its leaving is for all", 2, "a b+1 #1 > c b", "1 none 2 3"},
        {"a running job counts for another", 9, "a a > b a:b > >", "1 2 a1 3 a2 b3"},
        {"and ends for that one", 9, "a a > a:b b. b >", "1 2 a1 3 b3"},
    };
    for (const auto& row : rows) {
        INFO(row.what);
        CHECK(table{row.most}.play(row.script) == row.told);
    }
}

TEST_CASE("a line counts, and knows whether a newcomer would be next", "[admission][fair]")
{
    table t{9};
    CHECK(t.line.would_be_next(key('a')));
    t.play("a");
    CHECK_FALSE(t.line.would_be_next(key('a')));
    CHECK_FALSE(t.line.would_be_next(key('b')));  // came later
    t.play("a >");
    CHECK(t.line.size() == 1);
    CHECK(t.line.running() == 1);
    CHECK(t.line.running(key('a')) == 1);
    CHECK(t.line.running(key('b')) == 0);
    CHECK_FALSE(t.line.would_be_next(key('a')));
    CHECK(t.line.would_be_next(key('b')));
    t.play("a.");
    CHECK(t.line.running() == 0);
    CHECK(t.line.would_be_next(key('b')));  // a was served before
    t.play("#2");
    CHECK(t.line.size() == 0);
    CHECK(t.line.would_be_next(key('a')));
}

TEST_CASE("how many are ahead is the order in which they are served", "[fair_line]")
{
    // Whatever joins and runs: taken one by one, each is served after as many as it was told.
    for (const auto* script : {"a a a", "a a b b c", "!a > a a b", "!a > !a > b a b a c a", "!a > !b > a b a b",
                               "a b c a b c a a a", "!b > !a > !b > a b a b c a c b", "b a a > > a b"}) {
        CAPTURE(script);
        table all{50};
        all.play(script);
        std::map<fair_line::ticket, std::size_t> told;
        for (fair_line::ticket one = 1; one < 20; ++one)
            if (const auto ahead = all.line.ahead(one)) told[one] = *ahead;
        CHECK(told.size() == all.line.size());
        std::size_t served = 0;
        while (const auto next = all.line.next()) {
            CAPTURE(next->whose);
            CHECK(told.at(next->whose) == served);
            all.line.take(*next);
            ++served;
        }
    }
    CHECK_FALSE(fair_line{5}.ahead(1));
}

TEST_CASE("who has a thousand in line delays another by one at most", "[admission][fair]")
{
    struct row {
        std::size_t slots;
        std::size_t many;
        std::size_t few;
    };
    for (const row one : {row{1, 1, 1}, {1, 1000, 1}, {1, 1000, 5}, {2, 1000, 1}, {2, 1000, 5}, {8, 1000, 4}}) {
        CAPTURE(one.slots, one.many, one.few);
        fair_line line{5000};
        std::deque<client_key> running;
        const auto serve = [&] {
            const auto next = line.next();
            REQUIRE(next);
            line.take(*next);
            running.push_back(next->client);
            return next->client;
        };
        for (std::size_t i = 0; i < one.many + one.slots; ++i) REQUIRE(line.join(key('a')));
        for (std::size_t i = 0; i < one.slots; ++i) serve();
        std::size_t before = 0;
        for (std::size_t i = 0; i < one.few; ++i) REQUIRE(line.join(key('b')));
        for (std::size_t served = 0; served < one.few;) {
            line.end(running.front());
            running.pop_front();
            if (serve() == key('b')) {
                ++served;
                before = 0;
            } else {
                ++before;
                // The one between two of b's; before his first there is none.
                CHECK(served > 0);
                CHECK(before <= 1);
            }
            if (before > 1) break;
        }
        CHECK(line.size() >= one.many - std::min(one.many, one.few));
    }
}
