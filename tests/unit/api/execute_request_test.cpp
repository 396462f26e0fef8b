#include "api/execute_request.hpp"

#include "api/compile_request.hpp"
#include "api/example_scripts.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <string>

using namespace sandboxd;
using namespace std::chrono_literals;

namespace {

constexpr script::run_limits defaults{.init_fuel = 3'000'000};

script::run_limits most()
{
    script::run_limits m;
    m.fuel = m.init_fuel = 1'000'000'000;
    m.memory_bytes = 100'000'000;
    m.wall = 10s;
    return m;
}

constexpr std::size_t max_modules = 3;

result<js::service_request> read(std::string_view body)
{
    return api::read_execute_request(body, defaults, most(), max_modules);
}

std::string refusal(std::string_view body)
{
    const auto got = read(body);
    if (got) return "taken";
    CHECK(got.error().code == errc::invalid_request);
    return got.error().message;
}

}  // namespace

TEST_CASE("a request to execute is read with its defaults", "[api]")
{
    const auto plain = read(R"({"script": "1", "unknown": [1]})");
    REQUIRE(plain.has_value());
    CHECK(plain->run.script == "1");
    CHECK_FALSE(plain->sandbox_id);
    CHECK_FALSE(plain->run.init_script);
    CHECK_FALSE(plain->run.is_module);
    CHECK(plain->run.limits.fuel == defaults.fuel);
    CHECK(plain->run.limits.init_fuel == defaults.init_fuel);
    CHECK(plain->run.limits.wall == defaults.wall);

    const auto nulls = read(
        R"({"script": "", "sandbox_id": null, "init_script": null, "module": null, "modules": null,
            "fuel": null, "memory_limit_bytes": null, "timeout_ms": null})");
    REQUIRE(nulls.has_value());
    CHECK_FALSE(nulls->sandbox_id);
    CHECK(nulls->run.limits.memory_bytes == defaults.memory_bytes);
}

TEST_CASE("a request to execute carries its limits and modules", "[api]")
{
    const auto full = read(
        R"({"script": "import 'a'", "sandbox_id": "x", "init_script": "2", "module": true,
            "modules": {"a": "1", "b/c.js": "2"}, "fuel": 7, "memory_limit_bytes": 3000000,
            "timeout_ms": 10000})");
    REQUIRE(full.has_value());
    CHECK(full->sandbox_id == "x");
    CHECK(full->run.init_script == "2");
    CHECK(full->run.is_module);
    REQUIRE(full->run.modules.size() == 2);
    CHECK(full->run.modules[1].name == "b/c.js");
    CHECK(full->run.modules[1].source == "2");
    CHECK(full->run.limits.fuel == 7);
    CHECK(full->run.limits.init_fuel == 7);
    CHECK(full->run.limits.memory_bytes == 3'000'000);
    CHECK(full->run.limits.wall == 10s);
}

TEST_CASE("a request to execute that is none names the member", "[api]")
{
    CHECK(refusal("").starts_with("invalid JSON"));
    CHECK(refusal("{").starts_with("invalid JSON"));
    CHECK(refusal("[]") == "invalid JSON: the body must be an object");
    CHECK(refusal("{}") == "script is required");
    CHECK(refusal(R"({"script": null})") == "script must be a string, not null");
    CHECK(refusal(R"({"script": "1", "sandbox_id": 1})") == "sandbox_id must be a string, not an integer");
    CHECK(refusal(R"({"script": "1", "sandbox_id": ")" + std::string(513, 'x') + R"("})") ==
          "sandbox_id must not be longer than 512 bytes");
    CHECK(refusal(R"({"script": "1", "module": 1})") == "module must be true or false, not an integer");
    CHECK(refusal(R"({"script": "1", "modules": []})") == "modules must be an object, not an array");
    CHECK(refusal(R"({"script": "1", "modules": {"a": 1}})") == "modules.a must be a string, not an integer");
    CHECK(refusal(R"({"script": "1", "modules": {"a": "1", "b": "", "a": "2"}})") == "modules.a comes twice");
    CHECK(refusal(R"({"script": "1", "modules": {"a": "1", "b": "", "c": "2", "d": ""}})") ==
          "modules has more than 3 members");
    CHECK(refusal(R"({"script": "1", "fuel": 0})") == "fuel must be between 1 and 1000000000");
    CHECK(refusal(R"({"script": "1", "fuel": 1000000001})") == "fuel must be between 1 and 1000000000 (js.maxFuel)");
    CHECK(refusal(R"({"script": "1", "memory_limit_bytes": 1e9})") ==
          "memory_limit_bytes must be between 1 and 100000000 (js.maxMemoryLimitBytes)");
    CHECK(refusal(R"({"script": "1", "timeout_ms": 10001})") ==
          "timeout_ms must be between 1 and 10000 (js.maxTimeoutMs)");
    CHECK(refusal("{\"script\": \"\xff\"}").starts_with("invalid JSON"));
}

