// What each revision of the Model Context Protocol demands of a request, row by row of its text.
#include "mcp/revision.hpp"

#include <boost/json/parse.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <optional>
#include <string>
#include <variant>
#include <vector>

using namespace sandboxd;
namespace json = boost::json;

namespace {

constexpr const char* whole_meta =
    R"("_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}})";

using field = std::optional<std::string_view>;

std::variant<mcp::request, mcp::rpc_error> check(const std::string& text, const mcp::request_fields& fields)
{
    const auto read = mcp::read_message(text);
    REQUIRE(std::holds_alternative<mcp::rpc_message>(read));
    auto checked = mcp::check_request(std::get<mcp::rpc_message>(read), fields);
    // The slices are of `text`, which the caller keeps.
    return checked;
}

std::string call(const std::string& method, const std::string& params)
{
    return R"({"jsonrpc":"2.0","id":1,"method":")" + method + R"(","params":{)" + params + "}}";
}

struct row {
    std::string text;
    mcp::request_fields fields;
    int code;
    unsigned status;
};

}  // namespace

TEST_CASE("a stateless request names its revision twice, and they agree", "[mcp]")
{
    const std::string meta = whole_meta;
    const auto other = [&meta](const char* version) {
        auto made = meta;
        return made.replace(made.find("2026-07-28"), 10, version);
    };
    const field now = "2026-07-28";
    const std::string list = call("tools/list", meta);
    const std::string run = call("tools/call", meta + R"(,"name":"compile","arguments":{"code":"x"})");
    const std::vector<row> rows{
        {list, {.method = "tools/list"}, mcp::code::header_mismatch, 400},
        {list, {.version = "2025-11-25", .method = "tools/list"}, mcp::code::header_mismatch, 400},
        {list, {.version = now}, mcp::code::header_mismatch, 400},
        {list, {.version = now, .method = "TOOLS/LIST"}, mcp::code::header_mismatch, 400},
        {list, {.version = now, .method = "tools/call"}, mcp::code::header_mismatch, 400},
        {call("tools/list", other("v999.0.0")),
         {.version = "v999.0.0", .method = "tools/list"},
         mcp::code::unsupported_version,
         400},
        {call("tools/list", other("2025-11-25")),
         {.version = "2025-11-25", .method = "tools/list"},
         mcp::code::unsupported_version,
         400},
        {call("tools/list", ""), {.version = now, .method = "tools/list"}, mcp::code::invalid_params, 400},
        {call("tools/list", R"("_meta":{})"), {.version = now, .method = "tools/list"}, mcp::code::invalid_params, 400},
        {call("tools/list", R"("_meta":7)"), {.version = now, .method = "tools/list"}, mcp::code::invalid_params, 400},
        {call("tools/list", R"("_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"})"),
         {.version = now, .method = "tools/list"},
         mcp::code::invalid_params,
         400},
        {call("initialize", meta), {.version = now, .method = "initialize"}, mcp::code::method_not_found, 404},
        {call("ping", meta), {.version = now, .method = "ping"}, mcp::code::method_not_found, 404},
        {call("x", meta), {.version = now, .method = "x"}, mcp::code::method_not_found, 404},
        {run, {.version = now, .method = "tools/call"}, mcp::code::header_mismatch, 400},
        {run, {.version = now, .method = "tools/call", .name = "deploy"}, mcp::code::header_mismatch, 400},
        {run,
         {.version = now, .method = "tools/call", .name = "=?base64?Y29tcGlsZ?="},
         mcp::code::header_mismatch,
         400},
        {run, {.version = now, .method = "tools/call", .name = "compile\xc3\xa4"}, mcp::code::header_mismatch, 400},
        {call("tools/call", meta), {.version = now, .method = "tools/call"}, mcp::code::invalid_params, 200},
        {call("tools/call", meta + R"(,"name":"a","arguments":[])"),
         {.version = now, .method = "tools/call", .name = "a"},
         mcp::code::invalid_params,
         200},
        {call("tools/call", meta + R"(,"name":"a","name":"b")"),
         {.version = now, .method = "tools/call", .name = "a"},
         mcp::code::invalid_params,
         400},
    };
    for (const auto& [text, fields, code, status] : rows) {
        CAPTURE(text, fields.version.value_or("-"), fields.method.value_or("-"), fields.name.value_or("-"));
        const auto checked = check(text, fields);
        REQUIRE(std::holds_alternative<mcp::rpc_error>(checked));
        const auto& why = std::get<mcp::rpc_error>(checked);
        CHECK(why.code == code);
        CHECK(why.status == status);
        CHECK(why.id == "1");
        if (code == mcp::code::unsupported_version)
            CHECK(json::parse(why.data).at("supported") == json::value(json::array{"2026-07-28"}));
    }
    for (const auto* name : {"compile", "=?base64?Y29tcGlsZQ==?="}) {
        const auto checked = check(run, {.version = now, .method = "tools/call", .name = name});
        REQUIRE(std::holds_alternative<mcp::request>(checked));
        const auto& asked = std::get<mcp::request>(checked);
        CHECK(asked.stateless);
        CHECK(asked.name == "compile");
        CHECK(asked.arguments == R"({"code":"x"})");
    }
}

