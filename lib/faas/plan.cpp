#include "faas/plan.hpp"

#include "faas/command_line.hpp"
#include "init/arguments.hpp"
#include "init/control.hpp"
#include "programs/program_files.hpp"
#include "programs/table.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

namespace sandboxd::faas {

namespace {

constexpr const char* socket_inside = "/tmp/app.sock";
constexpr std::string_view app_inside = "/srv/app";
constexpr std::string_view modules_inside = "/srv/node_modules";

}  // namespace

result<plan> make_plan(const manifest& what, const std::vector<std::string>& paths, const std::string& package_json,
                       const programs::runtime& own, const std::vector<const programs::runtime*>& all)
{
    package_manifest package;
    if (!package_json.empty()) {
        auto read = read_package_manifest(package_json);
        if (!read) return read.error();
        package = std::move(*read);
    }
    if (what.entry_point.empty() && std::ranges::find(paths, own.entry_name) == paths.end())
        return unprocessable("there is no file '" + own.entry_name + "' in this deployment, which " + own.name +
                             " runs by default" + programs::entry_point_cure(own.entry_name, paths));
    const auto command = resolve_entry_point(what.entry_point.empty() ? own.entry_name : what.entry_point,
                                             package.scripts, paths, programs::known_commands());
    if (!command) return command.error();

    plan made;
    made.env = command->env;
    made.dependencies = std::move(package.dependencies);
    for (const auto* list : {"pyproject.toml", "Pipfile", "requirements.txt"})
        if (!own.takes_packages && std::ranges::find(paths, list) != paths.end()) made.ignored_packages = list;
    const auto mount = [&made](const programs::runtime& one) {
        for (const auto& each : one.mounts)
            if (std::ranges::find(made.mounts, each) == made.mounts.end()) made.mounts.push_back(each);
        made.reserved_bytes = std::max(made.reserved_bytes, one.reserved_bytes);
    };
    // The runtime itself, and every other one that a package's script may call.
    mount(own);
    for (const auto* one : all)
        if (own.takes_packages && one->takes_packages) mount(*one);
    auto words = command->words;
    made.runtime_env = own.env;
    if (command->is_file) {
        made.argv.push_back(own.program);
        made.argv.insert(made.argv.end(), own.run_file.begin(), own.run_file.end());
    } else if (command->is_package_binary && !own.takes_packages) {
        return unprocessable("'" + words.front() + "' is a program of a package, but no packages are installed for " +
                             own.name + "; send it as files and start it with '" + own.command + " -m " +
                             words.front() + "'");
    } else if (command->is_package_binary) {
        // These are scripts for Node.js; the runtime ignores their first line (#!).
        made.argv.push_back(own.program);
        words.front() = std::string{modules_inside} + "/.bin/" + words.front();
    } else {
        const auto is_called = [&words](const programs::runtime* one) {
            return one->command == words.front() || std::ranges::count(one->aliases, words.front()) > 0;
        };
        const auto named = std::ranges::find_if(all, is_called);
        if (named == all.end())
            return error{errc::unprocessable, "entry_point runs '" + words.front() + "', which is not installed here"};
        // TypeScript and Bun share a command: the deployment's own runtime takes precedence.
        const auto& meant = is_called(&own) ? own : **named;
        mount(meant);
        made.runtime_env = meant.env;
        words.front() = meant.program;
    }
    made.argv.insert(made.argv.end(), words.begin(), words.end());
    return made;
}

jail::spec make_spec(const manifest& what, const plan& how, const plan_places& where, const jail::job_limits& limits)
{
    jail::spec spec;
    spec.argv = {std::string{init::program_inside}, init::argument::socket_path, socket_inside};
    if (limits.open_files != 0)
        for (auto word : {std::string{init::argument::open_files}, std::to_string(limits.open_files)})
            spec.argv.push_back(std::move(word));
    spec.argv.emplace_back("--");
    spec.argv.insert(spec.argv.end(), how.argv.begin(), how.argv.end());
    spec.env = {{"PATH", "/usr/local/bin:/usr/bin:/bin:" + std::string{modules_inside} + "/.bin"},
                {"HOME", "/tmp"},
                {"TMPDIR", "/tmp"},
                {"LC_ALL", "C.UTF-8"},
                {"DO_NOT_TRACK", "1"},
                {"HOST", "127.0.0.1"}};
    for (const auto* const more : {&how.runtime_env, &what.env, &how.env}) programs::set_variables(spec.env, *more);
    // Last, so that the client's variables cannot change where the server connects.
    programs::set_variable(spec.env, "PORT", std::to_string(port_inside));
    programs::set_variable(spec.env, "SOCKET_PATH", socket_inside);
    spec.cwd = app_inside;
    spec.mounts = how.mounts;
    spec.mounts.push_back({.source = where.init, .target = std::string{init::program_inside}, .own_copy = true});
    spec.mounts.push_back({.source = where.files, .target = std::string{app_inside}});
    if (!where.packages.empty())
        spec.mounts.push_back({.source = where.packages, .target = std::string{modules_inside}});
    spec.hostname = "deployment";
    spec.limits = limits;
    if (spec.limits.open_files != 0) spec.limits.open_files += init::control::descriptors_of_init;
    spec.limits.memory_bytes = static_cast<std::uint64_t>(what.memory_mb) << 20;
    spec.limits.data_bytes = spec.limits.memory_bytes + how.reserved_bytes;
    spec.network = jail::network_access::own;
    spec.as_pid_1 = true;
    spec.pass_fds.emplace_back(where.control, init::control::control_fd_inside);
    return spec;
}

}  // namespace sandboxd::faas
