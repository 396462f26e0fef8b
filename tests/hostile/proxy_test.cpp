// A deployment as an attacker of the proxy, of its clients and of its neighbours; and clients that attack a
// deployment through it. The program speaks raw TCP: what it answers need not be HTTP.
#include "arena.hpp"
#include "support/eventually.hpp"
#include "support/proc.hpp"
#include "support/stream_client.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

using namespace sandboxd::test;
using namespace std::string_literals;
namespace json = boost::json;

namespace {

// "/raw/<hex>" answers with those bytes and closes, "/raw-open/<hex>" does not close; "/ok" is honest; "/seen" tells
// how many heads of requests have come, "/last" what the last but one was. What floods stops when nobody reads.
constexpr const char* program = R"js(
const net = require('net');
let seen = 0, last = '', open = 0;
const flooding = new Set(), agreed = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: flood\r\n\r\n';
net.createServer(s => {
  open++; let all = '';
  s.on('close', () => open--).on('error', () => {});
  const honest = t => s.write('HTTP/1.1 200 OK\r\nContent-Length: ' + t.length + '\r\n\r\n' + t);
  const flood = (head, piece) => { s.write(head); const go = () => { if (s.destroyed) return; while (s.write(piece)); s.once('drain', go); }; go(); };
  s.on('data', d => {
    all += d.toString('latin1');
    for (;;) {
      const end = all.indexOf('\r\n\r\n');
      if (end < 0) return;
      const head = all.slice(0, end + 4);
      const length = Number((/\r\nContent-Length: (\d+)/.exec(head) || [0, 0])[1]);
      let rest = all.slice(end + 4), body;
      if (/\r\nTransfer-Encoding: chunked/.test(head)) {
        const stop = rest.indexOf('0\r\n\r\n');
        if (stop < 0) return;
        body = rest.slice(0, stop + 5); rest = rest.slice(stop + 5);
      } else {
        if (rest.length < length) return;
        body = rest.slice(0, length); rest = rest.slice(length);
      }
      all = rest; seen++;
      const path = head.split(' ')[1];
      if (path === '/ok') honest('fine');
      else if (path === '/seen') honest(String(seen));
      else if (path === '/open') honest(String(open));
      else if (path === '/last') honest(last);
      else if (path.startsWith('/raw/')) { s.end(Buffer.from(path.slice(5), 'hex')); }
      else if (path.startsWith('/raw-open/')) s.write(Buffer.from(path.slice(10), 'hex'));
      else if (path === '/endless') flood('HTTP/1.1 200 OK\r\n\r\n', Buffer.alloc(65536, 'e'));
      else if (path === '/endless-head') flood('HTTP/1.1 200 OK\r\n', Buffer.from('X-Flood: yes\r\n'.repeat(512)));
      else if (path === '/interim') flood('', Buffer.from('HTTP/1.1 102 Processing\r\n\r\n'.repeat(512)));
      else if (path === '/silent') {}
      else if (path === '/tunnel') { flooding.add(s); flood(agreed, Buffer.alloc(65536, 't')); }
      else if (path === '/deaf') { s.write(agreed + 'ready'); s.pause(); }
      else if (path === '/taken') { let n = 0; for (const one of flooding) n += one.bytesWritten - one.writableLength; honest(String(n)); }
      else if (path === '/trickle') { let i = 0; const t = setInterval(() => s.destroyed || i > 1000 ? clearInterval(t) : s.write('HTTP/1.1 200 OK\r\n'[i++ % 17]), 20); }
      else { last = head + body; honest('taken'); }
    }
  });
}).listen(process.env.PORT);
)js";

bool has_node() { return ::access("/usr/bin/node", X_OK) == 0; }

std::string hex(std::string_view bytes)
{
    std::string made;
    for (const char c : bytes) {
        made += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
        made += "0123456789abcdef"[c & 15];
    }
    return made;
}

std::size_t descriptors_of(pid_t pid) { return names_in("/proc/" + std::to_string(pid) + "/fd").size(); }

// A server with that program in it.
class battlefield {
public:
    explicit battlefield(const std::string& more = {})
        : server_{{.config = std::string{no_toolchain} + (more.empty() ? "" : ", " + more), .wait_ready = false}},
          client_{server_}
    {
        const auto made = client_.post("/faas/deploy", {{"runtime", "node"}, {"code", program}});
        INFO(made.body);
        REQUIRE(made.status == 200);
        path_ = "/faas/" + std::string{made.json().at("deployment_id").as_string()};
        REQUIRE(client_.get(path_ + "/ok").body == "fine");
        base_ = descriptors();
    }

