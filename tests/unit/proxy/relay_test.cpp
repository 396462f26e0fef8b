#include "proxy/relay.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <span>
#include <string>
#include <string_view>
#include <vector>

using namespace sandboxd;
using namespace sandboxd::proxy;

namespace {

using parser = boost::beast::http::request_parser<boost::beast::http::empty_body>;

// The head that the program gets for these field lines.
std::string passed_on(const std::string& lines, relay_route route = {}, body_shape body = {})
{
    parser read;
    read.skip(true);
    boost::system::error_code ec;
    const auto text = "GET /x HTTP/1.1\r\n" + lines + "\r\n";
    read.put(boost::asio::buffer(text), ec);
    REQUIRE_FALSE(ec);
    if (route.target.empty()) route.target = "/";
    if (route.request_id.empty()) route.request_id = "id";
    std::string head;
    write_request_head(head, "GET", read.get(), route, body, upgrade_of(read.get()));
    return head;
}

// What the client gets of an answer with these field lines, without the status line.
std::string returned(const std::string& lines, relay_route route = {})
{
    answer_head head;
    const auto text = "HTTP/1.1 200 OK\r\n" + lines + "\r\n";
    const auto read = read_answer_head(text, false, head);
    if (!read) return "error: " + read.error().message;
    std::string fields;
    if (route.target.empty()) route.target = "/a/b?c";
    write_answer_fields(fields, head, route);
    return fields;
}

bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

constexpr std::string_view own_hosts[] = {"localhost:3000", "127.0.0.1:3000"};
constexpr relay_route guest{.prefix = "/faas/id",
                            .target = "/a/b?c",
                            .host = "api.example:8080",
                            .peer = "192.0.2.7",
                            .own_hosts = own_hosts,
                            .request_id = "id"};

}  // namespace

TEST_CASE("fields of the connection are not passed on, nor what they name", "[proxy][relay]")
{
    const auto head = passed_on(
        "Host: h\r\nConnection: close, X-Secret , te\r\nX-Secret: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\nTrailer: x\r\n"
        "Proxy-Authorization: p\r\nProxy-Own: q\r\nProxy-Connection: q\r\nExpect: 100-continue\r\nUpgrade: websocket\r\nAccept: a\r\n"
        "Cookie: c=1\r\nCookie: d=2\r\nHTTP2-Settings: x\r\n");
    CHECK(head.starts_with("GET / HTTP/1.1\r\nHost: localhost\r\n"));
    for (const char* gone :
         {"X-Secret", "Connection", "Keep-Alive", "TE:", "Trailer", "Proxy-", "Expect", "Upgrade", "HTTP2"}) {
        INFO(gone);
        CHECK_FALSE(has(head, gone));
    }
    CHECK(has(head, "Accept: a\r\n"));
    CHECK(has(head, "Cookie: c=1\r\nCookie: d=2\r\n"));
    CHECK(has(head, "X-Request-Id: id\r\n"));
    CHECK(head.ends_with("\r\n\r\n"));
    // A list too long to be meant seriously takes every field that is not of the usual ones along.
    CHECK_FALSE(
        has(passed_on("Host: h\r\nConnection: a,b,c,d,e,f,g,h,x-late\r\nX-Late: 1\r\nX-Other: 2\r\n"), "X-Late"));
}

TEST_CASE("the framing is made anew", "[proxy][relay]")
{
    const std::string lines = "Host: h\r\nContent-Length: 7\r\n";
    CHECK_FALSE(has(passed_on(lines), "Content-Length"));
    CHECK(has(passed_on(lines, {}, {body_kind::length, 7}), "Content-Length: 7\r\n"));
    const auto chunked = passed_on(lines, {}, {body_kind::chunked, 0});
    CHECK(has(chunked, "Transfer-Encoding: chunked\r\n"));
    CHECK_FALSE(has(chunked, "Content-Length"));
}

