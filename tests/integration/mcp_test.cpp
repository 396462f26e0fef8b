// Agents: the Model Context Protocol at POST /mcp, both revisions, against the real server.
#include "support/agent.hpp"
#include "support/eventually.hpp"
#include "support/http_client.hpp"
#include "support/keys.hpp"
#include "support/server_process.hpp"
#include "support/stream_client.hpp"
#include "support/temporary_directory.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

using namespace sandboxd::test;
using namespace sandboxd::test::agent;
namespace json = boost::json;

namespace {

json::object call(http_client& client, const std::string& tool, json::object arguments)
{
    const auto answer = ask(client, "tools/call", {{"name", tool}, {"arguments", std::move(arguments)}});
    CAPTURE(answer.body);
    REQUIRE(answer.status == 200);
    return answer.json().at("result").as_object();
}

// `sandboxd mcp` as a host starts it: lines go in and come out.
class bridge {
public:
    explicit bridge(const std::string& url, const std::string& key_file = {})
    {
        int in[2];
        int out[2];
        REQUIRE(::pipe2(in, O_CLOEXEC) == 0);
        REQUIRE(::pipe2(out, O_CLOEXEC) == 0);
        posix_spawn_file_actions_t actions;
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
        ::posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
        std::string place = url;
        const char* const argv[] = {
            SANDBOXD_BINARY,  "mcp",  "--url", place.c_str(), key_file.empty() ? nullptr : "--key-file",
            key_file.c_str(), nullptr};
        const int failed = ::posix_spawn(&pid_, SANDBOXD_BINARY, &actions, nullptr, const_cast<char**>(argv), environ);
        ::posix_spawn_file_actions_destroy(&actions);
        ::close(in[0]);
        ::close(out[1]);
        to_ = in[1];
        from_ = out[0];
        REQUIRE(failed == 0);
    }
    ~bridge()
    {
        end_input();
        close_output();
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
    }
    bridge(const bridge&) = delete;
    bridge& operator=(const bridge&) = delete;

    void write(const std::string& text) { REQUIRE(::write(to_, text.data(), text.size()) == std::ssize(text)); }
    void tell(const json::object& one) { write(json::serialize(one) + "\n"); }
    void end_input()
    {
        if (to_ >= 0) ::close(std::exchange(to_, -1));
    }
    // The next line; empty at the end, or when none comes in a minute.
    std::string line()
    {
        for (;;) {
            if (const auto at = read_.find('\n'); at != std::string::npos) {
                auto one = read_.substr(0, at);
                read_.erase(0, at + 1);
                return one;
            }
            pollfd now{from_, POLLIN, 0};
            constexpr int patience_ms = 60'000;
            char piece[4096];
            if (::poll(&now, 1, patience_ms) != 1) return {};
            const auto got = ::read(from_, piece, sizeof piece);
            if (got <= 0) return {};
            read_.append(piece, static_cast<std::size_t>(got));
        }
    }
    void close_output()
    {
        if (from_ >= 0) ::close(std::exchange(from_, -1));
    }
    // The exit status, or -1.
    int wait()
    {
        int status = 0;
        if (::waitpid(std::exchange(pid_, -1), &status, 0) < 0) return -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }

private:
    pid_t pid_{-1};
    int to_{-1};
    int from_{-1};
    std::string read_;
};

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
    CHECK(there.get("/mcp").status == 404);
    CHECK(!there.get("/openapi.json").json().at("paths").as_object().contains("/mcp"));
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
        REQUIRE(watching.send(as_bytes(message(1, "tools/call", params), fields)));
        CHECK(watching.until("\"progress\":1").find("text/event-stream") != std::string::npos);
        CHECK(watching.until("\"progress\":3").find("\"progressToken\":\"p\"") != std::string::npos);
        REQUIRE(eventually([&] { return client.get("/health").json().at("running") == 1; }));
    }
    CHECK(eventually([&] { return client.get("/sandboxes").json().at("count") == 0; }));
    // One that ends by itself.
    params["arguments"].as_object()["code"] = "console.log(1)";
    stream_client waiting{server};
    REQUIRE(waiting.send(as_bytes(message(1, "tools/call", params), fields)));
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
    REQUIRE(mine.send(as_bytes(message(7, "tools/call", params), fields)));
    mine.until("\"progress\":1");
    REQUIRE(eventually([&] { return client.get("/health").json().at("running") == 1; }));
    CHECK(cancel("other", 7) == 202);
    CHECK(cancel("", 7) == 202);
    CHECK(cancel("mine", "7") == 202);
    CHECK(client.get("/health").json().at("running") == 1);
    CHECK(cancel("mine", 7) == 202);
    // Its stream ends without a result.
    CHECK(mine.until("0\r\n\r\n").find("\"result\"") == std::string::npos);
    CHECK(eventually([&] { return client.get("/sandboxes").json().at("count") == 0; }));
}

