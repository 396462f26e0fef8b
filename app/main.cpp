// sandboxd: the server's command line.
#include "base/log.hpp"
#include "config/config.hpp"
#include "config/sandbox_names.hpp"
#include "daemon.hpp"
#include "early_signals.hpp"
#include "http/address.hpp"
#include "mcp_bridge.hpp"
#include "options.hpp"
#include "preflight.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace {

using namespace sandboxd;

constexpr int exit_cannot_start = 2;

// Whether this is an environment variable and not a key: SANDBOX_PORT, LOG_LEVEL.
bool is_variable(std::string_view name)
{
    return !name.empty() && std::ranges::all_of(name, [](char c) { return (c >= 'A' && c <= 'Z') || c == '_'; });
}

// Prints why the server cannot start, in one line on standard error: as text, or as a line of the log if that is
// JSON, because its collector reads nothing else.
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

// Errors about values begin with the key. This replaces it with what the operator wrote: a command-line option, an
// environment variable, a name in a TOML file, or the key with its file.
std::string name_origin(const app::options& options, const config::settings& settings, const std::string& message)
{
    const auto key = message.substr(0, message.find(':'));
    const auto written = settings.as_written(key);
    auto named = written + message.substr(key.size());
    const bool in_file = !written.starts_with("--") && !is_variable(written);
    if (const auto file = config_file(options); file && in_file) return *file + ": " + named;
    return named;
}

const char* environment(const char* name) { return std::getenv(name); }

// LOG_FORMAT overrides the file, also for messages about problems in either.
std::optional<log::format> format_of_environment()
{
    const char* const given = environment("LOG_FORMAT");
    if (!given) return std::nullopt;
    const auto known = config::parse_format(given);
    return known ? std::optional{*known} : std::nullopt;
}

void tell_as(std::optional<log::format> format)
{
    if (const auto first = format_of_environment()) format = first;
    if (format) log::init(log::level::info, *format);
}

struct loaded {
    config::settings settings;
    std::vector<std::string> problems;
    bool readable{true};
};

loaded load(const app::options& options)
{
    loaded made;
    auto& [settings, problems, readable] = made;
    if (const auto file = config_file(options)) {
        auto found = config::read_file(*file, settings);
        tell_as(found.format);
        problems = std::move(found.problems);
        readable = found.readable;
    }
    auto wrong = config::apply_environment(settings, environment);
    const bool addr_told = std::ranges::any_of(
        wrong, [](const auto& one) { return one.starts_with("SANDBOX_HOST") || one.starts_with("SANDBOX_PORT"); });
    problems.insert(problems.end(), std::make_move_iterator(wrong.begin()), std::make_move_iterator(wrong.end()));
    if (options.addr) {
        settings.addr = *options.addr;
        settings.written_as["addr"] = "--addr";
    }
    if (options.working_dir) {
        settings.working_dir = *options.working_dir;
        settings.written_as["workingDir"] = "--working-dir";
    }
    if (options.advertise) {
        settings.cluster.advertise = *options.advertise;
        settings.written_as["cluster.advertise"] = "--advertise";
    }
    if (options.backend) {
        if (auto set = config::set_backend(settings, *options.backend); !set)
            problems.push_back("--backend " + set.error().message);
        settings.written_as["jail"] = "--backend";
    }
    if (const auto where = http::parse_address(settings.addr); !where && !(addr_told && !options.addr))
        problems.push_back(name_origin(options, settings, "addr: " + where.error().message));
    return made;
}

// Whether an already reported problem names this key as a whole word.
bool names(std::string_view problem, std::string_view key)
{
    const auto ends_word = [](char c) { return c == ' ' || c == ':'; };
    for (auto at = problem.find(key); at != std::string_view::npos; at = problem.find(key, at + 1)) {
        const auto behind = at + key.size();
        if ((at == 0 || ends_word(problem[at - 1])) && (behind == problem.size() || ends_word(problem[behind])))
            return true;
    }
    return false;
}

// --check-config: prints every problem, one per line.
int check(const app::options& options, const loaded& from)
{
    auto problems = from.problems;
    // A wrong value was replaced by its default; checking that says nothing about this configuration.
    const auto told = [&from](const std::string& key) {
        return std::ranges::any_of(from.problems, [&key](const auto& one) { return names(one, key); });
    };
    // Only problems, one per line.
    log::init(log::level::error, log::shape());
    if (from.readable)
        for (const auto& one : app::check_start(from.settings))
            if (!told(from.settings.as_written(one.substr(0, one.find(':')))))
                problems.push_back(name_origin(options, from.settings, one));
    for (const auto& one : problems) refuse(one);
    if (!problems.empty()) return exit_cannot_start;
    std::puts("the configuration is fine");
    return EXIT_SUCCESS;
}

// Uses the log format of the file that an invalid command line names. Only of a regular file: others can be read only
// once.
void tell_as_file_says(std::span<const char* const> arguments)
{
    app::options named;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string_view argument{arguments[i]};
        if (argument.starts_with("--config="))
            named.config = argument.substr(argument.find('=') + 1);
        else if (argument == "--config" && i + 1 < arguments.size())
            named.config = arguments[++i];
    }
    const auto file = config_file(named);
    std::error_code ec;
    config::settings ignored;
    if (file && std::filesystem::is_regular_file(*file, ec)) tell_as(config::read_file(*file, ignored).format);
}

int run(std::span<const char* const> arguments, app::early_signals& early)
{
    tell_as(std::nullopt);
    const auto options = app::parse_options(arguments);
    if (!options) {
        tell_as_file_says(arguments);
        return refuse(options.error().message);
    }
    if (options->help) {
        std::fputs(app::usage().c_str(), stdout);
        return EXIT_SUCCESS;
    }
    if (options->version) {
        std::puts("sandboxd " SANDBOXD_VERSION);
        return EXIT_SUCCESS;
    }
    if (options->check_config) early.give_back();
    const auto from = load(*options);
    if (options->check_config) return check(*options, from);
    if (!from.problems.empty()) return refuse(from.problems.front());
    const auto& settings = from.settings;
    log::init(*config::parse_level(settings.log.level), *config::parse_format(settings.log.format));
    const auto ended = app::run_daemon(settings);
    if (!ended) return refuse(name_origin(*options, settings, ended.error().message));
    return *ended;
}

}  // namespace

int main(int argc, char** argv)
{
    try {
        const std::vector<const char*> arguments{argv + 1, argv + argc};
        if (!arguments.empty() && std::string_view{arguments.front()} == "mcp")
            return app::run_mcp(std::span{arguments}.subspan(1));
    } catch (const std::exception& e) {
        std::fprintf(stderr, "sandboxd mcp: %s\n", e.what());
        return EXIT_FAILURE;
    }
    app::early_signals early;
    try {
        const std::vector<const char*> arguments{argv + 1, argv + argc};
        return run(arguments, early);
    } catch (const std::exception& e) {
        refuse(e.what());
        return EXIT_FAILURE;
    }
}
