// Reading header fields: the case of names, white space around values, lists with commas.
#pragma once

#include "base/ascii.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace sandboxd::http {

inline constexpr auto token_characters = [] {
    std::array<bool, 256> table{};
    for (unsigned c = 0; c < 128; ++c) table[c] = is_alphanumeric(static_cast<char>(c));
    for (const char c : std::string_view{"!#$%&'*+-.^_`|~"}) table[static_cast<unsigned char>(c)] = true;
    return table;
}();

// RFC 9110 5.6.2: methods, field names and codings are tokens.
constexpr bool is_token(std::string_view text) noexcept
{
    return !text.empty() && std::all_of(text.begin(), text.end(),
                                        [](char c) { return token_characters[static_cast<unsigned char>(c)]; });
}

// RFC 9110 5.5: no control characters but tabs.
constexpr bool is_field_value(std::string_view text) noexcept
{
    return std::all_of(text.begin(), text.end(), [](char c) {
        const auto octet = static_cast<unsigned char>(c);
        return (octet >= 0x20 && octet != 0x7f) || c == '\t';
    });
}

// Without the spaces and tabs around it (OWS, RFC 9110 5.6.3).
constexpr std::string_view trim(std::string_view text) noexcept { return sandboxd::trim(text, " \t"); }

// Takes the next element off a comma-separated list whose elements contain no commas (RFC 9110 5.6.1: empty elements
// are skipped). False at the end.
inline bool next_element(std::string_view& list, std::string_view& element) noexcept
{
    while (!list.empty()) {
        const auto comma = list.find(',');
        element = trim(list.substr(0, comma));
        list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
        if (!element.empty()) return true;
    }
    return false;
}

}  // namespace sandboxd::http
