// What a key may use: each limit is asked before work starts, and said by name.
#include "support/eventually.hpp"
#include "support/held_toolchain.hpp"
#include "support/http_client.hpp"
#include "support/keys.hpp"
#include "support/server_process.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <csignal>
#include <string>
#include <vector>

using namespace sandboxd::test;
namespace json = boost::json;

namespace {

const std::vector<std::string> all_but_admin{"compile", "execute", "sandbox", "deploy"};
const header_list a = with_key("key-of-a");
const header_list b = with_key("key-of-b");

// Tenant a with these limits, b without any, and an operator.
std::vector<told_key> keys_with(const std::string& limits)
{
    return {{"a", "key-of-a", all_but_admin, limits}, {"b", "key-of-b", all_but_admin}, {"op", "key-of-op", {"admin"}}};
}

bool tells(http_client& client, const std::string& sample)
{
    return client.get("/metrics", with_key("key-of-op")).body.find("\n" + sample + "\n") != std::string::npos;
}

void check_refused(const http_answer& answer, const std::string& code, const std::string& limit,
                   const std::string& policy)
{
    CAPTURE(answer.body, code);
    REQUIRE(answer.status == 429);
    CHECK(answer.json().at("code").as_string() == code);
    CHECK(answer.body.find("limits." + limit + " of the key)") != std::string::npos);
    CHECK(answer.field("ratelimit-policy") == "\"" + limit + "\";" + policy);
    CHECK(answer.field("ratelimit").starts_with("\"" + limit + "\";r=0"));
    CHECK(std::stoi(answer.field("retry-after")) >= 1);
}

json::object script(const std::string& text) { return {{"script", text}}; }

}  // namespace

TEST_CASE("a key has a number of requests in a minute", "[tenants][limits]")
{
    const keys_file keys{keys_with(R"({"requestsPerMinute": 2})")};
    server_process server{{.config = std::string{no_toolchain} + ", " + keys.config(), .wait_ready = false}};
    http_client client{server};
    const auto ask = [&](const header_list& who) { return client.post("/compile", json::object{}, who); };
    for (int i = 0; i < 2; ++i) CHECK(ask(a).status == 400);
    check_refused(ask(a), "tenant_request_limit", "requestsPerMinute", "q=2;w=60");
    const auto agent = client.post("/mcp", json::object{}, a);
    CHECK(agent.status == 429);
    CHECK(agent.json().at("error").at("data").at("code").as_string() == "tenant_request_limit");
    CHECK(client.get("/runtimes", a).status == 200);
    for (int i = 0; i < 5; ++i) CHECK(ask(b).status == 400);
    // A key without the scope is told that first.
    CHECK(ask(with_key("key-of-op")).status == 403);
    CHECK(tells(client, "sandboxd_tenant_refused_total{tenant=\"a\",limit=\"requestsPerMinute\"} 2"));
}

TEST_CASE("a key has a number of jobs at once", "[tenants][limits]")
{
    const held_toolchain tools;
    const keys_file keys{keys_with(R"({"concurrentJobs": 1})")};
    server_process server{{.config = tools.config() + ", " + keys.config()}};
    const auto program = [](int salt) {
        return json::object{{"code", "int main(void) { return " + std::to_string(salt) + "; }"}};
    };
    tools.hold();
    http_client client{server};
    http_client first{server};
    first.start_post("/compile", program(1), a);
    REQUIRE(eventually([&] { return tells(client, "sandboxd_tenant_jobs{tenant=\"a\"} 1"); }));
    check_refused(client.post("/compile", program(2), a), "tenant_job_limit", "concurrentJobs",
                  "q=1;qu=\"concurrent-requests\"");
    http_client others{server};
    others.start_post("/compile", program(2), b);
    REQUIRE(eventually([&] { return tells(client, "sandboxd_tenant_jobs{tenant=\"b\"} 1"); }));
    tools.release();
    CHECK(first.receive().status == 200);
    CHECK(others.receive().status == 200);
    CHECK(client.post("/compile", program(2), a).status == 200);
    CHECK(tells(client, "sandboxd_tenant_jobs{tenant=\"a\"} 0"));
}