TEST_CASE("what stays behind does so in the spelling with an underscore", "[proxy][relay]")
{
    const auto head = passed_on(
        "Host: h\r\nTransfer_Encoding: chunked\r\nContent_Length: 9\r\nKeep_Alive: 1\r\nProxy_Authorization: p\r\n"
        "proxy_connection: q\r\nX_Request-Id: forged\r\nX_Accel_Redirect: /x\r\nHTTP2_Settings: x\r\n"
        "X-Forwarded_Host: evil\r\nX_Own: 1\r\n");
    for (const char* gone : {"Transfer", "Content_", "Keep", "roxy", "forged", "Accel", "HTTP2", "evil"}) {
        INFO(gone);
        CHECK_FALSE(has(head, gone));
    }
    // Names of the program's own are its business.
    CHECK(has(head, "X_Own: 1\r\n"));
}

TEST_CASE("X-Forwarded-* are the proxy's own, continued only for a proxy that is trusted", "[proxy][relay]")
{
    const std::string spoofed =
        "Host: h\r\nX-Forwarded-For: 10.0.0.1\r\nx-forwarded-host: evil\r\nX-Forwarded-Proto: https\r\nX_Forwarded_For: 10.0.0.2\r\n"
        "X-Forwarded-Prefix: /evil\r\nX-Forwarded-Server: s\r\nForwarded: for=10.0.0.3\r\nX-Real-IP: 10.0.0.4\r\nX_Real_IP: 10.0.0.5\r\n";
    const auto head = passed_on(spoofed, guest);
    CHECK_FALSE(has(head, "10.0.0."));
    CHECK_FALSE(has(head, "evil"));
    CHECK_FALSE(has(head, "Forwarded-Server"));
    CHECK(has(head, "X-Forwarded-For: 192.0.2.7\r\n"));
    CHECK(has(head, "X-Real-IP: 192.0.2.7\r\n"));
    CHECK(has(head, "X-Forwarded-Host: api.example:8080\r\n"));
    CHECK(has(head, "X-Forwarded-Proto: http\r\n"));
    CHECK(has(head, "X-Forwarded-Prefix: /faas/id\r\n"));

    auto trusted = guest;
    trusted.trusted = true;
    const auto continued =
        passed_on("Host: h\r\nX-Forwarded-For: 198.51.100.1, 198.51.100.2\r\nX-Forwarded-Proto: https\r\n", trusted);
    CHECK(has(continued, "X-Forwarded-For: 198.51.100.1, 198.51.100.2, 192.0.2.7\r\n"));
    // What the proxy itself has seen; the first is what its client said.
    CHECK(has(continued, "X-Real-IP: 198.51.100.2\r\n"));
    CHECK(has(passed_on("Host: h\r\nX-Forwarded-For: 198.51.100.1\r\nX-Forwarded-For: [2001:db8::1]:443\r\n", trusted),
              "X-Real-IP: 2001:db8::1\r\n"));
    CHECK(has(passed_on("Host: h\r\nX-Forwarded-For: 198.51.100.1, unknown\r\n", trusted), "X-Real-IP: 192.0.2.7\r\n"));
    CHECK_FALSE(has(passed_on("Host: h\r\nProxy: http://evil/\r\nProxy_Own: 1\r\n", trusted), "roxy"));
    CHECK(has(continued, "X-Forwarded-Proto: https\r\n"));
}

TEST_CASE("the fields of a trace are the client's, or those of the route", "[proxy][relay]")
{
    const std::string lines = "Host: h\r\nTraceParent: theirs\r\ntracestate: a=1\r\nTRACESTATE: b=2\r\nX-Own: 1\r\n";
    const auto as_they_are = passed_on(lines);
    CHECK(has(as_they_are, "TraceParent: theirs\r\ntracestate: a=1\r\nTRACESTATE: b=2\r\n"));
    relay_route ours{};
    ours.traceparent = "ours";
    ours.tracestate = "c=3";
    const auto of_route = passed_on(lines, ours);
    CHECK(has(of_route, "\r\ntraceparent: ours\r\ntracestate: c=3\r\n"));
    CHECK(has(of_route, "X-Own: 1\r\n"));
    for (const char* gone : {"theirs", "a=1", "b=2", "TraceParent", "TRACESTATE"}) {
        INFO(gone);
        CHECK_FALSE(has(of_route, gone));
    }
    // Also where the client says that they are for the connection alone.
    CHECK(
        has(passed_on("Host: h\r\nConnection: traceparent\r\ntraceparent: theirs\r\n", ours), "traceparent: ours\r\n"));
    // A tracestate belongs to its traceparent.
    ours.tracestate = {};
    const auto without = passed_on(lines, ours);
    CHECK(has(without, "traceparent: ours\r\n"));
    CHECK_FALSE(has(without, "tracestate"));
    ours.traceparent = {};
    ours.tracestate = "c=3";
    CHECK_FALSE(has(passed_on("Host: h\r\n", ours), "tracestate"));
}

