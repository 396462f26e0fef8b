// Requests passed on to deployments, against the real server: a program in Node.js in a real jail.
#include "support/eventually.hpp"
#include "support/http_client.hpp"
#include "support/proc.hpp"
#include "support/server_process.hpp"
#include "support/stream_client.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace sandboxd::test;
using namespace std::string_literals;
namespace json = boost::json;

namespace {

constexpr const char* program = R"js(
const http = require('http'), crypto = require('crypto');
const open = new Set();
let closed = 0;
const server = http.createServer((q, r) => {
  const path = q.url.split('?')[0];
  if (path === '/echo') { r.writeHead(200, {'X-Method': q.method}); return q.pipe(r); }
  if (path === '/hash') {
    const h = crypto.createHash('sha256'); let n = 0;
    q.on('data', d => { h.update(d); n += d.length; }).on('end', () => r.end(n + ' ' + h.digest('hex')));
    return;
  }
  if (path === '/big') { const b = Buffer.alloc(65536, 'x'); let n = 0; const go = () => { while (n++ < 128) if (!r.write(b)) return r.once('drain', go); r.end(); }; return go(); }
  if (path === '/events') {
    r.writeHead(200, {'Content-Type': 'text/event-stream'}); r.write('data: first\n\n'); open.add(r);
    r.on('close', () => { open.delete(r); closed++; });
    return;
  }
  if (path === '/push') { for (const one of open) one.write('data: pushed\n\n'); return r.end(String(open.size)); }
  if (path === '/closed') return r.end(String(closed));
  if (path === '/hold') { open.add(r); r.on('close', () => { open.delete(r); closed++; }); return; }
  if (path === '/release') { for (const one of open) one.end('released'); return r.end('ok'); }
  if (path === '/204') { r.writeHead(204); return r.end(); }
  if (path === '/status') { r.writeHead(Number(q.url.split('?')[1])); return r.end(); }
  if (path === '/304') { r.writeHead(304, {ETag: '"x"'}); return r.end(); }
  if (path === '/redirect') { r.writeHead(302, {Location: q.headers['x-to'] || '/headers'}); return r.end(); }
  if (path === '/cookies') { r.writeHead(200, {'Set-Cookie': ['a=1; Path=/', 'b=2; Domain=apps.test']}); return r.end('ok'); }
  if (path === '/hints') { r.writeEarlyHints({link: '</style.css>; rel=preload'}); return r.end('hinted'); }
  if (path === '/early') { r.writeHead(413, {Connection: 'close'}); return r.end('enough'); }
  if (path === '/close') { r.removeHeader('Connection'); r.shouldKeepAlive = false; r.useChunkedEncodingByDefault = false; r.write('until '); return r.end('the end'); }
  if (path === '/half') { r.writeHead(200, {'Content-Length': 100}); r.write('half'); return setImmediate(() => r.socket.destroy()); }
  if (path === '/nothing') return r.socket.destroy();
  if (path === '/pid') return r.end(String(process.pid));
  r.setHeader('Content-Type', 'application/json');
  r.end(JSON.stringify({method: q.method, url: q.url, headers: q.headers}));
});
server.on('upgrade', (q, s, head) => {
  if (q.headers.upgrade === 'shout') {
    s.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\nhello ');
    const say = d => s.write(String(d).toUpperCase());
    if (head.length) say(head);
    s.on('data', say).on('end', () => s.end('BYE')).on('error', () => {});
    return;
  }
  if (q.headers.upgrade !== 'websocket') return s.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
  const accept = crypto.createHash('sha1').update(q.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
  s.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ' + accept + '\r\n\r\n');
  let all = head;
  const take = () => {
    while (all.length >= 6) {
      const n = all[1] & 127, mask = all.subarray(2, 6);
      if (all.length < 6 + n) return;
      const text = Buffer.from(all.subarray(6, 6 + n).map((c, i) => c ^ mask[i % 4]));
      all = all.subarray(6 + n);
      s.write(Buffer.concat([Buffer.from([0x81, text.length]), text]));
    }
  };
  take();
  s.on('data', d => { all = Buffer.concat([all, d]); take(); }).on('end', () => s.end()).on('error', () => {}).on('close', () => closed++);
});
server.listen(process.env.PORT);
)js";

bool has_node() { return ::access("/usr/bin/node", X_OK) == 0; }

server_options hosting(const std::string& more = {})
{
    return {.config = std::string{no_toolchain} + (more.empty() ? "" : ", " + more), .wait_ready = false};
}

std::string text(const json::value& from, const char* key) { return std::string{from.at(key).as_string()}; }

struct deployed {
    std::string id;
    std::string sandbox;
    std::string path;  // "/faas/<id>"
};

deployed deploy(http_client& client, const std::string& code = program, json::object more = {})
{
    more["runtime"] = "node";
    more["code"] = code;
    const auto made = client.post("/faas/deploy", more);
    INFO(made.body);
    REQUIRE(made.status != 0);
    const auto id = text(made.json(), "deployment_id");
    return {id, text(made.json(), "sandbox_id"), "/faas/" + id};
}

std::string get(const std::string& target, const std::string& fields = {})
{
    return "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n" + fields + "\r\n";
}

// A client's text frame (RFC 6455 5.2), masked.
std::string frame(std::string_view said)
{
    const std::string mask{"\x11\x22\x33\x44"};
    std::string made{'\x81', static_cast<char>(0x80 | said.size())};
    made += mask;
    for (std::size_t i = 0; i < said.size(); ++i) made += static_cast<char>(said[i] ^ mask[i % 4]);
    return made;
}

}  // namespace

