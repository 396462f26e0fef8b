// JSON-RPC as the Model Context Protocol has it: which texts are messages, and what is said of those that are not.
#include "mcp/rpc.hpp"

#include <boost/json/parse.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <string>
#include <variant>

using namespace sandboxd;
using mcp::rpc_error;
using mcp::rpc_message;
namespace json = boost::json;

namespace {

struct refused_row {
    std::string text;
    int code;
    std::string id{};
    std::string says{};
};

}  // namespace

TEST_CASE("a message is a request, a notification or a response", "[mcp]")
{
    const std::string request =
        "{ \"params\" : {\"a\": [1, \"}\", {\"b\": \"\\\"\"}]} , \"method\":\"tools\\/call\",\"id\" : \"\\u0061\",\"jsonrpc\":\"2.0\" }";
    const auto read = mcp::read_message(request);
    const auto& message = std::get<rpc_message>(read);
    CHECK(message.what == rpc_message::kind::request);
    CHECK(message.id == "\"a\"");
    CHECK(message.method == "tools/call");
    CHECK(message.params == "{\"a\": [1, \"}\", {\"b\": \"\\\"\"}]}");
    const std::string told = R"({"jsonrpc":"2.0","method":"x"})";
    CHECK(std::get<rpc_message>(mcp::read_message(told)).what == rpc_message::kind::notification);
    CHECK(std::get<rpc_message>(mcp::read_message(told)).params == "{}");
    const std::string answer = R"({"jsonrpc":"2.0","id":-7,"result":{}})";
    CHECK(std::get<rpc_message>(mcp::read_message(answer)).what == rpc_message::kind::response);
    CHECK(std::get<rpc_message>(mcp::read_message(answer)).id == "-7");
}

TEST_CASE("what is no message is refused by its kind", "[mcp]")
{
    const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
    const std::vector<refused_row> rows{
        {"", mcp::code::parse_error},
        {"{", mcp::code::parse_error},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\xff\"}", mcp::code::parse_error},
        {R"({"jsonrpc":"2.0","id":1,"method":"x"} x)", mcp::code::parse_error},
        {"{\"a\":" + deep + "}", mcp::code::parse_error},
        {R"([{"jsonrpc":"2.0","id":1,"method":"x"}])", mcp::code::invalid_request, "", "batches"},
        {"[]", mcp::code::invalid_request, "", "batches"},
        {"7", mcp::code::invalid_request, "", "object"},
        {"{}", mcp::code::invalid_request, "", "jsonrpc"},
        {R"({"jsonrpc":"1.0","id":1,"method":"x"})", mcp::code::invalid_request, "1", "jsonrpc"},
        {R"({"jsonrpc":"2.0","id":1})", mcp::code::invalid_request, "1", "no method"},
        {R"({"jsonrpc":"2.0","id":1,"method":7})", mcp::code::invalid_request, "1", "method"},
        {R"({"jsonrpc":"2.0","id":1,"method":"x","params":[]})", mcp::code::invalid_request, "1", "params"},
        {R"({"jsonrpc":"2.0","id":1,"method":"x","params":null})", mcp::code::invalid_request, "1", "params"},
        {R"({"jsonrpc":"2.0","id":null,"method":"x"})", mcp::code::invalid_request, "", "id"},
        {R"({"jsonrpc":"2.0","id":1.5,"method":"x"})", mcp::code::invalid_request, "", "id"},
        {R"({"jsonrpc":"2.0","id":{},"method":"x"})", mcp::code::invalid_request, "", "id"},
        {R"({"jsonrpc":"2.0","id":")" + std::string(257, 'a') + R"(","method":"x"})", mcp::code::invalid_request, "",
         "256"},
        {R"({"jsonrpc":"2.0","id":1,"method":"x","method":"y"})", mcp::code::invalid_request, "", "twice"},
        {R"({"jsonrpc":"2.0","id":1,"method":"x","\u006dethod":"y"})", mcp::code::invalid_request, "", "twice"},
        {R"({"jsonrpc":"2.0","id":1,"result":{},"error":{}})", mcp::code::invalid_request, "1"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text.substr(0, 100));
        const auto read = mcp::read_message(row.text);
        REQUIRE(std::holds_alternative<rpc_error>(read));
        const auto& why = std::get<rpc_error>(read);
        CHECK(why.code == row.code);
        CHECK(why.status == 400);
        CHECK(why.id == row.id);
        CHECK(why.message.find(row.says) != std::string::npos);
        CHECK_NOTHROW(json::parse(mcp::error_message(why)));
    }
    std::string many = R"({"jsonrpc":"2.0","id":1,"method":"x","params":{)";
    for (int i = 0; i < 200; ++i) many += "\"" + std::to_string(i) + "\":0,";
    many += "\"z\":0}}";
    CHECK(std::get<rpc_error>(mcp::read_message(many, {.max_depth = 32, .max_members = 100})).code ==
          mcp::code::invalid_request);
}

TEST_CASE("an id keeps its kind", "[mcp]")
{
    CHECK(mcp::id_of("1") == "1");
    CHECK(mcp::id_of("\"1\"") == "\"1\"");
    CHECK(mcp::id_of("-9223372036854775807") == "-9223372036854775807");
    for (const auto* wrong : {"", "1e3", "1.0", "true", "null", "[1]", "-", "12345678901234567890"})
        CHECK(!mcp::id_of(wrong));
    CHECK(mcp::id_of("\"" + std::string(256, 'x') + "\""));
    CHECK(!mcp::id_of("\"" + std::string(257, 'x') + "\""));
}

TEST_CASE("what is written is JSON-RPC", "[mcp]")
{
    CHECK(mcp::result_message("\"a\"", "{}") == R"({"jsonrpc":"2.0","id":"a","result":{}})");
    CHECK(mcp::error_message({.code = -32601, .message = "no \"x\"", .data = "{}", .id = "1"}) ==
          R"({"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no \"x\"","data":{}}})");
    CHECK(mcp::error_message({.code = -32700, .message = "m"}) ==
          R"({"jsonrpc":"2.0","error":{"code":-32700,"message":"m"}})");
    CHECK(mcp::notification_message("n", "{}") == R"({"jsonrpc":"2.0","method":"n","params":{}})");
}

TEST_CASE("an object is read in pieces of every size", "[mcp]")
{
    const std::string object =
        R"( { "a" : "x\"y\\" , "b:,":[1,{"c":"}]"},"]"], "d":{"e":{}}, "f":-1.5e3 ,"g":null,"h":"" } )";
    const auto whole = mcp::members_of(object);
    REQUIRE(whole.size() == 6);
    CHECK(whole[0].name == R"("a")");
    CHECK(whole[0].value == R"("x\"y\\")");
    CHECK(whole[1].name == R"("b:,")");
    CHECK(whole[1].value == R"([1,{"c":"}]"},"]"])");
    CHECK(whole[3].value == "-1.5e3");
    CHECK(whole[5].value == R"("")");
    for (std::size_t bytes = 1; bytes < object.size(); ++bytes) {
        mcp::member_reader reader{object};
        std::size_t reads = 1;
        while (!reader.read(bytes)) ++reads;
        CHECK(reads <= object.size() / bytes + 1);
        REQUIRE(reader.found().size() == whole.size());
        for (std::size_t i = 0; i < whole.size(); ++i) CHECK(reader.found()[i].value == whole[i].value);
    }
    CHECK(mcp::members_of("{}").empty());
    CHECK(mcp::members_of(" { } ").empty());
}
