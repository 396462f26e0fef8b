// A server that need not come as far as its ready line: for what happens to it before.
#pragma once

#include "support/server_process.hpp"

#include <sys/types.h>

#include <string>
#include <vector>

namespace sandboxd::test {

class server_start {
public:
    explicit server_start(std::vector<std::string> arguments);
    // SIGKILL, when it is still running.
    ~server_start();
    server_start(const server_start&) = delete;
    server_start& operator=(const server_start&) = delete;

    void signal(int number) const;
    // From main's first line on: none of the signals that a server is sent has its default meaning.
    bool is_ready_for_signals() const;
    // Waits until it has ended by itself.
    process_end wait();

private:
    pid_t pid_{-1};
};

}  // namespace sandboxd::test
