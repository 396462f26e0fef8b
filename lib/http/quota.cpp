#include "http/quota.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>

namespace sandboxd::http {

peer tcp_peer(const sockaddr* from, std::size_t size)
{
    constexpr std::array<std::uint8_t, 12> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    constexpr std::size_t network = 8;
    peer who;
    char text[INET6_ADDRSTRLEN]{};
    if (size >= sizeof(sockaddr_in) && from->sa_family == AF_INET) {
        sockaddr_in v4{};
        std::memcpy(&v4, from, sizeof v4);
        std::ranges::copy(mapped, who.client.begin());
        std::memcpy(who.client.data() + mapped.size(), &v4.sin_addr, sizeof v4.sin_addr);
        ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    } else if (size >= sizeof(sockaddr_in6) && from->sa_family == AF_INET6) {
        sockaddr_in6 v6{};
        std::memcpy(&v6, from, sizeof v6);
        std::memcpy(who.client.data(), &v6.sin6_addr, sizeof v6.sin6_addr);
        // An IPv4 client of a socket for both.
        if (std::equal(mapped.begin(), mapped.end(), who.client.begin())) {
            ::inet_ntop(AF_INET, v6.sin6_addr.s6_addr + mapped.size(), text, sizeof text);
        } else {
            std::fill(who.client.begin() + network, who.client.end(), std::uint8_t{0});
            ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
        }
    }
    who.address = text;
    return who;
}

std::optional<client_key> client_of(std::string_view ip) noexcept
{
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (ip.size() >= text.size()) return std::nullopt;
    std::ranges::copy(ip, text.begin());
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    if (::inet_pton(AF_INET, text.data(), &v4.sin_addr) == 1)
        return tcp_peer(reinterpret_cast<const sockaddr*>(&v4), sizeof v4).client;
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    if (::inet_pton(AF_INET6, text.data(), &v6.sin6_addr) == 1)
        return tcp_peer(reinterpret_cast<const sockaddr*>(&v6), sizeof v6).client;
    return std::nullopt;
}

std::chrono::seconds quota::take(const client_key& client, clock::time_point now)
{
    constexpr std::chrono::minutes length{1};
    while (!minutes_.empty() && minutes_.front().began + length <= now) {
        by_client_.erase(minutes_.front().client);
        minutes_.pop_front();
    }
    const auto known = by_client_.find(client);
    if (known == by_client_.end()) {
        if (minutes_.size() >= clients_) {
            by_client_.erase(minutes_.front().client);
            minutes_.pop_front();
        }
        minutes_.push_back({client, now, 1});
        by_client_.emplace(client, std::prev(minutes_.end()));
        return std::chrono::seconds{0};
    }
    auto& mine = *known->second;
    if (mine.requests >= a_minute_) return std::chrono::ceil<std::chrono::seconds>(mine.began + length - now);
    ++mine.requests;
    return std::chrono::seconds{0};
}

}  // namespace sandboxd::http
