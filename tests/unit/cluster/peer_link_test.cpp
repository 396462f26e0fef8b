// Servers of a fleet that prove to each other who they are, and strangers who try.
#include "cluster/peer_link.hpp"

#include "cluster/peer_words.hpp"
#include "support/captured_stderr.hpp"
#include "support/comes_true.hpp"
#include "support/on_loop.hpp"
#include "unit/cluster/sharing.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace sandboxd;
using namespace sandboxd::cluster;
using namespace sandboxd::test;
using namespace std::chrono_literals;

namespace {

const remote::signing_key strangers{std::string(40, 'x')};
constexpr auto as_pair_of_test = asio::as_tuple(asio::use_awaitable);

struct server {
    explicit server(const asio::any_io_executor& executor, async::task_group& tasks,
                    const remote::signing_key& key = fleet, peer_link_settings how = settings())
        : link{executor,
               tasks,
               std::move(how),
               key,
               {.take = [this](http::stream_socket one) { taken.push_back(std::move(one)); },
                .has_place = [this] { return !is_full; }},
               metrics}
    {
        const auto listening = link.listen();
        INFO((listening ? std::string{} : listening.error().message));
        REQUIRE(listening.has_value());
        link.start();
    }
    static peer_link_settings settings()
    {
        return {.listen = parse_peer_address("127.0.0.1:0").value(), .advertise = {}, .timeout = 60s};
    }
    std::uint64_t count(const std::string& way, const std::string& what)
    {
        return metrics
            .add_counter("sandboxd_cluster_peer_connections_total", "", "way=\"" + way + "\",result=\"" + what + "\"")
            .value();
    }
    tcp::endpoint at() const { return parse_peer_address(link.address()).value(); }

    metrics::registry metrics;
    bool is_full{false};
    std::vector<http::stream_socket> taken;
    peer_link link;
};

// What a listener says to one who is no server; the last line is the one before the end.
asio::awaitable<std::string> said_to(tcp::endpoint at, std::function<std::string(std::string nonce)> says)
{
    tcp::socket socket{co_await asio::this_coro::executor};
    co_await socket.async_connect(at, asio::use_awaitable);
    std::string greeting;
    co_await asio::async_read_until(socket, asio::dynamic_buffer(greeting), '\n', asio::use_awaitable);
    const auto nonce = read_peer_greeting(greeting);
    const auto words = says(nonce.value_or(""));
    const auto [unsent, sent] = co_await asio::async_write(socket, asio::buffer(words), as_pair_of_test);
    std::string rest;
    const auto [ended, got] = co_await asio::async_read(socket, asio::dynamic_buffer(rest), as_pair_of_test);
    static_cast<void>(unsent);
    static_cast<void>(sent);
    static_cast<void>(ended);
    static_cast<void>(got);
    co_return rest;
}

}  // namespace

TEST_CASE("an address of a server is an address and a port", "[cluster]")
{
    CHECK(peer_address_of(parse_peer_address("10.1.2.3:8081").value()) == "10.1.2.3:8081");
    CHECK(peer_address_of(parse_peer_address("[::1]:8081").value()) == "[::1]:8081");
    CHECK(parse_peer_address(":8081")->address().is_unspecified());
    for (const auto* wrong : {"", "8081", "10.1.2.3", "10.1.2.3:", "10.1.2.3:x", "10.1.2.3:65536", "10.1.2.3:80 ",
                              "name:80", "::1:80", "[::1:80", "http://10.1.2.3:80"}) {
        CAPTURE(wrong);
        CHECK(parse_peer_address(wrong).error().code == errc::invalid_request);
    }
}

