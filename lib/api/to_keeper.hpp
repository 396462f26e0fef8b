// Asks another server of the fleet for the answer to a request whose body was read, or that a tool makes: the one that
// keeps the JavaScript sandbox, or the run, or has the log, that it is about.
#pragma once

#include "api/services.hpp"
#include "async/stop.hpp"
#include "http/exchange.hpp"
#include "http/message.hpp"
#include "proxy/peer_call.hpp"

#include <boost/asio/awaitable.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::api {

// The answer, of any status, which is JSON; `call` is sent once, and needs no host. The client of `x`, his key and the
// request's id go with it. Errors: unavailable (nothing was sent; also for a request of another server),
// upstream_failed, upstream_timeout, payload_too_large, draining, the cause of `stop`.
boost::asio::awaitable<result<http::response>> ask_server(services& with, const http::exchange& x,
                                                          async::stop_source& stop, std::string server,
                                                          proxy::peer_call call);
// The same for a script. `path`: of the endpoint, which a tool's request does not have.
boost::asio::awaitable<result<http::response>> ask_keeper(services& with, http::exchange& x, std::string server,
                                                          std::string path, std::string body);

// The tag at the end of a continuation's id, which is taken off; nullopt: it has none.
std::optional<std::string> take_tag(std::string& continuation);
// An id as clients get it.
std::string with_tag(std::string continuation, std::string_view tag);

}  // namespace sandboxd::api
