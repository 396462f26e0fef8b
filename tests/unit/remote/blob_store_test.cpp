// What servers have in common besides artifacts, against a cache that does as it is told.
#include "remote/blob_store.hpp"

#include "base/digest.hpp"
#include "support/cache_stand_in.hpp"
#include "support/captured_stderr.hpp"
#include "support/on_loop.hpp"

#include <boost/asio/this_coro.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <functional>
#include <optional>
#include <string>

namespace asio = boost::asio;
using namespace sandboxd;
using namespace sandboxd::remote;
using namespace sandboxd::test;
using namespace std::chrono_literals;
using answer = cache_stand_in::answer;

namespace {

const signing_key fleet{std::string(40, 'k')};
const signing_key strangers{std::string(40, 'x')};
constexpr const char* name_of_it = "sandbox 123e4567-e89b-42d3-a456-426614174000";

struct machine {
    using user = std::function<asio::awaitable<void>(blob_store&)>;

    void run(user what)
    {
        how.client.where = *parse_service_url(cache.url());
        on_loop(on_its_loop(std::move(what)));
    }
    std::uint64_t count(const std::string& way, const std::string& what)
    {
        return metrics
            .add_counter("sandboxd_store_remote_blobs_total", "", "way=\"" + way + "\",result=\"" + what + "\"")
            .value();
    }
    std::string place() const { return "/ac/" + fleet.place_of(name_of_it); }
    static std::string place_of_bytes(const std::string& bytes) { return "/cas/" + to_hex(sha256_of(bytes)); }
    // As another server has written it.
    void offer(const std::string& bytes, const signing_key& by = fleet, const std::string& name = name_of_it)
    {
        const shared_entry entry{.id = name,
                                 .files = {{"bytes", {bytes.size(), to_hex(sha256_of(bytes))}}},
                                 .record = {0, to_hex(sha256_of({}))}};
        cache.put(place_of_bytes(bytes), bytes);
        cache.put(place(), write_document(entry, by));
    }

    cache_stand_in cache;
    metrics::registry metrics;
    blob_store_settings how{.client = {}, .key = fleet, .timeout = 60s, .failures = 1, .pause = 3600s};

private:
    asio::awaitable<bool> on_its_loop(user what)
    {
        const auto executor = co_await asio::this_coro::executor;
        async::task_group tasks{executor};
        blob_store one{executor, tasks, how, nullptr, metrics};
        co_await what(one);
        one.close();
        co_await tasks.wait_empty();
        co_return true;
    }
};

}  // namespace

