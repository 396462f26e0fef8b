// What each client holds of a bounded store, and who gives way when there is no room for more: the one policy of all
// stores that keep something for clients (answers by key, jobs, scripts that wait).
//
// The client that holds the most loses first. So nobody displaces what others keep by bringing much: who brings it soon
// holds the most himself. A share's weight is the larger of its parts of the two bounds, of the number and of the
// bytes.
#pragma once

#include "base/client_key.hpp"

#include <cstddef>
#include <functional>
#include <map>
#include <optional>

namespace sandboxd::admission {

class client_shares {
public:
    struct share {
        std::size_t count{0};
        std::size_t bytes{0};
    };

    // What all clients together may hold.
    explicit client_shares(share most) noexcept : most_{most} {}

    void add(const client_key& client, share more);
    // Of what was added.
    void remove(const client_key& client, share less) noexcept;
    void clear() noexcept;

    share of(const client_key& client) const;
    const share& all() const noexcept { return all_; }
    bool has_room(share more) const noexcept;

    // Who gives way where two hold as much: he who was there (so that what is kept is what was used last), or the
    // newcomer (so that what is kept stays).
    enum class among_equals { who_was_there, newcomer };

    // The client that loses something so that `newcomer` can hold `more`; it is never the newcomer. Nullopt: all
    // others hold less than he would, so it is he who gives way. `can_lose` tells whether something of a client can go
    // now; empty: of each one. Linear in the number of clients.
    std::optional<client_key> gives_way(const client_key& newcomer, share more, among_equals equals,
                                        const std::function<bool(const client_key&)>& can_lose = {}) const;

private:
    double weight(share of) const noexcept;

    share most_;
    share all_;
    std::map<client_key, share> by_client_;
};

}  // namespace sandboxd::admission
