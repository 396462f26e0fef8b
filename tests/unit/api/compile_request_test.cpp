#include "api/compile_request.hpp"

#include <catch2/catch_test_macros.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

using namespace sandboxd;
using api::read_compile_request;
using compile::language;

namespace {

compile::request read(std::string_view body)
{
    CAPTURE(body);
    auto request = read_compile_request(body);
    REQUIRE(request.has_value());
    return std::move(*request);
}

}  // namespace

TEST_CASE("the single-file form", "[api][compile_request]")
{
    const auto least = read(R"({"code": "int main;"})");
    CHECK(least.code == "int main;");
    CHECK(least.files.empty());
    CHECK(least.type == std::nullopt);
    CHECK(least.args.empty());
    CHECK(least.cache);

    const auto full = read(R"({"code": "x", "type": "cpp", "args": ["-O2", ""], "cache": false})");
    CHECK(full.type == language::cpp);
    CHECK(full.args == std::vector<std::string>{"-O2", ""});
    CHECK_FALSE(full.cache);

    CHECK(read(R"({"code": "x", "type": null, "args": null, "files": null})").type == std::nullopt);
    CHECK(read(R"({"code": "x", "type": " C "})").type == language::c);
    CHECK(read(R"({"code": "x", "type": ""})").type == language::c);
    CHECK(read(R"({"code": "x", "files": []})").code == "x");
    CHECK(read(R"({"code": "x", "unknown": {"deep": [1, 2]}})").code == "x");
    CHECK(read("\n {\"code\": \"a\\u0000\\u00e9\\n\"} \r\n").code == std::string{"a\0\xc3\xa9\n", 5});
}

TEST_CASE("the form with several files", "[api][compile_request]")
{
    const auto request =
        read(R"({"files": [{"path": "a.c", "content": "1"}, {"path": "b.h", "content": "", "mode": 7}], "type": "c"})");
    REQUIRE(request.files.size() == 2);
    CHECK(request.files[0].path == "a.c");
    CHECK(request.files[0].content == "1");
    CHECK(request.files[1].path == "b.h");
    CHECK(request.files[1].content.empty());
    CHECK(request.code.empty());
    CHECK(read(R"({"code": "", "files": [{"path": "a.c", "content": "1"}]})").files.size() == 1);
    CHECK(read(R"({"code": null, "files": [{"path": "a.c", "content": "1"}]})").files.size() == 1);
}

TEST_CASE("a file's content may be base64", "[api][compile_request]")
{
    const auto request = read(R"({"files": [{"encoding": "base64", "path": "a.bin", "content": "AP9\u0038"},
        {"path": "a.c", "content": "AP98", "encoding": "utf-8"}, {"path": "b.c", "content": "AP98", "encoding": null},
        {"path": "c.c", "content": "", "encoding": "Base64"}, {"path": "d.c", "content": "\u00e9", "encoding": "UTF-8"}]})");
    REQUIRE(request.files.size() == 5);
    CHECK(request.files[0].content == std::string{"\0\xff\x7c", 3});
    CHECK(request.files[1].content == "AP98");
    CHECK(request.files[2].content == "AP98");
    CHECK(request.files[3].content.empty());
    CHECK(request.files[4].content == "\xc3\xa9");
    // What counts is what a file holds.
    const compile::source_limits limits{.max_total_bytes = 3};
    CHECK(compile::check_sources({request.files[0], {"a.c", ""}}, {}, limits).has_value());
}

