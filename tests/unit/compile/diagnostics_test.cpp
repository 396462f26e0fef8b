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
         {"", 0, 0, severity::error, "undefined symbol: foo"}},
        {"error: undefined symbol: _Z1fi (referenced by top-level compiled C/C++ code)",
         {"", 0, 0, severity::error, "undefined symbol: f(int)"}},
        {"wasm-ld: error: entry symbol not defined (pass --no-entry to suppress): main",
         {"", 0, 0, severity::error, "entry symbol not defined: main"}},
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
        "warning: Link with `-s LLD_REPORT_UNDEFINED` to get more information on undefined symbols",
        "warning: Link with `-sLLD_REPORT_UNDEFINED` to get more information on undefined symbols",
        "warning: To disable errors for undefined symbols use `-s ERROR_ON_UNDEFINED_SYMBOLS=0`",
        "warning: __Z1fi may need to be added to EXPORTED_FUNCTIONS if it arrives from a system library",
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
    CHECK(list.items[0] == diagnostic{"sub/h.h",
                                      1,
                                      8,
                                      severity::error,
                                      "expected parameter declarator",
                                      8,
                                      {{{"sub/h.h", 1, 6, 6}, "to match this '('"}}});
    CHECK(list.items[1] == diagnostic{"sub/h.h", 1, 6, severity::note, "to match this '('", 6});
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
    CHECK(
        list.items[3] ==
        diagnostic{
            .file = "a.c", .line = 999'999'999, .column = 999'999'999, .message = "far", .column_utf16 = 999'999'999});
    CHECK(list.items[4] == diagnostic{.file = "a.c:4294967297", .line = 1, .message = "farther"});
}

namespace {

const std::vector<source_file> project{
    {"main.cpp", "#include \"sub/h.h\"\n#include <algorithm>\nint main() { return 0; }\n"},
    {"sub/h.h", "int f( { }\n"},
    {"gr\xc3\xb6\xc3\x9f\x65/it's (1).cpp", ""},
    {"a/util.cpp", ""},
    {"b/util.cpp", ""},
    {"last.c", ""},
};
const std::vector<std::string> project_units{"main.cpp", "gr\xc3\xb6\xc3\x9f\x65/it's (1).cpp", "a/util.cpp",
                                             "b/util.cpp", "last.c"};
const job_text about{project, project_units};

place at(const char* file, unsigned line = 0, unsigned column = 0)
{
    return {.file = file, .line = line, .column = column, .column_utf16 = column};
}

}  // namespace

TEST_CASE("notes belong to their error, and an error elsewhere comes from a line of the request",
          "[compile][diagnostics]")
{
    const auto list = parse_diagnostics(
        "In file included from main.cpp:2:\n"
        "In file included from /usr/include/c++/v1/algorithm:652:\n"
        "/usr/include/c++/v1/sort.h:49:14: error: invalid operands to binary expression ('P' and 'P')\n"
        "  return __x < __y;\n"
        "         ~~~ ^ ~~~\n"
        "/usr/include/c++/v1/sort.h:590:7: note: in instantiation of member function 'less' requested here\n"
        "main.cpp:3:14: note: candidate function is not viable\n"
        "main.cpp:3:8: note: in instantiation of function template specialization 'std::sort<P *>' requested here\n"
        "/usr/include/c++/v1/sort.h:60:1: error: nobody asked\n"
        "In file included from main.cpp:1:\n"
        "./sub/h.h:1:8: warning: in a header\n"
        "sub/h.h:1:6: note: to match\n"
        "/usr/include/c++/v1/sort.h:70:1: error: from nowhere\n"
        "wasm-ld: error: odd\n",
        about);
    REQUIRE(list.items.size() == 9);
    const auto& first = list.items[0];
    CHECK(first.file == "/usr/include/c++/v1/sort.h");
    REQUIRE(first.notes.size() == 3);
    CHECK(first.notes[0].at == at("/usr/include/c++/v1/sort.h", 590, 7));
    CHECK(first.notes[1].at == at("main.cpp", 3, 14));
    CHECK(first.origin == at("main.cpp", 3, 8));  // what was asked for, before what was thought of
    // The notes are in the list, too, as they always were.
    CHECK(list.items[3].level == severity::note);
    CHECK(list.items[3].notes.empty());
    CHECK(list.items[3].origin == at("main.cpp", 3, 8));
    // The include line is for what no instantiation led to.
    CHECK(list.items[1].origin == at("main.cpp", 3, 8));
    CHECK(list.items[4].origin == at("main.cpp", 3, 8));
    CHECK(list.items[5].origin == at("sub/h.h", 1, 8));
    REQUIRE(list.items[5].notes.size() == 1);
    CHECK(list.items[5].notes[0].at == at("sub/h.h", 1, 6));
    CHECK(list.items[7].origin == std::nullopt);
    CHECK(list.items[8].origin == std::nullopt);
}

