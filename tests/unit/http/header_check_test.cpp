// Raw headers against the wall before the parser. A header goes the whole way here: its end is
// looked for, then it is checked; what one of the two refuses is refused.
#include "http/header_check.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>

#include <catch2/catch_test_macros.hpp>

#include <optional>
#include <string>
#include <string_view>

using namespace sandboxd;
using namespace sandboxd::http;
using namespace std::string_literals;
namespace beast_http = boost::beast::http;

namespace {

// "" when the header passes, "incomplete" when its end is not there, else the error's name.
std::string verdict(std::string_view header, const header_limits& limits = {})
{
    std::size_t scanned = 0;
    const auto end = find_header_end(header, scanned);
    if (!end) return std::string{name(end.error().code)};
    if (*end == 0) return "incomplete";
    const auto wrong = check_header(header.substr(0, *end), limits);
    if (!wrong) return {};
    CHECK_FALSE(wrong->message.empty());
    return std::string{name(wrong->code)};
}

std::string get(std::string_view fields) { return "GET / HTTP/1.1\r\n" + std::string{fields} + "\r\n"; }
std::string post(std::string_view fields)
{
    return "POST /compile HTTP/1.1\r\nHost: a\r\n" + std::string{fields} + "\r\n";
}

std::string line(std::string_view request_line) { return std::string{request_line} + "\r\nHost: a\r\n\r\n"; }

// May throw: a session does not survive that.
bool beast_takes(std::string_view header)
{
    beast_http::request_parser<beast_http::buffer_body> parser;
    parser.header_limit(1 << 20);
    parser.body_limit(boost::none);
    boost::system::error_code ec;
    parser.put(boost::asio::buffer(header.data(), header.size()), ec);
    return !ec && parser.is_header_done();
}

void check_passes(std::string_view header)
{
    CAPTURE(header);
    CHECK(verdict(header).empty());
    CHECK(beast_takes(header));
}

void check_refused(std::string_view header, std::string_view code = "invalid_request")
{
    CAPTURE(header);
    CHECK(verdict(header) == code);
}

}  // namespace

TEST_CASE("honest headers pass", "[http][gate]")
{
    const std::string rows[] = {
        get("Host: a\r\n"),
        get("host: a\r\n"),
        get("HOST:a\r\n"),
        get("Host:\r\n"),  // RFC 9112 3.2: empty when the target has no authority
        get("Host: localhost:8080\r\n"),
        get("Host: [::1]:8080\r\n"),
        get("Host: 192.0.2.1\r\n"),
        get("Host: xn--caf-dma.example_1~\r\n"),
        get("Host: \t a \t \r\n"),
        get("Host: a\r\nX-Empty:\r\nX-Spaces:   \r\n"),
        get("Host: a\r\nX-Tab: a\tb\r\n"),
        get("Host: a\r\nX-Obs-Text: \x80\xff caf\xc3\xa9\r\n"),
        get("Host: a\r\n!#$%&'*+-.^_`|~09azAZ: token\r\n"),
        get("Host: a\r\nX-Colons: a:b::c\r\n"),
        get("Host: a\r\nX-Host: b\r\nX-Content-Length: x\r\nContent-Lengths: y\r\n"),
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\n",
        post("Content-Length: 0\r\n"),
        post("Content-Length: 5\r\n"),
        post("content-length:5\r\n"),
        post("Content-Length:  \t5\t \r\n"),
        post("Content-Length: 00005\r\n"),
        post("Content-Length: 999999999999999999\r\n"),
        post("Transfer-Encoding: chunked\r\n"),
        post("transfer-encoding:CHUNKED\r\n"),
        post("Transfer-Encoding: \tchunked\t \r\n"),
        post("Content-Length: 5\r\nExpect: 100-continue\r\nConnection: keep-alive\r\n"),
        get("Host: a\r\nConnection: close\r\nTE: trailers\r\n"),
    };
    for (const auto& row : rows) check_passes(row);
}

