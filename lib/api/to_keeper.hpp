// Asks another server of the fleet for the answer to a request whose body was read: the one that keeps the JavaScript
// sandbox, or the run, that it is about.
#pragma once

#include "api/services.hpp"
#include "http/exchange.hpp"
#include "http/message.hpp"

#include <boost/asio/awaitable.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::api {

// The answer, of any status; it is sent once. `path`: of the endpoint, which a tool's request does not have. The
// client, his key and the request's id go with it. Errors: unavailable (nothing was sent), upstream_failed,
// upstream_timeout, payload_too_large, draining, the cause of the exchange's `stop`.
boost::asio::awaitable<result<http::response>> ask_keeper(services& with, http::exchange& x, std::string server,
                                                          std::string path, std::string body);

// The tag at the end of a continuation's id, which is taken off; nullopt: it has none.
std::optional<std::string> take_tag(std::string& continuation);
// An id as clients get it.
std::string with_tag(std::string continuation, std::string_view tag);

}  // namespace sandboxd::api
