// Agents: the Model Context Protocol at POST /mcp, both revisions, against the real server.
#include "support/eventually.hpp"
#include "support/http_client.hpp"
#include "support/server_process.hpp"
#include "support/stream_client.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <csignal>
#include <string>
#include <utility>
#include <vector>

using namespace sandboxd::test;
namespace json = boost::json;

namespace {

constexpr const char* now = "2026-07-28";
constexpr const char* both = "application/json, text/event-stream";

json::object meta()
{
    return {{"io.modelcontextprotocol/protocolVersion", now},
            {"io.modelcontextprotocol/clientCapabilities", json::object{}}};
}

json::object message(const json::value& id, const std::string& method, json::object params)
{
    return {{"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", std::move(params)}};
}

// A stateless request with all that its revision demands.
http_answer ask(http_client& client, const std::string& method, json::object params = {}, header_list more = {})
{
    header_list fields{{"Accept", both}, {"MCP-Protocol-Version", now}, {"Mcp-Method", method}};
    for (const auto* name : {"name", "uri"})
        if (const auto* const value = params.if_contains(name))
            fields.emplace_back("Mcp-Name", std::string{value->as_string()});
    fields.insert(fields.end(), more.begin(), more.end());
    if (!params.contains("_meta")) params["_meta"] = meta();
    return client.post("/mcp", message(1, method, std::move(params)), fields);
}

json::object call(http_client& client, const std::string& tool, json::object arguments)
{
    const auto answer = ask(client, "tools/call", {{"name", tool}, {"arguments", std::move(arguments)}});
    CAPTURE(answer.body);
    REQUIRE(answer.status == 200);
    return answer.json().at("result").as_object();
}

std::string raw_request(const json::object& body, const header_list& fields)
{
    const auto text = json::serialize(body);
    std::string request = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    for (const auto& [name, value] : fields) request += name + ": " + value + "\r\n";
    return request + "Content-Length: " + std::to_string(text.size()) + "\r\n\r\n" + text;
}

constexpr const char* endless = "setInterval(() => {}, 1000)";

}  // namespace

TEST_CASE("an agent discovers the server and its tools without a session", "[mcp]")
{
    server_process server{{.config = no_toolchain, .wait_ready = false}};
    http_client client{server};
    const auto found = ask(client, "server/discover");
    REQUIRE(found.status == 200);
    CHECK(found.field("mcp-session-id").empty());
    const auto result = found.json().at("result");
    CHECK(result.at("supportedVersions") == json::value(json::array{now}));
    CHECK(result.at("capabilities").as_object().contains("tools"));
    const auto listed = ask(client, "tools/list").json().at("result");
    std::vector<std::string> names;
    for (const auto& one : listed.at("tools").as_array()) {
        names.emplace_back(one.at("name").as_string());
        CHECK(one.at("inputSchema").at("type") == "object");
        CHECK(one.at("outputSchema").at("type") == "object");
        CHECK(!one.at("inputSchema").at("properties").as_object().empty());
    }
    // No JavaScript is run here.
    CHECK(names == std::vector<std::string>{"compile", "run_program", "deploy", "logs", "undeploy"});
    CHECK(ask(client, "resources/list").json().at("result").at("resources").as_array().empty());
    CHECK(ask(client, "resources/templates/list").json().at("result").at("resourceTemplates").as_array().size() == 1);
    for (const auto* method : {"initialize", "ping", "logging/setLevel", "x"}) CHECK(ask(client, method).status == 404);
    for (const auto* method : {"GET", "DELETE", "PUT"}) {
        const auto refused = client.request(method, "/mcp");
        CHECK(refused.status == 405);
        CHECK(refused.field("allow").find("POST") != std::string::npos);
    }
}

