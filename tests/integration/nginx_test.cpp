// The server as deploy/ ships it, behind real nginx with deploy/nginx.conf: every family of requests gets through.
#include "support/behind_nginx.hpp"
#include "support/eventually.hpp"
#include "support/http_client.hpp"

#include <boost/json/object.hpp>

#include <arpa/inet.h>
#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string>

using namespace sandboxd::test;
namespace json = boost::json;

namespace {

constexpr const char* program = R"js(
const http = require('http');
const server = http.createServer((q, r) => {
  if (q.url === '/count') { let n = 0; q.on('data', d => n += d.length).on('end', () => r.end(String(n))); return; }
  console.log('asked for ' + q.url);
  r.setHeader('Content-Type', 'application/json');
  r.end(JSON.stringify({url: q.url, headers: q.headers}));
});
server.on('upgrade', (q, s) => {
  s.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\nhello ');
  s.on('data', d => s.end(String(d).toUpperCase())).on('error', () => {});
});
server.listen(process.env.PORT);
)js";

// A client with an address that is not 127.0.0.1.
std::string asked_from(const char* address, std::uint16_t port, const std::string& bytes)
{
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in from{};
    from.sin_family = AF_INET;
    ::inet_pton(AF_INET, address, &from.sin_addr);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&from), sizeof from) == 0);
    REQUIRE(::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
    REQUIRE(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
    std::string all;
    char piece[4096];
    for (ssize_t got = 0; (got = ::recv(fd, piece, sizeof piece, 0)) > 0;)
        all.append(piece, static_cast<std::size_t>(got));
    ::close(fd);
    return all;
}

}  // namespace

