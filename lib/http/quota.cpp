#include "http/quota.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <iterator>

namespace sandboxd::http {

std::optional<client_key> key_of(const sockaddr_storage& peer) noexcept
{
    constexpr std::array<std::uint8_t, 12> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    constexpr std::size_t network = 8;
    client_key key{};
    if (peer.ss_family == AF_INET) {
        sockaddr_in v4{};
        std::memcpy(&v4, &peer, sizeof v4);
        std::ranges::copy(mapped, key.begin());
        std::memcpy(key.data() + mapped.size(), &v4.sin_addr, sizeof v4.sin_addr);
        return key;
    }
    if (peer.ss_family != AF_INET6) return std::nullopt;
    sockaddr_in6 v6{};
    std::memcpy(&v6, &peer, sizeof v6);
    std::memcpy(key.data(), &v6.sin6_addr, sizeof v6.sin6_addr);
    if (!std::equal(mapped.begin(), mapped.end(), key.begin()))
        std::fill(key.begin() + network, key.end(), std::uint8_t{0});
    return key;
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
