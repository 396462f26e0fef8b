// Which of several servers keeps a sandbox of scripts, or a run that waits for its tools. Both stay where they are; the
// others pass their requests on. lib/cluster has the one that there is.
#pragma once

#include "base/errc.hpp"

#include <boost/asio/awaitable.hpp>

#include <string>

namespace sandboxd::js {

class fleet {
public:
    // What ids of this server's runs end with: 16 hexadecimal digits, others after each start.
    virtual const std::string& tag() const = 0;

    // The address of the server with this tag, which is not this one's. Errors: not_found (it is gone, and with it what
    // it has kept), index_unavailable.
    virtual boost::asio::awaitable<result<std::string>> server_of(std::string tag) = 0;

    // The address of the server that keeps this owner's sandbox; empty: this one, from now on if it was nobody's.
    // Errors: index_unavailable.
    virtual boost::asio::awaitable<result<std::string>> home_of(std::string owner, std::string sandbox_id) = 0;

protected:
    ~fleet() = default;
};

}  // namespace sandboxd::js