TEST_CASE("an agent of 2025-11-25 begins with initialize", "[mcp]")
{
    server_process server{{.config = no_toolchain, .wait_ready = false}};
    http_client client{server};
    const auto begun = client.post("/mcp",
                                   message("a", "initialize",
                                           {{"protocolVersion", "2025-11-25"},
                                            {"capabilities", json::object{}},
                                            {"clientInfo", {{"name", "t"}, {"version", "1"}}}}),
                                   {{"Accept", both}});
    REQUIRE(begun.status == 200);
    CHECK(begun.json().at("id") == "a");
    CHECK(begun.json().at("result").at("protocolVersion") == "2025-11-25");
    const auto session = begun.field("mcp-session-id");
    CHECK(!session.empty());
    const header_list fields{{"Accept", both}, {"MCP-Protocol-Version", "2025-11-25"}, {"Mcp-Session-Id", session}};
    const auto told =
        client.post("/mcp", json::object{{"jsonrpc", "2.0"}, {"method", "notifications/initialized"}}, fields);
    CHECK(told.status == 202);
    CHECK(told.body.empty());
    CHECK(client.post("/mcp", message(1, "ping", {}), fields).json().at("result").as_object().empty());
    CHECK(client.post("/mcp", message(2, "tools/list", {}), fields).json().at("result").at("tools").as_array().size() ==
          5);
    const auto none = client.post("/mcp", message(3, "prompts/list", {}), fields);
    CHECK(none.status == 200);
    CHECK(none.json().at("error").at("code") == -32601);
    CHECK(client.post("/mcp", message(4, "ping", {}), {{"Accept", both}}).status == 400);
}

