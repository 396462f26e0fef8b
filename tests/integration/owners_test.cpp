// Two tenants of one server: what one of them makes is not there for the other.
#include "support/agent.hpp"
#include "support/eventually.hpp"
#include "support/http_client.hpp"
#include "support/keys.hpp"
#include "support/server_process.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <string>
#include <vector>

using namespace sandboxd::test;
namespace json = boost::json;

namespace {

constexpr const char* never_there = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa";

const std::vector<std::string> all_but_admin{"compile", "execute", "sandbox", "deploy"};

// Tenants a and b, and an operator.
struct house {
    keys_file keys{
        {{"a", "key-of-a", all_but_admin}, {"b", "key-of-b", all_but_admin}, {"op", "key-of-op", every_scope}}};

    server_options options(const std::string& more = {}) const
    {
        return {.config = std::string{no_toolchain} + ", " + more + keys.config(), .wait_ready = false};
    }
};

const header_list a = with_key("key-of-a");
const header_list b = with_key("key-of-b");
const header_list op = with_key("key-of-op");

header_list with(header_list fields, const std::string& name, const std::string& value)
{
    fields.emplace_back(name, value);
    return fields;
}

struct attempt {
    std::string method;
    std::string before;  // the id
    std::string behind;
    std::string body;
    header_list more{};
};

// Whether the other tenant's answer about `id` is the one about an id that was never there.
void check_hidden(http_client& client, const std::string& id, const std::vector<attempt>& attempts)
{
    for (const auto& one : attempts) {
        CAPTURE(one.method, one.before, one.behind, one.body);
        const auto ask = [&](const std::string& which) {
            auto fields = b;
            fields.insert(fields.end(), one.more.begin(), one.more.end());
            if (!one.body.empty()) fields.emplace_back("Content-Type", "application/json");
            return client.request(one.method, one.before + which + one.behind, fields, one.body);
        };
        auto theirs = ask(id);
        auto nobodys = ask(never_there);
        CHECK(theirs.status == nobodys.status);
        CHECK(theirs.status >= 400);
        CHECK(theirs.body == nobodys.body);
        for (const auto* differs : {"x-request-id", "date", "server-timing"}) {
            theirs.fields.erase(differs);
            nobodys.fields.erase(differs);
        }
        CHECK(theirs.fields == nobodys.fields);
    }
}

json::object script(const std::string& text) { return {{"script", text}}; }

}  // namespace

TEST_CASE("a sandbox is its tenant's", "[tenants][sandboxes]")
{
    const house one;
    server_process server{one.options()};
    http_client client{server};
    const auto made = client.post("/sandbox", json::object{{"runtime", "node"}, {"code", "console.log(1)"}}, a);
    if (made.status == 422) SKIP("there is no Node.js: " << made.body);
    REQUIRE(made.status == 200);
    const std::string id{made.json().at("id").as_string()};
    check_hidden(client, id,
                 {{"GET", "/sandbox/", "", ""},
                  {"HEAD", "/sandbox/", "", ""},
                  {"POST", "/sandbox/", "/execute", "{}"},
                  {"POST", "/sandbox/", "/execute", R"({"timeout_ms": 1000000000})"},
                  {"POST", "/sandbox/", "/execute", "{"},
                  {"POST", "/sandbox/", "/execute", "{}", {{"Accept", "text/event-stream"}}},
                  {"DELETE", "/sandbox/", "", ""}});
    for (const auto* path : {"/sandbox", "/sandboxes"}) {
        CHECK(client.get(path, a).json().at("count").as_int64() == 1);
        CHECK(client.get(path, b).json().at("count").as_int64() == 0);
        CHECK(client.get(path, op).json().at("count").as_int64() == 1);
    }
    CHECK(client.get("/sandbox/" + id, a).status == 200);
    CHECK(client.get("/sandbox/" + id, op).status == 200);
    CHECK(client.request("DELETE", "/sandbox/" + id, with(a, "X-Request-Id", "req-of-a")).status == 204);
    CHECK(client.get("/sandbox/" + id, a).status == 404);
    CHECK(server.logs("audit: changed what=\"create sandbox\" which=" + id + " tenant=a"));
    CHECK(server.logs("audit: changed what=\"delete sandbox\" which=" + id + " tenant=a id=req-of-a"));
    CHECK(server.log().find("tenant=b") == std::string::npos);
}