TEST_CASE("a call is not cancelled by another tenant, whatever session that one names", "[mcp][tenants]")
{
    const keys_file keys{{{"a", "key-of-a", {"sandbox"}}, {"b", "key-of-b", {"sandbox"}}}};
    server_process server{
        {.config = no_toolchain + (R"(, "mcp": {"progressMs": 100}, )" + keys.config()), .wait_ready = false}};
    http_client client{server};
    const auto fields_of = [](const std::string& key) {
        auto fields = with_key(key);
        fields.emplace_back("Accept", both);
        fields.emplace_back("MCP-Protocol-Version", "2025-11-25");
        fields.emplace_back("Mcp-Session-Id", "same");
        return fields;
    };
    // It ends by itself, some time behind the other one's message.
    const json::object params{
        {"name", "run_program"},
        {"arguments", {{"runtime", "node"}, {"code", "setTimeout(() => console.log('whole'), 2000)"}}},
        {"_meta", {{"progressToken", 1}}}};
    stream_client mine{server};
    REQUIRE(mine.send(as_bytes(message(7, "tools/call", params), fields_of("key-of-a"))));
    mine.until("\"progress\":1");
    const json::object cancelled{
        {"jsonrpc", "2.0"}, {"method", "notifications/cancelled"}, {"params", {{"requestId", 7}}}};
    CHECK(client.post("/mcp", cancelled, fields_of("key-of-b")).status == 202);
    CHECK(mine.until("0\r\n\r\n").find("\"stdout\":\"whole\\n\"") != std::string::npos);
}

TEST_CASE("an agent compiles, and reads what came of it", "[mcp]")
{
    server_process server{{.config = R"("proxy": {"trustForwarded": true})"}};
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
        // Whoever has another name for the server has not made this link.
        CHECK(ask(client, "resources/read", {{"uri", "https://elsewhere.example" + path}})
                  .json()
                  .at("error")
                  .at("code") == -32602);
    }
    // What a proxy says counts as it comes last: what is before was its client's.
    const auto behind = [&client](const header_list& proxy) {
        const auto answer = ask(client, "resources/templates/list", {}, proxy).json();
        const std::string uri{answer.at("result").at("resourceTemplates").at(0).at("uriTemplate").as_string()};
        return uri.substr(0, uri.find("/artifacts/"));
    };
    const header_list forwarded{{"X-Forwarded-For", "192.0.2.1"}};
    const auto with = [&forwarded](header_list more) {
        more.insert(more.begin(), forwarded.begin(), forwarded.end());
        return more;
    };
    CHECK(behind(with({{"X-Forwarded-Proto", "https"}, {"X-Forwarded-Host", "front.example:8443"}})) ==
          "https://front.example:8443");
    CHECK(behind(with({{"X-Forwarded-Proto", "http"},
                       {"X-Forwarded-Host", "claimed.example"},
                       {"X-Forwarded-Proto", "https"},
                       {"X-Forwarded-Host", "also.example, front.example"}})) == "https://front.example");
    CHECK(behind(with({{"X-Forwarded-Proto", "javascript"}, {"X-Forwarded-Host", "a/b?c"}})) == "http://localhost");
    // A link that was made for the proxy's name is read by that name.
    const auto path = links[0].substr(links[0].find("/artifacts/"));
    CHECK(ask(client, "resources/read", {{"uri", "https://front.example" + path}},
              with({{"X-Forwarded-Proto", "https"}, {"X-Forwarded-Host", "front.example"}}))
              .json()
              .as_object()
              .contains("result"));
    server_process plain{{.config = no_toolchain, .wait_ready = false}};
    http_client direct{plain};
    const auto claimed = ask(direct, "resources/templates/list", {},
                             {{"X-Forwarded-Proto", "https"}, {"X-Forwarded-Host", "claimed.example"}});
    CHECK(claimed.body.find("http://localhost/artifacts/") != std::string::npos);
    CHECK(claimed.body.find("claimed") == std::string::npos);
}

