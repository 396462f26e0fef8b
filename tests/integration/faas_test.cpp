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
#include <unistd.h>

#include <csignal>
#include <cstdlib>
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

}  // namespace

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

    CHECK(client.request("DELETE", path).status == 204);
    CHECK(client.request("DELETE", path).status == 404);
    CHECK(client.get(path).status == 404);
    CHECK(client.get(path + "/logs").status == 404);
    CHECK(client.request("PUT", path + "/files", as_json, json::serialize(body)).status == 404);
    CHECK(server.children().empty());
    CHECK(names_in(server.working_dir() / "deployments").empty());
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
    CHECK(refused({{"runtime", "python"}, {"code", "x"}}).find("python") != std::string::npos);
    CHECK(refused({{"runtime", "node"}, {"code", "x"}, {"entry_point", "node a && b"}}).find("shell") !=
          std::string::npos);
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
