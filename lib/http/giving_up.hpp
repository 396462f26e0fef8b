// Whom a server gives up when there is no room: for one more connection, or for more bytes. Decisions alone, over the
// list of sessions; who is named is still in the list, and in the same phase, until the caller ends him.
#pragma once

#include "http/session_list.hpp"

namespace sandboxd::http {

// What the one who is given up had not finished.
enum class unfinished : std::uint8_t { nothing, header, body, answer };

struct given_up {
    session_entry* whom{nullptr};  // null: nobody can be
    unfinished what{unfinished::nothing};
};

// For a connection: the one that can be missed most easily. That is who has been idle for longest, else the oldest
// unfinished header, else a body or an answer that has lasted for some seconds: an honest one of the usual size is over
// by then. Of answers, those of the client with the most connections come first. Nobody when all others have a request
// under way.
given_up for_a_connection(const session_list& all, clock::time_point now) noexcept;

// For a connection of a client that has as many as it may: one of its own, which is waiting for what the client sends.
session_entry* for_a_connection_of(const client_key& client, const session_list& all) noexcept;

// For bytes of a request: the oldest of the unfinished bodies, then who has sent most ahead of an answer; never
// `asking`. The second looks at all sessions.
given_up for_received_bytes(const session_list& all, const session_entry& asking) noexcept;

// For bytes of an answer: the one whose client has not taken anything for longest; never `asking`.
session_entry* for_unsent_bytes(const session_list& all, const session_entry& asking) noexcept;

}  // namespace sandboxd::http
