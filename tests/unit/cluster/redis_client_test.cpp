// The client against a real Redis, and against one that does as it is told.
#include "cluster/redis_client.hpp"

#include "support/captured_stderr.hpp"
#include "support/comes_true.hpp"
#include "support/on_loop.hpp"
#include "support/redis_server.hpp"
#include "unit/cluster/sharing.hpp"
#include "unit/cluster/stand_in.hpp"

#include <boost/asio/this_coro.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <csignal>
#include <functional>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

namespace asio = boost::asio;
using namespace sandboxd;
using namespace sandboxd::cluster;
using namespace sandboxd::test;
using namespace std::chrono_literals;
using kind = reply::kind;
using answer = redis_stand_in::answer;
using words = redis_stand_in::words;

namespace {

struct world {
    explicit world(asio::any_io_executor on, redis_client_settings how, metrics::registry& registry)
        : executor{std::move(on)},
          tasks{executor},
          metrics{registry},
          one{executor, tasks, std::move(how), nullptr, metrics}
    {
    }

    asio::awaitable<bool> connects()
    {
        co_return co_await comes_true([this] { return one.is_connected(); });
    }

    // What comes of these words, with blanks between them: the answer's text, or the name of the error.
    asio::awaitable<std::string> told(std::string line)
    {
        std::istringstream from{line};
        std::vector<std::string> what{std::istream_iterator<std::string>{from}, {}};
        const auto said = co_await one.call(std::move(what));
        if (!said) co_return std::string{name(said.error().code)};
        co_return said->is == kind::number ? std::to_string(said->number) : said->text;
    }

    std::uint64_t calls(const std::string& result)
    {
        return metrics.add_counter("sandboxd_cluster_redis_calls_total", "", "result=\"" + result + "\"").value();
    }
    std::uint64_t connects(const std::string& result)
    {
        return metrics.add_counter("sandboxd_cluster_redis_connects_total", "", "result=\"" + result + "\"").value();
    }

    asio::any_io_executor executor;
    async::task_group tasks;
    metrics::registry& metrics;
    redis_client one;
};

using user = std::function<asio::awaitable<void>(world&)>;

asio::awaitable<bool> use(redis_client_settings how, user what)
{
    metrics::registry registry;
    world with{co_await asio::this_coro::executor, std::move(how), registry};
    with.one.start();
    co_await what(with);
    with.one.close();
    co_await with.tasks.wait_empty();
    co_return true;
}

// With a stand-in that runs this script.
asio::awaitable<bool> use_stand_in(redis_stand_in::script script, std::function<void(redis_client_settings&)> change,
                                   std::function<asio::awaitable<void>(world&, redis_stand_in&)> what)
{
    redis_stand_in redis{co_await asio::this_coro::executor, std::move(script)};
    auto how = redis_settings(redis.url());
    if (change) change(how);
    user inner = [&](world& with) -> asio::awaitable<void> { co_await what(with, redis); };
    co_await use(std::move(how), std::move(inner));
    co_return true;
}

}  // namespace

TEST_CASE("a client speaks to a real Redis, by TCP and by its socket", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    for (const auto& url : {redis.url(), redis.url() + "/7", redis.socket_url()}) {
        CAPTURE(url);
        on_loop(use(redis_settings(url), [](world& with) -> asio::awaitable<void> {
            // There is no connection yet: it is waited for.
            CHECK_FALSE(with.one.is_connected());
            CHECK(co_await with.told("GET key") == "");
            REQUIRE(with.one.is_connected());
            CHECK(with.one.trouble().empty());
            CHECK(co_await with.told("SET key value") == "OK");
            CHECK(co_await with.told("GET key") == "value");
            CHECK(co_await with.told("DEL key") == "1");
            std::vector<std::string> list{"EVAL", "return {1, 'a', {2}, false}", "0"};
            const auto several = co_await with.one.call(std::move(list));
            REQUIRE(several.has_value());
            CHECK(several->list.size() == 4);
            CHECK(several->list[2].list.at(0).number == 2);
            CHECK(several->list[3].is == kind::nothing);
            std::vector<std::string> wrong{"NONSENSE"};
            const auto no = co_await with.one.call(std::move(wrong));
            REQUIRE_FALSE(no.has_value());
            CHECK(no.error().code == errc::upstream_failed);
            CHECK(no.error().message.find("unknown command") != std::string::npos);
            // A failure is no end.
            CHECK(co_await with.told("PING") == "PONG");
            CHECK(with.calls("unavailable") == 0);
            CHECK(with.calls("refused") == 1);
            CHECK(with.calls("done") == 6);
            CHECK(with.connects("done") == 1);
        }));
    }
    CHECK(redis.log().find("crashed") == std::string::npos);
}

