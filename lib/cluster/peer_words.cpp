#include "cluster/peer_words.hpp"

#include "base/ascii.hpp"
#include "base/digest.hpp"

#include <algorithm>

namespace sandboxd::cluster {

namespace {

constexpr std::string_view opening = "sandboxd-peer 1 ";
constexpr std::size_t nonce_digits = 32;
constexpr std::size_t proof_digits = 64;

bool are_digits(std::string_view text, std::size_t count)
{
    return text.size() == count && std::ranges::all_of(text, is_lower_hex);
}

// No signature of this kind is one of an entry or of a text in Redis: those are about ids and names with other words.
constexpr std::string_view about_callers = "peer's caller";
constexpr std::string_view about_listeners = "peer's listener";
constexpr std::string_view about_full_listeners = "peer's full listener";

std::string both_ends(const peer_nonces& of, std::string_view address)
{
    return of.listener + " " + of.caller + " " + std::string{address};
}

bool is_proof(const remote::signing_key& key, std::string_view about, const std::string& words, std::string_view line)
{
    return line.size() == proof_digits + 1 && line.ends_with('\n') &&
           key.is_signed(about, words, line.substr(0, proof_digits));
}

}  // namespace

std::string new_peer_nonce() { return random_hex(nonce_digits / 2); }

std::string peer_greeting(std::string_view nonce) { return std::string{opening} + std::string{nonce} + "\n"; }

std::optional<std::string> read_peer_greeting(std::string_view line)
{
    if (!line.starts_with(opening) || !line.ends_with('\n')) return std::nullopt;
    line.remove_prefix(opening.size());
    line.remove_suffix(1);
    if (!are_digits(line, nonce_digits)) return std::nullopt;
    return std::string{line};
}

std::string peer_request(const remote::signing_key& key, const peer_nonces& of, std::string_view address)
{
    return of.caller + " " + key.sign(about_callers, both_ends(of, address)) + "\n";
}

std::optional<std::string> read_peer_request(const remote::signing_key& key, std::string_view listener_nonce,
                                             std::string_view address, std::string_view line)
{
    if (line.size() != nonce_digits + 1 + proof_digits + 1 || !line.ends_with('\n') || line[nonce_digits] != ' ')
        return std::nullopt;
    peer_nonces of{.listener = std::string{listener_nonce}, .caller = std::string{line.substr(0, nonce_digits)}};
    if (!are_digits(of.caller, nonce_digits)) return std::nullopt;
    const auto proof = line.substr(nonce_digits + 1, proof_digits);
    if (!key.is_signed(about_callers, both_ends(of, address), proof)) return std::nullopt;
    return std::move(of.caller);
}

std::string peer_answer(const remote::signing_key& key, const peer_nonces& of, std::string_view address)
{
    return key.sign(about_listeners, both_ends(of, address)) + "\n";
}

bool is_peer_answer(const remote::signing_key& key, const peer_nonces& of, std::string_view address,
                    std::string_view line)
{
    return is_proof(key, about_listeners, both_ends(of, address), line);
}

std::string peer_full_answer(const remote::signing_key& key, const peer_nonces& of, std::string_view address)
{
    return key.sign(about_full_listeners, both_ends(of, address)) + "\n";
}

bool is_peer_full_answer(const remote::signing_key& key, const peer_nonces& of, std::string_view address,
                         std::string_view line)
{
    return is_proof(key, about_full_listeners, both_ends(of, address), line);
}

}  // namespace sandboxd::cluster
