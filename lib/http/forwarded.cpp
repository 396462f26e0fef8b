#include "http/forwarded.hpp"

#include "http/field_text.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>

namespace sandboxd::http {

std::string_view last_hop(std::string_view forwarded_for) noexcept
{
    auto last = forwarded_for.substr(forwarded_for.rfind(',') + 1);
    last = trim(last);
    // "[2001:db8::1]:443", "192.0.2.1:443": some proxies name the port.
    if (last.starts_with('[')) {
        last = last.substr(1, last.find(']') - 1);
    } else if (const auto colon = last.find(':'); colon != std::string_view::npos && last.rfind(':') == colon) {
        last = last.substr(0, colon);
    }
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (last.empty() || last.size() >= text.size()) return {};
    std::ranges::copy(last, text.begin());
    in6_addr ignored{};
    const bool known =
        ::inet_pton(AF_INET, text.data(), &ignored) == 1 || ::inet_pton(AF_INET6, text.data(), &ignored) == 1;
    return known ? last : std::string_view{};
}

}  // namespace sandboxd::http
