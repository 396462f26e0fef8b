// sandboxd: the server's command line.
#include "base/log.hpp"
#include "config/config.hpp"
#include "config/sandbox_names.hpp"
#include "daemon.hpp"
#include "http/address.hpp"
#include "options.hpp"

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace {

using namespace sandboxd;

constexpr int exit_cannot_start = 2;

int refuse(const std::string& message)
{
    log::flush();
    std::fprintf(stderr, "sandboxd: %s\n", message.c_str());
    return exit_cannot_start;
}

// The configuration file that applies, if there is one.
std::optional<std::string> config_file(const app::options& options)
{
    if (options.config) return options.config;
    if (std::filesystem::exists("config.json")) return "config.json";
    return std::nullopt;
}

// Errors about values begin with the key; here comes what set it: the command line or the file.
std::string name_origin(const app::options& options, std::string message)
{
    if (options.addr && message.starts_with("addr:")) return "--" + message;
    if (const auto file = config_file(options)) return *file + ": " + message;
    return message;
}

result<config::settings> load(const app::options& options)
{
    const auto file = config_file(options);
    const bool toml = file && file->ends_with(".toml");
    auto settings = toml   ? config::read_toml_file(*file)
                    : file ? config::read_file(*file)
                           : result<config::settings>{config::settings{}};
    if (!settings) return settings;
    const auto lookup = [](const char* name) -> const char* { return std::getenv(name); };
    if (auto applied = config::apply_environment(*settings, lookup); !applied) return applied.error();
    if (options.addr) settings->addr = *options.addr;
    if (options.working_dir) settings->working_dir = *options.working_dir;
    if (options.backend)
        if (auto set = config::set_backend(*settings, *options.backend); !set)
            return error{set.error().code, "--backend " + set.error().message};
    if (const auto where = http::parse_address(settings->addr); !where)
        return error{where.error().code, name_origin(options, "addr: " + where.error().message)};
    return settings;
}

int run(std::vector<const char*> arguments)
{
    const auto options = app::parse_options(arguments);
    if (!options) return refuse(options.error().message);
    if (options->help) {
        std::fwrite(app::usage.data(), 1, app::usage.size(), stdout);
        return EXIT_SUCCESS;
    }
    if (options->version) {
        std::puts("sandboxd " SANDBOXD_VERSION);
        return EXIT_SUCCESS;
    }
    const auto settings = load(*options);
    if (!settings) return refuse(settings.error().message);
    if (options->check_config) {
        std::puts("the configuration is fine");
        return EXIT_SUCCESS;
    }
    log::init(*config::parse_level(settings->log.level), *config::parse_format(settings->log.format));
    const auto ended = app::run_daemon(*settings);
    if (!ended) return refuse(name_origin(*options, ended.error().message));
    return *ended;
}

}  // namespace

int main(int argc, char** argv)
{
    try {
        return run({argv + 1, argv + argc});
    } catch (const std::exception& e) {
        std::fprintf(stderr, "sandboxd: %s\n", e.what());
        return EXIT_FAILURE;
    }
}
