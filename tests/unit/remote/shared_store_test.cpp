// The store that machines share, against a cache that does as it is told.
#include "remote/shared_store.hpp"

#include "base/digest.hpp"
#include "support/cache_stand_in.hpp"
#include "support/captured_stderr.hpp"
#include "support/comes_true.hpp"
#include "support/on_loop.hpp"
#include "support/temporary_directory.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace asio = boost::asio;
using namespace sandboxd;
using namespace sandboxd::remote;
using namespace sandboxd::test;
using namespace std::chrono_literals;
using answer = cache_stand_in::answer;
using found = artifacts::elsewhere::found;

namespace {

const signing_key fleet{std::string(40, 'k')};

std::string id_of_number(int number)
{
    auto digits = std::to_string(number);
    return std::string(32 - digits.size(), '0') + digits;
}

// A machine with a store of its own, and the cache.
struct machine {
    machine()
    {
        how.timeout = 60s;
        how.least_rate = 1024;
        how.failures = 1;
        how.pause = 3600s;
        local = std::make_unique<artifacts::store>(
            artifacts::store_settings{.root = std::filesystem::path{here.path()} / "artifacts"});
        REQUIRE(local->open().has_value());
    }

    // What another machine has put there.
    void offer(int number, const std::string& bytes)
    {
        const blob whole{bytes.size(), to_hex(sha256_of(bytes))};
        const shared_entry entry{.id = id_of_number(number), .files = {{"app.js", whole}}, .record = whole};
        cache.put("/cas/" + whole.sha256, bytes);
        cache.put("/ac/" + fleet.place_of(entry.id), write_document(entry, fleet));
    }

    // An entry that was made here.
    asio::awaitable<void> make(int number)
    {
        const auto published = co_await local->publish(id_of_number(number), {}, "{}");
        REQUIRE(published.has_value());
    }

    std::uint64_t count(const char* family, const char* label, const char* value)
    {
        return metrics
            .add_counter(std::string{"sandboxd_store_remote_"} + family + "_total", "",
                         std::string{label} + "=\"" + value + "\"")
            .value();
    }
    std::uint64_t reads(const char* result) { return count("reads", "result", result); }

    using user = std::function<asio::awaitable<void>(shared_store&)>;
    void run(user what)
    {
        how.client.where = *parse_service_url(cache.url());
        on_loop(on_its_loop(std::move(what)));
    }

    temporary_directory here;
    cache_stand_in cache;
    metrics::registry metrics;
    std::unique_ptr<artifacts::store> local;
    shared_store_settings how{.client = {}, .key = fleet, .caps = {}};

private:
    asio::awaitable<bool> on_its_loop(user what)
    {
        const auto executor = co_await asio::this_coro::executor;
        async::task_group tasks{executor};
        shared_store one{executor, tasks, how, nullptr, *local, metrics};
        co_await what(one);
        one.close();
        co_await tasks.wait_empty();
        co_return true;
    }
};

constexpr client_key somebody{1};

asio::awaitable<void> ask_in_background(shared_store& of, int number, std::vector<found>& said,
                                        client_key who = somebody)
{
    said.push_back(co_await of.fetch(id_of_number(number), who));
}

}  // namespace

TEST_CASE("neither large entries nor many at once are failures of the cache", "[remote]")
{
    machine one;
    // Two connections for three entries of which each takes longer than an answer may wait.
    one.how.timeout = 1s;
    one.how.client.connections = 2;
    for (int i = 0; i < 3; ++i) one.offer(i, std::string(64 * 1024, static_cast<char>('a' + i)));
    one.cache.lie([](const auto& asked) -> std::optional<answer> {
        if (!asked.target.starts_with("/cas/") || !asked.stored) return std::nullopt;
        return answer{.bytes = cache_stand_in::whole(*asked.stored), .byte_by_byte = true, .piece = 1024};
    });
    one.run([&](shared_store& shared) -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        async::task_group callers{executor};
        std::vector<found> said;
        for (int i = 0; i < 3; ++i) callers.spawn("ask", ask_in_background(shared, i, said));
        co_await callers.wait_empty();
        CHECK(said == std::vector<found>(3, found::unknown));
        // What has begun comes, and is there for the next who asks. The others have waited in vain.
        CHECK(co_await comes_true([&] { return one.reads("hit") + one.reads("skipped") == 3; }));
        CHECK(one.reads("hit") >= 1);
        CHECK(one.reads("failed") == 0);
        CHECK(shared.trouble().empty());
        one.cache.be_honest();
        for (int i = 0; i < 3; ++i) {
            co_await shared.fetch(id_of_number(i), somebody);
            CHECK(co_await comes_true([&] { return one.local->find(id_of_number(i)) != nullptr; }));
        }
        // An entry without an end is one.
        one.offer(9, std::string(64 * 1024, 'z'));
        one.cache.lie([](const auto& asked) -> std::optional<answer> {
            if (!asked.target.starts_with("/ac/")) return std::nullopt;
            return answer{.bytes = "HTTP/1.1 200 OK\r\n", .never_close = true};
        });
        CHECK(co_await shared.fetch(id_of_number(9), somebody) == found::unknown);
        CHECK(co_await comes_true([&] { return one.reads("failed") == 1; }));
        CHECK_FALSE(shared.trouble().empty());
    });
}

