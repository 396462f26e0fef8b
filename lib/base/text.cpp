#include "base/text.hpp"

#include "base/ascii.hpp"
#include "base/utf8.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace sandboxd {

namespace {

// The first character of a text; `size` 0: it does not begin with a whole one.
struct character {
    std::uint32_t code{0};
    std::size_t size{0};
};

character first_of(std::string_view text) noexcept
{
    const auto lead = static_cast<unsigned char>(text.front());
    const std::size_t size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (size > text.size() || !is_valid_utf8(text.substr(0, size))) return {};
    if (size == 1) return {lead, 1};
    std::uint32_t code = lead & (0x7fU >> size);
    for (const char c : text.substr(1, size - 1)) code = code << 6 | (static_cast<unsigned char>(c) & 0x3fU);
    return {code, size};
}

// Whether people see the character as it is. Of those beyond ASCII, blanks, controls and format characters
// (Unicode, general categories Z and C) are not; nor are private ones.
bool is_plain(std::uint32_t code) noexcept
{
    if (code < 0x80) return code >= 0x20 && code < 0x7f && code != '\'' && code != '\\';
    struct range {
        std::uint32_t first, last;
    };
    constexpr range hidden[] = {
        {0x80, 0xa0},       {0xad, 0xad},       {0x34f, 0x34f},     {0x600, 0x605},     {0x61c, 0x61c},
        {0x6dd, 0x6dd},     {0x70f, 0x70f},     {0x890, 0x891},     {0x8e2, 0x8e2},     {0x115f, 0x1160},
        {0x1680, 0x1680},   {0x17b4, 0x17b5},   {0x180b, 0x180f},   {0x2000, 0x200f},   {0x2028, 0x202f},
        {0x205f, 0x206f},   {0x2800, 0x2800},   {0x3000, 0x3000},   {0x3164, 0x3164},   {0xe000, 0xf8ff},
        {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},   {0xffa0, 0xffa0},   {0xfff0, 0xfffb},   {0xfffe, 0xffff},
        {0x110bd, 0x110bd}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0x10ffff}};
    return std::ranges::none_of(hidden, [&](const range& one) { return code >= one.first && code <= one.last; });
}

}  // namespace

std::string in_quotes(std::string_view name)
{
    static constexpr char digits[] = "0123456789abcdef";
    static constexpr std::size_t longest = 100;
    std::string text{"'"};
    auto left = utf8_prefix(name, longest);
    const bool is_cut = left.size() < name.size();
    while (!left.empty()) {
        const auto [code, size] = first_of(left);
        const auto bytes = left.substr(0, std::max<std::size_t>(size, 1));
        left.remove_prefix(bytes.size());
        if (size > 0 && is_plain(code)) {
            text += bytes;
            continue;
        }
        for (const char c : bytes) {
            const auto octet = static_cast<unsigned char>(c);
            text += "\\x";
            text += digits[octet >> 4];
            text += digits[octet & 0xf];
        }
    }
    if (is_cut) text += "...";
    return text += '\'';
}

std::size_t edit_distance(std::string_view a, std::string_view b)
{
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    auto before = row;  // the row before, and the one before that
    auto earlier = row;
    const auto same = [](char x, char y) { return to_lower(x) == to_lower(y); };
    for (std::size_t i = 1; i <= a.size(); ++i) {
        earlier = std::exchange(before, row);
        auto diagonal = std::exchange(row[0], i);
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const auto replaced = diagonal + (same(a[i - 1], b[j - 1]) ? 0 : 1);
            diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, replaced}));
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                row[j] = std::min(row[j], earlier[j - 2] + 1);
        }
    }
    return row[b.size()];
}

}  // namespace sandboxd
