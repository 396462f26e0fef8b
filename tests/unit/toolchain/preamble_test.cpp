#include "toolchain/preamble.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <string>
#include <string_view>
#include <vector>

using namespace sandboxd::toolchain;

TEST_CASE("a preamble is the lines up to the last include of a system header", "[toolchain]")
{
    // What is before the bar is the preamble.
    const std::string_view rows[] = {
        "#include <vector>\n|int main() {}\n",
        "#include <vector>\n|\n\nint main() {}\n",
        "  #  include  <vector>  // of numbers\n|using namespace std;\n#include <map>\n",
        "// one\n\n/* two\n * lines */ // and more\n#define N 3\n#include <cstdio>\n|#define M 4\nint main() {}\n",
        "#include <vector>\r\n#include <map>\r\n|int x;\r\n",
        "#define max(a, b) ((a) > (b) ? (a) : (b))\n#include <sys/types.h>\n|x",
        "#include <emscripten/bind.h>\n#include <algorithm>\n|#include \"own.h\"\n#include <map>\n",
        "#include <vector>\n|#include <map>",
        "#include <vector>\n|#ifdef X\n#include <map>\n#endif\n",
        "#include <vector>\n|#pragma once\n#include <map>\n",
        "#include <vector>\n|#undef N\n#include <map>\n",
        "#include <vector>\n|#include_next <map>\n",
        "#include <vector>\n|#import <map>\n",
        "#include <vector>\n|#include <map> /* a\n comment */\n",
        "#include <vector>\n|/* never closed\n#include <map>\n",
        "#include <vector>\n|/* one */ #include <map>\n",
        "#include <vector>\n|/* one */ int x;\n#include <map>\n",
        "#include <vector>\n|// goes on \\\n#include <map>\n#include <set>\n",
        "#include <vector>\n|// goes on \\  \n#include <map>\n#include <set>\n",
        "#include <vector>\n|// goes on ?\?/\n#include <map>\n",
        "#include <vector>\n|/* a *\\\n/ b */\n#include <map>\n",
        "#include <vector>\n|// one\r#pragma once\n#include <map>\n",
        "#include <vector>\n|/* one */ // two\r#pragma once\n#include <map>\n",
        "#include <vector>\n|#define N 1\rint n;\n#include <map>\n",
        "#include <vector>\n|\r\r\n#include <map>\n",
        "#include <vector>\n|#define N 1 /* open\n#include <map>\n*/\n",
        "#include <vector>\n|#define\n#include <map>\n",
        "#include <vector>\n|#define _LIBCPP_DEBUG __has_include(\"/job/src/d.h\")\n#include <map>\n",
        "#include <vector>\n|#define HAS __has##_include(<x>)\n#include <map>\n",
        "#include <vector>\n|#define HAS __has%:%:_include(<x>)\n#include <map>\n",
        "#include <vector>\n|#define 3\n#include <map>\n",
        "#include <vector>\n|#include NAME\n",
        "#include <vector>\n|#include <map\n",
        "#include <vector>\n|#include <map> x\n",
        "|#include </etc/passwd>\n",
        "|#include <../x>\n",
        "|#include <a/../../x>\n",
        "|#include <proc self>\n",
        "|#include <>\n",
        "|\xef\xbb\xbf#include <vector>\n",
        "|%:include <vector>\n",
        "|",
        "|int main() {}\n",
        "|// nothing\n",
    };
    for (const auto row : rows) {
        INFO(row);
        const auto bar = row.find('|');
        const auto source = std::string{row.substr(0, bar)} + std::string{row.substr(bar + 1)};
        CHECK(preamble_bytes(source) == bar);
    }
    const std::string with_nul{"#include <vector>\n// \0\n#include <map>\n", 37};
    CHECK(preamble_bytes(with_nul) == 18);
    // What begins in what is looked at, and ends elsewhere.
    std::string comments;
    while (comments.size() < most_preamble_bytes - 10) comments += "// 345678\n";
    CHECK(preamble_bytes("#include <vector>\n" + comments + "#include <map>\n") == 18);
}

