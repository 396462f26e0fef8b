// The sessions of a server, grouped by what each waits for: the one to drop when there is no room is found without
// visiting the others. It knows entries, not sessions: this file and giving_up.hpp choose whom to drop without a
// socket.
#pragma once

#include "http/connection.hpp"
#include "http/quota.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>

namespace sandboxd::http {

class session;

// idle: between requests, nothing of the next one was read. header: a request's header has begun and is incomplete.
// body: a handler waits for more of the body. sending: the client reads more slowly than the answer comes; the one
// whose client read last is the latest. endless: only the client ends the answer, and there is nothing to send now.
// busy: anything else.
enum class phase : std::uint8_t { idle, header, body, sending, endless, busy };

// A session's entry in the list. The list sets `in` and `place`; the session sets the rest.
struct session_entry {
    session* owner{nullptr};
    peer from;
    phase in{phase::idle};
    std::list<session_entry*>::iterator place{};
    clock::time_point began{clock::time_point::max()};  // when the current request's header was complete

    // Counted bytes that the server keeps for this client.
    std::size_t body{0};     // of an incomplete body
    std::size_t pending{0};  // of a complete body, until it is answered
    std::size_t buffer{0};   // read but not used yet
    std::size_t unsent{0};   // of its answer

    std::size_t received() const noexcept { return body + buffer; }
    // Whether its current request's header was complete by then.
    bool began_by(clock::time_point then) const noexcept { return began <= then; }
};

class session_list {
public:
    // The first and the last call of a session. It begins idle. An entry in the list must not move in memory.
    void enter(session_entry& one);
    void leave(session_entry& one) noexcept;
    // The entry becomes the latest of its new phase, even if the phase does not change.
    void move(session_entry& one, phase to) noexcept;

    std::size_t size() const noexcept { return size_; }
    // The number of this client's connections.
    std::size_t of_client(const client_key& client) const noexcept;
    // The entry that is in this phase for longest, except `except`; null when there is none.
    session_entry* oldest(phase of, const session_entry* except = nullptr) const noexcept;
    // The same among this client's entries, if it is one of the first few hundred; otherwise null.
    session_entry* oldest_of(const client_key& client, phase of) const noexcept;

    // The same for the TCP client with the most connections. Visits all clients, so call it only when there is no
    // room.
    session_entry* oldest_of_busiest(phase of) const noexcept;

    // Calls `what` for each entry. It may move a session to another phase (which may visit it twice), but must not
    // add or remove one.
    template <class Function>
    void each(Function what) const
    {
        for (const auto& some : by_phase_) {
            for (auto next = some.begin(); next != some.end();) what(**next++);
        }
    }

private:
    std::array<std::list<session_entry*>, 6> by_phase_;  // in order of entering the phase
    std::size_t size_{0};
    std::map<client_key, std::size_t> by_client_;  // TCP only; a tree, because clients choose their addresses
};

}  // namespace sandboxd::http
