// Every endpoint is a row of the table in routes.cpp, with what it says of itself in /openapi.json. README.md has a
// paragraph about each, and a test looks for its path there.
#pragma once

#include "api/services.hpp"
#include "http/server.hpp"

namespace sandboxd::api {

// Answers a request: finds its row, or 404, 405 and OPTIONS.
boost::asio::awaitable<http::response> handle(services& with, http::exchange& x);

// The server's hooks with access log and request metrics. Both arguments must outlive the server.
http::server::hooks make_hooks(services& with, metrics::registry& metrics);

}  // namespace sandboxd::api