TEST_CASE("calls of agents and what is refused are counted", "[mcp]")
{
    server_process server{{.config = no_toolchain, .wait_ready = false}};
    http_client client{server};
    const auto calls = [&server](const std::string& tool, const std::string& outcome) {
        return server.metric("sandboxd_mcp_calls_total{tool=\"" + tool + "\",outcome=\"" + outcome + "\"}");
    };
    const auto refused = [&server](const std::string& code) {
        return server.metric("sandboxd_mcp_refused_total{code=\"" + code + "\"}");
    };
    CHECK(client.get("/metrics").body.find("sandboxd_mcp_calls_total{tool=\"undeploy\",outcome=\"gone\"} 0") !=
          std::string::npos);
    call(client, "run_program", {{"runtime", "node"}, {"code", "1"}});
    call(client, "run_program", {{"runtime", "node"}, {"code", "process.exit(1)"}});
    call(client, "logs", {{"deployment_id", "none"}});
    CHECK(calls("run_program", "ok") == 1);
    CHECK(calls("run_program", "error") == 1);
    CHECK(calls("logs", "error") == 1);
    {
        stream_client leaving{server};
        REQUIRE(leaving.send(as_bytes(
            message(
                1, "tools/call",
                {{"name", "run_program"}, {"arguments", {{"runtime", "node"}, {"code", endless}}}, {"_meta", meta()}}),
            fields("tools/call", "run_program"))));
        REQUIRE(eventually([&] { return server.metric("sandboxd_mcp_calls_running") == 1; }));
        REQUIRE(eventually([&] { return client.get("/health").json().at("running") == 1; }));
    }
    CHECK(eventually([&] { return calls("run_program", "gone") == 1; }));
    CHECK(server.metric("sandboxd_mcp_calls_running") == 0);
    ask(client, "no/such/method");
    ask(client, "tools/call", {{"name", "no"}, {"arguments", json::object{}}});
    client.request("POST", "/mcp", {{"Content-Type", "application/json"}, {"Host", "localhost"}}, "{");
    CHECK(refused("method_not_found") == 1);
    CHECK(refused("invalid_params") == 1);
    CHECK(refused("parse_error") == 1);
    CHECK(refused("header_mismatch") == 0);
}

TEST_CASE("a call that could not be done now is done when it is sent again", "[mcp]")
{
    server_process server{{.config = no_toolchain, .wait_ready = false, .js = true}};
    http_client client{server};
    const auto called = [&](const std::string& tool, json::object arguments) {
        return ask(client, "tools/call", {{"name", tool}, {"arguments", std::move(arguments)}},
                   {{"Idempotency-Key", "\"" + tool + "\""}});
    };
    // No compiler is there: 503 beside the agents' endpoint.
    const json::object source{{"code", "int main(void) { return 0; }"}};
    const json::object script{{"script", "1"}};
    for (const bool again : {false, true}) {
        CAPTURE(again);
        const auto refused = called("compile", source);
        CHECK(refused.status == 200);
        CHECK(refused.json().at("result").at("isError").as_bool());
        CHECK(refused.field("idempotency-replayed").empty());
        const auto done = called("run_javascript", script);
        CHECK(done.status == 200);
        CHECK_FALSE(done.json().at("result").at("isError").as_bool());
        CHECK(done.field("idempotency-replayed") == (again ? "true" : ""));
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
        as_bytes(message("s", "subscriptions/listen", params),
                 {{"Accept", both}, {"MCP-Protocol-Version", now}, {"Mcp-Method", "subscriptions/listen"}})));
    const auto first = listening.until("\"notifications\":{}");
    CHECK(first.find("notifications/subscriptions/acknowledged") != std::string::npos);
    CHECK(first.find("\"io.modelcontextprotocol/subscriptionId\":\"s\"") != std::string::npos);
    server.signal(SIGTERM);
    CHECK(listening.rest().find("\"resultType\":\"complete\"") != std::string::npos);
    CHECK(server.wait().code == 0);
}