TEST_CASE("what servers tell each other of a trace comes from no client, and goes to no program", "[proxy][relay]")
{
    const std::string lines = "Host: h\r\nX-Forwarded-Sampled: theirs\r\nX_Forwarded_Sampled: theirs\r\n";
    relay_route route{};
    for (const bool trusted : {false, true}) {
        CAPTURE(trusted);
        route.trusted = trusted;
        route.sampled = {};
        CHECK_FALSE(has(passed_on(lines, route), "ampled"));
        route.sampled = "0";
        const auto told = passed_on(lines, route);
        CHECK(has(told, "\r\nX-Forwarded-Sampled: 0\r\n"));
        CHECK_FALSE(has(told, "theirs"));
    }
}

TEST_CASE("an upgrade is passed on when it is asked for in earnest, and never to h2c", "[proxy][relay]")
{
    const auto asks = [](const std::string& lines) { return passed_on("Host: h\r\n" + lines); };
    const auto fine = asks("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n");
    CHECK(has(fine, "Connection: Upgrade\r\nUpgrade: websocket\r\n"));
    CHECK(has(fine, "Sec-WebSocket-Key: k\r\n"));
    CHECK_FALSE(has(asks("Upgrade: websocket\r\n"), "Upgrade"));
    CHECK_FALSE(has(asks("Connection: Upgrade\r\n"), "Upgrade"));
    CHECK_FALSE(has(asks("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"), "Upgrade"));
    CHECK_FALSE(has(asks("Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n"), "Upgrade"));
}

