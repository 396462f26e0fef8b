// The decisions of a session about its connection, without socket, clock and coroutines.
//
//     read header ──▶ answer ──▶ read the rest of the body away ──▶ read header …
//          │             └─────────────────────────────────────────▶ linger ──▶ close
//          └ nothing came, or the client went away ────────────────────────────▶ close
//
// A session reports events of the socket and asks for the next step. tests/unit/http/connection_test.cpp has the
// tables.
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

// What can still be done with a connection. It only decreases, until the session lingers.
enum class connection_state : std::uint8_t {
    open,
    reading_stopped,  // a handler does not read more of the request's body
    read_expired,     // the awaited bytes did not come in time; an answer can be sent
    peer_gone,        // the client has closed, does not read its answer, or sends more than fits into memory
    aborted,          // given up by the server
};

// The deadlines of a session. The session only stores them; the server's reaper checks them four times a second, so
// no timer is needed.
struct deadlines {
    static constexpr clock::time_point never = clock::time_point::max();

    clock::time_point read{never};    // the bytes being read must have arrived
    clock::time_point write{never};   // the client must read something
    clock::time_point answer{never};  // the client must have read the whole answer; bounds `write`

    // Starts a wait for the client to read something of its answer: at most `patience`, and not beyond `answer`.
    void begin_write(clock::time_point now, std::chrono::milliseconds patience) noexcept
    {
        write = std::min(now + patience, answer);
    }
    void end_write() noexcept { write = never; }
};

// When the client must have read an answer of so many bytes: it may pause for `patience` once and must keep the rate
// otherwise. `waited`: how long the server has already waited for it.
clock::time_point answer_until(clock::time_point now, std::chrono::milliseconds patience, std::uint64_t bytes,
                               std::uint64_t bytes_per_sec, clock::duration waited = {}) noexcept;

// How long the server waits for a client whose body has no total time limit: it may pause for `grace` in all and must
// keep the rate otherwise, and no pause is longer than `idle`. What it was faster than the rate counts for later
// pauses, but no more than the longer of the two times: who has sent much at first may not hold on to a place for
// hours.
class body_pace {
public:
    body_pace(std::chrono::milliseconds idle, std::chrono::milliseconds grace, std::uint64_t bytes_per_sec) noexcept
        : idle_{idle}, most_spare_{std::max(idle, grace)}, bytes_per_sec_{bytes_per_sec}, spare_{grace}
    {
    }

    // For the next bytes.
    clock::duration patience() const noexcept { return std::min(clock::duration{idle_}, spare_); }
    // Whether the end of that patience is due to the rate.
    bool is_slow() const noexcept { return spare_ < idle_; }

    void waited(clock::duration time) noexcept { spare_ -= time; }
    // Bytes of the body itself: what frames them is no progress.
    void received(std::uint64_t bytes) noexcept;

private:
    std::chrono::milliseconds idle_;
    std::chrono::milliseconds most_spare_;
    std::uint64_t bytes_per_sec_;
    clock::duration spare_;
};

// What to do with the received bytes of a header.
struct header_progress {
    enum class step : std::uint8_t { wait, complete, refuse };
    step next{step::wait};
    std::size_t bytes{
        0};      // complete: of the header, including its empty line; wait: how many more bytes to make room for
    errc why{};  // refuse: target_too_long or header_too_large: 414 or 431, and the end of the connection
};

// `received`: all received bytes of the header. `end`: the header's end according to find_header_end(), 0 if
// incomplete. `max_bytes`: the limit of the header. `least_room`: how many bytes the first read asks for.
header_progress judge_header(std::string_view received, std::size_t end, std::size_t max_bytes,
                             std::size_t least_room) noexcept;

// The unread rest of a request's body when its answer is sent.
enum class body_rest : std::uint8_t {
    none,
    small,  // discarding it costs less than a new connection
    large,  // or of unknown size, or after an unanswered "Expect: 100-continue"
};
// `left`: the unread bytes according to Content-Length; nullopt for a chunked body.
body_rest rest_of_body(bool is_done, std::optional<std::uint64_t> left, bool expects_continue) noexcept;

// Whether the connection can carry another request after this answer.
enum class reuse : std::uint8_t {
    yes,
    after_discard,  // after discarding the rest of the body
    no,             // the answer says "Connection: close"
};

// The step after an answer.
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
    // A read has failed. If the server itself ended the read, that says nothing about the client.
    void fail_read() noexcept
    {
        if (can_read()) lose_peer();
    }
    // Handles expired deadlines and their consequences. False when none has expired.
    bool expire(clock::time_point now) noexcept;

    // Why the header is missing or incomplete: request_timeout, answered with 408, or disconnected, which is not
    // answered. `begun`: part of it had arrived.
    errc why_no_header(bool begun) const noexcept;
    // Why the rest of a body is missing.
    errc why_no_body() const noexcept { return is_expired() ? errc::request_timeout : errc::disconnected; }

    // `may_persist`: whether the client, the answer and the server allow it (RFC 9112 9.3).
    reuse reuse_after(bool may_persist, body_rest rest) const noexcept;
    // `reusable`: the answer was sent completely and allowed another request. `abrupt`: the end of the connection
    // must not look like the end of an answer, or the connection no longer belongs to this session.
    next_step after_answer(bool reusable, bool abrupt) const noexcept;

    // The client may still be sending: everything is read until `end`, even after earlier deadlines.
    void linger(clock::time_point end) noexcept;

private:
    void become(connection_state worse) noexcept { state_ = std::max(state_, worse); }

    connection_state state_{connection_state::open};
};

}  // namespace sandboxd::http