TEST_CASE("what two servers could frame differently is refused", "[http][gate]")
{
    const std::string rows[] = {
        // Both, in either order, whatever they say.
        post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
        post("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"),
        post("Content-Length: 0\r\nX: y\r\ntransfer-encoding: chunked\r\n"),
        post("CONTENT-LENGTH: 5\r\nTRANSFER-ENCODING: CHUNKED\r\n"),
        // Codings that are not exactly `chunked`.
        post("Transfer-Encoding: gzip\r\n"), post("Transfer-Encoding: chunked, gzip\r\n"),
        post("Transfer-Encoding: gzip, chunked\r\n"), post("Transfer-Encoding: chunked, chunked\r\n"),
        post("Transfer-Encoding: xchunked\r\n"), post("Transfer-Encoding: chunkedx\r\n"),
        post("Transfer-Encoding: x-chunked\r\n"), post("Transfer-Encoding: chunke\r\n"),
        post("Transfer-Encoding: identity\r\n"), post("Transfer-Encoding: identity, chunked\r\n"),
        post("Transfer-Encoding: ,chunked\r\n"), post("Transfer-Encoding: chunked,\r\n"),
        post("Transfer-Encoding: chunked;q=1\r\n"), post("Transfer-Encoding: chunked;a\r\n"),
        post("Transfer-Encoding: \"chunked\"\r\n"), post("Transfer-Encoding: chun\tked\r\n"),
        post("Transfer-Encoding: chunked chunked\r\n"), post("Transfer-Encoding:\r\n"),
        post("Transfer-Encoding: \x0b"
             "chunked\r\n"),
        post("Transfer-Encoding: chunked\x0c\r\n"), post("Transfer-Encoding: chunked\x80\r\n"),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
        post("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"),
        // HTTP/1.0 knows no transfer codings.
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: identity\r\n\r\n",
        // More than one length, or none that is one.
        post("Content-Length: 5\r\nContent-Length: 5\r\n"), post("Content-Length: 5\r\nContent-Length: 6\r\n"),
        post("Content-Length: 5\r\ncontent-length: 5\r\n"), post("Content-Length: 5, 5\r\n"),
        post("Content-Length: 5,6\r\n"), post("Content-Length: +5\r\n"), post("Content-Length: -5\r\n"),
        post("Content-Length: -0\r\n"), post("Content-Length: 0x5\r\n"), post("Content-Length: 5h\r\n"),
        post("Content-Length: a\r\n"), post("Content-Length: 5 5\r\n"), post("Content-Length: 1 0\r\n"),
        post("Content-Length: 5\t6\r\n"), post("Content-Length:\r\n"), post("Content-Length:  \r\n"),
        post("Content-Length: 5.0\r\n"), post("Content-Length: 1e1\r\n"), post("Content-Length: 1_000\r\n"),
        post("Content-Length: '5'\r\n"), post("Content-Length: 5;\r\n"),
        post("Content-Length: 1000000000000000000\r\n"),   // 19 digits
        post("Content-Length: 18446744073709551615\r\n"),  // 2^64 - 1
        post("Content-Length: 18446744073709551621\r\n"),  // 5, modulo 2^64
        post("Content-Length: 00000000000000000005\r\n"),
        post("Content-Length: \xd9\xa5\r\n"),      // an Arabic five
        post("Content-Length: \xef\xbc\x95\r\n"),  // a full-width five
    };
    for (const auto& row : rows) check_refused(row);
}

