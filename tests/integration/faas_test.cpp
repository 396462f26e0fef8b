// Deployments over HTTP, against the real server.
#include "support/command_output.hpp"
#include "support/eventually.hpp"
#include "support/http_client.hpp"
#include "support/proc.hpp"
#include "support/server_process.hpp"
#include "support/temporary_directory.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>

using namespace sandboxd::test;
namespace json = boost::json;

namespace {

constexpr const char* hello =
    "require('http').createServer((q, r) => r.end('hi')).listen(process.env.PORT, () => console.log('listening'));";

std::string text(const json::value& from, const char* key) { return std::string{from.at(key).as_string()}; }

bool has_node() { return ::access("/usr/bin/node", X_OK) == 0; }

json::object one_file(std::string path, std::string content)
{
    return {{"files", json::array{json::object{{"path", std::move(path)}, {"content", std::move(content)}}}}};
}

// A registry on the loopback, and beside it a server that no install may reach; a request there leaves the file `hit`.
constexpr const char* registry_script = R"js(
const http = require('http'), fs = require('fs'), zlib = require('zlib');
const archive = (files) => {
    const blocks = [];
    for (const [name, text] of Object.entries(files)) {
        const head = Buffer.alloc(512), body = Buffer.from(text);
        head.write('package/' + name, 0); head.write('0000644\0', 100); head.write('0000000\0', 108); head.write('0000000\0', 116);
        head.write(body.length.toString(8).padStart(11, '0') + '\0', 124); head.write('00000000000\0', 136);
        head.write('        ', 148); head.write('0', 156); head.write('ustar\00000', 257);
        let sum = 0; for (const b of head) sum += b;
        head.write(sum.toString(8).padStart(6, '0') + '\0 ', 148);
        blocks.push(head, body, Buffer.alloc((512 - body.length % 512) % 512));
    }
    return zlib.gzipSync(Buffer.concat([...blocks, Buffer.alloc(1024)]));
};
const evil = http.createServer((q, r) => { fs.writeFileSync(process.argv[1] + '/hit', q.url); r.end(archive({'package.json': '{"name":"evil","version":"1.0.0"}', 'index.js': 'module.exports = "evil"'})); });
evil.listen(0, '127.0.0.1', () => {
    const elsewhere = 'http://127.0.0.1:' + evil.address().port;
    const needs = {good: {}, url: {evil: elsewhere + '/evil.tgz'}, folder: {x: 'file:/install'}, up: {x: 'file:../../..'},
                   git: {x: 'git+' + elsewhere + '/x.git'}, host: {}, redirect: {}};
    const registry = http.createServer((q, r) => {
        const [, name, file] = q.url.split('/');
        if (!(name in needs)) { r.statusCode = 404; return r.end('{}'); }
        const is = {name, version: '1.0.0', main: 'index.js', dependencies: needs[name]};
        if (file && name === 'redirect') { r.writeHead(302, {Location: elsewhere + '/r.tgz'}); return r.end(); }
        if (file) return r.end(archive({'package.json': JSON.stringify(is), 'index.js': 'module.exports = "' + name + '"'}));
        const from = name === 'host' ? elsewhere : 'http://' + q.headers.host;
        r.setHeader('Content-Type', 'application/json');
        r.end(JSON.stringify({name, 'dist-tags': {latest: '1.0.0'},
                              versions: {'1.0.0': {...is, dist: {tarball: from + '/' + name + '/1.tgz'}}}}));
    });
    registry.listen(0, '127.0.0.1', () => console.log(registry.address().port));
});
)js";

class false_registry {
public:
    explicit false_registry(const std::string& directory)
    {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) return;
        child_ = ::fork();
        if (child_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
            ::dup2(ends[1], 1);
            ::execl("/usr/bin/node", "node", "-e", registry_script, directory.c_str(), nullptr);
            ::_exit(127);
        }
        ::close(ends[1]);
        char text[16]{};
        if (::read(ends[0], text, sizeof text - 1) > 0) port_ = std::atoi(text);
        ::close(ends[0]);
    }
    ~false_registry()
    {
        if (child_ <= 0) return;
        ::kill(child_, SIGKILL);
        ::waitpid(child_, nullptr, 0);
    }
    false_registry(const false_registry&) = delete;
    false_registry& operator=(const false_registry&) = delete;

    std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/"; }
    int port() const { return port_; }

