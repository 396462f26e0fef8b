// Settings under the names of another sandbox service: in the environment and in a TOML file. Each sets one key of
// config.hpp; the table is in sandbox_names.cpp.
//
//     [server]   host port                                        SANDBOX_HOST SANDBOX_PORT
//     [sandbox]  backend default_timeout_ms                       SANDBOX_BACKEND SANDBOX_TIMEOUT_MS
//                default_memory_limit_mb max_concurrent_sandboxes SANDBOX_MEMORY_LIMIT_MB
//                cleanup_interval_seconds
//     [logging]  level format                                     LOG_LEVEL LOG_FORMAT
#pragma once

#include "base/errc.hpp"
#include "config/config.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::config {

// The environment overrides what `into` holds. `lookup` is getenv(3); an empty variable counts as absent. Returns the
// problems, each beginning with the variable's name.
std::vector<std::string> apply_environment(settings& into, const std::function<const char*(const char*)>& lookup);

// Sets the jail that `--backend` and the like name. Error: invalid_request, with the known names.
result<void> set_backend(settings& into, std::string_view name);

// The defaults, overridden by the text of a TOML file (v1.0.0). Errors: invalid_request; the message has line and
// column, and names the key by its path.
result<settings> parse_toml(std::string_view text);

// Like parse_toml, but reports every problem, in the order of the lines.
findings parse_toml_into(settings& into, std::string_view text);

}  // namespace sandboxd::config
