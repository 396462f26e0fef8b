#include "http/address.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <string_view>

using namespace sandboxd;
using namespace sandboxd::http;
using namespace std::string_literals;

namespace {

std::string described(const address& where)
{
    if (const auto* tcp = std::get_if<tcp_address>(&where)) return "tcp " + tcp->host + " " + std::to_string(tcp->port);
    return "unix " + std::get<unix_address>(where).path;
}

}  // namespace

TEST_CASE("addresses that can be listened on", "[http][address]")
{
    struct row {
        const char* given;
        const char* expected;
    };
    const row rows[] = {
        {":8080", "tcp  8080"},
        {":0", "tcp  0"},
        {":65535", "tcp  65535"},
        {"localhost:3000", "tcp localhost 3000"},
        {"0.0.0.0:8080", "tcp 0.0.0.0 8080"},
        {"[::1]:8080", "tcp ::1 8080"},
        {"[::]:80", "tcp :: 80"},
        {"[fe80::1%eth0]:80", "tcp fe80::1%eth0 80"},
        {"unix:/run/sandboxd.sock", "unix /run/sandboxd.sock"},
        {"unix:/a:b", "unix /a:b"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.given);
        const auto where = parse_address(row.given);
        REQUIRE(where.has_value());
        CHECK(described(*where) == row.expected);
    }
    const auto longest = "unix:/" + std::string(106, 'a');  // 107 bytes and the NUL: sun_path has 108
    CHECK(parse_address(longest).has_value());
    CHECK_FALSE(parse_address(longest + "a").has_value());
}

TEST_CASE("what is no address is refused, with what is wrong and what one looks like", "[http][address]")
{
    struct row {
        std::string given;
        const char* why;
    };
    const row rows[] = {
        {"", "has no port"},
        {"8080", "is a port without the colon before it; write ':8080'"},
        {"localhost", "has no port"},
        {":", "has no port between"},
        {"localhost:", "has no port between"},
        {":http", "has no port between"},
        {":-1", "has no port between"},
        {":+1", "has no port between"},
        {":65536", "has no port between"},
        {":8080x", "has no port between"},
        {": 8080", "has no port between"},
        {":8080 ", "has no port between"},
        {":0x50", "has no port between"},
        {":99999999999999999999", "has no port between"},
        {"http://localhost:8080", "is a URL; leave its scheme and path out"},
        {"https://[::1]:1/", "is a URL"},
        {"::1:8080", "brackets"},
        {"::", "has no port between"},
        {"a:b:80", "brackets"},
        {"[::1:8080", "brackets"},
        {"[::1]", "has no port between"},
        {"[]:8080", "brackets"},
        {"[localhost:8080", "brackets"},
        {"localhost]:8080", "brackets"},
        {"unix:", "absolute path"},
        {"unix:relative", "absolute path"},
        {"unix:./a", "absolute path"},
        {"unix:/" + std::string(200, 'a'), "too long"},
        {"unix:/a\0b"s, "NUL"},
        {"a\0b:80"s, "NUL"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.given);
        const auto where = parse_address(row.given);
        REQUIRE_FALSE(where.has_value());
        CHECK(where.error().code == errc::invalid_request);
        CAPTURE(where.error().message);
        CHECK(where.error().message.find(row.why) != std::string::npos);
        CHECK(where.error().message.find("'" + row.given + "'") != std::string::npos);
        CHECK(where.error().message.find("'unix:/path'") != std::string::npos);
    }
}
