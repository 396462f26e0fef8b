// Scripts that call tools, in a real worker: what waits, what goes on, and what a hostile script makes of it.
#include "script/run.hpp"
#include "support/js_worker.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <vector>

using namespace sandboxd;
using script::run_status;
using test::js_worker;

namespace {

script::run_request with_tools(std::string text)
{
    script::run_request request;
    request.script = std::move(text);
    request.tools = {"search", "orders.get"};
    request.max_calls = 10;
    request.image_bytes = 32 << 20;
    return request;
}

struct conversation {
    explicit conversation(script::run_request from) : request{std::move(from)} { answer = run(); }

    // `results`: the items, as JSON.
    void resume(const std::string& results)
    {
        REQUIRE(answer.status == run_status::pending);
        REQUIRE_FALSE(answer.image.empty());
        request.resumed = script::run_resumption{.image = answer.image,
                                                 .results = "{\"results\":[" + results + "]}",
                                                 .fuel_used = answer.fuel_used,
                                                 .wall = answer.wall};
        answer = run();
    }
    script::run_answer run()
    {
        auto made = worker.run(request);
        REQUIRE(made);
        return std::move(*made);
    }

    js_worker worker;
    script::run_request request;
    script::run_answer answer;
};

}  // namespace

TEST_CASE("a script waits for a tool and goes on with its value", "[js][tools]")
{
    for (const auto* const text :
         {"const a = await tools.search('x', {n: 1}); const b = await tools.orders.get(a.id); a.id + b",
          "(async () => { const a = await tools.search('x', {n: 1}); const b = await tools.orders.get(a.id);"
          " return a.id + b })()",
          "tools.search('x', {n: 1}).then(a => tools.orders.get(a.id).then(b => a.id + b))"}) {
        CAPTURE(text);
        conversation with{with_tools(text)};
        REQUIRE(with.answer.status == run_status::pending);
        REQUIRE(with.answer.calls.size() == 1);
        CHECK(with.answer.calls[0].id == 1);
        CHECK(with.answer.calls[0].name == "search");
        CHECK(with.answer.calls[0].arguments == R"(["x",{"n":1}])");
        const auto fuel = with.answer.fuel_used;
        with.resume(R"({"id": 1, "value": {"id": 40}})");
        REQUIRE(with.answer.calls.size() == 1);
        CHECK(with.answer.calls[0].id == 2);
        CHECK(with.answer.calls[0].name == "orders.get");
        CHECK(with.answer.calls[0].arguments == "[40]");
        CHECK(with.answer.fuel_used > fuel);
        with.resume(R"({"id": 2, "value": 2})");
        CHECK(with.answer.status == run_status::ok);
        CHECK(with.answer.result == "42");
        CHECK(with.answer.calls.empty());
        CHECK(with.answer.image.empty());
    }
}

TEST_CASE("modules and init scripts wait for tools, too", "[js][tools]")
{
    auto request =
        with_tools("import { b } from 'b'; export default (await tools.search(1)) + b + (await import('c')).c");
    request.is_module = true;
    request.modules = {{"b", "export const b = 10"}, {"c", "export const c = 100"}};
    request.init_script = "globalThis.first = await tools.orders.get('init'); console.log(first)";
    conversation with{request};
    REQUIRE(with.answer.calls.size() == 1);
    CHECK(with.answer.stage == script::run_stage::init);
    CHECK(with.answer.calls[0].arguments == R"(["init"])");
    with.resume(R"({"id": 1, "value": "hello"})");
    REQUIRE(with.answer.calls.size() == 1);
    CHECK(with.answer.stage == script::run_stage::script);
    CHECK(with.answer.console.at(0).text == "hello");
    with.resume(R"({"id": 2, "value": 1})");
    CHECK(with.answer.result == "111");
}

TEST_CASE("several calls at once, and errors as rejected promises", "[js][tools]")
{
    conversation with{
        with_tools("const all = await Promise.allSettled([tools.search(1), tools.orders.get(2), tools.search()]);"
                   "all.map(one => one.value ?? one.reason.name + ': ' + one.reason.message)")};
    REQUIRE(with.answer.calls.size() == 3);
    CHECK(with.answer.calls[2].arguments == "[]");
    with.resume(R"({"id": 3, "value": false}, {"id": 1, "value": [1]}, {"id": 2, "error": "none", "value": null})");
    CHECK(with.answer.result == R"([[1],"Error: none",false])");

    conversation thrown{with_tools("await tools.search(1)")};
    thrown.resume(R"({"id": 1, "error": "no \"such\" thing"})");
    CHECK(thrown.answer.status == run_status::runtime_error);
    CHECK(thrown.answer.thrown.message == "no \"such\" thing");
}