TEST_CASE("an error without notes has the origin of the instantiation before it", "[compile][diagnostics]")
{
    const auto list = parse_diagnostics(
        "In file included from main.cpp:2:\n"
        "/usr/include/c++/v1/algorithm:9:1: warning: before\n"
        "/usr/include/c++/v1/sort.h:49:14: error: invalid operands to binary expression\n"
        "/usr/include/c++/v1/sort.h:590:7: note: in instantiation of member function 'less' requested here\n"
        "main.cpp:3:8: note: in instantiation of function template specialization 'std::sort<P *>' requested here\n"
        "In file included from main.cpp:2:\n"
        "In file included from /usr/include/c++/v1/algorithm:652:\n"
        "/usr/include/c++/v1/heap.h:60:1: error: again\n"
        "/usr/include/c++/v1/heap.h:70:1: error: and again\n"
        "/usr/include/c++/v1/heap.h:71:1: note: which\n"
        "3 errors generated.\n"
        "In file included from main.cpp:1:\n"
        "/usr/include/c++/v1/heap.h:60:1: error: in another unit\n",
        about);
    REQUIRE(list.items.size() == 8);
    CHECK(list.items[0].origin == at("main.cpp", 2));
    for (const std::size_t i : {1u, 4u, 5u, 6u}) {
        CAPTURE(i);
        CHECK(list.items[i].origin == at("main.cpp", 3, 8));
    }
    CHECK(list.items[7].origin == at("main.cpp", 1));
}

TEST_CASE("a column is told in UTF-16 code units, too", "[compile][diagnostics]")
{
    const std::vector<source_file> files{
        {"a.c", "int x;\n/* gr\xc3\xb6\xc3\x9f\x65 */ int y;\n\xf0\x9f\x98\x80 \xe2\x82\xac; \xff z\n"},
        {"b.c", "\xc3\xa4 x"},
    };
    const auto list = parse_diagnostics(
        "b.c:1:4: error: at x\n"
        "a.c:2:20: error: behind two of two bytes\n"
        "a.c:3:6: error: behind one of four\n"
        "a.c:3:9: error: and one of three\n"
        "a.c:2:4: error: before\n"
        "a.c:2:1: error: at the beginning\n"
        "a.c:1:5: error: ASCII\n"
        "a.c:3:99: error: beyond its line\n"
        "a.c:77:5: error: #line\n"
        "c.h:1:5: error: not known\n",
        {files, {}});
    REQUIRE(list.items.size() == 10);
    const unsigned expected[] = {3, 18, 4, 5, 4, 1, 5, 99, 5, 5};
    for (std::size_t i = 0; i < list.items.size(); ++i) {
        CAPTURE(list.items[i].message);
        CHECK(list.items[i].column_utf16 == expected[i]);
    }
}

TEST_CASE("files of the request may have blanks and quotes in their names", "[compile][diagnostics]")
{
    const std::string file = "gr\xc3\xb6\xc3\x9f\x65/it's (1).cpp";
    const auto line = file + ":3:5: error: expected ';'";
    CHECK(parse_diagnostics(line).items.empty());  // it could be anything
    const auto list = parse_diagnostics(line, about);
    REQUIRE(list.items.size() == 1);
    CHECK(list.items[0].file == file);
    CHECK(list.items[0].line == 3);
}

