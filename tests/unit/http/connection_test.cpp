// The decisions about a connection, without one.
#include "http/connection.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

using namespace sandboxd;
using namespace sandboxd::http;
using namespace std::chrono_literals;

namespace {

// What can happen to a connection.
void stop(connection& c) { c.stop_reading(); }
void fail(connection& c) { c.fail_read(); }
void lose(connection& c) { c.lose_peer(); }
void give_up(connection& c) { c.abort(); }
void expire_read(connection& c)
{
    c.until.read = clock::time_point{} + 1s;
    c.expire(clock::time_point{} + 2s);
}
void expire_write(connection& c)
{
    c.until.write = clock::time_point{} + 1s;
    c.expire(clock::time_point{} + 2s);
}

}  // namespace

TEST_CASE("a connection only ever becomes less, and says what is left of it", "[http][connection]")
{
    using event = void (*)(connection&);
    using enum connection_state;
    struct row {
        const char* what;
        std::vector<event> events;
        connection_state state;
        errc no_header;  // of one that has begun
        next_step reusable;
        next_step not_reusable;
    };
    const auto read = next_step::read_header;
    const auto linger = next_step::linger;
    const auto close = next_step::close;
    const row rows[] = {
        {"new", {}, open, errc::disconnected, read, linger},
        {"the handler reads no more", {stop}, reading_stopped, errc::disconnected, read, linger},
        {"the read that this ends says nothing", {stop, fail}, reading_stopped, errc::disconnected, read, linger},
        {"nothing came in time", {expire_read}, read_expired, errc::request_timeout, read, linger},
        {"the read that this ends says nothing",
         {expire_read, fail},
         read_expired,
         errc::request_timeout,
         read,
         linger},
        {"stopped too late", {expire_read, stop}, read_expired, errc::request_timeout, read, linger},
        {"the client has closed", {fail}, peer_gone, errc::disconnected, close, close},
        {"the client takes nothing", {expire_write}, peer_gone, errc::disconnected, close, close},
        {"both deadlines", {expire_read, expire_write}, peer_gone, errc::disconnected, close, close},
        {"too late to matter", {lose, expire_read}, peer_gone, errc::disconnected, close, close},
        {"given up", {give_up}, aborted, errc::disconnected, close, close},
        {"given up, then everything else",
         {give_up, fail, expire_write, stop},
         aborted,
         errc::disconnected,
         close,
         close},
    };
    for (const auto& row : rows) {
        CAPTURE(row.what);
        connection c;
        for (const auto one : row.events) one(c);
        CHECK(c.state() == row.state);
        CHECK(c.can_read() == (row.state == open));
        CHECK(c.can_write() == (row.state < peer_gone));
        CHECK(c.why_no_header(true) == row.no_header);
        CHECK(c.why_no_header(false) == errc::disconnected);
        CHECK(c.why_no_body() == row.no_header);
        CHECK(c.after_answer(true, false) == row.reusable);
        CHECK(c.after_answer(false, false) == row.not_reusable);
        CHECK(c.after_answer(false, true) == next_step::close);
        // Who is there can be lingered with, and only he.
        c.linger(clock::time_point{} + 9s);
        CHECK(c.can_read() == (row.state < peer_gone));
    }
}

