// Answers in pieces and connections taken over, byte by byte: a server and its client on one loop.
#include "async/event.hpp"
#include "http/server.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace asio = boost::asio;
using namespace sandboxd;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;

namespace {

struct seen {
    unsigned status;
    std::uint64_t bytes;
    bool cut;
};

using handler = asio::awaitable<http::response> (*)(http::exchange&);

// One connection of a client.
class client {
public:
    explicit client(asio::io_context& io) : socket_{io} {}

    asio::awaitable<void> connect(std::uint16_t port, int receive_buffer = 0)
    {
        socket_.open(tcp::v4());
        if (receive_buffer > 0) socket_.set_option(asio::socket_base::receive_buffer_size{receive_buffer});
        co_await socket_.async_connect({asio::ip::address_v4::loopback(), port}, asio::use_awaitable);
    }
    asio::awaitable<void> send(std::string bytes)
    {
        co_await asio::async_write(socket_, asio::buffer(bytes), asio::use_awaitable);
    }
    // False when the server has closed.
    asio::awaitable<bool> try_send(std::string bytes)
    {
        const auto [ec, sent] =
            co_await asio::async_write(socket_, asio::buffer(bytes), asio::as_tuple(asio::use_awaitable));
        co_return !ec;
    }
    // Everything up to and including `end`, or to the end of the connection.
    asio::awaitable<std::string> until(std::string end)
    {
        for (;;) {
            if (const auto at = read_.find(end); at != std::string::npos) {
                auto got = read_.substr(0, at + end.size());
                read_.erase(0, at + end.size());
                co_return got;
            }
            if (!co_await more()) co_return std::exchange(read_, {});
        }
    }
    asio::awaitable<std::string> all()
    {
        while (co_await more()) {
        }
        co_return std::exchange(read_, {});
    }
    void close() { socket_.close(); }
    error_code end() const { return end_; }

private:
    asio::awaitable<bool> more()
    {
        char piece[8192];
        const auto [ec, got] =
            co_await socket_.async_read_some(asio::buffer(piece), asio::as_tuple(asio::use_awaitable));
        end_ = ec;
        read_.append(piece, got);
        co_return !ec;
    }

    tcp::socket socket_;
    std::string read_;
    error_code end_;
};

class ground {
public:
    explicit ground(handler how, http::server_settings bounds = {})
        : server_{
              io_,
              bounds,
              {.handle = how,
               .refuse =
                   [](const error& e, http::exchange&) {
                       http::response r;
                       r.status = 400;
                       r.body = e.message;
                       return r;
                   },
               .observe =
                   [this](const http::completed& done) { all.push_back({done.status, done.body_bytes, done.cut}); }},
              metrics_}
    {
        REQUIRE(server_.listen(http::tcp_address{"127.0.0.1", 0}).has_value());
        const auto url = server_.bound().url;
        port = static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
        server_.start();
    }

    void run(std::function<asio::awaitable<void>(ground&, client&)> body, int receive_buffer = 0)
    {
        std::exception_ptr thrown;
        client mine{io_};
        asio::co_spawn(io_, drive(body, mine, receive_buffer), [&](std::exception_ptr e) { thrown = e; });
        io_.run();
        if (thrown) std::rethrow_exception(thrown);
    }
    http::server& server() { return server_; }
    asio::io_context& loop() { return io_; }
    bool metric_is(const std::string& line) const
    {
        return metrics_.expose().find("\n" + line + "\n") != std::string::npos;
    }

    std::uint16_t port{0};
    std::vector<seen> all;

private:
    asio::awaitable<void> drive(std::function<asio::awaitable<void>(ground&, client&)> body, client& mine, int buffer)
    {
        co_await mine.connect(port, buffer);
        std::exception_ptr thrown;
        try {
            co_await body(*this, mine);
        } catch (...) {
            thrown = std::current_exception();
        }
        mine.close();
        co_await server_.drain();
        co_await server_.closed();
        if (thrown) std::rethrow_exception(thrown);
    }

