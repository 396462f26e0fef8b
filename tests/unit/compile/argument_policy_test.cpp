#include "compile/argument_policy.hpp"

#include "base/utf8.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

using namespace sandboxd;
using namespace sandboxd::compile;
using namespace std::string_literals;

namespace {

using words = std::vector<std::string>;

const words request_files{"main.c", "data/a.txt", "data/sub/b.bin", "x.txt", "data2/c.txt"};

result<effective_arguments> apply(const words& tokens, language lang = language::c, const policy_limits& limits = {})
{
    return apply_policy(tokens, request_files, lang, limits);
}

words argv_of(const words& tokens, language lang = language::c)
{
    const auto done = apply(tokens, lang);
    return done ? done->argv : words{"refused: " + done.error().message};
}

// What must hold for every command line that this policy composes.
void check_invariants(const words& argv)
{
    for (const auto& token : argv) {
        CAPTURE(token);
        REQUIRE(token.size() >= 2);
        CHECK(token.front() == '-');
        CHECK(std::ranges::none_of(token, [](unsigned char c) { return c < 0x20 || c == 0x7f; }));
        CHECK(is_valid_utf8(token));
        const bool packs = token.starts_with("--embed-file=") || token.starts_with("--preload-file=");
        CHECK(std::ranges::count(token, '@') == (packs ? 1 : 0));
        for (const std::string_view begin : {"-o", "-L", "-x", "-X", "-B", "-Wl", "-Wp,", "-Wa,", "-fplugin", "--js",
                                             "--pre", "--post", "-imacros", "-idir"})
            if (!token.starts_with("--preload-file=")) CHECK_FALSE(token.starts_with(begin));
        if (token.starts_with("-l")) CHECK(token == "-lembind");
        if (token.starts_with("-I")) CHECK((token == "-I." || token == "-Idata" || token == "-Idata/sub"));
        if (token.starts_with("-i"))
            CHECK((token == "-iquotedata" || token == "-isystemdata" || token == "-includex.txt"));
    }
}

}  // namespace

