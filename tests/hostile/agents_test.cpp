// Agents that mean ill: floods of methods and ids, arguments of every wrong shape and size, readers that read nothing.
// What the server keeps for them is bounded, none of it becomes a metric's label, and others are served meanwhile.
#include "support/agent.hpp"
#include "support/eventually.hpp"
#include "support/http_client.hpp"
#include "support/server_process.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <sys/socket.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

using namespace sandboxd::test;
namespace json = boost::json;

namespace {

server_options with(const std::string& more = {})
{
    return {.config = std::string{no_toolchain} + more, .wait_ready = false};
}

std::size_t agent_metrics(http_client& client)
{
    const auto text = client.get("/metrics").body;
    std::size_t count = 0;
    for (auto at = text.find("\nsandboxd_mcp_"); at != std::string::npos; at = text.find("\nsandboxd_mcp_", at + 1))
        ++count;
    return count;
}

// Sends `count` requests in bundles, and has `look` see each answer.
void flood(const server_process& server, std::size_t count, const auto& make, const auto& look)
{
    constexpr std::size_t bundle = 50;
    http_client client{server};
    for (std::size_t i = 0; i < count; i += bundle) {
        std::string all;
        for (std::size_t k = i; k < std::min(count, i + bundle); ++k) all += make(k);
        REQUIRE(client.send(all));
        for (std::size_t k = i; k < std::min(count, i + bundle); ++k) {
            const auto answer = client.receive();
            REQUIRE(answer.status != 0);
            look(k, answer);
        }
    }
}

}  // namespace

TEST_CASE("a flood of unknown methods leaves nothing behind", "[hostile][agents]")
{
    const server_process server{with()};
    http_client client{server};
    const auto before = agent_metrics(client);
    CHECK(before > 20);
    constexpr std::size_t count = 2'000;
    flood(
        server, count,
        [](std::size_t i) {
            const auto method = "no/" + std::string(i % 2 == 0 ? 200 : 3, 'x') + std::to_string(i);
            return agent::as_bytes(agent::message(i, method, {{"_meta", agent::meta()}}), agent::fields(method));
        },
        [](std::size_t i, const http_answer& answer) {
            CHECK(answer.status == 404);
            CHECK(answer.json().at("id") == i);
            CHECK(answer.json().at("error").at("code") == -32601);
        });
    CHECK(server.metric("sandboxd_mcp_refused_total{code=\"method_not_found\"}") == count);
    CHECK(agent_metrics(client) == before);
    // Those of the tools, too.
    for (int i = 0; i < 100; ++i)
        CHECK(agent::ask(client, "tools/call", {{"name", "t" + std::to_string(i)}}).json().at("error").at("code") ==
              -32602);
    CHECK(agent_metrics(client) == before);
}