    std::string get(const std::string& path, const std::string& fields = {}) const
    {
        return "GET " + path_ + path + " HTTP/1.1\r\nHost: localhost\r\n" + fields + "\r\n";
    }
    // Everything that comes back for these bytes on a connection of its own, up to its end.
    std::string told(const std::string& bytes)
    {
        attack();
        stream_client one{server_};
        one.send(bytes);
        return one.rest();
    }
    // The end of every row: the next request is fine, no connection has stayed, here or in the program.
    void unharmed()
    {
        CHECK(client_.get(path_ + "/ok").body == "fine");
        CHECK(eventually([&] { return server_.metric("sandboxd_proxy_requests") == 0; }));
        CHECK(eventually([&] { return descriptors() <= base_ + 2; }));
        CHECK(eventually([&] { return std::stoul(client_.get(path_ + "/open").body) <= 2; }));
    }
    std::size_t descriptors() const { return descriptors_of(server_.pid()); }

    server_process& server() { return server_; }
    http_client& client() { return client_; }
    const std::string& path() const { return path_; }

private:
    server_process server_;
    http_client client_;
    std::string path_;
    std::size_t base_{0};
};

}  // namespace

TEST_CASE("an answer that is not HTTP becomes 502, and one that breaks off is broken off", "[hostile][proxy]")
{
    if (!has_node()) SKIP("there is no /usr/bin/node");
    battlefield field{R"("proxy": {"headerTimeoutSecs": 1, "idleTimeoutSecs": 1, "maxHeaderBytes": 2048})"};
    const std::string fine = "HTTP/1.1 200 OK\r\n";
    const std::string refused[] = {
        "",
        "\r\n\r\n",
        "garbage\r\n\r\n",
        "HTTP/1.1 200 OK\n\n",
        "HTTP/3 200 OK\r\n\r\n",
        "HTTP/1.1 +20 OK\r\n\r\n",
        fine + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        fine + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        fine + "Transfer-Encoding: identity\r\n\r\n",
        fine + "X: a\r\n folded\r\n\r\n",
        fine + "X : a\r\n\r\n",
        fine + "X: a\0b\r\n\r\n"s,
        fine + "X: a\rSet-Cookie: b\r\n\r\n",
        fine + "X: " + std::string(2500, 'x') + "\r\n\r\n",
        fine + "X: a",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        std::string(2500, 'x'),
        "HTTP/1.1 103 Early Hints\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\ngarbage\r\n\r\n",
        std::string(2000, '\0'),
    };
    for (const auto& bytes : refused) {
        INFO(bytes.substr(0, 60));
        attack();
        const auto answer = field.client().get(field.path() + "/raw/" + hex(bytes));
        CHECK(answer.status == 502);
        CHECK(answer.json().at("code").as_string() == "upstream_failed");
        CHECK(answer.json().at("log_id").to_number<int>() > 0);
    }
    field.unharmed();
    // Begun, and not to be ended.
    const std::string cut[] = {
        fine + "Content-Length: 50\r\n\r\nshort",
        fine + "Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
        fine + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nXX\r\n",
        fine + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello!",
        fine + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello",
    };
    for (const auto& bytes : cut) {
        INFO(bytes);
        const auto answer = field.told(field.get("/raw/" + hex(bytes), "Connection: close\r\n"));
        CHECK(answer.starts_with("HTTP/1.1 200"));
        CHECK(answer.find("\r\n0\r\n\r\n") == std::string::npos);
    }
    CHECK(field.server().metric("sandboxd_proxy_cut_total") == 5);
    field.unharmed();
    // Nothing, or hardly anything, comes.
    for (const std::string& path : {"/silent"s, "/trickle"s, "/raw-open/" + hex(fine)}) {
        INFO(path);
        attack();
        const auto status = field.client().get(field.path() + path).status;
        CHECK((status == 504 || (path == "/trickle" && status == 502)));
    }
    for (const char* path : {"/endless-head", "/interim"}) {
        INFO(path);
        const auto answer = field.told(field.get(path, "Connection: close\r\n"));
        CHECK(answer.find("HTTP/1.1 502") != std::string::npos);
        CHECK(answer.size() < 10'000);
    }
    field.unharmed();
}

TEST_CASE("a program cannot put a second answer or a field of its own making on a client's connection",
          "[hostile][proxy]")
{
    if (!has_node()) SKIP("there is no /usr/bin/node");
    battlefield field;
    const std::string second = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Evil: 1\r\n\r\nevil";
    // Two answers for one request: the second is nobody's, though the connection is kept.
    const std::string first[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    };
    for (const auto& one : first) {
        INFO(one);
        attack();
        stream_client victim{field.server()};
        victim.send(field.get("/raw-open/" + hex(one + second)) + field.get("/ok"));
        const auto all = victim.until("fine");
        CHECK(all.find("evil") == std::string::npos);
        CHECK(all.find("X-Evil") == std::string::npos);
        CHECK(all.ends_with("fine"));
    }
    // An answer that waits in a kept connection for the next request is thrown away with it.
    for (int i = 0; i < 10; ++i) CHECK(field.client().get(field.path() + "/ok").body == "fine");

    const std::string control =
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: X-Named, close\r\nX-Named: 1\r\nKeep-Alive: timeout=1\r\n"
        "X-Accel-Redirect: /internal\r\nX-Sendfile: /etc/passwd\r\nClear-Site-Data: \"*\"\r\nAlt-Svc: h3=\":1\"\r\n"
        "Service-Worker-Allowed: /\r\nSet-Cookie: session=stolen; Path=/; Domain=example.com\r\n"
        "Location: /faas/deployments\r\nX-Request-Id: forged\r\nX-Fine: yes\r\n\r\nok";
    const auto answer = field.client().get(field.path() + "/raw/" + hex(control));
    CHECK(answer.body == "ok");
    for (const char* gone : {"x-named", "keep-alive", "x-accel-redirect", "x-sendfile", "clear-site-data", "alt-svc",
                             "service-worker-allowed"}) {
        INFO(gone);
        CHECK(answer.field(gone).empty());
    }
    CHECK(answer.field("set-cookie") == "session=stolen; Path=" + field.path());
    CHECK(answer.field("location") == field.path() + "/faas/deployments");
    CHECK(answer.field("x-request-id") != "forged");
    CHECK(answer.field("x-fine") == "yes");
    field.unharmed();
}

TEST_CASE("a client cannot speak for the proxy, nor send more requests than the proxy knows of", "[hostile][proxy]")
{
    if (!has_node()) SKIP("there is no /usr/bin/node");
    battlefield field;
    const std::string post = "POST " + field.path() + "/take HTTP/1.1\r\nHost: localhost\r\n";
    const std::string inner = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
    const auto seen = [&] { return std::stoul(field.client().get(field.path() + "/seen").body); };
    auto before = seen();
    const std::string refused[] = {
        post + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX" + inner,
        post + "Transfer-Encoding: xchunked\r\n\r\n" + inner,
        post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + inner,
        post + "Content-Length: 0\r\nContent-Length: 40\r\n\r\n" + inner,
        post + "Content-Length : 40\r\n\r\n" + inner,
        post + "X: a\r\n Content-Length: 40\r\n\r\n" + inner,
        "GET " + field.path() + "/a\rb HTTP/1.1\r\nHost: localhost\r\n\r\n",
    };
    for (const auto& bytes : refused) {
        INFO(bytes);
        const auto answer = field.told(bytes);
        CHECK(answer.starts_with("HTTP/1.1 400"));
        CHECK(answer.find("taken") == std::string::npos);
    }
    CHECK(seen() == before + 1);  // the question itself
    before = seen();
    // A request in a body is a body.
    CHECK(field.client().request("POST", field.path() + "/take", {}, inner).body == "taken");
    CHECK(field.client().get(field.path() + "/last").body.find(inner) != std::string::npos);
    CHECK(seen() == before + 3);
    // Chunks are taken apart and made anew: what one server reads in an extension or a trailer does not arrive.
    stream_client chunks{field.server()};
    chunks.send(
        post +
        "Transfer-Encoding: chunked\r\n\r\n2;x=\"0\"\r\nab\r\n0\r\nX-Late: 1\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n");
    chunks.until("taken");
    const auto arrived = field.client().get(field.path() + "/last").body;
    CHECK(arrived.find("9.9.9.9") == std::string::npos);
    CHECK(arrived.find("X-Late") == std::string::npos);
    CHECK(arrived.find("\r\n2\r\nab\r\n") != std::string::npos);

    const header_list spoofed{{"X-Forwarded-For", "10.9.8.7"},
                              {"X_Forwarded_For", "10.9.8.7"},
                              {"X-Forwarded-Prefix", "/10.9.8.7"},
                              {"Forwarded", "for=10.9.8.7"},
                              {"X-Real-IP", "10.9.8.7"},
                              {"Connection", "X-Own, close, X-Forwarded-For"},
                              {"X-Own", "10.9.8.7"},
                              {"TE", "trailers"},
                              {"Proxy-Authorization", "10.9.8.7"},
                              {"X-Accel-Internal", "10.9.8.7"}};
    http_client spoofer{field.server()};
    attack();
    CHECK(spoofer.request("GET", field.path() + "/take", spoofed).body == "taken");
    const auto head = field.client().get(field.path() + "/last").body;
    CHECK(head.find("10.9.8.7") == std::string::npos);
    CHECK(head.find("X-Forwarded-For: 127.0.0.1\r\n") != std::string::npos);
    CHECK(head.find("TE:") == std::string::npos);
    field.unharmed();
}

TEST_CASE("an endless answer is bounded by its reader, and ends with it", "[hostile][proxy]")
{
    if (!has_node()) SKIP("there is no /usr/bin/node");
    battlefield field{R"("http": {"writeTimeoutSecs": 1})"};
    const auto resident_kib = [&] {
        const auto status = text_of("/proc/" + std::to_string(field.server().pid()) + "/status");
        return std::stoul(status.substr(status.find("VmRSS:") + 6));
    };
    const auto before = resident_kib();
    {
        attack(8);
        std::vector<std::unique_ptr<stream_client>> sleepers;
        for (int i = 0; i < 8; ++i) {
            sleepers.push_back(std::make_unique<stream_client>(field.server()));
            sleepers.back()->send(field.get("/endless"));
            sleepers.back()->until("eeee");
        }
        CHECK(field.client().get(field.path() + "/ok").body == "fine");
        CHECK(resident_kib() < before + 8 * 1024);
        // They read nothing more, and are closed.
        CHECK(eventually([&] { return field.server().metric("sandboxd_proxy_requests") == 0; }));
    }
    {
        attack();
        stream_client leaver{field.server()};
        leaver.send(field.get("/endless"));
        leaver.until("eeee");
        leaver.close();
    }
    field.unharmed();
}

TEST_CASE("tunnels whose clients do not read hold little of the kernel's memory, and end with their program",
          "[hostile][proxy]")
{
    if (!has_node()) SKIP("there is no /usr/bin/node");
    battlefield field;
    const std::string upgrade = "Connection: Upgrade\r\nUpgrade: flood\r\n";
    const auto taken = [&] { return std::stoull(field.client().get(field.path() + "/taken").body); };
    constexpr std::size_t count = 60;
    std::vector<std::unique_ptr<stream_client>> sleepers;
    attack(count);
    for (std::size_t i = 0; i < count; ++i) {
        sleepers.push_back(std::make_unique<stream_client>(field.server()));
        const int small = 16 * 1024;
        ::setsockopt(sleepers.back()->native(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        sleepers.back()->send(field.get("/tunnel", upgrade));
        sleepers.back()->until("tttt");
    }
    CHECK(field.server().metric("sandboxd_proxy_tunnels") == count);
    // What the program could get rid of: all that is between it and who does not read. It is full when no more goes.
    REQUIRE(eventually([&] { return taken() > count * 64 * 1024; }));
    CHECK(eventually([&] { return field.server().metric("sandboxd_http_unsent_bytes") >= count * 64 * 1024; }));
    auto most = taken();
    for (int same = 0; same < 10;) {
        const auto now = taken();
        same = now == most ? same + 1 : 0;
        most = now;
    }
    INFO(most);
    // The most that the program's own socket holds (tcp_wmem), and little more: what is between the two is bounded.
    CHECK(most < count * 4'500'000);
    // The other way: the program does not read.
    {
        attack();
        stream_client sender{field.server()};
        const int small = 16 * 1024;
        ::setsockopt(sender.native(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
        sender.send(field.get("/deaf", upgrade));
        sender.until("ready");
        std::size_t sent = 0;
        const std::string piece(16 * 1024, 'x');
        for (pollfd writable{sender.native(), POLLOUT, 0}; sent < 100'000'000 && ::poll(&writable, 1, 2'000) == 1;) {
            const auto got = ::send(sender.native(), piece.data(), piece.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
            if (got > 0) sent += static_cast<std::size_t>(got);
            if (got < 0 && errno != EAGAIN) break;
        }
        CHECK(sent < 4'000'000);
    }
    CHECK(field.client().request("DELETE", "/faas/deployments/" + field.path().substr(6)).status == 204);
    CHECK(eventually([&] { return field.server().metric("sandboxd_proxy_tunnels") == 0; }));
    CHECK(field.server().metric("sandboxd_http_unsent_bytes") == 0);
    // Nothing is left of them: not the connection, and not what the client has not read, which would wait for minutes.
    CHECK(eventually([&] { return field.descriptors() < count / 2; }));
    for (auto& one : sleepers) {
        one->rest();
        CHECK(one->reset());
    }
}

TEST_CASE("a tunnel whose client takes too little is ended, and there are only so many", "[hostile][proxy]")
{
    if (!has_node()) SKIP("there is no /usr/bin/node");
    const std::string upgrade = "Connection: Upgrade\r\nUpgrade: flood\r\n";
    {
        battlefield field{R"("http": {"writeTimeoutSecs": 1, "minWriteBytesPerSec": 65536})"};
        attack(2);
        stream_client sleeper{field.server()};
        sleeper.send(field.get("/tunnel", upgrade));
        sleeper.until("tttt");
        CHECK(eventually([&] { return field.server().metric("sandboxd_proxy_tunnels_slow_total") == 1; }));
        // Who takes a little now and then is alive, and yet too slow.
        stream_client sipper{field.server()};
        const int small = 4096;
        ::setsockopt(sipper.native(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        sipper.send(field.get("/tunnel", upgrade));
        CHECK(eventually([&] {
            char sip[64];
            static_cast<void>(::recv(sipper.native(), sip, sizeof sip, MSG_DONTWAIT));
            return field.server().metric("sandboxd_proxy_tunnels_slow_total") == 2;
        }));
        field.unharmed();
    }
    {
        // They count among the answers that are not sent: who is slowest makes room.
        battlefield field{R"("http": {"maxUnsentMB": 1})"};
        attack(20);
        std::vector<std::unique_ptr<stream_client>> sleepers;
        for (int i = 0; i < 20; ++i) {
            sleepers.push_back(std::make_unique<stream_client>(field.server()));
            sleepers.back()->send(field.get("/tunnel", upgrade));
            sleepers.back()->until("tttt");
        }
        CHECK(eventually([&] { return field.server().metric("sandboxd_proxy_tunnels") <= 16; }));
        CHECK(field.server().metric("sandboxd_http_unsent_bytes") <= 1024 * 1024);
        CHECK(field.client().get(field.path() + "/ok").body == "fine");
        sleepers.clear();
        field.unharmed();
    }
    {
        battlefield field{R"("proxy": {"maxTunnelsPerProgram": 1})"};
        attack(2);
        auto first = std::make_unique<stream_client>(field.server());
        first->send(field.get("/deaf", upgrade));
        first->until("ready");
        http_client second{field.server()};
        second.send(field.get("/deaf", upgrade));
        const auto refused = second.receive();
        CHECK(refused.status == 503);
        CHECK(refused.body.find("maxTunnelsPerProgram") != std::string::npos);
        first.reset();
        field.unharmed();
    }
    battlefield field{R"("proxy": {"maxTunnels": 2}, "faas": {"drainGraceSecs": 1})"};
    attack(3);
    stream_client first{field.server()};
    auto second = std::make_unique<stream_client>(field.server());
    for (auto* one : {&first, second.get()}) {
        one->send(field.get("/deaf", upgrade));
        one->until("ready");
    }
    http_client third{field.server()};
    third.send(field.get("/deaf", upgrade));
    const auto refused = third.receive();
    CHECK(refused.status == 503);
    CHECK(refused.json().at("code").as_string() == "queue_full");
    CHECK_FALSE(refused.field("retry-after").empty());
    CHECK(field.server().metric("sandboxd_proxy_tunnels_refused_total") == 1);
    CHECK(field.client().get(field.path() + "/ok").body == "fine");
    second.reset();
    CHECK(eventually([&] { return field.server().metric("sandboxd_proxy_tunnels") == 1; }));
    third.send(field.get("/deaf", upgrade));
    CHECK(third.receive().status == 101);
    // A restart ends those of the old program.
    const json::object file{{"path", "other.txt"}, {"content", "x"}};
    const auto restarted = field.client().request(
        "PUT", "/faas/deployments/" + field.path().substr(6) + "/files", {{"Content-Type", "application/json"}},
        json::serialize(json::object{{"files", json::array{file}}, {"restart_dev_server", true}}));
    CHECK(restarted.status == 200);
    INFO(restarted.body);
    first.rest();
    CHECK(eventually([&] { return field.server().metric("sandboxd_proxy_tunnels") == 0; }));
    field.unharmed();
}

TEST_CASE("a deployment reaches neither the files nor the sockets of another", "[hostile][proxy]")
{
    if (!has_node()) SKIP("there is no /usr/bin/node");
    server_process server{{.config = no_toolchain, .wait_ready = false}};
    http_client client{server};
    const auto deploy = [&](json::object what) {
        what["runtime"] = "node";
        const auto made = client.post("/faas/deploy", what);
        INFO(made.body);
        REQUIRE(made.status == 200);
        return std::string{made.json().at("deployment_id").as_string()};
    };
    // Listens wherever one can: what is beside its port is nobody's but its own. Its port comes first, since the server
    // takes what it finds first.
    constexpr const char* victim = R"js(
const net = require('net'), http = require('http'), quiet = s => s.on('error', () => {});
require('fs').writeFileSync('/tmp/written', 'canary');
http.createServer((q, r) => r.end(require('fs').readFileSync('secret.txt'))).listen(process.env.PORT, () => {
  quiet(net.createServer(s => s.end('canary'))).listen(4000, '0.0.0.0');
  quiet(net.createServer(s => s.end('canary'))).listen(process.env.SOCKET_PATH);
  quiet(net.createServer(s => s.end('canary'))).listen('/tmp/victim.sock');
  try { quiet(net.createServer(s => s.end('canary'))).listen('\0victim'); } catch {}
});
)js";
    constexpr const char* spy = R"js(
const net = require('net'), fs = require('fs'), path = require('path');
const reach = where => new Promise(done => {
  const s = net.connect(where, () => { s.destroy(); done(true); });
  s.on('error', () => done(false));
});
const look = (at, found) => { try { if (fs.readFileSync(at, 'latin1').includes('canary')) found.push(at); } catch {} };
require('http').createServer(async (q, r) => {
  let body = ''; for await (const piece of q) body += piece;
  const {directories, sockets} = JSON.parse(body), found = [];
  for (const d of directories) {
    let names = []; try { names = fs.readdirSync(d); } catch {}
    for (const n of names) look(path.join(d, n), found);
    for (const n of ['secret.txt', 'index.js', 'src/secret.txt']) look(path.join(d, n), found);
    try { fs.writeFileSync(path.join(d, 'left'), 'x'); if (d.startsWith('/srv')) found.push('wrote ' + d); } catch {}
  }
  for (const pid of fs.readdirSync('/proc').filter(n => /^\d+$/.test(n)))
    if (pid != process.pid)
      for (const n of ['environ', 'cmdline', 'root/tmp/written', 'cwd/secret.txt']) look('/proc/' + pid + '/' + n, found);
  for (const s of sockets) if (await reach(s)) found.push(JSON.stringify(s));
  r.end(found.join('\n') || 'nothing');
}).listen(process.env.PORT);
)js";
    const auto one = deploy({{"code", victim},
                             {"files", json::array{json::object{{"path", "secret.txt"}, {"content", "canary"}}}},
                             {"env", json::object{{"SECRET", "canary"}}}});
    const auto other = deploy({{"code", spy}});
    REQUIRE(client.get("/faas/" + one + "/").body == "canary");

    json::array directories{"/tmp", "/app", "/srv", "/run", "/var/tmp", "/dev/shm"};
    for (const auto& place : paths_below(server.working_dir()))
        if (std::filesystem::is_directory(place)) directories.emplace_back(place);
    json::array sockets{"/tmp/victim.sock", "\0victim"s};
    for (const auto* host : {"127.0.0.1", "::1", "127.0.0.2", "0.0.0.0"})
        for (const int port : {4000, static_cast<int>(server.port())})
            sockets.push_back(json::object{{"host", host}, {"port", port}});
    attack(directories.size() + sockets.size());
    const auto told =
        client.post("/faas/" + other + "/", json::object{{"directories", directories}, {"sockets", sockets}});
    CHECK(told.status == 200);
    CHECK(told.body == "nothing");
    CHECK(client.get("/faas/" + one + "/").body == "canary");
    for (const auto& id : {one, other}) CHECK(client.request("DELETE", "/faas/deployments/" + id).status == 204);
    CHECK(eventually([&] { return server.children().empty(); }));
}