private:
    pid_t child_{-1};
    int port_{0};
};

}  // namespace

TEST_CASE("an install reaches the registry and nothing else, whatever packages depend on", "[faas][hostile]")
{
    auto npm = output_of("realpath \"$(command -v npm)\" 2>/dev/null").out;
    while (npm.ends_with('\n')) npm.pop_back();
    if (!has_node()) SKIP("there is no /usr/bin/node");
    const temporary_directory own;
    const false_registry registry{own.path().native()};
    REQUIRE(registry.port() > 0);
    for (const bool by_bun : {true, false}) {
        if (!by_bun && npm.empty()) continue;
        const auto config = std::string{no_toolchain} + R"(, "faas": {"registry": ")" + registry.url() +
                            "\", \"npm\": \"" + (by_bun ? "" : npm) + "\"}";
        server_process server{{.config = config, .wait_ready = false}};
        http_client client{server};
        const auto deploy = [&](const std::string& package) {
            const auto manifest = R"({"dependencies":{")" + package + R"(":"^1.0.0"}})";
            return client.post(
                "/faas/deploy",
                {{"runtime", "node"},
                 {"code", "const what = require('" + package +
                              "'); require('http').createServer((q, r) => r.end(what)).listen(process.env.PORT)"},
                 {"files", json::array{json::object{{"path", "package.json"}, {"content", manifest}}}}});
        };
        const auto good = deploy("good");
        INFO("by_bun: " << by_bun << ", " << good.body);
        REQUIRE(good.status == 200);
        CHECK(text(good.json(), "status") == "Running");
        CHECK(client.get("/faas/" + text(good.json(), "deployment_id") + "/").body == "good");
        for (const char* package : {"url", "folder", "up", "git", "host", "redirect"}) {
            const auto refused = deploy(package);
            INFO("by_bun: " << by_bun << ", " << package << ": " << refused.body);
            CHECK(refused.status == 422);
            CHECK(text(refused.json(), "code") == "install_failed");
        }
        CHECK(server.metric("sandboxd_faas_install_refusals_total") >= 3);
        CHECK(names_in(server.working_dir() / "packages").size() == 2);
    }
    CHECK_FALSE(std::filesystem::exists(own / "hit"));
}

