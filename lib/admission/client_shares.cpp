#include "admission/client_shares.hpp"

#include <algorithm>

namespace sandboxd::admission {

void client_shares::add(const client_key& client, share more)
{
    auto& mine = by_client_[client];
    mine.count += more.count;
    mine.bytes += more.bytes;
    all_.count += more.count;
    all_.bytes += more.bytes;
}

void client_shares::remove(const client_key& client, share less) noexcept
{
    const auto found = by_client_.find(client);
    if (found == by_client_.end()) return;
    auto& mine = found->second;
    mine.count -= less.count;
    mine.bytes -= less.bytes;
    all_.count -= less.count;
    all_.bytes -= less.bytes;
    if (mine.count == 0) by_client_.erase(found);
}

void client_shares::clear() noexcept
{
    by_client_.clear();
    all_ = {};
}

client_shares::share client_shares::of(const client_key& client) const
{
    const auto found = by_client_.find(client);
    return found == by_client_.end() ? share{} : found->second;
}

bool client_shares::has_room(share more) const noexcept
{
    return more.count <= most_.count && all_.count <= most_.count - more.count && more.bytes <= most_.bytes &&
           all_.bytes <= most_.bytes - more.bytes;
}

double client_shares::weight(share of) const noexcept
{
    const auto part = [](std::size_t some, std::size_t most) {
        return static_cast<double>(some) / static_cast<double>(std::max<std::size_t>(most, 1));
    };
    return std::max(part(of.count, most_.count), part(of.bytes, most_.bytes));
}

std::optional<client_key> client_shares::gives_way(const client_key& newcomer, share more, among_equals equals,
                                                   const std::function<bool(const client_key&)>& can_lose) const
{
    auto his = of(newcomer);
    his.count += more.count;
    his.bytes += more.bytes;
    const double least = weight(his);
    std::optional<client_key> found;
    double most = 0;
    for (const auto& [client, held] : by_client_) {
        const double theirs = weight(held);
        if (client == newcomer || theirs <= most || theirs < least) continue;
        if (equals == among_equals::newcomer && theirs <= least) continue;
        if (can_lose && !can_lose(client)) continue;
        found = client;
        most = theirs;
    }
    return found;
}

}  // namespace sandboxd::admission
