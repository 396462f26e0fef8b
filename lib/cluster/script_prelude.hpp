// What scripts in Redis begin with: its clock, in ms since 1970, and sets of ids that end.
//
// A script's effects are what replicas get (Redis 5 and later), so it may ask for the time before it writes.
#pragma once

#include <string>

namespace sandboxd::cluster {

// now: a number. put(set, ends, id, time): adds the id, and lets the set last for that time at least. sweep(set):
// removes the ids that have ended.
inline const std::string script_prelude =
    "local t = redis.call('TIME') "
    "local now = t[1] * 1000 + math.floor(t[2] / 1000) "
    "local function put(set, ends, id, time) "
    "  redis.call('ZADD', set, string.format('%.0f', ends), id) "
    "  if redis.call('PTTL', set) < tonumber(time) then redis.call('PEXPIRE', set, time) end end "
    "local function sweep(set) redis.call('ZREMRANGEBYSCORE', set, '-inf', string.format('%.0f', now)) end ";

}  // namespace sandboxd::cluster
