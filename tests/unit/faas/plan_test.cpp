// What is run in a deployment's jail, case by case: from its files, its entry point and the runtimes that are there.
#include "faas/plan.hpp"

#include "init/control.hpp"
#include "init/hold.hpp"
#include "programs/table.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <string>
#include <vector>

using namespace sandboxd;
using faas::make_plan;

namespace {

// All runtimes, on a host where nothing of them is: nobody looks there.
const std::vector<programs::runtime>& installed()
{
    static const auto all = programs::runtimes_of({.node = "/host/node",
                                                   .bun = "/host/bun",
                                                   .esbuild = "/host/esbuild",
                                                   .typescript = "/host/typescript.mjs",
                                                   .python = "/host/python3",
                                                   .wait_node = "/host/wait_node.cjs",
                                                   .wait_bun = "/host/wait_bun.js"});
    return all;
}

std::vector<const programs::runtime*> all_of(const std::vector<programs::runtime>& there)
{
    std::vector<const programs::runtime*> made;
    for (const auto& one : there) made.push_back(&one);
    return made;
}

result<faas::plan> plan_of(const std::string& runtime, const std::string& entry_point,
                           const std::vector<std::string>& paths, const std::string& package_json = {})
{
    faas::manifest what;
    what.runtime = runtime;
    what.entry_point = entry_point;
    const auto& own = *std::ranges::find(installed(), runtime, &programs::runtime::name);
    return make_plan(what, paths, package_json, own, all_of(installed()));
}

std::string joined(const std::vector<std::string>& words)
{
    std::string line;
    for (const auto& one : words) line += (line.empty() ? "" : " ") + one;
    return line;
}

bool has_mount(const std::vector<jail::mount>& mounts, const std::string& target)
{
    return std::ranges::find(mounts, target, &jail::mount::target) != mounts.end();
}

}  // namespace

TEST_CASE("a deployment's entry point becomes an argument vector", "[faas][plan]")
{
    struct row {
        std::string runtime;
        std::string entry_point;
        std::vector<std::string> paths;
        std::string package_json;
        std::string runs;  // or, where it is refused, a part of the message
        bool refused{false};
    };
    const std::string dev = R"({"scripts": {"dev": "A=1 node --hot a.js", "vite": "vite --host"}})";
    const row rows[] = {
        // The usual file, and another.
        {"node", "", {"index.js"}, "", "/runtime/node index.js"},
        {"bun", "", {"index.ts"}, "", "/runtime/bun run index.ts"},
        {"python", "", {"main.py"}, "", "/runtime/python3 main.py"},
        {"node", "src/app.js", {"src/app.js"}, "", "/runtime/node src/app.js"},
        {"node", "", {"app.js"}, "", "there is no file 'index.js' in this deployment", true},
        {"node", "b.js", {"a.js"}, "", "b.js", true},
        // A command, by the word for a runtime: the deployment's own first, then another.
        {"node", "node --inspect a.js", {"a.js"}, "", "/runtime/node --inspect a.js"},
        {"typescript", "bun a.ts", {"a.ts"}, "", "/runtime/bun a.ts"},
        {"node", "bun a.ts", {"a.ts"}, "", "/runtime/bun a.ts"},
        {"python", "python -m http.server", {}, "", "/runtime/python3 -m http.server"},
        // Scripts of package.json, and programs of packages.
        {"node", "npm run dev", {"a.js", "package.json"}, dev, "/runtime/node --hot a.js"},
        {"node", "npm run vite", {"package.json"}, dev, "/runtime/node /srv/node_modules/.bin/vite --host"},
        {"python", "flask run", {"app.py"}, "", "send it as files and start it with 'python3 -m flask'", true},
        // What cannot be read, or cannot be done without a shell.
        {"node", "", {"index.js", "package.json"}, "{", "package.json is not JSON", true},
        {"node", "node a.js && node b.js", {"a.js", "b.js"}, "", "&&", true},
    };
    for (const auto& one : rows) {
        CAPTURE(one.runtime, one.entry_point, one.runs);
        const auto made = plan_of(one.runtime, one.entry_point, one.paths, one.package_json);
        if (one.refused) {
            REQUIRE_FALSE(made.has_value());
            CHECK(made.error().code == errc::unprocessable);
            CHECK(made.error().message.find(one.runs) != std::string::npos);
            continue;
        }
        if (!made) FAIL(made.error().message);
        CHECK(joined(made->argv) == one.runs);
    }
}