TEST_CASE("lines that two servers could read differently are refused", "[http][gate]")
{
    const std::string rows[] = {
        // Folded lines, also right behind the request line.
        get("Host: a\r\nX: a\r\n b\r\n"),
        get("Host: a\r\nX: a\r\n\tb\r\n"),
        get("Host: a\r\nTransfer-Encoding:\r\n chunked\r\n"),
        get(" Host: a\r\n"),
        get("\tHost: a\r\nHost: b\r\n"),
        get("Host: a\r\nX: y\r\n \r\n"),
        // White space before the colon, and other things that are no field name.
        get("Host : a\r\n"),
        get("Host\t: a\r\n"),
        get("Host: a\r\nContent-Length : 5\r\n"),
        get("Host: a\r\nTransfer-Encoding\t: chunked\r\n"),
        get("Host: a\r\n: empty\r\n"),
        get("Host: a\r\n:\r\n"),
        get("Host: a\r\nno colon\r\n"),
        get("Host: a\r\nno-colon\r\n"),
        get("Host: a\r\nX Y: z\r\n"),
        get("Host: a\r\nX\"Y: z\r\n"),
        get("Host: a\r\nX(Y: z\r\n"),
        get("Host: a\r\nX/Y: z\r\n"),
        get("Host: a\r\nX@Y: z\r\n"),
        get("Host: a\r\nX[Y]: z\r\n"),
        get("Host: a\r\nX{Y}: z\r\n"),
        get("Host: a\r\nX\\Y: z\r\n"),
        get("Host: a\r\nX;Y: z\r\n"),
        get("Host: a\r\nX,Y: z\r\n"),
        get("Host: a\r\nX=Y: z\r\n"),
        get("Host: a\r\nX<Y>: z\r\n"),
        get("Host: a\r\nX?Y: z\r\n"),
        get("Host: a\r\nX\x7fY: z\r\n"),
        get("Host: a\r\nX\x80Y: z\r\n"),
        get("Host: a\r\nX\x01Y: z\r\n"),
        // Bare CR and LF, anywhere.
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\rHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\rX: y\r\n\r\n",
        "GET / HTTP/1.1\r\n\nHost: a\r\n\r\n",
        "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\n HTTP/1.1\r\nHost: a\r\n\r\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        // Nothing before the fields.
        "\r\n\r\n",
        "\r\nHost: a\r\n\r\n",
        "Host: a\r\n\r\n",
    };
    for (const auto& row : rows) check_refused(row);
}

TEST_CASE("no NUL and no other control character, wherever it stands", "[http][gate]")
{
    const auto honest = "POST /compile?a=b HTTP/1.1\r\nHost: a\r\nX-Field: some value\r\n\r\n"s;
    REQUIRE(verdict(honest).empty());
    for (std::size_t place = 0; place < honest.size(); ++place) {
        for (const char c : {'\0', '\x01', '\b', '\x0b', '\x0c', '\x1b', '\x1f', '\x7f'}) {
            auto header = honest;
            header.insert(place, 1, c);
            CAPTURE(place, static_cast<int>(c));
            const auto got = verdict(header);
            // Beside the white space around a value it is not trimmed off; right before the last
            // CRLF there is no end of a header any more.
            CHECK(got == (place == honest.size() - 2 ? "incomplete" : "invalid_request"));
        }
    }
    for (int c = 0; c < 0x20; ++c) {
        if (c == '\t') continue;
        CAPTURE(c);
        CHECK(verdict(get("Host: a\r\nX: a" + std::string(1, static_cast<char>(c)) + "b\r\n")) == "invalid_request");
    }
}

