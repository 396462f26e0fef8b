// The deployments of several servers: what each is made of is in the cache (store.remote), signed, one blob a revision;
// which there are, of which revision, and which server runs each, is in Redis.
//
//     <prefix>deployment:<id>           a hash
//         about                         faas::to_text() of it, without its variables, signed with the fleet's key
//         revision, owner, sandbox, bytes   of that, for the scripts
//         content:<revision>            the end of the name of that revision's blob; of the last ones
//         status, starts, restarts      what its server said last
//     <prefix>deployment-server:<id>    the lease: who runs it, and where, signed; it ends by itself
//     <prefix>deployment-seats:<id>     a sorted set: which other servers run it, too, signed, by when each seat ends
//     <prefix>deployment-gone:<id>      it was deleted, signed; for as long as a server may have been away with a copy
//     <prefix>deployment-of:<sandbox>   its id, by the id of its sandbox
//     <prefix>deployments, <prefix>deployments-of:<owner>   sorted sets of ids, by when they were made
//     the cache's "deployment <id> <revision> <content>"   its whole description and all of its files
//
// Where two servers could disagree, a script decides, which Redis runs whole. Whoever can write to Redis can take a
// deployment away, bring back a former revision of it, and have another server run it, or more of them than it may; he
// cannot change whose it is, nor what it does, nor send its requests to anybody but a server of the fleet.
#pragma once

#include "base/metrics.hpp"
#include "base/seldom.hpp"
#include "cluster/redis_client.hpp"
#include "faas/fleet.hpp"
#include "remote/blob_store.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::cluster {

struct shared_deployments_settings {
    std::string prefix{"sandboxd:"};         // cluster.keyPrefix
    std::size_t most{1'024};                 // cluster.maxDeployments: of all servers together
    std::chrono::milliseconds time{10'000};  // cluster.leaseSecs
    faas::file_limits files{};               // of what is sent; what is there may have twice the bytes
    std::uint64_t revisions{20};             // cluster.maxRevisions: of one, that can come back
    std::chrono::hours gone{24 * 7};         // cluster.deletedDays: how long it is known that one was deleted
    std::size_t page_bytes{256u << 10};      // a fourth of cluster.maxRedisMessageKB: of a page of a list
};

class shared_deployments final : public faas::fleet {
public:
    // `address`: how the others reach this server.
    shared_deployments(redis_client& redis, remote::blob_store& blobs, shared_deployments_settings how,
                       const std::string& address, metrics::registry& metrics);

    result<room> make_room(const client_key& whose, std::uint64_t bytes) override
    {
        return blobs_.make_room(whose, bytes);
    }
    boost::asio::awaitable<result<void>> keep(faas::manifest what, std::vector<faas::deployment_file> files) override;
    boost::asio::awaitable<result<claimed>> claim(std::string id) override;
    boost::asio::awaitable<result<held>> renew(std::string id, faas::told_state state) override;
    boost::asio::awaitable<void> ask_for(std::string id) override;
    boost::asio::awaitable<void> give_back(std::string id) override;
    boost::asio::awaitable<result<seat_taken>> take_seat(std::string id, std::uint64_t revision,
                                                         std::int64_t instances) override;
    boost::asio::awaitable<result<seat_held>> renew_seat(std::string id, std::uint64_t revision,
                                                         bool takes_lease) override;
    boost::asio::awaitable<void> give_seat_back(std::string id) override;
    std::chrono::milliseconds renewal() const override { return settings_.time / 3; }
    std::chrono::milliseconds lease_time() const override { return settings_.time; }
    boost::asio::awaitable<result<faas::listing>> look(std::string id) override;
    boost::asio::awaitable<result<std::vector<faas::listing>>> list(std::optional<std::string> owner) override;
    boost::asio::awaitable<result<std::string>> by_sandbox(std::string sandbox_id) override;
    boost::asio::awaitable<result<holding>> held_by(std::string owner) override;
    boost::asio::awaitable<result<content>> fetch(std::string id, std::uint64_t revision) override;
    boost::asio::awaitable<result<void>> commit(faas::manifest what, std::vector<faas::deployment_file> files) override;
    boost::asio::awaitable<result<offered>> offer(faas::manifest what, std::vector<faas::deployment_file> files,
                                                  bool here) override;
    boost::asio::awaitable<result<bool>> forget(std::string id) override;

private:
    std::string key(std::string_view kind, std::string_view id) const
    {
        return settings_.prefix + std::string{kind} + std::string{id};
    }
    std::string about(faas::manifest what) const;
    std::optional<faas::manifest> read_about(const std::string& id, const reply& from);
    // The address of who has a lease: empty for this server, or nobody. Nullopt: no server of the fleet has written it.
    std::optional<std::string> read_server(const std::string& id, const reply& from);
    // Whether the fleet has deleted it: only then files are removed.
    bool is_gone(const std::string& id, const reply& from);
    std::optional<faas::listing> read_listing(const std::string& id, const reply* fields);
    // A revision in the cache.
    struct stored {
        std::string content;
        std::uint64_t bytes{0};  // of its files
    };
    boost::asio::awaitable<result<stored>> put(faas::manifest what, std::vector<faas::deployment_file> files);
    void count(std::string_view what, std::string_view came_of_it);
    result<void> counted(std::string_view what, result<void> done);

    redis_client& redis_;
    remote::blob_store& blobs_;
    shared_deployments_settings settings_;
    std::string here_;  // how what servers with this address say ends
    std::string me_;    // signed
    metrics::registry& metrics_;
    // Of what the fleet has not signed, or this server cannot read: whoever writes to Redis brings it about.
    seldom warns_of_deployments_;
    seldom warns_of_servers_;
    seldom warns_of_deletions_;
    seldom warns_of_files_;
};

}  // namespace sandboxd::cluster
