// How two servers of a fleet prove to each other that they have its key, before one sends requests to the other. Pure:
// lines in, lines out.
//
//     listener   sandboxd-peer 1 <its nonce>
//     caller     <its nonce> <HMAC of "caller", both nonces and the address>
//     listener   <HMAC of "listener", both nonces and the address>, or that of "full listener": it takes no connection
//                now, and closes this one
//
// Nonces are 32 random hex digits, so nothing that was said once proves anything again. The address is the one that the
// caller has dialled, and the listener takes no other than its own: nobody who has got a server's former address can
// pass on its words to another server.
#pragma once

#include "remote/entry_document.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::cluster {

// Each line is at most this long, with its end.
inline constexpr std::size_t longest_peer_line = 256;

std::string new_peer_nonce();

// What the listener says first. The lines end with LF.
std::string peer_greeting(std::string_view nonce);
// The nonce of it; nullopt: another protocol.
std::optional<std::string> read_peer_greeting(std::string_view line);

struct peer_nonces {
    std::string listener;
    std::string caller;
};
std::string peer_request(const remote::signing_key& key, const peer_nonces& of, std::string_view address);
// The caller's nonce; nullopt: he does not have the key, or wants another address.
std::optional<std::string> read_peer_request(const remote::signing_key& key, std::string_view listener_nonce,
                                             std::string_view address, std::string_view line);
std::string peer_answer(const remote::signing_key& key, const peer_nonces& of, std::string_view address);
bool is_peer_answer(const remote::signing_key& key, const peer_nonces& of, std::string_view address,
                    std::string_view line);
std::string peer_full_answer(const remote::signing_key& key, const peer_nonces& of, std::string_view address);
bool is_peer_full_answer(const remote::signing_key& key, const peer_nonces& of, std::string_view address,
                         std::string_view line);

}  // namespace sandboxd::cluster
