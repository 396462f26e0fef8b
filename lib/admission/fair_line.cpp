#include "admission/fair_line.hpp"

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

std::optional<fair_line::joined> fair_line::join(const client_key& client, bool at_once)
{
    std::optional<ticket> gave_way;
    if (!at_once && seats_.size() >= most_) {
        const auto known = accounts_.find(client);
        const auto mine = known == accounts_.end() ? std::pair{std::size_t{1}, std::size_t{0}}
                                                   : std::pair{known->second.waiting.size() + 1, known->second.running};
        auto largest = accounts_.end();
        const auto rank = [](const account& one) {
            return std::tuple{one.waiting.size(), one.running, *one.waiting.rbegin()};
        };
        for (auto it = accounts_.begin(); it != accounts_.end(); ++it) {
            if (it->second.waiting.empty()) continue;
            if (largest == accounts_.end() || rank(it->second) > rank(largest->second)) largest = it;
        }
        if (largest == accounts_.end()) return std::nullopt;
        if (std::pair{largest->second.waiting.size(), largest->second.running} <= mine) return std::nullopt;
        gave_way = *largest->second.waiting.rbegin();
        leave(*gave_way, largest);
    }
    const auto mine = accounts_.try_emplace(client).first;
    mine->second.waiting.insert(++tickets_);
    seats_.emplace(tickets_, mine);
    return joined{tickets_, gave_way};
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

void fair_line::take(ticket whose)
{
    const auto place = seats_.find(whose);
    const auto of = place->second;
    // Before the seat is given up: a client without either is forgotten.
    ++of->second.running;
    ++running_;
    of->second.latest = ++taken_;
    leave(whose, of);
}

void fair_line::end(const client_key& client)
{
    const auto of = accounts_.find(client);
    --of->second.running;
    --running_;
    forget_if_gone(of);
}

bool fair_line::leave(ticket whose)
{
    const auto place = seats_.find(whose);
    if (place == seats_.end()) return false;
    leave(whose, place->second);
    return true;
}

void fair_line::leave(ticket whose, accounts::iterator of)
{
    seats_.erase(whose);
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
