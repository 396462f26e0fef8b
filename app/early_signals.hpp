// Handles signals between main's first line and the moment when the server takes over (run_daemon): their default
// actions would end it with a status that looks like a crash.
#pragma once

#include <array>
#include <csignal>

namespace sandboxd::app {

// SIGTERM, SIGINT and SIGQUIT end this process at once with status 0: nothing exists yet that must be removed.
// SIGHUP, SIGUSR1 and SIGUSR2 are ignored, now and later.
class early_signals {
public:
    early_signals() noexcept;
    // Restores the former handlers, for modes that are not a server and can be interrupted like any command.
    void give_back() noexcept;

private:
    std::array<struct sigaction, 6> before_{};
};

}  // namespace sandboxd::app