TEST_CASE("a job whose client leaves is over, and has used what it has used", "[tenants][limits]")
{
    const held_toolchain tools;
    const keys_file keys{keys_with(R"({"concurrentJobs": 1})")};
    server_process server{{.config = tools.config() + ", " + keys.config()}};
    tools.hold();
    http_client client{server};
    {
        http_client leaving{server};
        leaving.start_post("/compile", json::object{{"code", "int main(void) { return 1; }"}}, a);
        REQUIRE(eventually([&] { return tells(client, "sandboxd_jobs_running 1"); }));
    }
    CHECK(eventually([&] { return tells(client, "sandboxd_tenant_jobs{tenant=\"a\"} 0"); }));
    CHECK(eventually([&] { return !tells(client, "sandboxd_tenant_cpu_seconds_total{tenant=\"a\"} 0"); }));
    tools.release();
}

TEST_CASE("a key has processor seconds of a day", "[tenants][limits]")
{
    const keys_file keys{keys_with(R"({"cpuSecondsPerDay": 1})")};
    server_process server{{.config = keys.config()}};
    http_client client{server};
    const auto compile = [&](int salt, const header_list& who) {
        return client.post("/compile",
                           json::object{{"code", "int main(void) { return " + std::to_string(salt) + "; }"}}, who);
    };
    auto last = compile(0, a);
    CHECK(last.status == 200);
    // Each takes some time, however fast this machine is.
    for (int salt = 1; salt < 200 && last.status == 200; ++salt) last = compile(salt, a);
    check_refused(last, "tenant_cpu_limit", "cpuSecondsPerDay", "q=1;w=86400");
    CHECK(compile(0, b).status == 200);
    CHECK(compile(0, a).status == 429);  // also what is there already
}

TEST_CASE("a key has fuel of a day, also after a reload", "[tenants][limits][js]")
{
    const keys_file keys{keys_with(R"({"fuelPerDay": 1})")};
    server_process server{
        {.config = std::string{no_toolchain} + ", " + keys.config(), .wait_ready = false, .js = true}};
    http_client client{server};
    REQUIRE(eventually([&] { return client.get("/api/health").status == 200; }));
    const auto run = [&](const header_list& who) { return client.post("/execute", script("6 * 7"), who); };
    CHECK(run(a).status == 200);
    check_refused(run(a), "tenant_fuel_limit", "fuelPerDay", "q=1;w=86400");
    CHECK(client.post("/api/execute", json::object{{"code", "6 * 7"}}, a).status == 429);
    CHECK(run(b).status == 200);
    const auto tool =
        client.post("/mcp",
                    json::object{{"jsonrpc", "2.0"},
                                 {"id", 1},
                                 {"method", "tools/call"},
                                 {"params", json::object{{"name", "execute"}, {"arguments", script("6 * 7")}}}},
                    {{"Authorization", "Bearer key-of-a"}, {"Accept", "application/json, text/event-stream"}});
    CHECK(tool.body.find("\"result\":42") == std::string::npos);
    keys.put(keys_with(R"({"fuelPerDay": 1})"));
    server.signal(SIGHUP);
    REQUIRE(eventually([&] { return tells(client, "sandboxd_auth_reloads_total{result=\"ok\"} 1"); }));
    CHECK(run(a).status == 429);
    keys.put(keys_with("{}"));
    server.signal(SIGHUP);
    CHECK(eventually([&] { return run(a).status == 200; }));
}

