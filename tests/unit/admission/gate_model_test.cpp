#include "admission/gate_model.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <string>
#include <vector>

using namespace sandboxd;
using namespace sandboxd::admission;
using namespace std::chrono_literals;

namespace {

constexpr memory_reading no_memory{};

gate_model::time_point at(std::chrono::milliseconds since) { return gate_model::time_point{} + since; }

memory_reading memory(std::uint64_t current, std::uint64_t max) { return {max, current}; }

// "1+ 2- 3x": ticket 1 is admitted, ticket 2 has timed out, ticket 3 gave way.
std::string polled(gate_model& model, std::chrono::milliseconds now, const memory_reading& reading)
{
    std::string text;
    for (const auto& one : model.poll(at(now), reading))
        text += (text.empty() ? "" : " ") + std::to_string(one.whose) +
                (one.what == gate_model::fate::admitted    ? "+"
                 : one.what == gate_model::fate::timed_out ? "-"
                                                           : "x");
    return text;
}

}  // namespace

TEST_CASE("a job may start when current + reserved + estimate <= max", "[admission][model]")
{
    struct row {
        std::uint64_t estimate;
        unsigned running;  // jobs that hold a reservation before
        std::uint64_t current;
        std::uint64_t max;
        bool starts;
    };
    const row rows[] = {
        {100, 0, 0, 100, true},     // exactly
        {100, 0, 0, 99, false},     // one byte short
        {100, 0, 1, 100, false},    //
        {100, 0, 900, 1000, true},  //
        {100, 0, 901, 1000, false},
        {100, 1, 0, 200, true},  // the running job's promise counts
        {100, 1, 0, 199, false},
        {100, 1, 1, 200, false},
        {100, 3, 600, 1000, true},
        {100, 3, 601, 1000, false},
        {100, 0, 5000, 1000, false},  // over the limit already
        {1, 0, 0, 0, false},
        {256u << 20, 0, 0, 512u << 20, true},
        {256u << 20, 1, 0, 512u << 20, true},
        {256u << 20, 2, 0, 512u << 20, false},
        {1ull << 40, 3, 1ull << 40, 5ull << 40, true},  // beyond 32 bits
        {1ull << 40, 3, (1ull << 40) + 1, 5ull << 40, false},
    };
    for (const auto& row : rows) {
        CAPTURE(row.estimate, row.running, row.current, row.max);
        gate_model model{{.estimate_bytes = row.estimate}};
        for (unsigned i = 0; i < row.running; ++i) REQUIRE(model.arrive(at(0ms), no_memory));
        model.poll(at(0ms), no_memory);
        REQUIRE(model.running() == row.running);
        CHECK(model.reserved_bytes() == row.running * row.estimate);

        const auto ticket = model.arrive(at(1ms), memory(row.current, row.max));
        REQUIRE(ticket);
        const auto decisions = model.poll(at(1ms), memory(row.current, row.max));
        CHECK(decisions.size() == (row.starts ? 1 : 0));
        CHECK(model.running() == row.running + (row.starts ? 1 : 0));
        CHECK(model.queued() == (row.starts ? 0 : 1));
    }
}

TEST_CASE("without a max, memory does not decide", "[admission][model]")
{
    gate_model model{{.estimate_bytes = 1u << 30}};
    for (int i = 0; i < 100; ++i) {
        REQUIRE(model.arrive(at(0ms), {std::nullopt, ~0ull}));
        CHECK(model.poll(at(0ms), {std::nullopt, ~0ull}).size() == 1);
    }
    CHECK(model.running() == 100);
}

TEST_CASE("as many start at once as fit, in order of arrival", "[admission][model]")
{
    gate_model model{{.estimate_bytes = 100}};
    for (int i = 0; i < 5; ++i) REQUIRE(model.arrive(at(0ms), memory(1000, 1000)));
    CHECK(polled(model, 1ms, memory(1000, 1000)).empty());
    CHECK(polled(model, 2ms, memory(750, 1000)) == "1+ 2+");  // each reserves before the next is asked
    CHECK(polled(model, 3ms, memory(750, 1000)).empty());
    CHECK(polled(model, 4ms, memory(0, 1000)) == "3+ 4+ 5+");
}

