#include "cluster/lease.hpp"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::cluster {

namespace asio = boost::asio;
using kind = reply::kind;

namespace {

constexpr std::string_view over = "over";
constexpr const char* renew_script =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then "
    "return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0";
constexpr const char* remove_script =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then "
    "return redis.call('DEL', KEYS[1]) end return 0";
constexpr const char* replace_script =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then "
    "redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) return 1 end return 0";

error odd_answer() { return {errc::upstream_failed, "Redis answers something else than was asked for"}; }

// Redis takes no time of zero.
std::string text_of(std::chrono::milliseconds time)
{
    return std::to_string(std::max<std::chrono::milliseconds::rep>(1, time.count()));
}

result<bool> yes_or_no(const result<reply>& said)
{
    if (!said) return said.error();
    if (said->is != kind::number) return odd_answer();
    return said->number == 1;
}

}  // namespace

asio::awaitable<result<lease_state>> take_lease(redis_client& redis, std::string key, std::string token,
                                                std::chrono::milliseconds time)
{
    std::vector<std::string> set{"SET", key, std::move(token), "NX", "PX", text_of(time)};
    const auto taken = co_await redis.call(std::move(set));
    if (!taken) co_return taken.error();
    if (taken->is == kind::status) co_return lease_state::mine;
    if (taken->is != kind::nothing) co_return odd_answer();
    std::vector<std::string> get{"GET", std::move(key)};
    const auto seen = co_await redis.call(std::move(get));
    if (!seen) co_return seen.error();
    // It may have ended between the two.
    if (seen->is != kind::text && seen->is != kind::nothing) co_return odd_answer();
    co_return seen->text == over ? lease_state::over : lease_state::others;
}

asio::awaitable<result<bool>> renew_lease(redis_client& redis, std::string key, std::string token,
                                          std::chrono::milliseconds time)
{
    std::vector<std::string> words{"EVAL", renew_script, "1", std::move(key), std::move(token), text_of(time)};
    co_return yes_or_no(co_await redis.call(std::move(words), true));
}

asio::awaitable<result<bool>> give_lease_back(redis_client& redis, std::string key, std::string token,
                                              std::chrono::milliseconds say_over)
{
    const bool says = say_over.count() > 0;
    std::vector<std::string> words{"EVAL", says ? replace_script : remove_script, "1", std::move(key),
                                   std::move(token)};
    if (says) {
        words.emplace_back(over);
        words.push_back(text_of(say_over));
    }
    co_return yes_or_no(co_await redis.call(std::move(words)));
}

}  // namespace sandboxd::cluster
