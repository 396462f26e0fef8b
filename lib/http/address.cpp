#include "http/address.hpp"

#include "base/ascii.hpp"

#include <sys/un.h>

#include <algorithm>
#include <charconv>

namespace sandboxd::http {

namespace {

error refuse(std::string_view text, std::string_view why)
{
    return {errc::invalid_request, "'" + std::string{text} + "' " + std::string{why} +
                                       "; write ':8080', 'localhost:3000', '0.0.0.0:8080', '[::1]:8080' or "
                                       "'unix:/path'"};
}

}  // namespace

result<address> parse_address(std::string_view text)
{
    if (text.starts_with("unix:")) {
        const auto path = text.substr(5);
        if (!path.starts_with('/')) return refuse(text, "needs an absolute path");
        if (path.size() >= sizeof(sockaddr_un::sun_path)) return refuse(text, "is too long for a Unix socket");
        if (path.find('\0') != std::string_view::npos) return refuse(text, "holds a NUL");
        return address{unix_address{std::string{path}}};
    }
    if (text.find("://") != std::string_view::npos) return refuse(text, "is a URL; leave its scheme and path out");
    const auto colon = text.rfind(':');
    const bool is_number = !text.empty() && std::ranges::all_of(text, is_digit);
    if (is_number) return refuse(text, "is a port without the colon before it");
    if (colon == std::string_view::npos) return refuse(text, "has no port");
    const auto digits = text.substr(colon + 1);
    std::uint16_t port = 0;
    const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (ec != std::errc{} || end != digits.data() + digits.size())
        return refuse(text, "has no port between 0 and 65535");
    auto host = text.substr(0, colon);
    if (host.find('\0') != std::string_view::npos) return refuse(text, "holds a NUL");
    if (host.size() > 2 && host.starts_with('[') && host.ends_with(']')) {
        host = host.substr(1, host.size() - 2);
    } else if (host.find_first_of(":[]") != std::string_view::npos) {
        return refuse(text, "needs brackets around an IPv6 address, and only there");
    }
    return address{tcp_address{std::string{host}, port}};
}

}  // namespace sandboxd::http
