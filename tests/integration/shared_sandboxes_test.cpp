// Sandboxes that servers share: created on one, executed on another; with real nginx, a real Redis and real jails.
#include "support/eventually.hpp"
#include "support/files.hpp"
#include "support/http_client.hpp"
#include "support/keys.hpp"
#include "support/server_process.hpp"
#include "support/shared_engines.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

using namespace sandboxd::test;
namespace json = boost::json;

namespace {

// No wait of these tests ends by its time, however slow the machine is.
constexpr const char* patient = R"(, "leaseSecs": 600, "redisTimeoutMs": 60000)";

std::string text(const json::value& from, const char* key) { return std::string{from.at(key).as_string()}; }

// What servers that share everything have in common.
struct fleet : shared_engines {
    server_options options(const std::string& more = {}, const std::string& of_cluster = patient) const
    {
        return {.config = config(of_cluster) + ", " + no_toolchain + (more.empty() ? "" : ", " + more),
                .wait_ready = false};
    }
};

bool has_node(http_client& client)
{
    const auto told = client.get("/runtimes").json();
    for (const auto& one : told.at("runtimes").as_array())
        if (one.at("name").as_string() == "node") return true;
    return false;
}

std::string made(http_client& client, json::object what, const header_list& fields = {})
{
    what["runtime"] = "node";
    const auto answer = client.post("/sandbox", what, fields);
    INFO(answer.body);
    REQUIRE(answer.status == 200);
    return text(answer.json(), "id");
}

std::string printed(http_client& client, const std::string& id, const header_list& fields = {})
{
    const auto answer = client.post("/sandbox/" + id + "/execute", json::object{}, fields);
    INFO(answer.body);
    REQUIRE(answer.status == 200);
    return text(answer.json(), "stdout");
}

std::size_t count_of(http_client& client, const header_list& fields = {})
{
    return static_cast<std::size_t>(client.get("/sandboxes", fields).json().at("count").as_int64());
}

}  // namespace

TEST_CASE("a sandbox that one server has created, others list, execute and delete", "[cluster][sandboxes]")
{
    if (const auto why = fleet::missing(); !why.empty()) SKIP(why);
    const fleet all;
    server_process one{all.options()};
    server_process two{all.options()};
    http_client first{one};
    http_client second{two};
    if (!has_node(first)) SKIP("there is no Node.js on the search path");
    REQUIRE(is_connected(one));
    REQUIRE(is_connected(two));
    const auto id = made(
        first, {{"code", "console.log(require('./dir/data').word, process.env.WORD)"},
                {"files", json::array{json::object{{"path", "dir/data.js"}, {"content", "exports.word = 'hello'"}}}},
                {"timeout_ms", 60000},
                {"env_vars", json::object{{"WORD", "world"}}}});
    const auto seen = second.get("/sandbox/" + id);
    REQUIRE(seen.status == 200);
    CHECK(text(seen.json(), "status") == "Created");
    CHECK(seen.json().at("timeout_ms").as_int64() == 60000);
    CHECK(seen.json().at("files").as_int64() == 2);
    CHECK(two.metric("sandboxd_sandboxes") == 0);
    CHECK(count_of(second) == 1);

    CHECK(printed(second, id) == "hello world\n");
    CHECK(two.metric("sandboxd_sandboxes_brought_total") == 1);
    CHECK(printed(second, id) == "hello world\n");
    CHECK(two.metric("sandboxd_sandboxes_brought_total") == 1);
    CHECK(printed(first, id) == "hello world\n");
    CHECK(one.metric("sandboxd_sandboxes_brought_total") == 0);
    // Each knows what was done on the other.
    CHECK(first.get("/sandbox/" + id).json().at("executions").as_int64() == 3);
    CHECK(text(second.get("/sandbox/" + id).json(), "status") == "Completed");

    CHECK(second.request("DELETE", "/sandbox/" + id).status == 204);
    CHECK(first.post("/sandbox/" + id + "/execute", json::object{}).status == 404);
    CHECK(first.get("/sandbox/" + id).status == 404);
    CHECK(first.request("DELETE", "/sandbox/" + id).status == 404);
    CHECK(count_of(first) == 0);
    // The copy on the other server is gone, too.
    CHECK(eventually([&] { return one.metric("sandboxd_sandboxes") == 0; }));
    CHECK(eventually([&] { return std::filesystem::is_empty(one.working_dir() / "sandboxes"); }));
    CHECK(one.stop().code == 0);
    CHECK(two.stop().code == 0);
}

