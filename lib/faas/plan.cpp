#include "faas/plan.hpp"

#include "faas/command_line.hpp"
#include "init/arguments.hpp"
#include "init/control.hpp"
#include "init/hold.hpp"
#include "programs/program_files.hpp"
#include "programs/table.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

namespace sandboxd::faas {

namespace {

constexpr const char* socket_inside = "/tmp/app.sock";
constexpr std::string_view app_inside = init::hold::deployment_directory;
constexpr std::string_view modules_inside = "/srv/node_modules";

// `words`: the command behind the program, without the runtime's own arguments.
std::optional<waiting_plan> plan_to_wait(const programs::runtime& runtime, std::vector<std::string> words,
                                         const std::vector<std::string>& paths)
{
    // A first word that is an option, such as --import, is read while it boots.
    if (!runtime.waits || words.empty() || words.front().starts_with('-')) return std::nullopt;
    const auto& how = *runtime.waits;
    if (!programs::can_boot_before(paths, how)) return std::nullopt;
    // Node.js makes its first file's path absolute while it boots, and it boots elsewhere. Behind a script that runs
    // the file, that is not the first.
    const bool is_first_file = !how.reads_other_files && how.run_file.back() == how.script.target;
    auto& file = words.front();
    if (is_first_file && !file.starts_with('/')) file = std::string{app_inside} + "/" + file;
    waiting_plan made{
        .argv = {runtime.program}, .directory = how.directory(app_inside), .script = how.script, .bytes = how.bytes};
    made.argv.insert(made.argv.end(), how.run_file.begin(), how.run_file.end());
    made.argv.insert(made.argv.end(), words.begin(), words.end());
    return made;
}

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
    // Variables can make a runtime load and run anything while it boots.
    const bool may_wait = what.env.empty() && made.env.empty();
    if (command->is_file) {
        if (may_wait) made.waits = plan_to_wait(own, words, paths);
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
        if (may_wait && own.run_file.empty()) made.waits = plan_to_wait(own, words, paths);
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
        if (may_wait && meant.run_file.empty())
            made.waits = plan_to_wait(meant, {words.begin() + 1, words.end()}, paths);
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
    const bool waits = where.word >= 0;
    const auto& argv = waits ? how.waits.value().argv : how.argv;
    spec.argv.insert(spec.argv.end(), argv.begin(), argv.end());
    spec.env = {{"PATH", "/usr/local/bin:/usr/bin:/bin:" + std::string{modules_inside} + "/.bin"},
                {"HOME", "/tmp"},
                {"TMPDIR", "/tmp"},
                {"LC_ALL", "C.UTF-8"},
                {"DO_NOT_TRACK", "1"},
                {"HOST", "127.0.0.1"},
                // No cache: it would go with the jail, and Bun would fill it before a program begins.
                {"BUN_RUNTIME_TRANSPILER_CACHE_PATH", "0"}};
    for (const auto* const more : {&how.runtime_env, &what.env, &how.env}) jail::set_variables(spec.env, *more);
    // Last, so that the client's variables cannot change where the server connects.
    jail::set_variable(spec.env, "PORT", std::to_string(port_inside));
    jail::set_variable(spec.env, "SOCKET_PATH", socket_inside);
    spec.cwd = waits ? how.waits->directory : std::string{app_inside};
    spec.mounts = how.mounts;
    if (waits) spec.mounts.push_back(how.waits->script);
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
    if (waits) spec.pass_fds.emplace_back(where.word, init::hold::begin_fd_inside);
    return spec;
}

}  // namespace sandboxd::faas
