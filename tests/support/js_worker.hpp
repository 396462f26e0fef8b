// A real JavaScript worker process, spoken to by blocking calls; and sandboxd-js as a command.
#pragma once

#include "script/run.hpp"

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sandboxd::test {

class js_worker {
public:
    // Starts it and waits until it is ready; throws when it does not come up.
    js_worker();
    ~js_worker();
    js_worker(const js_worker&) = delete;
    js_worker& operator=(const js_worker&) = delete;

    // Empty when the worker died.
    std::optional<script::run_answer> run(const script::run_request& request);
    // The same for a script alone, with the default limits; throws when the worker died.
    script::run_answer eval(std::string script);

    pid_t pid() const noexcept { return pid_; }

private:
    pid_t pid_{-1};
    int socket_{-1};
    std::uint64_t requests_{0};
    std::string buffer_;
};

struct js_command_result {
    int status{-1};  // the exit status, or 128 + the signal
    std::string out;
    std::string err;
};

// Runs `sandboxd-js <arguments>` with that text as standard input.
js_command_result run_js_command(const std::vector<std::string>& arguments, const std::string& input = {});

// One line of tests/js/conformance/*.js.
struct js_example {
    std::string file;
    int line{0};
    std::string script;
    std::string expected;  // JSON, or the beginning of an error
    bool fails{false};
};
std::vector<js_example> read_js_examples();

// Whether an answer is what the example expects; if not, says why.
std::optional<std::string> differs(const js_example& example, script::run_status status, const std::string& result,
                                   const std::string& message);

// One block of tests/js/hostile.txt.
struct js_attack {
    std::string name;
    std::vector<std::string> allowed;  // names of statuses
    std::string script;
};
std::vector<js_attack> read_js_attacks();

}  // namespace sandboxd::test