TEST_CASE("the linker's objects are the request's sources", "[compile][diagnostics]")
{
    const auto list = parse_diagnostics(
        "wasm-ld-14: error: duplicate symbol: _Z1gv\n"
        ">>> defined in /tmp/emscripten_temp_nch6wth/main_0.o\n"
        ">>> defined in /tmp/emscripten_temp_nch6wth/util_3.o\n"
        "\n"
        "wasm-ld: error: /job/out/emscripten_temp_x/it's (1)_1.o: undefined symbol: f(int)\n"
        "wasm-ld: error: /tmp/emscripten_temp_x/last.o: undefined symbol: k\n"
        "wasm-ld: error: /tmp/emscripten_temp_x/util.o: undefined symbol: h\n"
        "wasm-ld: error: /tmp/emscripten_temp_x/strange_7.o: undefined symbol: i\n"
        "wasm-ld: error: duplicate symbol: j\n"
        ">>> defined in /usr/lib/libc.a(j.o)\n",
        about);
    REQUIRE(list.items.size() == 6);
    CHECK(list.items[0].message == "duplicate symbol: g()");
    CHECK(list.items[0].file == "main.cpp");
    REQUIRE(list.items[0].notes.size() == 2);
    CHECK(list.items[0].notes[0] == diagnostic_note{at("main.cpp"), "`g()` is defined here"});
    CHECK(list.items[0].notes[1] == diagnostic_note{at("b/util.cpp"), "`g()` is defined here"});
    CHECK(list.items[1].file == "gr\xc3\xb6\xc3\x9f\x65/it's (1).cpp");
    CHECK(list.items[1].message == "undefined symbol: f(int)");
    CHECK(list.items[1].origin == at("gr\xc3\xb6\xc3\x9f\x65/it's (1).cpp"));
    CHECK(list.items[2].file == "last.c");
    CHECK(list.items[3].file.empty());  // there are two
    CHECK(list.items[3].message == "undefined symbol: h");
    CHECK(list.items[4].message == "undefined symbol: i");
    CHECK(list.items[5].file.empty());
    CHECK(list.items[5].notes.size() == 1);
}

TEST_CASE("an object that was asked for by name is its source", "[compile][diagnostics]")
{
    const auto list = parse_diagnostics(
        "wasm-ld-14: error: duplicate symbol: g\n"
        ">>> defined in /tmp/emscripten_temp_n/util_3.o\n"
        ">>> defined in ../out/emscripten_temp_last_4.o\n",
        about);
    REQUIRE(list.items.size() == 1);
    REQUIRE(list.items[0].notes.size() == 2);
    CHECK(list.items[0].notes[0].at == at("b/util.cpp"));
    CHECK(list.items[0].notes[1].at == at("last.c"));
}

TEST_CASE("a second main() is called main, once", "[compile][diagnostics]")
{
    const std::string defined =
        "\n>>> defined in /tmp/emscripten_temp_n/main_0.o\n"
        ">>> defined in /tmp/emscripten_temp_n/last_4.o\n";
    const auto output = "wasm-ld-14: error: duplicate symbol: __original_main" + defined +
                        "\nwasm-ld-14: error: duplicate symbol: main" + defined +
                        "em++: error: '/usr/bin/wasm-ld-14 -o x' failed (returned 1)\n";
    const auto list = parse_diagnostics(output, about);
    REQUIRE(list.items.size() == 1);
    CHECK(list.items[0].message == "duplicate symbol: main");
    CHECK(list.items[0].file == "main.cpp");
    REQUIRE(list.items[0].notes.size() == 2);
    CHECK(list.items[0].notes[1] == diagnostic_note{at("last.c"), "`main` is defined here"});
    CHECK(for_people(output, about) ==
          "wasm-ld-14: error: duplicate symbol: main\n>>> defined in main.cpp\n>>> defined in last.c\n");
    CHECK(parse_diagnostics("wasm-ld: error: duplicate symbol: __main_argc_argv\n").items[0].message ==
          "duplicate symbol: main");
    CHECK(parse_diagnostics("wasm-ld: error: duplicate symbol: my__original_main2\n").items[0].message ==
          "duplicate symbol: my__original_main2");
    // Two that are not the same stay two.
    CHECK(
        parse_diagnostics("wasm-ld: error: duplicate symbol: f\nwasm-ld: error: duplicate symbol: g\n").items.size() ==
        2);
}

TEST_CASE("a function that is declared otherwise than it is defined names both files", "[compile][diagnostics]")
{
    const auto list = parse_diagnostics(
        "wasm-ld-14: warning: function signature mismatch: f\n"
        ">>> defined as (i32, i32) -> i32 in /tmp/emscripten_temp_n/last_4.o\n"
        ">>> defined as (i32) -> i32 in /tmp/emscripten_temp_n/main_0.o\n",
        about);
    REQUIRE(list.items.size() == 1);
    CHECK(list.items[0].level == severity::warning);
    CHECK(list.items[0].file == "last.c");
    REQUIRE(list.items[0].notes.size() == 2);
    CHECK(list.items[0].notes[0] ==
          diagnostic_note{at("last.c"), "`f` is declared or defined here as (i32, i32) -> i32"});
    CHECK(list.items[0].notes[1] == diagnostic_note{at("main.cpp"), "`f` is declared or defined here as (i32) -> i32"});
}

