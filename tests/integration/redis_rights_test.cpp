// What servers that share everything do in Redis, with no more rights there than the paper says; real nginx, a real
// Redis and real jails.
#include "support/redis_rights.hpp"

#include "support/eventually.hpp"
#include "support/http_client.hpp"
#include "support/keys.hpp"
#include "support/server_process.hpp"
#include "support/shared_engines.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <unistd.h>

#include <string>

using namespace sandboxd::test;
namespace json = boost::json;

namespace {

std::string text(const json::value& from, const char* key) { return std::string{from.at(key).as_string()}; }

std::string program_that_says(const std::string& word)
{
    return "require('http').createServer((q, r) => r.end('" + word + "')).listen(process.env.PORT)";
}

json::value changed(http_client& client, const std::string& path, const json::object& body)
{
    const auto answer = client.request("PUT", path, {{"Content-Type", "application/json"}}, json::serialize(body));
    INFO(answer.body);
    REQUIRE(answer.status == 200);
    return answer.json();
}

std::string deployed(http_client& client)
{
    const auto answer = client.post("/faas/deploy", {{"runtime", "node"}, {"code", program_that_says("one")}});
    INFO(answer.body);
    REQUIRE(answer.status == 200);
    return text(answer.json(), "deployment_id");
}

void share_sandboxes(http_client& first, http_client& second)
{
    const auto made = first.post("/sandbox", {{"runtime", "node"}, {"code", "console.log('here')"}});
    INFO(made.body);
    REQUIRE(made.status == 200);
    const auto at = "/sandbox/" + text(made.json(), "id");
    const auto ran = second.post(at + "/execute", json::object{});
    INFO(ran.body);
    REQUIRE(ran.status == 200);
    CHECK(text(ran.json(), "stdout") == "here\n");
    CHECK(first.get(at).json().at("executions").as_int64() == 1);
    CHECK(second.get("/sandboxes").json().at("count").as_int64() == 1);
    CHECK(second.request("DELETE", at).status == 204);
    CHECK(first.get(at).status == 404);
}

void share_deployments(http_client& first, http_client& second)
{
    const auto id = deployed(first);
    const auto at = "/faas/deployments/" + id;
    CHECK(second.get("/faas/" + id + "/").body == "one");
    CHECK(second.get("/proxy/" + text(second.get(at).json(), "sandbox_id") + "/").body == "one");
    CHECK(second.get("/faas/deployments").json().at("count").as_int64() == 1);
    const json::object file{{"path", "index.js"}, {"content", program_that_says("two")}};
    const auto updated = changed(second, at + "/files", {{"files", json::array{file}}, {"restart_dev_server", true}});
    CHECK(updated.at("revision").as_int64() == 2);
    CHECK(first.get("/faas/" + id + "/").body == "two");
    const auto back = changed(second, at + "/revision", {{"revision", 1}, {"restart_dev_server", true}});
    CHECK(back.at("revision").as_int64() == 3);
    CHECK(first.get("/faas/" + id + "/").body == "one");
    CHECK(second.request("DELETE", at).status == 204);
    CHECK(first.get("/faas/" + id + "/").status == 404);
}

void share_scripts(http_client& first, http_client& second)
{
    std::int64_t count = 0;
    for (auto* const each : {&first, &second}) {
        const auto counted =
            each->post("/execute", {{"sandbox_id", "x"}, {"init_script", "let n = 0"}, {"script", "++n"}});
        INFO(counted.body);
        REQUIRE(counted.status == 200);
        CHECK(counted.json().at("result").as_int64() == ++count);
    }
    const auto waits = first.post("/execute", {{"script", "await tools.add(1, 2)"}, {"tools", json::array{"add"}}});
    REQUIRE(waits.status == 200);
    const json::object result{{"id", 1}, {"value", 3}};
    const auto done = second.post(
        "/execute/continue", {{"continuation", text(waits.json(), "continuation")}, {"results", json::array{result}}});
    INFO(done.body);
    CHECK(done.status == 200);
}

}  // namespace