TEST_CASE("there is one Host, and it is a host", "[http][gate]")
{
    const std::string rows[] = {
        get(""),
        get("X: y\r\n"),
        get("Host: a\r\nHost: a\r\n"),
        get("Host: a\r\nHost: b\r\n"),
        get("Host: a\r\nX: y\r\nhOST: b\r\n"),
        get("Host:\r\nHost: a\r\n"),
        "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n",
        get("Host: a b\r\n"),
        get("Host: a\tb\r\n"),
        get("Host: a, b\r\n"),
        get("Host: a,b\r\n"),
        get("Host: a/b\r\n"),
        get("Host: a\\b\r\n"),
        get("Host: user@a\r\n"),
        get("Host: a?b\r\n"),
        get("Host: a#b\r\n"),
        get("Host: \"a\"\r\n"),
        get("Host: <a>\r\n"),
        get("Host: a;b\r\n"),
        get("Host: http://a\r\n"),
        get("Host: caf\xc3\xa9\r\n"),
        get("Host: a..\r\n"),
        get("Host: a..b\r\n"),
        get("Host: .a\r\n"),
        get("Host: .\r\n"),
        get("Host: a:80:90\r\n"),
        get("Host: a:x\r\n"),
        get("Host: a:65536\r\n"),
        get("Host: a]\r\n"),
        get("Host: [::1\r\n"),
        get("Host: [::1]x\r\n"),
        get("Host: [a]\r\n"),
        get("Host: a%2eb\r\n"),
        get("Host: :80\r\n"),
        "GET http://a..b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a%2eb HTTP/1.1\r\nHost: a\r\n\r\n",
    };
    for (const auto& row : rows) check_refused(row);
}

TEST_CASE("the request line is METHOD SP target SP version", "[http][gate]")
{
    const char* good[] = {
        "GET / HTTP/1.1",     "GET /a%20b?c=d&e#f HTTP/1.1", "OPTIONS * HTTP/1.1",     "HEAD / HTTP/1.1",
        "DELETE /x HTTP/1.1", "GET http://a/b HTTP/1.1",     "GET https://a HTTP/1.1", "GET //double HTTP/1.1",
        "GET /.. HTTP/1.1",   "PATCH /~a HTTP/1.1",          "GET /\\ HTTP/1.1",       "GET /{}|^`\"<> HTTP/1.1",
    };
    for (const auto* row : good) check_passes(line(row));

    struct row {
        std::string given;
        const char* code;
    };
    const row bad[] = {
        // Methods.
        {"get / HTTP/1.1", "method_not_implemented"},
        {"Get / HTTP/1.1", "method_not_implemented"},
        {"BREW / HTTP/1.1", "method_not_implemented"},
        {"GETX / HTTP/1.1", "method_not_implemented"},
        {"GE / HTTP/1.1", "method_not_implemented"},
        {"!#$% / HTTP/1.1", "method_not_implemented"},
        {"G(T / HTTP/1.1", "invalid_request"},
        {"G\"T / HTTP/1.1", "invalid_request"},
        {"G\x80T / HTTP/1.1", "invalid_request"},
        {" GET / HTTP/1.1", "invalid_request"},
        {"\tGET / HTTP/1.1", "invalid_request"},
        {" / HTTP/1.1", "invalid_request"},
        {"/ HTTP/1.1", "invalid_request"},
        {"GET", "invalid_request"},
        {"GET ", "invalid_request"},
        {"GET /", "invalid_request"},
        {"GET / ", "invalid_request"},
        {"GET HTTP/1.1", "invalid_request"},
        {"GET  HTTP/1.1", "invalid_request"},
        // Versions.
        {"GET / HTTP/2.0", "version_not_supported"},
        {"GET / HTTP/1.2", "version_not_supported"},
        {"GET / HTTP/0.9", "version_not_supported"},
        {"GET / HTTP/9.9", "version_not_supported"},
        {"PRI * HTTP/2.0", "version_not_supported"},
        {"GET / http/1.1", "invalid_request"},
        {"GET / Http/1.1", "invalid_request"},
        {"GET / HTTP/1.1 ", "invalid_request"},
        {"GET / HTTP/1.1\t", "invalid_request"},
        {"GET / HTTP/1.1x", "invalid_request"},
        {"GET / HTTP/1.10", "invalid_request"},
        {"GET / HTTP/11.1", "invalid_request"},
        {"GET / HTTP/1,1", "invalid_request"},
        {"GET / HTTP/1", "invalid_request"},
        {"GET / HTTP/2", "invalid_request"},
        {"GET / HTTP /1.1", "invalid_request"},
        {"GET / XTTP/1.1", "invalid_request"},
        {"GET / HTTP/+1.1", "invalid_request"},
        {"GET / HTTP/1.\xb1", "invalid_request"},
        // White space.
        {"GET  / HTTP/1.1", "invalid_request"},
        {"GET /  HTTP/1.1", "invalid_request"},
        {"GET\t/ HTTP/1.1", "invalid_request"},
        {"GET /\tHTTP/1.1", "invalid_request"},
        {"GET /a b HTTP/1.1", "invalid_request"},
        {"GET /a HTTP/1.1 HTTP/1.1", "invalid_request"},
        {"GET /a\tb HTTP/1.1", "invalid_request"},
        // Targets.
        {"GET /\x01 HTTP/1.1", "invalid_request"},
        {"GET /\x7f HTTP/1.1", "invalid_request"},
        {"GET /\x80 HTTP/1.1", "invalid_request"},
        {"GET /caf\xc3\xa9 HTTP/1.1", "invalid_request"},
        {"GET a HTTP/1.1", "invalid_request"},
        {"GET ?a HTTP/1.1", "invalid_request"},
        {"GET ../a HTTP/1.1", "invalid_request"},
        {"GET * HTTP/1.1", "invalid_request"},
        {"OPTIONS ** HTTP/1.1", "invalid_request"},
        {"GET a.example:80 HTTP/1.1", "invalid_request"},
        {"CONNECT a.example:443 HTTP/1.1", "invalid_request"},
        {"GET file:///etc/passwd HTTP/1.1", "invalid_request"},
        {"GET ftp://a/ HTTP/1.1", "invalid_request"},
        {"GET http:/a HTTP/1.1", "invalid_request"},
    };
    for (const auto& row : bad) check_refused(line(row.given), row.code);
    check_refused(line("GET /\0 HTTP/1.1"s));
}

