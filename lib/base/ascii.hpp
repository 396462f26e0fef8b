// Characters and words of ASCII, independent of the locale. The functions of <cctype> depend on it and are undefined
// for negative values.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace sandboxd {

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
constexpr bool is_lower(char c) noexcept { return c >= 'a' && c <= 'z'; }
constexpr bool is_upper(char c) noexcept { return c >= 'A' && c <= 'Z'; }
constexpr bool is_letter(char c) noexcept { return is_lower(c) || is_upper(c); }
constexpr bool is_alphanumeric(char c) noexcept { return is_letter(c) || is_digit(c); }
// Digests and random names here have lower-case digits only.
constexpr bool is_lower_hex(char c) noexcept { return is_digit(c) || (c >= 'a' && c <= 'f'); }

// The value of a hexadecimal digit, in upper or lower case; -1 for any other character.
constexpr int hex_value(char c) noexcept
{
    if (is_digit(c)) return c - '0';
    const char lower = static_cast<char>(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

constexpr char to_lower(char c) noexcept { return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c; }

inline std::string in_lower_case(std::string_view text)
{
    std::string made{text};
    std::ranges::transform(made, made.begin(), to_lower);
    return made;
}

// Whether two words differ at most in case. Do not use Beast's iequals: at least up to 1.83 it reads one byte past the
// end of both.
constexpr bool same_word(std::string_view a, std::string_view b) noexcept
{
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](char x, char y) { return to_lower(x) == to_lower(y); });
}

// The text without those characters at its ends.
constexpr std::string_view trim(std::string_view text, std::string_view of = " \t\r\n") noexcept
{
    text.remove_prefix(std::min(text.find_first_not_of(of), text.size()));
    return text.substr(0, text.find_last_not_of(of) + 1);
}

}  // namespace sandboxd
