// What becomes of one connection: the decisions of a session, without its socket, its clock and its coroutines.
//
//     read header ──▶ answer ──▶ read the rest of the body away ──▶ read header …
//          │             └─────────────────────────────────────────▶ linger ──▶ close
//          └ nothing came, or the client went away ────────────────────────────▶ close
//
// A session tells it what happened on the socket and asks it what is next. tests/unit/http/connection_test.cpp holds
// the tables.
#pragma once

#include "base/errc.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sandboxd::http {

using clock = std::chrono::steady_clock;

// How much of a connection is left. It only ever becomes less, until the session lingers.
enum class connection_state : std::uint8_t {
    open,
    reading_stopped,  // a handler wants no more of the request's body
    read_expired,     // what was waited for has not come in time; an answer can be sent
    peer_gone,        // the client has closed, does not take its answer, or sends more than there is memory for
    aborted,          // given up by the server
};

// Until when a session may stay as it is. Kept by the server's reaper, which looks at them four times a second: a
// session only stores them, and there is no timer.
struct deadlines {
    static constexpr clock::time_point never = clock::time_point::max();

    clock::time_point read{never};    // what is being read must be here
    clock::time_point write{never};   // the client must take something
    clock::time_point answer{never};  // the client must have taken the whole answer; bounds `write`

    // Starts a wait for the client to take something of its answer: no longer than `patience`, nor than the answer.
    void begin_write(clock::time_point now, std::chrono::milliseconds patience) noexcept
    {
        write = std::min(now + patience, answer);
    }
    void end_write() noexcept { write = never; }
};

// When an answer of so many bytes must have been taken, if the client may let `patience` pass once and must keep to
// the rate else. `waited`: for what it has had the server wait already.
clock::time_point answer_until(clock::time_point now, std::chrono::milliseconds patience, std::uint64_t bytes,
                               std::uint64_t bytes_per_sec, clock::duration waited = {}) noexcept;

// What there is to do with the bytes of a header that have come.
struct header_progress {
    enum class step : std::uint8_t { wait, complete, refuse };
    step next{step::wait};
    std::size_t bytes{0};  // complete: of the header, its empty line included; wait: how many more to make room for
    errc why{};            // refuse: target_too_long, header_too_large; a 414 or 431, and the end of the connection
};

// `received`: all that has come of the header. `end`: of the header, as find_header_end() knows it, 0 while there is
// none. `max_bytes`: of the header. `least_room`: how many bytes the first read asks for.
header_progress judge_header(std::string_view received, std::size_t end, std::size_t max_bytes,
                             std::size_t least_room) noexcept;

// What is left of a request's body when its answer is due.
enum class body_rest : std::uint8_t {
    none,
    small,  // so little that reading it away costs less than a new connection
    large,  // or of unknown size, or behind an "Expect: 100-continue" that nobody has answered
};
// `left`: what Content-Length announces and has not been read; empty for a chunked body.
body_rest rest_of_body(bool is_done, std::optional<std::uint64_t> left, bool expects_continue) noexcept;

// Whether the connection carries another request behind this answer.
enum class reuse : std::uint8_t {
    yes,
    after_discard,  // once the rest of the body has been read away
    no,             // the answer says "Connection: close"
};

// What follows an answer.
enum class next_step : std::uint8_t {
    read_header,
    linger,  // close so that the client can still read the answer (RFC 9112 9.6)
    close,
};

class connection {
public:
    deadlines until;

    connection_state state() const noexcept { return state_; }
    bool can_read() const noexcept { return state_ == connection_state::open; }
    bool can_write() const noexcept { return state_ < connection_state::peer_gone; }
    bool is_expired() const noexcept { return state_ == connection_state::read_expired; }
    bool is_aborted() const noexcept { return state_ == connection_state::aborted; }

    void stop_reading() noexcept { become(connection_state::reading_stopped); }
    void lose_peer() noexcept { become(connection_state::peer_gone); }
    void abort() noexcept { become(connection_state::aborted); }
    // A read has brought an error. It says nothing about the client where it was the server that ended the read.
    void fail_read() noexcept
    {
        if (can_read()) lose_peer();
    }
    // Takes deadlines off that are over, with what follows from them. False when none is.
    bool expire(clock::time_point now) noexcept;

    // Why there is no (more of a) header: request_timeout, to be answered with 408, or disconnected: nothing is
    // answered. `begun`: something of it had come.
    errc why_no_header(bool begun) const noexcept;
    // Why there is no more of a body.
    errc why_no_body() const noexcept { return is_expired() ? errc::request_timeout : errc::disconnected; }

    // `may_persist`: what the client, the answer and the server's own plans allow together (RFC 9112 9.3).
    reuse reuse_after(bool may_persist, body_rest rest) const noexcept;
    // `reusable`: the answer was sent to its end, and said that there may be another request. `abrupt`: the end of the
    // connection must not look like the end of an answer, or the connection is no longer this session's.
    next_step after_answer(bool reusable, bool abrupt) const noexcept;

    // The client may still be sending: everything is read until `end`, whatever was over before.
    void linger(clock::time_point end) noexcept;

private:
    void become(connection_state worse) noexcept { state_ = std::max(state_, worse); }

    connection_state state_{connection_state::open};
};

}  // namespace sandboxd::http
