#include "programs/catalog.hpp"

#include "support/temporary_directory.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

using namespace sandboxd;
using namespace sandboxd::programs;
using sandboxd::test::temporary_directory;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> names_of(const program_places& there)
{
    std::vector<std::string> names;
    for (const auto& one : runtimes_of(there)) names.push_back(one.name);
    return names;
}

void make_program(const fs::path& file)
{
    fs::create_directories(file.parent_path());
    std::ofstream{file} << "x";
    fs::permissions(file, fs::perms::owner_all);
}

}  // namespace

TEST_CASE("a runtime is there when all its programs are", "[runtimes]")
{
    using names = std::vector<std::string>;
    CHECK(names_of({}) == names{});
    CHECK(names_of({.node = "/n"}) == names{"node"});
    CHECK(names_of({.bun = "/b"}) == names{"bun", "typescript"});
    CHECK(names_of({.node = "/n", .esbuild = "/e"}) == names{"node"});
    CHECK(names_of({.node = "/n", .esbuild = "/e", .typescript = "/t"}) == names{"node", "typescript"});
    CHECK(names_of({.esbuild = "/e", .typescript = "/t"}) == names{});

    // TypeScript is Bun's where there is one.
    const program_places all{.node = "/n", .bun = "/b", .esbuild = "/e", .typescript = "/t"};
    CHECK(names_of(all) == names{"node", "bun", "typescript", "typescript"});
    const auto made = runtimes_of(all);
    CHECK(made[2].program == "/runtime/bun");
    CHECK(made[2].entry_name == "index.ts");
    const auto by_node = runtimes_of({.node = "/n", .esbuild = "/e", .typescript = "/t"})[1];
    CHECK(by_node.program == "/runtime/node");
    CHECK(by_node.run_file == names{"/runtime/typescript.mjs"});
    CHECK(by_node.version_argv == std::vector<std::string>{"/runtime/esbuild", "--version"});
    for (const auto* inside : {"/runtime/node", "/runtime/esbuild", "/runtime/typescript.mjs"})
        CHECK(std::ranges::count(by_node.mounts, inside, &jail::mount::target) == 1);
    // Nothing is writable, and nothing of the host's but libraries and the programs is there.
    for (const auto& runtime : made) {
        for (const auto& mount : runtime.mounts) {
            CAPTURE(runtime.name, mount.target);
            CHECK_FALSE(mount.writable);
            CHECK((mount.target.starts_with("/runtime/") || mount.target.starts_with("/lib") ||
                   mount.target.starts_with("/usr/lib") || mount.target == "/etc/ld.so.cache" ||
                   mount.target == "/usr/share/nodejs"));
        }
    }
    // Debian's Node.js runs no script without; other ones do.
    const auto library = std::ranges::find(made[0].mounts, "/usr/share/nodejs", &jail::mount::target);
    REQUIRE(library != made[0].mounts.end());
    CHECK(library->optional);
}

TEST_CASE("Python has its library, its own environment and no packages of npm's", "[runtimes]")
{
    CHECK(known_names() == "node, bun, typescript or python");
    // Of each a client can read how it is installed.
    CHECK(known_runtimes() == std::vector<std::string_view>{"node", "bun", "typescript", "python"});
    for (const auto name : known_runtimes()) {
        CAPTURE(name);
        CHECK(cure_for(name).find("runtimes.") != std::string::npos);
    }
    const temporary_directory own;
    const auto program = (own / "python/bin/python3").native();
    make_program(program);
    const auto made = runtimes_of({.python = program});
    REQUIRE(made.size() == 1);
    CHECK(made[0].name == "python");
    CHECK(made[0].entry_name == "main.py");
    CHECK_FALSE(made[0].takes_packages);
    CHECK(std::ranges::count(made[0].aliases, "python") == 1);
    CHECK(made[0].port_in_code == "os.environ[\"PORT\"]");
    CHECK(std::ranges::count(made[0].mounts, "/usr/share/zoneinfo", &jail::mount::target) == 1);
    CHECK(std::ranges::count(made[0].mounts, fs::canonical(own / "python").native() + "/lib", &jail::mount::target) ==
          1);
    // A virtual environment's program is a link to the one that it was made with.
    fs::create_directories(own / "venv/bin");
    fs::create_symlink(program, own / "venv/bin/python3");
    const auto linked = runtimes_of({.python = (own / "venv/bin/python3").native()});
    CHECK(linked[0].mounts.back() == made[0].mounts.back());
    // Debian's lies among the system's libraries.
    CHECK(std::ranges::count(runtimes_of({.python = "/usr/bin/python3"})[0].mounts, "/usr/lib", &jail::mount::target) ==
          1);
    // A version manager's script starts nothing in a jail.
    const auto shims = (own / "shims").native();
    const auto second = (own / "second").native();
    make_program(shims + "/python3");
    make_program(second + "/python3");
    CHECK(find_programs({}, "/nowhere", shims + ":" + second).python == second + "/python3");
}