TEST_CASE("a deployment is made, listed, updated and removed", "[faas]")
{
    if (!has_node()) SKIP("there is no /usr/bin/node");
    server_process server{{.config = no_toolchain, .wait_ready = false}};
    http_client client{server};
    const auto made = client.post("/faas/deploy", {{"runtime", "node"}, {"code", hello}});
    REQUIRE(made.status == 200);
    const auto told = made.json();
    const auto id = text(told, "deployment_id");
    CHECK(text(told, "status") == "Running");
    CHECK(text(told, "runtime") == "node");
    CHECK(text(told, "url") == "http://localhost/faas/" + id);  // the client's Host
    CHECK(text(told, "sandbox_id") != id);

    const auto path = "/faas/deployments/" + id;
    const auto all = client.get("/faas/deployments");
    CHECK(all.json().at("count").as_int64() == 1);
    CHECK(text(all.json().at("deployments").at(0), "deployment_id") == id);
    CHECK(text(client.get(path).json(), "status") == "Running");
    // A program may be reachable before it has said so.
    CHECK(eventually([&] { return client.get(path + "/logs").body.find("listening") != std::string::npos; }));
    const auto logs = client.get(path + "/logs?lines=2").json();
    CHECK(logs.at("lines").as_array().size() == 2);

    const header_list as_json{{"Content-Type", "application/json"}};
    auto body = one_file("index.js", "process.exit(9)");
    body["restart_dev_server"] = true;
    const auto broken = client.request("PUT", path + "/files", as_json, json::serialize(body));
    CHECK(broken.status == 502);
    CHECK(text(broken.json(), "code") == "start_failed");
    CHECK(text(broken.json(), "status") == "Running");
    CHECK(broken.json().at("log_id").to_number<int>() > 0);
    body = one_file("index.js", hello);
    body["restart_dev_server"] = true;
    const auto fine = client.request("PUT", path + "/files", as_json, json::serialize(body));
    CHECK(fine.status == 200);
    CHECK(fine.json().at("restarted").as_bool());
    const auto evil = client.request("PUT", path + "/files", as_json, json::serialize(one_file("../x", "")));
    CHECK(evil.status == 400);
    // As large as it may be, and one byte larger.
    const auto package = "{}" + std::string(256 * 1024 - 2, ' ');
    body = one_file("package.json", package);
    CHECK(client.request("PUT", path + "/files", as_json, json::serialize(body)).status == 200);
    body = one_file("package.json", package + " ");
    const auto large = client.request("PUT", path + "/files", as_json, json::serialize(body));
    CHECK(large.status == 413);
    CHECK(text(large.json(), "error") == "package.json is larger than 262144 bytes");
    body["runtime"] = "node";
    body["code"] = hello;
    CHECK(client.post("/faas/deploy", body).status == 413);
    CHECK(client.get("/faas/deployments").json().at("count").as_int64() == 1);

    CHECK(client.request("DELETE", path).status == 204);
    CHECK(client.request("DELETE", path).status == 404);
    CHECK(client.get(path).status == 404);
    CHECK(client.get(path + "/logs").status == 404);
    CHECK(client.request("PUT", path + "/files", as_json, json::serialize(body)).status == 404);
    CHECK(server.children().empty());
    CHECK(names_in(server.working_dir() / "deployments").empty());
}

TEST_CASE("a program in Python listens on PORT, and what it prints is in its log", "[faas]")
{
    if (::access("/usr/bin/python3", X_OK) != 0) SKIP("there is no /usr/bin/python3");
    server_process server{{.config = no_toolchain, .wait_ready = false}};
    http_client client{server};
    const char* const program =
        "import http.server, os\n"
        "class Hello(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200)\n"
        "        self.end_headers()\n"
        "        self.wfile.write(b'hello from ' + self.path.encode())\n"
        "print('about to listen')\n"
        "http.server.ThreadingHTTPServer(('', int(os.environ['PORT'])), Hello).serve_forever()\n";
    const auto made = client.post("/faas/deploy", {{"runtime", "python"}, {"code", program}});
    INFO(made.body);
    REQUIRE(made.status == 200);
    const auto id = text(made.json(), "deployment_id");
    CHECK(client.get("/faas/" + id + "/x").body == "hello from /x");
    CHECK(client.get("/faas/deployments/" + id + "/logs").body.find("about to listen") != std::string::npos);
    // By a command line, with a module of its library.
    auto by_line = one_file("page.html", "a page");
    by_line["runtime"] = "python";
    by_line["entry_point"] = "python -m http.server 3000 --bind 127.0.0.1";
    const auto served = client.post("/faas/deploy", by_line);
    INFO(served.body);
    REQUIRE(served.status == 200);
    CHECK(client.get("/faas/" + text(served.json(), "deployment_id") + "/page.html").body == "a page");
    // A script is the other runtimes' business, and they are not in its jail.
    auto other = one_file("x.js", "0");
    other["runtime"] = "python";
    other["code"] = "import os, sys; print(os.listdir('/runtime')); sys.exit(3)";
    const auto looked = client.post("/faas/deploy", other);
    CHECK(looked.body.find("exit 3") != std::string::npos);
    const auto log = client.get("/faas/deployments/" + text(looked.json(), "deployment_id") + "/logs").body;
    CHECK(log.find("['python3']") != std::string::npos);
    // What nobody installs is told: in the log, and instead of a start.
    auto listed = by_line;
    listed["files"].as_array().push_back(json::object{{"path", "requirements.txt"}, {"content", "flask\n"}});
    const auto ignored = client.post("/faas/deploy", listed);
    REQUIRE(ignored.status == 200);
    CHECK(client.get("/faas/deployments/" + text(ignored.json(), "deployment_id") + "/logs")
              .body.find("requirements.txt is ignored: nothing is installed for python") != std::string::npos);
    for (const auto* line : {"flask run", "gunicorn app:app"}) {
        const std::string program_of_a_package{line, std::string_view{line}.find(' ')};
        auto package = one_file("app.py", "0");
        package["runtime"] = "python";
        package["entry_point"] = line;
        const auto refused = client.post("/faas/deploy", package);
        CHECK(refused.status == 422);
        CHECK(refused.body.find("start it with 'python3 -m " + program_of_a_package + "'") != std::string::npos);
    }
    auto unnamed = one_file("app.py", "0");
    unnamed["runtime"] = "python";
    const auto refused = client.post("/faas/deploy", unnamed);
    CHECK(refused.status == 422);
    CHECK(refused.body.find("name the file to run as entry_point, such as 'app.py'") != std::string::npos);
    auto elsewhere = by_line;
    elsewhere["entry_point"] = "python -m http.server 3001 --bind 127.0.0.1";
    const auto misplaced = client.post("/faas/deploy", elsewhere);
    CHECK(misplaced.status >= 400);
    CHECK(misplaced.body.find("os.environ[\\\"PORT\\\"]") != std::string::npos);
    CHECK(server.stop().code == 0);
}