TEST_CASE("sandboxd mcp passes messages on as they come, and ends with its input", "[mcp]")
{
    // The second notification of progress is a minute away.
    server_process server{
        {.config = std::string{no_toolchain} + R"(, "mcp": {"progressMs": 60000})", .wait_ready = false}};
    http_client client{server};
    bridge host{server.url()};
    json::object watched{
        {"name", "run_program"}, {"arguments", {{"runtime", "node"}, {"code", endless}}}, {"_meta", meta()}};
    watched["_meta"].as_object()["progressToken"] = "p";
    host.tell(message("a", "tools/call", watched));
    CHECK(json::parse(host.line()).at("params").at("progress") == 1);
    REQUIRE(eventually([&] { return client.get("/health").json().at("running") == 1; }));
    // Its id is taken; another one is not.
    host.tell(message("a", "server/discover", {{"_meta", meta()}}));
    CHECK(json::parse(host.line()).at("error").at("code") == -32603);
    // What has no id that can be read is answered with null, and what has one with that.
    host.write("no JSON\n");
    const auto unread = json::parse(host.line());
    CHECK(unread.at("error").at("code") == -32700);
    CHECK(unread.as_object().contains("id"));
    CHECK(unread.at("id").is_null());
    host.write("[]\n");
    const auto batch = json::parse(host.line());
    CHECK(batch.at("error").at("code") == -32600);
    CHECK(batch.as_object().contains("id"));
    CHECK(batch.at("id").is_null());
    host.write("{\"jsonrpc\":\"2.0\",\"id\":7}\n");
    CHECK(json::parse(host.line()).at("id") == 7);
    host.tell({{"jsonrpc", "2.0"}, {"method", "notifications/cancelled"}, {"params", {{"requestId", "a"}}}});
    CHECK(eventually([&] { return client.get("/sandboxes").json().at("count") == 0; }));
    host.tell(message("a", "server/discover", {{"_meta", meta()}}));
    CHECK(json::parse(host.line()).at("result").at("resultType") == "complete");
    // What was asked for before the end of the input is answered, the last line without its end as well; a
    // subscription ends.
    host.tell(message("s", "subscriptions/listen", {{"_meta", meta()}}));
    CHECK(host.line().find("acknowledged") != std::string::npos);
    host.write(json::serialize(message(9, "tools/call",
                                       {{"name", "run_program"},
                                        {"arguments", {{"runtime", "node"}, {"code", "console.log(9)"}}},
                                        {"_meta", meta()}})));
    host.end_input();
    CHECK(json::parse(host.line()).at("result").at("structuredContent").at("stdout") == "9\n");
    CHECK(host.line().empty());
    CHECK(host.wait() == 0);
    // Files instead of pipes, and no server.
    temporary_directory own;
    const auto file = own / "in";
    std::ofstream{file} << json::serialize(message(1, "ping", {})) << "\n";
    const std::string command = std::string{"exec \"$1\" mcp --url http://127.0.0.1:9 <\"$2\" >\"$2.out\""};
    const char* const argv[] = {"sh", "-c", command.c_str(), "sh", SANDBOXD_BINARY, file.c_str(), nullptr};
    pid_t pid = -1;
    REQUIRE(::posix_spawnp(&pid, "sh", nullptr, nullptr, const_cast<char**>(argv), environ) == 0);
    int status = -1;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    CHECK(status == 0);
    std::ifstream told{own / "in.out"};
    std::string line;
    REQUIRE(std::getline(told, line));
    CHECK(json::parse(line).at("error").at("message").as_string().find("cannot be reached") != std::string::npos);
    // Of a server without tools for agents.
    server_process off{{.config = std::string{no_toolchain} + R"(, "mcp": {"enabled": false})", .wait_ready = false}};
    bridge lost{off.url()};
    lost.tell(message(1, "server/discover", {{"_meta", meta()}}));
    CHECK(json::parse(lost.line()).at("error").at("message").as_string().find("nothing at /mcp") != std::string::npos);
}

