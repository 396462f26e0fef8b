// Source code as a weapon: it reads the host, exhausts the compiler, crashes it, floods its output. Against
// the real emcc.
#include "arena.hpp"

#include <boost/json/array.hpp>

#include <catch2/catch_template_test_macros.hpp>
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

using namespace sandboxd::test;
using namespace std::string_literals;

namespace {

const std::string hello = "\nint main(void) { return 0; }\n";

struct row {
    std::string what;
    std::string code;
    std::vector<std::string> codes;  // "ok", or the answer's code: one of these
    std::string type{"c"};
    std::vector<std::string> args{};
};

boost::json::object request_of(const row& one)
{
    return {{"code", one.code}, {"type", one.type}, {"args", boost::json::array(one.args.begin(), one.args.end())}};
}

verdict try_row(arena& place, const row& one)
{
    attack();
    const auto v = place.compile(request_of(one));
    INFO(one.what << ": " << v.code << "\n" << v.log.substr(0, 3000));
    CHECK(std::find(one.codes.begin(), one.codes.end(), v.code) != one.codes.end());
    return v;
}

std::string repeat(std::string_view text, std::size_t times)
{
    std::string all;
    for (std::size_t i = 0; i < times; ++i) all += text;
    return all;
}

// Puts a file into the program's data by way of the assembler, so that it would end up in app.wasm.
std::string incbin(const std::vector<std::string>& paths)
{
    std::string code;
    std::string sum = "0";
    for (std::size_t i = 0; i < paths.size(); ++i) {
        const auto name = "x" + std::to_string(i);
        code += "asm(\".section .data." + name + ",\\\"\\\",@\\n.globl " + name + "\\n.type " + name + ",@object\\n" +
                name + ":\\n.incbin \\\"" + paths[i] + "\\\"\\n.byte 1\\n.size " + name + ", 1\\n\");\n" +
                "extern const char " + name + "[];\n";
        sum += " + " + name + "[0]";
    }
    return code + "int main(void) { return " + sum + "; }\n";
}

// Where a host keeps what an attacker would like to see. None of it is in the jail.
std::vector<std::string> host_paths(const canaries& host)
{
    std::vector<std::string> paths{"/etc/passwd",
                                   "/etc/shadow",
                                   "/etc/group",
                                   "/etc/hostname",
                                   "/etc/hosts",
                                   "/etc/resolv.conf",
                                   "/etc/machine-id",
                                   "/etc/ssl",
                                   "/etc/apt/sources.list",
                                   "/root",
                                   "/root/.bashrc",
                                   "/root/.ssh/id_rsa",
                                   "/home",
                                   "/srv",
                                   "/var/log",
                                   "/var/lib/dpkg/status",
                                   "/var/tmp",
                                   "/run",
                                   "/sys",
                                   "/boot",
                                   "/opt",
                                   "/mnt",
                                   "/usr/sbin",
                                   "/usr/local",
                                   "/usr/share/doc",
                                   "/proc/self/root/etc/passwd",
                                   "/proc/1/root/etc/shadow",
                                   "/dev/mem",
                                   "/dev/sda",
                                   "/dev/vda",
                                   "/dev/kmsg",
                                   "/var/run/secrets/kubernetes.io/serviceaccount/token"};
    for (const auto& file : host.files()) paths.push_back(file.native());
    return paths;
}

template <class Jail>
std::string_view jail_of()
{
    return Jail::name;
}

}  // namespace

