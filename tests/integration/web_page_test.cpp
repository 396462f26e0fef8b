// Web pages are not clients: what a page elsewhere has a browser send is refused before anything is done, whichever
// route it is for; what an allowed page may read is the same for a preflight and for the answer.
#include "support/http_client.hpp"
#include "support/server_process.hpp"
#include "support/temporary_directory.hpp"

#include <boost/json/object.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace sandboxd::test;
namespace json = boost::json;
namespace fs = std::filesystem;

namespace {

constexpr const char* id = "11111111-1111-4111-8111-111111111111";

struct route {
    std::string method;
    std::string path;
};

std::vector<route> api_routes()
{
    const std::string deployment = "/faas/deployments/" + std::string{id};
    const std::string sandbox = "/sandbox/" + std::string{id};
    return {{"GET", "/healthz"},
            {"POST", "/compile"},
            {"POST", "/execute"},
            {"POST", "/api/execute"},
            {"GET", "/api/examples"},
            {"GET", "/api/examples/simple.js"},
            {"GET", "/api/health"},
            {"GET", "/runtimes"},
            {"GET", "/health"},
            {"POST", "/sandbox"},
            {"GET", "/sandboxes"},
            {"GET", sandbox},
            {"DELETE", sandbox},
            {"POST", sandbox + "/execute"},
            {"POST", "/faas/deploy"},
            {"GET", "/faas/deployments"},
            {"GET", deployment},
            {"DELETE", deployment},
            {"PUT", deployment + "/files"},
            {"GET", deployment + "/logs"},
            {"GET", "/livez"},
            {"GET", "/readyz"},
            {"GET", "/version"}};
}

std::size_t lines_with(const std::string& log, const std::string& part, const std::string& other)
{
    std::istringstream lines{log};
    std::size_t count = 0;
    for (std::string line; std::getline(lines, line);)
        count += line.find(part) != std::string::npos && line.find(other) != std::string::npos;
    return count;
}

constexpr const char* listed = "https://ide.example";

server_options with_origins(const std::string& more = {})
{
    return {.config = std::string{no_toolchain} +
                      R"(, "http": {"apiCorsOrigins": ["https://ide.example"],
                                    "artifactCorsOrigins": ["https://ide.example"])" +
                      more + "}",
            .wait_ready = false};
}

// The patterns of all routes, as the metrics name them: whoever adds a row is tested, too.
std::vector<std::string> patterns(http_client& client)
{
    std::set<std::string> all;
    std::istringstream lines{client.get("/metrics").body};
    const std::string before = "sandboxd_http_request_seconds_count{route=\"";
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with(before)) continue;
        const auto pattern = line.substr(before.size(), line.find('"', before.size()) - before.size());
        if (pattern.starts_with('/')) all.insert(pattern);
    }
    return {all.begin(), all.end()};
}

std::string target_of(std::string pattern)
{
    for (const std::string hole : {"{}", "{*}"})
        for (auto at = pattern.find(hole); at != std::string::npos; at = pattern.find(hole))
            pattern.replace(at, hole.size(), "none");
    return pattern;
}

std::vector<std::string> words_of(const std::string& list)
{
    std::vector<std::string> words;
    std::istringstream in{list};
    for (std::string word; in >> word;) {
        std::erase(word, ',');
        words.push_back(word);
    }
    return words;
}

// Rows that pages elsewhere have no use for, whatever http.apiCorsOrigins says.
bool is_for_no_page(std::string_view pattern)
{
    return pattern == "/metrics" || pattern.starts_with("/admin/") || pattern == "/" ||
           pattern.starts_with("/playground/") || pattern == "/docs" || pattern.starts_with("/docs/");
}

bool is_program(std::string_view pattern) { return pattern.starts_with("/faas/{}") || pattern.starts_with("/proxy/"); }

}  // namespace