TEST_CASE("allowed arguments come out in one spelling", "[compile][policy]")
{
    struct row {
        words given;
        words argv;
    };
    const row rows[] = {
        {{}, {}},
        {{"-O0"}, {"-O0"}},
        {{"-Oz"}, {"-Oz"}},
        {{"-O2", "-Os"}, {"-Os"}},
        {{"-Os", "-g", "-O0"}, {"-g", "-O0"}},
        {{"-g3"}, {"-g"}},
        {{"-g4"}, {"-gsource-map"}},
        {{"-gsource-map", "-g0"}, {"-g0"}},
        {{"-gline-tables-only"}, {"-gline-tables-only"}},
        {{"-fexceptions", "-fno-exceptions"}, {"-fno-exceptions"}},
        {{"-fno-rtti", "-frtti"}, {"-frtti"}},
        {{"-msimd128", "-msimd128"}, {"-msimd128"}},
        {{"-Wall", "-Wextra", "-Wno-unused", "-Wall"}, {"-Wextra", "-Wno-unused", "-Wall"}},
        {{"-Werror=format", "-Wno-error=unused", "-Wno-error", "-Wc++11-compat"},
         {"-Werror=format", "-Wno-error=unused", "-Wno-error", "-Wc++11-compat"}},
        {{"-std=c18"}, {"-std=c17"}},
        {{"-std=c23"}, {"-std=c2x"}},
        {{"-std=c99", "-std=gnu11"}, {"-std=gnu11"}},
        // Macros.
        {{"-DX"}, {"-DX"}},
        {{"-D", "X"}, {"-DX"}},
        {{"-DX="}, {"-DX="}},
        {{"-DX=1", "-DY", "-DX=2"}, {"-DY", "-DX=2"}},
        {{"-DX=\"a b\" 'c' \\ $(id) `id`; | & > <"}, {"-DX=\"a b\" 'c' \\ $(id) `id`; | & > <"}},
        {{"-DX=caf\xc3\xa9"}, {"-DX=caf\xc3\xa9"}},
        {{"-DX=-o"}, {"-DX=-o"}},
        {{"-DF(x)=x"}, {"-DF(x)=x"}},
        {{"-D", "MAX(a, b)=((a) > (b) ? (a) : (b))"}, {"-DMAX(a, b)=((a) > (b) ? (a) : (b))"}},
        {{"-D'SQ(x)=((x)*(x))'"}, {"-DSQ(x)=((x)*(x))"}},
        {{"-D\"NAME=1\""}, {"-DNAME=1"}},
        {{"-DLOG(...)"}, {"-DLOG(...)"}},
        {{"-DLOG(a,...)=f(a, __VA_ARGS__)"}, {"-DLOG(a,...)=f(a, __VA_ARGS__)"}},
        {{"-DLOG(a, rest...)=f(a, rest)"}, {"-DLOG(a, rest...)=f(a, rest)"}},
        {{"-DF()=1", "-DF=2"}, {"-DF=2"}},
        // As Makefiles have strings, whose shell takes something away.
        {{"-DV='\"1.0\"'"}, {"-DV=\"1.0\""}},
        {{"-D", "V='\"1.0\"'"}, {"-DV=\"1.0\""}},
        {{"-DV=\\\"1.0\\\""}, {"-DV=\"1.0\""}},
        {{"-DV='\\\"1.0\\\"'"}, {"-DV=\"1.0\""}},
        {{"-DV=\"\\\"1.0\\\"\""}, {"-DV=\"1.0\""}},
        {{"-D'V=\"1.0\"'"}, {"-DV=\"1.0\""}},
        {{"'-DV=\"1.0\"'"}, {"-DV=\"1.0\""}},
        {{"-D\"V=\\\"1.0\\\"\""}, {"-DV=\"1.0\""}},
        {{"-DV='L\"1.0\"'"}, {"-DV=L\"1.0\""}},
        {{"-DV=f(\\\"a\\\", \\'b\\')"}, {"-DV=f(\"a\", 'b')"}},
        {{"-DV=\\\"say \\\\\\\"hi\\\\\\\"\\\""}, {"-DV=\"say \\\"hi\\\"\""}},
        {{"-DV(a)=\\\"1.0\\\""}, {"-DV(a)=\"1.0\""}},
        {{"-DV='\"\"'"}, {"-DV=\"\""}},
        {{"-DV='\"a\" '"}, {"-DV=\"a\""}},
        {{"-D'X=1 '"}, {"-DX=1"}},
        {{"-DV=\\\\\"x"}, {"-DV=\"x"}},
        // What is C as it stands.
        {{"-DV='x'"}, {"-DV='x'"}},
        {{"-DV='\"'"}, {"-DV='\"'"}},
        {{"-DV='abcd'"}, {"-DV='abcd'"}},
        {{"-DV='\\''"}, {"-DV='\\''"}},
        {{"-DV=\"a \\\"b\\\" c\""}, {"-DV=\"a \\\"b\\\" c\""}},
        {{"-DV=\"\\n\""}, {"-DV=\"\\n\""}},
        {{"-DV=a -1"}, {"-DV=a -1"}},
        {{"-DV=(a -b)"}, {"-DV=(a -b)"}},
        // Blanks and quotes around a whole argument, a blank behind an option's letter.
        {{" -O2"}, {"-O2"}},
        {{"-O2 "}, {"-O2"}},
        {{"\"-O2\""}, {"-O2"}},
        {{" '-O2' "}, {"-O2"}},
        {{"'-DMAX(a,b)=a'"}, {"-DMAX(a,b)=a"}},
        {{"-D X=1"}, {"-DX=1"}},
        {{"-D", " X=1"}, {"-DX=1"}},
        {{"-I data"}, {"-Idata"}},
        {{"-iquote data", "-isystem data"}, {"-iquotedata", "-isystemdata"}},
        {{"-l embind"}, {"-lembind"}},
        {{"'-sINVOKE_RUN=0'"}, {"-sINVOKE_RUN=0"}},
        {{"-Wall "}, {"-Wall"}},
        {{"--embed-file x.txt"}, {"--embed-file=x.txt@x.txt"}},
        // Libraries and ways of emcc's own.
        {{"--bind"}, {"-lembind"}},
        {{"-lembind", "--bind", "-l", "embind"}, {"-lembind"}},
        {{"-fexceptions", "-fwasm-exceptions"}, {"-fwasm-exceptions"}},
        {{"-O"}, {"-O2"}},
        {{"-O4"}, {"-O3"}},
        // Folders of the request.
        {{"-I."}, {"-I."}},
        {{"-I", "."}, {"-I."}},
        {{"-I./"}, {"-I."}},
        {{"-Idata"}, {"-Idata"}},
        {{"-I./data/"}, {"-Idata"}},
        {{"-I", "'data'"}, {"-Idata"}},
        {{"-Idata", "-Idata/sub", "-I", "data/"}, {"-Idata", "-Idata/sub"}},
        {{"-iquote", "data", "-isystemdata"}, {"-iquotedata", "-isystemdata"}},
        // Settings.
        {{"-s INVOKE_RUN=0"}, {"-sINVOKE_RUN=0"}},
        {{"-sINVOKE_RUN=false"}, {"-sINVOKE_RUN=0"}},
        {{"-sINVOKE_RUN=\"0\""}, {"-sINVOKE_RUN=0"}},
        // In quotes that a shell would have taken away, as emcc's documentation has them.
        {{"-sEXPORTED_FUNCTIONS=\"['_main']\""}, {"-sEXPORTED_FUNCTIONS=[\"_main\"]"}},
        {{"-sEXPORTED_FUNCTIONS='[\"_main\",\"_add\"]'"}, {"-sEXPORTED_FUNCTIONS=[\"_main\",\"_add\"]"}},
        {{"-sEXPORTED_FUNCTIONS=\"_main,_add\""}, {"-sEXPORTED_FUNCTIONS=[\"_main\",\"_add\"]"}},
        {{"-sEXPORTED_FUNCTIONS=\"[\\\"_main\\\"]\""}, {"-sEXPORTED_FUNCTIONS=[\"_main\"]"}},
        {{"-sEXPORTED_FUNCTIONS=[\\\"_main\\\"]"}, {"-sEXPORTED_FUNCTIONS=[\"_main\"]"}},
        {{"-s", "\"EXPORTED_FUNCTIONS=['_main']\""}, {"-sEXPORTED_FUNCTIONS=[\"_main\"]"}},
        {{"-s\"EXPORTED_FUNCTIONS=['_main']\""}, {"-sEXPORTED_FUNCTIONS=[\"_main\"]"}},
        {{"-s", "'EXPORTED_FUNCTIONS=[\"_main\"]'"}, {"-sEXPORTED_FUNCTIONS=[\"_main\"]"}},
        {{"-sINITIAL_MEMORY=\"32MB\""}, {"-sINITIAL_MEMORY=33554432"}},
        // Older names.
        {{"-sEXTRA_EXPORTED_RUNTIME_METHODS=['ccall']"}, {"-sEXPORTED_RUNTIME_METHODS=[\"ccall\"]"}},
        {{"-sEXPORTED_RUNTIME_METHODS=FS", "-s", "EXTRA_EXPORTED_RUNTIME_METHODS=[\"ccall\", \"cwrap\"]"},
         {"-sEXPORTED_RUNTIME_METHODS=[\"FS\",\"ccall\",\"cwrap\"]"}},
        {{"-sEXTRA_EXPORTED_RUNTIME_METHODS=ccall", "-sEXPORTED_RUNTIME_METHODS=FS"},
         {"-sEXPORTED_RUNTIME_METHODS=[\"FS\",\"ccall\"]"}},
        {{"-sEXTRA_EXPORTED_RUNTIME_METHODS=[]", "-sEXPORTED_RUNTIME_METHODS=FS"},
         {"-sEXPORTED_RUNTIME_METHODS=[\"FS\"]"}},
        {{"-sBINARYEN=1"}, {"-sWASM=1"}},
        {{"-sRESERVED_FUNCTION_POINTERS=20"}, {"-sALLOW_TABLE_GROWTH=1"}},
        {{"-sUSE_WEBGL2=1"}, {"-sMAX_WEBGL_VERSION=2"}},
        {{"-sUSE_WEBGL2=0"}, {"-sMAX_WEBGL_VERSION=1"}},
        {{"-sMEMORY_GROWTH_STEP=64kb"}, {"-sMEMORY_GROWTH_LINEAR_STEP=65536"}},
        {{"-sWASM_MEM_MAX=1GB"}, {"-sMAXIMUM_MEMORY=1073741824"}},
        {{"-sASYNCIFY_WHITELIST=['main']"}, {"-sASYNCIFY_ONLY=[\"main\"]"}},
        {{"-sASYNCIFY_BLACKLIST=['f']"}, {"-sASYNCIFY_REMOVE=[\"f\"]"}},
        {{"-sEXCEPTION_CATCHING_WHITELIST=['f']"}, {"-sEXCEPTION_CATCHING_ALLOWED=[\"f\"]"}},
        {{"-sBINARYEN_ASYNC_COMPILATION=0"}, {"-sWASM_ASYNC_COMPILATION=0"}},
        {{"-sINVOKE_RUN=0"}, {"-sINVOKE_RUN=0"}},
        {{"-s", "INVOKE_RUN=0"}, {"-sINVOKE_RUN=0"}},
        {{"-sMODULARIZE"}, {"-sMODULARIZE=1"}},
        {{"-s", "MODULARIZE"}, {"-sMODULARIZE=1"}},
        {{"-sNO_EXIT_RUNTIME"}, {"-sEXIT_RUNTIME=0"}},
        {{"-sNO_EXIT_RUNTIME=0"}, {"-sEXIT_RUNTIME=1"}},
        {{"-sNO_FILESYSTEM=1"}, {"-sFILESYSTEM=0"}},
        {{"-sASSERTIONS=2", "-sASSERTIONS=0"}, {"-sASSERTIONS=0"}},
        {{"-sASSERTIONS=002"}, {"-sASSERTIONS=2"}},
        {{"-sENVIRONMENT=web"}, {"-sENVIRONMENT=web"}},
        {{"-sENVIRONMENT=worker,web"}, {"-sENVIRONMENT=web,worker"}},
        {{"-sENVIRONMENT=['web', \"worker\"]"}, {"-sENVIRONMENT=web,worker"}},
        {{"-sENVIRONMENT='web,worker'"}, {"-sENVIRONMENT=web,worker"}},
        {{"-sEXPORTED_FUNCTIONS=[_main,_add]"}, {"-sEXPORTED_FUNCTIONS=[\"_main\",\"_add\"]"}},
        {{"-sEXPORTED_FUNCTIONS=['_main', '_add']"}, {"-sEXPORTED_FUNCTIONS=[\"_main\",\"_add\"]"}},
        {{"-sEXPORTED_FUNCTIONS=[\"_main\"]"}, {"-sEXPORTED_FUNCTIONS=[\"_main\"]"}},
        {{"-sEXPORTED_FUNCTIONS=_main,_add"}, {"-sEXPORTED_FUNCTIONS=[\"_main\",\"_add\"]"}},
        {{"-sEXPORTED_FUNCTIONS='_main','_add'"}, {"-sEXPORTED_FUNCTIONS=[\"_main\",\"_add\"]"}},
        {{"-sEXPORTED_FUNCTIONS=[]"}, {"-sEXPORTED_FUNCTIONS=[]"}},
        {{"-sEXPORTED_FUNCTIONS="}, {"-sEXPORTED_FUNCTIONS=[]"}},
        {{"-sEXPORTED_FUNCTIONS=_a", "-sEXPORTED_FUNCTIONS=_b"}, {"-sEXPORTED_FUNCTIONS=[\"_b\"]"}},
        {{"-sEXPORTED_RUNTIME_METHODS=ccall,null,NaN"}, {"-sEXPORTED_RUNTIME_METHODS=[\"ccall\",\"null\",\"NaN\"]"}},
        {{"-sEXPORT_NAME='createApp'"}, {"-sEXPORT_NAME=createApp"}},
        {{"-sINITIAL_MEMORY=33554432"}, {"-sINITIAL_MEMORY=33554432"}},
        {{"-sINITIAL_MEMORY=32MB"}, {"-sINITIAL_MEMORY=33554432"}},
        {{"-sINITIAL_MEMORY=64kb"}, {"-sINITIAL_MEMORY=65536"}},
        {{"-sINITIAL_MEMORY=64 MB"}, {"-sINITIAL_MEMORY=67108864"}},
        {{"-s", "INITIAL_MEMORY= 64  kB "}, {"-sINITIAL_MEMORY=65536"}},
        {{"-Ofast"}, {"-O3", "-ffast-math"}},
        {{"-Ofast", "-O2"}, {"-O2"}},
        {{"-Ofast", "-fno-fast-math"}, {"-O3", "-fno-fast-math"}},
        {{"-ffast-math", "-Ofast", "-O1"}, {"-ffast-math", "-O1"}},
        {{"-Ofast", "-ffast-math", "-O1"}, {"-ffast-math", "-O1"}},
        {{"-fno-fast-math", "-Ofast"}, {"-O3", "-ffast-math"}},
        {{"-Og"}, {"-O1"}},
        {{"-ggdb"}, {"-g"}},
        {{"-ggdb0"}, {"-g0"}},
        {{"-ggdb3"}, {"-g"}},
        {{"-gdwarf-4"}, {"-g"}},
        {{"-UNDEBUG"}, {"-UNDEBUG"}},
        {{"-include", "x.txt"}, {"-includex.txt"}},
        {{"-include ./x.txt", "-include", "'x.txt'"}, {"-includex.txt"}},
        {{"-U", "X"}, {"-UX"}},
        {{"-DX=1", "-UX"}, {"-UX"}},
        {{"-UX", "-DX=1"}, {"-DX=1"}},
        {{"-sTOTAL_MEMORY=65536b"}, {"-sINITIAL_MEMORY=65536"}},
        {{"-sMAXIMUM_MEMORY=4GB"}, {"-sMAXIMUM_MEMORY=4294967296"}},
        {{"-sSTACK_SIZE=1mb"}, {"-sTOTAL_STACK=1048576"}},
        {{"-sTOTAL_STACK=1mb", "-sSTACK_SIZE=2mb"}, {"-sTOTAL_STACK=2097152"}},
        {{"-sMALLOC=emmalloc"}, {"-sMALLOC=emmalloc"}},
        {{"-sMALLOC=\"dlmalloc\""}, {"-sMALLOC=dlmalloc"}},
        {{"-sWASM=1"}, {"-sWASM=1"}},
        // Files of the request.
        {{"--embed-file", "x.txt"}, {"--embed-file=x.txt@x.txt"}},
        {{"--embed-file=x.txt"}, {"--embed-file=x.txt@x.txt"}},
        {{"--embed-file=x.txt@y/z.txt"}, {"--embed-file=x.txt@y/z.txt"}},
        {{"--embed-file=x.txt@y/"}, {"--embed-file=x.txt@y/x.txt"}},
        {{"--embed-file=data/a.txt@."}, {"--embed-file=data/a.txt@a.txt"}},
        {{"--embed-file=./x.txt"}, {"--embed-file=x.txt@x.txt"}},
        {{"--embed-file=x.txt@/y"}, {"--embed-file=x.txt@y"}},
        {{"--embed-file=x.txt@/"}, {"--embed-file=x.txt@x.txt"}},
        {{"--embed-file=./data/a.txt@/data/b.txt"}, {"--embed-file=data/a.txt@data/b.txt"}},
        {{"--preload-file", "data/a.txt@//data/a.txt"}, {"--preload-file=data/a.txt@data/a.txt"}},
        {{"--preload-file", "./data/sub@/sub"}, {"--preload-file=data/sub/b.bin@sub/b.bin"}},
        {{"--preload-file", "data/sub@./sub"}, {"--preload-file=data/sub/b.bin@sub/b.bin"}},
        {{"--preload-file", "data/sub/@/"}, {"--preload-file=data/sub/b.bin@b.bin"}},
        {{"--embed-file=x.txt@app.data"}, {"--embed-file=x.txt@app.data"}},
        {{"--preload-file", "data"},
         {"--preload-file=data/a.txt@data/a.txt", "--preload-file=data/sub/b.bin@data/sub/b.bin"}},
        {{"--preload-file", "data/"},
         {"--preload-file=data/a.txt@data/a.txt", "--preload-file=data/sub/b.bin@data/sub/b.bin"}},
        {{"--preload-file", "data@."}, {"--preload-file=data/a.txt@a.txt", "--preload-file=data/sub/b.bin@sub/b.bin"}},
        {{"--preload-file", "data/sub@assets/"}, {"--preload-file=data/sub/b.bin@assets/b.bin"}},
        {{"--embed-file=x.txt", "--embed-file", "x.txt"}, {"--embed-file=x.txt@x.txt"}},
        {{"--preload-file", "\"x.txt\""}, {"--preload-file=x.txt@x.txt"}},
        {{"--preload-file=x.txt@it's (1).txt"}, {"--preload-file=x.txt@it's (1).txt"}},
        {{"--preload-file=x.txt@gr\xc3\xb6\xc3\x9f\x65.txt"}, {"--preload-file=x.txt@gr\xc3\xb6\xc3\x9f\x65.txt"}},
        {{"--source-map-base", "https://example.org/m/"}, {"--source-map-base=https://example.org/m/"}},
        {{"--source-map-base=/m/", "--source-map-base=n/"}, {"--source-map-base=n/"}},
    };
    for (const auto& row : rows) {
        CAPTURE(row.given);
        const auto done = apply(row.given);
        REQUIRE(done.has_value());
        CHECK(done->argv == row.argv);
        CHECK(done->ignored.empty());
        check_invariants(done->argv);
        // Canonical already: a second pass changes nothing.
        CHECK(argv_of(done->argv) == row.argv);
    }
}