TEST_CASE("what one server has put, another one gets", "[remote]")
{
    machine one;
    const std::string bytes(200'000, 'x');
    one.run([&](blob_store& store) -> asio::awaitable<void> {
        CHECK((co_await store.get(name_of_it, 1'000'000)).error().code == errc::not_found);
        CHECK((co_await store.put(name_of_it, bytes)).has_value());
        const auto got = co_await store.get(name_of_it, 1'000'000);
        REQUIRE(got.has_value());
        CHECK(*got == bytes);
        CHECK((co_await store.get("sandbox other", 1'000'000)).error().code == errc::not_found);
        CHECK(store.trouble().empty());
    });
    CHECK(one.cache.contents().contains(one.place()));
    CHECK(one.cache.contents().at(machine::place_of_bytes(bytes)) == bytes);
    CHECK(one.count("put", "done") == 1);
    CHECK(one.count("get", "done") == 1);
    CHECK(one.count("get", "not_found") == 2);
}

TEST_CASE("what the cache has changed is not there", "[remote]")
{
    const captured_stderr log;
    machine one;
    one.run([&](blob_store& store) -> asio::awaitable<void> {
        const auto is_refused = [&](const char* what) -> asio::awaitable<void> {
            CAPTURE(what);
            CHECK((co_await store.get(name_of_it, 1000)).error().code == errc::not_found);
        };
        one.offer("abc", strangers);
        co_await is_refused("another key");
        one.offer("abc", fleet, "sandbox other");
        co_await is_refused("another name");
        one.offer("abc");
        CHECK((co_await store.get(name_of_it, 1000)).value() == "abc");
        one.cache.put(machine::place_of_bytes("abc"), "abd");
        co_await is_refused("other bytes");
        one.cache.put(machine::place_of_bytes("abc"), "ab");
        co_await is_refused("fewer bytes");
        one.cache.put(machine::place_of_bytes("abc"), "abcd");
        co_await is_refused("more bytes");
        one.offer(std::string(2000, 'x'));
        co_await is_refused("larger than anybody writes");
        one.cache.put(one.place(), std::string(100'000, 'x'));
        co_await is_refused("a document without an end");
        one.cache.put(one.place(), "");
        co_await is_refused("nothing");
        CHECK(store.trouble().empty());
    });
    CHECK(log.text().find("has something else") != std::string::npos);
}

TEST_CASE("a cache that fails is left alone, one that does not take something is not", "[remote]")
{
    machine one;
    one.run([&](blob_store& store) -> asio::awaitable<void> {
        one.cache.lie([](const auto& asked) -> std::optional<answer> {
            if (asked.method != "PUT") return std::nullopt;
            return answer{.bytes = cache_stand_in::whole("", "413 Content Too Large")};
        });
        CHECK((co_await store.put(name_of_it, "abc")).error().code == errc::unavailable);
        CHECK(store.trouble().empty());
        one.cache.lie([](const auto& asked) -> std::optional<answer> {
            if (asked.method != "PUT") return std::nullopt;
            return answer{.bytes = cache_stand_in::whole("", "503 Service Unavailable")};
        });
        CHECK((co_await store.put(name_of_it, "abc")).error().code == errc::unavailable);
        CHECK(store.trouble().find("store.remote: ") == 0);
        one.cache.be_honest();
        const auto before = one.cache.requests("GET");
        CHECK((co_await store.get(name_of_it, 1000)).error().code == errc::unavailable);
        CHECK(one.cache.requests("GET") == before);
    });
}

TEST_CASE("what is on its way to and from the cache is bounded", "[remote]")
{
    machine one;
    one.how.transfer_bytes = 1000;
    one.run([&](blob_store& store) -> asio::awaitable<void> {
        CHECK((co_await store.put(name_of_it, std::string(1001, 'x'))).error().code == errc::queue_full);
        CHECK((co_await store.put(name_of_it, std::string(1000, 'x'))).has_value());
        CHECK((co_await store.get(name_of_it, 1000)).has_value());
        one.offer(std::string(1001, 'y'));
        CHECK((co_await store.get(name_of_it, 10'000)).error().code == errc::queue_full);
        CHECK(store.trouble().empty());
    });
    machine crowded;
    crowded.how.transfers = 0;
    crowded.run([&](blob_store& store) -> asio::awaitable<void> {
        CHECK((co_await store.put(name_of_it, "x")).error().code == errc::queue_full);
        CHECK((co_await store.get(name_of_it, 1000)).error().code == errc::queue_full);
    });
}

TEST_CASE("a client has a share of the room on the way to the cache", "[remote]")
{
    machine one;
    one.how.transfers = 4;
    one.how.transfers_per_client = 2;
    one.how.transfer_bytes = 1000;
    one.run([&](blob_store& store) -> asio::awaitable<void> {
        const client_key his{1};
        const client_key hers{2};
        const auto refused = [&store](const client_key& whose, std::uint64_t bytes) {
            const auto made = store.make_room(whose, bytes);
            return !made && made.error().code == errc::queue_full;
        };
        {
            const auto first = store.make_room(his, 400);
            CHECK(first.has_value());
            CHECK(refused(his, 101));
            const auto second = store.make_room(his, 100);
            CHECK(second.has_value());
            CHECK(refused(his, 0));
            CHECK(one.count("put", "client_share") == 2);
            // One client's first room may be larger than his share, if there is so much.
            CHECK(refused(hers, 501));
            const auto third = store.make_room(hers, 500);
            CHECK(third.has_value());
            CHECK((co_await store.put(name_of_it, "x")).error().code == errc::queue_full);
            CHECK((co_await store.put(name_of_it, std::string(500, 'x'), true)).has_value());
        }
        CHECK(store.make_room(his, 1000).has_value());
        CHECK((co_await store.put(name_of_it, std::string(1000, 'x'))).has_value());
    });
}