TEST_CASE("bytes that come slower than the key says are a failure", "[remote]")
{
    machine one;
    one.how.timeout = 1s;
    one.how.least_rate = 1u << 20;
    one.offer(1, std::string(64 * 1024, 'x'));
    one.cache.lie([](const auto& asked) -> std::optional<answer> {
        if (!asked.target.starts_with("/cas/") || !asked.stored) return std::nullopt;
        return answer{.bytes = cache_stand_in::whole(*asked.stored), .byte_by_byte = true};
    });
    one.run([&](shared_store& shared) -> asio::awaitable<void> {
        CHECK(co_await shared.fetch(id_of_number(1), somebody) == found::unknown);
        CHECK(co_await comes_true([&] { return one.reads("failed") == 1; }));
        CHECK(one.count("failures", "why", "upstream_timeout") == 1);
        CHECK_FALSE(shared.trouble().empty());
    });
}

TEST_CASE("one client's unknown ids leave fetches to the others", "[remote]")
{
    machine one;
    one.how.fetches = 6;
    one.how.fetches_per_client = 3;
    one.offer(100, "a");
    one.cache.lie([](const auto& asked) -> std::optional<answer> {
        if (asked.stored) return std::nullopt;
        return answer{.bytes = "", .never_close = true};
    });
    one.run([&](shared_store& shared) -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        async::task_group callers{executor};
        std::vector<found> said;
        for (int i = 0; i < 10; ++i) callers.spawn("ask", ask_in_background(shared, i, said));
        CHECK(co_await comes_true([&] { return one.reads("client_share") == 7; }));
        CHECK(said == std::vector<found>(7, found::unknown));
        // To join costs nothing.
        callers.spawn("ask", ask_in_background(shared, 0, said));
        CHECK(co_await shared.fetch(id_of_number(100), client_key{2}) == found::here);
        CHECK(one.reads("client_share") == 7);
        // All clients together have all, and no more.
        for (int i = 20; i < 23; ++i) callers.spawn("ask", ask_in_background(shared, i, said, client_key{2}));
        CHECK(co_await comes_true([&] { return one.cache.requests("GET") >= 9; }));
        CHECK(co_await shared.fetch(id_of_number(30), client_key{3}) == found::unknown);
        CHECK(one.reads("skipped") == 1);
        shared.close();
        co_await callers.wait_empty();
    });
}

TEST_CASE("a cache that lies again and again is left alone, too", "[remote]")
{
    machine one;
    one.how.failures = 3;
    for (int i = 0; i < 9; ++i) one.offer(i, std::string(10, static_cast<char>('a' + i)));
    const auto lying = [](const auto& asked) -> std::optional<answer> {
        if (!asked.target.starts_with("/cas/") || !asked.stored) return std::nullopt;
        return answer{cache_stand_in::whole(std::string(asked.stored->size(), 'X'))};
    };
    const captured_stderr log;
    one.run([&](shared_store& shared) -> asio::awaitable<void> {
        const auto fetch = [&shared](int number) { return shared.fetch(id_of_number(number), somebody); };
        one.cache.lie(lying);
        CHECK(co_await fetch(0) == found::nowhere);
        // The same one counts once, and what nobody has ends no row.
        for (int i = 0; i < 5; ++i) CHECK(co_await fetch(0) == found::nowhere);
        CHECK(co_await fetch(50) == found::nowhere);
        CHECK(co_await fetch(1) == found::nowhere);
        CHECK(shared.trouble().empty());
        // What is right does.
        one.cache.be_honest();
        CHECK(co_await fetch(2) == found::here);
        one.cache.lie(lying);
        for (int i = 3; i < 6; ++i) {
            CHECK(shared.trouble().empty());
            CHECK(co_await fetch(i) == found::nowhere);
        }
        CHECK(shared.trouble().find("wrong entries") != std::string::npos);
        CHECK(one.metrics.expose().find("\nsandboxd_store_remote_unavailable 1\n") != std::string::npos);
        const auto asked = one.cache.requests("GET");
        CHECK(co_await fetch(6) == found::unknown);
        CHECK(one.cache.requests("GET") == asked);
        CHECK(one.reads("skipped") == 1);
    });
    const auto told = log.text();
    const auto first = told.find("too many wrong entries");
    CHECK(first != std::string::npos);
    CHECK(told.find("too many wrong entries", first + 1) == std::string::npos);
    // After the pause it is asked again.
    machine other;
    other.how.pause = 1s;
    for (int i = 0; i < 2; ++i) other.offer(i, "x");
    other.run([&](shared_store& shared) -> asio::awaitable<void> {
        other.cache.lie(lying);
        CHECK(co_await shared.fetch(id_of_number(0), somebody) == found::nowhere);
        CHECK_FALSE(shared.trouble().empty());
        other.cache.be_honest();
        asio::steady_timer pause{co_await asio::this_coro::executor};
        const auto until = std::chrono::steady_clock::now() + 60s;
        while (co_await shared.fetch(id_of_number(1), somebody) == found::unknown &&
               std::chrono::steady_clock::now() < until) {
            pause.expires_after(20ms);  // between polls
            co_await pause.async_wait(asio::use_awaitable);
        }
        CHECK(other.local->find(id_of_number(1)) != nullptr);
        CHECK(shared.trouble().empty());
    });
}