TEST_CASE("a deployment is its tenant's, also after a restart, and its URL is everybody's", "[tenants][faas]")
{
    const house one;
    const temporary_directory own;
    auto options = one.options();
    options.working_dir = own.path();
    std::string id;
    const std::vector<attempt> attempts{
        {"GET", "/faas/deployments/", "", ""},
        {"GET", "/faas/deployments/", "/logs", ""},
        {"GET", "/faas/deployments/", "/logs?follow=1", ""},
        {"GET", "/faas/deployments/", "/logs", "", {{"Accept", "text/event-stream"}}},
        {"PUT", "/faas/deployments/", "/files", R"({"files": [{"path": "a.js", "content": "1"}]})"},
        {"PUT", "/faas/deployments/", "/files", R"({"files": [{"path": "../a.js", "content": "1"}], "restart": true})"},
        {"PUT", "/faas/deployments/", "/files", "{}"},
        {"DELETE", "/faas/deployments/", "", ""}};
    constexpr const char* program = "require('http').createServer((q, r) => r.end('served')).listen(process.env.PORT)";
    {
        server_process server{options};
        http_client client{server};
        const auto made = client.post("/faas/deploy", json::object{{"runtime", "node"}, {"code", program}}, a);
        if (made.status == 422) SKIP("there is no Node.js: " << made.body);
        REQUIRE(made.status == 200);
        id = made.json().at("deployment_id").as_string();
        check_hidden(client, id, attempts);
        CHECK(client.get("/faas/deployments", a).json().at("count").as_int64() == 1);
        CHECK(client.get("/faas/deployments", b).json().at("count").as_int64() == 0);
        CHECK(client.get("/faas/" + id + "/").body == "served");
        for (const auto* tool : {"logs", "undeploy"}) {
            const auto call = [&](const std::string& which) {
                return agent::ask(client, "tools/call",
                                  {{"name", tool}, {"arguments", json::object{{"deployment_id", which}}}}, b);
            };
            CHECK(call(id).body == call(never_there).body);
            CHECK(call(id).json().at("result").at("isError").as_bool());
        }
        CHECK(client.get("/faas/" + id + "/").body == "served");
        CHECK(server.logs("audit: changed what=\"create deployment\" which=" + id + " tenant=a"));
        CHECK(server.stop().code == 0);
    }
    {
        server_process server{options};
        http_client client{server};
        check_hidden(client, id, attempts);
        CHECK(client.get("/faas/deployments/" + id, a).status == 200);
        CHECK(client.get("/faas/deployments/" + id, op).status == 200);
        CHECK(client.get("/faas/" + id + "/").body == "served");
        CHECK(client
                  .request("PUT", "/faas/deployments/" + id + "/files", with(a, "Content-Type", "application/json"),
                           R"({"files": [{"path": "a.js", "content": "1"}]})")
                  .status == 200);
        CHECK(server.logs("audit: changed what=\"update deployment\" which=" + id + " tenant=a"));
        CHECK(server.stop().code == 0);
    }
    // The tenant's key is gone: the operator removes what is left.
    one.keys.put({{"b", "key-of-b", all_but_admin}, {"op", "key-of-op", every_scope}});
    server_process server{options};
    http_client client{server};
    CHECK(client.get("/faas/deployments/" + id, a).status == 401);
    CHECK(client.request("DELETE", "/faas/deployments/" + id, op).status == 204);
    CHECK(server.logs("audit: changed what=\"delete deployment\" which=" + id + " tenant=op"));
}