TEST_CASE("standards belong to a language", "[compile][policy]")
{
    CHECK(argv_of({"-std=c++17"}, language::cpp) == words{"-std=c++17"});
    CHECK(argv_of({"-std=c++23"}, language::cpp) == words{"-std=c++2b"});
    CHECK(argv_of({"-std=c++2a"}, language::cpp) == words{"-std=c++20"});
    CHECK(argv_of({"-std=c++17"}, language::c).empty());
    CHECK(argv_of({"-std=c11"}, language::cpp).empty());
    CHECK(argv_of({"-std=c11", "-std=c++17", "-std=c17", "-std=c++2a"}, language::mixed) ==
          words{"-std=c17", "-std=c++20"});
    CHECK(argv_of({"-std=c++17"}, language::mixed) == words{"-std=c++17"});
}

TEST_CASE("settings are spelled as the compiler's version knows them", "[compile][policy]")
{
    policy_limits limits;
    limits.version = {3, 1, 69};
    CHECK(apply({"-sTOTAL_STACK=64kb"}, language::c, limits)->argv == words{"-sSTACK_SIZE=65536"});
    limits.version = {3, 1, 25};
    CHECK(apply({"-sSTACK_SIZE=64kb"}, language::c, limits)->argv == words{"-sSTACK_SIZE=65536"});
    limits.version = {3, 1, 24};
    CHECK(apply({"-sSTACK_SIZE=64kb"}, language::c, limits)->argv == words{"-sTOTAL_STACK=65536"});
}