TEST_CASE("sandboxd mcp ends when nobody reads what it says any more", "[mcp]")
{
    server_process server{{.config = no_toolchain, .wait_ready = false}};
    http_client client{server};
    {
        bridge host{server.url()};
        host.tell(message(
            1, "tools/call",
            {{"name", "run_program"}, {"arguments", {{"runtime", "node"}, {"code", endless}}}, {"_meta", meta()}}));
        REQUIRE(eventually([&] { return client.get("/health").json().at("running") == 1; }));
        host.end_input();
        CHECK(client.get("/health").json().at("running") == 1);
        host.close_output();
        CHECK(host.wait() == 0);
    }
    CHECK(eventually([&] { return client.get("/sandboxes").json().at("count") == 0; }));
}

TEST_CASE("the bridge has its key from a file or the environment", "[mcp][tenants]")
{
    const keys_file keys{{{"agent", "key-of-agent", {"execute"}}}};
    const server_process server{{.config = no_toolchain + (", " + keys.config()), .wait_ready = false}};
    const auto answer_to_ping = [](bridge& to) {
        to.tell(message(7, "initialize",
                        {{"protocolVersion", before},
                         {"capabilities", json::object{}},
                         {"clientInfo", json::object{{"name", "test"}, {"version", "1"}}}}));
        return to.line();
    };
    const temporary_directory own;
    const auto write_secret = [&own](const char* name, const std::string& text) {
        write_file(own / name, text);
        fs::permissions(own / name, fs::perms::owner_read | fs::perms::owner_write);
    };
    write_secret("key", "key-of-agent\n");
    write_secret("wrong", "key-of-nobody\n");
    write_secret("none", "key of agent\n");
    write_secret("empty", "\n");
    write_secret("open", "key-of-agent\n");
    fs::permissions(own / "open", fs::perms::others_read, fs::perm_options::add);
    {
        bridge to{server.url(), own / "key"};
        CHECK(answer_to_ping(to).find("serverInfo") != std::string::npos);
    }
    for (const auto& file : {std::string{}, (own / "wrong").native()}) {
        bridge to{server.url(), file};
        CHECK(answer_to_ping(to).find("unauthorized") != std::string::npos);
    }
    for (const auto* file : {"none", "empty", "open", "nowhere"}) {
        bridge to{server.url(), own / file};
        CHECK(to.wait() == 2);
    }
    REQUIRE(::setenv("SANDBOXD_KEY", "key-of-agent", 1) == 0);
    {
        bridge to{server.url()};
        CHECK(answer_to_ping(to).find("serverInfo") != std::string::npos);
    }
    {
        // What is said on the command line is meant.
        bridge to{server.url(), own / "wrong"};
        CHECK(answer_to_ping(to).find("unauthorized") != std::string::npos);
    }
    ::unsetenv("SANDBOXD_KEY");
    REQUIRE(::setenv("SANDBOXD_KEY_FILE", (own / "key").c_str(), 1) == 0);
    {
        bridge to{server.url()};
        CHECK(answer_to_ping(to).find("serverInfo") != std::string::npos);
    }
    ::unsetenv("SANDBOXD_KEY_FILE");
}