TEST_CASE("a sandbox outlives the server that has created it", "[cluster][sandboxes]")
{
    if (const auto why = fleet::missing(); !why.empty()) SKIP(why);
    const fleet all;
    std::string id;
    {
        server_process one{all.options()};
        http_client first{one};
        if (!has_node(first)) SKIP("there is no Node.js on the search path");
        REQUIRE(is_connected(one));
        id = made(first, {{"code", "console.log('still here')"}});
        one.signal(SIGKILL);
        one.wait();
    }
    server_process two{all.options()};
    http_client second{two};
    REQUIRE(is_connected(two));
    CHECK(printed(second, id) == "still here\n");
}

TEST_CASE("what a tenant has is his on each server, and counts on each", "[cluster][sandboxes]")
{
    if (const auto why = fleet::missing(); !why.empty()) SKIP(why);
    const fleet all;
    const keys_file keys{{{"a", "key-of-a", {"sandbox"}, R"({"keptBytes": 100})"},
                          {"b", "key-of-b", {"sandbox"}},
                          {"op", "key-of-op", every_scope}}};
    server_process one{all.options(keys.config())};
    server_process two{all.options(keys.config())};
    http_client first{one};
    http_client second{two};
    const auto a = with_key("key-of-a");
    const auto b = with_key("key-of-b");
    const auto op = with_key("key-of-op");
    if (first.get("/runtimes", a).body.find("\"node\"") == std::string::npos) SKIP("there is no Node.js");
    for (auto* const each : {&one, &two}) REQUIRE(is_connected(*each, op));
    const auto id = made(first, {{"code", "1 // " + std::string(60, 'x')}}, a);
    // Not for others: as if it had never been.
    const std::string never = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa";
    for (const auto* method : {"GET", "DELETE"}) {
        CAPTURE(method);
        const auto theirs = second.request(method, "/sandbox/" + id, b);
        CHECK(theirs.status == 404);
        CHECK(theirs.body == second.request(method, "/sandbox/" + never, b).body);
    }
    CHECK(second.post("/sandbox/" + id + "/execute", json::object{}, b).status == 404);
    CHECK(count_of(second, b) == 0);
    CHECK(count_of(second, a) == 1);
    CHECK(count_of(second, op) == 1);
    CHECK(printed(second, id, a).empty());
    // Even where it is.
    CHECK(second.post("/sandbox/" + id + "/execute", json::object{}, b).status == 404);
    // What he has on the one counts on the other.
    const auto refused = second.post("/sandbox", {{"runtime", "node"}, {"code", "2 // " + std::string(60, 'x')}}, a);
    CHECK(refused.status == 429);
    CHECK(text(refused.json(), "code") == "tenant_storage_limit");
    CHECK(second.request("DELETE", "/sandbox/" + id, a).status == 204);
    CHECK(second.post("/sandbox", {{"runtime", "node"}, {"code", "2 // " + std::string(60, 'x')}}, a).status == 200);
}

TEST_CASE("copies make room for each other, and what nobody uses ends on all servers", "[cluster][sandboxes]")
{
    if (const auto why = fleet::missing(); !why.empty()) SKIP(why);
    const fleet all;
    server_process one{all.options(R"("sandboxes": {"maxSandboxes": 2})")};
    http_client first{one};
    if (!has_node(first)) SKIP("there is no Node.js on the search path");
    REQUIRE(is_connected(one));
    std::vector<std::string> ids;
    for (int i = 0; i < 4; ++i) ids.push_back(made(first, {{"code", "console.log(" + std::to_string(i) + ")"}}));
    CHECK(count_of(first) == 4);
    CHECK(one.metric("sandboxd_sandboxes") == 2);
    for (int i = 0; i < 4; ++i) CHECK(printed(first, ids.at(static_cast<std::size_t>(i))) == std::to_string(i) + "\n");
    CHECK(one.metric("sandboxd_sandboxes") == 2);
    CHECK(one.metric("sandboxd_sandboxes_brought_total") >= 2);
    // As its time would end it.
    all.redis.say("DEL sandboxd:sandbox:" + ids.at(3));
    CHECK(first.post("/sandbox/" + ids.at(3) + "/execute", json::object{}).status == 404);
    CHECK(count_of(first) == 3);
}