TEST_CASE("what is not allowed is dropped, whole, with a reason", "[compile][policy]")
{
    const words attacks[] = {
        // Output and inputs.
        {"-o", "out.js"},
        {"-oout.js"},
        {"-o"},
        {"-o", "/etc/cron.d/x"},
        {"-o=app.js"},
        {"--output=x"},
        {"main.c"},
        {"/etc/passwd"},
        {"../../etc/passwd"},
        {"x.a"},
        {"libx.so"},
        {"-"},
        {"--"},
        {""},
        {"--", "/etc/passwd"},
        {"-", "-xc"},
        // Response files.
        {"@/etc/passwd"},
        {"@args"},
        {"-Wl,@/etc/passwd"},
        {"-Xlinker", "@x"},
        {"@"},
        {"@@x"},
        // Where things are looked for.
        {"-I/etc"},
        {"-I", "/etc"},
        {"-L/usr/lib"},
        {"-L", "/"},
        {"-lm"},
        {"-l", "m"},
        {"-llibrary.js"},
        {"-include"},
        {"-include", "data"},
        {"-include", "x.txt/../x.txt"},
        {"-include", "../x.txt"},
        {"-include", "/etc/passwd"},
        {"-include/etc/passwd"},
        {"--include=/etc/passwd"},
        {"-imacros", "/etc/passwd"},
        {"-isystem", "/"},
        {"-isystem/"},
        {"-iquote", "/"},
        {"-idirafter", "/"},
        {"-iprefix", "/"},
        {"-iwithprefix", "/"},
        {"-isysroot", "/"},
        {"-iwithsysroot", "/"},
        {"--sysroot=/"},
        {"--sysroot", "/"},
        {"-B/tmp"},
        {"-B", "/tmp"},
        {"-F/tmp"},
        {"-include-pch", "x.pch"},
        {"-embed-dir=/etc"},
        {"--embed-dir=/etc"},
        {"-nostdinc"},
        {"--gcc-toolchain=/"},
        {"-resource-dir", "/tmp"},
        {"-working-directory", "/"},
        {"-cxx-isystem", "/"},
        // Other languages and modes.
        {"-x", "assembler"},
        {"-xc++"},
        {"-E"},
        {"-S"},
        {"-c"},
        {"-M"},
        {"-MM"},
        {"-MD"},
        {"-MMD"},
        {"-MF", "/tmp/x"},
        {"-MF/tmp/x"},
        {"-MJ", "x"},
        {"-MT", "x"},
        {"-MQ", "x"},
        {"-emit-llvm"},
        {"-fsyntax-only"},
        {"-emit-ast"},
        {"-rewrite-objc"},
        {"-shared"},
        {"-r"},
        {"-dM"},
        {"-###"},
        {"-v"},
        {"--help"},
        {"--version"},
        {"-dumpmachine"},
        {"--cflags"},
        {"-print-search-dirs"},
        {"-print-file-name=x"},
        {"--check"},
        {"--show-ports"},
        {"--clear-cache"},
        {"--clear-ports"},
        {"--post-link"},
        {"--oformat=bare"},
        {"--generate-config"},
        // Ways through to other tools.
        {"-Xclang", "-load"},
        {"-Xclang", "-fexceptions-x"},
        {"-Xlinker", "--version"},
        {"-Xpreprocessor", "-x"},
        {"-Xassembler", "x"},
        {"-Xanalyzer", "x"},
        {"-mllvm", "-print-after-all"},
        {"-Wl,--version"},
        {"-Wl,-Map=/tmp/x"},
        {"-Wp,-MD,/tmp/x"},
        {"-Wa,-a=/tmp/x"},
        {"-Wl"},
        {"-Wp"},
        {"-Wa"},
        {"-Wl,/etc/passwd"},
        {"-Wno-unused,-Wl"},
        {"-W"},
        {"-w"},
        {"-WALL"},
        {"-Werror=x,y"},
        {"-Werror="},
        {"-Wall=@x"},
        {"-Wx=/etc"},
        {"-fplugin=/tmp/x.so"},
        {"-fplugin-arg-x-y"},
        {"-fpass-plugin=/tmp/x.so"},
        {"-fmodules"},
        {"-fmodule-file=/x"},
        {"-fmodule-map-file=/x"},
        {"-fmodules-cache-path=/tmp"},
        {"-fprofile-use=/x"},
        {"-fprofile-instr-generate=/x"},
        {"-fcoverage-mapping"},
        {"--coverage"},
        {"-fsanitize-blacklist=/etc/passwd"},
        {"-fsanitize-ignorelist=/etc/passwd"},
        {"-fsanitize=address"},
        {"-fsave-optimization-record"},
        {"-foptimization-record-file=/x"},
        {"-fdiagnostics-format=sarif"},
        {"-fcrash-diagnostics-dir=/"},
        {"-fdebug-prefix-map=/=x"},
        {"-ffile-prefix-map=/=x"},
        {"-fuse-ld=/bin/sh"},
        {"-fuse-ld=lld"},
        {"--ld-path=/bin/sh"},
        {"-ftime-trace"},
        {"-ftime-trace=/x"},
        {"-ftime-report"},
        {"-save-temps"},
        {"-save-temps=cwd"},
        {"--save-temps"},
        {"--reproduce=/x"},
        {"-gen-reproducer"},
        {"--config=/x"},
        {"--config", "/x"},
        {"-specs=/x"},
        {"--specs=/x"},
        {"-T", "script"},
        {"-Tscript"},
        {"-target", "x86"},
        {"--target=x86_64-linux-gnu"},
        {"-march=native"},
        {"-mcpu=x"},
        {"-flto"},
        {"-flto=thin"},
        {"-pthread"},
        {"-static"},
        {"-nostdlib"},
        {"-gsplit-dwarf"},
        {"-gseparate-dwarf"},
        {"-gseparate-dwarf=/tmp/x"},
        {"-gsource-map=inline"},
        {"-g5"},
        {"-gdwarf-6"},
        {"-serialize-diagnostics", "x"},
        {"--serialize-diagnostics=x"},
        {"-ivfsoverlay", "x"},
        {"-index-store-path", "x"},
        {"-dependency-file", "x"},
        {"-fembed-bitcode"},
        {"-fmacro-backtrace-limit=0"},
        {"-ferror-limit=0"},
        {"-ftemplate-depth=1000000"},
        {"-fconstexpr-steps=2000000000"},
        {"-fbracket-depth=1000000"},
        // emcc's own.
        {"--js-library", "x.js"},
        {"--js-library=x.js"},
        {"--js-transform", "sh"},
        {"--js-transform=sh"},
        {"--pre-js", "/etc/passwd"},
        {"--pre-js=/etc/passwd"},
        {"--post-js", "x"},
        {"--post-js=x"},
        {"--extern-pre-js=x"},
        {"--extern-post-js=x"},
        {"--shell-file", "x"},
        {"--shell-file=/etc/passwd"},
        {"--em-config", "x"},
        {"--em-config=x"},
        {"--cache", "/tmp"},
        {"--cache=/tmp"},
        {"--use-port=x.py"},
        {"--use-port", "sdl2"},
        {"--compiler-wrapper", "sh"},
        {"--compiler-wrapper=/bin/sh"},
        {"--emit-tsd", "x.d.ts"},
        {"--emit-tsd=x"},
        {"--embind-emit-tsd", "x"},
        {"--closure=1"},
        {"--closure", "1"},
        {"--closure-args=--js=/etc/passwd"},
        {"--emrun"},
        {"--proxy-to-worker"},
        {"--emit-symbol-map"},
        {"--minify=0"},
        {"--memory-init-file=1"},
        {"--exclude-file", "x"},
        {"--exclude-file=x"},
        {"--use-preload-plugins"},
        {"--use-preload-cache"},
        {"--default-obj-ext=x"},
        {"--valid-abspath=/"},
        {"--llvm-opts=x"},
        {"--js-opts=1"},
        {"--no-entry"},
        {"--profiling"},
        {"--tracing"},
        {"--cpuprofiler"},
        {"--output_eol=windows"},
        {"-jsDX=1"},
        {"--embed-filex=/etc/passwd"},
        {"--preload-file-x", "y"},
        {"--embed-files=x.txt"},
        {"--source-map-basex=u"},
        {"--embed"},
        {"--embed-file"},
        {"--preload-file"},
        {"--source-map-base"},
        {"--embed-file="},
        {"--source-map-base="},
        {"--source-map-base=file:///etc/passwd"},
        {"--source-map-base=javascript:x"},
        {"--source-map-base=//x"},
        {"--source-map-base=\"'</script>"},
        {"--source-map-base=https://a@b/"},
        {"--source-map-base=-x"},
        {"-embed-file=x.txt"},
        // Settings with power.
        {"-sNODERAWFS"},
        {"-sNODERAWFS=1"},
        {"-s", "NODERAWFS=1"},
        {"-sEMBIND_AOT"},
        {"-sEVAL_CTORS=2"},
        {"-sJS_LIBRARIES=[\"x\"]"},
        {"-sSHELL_FILE=/etc/passwd"},
        {"-sUSE_SDL=2"},
        {"-sUSE_ZLIB=1"},
        {"-sUSE_BOOST_HEADERS=1"},
        {"-sUSE_PTHREADS=1"},
        {"-sPTHREADS"},
        {"-sMAIN_MODULE=1"},
        {"-sSIDE_MODULE=1"},
        {"-sRELOCATABLE"},
        {"-sLINKABLE"},
        {"-sWASM=0"},
        {"-sWASM=2"},
        {"-sWASM2C"},
        {"-sBINARYEN_EXTRA_PASSES=--print"},
        {"--embind-emit-tsd=x"},
        {"-lembind.js"},
        {"-l", "embind2"},
        {"-l", "/etc/passwd"},
        {"--bind=1"},
        {"-Imissing"},
        {"-Idata/.."},
        {"-I../x"},
        {"-I/"},
        {"-Idata/../../etc"},
        {"-I", ".."},
        {"-I=data"},
        {"-Ix.txt"},
        {"-I~"},
        {"-I-"},
        {"-isystem", "/usr/include"},
        {"-iquote.."},
        {"-idirafter", "data"},
        {"-DF(x"},
        {"-DF(x)y"},
        {"-DF(1)=1"},
        {"-DF(x,)=1"},
        {"-DF(,x)=1"},
        {"-DF(...,x)=1"},
        {"-DF(x y)=1"},
        {"-DF(@)=1"},
        {"-DF(x)=@/etc/passwd"},
        {"-D(x)=1"},
        {"-D'F(x)=x"},
        {"-sEXPORTED_FUNCTIONS='[\"_main\"]"},
        {"-sEXPORTED_FUNCTIONS=\"['_main']"},
        {"-sEXTRA_EXPORTED_RUNTIME_METHODS=1+1"},
        {"-sASYNCIFY_ONLY=a(b)"},
        {"-sUSE_WEBGL2=3"},
        {"-sRETAIN_COMPILER_SETTINGS"},
        {"-sVERBOSE"},
        {"-sSEPARATE_DWARF=/tmp/x"},
        {"-sSEPARATE_DWARF_URL=x"},
        {"-sRUNTIME_LINKED_LIBS=/x"},
        {"-sSPLIT_MODULE"},
        {"-sLEGACY_VM_SUPPORT"},
        {"-sUSE_CLOSURE_COMPILER=1"},
        {"-sMIN_CHROME_VERSION=1"},
        {"-sASYNCIFY=2"},
        {"-sASYNCIFY_ADD=x"},
        {"-sASYNCIFY_ADVISE"},
        {"-sMEMORY64=1"},
        {"-sNODE_CODE_CACHING"},
        {"-sPROXY_TO_WORKER_FILENAME=x"},
        {"-sEMSCRIPTEN_TRACING"},
        {"-sDEFAULT_LIBRARY_FUNCS_TO_INCLUDE=x"},
        {"-sINCLUDE_FULL_LIBRARY"},
        {"-sWASMFS"},
        {"-sFETCH"},
        {"-sOPT_LEVEL=3"},
        {"-sSOURCE_MAP_BASE=x"},
        {"-sPRE_JS_FILES=x"},
        {"-sSTRICT=2"},
        {"-sLTO=full"},
        {"-s"},
        {"-s", "-O2x"},
        {"-s", "main.c"},
        {"-s", "out=1"},
        {"-s", ""},
        {"-sFOO"},
        {"-sFOO=1"},
        {"-sfoo=1"},
        {"-s=x"},
        {"-s_X=1"},
        {"-sASSERTIONS =1"},
        {"-Sx"},
        {"-sNO_INITIAL_MEMORY=1x"},
        {"-sNO_NO_EXIT_RUNTIME"},
        {"-sNO_ASSERTIONS=2"},
        {"-sNO_=1"},
        // Values out of their type.
        {"-sASSERTIONS=3"},
        {"-sASSERTIONS=-1"},
        {"-sASSERTIONS="},
        {"-sASSERTIONS=0x1"},
        {"-sASSERTIONS=1.0"},
        {"-sASSERTIONS=true"},
        {"-sASSERTIONS=[1]"},
        {"-sASSERTIONS=99999999999999999999"},
        {"-sINVOKE_RUN=2"},
        {"-sMODULARIZE=instance"},
        {"-sENVIRONMENT=node"},
        {"-sENVIRONMENT=shell"},
        {"-sENVIRONMENT=web,node"},
        {"-sENVIRONMENT=web,worker,web"},
        {"-sENVIRONMENT="},
        {"-sENVIRONMENT"},
        {"-sENVIRONMENT=webview"},
        {"-sENVIRONMENT=web;node"},
        {"-sENVIRONMENT=[web"},
        {"-sINITIAL_MEMORY=0"},
        {"-sINITIAL_MEMORY=1"},
        {"-sINITIAL_MEMORY=65537"},
        {"-sINITIAL_MEMORY=8GB"},
        {"-sINITIAL_MEMORY=999999999999gb"},
        {"-sINITIAL_MEMORY=-65536"},
        {"-sINITIAL_MEMORY=64 k"},
        {"-sINITIAL_MEMORY=6 4kb"},
        {"-sINITIAL_MEMORY=mb"},
        {"-sINITIAL_MEMORY=1tb"},
        {"-sMAXIMUM_MEMORY=5GB"},
        {"-sSTACK_SIZE=1025"},
        {"-sEXPORT_NAME=a.b"},
        {"-sEXPORT_NAME=a;alert(1)"},
        {"-sEXPORT_NAME="},
        {"-sEXPORT_NAME=1a"},
        {"-sEXPORT_NAME=/etc/passwd"},
        {"-sEXPORT_NAME=caf\xc3\xa9"},
        {"-sEXPORT_NAME=a b"},
        {"-sEXPORTED_FUNCTIONS=/etc/passwd"},
        {"-sEXPORTED_FUNCTIONS=_a,"},
        {"-sEXPORTED_FUNCTIONS=,_a"},
        {"-sEXPORTED_FUNCTIONS=[_a"},
        {"-sEXPORTED_FUNCTIONS=_a]"},
        {"-sEXPORTED_FUNCTIONS=_a b"},
        {"-sEXPORTED_FUNCTIONS=_a;b"},
        {"-sEXPORTED_FUNCTIONS=[\"_a\",\"_b]"},
        {"-sEXPORTED_FUNCTIONS"},
        {"-sEXPORTED_FUNCTIONS=[[_a]]"},
        {"-sEXPORTED_FUNCTIONS={\"a\":1}"},
        {"-sEXPORTED_FUNCTIONS=\"_a\\\""},
        {"-sEXPORTED_RUNTIME_METHODS=FS;x"},
        {"-sMALLOC=none"},
        {"-sMALLOC=/x.o"},
        {"-sMALLOC="},
        {"-sMALLOC=dlmalloc emmalloc"},
        {"-sSUPPORT_LONGJMP=wasm"},
        {"-sDISABLE_EXCEPTION_CATCHING=2"},
        // Near misses of what is allowed.
        {"-o2"},
        {"-O2,-o"},
        {"-O-1"},
        {"--O2"},
        {"-std"},
        {"-std="},
        {"-std=c99@x"},
        {"-std", "c99"},
        {"--std=c99"},
        {"-std=ada"},
        {"-fexceptions=1"},
        {"-msimd128x"},
        {"-mavx"},
        // Macros.
        {"-D"},
        {"-D", "-O9"},
        {"-D="},
        {"-D=1"},
        {"-D1X"},
        {"-DX Y"},
        {"-DX-Y=1"},
        {"-D@x"},
        {"-DX=@/etc/passwd"},
        {"-D", "X=@y"},
        {"-Dcaf\xc3\xa9=1"},
        {"-DX=1\n#include \"/etc/passwd\""},
        {"-DX=\r"},
        {"-DX=\x1b[31m"},
        {"-DX=\x7f"},
        {"-D", "X=\n"},
        {"-DX=a\0b"s},
        {"-U"},
        {"-U1X"},
        {"-UX=1"},
        {"-U", "X Y"},
        {"-DX=\xff"},
        // Bytes.
        {"-O2\0"s},
        {"-O2\n"},
        {"\0-O2"s},
        {"\xff"},
        {"-sASSERTIONS=1\n-o x"},
        {"-s", "ASSERTIONS=1\n"},
        {"-s", "ASSERTIONS=1\xff"},
        {"\xe2\x80\x90O2"},
        {"-\xef\xbc\xaf\x32"},
        {"--embed-file", "x.txt\n"},
    };
    CHECK(std::size(attacks) >= 120);
    for (const auto& attack : attacks) {
        CAPTURE(attack);
        // In front of and behind honest ones, which must come through untouched.
        words tokens{"-O1"};
        tokens.insert(tokens.end(), attack.begin(), attack.end());
        tokens.push_back("-sINVOKE_RUN=0");
        const auto done = apply(tokens);
        REQUIRE(done.has_value());
        CHECK(done->argv == words{"-O1", "-sINVOKE_RUN=0"});
        CHECK_FALSE(done->ignored.empty());
        CHECK(done->ignored.size() <= attack.size());
        for (const auto& ignored : done->ignored) {
            CHECK_FALSE(ignored.reason.empty());
            CHECK(is_valid_utf8(ignored.token));
        }
    }
}

