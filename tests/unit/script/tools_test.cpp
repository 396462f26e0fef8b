#include "script/frame.hpp"
#include "script/tool_names.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

using namespace sandboxd;

namespace {

std::string fault(const std::vector<std::string>& names) { return script::fault_of_tool_names(names); }

}  // namespace

TEST_CASE("tool names are identifiers with dots between", "[script][tools]")
{
    CHECK(fault({}).empty());
    CHECK(fault({"search", "orders.get", "orders.list", "a.b.c.d.e.f.g.h", "_x", "$", "order", "orders2.get"}).empty());
    CHECK(fault({"a", "a$b", "a$.c"}).empty());
    CHECK(fault({std::string(128, 'a')}).empty());
    for (const auto* const wrong :
         {"", ".", "a.", ".a", "a..b", "1a", "a-b", "a b", "a[0]", "\xc3\xa4", "\xff", "a\nb", "a.b.c.d.e.f.g.h.i"}) {
        CAPTURE(wrong);
        CHECK_FALSE(fault({wrong}).empty());
    }
    CHECK(fault({std::string{"a\0b", 3}}).find("is not a name") != std::string::npos);
    CHECK(fault({std::string(129, 'a')}).find("128 bytes") != std::string::npos);
}

TEST_CASE("tool names are not those that the language looks up", "[script][tools]")
{
    for (const auto* const wrong : {"__proto__", "a.__proto__", "constructor", "a.constructor.b", "prototype", "then",
                                    "a.then", "toJSON", "toString", "valueOf", "__defineGetter__", "hasOwnProperty"}) {
        CAPTURE(wrong);
        CHECK(fault({wrong}).find("rename it") != std::string::npos);
    }
}

TEST_CASE("no tool is the beginning of another's path, and none comes twice", "[script][tools]")
{
    CHECK(fault({"a", "b", "a"}).find("'a' comes twice") != std::string::npos);
    CHECK(fault({"orders.get", "x", "orders"}).find("'orders' cannot be both") != std::string::npos);
    CHECK(fault({"a.b", "a.b.c", "a.b$c"}).find("'a.b' cannot be both") != std::string::npos);
}

// A script may have taken over its worker.
TEST_CASE("an answer with calls that the request does not allow is not believed", "[script][tools][hostile]")
{
    script::run_request request;
    request.tools = {"a", "b.c"};
    request.max_calls = 2;
    request.limits.result_bytes = 1'000;
    request.image_bytes = 100;
    request.resumed.emplace().fuel_used = 50;
    script::run_answer answer;
    answer.status = script::run_status::pending;
    answer.fuel_used = 60;
    answer.image = "image";
    answer.calls = {{1, "a", "[1]"}, {4, "b.c", R"(["x", {}])"}};
    const auto told = [&] {
        const auto frame = script::encode_frame(answer, 7);
        const auto read = script::decode_answer(std::string_view{frame}.substr(script::frame_header_bytes));
        return read && script::keeps_to(read->message, request);
    };
    CHECK(told());
    CHECK(script::frame_size(script::encode_frame(answer, 7)) <= script::max_answer_bytes(request));
    SECTION("another name") { answer.calls[0].name = "b"; }
    SECTION("no array") { answer.calls[0].arguments = "{}"; }
    SECTION("no JSON") { answer.calls[0].arguments = "[1"; }
    SECTION("no UTF-8") { answer.calls[0].arguments = "[\"\xff\"]"; }
    SECTION("a number twice") { answer.calls[1].id = 1; }
    SECTION("no number") { answer.calls[0].id = 0; }
    SECTION("too many") { answer.calls.push_back({9, "a", "[]"}); }
    SECTION("too long") { answer.calls[0].arguments = "[\"" + std::string(1'000, 'x') + "\"]"; }
    SECTION("none, and pending") { answer.calls.clear(); }
    SECTION("some, and not pending") { answer.status = script::run_status::ok; }
    SECTION("less fuel than before") { answer.fuel_used = 49; }
    SECTION("more fuel than there is") { answer.fuel_used = request.limits.fuel + request.limits.init_fuel + 1; }
    SECTION("a longer image") { answer.image.assign(101, 'x'); }
    SECTION("a clock that nobody asked for") { answer.told_time = std::chrono::microseconds{1}; }
    CHECK_FALSE(told());
}

TEST_CASE("requests with tools arrive as they were sent", "[script][tools]")
{
    script::run_request request;
    request.tools = {"a", "b.c"};
    request.max_calls = 2;
    request.resumed = {.image = "image", .results = "{}", .fuel_used = 5, .wall = std::chrono::microseconds{6}};
    request.clock_ms = 7;
    request.seed = 0;
    const auto frame = script::encode_frame(request, 1);
    const auto read = script::decode_request(std::string_view{frame}.substr(script::frame_header_bytes));
    REQUIRE(read.has_value());
    const auto& got = read->message;
    CHECK(got.tools == request.tools);
    CHECK(got.max_calls == 2);
    REQUIRE(got.resumed);
    CHECK(got.resumed->image == "image");
    CHECK(got.resumed->results == "{}");
    CHECK(got.resumed->fuel_used == 5);
    CHECK(got.resumed->wall.count() == 6);
    CHECK(got.clock_ms == 7);
    CHECK(got.seed == 0);
}
