// The sandboxes of several servers: what each is made of is in the cache (store.remote), signed; which there are, and
// for how long, is in Redis.
//
//     <prefix>sandbox:<id>            a hash, for as long as nobody removes it for being unused:
//         about                       what sandboxes::to_text() says, signed with the fleet's key for this id
//         owner, bytes                of that, for the scripts
//         used, runs                  when it was executed last (ms since 1970, by the clock of Redis), how often
//     <prefix>sandboxes               a sorted set of all ids, by when they end (ms)
//     <prefix>sandboxes-of:<owner>    of one owner's
//     the cache's "sandbox <id>"      what sandboxes::to_bytes() says
//
// Where two servers could disagree, a script decides, which Redis runs whole. Whoever can write to Redis can take a
// sandbox away, count its uses, and bring one back that was removed; he cannot change whose it is, nor what it does.
#pragma once

#include "base/metrics.hpp"
#include "base/seldom.hpp"
#include "cluster/redis_client.hpp"
#include "programs/program_files.hpp"
#include "remote/blob_store.hpp"
#include "sandboxes/fleet.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::cluster {

struct shared_sandboxes_settings {
    std::string prefix{"sandboxd:"};     // cluster.keyPrefix
    std::size_t most{4'096};             // cluster.maxSandboxes: of all servers together
    std::chrono::seconds idle{3'600};    // sandboxes.idleSecs
    programs::file_limits files{};       // of a sandbox
    std::size_t page_bytes{256u << 10};  // a fourth of cluster.maxRedisMessageKB: of a page of a list
};

class shared_sandboxes final : public sandboxes::fleet {
public:
    shared_sandboxes(redis_client& redis, remote::blob_store& blobs, shared_sandboxes_settings how,
                     metrics::registry& metrics);

    boost::asio::awaitable<result<void>> keep(sandboxes::description what) override;
    boost::asio::awaitable<result<sandboxes::sandbox_info>> look(std::string id) override;
    boost::asio::awaitable<result<sandboxes::description>> fetch(std::string id) override;
    boost::asio::awaitable<result<bool>> use(std::string id, std::chrono::milliseconds longest) override;
    boost::asio::awaitable<result<bool>> forget(std::string id) override;
    boost::asio::awaitable<result<std::vector<sandboxes::sandbox_info>>> list(
        std::optional<std::string> owner) override;
    boost::asio::awaitable<result<std::uint64_t>> bytes_of(std::string owner) override;

private:
    std::string key_of(std::string_view id) const;
    std::string set_of_all() const { return settings_.prefix + "sandboxes"; }
    std::string set_of(std::string_view owner) const { return settings_.prefix + "sandboxes-of:" + std::string{owner}; }
    // What the fields of a hash say: about, used, runs. Nullopt: nothing that this fleet has written.
    std::optional<sandboxes::sandbox_info> read(const std::string& id, const reply* fields);
    void count(std::string_view what, std::string_view came_of_it);

    redis_client& redis_;
    remote::blob_store& blobs_;
    shared_sandboxes_settings settings_;
    metrics::registry& metrics_;
    seldom warns_of_sandboxes_;
    seldom warns_of_files_;
};

}  // namespace sandboxd::cluster