TEST_CASE("values that name files end the request", "[compile][policy]")
{
    const words attacks[] = {
        {"-sEXPORTED_FUNCTIONS=@/etc/passwd"},
        {"-s", "EXPORTED_FUNCTIONS=@/etc/passwd"},
        {"-sEXPORTED_FUNCTIONS=[_main,@/etc/passwd]"},
        {"-sEXPORTED_FUNCTIONS=@x.txt"},
        {"-sEXPORTED_RUNTIME_METHODS=@/etc/shadow"},
        {"-sASSERTIONS=@/proc/self/environ"},
        {"-sINVOKE_RUN=1@"},
        {"-sENVIRONMENT=@/etc/passwd"},
        {"-sENVIRONMENT=web@"},
        {"-sINITIAL_MEMORY=@/etc/passwd"},
        {"-sEXPORT_NAME=@/etc/passwd"},
        {"-sASYNCIFY_ONLY=@/etc/passwd"},
        {"-sASYNCIFY_IMPORTS=@/etc/passwd"},
        {"-sUNKNOWN=@/etc/passwd"},
        {"-s", "UNKNOWN=@/etc/passwd"},
        {"-sNO_EXIT_RUNTIME=@x"},
        {"-sFOO@=1"},
        {"--embed-file", "/etc/passwd"},
        {"--embed-file=/etc/passwd"},
        {"--embed-file=../x"},
        {"--embed-file", "../../etc/passwd@x"},
        {"--embed-file=data/../../x"},
        {"--embed-file=."},
        {"--embed-file=.."},
        {"--embed-file=/"},
        {"--embed-file=//"},
        {"--embed-file=missing.txt"},
        {"--embed-file=dat"},
        {"--embed-file=data/missing"},
        {"--embed-file=x.txt/"},
        {"--embed-file=x.txt@"},
        {"--embed-file=x.txt@../y"},
        {"--embed-file=x.txt@/../y"},
        {"--embed-file=x.txt@/y/../../z"},
        {"--embed-file=/./x.txt"},
        {"--embed-file=.//etc/passwd"},
        {"--embed-file=./../x"},
        {"--embed-file=./"},
        {"--embed-file=data/a.txt --embed-file=x.txt"},
        {"--embed-file=x.txt@y/../../z"},
        {"--embed-file=x.txt@a@b"},
        {"--embed-file=x.txt@@y"},
        {"--embed-file=@x.txt"},
        {"--embed-file=@@/etc/passwd"},
        {"--embed-file=x.txt@-y"},
        {"--embed-file=x.txt@y\"y"},
        {"--embed-file=x.txt@gr\xc3\xb6\xc3\x9f\x65.txt"},
        {"--preload-file=x.txt@a\xe2\x80\xa8z"},
        {"--embed-file=--plugin=x"},
        {"--embed-file=--js-output=/tmp/x"},
        {"--embed-file=-x"},
        {"--embed-file=~/x"},
        {"--embed-file=$HOME/x"},
        {"--embed-file=x.tx?"},
        {"--embed-file=data/*"},
        {"--preload-file", "/dev/zero"},
        {"--preload-file=/proc/self/environ@environ"},
        {"--preload-file=main.c@/dev/../null"},
        {"--preload-file=X.TXT"},
        {"--preload-file=x.txt\\"},
        {"--preload-file", "data//a.txt"},
    };
    for (const auto& attack : attacks) {
        CAPTURE(attack);
        words tokens{"-O1"};
        tokens.insert(tokens.end(), attack.begin(), attack.end());
        const auto done = apply(tokens);
        REQUIRE(done.has_error());
        CHECK(done.error().code == errc::invalid_request);
        // The message names the token, and after the last colon a cure.
        CHECK(done.error().message.starts_with("args: \""));
        CHECK(done.error().message.find(attack.back()) != std::string::npos);
        CHECK(done.error().message.rfind(": ") > std::string_view{"args: "}.size());
    }
}

