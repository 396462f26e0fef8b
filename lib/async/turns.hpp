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
    static constexpr clock::duration longest_for_waits = std::chrono::seconds{2};

    // `now`: another clock, for tests.
    explicit turns(std::function<clock::time_point()> now = clock::now);
    // Of a watch, which walks again and again: measures the processor's time, too, with one system call more at each
    // end of a turn. `used`: what the thread has had of it, CLOCK_THREAD_CPUTIME_ID unless told otherwise.
    static constexpr struct metered_t {
    } metered{};
    explicit turns(metered_t, std::function<clock::time_point()> now = clock::now,
                   std::function<clock::duration()> used = used_by_thread);
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
    // How long a watch waits for its next walk, so that it takes at most one part in `parts` of the loop: by what this
    // walk has used of a processor. While the walk stands still the loop does, too, so that time counts as well, but
    // only up to `longest_for_waits`: who keeps all processors or a lock busy does not put off the next look.
    // Precondition: metered.
    clock::duration pause(int parts) const;

private:
    static clock::duration used_by_thread();

    std::function<clock::time_point()> now_;
    clock::time_point began_;
    clock::duration spent_{0};  // in turns, without the rests
    // Of the processor, the same; empty where it is not measured.
    std::function<clock::duration()> used_;
    clock::duration used_at_begin_{0};
    clock::duration used_in_turns_{0};
    std::uint64_t entries_{0};
    std::uint64_t most_{0};
    std::uint64_t taken_{0};
};

}  // namespace sandboxd::async