TEST_CASE("the words of two servers prove the key, both nonces and the address, in one direction", "[cluster]")
{
    const auto listener = new_peer_nonce();
    CHECK(read_peer_greeting(peer_greeting(listener)) == listener);
    CHECK_FALSE(read_peer_greeting("HTTP/1.1 400 Bad Request\r\n"));
    CHECK_FALSE(read_peer_greeting("sandboxd-peer 1 short\n"));
    CHECK_FALSE(read_peer_greeting("sandboxd-peer 2 " + listener + "\n"));
    const peer_nonces both{.listener = listener, .caller = new_peer_nonce()};
    const auto asks = peer_request(fleet, both, "10.0.0.1:1");
    CHECK(read_peer_request(fleet, listener, "10.0.0.1:1", asks) == both.caller);
    CHECK_FALSE(read_peer_request(strangers, listener, "10.0.0.1:1", asks));
    CHECK_FALSE(read_peer_request(fleet, new_peer_nonce(), "10.0.0.1:1", asks));
    CHECK_FALSE(read_peer_request(fleet, listener, "10.0.0.2:1", asks));
    CHECK_FALSE(read_peer_request(fleet, listener, "10.0.0.1:1", asks.substr(1)));
    CHECK_FALSE(read_peer_request(fleet, listener, "10.0.0.1:1", ""));
    const auto answers = peer_answer(fleet, both, "10.0.0.1:1");
    CHECK(is_peer_answer(fleet, both, "10.0.0.1:1", answers));
    CHECK_FALSE(is_peer_answer(strangers, both, "10.0.0.1:1", answers));
    CHECK_FALSE(is_peer_answer(fleet, both, "10.0.0.2:1", answers));
    CHECK_FALSE(is_peer_answer(fleet, {.listener = both.caller, .caller = both.listener}, "10.0.0.1:1", answers));
    // What one side says is no proof of the other.
    CHECK_FALSE(is_peer_answer(fleet, both, "10.0.0.1:1", asks.substr(33)));
    // Nor is "no place now" the other answer.
    const auto full = peer_full_answer(fleet, both, "10.0.0.1:1");
    CHECK(is_peer_full_answer(fleet, both, "10.0.0.1:1", full));
    CHECK_FALSE(is_peer_full_answer(strangers, both, "10.0.0.1:1", full));
    CHECK_FALSE(is_peer_full_answer(fleet, both, "10.0.0.1:1", answers));
    CHECK_FALSE(is_peer_answer(fleet, both, "10.0.0.1:1", full));
    CHECK(new_peer_nonce() != new_peer_nonce());
}

TEST_CASE("two servers of a fleet connect, and what follows is theirs", "[cluster]")
{
    on_loop(with_tasks([&](async::task_group& tasks) -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        server one{executor, tasks};
        server two{executor, tasks};
        CHECK(one.link.address() != two.link.address());
        async::stop_source stop;
        auto made = co_await one.link.connect(two.link.address(), stop);
        REQUIRE(made.has_value());
        // Nothing of what is said behind the proof is lost.
        const std::string request = "GET / HTTP/1.1\r\n\r\n";
        co_await asio::async_write(*made, asio::buffer(request), asio::use_awaitable);
        REQUIRE(co_await comes_true([&] { return two.taken.size() == 1; }));
        std::string got(request.size(), '\0');
        co_await asio::async_read(two.taken.front(), asio::buffer(got), asio::use_awaitable);
        CHECK(got == request);
        CHECK(one.count("out", "done") == 1);
        CHECK(two.count("in", "done") == 1);
        // Who is there still takes calls of others after it has stopped listening itself.
        one.link.stop_listening();
        CHECK((co_await one.link.connect(two.link.address(), stop)).has_value());
        CHECK((co_await two.link.connect(one.link.address(), stop)).error().code == errc::unavailable);
        one.link.close();
        CHECK((co_await one.link.connect(two.link.address(), stop)).error().code == errc::draining);
        two.link.close();
        co_await tasks.wait_empty();
    }));
}

