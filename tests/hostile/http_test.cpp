// HTTP as a weapon: raw bytes over a socket to the live server. What is ambiguous is refused and the rest of
// the bytes is never read as a request; what is slow, too much or gone costs nobody else anything.
#include "arena.hpp"
#include "support/eventually.hpp"

#include <arpa/inet.h>
#include <catch2/catch_test_macros.hpp>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using namespace sandboxd::test;
using namespace std::string_literals;

namespace {

const std::string smuggled = "GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n";
const std::string hello = R"({"code": "int main(void) { return 0; }"})";
constexpr std::string_view versions_answered = "sandboxd_http_requests_total{route=\"/version\",status=\"200\"}";

// How many answers there are in what a server sent.
std::size_t answers_in(std::string_view bytes)
{
    constexpr std::string_view begin = "HTTP/1.1 ";
    std::size_t count = 0;
    for (auto at = bytes.find(begin); at != std::string_view::npos; at = bytes.find(begin, at + 1)) {
        const auto status = bytes.substr(at + begin.size(), 3);
        count += status.size() == 3 && status.find_first_not_of("0123456789") == std::string_view::npos;
    }
    return count;
}

unsigned status_in(std::string_view bytes)
{
    return bytes.starts_with("HTTP/1.1 ") ? static_cast<unsigned>(std::stoul(std::string{bytes.substr(9, 3)})) : 0;
}

std::string post(const std::string& fields, const std::string& body)
{
    return "POST /compile HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + fields + "\r\n" + body;
}

// A TCP connection that has not sent anything; -1 with errno.
int open_connection(std::uint16_t port, in_addr_t from = INADDR_LOOPBACK)
{
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(from);
    ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
    ::close(fd);
    return -1;
}

// Many connections, closed with their object.
class crowd {
public:
    crowd() = default;
    ~crowd() { leave(); }
    crowd(const crowd&) = delete;
    crowd& operator=(const crowd&) = delete;