TEST_CASE("the error of a tool that nothing handles ends the run", "[js][tools]")
{
    conversation lost{with_tools("tools.search(1); await tools.orders.get(2); await tools.search(3)")};
    REQUIRE(lost.answer.calls.size() == 2);
    lost.resume(R"({"id": 1, "error": "lost"}, {"id": 2, "value": 2})");
    CHECK(lost.answer.status == run_status::runtime_error);
    CHECK(lost.answer.thrown.message == "lost");

    conversation before{with_tools("(async () => { throw new Error('before') })(); await tools.search(1)")};
    CHECK(before.answer.status == run_status::runtime_error);
    CHECK(before.answer.thrown.message == "before");

    // Both are settled before the script's next step.
    conversation awaited{
        with_tools("const [a, b] = [tools.search(1), tools.search(2)]; await a;"
                   "try { await b } catch (e) { console.log(e.message) }")};
    awaited.resume(R"({"id": 1, "value": 1}, {"id": 2, "error": "handled"})");
    CHECK(awaited.answer.status == run_status::ok);
    CHECK(awaited.answer.console.at(0).text == "handled");
}

TEST_CASE("timers run before a script waits; calls that nobody awaits are made", "[js][tools]")
{
    conversation with{
        with_tools("const t = []; setTimeout(() => t.push('timer'), 100);"
                   "t.push(await tools.search(1)); t")};
    with.resume(R"({"id": 1, "value": "tool"})");
    CHECK(with.answer.result == R"(["timer","tool"])");

    conversation after{with_tools("tools.search(1).then(v => console.log(v)); 5")};
    REQUIRE(after.answer.status == run_status::pending);
    after.resume(R"({"id": 1, "value": "late"})");
    CHECK(after.answer.result == "5");
    CHECK(after.answer.console.at(0).text == "late");
}

