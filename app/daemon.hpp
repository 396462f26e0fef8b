// The server as a whole: builds all rooms from the configuration, serves until a signal, and shuts down in order.
#pragma once

#include "base/errc.hpp"
#include "config/config.hpp"
#include "jail/jail.hpp"

#include <boost/asio/io_context.hpp>

#include <functional>
#include <memory>
#include <string>

namespace sandboxd::app {

// Runs until SIGTERM, SIGINT or SIGQUIT, which also end a start. Returns the exit status, or why it cannot start.
//
// Shutdown: /readyz becomes 503 and the listener closes; running work may finish within shutdownGraceSecs; then jobs
// are killed and answered with `draining`. A second signal ends the process at once; jails die with it, and the next
// start removes their directories.
result<int> run_daemon(const config::settings& settings);

// Chooses the jail of these settings and tests it with a program. Runs `io` meanwhile. Errors: unavailable, with the
// reason and the cure; draining, when `io` is stopped before. `instance_id`: identifies this server (see instance).
// `then` is called as soon as the result is known, while `io` still runs.
result<std::unique_ptr<jail::jail>> choose_jail(boost::asio::io_context& io, const config::settings& settings,
                                                const std::string& instance_id = {},
                                                const std::function<void()>& then = {});

}  // namespace sandboxd::app
