// The server with jails that are containers: compiles, scripts, sandboxes, deployments, and what an end by SIGKILL
// leaves. Each is tried where its engine is installed; Docker's daemon is one of the test's own.
#include "jail/docker_api.hpp"
#include "support/docker_daemon.hpp"
#include "support/eventually.hpp"
#include "support/http_client.hpp"
#include "support/on_loop.hpp"
#include "support/proc.hpp"
#include "support/server_process.hpp"
#include "support/slow_source.hpp"
#include "support/temporary_directory.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <memory>
#include <string>

using namespace sandboxd::test;
namespace json = boost::json;

namespace {

constexpr const char* hello = "#include <stdio.h>\nint main(void) { puts(\"hi\"); return 0; }\n";
// A runtime whose kernel is a program takes its time over a compiler.
constexpr const char* patience = R"(, "compileTimeoutSecs": 300)";

bool holds(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

bool is_installed(const std::string& program)
{
    for (const char* directory : {"/usr/bin/", "/usr/sbin/", "/usr/local/bin/"})
        if (::access((directory + program).c_str(), X_OK) == 0) return true;
    return false;
}

// The configuration of one way to be in a container, and the daemon that it needs.
struct engine {
    explicit engine(const std::string& name)
    {
        if (name == "docker") {
            if (const auto missing = docker_daemon::missing(); !missing.empty()) SKIP(missing);
            daemon = std::make_unique<docker_daemon>();
            config = R"("jail": "docker", "docker": {"socketPath": ")" + daemon->socket() + "\"}";
        } else {
            if (!is_installed(name)) SKIP(name << " is not installed");
            config = R"("jail": "oci", "ociRuntimePath": ")" + name + "\"";
        }
    }

    // As Docker's API tells them: "[]\n" when there are none.
    std::string docker_containers() const
    {
        if (!daemon) return "[]\n";
        const sandboxd::jail::docker_api api{daemon->socket(), std::chrono::seconds{60}};
        const auto list = on_loop(api.call(boost::beast::http::verb::get, "/containers/json?all=1"));
        return list ? list->body : list.error().message;
    }

    std::unique_ptr<docker_daemon> daemon;
    std::string config;
};

}  // namespace

TEST_CASE("a compile in a container", "[containers]")
{
    const std::string name = GENERATE("crun", "runc", "runsc", "docker");
    CAPTURE(name);
    const engine engine{name};
    server_process server{{.config = engine.config + patience}};
    http_client client{server};
    CHECK(client.get("/version").json().at("jail").as_string() == (name == "docker" ? "docker" : "oci"));
    const auto good = client.post("/compile", {{"code", hello}});
    INFO(good.body);
    CHECK(good.status == 200);
    CHECK(client.post("/compile", {{"code", "int main( {"}}).json().at("code").as_string() == "compile_error");
    CHECK(server.clean());
    CHECK(names_in(server.working_dir() / "containers").empty());
    CHECK(server.stop().code == 0);
    CHECK(engine.docker_containers() == "[]\n");
}

TEST_CASE("scripts in a container: the workers' sockets get inside", "[containers]")
{
    const std::string name = GENERATE("crun", "runc", "runsc", "docker");
    CAPTURE(name);
    const engine engine{name};
    server_process server{{.config = engine.config + ", " + no_toolchain, .wait_ready = false, .js = true}};
    http_client client{server};
    if (name == "runsc" && holds(server.log(), "too old for --pass-fd")) SKIP("this gVisor takes no descriptors");
    const auto answer = client.post("/execute", {{"script", "6 * 7"}});
    INFO(answer.body);
    INFO(server.log());
    CHECK(answer.status == 200);
    CHECK(holds(answer.body, "42"));
    CHECK(server.stop().code == 0);
    CHECK(names_in(server.working_dir() / "containers").empty());
    CHECK(engine.docker_containers() == "[]\n");
}

