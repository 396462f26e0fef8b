// Speaks to one Redis or Valkey server, over one connection that is kept, in the one thread. It is trusted no further
// than its answers can be checked: every call has a deadline, answers are bounded, and one that is not valid ends the
// connection.
//
// Calls are sent as they come, and answered in that order. A call that is not answered in time ends the connection, and
// with it all calls behind it: what it would be told later belongs to nobody. While there is no connection calls fail
// at once; meanwhile it is tried again, with growing pauses. So nobody who asks waits longer than for one answer; only
// those who come right after the start wait for the first attempt besides, no longer than for an answer: a proxy sends
// requests to a server as soon as that listens.
//
// A server that says that it cannot serve now (LOADING, MASTERDOWN, READONLY after a failover, NOAUTH) is as if it were
// away: the name may belong to another one when it is looked up again.
#pragma once

#include "async/event.hpp"
#include "async/stop.hpp"
#include "async/task_group.hpp"
#include "base/errc.hpp"
#include "base/metrics.hpp"
#include "cluster/redis_url.hpp"
#include "cluster/reply_reader.hpp"
#include "remote/connection.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/address.hpp>

#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace sandboxd::cluster {

struct redis_client_settings {
    redis_url where;                             // cluster.redis
    credential secret{};                         // cluster.redisCredentialFile
    std::chrono::milliseconds timeout{500};      // cluster.redisTimeoutMs: of a call, and of an address to connect
    std::chrono::milliseconds reconnect{5'000};  // cluster.reconnectMaxMs: the longest pause between two attempts
    std::size_t calls{256};                      // cluster.maxRedisCalls: under way
    std::size_t message_bytes{1u << 20};         // cluster.maxRedisMessageKB: of one request, and of one answer
};

class redis_client {
public:
    // `tls`: needed if the URL begins with rediss.
    redis_client(boost::asio::any_io_executor executor, async::task_group& tasks, redis_client_settings how,
                 std::shared_ptr<boost::asio::ssl::context> tls, metrics::registry& metrics);
    redis_client(const redis_client&) = delete;
    redis_client& operator=(const redis_client&) = delete;

    // Connects, in the background, and again whenever the connection is lost.
    void start();

    // A command and its arguments: {"GET", "key"}. Errors: unavailable (no connection), upstream_timeout (no answer in
    // time), upstream_failed (no valid answer; or a failure, with Redis' words), queue_full (`calls`),
    // payload_too_large (the request), draining.
    // `renews`: it keeps what would end without it, or is the operator's, so it is also made where `calls` others wait
    // for their answers.
    boost::asio::awaitable<result<reply>> call(std::vector<std::string> words, bool renews = false);

    // Ends all calls, now and later, with `draining`.
    void close();

    bool is_connected() const noexcept { return session_ != nullptr; }
    std::chrono::milliseconds timeout() const noexcept { return settings_.timeout; }

    // What does not work, without where and why: those are in the log, since whoever reaches /readyz reads this. Empty:
    // all works, or has not been tried yet.
    std::string trouble() const;

private:
    using clock = std::chrono::steady_clock;

    // Who waits for an answer.
    struct caller {
        caller(const boost::asio::any_io_executor& executor, clock::time_point deadline)
            : until{deadline}, answered{executor}
        {
        }
        clock::time_point until;
        async::event answered;
        result<reply> said{error{errc::internal, "the call did not come to its end"}};
    };
    // One connection, and what is under way on it.
    struct session {
        session(std::shared_ptr<remote::connection> by, std::size_t most_bytes) : on{std::move(by)}, answers{most_bytes}
        {
        }
        std::shared_ptr<remote::connection> on;
        reply_reader answers;
        std::deque<std::shared_ptr<caller>> waiting{};  // in the order of their requests
        std::string unsent{};
        bool writing{false};
    };

    boost::asio::awaitable<void> keep();
    boost::asio::awaitable<error> one_connection();
    boost::asio::awaitable<result<std::shared_ptr<session>>> connect();
    boost::asio::awaitable<result<void>> introduce(session& to);
    boost::asio::awaitable<result<reply>> ask(session& to, std::vector<std::string> words);
    boost::asio::awaitable<error> serve(session& one);
    result<bool> hand_out(session& one);
    boost::asio::awaitable<void> write(std::shared_ptr<session> to);
    void watch(session& one);
    void lose(session& one, const error& why);
    error lost(const remote::connection& on, const boost::system::error_code& ec) const;
    void is_away(const error& why);
    void is_back();
    result<reply> counted(result<reply> said, clock::time_point began);

    boost::asio::any_io_executor executor_;
    async::task_group& tasks_;
    redis_client_settings settings_;
    std::shared_ptr<boost::asio::ssl::context> tls_;
    async::stop_source stop_;
    async::event closing_;
    std::minstd_rand chance_;

    std::shared_ptr<session> session_;              // null: there is no connection
    std::weak_ptr<remote::connection> connecting_;  // the one that comes about
    bool has_connected_{false};                     // in the last attempt
    bool has_started_{false};
    async::event tried_;    // set when the first attempt has ended, or there is a connection
    std::size_t early_{0};  // calls that wait for that
    std::string why_away_;  // empty: there is a connection, or nobody has tried yet
    std::string refused_;   // the last refusal that is in the log

    metrics::counter& connected_;
    metrics::counter& not_connected_;
    metrics::histogram& seconds_;
    metrics::registry& metrics_;
};

}  // namespace sandboxd::cluster
