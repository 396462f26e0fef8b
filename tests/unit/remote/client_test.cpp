// The client against a server that does as it is told.
#include "remote/client.hpp"

#include "base/unique_fd.hpp"
#include "support/cache_stand_in.hpp"
#include "support/on_loop.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <arpa/inet.h>
#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace asio = boost::asio;
using namespace sandboxd;
using namespace sandboxd::remote;
using namespace sandboxd::test;
using namespace std::chrono_literals;
using answer = cache_stand_in::answer;

namespace {

using user = std::function<asio::awaitable<void>(client&)>;

using resolver = decltype(client_settings::resolve);

asio::awaitable<bool> use(std::string url, std::size_t connections, user what, resolver resolve = {})
{
    const auto executor = co_await asio::this_coro::executor;
    async::task_group tasks{executor};
    auto where = parse_service_url(url);
    REQUIRE(where.has_value());
    client_settings how{.where = std::move(*where), .authorization = "Bearer x", .connections = connections};
    how.resolve = std::move(resolve);
    client one{executor, tasks, std::move(how), nullptr};
    co_await what(one);
    one.close();
    co_await tasks.wait_empty();
    co_return true;
}

call get(std::string target, std::string* into = nullptr, std::uint64_t most = 1 << 20)
{
    call made;
    made.target = std::move(target);
    made.until = std::chrono::steady_clock::now() + 60s;
    made.most_bytes = most;
    if (into)
        made.take = [into](std::string_view piece) {
            *into += piece;
            return true;
        };
    return made;
}

// How a call of a server that answers so ends: its status, or the name of its error.
std::string told(const answer& said, std::uint64_t most = 1000, std::string* body = nullptr)
{
    cache_stand_in cache;
    cache.lie([&said](const auto&) { return said; });
    std::string end;
    std::string got;
    on_loop(use(cache.url(), 2, [&](client& one) -> asio::awaitable<void> {
        auto ask = get("/x", &got, most);
        if (said.never_close || said.byte_by_byte) ask.until = std::chrono::steady_clock::now() + 200ms;
        const auto reply = co_await one.make(std::move(ask));
        end = reply ? std::to_string(reply->status) : std::string{name(reply.error().code)};
    }));
    if (body) *body = got;
    return end;
}

// An address where a connection neither comes about nor is refused: a listener whose line is full.
class black_hole {
public:
    black_hole(const char* address, std::uint16_t port)
    {
        sockaddr_in where{};
        where.sin_family = AF_INET;
        where.sin_port = htons(port);
        REQUIRE(::inet_pton(AF_INET, address, &where.sin_addr) == 1);
        const auto* const raw = reinterpret_cast<const sockaddr*>(&where);
        listener_ = unique_fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        REQUIRE(::bind(listener_.get(), raw, sizeof where) == 0);
        REQUIRE(::listen(listener_.get(), 0) == 0);
        for (auto& one : line_) {
            one = unique_fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
            ::connect(one.get(), raw, sizeof where);
        }
    }

private:
    unique_fd listener_;
    std::array<unique_fd, 4> line_;
};

resolver always(std::vector<std::string> addresses)
{
    return [addresses = std::move(addresses)](
               std::string, async::stop_source&) -> asio::awaitable<result<std::vector<asio::ip::address>>> {
        std::vector<asio::ip::address> made;
        for (const auto& one : addresses) made.push_back(asio::ip::make_address(one));
        co_return made;
    };
}

}  // namespace