TEST_CASE("fuel and time count on over continuations", "[js][tools]")
{
    auto request = with_tools("for (;;) { for (let i = 0; i < 1e4; ++i); await tools.search() }");
    request.limits.fuel = 40'000'000;
    request.limits.wall = std::chrono::minutes{10};
    conversation with{request};
    int times = 0;
    for (; with.answer.status == run_status::pending && times < 1'000; ++times)
        with.resume(R"({"id": )" + std::to_string(times + 1) + R"(, "value": 0})");
    CHECK(with.answer.status == run_status::out_of_fuel);
    CHECK(with.answer.fuel_used == 40'000'000);
    CHECK(times > 2);

    auto sleeper = with_tools("for (;;) { await new Promise(r => setTimeout(r, 400)); await tools.search() }");
    sleeper.limits.wall = std::chrono::seconds{1};
    conversation asleep{sleeper};
    asleep.resume(R"({"id": 1, "value": 0})");
    asleep.resume(R"({"id": 2, "value": 0})");
    CHECK(asleep.answer.status == run_status::timeout);

    conversation endless{with_tools("await tools.search(); for (;;);")};
    endless.request.limits.wall = std::chrono::minutes{10};
    endless.resume(R"({"id": 1, "value": 0})");
    CHECK(endless.answer.status == run_status::out_of_fuel);
}

TEST_CASE("the same image goes on in two ways", "[js][tools]")
{
    conversation with{with_tools("let n = 1; n += await tools.search(); n")};
    const auto waiting = with.answer;
    with.resume(R"({"id": 1, "value": 1})");
    CHECK(with.answer.result == "2");
    with.answer = waiting;
    with.resume(R"({"id": 1, "value": 10})");
    CHECK(with.answer.result == "11");
}

TEST_CASE("clock and seed make a run the same to the byte, over continuations", "[js][tools]")
{
    constexpr auto text =
        "const seen = () => [Date.now(), new Date().toISOString(), performance.now(), Math.random(),"
        " crypto.randomUUID(), [...crypto.getRandomValues(new Uint8Array(5))]];"
        "const a = seen(); for (let i = 0; i < 1e5; ++i); console.log(new Date());"
        "await new Promise(r => setTimeout(r, 50)); const b = seen();"
        "const c = await tools.search(Math.random()); [a, b, c, seen()]";
    const auto replay = [&](std::int64_t seed) {
        auto request = with_tools(text);
        request.clock_ms = 1'000'000'000'000;
        request.seed = seed;
        conversation with{request};
        REQUIRE(with.answer.calls.size() == 1);
        auto all = with.answer.calls[0].arguments + with.answer.console.at(0).text;
        with.resume(R"({"id": 1, "value": 7})");
        CHECK(with.answer.status == run_status::ok);
        REQUIRE(with.answer.told_time);
        return all + with.answer.result + std::to_string(with.answer.fuel_used) + " " +
               std::to_string(with.answer.told_time->count());
    };
    const auto first = replay(1);
    CHECK(first == replay(1));
    CHECK(first != replay(2));
    CHECK(first.find("[1000000000000,\"2001-09-09T01:46:40.000Z\"") != std::string::npos);
}

TEST_CASE("a fixed clock may begin at the end of what the engine counts", "[js][tools]")
{
    js_worker worker;
    script::run_request request;
    request.clock_ms = 9'000'000'000'000;
    request.script = "const a = Date.now(); await new Promise(r => setTimeout(r, 1000)); [a, Date.now() - a]";
    const auto answer = worker.run(request);
    REQUIRE(answer);
    CHECK(answer->result == "[9000000000000,1000]");
    REQUIRE(answer->told_time);
    CHECK(answer->told_time->count() / 1'000 == 1'000);
}

TEST_CASE("a script that changes the language gets no further", "[js][tools][hostile]")
{
    conversation with{with_tools(
        "Promise.prototype.then = null; globalThis.Promise = null; JSON.stringify = JSON.parse = () => { throw 1 };"
        "Array.prototype.toJSON = Object.prototype.toJSON = () => 'x';"
        "Object.defineProperty(Object.prototype, 'error', { get() { throw new Error('getter') }, configurable: true });"
        "const search = tools.search; tools.search = tools.orders = null; tools = { fake: 1 };"
        "await search('a')")};
    CAPTURE(with.answer.thrown.text(), with.answer.thrown.stack);
    REQUIRE(with.answer.status == run_status::pending);
    CHECK(with.answer.calls[0].arguments == R"(["a"])");
    with.resume(R"({"id": 1, "value": {"__proto__": {"x": 1}, "then": 3}})");
    CHECK(with.answer.status != run_status::fault);
    CHECK(with.answer.status != run_status::pending);
}

TEST_CASE("arguments that JSON cannot carry, getters in them, and too many calls", "[js][tools][hostile]")
{
    auto request = with_tools(
        "const failed = []; const wait = p => p.catch(e => failed.push(e.name));"
        "const cycle = {}; cycle.self = cycle;"
        "await wait(tools.search(cycle)); await wait(tools.search(1n));"
        "await wait(tools.search({ get x() { throw new RangeError('no') } }));"
        "wait(tools.search({ get x() { wait(tools.orders.get('inner')); return 1 } }, undefined, () => 1, NaN));"
        "for (let i = 0; i < 20; ++i) wait(tools.search(i)); await 0; await 0; await 0; await 0;"
        "wait(tools.search('x'.repeat(2e5))); await tools.search().catch(() => 0); failed");
    request.limits.result_bytes = 100'000;
    request.limits.wall = std::chrono::minutes{10};
    conversation with{request};
    REQUIRE(with.answer.status == run_status::pending);
    REQUIRE(with.answer.calls.size() == 10);
    CHECK(with.answer.calls[0].arguments == R"(["inner"])");
    CHECK(with.answer.calls[1].arguments == R"([{"x":1},null,null,null])");
    std::string results;
    for (int i = 1; i <= 10; ++i)
        results += (i > 1 ? "," : "") + std::string{R"({"id":)"} + std::to_string(i) + R"(,"value":0})";
    with.resume(results);
    CHECK(with.answer.status == run_status::ok);
    CHECK(with.answer.result.starts_with(R"(["TypeError","TypeError","RangeError","RangeError")"));
}

TEST_CASE("results larger than the sandbox, and images that are none, end the run", "[js][tools][hostile]")
{
    auto small = with_tools("(await tools.search()).length");
    small.limits.memory_bytes = 4 << 20;
    conversation with{small};
    with.resume(R"({"id": 1, "value": ")" + std::string(16 << 20, 'x') + "\"}");
    CHECK(with.answer.status == run_status::out_of_memory);

    conversation cut{with_tools("await tools.search()")};
    auto& image = cut.answer.image;
    SECTION("cut short") { image.resize(image.size() / 2); }
    SECTION("very short") { image.resize(3); }
    SECTION("noise")
    {
        for (std::size_t i = 0; i < image.size(); i += 3) image[i] = static_cast<char>(i * 37);
    }
    SECTION("another place to go on")
    {
        for (std::size_t i = 0; i < 16; ++i) image[i] = static_cast<char>(0x7f);
    }
    cut.resume(R"({"id": 1, "value": 1})");
    CHECK(cut.answer.status != run_status::ok);
    CHECK(cut.worker.eval("1 + 1").result == "2");
}

TEST_CASE("an image that is too long is not kept, a run without tools has none", "[js][tools]")
{
    auto request = with_tools("await tools.search()");
    request.image_bytes = 1'000;
    conversation with{request};
    CHECK(with.answer.status == run_status::pending);
    CHECK(with.answer.image.empty());
    CHECK(with.worker.eval("typeof tools").result == "\"undefined\"");
}