TEST_CASE("a client says who it is, and is refused with the wrong password", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis{{.more = {"--requirepass", "secret", "--user", "limited", "on", ">word", "~own:*", "+@all"}}};
    struct row {
        std::string url;
        const char* line;  // of the file
        const char* sets;  // what comes of SET other:key; null: no connection
        const char* why;
    };
    const row rows[] = {
        {redis.url(), "secret", "OK", ""},
        {redis.url(), "limited:word", "upstream_failed", ""},
        {redis.url("limited"), "word", "upstream_failed", ""},
        {redis.url(), "hidden", nullptr, "WRONGPASS"},
        {redis.url("limited"), "secret", nullptr, "WRONGPASS"},
        {redis.url("nobody"), "word", nullptr, "WRONGPASS"},
        {redis.url(), "", nullptr, "NOAUTH"},
    };
    for (const auto& each : rows) {
        CAPTURE(each.url, each.line);
        auto how = redis_settings(each.url);
        how.secret = credential_of(each.line, how.where);
        const captured_stderr log;
        on_loop(use(std::move(how), [&](world& with) -> asio::awaitable<void> {
            if (each.sets) {
                REQUIRE(co_await with.connects());
                CHECK(co_await with.told("SET other:key x") == each.sets);
                CHECK(with.one.is_connected());
            } else {
                // Again and again.
                REQUIRE(co_await comes_true([&] { return with.connects("failed") > 2; }));
                CHECK_FALSE(with.one.is_connected());
                CHECK(with.one.trouble().starts_with("cluster.redis: Redis cannot be used"));
            }
        }));
        CHECK(log.text().find(each.why) != std::string::npos);
        CHECK(log.text().find("hidden") == std::string::npos);
    }
}

TEST_CASE("calls are answered in their order, however many there are at once, up to a bound", "[cluster]")
{
    const auto echo = [](const words& said) -> std::optional<answer> {
        if (said.front() == "ECHO") return answer{"+" + said.at(1) + "\r\n"};
        return std::nullopt;
    };
    const auto bound = [](redis_client_settings& how) { how.calls = 100; };
    on_loop(use_stand_in(echo, bound, [](world& with, redis_stand_in& redis) -> asio::awaitable<void> {
        REQUIRE(co_await with.connects());
        int right = 0;
        int crowded = 0;
        const auto ask = [&](int number, bool renews) -> asio::awaitable<void> {
            std::vector<std::string> what{"ECHO", std::to_string(number)};
            const auto said = co_await with.one.call(std::move(what), renews);
            if (said && said->text == std::to_string(number)) ++right;
            if (!said && said.error().code == errc::queue_full) ++crowded;
        };
        for (int i = 0; i < 120; ++i) with.tasks.spawn("ask", ask(i, false));
        // What keeps something has places of its own.
        for (int i = 0; i < 30; ++i) with.tasks.spawn("ask", ask(i, true));
        CHECK(co_await comes_true([&] { return right + crowded == 150; }));
        CHECK(right == 130);
        CHECK(crowded == 20);
        CHECK(with.calls("queue_full") == 20);
        CHECK(redis.connections() == 1);
        // Then there is room again.
        CHECK(co_await with.told("ECHO x") == "x");
    }));
}

TEST_CASE("a request that is too large is not sent", "[cluster]")
{
    const auto bound = [](redis_client_settings& how) { how.message_bytes = 1000; };
    on_loop(use_stand_in([](const words&) { return std::optional<answer>{}; }, bound,
                         [](world& with, redis_stand_in& redis) -> asio::awaitable<void> {
                             REQUIRE(co_await with.connects());
                             CHECK(co_await with.told("SET key " + std::string(1000, 'x')) == "payload_too_large");
                             CHECK(with.one.is_connected());
                             CHECK(redis.asked().size() == 1);  // PING
                         }));
}

