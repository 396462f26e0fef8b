#include "programs/table.hpp"

#include "base/path.hpp"

#include <algorithm>
#include <filesystem>

namespace sandboxd::programs {

namespace {

constexpr std::uint64_t mebibyte = 1024 * 1024;
constexpr std::string_view inside = "/runtime/";

// One of the programs above, and its name inside the jail.
struct part {
    std::string program_places::* where;
    std::string_view name;
    std::vector<std::string> ask_version{"--version"};
    std::string_view library{};  // read at run time in addition to the system's libraries, if the directory exists
    bool has_own_prefix{false};  // its library is in `lib`, a sibling of its directory
};
// Debian's Node.js has parts of its own library in a directory. --version works without it, so a script asks for the
// version.
const part node{&program_places::node, "node", {"--print", "process.version"}, "/usr/share/nodejs"};
const part bun{&program_places::bun, "bun"};
const part esbuild{&program_places::esbuild, "esbuild"};
const part typescript{&program_places::typescript, "typescript.mjs", {}};
// A script asks for the version, which proves that the library is there. A pyenv shim, often first on the path, does
// not count. Time zones come from a directory (tzset(3), zoneinfo).
const part python{.where = &program_places::python,
                  .name = "python3",
                  .ask_version = {"-c", "import platform; print(platform.python_version())"},
                  .library = "/usr/share/zoneinfo",
                  .has_own_prefix = true};

const part wait_node{&program_places::wait_node, "wait_node.cjs", {}};
const part wait_bun{&program_places::wait_bun, "wait_bun.js", {}};

struct wait_row {
    part script;
    std::string_view option;
    std::uint64_t bytes;  // measured: 7 MiB of Node.js, 4 of Bun
    bool reads_other_files;
    bool boots_fast;
};
const wait_row node_waits{.script = wait_node,
                          .option = "--require",
                          .bytes = 10 * mebibyte,
                          .reads_other_files = false,
                          .boots_fast = false};
const wait_row bun_waits{
    .script = wait_bun, .option = "--preload", .bytes = 6 * mebibyte, .reads_other_files = true, .boots_fast = true};

// A runtime can have several rows: the first one whose programs are installed is used.
struct row {
    std::string_view name;
    std::string_view command;
    std::vector<part> parts;  // the first one is run
    std::vector<std::string> run_file{};
    std::string_view entry_name;
    std::string_view heap_option{};
    std::uint64_t reserved_bytes;  // JavaScriptCore maps much memory writable at start; V8 does not
    part version_of;
    std::string_view cure;  // how to install it
    std::vector<std::string> aliases{};
    std::vector<std::pair<std::string, std::string>> env{};
    std::string_view port_in_code{"process.env.PORT"};
    bool takes_packages{true};
    const wait_row* waits{nullptr};
};

const std::vector<row>& table()
{
    static const std::vector<row> rows{{
        {.name = "node",
         .command = "node",
         .parts = {node},
         .entry_name = "index.js",
         .heap_option = "--max-old-space-size=",
         .reserved_bytes = 128 * mebibyte,
         .version_of = node,
         .cure = "install Node.js, or set runtimes.node",
         .waits = &node_waits},
        {.name = "bun",
         .command = "bun",
         .parts = {bun},
         .run_file = {"run"},
         .entry_name = "index.ts",
         .reserved_bytes = 512 * mebibyte,
         .version_of = bun,
         .cure = "configure the build where the package registry can be reached, install Bun, or set runtimes.bun",
         .waits = &bun_waits},
        {.name = "typescript",
         .command = "bun",
         .parts = {bun},
         .run_file = {"run"},
         .entry_name = "index.ts",
         .reserved_bytes = 512 * mebibyte,
         .version_of = bun,
         .cure = {},
         .waits = &bun_waits},
        {.name = "typescript",
         .command = "node",
         .parts = {node, esbuild, typescript},
         .run_file = {"/runtime/typescript.mjs"},
         .entry_name = "index.ts",
         .heap_option = "--max-old-space-size=",
         .reserved_bytes = 192 * mebibyte,
         .version_of = esbuild,
         .cure = "it needs Bun, or Node.js and esbuild: configure the build where the package registry can be reached, "
                 "or set runtimes.bun, or runtimes.node and runtimes.esbuild",
         .waits = &node_waits},
        {.name = "python",
         .command = "python3",
         .parts = {python},
         .entry_name = "main.py",
         .reserved_bytes = 64 * mebibyte,
         .version_of = python,
         .cure = "install Python 3, or set runtimes.python",
         .aliases = {"python"},
         // Do not buffer output, so that it reaches the log at once. Write no .pyc files, which would vanish with the
         // jail.
         .env = {{"PYTHONUNBUFFERED", "1"}, {"PYTHONDONTWRITEBYTECODE", "1"}},
         .port_in_code = "os.environ[\"PORT\"]",
         .takes_packages = false},
    }};
    return rows;
}

std::vector<jail::mount> library_mounts()
{
    std::vector<jail::mount> made;
    for (const char* path : {"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache"})
        made.push_back({.source = path, .target = path, .optional = true});
    return made;
}

// A user's script that starts the chosen version; it does not work in a jail.
bool is_shim(const std::string& file) { return file.find("/shims/") != std::string::npos; }

bool is_runtime(const std::string& file) { return is_program(file) && !is_shim(file); }

// /opt/python/lib for /opt/python/bin/python3; empty if it is already mounted. Follows links: a virtual environment's
// program is the one that it was made with.
std::string prefix_library(const part& of, const std::string& program)
{
    if (!of.has_own_prefix) return {};
    std::error_code ec;
    const auto real = std::filesystem::canonical(program, ec);
    const auto library = (ec ? std::filesystem::path{program} : real).parent_path().parent_path() / "lib";
    return library == "/usr/lib" || library == "/lib" ? std::string{} : library.native();
}

}  // namespace

program_places find_programs(const program_places& configured, const std::string& helpers, std::string_view search_path)
{
    program_places found = configured;
    for (const auto& runtime : table()) {
        for (const auto& one : runtime.parts) {
            auto& place = found.*one.where;
            if (!place.empty()) continue;
            const auto beside = helpers + "/" + std::string{one.name};
            place = is_program(beside) ? beside : find_program(search_path, one.name, is_runtime);
        }
        if (!runtime.waits) continue;
        // The server's own, and no program: nowhere else.
        const auto& script = runtime.waits->script;
        const auto beside = helpers + "/" + std::string{script.name};
        if (auto& place = found.*script.where; place.empty() && is_program(beside)) place = beside;
    }
    return found;
}

std::vector<std::string_view> known_runtimes()
{
    std::vector<std::string_view> names;
    for (const auto& one : table())
        if (std::ranges::find(names, one.name) == names.end()) names.push_back(one.name);
    return names;
}

std::string known_names()
{
    const auto names = known_runtimes();
    std::string list;
    for (const auto& name : names) {
        if (!list.empty()) list += name == names.back() ? " or " : ", ";
        list += name;
    }
    return list;
}

std::vector<std::string> known_commands()
{
    std::vector<std::string> words;
    for (const auto& one : table()) {
        words.emplace_back(one.command);
        words.insert(words.end(), one.aliases.begin(), one.aliases.end());
    }
    return words;
}

std::vector<runtime> runtimes_of(const program_places& there)
{
    std::vector<runtime> made;
    for (const auto& one : table()) {
        if (std::ranges::any_of(one.parts, [&](const part& needed) { return (there.*needed.where).empty(); })) continue;
        const auto as_seen = [](const part& what) { return std::string{inside} + std::string{what.name}; };
        runtime is{.name = std::string{one.name},
                   .command = std::string{one.command},
                   .aliases = one.aliases,
                   .program = as_seen(one.parts.front()),
                   .mounts = library_mounts(),
                   .run_file = one.run_file,
                   .entry_name = std::string{one.entry_name},
                   .env = one.env,
                   .port_in_code = std::string{one.port_in_code},
                   .takes_packages = one.takes_packages,
                   .heap_option = std::string{one.heap_option},
                   .reserved_bytes = one.reserved_bytes,
                   .version_argv = one.version_of.ask_version};
        is.version_argv.insert(is.version_argv.begin(), as_seen(one.version_of));
        for (const auto& needed : one.parts) {
            is.mounts.push_back({.source = there.*needed.where, .target = as_seen(needed)});
            if (const std::string library{needed.library}; !library.empty())
                is.mounts.push_back({.source = library, .target = library, .optional = true});
            if (const auto library = prefix_library(needed, there.*needed.where); !library.empty())
                is.mounts.push_back({.source = library, .target = library, .optional = true});
        }
        if (one.waits && !(there.*one.waits->script.where).empty()) {
            waiting how{.run_file = one.run_file,
                        .script = {.source = there.*one.waits->script.where,
                                   .target = as_seen(one.waits->script),
                                   .own_copy = true},
                        .bytes = one.waits->bytes,
                        .reads_other_files = one.waits->reads_other_files,
                        .boots_fast = one.waits->boots_fast};
            // Behind "run" of `bun run`, and before a script that runs the file.
            const bool is_command = !one.run_file.empty() && !one.run_file.front().starts_with('/');
            how.run_file.insert(how.run_file.begin() + (is_command ? 1 : 0),
                                {std::string{one.waits->option}, how.script.target});
            is.waits = std::move(how);
        }
        made.push_back(std::move(is));
    }
    return made;
}

std::string cure_for(std::string_view name)
{
    const auto found =
        std::ranges::find_if(table(), [name](const row& one) { return one.name == name && !one.cure.empty(); });
    return found == table().end() ? std::string{} : std::string{found->cure};
}

}  // namespace sandboxd::programs
