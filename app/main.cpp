// sandboxd: the server's command line.
#include "base/log.hpp"
#include "config/config.hpp"
#include "config/sandbox_names.hpp"
#include "daemon.hpp"
#include "early_signals.hpp"
#include "http/address.hpp"
#include "options.hpp"
#include "preflight.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace sandboxd;

constexpr int exit_cannot_start = 2;

// Whether this names a variable of the environment, and no key: SANDBOX_PORT, LOG_LEVEL.
bool is_variable(std::string_view name)
{
    return !name.empty() && std::ranges::all_of(name, [](char c) { return (c >= 'A' && c <= 'Z') || c == '_'; });
}

// What keeps the server from starting goes to standard error in one line: for people, or as a line of the log where
// that is JSON, since whoever collects it reads nothing else.
int refuse(const std::string& message)
{
    log::flush();
    if (log::shape() == log::format::json)
        log::error("cannot start", {{"cause", message}});
    else
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

// Errors about values begin with the key; here that becomes what the operator wrote: an option of the command line, a
// variable of the environment, a name in a TOML file, or the key, with the file that has it.
std::string name_origin(const app::options& options, const config::settings& settings, const std::string& message)
{
    const auto key = message.substr(0, message.find(':'));
    const auto written = settings.as_written(key);
    const auto named = written + message.substr(key.size());
    const bool in_file = !written.starts_with("--") && !is_variable(written);
    if (const auto file = config_file(options); file && in_file) return *file + ": " + named;
    return named;
}

// Errors are told in the format that is asked for as far as it is known by then: by the environment, or by a file
// whose `log.format` could be read.
result<config::settings> load(const app::options& options)
{
    const auto lookup = [](const char* name) -> const char* { return std::getenv(name); };
    const auto use_format = [](const config::settings& known) {
        if (const auto format = config::parse_format(known.log.format)) log::init(log::level::info, *format);
    };
    if (config::settings told; config::apply_environment(told, lookup)) use_format(told);

    config::settings settings;
    if (const auto file = config_file(options)) {
        const auto read =
            file->ends_with(".toml") ? config::read_toml_file(*file, settings) : config::read_file(*file, settings);
        if (auto over = settings; config::apply_environment(over, lookup)) use_format(over);
        if (!read) return read.error();
    }
    if (auto applied = config::apply_environment(settings, lookup); !applied) return applied.error();
    if (options.addr) {
        settings.addr = *options.addr;
        settings.written_as["addr"] = "--addr";
    }
    if (options.working_dir) {
        settings.working_dir = *options.working_dir;
        settings.written_as["workingDir"] = "--working-dir";
    }
    if (options.backend) {
        if (auto set = config::set_backend(settings, *options.backend); !set)
            return error{set.error().code, "--backend " + set.error().message};
        settings.written_as["jail"] = "--backend";
    }
    if (const auto where = http::parse_address(settings.addr); !where)
        return error{where.error().code, name_origin(options, settings, "addr: " + where.error().message)};
    return settings;
}

// --check-config: every problem on a line of its own, not the first alone.
int check(const app::options& options, const config::settings& settings)
{
    const auto problems = app::check_start(settings);
    for (const auto& one : problems) refuse(name_origin(options, settings, one));
    if (!problems.empty()) return exit_cannot_start;
    std::puts("the configuration is fine");
    return EXIT_SUCCESS;
}

int run(std::vector<const char*> arguments, app::early_signals& early)
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
    log::init(*config::parse_level(settings->log.level), *config::parse_format(settings->log.format));
    if (options->check_config) early.give_back();
    if (options->check_config) return check(*options, *settings);
    const auto ended = app::run_daemon(*settings);
    if (!ended) return refuse(name_origin(*options, *settings, ended.error().message));
    return *ended;
}

}  // namespace

int main(int argc, char** argv)
{
    app::early_signals early;
    try {
        return run({argv + 1, argv + argc}, early);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "sandboxd: %s\n", e.what());
        return EXIT_FAILURE;
    }
}