TEST_CASE("a preflight and the answer agree for every route", "[web_page]")
{
    server_process server{
        {.config = std::string{no_toolchain} + R"(, "http": {"apiCorsOrigins": ["https://ide.example"]})",
         .wait_ready = false}};
    http_client client{server};
    for (const auto& one : api_routes()) {
        for (const auto* origin : {"https://ide.example", "https://evil.example"}) {
            INFO(one.method << " " << one.path << " " << origin);
            const auto preflight = client.request("OPTIONS", one.path,
                                                  {{"Origin", origin}, {"Access-Control-Request-Method", one.method}});
            CHECK(preflight.status == 204);
            const bool body = one.method == "POST" || one.method == "PUT";
            header_list fields{{"Origin", origin}};
            if (body) fields.emplace_back("Content-Type", "application/json");
            const auto answer = client.request(one.method, one.path, fields, body ? "{}" : "");
            const auto wrong = client.request("PATCH", one.path, {{"Origin", origin}});
            const bool allowed = std::string{origin} == "https://ide.example";
            CHECK(wrong.status == (allowed ? 405 : 403));
            for (const auto* got : {&preflight, &answer, &wrong}) {
                CHECK(got->field("access-control-allow-origin") == (allowed ? origin : ""));
                CHECK(got->field("vary").find("Origin") != std::string::npos);
                CHECK((got->field("access-control-expose-headers").find("Retry-After") != std::string::npos) ==
                      allowed);
                CHECK((got->field("access-control-expose-headers").find("X-Request-Id") != std::string::npos) ==
                      allowed);
            }
            if (!allowed && one.method != "GET") CHECK(answer.status == 403);
        }
    }
    const auto metrics = client.get("/metrics", {{"Origin", "https://ide.example"}});
    CHECK(metrics.status == 200);
    CHECK(metrics.field("access-control-allow-origin").empty());
}

TEST_CASE("what a page elsewhere sends is refused, whichever route it is for", "[web_page]")
{
    server_process server{{.config = no_toolchain, .wait_ready = false}};
    http_client client{server};
    const std::string body = R"({"runtime": "node", "code": "1", "script": "1"})";
    const std::vector<header_list> pages{{{"Origin", "https://evil.example"}},
                                         {{"Origin", "null"}},
                                         {{"Sec-Fetch-Site", "cross-site"}},
                                         {{"Origin", "http://localhost:1"}, {"Sec-Fetch-Site", "same-site"}}};
    for (const auto& one : api_routes()) {
        if (one.method == "GET") continue;
        for (auto fields : pages) {
            INFO(one.method << " " << one.path << " " << fields.front().second);
            fields.emplace_back("Content-Type", "application/json");
            const auto refused = client.request(one.method, one.path, fields, body);
            CHECK(refused.status == 403);
            CHECK(refused.json().at("code").as_string() == "forbidden");
        }
        // A body without a type is what a page can send without asking.
        // (No JavaScript is run here: its two routes say that first.)
        const bool runs_scripts = one.path == "/execute" || one.path == "/api/execute";
        if (one.method != "DELETE")
            CHECK(client.request(one.method, one.path, {}, body).status == (runs_scripts ? 404 : 415));
    }
    // Refused before a handler was looked for, but of a route that is known.
    CHECK(server.metric("sandboxd_http_requests_total{route=\"/sandbox\",status=\"403\"}") == 4);
    CHECK(client.get("/sandboxes").json().at("count").as_int64() == 0);
    CHECK(client.get("/faas/deployments").json().at("count").as_int64() == 0);
    // As its clients expect an error.
    const auto script = client.request("POST", "/execute", {{"Origin", "null"}}, "");
    CHECK(script.json().at("status").as_string() == "INVALID_REQUEST");
    const auto compile = client.request("POST", "/compile", {{"Origin", "null"}}, "");
    CHECK(compile.json().at("js").as_string().empty());
    // Its own page, and programs, which tell no origin.
    const auto own = "http://127.0.0.1:" + std::to_string(server.port());
    const header_list mine{{"Host", own.substr(7)},
                           {"Origin", own},
                           {"Sec-Fetch-Site", "same-origin"},
                           {"Content-Type", "application/json"}};
    CHECK(client.request("POST", "/sandbox", mine, body).status != 403);
}

TEST_CASE("a field that decides what a request may do comes once", "[web_page]")
{
    server_process server{{.config = no_toolchain, .wait_ready = false}};
    struct row {
        std::string first;
        std::string second;
    };
    for (const auto& [first, second] : {row{"Origin: https://evil.example", "Origin: http://localhost"},
                                        row{"Origin: http://localhost", "origin: http://localhost"},
                                        row{"Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site"},
                                        row{"Content-Type: text/plain", "Content-Type: application/json"}}) {
        CAPTURE(first, second);
        http_client client{server};
        const bool typed = first.starts_with("Content-Type");
        client.send("POST /compile HTTP/1.1\r\nHost: localhost\r\n" + first + "\r\n" + second + "\r\n" +
                    (typed ? "" : "Content-Type: application/json\r\n") + "Content-Length: 2\r\n\r\n{}");
        const auto answer = client.receive();
        CHECK(answer.status == 400);
        CHECK(answer.body.find("comes more than once") != std::string::npos);
    }
    CHECK(server.stop().code == 0);
}