TEST_CASE("emcc's modules warn in the manner of Python", "[compile][diagnostics]")
{
    const auto list = parse_diagnostics(
        "system_libs:WARNING: main() is in the input files, but is not exported\n"
        "emcc:ERROR: it is so\ncache:INFO: it is made\n case:ERROR: x\n");
    REQUIRE(list.items.size() == 2);
    CHECK(list.items[0] == diagnostic{.file = {},
                                      .level = severity::warning,
                                      .message = "main() is in the input files, but is not exported"});
    CHECK(list.items[1] == diagnostic{.file = {}, .message = "it is so"});
}

TEST_CASE("a function that is missing is told with the files that name it", "[compile][diagnostics]")
{
    const std::vector<source_file> files{
        {"main.cpp",
         "#include \"helper.h\"\n#  include <only_here.h>\nint main() { helpers(); return ns::helper(1); }\n"},
        {"helper.h", "int helper(int); inline int inlined() { return only_here(); }\n"},
        {"b.cpp", "int b() { return helper(2); }\n"},
        {"c.c", "int helper2;\n"},
        {"data.txt", "nothing"},
    };
    const std::vector<std::string> units{"main.cpp", "b.cpp", "c.c"};
    const auto list = parse_diagnostics(
        "error: undefined symbol: _ZN2ns6helperEi (referenced by top-level compiled C/C++ code)\n"
        "error: undefined symbol: only_here (referenced by top-level compiled C/C++ code)\n"
        "error: undefined symbol: nobody\n"
        "error: undefined symbol: helper2\n"
        "warning: undefined symbol: helper\n",
        {files, units});
    REQUIRE(list.items.size() == 5);
    CHECK(list.items[0].message == "undefined symbol: ns::helper(int)");
    CHECK(list.items[0].file == "main.cpp");
    CHECK(list.items[0].origin == at("main.cpp"));
    REQUIRE(list.items[0].notes.size() == 2);
    CHECK(list.items[0].notes[0] == diagnostic_note{at("main.cpp"), "`helper` is named here"});
    CHECK(list.items[0].notes[1] == diagnostic_note{at("b.cpp"), "`helper` is named here"});
    CHECK(list.items[1].file == "helper.h");  // for no unit has it but as a file's name
    CHECK(list.items[2].file.empty());
    CHECK(list.items[2].notes.empty());
    CHECK(list.items[3].file == "c.c");
    CHECK(list.items[4].file == "main.cpp");
}

TEST_CASE("whatever its name is made of, a function that is missing is told with the right files",
          "[compile][diagnostics]")
{
    // `int e` and `bool` are in innocent.cpp, and so is what operators are used for.
    const std::vector<source_file> files{
        {"innocent.cpp", "int e = 3; bool b = e == 3; int* p = new int[2]; std::cout << (b + p[0]); // gr\xc3\xb6\n"},
        {"z.cpp",
         "extern \"C\" void gr\xc3\xb6\xc3\x9f"
         "e(); int z() { return largest(1, 2); }\n"},
        {"a.h",
         "struct A { bool operator == (const A&) const; operator bool(); int operator()(int);\n"
         "int operator[](int); operator std::string(); void* operator new [] (size_t); A(); };\n"
         "A operator+(A, A); std::ostream& operator<<(std::ostream&, A); A operator\"\"_km(long double);\n"},
    };
    const std::vector<std::string> units{"innocent.cpp", "z.cpp"};
    struct row {
        const char* symbol;
        const char* file;
    };
    for (const auto& [symbol, file] :
         {row{"gr\xc3\xb6\xc3\x9f"
              "e",
              "z.cpp"},
          row{"int largest<int>(int, int)", "z.cpp"}, row{"int ns::largest<void (*)(int)>(int, int)", "z.cpp"},
          row{"(anonymous namespace)::largest(int)", "z.cpp"}, row{"largest[abi:cxx11](int)", "z.cpp"},
          row{"A::operator==(A const&) const", "a.h"}, row{"A::operator bool()", "a.h"},
          row{"A::operator()(int)", "a.h"}, row{"A::operator[](int)", "a.h"},
          row{"A::operator new[](unsigned long)", "a.h"}, row{"operator+(A, A)", "a.h"},
          row{"std::__2::basic_ostream<char>& operator<< <char>(A)", "a.h"},
          row{"operator\"\" _km(long double)", "a.h"}, row{"vtable for A", "a.h"}, row{"A::A()", "a.h"},
          row{"A::operator std::string()", ""}, row{"operator!=(A, A)", ""}, row{"operator delete(void*)", ""},
          row{"nowhere<int>(int)", ""}}) {
        CAPTURE(symbol);
        const auto list = parse_diagnostics("error: undefined symbol: " + std::string{symbol} + "\n", {files, units});
        REQUIRE(list.items.size() == 1);
        CHECK(list.items[0].file == file);
    }
}