TEST_CASE("a later job never overtakes, even when it alone would fit", "[admission][model]")
{
    gate_model model{{.estimate_bytes = 100, .max_queued = 10}};
    REQUIRE(model.arrive(at(0ms), memory(950, 1000)) == 1u);
    CHECK(polled(model, 0ms, memory(950, 1000)).empty());
    // There is room for exactly one now. The newcomer sees it, but stands behind.
    REQUIRE(model.arrive(at(1ms), memory(900, 1000)) == 2u);
    CHECK(polled(model, 1ms, memory(900, 1000)) == "1+");
    CHECK(polled(model, 2ms, memory(900, 1000)).empty());
    CHECK(model.queued() == 1);
}

TEST_CASE("no more than max_running run; a release lets the next one in", "[admission][model]")
{
    gate_model model{{.max_running = 2}};
    for (int i = 0; i < 4; ++i) REQUIRE(model.arrive(at(0ms), no_memory));
    CHECK(polled(model, 0ms, no_memory) == "1+ 2+");
    CHECK(polled(model, 1ms, no_memory).empty());
    model.release();
    CHECK(model.running() == 1);
    CHECK(polled(model, 2ms, no_memory) == "3+");
    model.release();
    model.release();
    CHECK(polled(model, 3ms, no_memory) == "4+");
    model.release();
    CHECK(model.running() == 0);
    CHECK(model.reserved_bytes() == 0);
}

TEST_CASE("both memory and max_running must agree", "[admission][model]")
{
    gate_model model{{.estimate_bytes = 100, .max_running = 2}};
    for (int i = 0; i < 3; ++i) REQUIRE(model.arrive(at(0ms), memory(0, 1000)));
    CHECK(polled(model, 0ms, memory(900, 1000)) == "1+");
    CHECK(polled(model, 0ms, memory(700, 1000)) == "2+");
    CHECK(polled(model, 0ms, memory(0, 1000)).empty());
    model.release();
    CHECK(polled(model, 0ms, memory(900, 1000)).empty());
    CHECK(polled(model, 0ms, memory(800, 1000)) == "3+");
}

TEST_CASE("a full queue refuses at once, and says so only then", "[admission][model]")
{
    gate_model model{{.max_queued = 2, .max_running = 1}};
    REQUIRE(model.arrive(at(0ms), no_memory));
    CHECK(polled(model, 0ms, no_memory) == "1+");
    CHECK(model.arrive(at(1ms), no_memory) == 2u);
    CHECK(model.arrive(at(1ms), no_memory) == 3u);
    CHECK_FALSE(model.arrive(at(1ms), no_memory));
    CHECK(model.queued() == 2);
    model.release();
    CHECK_FALSE(model.arrive(at(2ms), no_memory));  // room to run, but two stand before it
    CHECK(polled(model, 2ms, no_memory) == "2+");
    CHECK(model.arrive(at(3ms), no_memory) == 4u);  // who was refused took no number
}

TEST_CASE("without a queue a job starts at once or not at all", "[admission][model]")
{
    gate_model model{{.estimate_bytes = 100, .max_queued = 0}};
    CHECK_FALSE(model.arrive(at(0ms), memory(950, 1000)));
    REQUIRE(model.arrive(at(0ms), memory(900, 1000)) == 1u);
    CHECK(polled(model, 0ms, memory(900, 1000)) == "1+");
    CHECK_FALSE(model.arrive(at(0ms), memory(900, 1000)));
    model.release();
    CHECK(model.arrive(at(0ms), memory(900, 1000)) == 2u);
}

TEST_CASE("who has waited as long as the timeout is out, others are not", "[admission][model]")
{
    gate_model model{{.estimate_bytes = 100, .queue_timeout = 1000ms}};
    const auto full = memory(1000, 1000);
    REQUIRE(model.arrive(at(0ms), full));
    REQUIRE(model.arrive(at(400ms), full));
    REQUIRE(model.arrive(at(400ms), full));
    CHECK(polled(model, 999ms, full).empty());
    CHECK(polled(model, 1000ms, full) == "1-");
    CHECK(polled(model, 1399ms, full).empty());
    CHECK(polled(model, 5000ms, full) == "2- 3-");
    CHECK(model.queued() == 0);
    CHECK(model.running() == 0);
    CHECK(model.reserved_bytes() == 0);
}

TEST_CASE("who may start when its time is over starts", "[admission][model]")
{
    gate_model model{{.estimate_bytes = 100, .queue_timeout = 1000ms}};
    REQUIRE(model.arrive(at(0ms), memory(1000, 1000)));
    REQUIRE(model.arrive(at(0ms), memory(1000, 1000)));
    CHECK(polled(model, 2000ms, memory(900, 1000)) == "1+ 2-");
}