TEST_CASE("after initialize, a request names its revision in the header alone", "[mcp]")
{
    const auto hello = call("initialize", R"("protocolVersion":"2025-11-25","capabilities":{})");
    const auto begun = check(hello, {});
    REQUIRE(std::holds_alternative<mcp::request>(begun));
    const auto result = mcp::initialize_result(std::get<mcp::request>(begun), {"1.2.3", "do"});
    CHECK(result.at("protocolVersion") == "2025-11-25");
    CHECK(result.at("serverInfo").at("version") == "1.2.3");
    for (const auto& [wanted, given] : {std::pair{"2025-06-18", "2025-06-18"}, std::pair{"2024-11-05", "2025-11-25"},
                                        std::pair{"2026-07-28", "2025-11-25"}}) {
        mcp::request asked;
        asked.wanted_revision = wanted;
        CHECK(mcp::initialize_result(asked, {}).at("protocolVersion") == given);
    }
    const std::string list = call("tools/list", R"("_meta":{"progressToken":"p"})");
    for (const auto* version : {"2025-11-25", "2025-06-18"}) {
        const auto checked = check(list, {.version = version, .session = "s"});
        REQUIRE(std::holds_alternative<mcp::request>(checked));
        CHECK(!std::get<mcp::request>(checked).stateless);
        CHECK(std::get<mcp::request>(checked).session == "s");
        CHECK(std::get<mcp::request>(checked).progress_token == "\"p\"");
    }
    const std::vector<row> rows{
        {list, {}, mcp::code::header_mismatch, 400},
        {list, {.version = "2024-11-05"}, mcp::code::unsupported_version, 400},
        {hello, {.version = "2026-07-28"}, mcp::code::header_mismatch, 400},
        {call("initialize", ""), {}, mcp::code::invalid_params, 200},
        {call("server/discover", ""), {.version = "2025-11-25"}, mcp::code::method_not_found, 200},
        {call("prompts/list", ""), {.version = "2025-11-25"}, mcp::code::method_not_found, 200},
        {call("tools/list", R"("_meta":{"progressToken":{}})"),
         {.version = "2025-11-25"},
         mcp::code::invalid_params,
         200},
        {list, {.version = "2025-11-25", .session = ""}, mcp::code::invalid_request, 400},
        {list, {.version = "2025-11-25", .session = "a b"}, mcp::code::invalid_request, 400},
        {R"({"jsonrpc":"2.0","id":1,"result":{}})", {.version = "2025-11-25"}, mcp::code::invalid_request, 400},
    };
    for (const auto& [text, fields, code, status] : rows) {
        CAPTURE(text, fields.version.value_or("-"));
        const auto checked = check(text, fields);
        REQUIRE(std::holds_alternative<mcp::rpc_error>(checked));
        CHECK(std::get<mcp::rpc_error>(checked).code == code);
        CHECK(std::get<mcp::rpc_error>(checked).status == status);
    }
}

TEST_CASE("a cancellation that is malformed names nothing", "[mcp]")
{
    const auto cancelled = [](const std::string& params) {
        const auto text = R"({"jsonrpc":"2.0","method":"notifications/cancelled","params":{)" + params + "}}";
        const auto checked = check(text, {.version = "2025-11-25", .session = "s"});
        REQUIRE(std::holds_alternative<mcp::request>(checked));
        CHECK(std::get<mcp::request>(checked).is_notification);
        return std::get<mcp::request>(checked).cancelled;
    };
    CHECK(cancelled(R"("requestId":"\u0061")") == "\"a\"");
    CHECK(cancelled(R"("requestId":7)") == "7");
    CHECK(cancelled("").empty());
    CHECK(cancelled(R"("requestId":{})").empty());
    CHECK(cancelled(R"("requestId":1,"requestId":2)").empty());
}

TEST_CASE("a result has what its revision adds", "[mcp]")
{
    mcp::request asked;
    asked.id = "1";
    const auto told =
        json::parse(mcp::complete(asked, {"1", ""}, json::object{{"tools", json::array{}}}, mcp::caching::list));
    const auto& result = told.at("result");
    CHECK(result.at("resultType") == "complete");
    CHECK(result.at("_meta").at("io.modelcontextprotocol/serverInfo").at("name") == "sandboxd");
    CHECK(result.at("ttlMs").as_int64() > 0);
    CHECK(result.at("cacheScope") == "public");
    asked.stateless = false;
    CHECK(mcp::complete(asked, {"1", ""}, json::object{}, mcp::caching::list) ==
          R"({"jsonrpc":"2.0","id":1,"result":{}})");
    asked.progress_token = "\"p\"";
    CHECK(
        mcp::progress_message(asked, 3, "a\"b") ==
        R"({"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":3,"message":"a\"b"}})");
}

TEST_CASE("a client adds the fields that the server demands", "[mcp]")
{
    for (const auto& [name, field_text] :
         {std::pair{"compile", "compile"}, std::pair{"h\u00e9", "=?base64?aMOp?="}, std::pair{" a", "=?base64?IGE=?="},
          std::pair{"=?base64?YQ==?=", "=?base64?PT9iYXNlNjQ/WVE9PT89?="}}) {
        CAPTURE(name);
        const auto text = call("tools/call", std::string{whole_meta} + R"(,"name":")" + name + "\"");
        const auto read = mcp::read_message(text);
        const auto fields = mcp::fields_of(std::get<mcp::rpc_message>(read), "2025-11-25");
        CHECK(fields.name == field_text);
        CHECK(fields.stateless);
        CHECK(std::holds_alternative<mcp::request>(
            check(text, {.version = fields.version, .method = fields.method, .name = fields.name})));
    }
    const auto list = call("tools/list", "");
    const auto read = mcp::read_message(list);
    CHECK(mcp::fields_of(std::get<mcp::rpc_message>(read), "2025-11-25").version == "2025-11-25");
    const auto hello = call("initialize", "");
    const auto begun = mcp::read_message(hello);
    CHECK(mcp::fields_of(std::get<mcp::rpc_message>(begun), "2025-11-25").version.empty());
}