TEMPLATE_TEST_CASE("source code does not read the host", "[hostile][source]", in_bubblewrap, in_namespaces, in_nsjail)
{
    arena place{{.jail = jail_of<TestType>(), .config = {}}};
    const auto canary = place.host().files()[0].native();
    const auto other = place.host().files()[1].native();

    // That a file which is there would have been seen, or all the rest proves nothing.
    {
        const auto v = place.compile("/* a text of its own */\n" + incbin({"main.c"}));
        REQUIRE(v.code == "ok");
        auto client = place.connect();
        CHECK(client.get(v.member("wasm")).body.find("a text of its own") != std::string::npos);
    }

    const std::vector<std::string> no{"compile_error"};
    const std::vector<row> rows{
        {"#include <…>", "#include </etc/passwd>" + hello, no},
        {"#include \"…\"", "#include \"/etc/shadow\"" + hello, no},
        {"a canary", "#include \"" + canary + "\"" + hello, no},
        {"another canary", "#include <" + other + ">" + hello, no},
        {"a digraph", "%:include \"" + canary + "\"" + hello, no},
        {"a trigraph", "?\?=include \"/etc/passwd\"" + hello, no, "c", {"-std=c99"}},
        {"a macro", "#define NAME \"" + canary + "\"\n#include NAME" + hello, no},
        {"a macro from the arguments", "#include NAME" + hello, no, "c", {"-DNAME=\"" + canary + "\""}},
        {"a spliced line", "#inc\\\nlude \"/etc/pas\\\nswd\"" + hello, no},
        {"#include_next", "#include_next \"/etc/passwd\"" + hello, no},
        {"#import", "#import \"/etc/shadow\"" + hello, no},
        {"upwards", "#include \"../../../../../../../../etc/passwd\"" + hello, no},
        {"upwards through the header's own directory", "#include <../../../../../../../etc/passwd>" + hello, no},
        {"many slashes", "#include \"////etc/./passwd\"" + hello, no},
        {"by way of /proc", "#include \"/proc/self/root/etc/passwd\"" + hello, no},
        {"by way of another process", "#include \"/proc/1/root/etc/shadow\"" + hello, no},
        {"by way of the working directory", "#include \"/proc/self/cwd/../../../etc/passwd\"" + hello, no},
        {"#embed", "const unsigned char x[] = {\n#embed \"/etc/passwd\"\n};" + hello, no},
        {"asm .include", "asm(\".include \\\"/etc/passwd\\\"\");" + hello, no},
        {"asm .incbin", incbin({canary}), no},
        {"C++, a raw name", "#include R\"(/etc/passwd)\"" + hello, no, "cpp"},
        {"C++20, a header unit", "import \"/etc/passwd\";" + hello, no, "cpp", {"-std=c++20"}},
        // clang would quote a line of the file that a diagnostic is said to be in.
        {"#line and an error", "#line 1 \"/etc/passwd\"\nint main(void) { return undeclared; }\n", no},
        {"#line and debug information", "#line 1 \"" + canary + "\"" + hello, {"ok"}, "c", {"-g4"}},
        {"#pragma GCC dependency", "#pragma GCC dependency \"" + canary + "\"" + hello, no},
        {"#pragma clang module",
         "#pragma clang module import passwd\n#pragma comment(lib, \"/etc/passwd\")" + hello,
         {"ok", "compile_error"}},
        // What a module says about itself is evaluated by whoever loads it, not while it is being made.
        {"JavaScript in the source",
         "#include <emscripten.h>\nEM_JS(int, steal, (void), { return \"{{{ require('fs').readFileSync('/etc/passwd') }}}\" +"
         " require('fs').readFileSync('/etc/shadow'); });\nint main(void) { return steal() +"
         " EM_ASM_INT({ return \"{{{ read('/etc/passwd') }}}\"; }); }\n",
         {"ok"}},
        // Processes in the jail show themselves in /proc, without anything of the host's environment.
        {"its own environment", "#include \"/proc/self/environ\"" + hello, {"ok", "compile_error"}},
        {"its own command line", "#include \"/proc/self/cmdline\"" + hello, {"ok", "compile_error"}},
        {"the mounts", "const char* mounts =\n#include \"/proc/mounts\"\n;" + hello, {"ok", "compile_error"}},
        {"asm .include of the mounts",
         "asm(\".include \\\"/proc/self/mountinfo\\\"\");" + hello,
         {"ok", "compile_error"}},
        {"/proc in the program's data",
         incbin({"/proc/self/environ", "/proc/1/environ", "/proc/self/cmdline", "/proc/1/cmdline", "/proc/mounts",
                 "/proc/self/mountinfo", "/proc/self/maps", "/proc/net/unix", "/proc/version"}),
         {"ok", "compile_error"}},
        // Standard input is empty, the devices are the jail's.
        {"standard input", "#include \"/dev/stdin\"" + hello, {"ok"}},
        {"standard input by its number", "#include \"/proc/self/fd/0\"" + hello, {"ok", "compile_error"}},
        {"descriptors", incbin({"/dev/fd/0", "/proc/self/fd/0"}), {"ok", "compile_error"}},
    };
    for (const auto& one : rows) {
        const auto v = try_row(place, one);
        INFO(one.what);
        // Neither may it know where on the host its directory is.
        CHECK(v.log.find(place.server().working_dir().native()) == std::string::npos);
        place.nothing_left();
    }
}

