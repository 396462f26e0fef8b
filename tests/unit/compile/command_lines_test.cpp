#include "compile/emcc.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <vector>

using namespace sandboxd::compile;

namespace {

using words = std::vector<std::string>;

std::vector<words> commands(language lang, words argv, words units)
{
    toolchain_job job{.directory = "/jobs/1", .argv = std::move(argv), .units = std::move(units), .lang = lang};
    return command_lines(job, "/bin/emcc", "/bin/em++");
}

}  // namespace

TEST_CASE("units of one language are compiled and linked by one command", "[compile][command_lines]")
{
    CHECK(commands(language::c, {"-std=c11"}, {"a.c"}) ==
          std::vector<words>{{"/bin/emcc", "-std=c11", "a.c", "-o", "../out/app.js"}});
    CHECK(commands(language::cpp, {"-O2"}, {"a.cpp", "b.cc"}) ==
          std::vector<words>{{"/bin/em++", "-O2", "a.cpp", "b.cc", "-o", "../out/app.js"}});
}

TEST_CASE("units of both languages are each compiled as what they are", "[compile][command_lines]")
{
    CHECK(commands(language::mixed, {"-O2", "-sSTRICT=1"}, {"a.cpp", "b.c"}) ==
          std::vector<words>{
              {"/bin/emcc", "-O2", "-sSTRICT=1", "-sDEFAULT_TO_CXX=1", "a.cpp", "b.c", "-o", "../out/app.js"}});

    // A standard reaches its own language alone.
    CHECK(commands(language::mixed,
                   {"-std=c11", "-std=c++20", "-DX=1", "-lembind", "--embed-file=x@x", "-sMODULARIZE=1"},
                   {"a.cpp", "lib/it's (b).x.c", "c.c"}) ==
          std::vector<words>{
              {"/bin/emcc", "-std=c11", "-DX=1", "-sMODULARIZE=1", "-Wno-unused-command-line-argument", "-c",
               "lib/it's (b).x.c", "-o", "../out/emscripten_temp_it's (b).x_1.o"},
              {"/bin/emcc", "-std=c11", "-DX=1", "-sMODULARIZE=1", "-Wno-unused-command-line-argument", "-c", "c.c",
               "-o", "../out/emscripten_temp_c_2.o"},
              {"/bin/em++", "-std=c++20", "-DX=1", "-lembind", "--embed-file=x@x", "-sMODULARIZE=1", "a.cpp",
               "../out/emscripten_temp_it's (b).x_1.o", "../out/emscripten_temp_c_2.o", "-o", "../out/app.js"}});
    const auto only_cpp = commands(language::mixed, {"-std=gnu++17"}, {"a.cpp", "b.c"});
    REQUIRE(only_cpp.size() == 2);
    CHECK(only_cpp[0] ==
          words{"/bin/emcc", "-Wno-unused-command-line-argument", "-c", "b.c", "-o", "../out/emscripten_temp_b_1.o"});
    CHECK(only_cpp[1][1] == "-std=gnu++17");
}