TEST_CASE("the head of an answer is read strictly", "[proxy][relay]")
{
    const auto read = [](const std::string& text, bool to_head = false) {
        answer_head head;
        const auto done = read_answer_head(text, to_head, head);
        return done ? std::to_string(head.status) + " " + std::to_string(static_cast<int>(head.body.kind)) + " " +
                          std::to_string(head.body.length) + (head.keep_alive ? " keep" : " close")
                    : std::string{name(done.error().code)};
    };
    struct row {
        std::string head;
        std::string is;
    };
    const row rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "200 1 5 keep"},
        {"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "200 1 0 keep"},
        {"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n", "200 2 0 keep"},
        {"HTTP/1.1 200 OK\r\n\r\n", "200 3 0 close"},
        {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", "200 1 5 close"},
        {"HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 5\r\n\r\n", "200 1 5 close"},
        {"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "204 0 0 keep"},
        {"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", "304 0 0 keep"},
        {"HTTP/1.1 103 Early Hints\r\n\r\n", "103 0 0 keep"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", "upstream_failed"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "upstream_failed"},
        {"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n", "upstream_failed"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", "upstream_failed"},
        {"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n", "upstream_failed"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "upstream_failed"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "upstream_failed"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n", "upstream_failed"},
        {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "upstream_failed"},
        {"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "upstream_failed"},
        {"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n", "upstream_failed"},
        {"HTTP/1.1 200 OK\r\nA: b\x01\r\n\r\n", "upstream_failed"},
        {"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "upstream_failed"},
        {std::string{"HTTP/1.1 200 OK\r\nA: \0\r\n\r\n", 25}, "upstream_failed"},
        {"HTTP/2 200 OK\r\n\r\n", "upstream_failed"},
        {"HTTP/1.1 20 OK\r\n\r\n", "upstream_failed"},
        {"HTTP/1.1 2000 OK\r\n\r\n", "upstream_failed"},
        {"HTTP/1.1 099 OK\r\n\r\n", "upstream_failed"},
        {"SSH-2.0-OpenSSH\r\n\r\n", "upstream_failed"},
        {"\r\n\r\n", "upstream_failed"},
    };
    for (const auto& one : rows) {
        INFO(one.head);
        CHECK(read(one.head) == one.is);
    }
    CHECK(read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true) == "200 1 5 keep");
    CHECK(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true) == "200 0 0 keep");
    answer_head head;
    REQUIRE(read_answer_head("HTTP/1.1 200 OK\r\nKeep-Alive: max=2, timeout=5\r\n\r\n", false, head).has_value());
    CHECK(head.keep_alive_for == std::chrono::seconds{5});
}

TEST_CASE("fields of an answer that speak for the connection or the server are left out", "[proxy][relay]")
{
    const std::string lines =
        "Connection: X-Gone, keep-alive\r\nX-Gone: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 3\r\nX-Request-Id: theirs\r\n"
        "X-Accel-Redirect: /secret\r\nX-Sendfile: /etc/passwd\r\nAlt-Svc: h2=evil\r\nProxy-Authenticate: x\r\n"
        "Surrogate-Control: max-age=9\r\nX-Deployment-Moved: 1\r\nX-App: 1\r\n"
        "Content-Type: text/html\r\n";
    CHECK(returned(lines) == "X-App: 1\r\nContent-Type: text/html\r\n");
    const std::string origin =
        "Clear-Site-Data: *\r\nService-Worker-Allowed: /\r\nStrict-Transport-Security: max-age=1\r\n"
        "NEL: {}\r\nReport-To: {}\r\nAccept-CH: x\r\nOrigin-Agent-Cluster: ?1\r\nETag: e\r\n";
    CHECK(returned(origin, guest) == "ETag: e\r\n");
    // Under a host name of its own the origin is the program's, but the cookies of the domain are not.
    CHECK(returned(origin) ==
          "Service-Worker-Allowed: /\r\nStrict-Transport-Security: max-age=1\r\nNEL: {}\r\nReport-To: {}\r\n"
          "Accept-CH: x\r\nOrigin-Agent-Cluster: ?1\r\nETag: e\r\n");
    CHECK(
        returned(
            "Public-Key-Pins: x\r\nPublic-Key-Pins-Report-Only: x\r\nExpect-CT: x\r\nUse-As-Dictionary: x\r\n"
            "Set-Login: logged-out\r\nSpeculation-Rules: x\r\nSecure-Session-Registration: x\r\nclear-site-data: \"*\"\r\nX-App: 1\r\n",
            guest) == "X-App: 1\r\n");
    auto sandboxed = guest;
    sandboxed.sandbox_pages = true;
    CHECK(has(returned("Content-Security-Policy: default-src *\r\n", sandboxed),
              "Content-Security-Policy: default-src *\r\nContent-Security-Policy: sandbox allow-scripts"));
}

TEST_CASE("cookies stay beneath the prefix, and with their host", "[proxy][relay]")
{
    struct row {
        const char* given;
        const char* guest;
        const char* host;
    };
    const row rows[] = {
        {"a=b", "a=b; Path=/faas/id/a", "a=b"},
        {"a=b; Path=/", "a=b; Path=/faas/id", "a=b; Path=/"},
        {"a=b; path=/x/y; HttpOnly", "a=b; HttpOnly; Path=/faas/id/x/y", "a=b; path=/x/y; HttpOnly"},
        {"a=b; Path=/; Path=/faas/other", "a=b; Path=/faas/id/faas/other", "a=b; Path=/; Path=/faas/other"},
        {"a=b; Path=relative", "a=b; Path=/faas/id/a", "a=b; Path=relative"},
        {"a=b; Path", "a=b; Path=/faas/id/a", "a=b; Path"},
        {"a=b; Path=/faas/id/x", "a=b; Path=/faas/id/x", "a=b; Path=/faas/id/x"},
        {"a=b; Path=/faas/idx", "a=b; Path=/faas/id/faas/idx", "a=b; Path=/faas/idx"},
        {"a=b; DOMAIN=example.com; Secure", "a=b; Secure; Path=/faas/id/a", "a=b; Secure"},
        {"a=\"x; Path=/\"", "a=\"x; Path=/faas/id/\"", "a=\"x; Path=/\""},
        {"", "; Path=/faas/id/a", ""},
    };
    for (const auto& one : rows) {
        INFO(one.given);
        CHECK(rewrite_cookie(one.given, "/faas/id", "/a/b") == one.guest);
        CHECK(rewrite_cookie(one.given, "", "/a/b") == one.host);
    }
    CHECK(rewrite_cookie("a=b", "/faas/id", "/") == "a=b; Path=/faas/id");
}

TEST_CASE("a Location within the origin stays beneath the prefix", "[proxy][relay]")
{
    struct row {
        const char* given;
        const char* is;
    };
    const row rows[] = {
        {"/new", "/faas/id/new"},
        {"/", "/faas/id/"},
        {"/faas/id/new", "/faas/id/new"},
        {"/faas/id", "/faas/id"},
        {"/faas/idea", "/faas/id/faas/idea"},
        {"new?x", "new?x"},
        {"", ""},
        {"//elsewhere.example/x", "//elsewhere.example/x"},
        {"https://elsewhere.example/x", "https://elsewhere.example/x"},
        {"http://API.example:8080/x?y#z", "/faas/id/x?y#z"},
        {"http://api.example:8080", "/faas/id/"},
        {"http://api.example:8080?q", "/faas/id/?q"},
        {"http://localhost:3000/x", "/faas/id/x"},
        {"HTTP://127.0.0.1:3000/x", "/faas/id/x"},
        {"http://api.example:8080//x", "/faas/id//x"},
        {"/faas/deployments/x", "/faas/id/faas/deployments/x"},
        // What clients read in different ways.
        {"http:/faas/deployments", "/faas/id/faas/deployments"},
        {"http:faas", "/faas/id/a/faas"},
        {"https:/\t/elsewhere.example", "https://elsewhere.example"},
        {"HTTP:\\\\elsewhere.example\\x?a\\b", "HTTP://elsewhere.example/x?a\\b"},
        {"http:///elsewhere.example/x", "http://elsewhere.example/x"},
        {"/\\elsewhere.example", "//elsewhere.example"},
        {"\\\\elsewhere.example", "//elsewhere.example"},
        {"/\t/elsewhere.example", "//elsewhere.example"},
        {"////elsewhere.example/x", "//elsewhere.example/x"},
        {"http://evil.example\\@api.example:8080/", "http://evil.example/@api.example:8080/"},
        {"mailto:a@b", "mailto:a@b"},
        {"app:../x", "app:../x"},
        // This origin, in other words.
        {"//api.example:8080/faas/other", "/faas/id/faas/other"},
        {"\\\\API.example:8080\\faas", "/faas/id/faas"},
        {"http://user:pass@api.example:8080/x", "/faas/id/x"},
        {"http://%61pi.example:8080/x", "/faas/id/x"},
        {"http://api.example.:8080/x", "/faas/id/x"},
        {"http://127.1:3000/x", "/faas/id/x"},
        {"http://0x7f000001:3000/x", "/faas/id/x"},
        {"http://\xef\xbd\x81pi.example:8080/x", "/faas/id/x"},
        {"http:///", "/faas/id/"},
        // Out of the prefix.
        {"../..", "/faas/id/"},
        {"../../../faas/other/", "/faas/id/faas/other/"},
        {"..", "/faas/id/"},
        {".", "/faas/id/a/"},
        {"./x", "/faas/id/a/x"},
        {"..\\x", "/faas/id/x"},
        {"%2e%2e/%2E./x", "/faas/id/x"},
        {"x/../../../y?../z", "/faas/id/y?../z"},
        {"/faas/id/../other", "/faas/id/faas/other"},
        {"/faas/id/../../faas/id/x", "/faas/id/x"},
        {"/faas/id/%2e%2e/%2e%2e/healthz", "/faas/id/healthz"},
        {"\\faas\\other", "/faas/id/faas/other"},
        {"/..//elsewhere.example", "/faas/id//elsewhere.example"},
        {"/.\t./healthz", "/faas/id/healthz"},
        {"?q=../x", "?q=../x"},
        {"#x", "#x"},
    };
    for (const auto& one : rows) {
        INFO(one.given);
        CHECK(rewrite_location(one.given, guest) == one.is);
    }
    CHECK(returned("Location: /x\r\n") == "Location: /x\r\n");
    // "/faas/id" has no slash at its end: what is relative to it would be a neighbour.
    auto root = guest;
    root.target = "/?q";
    CHECK(rewrite_location("login", root) == "/faas/id/login");
    CHECK(rewrite_location("", root).empty());
    // Where the proxy in front says how the client calls this server.
    auto behind = guest;
    behind.forwarded_host = "front.example";
    CHECK(rewrite_location("https://front.example/x", behind) == "/faas/id/x");
    CHECK(rewrite_location("https://front.example/x", guest) == "https://front.example/x");
    CHECK(returned("Refresh: 5; URL='/x'\r\n", guest) == "Refresh: 5; url=/faas/id/x\r\n");
    CHECK(returned("Refresh: 5\r\n", guest) == "Refresh: 5\r\n");
    // As HTML reads it: blanks for the semicolon, no "url=", a fraction.
    for (const char* told : {"0 url=/x", "0 /x", "0\turl = /x", "0 ; /x", "0,/x", "0;\tURL= '/x'y", ".0 \"/x\""}) {
        CAPTURE(told);
        const auto made = returned("Refresh: " + std::string{told} + "\r\n", guest);
        CHECK(made.find("; url=/faas/id/x\r\n") != std::string::npos);
    }
    for (const char* none : {"5x;url=/x", "url=/x", "-1;/x", "+0 /x"}) {
        CAPTURE(none);
        CHECK(returned("Refresh: " + std::string{none} + "\r\n", guest).find("/x") == std::string::npos);
    }
    CHECK(returned("Content-Location: ../../x\r\n", guest) == "Content-Location: /faas/id/x\r\n");
}

TEST_CASE("chunks are taken apart, whatever the pieces", "[proxy][relay]")
{
    const auto decode = [](const std::string& text, std::size_t step) {
        chunk_decoder decoder;
        std::string data;
        std::size_t at = 0;
        while (at < text.size() && !decoder.done()) {
            std::string piece = text.substr(at, step);
            const auto got = decoder.decode(std::span{piece});
            if (!got) return "error: " + got.error().message;
            data += piece.substr(0, got->data);
            at += got->used;
        }
        return data + (decoder.done() ? "|" : "") + text.substr(at);
    };
    for (const std::size_t step : {1u, 2u, 3u, 7u, 100u}) {
        INFO(step);
        CHECK(decode("3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\nrest", step) == "abc0123456789|rest");
        CHECK(decode("1 \r\nx\r\n00\r\nTrailer: a\r\nB: c\r\n\r\n", step) == "x|");
        CHECK(decode("5\r\nab", step) == "ab");
        for (const char* broken : {"\r\n", "x\r\n", "-1\r\n", "0x1\r\n", "1\nx", "1\r\nxy", "1\r\nx\n",
                                   "fffffffffffffffff\r\n", "0\r\nT: x\n\r\n", "0\r\n\n", "1\r\rx"}) {
            INFO(broken);
            CHECK(decode(broken, step).starts_with("error"));
        }
        CHECK(decode("1;" + std::string(300, 'x') + "\r\n", step).starts_with("error"));
        CHECK(decode("0\r\nT: " + std::string(9000, 'x') + "\r\n\r\n", step).starts_with("error"));
    }
}