TEST_CASE("forms are decoded", "[api]")
{
    const auto both = api::read_script_form("x=1&code=1%2B2+%3d%3D+%E2%82%ac&file=log.js&code=second");
    REQUIRE(both.has_value());
    CHECK(both->code == "1+2 == \u20ac");
    CHECK(both->file == "log.js");

    const auto odd = api::read_script_form("&&=&code&file=%&c%6fde=");
    REQUIRE(odd.has_value());
    CHECK(odd->code == "");
    CHECK(odd->file == "%");
    CHECK(api::read_script_form("code=100%&file=%zz")->code == "100%");
    CHECK_FALSE(api::read_script_form("")->code);
    CHECK_FALSE(api::read_script_form("code=%ff").has_value());
}

TEST_CASE("forms and modules are bounded", "[api]")
{
    const auto fields = [](int many, std::string_view one) {
        std::string body;
        for (int i = 0; i < many; ++i) body += one;
        return body;
    };
    CHECK(api::read_script_form(fields(999, "a&") + "code=1")->code == "1");
    const auto too_many = api::read_script_form(fields(1000, "a&") + "code=1");
    REQUIRE(too_many.has_error());
    CHECK(too_many.error().code == errc::invalid_request);
    CHECK(api::read_script_form("%63%6f%64%65=1&" + std::string(100'000, 'f') + "=2")->code == "1");

    const std::string part = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n";
    CHECK(api::read_script_multipart(fields(1000, part) + "--x--", "x").has_value());
    CHECK(api::read_script_multipart(fields(1001, part) + "--x--", "x").error().code == errc::invalid_request);

    CHECK(read(R"({"script": "1", "modules": {")" + std::string(1024, 'm') + R"(": ""}})").has_value());
    CHECK(refusal(R"({"script": "1", "modules": {")" + std::string(1025, 'm') + R"(": ""}})") ==
          "modules: a name must not be longer than 1024 bytes");
}

TEST_CASE("a script's parameters come as a multipart form", "[api]")
{
    const auto read = [](std::string_view body) { return api::read_script_multipart(body, "x"); };
    const auto both = read(
        "--x\r\nContent-Disposition: form-data; name=\"code\"\r\n\r\n1 + 2\r\n--y\r\n"
        "\r\n--x \r\nX: y\r\ncontent-disposition: form-data; filename=\"name=\"; name=\"file\"\r\n\r\nlog.js"
        "\r\n--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nsecond\r\n--x--\r\n");
    REQUIRE(both.has_value());
    CHECK(both->code == "1 + 2\r\n--y\r\n");
    CHECK(both->file == "log.js");
    const auto empty = read("a preamble\r\n--x\r\nContent-Disposition: form-data; name=\"code\"\r\n\r\n\r\n--x--");
    REQUIRE(empty.has_value());
    CHECK(empty->code == "");
    CHECK_FALSE(read("--x--")->code);
    CHECK(read("--x\r\n\r\nnameless\r\n--x--").has_value());
    CHECK(read("--x\r\n\r\n\r\n--x--").has_value());
    const std::string whole = "--x\r\nContent-Disposition: form-data; name=\"code\"\r\n\r\n1\r\n--x--";
    REQUIRE(read(whole).has_value());
    for (std::size_t size = 0; size < whole.size(); ++size) CHECK_FALSE(read(whole.substr(0, size)).has_value());
    CHECK_FALSE(read("--x\r\nContent-Disposition: form-data; name=\"code\"\r\n\r\n\xff\r\n--x--").has_value());
    CHECK_FALSE(read("--xy\r\n\r\n\r\n--x--").has_value());
    CHECK_FALSE(read("--x\r\nContent-Disposition: form-data; name=\"code\"\r\n--x--\r\n\r\n").has_value());
}

TEST_CASE("a script's parameters come as JSON", "[api]")
{
    CHECK_FALSE(api::read_script_json(" \r\n")->code);
    CHECK(api::read_script_json(R"({"code": "1", "file": null})")->code == "1");
    CHECK(api::read_script_json(R"({"file": "a.js"})")->file == "a.js");
    CHECK_FALSE(api::read_script_json("1").has_value());
    CHECK_FALSE(api::read_script_json(R"({"code": 1})").has_value());
}

TEST_CASE("the example scripts are in the program, by name", "[api]")
{
    const auto all = api::example_scripts();
    CHECK(std::ranges::is_sorted(all, {}, &api::example_script::name));
    for (const auto* wanted : {"log.js", "pi.js", "simple.js"}) {
        const auto found = std::ranges::find(all, wanted, &api::example_script::name);
        REQUIRE(found != all.end());
        CHECK_FALSE(found->text.empty());
    }
}