TEST_CASE("a name that was bound anew to this address is not this server's", "[web_page]")
{
    server_process server{{.config = no_toolchain, .wait_ready = false}};
    http_client client{server};
    auto routes = api_routes();
    routes.push_back({"GET", "/metrics"});
    routes.push_back({"POST", "/admin/keys"});
    routes.push_back({"GET", "/"});
    routes.push_back({"GET", "/faas/" + std::string{id} + "/"});
    for (const auto& one : routes) {
        INFO(one.method << " " << one.path);
        const auto refused = client.request(one.method, one.path, {{"Host", "evil.example:8080"}});
        CHECK(refused.status == 421);
        CHECK(refused.body.find("http.allowedHosts") != std::string::npos);
    }
    server_process told{
        {.config = std::string{no_toolchain} + R"(, "http": {"allowedHosts": ["play.example"]})", .wait_ready = false}};
    http_client named{told};
    CHECK(named.get("/healthz", {{"Host", "play.example"}}).status == 200);
    CHECK(named.get("/healthz", {{"Host", "localhost"}}).status == 421);
    server_process everywhere{{.config = no_toolchain, .addr = "0.0.0.0:0", .wait_ready = false}};
    http_client any{everywhere};
    CHECK(any.get("/healthz", {{"Host", "whatever.example"}}).status == 200);
    const temporary_directory own;
    server_process behind{{.config = no_toolchain, .addr = "unix:" + (own / "s").native(), .wait_ready = false}};
    http_client proxy{behind};
    CHECK(proxy.get("/healthz", {{"Host", "whatever.example"}}).status == 200);
}

TEST_CASE("the cause of a 500 is in the log under the request's id, once", "[web_page]")
{
    server_process server{{.wait_ready = true}};
    http_client client{server};
    // A file stands where each needs its directory.
    for (const auto* name : {"jobs", "sandboxes", "deployments"}) {
        const auto directory = server.working_dir() / name;
        fs::remove_all(directory);
        std::ofstream{directory} << "in the way";
    }
    const std::pair<const char*, json::object> rows[] = {
        {"/compile", {{"code", "int main(void) { return 0; }"}}},
        {"/sandbox", {{"runtime", "node"}, {"code", "1"}}},
        {"/faas/deploy", {{"runtime", "node"}, {"code", "1"}}},
    };
    for (const auto& [path, body] : rows) {
        INFO(path);
        const auto name = "fails-at" + std::string{path};
        const auto failed = client.post(path, body, {{"X-Request-Id", name}});
        if (failed.status == 422) continue;  // there is no Node.js here
        CHECK(failed.status == 500);
        CHECK(failed.body.find("in the way") == std::string::npos);
        CHECK(server.logs("internal error id=" + name));
        CHECK(lines_with(server.log(), "internal error", "id=" + name + " ") == 1);
        CHECK(lines_with(server.log(), "id=" + name + " ", "cause=\"\"") == 0);
    }
}