    asio::io_context io_;
    metrics::registry metrics_;
    http::server server_;
};

std::string get(std::string target, std::string version = "1.1")
{
    return "GET " + target + " HTTP/" + version + "\r\nHost: x\r\n\r\n";
}

// Three pieces, as /length, /chunked; then /whole answers once. /cut ends in the middle, /throw likewise.
asio::awaitable<http::response> in_pieces(http::exchange& x)
{
    http::response head;
    head.content_type = "text/plain";
    if (x.path() == "/whole") {
        head.body = "whole";
        co_return head;
    }
    x.begin(head, x.path() == "/length" ? std::optional<std::uint64_t>{6} : std::nullopt);
    co_await x.flush();
    for (const std::string_view piece : {"ab", "", "cd"}) {
        const auto sent = co_await x.write(piece);
        if (!sent) co_return http::response{};
    }
    if (x.path() == "/throw") throw std::runtime_error("in the middle");
    if (x.path() == "/cut") {
        x.cut();
        const auto late = co_await x.write("late");
        if (late) throw std::logic_error("written after the cut");
        co_return http::response{};
    }
    const auto done = co_await x.finish("ef");
    static_cast<void>(done);
    co_return http::response{};
}

}  // namespace

TEST_CASE("pieces are chunked, or come to the length that was announced, and the connection goes on", "[http][stream]")
{
    ground on{in_pieces};
    on.run([](ground&, client& c) -> asio::awaitable<void> {
        for (int round = 0; round < 2; ++round) {
            co_await c.send(get("/chunked") + get("/length"));
            const auto chunked = co_await c.until("0\r\n\r\n");
            CHECK(chunked.find("Transfer-Encoding: chunked\r\n") != std::string::npos);
            CHECK(chunked.find("Content-Length") == std::string::npos);
            CHECK(chunked.find("Content-Type: text/plain\r\n") != std::string::npos);
            CHECK(chunked.ends_with("\r\n\r\n2\r\nab\r\n2\r\ncd\r\n2\r\nef\r\n0\r\n\r\n"));
            const auto length = co_await c.until("abcdef");
            CHECK(length.find("Content-Length: 6\r\n") != std::string::npos);
            CHECK(length.find("chunked") == std::string::npos);
            co_await c.send(get("/whole"));
            const auto whole = co_await c.until("whole");
            CHECK(whole.find("HTTP/1.1 200 OK\r\n") == 0);
        }
        // No body for HEAD: the next answer follows at once.
        co_await c.send("HEAD /length HTTP/1.1\r\nHost: x\r\n\r\nHEAD /chunked HTTP/1.1\r\nHost: x\r\n\r\n" +
                        get("/whole"));
        const auto heads = co_await c.until("\r\n\r\nwhole");
        CHECK(heads.find("abcd") == std::string::npos);
        CHECK(heads.find("Content-Length: 6\r\n") != std::string::npos);
        CHECK(heads.find("Transfer-Encoding") == std::string::npos);
    });
    REQUIRE(on.all.size() == 9);
    CHECK(on.all[0].bytes == 6);
    CHECK(on.all[6].bytes == 0);
    for (const auto& one : on.all) {
        CHECK(one.status == 200);
        CHECK_FALSE(one.cut);
    }
}

