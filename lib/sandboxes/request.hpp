// The requests to the sandboxes' service.
#pragma once

#include "base/client_key.hpp"
#include "programs/program_files.hpp"
#include "sandboxes/execution_limits.hpp"

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace sandboxd::sandboxes {

struct create_request {
    std::string runtime;
    std::string code;
    std::string entry_point;  // a file; empty: the runtime's own
    std::vector<programs::program_file> files;
    std::vector<std::pair<std::string, std::string>> env;
    asked_limits asked;
    std::string owner{};  // the tenant; empty: nobody needs a key
    // It is for one execution, and removed by who has created it: other servers need not know of it.
    bool is_passing{false};
};

struct execution_request {
    std::string stdin_text;
    asked_limits asked;
    client_key client{};  // whom the execution counts for while it waits and runs
    // Told what its programs have used, however it ends; the time that it took, where nobody knows more. Empty: nobody
    // asks.
    std::function<void(std::chrono::microseconds cpu)> charge{};
    // Told when it may start. Empty: nobody asks.
    std::function<void()> started{};
    // The value of its variable TRACEPARENT (init/hold.hpp); empty: none. A sandbox that has one of its own keeps that.
    std::string traceparent{};
};

}  // namespace sandboxd::sandboxes
