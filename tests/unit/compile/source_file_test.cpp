#include "compile/source_file.hpp"

#include <catch2/catch_test_macros.hpp>

#include <optional>
#include <string>
#include <vector>

using namespace sandboxd;
using namespace sandboxd::compile;

TEST_CASE("type is trimmed and case-folded", "[compile][source_file]")
{
    struct row {
        const char* type;
        std::optional<language> expected;
    };
    const row rows[] = {
        {"", language::c},      {"c", language::c},        {"C", language::c},     {" c \n", language::c},
        {"   ", language::c},   {"cpp", language::cpp},    {"CPP", language::cpp}, {"Cc", language::cpp},
        {"c++", language::cpp}, {"\tC++ ", language::cpp}, {"cxx", std::nullopt},  {"c ++", std::nullopt},
        {"rust", std::nullopt}, {"c\0", language::c},      {"cppc", std::nullopt},
    };
    for (const auto& row : rows) {
        CAPTURE(row.type);
        CHECK(parse_language(row.type) == row.expected);
    }
    CHECK(parse_language(std::string(1 << 20, 'c')) == std::nullopt);
    CHECK(name(language::c) == "c");
    CHECK(name(language::cpp) == "cpp");
}

TEST_CASE("translation units are known by their ending", "[compile][source_file]")
{
    struct row {
        const char* path;
        std::optional<language> expected;
    };
    const row rows[] = {
        {"main.c", language::c},  {"a/b.cc", language::cpp}, {"x.cpp", language::cpp}, {"x.cxx", language::cpp},
        {"x.c++", language::cpp}, {"x.y.c", language::c},    {"x.h", std::nullopt},    {"x.hpp", std::nullopt},
        {"x.C", language::cpp},   {"x.s", std::nullopt},     {"x.S", std::nullopt},    {"x.o", std::nullopt},
        {"x.a", std::nullopt},    {"x.ll", std::nullopt},    {"x.bc", std::nullopt},   {"x.c.1", std::nullopt},
        {"c", std::nullopt},      {".c", std::nullopt},      {"a.c/b", std::nullopt},  {"", std::nullopt},
        {"X.CPP", language::cpp}, {"X.CC", language::cpp},   {"X.CXX", language::cpp}, {"X.C++", language::cpp},
        {"X.Cpp", std::nullopt},  {"X.H", std::nullopt},     {"a/.c", std::nullopt},   {"x.m", std::nullopt},
        {"x.i", std::nullopt},    {"x.js", std::nullopt},
    };
    for (const auto& row : rows) {
        CAPTURE(row.path);
        CHECK(unit_language(row.path) == row.expected);
    }
}

TEST_CASE("paths that would leave the job or mean something else are refused", "[compile][source_file]")
{
    const std::string good[] = {
        "main.c",
        "src/util.c",
        "a/b/c/d/e/f/g/h.c",
        "app.c",
        "app.h",
        "data/app.js",
        "conftest.h",
        "x..y",
        "a-b_c+d.txt",
        "Makefile",
        "sub/conftest.c",
        "a.",
        std::string(200, 'a'),
        "a b",
        "a'b",
        "main (1).cpp",
        "caf\xc3\xa9.c",
        "gr\xc3\xb6\xc3\x9f\x65/\xe6\xa8\xa1.h",
        "X.C",
    };
    for (const auto& path : good) {
        CAPTURE(path);
        CHECK(path_defect(path).value_or("fine") == "fine");
    }
    const std::string bad[] = {
        "",
        "/",
        "/etc/passwd",
        "//etc/passwd",
        "..",
        ".",
        "../x",
        "a/../b",
        "a/..",
        "./a",
        "a/./b",
        "a//b",
        "a/",
        ".emscripten",
        ".clang-format",
        "a/.hidden",
        "...",
        "-o",
        "-I/etc",
        "a/-x.c",
        "--plugin=x",
        "@file",
        "a@b",
        "a\tb",
        "a\nb",
        std::string{"a\0b", 3},
        "a\\b",
        "C:\\x",
        "C:/x",
        "a:b",
        "a,b",
        "a=b",
        "a*",
        "a?",
        "~/x",
        "$HOME",
        "`x`",
        "a;b",
        "a|b",
        "a\"b",
        "\xff.c",
        "a/ b",
        "a /b",
        " a",
        "a ",
        "a\xc2\xa0"
        "b",  // a blank that is not one
        "a\xe2\x80\xa8"
        "b",  // a line separator
        "a\xe2\x80\xae"
        "b",  // right to left
        "a\xe2\x80\x8b"
        "b",  // no width
        "a\xc2\x85"
        "b",  // a C1 control
        "a\xef\xbb\xbf"
        "b",
        "a\xf3\xa0\x80\xa0"
        "b",
        "\xc0\xaf",
        "a&b",
        "a[b]",
        "a%2e",
        "a#b",
        "a/b/c/d/e/f/g/h/i.c",
        std::string(201, 'a'),
        "app.js",
        "app.wasm",
        "app.wasm.map",
        "app.data",
        "app.html",
        "app.worker.js",
        "conftest.c",
        "conftest.cpp",
    };
    for (const auto& path : bad) {
        CAPTURE(path);
        CHECK(path_defect(path).has_value());
        const auto set = check_sources({{"main.c", ""}, {path, ""}}, std::nullopt);
        REQUIRE(set.has_error());
        CHECK(set.error().code == errc::invalid_request);
        CHECK(set.error().message.starts_with("files[1].path "));
    }
}