TEST_CASE("what is no request of an agent is refused as JSON-RPC", "[mcp]")
{
    server_process server{{.config = no_toolchain, .wait_ready = false}};
    http_client client{server};
    const auto post = [&client](const std::string& body, const std::string& type = "application/json") {
        return client.request("POST", "/mcp", {{"Content-Type", type}, {"Host", "localhost"}}, body);
    };
    CHECK(post("{").json().at("error").at("code") == -32700);
    CHECK(post("[]").json().at("error").at("code") == -32600);
    CHECK(post(std::string(200'000, '[')).json().at("error").at("code") == -32700);
    CHECK(post("{}", "text/plain").status == 415);
    CHECK(post("{}", "text/plain").json().at("error").at("data").at("code") == "unsupported_media_type");
    for (const auto& page :
         {header_list{{"Origin", "https://evil.example"}}, header_list{{"Sec-Fetch-Site", "cross-site"}}}) {
        const auto refused = ask(client, "server/discover", {}, page);
        CHECK(refused.status == 403);
        CHECK(refused.json().at("error").at("data").at("code") == "forbidden");
    }
    const auto twice = ask(client, "server/discover", {}, {{"Mcp-Method", "tools/list"}});
    CHECK(twice.status == 400);
    CHECK(twice.json().at("error").at("code") == -32020);
    const auto unknown = ask(client, "tools/call", {{"name", "no"}, {"arguments", json::object{}}});
    CHECK(unknown.status == 200);
    CHECK(unknown.json().at("error").at("code") == -32602);
    const auto gone = ask(client, "resources/read", {{"uri", "http://localhost/artifacts/../x"}});
    CHECK(gone.json().at("error").at("code") == -32602);
    server_process off{{.config = std::string{no_toolchain} + R"(, "mcp": {"enabled": false})", .wait_ready = false}};
    http_client there{off};
    CHECK(ask(there, "server/discover").status == 404);
}

TEST_CASE("an agent runs programs, with the shapes and limits of the API", "[mcp]")
{
    server_process server{
        {.config = std::string{no_toolchain} + R"(, "mcp": {"maxOutputBytes": 4096})", .wait_ready = false}};
    http_client client{server};
    const auto done = call(client, "run_program",
                           {{"runtime", "node"},
                            {"code", "process.stdin.on('data', d => console.log('hello ' + d + require('./a.js')))"},
                            {"files", {{{"path", "a.js"}, {"content", "module.exports = 7"}}}},
                            {"stdin", "Ada"}});
    CHECK(done.at("isError") == false);
    CHECK(done.at("structuredContent").at("stdout") == "hello Ada7\n");
    CHECK(json::parse(done.at("content").at(0).at("text").as_string()) == done.at("structuredContent"));
    const auto failed = call(client, "run_program", {{"runtime", "node"}, {"code", "process.exit(3)"}});
    CHECK(failed.at("isError") == true);
    CHECK(failed.at("structuredContent").at("exit_code") == 3);
    const auto wrong = call(client, "run_program", {{"runtime", "cobol"}, {"code", "x"}});
    CHECK(wrong.at("isError") == true);
    CHECK(wrong.at("structuredContent").at("code") == "unprocessable");
    const auto long_one =
        call(client, "run_program", {{"runtime", "node"}, {"code", "console.log('x'.repeat(100000))"}});
    CHECK(long_one.at("structuredContent").at("cut") == json::value(json::array{"stdout"}));
    CHECK(json::serialize(long_one.at("structuredContent")).size() < 6000);
    CHECK(client.get("/sandboxes").json().at("count") == 0);
}

TEST_CASE("a program that is watched tells its progress; who leaves ends it", "[mcp]")
{
    server_process server{
        {.config = std::string{no_toolchain} + R"(, "mcp": {"progressMs": 100})", .wait_ready = false}};
    http_client client{server};
    auto params = json::object{
        {"name", "run_program"}, {"arguments", {{"runtime", "node"}, {"code", endless}}}, {"_meta", meta()}};
    params["_meta"].as_object()["progressToken"] = "p";
    const header_list fields{
        {"Accept", both}, {"MCP-Protocol-Version", now}, {"Mcp-Method", "tools/call"}, {"Mcp-Name", "run_program"}};
    {
        stream_client watching{server};
        REQUIRE(watching.send(raw_request(message(1, "tools/call", params), fields)));
        CHECK(watching.until("\"progress\":1").find("text/event-stream") != std::string::npos);
        CHECK(watching.until("\"progress\":3").find("\"progressToken\":\"p\"") != std::string::npos);
        REQUIRE(eventually([&] { return client.get("/health").json().at("running") == 1; }));
    }
    CHECK(eventually([&] { return client.get("/sandboxes").json().at("count") == 0; }));
    // One that ends by itself.
    params["arguments"].as_object()["code"] = "console.log(1)";
    stream_client waiting{server};
    REQUIRE(waiting.send(raw_request(message(1, "tools/call", params), fields)));
    CHECK(waiting.until("\"isError\":false").find("\"stdout\":\"1\\n\"") != std::string::npos);
}

TEST_CASE("a call is cancelled by its own session, and by no other", "[mcp]")
{
    server_process server{{.config = no_toolchain, .wait_ready = false}};
    http_client client{server};
    const auto cancel = [&client](const std::string& session, const json::value& id) {
        header_list fields{{"Accept", both}, {"MCP-Protocol-Version", "2025-11-25"}};
        if (!session.empty()) fields.emplace_back("Mcp-Session-Id", session);
        return client
            .post("/mcp",
                  json::object{
                      {"jsonrpc", "2.0"}, {"method", "notifications/cancelled"}, {"params", {{"requestId", id}}}},
                  fields)
            .status;
    };
    stream_client mine{server};
    const json::object params{{"name", "run_program"},
                              {"arguments", {{"runtime", "node"}, {"code", endless}}},
                              {"_meta", {{"progressToken", 1}}}};
    const header_list fields{{"Accept", both}, {"MCP-Protocol-Version", "2025-11-25"}, {"Mcp-Session-Id", "mine"}};
    REQUIRE(mine.send(raw_request(message(7, "tools/call", params), fields)));
    mine.until("\"progress\":1");
    REQUIRE(eventually([&] { return client.get("/health").json().at("running") == 1; }));
    for (int id = 0; id < 10'000; id += 100) CHECK(cancel("other", id) == 202);
    CHECK(cancel("other", 7) == 202);
    CHECK(cancel("", 7) == 202);
    CHECK(cancel("mine", "7") == 202);
    CHECK(client.get("/health").json().at("running") == 1);
    CHECK(cancel("mine", 7) == 202);
    // Its stream ends without a result.
    CHECK(mine.until("0\r\n\r\n").find("\"result\"") == std::string::npos);
    CHECK(eventually([&] { return client.get("/sandboxes").json().at("count") == 0; }));
}

TEST_CASE("an agent compiles, and reads what came of it", "[mcp]")
{
    server_process server;
    http_client client{server};
    const auto wrong = call(client, "compile", {{"code", "int main( {"}});
    CHECK(wrong.at("isError") == true);
    CHECK(wrong.at("structuredContent").at("diagnostics").at(0).at("line") == 1);
    const auto done = call(client, "compile", {{"code", "int main(void) { return 0; }"}});
    REQUIRE(done.at("isError") == false);
    std::vector<std::string> links;
    for (const auto& one : done.at("content").as_array())
        if (one.at("type") == "resource_link") links.emplace_back(one.at("uri").as_string());
    REQUIRE(links.size() == 2);
    for (const auto& uri : links) {
        CAPTURE(uri);
        const auto path = uri.substr(uri.find("/artifacts/"));
        const auto fetched = client.get(path, {{"Accept-Encoding", "identity"}});
        CHECK(fetched.status == 200);
        const auto read =
            ask(client, "resources/read", {{"uri", uri}}).json().at("result").at("contents").at(0).as_object();
        if (uri.ends_with(".js"))
            CHECK(std::string{read.at("text").as_string()} == fetched.body);
        else
            CHECK(read.at("blob").as_string().size() == (fetched.body.size() + 2) / 3 * 4);
    }
}

TEST_CASE("an agent runs JavaScript", "[mcp]")
{
    server_process server{{.config = no_toolchain, .wait_ready = false, .js = true}};
    http_client client{server};
    const auto done = call(client, "run_javascript", {{"script", "console.log('hi'); ({a: [1, 2]})"}});
    CHECK(done.at("isError") == false);
    CHECK(done.at("structuredContent").at("result").at("a").at(1) == 2);
    const auto waits =
        call(client, "run_javascript", {{"script", "await tools.add(1, 2) * 2"}, {"tools", json::array{"add"}}});
    CHECK(waits.at("isError") == false);
    const auto& pending = waits.at("structuredContent");
    REQUIRE(pending.at("status") == "PENDING");
    const json::array results{json::object{{"id", pending.at("calls").at(0).at("id")}, {"value", 3}}};
    const auto went_on =
        call(client, "continue_javascript", {{"continuation", pending.at("continuation")}, {"results", results}});
    CHECK(went_on.at("structuredContent").at("result") == 6);
    const auto failed = call(client, "run_javascript", {{"script", "null.x"}});
    CHECK(failed.at("isError") == true);
    CHECK(failed.at("structuredContent").at("code") == "runtime_error");
}

TEST_CASE("an agent deploys a program, reads its log and removes it", "[mcp]")
{
    server_process server{{.config = no_toolchain, .wait_ready = false}};
    http_client client{server};
    const auto made =
        call(client, "deploy",
             {{"runtime", "node"},
              {"code", "console.log('up'); require('http').createServer((q, r) => r.end('yes')).listen(3000)"}});
    REQUIRE(made.at("isError") == false);
    const std::string id{made.at("structuredContent").at("deployment_id").as_string()};
    CHECK(client.get("/faas/" + id + "/").body == "yes");
    const auto told = call(client, "logs", {{"deployment_id", id}});
    CHECK(json::serialize(told.at("structuredContent")).find("up") != std::string::npos);
    CHECK(call(client, "undeploy", {{"deployment_id", id}}).at("isError") == false);
    CHECK(call(client, "undeploy", {{"deployment_id", id}}).at("isError") == true);
    CHECK(call(client, "logs", {{"deployment_id", id}}).at("structuredContent").at("code") == "not_found");
}

TEST_CASE("a subscription is acknowledged, and ends when the server does", "[mcp]")
{
    server_process server{{.config = no_toolchain, .wait_ready = false}};
    stream_client listening{server};
    const json::object params{{"_meta", meta()}, {"notifications", {{"toolsListChanged", true}}}};
    REQUIRE(listening.send(
        raw_request(message("s", "subscriptions/listen", params),
                    {{"Accept", both}, {"MCP-Protocol-Version", now}, {"Mcp-Method", "subscriptions/listen"}})));
    const auto first = listening.until("\"notifications\":{}");
    CHECK(first.find("notifications/subscriptions/acknowledged") != std::string::npos);
    CHECK(first.find("\"io.modelcontextprotocol/subscriptionId\":\"s\"") != std::string::npos);
    server.signal(SIGTERM);
    CHECK(listening.rest().find("\"resultType\":\"complete\"") != std::string::npos);
    CHECK(server.wait().code == 0);
}
