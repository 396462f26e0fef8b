#include "cluster/redis_url.hpp"

#include "cluster/backoff.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace sandboxd;
using namespace sandboxd::cluster;
using namespace std::chrono_literals;
using transport = redis_url::transport;

TEST_CASE("a URL of Redis names a transport, a host, a user and a database", "[cluster]")
{
    struct row {
        const char* url;
        redis_url is;
        bool is_private;
        const char* text;  // null: as it was
    };
    const row rows[] = {
        {"redis://redis.example", {.host = "redis.example"}, false, nullptr},
        {"redis://Redis.Example:6380/3",
         {.host = "redis.example", .port = 6380, .database = 3},
         false,
         "redis://redis.example:6380/3"},
        {"redis://127.0.0.1/", {.host = "127.0.0.1"}, true, "redis://127.0.0.1"},
        {"redis://localhost:6379/0", {.host = "localhost"}, true, "redis://localhost"},
        {"redis://[::1]:7000", {.host = "::1", .port = 7000}, true, nullptr},
        {"rediss://some-user@redis.example:6380/15",
         {.by = transport::tls, .host = "redis.example", .port = 6380, .user = "some-user", .database = 15},
         true,
         nullptr},
        {"unix:///run/redis/redis.sock",
         {.by = transport::local, .port = 0, .path = "/run/redis/redis.sock"},
         true,
         nullptr},
        {"unix://me@/run/redis.sock",
         {.by = transport::local, .port = 0, .path = "/run/redis.sock", .user = "me"},
         true,
         nullptr},
    };
    for (const auto& each : rows) {
        CAPTURE(each.url);
        const auto read = parse_redis_url(each.url);
        REQUIRE(read.has_value());
        CHECK(*read == each.is);
        CHECK(read->is_private() == each.is_private);
        CHECK(read->text() == (each.text ? each.text : each.url));
    }
}

TEST_CASE("what is no URL of Redis is refused, without its password", "[cluster]")
{
    const std::string too_long(1100, 'a');
    const std::string long_path(110, 'a');
    const std::pair<std::string, const char*> rows[] = {
        {"", "does not begin with"},
        {"redis.example:6379", "does not begin with"},
        {"http://redis.example", "does not begin with"},
        {"REDIS://redis.example", "does not begin with"},
        {"redis://", "does not name a host"},
        {"redis://:6379", "does not name a host"},
        {"redis://host:0", "a port from 1"},
        {"redis://host:65536", "a port from 1"},
        {"redis://host:6379x", "a port from 1"},
        {"redis://[::1", "does not name a host"},
        {"redis://host/x", "number of a database"},
        {"redis://host/-1", "number of a database"},
        {"redis://host/65536", "number of a database"},
        {"redis://host/1/2", "number of a database"},
        {"redis://host?db=1", "number of a database"},
        {"redis://@host", "an empty user"},
        {"redis://ho st", "a blank"},
        {"redis://host\n", "a blank"},
        {"redis://" + too_long, "too long"},
        {"unix://run/redis.sock", "absolute path"},
        {"unix://", "absolute path"},
        {"unix:///run/", "plain path"},
        {"unix:///run/redis.sock?db=1", "plain path"},
        {"unix:///" + long_path, "plain path"},
        {"redis://user:hidden@host", "cluster.redisCredentialFile names"},
        {"redis://:hidden@host", "cluster.redisCredentialFile names"},
        {"redis://hid@den@host", "cluster.redisCredentialFile names"},
        {"rediss://us%65r@host", "cluster.redisCredentialFile names"},
        {"unix://user:hidden@/run/redis.sock", "cluster.redisCredentialFile names"},
    };
    for (const auto& [url, why] : rows) {
        CAPTURE(url);
        const auto read = parse_redis_url(url);
        REQUIRE_FALSE(read.has_value());
        CHECK(read.error().code == errc::invalid_request);
        CHECK(read.error().message.find(why) != std::string::npos);
        CHECK(read.error().message.find("hid") == std::string::npos);
    }
}

TEST_CASE("a credential is a password, or a user and a password", "[cluster]")
{
    const auto anybody = parse_redis_url("redis://localhost").value();
    const auto someone = parse_redis_url("redis://someone@localhost").value();
    CHECK(credential_of("secret", anybody).user.empty());
    CHECK(credential_of("secret", anybody).password == "secret");
    CHECK(credential_of("me:sec:ret", anybody).user == "me");
    CHECK(credential_of("me:sec:ret", anybody).password == "sec:ret");
    CHECK(credential_of("sec:ret", someone).user == "someone");
    CHECK(credential_of("sec:ret", someone).password == "sec:ret");
}

TEST_CASE("pauses between attempts double up to a bound, and half of each is chance", "[cluster]")
{
    CHECK(backoff(1, 5s, 0) == 50ms);
    CHECK(backoff(1, 5s, 1) == 100ms);
    CHECK(backoff(2, 5s, 0.5) == 150ms);
    CHECK(backoff(6, 5s, 1) == 3200ms);
    CHECK(backoff(7, 5s, 1) == 5s);
    CHECK(backoff(7, 5s, 0) == 2500ms);
    CHECK(backoff(1'000'000'000, 10min, 1) == 10min);
    CHECK(backoff(0, 5s, 2) == 100ms);
}
