#include "api/sandbox_request.hpp"

#include "api/execution_stream.hpp"
#include "api/faas_request.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace sandboxd;
using namespace sandboxd::api;

TEST_CASE("a sandbox request is read", "[api][sandboxes]")
{
    const auto read = read_sandbox_request(R"({"runtime": "node", "code": "1", "entry_point": "index.js",
        "timeout_ms": 5000, "memory_limit_mb": 128, "cpu_limit_secs": 3, "max_processes": 32, "max_output_bytes": 1000,
        "disk_limit_mb": 8, "env_vars": {"NODE_ENV": "sandbox"}, "files": [{"path": "a.js", "content": "2"}],
        "more": [1]})");
    REQUIRE(read.has_value());
    CHECK(read->runtime == "node");
    CHECK(read->code == "1");
    CHECK(read->entry_point == "index.js");
    CHECK(read->env == std::vector<std::pair<std::string, std::string>>{{"NODE_ENV", "sandbox"}});
    REQUIRE(read->files.size() == 1);
    CHECK(read->files[0].path == "a.js");
    CHECK(read->files[0].content == "2");
    const sandboxes::asked_limits asked{5000, 128, 3, 32, 1000, 8};
    CHECK(read->asked == asked);

    const auto least =
        read_sandbox_request(R"({"runtime": "bun", "code": "1", "entry_point": null, "timeout_ms": null})");
    REQUIRE(least.has_value());
    CHECK(least->entry_point.empty());
    CHECK(least->asked == sandboxes::asked_limits{});
}

TEST_CASE("sandbox requests that are none are refused by the member's name", "[api][sandboxes]")
{
    struct row {
        const char* body;
        const char* names;
    };
    const row rows[] = {
        {"", "JSON"},
        {"[]", "object"},
        {"{}", "runtime"},
        {R"({"runtime": 1, "code": "x"})", "runtime"},
        {R"({"runtime": "node"})", "code"},
        {R"({"runtime": "node", "code": ""})", "code"},
        {R"({"runtime": "node", "code": 5})", "code"},
        {R"({"runtime": "node", "code": "x", "entry_point": []})", "entry_point"},
        {R"({"runtime": "node", "code": "x", "timeout_ms": "5"})", "timeout_ms"},
        {R"({"runtime": "node", "code": "x", "memory_limit_mb": 1.5})", "memory_limit_mb"},
        {R"({"runtime": "node", "code": "x", "files": [{"path": "a"}]})", "files[0].content"},
        {R"({"runtime": "node", "code": "x", "files": [3]})", "files[0]"},
        {R"({"runtime": "node", "code": "x", "env_vars": {"A": 1}})", "env_vars.A"},
        {R"({"runtime": "node", "code": "x", "env_vars": {"1A": "x"}})", "env_vars.1A"},
        {R"({"runtime": "node", "code": "x", "env_vars": {"A=B": "x"}})", "env_vars.A=B"},
        {R"({"runtime": "node", "code": "x", "env_vars": {"A": "\u0000"}})", "env_vars.A"},
    };
    for (const auto& one : rows) {
        CAPTURE(one.body);
        const auto read = read_sandbox_request(one.body);
        REQUIRE(read.has_error());
        CHECK(read.error().code == errc::invalid_request);
        CHECK(read.error().message.find(one.names) != std::string::npos);
    }
    std::string many;
    for (int i = 0; i <= 256; ++i) many += (many.empty() ? "\"A" : ",\"A") + std::to_string(i) + "\":\"\"";
    CHECK(read_sandbox_request(R"({"runtime": "node", "code": "x", "env_vars": {)" + many + "}}").error().message ==
          "env_vars has more than 256 members");
    const auto binary = read_sandbox_request(
        R"({"runtime": "node", "code": "x", "files": [{"path": "a", "content": "AP8=", "encoding": "base64"}]})");
    CHECK(binary.value().files[0].content == std::string{"\0\xff", 2});
    // What no program could be given.
    const auto long_value =
        R"({"runtime": "node", "code": "x", "env_vars": {"A": ")" + std::string(70'000, 'x') + "\"}}";
    CHECK(read_sandbox_request(long_value).has_error());
}

TEST_CASE("an execution may ask for nothing, or for a little", "[api][sandboxes]")
{
    for (const auto* nothing : {"", " \r\n", "{}", R"({"stdin": null})"}) {
        const auto read = read_execution_request(nothing);
        REQUIRE(read.has_value());
        CHECK(read->stdin_text.empty());
        CHECK(read->asked == sandboxes::asked_limits{});
    }
    const auto read = read_execution_request(R"({"stdin": "a\nb", "timeout_ms": 7})");
    REQUIRE(read.has_value());
    CHECK(read->stdin_text == "a\nb");
    CHECK(read->asked[0] == 7);
    for (const auto* bad : {"x", "[]", "1", R"({"stdin": 1})", R"({"timeout_ms": true})"})
        CHECK(read_execution_request(bad).error().code == errc::invalid_request);
}

TEST_CASE("a character that comes in two pieces is kept for the second", "[api][sandboxes]")
{
    CHECK(unfinished_utf8("") == 0);
    CHECK(unfinished_utf8("abc") == 0);
    const std::string characters[] = {"\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    for (const auto& one : characters) {
        CHECK(unfinished_utf8("x" + one) == 0);
        for (std::size_t cut = 1; cut < one.size(); ++cut) CHECK(unfinished_utf8("x" + one.substr(0, cut)) == cut);
    }
    // What can become no character is not waited for.
    CHECK(unfinished_utf8("\xff") == 0);
    CHECK(unfinished_utf8("\x80\x80\x80\x80") == 0);
    CHECK(unfinished_utf8("\xc3\xa4\x80") == 0);
    CHECK(unfinished_utf8("\xc0") == 0);
    CHECK(unfinished_utf8("\xf5\x80") == 0);
}

TEST_CASE("the first file too many ends the reading of a program's request", "[api]")
{
    const std::string body = R"({"runtime": "node", "files": [{"path": "a", "content": ""}, {} !)";
    for (const auto& wrong :
         {read_sandbox_request(body, {.max_files = 1}).error(), read_deploy_request(body, {.max_files = 1}).error(),
          read_files_request(body, {.max_files = 1}).error()}) {
        CHECK(wrong.code == errc::payload_too_large);
        CHECK(wrong.message == "more than 1 files");
    }
}
