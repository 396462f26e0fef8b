#include "http/uri.hpp"

#include "base/ascii.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>

namespace sandboxd::http {

namespace {

// Decodes repeatedly, because a server in the chain may: "%252e" and "%25%32%65" become "%2e" when decoded once. The
// output is checked when its last character arrives, so each character is visited once.
std::string decoded(std::string_view path)
{
    std::string made;
    made.reserve(path.size());
    for (const char c : path) {
        made += c;
        for (auto size = made.size(); size >= 3 && made[size - 3] == '%'; size = made.size()) {
            const int high = hex_value(made[size - 2]);
            const int low = hex_value(made[size - 1]);
            if (high < 0 || low < 0) break;
            made.resize(size - 2);
            made.back() = static_cast<char>(high * 16 + low);
        }
    }
    return made;
}

// The next character, which may be ASCII in overlong UTF-8 of two to four octets.
unsigned char take_character(std::string_view& text) noexcept
{
    const auto octet = [text](std::size_t at) {
        return at < text.size() ? static_cast<unsigned char>(text[at]) : static_cast<unsigned char>(0);
    };
    const auto first = octet(0);
    const std::size_t size = first == 0xc0 || first == 0xc1 ? 2 : first == 0xe0 ? 3 : first == 0xf0 ? 4 : 1;
    unsigned value = size == 2 ? first & 1U : 0;
    for (std::size_t i = 1; i < size; ++i) {
        if ((octet(i) & 0xc0) != 0x80) {
            value = 0x80;
            break;
        }
        value = value << 6 | (octet(i) & 0x3fU);
    }
    const bool overlong = size > 1 && value < 0x80;
    text.remove_prefix(overlong ? size : 1);
    return overlong ? static_cast<unsigned char>(value) : first;
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

bool has_dot_segment(std::string_view path)
{
    // Most paths have neither a dot nor anything that could mean one.
    if (std::ranges::none_of(path, [](char c) { return c == '.' || c == '%' || (c & 0x80) != 0; })) return false;
    std::string plain;
    if (path.find('%') != std::string_view::npos) {
        plain = decoded(path);
        path = plain;
    }
    std::size_t dots = 0;
    bool other = false;
    bool name_over = false;
    while (!path.empty()) {
        const auto c = take_character(path);
        if (c == '\t' || c == '\n' || c == '\r') continue;
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