    bool join(std::uint16_t port, std::string_view says = {}, in_addr_t from = INADDR_LOOPBACK)
    {
        const int fd = open_connection(port, from);
        if (fd < 0) return false;
        fds_.push_back(fd);
        ::send(fd, says.data(), says.size(), MSG_NOSIGNAL);
        return true;
    }
    void leave()
    {
        for (const int fd : fds_) ::close(fd);
        fds_.clear();
    }
    void reset()
    {
        for (const int fd : fds_) {
            const linger hard{1, 0};
            ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        }
        leave();
    }
    const std::vector<int>& all() const { return fds_; }

private:
    std::vector<int> fds_;
};

std::size_t most_descriptors()
{
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

}  // namespace

TEST_CASE("what can be read in two ways is refused, and nothing behind it is read", "[hostile][http]")
{
    arena place{{.config = {}, .stand_in = true}};
    struct row {
        std::string what;
        std::string bytes;  // of the first request; the smuggled one follows
        unsigned status{400};
    };
    const std::string get = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n";
    const auto size = std::to_string(hello.size());
    const std::vector<row> rows{
        // Framing: both, twice, malformed.
        {"Content-Length and Transfer-Encoding",
         post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")},
        {"Transfer-Encoding and Content-Length",
         post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "0\r\n\r\n")},
        {"Transfer-Encoding: gzip", post("Transfer-Encoding: gzip\r\n", "")},
        {"Transfer-Encoding: chunked, gzip", post("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n")},
        {"Transfer-Encoding: gzip, chunked", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")},
        {"Transfer-Encoding: xchunked", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n")},
        {"Transfer-Encoding: chunkedx", post("Transfer-Encoding: chunkedx\r\n", "0\r\n\r\n")},
        {"Transfer-Encoding: identity", post("Transfer-Encoding: identity\r\n", "")},
        {"Transfer-Encoding, empty", post("Transfer-Encoding:\r\n", "")},
        {"Transfer-Encoding: \"chunked\"", post("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n")},
        {"Transfer-Encoding: chunked;q=1", post("Transfer-Encoding: chunked;q=1\r\n", "0\r\n\r\n")},
        {"Transfer-Encoding with a vertical tab", post("Transfer-Encoding: \x0b"
                                                       "chunked\r\n",
                                                       "0\r\n\r\n")},
        {"Transfer-Encoding twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")},
        {"Transfer-Encoding on HTTP/1.0",
         "POST /compile HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {"Content-Length twice, the same",
         post("Content-Length: " + size + "\r\nContent-Length: " + size + "\r\n", hello)},
        {"Content-Length twice, different", post("Content-Length: 0\r\nContent-Length: " + size + "\r\n", hello)},
        {"Content-Length: a list", post("Content-Length: " + size + ", " + size + "\r\n", hello)},
        {"Content-Length: +", post("Content-Length: +" + size + "\r\n", hello)},
        {"Content-Length: -1", post("Content-Length: -1\r\n", hello)},
        {"Content-Length: hexadecimal", post("Content-Length: 0x10\r\n", hello)},
        {"Content-Length: 1e1", post("Content-Length: 1e1\r\n", hello)},
        {"Content-Length: 1.0", post("Content-Length: 1.0\r\n", hello)},
        {"Content-Length: 1 2", post("Content-Length: 1 2\r\n", hello)},
        {"Content-Length, empty", post("Content-Length:\r\n", hello)},
        {"Content-Length beyond 64 bits", post("Content-Length: 99999999999999999999999\r\n", hello)},
        {"Content-Length that wraps around", post("Content-Length: 18446744073709551616\r\n", hello)},
        // Lines.
        {"a folded field", get + "X: a\r\n b\r\n\r\n"},
        {"a folded Transfer-Encoding", post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n")},
        {"a fold before the first field", "GET /healthz HTTP/1.1\r\n Host: localhost\r\n\r\n"},
        {"LF alone", "GET /healthz HTTP/1.1\nHost: localhost\n\n"},
        {"LF alone in one field", get + "X: a\nY: b\r\n\r\n"},
        {"CR alone", get + "X: a\rY: b\r\n\r\n"},
        {"CR CR LF", "GET /healthz HTTP/1.1\r\r\nHost: localhost\r\n\r\n"},
        {"CR before the end", get + "\r\r\n\r\n"},
        {"NUL in a value", get + "X: a\0b\r\n\r\n"s},
        {"NUL in a name", get + "X\0: a\r\n\r\n"s},
        {"NUL in the target", "GET /health\0z HTTP/1.1\r\nHost: localhost\r\n\r\n"s},
        {"a control character in a value", get + "X: a\x01"
                                                 "b\r\n\r\n"},
        {"DEL in a value", get + "X: a\x7f"
                                 "b\r\n\r\n"},
        {"a space before the colon", get + "Content-Length : 5\r\n\r\n"},
        {"a tab before the colon", get + "Transfer-Encoding\t: chunked\r\n\r\n"},
        {"no colon", get + "nonsense\r\n\r\n"},
        {"no name", get + ": a\r\n\r\n"},
        {"a name with a parenthesis", get + "X(Y): a\r\n\r\n"},
        {"a name of other bytes", get + "\xc3\xa4: a\r\n\r\n"},
        // Host.
        {"no Host", "GET /healthz HTTP/1.1\r\n\r\n"},
        {"Host twice", get + "Host: b\r\n\r\n"},
        {"Host twice, the same", get + "Host: localhost\r\n\r\n"},
        {"Host: localhost list", "GET /healthz HTTP/1.1\r\nHost: localhost, b\r\n\r\n"},
        {"Host with a path", "GET /healthz HTTP/1.1\r\nHost: localhost/b\r\n\r\n"},
        {"Host with a user", "GET /healthz HTTP/1.1\r\nHost: localhost@a\r\n\r\n"},
        {"Host with a space", "GET /healthz HTTP/1.1\r\nHost: localhost b\r\n\r\n"},
        // The request line.
        {"no version", "GET /healthz\r\nHost: localhost\r\n\r\n"},
        {"two targets", "GET /healthz /version HTTP/1.1\r\nHost: localhost\r\n\r\n"},
        {"two spaces", "GET  /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"},
        {"a tab", "GET\t/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"},
        {"a space behind", "GET /healthz HTTP/1.1 \r\nHost: localhost\r\n\r\n"},
        {"a space before", " GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"},
        {"http in lower case", "GET /healthz http/1.1\r\nHost: localhost\r\n\r\n"},
        {"HTTP/1.10", "GET /healthz HTTP/1.10\r\nHost: localhost\r\n\r\n"},
        {"HTTP/1.2", "GET /healthz HTTP/1.2\r\nHost: localhost\r\n\r\n", 505},
        {"HTTP/2.0", "GET /healthz HTTP/2.0\r\nHost: localhost\r\n\r\n", 505},
        {"HTTP/0.9", "GET /healthz HTTP/0.9\r\nHost: localhost\r\n\r\n", 505},
        {"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
        {"an unknown method", "STEAL /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 501},
        {"a method in lower case", "get /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 501},
        {"a target without a slash", "GET healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"},
        {"a target of other bytes", "GET /\xc3\xa4 HTTP/1.1\r\nHost: localhost\r\n\r\n"},
        {"an authority", "CONNECT example.org:443 HTTP/1.1\r\nHost: localhost\r\n\r\n"},
        {"a scheme", "GET file:///etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n"},
        {"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"s},
        // Chunks: the header is fine, the body is not.
        {"an overlong chunk extension",
         post("Transfer-Encoding: chunked\r\n", "1;x=" + std::string(20'000, 'x') + "\r\na\r\n0\r\n\r\n")},
        {"a chunk size that is none", post("Transfer-Encoding: chunked\r\n", "zz\r\na\r\n0\r\n\r\n")},
        {"a negative chunk", post("Transfer-Encoding: chunked\r\n", "-1\r\na\r\n0\r\n\r\n")},
        {"a chunk with 0x", post("Transfer-Encoding: chunked\r\n", "0x1\r\na\r\n0\r\n\r\n")},
        {"a chunk beyond 64 bits", post("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\na\r\n0\r\n\r\n")},
        {"a chunk longer than it says", post("Transfer-Encoding: chunked\r\n", "1\r\nabc\r\n0\r\n\r\n")},
        {"chunks that end in LF", post("Transfer-Encoding: chunked\r\n", "1\na\n0\n\n")},
        {"a chunk extension with a line's end in quotes",
         post("Transfer-Encoding: chunked\r\n", "2;a=\"\nx\"\r\n{}\r\n0\r\n\r\n")},
        {"a chunk extension with a NUL in quotes",
         post("Transfer-Encoding: chunked\r\n", std::string{"2;a=\"\0\"\r\n{}\r\n0\r\n\r\n", 18})},
        // Too much.
        {"a long target", "GET /" + std::string(9'000, 'a') + " HTTP/1.1\r\nHost: localhost\r\n\r\n", 414},
        {"a target without end", "GET /" + std::string(100'000, 'a'), 414},
        {"a large field", get + "X: " + std::string(20'000, 'a') + "\r\n\r\n", 431},
        {"a field without end", get + "X: " + std::string(100'000, 'a'), 431},
        {"a name without end", get + std::string(100'000, 'a'), 431},
        {"many fields",
         get +
             [] {
                 std::string all;
                 for (int i = 0; i < 1'000; ++i) all += "X" + std::to_string(i) + ": a\r\n";
                 return all;
             }() +
             "\r\n",
         431},
        {"a large body", post("Content-Length: 5000000\r\n", ""), 413},
        {"a very large body", post("Content-Length: 999999999999999999\r\n", ""), 413},
        {"a large body that waits", post("Content-Length: 5000000\r\nExpect: 100-continue\r\n", ""), 413},
        {"a large body in chunks",
         post("Transfer-Encoding: chunked\r\n", "500000\r\n" + std::string(0x500000, 'a') + "\r\n0\r\n\r\n"), 413},
        {"another expectation", post("Content-Length: 5\r\nExpect: 200-ok\r\n", "")},
    };
    for (const auto& one : rows) {
        attack();
        INFO(one.what);
        const auto before = place.metric(versions_answered);
        auto client = place.connect();
        client.send(one.bytes);
        client.send(smuggled);
        const auto got = client.receive_all();
        INFO(got.substr(0, 1000));
        CHECK(status_in(got) == one.status);
        CHECK(answers_in(got) == 1);
        CHECK(got.find("Connection: close\r\n") != std::string::npos);
        place.look_for_secrets(got, one.what);
        CHECK(place.metric(versions_answered) == before);
    }
    place.nothing_left();
}

TEST_CASE("every prefix of a strange request, and garbage, ends in an answer or a closed connection", "[hostile][http]")
{
    arena place{{.config = {}, .stand_in = true}};
    std::vector<std::string> texts{
        "",
        "\r\n",
        "\r\n\r\n\r\n\r\n",
        "GET",
        "GET /healthz HTTP/1.1\r\n",
        "GET /healthz HTTP/1.1\r\nHost: localhost\r",
        post("Content-Length: 100\r\n", "{\"code\""),
        post("Transfer-Encoding: chunked\r\n", "5\r\nab"),
        post("Transfer-Encoding: chunked\r\n", "5"),
        post("Transfer-Encoding: chunked\r\n", "0\r\nTrailer: x"),
        std::string(64, '\0'),
        std::string(10'000, '\n'),
        std::string(10'000, '\r'),
    };
    unsigned state = 1;
    for (int i = 0; i < 200; ++i) {
        std::string garbage;
        for (unsigned length = 1 + i * 7 % 600; garbage.size() < length;) {
            state = state * 1'103'515'245 + 12'345;
            garbage += static_cast<char>(state >> 16);
        }
        texts.push_back(garbage);
    }
    for (const auto& text : texts) {
        attack();
        auto client = place.connect();
        client.send(text);
        client.shutdown_send();
        const auto got = client.receive_all();
        CHECK(answers_in(got) <= 1);
        if (!got.empty()) CHECK(status_in(got) >= 400);
    }
    place.nothing_left();
}

TEST_CASE("verbs, paths and types that do not fit", "[hostile][http]")
{
    arena place{{.config = {}, .stand_in = true}};
    struct row {
        std::string method;
        std::string target;
        header_list fields;
        std::string body;
        unsigned status;
        std::string allow{};
    };
    const std::vector<row> rows{
        {"GET", "/compile", {}, "", 405, "POST"},
        {"PUT", "/compile", {}, hello, 405, "POST"},
        {"DELETE", "/compile", {}, "", 405, "POST"},
        {"POST", "/healthz", {}, "", 405, "GET"},
        {"TRACE", "/healthz", {}, "", 405, "GET"},
        {"PATCH", "/version", {}, "", 405, "GET"},
        {"DELETE", "/artifacts/a/app.js", {}, "", 405, "GET"},
        {"PUT", "/artifacts/a/app.js", {}, "x", 405, "GET"},
        {"POST", "/", {}, "", 405, "GET"},
        {"GET", "/index.html", {}, "", 404},
        {"GET", "/playground/index.html/", {}, "", 404},
        {"GET", "/nothing", {}, "", 404},
        {"GET", "/compile/", {}, "", 404},
        {"GET", "//healthz", {}, "", 404},
        {"GET", "/healthz/", {}, "", 404},
        {"GET", "/HEALTHZ", {}, "", 404},
        {"GET", "/%68ealthz", {}, "", 404},
        {"POST", "/compile", {{"Content-Type", "text/plain"}}, hello, 415},
        {"POST", "/compile", {{"Content-Type", "application/x-www-form-urlencoded"}}, hello, 415},
        {"POST", "/compile", {{"Content-Type", "multipart/form-data; boundary=x"}}, hello, 415},
        {"POST", "/compile", {{"Content-Type", "application/jsonx"}}, hello, 415},
        {"POST", "/compile", {{"Content-Type", " "}, {"X", "y"}}, "", 400},
    };
    for (const auto& one : rows) {
        attack();
        INFO(one.method << " " << one.target);
        auto client = place.connect();
        const auto answer = client.request(one.method, one.target, one.fields, one.body);
        CHECK(answer.status == one.status);
        CHECK(answer.field("allow").find(one.allow) != std::string::npos);
        CHECK_FALSE(answer.json().at("ok").as_bool());
        place.look_for_secrets(answer.body, one.target);
    }
    place.nothing_left();
}

TEST_CASE("no path leads out of the artifact store", "[hostile][http]")
{
    arena place{{.config = {}, .stand_in = true}};
    // One that is there, beside files that are not for anybody.
    std::optional<http_client> client{std::in_place, place.server()};
    const auto made = client->post("/compile", {{"code", "int main(void) { return 1; }"}});
    const std::string id{made.json().at("id").as_string()};
    REQUIRE(client->get("/artifacts/" + id + "/app.js").status == 200);

    const std::string up = "../../../../../../../..";
    std::string encoded_up;
    for (int i = 0; i < 8; ++i) encoded_up += "%2e%2e%2f";
    std::vector<std::string> targets;
    for (const std::string& begin : {"/artifacts/"s, "/artifacts/" + id + "/", "/artifacts/" + id + "/app.js/"}) {
        for (const std::string& end : {up + "/etc/passwd",
                                       encoded_up + "etc/passwd",
                                       "..%2f..%2fetc%2fpasswd"s,
                                       "%252e%252e%252fetc%252fpasswd"s,
                                       "..\\..\\etc\\passwd"s,
                                       "%5c..%5cetc"s,
                                       "%c0%ae%c0%ae/etc/passwd"s,
                                       "....//....//etc/passwd"s,
                                       "..;/etc/passwd"s,
                                       "."s,
                                       ".."s,
                                       "./app.js"s,
                                       "../" + id + "/app.js",
                                       "%2e"s,
                                       ".record"s,
                                       ".entry.json"s,
                                       "%2erecord"s,
                                       ".app.js.gz"s,
                                       "app.js%00"s,
                                       "app.js%00.txt"s,
                                       "app.js%20"s,
                                       "app.js."s,
                                       "app.js~"s,
                                       "APP.JS"s,
                                       "app%2ejs"s,
                                       "app.js/"s,
                                       "app.js/."s,
                                       "/app.js"s,
                                       "%2fapp.js"s,
                                       ""s,
                                       "*"s,
                                       "app.*"s,
                                       std::string(255, 'a'),
                                       std::string(4'000, 'a'),
                                       "a/"s + std::string(100, '/'),
                                       "%"s,
                                       "%zz"s,
                                       "app.js;x"s,
                                       "~root"s,
                                       "con"s}) {
            targets.push_back(begin + end);
        }
    }
    for (const auto& target :
         std::initializer_list<std::string>{"/artifacts"s,
                                            "/artifacts/"s,
                                            "/artifacts//"s,
                                            "/artifacts///app.js"s,
                                            "/artifacts/./" + id + "/app.js",
                                            "/artifacts/../artifacts/" + id + "/app.js",
                                            "/./artifacts/" + id + "/app.js",
                                            "//artifacts/" + id + "/app.js",
                                            "/artifacts/" + id.substr(0, 31) + "/app.js",
                                            "/artifacts/" + id + "0/app.js",
                                            "/artifacts/*/app.js"s,
                                            "/artifacts/" + id + "%00/app.js",
                                            "/jobs"s,
                                            "/work"s,
                                            "/etc/passwd"s,
                                            "/../etc/passwd"s,
                                            "/%2e%2e/etc/passwd"s,
                                            "http://localhost/../../etc/passwd"s,
                                            "http://localhost/artifacts/../../etc/passwd"s,
                                            "http://localhost/artifacts/" + id + "/../../../etc/passwd",
                                            "http://../etc/passwd"s,
                                            "http://"s,
                                            "http:///"s,
                                            "/artifacts/.new-x/app.js"s,
                                            "/artifacts/.old-x/app.js"s})
        targets.push_back(target);
    for (const auto& target : targets) {
        attack();
        INFO(target.substr(0, 200));
        const auto answer = client->get(target);
        CHECK((answer.status == 404 || answer.status == 400));
        place.look_for_secrets(answer.body, target);
        if (answer.field("connection") == "close") client.emplace(place.server());
    }
    client.reset();
    place.nothing_left();
}

TEST_CASE("pipelined requests are answered in order", "[hostile][http]")
{
    arena place{{.config = {}, .stand_in = true}};
    auto client = place.connect();
    std::string all;
    const std::vector<std::pair<std::string, unsigned>> targets{
        {"/healthz", 200}, {"/nothing", 404}, {"/version", 200}, {"/compile", 405}, {"/readyz", 200}};
    constexpr int rounds = 200;
    for (int i = 0; i < rounds; ++i) {
        for (const auto& [target, status] : targets)
            all += "GET " + target + " HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: r" + std::to_string(i) + "\r\n\r\n";
        // With a body that is not asked for, and one that is.
        all += "POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nGET /";
        all += post("Content-Length: " + std::to_string(hello.size()) + "\r\n", hello);
    }
    attack(rounds);
    REQUIRE(client.send(all));
    for (int i = 0; i < rounds; ++i) {
        for (const auto& [target, status] : targets) REQUIRE(client.receive().status == status);
        REQUIRE(client.receive().status == 405);
        REQUIRE(place.read_compile(client.receive()).code == "ok");
    }
    client.close();
    place.nothing_left();
}

TEST_CASE("a client that pipelines and does not read is dropped", "[hostile][http]")
{
    arena place{{.config = R"("http": {"writeTimeoutSecs": 1})", .stand_in = true}};
    attack();
    auto client = place.connect();
    const int small = 4096;
    ::setsockopt(client.native(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    std::string many;
    for (int i = 0; i < 1'000; ++i) many += "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    // Sends until the server, which cannot get rid of its answers, takes no more, and then hangs up.
    while (client.send(many)) {
    }
    client.close();
    place.nothing_left();
}

TEST_CASE("slow clients are closed at a deadline and hold nobody up", "[hostile][http]")
{
    arena place{
        {.config =
             R"("http": {"headerTimeoutSecs": 1, "bodyTimeoutSecs": 1, "idleTimeoutSecs": 2, "writeTimeoutSecs": 1},
                              "compile": {"maxArtifactMB": 64})",
         .stand_in = true}};
    const auto before = place.metric("process_open_fds");
    struct row {
        const char* what;
        std::string bytes;
        unsigned status;  // 0: closed without an answer
    };
    const row rows[] = {
        {"nothing at all", "", 0},
        {"a part of the request line", "GET /hea", 408},
        {"a part of the header", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n", 408},
        {"a part of a body", post("Content-Length: 100\r\n", "{\"code\""), 408},
        {"no body after 100 Continue", post("Content-Length: 100\r\nExpect: 100-continue\r\n", ""), 408},
        {"a part of a chunk", post("Transfer-Encoding: chunked\r\n", "64\r\n{\"code\""), 408},
    };
    std::list<http_client> slow;
    for (const auto& one : rows) {
        attack();
        slow.emplace_back(place.server()).send(one.bytes);
    }
    // One byte now and then does not help: the deadline is that of the whole.
    auto dripping = place.connect();
    attack();
    const std::string drips = "GET /healthz HTTP/1.1\r\nX: " + std::string(10'000, 'x');
    std::size_t dripped = 0;
    CHECK(eventually([&] { return dripping.readable() || !dripping.send(drips.substr(dripped++ % drips.size(), 1)); }));
    CHECK(place.connect().get("/healthz").status == 200);
    auto at = slow.begin();
    for (const auto& one : rows) {
        INFO(one.what);
        auto got = (at++)->receive_all();
        if (got.starts_with("HTTP/1.1 100 ")) got.erase(0, got.find("\r\n\r\n") + 4);
        CHECK(status_in(got) == one.status);
        CHECK(answers_in(got) == (one.status == 0 ? 0 : 1));
    }
    slow.clear();
    dripping.close();

    // A reader that does not read: the answer does not fit into the sockets' buffers.
    auto maker = place.connect();
    const auto made = maker.post("/compile", {{"code", "//! large 40\nint main(void) { return 0; }\n"}});
    REQUIRE(made.status == 200);
    const std::string id{made.json().at("id").as_string()};
    maker.close();
    for (int i = 0; i < 20; ++i) {
        attack();
        auto& reader = slow.emplace_back(place.server());
        reader.send("GET /artifacts/" + id + "/app.data HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    CHECK(place.connect().get("/healthz").status == 200);
    CHECK(eventually([&] { return place.metric("process_open_fds") < before + 10; }));
    slow.clear();
    place.nothing_left();
}

TEST_CASE("a reader that never stops but never gets on is cut off", "[hostile][http]")
{
    // Every sip is progress, so the write timeout alone would never end it; the rate does.
    arena place{{.config = R"("http": {"writeTimeoutSecs": 2, "minWriteBytesPerSec": 100000000})", .stand_in = true}};
    auto maker = place.connect();
    const auto made = maker.post("/compile", {{"code", "//! large 40\nint main(void) { return 0; }\n"}});
    REQUIRE(made.status == 200);
    const std::string id{made.json().at("id").as_string()};
    maker.close();
    attack();
    auto sipping = place.connect();
    sipping.send("GET /artifacts/" + id + "/app.data HTTP/1.1\r\nHost: localhost\r\n\r\n");
    constexpr std::size_t whole = 40u << 20;
    std::vector<char> sip(256 * 1024);
    std::size_t drunk = 0;
    while (drunk < whole) {
        const auto got = ::recv(sipping.native(), sip.data(), sip.size(), 0);
        if (got <= 0) break;
        drunk += static_cast<std::size_t>(got);
        std::this_thread::sleep_for(std::chrono::milliseconds{50});  // the pace of this client
    }
    CHECK(drunk < whole);
    sipping.close();
    place.nothing_left();
}

TEST_CASE("clients that disconnect at any point", "[hostile][http]")
{
    arena place{{.config = R"("compileTimeoutSecs": 3000)", .stand_in = true}};
    const std::string body = R"({"code": "//! stay sleeping\nint main(void) { return 0; }\n"})";
    const auto whole = post("Content-Length: " + std::to_string(body.size()) + "\r\n", body);
    const std::string chunked = post("Transfer-Encoding: chunked\r\n", "a\r\n" + body.substr(0, 10) + "\r\n");
    std::vector<std::string> sent;
    for (std::size_t i = 0; i <= whole.size(); i += i < 20 || whole.size() - i < 20 ? 1 : 9)
        sent.push_back(whole.substr(0, i));
    for (std::size_t i = 0; i <= chunked.size(); i += 13) sent.push_back(chunked.substr(0, i));
    sent.push_back("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    sent.push_back(whole + smuggled);
    for (const auto& bytes : sent) {
        for (const bool reset : {false, true}) {
            attack();
            auto client = place.connect();
            client.send(bytes);
            if (reset) {
                const linger hard{1, 0};
                ::setsockopt(client.native(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
            }
            client.close();
        }
    }
    // The whole request came several times: its jobs are killed.
    place.nothing_left(std::chrono::seconds{60});
}

TEST_CASE("thousands of idle connections cost little and keep nobody out", "[hostile][http]")
{
    // As many as the descriptors of both sides allow; 10 000 are served by default.
    const auto many = std::min<std::size_t>(10'000, most_descriptors() - 300);
    REQUIRE(many >= 700);
    arena place{{.config = "\"http\": {\"maxConnections\": " + std::to_string(many + 200) +
                           ", \"maxConnectionsPerClient\": " + std::to_string(many + 200) + "}",
                 .stand_in = true}};
    const auto before = place.resident_kib();
    crowd idle;
    for (std::size_t i = 0; i < many; ++i) {
        if (!idle.join(place.server().port())) break;
        attack();
    }
    CHECK(idle.all().size() == many);
    REQUIRE(eventually([&] { return place.descriptors() >= many; }));
    // A buffer of 2 KiB, a coroutine frame or two, the socket's bookkeeping.
    const auto each = (place.resident_kib() - before) * 1024 / many;
    INFO(many << " connections, " << each << " bytes each");
    CHECK(each < 16 * 1024);
    CHECK(place.compile("int main(void) { return 2; }\n").code == "ok");
    idle.leave();
    REQUIRE(eventually([&] { return place.descriptors() < 100; }));
    // Asio keeps its small states of descriptors for the next ones, and they keep the heap's pages between
    // them from the system. It is the most that were ever there at once: a second crowd takes nothing more.
    place.take_memory_as_base();
    for (std::size_t i = 0; i < many && idle.join(place.server().port()); ++i) attack();
    REQUIRE(eventually([&] { return place.descriptors() >= many; }));
    idle.leave();
    place.nothing_left();
}

TEST_CASE("beyond the cap the oldest idle connection makes room", "[hostile][http]")
{
    arena place{{.config = R"("http": {"maxConnections": 100})", .stand_in = true}};
    crowd idle;
    for (int i = 0; i < 1'000; ++i) {
        attack();
        REQUIRE(idle.join(place.server().port()));
    }
    CHECK(place.connect().get("/healthz").status == 200);
    CHECK(place.descriptors() < 150);
    CHECK(place.metric("sandboxd_http_connections_evicted_total") > 0);
    // Those who are in the middle of a request keep their places, and the rest wait for one.
    idle.leave();
    crowd busy;
    for (int i = 0; i < 300; ++i) {
        attack();
        REQUIRE(busy.join(place.server().port()));
        ::send(busy.all().back(), "GET /healthz", 12, MSG_NOSIGNAL);
    }
    CHECK(place.descriptors() < 150);
    busy.reset();
    place.nothing_left();
}

TEST_CASE("a flood of connections that come and go", "[hostile][http]")
{
    arena place{{.config = {}, .stand_in = true}};
    for (int round = 0; round < 20; ++round) {
        crowd flood;
        for (int i = 0; i < 250; ++i) {
            attack();
            flood.join(place.server().port());
            if (i % 3 == 0 && !flood.all().empty())
                ::send(flood.all().back(), smuggled.data(), smuggled.size(), MSG_NOSIGNAL);
        }
        round % 2 == 0 ? flood.reset() : flood.leave();
    }
    place.nothing_left();
}

TEST_CASE("a server without a descriptor left goes on", "[hostile][http]")
{
    arena place{{.config = {}, .stand_in = true, .open_files = 64}};
    auto client = place.connect();
    REQUIRE(client.get("/healthz").status == 200);
    crowd all;
    for (int i = 0; i < 200; ++i) {
        attack();
        all.join(place.server().port());
    }
    REQUIRE(eventually([&] { return place.server().log().find("accept failed") != std::string::npos; }));
    // Who is in is served; a compile, which needs descriptors, says what is the matter, and nothing is lost.
    CHECK(client.get("/healthz").status == 200);
    const auto answer = client.post("/compile", {{"code", "int main(void) { return 3; }"}});
    INFO(answer.body);
    CHECK(answer.status >= 500);
    CHECK_FALSE(answer.json().at("ok").as_bool());
    place.look_for_secrets(answer.body, "the answer without descriptors");
    client.close();
    all.leave();
    REQUIRE(eventually([&] { return place.connect().get("/healthz").status == 200; }));
    place.nothing_left();
}

TEST_CASE("overload is answered at once, with when to come again", "[hostile][http]")
{
    arena place{{.config = R"("compileTimeoutSecs": 3, "maxConcurrentJobs": 1, "maxQueuedJobs": 1)", .stand_in = true}};
    std::list<http_client> clients;
    for (int i = 0; i < 12; ++i) {
        attack();
        auto& client = clients.emplace_back(place.server());
        client.start_post("/compile",
                          {{"code", "//! stay sleeping " + std::to_string(i) + "\nint main(void) { return 0; }\n"}});
    }
    int refused = 0;
    for (auto& client : clients) {
        const auto answer = client.receive();
        if (answer.status == 503) {
            ++refused;
            CHECK_FALSE(answer.field("retry-after").empty());
            CHECK(answer.json().at("code").as_string() == "queue_full");
        } else {
            CHECK(answer.status == 400);
            CHECK(answer.json().at("code").as_string() == "timeout");
        }
    }
    CHECK(refused == 10);
    clients.clear();
    place.nothing_left();
}

TEST_CASE("whoever does not end a header, or has more bodies than his share, makes room", "[hostile][http]")
{
    // Without a deadline that would do it for them.
    arena place{{.config = R"("http": {"maxConnections": 50, "maxConnectionsPerClient": 40,
                              "headerTimeoutSecs": 100000, "bodyTimeoutSecs": 100000})",
                 .stand_in = true}};
    const std::string unfinished[] = {"GET /hea", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-",
                                      post("Content-Length: 100\r\n", "{\"code\""),
                                      post("Transfer-Encoding: chunked\r\n", "64\r\n{\"code\"")};
    for (const auto& what : unfinished) {
        INFO(what);
        crowd slow;
        for (int i = 0; i < 60; ++i) {
            attack();
            REQUIRE(slow.join(place.server().port(), what));
        }
        REQUIRE(eventually([&] { return place.descriptors() >= 40; }));
        CHECK(place.connect().get("/healthz").status == 200);
        CHECK(place.compile("int main(void) { return 3; }\n").code == "ok");
    }
    CHECK(place.metric("sandboxd_http_over_connections_total") > 0);
    // Many clients with as many as they may each: then the oldest unfinished header goes.
    crowd many;
    for (in_addr_t one = 1; one <= 60; ++one) {
        attack();
        REQUIRE(many.join(place.server().port(), "GET /hea", INADDR_LOOPBACK + one));
    }
    CHECK(place.connect().get("/healthz").status == 200);
    CHECK(place.metric("sandboxd_http_headers_evicted_total") > 0);
    many.leave();
    // Bodies in the same way, though each is given some seconds.
    crowd bodies;
    for (in_addr_t one = 1; one <= 60; ++one) {
        attack();
        REQUIRE(
            bodies.join(place.server().port(), post("Content-Length: 100\r\n", "{\"code\""), INADDR_LOOPBACK + one));
    }
    CHECK(place.connect().get("/healthz").status == 200);
    CHECK(place.metric("sandboxd_http_bodies_evicted_total") > 0);
    bodies.leave();
    place.nothing_left();
}

TEST_CASE("one client cannot have all connections", "[hostile][http]")
{
    arena place{{.config = R"("http": {"maxConnections": 1000, "maxConnectionsPerClient": 20})", .stand_in = true}};
    constexpr in_addr_t other = INADDR_LOOPBACK + 7;  // 127.0.0.8
    crowd greedy;
    for (int i = 0; i < 200; ++i) {
        attack();
        REQUIRE(greedy.join(place.server().port(), "GET /hea", other));
    }
    CHECK(place.connect().get("/healthz").status == 200);
    CHECK(eventually([&] { return place.metric("sandboxd_http_connections") <= 21; }));
    CHECK(place.metric("sandboxd_http_over_connections_total") == 180);
    // It still is served itself: its own oldest makes room.
    crowd same;
    REQUIRE(same.join(place.server().port(), "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                      other));
    std::string got(512, ' ');
    CHECK(::recv(same.all().back(), got.data(), got.size(), 0) > 0);
    CHECK(status_in(got) == 200);
    greedy.leave();
    place.nothing_left();
}

TEST_CASE("bodies that do not end hold no more memory than they may together", "[hostile][http]")
{
    arena place{{.config = R"("http": {"maxReceivedMB": 16, "bodyTimeoutSecs": 100000})", .stand_in = true}};
    const auto before = place.resident_kib();
    const std::string nearly = post("Content-Length: 4000000\r\n", "{\"code\": \"" + std::string(3'900'000, 'x'));
    std::list<http_client> slow;
    for (int i = 0; i < 100; ++i) {
        attack();
        slow.emplace_back(place.server()).send(nearly);
        CHECK(place.metric("sandboxd_http_received_bytes") <= 16 * 1024 * 1024);
    }
    // Some are given up while they still are headers.
    CHECK(place.metric("sandboxd_http_bodies_evicted_total") + place.metric("sandboxd_http_bodies_refused_total") >=
          70);
    // As much again for what is being copied while it grows, and for the heap.
    CHECK(place.resident_kib() - before < 64 * 1024);
    CHECK(place.compile("int main(void) { return 4; }\n").code == "ok");
    slow.clear();
    place.take_memory_as_base();
    place.nothing_left();
}

namespace {

// 141 bytes for four million.
const boost::json::object large_answer{
    {"script", "'x'.repeat(4000000)"}, {"fuel", 20'000'000'000}, {"timeout_ms", 3'600'000}};

// A client that asks for it and reads one byte: the answer has begun to come, it is made, and waits.
void add_slow_reader(std::list<http_client>& to, server_process& server)
{
    attack();
    auto& one = to.emplace_back(server);
    const int small = 4096;
    ::setsockopt(one.native(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    one.start_post("/execute", large_answer);
    char first = 0;
    REQUIRE(::recv(one.native(), &first, 1, 0) == 1);
}

}  // namespace

TEST_CASE("answers that nobody takes hold no more memory than they may together", "[hostile][http]")
{
    server_process server{
        {.config = std::string{no_toolchain} +
                   R"(, "http": {"maxUnsentMB": 16, "writeTimeoutSecs": 100000}, "js": {"maxTimeoutMs": 3600000})",
         // What a sanitizer keeps of freed memory would count as the server's.
         .env = {{"ASAN_OPTIONS", "quarantine_size_mb=8:thread_local_quarantine_size_kb=64"}},
         .wait_ready = false,
         .js = true}};
    REQUIRE(eventually([&] { return http_client{server}.get("/api/health").status == 200; }));
    const auto before = server.metric("process_resident_memory_bytes");
    std::list<http_client> slow;
    for (int i = 0; i < 24; ++i) {
        add_slow_reader(slow, server);
        CHECK(server.metric("sandboxd_http_unsent_bytes") <= 16 * 1024 * 1024);
    }
    CHECK(server.metric("sandboxd_http_readers_evicted_total") >= 16);
    CHECK(server.metric("process_resident_memory_bytes") - before < 128 * 1024 * 1024);
    const auto honest = http_client{server}.post("/execute", large_answer);
    CHECK(honest.status == 200);
    CHECK(honest.body.size() > 4'000'000);
    slow.clear();
    CHECK(server.stop().code == 0);
}

TEST_CASE("what is sent ahead of an answer keeps nobody from being served", "[hostile][http]")
{
    arena place{{.config = R"("http": {"maxReceivedMB": 1, "maxPendingMB": 1, "maxBodyBytes": 1000000},
                              "maxQueuedJobs": 100, "compileTimeoutSecs": 3000)",
                 .stand_in = true}};
    const std::string ahead(60'000, 'x');
    std::list<http_client> busy;
    for (int i = 0; i < 40; ++i) {
        attack();
        auto& one = busy.emplace_back(place.server());
        // Some with a body that is large, and stays for as long as its request waits.
        const std::string body = "{\"code\": \"//! stay sleeping " + std::to_string(i) + "\\n\", \"pad\": \"" +
                                 std::string(i % 2 == 0 ? 1000 : 100'000, 'p') + "\"}";
        one.send(post("Content-Length: " + std::to_string(body.size()) + "\r\n", body) + "GET /" + ahead);
        CHECK(place.metric("sandboxd_http_received_bytes") <= 1024 * 1024);
        CHECK(place.metric("sandboxd_http_pending_bytes") <= 1024 * 1024);
        CHECK(place.connect().get("/healthz").status == 200);
    }
    CHECK(place.metric("sandboxd_http_bodies_refused_total") > 0);
    // A small request still waits in line.
    auto small = place.connect();
    small.start_post("/compile", {{"code", "//! stay sleeping for a small request\nint main(void) { return 0; }\n"}});
    CHECK(eventually([&] { return place.metric("sandboxd_http_requests_active") >= 2; }));
    busy.clear();
    place.take_memory_as_base();
}

TEST_CASE("who takes answers slowly makes room", "[hostile][http]")
{
    server_process server{{.config = std::string{no_toolchain} +
                                     R"(, "http": {"maxConnections": 10, "maxConnectionsPerClient": 10,
                                                   "writeTimeoutSecs": 100000}, "js": {"maxTimeoutMs": 3600000})",
                           .wait_ready = false,
                           .js = true}};
    REQUIRE(eventually([&] { return http_client{server}.get("/api/health").status == 200; }));
    std::list<http_client> slow;
    for (int i = 0; i < 10; ++i) add_slow_reader(slow, server);
    crowd honest;
    REQUIRE(honest.join(server.port(), "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                        INADDR_LOOPBACK + 7));
    std::string got;
    for (std::array<char, 4096> piece{};;) {
        const auto size = ::recv(honest.all().back(), piece.data(), piece.size(), 0);
        if (size <= 0) break;
        got.append(piece.data(), static_cast<std::size_t>(size));
    }
    CHECK(status_in(got) == 200);
    CHECK(got.find("\nsandboxd_http_answers_evicted_total 0\n") == std::string::npos);
    slow.clear();
    honest.leave();
    CHECK(server.stop().code == 0);
}

TEST_CASE("a client that has reset its connection counts as the client it was", "[hostile][http]")
{
    server_process server{{.config = std::string{no_toolchain} + R"(, "http": {"maxRequestsPerMinutePerClient": 3})",
                           .wait_ready = false}};
    // While the server stands still, requests arrive and their connections are reset.
    server.signal(SIGSTOP);
    crowd gone;
    for (int i = 0; i < 3; ++i) {
        attack();
        REQUIRE(gone.join(server.port(), post("Content-Length: 2\r\n", "{}")));
    }
    gone.reset();
    server.signal(SIGCONT);
    http_client honest{server};
    CHECK(honest.post("/compile", boost::json::object{}).status == 429);
    CHECK(server.stop().code == 0);
}