TEST_CASE("that the cache has not taken something ends with the next that it takes, or after a while", "[remote]")
{
    const auto refusing = [](const auto& asked) -> std::optional<answer> {
        if (asked.method != "PUT") return std::nullopt;
        return answer{cache_stand_in::whole("", "403 Forbidden")};
    };
    machine one;
    one.run([&](shared_store& shared) -> asio::awaitable<void> {
        one.cache.lie(refusing);
        co_await one.make(1);
        shared.share(id_of_number(1));
        CHECK(co_await comes_true([&] { return one.count("writes", "result", "failed") == 1; }));
        CHECK_FALSE(shared.trouble().empty());
        // The next has not come to its end when its first part is taken.
        one.cache.lie([](const auto& asked) -> std::optional<answer> {
            if (asked.method != "PUT" || asked.target.starts_with("/cas/")) return std::nullopt;
            return answer{.bytes = "", .never_close = true};
        });
        co_await one.make(2);
        shared.share(id_of_number(2));
        CHECK(co_await comes_true([&] { return shared.trouble().empty(); }));
        CHECK(one.count("writes", "result", "done") == 0);
    });
    // Nothing else is written: it is not told for ever.
    machine other;
    other.how.pause = 1s;
    other.run([&](shared_store& shared) -> asio::awaitable<void> {
        other.cache.lie(refusing);
        co_await other.make(1);
        shared.share(id_of_number(1));
        CHECK(co_await comes_true([&] { return other.count("writes", "result", "failed") == 1; }));
        CHECK(co_await comes_true([&] { return shared.trouble().empty(); }));
    });
}

TEST_CASE("an entry is settled when others can have it, or will not get it", "[remote]")
{
    machine one;
    one.how.write_attempts = 1;
    one.run([&](shared_store& shared) -> asio::awaitable<void> {
        CHECK(co_await shared.settled(id_of_number(1), 0s));  // nobody has shared it
        one.cache.lie([](const auto& asked) -> std::optional<answer> {
            if (asked.method != "PUT") return std::nullopt;
            return answer{.bytes = "", .never_close = true};
        });
        co_await one.make(1);
        shared.share(id_of_number(1));
        CHECK_FALSE(co_await shared.settled(id_of_number(1), 50ms));
        shared.close();
        CHECK(co_await shared.settled(id_of_number(1), 60s));
    });
    machine other;
    other.run([&](shared_store& shared) -> asio::awaitable<void> {
        co_await other.make(1);
        shared.share(id_of_number(1));
        CHECK(co_await shared.settled(id_of_number(1), 60s));
        CHECK(other.count("writes", "result", "done") == 1);
        CHECK(other.cache.contents().contains("/ac/" + fleet.place_of(id_of_number(1))));
        other.cache.lie([](const auto& asked) -> std::optional<answer> {
            if (asked.method != "PUT") return std::nullopt;
            return answer{cache_stand_in::whole("", "403 Forbidden")};
        });
        co_await other.make(2);
        shared.share(id_of_number(2));
        CHECK(co_await shared.settled(id_of_number(2), 60s));
        CHECK(other.count("writes", "result", "failed") == 1);
    });
}