TEST_CASE("a request's files are checked together", "[compile][source_file]")
{
    source_limits limits;
    limits.max_files = 3;
    limits.max_total_bytes = 10;
    struct row {
        const char* what;
        std::vector<source_file> files;
        errc code;
        const char* part;
    };
    const row rows[] = {
        {"no file", {}, errc::invalid_request, "empty"},
        {"too many", {{"a.c", ""}, {"b.c", ""}, {"c.c", ""}, {"d.c", ""}}, errc::invalid_request, "3"},
        {"twice", {{"a.c", ""}, {"a.c", "x"}}, errc::invalid_request, "twice"},
        {"file and directory", {{"a", ""}, {"a/b.c", ""}}, errc::invalid_request, "below a path that is itself a file"},
        {"directory and file",
         {{"x/a/b.c", ""}, {"x/a", ""}},
         errc::invalid_request,
         "below a path that is itself a file"},
        {"no unit", {{"a.h", ""}, {"b.txt", ""}}, errc::invalid_request, "nothing to compile"},
        {"too large", {{"a.c", "12345678901"}}, errc::payload_too_large, "10"},
        {"too large together", {{"a.c", "123456"}, {"b.c", "12345"}}, errc::payload_too_large, "10"},
    };
    for (const auto& row : rows) {
        INFO(row.what);
        const auto set = check_sources(row.files, std::nullopt, limits);
        REQUIRE(set.has_error());
        CHECK(set.error().code == row.code);
        CHECK(set.error().message.find(row.part) != std::string::npos);
    }

    const auto fits = check_sources({{"a.c", "123456"}, {"b/a.h", "1234"}}, std::nullopt, limits);
    REQUIRE(fits.has_value());
    CHECK(fits->paths() == std::vector<std::string>{"a.c", "b/a.h"});
    CHECK(check_sources({{"ab", ""}, {"a/b.c", ""}}, std::nullopt).has_value());
}

TEST_CASE("the language of the link", "[compile][source_file]")
{
    using units = std::vector<std::string>;
    const auto c = check_sources({{"z.c", ""}, {"a.h", ""}, {"b.c", ""}}, std::nullopt);
    REQUIRE(c.has_value());
    CHECK(c->lang == language::c);
    CHECK(c->units == units{"z.c", "b.c"});

    const auto mixed = check_sources({{"z.c", ""}, {"b.cpp", ""}}, language::c);
    REQUIRE(mixed.has_value());
    CHECK(mixed->lang == language::mixed);
    CHECK(name(mixed->lang) == "mixed");
    CHECK(mixed->units == units{"b.cpp", "z.c"});  // emcc counts those of C++ alike with and without the others
    CHECK(check_sources({{"z.c", ""}, {"b.cpp", ""}}, language::cpp)->lang == language::mixed);
    CHECK(check_sources({{"b.cpp", ""}}, language::c)->lang == language::cpp);

    const auto asked = check_sources({{"z.c", ""}}, language::cpp);
    REQUIRE(asked.has_value());
    CHECK(asked->lang == language::cpp);
}

TEST_CASE("code becomes one file", "[compile][source_file]")
{
    const auto c = single_source("int main(){}", language::c);
    REQUIRE(c.has_value());
    CHECK(c->files.at(0).path == "main.c");
    CHECK(c->files.at(0).content == "int main(){}");
    CHECK(c->units == std::vector<std::string>{"main.c"});
    CHECK(single_source("", language::cpp)->units == std::vector<std::string>{"main.cpp"});

    source_limits limits;
    limits.max_total_bytes = 3;
    CHECK(single_source("123", language::c, limits).has_value());
    CHECK(single_source("1234", language::c, limits).error().code == errc::payload_too_large);
}