TEST_CASE("a runtime waits only where nothing that a client chose acts on it while it boots", "[faas][plan]")
{
    struct row {
        std::string runtime;
        std::string entry_point;
        std::vector<std::string> paths;
        std::string package_json;
        std::string waits;  // empty: it does not
    };
    const std::string scripts = R"({"scripts": {"a": "node a.js x", "b": "B=1 node a.js", "c": "vite"}})";
    const std::vector<std::string> packaged{"a.js", "package.json"};
    const std::string node = "/runtime/node --require /runtime/wait_node.cjs ";
    const row rows[] = {
        {"node", "", {"index.js"}, "", node + "/srv/app/index.js"},
        {"node", "", {"index.js", ".env", "lib/x.js"}, "", node + "/srv/app/index.js"},
        {"node", "node index.js --port 1", {"index.js"}, "", node + "/srv/app/index.js --port 1"},
        {"node", "npm run a", packaged, scripts, node + "/srv/app/a.js x"},
        {"node", "npm run c", packaged, scripts, node + "/srv/node_modules/.bin/vite"},
        {"bun", "", {"index.ts"}, "", "/runtime/bun run --preload /runtime/wait_bun.js index.ts"},
        {"typescript", "", {"index.ts"}, "", "/runtime/bun run --preload /runtime/wait_bun.js index.ts"},
        // Options and variables are read while it boots, and by Bun the files beside the program.
        {"node", "node --watch index.js", {"index.js"}, "", ""},
        {"node", "npm run b", packaged, scripts, ""},
        {"bun", "", {"index.ts", "tsconfig.json"}, "", ""},
        {"bun", "", {"index.ts", "other.ts"}, "", ""},
        {"bun", "bun --hot index.ts", {"index.ts"}, "", ""},
        {"node", "bun index.ts", {"index.ts"}, "", ""},
        // Nothing waits for those.
        {"python", "", {"main.py"}, "", ""},
        {"node", "node", {"index.js"}, "", ""},
    };
    for (const auto& one : rows) {
        CAPTURE(one.runtime, one.entry_point, one.paths);
        const auto made = plan_of(one.runtime, one.entry_point, one.paths, one.package_json);
        if (!made) FAIL(made.error().message);
        CHECK((made->waits ? joined(made->waits->argv) : std::string{}) == one.waits);
        if (made->waits) CHECK(made->waits->directory == (one.waits.starts_with(node) ? "/" : "/srv/app"));
    }
    faas::manifest with_variables;
    with_variables.runtime = "node";
    with_variables.env = {{"A", "1"}};
    const auto& own = installed().front();
    const auto made = make_plan(with_variables, {"index.js"}, {}, own, all_of(installed()));
    REQUIRE(made.has_value());
    CHECK_FALSE(made->waits.has_value());
}

TEST_CASE("a command of a runtime that is not there is refused", "[faas][plan]")
{
    const auto there = programs::runtimes_of({.node = "/host/node"});
    faas::manifest what;
    what.runtime = "node";
    what.entry_point = "bun a.ts";
    const auto made = make_plan(what, {"a.ts"}, {}, there.front(), all_of(there));
    REQUIRE_FALSE(made.has_value());
    CHECK(made.error().message == "entry_point runs 'bun', which is not installed here");
}

