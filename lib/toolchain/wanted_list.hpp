// What clients want made, until it is made: so many at most, and each client has a share of them.
//
// The client that wants the most gives way when there is no room, and nobody is served twice in a row while others
// wait. So one client's flood costs the others neither their places nor more than one turn each.
#pragma once

#include "admission/client_shares.hpp"
#include "base/client_key.hpp"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <list>
#include <optional>
#include <string>
#include <utility>

namespace sandboxd::toolchain {

template <class What>
class wanted_list {
public:
    struct item {
        client_key client{};
        std::string key;
        What what;
    };

    explicit wanted_list(std::size_t most) : most_{most}, shares_{{.count = most, .bytes = 0}} {}

    enum class added {
        waits,
        instead,  // the newest of the client that has the most was dropped for it
        known,    // it waits already, or is being made
        no_room   // nobody has more than its client
    };

    added add(item one)
    {
        if (making_ == one.key || std::ranges::any_of(items_, [&](const item& each) { return each.key == one.key; }))
            return added::known;
        auto how = added::waits;
        if (items_.size() >= most_) {
            const auto loser =
                shares_.gives_way(one.client, share_of_one, admission::client_shares::among_equals::newcomer);
            if (!loser) return added::no_room;
            const auto newest =
                std::find_if(items_.rbegin(), items_.rend(), [&](const item& each) { return each.client == *loser; });
            take_out(std::prev(newest.base()));
            how = added::instead;
        }
        shares_.add(one.client, share_of_one);
        items_.push_back(std::move(one));
        return how;
    }

    // The next to be made: the oldest of a client other than the last one's, else the oldest. Its key counts as known
    // until the next call. Nullopt: nothing is wanted.
    std::optional<item> next()
    {
        making_.reset();
        if (items_.empty()) return std::nullopt;
        auto found = std::ranges::find_if(items_, [this](const item& each) { return each.client != last_; });
        if (found == items_.end()) found = items_.begin();
        auto one = take_out(found);
        last_ = one.client;
        making_ = one.key;
        return one;
    }

    bool empty() const noexcept { return items_.empty(); }
    // Including the one that is being made.
    std::size_t size() const noexcept { return items_.size() + (making_ ? 1 : 0); }
    void clear() noexcept
    {
        items_.clear();
        shares_.clear();
        making_.reset();
    }

private:
    static constexpr admission::client_shares::share share_of_one{.count = 1, .bytes = 0};

    item take_out(typename std::list<item>::iterator which)
    {
        auto one = std::move(*which);
        items_.erase(which);
        shares_.remove(one.client, share_of_one);
        return one;
    }

    std::size_t most_;
    std::list<item> items_;  // the oldest first
    admission::client_shares shares_;
    std::optional<std::string> making_;
    std::optional<client_key> last_;
};

}  // namespace sandboxd::toolchain
