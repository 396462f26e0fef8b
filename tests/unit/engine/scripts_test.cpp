// The committed scripts, through a worker and through the command line; and what must not survive
// them.
#include "support/js_worker.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <memory>

using namespace sandboxd;
using sandboxd::test::js_worker;

namespace {

// Looks at everything a script could have left behind in a sandbox.
constexpr const char* pristine = R"js(
[Object.getOwnPropertyNames(globalThis).length, Object.getOwnPropertyNames(Object.prototype).length,
 Object.getOwnPropertyNames(Array.prototype).length, ({}).polluted, [1, 2].toString(), JSON.stringify({a: [1]}),
 Object.isFrozen(globalThis), typeof globalThis.secret, Reflect.apply(Math.max, null, [1, 2]), String(Symbol.iterator in [])])js";

}  // namespace

TEST_CASE("every conformance script gives what it should in a worker", "[js]")
{
    const auto examples = test::read_js_examples();
    REQUIRE(examples.size() >= 300);
    js_worker worker;
    int failed = 0;
    for (const auto& one : examples) {
        const auto answer = worker.eval(one.script);
        if (const auto why = test::differs(one, answer.status, answer.result, message_of(answer))) {
            ++failed;
            UNSCOPED_INFO(*why);
        }
    }
    CHECK(failed == 0);
}

TEST_CASE("every conformance script gives what it should on the command line", "[js]")
{
    int failed = 0;
    for (const auto& one : test::read_js_examples()) {
        const auto got = test::run_js_command({"--script", one.script});
        const auto status = got.status == 0     ? script::run_status::ok
                            : got.status == 100 ? script::run_status::runtime_error
                                                : script::run_status::fault;
        const auto result = got.out.substr(0, got.out.find_last_not_of('\n') + 1);
        const auto message = got.err.substr(0, got.err.find_last_not_of('\n') + 1);
        if (const auto why = test::differs(one, status, result, message)) {
            ++failed;
            UNSCOPED_INFO(*why);
        }
    }
    CHECK(failed == 0);
}

TEST_CASE("the same script burns the same fuel in every worker", "[js]")
{
    js_worker first;
    js_worker second;
    int compared = 0;
    for (const auto& one : test::read_js_examples()) {
        // What depends on the clock or on chance may do as it likes.
        if (one.script.find("Date") != std::string::npos || one.script.find("random") != std::string::npos) continue;
        const auto a = first.eval(one.script);
        const auto b = second.eval(one.script);
        const auto c = first.eval(one.script);
        INFO(one.script);
        CHECK(a.fuel_used == b.fuel_used);
        CHECK(a.fuel_used == c.fuel_used);
        ++compared;
    }
    CHECK(compared > 300);
}

TEST_CASE("hostile scripts end in a named status and leave nothing behind", "[js]")
{
    const auto attacks = test::read_js_attacks();
    REQUIRE(attacks.size() >= 60);
    auto worker = std::make_unique<js_worker>();
    const std::string expected = worker->eval(pristine).result;
    int died = 0;
    for (const auto& one : attacks) {
        INFO(one.name);
        script::run_request request;
        request.script = one.script;
        request.limits.wall = std::chrono::seconds{10};
        const auto answer = worker->run(request);
        if (!answer) {
            ++died;
            CHECK(std::string{"the worker died"} == "");
            worker = std::make_unique<js_worker>();
            continue;
        }
        const std::string status{name(answer->status)};
        INFO(status << ": " << message_of(*answer) << " " << answer->result.substr(0, 200));
        CHECK(std::ranges::find(one.allowed, status) != one.allowed.end());
        CHECK(answer->memory_bytes <= request.limits.memory_bytes);
        CHECK(worker->eval(pristine).result == expected);
        CHECK(worker->eval("1+2").result == "3");
    }
    CHECK(died == 0);
}