TEST_CASE("behind nginx as shipped, started as the unit says, every family of requests gets through", "[nginx]")
{
    if (const auto why = behind_nginx::missing(); !why.empty()) SKIP(why);
    if (::access("/usr/bin/node", X_OK) != 0) SKIP("there is no /usr/bin/node");
    behind_nginx place{
        R"("faas": {"baseDomain": "apps.sandboxd.example.org"}, "js": {"workers": 1}, "log": {"level": "warning"})"};
    CHECK(place.server_uid() != 0);
    CHECK(place.server_uid() != place.nginx_uid());
    // Nobody but nginx's group comes to the socket.
    struct stat directory{};
    REQUIRE(::stat(place.socket().parent_path().c_str(), &directory) == 0);
    CHECK((directory.st_mode & 07) == 0);

    http_client client{place.port()};
    const header_list named{{"Host", place.host()}};
    const auto get = [&](const std::string& target, header_list more = {}) {
        more.emplace_back("Host", place.host());
        return client.get(target, more);
    };
    const auto post = [&](const std::string& target, const json::value& body) {
        return client.post(target, body, named);
    };
    REQUIRE(eventually([&] { return get("/readyz").status == 200; }));
    CHECK(get("/healthz").body == "ok");
    CHECK(get("/version").status == 200);

    // Compile, and artifacts; these are kept, once for each encoding and for nobody's Origin.
    const auto made = post("/compile", {{"code", "int main(void) { return 7; }"}});
    INFO(made.body << place.log());
    REQUIRE(made.status == 200);
    for (const char* kind : {"js", "wasm"}) {
        const std::string path{made.json().at(kind).as_string()};
        const auto first = get(path);
        CHECK(first.status == 200);
        CHECK(first.field("x-cache") == "MISS");
        CHECK(get(path).field("x-cache") == "HIT");
        for (const char* origin : {"https://one.example", "https://two.example"}) {
            const auto other = get(path, {{"Origin", origin}});
            CHECK(other.field("x-cache") == "HIT");
            CHECK(other.field("access-control-allow-origin") == "*");
            CHECK(other.body == first.body);
        }
        CHECK(get(path, {{"Accept-Encoding", "br"}}).field("content-encoding") == "br");
        CHECK(get(path + "?v=1").field("x-cache") != "HIT");
        CHECK(get(path + "?v=1").field("x-cache") != "HIT");
    }

    CHECK(post("/execute", {{"script", "6 * 7"}}).json().at("result").as_int64() == 42);
    CHECK(post("/api/execute", {{"code", "1 + 1"}}).json().at("result").as_int64() == 2);

    // A sandbox, whose output comes while it runs.
    const auto sandbox = post(
        "/sandbox",
        {{"runtime", "node"}, {"code", "console.log('one'); setInterval(() => {}, 1000);"}, {"timeout_ms", 300'000}});
    INFO(sandbox.body);
    const std::string sandbox_id{sandbox.json().at("sandbox_id").as_string()};
    {
        http_client reader{place.port()};
        reader.start_post("/sandbox/" + sandbox_id + "/execute", json::object{},
                          {{"Accept", "application/x-ndjson"}, {"Host", place.host()}});
        REQUIRE(eventually([&] { return reader.readable(); }));
        CHECK(get("/sandbox/" + sandbox_id).json().at("running").as_int64() == 1);
        CHECK(client.request("DELETE", "/sandbox/" + sandbox_id, named).status == 204);
        CHECK(reader.receive().body.find("\"one\\n\"") != std::string::npos);
    }

    // A deployment: a request, its fields, a large body, a tunnel, its log, a host name of its own.
    const auto deployed = post("/faas/deploy", {{"runtime", "node"}, {"code", program}});
    INFO(deployed.body << place.log());
    REQUIRE(deployed.status == 200);
    const std::string id{deployed.json().at("deployment_id").as_string()};
    const auto seen = get("/faas/" + id + "/x%20y?z", {{"X-Forwarded-For", "10.9.8.7"},
                                                       {"X-Real-IP", "10.9.8.7"},
                                                       {"Proxy", "http://10.9.8.7"},
                                                       {"Forwarded", "for=10.9.8.7"},
                                                       {"X-Forwarded-Host", "10.9.8.7"}});
    CHECK(seen.json().at("url").as_string() == "/x%20y?z");
    CHECK(seen.body.find("10.9.8.7") == std::string::npos);
    const auto told_fields = seen.json();
    const auto& fields = told_fields.at("headers").as_object();
    CHECK(fields.at("host").as_string() == place.host());
    CHECK(fields.at("x-forwarded-host").as_string() == place.host());
    CHECK(fields.at("x-real-ip").as_string() == "127.0.0.1");
    CHECK(fields.at("x-forwarded-for").as_string() == "127.0.0.1");
    const auto large = client.request("POST", "/faas/" + id + "/count",
                                      {{"Host", place.host()}, {"Content-Type", "application/octet-stream"}},
                                      std::string(20u << 20, 'x'));
    CHECK(large.body == std::to_string(20u << 20));
    {
        http_client tunnel{place.port()};
        tunnel.send("GET /faas/" + id + "/ HTTP/1.1\r\nHost: " + place.host() +
                    "\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n");
        CHECK(tunnel.receive().status == 101);
        tunnel.send("world");
        CHECK(tunnel.receive_all() == "hello WORLD");
    }
    {
        http_client reader{place.port()};
        reader.send("GET /faas/deployments/" + id + "/logs HTTP/1.1\r\nHost: " + place.host() +
                    "\r\nAccept: text/event-stream\r\n\r\n");
        REQUIRE(eventually([&] { return reader.readable(); }));
        CHECK(client.request("DELETE", "/faas/deployments/none", named).status == 404);
        reader.shutdown_send();
        const auto events = reader.receive_all();
        CHECK(events.find("text/event-stream") != std::string::npos);
        CHECK(events.find("asked for /x%20y?z") != std::string::npos);
    }
    const auto own = id + "." + std::string{behind_nginx::base_domain};
    CHECK(client.get("/metrics", {{"Host", own}}).json().at("url").as_string() == "/metrics");
    CHECK(client.get("/healthz", {{"Host", "nobody." + std::string{behind_nginx::base_domain}}}).status == 404);
    CHECK(client.get("/healthz", {{"Host", "elsewhere.example"}}).status == 421);

    // Too large a body is answered in JSON, by sandboxd, and if it is much too large by nginx.
    for (const std::size_t size : {4'300'000, 6'000'000}) {
        // nginx closes the connection with its answer.
        http_client apart{place.port()};
        const auto too_large = apart.post("/compile", {{"code", std::string(size, 'x')}}, named);
        CHECK(too_large.status == 413);
        CHECK(too_large.json().at("code").as_string() == "payload_too_large");
    }
    http_client again{place.port()};
    CHECK(again.post("/execute", {{"script", "2" + std::string(3'000'000, ' ')}}, named).status == 200);

    for (const std::string target : {"/metrics", "/readyz", "/admin/keys"}) {
        const auto asked = "GET " + target + " HTTP/1.1\r\nHost: " + place.host() + "\r\nConnection: close\r\n\r\n";
        CHECK(asked_from("127.0.0.1", place.port(), asked).starts_with("HTTP/1.1 200"));
        CHECK(asked_from("127.0.0.2", place.port(), asked).starts_with("HTTP/1.1 403"));
    }

    // Who asks too often is told so, in JSON. More at once than the allowance gains while they are answered.
    http_client flood{place.port()};
    std::string many;
    for (int i = 0; i < 700; ++i)
        many += "POST /none HTTP/1.1\r\nHost: " + place.host() + "\r\nContent-Length: 0\r\n\r\n";
    flood.send(many + "POST /none HTTP/1.1\r\nHost: " + place.host() +
               "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    const auto told = flood.receive_all();
    CHECK(told.find("HTTP/1.1 404") != std::string::npos);
    CHECK(told.find("HTTP/1.1 429") != std::string::npos);
    CHECK(told.find("\"code\":\"too_many_requests\"") != std::string::npos);
    CHECK(get("/healthz").status == 200);

    place.stop_server();
    const auto away = get("/healthz");
    CHECK(away.status == 503);
    CHECK(away.json().at("code").as_string() == "unavailable");
}
