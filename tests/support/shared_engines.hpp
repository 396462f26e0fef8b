// What servers that share everything have in common: real nginx as their cache, a real Redis, and the fleet's key.
#pragma once

#include "support/eventually.hpp"
#include "support/http_client.hpp"
#include "support/nginx_cache.hpp"
#include "support/redis_server.hpp"
#include "support/server_process.hpp"
#include "support/shared_artifacts.hpp"

#include <string>

namespace sandboxd::test {

// The member of the configuration; `more`: further members of the section, each with a comma in front.
inline std::string cluster_section(const std::string& url, const std::string& more)
{
    return "\"cluster\": {\"redis\": \"" + url + "\"" + more + "}";
}

struct shared_engines {
    // Why there cannot be any here. Empty: there can.
    static std::string missing()
    {
        const auto cache = nginx_cache::missing();
        return cache.empty() ? redis_server::missing() : cache;
    }

    // Two members of the configuration; `of_cluster`: further members of that section, each with a comma in front.
    std::string config(const std::string& of_cluster) const
    {
        return store_section(cache.url(), key) + ", " + cluster_section(redis.url_by_name(), of_cluster);
    }

    nginx_cache cache;
    redis_server redis;
    secret key{fleet_key};
};

inline bool is_connected(const server_process& server)
{
    return eventually([&] { return server.metric("sandboxd_cluster_redis_connected") == 1; });
}

// The same of a server with keys. `op`: those of somebody who may read metrics.
inline bool is_connected(const server_process& server, const header_list& op)
{
    http_client client{server};
    return eventually([&] {
        return client.get("/metrics", op).body.find("\nsandboxd_cluster_redis_connected 1\n") != std::string::npos;
    });
}

}  // namespace sandboxd::test