TEST_CASE("a preflight and the answers to every method agree, for each row of the table", "[web_page]")
{
    server_process server{with_origins()};
    http_client client{server};
    const auto all = patterns(client);
    REQUIRE(all.size() >= 25);
    for (const auto& pattern : all) {
        if (is_program(pattern)) continue;  // its answers are the program's
        for (const auto* origin : {listed, "https://evil.example"}) {
            const bool may = origin == listed && !is_for_no_page(pattern);
            const auto target = target_of(pattern);
            CAPTURE(pattern, origin);
            const auto preflight =
                client.request("OPTIONS", target, {{"Origin", origin}, {"Access-Control-Request-Method", "POST"}});
            CHECK(preflight.status == 204);
            const auto allowed = preflight.field("access-control-allow-origin");
            CHECK(allowed == (may ? origin : ""));
            if (may) CHECK(preflight.field("access-control-allow-methods") + ", OPTIONS" == preflight.field("allow"));
            if (is_for_no_page(pattern)) CHECK(preflight.field("access-control-allow-methods").empty());
            auto methods = words_of(preflight.field("allow"));
            methods.emplace_back("PATCH");  // 405
            for (const auto& method : methods) {
                if (method == "OPTIONS") continue;
                CAPTURE(method);
                // Without a body: what is said of it, 400 or 404 or 503, is an answer as good as any.
                const auto answer = client.request(method, target, {{"Origin", origin}});
                CHECK(answer.status != 0);
                CHECK(answer.status != 500);
                CHECK(answer.field("access-control-allow-origin") == allowed);
                if (!is_for_no_page(pattern)) CHECK(answer.field("vary").find("Origin") != std::string::npos);
                if (may) {
                    const auto exposed = words_of(answer.field("access-control-expose-headers"));
                    for (const auto* name : {"Retry-After", "X-Request-Id", "ETag", "Server-Timing"})
                        CHECK(std::ranges::count(exposed, name) == 1);
                }
                const bool changes = method != "GET" && method != "HEAD";
                CHECK((answer.status == 403) == (changes && !may));
            }
        }
    }
    CHECK(server.stop().code == 0);
}

TEST_CASE("errors that no handler made are as readable for a page as its answers", "[web_page]")
{
    server_process server{with_origins(R"(, "maxRequestsPerMinutePerClient": 1)")};
    http_client client{server};
    const header_list from{{"Origin", listed}, {"Content-Type", "application/json"}};
    CHECK(client.request("POST", "/compile", from, "{}").status == 400);
    const auto too_many = client.request("POST", "/compile", from, "{}");
    CHECK(too_many.status == 429);
    CHECK(too_many.field("access-control-allow-origin") == listed);
    CHECK_FALSE(too_many.field("retry-after").empty());
    CHECK(too_many.field("access-control-expose-headers").find("Retry-After") != std::string::npos);
    CHECK(server.stop().code == 0);
}

TEST_CASE("what is refused under a deployment's host has nothing of the API's", "[web_page]")
{
    auto how = with_origins(R"(, "maxRequestsPerMinutePerClient": 1)");
    how.config += R"(, "faas": {"baseDomain": "apps.example.com"})";
    server_process server{how};
    http_client client{server};
    const std::string host = "11111111-1111-4111-8111-111111111111.apps.example.com";
    const header_list from{{"Host", host}, {"Origin", listed}, {"Content-Type", "application/json"}};
    CHECK(client.request("POST", "/execute", from, "{}").status == 404);
    const auto too_many = client.request("POST", "/execute", from, "{}");
    CHECK(too_many.status == 429);
    CHECK(too_many.field("access-control-allow-origin").empty());
    CHECK(too_many.json().at("code").as_string() == "too_many_requests");
    CHECK(server.metric("sandboxd_http_requests_total{route=\"{}.baseDomain\",status=\"429\"}") == 1);
    CHECK(server.stop().code == 0);
}

TEST_CASE("a body needs a type, none needs none", "[web_page]")
{
    server_process server{{.config = no_toolchain, .wait_ready = false, .js = true}};
    http_client client{server};
    for (const std::string target : {"/compile", "/execute", "/api/execute", "/sandbox", "/sandbox/none/execute",
                                     "/faas/deploy", "/faas/deployments/none/files"}) {
        const auto* const method = target.ends_with("files") ? "PUT" : "POST";
        CAPTURE(target);
        for (const std::string type : {"", "text/plain", "text/plain;application/json", "application/octet-stream"}) {
            CAPTURE(type);
            const auto fields = type.empty() ? header_list{} : header_list{{"Content-Type", type}};
            const auto answer = client.request(method, target, fields, "{\"code\": \"1\"}");
            CHECK(answer.status == 415);
            CHECK(answer.json().at("code").as_string() == "unsupported_media_type");
            // In chunks it is a body, too.
            http_client one{server};
            one.send(std::string{method} + " " + target + " HTTP/1.1\r\nHost: localhost\r\n" +
                     (type.empty() ? "" : "Content-Type: " + type + "\r\n") +
                     "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n");
            CHECK(one.receive().status == 415);
        }
        CHECK(client.request(method, target).status != 415);
        CHECK(client.request(method, target, {{"Content-Type", "application/json"}}, "{").status != 415);
    }
    CHECK(server.stop().code == 0);
}