TEST_CASE("targets and fields are bounded", "[http][gate]")
{
    const auto target = [](std::size_t size) { return line("GET /" + std::string(size - 1, 'a') + " HTTP/1.1"); };
    CHECK(verdict(target(8 * 1024)).empty());
    CHECK(verdict(target(8 * 1024 + 1)) == "target_too_long");
    CHECK(verdict(target(5), {.target_bytes = 5}).empty());
    CHECK(verdict(target(6), {.target_bytes = 5}) == "target_too_long");

    const auto fields = [](std::size_t count) {
        std::string text = "Host: a\r\n";
        for (std::size_t i = 1; i < count; ++i) text += "X-" + std::to_string(i) + ": y\r\n";
        return get(text);
    };
    CHECK(verdict(fields(100)).empty());
    CHECK(verdict(fields(101)) == "header_too_large");
    CHECK(verdict(fields(2), {.fields = 2}).empty());
    CHECK(verdict(fields(3), {.fields = 2}) == "header_too_large");
    check_passes(get("Host: a\r\nX: " + std::string(12'000, 'v') + "\r\n"));
}

TEST_CASE("what is refused is refused behind any number of honest fields", "[http][gate]")
{
    std::string honest = "Host: a\r\n";
    for (int i = 0; i < 20; ++i) honest += "X-" + std::to_string(i) + ": y\r\n";
    check_passes(get(honest));
    for (const auto* bad :
         {"Host: b\r\n", " folded\r\n", "Content-Length: x\r\n", "Bad Name: x\r\n", "Transfer-Encoding: gzip\r\n"})
        check_refused(get(honest + bad + honest.substr(9)));
}

namespace {

// What find_header_end says of a whole input: the end, 0, or -1 for an error.
long whole(std::string_view bytes)
{
    std::size_t scanned = 0;
    const auto end = find_header_end(bytes, scanned);
    return end ? static_cast<long>(*end) : -1;
}

// The same, with the bytes arriving as `sizes` says; stops, as a reader would, at the first answer.
long arriving(std::string_view bytes, std::initializer_list<std::size_t> cuts)
{
    std::size_t scanned = 0;
    for (const auto cut : cuts) {
        const auto end = find_header_end(bytes.substr(0, cut), scanned);
        CHECK(scanned <= cut);
        if (!end) return -1;
        if (*end > 0) return static_cast<long>(*end);
    }
    return 0;
}

long byte_by_byte(std::string_view bytes)
{
    std::size_t scanned = 0;
    for (std::size_t size = 0; size <= bytes.size(); ++size) {
        const auto end = find_header_end(bytes.substr(0, size), scanned);
        if (!end) return -1;
        if (*end > 0) return static_cast<long>(*end);
    }
    return 0;
}

struct end_row {
    std::string given;
    long expected;
};

const end_row ends[] = {
    {"", 0},
    {"\r", 0},
    {"\r\n", 0},
    {"\r\n\r", 0},
    {"\r\n\r\n", 4},
    {"G", 0},
    {"GET / HTTP/1.1\r\n", 0},
    {"GET / HTTP/1.1\r\nHost: a\r\n\r", 0},
    {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27},
    {"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n", 27},
    {"GET / HTTP/1.1\r\nHost: a\r\n\r\n\n\n", 27},
    {"a\r\nb\r\nc\r\n\r\nbody\nwith\rbreaks", 11},
    {"a\r\n\r\n\r\n\r\n", 5},
    {"a\nb\r\n\r\n", -1},
    {"\n", -1},
    {"a\r\n\n", -1},
    {"a\r\n\nb\r\n\r\n", -1},
    {"a\rb\r\n\r\n", -1},
    {"a\r\r\n\r\n", -1},
    {"a\r\n\r\r\n", -1},
    {"a\r\n\rb", -1},
    {"\r\r", -1},
    {std::string("a\0b\r\n\r\n", 7), 7},
};

}  // namespace

TEST_CASE("a header's end is found", "[http][gate]")
{
    for (const auto& row : ends) {
        CAPTURE(row.given);
        CHECK(whole(row.given) == row.expected);
    }
}

TEST_CASE("a header's end is the same however the bytes arrive", "[http][gate]")
{
    for (const auto& row : ends) {
        CAPTURE(row.given);
        CHECK(byte_by_byte(row.given) == row.expected);
        for (std::size_t a = 0; a <= row.given.size(); ++a) {
            CAPTURE(a);
            CHECK(arriving(row.given, {a, row.given.size()}) == row.expected);
            for (std::size_t b = a; b <= row.given.size() && row.given.size() < 30; ++b)
                CHECK(arriving(row.given, {a, b, row.given.size()}) == row.expected);
        }
    }
}

TEST_CASE("the search does not begin again with each byte", "[http][gate]")
{
    std::string header = "GET /" + std::string(1000, 'a') + " HTTP/1.1\r\nHost: a\r\n";
    std::size_t scanned = 0;
    CHECK(*find_header_end(header, scanned) == 0);
    CHECK(scanned >= header.size() - 2);
    header += std::string(1000, 'x');
    CHECK(*find_header_end(header, scanned) == 0);
    CHECK(scanned == header.size());
    // What was looked at already is not looked at again: not even when it changes under the search.
    header[3] = '\n';
    header += "\r\n\r\n";
    CHECK(*find_header_end(header, scanned) == header.size());
}

TEST_CASE("a field that is too long for the parser is refused before it", "[http]")
{
    const auto named = [](std::size_t bytes) { return get("Host: a\r\n" + std::string(bytes, 'n') + ": v\r\n"); };
    const auto valued = [](std::size_t bytes) { return get("Host: a\r\nN:" + std::string(bytes, 'v') + "\r\n"); };
    check_passes(named(65'533));
    check_passes(valued(65'533));
    CHECK(verdict(named(65'534)) == "header_too_large");
    CHECK(verdict(valued(65'534)) == "header_too_large");
    CHECK(verdict(valued(1'000'000)) == "header_too_large");
}
