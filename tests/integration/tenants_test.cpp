// Keys: who may ask what, and how keys come and go.
#include "support/agent.hpp"
#include "support/eventually.hpp"
#include "support/held_toolchain.hpp"
#include "support/http_client.hpp"
#include "support/keys.hpp"
#include "support/server_process.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <csignal>
#include <map>
#include <memory>
#include <regex>
#include <string>
#include <vector>

using namespace sandboxd::test;
namespace json = boost::json;

namespace {

const std::string no_compiler = std::string{no_toolchain} + ", ";

std::string sample(const http_answer& metrics, const std::string& name)
{
    const auto at = metrics.body.find("\n" + name + " ");
    if (at == std::string::npos) return {};
    const auto from = at + name.size() + 2;
    return metrics.body.substr(from, metrics.body.find('\n', from) - from);
}

// What an endpoint needs, as decided: a change of the table of routes changes this one, too.
const std::map<std::string, std::string> decided{
    {"GET /healthz", "open"},
    {"GET /livez", "open"},
    {"GET /readyz", "open"},
    {"GET /version", "open"},
    {"GET /openapi.json", "open"},
    {"GET /docs", "open"},
    {"GET /docs/{name}", "open"},
    {"GET /", "open"},
    {"GET /playground/{name}", "open"},
    {"GET /health", "open"},
    {"GET /api/health", "open"},
    {"GET /api/examples", "open"},
    {"GET /api/examples/{name}", "open"},
    {"GET /artifacts/{id}/{name}", "open"},
    {"GET /metrics", "admin"},
    {"POST /admin/keys", "keys"},
    {"GET /admin/keys", "keys"},
    {"DELETE /admin/keys/{sha256}", "keys"},
    {"POST /compile", "compile"},
    {"POST /execute", "execute"},
    {"POST /execute/continue", "execute"},
    {"POST /api/execute", "execute"},
    {"POST /mcp", "any key"},
    {"GET /jobs/{id}", "any key"},
    {"DELETE /jobs/{id}", "any key"},
    {"GET /runtimes", "any key"},
    {"POST /sandbox", "sandbox"},
    {"GET /sandbox", "sandbox"},
    {"GET /sandboxes", "sandbox"},
    {"GET /sandbox/{id}", "sandbox"},
    {"DELETE /sandbox/{id}", "sandbox"},
    {"POST /sandbox/{id}/execute", "sandbox"},
    {"POST /faas/deploy", "deploy"},
    {"GET /faas/deployments", "deploy"},
    {"GET /faas/deployments/{id}", "deploy"},
    {"DELETE /faas/deployments/{id}", "deploy"},
    {"PUT /faas/deployments/{id}/files", "deploy"},
    {"PUT /faas/deployments/{id}/revision", "deploy"},
    {"GET /faas/deployments/{id}/logs", "deploy"},
};

struct described {
    std::string method;
    std::string path;
    std::string needs;  // as in `decided`
};

// Every operation of /openapi.json, those of deployments' own paths left out.
std::vector<described> operations_of(const json::value& document)
{
    std::vector<described> all;
    for (const auto& path : document.at("paths").as_object()) {
        const std::string name{path.key()};
        if (name.starts_with("/proxy/") || name == "/faas/{id}" || name.starts_with("/faas/{id}/")) continue;
        for (const auto& one : path.value().as_object()) {
            std::string method{one.key()};
            std::ranges::transform(method, method.begin(), [](char c) { return static_cast<char>(c & ~0x20); });
            std::string needs = "open";
            if (const auto* const security = one.value().as_object().if_contains("security")) {
                const auto& scopes = security->at(0).at("key").as_array();
                needs = scopes.empty() ? "any key" : std::string{scopes.at(0).as_string()};
            }
            all.push_back({method, name, needs});
        }
    }
    return all;
}

std::string some_target(const std::string& path)
{
    static const std::regex segment{R"(\{\w+\})"};
    return std::regex_replace(path, segment, "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa");
}

http_answer ask(http_client& client, const described& one, header_list fields)
{
    const bool has_body = one.method == "POST" || one.method == "PUT";
    if (has_body) fields.emplace_back("Content-Type", "application/json");
    return client.request(one.method, some_target(one.path), fields, has_body ? "{}" : "");
}

bool is_challenged(const http_answer& answer, const std::string& how)
{
    CAPTURE(answer.field("www-authenticate"));
    return answer.field("www-authenticate") == "Bearer realm=\"sandboxd\"" + how;
}

}  // namespace