TEST_CASE("a preamble is known only for arguments that name no other file", "[toolchain]")
{
    const std::vector<std::string> emcc{"-target",
                                        "wasm32-unknown-emscripten",
                                        "-DEMSCRIPTEN",
                                        "-D__EMSCRIPTEN_major__=3",
                                        "-fignore-exceptions",
                                        "-fvisibility=default",
                                        "-mllvm",
                                        "-combiner-global-alias-analysis=false",
                                        "-fno-threadsafe-statics",
                                        "-Werror=implicit-function-declaration",
                                        "-Xclang",
                                        "-iwithsysroot/include/SDL",
                                        "--sysroot=/usr/share/emscripten/cache/sysroot",
                                        "-O2"};
    REQUIRE(preamble_may_be_known(emcc));
    const auto with = [&](std::vector<std::string> more) {
        auto args = emcc;
        args.insert(args.end(), more.begin(), more.end());
        return preamble_may_be_known(args);
    };
    for (const auto* const one : {"-std=c++20", "-std=gnu++17", "-Wall", "-Wextra", "-Wno-unused", "-w", "-DN=\"x y\"",
                                  "-UN", "-fexceptions", "-fno-rtti", "-fwasm-exceptions", "-msimd128", "-pthread",
                                  "-pedantic", "-g0", "-Os", "-ftemplate-depth=2000"}) {
        INFO(one);
        CHECK(with({one}));
    }
    for (const auto* const one : {"-I.",
                                  "-I/src",
                                  "-isystem/x",
                                  "-iquote",
                                  "-include",
                                  "-includex.h",
                                  "-D_LIBCPP_DEBUG=__has_include(\"d.h\")",
                                  "-DHAS(a)=__has##a",
                                  "-imacros",
                                  "-idirafter",
                                  "-g",
                                  "-g1",
                                  "-gdwarf-4",
                                  "-fplugin=x.so",
                                  "-fmodules",
                                  "-fprofile-use=x",
                                  "-ffile-prefix-map=a=b",
                                  "-fdebug-prefix-map=a=b",
                                  "-ftime-trace",
                                  "-save-temps",
                                  "-fsanitize=address",
                                  "-fsanitize-blacklist=x",
                                  "-fprofile-instr-generate",
                                  "-MD",
                                  "-MF",
                                  "-E",
                                  "-S",
                                  "-emit-llvm",
                                  "-flto",
                                  "-x",
                                  "-xc",
                                  "@args",
                                  "--config",
                                  "-Wa,x",
                                  "-Wp,-MD,x",
                                  "-Wunused-macros",
                                  "-Werror=unused-macros",
                                  "-Weverything",
                                  "-Wsystem-headers",
                                  "-Wl,x",
                                  "-D",
                                  "-U",
                                  "-B.",
                                  "-Xpreprocessor",
                                  "-Xclang",
                                  "-mllvm",
                                  "-target",
                                  "-O2x/y",
                                  "-std=../x",
                                  "-unknown",
                                  "-funknown",
                                  "--sysroot",
                                  "--serialize-diagnostics",
                                  "main.cpp",
                                  "",
                                  "-fpch-instantiate-templates",
                                  "-ivfsoverlay",
                                  "-working-directory=x",
                                  "-fcoverage-mapping",
                                  "-nostdinc",
                                  "-v"}) {
        INFO(one);
        CHECK_FALSE(with({one}));
    }
    CHECK_FALSE(with({"-Xclang", "-load"}));
    CHECK_FALSE(with({"-Xclang", "-iwithsysroot/include/../../x"}));
    CHECK_FALSE(with({"-mllvm", "-load=/tmp/x.so"}));
    CHECK_FALSE(with({"-Xclang", "-include-pch"}));
}
