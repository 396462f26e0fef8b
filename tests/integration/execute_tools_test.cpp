// Scripts that call tools, over HTTP: what a client and what a hostile client make of it.
#include "support/eventually.hpp"
#include "support/http_client.hpp"
#include "support/server_process.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <vector>

using namespace sandboxd::test;
namespace json = boost::json;

namespace {

server_options with_tools(const std::string& members)
{
    server_options how;
    how.config = std::string{no_toolchain} + ", \"js\": {" + members + "}";
    how.wait_ready = false;
    how.js = true;
    return how;
}

class tool_server : public server_process {
public:
    explicit tool_server(const std::string& members = {}) : server_process{with_tools(members)}
    {
        REQUIRE(eventually([this] { return http_client{*this}.get("/api/health").status == 200; }));
    }
};

std::string word(const json::value& of, std::string_view member)
{
    const auto& found = of.at(member).as_string();
    return {found.data(), found.size()};
}

http_answer begin(http_client& client, std::string_view script, json::object more = {})
{
    more["script"] = script;
    if (!more.contains("tools")) more["tools"] = json::array{"search", "orders.get"};
    return client.post("/execute", std::move(more));
}

http_answer go_on(http_client& client, const json::value& waiting, json::array results, bool keep = false)
{
    json::object body{{"continuation", waiting.at("continuation")}, {"results", std::move(results)}};
    if (keep) body["keep"] = true;
    return client.post("/execute/continue", std::move(body));
}

json::object value(int id, json::value what) { return {{"id", id}, {"value", std::move(what)}}; }

}  // namespace