TEST_CASE("every endpoint asks for the key that was decided", "[tenants]")
{
    std::vector<told_key> all{{"everything", "key-of-everything", every_scope}};
    for (const auto& left_out : every_scope) {
        told_key one{"without-" + left_out, "key-without-" + left_out, {}};
        for (const auto& scope : every_scope)
            if (scope != left_out) one.scopes.push_back(scope);
        all.push_back(one);
    }
    const keys_file keys{all};
    server_process server{{.config = no_compiler + keys.config(), .wait_ready = false}};
    http_client client{server};
    const auto document = client.get("/openapi.json").json();
    const auto& scheme = document.at("components").at("securitySchemes").at("key");
    CHECK(scheme.at("type").as_string() == "http");
    CHECK(scheme.at("scheme").as_string() == "bearer");
    std::map<std::string, std::string> found;
    for (const auto& one : operations_of(document)) {
        CAPTURE(one.method, one.path, one.needs);
        found[one.method + " " + one.path] = one.needs;
        const bool open = one.needs == "open";
        const auto without = ask(client, one, {});
        CHECK((without.status == 401) == !open);
        if (!open) CHECK(is_challenged(without, ""));
        const auto wrong = ask(client, one, with_key("key-of-nobody"));
        CHECK((wrong.status == 401) == !open);
        if (!open) CHECK(is_challenged(wrong, R"(, error="invalid_token")"));
        const auto right = ask(client, one, with_key("key-of-everything"));
        CHECK(right.status != 401);
        CHECK(right.status != 403);
        CHECK(right.field("www-authenticate").empty());
        if (open || one.needs == "any key") continue;
        const auto lacking = ask(client, one, with_key("key-without-" + one.needs));
        CHECK(lacking.status == 403);
        CHECK(is_challenged(lacking, ", error=\"insufficient_scope\", scope=\"" + one.needs + '"'));
        CHECK(lacking.body.find("insufficient_scope") != std::string::npos);
        CHECK(lacking.body.find("lacks the scope '" + one.needs + "'") != std::string::npos);
        // Not every key is one of the file.
        CHECK(lacking.body.find("ask the operator") != std::string::npos);
        CHECK(lacking.body.find("keysFile") == std::string::npos);
    }
    CHECK(found == decided);
    // GET's row answers HEAD.
    CHECK(client.head("/metrics").status == 401);
    CHECK(client.head("/metrics", with_key("key-of-everything")).status == 200);
}

TEST_CASE("without keys nothing asks for one, and nothing says that it could", "[tenants]")
{
    server_process server{{.config = no_toolchain, .wait_ready = false}};
    http_client client{server};
    const auto document = client.get("/openapi.json").json();
    CHECK_FALSE(document.at("components").as_object().contains("securitySchemes"));
    for (const auto& one : operations_of(document)) {
        CAPTURE(one.method, one.path);
        CHECK(one.needs == "open");
        // Whatever the field says.
        CHECK(ask(client, one, with_key("key-of-nobody")).status != 401);
    }
    CHECK(client.get("/metrics").body.find("sandboxd_auth") == std::string::npos);
    CHECK(client.get("/readyz").json().at("warnings").as_array().empty());
}