TEST_CASE("who does not have the key gets nothing, and gives nothing", "[cluster]")
{
    const captured_stderr log;
    on_loop(with_tasks([&](async::task_group& tasks) -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        server one{executor, tasks};
        server stranger{executor, tasks, strangers};
        async::stop_source stop;
        CHECK((co_await stranger.link.connect(one.link.address(), stop)).error().code == errc::unavailable);
        CHECK((co_await one.link.connect(stranger.link.address(), stop)).error().code == errc::unavailable);
        // Where somebody else answers, the server is away.
        tcp::acceptor other_program{executor, {asio::ip::address_v4::loopback(), 0}};
        asio::co_spawn(
            executor,
            [&]() -> asio::awaitable<void> {
                auto called = co_await other_program.async_accept(asio::use_awaitable);
                const std::string says = "HTTP/1.1 400 Bad Request\r\n";
                co_await asio::async_write(called, asio::buffer(says), asio::use_awaitable);
            },
            asio::detached);
        const auto there = peer_address_of(other_program.local_endpoint());
        CHECK((co_await one.link.connect(there, stop)).error().code == errc::unavailable);
        CHECK(co_await comes_true([&] { return one.link.away_for(there) > 0ms; }));
        CHECK(one.link.away_for(stranger.link.address()) == 0ms);
        CHECK((co_await one.link.connect("nobody", stop)).error().code == errc::unavailable);

        const auto address = one.link.address();
        // Right words, for another server, or said before.
        const auto other = [](std::string nonce) {
            return peer_request(fleet, {.listener = nonce, .caller = new_peer_nonce()}, "10.9.9.9:1");
        };
        std::string kept;
        const auto right = [&](std::string nonce) {
            kept = peer_request(fleet, {.listener = nonce, .caller = new_peer_nonce()}, address);
            return std::string{"GET / HTTP/1.1\r\n\r\n"};
        };
        const auto again = [&](std::string) { return kept; };
        const auto endless = [](std::string) { return std::string(100'000, 'x'); };
        for (const auto& says : std::vector<std::function<std::string(std::string)>>{other, right, again, endless}) {
            const auto heard = co_await said_to(one.at(), says);
            CHECK(heard.empty());
        }
        CHECK(one.taken.empty());
        CHECK(one.count("in", "done") == 0);
        CHECK(one.count("in", "refused") == 5);
        for (auto* each : {&one, &stranger}) each->link.close();
        co_await tasks.wait_empty();
    }));
    CHECK(log.text().find("does not have the fleet's key") != std::string::npos);
}

TEST_CASE("a server that is full says so, and proves that it is the one", "[cluster]")
{
    on_loop(with_tasks([&](async::task_group& tasks) -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        server one{executor, tasks};
        server two{executor, tasks};
        one.is_full = true;
        async::stop_source stop;
        const auto refused = co_await two.link.connect(one.link.address(), stop);
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error().code == errc::queue_full);
        // It is there, so nobody takes what it runs.
        CHECK(two.link.away_for(one.link.address()) == 0ms);
        CHECK(co_await comes_true([&] { return one.count("in", "full") == 1; }));
        CHECK(two.count("out", "full") == 1);
        CHECK(one.taken.empty());
        one.is_full = false;
        CHECK((co_await two.link.connect(one.link.address(), stop)).has_value());
        for (auto* each : {&one, &two}) each->link.close();
        co_await tasks.wait_empty();
    }));
}

TEST_CASE("who says nothing keeps his place for a while, and nobody out", "[cluster]")
{
    on_loop(with_tasks([&](async::task_group& tasks) -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        auto how = server::settings();
        how.handshakes = 2;
        server one{executor, tasks, fleet, how};
        server two{executor, tasks};
        std::vector<std::unique_ptr<tcp::socket>> silent;
        for (int i = 0; i < 5; ++i) {
            silent.push_back(std::make_unique<tcp::socket>(executor));
            co_await silent.back()->async_connect(one.at(), asio::use_awaitable);
        }
        CHECK(co_await comes_true([&] { return one.count("in", "crowded_out") == 3; }));
        async::stop_source stop;
        CHECK((co_await two.link.connect(one.link.address(), stop)).has_value());
        CHECK(one.count("in", "crowded_out") == 4);

        // And not for long.
        how.handshakes = 64;
        how.timeout = 50ms;
        server hasty{executor, tasks, fleet, how};
        silent.push_back(std::make_unique<tcp::socket>(executor));
        co_await silent.back()->async_connect(hasty.at(), asio::use_awaitable);
        CHECK(co_await comes_true([&] { return hasty.count("in", "refused") == 1; }));
        // Who is called and says nothing, too.
        tcp::acceptor mute{executor, {asio::ip::address_v4::loopback(), 0}};
        CHECK((co_await hasty.link.connect(peer_address_of(mute.local_endpoint()), stop)).error().code ==
              errc::unavailable);
        for (auto* each : {&one, &two, &hasty}) each->link.close();
        co_await tasks.wait_empty();
    }));
}

