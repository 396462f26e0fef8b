// Long work on the one thread, in turns. A walk over anything that a stranger can make large asks after each entry
// whether its turn is over; if it is, the loop serves others first.
//
//     async::turns turn;
//     while (const auto* item = items.next()) {
//         …
//         if (turn.over()) co_await turn.rest();
//     }
//
// A turn is 2 ms, shared by all walks under way: however many there are, a request waits for about one turn. Make one
// object for each walk, and destroy it when the walk ends.
#pragma once

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <functional>

namespace sandboxd::async {

class turns {
public:
    using clock = std::chrono::steady_clock;

    static constexpr clock::duration whole = std::chrono::milliseconds{2};
    // The minimum share of a walk. With less, many walks at once would do nothing but take turns.
    static constexpr clock::duration least = std::chrono::microseconds{50};

    // `now`: another clock, for tests.
    explicit turns(std::function<clock::time_point()> now = clock::now);
    ~turns();
    turns(const turns&) = delete;
    turns& operator=(const turns&) = delete;

    // Counts one entry. True when the turn is over: then rest before the next one.
    bool over();

    // Lets the loop serve others; the next turn begins when this returns. What was true before may have changed: a
    // process may be gone, a pid or a name may belong to another one.
    boost::asio::awaitable<void> rest();

    // Turns that are over.
    std::uint64_t taken() const noexcept { return taken_; }
    // The largest number of entries in one turn.
    std::uint64_t most_entries() const noexcept { return most_; }
    // Time spent in turns, without the rests.
    clock::duration spent() const;

private:
    std::function<clock::time_point()> now_;
    clock::time_point began_;
    clock::duration spent_{0};
    std::uint64_t entries_{0};
    std::uint64_t most_{0};
    std::uint64_t taken_{0};
};

}  // namespace sandboxd::async