TEST_CASE("who leaves the queue is never decided on", "[admission][model]")
{
    gate_model model{{.max_queued = 3, .max_running = 1, .queue_timeout = 1000ms}};
    REQUIRE(model.arrive(at(0ms), no_memory));
    CHECK(polled(model, 0ms, no_memory) == "1+");
    for (int i = 0; i < 3; ++i) REQUIRE(model.arrive(at(0ms), no_memory));
    CHECK(model.leave(3));
    CHECK_FALSE(model.leave(3));  // gone already
    CHECK_FALSE(model.leave(1));  // running, not queued
    CHECK_FALSE(model.leave(99));
    CHECK(model.queued() == 2);
    CHECK(model.arrive(at(500ms), no_memory) == 5u);  // there is a place again
    CHECK(model.leave(2));
    model.release();
    CHECK(polled(model, 600ms, no_memory) == "4+");
    CHECK(polled(model, 1500ms, no_memory) == "5-");
}

TEST_CASE("one client's jobs do not keep another's from their turn", "[admission][model]")
{
    const client_key many{1};
    const client_key few{2};
    gate_model model{{.max_queued = 4, .max_running = 1, .queue_timeout = 1000ms}};
    for (int i = 0; i < 4; ++i) REQUIRE(model.arrive(at(0ms), no_memory, many));
    CHECK(polled(model, 0ms, no_memory) == "1+");
    REQUIRE(model.arrive(at(1ms), no_memory, many) == 5u);
    CHECK_FALSE(model.arrive(at(2ms), no_memory, many));  // full of its own
    CHECK(model.arrive(at(3ms), no_memory, few) == 6u);
    CHECK(polled(model, 3ms, no_memory) == "5x");
    model.release(many);
    CHECK(polled(model, 4ms, no_memory) == "6+");
    model.release(few);
    CHECK(polled(model, 5ms, no_memory) == "2+");
    // The time of each counts from its arrival.
    CHECK(polled(model, 1000ms, no_memory) == "3- 4-");
    CHECK(model.queued() == 0);
    model.release(many);
    CHECK(model.running() == 0);
}

TEST_CASE("who gave way was told so before it could leave", "[admission][model]")
{
    gate_model model{{.max_queued = 2, .max_running = 1}};
    for (int i = 0; i < 3; ++i) {
        REQUIRE(model.arrive(at(0ms), no_memory, {1}));
        model.poll(at(0ms), no_memory);
    }
    REQUIRE(model.arrive(at(0ms), no_memory, {2}) == 4u);
    CHECK_FALSE(model.leave(3));
    CHECK(polled(model, 0ms, no_memory) == "3x");
    CHECK(polled(model, 0ms, no_memory).empty());
}

TEST_CASE("reserved jobs are for clients that have none running", "[admission][model]")
{
    const client_key a{1};
    const client_key b{2};
    const client_key c{3};
    gate_model model{{.max_running = 2, .max_reserved = 1}};
    for (int i = 0; i < 3; ++i) REQUIRE(model.arrive(at(0ms), no_memory, a));
    CHECK(polled(model, 0ms, no_memory) == "1+ 2+");
    REQUIRE(model.arrive(at(1ms), no_memory, b));
    CHECK(polled(model, 1ms, no_memory) == "4+");
    REQUIRE(model.arrive(at(2ms), no_memory, b));
    REQUIRE(model.arrive(at(2ms), no_memory, c));
    CHECK(polled(model, 2ms, no_memory).empty());  // there is only one
    model.release(a);
    CHECK(polled(model, 3ms, no_memory) == "6+");
    model.release(b);
    CHECK(polled(model, 4ms, no_memory) == "5+");  // b has none running again
    model.release(a);
    CHECK(polled(model, 5ms, no_memory) == "3+");  // and a
    CHECK(model.running() == 3);
    // Memory is not reserved.
    gate_model small{{.estimate_bytes = 100, .max_running = 1, .max_reserved = 1}};
    REQUIRE(small.arrive(at(0ms), memory(900, 1000), a));
    CHECK(polled(small, 0ms, memory(900, 1000)) == "1+");
    REQUIRE(small.arrive(at(0ms), memory(900, 1000), b));
    CHECK(polled(small, 0ms, memory(900, 1000)).empty());
    CHECK(polled(small, 0ms, memory(800, 1000)) == "2+");
}