TEST_CASE("what was deployed without keys is the operator's", "[tenants][faas]")
{
    const house one;
    const temporary_directory own;
    std::string id;
    {
        server_process server{{.config = no_toolchain, .working_dir = own.path(), .wait_ready = false}};
        http_client client{server};
        const auto made =
            client.post("/faas/deploy", json::object{{"runtime", "node"}, {"code", "setInterval(() => {}, 1000)"}});
        if (made.status == 422) SKIP("there is no Node.js: " << made.body);
        id = made.json().at("deployment_id").as_string();
        CHECK(server.log().find("audit") == std::string::npos);
        CHECK(server.stop().code == 0);
    }
    auto options = one.options();
    options.working_dir = own.path();
    server_process server{options};
    http_client client{server};
    CHECK(client.get("/faas/deployments/" + id, a).status == 404);
    CHECK(client.get("/faas/deployments", b).json().at("count").as_int64() == 0);
    CHECK(client.get("/faas/deployments/" + id, op).status == 200);
    CHECK(client.request("DELETE", "/faas/deployments/" + id, op).status == 204);
}

TEST_CASE("jobs, answers, continuations and kept scripts are their tenant's", "[tenants][js]")
{
    const house one;
    auto options = one.options();
    options.js = true;
    server_process server{options};
    http_client client{server};
    REQUIRE(eventually([&] { return client.get("/api/health").status == 200; }));

    const auto later = client.post("/execute", script("6 * 7"), with(a, "Prefer", "respond-async"));
    REQUIRE(later.status == 202);
    const auto place = later.field("location");
    check_hidden(client, place.substr(std::string{"/jobs/"}.size()),
                 {{"GET", "/jobs/", "", ""},
                  {"GET", "/jobs/", "", "", {{"Accept", "text/event-stream"}}},
                  {"DELETE", "/jobs/", "", ""}});
    CHECK(eventually([&] { return client.get(place, a).status == 200; }));
    // No scope stands for what it was asked for: not even the operator's key opens it.
    CHECK(client.get(place, op).status == 404);
    CHECK(client.request("DELETE", place, a).status == 204);

    const auto once = [&](const header_list& who) {
        return client.post("/execute", script("Math.random()"), with(who, "Idempotency-Key", "same"));
    };
    const auto first = once(a);
    CHECK(first.status == 200);
    CHECK(once(a).body == first.body);
    const auto others = once(b);
    CHECK(others.body != first.body);
    CHECK(others.field("idempotency-replayed").empty());
    // However the field is spelt.
    CHECK(once({{"Authorization", "bearer  key-of-a"}}).body == first.body);

    const auto waiting = client.post(
        "/execute", json::object{{"script", "await tools.search('x')"}, {"tools", json::array{"search"}}}, a);
    REQUIRE(waiting.json().at("status").as_string() == "PENDING");
    const auto go_on = [&](const header_list& who, const json::value& continuation) {
        return client.post("/execute/continue",
                           json::object{{"continuation", continuation},
                                        {"results", json::array{json::object{{"id", 1}, {"value", "found"}}}}},
                           who);
    };
    const auto mine = waiting.json().at("continuation");
    const json::value nobodys(std::string(64, 'a'));
    CHECK(go_on(b, mine).status == 410);
    CHECK(go_on(b, mine).body == go_on(b, nobodys).body);
    CHECK(go_on(b, json::value("a\n" + std::string{mine.as_string()})).status >= 400);
    CHECK(go_on(a, mine).json().at("result").as_string() == "found");
    CHECK(go_on(a, mine).status == 409);
    CHECK(go_on(b, mine).body == go_on(b, nobodys).body);

    const auto kept = [&](const header_list& who, const std::string& id) {
        return std::string{json::serialize(client
                                               .post("/execute",
                                                     json::object{{"sandbox_id", id},
                                                                  {"init_script", "globalThis.secret = Math.random()"},
                                                                  {"script", "secret"}},
                                                     who)
                                               .json()
                                               .at("result"))};
    };
    const auto secret = kept(a, "same");
    CHECK(kept(a, "same") == secret);
    CHECK(kept(b, "same") != secret);
    CHECK(kept(b, "a\nsame") != secret);
    CHECK(kept(a, "same") == secret);
}
