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

TEST_CASE("a watch pauses by the processor it uses, and little longer where others keep it waiting")
{
    using std::chrono::milliseconds;
    turns::clock::time_point now;
    turns::clock::duration used{0};
    const auto pause_after = [&](milliseconds passes, milliseconds on_processor) {
        turns turn{turns::metered, [&] { return now; }, [&] { return used; }};
        // In two turns; what others use between them is not the walk's.
        const auto walk = [&]() -> boost::asio::awaitable<turns::clock::duration> {
            now += passes / 2;
            used += on_processor / 2;
            boost::asio::post(co_await boost::asio::this_coro::executor, [&] { used += milliseconds{70'000}; });
            co_await turn.rest();
            now += passes / 2;
            used += on_processor / 2;
            co_return turn.pause(20);
        };
        return test::on_loop(walk());
    };
    CHECK(pause_after(milliseconds{30}, milliseconds{30}) == milliseconds{600});
    CHECK(pause_after(milliseconds{500}, milliseconds{500}) == milliseconds{10'000});
    CHECK(pause_after(milliseconds{80}, milliseconds{4}) == milliseconds{1600});
    CHECK(pause_after(milliseconds{5000}, milliseconds{30}) == milliseconds{2000});
}
