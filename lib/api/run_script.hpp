// The common part of both JavaScript interfaces.
#pragma once

#include "api/services.hpp"
#include "http/exchange.hpp"
#include "js/service.hpp"

#include <boost/asio/awaitable.hpp>

namespace sandboxd::api {

// Runs the script until it ends or the client leaves, and notes the time for the request's log line. Requires
// `with.js`. Errors: those of js::service::run; internal failures are logged.
boost::asio::awaitable<result<script::run_answer>> run_script(services& with, http::exchange& x,
                                                              js::service_request request);

}  // namespace sandboxd::api
