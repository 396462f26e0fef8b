// Arguments as a weapon, by way of HTTP and the real emcc: a token that tries to read or write a file is
// refused, any other that is not known is dropped and named, and neither reaches a command line.
#include "arena.hpp"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <vector>

using namespace sandboxd::test;

namespace {

using words = std::vector<std::string>;

const std::string hello = "int main(void) { return 0; }\n";

boost::json::object request_of(const words& args)
{
    return {{"code", hello}, {"args", boost::json::array(args.begin(), args.end())}};
}

}  // namespace

TEST_CASE("arguments that read a file end the request", "[hostile][arguments]")
{
    arena place;
    const auto canary = place.host().files()[0].native();
    const std::vector<words> rows{
        {"-sEXPORTED_FUNCTIONS=@/etc/passwd"},
        {"-sEXPORTED_FUNCTIONS=@" + canary},
        {"-s", "EXPORTED_FUNCTIONS=@/etc/passwd"},
        {"-sEXPORTED_RUNTIME_METHODS=@/etc/shadow"},
        {"-sEXPORTED_FUNCTIONS=[\"_main\",\"@/etc/passwd\"]"},
        {"-sENVIRONMENT=@/etc/passwd"},
        {"-sMODULARIZE=@/etc/passwd"},
        {"-sINVOKE_RUN=@/dev/stdin"},
        {"-sANYTHING=@/proc/self/environ"},
        {"--embed-file", "/etc/passwd"},
        {"--embed-file=/etc/passwd@/x"},
        {"--embed-file='/etc/passwd'"},
        {"--embed-file=main.c@a\"b"},
        {"--embed-file=main.c@\xc3\xa4"},
        {"--preload-file", "\"/etc/passwd\""},
        {"-s \"EXPORTED_FUNCTIONS=@/etc/passwd\""},
        {"-sEXTRA_EXPORTED_RUNTIME_METHODS=\"['@/etc/passwd']\""},
        {"--embed-file", "../../../etc/passwd"},
        {"--embed-file", "main.c@../../x"},
        {"--embed-file", canary + "@x"},
        {"--embed-file", "nothing.txt"},
        {"--preload-file", "/etc/shadow"},
        {"--preload-file", "/proc/1/environ@x"},
        {"--preload-file", "."},
        {"--preload-file", "/"},
        {"--preload-file=main.c@@x"},
    };
    for (const auto& args : rows) {
        attack();
        INFO(args.front());
        const auto v = place.compile(request_of(args));
        CHECK(v.status == 400);
        CHECK(v.code == "invalid_request");
        CHECK(v.member("error").starts_with("args"));
    }
    place.nothing_left();
}