TEST_CASE("a run that is broken off has used all that it might have", "[tenants][limits][js]")
{
    // More than any run that says what it has burnt.
    const keys_file keys{keys_with(R"({"fuelPerDay": 400000000})")};
    server_process server{
        {.config = std::string{no_toolchain} +
                   R"(, "js": {"timeoutMs": 60000, "maxTimeoutMs": 60000, "workers": 1, "reservedWorkers": 0}, )" +
                   keys.config(),
         .wait_ready = false}};
    http_client client{server};
    REQUIRE(eventually([&] { return client.get("/api/health").status == 200; }));
    CHECK(client.post("/execute", script("1"), a).status == 200);
    CHECK(client.post("/execute", script("1"), a).status == 200);
    {
        http_client leaving{server};
        leaving.start_post("/execute", json::object{{"script", "for (;;);"}, {"fuel", 20'000'000'000}}, a);
        REQUIRE(eventually([&] { return tells(client, "sandboxd_tenant_jobs{tenant=\"a\"} 1"); }));
        REQUIRE(eventually([&] { return tells(client, "sandboxd_js_workers_idle 0"); }));
    }
    REQUIRE(eventually([&] { return tells(client, "sandboxd_tenant_jobs{tenant=\"a\"} 0"); }));
    check_refused(client.post("/execute", script("1"), a), "tenant_fuel_limit", "fuelPerDay", "q=400000000;w=86400");
}

TEST_CASE("a key keeps a number of bytes", "[tenants][limits][sandboxes]")
{
    const keys_file keys{keys_with(R"({"keptBytes": 40})")};
    server_process server{{.config = std::string{no_toolchain} + ", " + keys.config(), .wait_ready = false}};
    http_client client{server};
    const auto make = [&](const std::string& code, const header_list& who) {
        return client.post("/sandbox", json::object{{"runtime", "node"}, {"code", code}}, who);
    };
    const std::string half(21, ' ');
    check_refused(make(half + half, a), "tenant_storage_limit", "keptBytes", "q=40;qu=\"content-bytes\"");
    check_refused(client.post("/faas/deploy", json::object{{"runtime", "node"}, {"code", half + half}}, a),
                  "tenant_storage_limit", "keptBytes", "q=40;qu=\"content-bytes\"");
    const auto first = make(half, a);
    if (first.status == 422) SKIP("there is no Node.js: " << first.body);
    REQUIRE(first.status == 200);
    CHECK(make(half, a).status == 429);
    CHECK(make(half + half, b).status == 200);
    const auto place = "/sandbox/" + std::string{first.json().at("id").as_string()};
    CHECK(client.request("DELETE", place, a).status == 204);
    CHECK(make(half, a).status == 200);
}

TEST_CASE("a key has a number of deployments, also after a restart", "[tenants][limits][faas]")
{
    const keys_file keys{keys_with(R"({"deployments": 1, "keptBytes": 200})")};
    const temporary_directory own;
    const server_options options{
        .config = std::string{no_toolchain} + ", " + keys.config(), .working_dir = own.path(), .wait_ready = false};
    constexpr const char* program = "require('http').createServer((q, r) => r.end('served')).listen(process.env.PORT)";
    const auto deploy = [&](http_client& client, const header_list& who) {
        return client.post("/faas/deploy", json::object{{"runtime", "node"}, {"code", program}}, who);
    };
    std::string id;
    {
        server_process server{options};
        http_client client{server};
        const auto made = deploy(client, a);
        if (made.status == 422) SKIP("there is no Node.js: " << made.body);
        REQUIRE(made.status == 200);
        id = made.json().at("deployment_id").as_string();
        check_refused(deploy(client, a), "tenant_deployment_limit", "deployments", "q=1");
        CHECK(deploy(client, b).status == 200);
        CHECK(server.stop().code == 0);
    }
    server_process server{options};
    http_client client{server};
    check_refused(deploy(client, a), "tenant_deployment_limit", "deployments", "q=1");
    auto fields = a;
    fields.emplace_back("Content-Type", "application/json");
    const auto add = [&](std::size_t bytes) {
        const auto body = R"({"files": [{"path": "a.txt", "content": ")" + std::string(bytes, 'x') + "\"}]}";
        return client.request("PUT", "/faas/deployments/" + id + "/files", fields, body);
    };
    check_refused(add(200), "tenant_storage_limit", "keptBytes", "q=200;qu=\"content-bytes\"");
    CHECK(add(80).status == 200);
    CHECK(add(80).status == 429);
    CHECK(client.request("DELETE", "/faas/deployments/" + id, a).status == 204);
    CHECK(deploy(client, a).status == 200);
}
