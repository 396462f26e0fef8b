#include "http/quota.hpp"

#include <arpa/inet.h>
#include <catch2/catch_test_macros.hpp>
#include <netinet/in.h>

#include <cstring>

using namespace sandboxd::http;
using namespace std::chrono_literals;

namespace {

client_key key(const char* address)
{
    sockaddr_storage peer{};
    sockaddr_in v4{};
    sockaddr_in6 v6{};
    if (::inet_pton(AF_INET, address, &v4.sin_addr) == 1) {
        v4.sin_family = AF_INET;
        std::memcpy(&peer, &v4, sizeof v4);
    } else {
        REQUIRE(::inet_pton(AF_INET6, address, &v6.sin6_addr) == 1);
        v6.sin6_family = AF_INET6;
        std::memcpy(&peer, &v6, sizeof v6);
    }
    const auto made = key_of(peer);
    REQUIRE(made);
    return *made;
}

}  // namespace

TEST_CASE("a client is an IPv4 address or an IPv6 network", "[http][quota]")
{
    CHECK(key("192.0.2.1") == key("::ffff:192.0.2.1"));
    CHECK(key("192.0.2.1") != key("192.0.2.2"));
    CHECK(key("2001:db8:1:2::1") == key("2001:db8:1:2:ffff::9"));
    CHECK(key("2001:db8:1:2::1") != key("2001:db8:1:3::1"));
    sockaddr_storage local{};
    local.ss_family = AF_UNIX;
    CHECK_FALSE(key_of(local));
}

TEST_CASE("a client has so many requests a minute, and the next ones afterwards", "[http][quota]")
{
    quota limit{2};
    const quota::clock::time_point start{1h};
    const auto one = key("192.0.2.1");
    CHECK(limit.take(one, start) == 0s);
    CHECK(limit.take(one, start + 10s) == 0s);
    CHECK(limit.take(one, start + 10s) == 50s);
    CHECK(limit.take(one, start + 59'500ms) == 1s);
    CHECK(limit.take(key("192.0.2.2"), start + 10s) == 0s);
    CHECK(limit.take(one, start + 60s) == 0s);
    CHECK(limit.take(one, start + 60s) == 0s);
    CHECK(limit.take(one, start + 60s) == 60s);
}

TEST_CASE("memory for clients is bounded, and given back", "[http][quota]")
{
    quota limit{1, 3};
    const quota::clock::time_point start{1h};
    for (const char* address : {"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"})
        CHECK(limit.take(key(address), start) == 0s);
    CHECK(limit.clients() == 3);
    CHECK(limit.take(key("192.0.2.4"), start) > 0s);
    CHECK(limit.take(key("192.0.2.1"), start) == 0s);  // was forgotten
    CHECK(limit.take(key("192.0.2.1"), start + 61s) == 0s);
    CHECK(limit.clients() == 1);
}