TEST_CASE("a dropped option does not let its value through", "[compile][policy]")
{
    const auto done = apply({"-Xclang", "-O3", "-o", "-g", "-imacros", "x.txt", "-s", "-Oz"});
    REQUIRE(done.has_value());
    CHECK(done->argv == words{"-g", "-Oz"});  // allowed ones stay allowed wherever they stand
    REQUIRE(done->ignored.size() == 4);
    CHECK(done->ignored[2].token == "-imacros x.txt");
}

TEST_CASE("what was dropped says what it would have changed, and a strict request minds", "[compile][policy]")
{
    struct row {
        std::string token;
        std::string_view effect;
        bool changes_program;
    };
    const row rows[] = {
        {"-pthread", "threads", true},
        {"-sUSE_PTHREADS=1", "threads", true},
        {"-sUSE_PTHREADS=0", "nothing", false},
        {"-sPTHREAD_POOL_SIZE=4", "threads", true},
        {"-sUSE_SDL=2", "library", true},
        {"-sWASM=0", "JavaScript", true},
        {"-sNODERAWFS", "files of a host", true},
        {"-sSOMETHING_NEW=1", "keeps its default", true},
        {"-sMODULARIZE=maybe", "keeps its default", true},
        {"-sSAFE_STACK=0", "nothing", false},
        {"-sBINARYEN_METHOD='native-wasm'", "nothing", false},
        {"-sBINARYEN_METHOD=\"native-wasm\"", "nothing", false},
        {"-sBINARYEN_METHOD=asmjs", "keeps its default", true},
        {"-sBINARYEN_SCRIPTS=\"\"", "nothing", false},
        {"-sBINARYEN_SCRIPTS=''", "nothing", false},
        {"-sBINARYEN_SCRIPTS=", "nothing", false},
        {"-sUSE_CLOSURE_COMPILER=1", "size", false},
        {"-sUSE_OFFSET_CONVERTER", "stack traces", false},
        {"-sUSE_ES6_IMPORT_META=0", "finds app.wasm", true},
        {"-sUSE_WEBGPU=1", "WebGPU", true},
        {"-sUSE_ZLIB=1", "would download", true},
        {"-ffunction-sections", "nothing", false},
        {"-fdata-sections", "nothing", false},
        {"-fno-omit-frame-pointer", "nothing", false},
        {"-fomit-frame-pointer", "nothing", false},
        {"-Wl,--gc-sections", "nothing", false},
        {"-static-libgcc", "nothing", false},
        {"-static-libstdc++", "nothing", false},
        {"-fstack-protector-strong", "nothing", false},
        {"-ftime-report", "prints", false},
        {"-Wl,--wrap=f", "linker", true},
        {"-sSAFE_STACK=1", "keeps its default", true},
        {"-sPRECISE_F32=2", "nothing", false},
        {"-sMEM_INIT_METHOD=0", "nothing", false},
        {"-sDEAD_FUNCTIONS=[]", "nothing", false},
        {"-sMIN_IE_VERSION=2147483647", "nothing", false},
        {"-lm", "nothing", false},
        {"-lmylib", "library", true},
        {"-lcurl", "library", true},
        {"-lpthread", "nothing", false},
        {"-march=native", "nothing", false},
        {"-o", "nothing", false},
        {"-v", "prints", false},
        {"-version", "unknown to this server", true},
        {"-static", "nothing", false},
        {"-Iother", "headers", true},
        {"-Wl,-z", "linker", true},
        {"-Wunknown,x", "warning", false},
        {"-fsanitize=address", "checks", true},
        {"-flto", "optimisation", false},
        {"-std=c++99", "standard", true},
        {"-D1", "macro", true},
        {"--pre-js", "JavaScript", true},
        {"--use-port=sdl2", "library", true},
        {"--closure", "size", false},
        {"--whatever", "unknown to this server", true},
        {"x.a", "unknown to this server", true},
    };
    for (const auto& row : rows) {
        CAPTURE(row.token);
        const auto done = apply({"-O1", row.token});
        REQUIRE(done.has_value());
        REQUIRE(done->ignored.size() == 1);
        const auto& ignored = done->ignored.front();
        CHECK(ignored.effect.find(row.effect) != std::string::npos);
        CHECK(ignored.changes_program == row.changes_program);
        CHECK(ignored.index == 1);
        const auto refusal = strict_refusal(done->ignored, 0);
        CHECK(refusal.has_value() == row.changes_program);
        if (!refusal) continue;
        CHECK(refusal->code == errc::invalid_request);
        CHECK(refusal->message.starts_with("args: \"" + row.token + "\" "));
        CHECK(refusal->message.find(row.effect) != std::string::npos);
    }

    // All of them are named; not those that the server itself gave.
    const auto done = apply({"-pthread", "-O2", "-s", "NEW=1", "-lfoo", "-v"});
    REQUIRE(done->ignored.size() == 4);
    CHECK(done->ignored[1].index == 2);
    const auto all = strict_refusal(done->ignored, 0);
    const auto theirs = strict_refusal(done->ignored, 1);
    REQUIRE((all && theirs));
    for (const std::string_view token : {"\"-s NEW=1\"", "\"-lfoo\""}) {
        CHECK(all->message.find(token) != std::string::npos);
        CHECK(theirs->message.find(token) != std::string::npos);
    }
    CHECK(all->message.find("\"-pthread\"") != std::string::npos);
    CHECK(theirs->message.find("\"-pthread\"") == std::string::npos);
    CHECK(theirs->message.find("\"-v\"") == std::string::npos);
    CHECK(strict_refusal(done->ignored, 5) == std::nullopt);
    CHECK(strict_refusal(apply(words(200, "-pthread"))->ignored, 0)->message.size() < 5000);
}

