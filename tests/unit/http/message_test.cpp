#include "http/message.hpp"

#include <catch2/catch_test_macros.hpp>

#include <memory>
#include <string>

using namespace sandboxd::http;

TEST_CASE("a body is as long as what it sends", "[http][message]")
{
    response r;
    CHECK(r.body_bytes() == 0);
    r.body = std::string{"a\0b", 3};
    CHECK(r.body_bytes() == 3);
    const auto owner = std::make_shared<const std::string>("0123456789");
    r.body = memory_slice{owner, std::string_view{*owner}.substr(2, 5)};
    CHECK(r.body_bytes() == 5);
    r.body = file_slice{.file = nullptr, .offset = 100, .bytes = 1ull << 40};
    CHECK(r.body_bytes() == 1ull << 40);
}

TEST_CASE("reason phrases are those of RFC 9110", "[http][message]")
{
    struct row {
        unsigned status;
        const char* expected;
    };
    const row rows[] = {
        {100, "Continue"},
        {200, "OK"},
        {204, "No Content"},
        {206, "Partial Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {412, "Precondition Failed"},
        {413, "Payload Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
        {0, "Unknown"},
        {299, "Unknown"},
        {1000, "Unknown"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.status);
        CHECK(reason(row.status) == row.expected);
    }
}
