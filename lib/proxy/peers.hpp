// Other servers of the fleet, as upstreams: what a request is passed on to whose deployment runs there. lib/cluster has
// the one that there is.
#pragma once

#include "async/stop.hpp"
#include "base/errc.hpp"
#include "http/exchange.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <string>

namespace sandboxd::proxy {

class peers {
public:
    // A connection on which that server takes requests as of a proxy that it trusts; both have proved that they are of
    // this fleet. `server`: an address as the index has it. Errors: unavailable (it is not there, or is somebody else;
    // nothing of a request was sent), queue_full (too many wait for one, likewise), draining, the cause of `stop`.
    virtual boost::asio::awaitable<result<http::stream_socket>> connect(std::string server,
                                                                        async::stop_source& stop) = 0;

    // For how long nobody has been there, or somebody else, whenever it was tried; zero: that server was there at the
    // last attempt. Who is merely busy is not away.
    virtual std::chrono::milliseconds away_for(const std::string& server) const = 0;

protected:
    ~peers() = default;
};

}  // namespace sandboxd::proxy
