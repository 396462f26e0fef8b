// A tool's output is bounded, and stays JSON; a call is ended by its own client alone.
#include "api/mcp.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace sandboxd;
namespace json = boost::json;

TEST_CASE("what is too long is cut, and named", "[mcp]")
{
    bool is_cut = true;
    CHECK(api::cut_output(R"({"a":"b"})", 100, is_cut) == R"({"a":"b"})");
    CHECK(!is_cut);
    std::string hard;
    for (int i = 0; i < 3000; ++i) hard += "\"\\\n\x01\xc3\xa4\xf0\x9f\x98\x80";
    json::array lines;
    for (int i = 0; i < 5000; ++i) lines.push_back(json::object{{"id", i}, {"text", "line \"]}"}});
    json::object deep;
    for (int i = 0; i < 3000; ++i) deep["member " + std::to_string(i)] = "\"";
    for (const auto& object :
         {json::object{{"ok", true}, {"stdout", hard}, {"stderr", "short"}},
          json::object{{"lines", lines}, {"log_id", 5000}}, json::object{{"result", deep}, {"stdout", hard}}}) {
        const auto text = json::serialize(object);
        for (const std::size_t most : {4096, 4097, 5000, 16384}) {
            CAPTURE(text.substr(0, 40), most);
            const auto cut = api::cut_output(text, most, is_cut);
            CHECK(is_cut);
            CHECK(cut.size() < most + 1024);
            const auto parsed = json::parse(cut).as_object();
            for (const auto& one : object) CHECK(parsed.contains(one.key()));
            CHECK(!parsed.at("cut").as_array().empty());
            if (parsed.contains("stderr")) CHECK(parsed.at("stderr") == "short");
            if (parsed.contains("lines")) CHECK(parsed.at("lines").as_array().size() > 20);
        }
    }
}

TEST_CASE("a call is ended by its own tenant and session alone", "[mcp]")
{
    api::mcp_calls calls;
    async::stop_source first;
    async::stop_source second;
    async::stop_source nameless;
    {
        const api::mcp_calls::running a{calls, {"tenant", "session a", "1"}, first};
        const api::mcp_calls::running b{calls, {"tenant", "session b", "1"}, second};
        const api::mcp_calls::running c{calls, {"tenant", "", "1"}, nameless};
        CHECK(!calls.cancel({"tenant", "session c", "1"}));
        CHECK(!calls.cancel({"tenant", "session a", "\"1\""}));
        CHECK(!calls.cancel({"tenant", "", "1"}));
        CHECK(!calls.cancel({"other", "session a", "1"}));
        CHECK(!calls.cancel({"", "session a", "1"}));
        CHECK(!first.requested());
        CHECK(calls.cancel({"tenant", "session a", "1"}));
        CHECK(first.requested());
        CHECK(a.cancelled());
        CHECK(!second.requested());
        CHECK(!nameless.requested());
    }
    CHECK(!calls.cancel({"tenant", "session b", "1"}));
}
