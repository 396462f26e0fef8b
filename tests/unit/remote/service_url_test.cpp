#include "remote/service_url.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <string>
#include <string_view>

using namespace sandboxd::remote;

TEST_CASE("the URL of a service", "[remote]")
{
    struct row {
        const char* url;
        service_url read;
        const char* authority;
        const char* text;
    };
    const row rows[] = {
        {"http://cache", {false, "cache", 80, ""}, "cache", "http://cache"},
        {"https://Cache.Example.org/",
         {true, "cache.example.org", 443, ""},
         "cache.example.org",
         "https://cache.example.org"},
        {"http://10.0.0.1:8080/a/b-1//",
         {false, "10.0.0.1", 8080, "/a/b-1"},
         "10.0.0.1:8080",
         "http://10.0.0.1:8080/a/b-1"},
        {"https://[::1]:8443/x", {true, "::1", 8443, "/x"}, "[::1]:8443", "https://[::1]:8443/x"},
        {"http://cache:80", {false, "cache", 80, ""}, "cache", "http://cache"},
    };
    for (const auto& one : rows) {
        CAPTURE(one.url);
        const auto got = parse_service_url(one.url);
        REQUIRE(got.has_value());
        CHECK(*got == one.read);
        CHECK(got->authority() == one.authority);
        CHECK(got->text() == one.text);
    }
    for (const std::string url : {"",
                                  "cache",
                                  "ftp://cache",
                                  "http://",
                                  "http:///x",
                                  "http://ca che",
                                  "http://cache:",
                                  "http://cache:0",
                                  "http://cache:65536",
                                  "http://cache:8o",
                                  "http://cache/x?y",
                                  "http://cache/x#y",
                                  "http://cache?x",
                                  "http://cache/a/../b",
                                  "http://cache/./b",
                                  "http://cache//a",
                                  "http://cache/%2e",
                                  "http://cache/a\r\nX: y",
                                  "http://[::1",
                                  "http://[x]",
                                  "http://[::1%eth0]",
                                  "http://-x",
                                  "http://.x",
                                  "http://a_b",
                                  "HTTP://cache",
                                  "http://c\xc3\xa4"}) {
        CAPTURE(url);
        CHECK(parse_service_url(url).has_error());
    }
    const auto secret = parse_service_url("https://me:hunter2@cache");
    REQUIRE(secret.has_error());
    CHECK(secret.error().message.find("hunter2") == std::string::npos);

    CHECK(parse_service_url("http://localhost:1")->is_loopback());
    CHECK(parse_service_url("http://127.1.2.3")->is_loopback());
    CHECK(parse_service_url("http://[::1]")->is_loopback());
    CHECK_FALSE(parse_service_url("http://localhost.example")->is_loopback());
    CHECK_FALSE(parse_service_url("http://10.0.0.1")->is_loopback());
}

TEST_CASE("a credential as an Authorization field", "[remote]")
{
    CHECK(authorization_of("Bearer abc.DEF-1~+/=").value() == "Bearer abc.DEF-1~+/=");
    CHECK(authorization_of("Basic user:pass word").value() == "Basic dXNlcjpwYXNzIHdvcmQ=");
    for (const std::string text : {"", "abc", "Bearer ", "Bearer a b", "Bearer a\r\nX: y", "Basic user", "bearer abc",
                                   "Basic a:b\n", "Basic \x01:b", "Digest a:b"}) {
        CAPTURE(text);
        const auto got = authorization_of(text);
        REQUIRE(got.has_error());
        if (text.size() > 8) CHECK(got.error().message.find(text.substr(7)) == std::string::npos);
    }
}
