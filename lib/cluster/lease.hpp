// A lease: one of several servers may do something, for a while, and says so in Redis. It is a courtesy, no lock: who
// writes to Redis can take it away, and a Redis that fails over may forget it. So nothing may become wrong when two
// have it, only slower.
//
//     SET <key> <token> NX PX <time>     who gets it has the lease for that time; `token` is his alone
//
// To hold it longer, and to give it back, its holder compares the token, with scripts that Redis runs whole. It may
// leave the word "over" for a moment, which tells those who wait that the turn is over, and those who come late that
// there was one.
#pragma once

#include "base/errc.hpp"
#include "cluster/redis_client.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <string>

namespace sandboxd::cluster {

enum class lease_state {
    mine,    // of this token
    others,  // of another one
    over     // it was given back a moment ago
};

// Takes the lease if nobody has it. Errors: those of the client.
boost::asio::awaitable<result<lease_state>> take_lease(redis_client& redis, std::string key, std::string token,
                                                       std::chrono::milliseconds time);

// From now on for that time. False: it is no longer of this token. Errors: those of the client.
boost::asio::awaitable<result<bool>> renew_lease(redis_client& redis, std::string key, std::string token,
                                                 std::chrono::milliseconds time);

// Says "over" for that time; zero: says nothing. False: it was no longer of this token. Errors: those of the client.
boost::asio::awaitable<result<bool>> give_lease_back(redis_client& redis, std::string key, std::string token,
                                                     std::chrono::milliseconds say_over);

}  // namespace sandboxd::cluster