TEST_CASE("an option that is dropped takes its value with it", "[compile][policy]")
{
    struct row {
        words given;
        bool changes_program;
    };
    const row rows[] = {
        {{"-o", "app.js"}, false},
        {{"--closure", "1"}, false},
        {{"--minify", "0"}, false},
        {{"--shell-file", "x.html"}, false},
        {{"-MF", "x.d"}, false},
        {{"-MT", "x.o"}, false},
        {{"--memory-init-file", "0"}, false},
        {{"-target", "wasm32"}, false},
        {{"-x", "c++"}, true},
        {{"-include", "config.h"}, true},
        {{"--js-library", "lib.js"}, true},
        {{"--pre-js", "pre.js"}, true},
        {{"-L", "lib"}, true},
        {{"-U", "X-Y"}, true},
        {{"-l", "curl"}, true},
    };
    for (const auto& row : rows) {
        CAPTURE(row.given);
        words tokens{"-O1"};
        tokens.insert(tokens.end(), row.given.begin(), row.given.end());
        tokens.emplace_back("-g");
        const auto done = apply(tokens);
        REQUIRE(done.has_value());
        CHECK(done->argv == words{"-O1", "-g"});
        REQUIRE(done->ignored.size() == 1);
        CHECK(done->ignored.front().token == row.given[0] + " " + row.given[1]);
        CHECK(done->ignored.front().index == 1);
        CHECK(done->ignored.front().changes_program == row.changes_program);
    }
    // Options are no values.
    CHECK(argv_of({"-MF", "-O2", "-o", " -g"}) == words{"-O2", "-g"});
}