TEST_CASE("programs are found as configured, then beside the server, then on the path", "[runtimes]")
{
    const temporary_directory own;
    const auto helpers = (own / "libexec").native();
    const auto first = (own / "first").native();
    const auto second = (own / "second").native();
    for (const auto& file : {helpers + "/bun", first + "/bun", first + "/node", second + "/node", second + "/esbuild"})
        make_program(file);
    std::ofstream{helpers + "/node"} << "not executable";
    fs::permissions(helpers + "/node", fs::perms::owner_read);
    fs::create_directory(helpers + "/esbuild");
    const auto found = find_programs({}, helpers, "relative:" + first + "::" + second);
    CHECK(found == program_places{.node = first + "/node", .bun = helpers + "/bun", .esbuild = second + "/esbuild"});
    CHECK(find_programs({.bun = "/my/bun"}, helpers, first).bun == "/my/bun");
    CHECK(find_programs({}, (own / "nowhere").native(), "") == program_places{});
}

TEST_CASE("a runtime waits with the server's own script, which is no program of its own", "[runtimes]")
{
    using words = std::vector<std::string>;
    const program_places all{.node = "/n", .bun = "/b", .esbuild = "/e", .typescript = "/t", .python = "/p"};
    for (const auto& one : runtimes_of(all)) CHECK_FALSE(one.waits);

    auto with_scripts = all;
    with_scripts.wait_node = "/own/wait_node.cjs";
    with_scripts.wait_bun = "/own/wait_bun.js";
    const auto made = runtimes_of(with_scripts);
    REQUIRE(made.size() == 5);
    for (const auto at : {0, 1, 2, 3}) REQUIRE(made[static_cast<std::size_t>(at)].waits);
    CHECK(made[0].waits->run_file == words{"--require", "/runtime/wait_node.cjs"});
    CHECK(made[1].waits->run_file == words{"run", "--preload", "/runtime/wait_bun.js"});
    CHECK(made[3].waits->run_file == words{"--require", "/runtime/wait_node.cjs", "/runtime/typescript.mjs"});
    CHECK(made[0].waits->script.source == "/own/wait_node.cjs");
    CHECK(made[0].waits->script.own_copy);
    CHECK_FALSE(made[0].waits->script.writable);
    CHECK_FALSE(made[0].waits->reads_other_files);
    CHECK(made[1].waits->reads_other_files);
    CHECK_FALSE(made[4].waits);
    // It is not in the jails of those that do not wait.
    for (const auto& one : made)
        for (const auto& mount : one.mounts) CHECK(mount.target.find("wait") == std::string::npos);

    const temporary_directory own;
    const auto helpers = own / "libexec";
    make_program(helpers / "wait_node.cjs");
    const auto elsewhere = own / "bin";
    make_program(elsewhere / "wait_bun.js");
    const auto found = find_programs({}, helpers.native(), elsewhere.native());
    CHECK(found.wait_node == (helpers / "wait_node.cjs").native());
    CHECK(found.wait_bun.empty());
}
