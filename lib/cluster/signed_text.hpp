// A text in Redis that this fleet has written, and nobody else:
//
//     <HMAC-SHA-256 of what it is about and the text, 64 hex digits> LF <the text>
//
// `about` says of which thing, and of which kind, it is: no signature of one is one of another, nor of an entry of the
// cache, whose ids are 32 digits or begin with another word.
#pragma once

#include "remote/entry_document.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::cluster {

inline std::string write_signed(const remote::signing_key& key, std::string_view about, std::string_view text)
{
    auto made = key.sign(about, text);
    made += '\n';
    made += text;
    return made;
}

// Nullopt: it is not signed by this key for this thing.
inline std::optional<std::string_view> read_signed(const remote::signing_key& key, std::string_view about,
                                                   std::string_view said)
{
    constexpr std::size_t digits = 64;
    if (said.size() <= digits || said[digits] != '\n') return std::nullopt;
    const auto text = said.substr(digits + 1);
    if (!key.is_signed(about, text, said.substr(0, digits))) return std::nullopt;
    return text;
}

}  // namespace sandboxd::cluster
