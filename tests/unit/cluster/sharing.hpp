// What tests of servers that share an index and a cache have in common.
#pragma once

#include "async/task_group.hpp"
#include "cluster/redis_client.hpp"
#include "cluster/redis_url.hpp"
#include "remote/blob_store.hpp"
#include "support/cache_stand_in.hpp"
#include "support/redis_server.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/this_coro.hpp>

#include <chrono>
#include <functional>
#include <string>

namespace sandboxd::test {

inline const remote::signing_key fleet{std::string(40, 'k')};

inline cluster::redis_client_settings redis_settings(const std::string& url)
{
    cluster::redis_client_settings how;
    how.where = cluster::parse_redis_url(url).value();
    how.timeout = std::chrono::seconds{60};
    how.reconnect = std::chrono::milliseconds{1};
    return how;
}

inline cluster::redis_client_settings redis_settings(const redis_server& to) { return redis_settings(to.url()); }

inline remote::blob_store_settings blob_settings(const cache_stand_in& cache)
{
    return {.client = {.where = *remote::parse_service_url(cache.url()), .authorization = {}},
            .key = fleet,
            .timeout = std::chrono::seconds{60},
            .failures = 100};
}

// Runs this with tasks, for which it waits before what they need goes.
inline boost::asio::awaitable<bool> with_tasks(std::function<boost::asio::awaitable<void>(async::task_group&)> what)
{
    async::task_group tasks{co_await boost::asio::this_coro::executor};
    co_await what(tasks);
    co_return true;
}

}  // namespace sandboxd::test
