// What both interfaces to JavaScript do once they know what to run.
#pragma once

#include "api/services.hpp"
#include "http/exchange.hpp"
#include "js/service.hpp"

#include <boost/asio/awaitable.hpp>

namespace sandboxd::api {

// Runs it until it ends or the client leaves, and notes the time for the request's log line. `with.js`
// is there. Errors: those of js::service::run; what failed inside is logged.
boost::asio::awaitable<result<script::run_answer>> run_script(services& with, http::exchange& x,
                                                              js::service_request request);

}  // namespace sandboxd::api