TEST_CASE("what is wrong is named by its path", "[api][compile_request]")
{
    struct row {
        std::string given;
        const char* expected;
    };
    const row rows[] = {
        {"", "invalid JSON: "},
        {"{", "invalid JSON: "},
        {"{\"code\": \"x\"} x", "invalid JSON: "},
        {"{\"code\": \"\xff\"}", "invalid JSON: "},
        {"{\"code\": \"\\ud800\"}", "invalid JSON: "},
        {"{\"code\": \"x\", \"a\": " + std::string(20, '[') + std::string(20, ']') + "}", "invalid JSON: "},
        {std::string(1 << 20, '['), "invalid JSON: "},
        {"[]", "invalid JSON: the body must be an object"},
        {"null", "invalid JSON: the body must be an object"},
        {"\"code\"", "invalid JSON: the body must be an object"},
        {"{}", "code is required"},
        {R"({"code": ""})", "code is required"},
        {R"({"code": null})", "code is required"},
        {R"({"files": []})", "code is required"},
        {R"({"Code": "x"})", "code is required"},
        {R"({"code": 1})", "code must be a string, not an integer"},
        {R"({"code": ["x"]})", "code must be a string, not an array"},
        {R"({"code": "x", "type": 1})", "type must be a string, not an integer"},
        {R"({"code": "x", "type": "rust"})", "type must be 'c' or 'cpp'"},
        {R"({"code": "x", "cache": "no"})", "cache must be true or false, not a string"},
        {R"({"code": "x", "cache": null})", "cache must be true or false, not null"},
        {R"({"code": "x", "args": "-O2"})", "args must be an array, not a string"},
        {R"({"code": "x", "args": {}})", "args must be an array, not an object"},
        {R"({"code": "x", "args": ["-O2", 3]})", "args[1] must be a string, not an integer"},
        {R"({"code": "x", "args": [null]})", "args[0] must be a string, not null"},
        {R"({"files": {}})", "files must be an array, not an object"},
        {R"({"files": "a.c"})", "files must be an array, not a string"},
        {R"({"files": ["a.c"]})", "files[0] must be an object with path and content"},
        {R"({"files": [{"path": "a.c", "content": ""}, null]})", "files[1] must be an object with path and content"},
        {R"({"files": [{"path": "a.c"}]})", "files[0].content is required"},
        {R"({"files": [{"content": ""}]})", "files[0].path is required"},
        {R"({"files": [{}]})", "files[0].path is required"},
        {R"({"files": [{"path": 1, "content": ""}]})", "files[0].path must be a string, not an integer"},
        {R"({"files": [{"path": "a", "content": null}]})", "files[0].content must be a string, not null"},
        {R"({"files": [{"path": "a", "content": "", "encoding": 1}]})", "files[0].encoding must be a string"},
        {R"({"files": [{"path": "a", "content": "", "encoding": "hex"}]})",
         "files[0].encoding must be \"utf-8\" or \"base64\""},
        {R"({"files": [{"path": "a", "content": ""}, {"path": "b", "content": "a", "encoding": "base64"}]})",
         "files[1].content is not base64: "},
        {R"({"files": [{"path": "a", "content": "", "content": ""}]})", "files[0].content comes twice"},
        {R"({"code": "x", "code": "y"})", "code comes twice"},
        {R"({"code": "x", "files": [{"path": "a.c", "content": ""}]})", "send either code or files, not both"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.given.substr(0, 100));
        const auto request = read_compile_request(row.given);
        REQUIRE(request.has_error());
        CHECK(request.error().code == errc::invalid_request);
        CAPTURE(request.error().message);
        CHECK(request.error().message.starts_with(row.expected));
    }
}

TEST_CASE("the first file or argument too many ends the reading of a compile request", "[api][compile]")
{
    const auto refused = [](const std::string& body, const api::request_limits& limits = {}) {
        const auto made = read_compile_request(body, limits);
        REQUIRE(made.has_error());
        CHECK(made.error().code == errc::invalid_request);
        return made.error().message;
    };
    std::string args;
    for (int i = 0; i < 256; ++i) args += "\"-g\",";
    // What follows is no JSON, and nobody sees it.
    CHECK(refused("{\"args\": [" + args + "\"-g\" !").starts_with("args has more than 256 entries"));
    CHECK(refused(R"({"files": [{"path": "a.c", "content": ""}, {} !)", {.max_files = 1})
              .starts_with("files has more than 1 entries"));
    CHECK(refused(R"({"a": 1, "b": 1, "code": "x", !)", {.json = {.max_members = 2}}) ==
          "the body has more than 2 members and items of lists: send fewer");
    CHECK(refused(R"({"code": "x", "a": [[[]]]})", {.json = {.max_depth = 3}}).starts_with("invalid JSON: "));
}
