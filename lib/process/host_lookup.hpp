// The addresses of a host by its name. Asio's resolver needs a thread, and getaddrinfo(3) blocks for as long as a name
// server likes; so a child process asks (getent(1)), with all that nsswitch.conf names.
#pragma once

#include "async/stop.hpp"
#include "base/errc.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/address.hpp>

#include <chrono>
#include <string>
#include <vector>

namespace sandboxd::process {

// An address is its own answer, at once. `localhost` has an answer on a system without /etc/hosts, too. `stop` ends the
// child. Errors: not_found (there is no such host, or nobody knew in time), unavailable and internal (getent does not
// run).
boost::asio::awaitable<result<std::vector<boost::asio::ip::address>>> look_up(std::string host,
                                                                              std::chrono::milliseconds patience,
                                                                              async::stop_source& stop);

}  // namespace sandboxd::process