TEST_CASE("several arguments in one token are told apart from one that is not known", "[compile][policy]")
{
    struct row {
        std::string token;
        bool changes_program;
    };
    const row rows[] = {
        {"-O2 -g", false},
        {"-O2 -pthread", true},
        {"-O2 -DX=1", true},
        {"-Wall -Wextra", false},
        {"'-O2 -g'", false},
        {"-DX=1 -DY=2", true},
        {"-DX=1 -O2", true},
        {"-D X='a b' -Wall", true},
        {"-sINVOKE_RUN=0 -sEXIT_RUNTIME=1", true},
        {"-sEXPORTED_FUNCTIONS=_main -O2", true},
        {"-I data -I lib", true},
        {"-std=c11 -O2", true},
    };
    for (const auto& row : rows) {
        CAPTURE(row.token);
        const auto done = apply({row.token});
        REQUIRE(done.has_value());
        CHECK(done->argv.empty());
        REQUIRE(done->ignored.size() == 1);
        CHECK(done->ignored.front().reason == "holds several arguments; send each as its own entry");
        CHECK(done->ignored.front().changes_program == row.changes_program);
    }
    for (const auto* token : {"-X y", "-march=native x", "-Ix -1"}) {
        CAPTURE(token);
        const auto done = apply({token});
        REQUIRE(done->ignored.size() == 1);
        CHECK(done->ignored.front().reason.find("several") == std::string::npos);
    }
}

TEST_CASE("without a request, each file that one could have is there", "[compile][policy]")
{
    const policy_limits limits{.any_files = true};
    const words tokens{"-Iinclude", "--embed-file", "assets/x.txt", "-std=c11", "-std=c++20", "-I/usr/include", "-fx"};
    const auto done = apply_policy(tokens, {}, language::mixed, limits);
    REQUIRE(done.has_value());
    CHECK(done->argv == words{"-Iinclude", "--embed-file=assets/x.txt@assets/x.txt", "-std=c11", "-std=c++20"});
    REQUIRE(done->ignored.size() == 2);
    CHECK(done->ignored[0].token == "-I/usr/include");
    CHECK(apply_policy(words{"--embed-file=/etc/passwd"}, {}, language::mixed, limits).has_error());
}

TEST_CASE("reports are short and name the token", "[compile][policy]")
{
    const auto done = apply({"-" + std::string(5000, 'x'), "-s", "FOO=1"});
    REQUIRE(done.has_value());
    REQUIRE(done->ignored.size() == 2);
    CHECK(done->ignored[0].token.size() < 250);
    CHECK(done->ignored[1].token == "-s FOO=1");
}

TEST_CASE("counts and lengths are bounded", "[compile][policy]")
{
    policy_limits limits;
    CHECK(apply(words(limits.max_tokens, "-O2")).has_value());
    CHECK(apply(words(limits.max_tokens + 1, "-O2")).has_error());
    CHECK(apply({"-DX=" + std::string(limits.max_define_bytes, 'y')})->ignored.empty());
    CHECK(apply({"-DX=" + std::string(limits.max_define_bytes + 1, 'y')})->argv.empty());
    CHECK(apply({"-D" + std::string(limits.max_identifier_bytes + 1, 'X')})->argv.empty());
    CHECK(apply({std::string(limits.max_token_bytes + 1, 'x')}).has_error());
    CHECK(apply(words(5, std::string(limits.max_token_bytes, 'x'))).has_error());  // all together
    CHECK(apply({"-W" + std::string(100, 'x')})->argv.empty());
    CHECK(apply({"--source-map-base=" + std::string(limits.max_url_bytes + 1, 'x')})->argv.empty());

    std::string list = "-sEXPORTED_FUNCTIONS=_a";
    for (std::size_t i = 1; i < limits.max_list_items; ++i) list += ",_a";
    CHECK(apply({list})->argv.size() == 1);
    list += ",_a";
    CHECK(apply({list})->argv.empty());

    limits.max_packed_files = 1;
    CHECK(apply({"--embed-file=x.txt"}, language::c, limits).has_value());
    CHECK(apply({"--embed-file=data"}, language::c, limits).has_error());
}

TEST_CASE("a file that is read before the source is the request's, and no compiled one instead of it",
          "[compile][policy]")
{
    for (const std::string ending : {".pch", ".gch", ".pch/x", ".gch/a/b"}) {
        const words files{"a.c", "config.h", "config.h" + ending};
        const auto done = apply_policy(words{"-include", "config.h"}, files, language::c);
        REQUIRE(done.has_value());
        CHECK(done->argv.empty());
        REQUIRE(done->ignored.size() == 1);
        CHECK(done->ignored.front().changes_program);
    }
}

TEST_CASE("every row of the policy passes itself unchanged", "[compile][policy]")
{
    for (const emcc_version& version : {emcc_version{3, 1, 6}, emcc_version{3, 1, 69}}) {
        policy_limits limits;
        limits.version = version;
        for (const auto& row : policy_rows(version)) {
            CAPTURE(row.argument);
            const auto lang = row.argument.starts_with("-std=") && row.why == "C++" ? language::cpp : language::c;
            const auto done = apply({row.argument}, lang, limits);
            REQUIRE(done.has_value());
            CHECK(done->argv == words{row.argument});
            CHECK_FALSE(row.accepts.empty());
            CHECK_FALSE(row.why.empty());
        }
    }
}