TEST_CASE("requests go to the program and its answers come back", "[proxy]")
{
    if (!has_node()) SKIP("there is no /usr/bin/node");
    server_process server{hosting()};
    http_client client{server};
    const auto to = deploy(client);

    const auto seen =
        client.request("PATCH", to.path + "/a/b%2e%2E%2fc//d?q=1&r=%20", {{"X-Own", "1"}, {"Cookie", "c=2"}}, "body")
            .json();
    CHECK(text(seen, "method") == "PATCH");
    CHECK(text(seen, "url") == "/a/b%2e%2E%2fc//d?q=1&r=%20");  // as it came
    const auto& headers = seen.at("headers");
    CHECK(text(headers, "x-own") == "1");
    CHECK(text(headers, "cookie") == "c=2");
    CHECK(text(headers, "host") == "localhost");
    CHECK(text(headers, "x-forwarded-for") == "127.0.0.1");
    CHECK(text(headers, "x-forwarded-host") == "localhost");
    CHECK(text(headers, "x-forwarded-proto") == "http");
    CHECK(text(headers, "x-forwarded-prefix") == to.path);
    CHECK(text(headers, "content-length") == "4");
    CHECK(text(client.get(to.path).json(), "url") == "/");
    CHECK(text(client.get(to.path + "?x=1").json(), "url") == "/?x=1");
    CHECK(text(client.get(to.path + "/").json(), "url") == "/");
    // A query without anything in it is one.
    for (const char* target : {"/a?", "/?", "/a??"}) {
        INFO(target);
        client.send(get(to.path + target));
        CHECK(text(client.receive().json(), "url") == target);
    }
    CHECK(text(client.get(to.path + "?").json(), "url") == "/?");
    const auto by_sandbox = client.get("/proxy/" + to.sandbox + "/y").json();
    CHECK(text(by_sandbox, "url") == "/y");
    CHECK(text(by_sandbox.at("headers"), "x-forwarded-prefix") == "/proxy/" + to.sandbox);

    for (const char* method : {"GET", "POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"}) {
        const auto echo = client.request(method, to.path + "/echo", {}, "sent");
        CHECK(echo.field("x-method") == method);
        CHECK(echo.body == "sent");
    }
    const auto head = client.head(to.path + "/headers");
    CHECK(head.status == 200);
    CHECK(head.field("content-type") == "application/json");
    CHECK(client.get(to.path + "/204").status == 204);
    const auto unchanged = client.get(to.path + "/304");
    CHECK(unchanged.status == 304);
    CHECK(unchanged.field("etag") == "\"x\"");
    CHECK(client.get(to.path + "/redirect").field("location") == to.path + "/headers");
    CHECK(client.get(to.path + "/cookies").field("set-cookie") == "a=1; Path=" + to.path + ", b=2; Path=" + to.path);
    for (const unsigned status : {599u, 600u, 777u, 999u})
        CHECK(client.get(to.path + "/status?" + std::to_string(status)).status == status);
    const auto page = client.get(to.path + "/pid");
    CHECK(page.field("content-security-policy").find("sandbox allow-scripts") == 0);
    CHECK_FALSE(page.field("x-request-id").empty());
    CHECK_FALSE(page.field("date").empty());
    CHECK(client.get(to.path + "/hints").body == "hinted");
    {
        // Without a length: what the program ends with its connection has an end of its own here.
        http_client one{server};
        CHECK(one.get(to.path + "/close").body == "until the end");
        CHECK(one.get(to.path + "/pid").status == 200);
    }
    CHECK(client.get(to.path + "/big").body.size() == 128u * 65536);
    {
        stream_client old{server};
        old.send("GET " + to.path + "/big HTTP/1.0\r\n\r\n");
        const auto all = old.rest();
        CHECK(all.find("chunked") == std::string::npos);
        CHECK(all.size() - all.find("\r\n\r\n") - 4 == 128u * 65536);
    }
    // All of that over one connection of ours, and few of the proxy's.
    CHECK(server.metric("sandboxd_proxy_connections_total{from=\"pool\"}") > 15);
    CHECK(server.metric("sandboxd_proxy_connections_total{from=\"new\"}") < 6);
    CHECK(server.metric("sandboxd_proxy_answers_total{class=\"3xx\"}") == 2);
    // What programs choose makes no series of its own.
    const auto counted = [&](const std::string& status) {
        return server.metric("sandboxd_http_requests_total{route=\"/faas/{}/{*}\",status=\"" + status + "\"}");
    };
    CHECK(eventually([&] { return counted("other") == 3; }));
    CHECK(counted("5xx") == 1);
    CHECK(counted("599") == 0);
    // The server's own answers do.
    CHECK(client.get("/faas/no-such-thing/x").status == 404);
    CHECK(eventually([&] { return counted("404") == 1; }));

    CHECK(client.get("/faas/no-such-thing/").status == 404);
    CHECK(client.get("/proxy/" + to.id + "/").status == 404);
    CHECK(client.get("/faas/deploy").status == 405);
    CHECK(client.request("POST", "/faas/deployments/" + to.id).status == 405);
    CHECK(client.request("TRACE", to.path + "/").status == 405);
    CHECK(client.get("/faas/deployments/" + to.id).status == 200);
}

