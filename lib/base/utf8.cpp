#include "base/utf8.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace sandboxd {

namespace {

struct step {
    std::size_t length;  // bytes of the character, or of the maximal ill-formed subsequence
    bool valid;
};

// Looks at the character that starts at `at`. The ranges are those of Unicode's table 3-7.
step next(std::string_view bytes, std::size_t at) noexcept
{
    const auto octet = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
    const std::uint8_t lead = octet(at);
    if (lead < 0x80) return {1, true};
    if (lead < 0xc2 || lead > 0xf4) return {1, false};

    const std::size_t wanted = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    std::uint8_t low = 0x80;
    std::uint8_t high = 0xbf;
    if (lead == 0xe0) low = 0xa0;
    if (lead == 0xed) high = 0x9f;
    if (lead == 0xf0) low = 0x90;
    if (lead == 0xf4) high = 0x8f;

    std::size_t length = 1;
    while (length < wanted) {
        if (at + length == bytes.size()) return {length, false};
        const std::uint8_t follower = octet(at + length);
        if (follower < low || follower > high) return {length, false};
        low = 0x80;
        high = 0xbf;
        ++length;
    }
    return {length, true};
}

// Where the ASCII that begins at `at` ends. Most text is ASCII, so eight bytes are looked at together.
std::size_t end_of_ascii(std::string_view bytes, std::size_t at) noexcept
{
    constexpr std::uint64_t high_bits = 0x8080'8080'8080'8080;
    for (std::uint64_t eight = 0; bytes.size() - at >= sizeof eight; at += sizeof eight) {
        std::memcpy(&eight, bytes.data() + at, sizeof eight);
        if ((eight & high_bits) != 0) break;
    }
    while (at < bytes.size() && static_cast<std::uint8_t>(bytes[at]) < 0x80) ++at;
    return at;
}

}  // namespace

bool is_valid_utf8(std::string_view bytes) noexcept
{
    for (std::size_t at = end_of_ascii(bytes, 0); at < bytes.size(); at = end_of_ascii(bytes, at)) {
        const step s = next(bytes, at);
        if (!s.valid) return false;
        at += s.length;
    }
    return true;
}

std::string to_valid_utf8(std::string_view bytes)
{
    std::string text;
    text.reserve(bytes.size());
    std::size_t copied = 0;
    for (std::size_t at = end_of_ascii(bytes, 0); at < bytes.size(); at = end_of_ascii(bytes, at)) {
        const step s = next(bytes, at);
        if (!s.valid) {
            text.append(bytes, copied, at - copied);
            text += "\xef\xbf\xbd";
            copied = at + s.length;
        }
        at += s.length;
    }
    text.append(bytes, copied, bytes.size() - copied);
    return text;
}

std::size_t take_json_room(std::string_view bytes, std::size_t& room) noexcept
{
    constexpr std::size_t short_escape = 2;      // \n
    constexpr std::size_t long_escape = 6;       // \u0001
    constexpr std::size_t replacement_size = 3;  // U+FFFD
    const auto is_follower = [](char c) { return (static_cast<std::uint8_t>(c) & 0xc0) == 0x80; };
    std::size_t at = 0;
    while (at < bytes.size()) {
        const char c = bytes[at];
        std::size_t used = 1;
        std::size_t size = 1;
        if (c == '"' || c == '\\' || (c >= '\b' && c <= '\r' && c != '\v')) {
            size = short_escape;
        } else if (static_cast<std::uint8_t>(c) < 0x20) {
            size = long_escape;
        } else if (static_cast<std::uint8_t>(c) >= 0x80) {
            const step s = next(bytes, at);
            const bool is_cut = (at < 3 && is_follower(c)) || at + s.length == bytes.size();
            used = s.length;
            size = s.valid || is_cut ? s.length : replacement_size;
        }
        if (size > room) break;
        room -= size;
        at += used;
    }
    return at;
}

std::string_view utf8_prefix(std::string_view text, std::size_t max_bytes) noexcept
{
    if (text.size() <= max_bytes) return text;
    // In valid text a character has at most three bytes before its last one.
    std::size_t end = max_bytes;
    const std::size_t floor = max_bytes - std::min<std::size_t>(max_bytes, 3);
    while (end > floor && (static_cast<std::uint8_t>(text[end]) & 0xc0) == 0x80) --end;
    if ((static_cast<std::uint8_t>(text[end]) & 0xc0) == 0x80) end = max_bytes;  // not UTF-8 at all
    return text.substr(0, end);
}

}  // namespace sandboxd
