// Which session a server drops when there is no room for another connection or more bytes. Only decides, over the
// list of sessions: the chosen one stays in the list, in the same phase, until the caller ends it.
#pragma once

#include "http/session_list.hpp"

namespace sandboxd::http {

// What the dropped session had not finished.
enum class unfinished : std::uint8_t { nothing, header, body, answer };

struct given_up {
    session_entry* whom{nullptr};  // null: none can be dropped
    unfinished what{unfinished::nothing};
};

// For a connection: the least important one. That is the one that is idle for longest, else the oldest unfinished
// header, else a body or an answer that has lasted for some seconds (an honest one of the usual size is finished by
// then). Among answers, those of the client with the most connections come first. None when all others have an active
// request.
given_up for_a_connection(const session_list& all, clock::time_point now) noexcept;

// For a connection of a client at its limit: one of its own connections that waits for the client.
session_entry* for_a_connection_of(const client_key& client, const session_list& all) noexcept;

// For bytes of a request: the oldest unfinished body, then the client that has sent most ahead of an answer; never
// `asking`. The second search visits all sessions.
given_up for_received_bytes(const session_list& all, const session_entry& asking) noexcept;

// For bytes of an answer: the one whose client has read nothing for longest; never `asking`.
session_entry* for_unsent_bytes(const session_list& all, const session_entry& asking) noexcept;

}  // namespace sandboxd::http
