#include "options.hpp"

#include "config/config.hpp"

namespace sandboxd::app {

namespace {

constexpr std::string_view usage_to_jails =
    R"(sandboxd: compiles, runs and hosts untrusted code over HTTP

usage: sandboxd [options]
       sandboxd mcp [--url URL]    tools for agents, see sandboxd mcp --help

  --config FILE        configuration file: TOML if its name ends in .toml,
                       otherwise JSON; default: config.json in the current
                       directory if it exists
  --backend NAME       the jail: )";
constexpr std::string_view usage_after_jails = R"(
  --addr ADDR          listen on ':8080', 'localhost:3000', '[::1]:8080' or
                       'unix:/path'; port 0 takes a free one
  --working-dir DIR    root of all relative paths (workingDir)
  --advertise ADDRESS  what the other servers of a fleet reach this one by
                       (cluster.advertise): '10.1.2.3', 'fd00::12',
                       '10.1.2.3:8081' or '[fd00::12]:8081'
  --check-config       check the configuration, directories and the jail like a
                       start, print every problem, and exit
  --version            print the version and exit
  --help               print this and exit

Environment (overrides the file; options override it):
  SANDBOX_HOST, SANDBOX_PORT                    addr
  SANDBOX_BACKEND                               jail
  SANDBOX_TIMEOUT_MS, SANDBOX_MEMORY_LIMIT_MB   sandboxes.timeoutMs, memoryMB
  LOG_LEVEL=debug|info|warning|warn|error       log.level
  LOG_FORMAT=text|json                          log.format
Exit status: 0 after SIGTERM or SIGINT, 2 if the server cannot start.
)";

error refuse(std::string message) { return {errc::invalid_request, std::move(message) + "; see sandboxd --help"}; }

}  // namespace

std::string usage()
{
    std::string jails;
    for (const auto name : config::jail_names()) jails += (jails.empty() ? "" : ", ") + std::string{name};
    return std::string{usage_to_jails} + jails + std::string{usage_after_jails};
}

result<options> parse_options(std::span<const char* const> arguments)
{
    options into;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string_view argument{arguments[i]};
        const auto equals = argument.find('=');
        const auto name = argument.substr(0, equals);
        const bool joined = equals != std::string_view::npos;

        auto* const flag = name == "--check-config" ? &into.check_config
                           : name == "--version"    ? &into.version
                           : name == "--help"       ? &into.help
                                                    : nullptr;
        if (flag) {
            if (joined) return refuse(std::string{name} + " takes no value");
            *flag = true;
            continue;
        }
        auto* const text = name == "--config"        ? &into.config
                           : name == "--backend"     ? &into.backend
                           : name == "--addr"        ? &into.addr
                           : name == "--working-dir" ? &into.working_dir
                           : name == "--advertise"   ? &into.advertise
                                                     : nullptr;
        if (!text) return refuse("unknown argument '" + std::string{argument} + "'");
        if (joined) {
            *text = std::string{argument.substr(equals + 1)};
        } else if (i + 1 < arguments.size()) {
            *text = arguments[++i];
        } else {
            return refuse(std::string{name} + " needs a value");
        }
        // Empty, it would mean that there is no file, or that the server is to find an address itself.
        if ((text == &into.config || text == &into.advertise) && text->value_or("x").empty())
            return refuse(std::string{name} + " needs a value");
    }
    return into;
}

}  // namespace sandboxd::app