TEST_CASE("a server that lies loses its connection, and costs bounded time and memory", "[cluster]")
{
    struct row {
        const char* what;
        std::string bytes;
        bool close;
        bool once;  // the words after it are answered as they should be
        const char* comes_of_it;
    };
    std::string deep;
    for (int i = 0; i < 1000; ++i) deep += "*1\r\n";
    const row rows[] = {
        {"a huge text", "$2000\r\n" + std::string(2000, 'x') + "\r\n", false, true, "unavailable"},
        {"a text that is said to be huge, and comes", "$900000000\r\n" + std::string(5000, 'x'), false, true,
         "unavailable"},
        {"a huge list", "*2000000000\r\n", false, true, "unavailable"},
        {"lists in lists", deep, false, true, "unavailable"},
        {"no protocol", "HTTP/1.1 200 OK\r\n\r\n", false, true, "unavailable"},
        {"an end", "", true, true, "unavailable"},
        {"an end in the middle", "$10\r\nabc", true, true, "unavailable"},
        {"more than was asked for", "+OK\r\n+OK\r\n", false, true, "OK"},
        {"the beginning of more", "+OK\r\n*2\r\n+a\r\n", false, true, "OK"},
        {"that it is a replica", "-READONLY You can't write against a read only replica.\r\n", false, true,
         "upstream_failed"},
        {"that it is loading", "-LOADING Redis is loading the dataset in memory\r\n", false, true, "upstream_failed"},
        {"that it does not know us any more", "-NOAUTH Authentication required.\r\n", false, true, "upstream_failed"},
    };
    for (const auto& each : rows) {
        CAPTURE(each.what);
        bool has_lied = false;
        const auto lie = [&](const words& said) -> std::optional<answer> {
            if (said.front() != "GET") return std::nullopt;
            if (has_lied) return answer{"+fine\r\n"};
            has_lied = true;
            return answer{.bytes = each.bytes, .close = each.close};
        };
        const auto bound = [](redis_client_settings& how) { how.message_bytes = 1500; };
        const captured_stderr log;
        on_loop(use_stand_in(lie, bound, [&](world& with, redis_stand_in& redis) -> asio::awaitable<void> {
            REQUIRE(co_await with.connects());
            CHECK(co_await with.told("GET x") == each.comes_of_it);
            REQUIRE(co_await comes_true([&] { return redis.connections() >= 2 && with.one.is_connected(); }));
            CHECK(co_await with.told("GET x") == "fine");
            CHECK(with.one.trouble().empty());
        }));
        CHECK(log.text().find("Redis cannot be used") != std::string::npos);
    }
}

TEST_CASE("a server that lies at the beginning is no Redis", "[cluster]")
{
    for (const auto* const bytes :
         {"+PONG\r\n+PONG\r\n", "$4\r\nPONG\r\n", "-ERR no\r\n", "*1\r\n", "*100000000\r\n", "x", "SSH-2.0-x\r\n"}) {
        CAPTURE(bytes);
        const auto lie = [bytes](const words&) { return std::optional{answer{.bytes = bytes}}; };
        const auto soon = [](redis_client_settings& how) { how.timeout = 300ms; };
        const captured_stderr log;
        on_loop(use_stand_in(lie, soon, [](world& with, redis_stand_in& redis) -> asio::awaitable<void> {
            REQUIRE(co_await comes_true([&] { return redis.connections() > 2; }));
            CHECK_FALSE(with.one.is_connected());
            CHECK(with.connects("done") == 0);
            CHECK(co_await with.told("GET x") == "unavailable");
        }));
    }
}

TEST_CASE("a server that does not answer in time is away, for all who have asked", "[cluster]")
{
    bool is_silent = true;
    const auto silent = [&](const words& said) -> std::optional<answer> {
        if (said.front() == "PING") return std::nullopt;
        if (is_silent) return answer{""};
        return answer{"+fine\r\n"};
    };
    const auto soon = [](redis_client_settings& how) { how.timeout = 1s; };
    const captured_stderr log;
    on_loop(use_stand_in(silent, soon, [&](world& with, redis_stand_in& redis) -> asio::awaitable<void> {
        REQUIRE(co_await with.connects());
        std::vector<std::string> ends;
        const auto ask = [&]() -> asio::awaitable<void> {
            auto end = co_await with.told("GET x");
            ends.push_back(std::move(end));
        };
        for (int i = 0; i < 3; ++i) with.tasks.spawn("ask", ask());
        REQUIRE(co_await comes_true([&] { return ends.size() == 3; }));
        CHECK(ends == std::vector<std::string>{"upstream_timeout", "unavailable", "unavailable"});
        is_silent = false;
        REQUIRE(co_await comes_true([&] { return redis.connections() >= 2 && with.one.is_connected(); }));
        CHECK(co_await with.told("GET x") == "fine");
    }));
    CHECK(log.text().find("cluster.redisTimeoutMs") != std::string::npos);
}

