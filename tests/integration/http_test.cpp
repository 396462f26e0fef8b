// HTTP as clients speak it: connections, methods, bodies, and what is refused with which status.
#include "support/eventually.hpp"
#include "support/http_client.hpp"
#include "support/server_process.hpp"
#include "support/temporary_directory.hpp"

#include <boost/json/object.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <vector>

using namespace sandboxd::test;

namespace {

server_options without_toolchain(const std::string& more = {})
{
    return {.config = std::string{no_toolchain} + (more.empty() ? "" : ", " + more), .wait_ready = false};
}

// One request on a connection of its own that must be refused and the connection closed.
http_answer refused(const server_process& server, const std::string& bytes)
{
    http_client client{server};
    client.send(bytes);
    auto answer = client.receive();
    CHECK(answer.field("connection") == "close");
    CHECK(client.closed());
    return answer;
}

std::string code_of(const http_answer& answer) { return std::string{answer.json().at("code").as_string()}; }

}  // namespace

TEST_CASE("connections are kept, and pipelined requests answered in order", "[http]")
{
    server_process server{without_toolchain()};
    http_client client{server};
    for (int i = 0; i < 3; ++i) {
        const auto answer = client.get("/healthz");
        CHECK(answer.status == 200);
        CHECK(answer.field("connection").empty());
        CHECK_FALSE(answer.field("date").empty());
    }
    CHECK(server.metric("sandboxd_http_connections_accepted_total") == 2);  // ours, and the one that asks

    std::string many;
    for (int i = 0; i < 40; ++i) {
        many += "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: first-" + std::to_string(i) + "\r\n\r\n";
        many += "POST /compile HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: second-" + std::to_string(i) +
                "\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    }
    client.send(many);
    for (int i = 0; i < 40; ++i) {
        CHECK(client.receive().field("x-request-id") == "first-" + std::to_string(i));
        CHECK(client.receive().field("x-request-id") == "second-" + std::to_string(i));
    }
    // Byte by byte it is the same request.
    for (const char c : std::string{"\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"}) client.send({&c, 1});
    CHECK(client.receive().body == "ok");

    client.send(
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    const auto last = client.receive();
    CHECK(last.field("connection") == "close");
    CHECK(client.receive_all().empty());
}

TEST_CASE("HTTP/1.0 closes unless asked to stay", "[http]")
{
    server_process server{without_toolchain()};
    {
        http_client client{server};
        client.send("GET /healthz HTTP/1.0\r\n\r\n");
        CHECK(client.receive().body == "ok");
        CHECK(client.closed());
    }
    http_client client{server};
    for (int i = 0; i < 2; ++i) {
        client.send("GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        const auto answer = client.receive();
        CHECK(answer.body == "ok");
        CHECK(answer.field("connection") == "keep-alive");
    }
}

TEST_CASE("methods: HEAD, OPTIONS, those that a path does not take", "[http]")
{
    server_process server{without_toolchain()};
    http_client client{server};
    const auto head = client.head("/version");
    CHECK(head.status == 200);
    CHECK(head.field("content-length") == std::to_string(client.get("/version").body.size()));
    CHECK(client.get("/healthz").body == "ok");

    const auto options = client.request("OPTIONS", "/compile");
    CHECK(options.status == 204);
    CHECK(options.field("allow") == "POST, OPTIONS");
    CHECK(options.field("content-length").empty());
    const auto preflight = client.request("OPTIONS", "/artifacts/a/b",
                                          {{"Origin", "https://x.example"}, {"Access-Control-Request-Method", "GET"}});
    CHECK(preflight.status == 204);
    CHECK(preflight.field("access-control-allow-origin") == "*");
    CHECK(preflight.field("access-control-allow-methods") == "HEAD, GET");

    for (const auto* method : {"PUT", "DELETE", "PATCH", "TRACE"}) {
        INFO(method);
        const auto answer = client.request(method, "/healthz");
        CHECK(answer.status == 405);
        CHECK(answer.field("allow") == "HEAD, GET");
        CHECK(code_of(answer) == "method_not_allowed");
    }
    const auto lost = client.get("/no/such/place");
    CHECK(lost.status == 404);
    CHECK(code_of(lost) == "not_found");
    CHECK(client.get("/healthz/").status == 404);
}

TEST_CASE("what cannot be understood is refused and the connection closed", "[http]")
{
    server_process server{
        without_toolchain(R"("http": {"maxHeaderBytes": 2048, "maxHeaderFields": 20, "maxTargetBytes": 512})")};
    struct wrong {
        std::string bytes;
        unsigned status;
        const char* code;
    };
    const std::string host = "Host: localhost\r\n";
    const auto fields = [](int count) {
        std::string all;
        for (int i = 0; i < count; ++i) all += "X-" + std::to_string(i) + ": y\r\n";
        return all;
    };
    const wrong table[] = {
        {"BREW /pot HTTP/1.1\r\n" + host + "\r\n", 501, "method_not_implemented"},
        {"GET / HTTP/2.0\r\n" + host + "\r\n", 505, "version_not_supported"},
        {"GET / HTTP/1.2\r\n" + host + "\r\n", 505, "version_not_supported"},
        {"GET /" + std::string(600, 'a') + " HTTP/1.1\r\n" + host + "\r\n", 414, "target_too_long"},
        {"GET /" + std::string(4000, 'a'), 414, "target_too_long"},
        {"GET / HTTP/1.1\r\n" + host + "X: " + std::string(3000, 'a') + "\r\n\r\n", 431, "header_too_large"},
        {"GET / HTTP/1.1\r\n" + host + "X: " + std::string(3000, 'a'), 431, "header_too_large"},
        {"GET / HTTP/1.1\r\n" + host + fields(20) + "\r\n", 431, "header_too_large"},
        {"GET / HTTP/1.1\r\n\r\n", 400, "invalid_request"},
        {"GET / HTTP/1.1\r\n" + host + host + "\r\n", 400, "invalid_request"},
        {"POST /compile HTTP/1.1\r\n" + host + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
         "invalid_request"},
        {"POST /compile HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip\r\n\r\n", 400, "invalid_request"},
        {"POST /compile HTTP/1.1\r\n" + host + "Content-Length: 1x\r\n\r\n", 400, "invalid_request"},
        {"nonsense\r\n\r\n", 400, "invalid_request"},
        {"GET / HTTP/1.1\n" + host + "\n", 400, "invalid_request"},
        {std::string{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11} + "\n", 400, "invalid_request"},
    };
    for (const auto& one : table) {
        INFO(one.bytes.substr(0, 80));
        // What follows must never be read as a request.
        const auto answer = refused(server, one.bytes + "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
        CHECK(answer.status == one.status);
        CHECK(code_of(answer) == one.code);
        CHECK_FALSE(answer.json().at("ok").as_bool());
        CHECK_FALSE(answer.field("x-request-id").empty());
    }
    CHECK(server.metric("sandboxd_http_requests_total{route=\"/metrics\",status=\"200\"}") == 0);
    http_client client{server};
    CHECK(client.get("/healthz").body == "ok");
    REQUIRE(client.send("GET /healthz HTTP/1.1\r\n" + host + fields(19) + "\r\n"));
    CHECK(client.receive().status == 200);
}

TEST_CASE("a refused header is nobody's, whatever came before it on its connection", "[http]")
{
    server_process server{
        without_toolchain(R"("faas": {"baseDomain": "apps.test"}, "http": {"maxRequestsPerMinutePerClient": 1000})")};
    const std::string deployment = "11111111-1111-4111-8111-111111111111.apps.test";
    const std::string refused[] = {"x\r\n\r\n",
                                   "GET / HTTP/1.1\r\nHost: " + deployment + "..\r\n\r\n",
                                   "GET / HTTP/1.0\r\nHost: " + deployment + "..\r\n\r\n",
                                   "QUERY /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
                                   "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
                                   "GET /healthz HTTP/3.0\r\nHost: localhost\r\n\r\n",
                                   "GET /" + std::string(20'000, 'a')};
    for (const auto& what : refused) {
        CAPTURE(what.substr(0, 80));
        for (const auto& host : {std::string{"localhost"}, deployment}) {
            http_client client{server};
            client.send("GET /healthz HTTP/1.1\r\nA: " + std::string(1900, 'a') + "\r\nHost: " + host + "\r\n\r\n");
            CHECK(client.receive().status > 0);
            client.send(what);
            const auto answer = client.receive();
            CHECK(answer.status >= 400);
            CHECK(answer.field("access-control-allow-origin").empty());
        }
    }
    CHECK(server.metric("sandboxd_http_requests_total{route=\"unmatched\",status=\"400\"}") > 0);
    CHECK(server.stop().code == 0);
}

TEST_CASE("members and depth of bodies are bounded by keys", "[http]")
{
    server_process server{without_toolchain(R"("http": {"maxJsonMembers": 100, "maxJsonDepth": 4})")};
    std::string members;
    for (int i = 0; i < 101; ++i) members += "\"" + std::to_string(i) + "\":0,";
    for (const auto* path : {"/compile", "/execute", "/sandbox", "/faas/deploy", "/api/execute"}) {
        CAPTURE(path);
        http_client client{server};
        const auto post = [&](const std::string& body) {
            client.send("POST " + std::string{path} + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json" +
                        "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
            return client.receive();
        };
        const auto many = post("{" + members + "\"code\":\"1\"}");
        if (many.status == 404) continue;  // not run here
        CHECK(many.status == 400);
        CHECK(many.body.find("more than 100 members") != std::string::npos);
        const auto deep = post(R"({"x":[[[[]]]],"code":"1"})");
        CHECK(deep.status == 400);
        CHECK(deep.body.find("JSON") != std::string::npos);
    }
    CHECK(server.stop().code == 0);
}

TEST_CASE("bodies: expectations, chunks, sizes and types", "[http]")
{
    server_process server{without_toolchain(R"("http": {"maxBodyBytes": 100000})")};
    const std::string post = "POST /compile HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    {
        // Refused before a byte of it was sent.
        http_client client{server};
        client.send(post + "Expect: 100-continue\r\nContent-Length: 100001\r\n\r\n");
        const auto answer = client.receive();
        CHECK(answer.status == 413);
        CHECK(code_of(answer) == "payload_too_large");
        CHECK(client.closed());
    }
    {
        http_client client{server};
        client.send(post + "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
        REQUIRE(eventually([&] { return client.readable(); }));
        client.send("{}");
        const auto all = client.receive();  // skips the 100
        CHECK(all.status == 400);
        CHECK(client.get("/healthz").body == "ok");
    }
    {
        http_client client{server};
        client.send(post + "Expect: miracles\r\nContent-Length: 2\r\n\r\n");
        CHECK(client.receive().status == 400);
    }
    {
        // Announced and too large: answered although the client goes on sending, and without a reset.
        http_client client{server};
        client.send(post + "Content-Length: 900000\r\n\r\n");
        client.send(std::string(900'000, ' '));
        const auto answer = client.receive();
        CHECK(answer.status == 413);
        CHECK(client.closed());
    }
    {
        http_client client{server};
        client.send(post + "Transfer-Encoding: chunked\r\n\r\n");
        client.send("1;a=b\r\n{\r\n1\r\n}\r\n0\r\n\r\n");
        const auto answer = client.receive();
        CHECK(answer.status == 400);
        CHECK(std::string{answer.json().at("error").as_string()} == "code is required");
        // Not announced: too large as soon as it is.
        client.send(post + "Transfer-Encoding: chunked\r\n\r\n");
        for (int i = 0; i < 30; ++i) client.send("1000\r\n" + std::string(4096, ' ') + "\r\n");
        CHECK(client.receive().status == 413);
        CHECK(client.closed());
    }
    http_client client{server};
    for (const auto* type :
         {"text/plain", "application/x-www-form-urlencoded", "application/jsonx", "multipart/form-data; boundary=x"}) {
        INFO(type);
        const auto answer = client.request("POST", "/compile", {{"Content-Type", type}}, "{}");
        CHECK(answer.status == 415);
        CHECK(code_of(answer) == "unsupported_media_type");
    }
    for (const auto* type : {"application/json", "Application/JSON; charset=utf-8"})
        CHECK(client.request("POST", "/compile", {{"Content-Type", type}}, "{}").status == 400);
    CHECK(client.request("POST", "/compile", {}, "{}").status == 415);

    // Small bodies that nobody read do not cost the connection.
    CHECK(client.request("POST", "/nowhere", {}, std::string(60'000, 'x')).status == 404);
    CHECK(client.request("GET", "/healthz", {}, "a body").body == "ok");
    CHECK(client.get("/healthz").body == "ok");
    CHECK(server.metric("sandboxd_http_connections_accepted_total") > 1);
}

TEST_CASE("a connection that stands still is closed at its deadline", "[http][timeouts]")
{
    server_process server{without_toolchain(
        R"("http": {"headerTimeoutSecs": 1, "bodyTimeoutSecs": 1, "idleTimeoutSecs": 1, "writeTimeoutSecs": 1})")};
    http_client silent{server};
    http_client idle{server};
    CHECK(idle.get("/healthz").body == "ok");
    http_client header{server};
    header.send("GET /healthz HTT");
    http_client body{server};
    body.send(
        "POST /compile HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{");

    // Idle ones are closed without a word, the others are told.
    CHECK(silent.receive_all().empty());
    CHECK(idle.receive_all().empty());
    for (auto* slow : {&header, &body}) {
        const auto answer = slow->receive();
        CHECK(answer.status == 408);
        CHECK(code_of(answer) == "request_timeout");
        CHECK(answer.field("connection") == "close");
        CHECK(slow->closed());
    }
    CHECK(server.metric("sandboxd_http_deadlines_total") == 4);
    // A trickle does not help.
    http_client trickle{server};
    trickle.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ");
    CHECK(eventually([&] { return !trickle.send("a") || trickle.readable(); }));
}

TEST_CASE("a client that does not read is closed, and hinders nobody", "[http][timeouts]")
{
    server_process server{without_toolchain(R"("http": {"writeTimeoutSecs": 1})")};
    http_client greedy{server};
    const int small = 2048;
    ::setsockopt(greedy.native(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    // Answers pile up until neither side takes more.
    std::string many;
    for (int i = 0; i < 20'000; ++i) many += "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    ::send(greedy.native(), many.data(), many.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    http_client other{server};
    for (int i = 0; i < 50; ++i) CHECK(other.get("/healthz").body == "ok");
    CHECK(eventually([&] { return server.metric("sandboxd_http_deadlines_total") == 1; }));
    CHECK(eventually([&] { return server.metric("sandboxd_http_connections") <= 2; }));
    CHECK(other.get("/healthz").body == "ok");
}

TEST_CASE("at the cap, those who have been idle longest make room", "[http]")
{
    server_process server{without_toolchain(R"("http": {"maxConnections": 3})")};
    auto oldest = std::make_unique<http_client>(server);
    CHECK(oldest->get("/healthz").body == "ok");
    http_client middle{server};
    CHECK(middle.get("/healthz").body == "ok");
    http_client young{server};
    CHECK(young.get("/healthz").body == "ok");
    http_client next{server};
    CHECK(next.get("/healthz").body == "ok");
    CHECK(oldest->closed());
    CHECK(next.get("/metrics").body.find("\nsandboxd_http_connections_evicted_total 1\n") != std::string::npos);
    CHECK(young.get("/healthz").body == "ok");

    // Requests under way are not idle: a new client waits until one of them is over.
    for (auto* busy : {&middle, &young, &next}) {
        busy->send(
            "POST /compile HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n");
    }
    http_client waiting{server};
    waiting.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    for (auto* busy : {&middle, &young, &next}) {
        busy->send("{}");
        CHECK(busy->receive().status == 400);
    }
    CHECK(waiting.receive().body == "ok");
}

TEST_CASE("hundreds of connections at once", "[http]")
{
    server_process server{without_toolchain()};
    std::vector<std::unique_ptr<http_client>> clients;
    for (int i = 0; i < 500; ++i) clients.push_back(std::make_unique<http_client>(server));
    for (auto& client : clients) client->send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    for (auto& client : clients) CHECK(client->receive().body == "ok");
    CHECK(server.metric("sandboxd_http_connections") == 501);
    clients.clear();
    CHECK(eventually([&] { return server.metric("sandboxd_http_connections") == 1; }));
}

TEST_CASE("behind a proxy a client is whom the proxy has seen, not whom that one names", "[http]")
{
    const std::string quota = R"("http": {"maxRequestsPerMinutePerClient": 2})";
    temporary_directory place;
    const auto unix_socket = (place / "http.sock").native();
    server_process servers[] = {
        server_process{without_toolchain(quota + R"(, "proxy": {"trustForwarded": true})")},
        server_process{
            {.config = std::string{no_toolchain} + ", " + quota, .addr = "unix:" + unix_socket, .wait_ready = false}}};
    for (auto& server : servers) {
        INFO(server.url());
        http_client client{server};
        const auto status = [&](const header_list& forwarded) {
            return client.post("/compile", boost::json::object{}, forwarded).status;
        };
        CHECK(status({{"X-Forwarded-For", "203.0.113.1, 192.0.2.1"}}) != 429);
        CHECK(status({{"X-Forwarded-For", "203.0.113.2"}, {"X-Forwarded-For", "192.0.2.1"}}) != 429);
        CHECK(status({{"X-Forwarded-For", "203.0.113.3,192.0.2.1"}}) == 429);
        CHECK(status({{"X-Forwarded-For", "192.0.2.1, 192.0.2.2"}}) != 429);
        CHECK(status({{"X-Forwarded-For", "192.0.2.1, 2001:db8::1"}}) != 429);
    }
    // Who is no proxy speaks for itself.
    server_process plain{without_toolchain(quota)};
    http_client client{plain};
    for (int i = 0; i < 3; ++i) {
        const header_list forwarded{{"X-Forwarded-For", "192.0.2." + std::to_string(i)}};
        CHECK((client.post("/compile", boost::json::object{}, forwarded).status == 429) == (i == 2));
    }
}

TEST_CASE("a client has a quota of requests that do something", "[http]")
{
    server_process server{without_toolchain(R"("http": {"maxRequestsPerMinutePerClient": 3})")};
    // Its connections count together, whatever they are answered.
    for (int i = 0; i < 3; ++i) {
        http_client client{server};
        CHECK(client.post("/compile", boost::json::object{}).status != 429);
    }
    http_client client{server};
    const auto refused = client.post("/compile", boost::json::object{});
    CHECK(refused.status == 429);
    CHECK(refused.json().at("code").as_string() == "too_many_requests");
    const auto patience = std::stoi(refused.field("retry-after"));
    CHECK(patience >= 1);
    CHECK(patience <= 60);
    CHECK(refused.field("ratelimit-policy") == "\"requests\";q=3;w=60");
    CHECK(refused.field("ratelimit") == "\"requests\";r=0;t=" + refused.field("retry-after"));
    for (int i = 0; i < 10; ++i) {
        http_client reader{server};
        CHECK(reader.get("/healthz").status == 200);
    }
    CHECK(server.metric("sandboxd_http_over_quota_total") == 1);
}

TEST_CASE("errors are problems for who asks for that, and else what they were", "[http]")
{
    server_process server{without_toolchain()};
    const header_list asking{{"Accept", "application/json, application/problem+json"}};
    http_client client{server};
    const auto check = [](const http_answer& answer, const std::string& code, std::string_view detail_begins) {
        CAPTURE(answer.body);
        CHECK(answer.field("content-type") == "application/problem+json");
        CHECK(answer.field("vary").find("Accept") != std::string::npos);
        const auto told = answer.json().as_object();
        CHECK(told.at("status") == answer.status);
        CHECK(told.at("type").as_string() == "/openapi.json#/x-error-codes/" + code);
        CHECK(std::string_view{told.at("detail").as_string()}.starts_with(detail_begins));
        CHECK(told.at("code").as_string() == code);
        CHECK(!told.contains("ok"));
    };
    check(client.get("/nowhere", asking), "not_found", "there is nothing at /nowhere");
    const auto not_that = client.request("DELETE", "/compile", asking);
    check(not_that, "method_not_allowed", "this path takes POST");
    CHECK(not_that.field("allow") == "POST");
    CHECK(not_that.json().at("js").as_string().empty());
    const auto no_scripts = client.post("/execute", boost::json::object{}, asking);
    check(no_scripts, "not_found", "this server does not run JavaScript");
    CHECK(no_scripts.json().at("status_text").as_string() == "INVALID_REQUEST");
    // Without a route, too.
    http_client early{server};
    early.send("GET /healthz HTTP/1.1\r\nHost: a..b\r\nAccept: application/problem+json\r\n\r\n");
    CHECK(early.receive().status == 400);

    const header_list others[] = {
        {}, {{"Accept", "*/*"}}, {{"Accept", "application/json"}}, {{"Accept", "application/problem+json;q=0"}}};
    for (const auto& fields : others) {
        const auto answer = client.get("/nowhere", fields);
        CHECK(answer.field("content-type") == "application/json");
        CHECK(answer.field("vary").empty());
        CHECK(answer.body == "{\"ok\":false,\"error\":\"there is nothing at /nowhere\",\"code\":\"not_found\"}\n");
    }
}
