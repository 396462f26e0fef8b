// The server as a whole: builds every room from the configuration, serves until a signal, shuts down in order.
#pragma once

#include "base/errc.hpp"
#include "config/config.hpp"
#include "jail/jail.hpp"

#include <boost/asio/io_context.hpp>

#include <functional>
#include <memory>
#include <string>

namespace sandboxd::app {

// Runs until SIGTERM or SIGINT, which end a start, too. Returns the exit status, or why it cannot start.
//
// Shutdown: /readyz turns 503 and the listener closes; what is running may finish within shutdownGraceSecs;
// then jobs are killed and answered with `draining`. A second signal ends the process at once; jails die
// with it, and their directories are removed at the next start.
result<int> run_daemon(const config::settings& settings);

// The jail that these settings ask for, tried by a program in it. Runs `io` meanwhile. Errors: unavailable, why there
// is none, and what to do; draining, when `io` is stopped before it is tried. `instance_id`: names this server in what
// outlives it (see instance). `then` is called as soon as that is known, while `io` still runs.
result<std::unique_ptr<jail::jail>> choose_jail(boost::asio::io_context& io, const config::settings& settings,
                                                const std::string& instance_id = {},
                                                const std::function<void()>& then = {});

}  // namespace sandboxd::app