TEST_CASE("deadlines expire once, and only those that are over", "[http][connection]")
{
    connection c;
    const clock::time_point now{100s};
    CHECK_FALSE(c.expire(now));
    c.until.read = now;
    CHECK_FALSE(c.expire(now));  // over is what lies before now
    CHECK(c.expire(now + 1ms));
    CHECK(c.until.read == deadlines::never);
    CHECK_FALSE(c.expire(now + 1h));

    deadlines until;
    until.begin_write(now, 30s);
    CHECK(until.write == now + 30s);
    until.answer = now + 10s;
    until.begin_write(now, 30s);
    CHECK(until.write == now + 10s);
    until.end_write();
    CHECK(until.write == deadlines::never);
    CHECK(until.answer == now + 10s);

    CHECK(answer_until(now, 30s, 0, 4096) == now + 30s);
    CHECK(answer_until(now, 30s, 40'960, 4096) == now + 40s);
    CHECK(answer_until(now, 30s, 40'960, 4096, 15s) == now + 25s);
}

TEST_CASE("a body that comes as it likes has a grace and a rate, and saves up little", "[http][connection]")
{
    // May pause for 10 s in all, or for 20 s at once if it came faster before.
    body_pace pace{20s, 10s, 1000};
    CHECK(pace.patience() == 10s);
    CHECK(pace.is_slow());
    // One piece every 3 s: no wait is long, and yet they come to an end.
    int waits = 0;
    for (; pace.patience() >= 3s && waits < 100; ++waits) {
        pace.waited(3s);
        pace.received(500);
    }
    CHECK(waits == 3);
    CHECK(pace.is_slow());

    // At the rate it goes on for ever.
    body_pace steady{20s, 10s, 1000};
    for (int i = 0; i < 1000; ++i) {
        steady.waited(5s);
        steady.received(5000);
    }
    CHECK(steady.patience() == 10s);

    // However much came at first, a pause has its bound, and the time saved up, too.
    for (const std::uint64_t bytes : {std::uint64_t{100} << 20, ~std::uint64_t{0}}) {
        body_pace fast{20s, 10s, 1000};
        fast.received(bytes);
        CHECK(fast.patience() == 20s);
        CHECK_FALSE(fast.is_slow());
        fast.waited(19s);
        CHECK(fast.patience() == 1s);
        CHECK(fast.is_slow());
    }
    // The grace may be the longer one.
    body_pace patient{1s, 10s, 1000};
    CHECK(patient.patience() == 1s);
    CHECK_FALSE(patient.is_slow());
}

TEST_CASE("a header is complete, refused or waited for", "[http][connection]")
{
    using enum header_progress::step;
    struct row {
        std::string received;
        std::size_t end;
        header_progress::step next;
        std::size_t bytes;
        errc why;
    };
    const std::string target = "GET /" + std::string(95, 'x');
    const std::string fields = "GET / HTTP/1.1\r\nA: " + std::string(81, 'x');
    const row rows[] = {
        {"", 0, wait, 32, {}},
        {"GET / ", 0, wait, 12, {}},
        {std::string(60, 'x'), 0, wait, 100, {}},
        {"GET / HTTP/1.1\r\n\r\n", 18, complete, 18, {}},
        {"GET / HTTP/1.1\r\n\r\nGET", 18, complete, 18, {}},
        {fields, 100, complete, 100, {}},
        {fields, 0, refuse, 0, errc::header_too_large},
        {fields + "x\r\n\r\n", 105, refuse, 0, errc::header_too_large},
        {target, 0, refuse, 0, errc::target_too_long},
        // More than is asked for can come at once.
        {target + " HTTP/1.1\r\n\r\n", 113, refuse, 0, errc::target_too_long},
    };
    for (const auto& row : rows) {
        CAPTURE(row.received, row.end);
        const auto got = judge_header(row.received, row.end, 100, 32);
        CHECK(got.next == row.next);
        CHECK(got.bytes == row.bytes);
        if (row.next == refuse) CHECK(got.why == row.why);
    }
}

TEST_CASE("a connection is used again when nothing of the request is in the way", "[http][connection]")
{
    struct row {
        const char* what;
        bool is_done;
        std::optional<std::uint64_t> left;
        bool expects_continue;
        body_rest rest;
        reuse again;
    };
    const row rows[] = {
        {"no body", true, {}, false, body_rest::none, reuse::yes},
        {"read to its end", true, 0, false, body_rest::none, reuse::yes},
        {"after 100 Continue, too", true, 0, true, body_rest::none, reuse::yes},
        {"little is left", false, 64 * 1024, false, body_rest::small, reuse::after_discard},
        {"much is left", false, 64 * 1024 + 1, false, body_rest::large, reuse::no},
        {"nobody knows how much", false, {}, false, body_rest::large, reuse::no},
        {"the client waits for leave to send it", false, 10, true, body_rest::large, reuse::no},
    };
    for (const auto& row : rows) {
        CAPTURE(row.what);
        connection c;
        const auto rest = rest_of_body(row.is_done, row.left, row.expects_continue);
        CHECK(rest == row.rest);
        CHECK(c.reuse_after(true, rest) == row.again);
        CHECK(c.reuse_after(false, rest) == reuse::no);
        for (const auto happen : {stop, expire_read, lose, give_up}) {
            connection other;
            happen(other);
            CHECK(other.reuse_after(true, rest) == reuse::no);
        }
    }
}