TEST_CASE("of several hosts that a proxy passes on the last one is its own", "[proxy]")
{
    if (!has_node()) SKIP("there is no /usr/bin/node");
    server_process server{hosting(R"("proxy": {"trustForwarded": true})")};
    http_client client{server};
    const auto to = deploy(client);
    const auto redirected = [&](const std::string& where) {
        const header_list fields{
            {"X-Forwarded-Host", "claimed.example"}, {"X-Forwarded-Host", "front.example"}, {"X-To", where}};
        return client.request("GET", to.path + "/redirect", fields, {}).field("location");
    };
    CHECK(redirected("https://front.example/x") == to.path + "/x");
    CHECK(redirected("https://claimed.example/x") == "https://claimed.example/x");
}

TEST_CASE("bodies stream both ways at once", "[proxy]")
{
    if (!has_node()) SKIP("there is no /usr/bin/node");
    server_process server{hosting()};
    http_client client{server};
    const auto to = deploy(client);
    {
        stream_client duplex{server};
        duplex.send("POST " + to.path + "/echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (const std::string word : {"one", "two", "six"}) {
            duplex.send("3;ext=1\r\n" + word + "\r\n");
            CHECK(duplex.until(word).ends_with(word));
        }
        duplex.send("0\r\nTrailer: dropped\r\n\r\n");
        CHECK(duplex.until("0\r\n\r\n").ends_with("0\r\n\r\n"));
        duplex.send(get(to.path + "/pid"));
        CHECK(duplex.until("\r\n\r\n").starts_with("HTTP/1.1 200"));
    }
    const std::string big(8'000'000, 'y');
    const auto hashed = client.request("PUT", to.path + "/hash", {}, big);
    CHECK(hashed.body.starts_with("8000000 "));
    {
        stream_client careful{server};
        careful.send("POST " + to.path +
                     "/hash HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
        CHECK(careful.until("\r\n\r\n").starts_with("HTTP/1.1 100"));
        careful.send("abc");
        CHECK(careful.until("ba7816bf").find("3 ba7816bf") != std::string::npos);
    }
    {
        // The answer comes before the body is there; what follows on the connection is no request.
        stream_client eager{server};
        eager.send("POST " + to.path + "/early HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000\r\n\r\n");
        CHECK(eager.until("enough").starts_with("HTTP/1.1 413"));
        eager.send(get("/version"));
        CHECK(eager.rest().find("HTTP/1.1") == std::string::npos);
    }
    {
        stream_client hints{server};
        hints.send(get(to.path + "/hints"));
        CHECK(hints.until("hinted").starts_with("HTTP/1.1 200"));  // a 103 is passed on only where a key says so
    }
    stream_client events{server};
    events.send(get(to.path + "/events"));
    CHECK(events.until("data: first\n\n").find("text/event-stream") != std::string::npos);
    CHECK(client.get(to.path + "/push").body == "1");
    CHECK(events.until("data: pushed\n\n").ends_with("data: pushed\n\n"));
    // The program notices that its client has gone.
    const auto before = std::stoi(client.get(to.path + "/closed").body);
    events.close();
    CHECK(eventually([&] { return std::stoi(client.get(to.path + "/closed").body) == before + 1; }));
    {
        stream_client waiting{server};
        waiting.send(get(to.path + "/hold"));
        CHECK(eventually([&] { return server.metric("sandboxd_proxy_requests") == 1; }));
        waiting.close();
        CHECK(eventually([&] { return std::stoi(client.get(to.path + "/closed").body) == before + 2; }));
    }
    CHECK(eventually([&] { return server.metric("sandboxd_proxy_requests") == 0; }));
    // An answer that ends before its end is not passed off as a whole one.
    stream_client half{server};
    half.send(get(to.path + "/half"));
    CHECK(half.rest().ends_with("half"));
    CHECK(server.metric("sandboxd_proxy_cut_total") == 1);
    const auto nothing = client.get(to.path + "/nothing");
    CHECK(nothing.status == 502);
    CHECK(text(nothing.json(), "code") == "upstream_failed");
    CHECK(nothing.json().at("log_id").to_number<int>() > 0);
    CHECK(client.get(to.path + "/pid").status == 200);
}

TEST_CASE("WebSocket and any other upgrade is tunnelled", "[proxy]")
{
    if (!has_node()) SKIP("there is no /usr/bin/node");
    server_process server{hosting(R"("shutdownGraceSecs": 20)")};
    http_client client{server};
    const auto to = deploy(client);
    const std::string ask = get(to.path + "/ws",
                                "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    stream_client socket{server};
    socket.send(ask + frame("early"));
    const auto head = socket.until("\r\n\r\n");
    CHECK(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"));
    CHECK(head.find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") != std::string::npos);
    CHECK(head.find("Upgrade: websocket\r\n") != std::string::npos);
    CHECK(socket.until("early") ==
          "\x81\x05"
          "early");
    for (int i = 0; i < 100; ++i) {
        const auto said = "message " + std::to_string(i) + ".";
        socket.send(frame(said));
        CHECK(socket.until(said).size() == said.size() + 2);
    }
    CHECK(server.metric("sandboxd_proxy_tunnels") == 1);
    CHECK(client.get("/faas/deployments/" + to.id).json().at("active_requests").to_number<int>() == 1);
    const auto before = std::stoi(client.get(to.path + "/closed").body);
    socket.close();
    CHECK(eventually([&] { return std::stoi(client.get(to.path + "/closed").body) == before + 1; }));
    CHECK(eventually([&] { return server.metric("sandboxd_proxy_tunnels") == 0; }));

    stream_client shout{server};
    shout.send(get(to.path + "/", "Connection: Upgrade\r\nUpgrade: shout\r\n") + "abc");
    CHECK(shout.until("hello ABC").starts_with("HTTP/1.1 101"));
    shout.send("def");
    CHECK(shout.until("DEF") == "DEF");
    shout.shutdown_send();
    CHECK(shout.rest() == "BYE");
    // Refused by the program: an answer like any other.
    const auto refused = client.get(to.path + "/", {{"Connection", "Upgrade"}, {"Upgrade", "other"}});
    CHECK(refused.status == 400);
    // Not asked for in earnest: the program does not hear of it.
    CHECK(client.get(to.path + "/headers", {{"Upgrade", "websocket"}}).status == 200);
    // A tunnel has no end of its own; the server's end does not wait for it.
    stream_client last{server};
    last.send(ask);
    CHECK(last.until("\r\n\r\n").starts_with("HTTP/1.1 101"));
    CHECK(server.stop().code == 0);
    CHECK(server.log().find("shutdownGraceSecs are over") == std::string::npos);
}

TEST_CASE("a program that was idle is started again, once for all who ask", "[proxy]")
{
    if (!has_node()) SKIP("there is no /usr/bin/node");
    server_process server{hosting()};
    http_client client{server};
    const auto to = deploy(client, program, {{"auto_scale", json::object{{"scale_down_after_minutes", 0.001}}}});
    const auto status = [&] { return text(client.get("/faas/deployments/" + to.id).json(), "status"); };
    REQUIRE(eventually([&] { return status() == "Stopped"; }));
    std::vector<std::unique_ptr<http_client>> many;
    for (int i = 0; i < 20; ++i) many.push_back(std::make_unique<http_client>(server));
    for (auto& one : many) one->send(get(to.path + "/pid"));
    const auto pid = many[0]->receive().body;
    for (std::size_t i = 1; i < many.size(); ++i) {
        const auto answer = many[i]->receive();
        CHECK(answer.status == 200);
        CHECK(answer.body == pid);
    }
    CHECK(client.get("/faas/deployments/" + to.id).json().at("starts").to_number<int>() == 2);
}

TEST_CASE("a restart under load loses no request", "[proxy]")
{
    if (!has_node()) SKIP("there is no /usr/bin/node");
    server_process server{hosting()};
    http_client client{server};
    const auto to = deploy(client);
    std::atomic<bool> over{false};
    std::atomic<int> good{0};
    std::atomic<int> bad{0};
    std::array<std::atomic<int>, 4> answered{};
    std::vector<std::thread> load;
    for (auto& mine_answered : answered)
        load.emplace_back([&] {
            http_client mine{server};
            while (!over) {
                const auto answer = mine.request("POST", to.path + "/echo", {}, "payload");
                ++(answer.status == 200 && answer.body == "payload" ? good : bad);
                ++mine_answered;
                if (answer.status == 0) break;
            }
        });
    const auto body = json::serialize(json::object{
        {"files", json::array{json::object{{"path", "data.txt"}, {"content", "x"}}}}, {"restart_dev_server", true}});
    for (int i = 0; i < 3; ++i) {
        const int before = good;
        CHECK(
            client.request("PUT", "/faas/deployments/" + to.id + "/files", {{"Content-Type", "application/json"}}, body)
                .status == 200);
        CHECK(eventually([&] { return good > before + 50 || bad > 0; }));
        // The program before has answered all: at most one drains, and a further restart would cut what it still has.
        for (const auto& mine_answered : answered) {
            const int seen = mine_answered;
            CHECK(eventually([&] { return bad > 0 || mine_answered > seen + 1; }));
        }
    }
    over = true;
    for (auto& one : load) one.join();
    CHECK(bad == 0);
    CHECK(client.get("/faas/deployments/" + to.id).json().at("starts").to_number<int>() == 4);
}

TEST_CASE("what goes wrong with a program has a name", "[proxy]")
{
    if (!has_node()) SKIP("there is no /usr/bin/node");
    server_process server{hosting(R"("faas": {"maxRequests": 1, "startTimeoutSecs": 5, "maxCrashes": 1},
        "proxy": {"headerTimeoutSecs": 1, "idleTimeoutSecs": 1, "maxBodyMB": 1, "tunnelIdleTimeoutSecs": 1})")};
    http_client client{server};
    const auto to = deploy(client);
    {
        stream_client busy{server};
        busy.send(get(to.path + "/events"));
        busy.until("first");
        const auto refused = client.get(to.path + "/pid");
        CHECK(refused.status == 429);
        CHECK(text(refused.json(), "code") == "too_many_requests");
        CHECK_FALSE(refused.field("retry-after").empty());
        // Nothing comes for a second: cut.
        CHECK(busy.rest().find("0\r\n\r\n") == std::string::npos);
    }
    CHECK(eventually([&] { return client.get(to.path + "/pid").status == 200; }));
    const auto late = client.get(to.path + "/hold");
    CHECK(late.status == 504);
    CHECK(text(late.json(), "code") == "upstream_timeout");
    {
        http_client large{server};
        CHECK(large.request("POST", to.path + "/hash", {}, std::string(1'048'577, 'x')).status == 413);
    }
    {
        // Not announced, and too large.
        http_client chunks{server};
        chunks.send("POST " + to.path + "/hash HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (int i = 0; i < 17; ++i) chunks.send("10000\r\n" + std::string(65536, ' ') + "\r\n");
        CHECK(chunks.receive().status == 413);
    }
    {
        http_client slow{server};
        slow.send("POST " + to.path + "/hash HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc");
        const auto status = slow.receive().status;
        CHECK((status == 408 || status == 504));
    }
    {
        stream_client quiet{server};
        quiet.send(get(to.path + "/", "Connection: Upgrade\r\nUpgrade: shout\r\n"));
        quiet.until("hello ");
        CHECK(quiet.rest().empty());  // closed for silence
    }
    CHECK(eventually([&] { return client.get(to.path + "/pid").status == 200; }));

    const auto crashes = deploy(client, "console.log('last words'); process.exit(3)");
    const auto failed = client.get(crashes.path + "/");
    CHECK(failed.status == 502);
    CHECK(text(failed.json(), "code") == "start_failed");
    const auto log_id = failed.json().at("log_id").to_number<int>();
    CHECK(log_id > 0);
    CHECK(client.get(text(failed.json(), "logs_url") + "?after=0").body.find("last words") != std::string::npos);
    const auto deaf = deploy(client, "setInterval(() => {}, 1000)");
    CHECK(eventually(
        [&] { return client.get(deaf.path + "/").status == 504 || client.get(deaf.path + "/").status == 502; }));
    CHECK(client.get(to.path + "/pid").status == 200);
}

TEST_CASE("early hints are passed on where that is asked for, and never to HTTP/1.0", "[proxy]")
{
    if (!has_node()) SKIP("there is no /usr/bin/node");
    server_process server{hosting(R"("proxy": {"earlyHints": true})")};
    http_client client{server};
    const auto to = deploy(client);
    stream_client hints{server};
    hints.send(get(to.path + "/hints"));
    CHECK(hints.until("\r\n\r\n") == "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n");
    CHECK(hints.until("hinted").starts_with("HTTP/1.1 200"));
    stream_client old{server};
    old.send("GET " + to.path + "/hints HTTP/1.0\r\n\r\n");
    CHECK(old.rest().starts_with("HTTP/1.1 200"));
}

TEST_CASE("a host name of its own is wholly the deployment's", "[proxy]")
{
    if (!has_node()) SKIP("there is no /usr/bin/node");
    server_process server{hosting(R"("faas": {"baseDomain": "apps.test"}, "http": {"allowedHosts": ["*"]})")};
    http_client client{server};
    const auto made = client.post("/faas/deploy", {{"runtime", "node"}, {"code", program}});
    const auto id = text(made.json(), "deployment_id");
    CHECK(text(made.json(), "url") == "http://" + id + ".apps.test/");
    const auto at = [&](const std::string& target, const std::string& host) {
        client.send("GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
        return client.receive();
    };
    for (const auto& host : {id + ".apps.test", id + ".APPS.test:8080", id + ".apps.test."}) {
        INFO(host);
        const auto seen = at("/healthz?x", host).json();
        CHECK(text(seen, "url") == "/healthz?x");
        CHECK(text(seen.at("headers"), "host") == host);
        CHECK_FALSE(seen.at("headers").as_object().contains("x-forwarded-prefix"));
    }
    CHECK(text(at("/a?", id + ".apps.test").json(), "url") == "/a?");
    CHECK(text(at("http://" + id + ".apps.test/metrics", "other.example").json(), "url") == "/metrics");
    CHECK(text(at("http://" + id + ".apps.test/metrics?", "other.example").json(), "url") == "/metrics?");
    CHECK(at("http://other.example/healthz", id + ".apps.test").body == "ok");
    const auto cookies = at("/cookies", id + ".apps.test");
    CHECK(cookies.field("set-cookie") == "a=1; Path=/, b=2");
    CHECK(cookies.field("content-security-policy").empty());
    CHECK(at("/redirect", id + ".apps.test").field("location") == "/headers");
    for (const char* host : {"nobody.apps.test", "x.y.apps.test"}) CHECK(at("/healthz", host).status == 404);
    for (const char* host : {"apps.test", "xapps.test", "localhost"}) CHECK(at("/healthz", host).body == "ok");
    // What only looks like one is nobody's, and never the API's.
    for (const std::string& host :
         {".apps.test"s, id + ".apps.test..", id + "..apps.test", "." + id + ".apps.test", id + ".apps.test:80:90",
          id + ".apps.test]", "[" + id + ".apps.test", id + "%2eapps.test", id + ".apps.test%2e", id + ".apps.test:x",
          id + ".apps.test:99999", "x@" + id + ".apps.test", id + ".apps.test/", id + "\\.apps.test"}) {
        INFO(host);
        http_client other{server};
        other.send("GET /healthz HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
        CHECK(other.receive().status == 400);
    }
    for (const std::string& target :
         {"http://" + id + ".apps.test../healthz", "http://" + id + ".apps.test:1:2/healthz",
          "http://x@" + id + ".apps.test/healthz", "http://" + id + "%2eapps.test/healthz"}) {
        INFO(target);
        http_client other{server};
        other.send("GET " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
        CHECK(other.receive().status == 400);
    }
}

TEST_CASE("the log of a deployment comes as it is written", "[proxy][faas]")
{
    if (!has_node()) SKIP("there is no /usr/bin/node");
    server_process server{hosting()};
    http_client client{server};
    const auto to = deploy(
        client, "require('http').createServer((q, r) => { console.log('asked for ' + q.url); r.end(); }).listen(3000)");
    const auto logs = "/faas/deployments/" + to.id + "/logs";
    stream_client events{server};
    events.send(get(logs, "Accept: text/event-stream\r\n"));
    const auto began = events.until("\r\n\r\n");
    CHECK(began.find("Content-Type: text/event-stream\r\n") != std::string::npos);
    client.get(to.path + "/one");
    const auto first = events.until("asked for /one");
    const auto id_at = first.rfind("id: ");
    REQUIRE(id_at != std::string::npos);
    const auto id = std::to_string(std::stoi(first.substr(id_at + 4)));
    stream_client lines{server};
    lines.send(get(logs + "?follow=1&lines=0", "Accept: application/x-ndjson\r\n"));
    CHECK(lines.until("\r\n\r\n").find("application/x-ndjson") != std::string::npos);
    client.get(to.path + "/two");
    CHECK(events.until("asked for /two").find("data: {\"id\":") != std::string::npos);
    const auto line = lines.until("asked for /two\"}\n");
    CHECK(line.find("/one") == std::string::npos);
    // Where it was broken off it goes on.
    events.close();
    stream_client again{server};
    again.send(get(logs + "?follow=1", "Last-Event-ID: " + id + "\r\n"));
    const auto resumed = again.until("asked for /two");
    CHECK(resumed.find("text/event-stream") != std::string::npos);
    CHECK(resumed.find("asked for /one") == std::string::npos);
    CHECK(client.get("/faas/deployments/none/logs?follow=1").status == 404);
    // It ends with the deployment.
    CHECK(client.request("DELETE", "/faas/deployments/" + to.id).status == 204);
    CHECK(again.until("\r\n0\r\n\r\n").ends_with("\r\n0\r\n\r\n"));
    CHECK(lines.until("\r\n0\r\n\r\n").ends_with("\r\n0\r\n\r\n"));
}

TEST_CASE("a program on a Unix socket alone is reached, too", "[proxy]")
{
    if (!has_node()) SKIP("there is no /usr/bin/node");
    server_process server{hosting()};
    http_client client{server};
    const auto to = deploy(client, "require('http').createServer((q, r) => q.pipe(r)).listen(process.env.SOCKET_PATH)");
    CHECK(client.request("POST", to.path + "/", {}, "through a socket").body == "through a socket");
    CHECK(client.request("POST", to.path + "/", {}, "and again").body == "and again");
    CHECK(server.metric("sandboxd_proxy_connections_total{from=\"pool\"}") == 1);
}

TEST_CASE("more requests than may wait for a start are told to come back", "[proxy]")
{
    if (!has_node()) SKIP("there is no /usr/bin/node");
    auto how = hosting(R"("faas": {"maxWaiting": 2})");
    server_process server{how};
    http_client client{server};
    const auto to = deploy(client, "require('http').createServer((q, r) => r.end('up')).listen(3000)",
                           {{"auto_scale", json::object{{"scale_down_after_minutes", 0.001}}}});
    const auto place = "/faas/deployments/" + to.id;
    REQUIRE(eventually([&] { return text(client.get(place).json(), "status") == "Stopped"; }));
    // The next one never listens.
    const json::object silent{
        {"files", json::array{json::object{{"path", "index.js"}, {"content", "setInterval(() => {}, 1000)"}}}}};
    REQUIRE(client.request("PUT", place + "/files", {{"Content-Type", "application/json"}}, json::serialize(silent))
                .status == 200);
    std::vector<std::unique_ptr<http_client>> many;
    for (int i = 0; i < 6; ++i) {
        many.push_back(std::make_unique<http_client>(server));
        many.back()->send(get(to.path + "/"));
    }
    const auto answered = [](const auto& one) { return one->readable(); };
    REQUIRE(eventually([&] { return std::ranges::count_if(many, answered) == 4; }));
    const auto waiting = std::ranges::partition(many, answered);
    for (auto one = many.begin(); one != waiting.begin(); ++one) {
        const auto answer = (*one)->receive();
        CHECK(answer.status == 503);
        CHECK(text(answer.json(), "code") == "queue_full");
        CHECK_FALSE(answer.field("retry-after").empty());
    }
    CHECK(client.request("DELETE", place).status == 204);
    for (const auto& one : waiting) CHECK(one->receive().status == 404);
}
