// Which server keeps a JavaScript sandbox (`sandbox_id` of /execute) or a continuation.
//
//     <prefix>server:<tag>      the address of the server with this tag, signed; as long as it says so
//     <prefix>script:<digest>   the tag of the server that keeps a sandbox; the digest is one of its owner and its id,
//                               by the fleet's key
//
// A sandbox is where it was asked for first, until that server is gone or the id has been unused for a while: then it
// is anybody's again, and begins with its init script. A continuation's id ends with the tag of its server.
#pragma once

#include "async/event.hpp"
#include "async/task_group.hpp"
#include "base/known_places.hpp"
#include "base/metrics.hpp"
#include "base/seldom.hpp"
#include "cluster/redis_client.hpp"
#include "js/fleet.hpp"
#include "remote/entry_document.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::cluster {

struct script_homes_settings {
    std::string prefix{"sandboxd:"};         // cluster.keyPrefix
    std::chrono::milliseconds time{10'000};  // cluster.leaseSecs: of a server that says nothing more
    std::chrono::seconds home{3'600};        // cluster.scriptHomeSecs: from the last use of a sandbox's id
    std::size_t most{65'536};                // cluster.maxScriptHomes: sandboxes of all servers together
    std::size_t known{4'096};                // cluster.maxKnownPlaces: of servers that are remembered
};

class script_homes final : public js::fleet {
public:
    // `address`: how the others reach this server.
    script_homes(boost::asio::any_io_executor executor, async::task_group& tasks, redis_client& redis,
                 remote::signing_key key, script_homes_settings how, const std::string& address,
                 metrics::registry& metrics);

    // Says from now on that this server is there.
    void start();
    // And that it is not. Returns when that is said, at the latest after the deadline of a call.
    boost::asio::awaitable<void> close();

    const std::string& tag() const override { return tag_; }
    boost::asio::awaitable<result<std::string>> server_of(std::string tag) override;
    boost::asio::awaitable<result<std::string>> home_of(std::string owner, std::string sandbox_id) override;

private:
    using clock = std::chrono::steady_clock;

    boost::asio::awaitable<void> say();
    std::string key_of(std::string_view tag) const;
    // Nullopt: no server of the fleet has written it.
    std::optional<std::string> read(const std::string& tag, std::string_view text);
    void count(std::string_view what, std::string_view came_of_it);

    async::task_group& tasks_;
    redis_client& redis_;
    remote::signing_key key_;
    script_homes_settings settings_;
    std::string tag_;
    std::string me_;  // signed
    async::event closing_;
    known_places servers_;                     // the last known, by tag: for when Redis is away
    std::optional<clock::time_point> forgot_;  // when Redis had lost what this server had said
    metrics::registry& metrics_;
    seldom warns_of_servers_;
};

}  // namespace sandboxd::cluster