TEST_CASE("without Redis what is here is executed, and the rest says why not", "[cluster][sandboxes]")
{
    if (const auto why = fleet::missing(); !why.empty()) SKIP(why);
    fleet all;
    server_process one{all.options({}, R"(, "redisTimeoutMs": 5000, "leaseSecs": 600)")};
    server_process two{all.options({}, R"(, "redisTimeoutMs": 5000, "leaseSecs": 600)")};
    http_client first{one};
    http_client second{two};
    if (!has_node(first)) SKIP("there is no Node.js on the search path");
    REQUIRE(is_connected(one));
    REQUIRE(is_connected(two));
    const auto id = made(first, {{"code", "console.log('here')"}});
    all.redis.end();
    REQUIRE(eventually([&] {
        return one.metric("sandboxd_cluster_redis_connected") + two.metric("sandboxd_cluster_redis_connected") == 0;
    }));
    CHECK(printed(first, id) == "here\n");
    const json::object more{{"runtime", "node"}, {"code", "1"}};
    for (const auto& refused :
         {second.post("/sandbox/" + id + "/execute", json::object{}), second.post("/sandbox", more),
          second.get("/sandboxes"), second.get("/sandbox/" + id), first.request("DELETE", "/sandbox/" + id)}) {
        INFO(refused.body);
        CHECK(refused.status == 503);
        CHECK(text(refused.json(), "code") == "index_unavailable");
        CHECK(text(refused.json(), "error").find("cluster.redis") != std::string::npos);
        CHECK(refused.field("retry-after") == "1");
    }
    // What runs once and leaves nothing needs no index.
    const auto once = second.post(
        "/mcp",
        {{"jsonrpc", "2.0"},
         {"id", 1},
         {"method", "tools/call"},
         {"params",
          json::object{{"name", "run_program"},
                       {"arguments", json::object{{"runtime", "node"}, {"code", "console.log(6 * 7)"}}},
                       {"_meta", json::object{{"io.modelcontextprotocol/protocolVersion", "2026-07-28"},
                                              {"io.modelcontextprotocol/clientCapabilities", json::object{}}}}}}},
        {{"Accept", "application/json, text/event-stream"},
         {"MCP-Protocol-Version", "2026-07-28"},
         {"Mcp-Method", "tools/call"},
         {"Mcp-Name", "run_program"}});
    CHECK(once.status == 200);
    CHECK(once.body.find("42") != std::string::npos);
    const auto ready = second.get("/readyz");
    CHECK(ready.body.find("cluster.redis: Redis cannot be used") != std::string::npos);
    // Nothing of what was refused is left.
    CHECK(eventually([&] { return std::filesystem::is_empty(two.working_dir() / "sandboxes"); }));

    // A Redis that comes back has forgotten everything: so is what it knew.
    all.redis.start_again();
    REQUIRE(is_connected(one));
    CHECK(first.post("/sandbox/" + id + "/execute", json::object{}).status == 404);
    const auto again = made(first, {{"code", "console.log('again')"}});
    REQUIRE(is_connected(two));
    CHECK(printed(second, again) == "again\n");
}

TEST_CASE("files that the cache has lost, or that a stranger has changed, are not executed", "[cluster][sandboxes]")
{
    if (const auto why = fleet::missing(); !why.empty()) SKIP(why);
    const fleet all;
    server_process one{all.options()};
    server_process two{all.options()};
    http_client first{one};
    http_client second{two};
    if (!has_node(first)) SKIP("there is no Node.js on the search path");
    REQUIRE(is_connected(one));
    REQUIRE(is_connected(two));
    const auto id = made(first, {{"code", "console.log('mine')"}});
    for (const auto& name : all.cache.names("cas")) {
        const auto file = all.cache.files() / "cas" / name;
        auto bytes = read_file(file);
        const auto at = bytes.find("mine");
        if (at == std::string::npos) continue;
        bytes.replace(at, 4, "hers");
        write_file(file, bytes);
    }
    const auto refused = second.post("/sandbox/" + id + "/execute", json::object{});
    CHECK(refused.status == 503);
    CHECK(refused.body.find("delete it, and create it again") != std::string::npos);
    CHECK(printed(first, id) == "mine\n");
    CHECK(second.request("DELETE", "/sandbox/" + id).status == 204);
}
