#include "http/quota.hpp"

#include <arpa/inet.h>
#include <catch2/catch_test_macros.hpp>
#include <netinet/in.h>

#include <cstddef>
#include <string>
#include <utility>

using sandboxd::client_key;
using namespace sandboxd::http;
using namespace std::chrono_literals;

namespace {

peer of(const char* address)
{
    sockaddr_in v4{};
    sockaddr_in6 v6{};
    if (::inet_pton(AF_INET, address, &v4.sin_addr) == 1) {
        v4.sin_family = AF_INET;
        return tcp_peer(reinterpret_cast<const sockaddr*>(&v4), sizeof v4);
    }
    REQUIRE(::inet_pton(AF_INET6, address, &v6.sin6_addr) == 1);
    v6.sin6_family = AF_INET6;
    return tcp_peer(reinterpret_cast<const sockaddr*>(&v6), sizeof v6);
}

client_key key(const char* address) { return of(address).client; }

}  // namespace

TEST_CASE("a client is an IPv4 address or an IPv6 network", "[http][quota]")
{
    CHECK(key("192.0.2.1") == key("::ffff:192.0.2.1"));
    CHECK(key("192.0.2.1") != key("192.0.2.2"));
    CHECK(key("2001:db8:1:2::1") == key("2001:db8:1:2:ffff::9"));
    CHECK(key("2001:db8:1:2::1") != key("2001:db8:1:3::1"));
}

TEST_CASE("an address as text stands for the same client", "[http][quota]")
{
    for (const char* address : {"192.0.2.1", "::ffff:192.0.2.1", "2001:db8:1:2::1"})
        CHECK(client_of(address) == key(address));
    for (const char* none : {"", "x", "192.0.2", "192.0.2.1 ", "1.2.3.4.5", "::g", "unix:"})
        CHECK_FALSE(client_of(none));
    CHECK_FALSE(client_of(std::string(1000, '1')));
}

TEST_CASE("a peer is local by its listener alone, never for want of an address", "[http][quota]")
{
    CHECK(of("192.0.2.1").address == "192.0.2.1");
    CHECK(of("::ffff:192.0.2.1").address == "192.0.2.1");
    CHECK(of("2001:db8::1").address == "2001:db8::1");
    CHECK_FALSE(of("192.0.2.1").local);
    CHECK(unix_peer().local);
    // What accept(2) tells nothing about, or something odd.
    sockaddr nothing{};
    sockaddr other{};
    other.sa_family = AF_UNIX;
    for (const auto& [from, size] :
         {std::pair{&nothing, sizeof nothing}, std::pair{&other, sizeof other}, std::pair{&other, std::size_t{0}}}) {
        const auto unknown = tcp_peer(from, size);
        CHECK_FALSE(unknown.local);
        CHECK(unknown.client == client_key{});
        CHECK(unknown.address.empty());
    }
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
