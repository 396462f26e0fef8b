// What tests of servers that share an index and a cache have in common.
#pragma once

#include "cluster/redis_client.hpp"
#include "cluster/redis_url.hpp"
#include "remote/blob_store.hpp"
#include "support/cache_stand_in.hpp"
#include "support/redis_server.hpp"

#include <chrono>
#include <string>

namespace sandboxd::test {

inline const remote::signing_key fleet{std::string(40, 'k')};

inline cluster::redis_client_settings redis_settings(const redis_server& to)
{
    cluster::redis_client_settings how;
    how.where = cluster::parse_redis_url(to.url()).value();
    how.timeout = std::chrono::seconds{60};
    how.reconnect = std::chrono::milliseconds{1};
    return how;
}

inline remote::blob_store_settings blob_settings(const cache_stand_in& cache)
{
    return {.client = {.where = *remote::parse_service_url(cache.url()), .authorization = {}},
            .key = fleet,
            .timeout = std::chrono::seconds{60},
            .failures = 100};
}

}  // namespace sandboxd::test
