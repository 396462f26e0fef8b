// One request to another server, whose answer is whatever the test says.
#include "proxy/peer_call.hpp"

#include "support/on_loop.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <sys/socket.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>

namespace asio = boost::asio;
using namespace sandboxd;
using namespace sandboxd::proxy;
using namespace sandboxd::test;
using namespace std::chrono_literals;

namespace {

constexpr auto as_test_pair = asio::as_tuple(asio::use_awaitable);

// Says this, once, and closes, unless it is to stay.
class speaker final : public peers {
public:
    explicit speaker(std::string says, bool stays = false) : says_{std::move(says)}, stays_{stays} {}

    asio::awaitable<result<http::stream_socket>> connect(std::string server, async::stop_source&) override
    {
        asked_for = std::move(server);
        if (says_.empty()) co_return make_error(errc::unavailable);
        const auto executor = co_await asio::this_coro::executor;
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
        const asio::generic::stream_protocol local{AF_UNIX, 0};
        auto theirs = std::make_shared<http::stream_socket>(executor, local, ends[1]);
        asio::co_spawn(executor, speak(theirs), asio::detached);
        co_return http::stream_socket{executor, local, ends[0]};
    }
    std::chrono::milliseconds away_for(const std::string&) const override { return std::chrono::milliseconds{0}; }

    std::string asked_for;
    std::string heard;

private:
    asio::awaitable<void> speak(std::shared_ptr<http::stream_socket> on)
    {
        while (heard.find("\r\n\r\nbody") == std::string::npos) {
            const auto [ec, got] =
                co_await asio::async_read_until(*on, asio::dynamic_buffer(heard), "\r\n\r\nbody", as_test_pair);
            static_cast<void>(got);
            if (ec) co_return;
        }
        const auto [ec, sent] = co_await asio::async_write(*on, asio::buffer(says_), as_test_pair);
        static_cast<void>(sent);
        if (ec || !stays_) co_return;
        char byte = 0;
        const auto [ended, more] = co_await on->async_read_some(asio::buffer(&byte, 1), as_test_pair);
        static_cast<void>(ended);
        static_cast<void>(more);
    }

    std::string says_;
    bool stays_;
};

asio::awaitable<result<peer_reply>> asked(peers& of, std::chrono::milliseconds timeout = 60s)
{
    async::stop_source stop;
    peer_call what;
    what.target = "/execute?x";
    what.host = "example.org";
    what.fields = {{"Content-Type", "application/json"}};
    what.body = "body";
    what.timeout = timeout;
    what.head_bytes = 1000;
    what.body_bytes = 10;
    auto said = co_await ask_peer(of, "10.0.0.1:1", std::move(what), stop);
    co_return said;
}

std::string body_of(const std::string& says)
{
    speaker other{says};
    const auto said = on_loop(asked(other));
    return said ? std::to_string(said->status) + " " + said->body : std::string{name(said.error().code)};
}

constexpr const char* ok = "HTTP/1.1 200 OK\r\n";

}  // namespace

TEST_CASE("a request goes to another server, and its whole answer comes back", "[proxy]")
{
    speaker other{std::string{ok} + "Retry-After: 7\r\nContent-Length: 3\r\n\r\nabc", true};
    const auto said = on_loop(asked(other));
    REQUIRE(said.has_value());
    CHECK(said->status == 200);
    CHECK(said->body == "abc");
    CHECK((*said)["retry-after"] == "7");
    CHECK((*said)["none"].empty());
    CHECK(other.asked_for == "10.0.0.1:1");
    CHECK(other.heard ==
          "POST /execute?x HTTP/1.1\r\nHost: example.org\r\nContent-Type: application/json\r\nContent-Length: 4\r\n"
          "Connection: close\r\n\r\nbody");
    CHECK(body_of(std::string{ok} + "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n") == "200 abc");
    CHECK(body_of(std::string{ok} + "\r\nabc") == "200 abc");
    CHECK(body_of("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n") == "503 ");
    CHECK(body_of("HTTP/1.1 204 No\r\n\r\n") == "204 ");
}

TEST_CASE("an answer that is none, or too large, is none of another server's", "[proxy]")
{
    CHECK(body_of("") == "unavailable");
    CHECK(body_of("nonsense\r\n\r\n") == "upstream_failed");
    CHECK(body_of("HTTP/1.1 100 Continue\r\n\r\n") == "upstream_failed");
    CHECK(body_of(std::string{ok} + "Content-Length: 5\r\n\r\nabc") == "upstream_failed");
    CHECK(body_of(std::string{ok} + "Content-Length: 2\r\n\r\nabc") == "upstream_failed");
    CHECK(body_of(std::string{ok} + "Transfer-Encoding: chunked\r\n\r\nzz\r\n") == "upstream_failed");
    CHECK(body_of(std::string{ok} + "X: " + std::string(2000, 'x') + "\r\n\r\n") == "upstream_failed");
    CHECK(body_of(std::string{ok} + "Content-Length: 11\r\n\r\n" + std::string(11, 'x')) == "payload_too_large");
    CHECK(body_of(std::string{ok} + "\r\n" + std::string(11, 'x')) == "payload_too_large");
    speaker mute{std::string{ok}, true};
    CHECK(on_loop(asked(mute, 50ms)).error().code == errc::upstream_timeout);
}