TEST_CASE("however many call one server at once, the fleet does not crowd itself out", "[cluster]")
{
    on_loop(with_tasks([&](async::task_group& tasks) -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        auto how = server::settings();
        how.handshakes = 16;
        how.calls = 4;
        server one{executor, tasks, fleet, how};
        server two{executor, tasks, fleet, how};
        constexpr std::size_t callers = 300;
        async::stop_source stop;
        async::stop_source leaves;
        std::size_t reached = 0;
        std::size_t left = 0;
        for (std::size_t i = 0; i < callers; ++i) {
            // Every third leaves while he waits.
            auto& his = i % 3 == 0 ? leaves : stop;
            asio::co_spawn(
                executor,
                [&]() -> asio::awaitable<void> {
                    const auto made = co_await two.link.connect(one.link.address(), his);
                    ++(made ? reached : left);
                },
                asio::detached);
        }
        leaves.request(errc::disconnected);
        CHECK(co_await comes_true([&] { return reached + left == callers; }));
        CHECK(left == callers / 3);
        CHECK(co_await comes_true([&] { return one.count("in", "done") + one.count("in", "refused") >= reached; }));
        CHECK(one.count("in", "crowded_out") == 0);
        CHECK(two.link.away_for(one.link.address()) == 0ms);
        // Who does not get his turn in time is told so, and nothing of the other server.
        how.timeout = 20ms;
        server hasty{executor, tasks, fleet, how};
        tcp::acceptor mute{executor, {asio::ip::address_v4::loopback(), 0}};
        const auto silent = peer_address_of(mute.local_endpoint());
        std::size_t crowded = 0;
        std::size_t refused = 0;
        for (std::size_t i = 0; i < 2 * how.calls; ++i)
            asio::co_spawn(
                executor,
                [&]() -> asio::awaitable<void> {
                    const auto made = co_await hasty.link.connect(silent, stop);
                    if (made.error().code == errc::queue_full) ++crowded;
                    if (made.error().code == errc::unavailable) ++refused;
                },
                asio::detached);
        CHECK(co_await comes_true([&] { return crowded + refused == 2 * how.calls; }));
        CHECK(refused >= how.calls);
        CHECK(hasty.link.away_for(silent) == 0ms);
        // Where nobody listens, the time since then counts, until somebody does.
        mute.close();
        CHECK((co_await hasty.link.connect(silent, stop)).error().code == errc::unavailable);
        CHECK(co_await comes_true([&] { return hasty.link.away_for(silent) > 0ms; }));
        for (auto* each : {&one, &two, &hasty}) each->link.close();
        co_await tasks.wait_empty();
    }));
}

TEST_CASE("a server's own address is told with a port, or without", "[cluster]")
{
    const auto read = [](std::string_view text) { return peer_address_of(parse_own_address(text).value()); };
    CHECK(read("10.1.2.3") == "10.1.2.3:0");
    CHECK(read("10.1.2.3:8081") == "10.1.2.3:8081");
    CHECK(read("fd00::12") == "[fd00::12]:0");
    CHECK(read("[fd00::12]:8081") == "[fd00::12]:8081");
    for (const auto* wrong : {"", "name", "name:8081", ":8081", "10.1.2.3:x", "10.1.2.3:65536", "[fd00::12]", "0.0.0.0",
                              "::", "[::]:8081", " 10.1.2.3"}) {
        CAPTURE(wrong);
        CHECK(parse_own_address(wrong).error().code == errc::invalid_request);
    }
}

TEST_CASE("a server tells an address by which others reach it", "[cluster]")
{
    on_loop(with_tasks([&](async::task_group& tasks) -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        auto how = server::settings();
        how.advertise = "10.1.2.3:0";
        server told{executor, tasks, fleet, how};
        CHECK(told.link.address().starts_with("10.1.2.3:"));
        CHECK_FALSE(told.link.address().ends_with(":0"));
        // As Kubernetes tells a pod its address: alone, and IPv6 without brackets.
        how.advertise = "fd00::12";
        server alone{executor, tasks, fleet, how};
        CHECK(alone.link.address().starts_with("[fd00::12]:"));
        CHECK_FALSE(alone.link.address().ends_with(":0"));
        for (const auto* nowhere : {"0.0.0.0:80", "::", "name", "10.1.2.3:", "$(POD_IP)"}) {
            CAPTURE(nowhere);
            how.advertise = nowhere;
            metrics::registry metrics;
            peer_link wrong{executor, tasks, how, fleet, {.take = [](http::stream_socket) {}}, metrics};
            const auto listening = wrong.listen();
            REQUIRE_FALSE(listening.has_value());
            CHECK(listening.error().message.starts_with("cluster.advertise: '" + std::string{nowhere} + "' is no "));
        }
        for (auto* each : {&told, &alone}) each->link.close();
        co_await tasks.wait_empty();
    }));
}
