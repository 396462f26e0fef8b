#include "http/forwarded.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <string_view>

using sandboxd::http::last_hop;

TEST_CASE("the last hop is the address that the last proxy has seen", "[http]")
{
    struct row {
        std::string_view field;
        std::string_view address;
    };
    const row rows[] = {
        {"192.0.2.1", "192.0.2.1"},
        {"198.51.100.9, 192.0.2.1", "192.0.2.1"},
        {"198.51.100.9,\t192.0.2.1 ", "192.0.2.1"},
        // Some proxies name the port.
        {"192.0.2.1:443", "192.0.2.1"},
        {"2001:db8::1", "2001:db8::1"},
        {"[2001:db8::1]", "2001:db8::1"},
        {"[2001:db8::1]:443", "2001:db8::1"},
        // No address.
        {"", ""},
        {"192.0.2.1,", ""},
        {"unknown", ""},
        {"192.0.2", ""},
        {"192.0.2.1.example", ""},
        {"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb", ""},
    };
    for (const auto& [field, address] : rows) {
        CAPTURE(field);
        CHECK(last_hop(field) == address);
    }
}