TEST_CASE("a refusal has the shape of its endpoint, and comes before the body", "[tenants]")
{
    const keys_file keys{{{"a", "key-a", {"admin"}}}};
    server_process server{{.config = no_compiler + keys.config(), .wait_ready = false}};
    http_client client{server};
    const auto compile = client.post("/compile", json::object{{"code", "int"}});
    CHECK(compile.status == 401);
    CHECK(compile.json().at("code").as_string() == "unauthorized");
    CHECK(compile.json().at("js").as_string().empty());
    const auto execute = client.post("/execute", json::object{{"script", "1"}});
    CHECK(execute.status == 401);
    CHECK(execute.json().at("status").as_string() == "INVALID_REQUEST");
    const auto agent = client.post("/mcp", json::object{});
    CHECK(agent.status == 401);
    CHECK(agent.json().at("error").at("data").at("code").as_string() == "unauthorized");
    const auto problem = client.get("/sandboxes", {{"Accept", "application/problem+json"}});
    CHECK(problem.status == 401);
    CHECK(problem.json().at("type").as_string() == "/openapi.json#/x-error-codes/unauthorized");

    http_client waits{server};
    REQUIRE(
        waits.send("POST /compile HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                   "Content-Length: 1000000\r\n\r\n"));
    CHECK(waits.receive().status == 401);
    // A page that may ask may also send a key, and read that it needs one.
    CHECK(client.request("OPTIONS", "/compile").status == 204);
    CHECK(client.request("PATCH", "/compile").status == 405);
    CHECK(client.get("/nowhere").status == 404);
}

TEST_CASE("a preflight allows Authorization where the origin is allowed", "[tenants]")
{
    const header_list preflight{{"Origin", "https://ide.example"}, {"Access-Control-Request-Method", "POST"}};
    const std::string origins = R"("http": {"apiCorsOrigins": ["https://ide.example"]}, )";
    const auto allowed = [&](const server_process& server) {
        http_client client{server};
        const auto answer = client.request("OPTIONS", "/compile", preflight);
        CHECK(answer.field("access-control-allow-origin") == "https://ide.example");
        return answer.field("access-control-allow-headers");
    };
    const keys_file keys{{{"a", "key-a", {"compile"}}}};
    server_process server{{.config = no_compiler + origins + keys.config(), .wait_ready = false}};
    CHECK(allowed(server).find("authorization") != std::string::npos);
    http_client client{server};
    const auto refused = client.post("/compile", json::object{}, {{"Origin", "https://ide.example"}});
    CHECK(refused.status == 401);
    CHECK(refused.field("access-control-allow-origin") == "https://ide.example");
    // A key does not open the server to other pages.
    auto elsewhere = with_key("key-a");
    elsewhere.emplace_back("Origin", "https://elsewhere.example");
    CHECK(client.post("/compile", json::object{}, elsewhere).json().at("code").as_string() == "forbidden");

    server_process keyless{{.config = origins + no_toolchain, .wait_ready = false}};
    CHECK(allowed(keyless).find("authorization") == std::string::npos);
}

TEST_CASE("keys are reloaded by SIGHUP, and a broken file changes nothing", "[tenants]")
{
    const keys_file keys{{{"a", "key-a", every_scope}, {"b", "key-b", every_scope}}};
    server_process server{{.config = no_compiler + keys.config(R"("reloadSecs": 3600)"), .wait_ready = false}};
    http_client client{server};
    const auto status = [&client](const std::string& key) { return client.get("/metrics", with_key(key)).status; };
    const auto degraded = [&client] { return json::serialize(client.get("/readyz").json().at("degraded")); };
    CHECK(status("key-a") == 200);
    CHECK(degraded().find("auth") == std::string::npos);

    keys.put({{"b", "key-b", every_scope}, {"c", "key-c", every_scope}});
    CHECK(status("key-c") == 401);
    server.signal(SIGHUP);
    CHECK(eventually([&] { return status("key-c") == 200; }));
    CHECK(status("key-a") == 401);
    CHECK(status("key-b") == 200);
    CHECK(server.logs("audit: keys loaded keys=2 added=1 removed=1"));

    keys.put_text(R"({"keys": [{"name": "secret-name"}]})");
    server.signal(SIGHUP);
    CHECK(eventually([&] { return degraded().find("auth: the keys file cannot be used") != std::string::npos; }));
    CHECK(degraded().find("secret-name") == std::string::npos);
    CHECK(server.logs("keys[0].sha256 is required"));
    CHECK(status("key-c") == 200);

    // The scopes of a key change with the file.
    keys.put({{"b", "key-b", every_scope}, {"c", "key-c", {"compile"}}});
    server.signal(SIGHUP);
    CHECK(eventually([&] { return status("key-c") == 403; }));
    CHECK(degraded().find("auth") == std::string::npos);
    const auto metrics = client.get("/metrics", with_key("key-b"));
    CHECK(sample(metrics, "sandboxd_auth_keys{from=\"file\"}") == "2");
    CHECK(sample(metrics, "sandboxd_auth_reloads_total{result=\"ok\"}") == "2");
    CHECK(sample(metrics, "sandboxd_auth_reloads_total{result=\"failed\"}") == "1");
    CHECK(server.stop().code == 0);
}

TEST_CASE("a replaced keys file is noticed", "[tenants]")
{
    const keys_file keys{{{"a", "key-a", every_scope}}};
    server_process server{{.config = no_compiler + keys.config(R"("reloadSecs": 1)"), .wait_ready = false}};
    http_client client{server};
    CHECK(client.get("/metrics", with_key("key-a")).status == 200);
    keys.put({{"b", "key-b", every_scope}});
    CHECK(eventually([&] { return client.get("/metrics", with_key("key-b")).status == 200; }));
    CHECK(client.get("/metrics", with_key("key-a")).status == 401);
    keys.put({});
    CHECK(eventually([&] { return client.get("/metrics", with_key("key-b")).status == 401; }));
    CHECK(server.stop().code == 0);
}

TEST_CASE("requests are counted by tenant, refusals by reason, and no key is logged", "[tenants]")
{
    const keys_file keys{{{"a", "key-of-a-that-is-secret", {"sandbox"}}, {"operator", "key-op", {"admin"}}}};
    server_process server{
        {.config = no_compiler + R"("log": {"level": "debug"}, )" + keys.config(), .wait_ready = false}};
    http_client client{server};
    for (int i = 0; i < 3; ++i) CHECK(client.get("/sandboxes", with_key("key-of-a-that-is-secret")).status == 200);
    CHECK(client.get("/metrics", with_key("key-of-a-that-is-secret")).status == 403);
    CHECK(client.get("/sandboxes").status == 401);
    CHECK(client.get("/sandboxes", with_key("guessed-key")).status == 401);
    CHECK(client.get("/sandboxes", {{"Authorization", "Bearer a b"}}).status == 400);
    CHECK(client.get("/healthz", with_key("guessed-key")).status == 200);
    const auto metrics = client.get("/metrics", with_key("key-op"));
    CHECK(sample(metrics, "sandboxd_tenant_requests_total{tenant=\"a\"}") == "4");
    CHECK(sample(metrics, "sandboxd_tenant_requests_total{tenant=\"operator\"}") == "1");
    for (const auto* reason : {"missing", "malformed", "unknown", "scope"})
        CHECK(sample(metrics, "sandboxd_auth_refused_total{reason=\"" + std::string{reason} + "\"}") == "1");
    CHECK(server.stop().code == 0);
    const auto log = server.log();
    for (const auto* key : {"key-of-a-that-is-secret", "guessed-key", "key-op"})
        CHECK(log.find(key) == std::string::npos);
}

TEST_CASE("a server does not start with keys that it cannot use", "[tenants]")
{
    const keys_file keys{{{"a", "key-a", every_scope}}};
    const temporary_directory own;
    const auto config = own / "config.json";
    write_file(config, "{" + no_compiler + keys.config() + "}");
    const std::vector<std::string> start{"--config", config, "--addr", "127.0.0.1:0", "--working-dir", own / "work"};
    auto checked = start;
    checked.emplace_back("--check-config");
    const auto says = [&](const std::string& what) {
        CAPTURE(what);
        const auto started = run_sandboxd(start);
        CAPTURE(started.err);
        CHECK(started.end.code == 2);
        CHECK(started.err.find("auth.keysFile: " + what) != std::string::npos);
        CHECK(run_sandboxd(checked).err.find("auth.keysFile: " + what) != std::string::npos);
    };
    const auto file = keys.path().native();
    CHECK(run_sandboxd(checked).err.find("auth.keysFile") == std::string::npos);
    keys.put_text("{}");
    says(file + ": keys is required");
    keys.put({{"a", "key-a", every_scope}});
    REQUIRE(::chmod(file.c_str(), 0666) == 0);
    says(file + " can be written by its group or by others");
    std::filesystem::remove(file);
    says(file + ": No such file");
}

TEST_CASE("a server that others can reach without keys says so", "[tenants]")
{
    const keys_file keys{{{"a", "key-a", every_scope}}};
    const temporary_directory own;
    const auto warnings = [](const server_process& server, http_client& client) {
        const bool logged = server.log().find("nobody needs a key") != std::string::npos;
        const auto told = client.get("/readyz").json().at("warnings").as_array();
        CHECK(logged == !told.empty());
        return told.size();
    };
    {
        server_process server{{.config = no_toolchain, .addr = "0.0.0.0:0", .wait_ready = false}};
        http_client client{server};
        CHECK(warnings(server, client) == 1);
    }
    {
        server_process server{{.config = no_compiler + keys.config(), .addr = "0.0.0.0:0", .wait_ready = false}};
        http_client client{server};
        CHECK(warnings(server, client) == 0);
    }
    {
        const auto path = (own / "http.socket").native();
        server_process server{{.config = no_toolchain, .addr = "unix:" + path, .wait_ready = false}};
        http_client client{path};
        CHECK(warnings(server, client) == 0);
    }
}

TEST_CASE("artifacts are open to who knows the id, or need a key", "[tenants]")
{
    const keys_file keys{{{"a", "key-a", {"compile"}}, {"b", "key-b", {"execute"}}}};
    constexpr const char* artifact = "/artifacts/abde6e8b89cd7a7bf074f41cf88e6c57/app.js";
    {
        server_process server{{.config = no_compiler + keys.config(), .wait_ready = false}};
        http_client client{server};
        CHECK(client.get(artifact).status == 404);
    }
    server_process server{{.config = no_compiler + keys.config(R"("openArtifacts": false)"), .wait_ready = false}};
    http_client client{server};
    CHECK(client.get(artifact).status == 401);
    CHECK(client.get(artifact, with_key("key-b")).status == 403);
    CHECK(client.get(artifact, with_key("key-a")).status == 404);
    const auto read = [&](const std::string& key) {
        return agent::ask(client, "resources/read", {{"uri", server.url() + artifact}}, with_key(key));
    };
    CHECK(read("key-b").status == 403);
    CHECK(read("key-a").status != 403);
}

TEST_CASE("an agent's tool needs the scope of its endpoint", "[tenants][mcp]")
{
    std::vector<told_key> all{{"everything", "key-of-everything", every_scope},
                              {"operator", "key-of-admin", {"admin"}}};
    for (const auto& one : every_scope) {
        told_key without{"without-" + one, "key-without-" + one, {}};
        for (const auto& scope : every_scope)
            if (scope != one) without.scopes.push_back(scope);
        all.push_back(without);
    }
    const keys_file keys{all};
    server_process server{{.config = no_compiler + keys.config(), .wait_ready = false, .js = true}};
    http_client client{server};
    const auto call = [&](const std::string& tool, const std::string& key) {
        return agent::ask(client, "tools/call", {{"name", tool}, {"arguments", json::object{}}}, with_key(key));
    };
    CHECK(agent::ask(client, "tools/list").status == 401);
    const auto listed = agent::ask(client, "tools/list", {}, with_key("key-of-admin"));
    CHECK(listed.status == 200);
    const std::map<std::string, std::string> needed{
        {"compile", "compile"},     {"run_javascript", "execute"}, {"continue_javascript", "execute"},
        {"run_program", "sandbox"}, {"deploy", "deploy"},          {"logs", "deploy"},
        {"undeploy", "deploy"}};
    const auto tools = listed.json().at("result").at("tools");
    for (const auto& one : tools.as_array()) {
        const std::string tool{one.at("name").as_string()};
        CAPTURE(tool);
        REQUIRE(needed.contains(tool));
        const auto& scope = needed.at(tool);
        const auto refused = call(tool, "key-without-" + scope);
        CHECK(refused.status == 403);
        CHECK(is_challenged(refused, ", error=\"insufficient_scope\", scope=\"" + scope + '"'));
        CHECK(refused.json().at("id").as_int64() == 1);
        CHECK(refused.json().at("error").at("data").at("code").as_string() == "insufficient_scope");
        CHECK(call(tool, "key-of-everything").status == 200);
    }
    const auto ran =
        agent::ask(client, "tools/call", {{"name", "run_javascript"}, {"arguments", json::object{{"script", "1 + 1"}}}},
                   with_key("key-without-compile"));
    CHECK(ran.status == 200);
}

namespace {

const std::vector<told_key> two_tenants{{"a", "key-of-a", {"compile", "execute"}},
                                        {"b", "key-of-b", {"compile", "execute"}}};

// As a proxy in front tells it.
header_list from(const std::string& address, header_list fields)
{
    fields.emplace_back("X-Forwarded-For", address);
    return fields;
}

}  // namespace

TEST_CASE("a tenant is one client, from wherever he asks", "[tenants]")
{
    const keys_file keys{two_tenants};
    server_process server{
        {.config = no_compiler +
                   R"("http": {"maxRequestsPerMinutePerClient": 2}, "proxy": {"trustForwarded": true}, )" +
                   keys.config(),
         .wait_ready = false}};
    http_client client{server};
    const auto status = [&](const std::string& key, const std::string& address) {
        return client.post("/compile", json::object{}, from(address, with_key(key))).status;
    };
    // One tenant of several addresses.
    CHECK(status("key-of-a", "192.0.2.1") == 400);
    CHECK(status("key-of-a", "192.0.2.2") == 400);
    CHECK(status("key-of-a", "192.0.2.3") == 429);
    // Several tenants of one address, and nobody's key.
    CHECK(status("key-of-b", "192.0.2.3") == 400);
    CHECK(status("key-of-b", "192.0.2.3") == 400);
    CHECK(status("key-of-b", "192.0.2.3") == 429);
    CHECK(status("key-of-nobody", "192.0.2.3") == 401);
    CHECK(status("key-of-nobody", "192.0.2.3") == 401);
    CHECK(status("key-of-nobody", "192.0.2.3") == 429);
    CHECK(status("key-of-nobody", "192.0.2.4") == 401);
}

TEST_CASE("a proxy on the Unix socket that names nobody speaks for tenants", "[tenants]")
{
    const keys_file keys{two_tenants};
    const temporary_directory own;
    server_process server{{.config = no_compiler + R"("http": {"maxRequestsPerMinutePerClient": 1}, )" + keys.config(),
                           .addr = "unix:" + (own / "socket").native(),
                           .wait_ready = false}};
    http_client client{server};
    const auto status = [&](const std::string& key) {
        return client.post("/compile", json::object{}, with_key(key)).status;
    };
    CHECK(status("key-of-a") == 400);
    CHECK(status("key-of-a") == 429);
    CHECK(status("key-of-b") == 400);
    for (int i = 0; i < 3; ++i) CHECK(status("key-of-nobody") == 401);
}

TEST_CASE("jobs and kept answers are shared out by tenant", "[tenants][js]")
{
    const keys_file keys{two_tenants};
    server_process server{{.config = no_compiler +
                                     R"("asyncJobs": {"maxJobsPerClient": 1}, "proxy": {"trustForwarded": true}, )" +
                                     keys.config(),
                           .wait_ready = false,
                           .js = true}};
    http_client client{server};
    REQUIRE(eventually([&] { return client.get("/api/health").status == 200; }));
    const auto run = [&](const std::string& key, const std::string& address, const std::string& field,
                         const std::string& value) {
        auto fields = from(address, with_key(key));
        fields.emplace_back(field, value);
        return client.post("/execute", json::object{{"script", "Math.random()"}}, fields);
    };
    CHECK(run("key-of-a", "192.0.2.1", "Prefer", "respond-async").status == 202);
    CHECK(run("key-of-a", "192.0.2.2", "Prefer", "respond-async").status == 429);
    CHECK(run("key-of-b", "192.0.2.1", "Prefer", "respond-async").status == 202);

    const auto first = run("key-of-a", "192.0.2.1", "Idempotency-Key", "same");
    CHECK(first.status == 200);
    const auto again = run("key-of-a", "2001:db8::1", "Idempotency-Key", "same");
    CHECK(again.body == first.body);
    CHECK(again.field("idempotency-replayed") == "true");
    CHECK(run("key-of-b", "192.0.2.1", "Idempotency-Key", "same").body != first.body);
}

TEST_CASE("a tenant with many compiles in line delays another by one", "[tenants][admission]")
{
    const held_toolchain tools;
    const keys_file keys{{two_tenants[0], two_tenants[1], {"op", "key-of-op", every_scope}}};
    server_process server{
        {.config = R"("maxConcurrentJobs": 1, "reservedJobs": 0, )" + tools.config() + ", " + keys.config()}};
    tools.hold();
    std::vector<std::unique_ptr<http_client>> clients;
    const auto ask = [&](const std::string& key) {
        clients.push_back(std::make_unique<http_client>(server));
        const auto code = "int main(void) { return " + std::to_string(clients.size()) + "; }";
        clients.back()->start_post("/compile", json::object{{"code", code}}, with_key(key));
    };
    const auto in_line = [&](int jobs) {
        return eventually([&] {
            http_client op{server};
            return sample(op.get("/metrics", with_key("key-of-op")), "sandboxd_jobs_queued") == std::to_string(jobs);
        });
    };
    for (int i = 0; i < 4; ++i) {
        ask("key-of-a");
        REQUIRE(in_line(i));
    }
    ask("key-of-b");
    REQUIRE(in_line(4));
    tools.release();
    std::vector<double> waited;
    for (auto& one : clients) {
        const auto answer = one->receive();
        REQUIRE(answer.status == 200);
        waited.push_back(answer.json().at("timings").at("queueMs").to_number<double>());
    }
    // He came last and waited the least.
    for (std::size_t i = 1; i < 4; ++i) CHECK(waited[4] < waited[i]);
}