TEST_CASE("HTTP/1.0 gets pieces up to the end of the connection", "[http][stream]")
{
    ground on{in_pieces};
    on.run([](ground&, client& c) -> asio::awaitable<void> {
        co_await c.send("GET /chunked HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        const auto answer = co_await c.all();
        CHECK(answer.find("Connection: close\r\n") != std::string::npos);
        CHECK(answer.find("chunked") == std::string::npos);
        CHECK(answer.ends_with("\r\n\r\nabcdef"));
        CHECK(c.end() == asio::error::eof);
    });
    ground again{in_pieces};
    again.run([](ground&, client& c) -> asio::awaitable<void> {
        co_await c.send("GET /length HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        const auto answer = co_await c.until("abcdef");
        CHECK(answer.find("Connection: keep-alive\r\n") != std::string::npos);
        co_await c.send(get("/whole", "1.0"));
        const auto whole = co_await c.all();
        CHECK(whole.ends_with("whole"));
    });
}

TEST_CASE("an answer that is cut cannot be taken for a whole one", "[http][stream]")
{
    for (const std::string path : {"/cut", "/throw"}) {
        INFO(path);
        ground on{in_pieces};
        on.run([path](ground&, client& c) -> asio::awaitable<void> {
            co_await c.send(get(path) + get("/whole"));
            const auto answer = co_await c.all();
            CHECK(answer.ends_with("2\r\nab\r\n2\r\ncd\r\n"));
        });
        REQUIRE(on.all.size() == 1);
        CHECK(on.all[0].cut);
        CHECK(on.all[0].bytes == 4);

        ground old{in_pieces};
        old.run([path](ground&, client& c) -> asio::awaitable<void> {
            co_await c.send(get(path, "1.0"));
            const auto answer = co_await c.all();
            CHECK(answer.find("whole") == std::string::npos);
            CHECK(c.end() == asio::error::connection_reset);
        });
    }
}

TEST_CASE("more or fewer bytes than were announced are not sent as if they were right", "[http][stream]")
{
    for (const std::uint64_t length : {3u, 9u}) {
        static std::uint64_t announced;
        announced = length;
        ground on{[](http::exchange& x) -> asio::awaitable<http::response> {
            x.begin(http::response{}, announced);
            const auto first = co_await x.write("abc");
            CHECK(first.has_value());
            const auto second = co_await x.finish("def");
            REQUIRE_FALSE(second.has_value());
            CHECK(second.error().code == errc::internal);
            co_return http::response{};
        }};
        on.run([](ground&, client& c) -> asio::awaitable<void> {
            co_await c.send(get("/"));
            const auto answer = co_await c.all();
            CHECK(answer.ends_with("\r\n\r\nabc"));
        });
        CHECK(on.all.at(0).cut);
    }
}

TEST_CASE("a body is read while the answer to it is written", "[http][stream]")
{
    ground on{[](http::exchange& x) -> asio::awaitable<http::response> {
        x.pace_body(milliseconds{10'000});
        x.begin(http::response{});
        std::array<char, 4096> piece;
        for (;;) {
            const auto got = co_await x.read_some(piece);
            if (!got || *got == 0) break;
            const auto sent = co_await x.write({piece.data(), *got});
            if (!sent) co_return http::response{};
        }
        const auto done = co_await x.finish();
        static_cast<void>(done);
        co_return http::response{};
    }};
    on.run([](ground&, client& c) -> asio::awaitable<void> {
        co_await c.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (const std::string word : {"one", "two", "six"}) {
            co_await c.send("3\r\n" + word + "\r\n");
            const auto back = co_await c.until(word);
            CHECK(back.ends_with(word));
        }
        co_await c.send("0\r\n\r\n");
        co_await c.until("0\r\n\r\n");
        co_await c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi");
        const auto second = co_await c.until("0\r\n\r\n");
        CHECK(second.find("hi") != std::string::npos);
    });
    CHECK(on.all.size() == 2);
}

TEST_CASE("a body whose pieces come now and then is given up, whatever its handler grants each of them",
          "[http][stream]")
{
    // No single wait is long: the handler's patience alone would never end it.
    ground on{[](http::exchange& x) -> asio::awaitable<http::response> {
                  x.pace_body(std::chrono::hours{24});
                  std::array<char, 4096> piece;
                  for (;;) {
                      const auto got = co_await x.read_some(piece);
                      http::response r;
                      if (!got) r.body = std::string{name(got.error().code)};
                      if (!got || *got == 0) co_return r;
                  }
              },
              {.body_timeout = milliseconds{300}, .read_bytes_per_sec = 1'000'000}};
    on.run([](ground& here, client& c) -> asio::awaitable<void> {
        // What is at the rate stays.
        co_await c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + std::string(1'000'000, 'x'));
        const auto whole = co_await c.until("\r\n\r\n");
        CHECK(whole.starts_with("HTTP/1.1 200"));
        co_await c.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        asio::steady_timer pace{here.loop()};
        bool open = true;
        // The pace of this client; its end is the server's doing.
        for (int sent = 0; sent < 3000 && open; ++sent) {
            open = co_await c.try_send("1\r\nx\r\n");
            pace.expires_after(milliseconds{20});
            co_await pace.async_wait(asio::use_awaitable);
            open = open && !here.metric_is("sandboxd_http_slow_bodies_total 1");
        }
        const auto refused = co_await c.all();
        CHECK(refused.find("request_timeout") != std::string::npos);
    });
}

TEST_CASE("an endless answer goes as fast as its client reads, and ends with it", "[http][stream]")
{
    static bool ended;
    static std::uint64_t written;
    ended = false;
    written = 0;
    const handler endless = [](http::exchange& x) -> asio::awaitable<http::response> {
        x.watch_disconnect();
        x.begin(http::response{});
        const std::string piece(64 * 1024, 'x');
        for (;;) {
            const auto sent = co_await x.write(piece);
            if (!sent) {
                CHECK(sent.error().code == errc::disconnected);
                break;
            }
            written += piece.size();
        }
        ended = true;
        co_return http::response{};
    };
    {
        ground on{endless};
        on.run(
            [](ground& g, client& c) -> asio::awaitable<void> {
                co_await c.send(get("/"));
                co_await c.until("xxxx");
                c.close();
                asio::steady_timer pause{g.loop()};
                while (!ended) {
                    pause.expires_after(milliseconds{1});
                    co_await pause.async_wait(asio::use_awaitable);
                }
            },
            4096);
        CHECK(on.all.at(0).status == 499);
        CHECK(on.all.at(0).cut);
    }
    // One that does not read is cut off after the write timeout.
    ended = false;
    written = 0;
    ground on{endless, {.write_timeout = milliseconds{300}}};
    on.run(
        [](ground& g, client& c) -> asio::awaitable<void> {
            co_await c.send(get("/"));
            asio::steady_timer pause{g.loop()};
            while (!ended) {
                pause.expires_after(milliseconds{1});
                co_await pause.async_wait(asio::use_awaitable);
            }
            CHECK(written < 16 * 1024 * 1024);
        },
        4096);
}

TEST_CASE("a silent answer notices that its client has gone, and that the server drains", "[http][stream]")
{
    static std::optional<errc> cause;
    cause.reset();
    const handler silent = [](http::exchange& x) -> asio::awaitable<http::response> {
        if (x.path() == "/slow")
            x.watch_disconnect_if_slow();
        else
            x.watch_disconnect();
        x.end_when_draining();
        x.begin(http::response{});
        co_await x.flush();
        async::event over{co_await asio::this_coro::executor};
        const async::stop_callback on_stop{x.stop(), [&over](errc) { over.set(); }};
        co_await over.wait();
        cause = x.stop().cause();
        const auto done = co_await x.finish("bye");
        static_cast<void>(done);
        co_return http::response{};
    };
    for (const std::string path : {"/", "/slow"}) {
        cause.reset();
        ground on{silent};
        on.run([path](ground& g, client& c) -> asio::awaitable<void> {
            co_await c.send(get(path));
            co_await c.until("\r\n\r\n");
            c.close();
            asio::steady_timer pause{g.loop()};
            while (!cause) {
                pause.expires_after(milliseconds{1});
                co_await pause.async_wait(asio::use_awaitable);
            }
        });
        CHECK(cause == errc::disconnected);
    }
    cause.reset();
    ground on{silent};
    on.run([](ground& g, client& c) -> asio::awaitable<void> {
        co_await c.send(get("/"));
        co_await c.until("\r\n\r\n");
        co_await g.server().drain();
        const auto rest = co_await c.all();
        CHECK(rest == "3\r\nbye\r\n0\r\n\r\n");
    });
    CHECK(cause == errc::draining);
    CHECK_FALSE(on.all.at(0).cut);
}

TEST_CASE("a connection is taken over with what came behind the request", "[http][stream]")
{
    ground on{[](http::exchange& x) -> asio::awaitable<http::response> {
        const auto early = co_await x.interim(103, "Link: </a>\r\n");
        CHECK(early.has_value());
        const http::raw_head head{.status = 101, .fields = "Connection: Upgrade\r\nUpgrade: echo\r\n"};
        auto taken = co_await x.take_over(head);
        REQUIRE(taken.has_value());
        std::string piece = taken->buffered;
        for (;;) {
            const auto sent = co_await asio::async_write(taken->socket, asio::buffer(piece), asio::use_awaitable);
            x.count_sent(sent);
            piece.resize(512);
            const auto [ec, got] =
                co_await taken->socket.async_read_some(asio::buffer(piece), asio::as_tuple(asio::use_awaitable));
            piece.resize(got);
            if (ec) break;
        }
        co_return http::response{};
    }};
    on.run([](ground&, client& c) -> asio::awaitable<void> {
        co_await c.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nearly");
        const auto head = co_await c.until("early");
        CHECK(head ==
              "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
              "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly");
        co_await c.send("GET / HTTP/1.1\r\n\r\n");
        const auto back = co_await c.until("\r\n\r\n");
        CHECK(back == "GET / HTTP/1.1\r\n\r\n");
    });
    REQUIRE(on.all.size() == 1);
    CHECK(on.all[0].status == 101);
    CHECK(on.all[0].bytes == 23);
    CHECK_FALSE(on.all[0].cut);
}
