// The command line of sandboxd-js.
#pragma once

#include "base/errc.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sandboxd::app {

struct js_options {
    enum class mode { script, repl, worker } what{mode::script};
    std::string script;                            // --script, -s
    std::string script_file;                       // --script-file; empty: none, "-": standard input
    std::optional<std::string> init_script;        // --init-script
    std::string init_script_file;                  // --init-script-file, as script_file
    std::uint64_t memory_limit_bytes{52'428'800};  // --memory-limit-bytes
    std::int64_t fuel{440'000'000};                // --fuel
    std::int64_t repeat{1};                        // --repeat
    bool reuse{false};                             // --reuse
    bool quiet{false};                             // --quiet, -q
    int worker_fd{-1};                             // --worker-fd, how the server starts it
    bool help{false};
    bool version{false};
};

// Takes `--name VALUE` and `--name=VALUE`. Errors: invalid_request, naming the argument.
result<js_options> parse_js_options(std::span<const char* const> arguments);

extern const std::string_view js_usage;

}  // namespace sandboxd::app