TEST_CASE("a client keeps its connection, sends what it should, and gets the bytes", "[remote]")
{
    cache_stand_in cache;
    const std::string large(300'000, 'x');
    std::string head;
    on_loop(use(cache.url() + "/deep/er", 2, [&](client& one) -> asio::awaitable<void> {
        auto give = get("/cas/a");
        give.method = "PUT";
        give.body_bytes = large.size();
        give.read = [&large](std::span<char> into, std::uint64_t at) {
            return static_cast<std::int64_t>(large.copy(into.data(), into.size(), at));
        };
        const auto given = co_await one.make(std::move(give));
        REQUIRE(given.has_value());
        CHECK(given->status == 201);

        auto look = get("/cas/a");
        look.method = "HEAD";
        const auto seen = co_await one.make(std::move(look));
        REQUIRE(seen.has_value());
        CHECK(seen->length == large.size());

        std::string got;
        CHECK((co_await one.make(get("/cas/a", &got)))->status == 200);
        CHECK(got == large);
        std::string none;
        CHECK((co_await one.make(get("/cas/b", &none)))->status == 404);
        CHECK(none.empty());
        cache.lie([&head](const auto& asked) {
            head = asked.head;
            return answer{cache_stand_in::whole("y")};
        });
        co_await one.make(get("/cas/c", &none));
        CHECK(one.open_connections() == 1);
    }));
    CHECK(cache.connections() == 1);
    CHECK(cache.contents().at("/deep/er/cas/a") == large);
    CHECK(head.starts_with("GET /deep/er/cas/c HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(cache.port()) + "\r\n"));
    CHECK(head.find("\r\nAuthorization: Bearer x\r\n") != std::string::npos);
    CHECK(head.find("\r\nAccept-Encoding: identity\r\n") != std::string::npos);
}

TEST_CASE("a kept connection that has ended meanwhile costs no call", "[remote]")
{
    cache_stand_in cache;
    cache.put("/x", "yes");
    on_loop(use(cache.url(), 2, [&](client& one) -> asio::awaitable<void> {
        std::string got;
        CHECK((co_await one.make(get("/x", &got)))->status == 200);
        // It ends when the next request is there already.
        std::size_t asked = 0;
        cache.lie([&asked](const auto&) -> std::optional<answer> {
            if (++asked == 1) return answer{.bytes = "", .close = true};
            return std::nullopt;
        });
        got.clear();
        CHECK((co_await one.make(get("/x", &got)))->status == 200);
        CHECK(got == "yes");
        // A new one that ends so is a failure.
        cache.lie([](const auto&) { return answer{.bytes = "", .close = true}; });
        const auto lost = co_await one.make(get("/x", &got));
        REQUIRE(lost.has_error());
        CHECK(lost.error().code == errc::upstream_failed);
    }));
    CHECK(cache.requests("GET") == 5);
}

TEST_CASE("an answer is read strictly, and within bounds", "[remote]")
{
    const std::string ok = "HTTP/1.1 200 OK\r\n";
    std::string body;
    CHECK(told({ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"}, 5, &body) == "200");
    CHECK(body == "abcde");
    CHECK(told({.bytes = ok + "\r\nuntil the end", .close = true}, 100, &body) == "200");
    CHECK(body == "until the end");
    CHECK(told({ok + "Content-Length: 0\r\n\r\n"}) == "200");
    CHECK(told({"HTTP/1.1 204 No Content\r\n\r\n"}) == "204");
    CHECK(told({"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"}) == "302");
    // Of an answer that is not wanted only the status counts.
    CHECK(told({.bytes = "HTTP/1.1 500 No\r\n\r\n", .then_forever = std::string(65536, 'x')}) == "500");

    for (const std::string fields : {"Content-Length: 1001\r\n\r\n", "Content-Length: 99999999999999999\r\n\r\n",
                                     "Transfer-Encoding: chunked\r\n\r\nfffffff\r\n", "\r\n"}) {
        CAPTURE(fields);
        CHECK(told({.bytes = ok + fields, .then_forever = std::string(65536, 'x')}) == "payload_too_large");
    }
    for (const auto& bytes :
         {ok + "Content-Length: 5\r\n\r\nabc", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nabc", ok + "X: y\r\n",
          ok + "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
          ok + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
          ok + "Transfer-Encoding: gzip\r\n\r\nx", ok + "Content-Length: -1\r\n\r\n", ok + " X: y\r\n\r\n",
          std::string{"HTTP/1.1 100 Continue\r\n\r\n"}, std::string{"HTTP/1.1 101 Upgrade\r\nUpgrade: x\r\n\r\n"},
          std::string{"SSH-2.0-OpenSSH\r\n\r\n"}, std::string{"\r\n\r\n"}, std::string(20'000, 'x'),
          ok + "X: " + std::string(17'000, 'y') + "\r\n\r\n"}) {
        CAPTURE(bytes.substr(0, 100));
        CHECK(told({.bytes = bytes, .close = true}) == "upstream_failed");
    }
    CHECK(told({.bytes = ok, .then_forever = "X: y\r\n"}) == "upstream_failed");

    CHECK(told({.bytes = "", .never_close = true}) == "upstream_timeout");
    CHECK(told({.bytes = ok + "Content-Length: 5\r\n\r\nabc", .never_close = true}) == "upstream_timeout");
    CHECK(told({.bytes = ok + "Content-Length: 1000\r\n\r\n" + std::string(1000, 'x'), .byte_by_byte = true}) ==
          "upstream_timeout");
}

TEST_CASE("an answer says when to come again, in seconds", "[remote]")
{
    const auto said = [](const std::string& field) {
        cache_stand_in cache;
        cache.lie([&field](const auto&) {
            return answer{"HTTP/1.1 429 Too Many Requests\r\n" + field + "Content-Length: 0\r\n\r\n"};
        });
        std::optional<std::chrono::seconds> wait;
        on_loop(use(cache.url(), 2, [&](client& one) -> asio::awaitable<void> {
            const auto told = co_await one.make(get("/x"));
            REQUIRE(told.has_value());
            CHECK(told->status == 429);
            wait = told->retry_after;
        }));
        return wait;
    };
    CHECK_FALSE(said("").has_value());
    CHECK(said("Retry-After: 120\r\n") == 120s);
    CHECK(said("retry-after: 0\r\n") == 0s);
    CHECK(said("Retry-After: 999999999\r\n") == 999'999'999s);
    for (const std::string other :
         {"1000000000", "-1", "+1", "1.5", "1s", "", "Fri, 31 Dec 1999 23:59:59 GMT", "99999999999999999999"}) {
        CAPTURE(other);
        CHECK_FALSE(said("Retry-After: " + other + "\r\n").has_value());
    }
}

TEST_CASE("bytes that nobody has asked for do not become another call's answer", "[remote]")
{
    cache_stand_in cache;
    cache.put("/y", "right");
    on_loop(use(cache.url(), 2, [&](client& one) -> asio::awaitable<void> {
        cache.lie([](const auto& asked) -> std::optional<answer> {
            if (asked.target != "/x") return std::nullopt;
            return answer{cache_stand_in::whole("x") + cache_stand_in::whole("smuggled")};
        });
        std::string got;
        CHECK((co_await one.make(get("/x", &got)))->status == 200);
        got.clear();
        CHECK((co_await one.make(get("/y", &got)))->status == 200);
        CHECK(got == "right");
    }));
    CHECK(cache.connections() == 2);
}

TEST_CASE("there are no more connections than allowed, and those who cannot wait come first", "[remote]")
{
    cache_stand_in cache;
    std::vector<std::string> order;
    // One connection: on two, the answers' order would be the network's.
    on_loop(use(cache.url(), 1, [&](client& one) -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        async::task_group tasks{executor};
        cache.lie([](const auto& asked) -> std::optional<answer> {
            if (asked.target == "/hang") return answer{.bytes = "", .never_close = true};
            return answer{cache_stand_in::whole("")};
        });
        const auto start = [&](std::string target, bool can_wait, std::chrono::milliseconds patience) {
            auto ask = get(target);
            ask.can_wait = can_wait;
            ask.until = std::chrono::steady_clock::now() + patience;
            tasks.spawn("call", [](client& with, call what, std::vector<std::string>& to) -> asio::awaitable<void> {
                auto called = what.target;
                const auto said = co_await with.make(std::move(what));
                to.push_back(called + " " +
                             (said ? std::to_string(said->status) : std::string{name(said.error().code)}));
            }(one, std::move(ask), order));
        };
        start("/hang", false, 300ms);
        start("/late", true, 60s);
        start("/early", false, 60s);
        start("/impatient", false, 10ms);
        co_await tasks.wait_empty();
        CHECK(one.open_connections() <= 1);
    }));
    CHECK(order ==
          std::vector<std::string>{"/impatient queue_full", "/hang upstream_timeout", "/early 200", "/late 200"});
}

TEST_CASE("a port where nobody listens, a host that nobody knows, and a client that is closed", "[remote]")
{
    std::uint16_t dead = 0;
    {
        const cache_stand_in gone;
        dead = gone.port();
    }
    const auto end_of = [](const std::string& url, bool closed) {
        errc end{};
        on_loop(use(url, 2, [&](client& one) -> asio::awaitable<void> {
            if (closed) one.close();
            const auto said = co_await one.make(get("/x"));
            REQUIRE(said.has_error());
            end = said.error().code;
        }));
        return end;
    };
    CHECK(end_of("http://127.0.0.1:" + std::to_string(dead), false) == errc::unavailable);
    CHECK(end_of("http://localhost:" + std::to_string(dead), false) == errc::unavailable);
    CHECK(end_of("http://nobody.invalid", false) == errc::unavailable);
    CHECK(end_of("http://127.0.0.1:" + std::to_string(dead), true) == errc::draining);
}

TEST_CASE("a look-up that throws is a failure, and the next one is made", "[remote]")
{
    cache_stand_in cache;
    cache.put("/x", "yes");
    std::size_t looked = 0;
    const resolver breaks_once =
        [&looked](std::string, async::stop_source&) -> asio::awaitable<result<std::vector<asio::ip::address>>> {
        if (++looked == 1) throw std::runtime_error{"no processes left"};
        co_return std::vector<asio::ip::address>{asio::ip::address_v4::loopback()};
    };
    on_loop(use(
        "http://cache.example:" + std::to_string(cache.port()), 2,
        [&](client& one) -> asio::awaitable<void> {
            const auto no = co_await one.make(get("/x"));
            REQUIRE(no.has_error());
            CHECK(no.error().code == errc::unavailable);
            CHECK(no.error().message.find("no processes left") != std::string::npos);
            // Not at once: a failure is kept for a second.
            const auto until = std::chrono::steady_clock::now() + 60s;
            auto said = co_await one.make(get("/x"));
            asio::steady_timer pause{co_await asio::this_coro::executor};
            while (!said && std::chrono::steady_clock::now() < until) {
                pause.expires_after(20ms);  // between polls
                co_await pause.async_wait(asio::use_awaitable);
                said = co_await one.make(get("/x"));
            }
            REQUIRE(said.has_value());
            CHECK(said->status == 200);
        },
        breaks_once));
    CHECK(looked == 2);
}

TEST_CASE("a dead address hides the others neither now nor later", "[remote]")
{
    cache_stand_in cache;
    cache.lie([](const auto&) {
        auto all = cache_stand_in::whole("yes");
        return answer{.bytes = all.insert(all.find("\r\n"), "\r\nConnection: close"), .close = true};
    });
    const black_hole dead{"127.0.0.2", cache.port()};
    on_loop(use(
        "http://cache.example:" + std::to_string(cache.port()), 2,
        [](client& one) -> asio::awaitable<void> {
            auto ask = get("/x");
            ask.until = std::chrono::steady_clock::now() + 10s;
            const auto said = co_await one.make(std::move(ask));
            REQUIRE(said.has_value());
            CHECK(said->status == 200);
            // The dead one would have half of it.
            const auto began = std::chrono::steady_clock::now();
            ask = get("/x");
            ask.until = began + 100s;
            CHECK((co_await one.make(std::move(ask))).has_value());
            CHECK(std::chrono::steady_clock::now() - began < 45s);
        },
        always({"127.0.0.2", "127.0.0.1"})));
    CHECK(cache.connections() == 2);
}

TEST_CASE("an address that lets its callers wait is looked up again", "[remote]")
{
    cache_stand_in cache;
    cache.put("/x", "yes");
    const black_hole dead{"127.0.0.2", cache.port()};
    std::size_t looked = 0;
    const resolver moves = [&looked](std::string,
                                     async::stop_source&) -> asio::awaitable<result<std::vector<asio::ip::address>>> {
        co_return std::vector{asio::ip::make_address(++looked == 1 ? "127.0.0.2" : "127.0.0.1")};
    };
    on_loop(use(
        "http://cache.example:" + std::to_string(cache.port()), 2,
        [](client& one) -> asio::awaitable<void> {
            const auto began = std::chrono::steady_clock::now();
            const auto attempt = [&one] {
                auto ask = get("/x");
                ask.until = std::chrono::steady_clock::now() + 1s;
                return one.make(std::move(ask));
            };
            auto said = co_await attempt();
            REQUIRE(said.has_error());
            CHECK(said.error().code == errc::upstream_timeout);
            // An address that works is kept for a minute.
            while (!said && std::chrono::steady_clock::now() - began < 40s) said = co_await attempt();
            CHECK(said.has_value());
        },
        moves));
    CHECK(looked >= 2);
}

TEST_CASE("a client that closes while it connects goes to no other address", "[remote]")
{
    cache_stand_in cache;
    const black_hole dead{"127.0.0.2", cache.port()};
    on_loop(use(
        "http://cache.example:" + std::to_string(cache.port()), 2,
        [](client& one) -> asio::awaitable<void> {
            const auto executor = co_await asio::this_coro::executor;
            async::task_group tasks{executor};
            errc end{};
            tasks.spawn("call", [](client& with, errc& to) -> asio::awaitable<void> {
                const auto said = co_await with.make(get("/x"));
                to = said ? errc{} : said.error().code;
            }(one, end));
            while (one.open_connections() == 0) co_await asio::post(executor, asio::use_awaitable);
            // It has its addresses by now.
            for (int i = 0; i < 100; ++i) co_await asio::post(executor, asio::use_awaitable);
            one.close();
            co_await tasks.wait_empty();
            CHECK(end == errc::draining);
        },
        always({"127.0.0.2", "127.0.0.1"})));
    CHECK(cache.connections() == 0);
}
