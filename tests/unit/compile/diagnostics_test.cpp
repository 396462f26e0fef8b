#include "compile/diagnostics.hpp"

#include "base/utf8.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <string>
#include <vector>

using namespace sandboxd;
using namespace sandboxd::compile;

namespace {

bool has_control(const std::string& text)
{
    return std::ranges::any_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

}  // namespace

TEST_CASE("one line, one diagnostic", "[compile][diagnostics]")
{
    struct row {
        const char* line;
        diagnostic expected;
    };
    const row rows[] = {
        {"main.c:3:5: error: expected ';' after expression",
         {"main.c", 3, 5, severity::error, "expected ';' after expression"}},
        {"m.c:1:10: fatal error: 'missing.h' file not found",
         {"m.c", 1, 10, severity::fatal_error, "'missing.h' file not found"}},
        {"src/a.cpp:12:1: warning: unused variable 'x' [-Wunused-variable]",
         {"src/a.cpp", 12, 1, severity::warning, "unused variable 'x' [-Wunused-variable]"}},
        {"a.c:2:3: note: previous definition is here", {"a.c", 2, 3, severity::note, "previous definition is here"}},
        {"a.c:2:3: remark: loop vectorized", {"a.c", 2, 3, severity::remark, "loop vectorized"}},
        {"a.c:7: error: no column", {"a.c", 7, 0, severity::error, "no column"}},
        {"./sub/h.h:1:8: error: expected ')'", {"sub/h.h", 1, 8, severity::error, "expected ')'"}},
        {"/usr/include/x.h:1:8: error: y", {"/usr/include/x.h", 1, 8, severity::error, "y"}},
        {"<command line>:10:9: warning: 'X' macro redefined [-Wmacro-redefined]",
         {"<command line>", 10, 9, severity::warning, "'X' macro redefined [-Wmacro-redefined]"}},
        {"clang: error: unknown argument: '-fbogus'", {"", 0, 0, severity::error, "unknown argument: '-fbogus'"}},
        {"emcc: warning: MAXIMUM_MEMORY is only meaningful with ALLOW_MEMORY_GROWTH",
         {"", 0, 0, severity::warning, "MAXIMUM_MEMORY is only meaningful with ALLOW_MEMORY_GROWTH"}},
        {"error: undefined symbol: foo (referenced by top-level compiled C/C++ code)",
         {"", 0, 0, severity::error, "undefined symbol: foo (referenced by top-level compiled C/C++ code)"}},
        {"warning: undefined symbol: foo", {"", 0, 0, severity::warning, "undefined symbol: foo"}},
        {"wasm-ld-14: error: /tmp/emscripten_temp_rw409wcv/u_0.o: undefined symbol: foo",
         {"", 0, 0, severity::error, "undefined symbol: foo"}},
        {"wasm-ld: error: duplicate symbol: main", {"", 0, 0, severity::error, "duplicate symbol: main"}},
        {"emcc: error: '/usr/bin/clang-14 -target wasm32 a.c -o /tmp/x.o' failed (returned 1)",
         {"", 0, 0, severity::error, "clang-14 failed"}},
        {"emcc: error: '/usr/bin/clang-14", {"", 0, 0, severity::error, "'/usr/bin/clang-14"}},
        {"LLVM ERROR: out of memory", {"", 0, 0, severity::fatal_error, "LLVM ERROR: out of memory"}},
        {"main.c: warning: odd", {"main.c", 0, 0, severity::warning, "odd"}},
        {"a.c:1:2: note: error: in a note", {"a.c", 1, 2, severity::note, "error: in a note"}},
        {"\x1b[1ma.c:1:2: \x1b[0m\x1b[0;1;31merror: \x1b[0m\x1b[1mbad\x1b[0m", {"a.c", 1, 2, severity::error, "bad"}},
        {"a.c:1:2: error: with\ttab and \x01 control", {"a.c", 1, 2, severity::error, "with tab and   control"}},
        {"a.c:1:2: error: \xff\xc3", {"a.c", 1, 2, severity::error, "\xef\xbf\xbd\xef\xbf\xbd"}},
        {"a.c:1:2: error: c1 \xc2\x9b here", {"a.c", 1, 2, severity::error, "c1   here"}},
        {"a.c:1:2: error: cr\r", {"a.c", 1, 2, severity::error, "cr"}},
        {"a.c:99999999999:2: error: huge", {"a.c:99999999999", 2, 0, severity::error, "huge"}},
    };
    for (const auto& row : rows) {
        CAPTURE(row.line);
        const auto list = parse_diagnostics(row.line);
        REQUIRE(list.items.size() == 1);
        const auto& found = list.items.front();
        CHECK(found.file == row.expected.file);
        CHECK(found.line == row.expected.line);
        CHECK(found.column == row.expected.column);
        CHECK(found.level == row.expected.level);
        CHECK(found.message == row.expected.message);
        CHECK_FALSE(list.truncated);
    }
}

TEST_CASE("lines that are no messages", "[compile][diagnostics]")
{
    const char* rows[] = {
        "",
        "\n\n\r\n",
        "In file included from main.c:1:",
        "1 error generated.",
        "    3 | int x = 1",
        "  printf(\"a.c:1:2: error: x\");",
        "puts(\"error: x\"); // a.c:1: error: y",
        "int x; // see a.c:1:2: error: z",
        "                     ^",
        ">>> defined in /tmp/emscripten_temp_t6r1gtfo/d1_0.o",
        "Error: Aborting compilation due to previous errors",
        "a.c:1:2: error:no space",
        "a.c:1:2: error: ",
        ":1:2: error: no file",
        "a.c:1:2: ERROR: case",
        "cache:INFO: generating system library",
    };
    for (const char* row : rows) {
        CAPTURE(row);
        CHECK(parse_diagnostics(row).items.empty());
    }
}

TEST_CASE("the output of a real failure", "[compile][diagnostics]")
{
    const auto list = parse_diagnostics(
        "In file included from b.c:1:\n"
        "./sub/h.h:1:8: error: expected parameter declarator\n"
        "int f( { }\n"
        "       ^\n"
        "./sub/h.h:1:6: note: to match this '('\n"
        "int f( { }\n"
        "     ^\n"
        "1 error generated.\n"
        "emcc: error: '/usr/bin/clang-14 -target wasm32-unknown-emscripten b.c -c -o /tmp/x/b_0.o' "
        "failed (returned 1)\n");
    REQUIRE(list.items.size() == 2);
    CHECK(list.items[0] == diagnostic{"sub/h.h", 1, 8, severity::error, "expected parameter declarator"});
    CHECK(list.items[1] == diagnostic{"sub/h.h", 1, 6, severity::note, "to match this '('"});
}

TEST_CASE("lines and columns that are no place are none", "[compile][diagnostics]")
{
    // "./" stands for no file, and neither lines nor columns are counted from 0.
    CHECK(parse_diagnostics("./:0:5: error: x\n./:7: error: x\n:3:4: error: x\n").items.empty());

    const auto list = parse_diagnostics(
        "./a.c:0:5: error: x\na.c:0: error: y\na.c:3:0: error: z\n"
        "a.c:999999999:999999999: error: far\n"
        "a.c:4294967297:1: error: farther\n");
    REQUIRE(list.items.size() == 5);
    CHECK(list.items[0] == diagnostic{.file = "a.c", .message = "x"});
    CHECK(list.items[1] == diagnostic{.file = "a.c", .message = "y"});
    CHECK(list.items[2] == diagnostic{.file = "a.c", .line = 3, .message = "z"});
    CHECK(list.items[3] == diagnostic{.file = "a.c", .line = 999'999'999, .column = 999'999'999, .message = "far"});
    CHECK(list.items[4] == diagnostic{.file = "a.c:4294967297", .line = 1, .message = "farther"});
}

TEST_CASE("the number and size of diagnostics are bounded", "[compile][diagnostics]")
{
    std::string many;
    for (int i = 0; i < 200; ++i) many += "a.c:1:2: warning: w\n";
    CHECK(parse_diagnostics(many).items.size() == 200);
    CHECK_FALSE(parse_diagnostics(many).truncated);
    many += "int x;\na.c:1:2: error: e\n";
    CHECK(parse_diagnostics(many).items.size() == 200);
    CHECK(parse_diagnostics(many).truncated);

    std::string wide;
    for (int i = 0; i < 100'000; ++i) wide += "\xe2\x82\xac";
    const auto one = parse_diagnostics("a.c:1:2: error: " + wide);
    REQUIRE(one.items.size() == 1);
    CHECK(one.items.front().message.size() <= 2048);
    CHECK(is_valid_utf8(one.items.front().message));

    CHECK(parse_diagnostics(std::string(4096, 'x') + ":1:2: error: too far").items.empty());

    const diagnostic_limits narrow{.max_items = 1, .max_message_bytes = 10, .max_file_bytes = 10};
    const auto tool = parse_diagnostics("emcc: error: '/usr/bin/a-long-name x' failed", narrow);
    REQUIRE(tool.items.size() == 1);
    CHECK(tool.items.front().message == "a-long-nam");
}

TEST_CASE("hostile output takes linear time", "[compile][diagnostics]")
{
    constexpr std::size_t size = 8 * 1024 * 1024;
    const char* patterns[] = {"x",    ":",        ": ", "\n", "\x1b[", "\x1b",     "a: error: \n",
                              "\xff", ": error:", "1",  ":1", "\r\n",  "note: : ", "\n: error: x: error: "};
    for (const char* pattern : patterns) {
        CAPTURE(pattern);
        std::string output;
        while (output.size() < size) output += pattern;
        output += std::string(3, '\0');
        // Were it quadratic, this would not end within the test's hang guard.
        const auto list = parse_diagnostics(output);
        for (const auto& item : list.items) {
            CHECK(is_valid_utf8(item.message));
            CHECK_FALSE(has_control(item.message));
            CHECK_FALSE(has_control(item.file));
        }
    }
}

TEST_CASE("severities have stable names", "[compile][diagnostics]")
{
    CHECK(name(severity::note) == "note");
    CHECK(name(severity::remark) == "remark");
    CHECK(name(severity::warning) == "warning");
    CHECK(name(severity::error) == "error");
    CHECK(name(severity::fatal_error) == "fatal_error");
}