TEST_CASE("servers that share everything need no more rights in Redis than the paper says", "[cluster][faas][js]")
{
    if (const auto why = shared_engines::missing(); !why.empty()) SKIP(why);
    if (::access("/usr/bin/node", X_OK) != 0) SKIP("there is no /usr/bin/node");
    const redis_server redis{{.more = rights_of_paper("word")}};
    const nginx_cache cache;
    const secret key{fleet_key};
    const secret credential{"sandboxd:word"};
    // No wait of this test ends by its time, however slow the machine is.
    const auto of_cluster = R"(, "leaseSecs": 600, "redisTimeoutMs": 60000, "peerTimeoutMs": 60000,)"
                            R"( "listen": "127.0.0.1:0", "redisCredentialFile": ")" +
                            credential.path() + "\"";
    server_options how{.config = store_section(cache.url(), key) + ", " +
                                 cluster_section(redis.socket_url(), of_cluster) + ", " + no_toolchain +
                                 R"(, "js": {"workers": 1, "timeoutMs": 60000, "maxTimeoutMs": 60000})",
                       .wait_ready = false,
                       .js = true};
    server_process one{how};
    server_process two{how};
    http_client first{one};
    http_client second{two};
    for (auto* const each : {&one, &two}) {
        INFO(redis.log() << each->log());
        REQUIRE(is_connected(*each));
    }
    for (auto* const each : {&first, &second})
        REQUIRE(eventually([&] { return each->get("/api/health").status == 200; }));
    REQUIRE(eventually([&] { return redis.say("KEYS sandboxd:server:*").starts_with("*2\r\n"); }));
    share_sandboxes(first, second);
    share_deployments(first, second);
    share_scripts(first, second);

    // A server that ends gives back what it has, and a Redis that has lost everything is told again.
    const auto id = deployed(first);
    CHECK(one.stop().code == 0);
    CHECK(redis.say("EXISTS sandboxd:deployment-server:" + id) == ":0\r\n");
    CHECK(redis.say("FLUSHALL") == "+OK\r\n");
    how.working_dir = one.working_dir();
    server_process again{how};
    REQUIRE(eventually([&] { return second.get("/faas/deployments").json().at("count").as_int64() == 1; }));
    CHECK(second.get("/faas/" + id + "/").body == "one");

    // Both were that user, and nothing was denied to him.
    const auto clients = redis.say("CLIENT LIST");
    const auto who = clients.find(" user=sandboxd ");
    REQUIRE(who != std::string::npos);
    CHECK(clients.find(" user=sandboxd ", who + 1) != std::string::npos);
    CHECK(redis.say("ACL LOG") == "*0\r\n");
    for (const auto* const each : {&two, &again})
        CHECK(each->metric("sandboxd_cluster_redis_calls_total{result=\"refused\"}") == 0);
}

TEST_CASE("servers that share keys need no more rights in Redis than the paper says", "[cluster][tenants]")
{
    if (const auto why = shared_engines::missing(); !why.empty()) SKIP(why);
    const redis_server redis{{.more = rights_of_paper("word")}};
    const nginx_cache cache;
    const secret key{fleet_key};
    const secret credential{"sandboxd:word"};
    const keys_file file{{{"op", "key-of-op", every_scope}}};
    const auto of_cluster = R"(, "leaseSecs": 600, "redisTimeoutMs": 60000, "keysPollMs": 100,)"
                            R"( "redisCredentialFile": ")" +
                            credential.path() + "\"";
    const server_options how{.config = store_section(cache.url(), key) + ", " +
                                       cluster_section(redis.socket_url(), of_cluster) + ", " + no_toolchain + ", " +
                                       file.config(),
                             .wait_ready = false};
    server_process one{how};
    server_process two{how};
    http_client first{one};
    http_client second{two};
    const auto op = with_key("key-of-op");
    const json::object what{{"name", "ci"}, {"scopes", json::array{"sandbox"}}};
    REQUIRE(eventually([&] { return first.post("/admin/keys", what, op).status == 201; }));
    CHECK(first.post("/admin/keys", what, op).status == 409);
    // A server that has not read Redis yet says so instead.
    const auto counts = [&op](http_client& client, int keys) {
        const auto told = client.get("/admin/keys", op);
        return told.status == 200 && told.json().at("count").as_int64() == keys;
    };
    REQUIRE(eventually([&] { return counts(second, 2); }));
    const auto listed = second.get("/admin/keys", op).json();
    for (const auto& each : listed.at("keys").as_array())
        if (text(each, "from") == "redis")
            CHECK(second.request("DELETE", "/admin/keys/" + text(each, "sha256"), op).status == 204);
    CHECK(eventually([&] { return counts(first, 1); }));
    CHECK(redis.say("ACL LOG") == "*0\r\n");
}

TEST_CASE("what keys use is counted with no more rights in Redis than the paper says", "[cluster][tenants]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    const redis_server redis{{.more = rights_of_paper("word")}};
    const secret credential{"sandboxd:word"};
    const keys_file keys{
        {{"a",
          "key-of-a",
          {"compile", "execute", "admin"},
          R"({"requestsPerMinute": 100, "concurrentJobs": 2, "cpuSecondsPerDay": 100, "fuelPerDay": 1000})"}}};
    const auto of_cluster =
        R"(, "leaseSecs": 600, "redisTimeoutMs": 60000, "redisCredentialFile": ")" + credential.path() + "\"";
    server_process server{
        {.config = cluster_section(redis.socket_url(), of_cluster) + ", " + no_toolchain + ", " + keys.config(),
         .wait_ready = false}};
    http_client client{server};
    const auto a = with_key("key-of-a");
    const auto shows = [&](const std::string& sample) {
        return client.get("/metrics", a).body.find("\n" + sample + "\n") != std::string::npos;
    };
    REQUIRE(is_connected(server, a));
    // Nothing compiles here; it is counted before.
    CHECK(client.post("/compile", json::object{{"code", "int main(void) { return 0; }"}}, a).status == 503);
    CHECK(shows(R"(sandboxd_cluster_quotas_total{what="request",result="done"} 1)"));
    CHECK(shows(R"(sandboxd_cluster_quotas_total{what="count",result="done"} 1)"));
    CHECK(eventually([&] { return shows(R"(sandboxd_cluster_quotas_total{what="tell",result="done"} 1)"); }));
}
