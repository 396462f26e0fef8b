#include "api/once.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace sandboxd::api;

namespace {

waiting_preference read(std::string_view field)
{
    waiting_preference made;
    read_preference(field, made);
    return made;
}

}  // namespace

TEST_CASE("an Idempotency-Key is a string of RFC 8941, or a word", "[once]")
{
    CHECK(idempotency_key("\"8e03978e-40d5-43dd-bc93-6894a57f9324\"") == "8e03978e-40d5-43dd-bc93-6894a57f9324");
    CHECK(idempotency_key("8e03978e-40d5-43dd-bc93-6894a57f9324") == "8e03978e-40d5-43dd-bc93-6894a57f9324");
    CHECK(idempotency_key("  \"a b\"  ") == "a b");
    CHECK(idempotency_key("\"a \\\"b\\\\\"") == "a \"b\\");
    for (const auto* wrong : {"", "\"\"", "\"", "\"a", "a\"b", "\"a\"b\"", "\"a\\n\"", "\"a\\\"", "a b", "a, b", "a;b",
                              "\"caf\xc3\xa9\"", "\"a\tb\""}) {
        CAPTURE(wrong);
        CHECK_FALSE(idempotency_key(wrong));
    }
    CHECK(idempotency_key(std::string(255, 'x')));
    CHECK_FALSE(idempotency_key(std::string(256, 'x')));
}

TEST_CASE("a preference is read as RFC 7240 has it", "[once]")
{
    CHECK_FALSE(read("").respond_async);
    CHECK(read("respond-async").respond_async);
    CHECK(read("Respond-Async; foo=1").respond_async);
    CHECK(read("return=minimal, respond-async, wait=10").wait.count() == 10);
    CHECK(read("wait=\"7\",respond-async").wait.count() == 7);
    CHECK(read("wait=5, wait=6").wait.count() == 5);
    CHECK(read("wait=100000").wait.count() == 60);
    CHECK(read("wait=-1").wait.count() == 0);
    CHECK(read("wait=x, respond-asynchronously").wait.count() == 0);
    CHECK_FALSE(read("respond-asynchronously").respond_async);
}