TEST_CASE("a plan has the packages, the variables and the runtimes that the program may call", "[faas][plan]")
{
    const auto node = plan_of("node", "npm start", {"package.json"},
                              R"({"scripts": {"start": "A=1 node a.js"}, "dependencies": {"left-pad": "1"}})");
    REQUIRE(node.has_value());
    CHECK(node->dependencies == faas::text_map{{"left-pad", "1"}});
    CHECK(node->env == jail::environment{{"A", "1"}});
    CHECK(node->ignored_packages.empty());
    CHECK(has_mount(node->mounts, "/runtime/bun"));
    CHECK_FALSE(has_mount(node->mounts, "/runtime/python3"));
    // As much as the greediest that may be called.
    CHECK(node->reserved_bytes == std::uint64_t{512} << 20);

    const auto python = plan_of("python", "", {"main.py", "requirements.txt"});
    REQUIRE(python.has_value());
    CHECK(python->ignored_packages == "requirements.txt");
    CHECK(has_mount(python->mounts, "/runtime/python3"));
    CHECK_FALSE(has_mount(python->mounts, "/runtime/node"));
    CHECK(python->runtime_env.size() == 2);
}

TEST_CASE("the jail of a deployment: init first, the client's variables, the server's port", "[faas][plan]")
{
    faas::plan how;
    how.argv = {"/runtime/node", "index.js"};
    how.runtime_env = {{"ONE", "runtime"}, {"TWO", "runtime"}, {"THREE", "runtime"}};
    how.env = {{"THREE", "entry"}, {"PORT", "1"}};
    how.reserved_bytes = 1024;
    faas::manifest what;
    what.memory_mb = 64;
    what.env = {{"TWO", "client"}, {"THREE", "client"}, {"HOME", "/srv"}, {"SOCKET_PATH", "/x"}};
    const faas::plan_places places{"/host/init", "/host/files", "/host/packages", 7};
    const auto made = make_spec(what, how, places, {.open_files = 100, .processes = 5});

    CHECK(joined(made.argv) == "/sandboxd-init --socket-path /tmp/app.sock --open-files 100 -- /runtime/node index.js");
    const auto value = [&made](const char* name) {
        std::string found;
        for (const auto& [key, text] : made.env)
            if (key == name) found += (found.empty() ? "" : "|") + text;
        return found;
    };
    CHECK(value("ONE") == "runtime");
    CHECK(value("TWO") == "client");
    CHECK(value("THREE") == "entry");
    CHECK(value("HOME") == "/srv");
    CHECK(value("PORT") == std::to_string(faas::port_inside));
    CHECK(value("SOCKET_PATH") == "/tmp/app.sock");
    CHECK(made.cwd == "/srv/app");
    CHECK(has_mount(made.mounts, "/srv/app"));
    CHECK(has_mount(made.mounts, "/srv/node_modules"));
    CHECK(made.limits.memory_bytes == std::uint64_t{64} << 20);
    CHECK(made.limits.data_bytes == made.limits.memory_bytes + 1024);
    CHECK(made.limits.open_files == 100 + init::control::descriptors_of_init);
    CHECK(made.limits.processes == 5);
    CHECK(made.network == jail::network_access::own);
    CHECK(made.as_pid_1);
    CHECK(made.pass_fds == std::vector<std::pair<int, int>>{{7, init::control::control_fd_inside}});

    // One whose runtime waits for the word.
    how.waits = faas::waiting_plan{.argv = {"/runtime/node", "--require", "/runtime/wait.cjs", "index.js"},
                                   .directory = "/",
                                   .script = {.source = "/host/wait.cjs", .target = "/runtime/wait.cjs"},
                                   .bytes = 1};
    const faas::plan_places with_word{"/host/init", "/host/files", {}, 7, 5};
    const auto waits = make_spec(what, how, with_word, {});
    CHECK(joined(waits.argv).ends_with(" -- /runtime/node --require /runtime/wait.cjs index.js"));
    CHECK(waits.cwd == "/");
    CHECK(has_mount(waits.mounts, "/runtime/wait.cjs"));
    CHECK(waits.pass_fds ==
          std::vector<std::pair<int, int>>{{7, init::control::control_fd_inside}, {5, init::hold::begin_fd_inside}});

    // Without packages there is no folder for them, and no limit stays none.
    const auto bare = make_spec(what, how, {"/host/init", "/host/files", {}, 7}, {});
    CHECK_FALSE(has_mount(bare.mounts, "/srv/node_modules"));
    CHECK(bare.limits.open_files == 0);
    CHECK(joined(bare.argv) == "/sandboxd-init --socket-path /tmp/app.sock -- /runtime/node index.js");
}
