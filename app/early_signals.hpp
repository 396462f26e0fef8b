// Signals between main's first line and the moment in which the server takes them (run_daemon): their defaults would
// end it with a status that tells of a crash.
#pragma once

#include <array>
#include <csignal>

namespace sandboxd::app {

// SIGTERM and SIGINT end this process at once with status 0: nothing that must be removed has been made by then.
// SIGHUP, SIGUSR1 and SIGUSR2 mean nothing here, now and later.
class early_signals {
public:
    early_signals() noexcept;
    // Each has its former meaning again: for what is no server, and is interrupted like any other command.
    void give_back() noexcept;

private:
    std::array<struct sigaction, 5> before_{};
};

}  // namespace sandboxd::app