TEST_CASE("arguments that do anything else of the kind are dropped and named", "[hostile][arguments]")
{
    arena place;
    const auto canary = place.host().files()[0].native();
    const auto target = "/tmp/" + place.host().marker();
    const std::vector<words> rows{
        {"-o", target},
        {"-o" + target},
        {"@" + canary},
        {"-I/etc"},
        {"-I", "/"},
        {"-I", "'/etc'"},
        {"-I.."},
        {"-I", "./../.."},
        {"-Imain.c"},
        {"-I="},
        {"-isystem", ".."},
        {"-lembind.js"},
        {"-l", "embind/../../../etc/passwd"},
        {"-DF(x)=x\n-o" + target},
        {"-DF(`id`)=x"},
        {"-D'F(@" + canary + ")=x'"},
        {"-L/"},
        {"-l:passwd"},
        {"-include", canary},
        {"-include/etc/passwd"},
        {"-imacros", canary},
        {"-isystem", "/"},
        {"-iquote/"},
        {"-idirafter/"},
        {"-x", "assembler"},
        {"-xc++"},
        {"-B/tmp"},
        {"-specs=" + canary},
        {"--config", canary},
        {"--sysroot=/"},
        {"-isysroot", "/"},
        {"-Xclang", "-load"},
        {"-Xlinker", "-Map=" + target},
        {"-Xpreprocessor", "-MD"},
        {"-mllvm", "-version"},
        {"-Wl,-Map=" + target},
        {"-Wp,-MD," + target},
        {"-Wa,-I/"},
        {"-fplugin=/tmp/x.so"},
        {"-fpass-plugin=/x.so"},
        {"--js-library", canary},
        {"--js-transform", "cat /etc/passwd"},
        {"--pre-js", canary},
        {"--post-js=" + canary},
        {"--extern-pre-js", canary},
        {"--extern-post-js", canary},
        {"--shell-file", canary},
        {"--em-config", canary},
        {"--cache", "/tmp"},
        {"--use-port=/tmp/x.py"},
        {"--compiler-wrapper", "/bin/sh"},
        {"--emit-tsd", target},
        {"-sNODERAWFS"},
        {"-sNODERAWFS=1"},
        {"-sEMBIND_AOT"},
        {"-MF", target},
        {"-MMD"},
        {"-MJ", target},
        {"-save-temps"},
        {"-save-temps=obj"},
        {"-ftime-trace"},
        {"--reproduce=" + target},
        {"-E"},
        {"-M"},
        {"-S"},
        {"-c"},
        {"-v"},
        {"-###"},
        {"--version"},
        {"-dM"},
        {"-print-search-dirs"},
        {"-ffile-prefix-map=a=b"},
        {"-fprofile-use=" + canary},
        {"-fsanitize-ignorelist=" + canary},
        {"-working-directory", "/"},
        {"--gcc-toolchain=/"},
        {"-resource-dir", "/"},
        {"-fmodules"},
        {"-fmodule-file=" + canary},
        {"-ivfsoverlay", canary},
        {"-rpath", "/"},
        {"--serialize-diagnostics", target},
        {"/etc/passwd"},
        {canary},
        {"-"},
        {"--"},
        {"main.c", "-o", target},
        {"-DX=1\n-o" + target},
        {"-O2 -o " + target},
        {"-O2\n"},
        {"-sENVIRONMENT=node"},
        {"-sENVIRONMENT=shell"},
        {"-sEXPORT_NAME=x;require('fs')"},
        {"-Wl"},
        {"-Wno-everything,-o," + target},
        {"-sINITIAL_MEMORY=99999999999999999999"},
        {"-std=c++17;id"},
        {"$(id)"},
        {"`id`"},
        {";id"},
        {"| sh"},
        {std::string{"-O2\0-o", 6}},
        {"\xe2\x80\x94o"},
        {""},
        {"-s"},
    };
    for (const auto& args : rows) {
        attack();
        INFO(args.front());
        const auto v = place.compile(request_of(args));
        // Dropped: the program is what it would have been without. Refused would be as good.
        if (v.code != "invalid_request") {
            CHECK(v.code == "ok");
            CHECK_FALSE(v.body.at("ignoredArgs").as_array().empty());
        }
    }
    place.nothing_left();
}

TEST_CASE("too many arguments, and too long ones, are refused", "[hostile][arguments]")
{
    arena place;
    const std::vector<words> rows{
        words(1000, "-O0"),
        {"-DX=" + std::string(100'000, 'x')},
        {std::string(1'000'000, 'x')},
        words(200, "-DX=" + std::string(1'000, 'x')),
    };
    for (const auto& args : rows) {
        attack();
        const auto v = place.compile(request_of(args));
        CHECK(v.status == 400);
        CHECK(v.code == "invalid_request");
    }
    for (const char* args : {R"("-O2")", R"({"a": 1})", "1", "[1, 2]", R"([["-O2"]])", "[null]"}) {
        attack();
        INFO(args);
        const auto v = place.compile({{"code", hello}, {"args", boost::json::parse(args)}});
        CHECK(v.status == 400);
        CHECK(v.code == "invalid_request");
    }
    place.nothing_left();
}