TEST_CASE("execute: a script waits for its tools, call after call", "[js][tools]")
{
    const tool_server server;
    http_client client{server};
    auto answer = begin(client,
                        "console.log('begins'); const [a, b] = await Promise.all([tools.search('x'), "
                        "tools.orders.get(7, {deep: [1]})]); console.log('has both');"
                        "const c = await tools.search(a + b); console.error('ends'); ({ a, b, c })");
    REQUIRE(answer.status == 200);
    auto body = answer.json();
    CHECK(word(body, "status") == "PENDING");
    CHECK(json::serialize(body.at("calls")) ==
          R"([{"id":1,"name":"search","arguments":["x"]},{"id":2,"name":"orders.get","arguments":[7,{"deep":[1]}]}])");
    CHECK(word(body, "continuation").size() == 64);
    CHECK(word(body, "stdout") == "begins\n");
    const auto fuel = body.at("usage").at("fuel").to_number<std::int64_t>();
    CHECK(server.metric("sandboxd_js_continuations") == 1);
    CHECK(server.metric("sandboxd_js_continuation_bytes") > 1'000);

    answer = go_on(client, body, {value(2, 20), value(1, 10)});
    REQUIRE(answer.status == 200);
    const auto second = answer.json();
    CHECK(word(second, "status") == "PENDING");
    CHECK(json::serialize(second.at("calls")) == R"([{"id":3,"name":"search","arguments":[30]}])");
    CHECK(word(second, "stdout") == "begins\nhas both\n");
    CHECK(second.at("usage").at("fuel").to_number<std::int64_t>() > fuel);

    answer = go_on(client, second, {{{"id", 3}, {"value", {{"list", {1, 2}}}}}});
    CHECK(answer.status == 200);
    const auto last = answer.json();
    CHECK(word(last, "status") == "OK");
    CHECK(json::serialize(last.at("result")) == R"({"a":10,"b":20,"c":{"list":[1,2]}})");
    CHECK(word(last, "stdout") == "begins\nhas both\n");
    CHECK(word(last, "stderr") == "ends\n");
    CHECK(server.metric("sandboxd_js_continuations") == 0);
    CHECK(server.metric("sandboxd_js_continuation_bytes") == 0);
    CHECK(server.metric("sandboxd_js_continuations_total") == 2);
}

TEST_CASE("execute: a continuation is used once, and can be kept", "[js][tools]")
{
    const tool_server server;
    http_client client{server};
    const auto waiting = begin(client, "let n = 1; n += await tools.search(); n").json();
    CHECK(go_on(client, waiting, {value(1, 1)}, true).json().at("result") == 2);
    CHECK(go_on(client, waiting, {value(1, 10)}, true).json().at("result") == 11);
    CHECK(go_on(client, waiting, {value(1, 100)}).json().at("result") == 101);
    const auto again = go_on(client, waiting, {value(1, 1)});
    CHECK(again.status == 409);
    CHECK(word(again.json(), "code") == "continuation_used");
}

TEST_CASE("execute: the error of a tool is a rejected promise", "[js][tools]")
{
    const tool_server server;
    http_client client{server};
    const std::string script = "try { await tools.search() } catch (e) { e instanceof Error && e.message }";
    CHECK(
        go_on(client, begin(client, script).json(), {{{"id", 1}, {"error", "not \xc3\xa4gain"}}}).json().at("result") ==
        "not \xc3\xa4gain");
    const auto thrown = go_on(client, begin(client, "await tools.search()").json(), {{{"id", 1}, {"error", "no"}}});
    CHECK(thrown.status == 400);
    CHECK(word(thrown.json(), "message") == "Error: no");
}

TEST_CASE("execute: wrong results are refused and leave the continuation as it was", "[js][tools]")
{
    const tool_server server;
    http_client client{server};
    const auto waiting = begin(client, "(await Promise.all([tools.search(), tools.search()])).length").json();
    const std::vector<json::array> wrong{
        {},
        {value(1, 1)},
        {value(1, 1), value(3, 1)},
        {value(1, 1), value(1, 1)},
        {value(1, 1), value(2, 1), value(3, 1)},
        {value(1, 1), {{"id", 2}}},
        {value(1, 1), {{"id", 2}, {"value", 1}, {"error", "both"}}},
        {value(1, 1), {{"id", 2}, {"error", 5}}},
        {value(1, 1), {{"id", -2}, {"value", 5}}},
        {1, 2},
    };
    for (const auto& results : wrong) {
        CAPTURE(json::serialize(results));
        const auto answer = go_on(client, waiting, results);
        CHECK(answer.status == 400);
        CHECK(word(answer.json(), "code") == "invalid_request");
    }
    CHECK(go_on(client, waiting, {value(1, nullptr), value(2, nullptr)}).json().at("result") == 2);
}

TEST_CASE("execute: wrong names of tools, and what goes with them", "[js][tools]")
{
    const tool_server server{R"("maxTools": 3)"};
    http_client client{server};
    for (const json::array& names :
         {json::array{"a", "a"}, json::array{"a.b", "a"}, json::array{"__proto__"}, json::array{"a.constructor"},
          json::array{"then"}, json::array{"a-b"}, json::array{""}, json::array{1}, json::array{"a", "b", "c", "d"}}) {
        CAPTURE(json::serialize(names));
        const auto answer = begin(client, "1", {{"tools", names}});
        CHECK(answer.status == 400);
        CHECK(word(answer.json(), "message").find("tools") == 0);
    }
    CHECK(begin(client, "1", {{"sandbox_id", "x"}}).status == 400);
    CHECK(begin(client, "1", {{"seed", -1}}).status == 400);
    CHECK(begin(client, "1", {{"clock", "now"}}).status == 400);
    CHECK(begin(client, "typeof tools", {{"tools", json::array{}}}).json().at("result") == "undefined");
    CHECK(begin(client, "typeof tools.orders.get").json().at("result") == "function");
}

TEST_CASE("execute: forged, empty and expired continuations are gone", "[js][tools][hostile]")
{
    const tool_server server{R"("continuationTtlSecs": 1)"};
    http_client client{server};
    for (const std::string& id :
         {std::string{}, std::string(64, '0'), std::string(100'000, 'f'), std::string{"../x"}}) {
        const auto answer =
            client.post("/execute/continue", {{"continuation", id}, {"results", json::array{value(1, 1)}}});
        CHECK(answer.status == 410);
        CHECK(word(answer.json(), "code") == "continuation_gone");
    }
    const auto waiting = begin(client, "await tools.search()").json();
    // Wrong results leave it, until it expires.
    CHECK(eventually([&] { return go_on(client, waiting, {}).status == 410; }));
    CHECK(server.metric("sandboxd_js_continuations_expired_total") == 1);
}

TEST_CASE("execute: a flood of continuations is bounded", "[js][tools][hostile]")
{
    const tool_server server{R"("maxContinuations": 5)"};
    http_client client{server};
    int kept = 0;
    for (int i = 0; i < 20; ++i) {
        const auto answer = begin(client, "await tools.search()");
        if (answer.status == 200) {
            ++kept;
        } else {
            CHECK(answer.status == 503);
            CHECK(word(answer.json(), "code") == "unavailable");
        }
    }
    CHECK(kept == 5);
    CHECK(server.metric("sandboxd_js_continuations") == 5);
    CHECK(server.metric("sandboxd_js_continuations_refused_total") == 15);
}

TEST_CASE("execute: limits count on, and an endless loop after a continuation ends", "[js][tools][hostile]")
{
    const tool_server server{R"("timeoutMs": 60000, "maxTimeoutMs": 60000)"};
    http_client client{server};
    const auto waiting = begin(client, "await tools.search(); for (;;);", {{"fuel", 20'000'000}}).json();
    const auto answer = go_on(client, waiting, {value(1, 1)});
    CHECK(answer.status == 400);
    CHECK(word(answer.json(), "status") == "OUT_OF_FUEL");
    CHECK(answer.json().at("usage").at("fuel") == 20'000'000);

    // The output of all continuations together is bounded, too.
    auto talks = begin(client, "for (let i = 0; i < 3; ++i) { console.log('x'.repeat(600000)); await tools.search() }");
    for (int i = 1; i <= 3; ++i) talks = go_on(client, talks.json(), {value(i, 1)});
    CHECK(word(talks.json(), "status") == "OK");
    CHECK(word(talks.json(), "stdout").size() == 600'001);
    CHECK(talks.json().at("truncated") == true);
}

TEST_CASE("execute: clock and seed replay a run to the byte", "[js][tools]")
{
    const tool_server server;
    http_client client{server};
    const auto replay = [&] {
        const auto first = begin(client,
                                 "const a = [Date.now(), performance.now(), Math.random(), crypto.randomUUID()];"
                                 "await new Promise(r => setTimeout(r, 20));"
                                 "const b = await tools.search(a); [a, b, new Date(), Math.random()]",
                                 {{"clock", 1'700'000'000'000}, {"seed", 42}});
        auto waiting = first.json();
        const auto last = go_on(client, waiting, {value(1, "b")});
        waiting.as_object().erase("continuation");
        return json::serialize(waiting) + last.body;
    };
    const auto first = replay();
    CHECK(first.find("1700000000000") != std::string::npos);
    CHECK(first == replay());
    CHECK(first == replay());
}

TEST_CASE("execute: no tools where nothing is kept", "[js][tools]")
{
    const tool_server server{R"("continuationBytes": 0)"};
    http_client client{server};
    const auto answer = begin(client, "await tools.search()");
    CHECK(answer.status == 400);
    CHECK(word(answer.json(), "message").find("js.continuationBytes") != std::string::npos);
    CHECK(client.post("/execute", {{"script", "1"}}).status == 200);
}