TEST_CASE("a server that reads nothing is away", "[cluster]")
{
    const auto deaf = [](const words& said) -> std::optional<answer> {
        if (said.front() == "PING") return answer{.bytes = "+PONG\r\n", .never_read = true};
        return std::nullopt;
    };
    const auto change = [](redis_client_settings& how) {
        how.timeout = 1s;
        how.message_bytes = 64u << 20;
    };
    const captured_stderr log;
    on_loop(use_stand_in(deaf, change, [](world& with, redis_stand_in&) -> asio::awaitable<void> {
        REQUIRE(co_await with.connects());
        std::vector<std::string> large{"SET", "x", std::string(32u << 20, 'x')};
        const auto said = co_await with.one.call(std::move(large));
        REQUIRE_FALSE(said.has_value());
        CHECK(said.error().code == errc::upstream_timeout);
    }));
}

TEST_CASE("a Redis that stops, hangs and comes back is used again", "[cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    auto how = redis_settings(redis.url());
    how.timeout = 2s;
    const captured_stderr log;
    on_loop(use(std::move(how), [&](world& with) -> asio::awaitable<void> {
        REQUIRE(co_await with.connects());
        redis.end();
        REQUIRE(co_await comes_true([&] { return !with.one.is_connected(); }));
        CHECK(co_await with.told("GET x") == "unavailable");
        REQUIRE(co_await comes_true([&] { return !with.one.trouble().empty(); }));
        CHECK(with.one.trouble().find("127.0.0.1") == std::string::npos);
        redis.start_again();
        REQUIRE(co_await with.connects());
        CHECK(with.one.trouble().empty());
        CHECK(co_await with.told("SET x 1") == "OK");
        redis.signal(SIGSTOP);
        CHECK(co_await with.told("GET x") == "upstream_timeout");
        redis.signal(SIGCONT);
        REQUIRE(co_await with.connects());
        CHECK(co_await with.told("GET x") == "1");
    }));
}

TEST_CASE("a close ends all calls", "[cluster]")
{
    const auto silent = [](const words& said) -> std::optional<answer> {
        if (said.front() == "PING") return std::nullopt;
        return answer{""};
    };
    on_loop(use_stand_in(silent, {}, [](world& with, redis_stand_in& redis) -> asio::awaitable<void> {
        REQUIRE(co_await with.connects());
        std::string end;
        const auto ask = [&]() -> asio::awaitable<void> { end = co_await with.told("GET x"); };
        with.tasks.spawn("ask", ask());
        REQUIRE(co_await comes_true([&] { return redis.asked().size() == 2; }));
        with.one.close();
        REQUIRE(co_await comes_true([&] { return !end.empty(); }));
        CHECK(end == "draining");
        CHECK(co_await with.told("GET x") == "draining");
    }));
    // While it connects, too: to a server that says nothing.
    const auto mute = [](const words&) { return std::optional{answer{""}}; };
    on_loop(use_stand_in(mute, {}, [](world& with, redis_stand_in& redis) -> asio::awaitable<void> {
        std::string end;
        const auto ask = [&]() -> asio::awaitable<void> { end = co_await with.told("GET x"); };
        with.tasks.spawn("ask", ask());
        REQUIRE(co_await comes_true([&] { return redis.asked().size() == 1; }));
        CHECK_FALSE(with.one.is_connected());
        with.one.close();
        REQUIRE(co_await comes_true([&] { return !end.empty(); }));
        CHECK(end == "draining");
    }));
}

TEST_CASE("who asks right after the start waits for the first attempt, and for no other", "[cluster]")
{
    const captured_stderr log;
    auto how = redis_settings("redis://127.0.0.1:1");
    how.reconnect = 3600s;
    on_loop(use(std::move(how), [](world& with) -> asio::awaitable<void> {
        CHECK(co_await with.told("GET x") == "unavailable");
        CHECK(with.connects("failed") == 1);
        CHECK(co_await with.told("GET x") == "unavailable");
        CHECK(with.connects("failed") == 1);
    }));
}

TEST_CASE("a host that cannot be resolved is away, and does not stop the loop", "[cluster]")
{
    const captured_stderr log;
    on_loop(use(redis_settings("redis://nowhere.invalid"), [](world& with) -> asio::awaitable<void> {
        REQUIRE(co_await comes_true([&] { return with.connects("failed") > 0; }));
        CHECK_FALSE(with.one.trouble().empty());
    }));
    CHECK(log.text().find("cannot be resolved") != std::string::npos);
}