TEST_CASE("what people read has no inner command lines, mangled names or advice for others", "[compile][diagnostics]")
{
    const std::string command(1200, 'x');
    CHECK(
        for_people("main.cpp:1:2: error: bad\n  int _Z1fv;\n  ^\n1 error generated.\nemcc: error: '/usr/bin/clang-14 " +
                       command + "' failed (returned 1)\n",
                   about) == "main.cpp:1:2: error: bad\n  int _Z1fv;\n  ^\n1 error generated.\n");
    CHECK(for_people("emcc: error: '/usr/bin/clang-14 " + command + "' failed (received SIGSEGV (-11))\n", about) ==
          "emcc: error: clang-14 failed (received SIGSEGV (-11))\n");
    CHECK(for_people(
              "error: undefined symbol: _Z7nowherei (referenced by top-level compiled C/C++ code)\n"
              "warning: Link with `-s LLD_REPORT_UNDEFINED` to get more information on undefined symbols\n"
              "warning: To disable errors for undefined symbols use `-s ERROR_ON_UNDEFINED_SYMBOLS=0`\n"
              "warning: __Z7nowherei may need to be added to EXPORTED_FUNCTIONS if it arrives from a system library\n"
              "Error: Aborting compilation due to previous errors\n"
              "emcc: error: '/usr/bin/node /usr/share/emscripten/src/compiler.js /tmp/x.json' failed (returned 1)\n",
              about) == "error: undefined symbol: nowhere(int)\n");
    CHECK(
        for_people(
            "wasm-ld-14: error: duplicate symbol: g()\n>>> defined in /tmp/emscripten_temp_n/main_0.o\n"
            ">>> defined in /tmp/emscripten_temp_n/util_2.o\nem++: error: '/usr/bin/wasm-ld-14 -o x' failed (returned 1)\n",
            about) == "wasm-ld-14: error: duplicate symbol: g()\n>>> defined in main.cpp\n>>> defined in a/util.cpp\n");
    // A tool that was found on the PATH.
    const std::string found = "em++: error: 'wasm-opt --strip-dwarf " + command + "' failed (returned 1)\n";
    CHECK(for_people(found, about) == "em++: error: wasm-opt failed (returned 1)\n");
    CHECK(for_people("a.c:1:1: error: bad\n" + found, about) == "a.c:1:1: error: bad\n");
    REQUIRE(parse_diagnostics(found).items.size() == 1);
    CHECK(parse_diagnostics(found).items[0].message == "wasm-opt failed");
    CHECK(parse_diagnostics("emcc: error: 'EXPORT_NAME' is odd\n").items[0].message == "'EXPORT_NAME' is odd");
    CHECK(for_people("\x1b[1ma.c:1:2: \x1b[31merror: \x1b[0mx\r\n", about) == "a.c:1:2: error: x\n");
    CHECK(for_people("no newline", about) == "no newline\n");
    CHECK(for_people("", about).empty());
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
    const auto tool = parse_diagnostics("emcc: error: '/usr/bin/a-long-name x' failed", {}, narrow);
    REQUIRE(tool.items.size() == 1);
    CHECK(tool.items.front().message == "a-long-nam");
}

TEST_CASE("hostile output takes linear time", "[compile][diagnostics]")
{
    constexpr std::size_t size = 2 * 1024 * 1024;
    const char* patterns[] = {"x",
                              ":",
                              ": ",
                              "\n",
                              "\x1b[",
                              "\x1b",
                              "a: error: \n",
                              "\xff",
                              ": error:",
                              "1",
                              ":1",
                              "\r\n",
                              "note: : ",
                              "\n: error: x: error: ",
                              "In file included from main.cpp:1:\n",
                              ">>> defined in /emscripten_temp.o\n",
                              "error: undefined symbol: _Z1fv\n",
                              "wasm-ld /emscripten_temp.o",
                              "_Z"};
    for (const char* pattern : patterns) {
        CAPTURE(pattern);
        std::string output;
        while (output.size() < size) output += pattern;
        output += std::string(3, '\0');
        // Were it quadratic, this would not end within the test's hang guard.
        const auto list = parse_diagnostics(output, about);
        CHECK(for_people(output, about).size() <= output.size() + 1);
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
