// The sessions of a server, by what each is waiting for: who is in the way when there is no room is found without a
// look at the others, however many there are. It knows entries, not sessions: whom to give up is decided here and in
// giving_up.hpp, without a socket.
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

// idle: between requests, with nothing read of the next one. header: a request has begun, its header has not ended.
// body: a handler waits for more of its body. sending: the client does not take the answer as fast as it comes; the
// latest is the one whose client took something last. endless: the answer has no end but the client's, and there is
// nothing to send now. busy: all else.
enum class phase : std::uint8_t { idle, header, body, sending, endless, busy };

// A session, as the list sees it. The list keeps `in` and `place`; the rest is the session's.
struct session_entry {
    session* owner{nullptr};
    peer from;
    phase in{phase::idle};
    std::list<session_entry*>::iterator place{};
    clock::time_point began{clock::time_point::max()};  // the current request: when its header was complete

    // Bytes that the server keeps for this client and counts.
    std::size_t body{0};     // of a body that is not complete
    std::size_t pending{0};  // of one that is, until it is answered
    std::size_t buffer{0};   // of what has been read and not used
    std::size_t unsent{0};   // of its answer

    std::size_t received() const noexcept { return body + buffer; }
    // Whether its current request's header was complete then or before.
    bool began_by(clock::time_point then) const noexcept { return began <= then; }
};

class session_list {
public:
    // A session's first and last act. It begins idle. An entry in the list stays where it is in memory.
    void enter(session_entry& one);
    void leave(session_entry& one) noexcept;
    // It is the latest of its new phase, also when that is the old one.
    void move(session_entry& one, phase to) noexcept;

    std::size_t size() const noexcept { return size_; }
    // How many connections this client has.
    std::size_t of_client(const client_key& client) const noexcept;
    // The one that has been in this phase for longest, and is not `except`; null when there is none.
    session_entry* oldest(phase of, const session_entry* except = nullptr) const noexcept;
    // The same among this client's, as far as it is one of the first few hundred; else null.
    session_entry* oldest_of(const client_key& client, phase of) const noexcept;

    // The same among those of the TCP client with the most connections. Looks at all clients: for when there is no
    // room.
    session_entry* oldest_of_busiest(phase of) const noexcept;

    // Calls `what` for each. It may move a session to another phase (which then may come twice), but neither make nor
    // end one.
    template <class Function>
    void each(Function what) const
    {
        for (const auto& some : by_phase_) {
            for (auto next = some.begin(); next != some.end();) what(**next++);
        }
    }

private:
    std::array<std::list<session_entry*>, 6> by_phase_;  // in the order in which they came into it
    std::size_t size_{0};
    std::map<client_key, std::size_t> by_client_;  // TCP alone; a tree: a client chooses its address
};

}  // namespace sandboxd::http
