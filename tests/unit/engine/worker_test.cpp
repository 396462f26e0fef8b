// What a worker does with requests: limits, console, promises, modules, images.
#include "support/js_worker.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <fstream>
#include <set>
#include <string>

using namespace sandboxd;
using namespace std::chrono_literals;
using sandboxd::test::js_worker;
using script::run_status;

TEST_CASE("a result that is undefined is null, and said to be undefined", "[js]")
{
    js_worker worker;
    const auto answer = worker.eval("var x = 1");
    CHECK(answer.status == run_status::ok);
    CHECK(answer.result == "null");
    CHECK(answer.is_undefined);
    CHECK_FALSE(worker.eval("null").is_undefined);
}

TEST_CASE("console records keep their level, their order and their values", "[js]")
{
    js_worker worker;
    script::run_request request;
    request.script =
        "console.log('a', 1, {b: [true]}); console.info(); console.warn(undefined); console.error('e');"
        "console.debug(null); console.trace('t'); console.assert(1 > 2, 'x'); console.assert(true, 'y')";
    const auto told = worker.run(request);
    REQUIRE(told);
    REQUIRE(told->console.size() == 7);
    CHECK(told->console[0].level == script::console_level::log);
    CHECK(told->console[0].text == "a 1 { b: [ true ] }");
    CHECK(told->console[0].data.empty());
    CHECK(told->console[3].level == script::console_level::error);
    CHECK(told->console[5].level == script::console_level::trace);
    CHECK(told->console[6].level == script::console_level::assertion);
    CHECK(console_text(*told, false) ==
          "a 1 { b: [ true ] }\n\nundefined\nnull\nTrace: t\n    at <eval> (script:1:123)\n");
    CHECK(console_text(*told, true) == "e\nAssertion failed: x\n");
    const auto now =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
            .count();
    CHECK(told->console[0].unix_ms > now - 60'000);
    CHECK(told->console[0].unix_ms <= now);

    request.console_values = true;
    const auto values = worker.run(request);
    REQUIRE(values);
    REQUIRE(values->console.size() == 7);
    CHECK(values->console[0].level == script::console_level::log);
    CHECK(values->console[0].data == R"(["a",1,{"b":[true]}])");
    CHECK(values->console[0].text.empty());
    CHECK(values->console[1].data == "[]");
    CHECK(values->console[2].data == R"(["undefined"])");
    CHECK(values->console[4].data == "[null]");
    CHECK(values->console[6].data == R"(["Assertion failed","x"])");
}

TEST_CASE("values that JSON drops are in the data of a console record", "[js]")
{
    js_worker worker;
    script::run_request request;
    request.console_values = true;
    request.script =
        "console.log(NaN, -0, 3.14, 1n, Symbol('s'), new Map([[1, {a: 2}]]), new Set(['x']), /r/g);"
        "console.log({n: NaN, i: [Infinity], u: undefined, m: new Map([['k', 1]]), s: new Set(), r: /x/, b: 5n, f() {},"
        " d: new Date(0), j: {toJSON() { return 'own'; }}});"
        "const c = {name: 'c'}; c.self = c; console.log(c);"
        "console.log({get g() { throw new Error('no'); }}, 1); console.log('half \\ud83d');"
        "console.log(new Uint8Array([1, 2]), [new Error('e').message]); console.count(); console.table([{a: 1}])";
    const auto answer = worker.run(request);
    REQUIRE(answer);
    REQUIRE(answer->console.size() == 8);
    CHECK(answer->console[0].data ==
          "[\"NaN\",0,3.14,\"1n\",\"Symbol(s)\",\"Map(1) { 1 => { a: 2 } }\",\"Set(1) { 'x' }\",\"/r/g\"]");
    CHECK(answer->console[1].data ==
          "[{\"n\":\"NaN\",\"i\":[\"Infinity\"],\"u\":\"undefined\",\"m\":\"Map(1) { 'k' => 1 }\",\"s\":\"Set(0) {}\","
          "\"r\":\"/x/\",\"b\":\"5n\",\"f\":\"[Function: f]\",\"d\":\"1970-01-01T00:00:00.000Z\",\"j\":\"own\"}]");
    CHECK(answer->console[2].data == R"([{"name":"c","self":"[Circular]"}])");
    CHECK(answer->console[3].data == R"(["[a value that cannot be shown]",1])");
    CHECK(answer->console[4].data == "[\"half \\ud83d\"]");
    CHECK(answer->console[6].data == R"(["default: 1"])");
    CHECK(answer->console[7].data == R"([[{"a":1}]])");
}

TEST_CASE("the console is kept when the script fails, and cut at its cap", "[js]")
{
    js_worker worker;
    const auto failed = worker.eval("console.log('before'); throw new Error('after')");
    CHECK(failed.status == run_status::runtime_error);
    REQUIRE(failed.console.size() == 1);
    CHECK_FALSE(failed.console_truncated);

    script::run_request request;
    request.limits.console_bytes = 1'000;
    request.script = "for (let i = 0; i < 1000; i++) console.log('line', i); 5";
    const auto cut = worker.run(request);
    REQUIRE(cut);
    CHECK(cut->status == run_status::ok);
    CHECK(cut->result == "5");
    CHECK(cut->console_truncated);
    std::size_t bytes = 0;
    for (const auto& one : cut->console) bytes += one.text.size() + script::console_record_bytes;
    CHECK(bytes <= 1'000);
    CHECK(bytes > 850);

    // Records without anything in them are not free.
    request.limits.console_bytes = 1 << 20;
    request.script = "for (let i = 0; i < 1e5; i++) console.log(); 5";
    const auto empty = worker.run(request);
    REQUIRE(empty);
    CHECK(empty->console_truncated);
    CHECK(empty->console.size() <= (1 << 20) / script::console_record_bytes);

    const auto out_of_fuel = worker.eval("console.log('kept'); for (;;);");
    CHECK(out_of_fuel.status == run_status::out_of_fuel);
    CHECK(out_of_fuel.console.size() == 1);
}

TEST_CASE("what was thrown is described", "[js]")
{
    js_worker worker;
    const auto error = worker.eval("function f() { throw new TypeError('no') }\nf()");
    CHECK(error.thrown.is_error);
    CHECK(error.thrown.name == "TypeError");
    CHECK(error.thrown.message == "no");
    CHECK(error.thrown.stack.find("at f (script:1:") != std::string::npos);
    const auto object = worker.eval("throw {code: 5}");
    CHECK_FALSE(object.thrown.is_error);
    CHECK(object.thrown.json == R"({"code":5})");
    CHECK(worker.eval("throw undefined").thrown.message == "undefined");
}

TEST_CASE("each limit ends in its own status", "[js]")
{
    js_worker worker;
    script::run_request request;
    SECTION("fuel")
    {
        request.script = "for (;;);";
        request.limits.fuel = 1'000'000;
        const auto answer = worker.run(request);
        REQUIRE(answer);
        CHECK(answer->status == run_status::out_of_fuel);
        CHECK(answer->fuel_used == 1'000'000);
        CHECK(answer->stage == script::run_stage::script);
    }
    SECTION("fuel of the init script")
    {
        request.init_script = "for (;;);";
        request.limits.init_fuel = 1'000'000;
        const auto answer = worker.run(request);
        REQUIRE(answer);
        CHECK(answer->status == run_status::out_of_fuel);
        CHECK(answer->stage == script::run_stage::init);
    }
    SECTION("memory")
    {
        request.script = "new ArrayBuffer(5e6).byteLength";
        request.limits.memory_bytes = 4 << 20;
        const auto answer = worker.run(request);
        REQUIRE(answer);
        CHECK(answer->status == run_status::out_of_memory);
        request.limits.memory_bytes = 8 << 20;
        CHECK(worker.run(request)->result == "5000000");
    }
    SECTION("time, in a loop")
    {
        request.script = "for (;;);";
        request.limits.fuel = std::int64_t{1} << 60;
        request.limits.wall = 100ms;
        const auto answer = worker.run(request);
        REQUIRE(answer);
        CHECK(answer->status == run_status::timeout);
        CHECK(answer->wall >= 100ms);
        CHECK(answer->wall < 1s);
    }
    SECTION("time, in builtins that never poll")
    {
        request.limits.fuel = std::int64_t{1} << 60;
        request.limits.wall = 100ms;
        for (
            const char* script :
            {"'a'.repeat(1e7).indexOf('a'.repeat(5e6) + 'b')", "/^(a+)+$/.test('a'.repeat(100) + 'b')",
             "const a = Array.from({length: 3e5}, (_, i) => String(i * 7919 % 3e5)); for (;;) { a.sort(); a.reverse() }"}) {
            INFO(script);
            request.script = script;
            const auto answer = worker.run(request);
            REQUIRE(answer);
            CHECK(answer->status == run_status::timeout);
            CHECK(answer->wall < 1s);
        }
    }
    SECTION("the length of the result")
    {
        request.script = "'x'.repeat(2000)";
        request.limits.result_bytes = 1'000;
        const auto answer = worker.run(request);
        REQUIRE(answer);
        CHECK(answer->status == run_status::output_limit);
        CHECK(answer->result == "null");
    }
    CHECK(worker.eval("1+2").result == "3");
}

TEST_CASE("a memory limit below the interpreter's own need is that need", "[js]")
{
    js_worker worker;
    script::run_request request;
    request.script = "1+2";
    request.limits.memory_bytes = 1;
    CHECK(worker.run(request)->result == "3");
    request.script = "'x'.repeat(1e6).length";
    CHECK(worker.run(request)->status == run_status::out_of_memory);
}

TEST_CASE("the init script's globals are there, its result is not", "[js]")
{
    js_worker worker;
    script::run_request request;
    request.init_script = "function fib(n) { return n <= 1 ? 1 : fib(n-1) + fib(n-2); } 'dropped'";
    request.script = "fib(13)";
    CHECK(worker.run(request)->result == "377");
    request.init_script = "throw new Error('in init')";
    const auto failed = worker.run(request);
    CHECK(failed->status == run_status::runtime_error);
    CHECK(failed->stage == script::run_stage::init);
    request.init_script = "globalThis.x = await Promise.resolve(4)";
    request.script = "x";
    CHECK(worker.run(request)->result == "4");
}

TEST_CASE("modules are found by name and relative to each other", "[js]")
{
    js_worker worker;
    script::run_request request;
    request.is_module = true;
    request.modules = {{"lib/a.js", "import { b } from './b.js'; export const a = b + 1; export default 'd'"},
                       {"lib/b.js", "export const b = 1; export const here = import.meta !== undefined"},
                       {"top.js", "export const t = await Promise.resolve(10)"},
                       {"loop1.js", "import './loop2.js'; export const one = 1"},
                       {"loop2.js", "import { one } from './loop1.js'; export const two = () => one + 1"}};
    request.script = "import d, { a } from 'lib/a.js'; import { t } from './top.js'; export default [d, a, t]";
    CHECK(worker.run(request)->result == R"(["d",2,10])");
    request.script = "import { two } from 'loop2.js'; export default two()";
    CHECK(worker.run(request)->result == "2");
    request.script = "export default Promise.resolve('settled')";
    CHECK(worker.run(request)->result == "\"settled\"");
    request.script = "export const notDefault = 1";
    CHECK(worker.run(request)->is_undefined);
    request.script = "import x from 'missing.js'; export default x";
    CHECK(worker.run(request)->status == run_status::runtime_error);
    request.script = "import { nope } from 'lib/b.js'; export default nope";
    CHECK(worker.run(request)->thrown.name == "SyntaxError");
    request.script = "export default await new Promise(() => {})";
    CHECK(worker.run(request)->status == run_status::never_settled);
    // However it is spelled, on both sides.
    request.modules.push_back({"./dotted.js", "export default 'dotted'"});
    request.modules.push_back({"lib/deep/../up.js", "import d from '../dotted.js'; export default d + ' up'"});
    for (const auto* spelled : {"./dotted.js", "dotted.js", "lib/../dotted.js", "./././dotted.js", "../dotted.js"}) {
        CAPTURE(spelled);
        request.script = "import d from '" + std::string{spelled} + "'; export default d";
        CHECK(worker.run(request)->result == "\"dotted\"");
    }
    request.script = "import u from './lib/up.js'; export default u";
    CHECK(worker.run(request)->result == "\"dotted up\"");
    request.is_module = false;
    request.script = "(await import('lib/a.js')).a";
    CHECK(worker.run(request)->result == "2");
    request.modules.clear();
    CHECK(worker.run(request)->status == run_status::runtime_error);
}

TEST_CASE("a module that throws is an error of its importer alone", "[js]")
{
    js_worker worker;
    script::run_request request;
    request.modules = {
        {"bad", "throw new Error('bad')"}, {"late", "await null; throw new Error('late')"}, {"above", "import 'late'"}};
    request.script =
        "const told = []; for (const name of ['bad', 'late', 'above', 'bad'])"
        " try { await import(name) } catch (e) { told.push(e.message) } told";
    CHECK(worker.run(request)->result == R"(["bad","late","late","bad"])");
    request.script = "import('bad').catch(() => {}); import('above').then(null, () => {}); 1";
    CHECK(worker.run(request)->result == "1");
    request.script = "import('late'); 1";
    CHECK(worker.run(request)->thrown.message == "late");
    request.is_module = true;
    request.script = "import 'above'; export default 1";
    CHECK(worker.run(request)->thrown.message == "late");
    request.script = "(async () => { throw new Error('of a module') })(); export default 1";
    CHECK(worker.run(request)->thrown.message == "of a module");
}

TEST_CASE("a lost rejection ends its own run, not the sandbox's next", "[js]")
{
    js_worker worker;
    script::run_request request;
    request.image_bytes = 64 << 20;
    request.script =
        "globalThis.n = 1; console.log('a'); (async () => { throw new Error('lost') })(); "
        "setTimeout(() => { n = 100 }); console.log('b')";
    auto answer = worker.run(request);
    REQUIRE(answer);
    CHECK(answer->status == run_status::runtime_error);
    CHECK(answer->thrown.message == "lost");
    CHECK(answer->console.size() == 2);
    for (const auto* const script : {"++n", "Promise.reject(new Error('unseen')); throw ++n", "++n"}) {
        request.image = answer->image;
        request.script = script;
        answer = worker.run(request);
        REQUIRE(answer);
    }
    CHECK(answer->result == "4");

    request = {};
    request.init_script = "(async () => { throw new Error('early') })()";
    request.script = "1";
    answer = worker.run(request);
    CHECK(answer->stage == script::run_stage::init);
    CHECK(answer->thrown.message == "early");
    request.init_script = "async function main() { throw new Error('early') } main(); 1";
    CHECK(worker.run(request)->thrown.message == "early");
}

TEST_CASE("an image carries a sandbox from one run to another worker", "[js]")
{
    js_worker first;
    js_worker second;
    script::run_request request;
    request.image_bytes = 64 << 20;
    request.init_script = "globalThis.n = 0; globalThis.big = new Array(200000).fill('x')";
    request.script = "++n";
    auto answer = first.run(request);
    REQUIRE(answer);
    CHECK(answer->result == "1");
    REQUIRE_FALSE(answer->image.empty());
    for (int i = 2; i < 6; ++i) {
        request.image = answer->image;
        answer = (i % 2 ? first : second).run(request);
        REQUIRE(answer);
        CHECK(answer->result == std::to_string(i));
        CHECK(first.eval("typeof n").result == "\"undefined\"");
    }
    SECTION("one that is longer than it may be is not kept")
    {
        request.image_bytes = static_cast<std::uint32_t>(answer->image.size());
        CHECK_FALSE(second.run(request)->image.empty());
        request.image_bytes = static_cast<std::uint32_t>(answer->image.size() / 2);
        const auto without = second.run(request);
        CHECK(without->status == run_status::ok);
        CHECK(without->image.empty());
    }
    SECTION("it is not kept after a limit")
    {
        request.script = "for (;;);";
        CHECK(second.run(request)->image.empty());
    }
    SECTION("it is kept after an exception")
    {
        request.script = "n = 50; throw 1";
        const auto thrown = second.run(request);
        REQUIRE_FALSE(thrown->image.empty());
        request.image = thrown->image;
        request.script = "n";
        CHECK(second.run(request)->result == "50");
    }
    SECTION("a mangled one is a fault, and the worker lives")
    {
        for (const std::size_t keep : {std::size_t{1}, std::size_t{4}, std::size_t{11}, request.image.size() / 2}) {
            script::run_request mangled = request;
            mangled.image.resize(keep);
            mangled.script = "1+2";
            const auto got = second.run(mangled);
            REQUIRE(got);
            CHECK(second.eval("1+2").result == "3");
        }
        script::run_request wild = request;
        wild.image.assign(4'096, '\xff');
        CHECK(second.run(wild)->status == run_status::fault);
        CHECK(second.eval("1+2").result == "3");
    }
    SECTION("it does not fit a smaller memory limit")
    {
        request.limits.memory_bytes = 2 << 20;
        CHECK(second.run(request)->status == run_status::out_of_memory);
        CHECK(second.eval("1+2").result == "3");
    }
}

TEST_CASE("chance and clocks are fresh in every run", "[js]")
{
    js_worker worker;
    std::set<std::string> seen;
    for (int i = 0; i < 100; ++i) seen.insert(worker.eval("Math.random()").result);
    CHECK(seen.size() == 100);
    CHECK(worker.eval("performance.now() < 50").result == "true");
    CHECK(worker.eval("Math.abs(performance.timeOrigin - Date.now()) < 1000").result == "true");
    script::run_request request;
    request.image_bytes = 64 << 20;
    request.script = "Math.random()";
    const auto kept = worker.run(request);
    request.image = kept->image;
    CHECK(worker.run(request)->result != worker.run(request)->result);

    // Keys, too, in new sandboxes, in one that goes on, and in another worker, whatever was drawn before it was kept.
    constexpr const char* keys =
        "globalThis.u = crypto.randomUUID(); [u, String(crypto.getRandomValues(new Uint32Array(4)))].join()";
    seen.clear();
    js_worker other;
    request.image.clear();
    request.script = keys;
    request.image = worker.run(request)->image;
    REQUIRE_FALSE(request.image.empty());
    for (int i = 0; i < 20; ++i) {
        seen.insert(worker.eval(keys).result);
        seen.insert(other.eval(keys).result);
        seen.insert(worker.run(request)->result);
        seen.insert(other.run(request)->result);
    }
    CHECK(seen.size() == 80);
}

TEST_CASE("timers wait within the run's time, and nobody waits for them", "[js]")
{
    js_worker worker;
    script::run_request request;
    request.limits.wall = std::chrono::milliseconds{1'500};
    request.script =
        "const a = Date.now(), b = performance.now();"
        "new Promise((r) => setTimeout(() => r([Date.now() - a >= 1000, performance.now() - b >= 1000]), 1000))";
    const auto waited = worker.run(request);
    REQUIRE(waited);
    CHECK(waited->result == "[true,true]");
    for (const auto* script :
         {"setTimeout(() => {}, 2000); 1", "setInterval(() => {}, 1); 1", "(function f() { setTimeout(f, 1) })()",
          "new Promise((r) => setTimeout(r, 2 ** 31 - 1))", "setInterval(() => {}, 2 ** 31 - 1)",
          "setInterval(() => { Promise.resolve().then(() => {}) }, 100); await new Promise(() => {})"}) {
        CAPTURE(script);
        request.script = script;
        const auto answer = worker.run(request);
        REQUIRE(answer);
        CHECK(answer->status == run_status::timeout);
    }
    // Without a deadline, fuel is the limit; and time itself has an end.
    request.limits.wall = std::chrono::seconds{0};
    for (const auto* script : {"setInterval(() => {}, 1)", "setInterval(() => {}, 2 ** 31 - 1)"}) {
        request.script = script;
        const auto answer = worker.run(request);
        REQUIRE(answer);
        CHECK((answer->status == run_status::out_of_fuel || answer->status == run_status::timeout));
    }
    request.script = "const all = []; for (;;) all.push(setTimeout(() => {}, 1, all.length))";
    const auto many = worker.run(request);
    REQUIRE(many);
    CHECK((many->status == run_status::out_of_fuel || many->status == run_status::out_of_memory));
    // What a failed script left does not run in the next one of its sandbox.
    request.limits.wall = std::chrono::seconds{2};
    request.image_bytes = 64 << 20;
    request.script = "setTimeout(() => { throw new Error('first') }, 1); setTimeout(() => { globalThis.late = 1 }, 5)";
    const auto failed = worker.run(request);
    REQUIRE(failed);
    CHECK(failed->thrown.message == "first");
    request.image = failed->image;
    REQUIRE_FALSE(request.image.empty());
    request.script = "new Promise((r) => setTimeout(() => r(typeof late), 50))";
    CHECK(worker.run(request)->result == "\"undefined\"");
}

TEST_CASE("what a script does to the language's objects is not in the way of the console and of timers", "[js]")
{
    js_worker worker;
    const auto answer = worker.eval(
        "const { defineProperty, getOwnPropertyDescriptor, create } = Object; const { ownKeys } = Reflect;\n"
        "const all = [Object.prototype, Array.prototype, Map.prototype, Function.prototype, String.prototype,\n"
        " RegExp.prototype, Number.prototype, Promise.prototype, Symbol.prototype, Set.prototype, Error.prototype];\n"
        "const names = ['get', 'set', 'value', 'writable', 'due', 'callback', 'depth', '0', '1'];\n"
        "const gone = ['Object', 'Array', 'Map', 'Reflect', 'String', 'RegExp', 'Symbol', 'JSON', 'Math', 'Error'];\n"
        "const lists = []; for (let i = 0; i < all.length; ++i) lists[i] = ownKeys(all[i]);\n"
        "const bad = create(null); bad.get = () => { throw 'hostile' }; bad.set = bad.get;\n"
        "const odd = create(null); odd.get = () => 'hostile'; odd.set = bad.get; odd.configurable = true;\n"
        "for (let i = 0; i < all.length; ++i) for (let j = 0; j < lists[i].length; ++j) {\n"
        "  const key = lists[i][j], own = getOwnPropertyDescriptor(all[i], key);\n"
        "  if (own.configurable && key !== 'constructor') try { defineProperty(all[i], key, bad) } catch {} }\n"
        "for (let i = 0; i < names.length; ++i) defineProperty(all[0], names[i], odd);\n"
        "for (let i = 0; i < gone.length; ++i) delete globalThis[gone[i]];\n"
        "console.log('%s', 'x', { a: 1, b: [1, 2] }, 3.5); console.table([{ a: 1 }]); setTimeout(console.log, 1, 'timer'); 7");
    CHECK(message_of(answer) == "");
    CHECK(answer.result == "7");
    REQUIRE(answer.console.size() == 3);
    CHECK(answer.console[0].text == "x { a: 1, b: [ 1, 2 ] } 3.5");
    CHECK(answer.console[1].text.find("│ 0       │ 1 │") != std::string::npos);
    CHECK(answer.console[2].text == "timer");
    // And the next one has them all again.
    CHECK(worker.eval("console.log([1]); [1].map((x) => x + 1)[0]").result == "2");
}

TEST_CASE("texts cross the border whole", "[js]")
{
    js_worker worker;
    CHECK(worker.eval("'\\u0000a\\u{1F600}é'").result == "\"\\u0000a\U0001F600é\"");
    CHECK(worker.eval("'\\ud800'").result == "\"\\ud800\"");
    CHECK(worker.eval("throw new Error('\\ud800')").thrown.message == "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    CHECK(worker.eval(std::string{"'a\0b'.length", 12}).result == "3");
    CHECK(worker.eval("'x'.repeat(1e6)").result.size() == 1'000'002);
    CHECK(worker.eval("\xEF\xBB\xBF 5").status == run_status::ok);
    CHECK(worker.eval("").is_undefined);
    CHECK(worker.eval("// only a comment").is_undefined);
    const auto invalid = worker.eval("'\xff\xfe'");
    CHECK((invalid.status == run_status::ok || invalid.status == run_status::runtime_error));
}

TEST_CASE("a worker is small, alone and confined", "[js]")
{
    js_worker worker;
    CHECK(worker.eval("1+2").result == "3");
    std::ifstream in{"/proc/" + std::to_string(worker.pid()) + "/status"};
    long rss_kib = 0;
    int seccomp = -1;
    int threads = -1;
    for (std::string line; std::getline(in, line);) {
        if (line.starts_with("VmRSS:")) rss_kib = std::stol(line.substr(6));
        if (line.starts_with("Seccomp:")) seccomp = std::stoi(line.substr(8));
        if (line.starts_with("Threads:")) threads = std::stoi(line.substr(8));
    }
    CHECK(rss_kib > 0);
    CHECK(rss_kib < 12 * 1'024);
    CHECK(seccomp == 2);
    CHECK(threads == 1);
}

TEST_CASE("host functions work at every depth of the stack", "[js]")
{
    js_worker worker;
    const auto answer = worker.eval(
        "(function f(n) { if (Date.now() < 1e12) throw new Error('at ' + n);"
        "if (n % 100 == 0) console.log(n); return n ? f(n - 1) : 'fine' })(1500)");
    CHECK(message_of(answer) == "");
    CHECK(answer.result == "\"fine\"");
    CHECK(answer.console.size() == 16);
}
