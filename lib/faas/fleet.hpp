// The deployments of all servers that share them: one server at a time owns each, and every server knows which.
// lib/cluster has the one that there is.
//
// The index has the description of each deployment with its revision, and the lease of its owner, the server that runs
// it, changes it and has its log. Of a deployment that may run on several servers it also has the seats: each lets one
// more server run a program of the newest revision. What needs the index fails with `index_unavailable` while it does
// not answer; what runs by a lease goes on.
#pragma once

#include "base/client_key.hpp"
#include "base/errc.hpp"
#include "faas/files.hpp"
#include "faas/lifecycle.hpp"
#include "faas/manifest.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sandboxd::faas {

// What a deployment's server tells the others of it.
struct told_state {
    faas::status status{};
    std::uint64_t starts{0};
    std::uint64_t restarts{0};
};

struct listing {
    manifest what;  // without the variables
    std::uint64_t bytes{0};
    std::string server;    // which runs it; empty: none
    told_state state{};    // of that server
    std::size_t seats{0};  // of other servers
};

class fleet {
public:
    // Which server has the lease, and what the deployment is.
    struct claimed {
        std::string server;  // empty: this one
        manifest what;       // without the variables
    };
    // What became of a lease.
    enum class held {
        mine,     // for a while longer
        others,   // it ended, and another server has it
        wanted,   // it was given back, because another server cannot reach this one (ask_for)
        deleted,  // the deployment was deleted
        unknown   // the index does not know it, nor that it was deleted: it has lost what it knew
    };
    struct content {
        manifest what;
        std::vector<deployment_file> files;
    };
    struct holding {
        std::size_t deployments{0};
        std::uint64_t bytes{0};
    };

    // Room for files that are in memory on their way to other servers, given back with the object: for `keep`, `commit`
    // and `offer`, and made before the files are read, or copied. Errors: queue_full (all of it is taken, or this
    // client's share).
    using room = std::shared_ptr<const void>;
    virtual result<room> make_room(const client_key& whose, std::uint64_t bytes) = 0;

    // Keeps what was made here, with the lease for this server. `what.revision` is 1. Errors: queue_full (all servers
    // have as many as they may), payload_too_large; then it is not there. index_unavailable: nobody knows; forget it.
    virtual boost::asio::awaitable<result<void>> keep(manifest what, std::vector<deployment_file> files) = 0;

    // Takes the lease if nobody has it. Errors: not_found, index_unavailable.
    virtual boost::asio::awaitable<result<claimed>> claim(std::string id) = 0;
    // Of a lease of this server; `state`: what the others are told. Errors: index_unavailable.
    virtual boost::asio::awaitable<result<held>> renew(std::string id, told_state state) = 0;
    // Asks whichever server has the lease to give it back when it renews it next, for a server that cannot reach it.
    // Nothing is told of failures; when somebody takes the lease, it was not asked.
    virtual boost::asio::awaitable<void> ask_for(std::string id) = 0;
    // Gives the lease back, so that any server can take it at once. Does nothing if it is another's.
    virtual boost::asio::awaitable<void> give_back(std::string id) = 0;
    // How often a lease or a seat must be renewed, and when those of a server that says nothing more end.
    virtual std::chrono::milliseconds renewal() const = 0;
    virtual std::chrono::milliseconds lease_time() const = 0;

    // What came of asking for a seat.
    enum class seat_taken {
        here,     // for a while, from the moment at which it was asked for
        full,     // other servers have all that there are
        revised,  // another revision is the newest
        deleted   // or the index does not know the deployment
    };
    // What became of one.
    enum class seat_held {
        mine,     // for a while longer, from the moment at which it was asked for
        owner,    // nobody had the lease: it is this server's now, instead of the seat
        lost,     // it has ended
        revised,  // another revision is the newest, and the seat was given back
        deleted   // the deployment was deleted
    };
    // A seat for a program of this revision. `instances`: how many servers may run it, with its owner. Errors:
    // index_unavailable.
    virtual boost::asio::awaitable<result<seat_taken>> take_seat(std::string id, std::uint64_t revision,
                                                                 std::int64_t instances) = 0;
    // `takes_lease`: if nobody has it. Errors: index_unavailable.
    virtual boost::asio::awaitable<result<seat_held>> renew_seat(std::string id, std::uint64_t revision,
                                                                 bool takes_lease) = 0;
    // So that any server can take it at once. Does nothing if it is not this server's.
    virtual boost::asio::awaitable<void> give_seat_back(std::string id) = 0;

    // Without taking the lease. Errors: not_found, index_unavailable.
    virtual boost::asio::awaitable<result<listing>> look(std::string id) = 0;
    // Those of one owner, or all. Errors: index_unavailable.
    virtual boost::asio::awaitable<result<std::vector<listing>>> list(std::optional<std::string> owner) = 0;
    // The id of the deployment with this sandbox_id. Errors: not_found, index_unavailable.
    virtual boost::asio::awaitable<result<std::string>> by_sandbox(std::string sandbox_id) = 0;
    // Errors: index_unavailable.
    virtual boost::asio::awaitable<result<holding>> held_by(std::string owner) = 0;

    // A revision that was kept. Errors: not_found (the cache has it no more, or never had), index_unavailable.
    virtual boost::asio::awaitable<result<content>> fetch(std::string id, std::uint64_t revision) = 0;
    // Makes this the revision `what.revision`, which must be the one behind the newest, and the lease this server's.
    // Errors: conflict (it is not), payload_too_large, index_unavailable; then the former is the newest still.
    virtual boost::asio::awaitable<result<void>> commit(manifest what, std::vector<deployment_file> files) = 0;
    // Of an index that has lost it, or never had it: it gets what is here, unless it knows that it was deleted, or of a
    // revision as new. `here`: with the lease for this server. Errors: payload_too_large, index_unavailable.
    enum class offered { taken, known, deleted };
    virtual boost::asio::awaitable<result<offered>> offer(manifest what, std::vector<deployment_file> files,
                                                          bool here) = 0;

    // From now on it is not there for anybody. False: it was not. Errors: index_unavailable.
    virtual boost::asio::awaitable<result<bool>> forget(std::string id) = 0;

protected:
    ~fleet() = default;
};

}  // namespace sandboxd::faas
