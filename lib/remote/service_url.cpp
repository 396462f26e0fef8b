#include "remote/service_url.hpp"

#include "base/ascii.hpp"
#include "base/base64.hpp"
#include "base/text.hpp"

#include <boost/asio/ip/address.hpp>

#include <algorithm>
#include <charconv>
#include <utility>

namespace sandboxd::remote {

namespace {

constexpr std::size_t longest_url = 2048;

bool is_printable(std::string_view text)
{
    return std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
}

std::uint16_t usual_port(bool tls) { return tls ? 443 : 80; }

bool read_port(std::string_view text, std::uint16_t& into)
{
    unsigned number = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (failed != std::errc{} || end != text.data() + text.size() || number == 0 || number > 65535) return false;
    into = static_cast<std::uint16_t>(number);
    return true;
}

// Plain segments: a target is put together of it, and nobody else reads it another way.
bool is_plain_path(std::string_view path)
{
    while (!path.empty()) {
        if (path.front() != '/') return false;
        path.remove_prefix(1);
        const auto segment = path.substr(0, path.find('/'));
        path.remove_prefix(segment.size());
        const bool plain = std::ranges::all_of(
            segment, [](char c) { return is_alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~'; });
        if (segment.empty() || segment == "." || segment == ".." || !plain) return false;
    }
    return true;
}

}  // namespace

std::optional<host_and_port> read_authority(std::string_view text, std::uint16_t usual_port)
{
    std::string_view host = text.substr(0, text.find(':'));
    std::string_view rest = text.substr(host.size());
    boost::system::error_code ec;
    if (text.starts_with('[')) {
        const auto end = text.find(']');
        if (end == std::string_view::npos) return std::nullopt;
        host = text.substr(1, end - 1);
        rest = text.substr(end + 1);
        boost::asio::ip::make_address_v6(std::string{host}, ec);
        if (ec || host.find('%') != std::string_view::npos) return std::nullopt;
    } else if (host.empty() || host.size() > 253 || host.front() == '-' || host.front() == '.' ||
               !std::ranges::all_of(host, [](char c) { return is_alphanumeric(c) || c == '-' || c == '.'; })) {
        return std::nullopt;
    }
    host_and_port made{.host = in_lower_case(host), .port = usual_port};
    if (rest.empty()) return made;
    if (rest.front() != ':' || !read_port(rest.substr(1), made.port)) return std::nullopt;
    return made;
}

bool is_loopback(const std::string& host)
{
    if (host == "localhost") return true;
    boost::system::error_code ec;
    const auto address = boost::asio::ip::make_address(host, ec);
    return !ec && address.is_loopback();
}

std::string service_url::authority() const
{
    auto made = host.find(':') != std::string::npos ? "[" + host + "]" : host;
    if (port != usual_port(tls)) made += ":" + std::to_string(port);
    return made;
}

std::string service_url::text() const { return (tls ? "https://" : "http://") + authority() + path; }

result<service_url> parse_service_url(std::string_view url)
{
    const auto wrong = [&](const std::string& why) { return invalid_request(in_quotes(url) + " " + why); };
    if (url.size() > longest_url) return wrong("is too long");
    if (!is_printable(url)) return wrong("holds a blank or a character that is not ASCII");
    service_url made;
    std::string_view rest = url;
    if (rest.starts_with("https://"))
        made.tls = true;
    else if (!rest.starts_with("http://"))
        return wrong("does not begin with http:// or https://");
    rest.remove_prefix(made.tls ? 8 : 7);
    const auto authority = rest.substr(0, rest.find_first_of("/?#"));
    // Not shown: it may be a password.
    if (authority.find('@') != std::string_view::npos)
        return invalid_request("the URL has a user or a password; put them into a file");
    auto at = read_authority(authority, usual_port(made.tls));
    if (!at) return wrong("does not name a host, and a port from 1 to 65535 if any");
    made.host = std::move(at->host);
    made.port = at->port;
    rest.remove_prefix(authority.size());
    while (rest.ends_with('/')) rest.remove_suffix(1);
    if (!is_plain_path(rest)) return wrong("has a path of other than plain names, or a query");
    made.path = rest;
    return made;
}

result<std::string> authorization_of(std::string_view text)
{
    constexpr std::string_view bearer = "Bearer ";
    constexpr std::string_view basic = "Basic ";
    if (text.starts_with(bearer)) {
        const auto token = text.substr(bearer.size());
        const bool plain = !token.empty() && std::ranges::all_of(token, [](char c) {
            return is_alphanumeric(c) || std::string_view{"-._~+/="}.find(c) != std::string_view::npos;
        });
        if (plain) return std::string{text};
    } else if (text.starts_with(basic)) {
        const auto pair = text.substr(basic.size());
        const bool plain = std::ranges::all_of(pair, [](char c) { return c >= ' ' && c < 0x7f; });
        if (plain && pair.find(':') != std::string_view::npos) return std::string{basic} + encode_base64(pair);
    }
    return invalid_request("is neither \"Bearer TOKEN\" nor \"Basic USER:PASSWORD\"");
}

}  // namespace sandboxd::remote