TEST_CASE("sandboxes in a container: what the manual of the sandbox service asks for", "[containers]")
{
    const std::string name = GENERATE("crun", "runc", "runsc", "docker");
    CAPTURE(name);
    const engine engine{name};
    server_process server{{.config = engine.config + ", " + no_toolchain, .wait_ready = false}};
    http_client client{server};
    struct row {
        const char* runtime;
        const char* code;
        const char* prints;
    };
    for (const auto& [runtime, code, prints] :
         {row{"node", "console.log(\"Hello from Node.js!\")", "Hello from Node.js!\n"},
          row{"typescript", "const greeting: string = \"Hello TypeScript!\"; console.log(greeting);",
              "Hello TypeScript!\n"},
          row{"bun", "console.log(\"Hello from Bun!\"); console.log(Bun.version);", "Hello from Bun!\n1."}}) {
        CAPTURE(runtime);
        const std::string wanted{runtime};
        if (wanted != "node" && !holds(client.get("/runtimes").body, "\"bun\"")) {
            WARN("left out: Bun is not there (it is fetched when the build is configured)");
            continue;
        }
        if (wanted != "node" && name == "runsc") {
            WARN("left out: Bun does not find its file in gVisor");
            continue;
        }
        const auto made = client.post("/sandbox", {{"runtime", runtime}, {"code", code}, {"timeout_ms", 60000}});
        INFO(made.body);
        REQUIRE(made.status == 200);
        const auto path = "/sandbox/" + std::string{made.json().at("id").as_string()};
        const auto ran = client.request("POST", path + "/execute", {}, {});
        INFO(ran.body);
        CHECK(ran.status == 200);
        CHECK(ran.json().at("success").as_bool());
        CHECK(std::string_view{ran.json().at("stdout").as_string()}.starts_with(prints));
        const auto late =
            client.request("POST", path + "/execute", {{"Content-Type", "application/json"}}, R"({"timeout_ms": 1})");
        CHECK(late.json().at("verdict").as_string() == "timeout");
        CHECK(late.json().at("exit_code").to_number<int>() == 124);
        CHECK(client.request("DELETE", path, {}, {}).status == 204);
        CHECK(client.get(path).status == 404);
    }
    // A program writes in the folders that came with its files, and does not change the files.
    const json::array files{json::object{{"path", "data/deep/in"}, {"content", "AP8="}, {"encoding", "base64"}},
                            json::object{{"path", "index.js"}, {"content", R"(const fs = require('fs');
            const tell = (what) => { try { console.log(what()); } catch (e) { console.log(e.code); } };
            tell(() => { fs.writeFileSync('data/out', 'o'); return fs.readdirSync('data').join(); });
            tell(() => { fs.mkdirSync('data/deep/more'); return fs.readFileSync('data/deep/in').toString('hex'); });
            tell(() => { fs.writeFileSync('data/deep/in', 'x'); return 'changed'; });)"}}};
    const auto made = client.post("/sandbox", {{"runtime", "node"}, {"files", files}, {"timeout_ms", 60000}});
    INFO(made.body);
    REQUIRE(made.status == 200);
    const auto ran =
        client.request("POST", "/sandbox/" + std::string{made.json().at("id").as_string()} + "/execute", {}, {});
    CHECK(ran.json().at("stdout").as_string() == "deep,out\n00ff\nEROFS\n");
    CHECK(server.stop().code == 0);
    CHECK(names_in(server.working_dir() / "containers").empty());
    CHECK(engine.docker_containers() == "[]\n");
}

TEST_CASE("deployments in a container: reached, restarted, and still there after the server's death", "[containers]")
{
    // gVisor lets no descriptors out.
    const std::string name = GENERATE("crun", "runc", "docker");
    CAPTURE(name);
    const engine engine{name};
    const temporary_directory work;
    const auto config = engine.config + ", " + no_toolchain;
    std::string id;
    const auto program = [](const std::string& says) {
        return "require('http').createServer((q, r) => { let n = 0; q.on('data', d => n += d.length);"
               "q.on('end', () => r.end('" +
               says + " ' + n)); }).listen(process.env.PORT, 'localhost');";
    };
    {
        server_process server{{.config = config, .working_dir = work.path(), .wait_ready = false}};
        http_client client{server};
        const auto made = client.post("/faas/deploy", {{"runtime", "node"}, {"code", program("one")}});
        INFO(made.body);
        INFO(server.log());
        REQUIRE(made.status == 200);
        id = std::string{made.json().at("deployment_id").as_string()};
        CHECK(client.get("/faas/" + id + "/").body == "one 0");
        CHECK(client.request("POST", "/faas/" + id + "/", {}, std::string(300'000, 'x')).body == "one 300000");
        const json::object file{{"path", "index.js"}, {"content", program("two")}};
        const json::object update{{"files", json::array{file}}, {"restart_dev_server", true}};
        const auto changed = client.request("PUT", "/faas/deployments/" + id + "/files",
                                            {{"Content-Type", "application/json"}}, json::serialize(update));
        INFO(changed.body);
        CHECK(changed.status == 200);
        CHECK(client.get("/faas/" + id + "/").body == "two 0");
        server.signal(SIGKILL);
        CHECK_FALSE(server.wait().exited);
    }
    server_process server{{.config = config, .working_dir = work.path(), .wait_ready = false}};
    http_client client{server};
    CHECK(client.get("/faas/" + id + "/").body == "two 0");
    CHECK(client.request("DELETE", "/faas/deployments/" + id, {}, {}).status == 204);
    CHECK(names_in(work / "deployments").empty());
    CHECK(server.stop().code == 0);
    CHECK(names_in(work / "containers").empty());
    CHECK(engine.docker_containers() == "[]\n");
}

TEST_CASE("gVisor has no deployments, and the server says so", "[containers]")
{
    const engine engine{"runsc"};
    server_process server{{.config = engine.config + ", " + no_toolchain, .wait_ready = false}};
    CHECK(holds(server.log(),
                "deployments are off: their connections are passed as descriptors, which gVisor does not let out"));
    http_client client{server};
    const auto made = client.post("/faas/deploy", {{"runtime", "node"}, {"code", "1"}});
    INFO(made.body);
    CHECK(made.status == 503);
    CHECK(holds(made.body, "gVisor"));
    CHECK(server.stop().code == 0);
}

TEST_CASE("a second server on the same directory leaves the first one's containers alone", "[containers]")
{
    const std::string name = GENERATE("crun", "runc", "docker");
    CAPTURE(name);
    const engine engine{name};
    const temporary_directory work;
    server_process server{
        {.config = engine.config + ", " + no_toolchain, .working_dir = work.path(), .wait_ready = false}};
    http_client client{server};
    const auto made =
        client.post("/sandbox", {{"runtime", "node"},
                                 {"code", "console.log('up'); setTimeout(() => console.log('done'), 8000)"},
                                 {"timeout_ms", 60000}});
    INFO(made.body);
    REQUIRE(made.status == 200);
    const auto path = "/sandbox/" + std::string{made.json().at("id").as_string()};
    client.start_post(path + "/execute", json::object{});
    REQUIRE(eventually([&] {
        return name == "docker" ? engine.docker_containers() != "[]\n" : !names_in(work / "containers").empty();
    }));
    const temporary_directory elsewhere;
    std::filesystem::create_directory_symlink(work.path(), elsewhere / "link");
    std::ofstream{elsewhere / "config.json"} << "{" << engine.config << "}";
    const auto second = run_sandboxd({"--config", elsewhere / "config.json", "--working-dir", elsewhere / "link",
                                      "--addr", "127.0.0.1:" + std::to_string(server.port())});
    INFO(second.err);
    CHECK(second.end.code == 2);
    CHECK(holds(second.err, "another server, process " + std::to_string(server.pid())));
    const auto ran = client.receive();
    INFO(ran.body);
    CHECK(ran.json().at("success").as_bool());
    CHECK(holds(ran.body, "done"));
    CHECK(server.stop().code == 0);
}

TEST_CASE("SIGKILL while a container runs: it dies, and the next start removes what is left", "[containers]")
{
    const std::string name = GENERATE("crun", "runc", "runsc", "docker");
    CAPTURE(name);
    const engine engine{name};
    const temporary_directory work;
    {
        server_process server{{.config = engine.config + patience, .working_dir = work.path()}};
        http_client client{server};
        client.start_post("/compile", {{"code", slow_source()}, {"type", "cpp"}});
        // gVisor's processes are none of the host's.
        REQUIRE(eventually([&] {
            const auto found = server.job_processes();
            return std::ranges::any_of(found, [&](pid_t pid) {
                return name == "runsc" || text_of("/proc/" + std::to_string(pid) + "/comm").starts_with("clang");
            });
        }));
        server.signal(SIGKILL);
        CHECK_FALSE(server.wait().exited);
        CHECK(eventually([&] { return server.job_processes().empty(); }));
    }
    server_process server{{.config = engine.config + patience, .working_dir = work.path()}};
    CHECK(holds(server.log(), "removed containers of an earlier server count=1"));
    CHECK(names_in(work / "containers").empty());
    CHECK(engine.docker_containers() == "[]\n");
    http_client client{server};
    CHECK(client.post("/compile", {{"code", hello}}).status == 200);
    CHECK(server.stop().code == 0);
}

TEST_CASE("a daemon that stands still does not hold up the server's end", "[containers]")
{
    const engine engine{"docker"};
    const pid_t daemon = engine.daemon->pid();
    REQUIRE(daemon > 1);
    const auto config = R"("jail": "docker", "shutdownGraceSecs": 1, "docker": {"timeoutSecs": 120, "socketPath": ")" +
                        engine.daemon->socket() + "\"}, " + no_toolchain;
    const temporary_directory work;
    {
        server_process server{{.config = config, .working_dir = work.path(), .wait_ready = false}};
        http_client client{server};
        const auto made = client.post(
            "/sandbox", {{"runtime", "node"}, {"code", "setTimeout(() => 0, 600000)"}, {"timeout_ms", 60000}});
        INFO(made.body);
        REQUIRE(made.status == 200);
        client.start_post("/sandbox/" + std::string{made.json().at("id").as_string()} + "/execute", json::object{});
        REQUIRE(eventually([&] { return holds(engine.docker_containers(), "\"running\""); }));
        struct standstill {
            explicit standstill(pid_t pid) : of{pid} { ::kill(of, SIGSTOP); }
            ~standstill() { ::kill(of, SIGCONT); }
            pid_t of;
        } const still{daemon};
        const auto begin = std::chrono::steady_clock::now();
        CHECK(server.stop().code == 0);
        // Not for the daemon's timeout.
        CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds{60});
    }
    server_process server{{.config = config, .working_dir = work.path(), .wait_ready = false}};
    CHECK(engine.docker_containers() == "[]\n");
    CHECK(server.stop().code == 0);
}

TEST_CASE("without a daemon the server does not start, and says what to do", "[containers]")
{
    const temporary_directory own;
    const auto config = own / "config.json";
    std::ofstream{config} << R"({"jail": "docker", "docker": {"socketPath": "/nonexistent/docker.sock"}})";
    const auto ran = run_sandboxd({"--config", config, "--addr", "127.0.0.1:0", "--working-dir", own.path()});
    CHECK(ran.end.exited);
    CHECK(ran.end.code == 2);
    CHECK(holds(ran.err, "no Docker daemon listens on /nonexistent/docker.sock"));
    CHECK(holds(ran.err, "docker.socketPath"));
}