TEST_CASE("ten thousand ids end nobody's call and are not kept", "[hostile][agents]")
{
    const server_process server{with()};
    http_client client{server};
    const auto params = json::object{
        {"name", "run_program"},
        {"arguments", {{"runtime", "node"}, {"code", "setInterval(() => {}, 1000)"}, {"timeout_ms", 300'000}}}};
    http_client mine{server};
    REQUIRE(mine.send(agent::as_bytes(agent::message(7, "tools/call", params), agent::session_fields("mine"))));
    REQUIRE(eventually([&] { return client.get("/health").json().at("running") == 1; }));
    constexpr std::size_t count = 10'000;
    // Cancellations of all ids that the call could have, by sessions that are not its own.
    flood(
        server, count,
        [](std::size_t i) {
            return agent::as_bytes(json::object{{"jsonrpc", "2.0"},
                                                {"method", "notifications/cancelled"},
                                                {"params", {{"requestId", i}, {"reason", std::string(100, 'r')}}}},
                                   agent::session_fields(i % 3 == 0 ? "" : "other" + std::to_string(i)));
        },
        [](std::size_t, const http_answer& answer) { CHECK(answer.status == 202); });
    CHECK(server.metric("sandboxd_mcp_calls_running") == 1);
    CHECK(client.get("/health").json().at("running") == 1);
    // Requests with ids of every kind, each answered with its own.
    flood(
        server, 1'000,
        [](std::size_t i) {
            const json::value id = i % 2 == 0 ? json::value(i) : json::value("id \"" + std::to_string(i));
            return agent::as_bytes(agent::message(id, "ping", {}),
                                   agent::session_fields("session" + std::to_string(i)));
        },
        [](std::size_t i, const http_answer& answer) {
            REQUIRE(answer.status == 200);
            CHECK(answer.json().at("id") == (i % 2 == 0 ? json::value(i) : json::value("id \"" + std::to_string(i))));
        });
    CHECK(server.metric("sandboxd_mcp_calls_running") == 1);
    mine.close();
    CHECK(eventually([&] { return server.metric("sandboxd_mcp_calls_running") == 0; }));
    CHECK(eventually([&] { return client.get("/sandboxes").json().at("count") == 0; }));
}

TEST_CASE("arguments of every wrong size and shape are refused shortly", "[hostile][agents]")
{
    const server_process server{with()};
    http_client client{server};
    const std::string megabytes(3'900'000, 'x');
    const std::string begin = R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"run_program",)";
    const std::string meta = "\"_meta\":" + json::serialize(agent::meta()) + ",";
    std::string members;
    for (int i = 0; i < 200'000; ++i) members += "\"m" + std::to_string(i) + "\":0,";
    const std::string deep = std::string(1'000'000, '[') + std::string(1'000'000, ']');
    const std::vector<std::string> bodies{
        begin + meta + R"("arguments":{"runtime":"node","code":")" + megabytes + "\"}}}",
        begin + meta + R"("arguments":{"runtime":")" + megabytes + R"(","code":"1"}}})",
        begin + meta + R"("arguments":{")" + megabytes + R"(":1}}})",
        begin + meta + R"("arguments":")" + megabytes + R"("}})",
        begin + meta + R"("arguments":{)" + members + R"("runtime":"node","code":"1"}}})",
        begin + meta + R"("arguments":{"x":)" + deep + R"(,"runtime":"node","code":"1"}}})",
        begin + meta + R"("arguments":{"runtime":"node","code":"1"},"arguments":{}}})",
        begin + meta + R"("arguments":{"runtime":"node","code":"1","\u0063ode":"2"}}})",
        begin + meta + R"("arguments":{"runtime":"node","code":"x","stdin":")" + std::string(3'900'000, '\\') + "\"}}}",
        begin + R"("_meta":{"progressToken":")" + megabytes + R"("},"arguments":{}}})",
        R"({"jsonrpc":"2.0","method":"x","id":")" + megabytes + "\"}",
        R"({"jsonrpc":"2.0","id":1,"method":")" + megabytes + R"(","params":{)" + meta + R"("a":1}})",
        R"({"jsonrpc":"2.0","id":1,"method":"resources/read","params":{)" + meta + R"("uri":")" + megabytes + "\"}}",
        "{" + members + R"("jsonrpc":"2.0","id":1,"method":"tools/list"})",
    };
    for (const auto& body : bodies) {
        CAPTURE(body.substr(0, 80));
        for (const auto& fields : {agent::fields("tools/call", "run_program"), agent::session_fields("s")}) {
            auto all = fields;
            all.emplace_back("Content-Type", "application/json");
            all.emplace_back("Host", "localhost");
            const auto answer = client.request("POST", "/mcp", all, body);
            REQUIRE(answer.status != 0);
            CHECK(answer.status != 500);
            // At most the beginning and the end of what a program has printed, twice (mcp.maxOutputBytes).
            CHECK(answer.body.size() < 160 * 1024);
            const auto told = answer.json().as_object();
            CHECK(told.at("jsonrpc") == "2.0");
            if (const auto* const result = told.if_contains("result")) CHECK(result->at("isError") == true);
        }
    }
    // What is too large is refused before it is read.
    http_client large{server};
    REQUIRE(
        large.send("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                   "Content-Length: 5000000\r\n\r\n{"));
    const auto refused = large.receive();
    CHECK(refused.status == 413);
    CHECK(refused.json().at("error").at("data").at("code") == "payload_too_large");
    CHECK(client.get("/sandboxes").json().at("count") == 0);
    CHECK(server.metric("sandboxd_mcp_calls_running") == 0);
    CHECK(agent::ask(client, "server/discover").status == 200);
}

TEST_CASE("agents that read nothing hold neither jobs nor memory", "[hostile][agents]")
{
    auto options = with(R"(, "mcp": {"progressMs": 100, "maxOutputBytes": 1048576},
        "http": {"writeTimeoutSecs": 1, "maxUnsentMB": 16})");
    options.js = true;
    // What a sanitizer keeps of freed memory would count as the server's.
    options.env = {{"ASAN_OPTIONS", "quarantine_size_mb=8:thread_local_quarantine_size_kb=64"}};
    server_process server{std::move(options)};
    http_client client{server};
    REQUIRE(eventually([&] { return client.get("/api/health").status == 200; }));
    const auto before = server.metric("process_resident_memory_bytes");
    // Results of megabytes: each quote is written three times as two or four characters.
    json::object params{
        {"name", "run_javascript"}, {"arguments", {{"script", "'\"'.repeat(400000)"}}}, {"_meta", agent::meta()}};
    params["_meta"].as_object()["progressToken"] = "p";
    const auto request =
        agent::as_bytes(agent::message(1, "tools/call", params), agent::fields("tools/call", "run_javascript"));
    const auto listen = agent::as_bytes(agent::message(2, "subscriptions/listen", {{"_meta", agent::meta()}}),
                                        agent::fields("subscriptions/listen"));
    std::vector<std::unique_ptr<http_client>> readers;
    constexpr int count = 40;
    for (int i = 0; i < 2 * count; ++i) {
        readers.push_back(std::make_unique<http_client>(server));
        const int small = 4'096;
        ::setsockopt(readers.back()->native(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        REQUIRE(readers.back()->send(i % 2 == 0 ? request : listen));
    }
    const auto ended = [&server] {
        double sum = 0;
        for (const auto* outcome : {"ok", "error", "cancelled", "gone"})
            sum += server.metric("sandboxd_mcp_calls_total{tool=\"run_javascript\",outcome=\"" + std::string{outcome} +
                                 "\"}");
        return sum;
    };
    // Their jobs end, and so do the calls, though nobody takes the answers.
    CHECK(eventually([&] { return ended() == count; }));
    CHECK(server.metric("sandboxd_mcp_calls_running") == 0);
    CHECK(server.metric("process_resident_memory_bytes") - before < 256.0 * 1024 * 1024);
    const auto served =
        agent::ask(client, "tools/call", {{"name", "run_javascript"}, {"arguments", {{"script", "1"}}}});
    CHECK(served.json().at("result").at("isError") == false);
    // And the server's end waits for none of them.
    CHECK(server.stop().code == 0);
}

TEST_CASE("a program that is watched by nobody who reads ends at its deadline", "[hostile][agents]")
{
    const server_process server{with(R"(, "mcp": {"progressMs": 100})")};
    http_client client{server};
    json::object params{{"name", "run_program"},
                        {"arguments", {{"runtime", "node"}, {"code", "for (;;);"}, {"timeout_ms", 1000}}},
                        {"_meta", agent::meta()}};
    params["_meta"].as_object()["progressToken"] = 1;
    http_client reader{server};
    const int small = 4'096;
    ::setsockopt(reader.native(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    REQUIRE(reader.send(
        agent::as_bytes(agent::message(1, "tools/call", params), agent::fields("tools/call", "run_program"))));
    CHECK(eventually(
        [&] { return server.metric("sandboxd_mcp_calls_total{tool=\"run_program\",outcome=\"error\"}") == 1; }));
    CHECK(client.get("/sandboxes").json().at("count") == 0);
    CHECK(reader.receive().body.find("\"isError\":true") != std::string::npos);
}
