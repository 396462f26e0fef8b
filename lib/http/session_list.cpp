#include "http/session_list.hpp"

#include <algorithm>

namespace sandboxd::http {

namespace {

constexpr std::size_t index(phase of) noexcept { return static_cast<std::size_t>(of); }

// Bounds a search, however many connections there are.
constexpr std::size_t most_looked_at = 256;

}  // namespace

void session_list::enter(session_entry& one)
{
    auto& idle = by_phase_[index(phase::idle)];
    one.in = phase::idle;
    one.place = idle.insert(idle.end(), &one);
    if (!one.from.local) ++by_client_[one.from.client];
    ++size_;
}

void session_list::leave(session_entry& one) noexcept
{
    by_phase_[index(one.in)].erase(one.place);
    --size_;
    if (one.from.local) return;
    const auto mine = by_client_.find(one.from.client);
    if (--mine->second == 0) by_client_.erase(mine);
}

void session_list::move(session_entry& one, phase to) noexcept
{
    auto& target = by_phase_[index(to)];
    target.splice(target.end(), by_phase_[index(one.in)], one.place);
    one.in = to;
}

std::size_t session_list::of_client(const client_key& client) const noexcept
{
    const auto found = by_client_.find(client);
    return found == by_client_.end() ? 0 : found->second;
}

session_entry* session_list::oldest(phase of, const session_entry* except) const noexcept
{
    for (session_entry* one : by_phase_[index(of)])
        if (one != except) return one;
    return nullptr;
}

session_entry* session_list::oldest_of_busiest(phase of) const noexcept
{
    const auto busiest = std::ranges::max_element(by_client_, {}, [](const auto& one) { return one.second; });
    if (busiest == by_client_.end()) return nullptr;
    for (session_entry* one : by_phase_[index(of)])
        if (!one->from.local && one->from.client == busiest->first) return one;
    return nullptr;
}

session_entry* session_list::oldest_of(const client_key& client, phase of) const noexcept
{
    std::size_t looked_at = 0;
    for (session_entry* one : by_phase_[index(of)]) {
        if (one->from.client == client && !one->from.local) return one;
        if (++looked_at == most_looked_at) break;
    }
    return nullptr;
}

}  // namespace sandboxd::http
