// Reading header fields: the case of names, white space around values, lists with commas.
#pragma once

#include "base/ascii.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace sandboxd::http {

// Field names, codings and the like ignore case (RFC 9110 5.1). Do not use Beast's iequals: at least up to 1.83 it
// reads one byte past the end of both.
constexpr bool same_word(std::string_view a, std::string_view b) noexcept
{
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](char x, char y) { return to_lower(x) == to_lower(y); });
}

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

// Without the spaces and tabs around it (OWS, RFC 9110 5.6.3).
inline std::string_view trim(std::string_view text) noexcept
{
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

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
