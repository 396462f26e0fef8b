#include "http/uri.hpp"

#include "base/ascii.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstddef>

namespace sandboxd::http {

namespace {

int hex_value(char c) noexcept
{
    const char l = to_lower(c);
    if (l >= '0' && l <= '9') return l - '0';
    return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

struct decoded_octet {
    int value{-1};  // -1: none is encoded there
    std::size_t size{1};
};

// What "%xx" at the front of `text` comes to, decoded as often as somebody might: "%252e" is "%2e" to who does it once.
decoded_octet encoded_octet(std::string_view text) noexcept
{
    const auto value_at = [text](std::size_t at) {
        if (at + 1 >= text.size()) return -1;
        const int high = hex_value(text[at]);
        const int low = hex_value(text[at + 1]);
        return high < 0 || low < 0 ? -1 : high * 16 + low;
    };
    if (!text.starts_with('%') || value_at(1) < 0) return {};
    std::size_t at = 1;
    while (value_at(at) == '%' && value_at(at + 2) >= 0) at += 2;
    return {value_at(at), at + 2};
}

unsigned char take_decoded(std::string_view& text) noexcept
{
    const auto first = encoded_octet(text);
    auto value = first.value < 0 ? static_cast<unsigned char>(text.front()) : static_cast<unsigned char>(first.value);
    text.remove_prefix(first.size);
    if (first.value != 0xc0 && first.value != 0xc1) return value;
    // Overlong UTF-8: two octets for a character of ASCII.
    const auto second = encoded_octet(text);
    if (second.value < 0x80 || second.value >= 0xc0) return value;
    value = static_cast<unsigned char>((value & 1) << 6 | (second.value & 0x3f));
    text.remove_prefix(second.size);
    return value;
}

bool is_name_character(char c) noexcept { return is_alphanumeric(c) || c == '-' || c == '_' || c == '~'; }

bool is_name(std::string_view host) noexcept
{
    if (host.ends_with('.')) host.remove_suffix(1);
    bool label = false;
    for (const char c : host) {
        if (c == '.' && !label) return false;
        if (c != '.' && !is_name_character(c)) return false;
        label = c != '.';
    }
    return label;
}

bool is_ipv6_literal(std::string_view host) noexcept
{
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (host.size() < 4 || host.size() - 2 >= text.size()) return false;
    std::copy(host.begin() + 1, host.end() - 1, text.begin());
    in6_addr ignored{};
    return ::inet_pton(AF_INET6, text.data(), &ignored) == 1;
}

}  // namespace

target_parts split_target(std::string_view target) noexcept
{
    target_parts parts;
    if (!target.starts_with('/') && target != "*") {
        const auto slashes = target.find("//");
        const auto from = slashes == std::string_view::npos ? 0 : slashes + 2;
        const auto end = std::min(target.find_first_of("/?#", from), target.size());
        parts.authority = target.substr(from, end - from);
        target.remove_prefix(end);
    }
    const auto mark = target.find('?');
    parts.path = target.substr(0, mark);
    if (parts.path.empty()) parts.path = "/";
    if (mark != std::string_view::npos) parts.query = target.substr(mark + 1);
    return parts;
}

bool has_dot_segment(std::string_view path) noexcept
{
    std::size_t dots = 0;
    bool other = false;
    bool name_over = false;
    while (!path.empty()) {
        const auto c = take_decoded(path);
        if (c == '/' || c == '\\') {
            if (!other && (dots == 1 || dots == 2)) return true;
            dots = 0;
            other = name_over = false;
        } else if (c == ';' || c == '#' || c == '\0') {
            name_over = true;
        } else if (!name_over) {
            if (c == '.')
                ++dots;
            else
                other = true;
        }
    }
    return !other && (dots == 1 || dots == 2);
}

std::optional<authority_parts> read_authority(std::string_view text) noexcept
{
    if (text.empty()) return authority_parts{};
    const auto bracket = text.starts_with('[') ? text.find(']') : 0;
    if (bracket == std::string_view::npos) return std::nullopt;
    const auto colon = text.find(':', bracket);
    authority_parts parts{.host = text.substr(0, colon), .port = {}};
    if (colon != std::string_view::npos) {
        parts.port = text.substr(colon + 1);
        unsigned value = 0;
        if (parts.port.size() > 5) return std::nullopt;
        for (const char c : parts.port) {
            if (!is_digit(c)) return std::nullopt;
            value = value * 10 + static_cast<unsigned>(c - '0');
        }
        if (value > 65'535) return std::nullopt;
    }
    if (bracket > 0) {
        if (bracket + 1 != parts.host.size() || !is_ipv6_literal(parts.host)) return std::nullopt;
    } else if (!is_name(parts.host)) {
        return std::nullopt;
    }
    return parts;
}

}  // namespace sandboxd::http