TEMPLATE_TEST_CASE("source code does not find out what the host has", "[hostile][source]", in_bubblewrap, in_namespaces,
                   in_nsjail)
{
    arena place{{.jail = jail_of<TestType>(), .config = {}}};
    std::string asked;
    const auto paths = host_paths(place.host());
    for (const auto& path : paths) {
        // Nobody may look at PID 1 there, whatever it has: clang takes that for a fault, and ends.
        if (std::is_same_v<TestType, in_namespaces> && path.starts_with("/proc/1/")) continue;
        asked +=
            "#if __has_include(\"" + path + "\") || __has_include(<" + path + ">)\n#error FOUND " + path + "\n#endif\n";
        attack(2);
    }
    const auto v = place.compile(asked + hello);
    INFO(v.log);
    CHECK(v.code == "ok");
    CHECK(v.log.find("FOUND") == std::string::npos);

    // The assembler names each file that it does not find.
    for (const auto& path : {paths[0], paths.back()}) {
        attack();
        const auto answer = place.compile(incbin({path}));
        CHECK(answer.code == "compile_error");
    }
    place.nothing_left();
}

TEMPLATE_TEST_CASE("source code that exhausts or crashes the compiler", "[hostile][source]", in_bubblewrap,
                   in_namespaces, in_nsjail)
{
    // Bombs end by processor time, however busy the machine is; the deadline is for what sleeps. What ends by itself,
    // or by a count, gets time enough for any machine: its verdict is not about time.
    const auto limits = [](int cpu_secs) {
        return R"("compileTimeoutSecs": 240, "jobLimits": {"cpuSecs": )" + std::to_string(cpu_secs) +
               R"(, "memoryMB": 512, "tmpMB": 64, "fileMB": 64}, "compile": {"maxOutputBytes": 200000})";
    };
    arena bombs{{.jail = jail_of<TestType>(), .config = limits(2)}};
    arena ends{{.jail = jail_of<TestType>(), .config = limits(200)}};
    const std::vector<std::string> no{"compile_error"};
    const std::vector<std::string> memory{"memory_limit"};
    const std::vector<std::string> time{"timeout"};
    const std::vector<std::string> any_limit{"timeout", "memory_limit", "output_limit", "compile_error"};

    std::string macros = "#define A0 x x x x x x x x\n";
    for (int i = 1; i < 12; ++i) {
        const auto below = " A" + std::to_string(i - 1);
        macros += "#define A" + std::to_string(i) + repeat(below, 8) + "\n";
    }
    std::string texts = "#define A0 \"xxxxxxxxxxxxxxxx\" \"yyyyyyyyyyyyyyyy\"\n" + macros.substr(macros.find('\n') + 1);
    std::string messages;
    for (int i = 0; i < 4000; ++i) messages += "#pragma message \"" + std::string(200, 'm') + "\"\n";
    std::string old_style;
    for (int i = 0; i < 20'000; ++i) old_style += "int f" + std::to_string(i) + "(a, b) int a, b; { int c; }\n";

    const std::vector<row> rows{
        {"/dev/zero", incbin({"/dev/zero"}), {"ok", "compile_error"}},
        {"/dev/random", incbin({"/dev/random"}), any_limit},
        {"/dev/zero as a header", "#include \"/dev/zero\"" + hello, {"ok", "compile_error", "memory_limit"}},
        {"/dev/random as a header", "#include \"/dev/random\"" + hello, {"ok", "compile_error", "memory_limit"}},
        {"/dev/tty", "#include \"/dev/tty\"" + hello, {"ok", "compile_error"}},
        {"#include __FILE__", "#include __FILE__" + hello, {"compile_error", "output_limit"}},
        {"nested parentheses", "int main(void) { return " + repeat("(", 200'000) + "1" + repeat(")", 200'000) + "; }",
         no},
        {"nested blocks", "int main(void) {" + repeat("{", 200'000) + repeat("}", 200'000) + "}", no},
        {"nested initializers", "int a = " + repeat("{", 200'000) + "1" + repeat("}", 200'000) + ";" + hello, no},
        {"nested conditions", repeat("#if 1\n", 100'000) + hello, {"compile_error", "output_limit"}},
        {"pointers to pointers", "int " + repeat("*", 300'000) + "p;" + hello, {"compile_error", "timeout"}},
        {"operators", "int main(void) { return " + repeat("!", 300'000) + "1; }", no},
        {"a long sum", "int main(void) { return 0" + repeat("+1", 200'000) + "; }", no},
        {"else if without end",
         "int main(int n, char** v) { " + repeat("if (n) n++; else ", 50'000) + "return 0; }",
         {"ok", "compile_error"}},
        {"a deep template",
         "template <int N> int f() { return f<N + 1>() + f<N + 2>(); }\nint main() { return f<0>(); }",
         {"compile_error", "output_limit"},
         "cpp"},
        {"a wide template",
         "template <int D, unsigned N> struct t { static const unsigned v = t<D - 1, 2 * N>::v + t<D - 1, 2 * N + 1>::v; };\n"
         "template <unsigned N> struct t<0, N> { static const unsigned v = N; };\nint main() { return t<24, 1>::v & 1; }",
         {"timeout", "memory_limit"},
         "cpp"},
        {"constexpr",
         "constexpr int f(unsigned n) { return n == 0 ? 0 : f(n - 1) + f(n - 1); }\n"
         "static_assert(f(500) == 0);\nint main() {}",
         {"compile_error", "timeout"},
         "cpp",
         {"-std=c++17"}},
        {"constexpr, a loop",
         "constexpr int f() { int s = 0; for (;;) ++s; return s; }\nstatic_assert(f() == 0);\nint main() {}",
         {"compile_error", "timeout"},
         "cpp",
         {"-std=c++17"}},
        {"macros", macros + "int main(void) { A11 }", {"timeout", "memory_limit"}},
        {"macros of text", texts + "const char* s = A11;" + hello, {"timeout", "memory_limit"}},
        {"4 GiB from one line", "char a[-1u] = {1};" + hello, memory},
        {"1 GiB of data", "static char a[0x40000000] = {1};\nchar* p = a;" + hello, memory},
        {"2 GiB without data", "char a[0x7fffffff];" + hello, {"memory_limit", "compile_error"}},
        {"a designator", "int a[] = {[0x3fffffff] = 1};" + hello, {"memory_limit", "compile_error"}},
        {".space", "asm(\".section .data.x,\\\"\\\",@\\nx:\\n.space 0xfffffff0\\n\");" + hello, any_limit},
        {".rept", "asm(\".rept 1000000000\\n.byte 1\\n.endr\\n\");" + hello, any_limit},
        {"__debug crash", "#pragma clang __debug crash" + hello, no},
        {"__debug parser_crash", "#pragma clang __debug parser_crash" + hello, no},
        {"__debug llvm_fatal_error", "#pragma clang __debug llvm_fatal_error" + hello, no},
        {"__debug overflow_stack", "#pragma clang __debug overflow_stack" + hello, {"compile_error", "timeout"}},
        {"__debug handle_crash", "#pragma clang __debug handle_crash" + hello, {"ok", "compile_error"}},
        {"#pragma message", messages + hello, {"output_limit"}},
        {"-Weverything", old_style + hello, {"output_limit"}, "c", {"-Weverything"}},
        {"a message that repeats itself",
         "#if __COUNTER__ < 100000\n#pragma message \"" + std::string(1000, 'm') + "\"\n#include __FILE__\n#endif" +
             hello,
         {"output_limit"}},
    };
    for (const auto& one : rows) {
        const bool may_time_out = std::find(one.codes.begin(), one.codes.end(), "timeout") != one.codes.end();
        arena& place = may_time_out ? bombs : ends;
        const auto v = try_row(place, one);
        INFO(one.what << ": " << v.log.substr(0, 1000));
        if (v.code == "output_limit") {
            CHECK(v.body.at("truncated").as_bool());
            CHECK(v.member("log").size() <= 200'000);
        }
        // A limit is named in words, too, and not by what the compiler happened to print.
        if (v.code != "ok" && v.code != "compile_error") CHECK(v.member("error").size() < 200);
        place.nothing_left();
    }
}

TEST_CASE("a compile error that speaks of memory is a compile error", "[hostile][source]")
{
    arena place;
    const row rows[] = {
        {"std::bad_alloc", "#include <new>\nint main() { throw std::bad_alloc; }\n", {"compile_error"}, "cpp"},
        {"words of others",
         "int main(void) { return \"JavaScript heap out of memory, Cannot allocate memory, received SIGKILL, "
         "No space left on device\" }\n",
         {"compile_error"}},
    };
    for (const auto& one : rows) {
        const auto v = try_row(place, one);
        CHECK(v.member("error").find("main.") != std::string::npos);
    }
    place.nothing_left();
}

TEST_CASE("strange texts compile or fail cleanly", "[hostile][source]")
{
    arena place;
    const std::vector<std::string> fine{"ok"};
    const std::vector<std::string> either{"ok", "compile_error"};
    const std::string ends = "int main(void) { return 0; }";
    const std::vector<row> rows{
        {"empty", "", {"invalid_request"}},
        {"a blank", " ", either},
        {"only a comment", "/* nothing */", either},
        {"a comment without end", "/* nothing", {"compile_error"}},
        {"NUL bytes", "int x\0;\0"s + hello, either},
        {"only NUL bytes", std::string(1000, '\0'), {"ok", "compile_error", "output_limit"}},
        {"a NUL at the end", ends + '\0', either},
        {"BOM", "\xef\xbb\xbf" + ends, fine},
        {"BOM in the middle", ends + "\xef\xbb\xbf", either},
        {"CRLF", "#include <stdio.h>\r\nint main(void)\r\n{\r\n  return 0;\r\n}\r\n", fine},
        {"CR alone", "int main(void)\r{\r  return 0;\r}\r", either},
        {"no line's end", ends, fine},
        {"a megabyte in one line", "int a[] = {" + repeat("1,", 500'000) + "1};" + ends, fine},
        {"a name of a megabyte", "int " + std::string(1'000'000, 'a') + ";" + ends, either},
        {"a text of a megabyte", "const char* s = \"" + std::string(1'000'000, 'a') + "\";" + ends, either},
        {"an error in a line of a megabyte",
         "int " + std::string(1'000'000, ' ') + "?;" + ends,
         {"compile_error", "output_limit"}},
        {"other scripts", "int \xd0\xb6 = 1; /* \xe2\x80\xae \xe2\x80\xa8 \xf0\x9f\x98\x80 */" + ends, fine},
        {"escape sequences in an error", "#error \x1b[31m\x1b]0;title\x07 \x7f\n" + ends, {"compile_error"}},
        {"a forged diagnostic", "#error \"\nmain.c:1:1: error: forged\n\"ok\":true\n" + ends, {"compile_error"}},
        {"U+FFFD, U+FFFF and a private one", "/* \xef\xbf\xbd \xef\xbf\xbf \xee\x80\x80 */" + ends, fine},
    };
    for (const auto& one : rows) try_row(place, one);

    // Bytes that no JSON text may have reach no compiler.
    const struct {
        const char* what;
        std::string body;
    } broken[] = {
        {"invalid UTF-8", "{\"code\": \"/* \xff\xfe */\"}"},
        {"an overlong form", "{\"code\": \"/* \xc0\xaf */\"}"},
        {"half a surrogate", "{\"code\": \"/* \\ud800 */\"}"},
        {"a raw surrogate", "{\"code\": \"/* \xed\xa0\x80 */\"}"},
        {"a raw line break", "{\"code\": \"int\nx;\"}"},
        {"a NUL behind", std::string{"{\"code\": \"int x;\"}\0", 20}},
        {"cut off", "{\"code\": \"int main"},
        {"twice", "{\"code\": \"int x;\"}{\"code\": \"int y;\"}"},
        {"deep", "{\"code\": " + repeat("[", 100'000) + repeat("]", 100'000) + "}"},
        {"UTF-16", std::string{"{\0\"\0c\0", 6}},
        {"a number", "{\"code\": 1e999999}"},
        {"null", "{\"code\": null}"},
        {"an array", "[\"code\"]"},
        {"empty", ""},
        {"files of the wrong kind", "{\"files\": {\"path\": \"a.c\"}}"},
        {"a file outside", R"({"files": [{"path": "../../x.c", "content": "int x;"}]})"},
        {"an absolute file", R"({"files": [{"path": "/etc/x.c", "content": "int x;"}]})"},
        {"a file as an option", R"({"files": [{"path": "-o.c", "content": "int x;"}]})"},
        {"a file as a response file", R"({"files": [{"path": "@x.c", "content": "int x;"}]})"},
        {"a file with a NUL", R"({"files": [{"path": "a\u0000.c", "content": "int x;"}]})"},
        {"the same file twice",
         R"({"files": [{"path": "a.c", "content": "int x;"}, {"path": "a.c", "content": "int y;"}]})"},
        {"a file as a directory",
         R"({"files": [{"path": "a.c", "content": "int x;"}, {"path": "a.c/b.c", "content": "int y;"}]})"},
    };
    auto client = place.connect();
    for (const auto& one : broken) {
        attack();
        INFO(one.what);
        const auto v =
            place.read_compile(client.request("POST", "/compile", {{"Content-Type", "application/json"}}, one.body));
        CHECK(v.status == 400);
        CHECK(v.code == "invalid_request");
    }
    client.close();
    place.nothing_left();
}