TEST_CASE("deployments that cannot be are refused with the cure", "[faas]")
{
    if (!has_node()) SKIP("there is no /usr/bin/node");
    server_process server{
        {.config = std::string{no_toolchain} + R"(, "faas": {"allowInstall": false, "maxDeployments": 1})",
         .wait_ready = false}};
    http_client client{server};
    const auto refused = [&](json::object what) {
        const auto answer = client.post("/faas/deploy", what);
        CHECK(answer.status == 422);
        CHECK(text(answer.json(), "code") == "unprocessable");
        return text(answer.json(), "error");
    };
    CHECK(refused({{"runtime", "cobol"}, {"code", "x"}}).find("cobol") != std::string::npos);
    CHECK(refused({{"runtime", "node"}, {"code", "x"}, {"entry_point", "node a && b"}}).find("shell") !=
          std::string::npos);
    // What is long is neither kept nor told back.
    const std::string megabyte(1'000'000, 'a');
    for (const auto& long_one : {refused({{"runtime", "node"}, {"code", "x"}, {"entry_point", "node " + megabyte}}),
                                 refused({{"runtime", megabyte}, {"code", "x"}})})
        CHECK(long_one.size() < 1'000);
    auto with_script = one_file("package.json", R"({"scripts":{"start":"node )" + megabyte.substr(0, 100'000) + "\"}}");
    with_script["runtime"] = "node";
    with_script["code"] = "x";
    with_script["entry_point"] = "npm start";
    CHECK(refused(with_script).find("4096") != std::string::npos);
    auto with_packages = one_file("package.json", R"({"dependencies":{"express":"^4"}})");
    with_packages["runtime"] = "node";
    with_packages["code"] = "x";
    CHECK(refused(with_packages).find("allowInstall") != std::string::npos);
    with_packages = one_file("package.json", R"({"dependencies":{"evil":"git+https://example.com/x"}})");
    with_packages["runtime"] = "node";
    with_packages["code"] = "x";
    CHECK(refused(with_packages).find("evil") != std::string::npos);
    CHECK(client.request("POST", "/faas/deploy", {{"Content-Type", "text/plain"}}, "x").status == 415);
    CHECK(client.get("/faas/deployments").json().at("count").as_int64() == 0);

    // One that ends by itself is there, with its log; a second one is too many.
    const auto ends = client.post("/faas/deploy", {{"runtime", "node"}, {"code", "console.log('only this')"}});
    CHECK(ends.status == 200);
    CHECK(text(ends.json(), "status") == "Completed");
    CHECK(client.post("/faas/deploy", {{"runtime", "node"}, {"code", "1"}}).status == 503);
}

TEST_CASE("a server that is killed leaves no program, and its successor has the deployments", "[faas]")
{
    if (!has_node()) SKIP("there is no /usr/bin/node");
    const temporary_directory work;
    const auto mark = marker();
    std::string id;
    {
        server_process server{{.config = no_toolchain, .working_dir = work.path(), .wait_ready = false}};
        http_client client{server};
        const auto made = client.post("/faas/deploy",
                                      {{"runtime", "node"}, {"code", hello}, {"entry_point", "node index.js " + mark}});
        REQUIRE(made.status == 200);
        id = text(made.json(), "deployment_id");
        CHECK_FALSE(processes_with(mark).empty());
        server.signal(SIGKILL);
        CHECK_FALSE(server.wait().exited);
        CHECK(eventually([&] { return processes_with(mark).empty(); }));
    }
    server_process server{{.config = no_toolchain, .working_dir = work.path(), .wait_ready = false}};
    http_client client{server};
    const auto path = "/faas/deployments/" + id;
    CHECK(text(client.get(path).json(), "status") == "Stopped");
    auto body = one_file("data.txt", "x");
    body["restart_dev_server"] = true;
    const auto started =
        client.request("PUT", path + "/files", {{"Content-Type", "application/json"}}, json::serialize(body));
    CHECK(started.status == 200);
    CHECK(text(started.json(), "status") == "Running");
    CHECK(server.stop().code == 0);
    CHECK(processes_with(mark).empty());
}

TEST_CASE("packages come from the registry, once for all who ask for the same", "[faas]")
{
    if (!has_node() || output_of("npm --version 2>/dev/null").code != 0) SKIP("there is no node or npm");
    auto registry = output_of("npm config get registry 2>/dev/null").out;
    while (registry.ends_with('\n')) registry.pop_back();
    if (output_of("npm view express@4 name --registry '" + registry + "' 2>/dev/null").code != 0)
        SKIP("the registry " + registry + " cannot be reached");
    const char* const ca = std::getenv("NODE_EXTRA_CA_CERTS");
    const auto config = std::string{no_toolchain} + R"(, "faas": {"registry": ")" + registry +
                        R"(", "installCaFile": ")" + (ca ? ca : "") + "\"}";
    server_process server{{.config = config, .wait_ready = false}};
    http_client client{server};
    json::object what{
        {"runtime", "node"},
        {"entry_point", "npm run dev"},
        {"files",
         json::array{
             json::object{{"path", "package.json"},
                          {"content", R"({"scripts":{"dev":"node index.js"},"dependencies":{"express":"^4.18.2"}})"}},
             json::object{{"path", "index.js"}, {"content", "const app = require('express')(); app.listen(3000);"}}}}};
    for (int i = 0; i < 2; ++i) {
        const auto made = client.post("/faas/deploy", what);
        INFO(made.body);
        REQUIRE(made.status == 200);
        CHECK(text(made.json(), "status") == "Running");
    }
    CHECK(server.metric("sandboxd_faas_installs_total{end=\"installed\"}") == 1);
    CHECK(server.metric("sandboxd_faas_deployments{status=\"Running\"}") == 2);
    // A package that is not there is the client's mistake, and says so.
    what["files"].as_array()[0].as_object()["content"] =
        R"({"scripts":{"dev":"node index.js"},"dependencies":{"express":"999.0.0"}})";
    const auto missing = client.post("/faas/deploy", what);
    CHECK(missing.status == 422);
    CHECK(text(missing.json(), "code") == "install_failed");
    CHECK(names_in(server.working_dir() / "packages" / ".work").empty());
}
