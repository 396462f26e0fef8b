#include "admission/fair_line.hpp"

#include <algorithm>
#include <iterator>
#include <ranges>
#include <tuple>
#include <utility>

namespace sandboxd::admission {

bool fair_line::would_be_next(const client_key& client) const
{
    const auto known = accounts_.find(client);
    const auto mine = known == accounts_.end() ? std::pair{std::size_t{0}, std::uint64_t{0}}
                                               : std::pair{known->second.running, known->second.latest};
    for (const auto& [key, one] : accounts_)
        if (!one.waiting.empty() && std::pair{one.running, one.latest} <= mine) return false;
    return true;
}

bool fair_line::has_only(const client_key& client) const
{
    return std::ranges::all_of(accounts_,
                               [&](const auto& one) { return one.second.waiting.empty() || one.first == client; });
}

std::optional<fair_line::ticket> fair_line::who_gives_way(const client_key& newcomer) const
{
    using load = std::pair<std::size_t, std::size_t>;
    const auto load_of = [](accounts::const_iterator one) {
        return load{one->second.waiting.size(), one->second.running};
    };
    std::optional<std::pair<load, ticket>> most;
    for (const auto& [whose, clients] : seats_) {
        const auto least = std::ranges::min(clients | std::views::transform(load_of));
        // In order of arrival, so of equals the newest is left.
        if (!most || least >= most->first) most = {least, whose};
    }
    const auto known = accounts_.find(newcomer);
    auto mine = known == accounts_.end() ? load{0, 0} : load_of(known);
    ++mine.first;
    if (!most || most->first <= mine) return std::nullopt;
    return most->second;
}

std::optional<fair_line::joined> fair_line::join(const client_key& client, bool at_once)
{
    std::optional<ticket> gave_way;
    if (!at_once && seats_.size() >= most_) {
        gave_way = who_gives_way(client);
        if (!gave_way) return std::nullopt;
        leave(*gave_way);
    }
    seats_[++tickets_];
    share(tickets_, client);
    return joined{tickets_, gave_way};
}

void fair_line::begin(const client_key& client)
{
    account& of = accounts_[client];
    ++of.running;
    ++running_;
    of.latest = ++taken_;
}

std::optional<fair_line::seat> fair_line::next() const
{
    const auto rank = [](const account& one) { return std::tuple{one.running, one.latest, *one.waiting.begin()}; };
    auto first = accounts_.end();
    for (auto it = accounts_.begin(); it != accounts_.end(); ++it) {
        if (it->second.waiting.empty()) continue;
        if (first == accounts_.end() || rank(it->second) < rank(first->second)) first = it;
    }
    if (first == accounts_.end()) return std::nullopt;
    return seat{*first->second.waiting.begin(), first->first};
}

std::optional<std::size_t> fair_line::ahead(ticket whose) const
{
    const auto place = seats_.find(whose);
    if (place == seats_.end()) return std::nullopt;
    std::size_t least = seats_.size() - 1;
    for (const auto mine : place->second) {
        const auto& of = mine->second;
        const auto before = static_cast<std::size_t>(std::distance(of.waiting.begin(), of.waiting.find(whose)));
        // As many as this client runs when it is this seat's turn.
        const auto rounds = of.running + before;
        std::size_t count = before;
        for (const auto& [key, other] : accounts_) {
            if (&other == &of || other.running > rounds) continue;
            // Clients that are served by turns stay in the order in which they were when they first had as many
            // running.
            const bool sooner = other.running > of.running || (other.running == of.running && !other.waiting.empty() &&
                                                               std::pair{other.latest, *other.waiting.begin()} <
                                                                   std::pair{of.latest, *of.waiting.begin()});
            count += std::min(other.waiting.size(), rounds - other.running + (sooner ? 1 : 0));
        }
        least = std::min(least, count);
    }
    return least;
}

void fair_line::take(const seat& which)
{
    // Before the seat is given up: a client without either is forgotten.
    account& of = accounts_.at(which.client);
    ++of.running;
    ++running_;
    of.latest = ++taken_;
    leave(which.whose);
}

void fair_line::end(const client_key& client)
{
    const auto of = accounts_.find(client);
    --of->second.running;
    --running_;
    forget_if_gone(of);
}

void fair_line::hand_over(const client_key& from, const client_key& to)
{
    account& heir = accounts_[to];
    ++heir.running;
    ++running_;
    heir.latest = ++taken_;
    end(from);
}

bool fair_line::leave(ticket whose)
{
    const auto place = seats_.find(whose);
    if (place == seats_.end()) return false;
    for (const auto of : place->second) {
        of->second.waiting.erase(whose);
        forget_if_gone(of);
    }
    seats_.erase(place);
    return true;
}

void fair_line::share(ticket whose, const client_key& client)
{
    const auto of = accounts_.try_emplace(client).first;
    if (of->second.waiting.insert(whose).second) seats_.at(whose).push_back(of);
}

void fair_line::stop_sharing(ticket whose, const client_key& client)
{
    const auto of = accounts_.find(client);
    std::erase(seats_.at(whose), of);
    of->second.waiting.erase(whose);
    forget_if_gone(of);
}

void fair_line::forget_if_gone(accounts::iterator which)
{
    if (which->second.waiting.empty() && which->second.running == 0) accounts_.erase(which);
}

std::size_t fair_line::running(const client_key& client) const
{
    const auto known = accounts_.find(client);
    return known == accounts_.end() ? 0 : known->second.running;
}

}  // namespace sandboxd::admission
