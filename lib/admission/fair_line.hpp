// A line that is fair between clients: the order alone, without clocks, slots or waiting.
//
// Whoever has many jobs waits behind those who have few. Next is a seat of the client with the fewest running jobs;
// among equals, of the client whose latest job began the longest ago, so that they take turns even where only one job
// runs at a time; then the first to come. Within a client it is first come, first served. So a line of one client's
// seats is served in order of arrival.
//
// A full line is shared, too. Count each client's seats in line, the newcomer's client with the newcomer. If that
// client has fewer than the client with the most (or as many, and fewer running jobs), the newest seat of the other
// gives way. Otherwise the newcomer is refused.
//
// Several clients may share a seat, because they ask for the same job. It is in line for each of them: it is next as
// soon as it is for one, and gives way only where it would for every one. It takes one place.
//
// The client's key is opaque. A client is remembered while it waits or runs, so memory is bounded by the line and by
// what runs. A call is linear in the number of these clients and seats at worst.
#pragma once

#include "base/client_key.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace sandboxd::admission {

class fair_line {
public:
    using ticket = std::uint64_t;  // in order of arrival, from 1

    struct seat {
        ticket whose;
        client_key client;
    };
    struct joined {
        ticket mine;
        std::optional<ticket> gave_way;  // this seat is no longer in line
    };

    // `most`: seats in line.
    explicit fair_line(std::size_t most) noexcept : most_{most} {}

    // Whether a newcomer of this client would be next.
    bool would_be_next(const client_key& client) const;

    // Whether every seat in line is this client's alone.
    bool has_only(const client_key& client) const;

    // Joins the line. `at_once`: the caller takes this seat right away, so it needs no room. Nullopt: the line is full.
    std::optional<joined> join(const client_key& client, bool at_once = false);

    // A job of the client runs that needs no seat: only where it would be next.
    void begin(const client_key& client);

    // Who is to be served; nullopt when nobody waits.
    std::optional<seat> next() const;

    // How many are served before this seat, as things stand: later ones may still come before it. 0: it is the next.
    // Nullopt: it is not in line.
    std::optional<std::size_t> ahead(ticket whose) const;

    // A seat in line becomes a running job of that client, which is one of the seat's.
    void take(const seat& which);

    // A running job of the client has ended.
    void end(const client_key& client);

    // A running job of one client counts for another from now on.
    void hand_over(const client_key& from, const client_key& to);

    // A seat leaves unserved. False when it is not (or no longer) in line.
    bool leave(ticket whose);

    // The client shares a seat that is in line, or no longer does. The last client stays: for that one, call `leave`.
    void share(ticket whose, const client_key& client);
    void stop_sharing(ticket whose, const client_key& client);

    std::size_t size() const noexcept { return seats_.size(); }
    std::size_t running() const noexcept { return running_; }
    std::size_t running(const client_key& client) const;

private:
    struct account {
        std::set<ticket> waiting;
        std::size_t running{0};
        std::uint64_t latest{0};  // the number of its latest job; 0: none yet
    };
    using accounts = std::map<client_key, account>;

    std::optional<ticket> who_gives_way(const client_key& newcomer) const;
    void forget_if_gone(accounts::iterator which);

    std::size_t most_;
    std::size_t running_{0};
    ticket tickets_{0};
    std::uint64_t taken_{0};
    accounts accounts_;
    std::map<ticket, std::vector<accounts::iterator>> seats_;  // the clients of each
};

}  // namespace sandboxd::admission
