// The command line of sandboxd.
#pragma once

#include "base/errc.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sandboxd::app {

struct options {
    std::optional<std::string> config;       // --config FILE
    std::optional<std::string> backend;      // --backend NAME
    std::optional<std::string> addr;         // --addr ADDR
    std::optional<std::string> working_dir;  // --working-dir DIR
    std::optional<std::string> advertise;    // --advertise ADDRESS
    bool check_config{false};
    bool version{false};
    bool help{false};
};

// Takes `--name VALUE` and `--name=VALUE`. Errors: invalid_request, naming the argument.
result<options> parse_options(std::span<const char* const> arguments);

// What --help prints.
std::string usage();

}  // namespace sandboxd::app
