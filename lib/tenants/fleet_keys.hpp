// The keys that all servers of a fleet have besides those of their files: made on one of them while they run, good on
// all. lib/cluster has the one that there is; it tells the key_table which keys there are.
#pragma once

#include "base/digest.hpp"
#include "base/errc.hpp"
#include "tenants/fleet_key.hpp"

#include <boost/asio/awaitable.hpp>

#include <string>

namespace sandboxd::tenants {

class fleet_keys {
public:
    // From now on the key counts on this server, and a moment later on the others. Errors: conflict (another key of the
    // fleet has this name, or the keys file has one by now), queue_full (auth.maxKeys), index_unavailable (then it may
    // be there all the same, and nobody has it).
    virtual boost::asio::awaitable<result<void>> make(fleet_key key) = 0;

    // From now on it does not count on this server, and a moment later on no other; returns the name that it had
    // (empty: what was there is none that this server can read). Errors: not_found, index_unavailable (then it counts
    // here as before; on others it may count no more, and then not here either, when this server looks again).
    virtual boost::asio::awaitable<result<std::string>> forget(sha256_digest digest) = 0;

protected:
    ~fleet_keys() = default;
};

}  // namespace sandboxd::tenants
