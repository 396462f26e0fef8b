#include "async/turns.hpp"

#include "support/on_loop.hpp"

#include <catch2/catch_test_macros.hpp>

#include <memory>
#include <vector>

using namespace sandboxd;
using async::turns;

namespace {

// Entries until the turn is over.
std::size_t entries_of(turns& turn)
{
    std::size_t count = 1;
    while (!turn.over()) ++count;
    return count;
}

}  // namespace

TEST_CASE("a turn is two milliseconds, shared by all walks under way")
{
    turns::clock::time_point now;
    // 10 µs a look.
    const auto clock = [&now] { return now += std::chrono::microseconds{10}; };
    auto alone = std::make_unique<turns>(clock);
    const auto whole = entries_of(*alone);
    CHECK(whole == 200);
    alone.reset();

    std::vector<std::unique_ptr<turns>> four;
    for (int i = 0; i < 4; ++i) four.push_back(std::make_unique<turns>(clock));
    auto& last = *four.back();
    CHECK(entries_of(last) == whole / 4);
    // However many they are, each gets a little done.
    while (four.size() < 1000) four.push_back(std::make_unique<turns>(clock));
    CHECK(entries_of(*four.back()) == 5);
    four.resize(1);
    const auto begin_anew = [](turns& turn) -> boost::asio::awaitable<std::size_t> {
        co_await turn.rest();
        co_return entries_of(turn);
    };
    CHECK(test::on_loop(begin_anew(*four.front())) == whole);
    CHECK(four.front()->taken() == 1);
}
