// Compiling with tools that are started already: the same answers as without, and what happens when they die, are
// replaced, or are not allowed to take memory.
#include "support/eventually.hpp"
#include "support/http_client.hpp"
#include "support/proc.hpp"
#include "support/server_process.hpp"
#include "support/temporary_directory.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using namespace sandboxd::test;
namespace json = boost::json;
namespace fs = std::filesystem;

namespace {

constexpr const char* by_warm = "sandboxd_compile_path_total{path=\"warm\"}";
constexpr const char* by_plain = "sandboxd_compile_path_total{path=\"plain\"}";
constexpr const char* standing = "compilers are started";

struct row {
    const char* what;
    const char* code;
    const char* type;
    std::vector<std::string> args;
};

const row rows[] = {
    {"C, as it comes", "#include <stdio.h>\nint main(void) { puts(\"hi\"); return 0; }\n", "c", {}},
    {"C, optimised", "#include <stdio.h>\nint main(int c, char** v) { printf(\"%d %s\", c, v[0]); }\n", "c", {"-O2"}},
    {"with a source map", "int main(void) { return 3; }\n", "c", {"-gsource-map"}},
    {"C++", "#include <iostream>\nint main() { std::cout << \"hi\\n\"; }\n", "cpp", {}},
    {"a warning", "int main(void) { int unused; return 0; }\n", "c", {"-Wall"}},
    {"errors", "#include <stdio.h>\nint main(void) { undeclared(1) }\n", "c", {}},
    {"an error of the linker", "int missing(void);\nint main(void) { return missing(); }\n", "c", {}},
    {"an error of emcc's own", "int main(void) { return 0; }\n", "c", {"-sEXPORTED_FUNCTIONS=_absent"}},
    {"no program", "\n", "c", {}},
    {"JavaScript inside", "#include <emscripten.h>\nint main(void) { EM_ASM({ out($0); }, 7); }\n", "c", {"-O1"}},
};

json::object request_of(const row& one)
{
    return {{"code", one.code},
            {"type", one.type},
            {"args", json::array(one.args.begin(), one.args.end())},
            {"cache", false}};
}

// What does not depend on when it was said: emcc's temporary files have other names each time.
std::string answer_of(const json::value& whole)
{
    json::object kept;
    for (const auto* name : {"ok", "code", "error", "log", "diagnostics", "artifacts", "id", "truncated"})
        if (const auto* const member = whole.as_object().if_contains(name)) kept[name] = *member;
    static const std::regex temporary{"tmp[a-z0-9_]{8}|emscripten_temp_[a-z0-9_]{8}"};
    return std::regex_replace(json::serialize(kept), temporary, "TEMPORARY");
}

// The process of the server's that runs this program, or 0.
pid_t tool_of(const server_process& server, std::string_view program)
{
    const auto pid = std::to_string(server.pid());
    std::ifstream list{"/proc/" + pid + "/task/" + pid + "/children"};
    for (pid_t one = 0; list >> one;) {
        std::error_code gone;
        const auto target = fs::read_symlink("/proc/" + std::to_string(one) + "/exe", gone).native();
        if (target.find(program) != std::string::npos) return one;
    }
    return 0;
}

void write(const fs::path& file, std::string_view text, bool executable = false)
{
    std::ofstream{file} << text;
    if (executable)
        fs::permissions(file, fs::perms::owner_all | fs::perms::group_exec | fs::perms::others_exec |
                                  fs::perms::group_read | fs::perms::others_read);
}

// A toolchain of the shape of an emsdk's, which compiles nothing.
class small_toolchain {
public:
    small_toolchain()
    {
        fs::permissions(place_.path(), fs::perms::owner_all | fs::perms::group_exec | fs::perms::others_exec |
                                           fs::perms::group_read | fs::perms::others_read);
        fs::create_directory(place_.path() / "tools");
        for (const auto* name : {"emcc", "em++"}) {
            write(place_.path() / name, "#!/bin/sh\nexec python3 -E \"$0.py\" \"$@\"\n", true);
            write(place_.path() / (std::string{name} + ".py"),
                  "import sys\n"
                  "if __name__ != '__main__':\n"
                  "  pass\n"
                  "elif '--version' in sys.argv:\n"
                  "  print('emcc (Emscripten gcc/clang-like replacement) 3.1.6')\n"
                  "else:\n"
                  "  for name in ('app.js', 'app.wasm'):\n"
                  "    open('../out/' + name, 'w').write('made')\n");
        }
        write(place_.path() / "tools/__init__.py", "");
        write(place_.path() / "tools/config.py",
              "LLVM_ROOT = '/usr/bin'\nBINARYEN_ROOT = '/usr'\nCLANG_ADD_VERSION = LLVM_ADD_VERSION = None\n");
    }

    fs::path operator/(std::string_view name) const { return place_.path() / name; }
    std::string config() const
    {
        const auto root = place_.path().native();
        return R"("toolchain": {"emcc": ")" + root + R"(/emcc", "path": "/usr/bin:/bin", "mounts": ["/bin", "/lib", )" +
               R"("/lib64", "/usr/bin", "/usr/lib", "/usr/share", ")" + root + R"("]})";
    }

private:
    temporary_directory place_;
};

json::object some_request() { return {{"code", "int main(void) { return 0; }\n"}, {"cache", false}}; }

}  // namespace

TEST_CASE("a compile by started tools has the same bytes and says the same as a plain one", "[compile][warm]")
{
    server_process warm;
    server_process plain{{.config = R"("compile": {"warm": "off"})"}};
    REQUIRE(warm.logs(standing));
    http_client one{warm};
    http_client other{plain};
    const auto before = warm.metric(by_warm);
    for (const auto& each : rows) {
        INFO(each.what);
        const auto got = one.post("/compile", request_of(each));
        const auto expected = other.post("/compile", request_of(each));
        CHECK(got.status == expected.status);
        CHECK(answer_of(got.json()) == answer_of(expected.json()));
    }
    CHECK(warm.metric(by_warm) - before == static_cast<double>(std::size(rows)));
    // Now and then again, until what Node.js says is known: the third time it is not asked any more.
    for (const auto& each : rows) {
        INFO(each.what << ", with known answers");
        const auto expected = answer_of(other.post("/compile", request_of(each)).json());
        for (int i = 0; i < 2; ++i) CHECK(answer_of(one.post("/compile", request_of(each)).json()) == expected);
    }
    CHECK(warm.metric("sandboxd_compile_answers_total{result=\"known\"}") > 0);
    CHECK(warm.metric("sandboxd_compile_answers_total{result=\"unused\"}") == 0);
    // How long the steps took is known where Python is a tool that was started.
    const auto timing = [](http_client& who) {
        return who.post("/compile", request_of(rows[0])).field("server-timing");
    };
    CHECK(timing(one).find(", clang;dur=") != std::string::npos);
    CHECK(timing(one).find(", wasm-ld;dur=") != std::string::npos);
    CHECK(timing(other).find("clang") == std::string::npos);
    CHECK(plain.metric(by_warm) == 0);
    CHECK(plain.metric(by_plain) > 0);
    CHECK(warm.metric("sandboxd_compile_warm_bytes") > 0);
    CHECK(one.get("/version").json().at("compile").at("path").as_string() == "warm");
    CHECK(other.get("/version").json().at("compile").at("path").as_string() == "plain");
    CHECK(warm.clean());
    CHECK(warm.stop().code == 0);
}

TEST_CASE("C++ behind a precompiled preamble has the same bytes and says the same", "[compile][warm]")
{
    server_process warm;
    server_process plain{{.config = R"("compile": {"warm": "off"})"}};
    REQUIRE(warm.logs(standing));
    http_client one{warm};
    http_client other{plain};
    const std::string preamble = "// Of a course.\n#include <cassert>\n#define SIZE 3\n#include <cstdio>\n";
    const auto count = [&](const char* result) {
        return warm.metric("sandboxd_compile_preambles_total{result=\"" + std::string{result} + "\"}");
    };
    const auto request = [&](const std::string& rest) {
        const std::string code = preamble + rest;
        return request_of({"", code.c_str(), "cpp", {}});
    };
    for (int i = 0; i < 2; ++i) {
        CHECK(one.post("/compile", request("int main() { return 0; }\n")).json().at("ok").as_bool());
        CHECK(count("known") == 0);
    }
    CHECK(count("unknown") == 2);
    // Made after it was asked for twice.
    while (warm.metric("sandboxd_compile_answers_wanted") != 0) std::this_thread::yield();
    CHECK(warm.metric("sandboxd_compile_preambles_bytes") > 0);

    struct {
        const char* what;
        const char* rest;
        const char* result;  // of its preamble
    } const rows_of_cpp[] = {
        {"as it comes", "int main() { std::printf(\"%d\\n\", SIZE); }\n", "known"},
        {"where it is", "int main() { std::printf(\"%s %d %d\", __FILE__, __LINE__, __COUNTER__); }\n", "known"},
        {"an assertion", "int main(int c, char**) { assert(c == SIZE); }\n", "known"},
        {"more headers", "\n\n#include <vector>\nint main() { return std::vector<int>(SIZE)[1]; }\n", "unknown"},
        {"a warning", "int f() { }\nint main() { return f(); }\n", "unused"},
        {"an error", "int main() { return undeclared; }\n", "unused"},
        {"an error that points back", "#define SIZE 4\nint main() { return SIZE; }\n", "unused"},
        {"an error in a header", "#include <type_traits>\nstatic_assert(std::is_same<int, long>::value);\n", "unknown"},
    };
    for (const auto& each : rows_of_cpp) {
        INFO(each.what);
        const auto before = count(each.result);
        const auto got = one.post("/compile", request(each.rest)).json();
        CHECK(answer_of(got) == answer_of(other.post("/compile", request(each.rest)).json()));
        CHECK(count(each.result) == before + 1);
    }
    // Another argument, or another header of the same name, is another matter.
    auto with_argument = request("int main() { return 0; }\n");
    with_argument["args"] = json::array{"-O1"};
    const auto unknown = count("unknown");
    CHECK(answer_of(one.post("/compile", with_argument).json()) ==
          answer_of(other.post("/compile", with_argument).json()));
    CHECK(count("unknown") == unknown + 1);
    CHECK(warm.clean());
    CHECK(warm.stop().code == 0);
}

TEST_CASE("what Node.js answers to a later version of emcc is known, too", "[compile][warm]")
{
    // Modules; and the optimizer writes into a file. Each answer has a number of its own that tells it from another.
    const small_toolchain toolchain;
    for (const auto* name : {"emcc", "em++"})
        write(
            toolchain / (std::string{name} + ".py"),
            "import os, subprocess, sys\n"
            "from tools import config\n"
            "root = os.path.dirname(os.path.abspath(__file__))\n"
            "def node(script, *words, **more):\n"
            "  return subprocess.run([config.NODE_JS, os.path.join(root, script), *words], check=True, **more).stdout\n"
            "if __name__ != '__main__':\n"
            "  pass\n"
            "elif '--version' in sys.argv:\n"
            "  print('emcc (Emscripten gcc/clang-like replacement) 3.1.69')\n"
            "else:\n"
            "  open('/tmp/settings', 'w').write('settings')\n"
            "  glue = node('src/compiler.mjs', '/tmp/settings', stdout=subprocess.PIPE, encoding='utf-8')\n"
            "  node('tools/acorn-optimizer.mjs', '/tmp/settings', 'pass', '-o', '/tmp/optimized')\n"
            "  open('../out/app.js', 'w').write(glue + open('/tmp/optimized').read())\n"
            "  open('../out/app.wasm', 'w').write('made')\n");
    fs::create_directory(toolchain / "src");
    write(toolchain / "src/compiler.mjs",
          "import * as fs from 'node:fs';\n"
          "console.log('glue', String(fs.readFileSync(process.argv[2])), process.argv.length, Math.random());\n");
    write(toolchain / "tools/acorn-optimizer.mjs",
          "import * as fs from 'node:fs';\n"
          "const at = process.argv.indexOf('-o');\n"
          "const text = `optimized ${fs.readFileSync(process.argv[2])} ${process.argv[3]} ${Math.random()}\\n`;\n"
          "if (at < 0) process.stdout.write(text); else fs.writeFileSync(process.argv[at + 1], text);\n");
    write(toolchain / "tools/config.py",
          "LLVM_ROOT = '/usr/bin'\nBINARYEN_ROOT = '/usr'\nCLANG_ADD_VERSION = LLVM_ADD_VERSION = None\n"
          "NODE_JS = '/usr/bin/node'\n");
    server_process server{{.config = toolchain.config()}};
    REQUIRE(server.logs(standing));
    http_client client{server};
    const auto compiled = [&] {
        const auto made = client.post("/compile", some_request()).json();
        REQUIRE(made.at("ok").as_bool());
        return client.get(made.at("js").as_string().c_str()).body;
    };
    constexpr const char* known = "sandboxd_compile_answers_total{result=\"known\"}";
    std::string text = compiled();
    CHECK(text.starts_with("glue settings 3 "));
    CHECK(text.find("\noptimized settings pass 0.") != std::string::npos);
    // They are made after they were asked for twice.
    REQUIRE(eventually([&] {
        text = compiled();
        return server.metric(known) >= 2;
    }));
    const auto before = server.metric(known);
    CHECK(compiled() == text);
    CHECK(server.metric(known) == before + 2);
}

TEST_CASE("a variable of toolchain.env takes the place of the server's own", "[compile][warm]")
{
    const std::string warm = GENERATE("auto", "off");
    CAPTURE(warm);
    const small_toolchain toolchain;
    write(toolchain / "emcc.py",
          "import os, sys\n"
          "if __name__ != '__main__':\n"
          "  pass\n"
          "elif '--version' in sys.argv:\n"
          "  print('emcc (Emscripten gcc/clang-like replacement) 3.1.6')\n"
          "else:\n"
          "  open('../out/app.js', 'w').write(os.environ['LC_ALL'] + ' ' + os.environ['GLIBC_TUNABLES'])\n"
          "  open('../out/app.wasm', 'w').write('made')\n");
    auto config = toolchain.config();
    config.pop_back();
    config += R"(, "env": {"LC_ALL": "C", "GLIBC_TUNABLES": "glibc.malloc.arena_max=1"}}, "compile": {"warm": ")" +
              warm + "\"}";
    server_process server{{.config = config}};
    if (warm == "auto") REQUIRE(server.logs(standing));
    http_client client{server};
    const auto made = client.post("/compile", some_request()).json();
    INFO(boost::json::serialize(made));
    REQUIRE(made.at("ok").as_bool());
    CHECK(server.metric(by_warm) == (warm == "auto" ? 1 : 0));
    CHECK(client.get(made.at("js").as_string().c_str()).body == "C glibc.malloc.arena_max=1");
}

TEST_CASE("preambles that were used are made again at the next start", "[compile][warm]")
{
    const temporary_directory place;
    const std::string preamble = "#include <cassert>\n#include <cstdio>\n";
    const auto compiled = [&](server_process& server, int number) {
        const auto code = preamble + "int main() { std::printf(\"%d\", " + std::to_string(number) + "); }\n";
        return http_client{server}.post("/compile", request_of({"", code.c_str(), "cpp", {}})).json();
    };
    constexpr const char* known = "sandboxd_compile_preambles_total{result=\"known\"}";
    constexpr const char* kept = "sandboxd_compile_preambles_kept";
    {
        server_process first{{.working_dir = place.path()}};
        REQUIRE(first.logs(standing));
        for (int i = 0; i < 2; ++i) CHECK(compiled(first, i).at("ok").as_bool());
        REQUIRE(eventually([&] { return first.metric(kept) == 1; }));
        // Killed, so that it has no time to note anything.
    }
    const auto list = place.path() / "preambles.json";
    REQUIRE(fs::exists(list));
    {
        server_process second{{.working_dir = place.path()}};
        REQUIRE(second.logs(standing));
        REQUIRE(eventually([&] { return second.metric(kept) == 1; }));
        CHECK(compiled(second, 7).at("ok").as_bool());
        CHECK(second.metric(known) == 1);
        CHECK(second.clean());
        CHECK(second.stop().code == 0);
    }
    std::ofstream{list} << "{\"preambles\":[{\"args\":[\"-include\",\"/etc/passwd\"],";
    server_process third{{.working_dir = place.path()}};
    REQUIRE(third.logs("the list of preambles is not whole"));
    REQUIRE(third.logs(standing));
    CHECK(compiled(third, 8).at("ok").as_bool());
    CHECK(third.metric(known) == 0);
    CHECK(third.clean());
    CHECK(third.stop().code == 0);
}

TEST_CASE("a started tool that dies is started again, and no job notices", "[compile][warm]")
{
    server_process server;
    REQUIRE(server.logs(standing));
    http_client client{server};
    for (const auto* program : {"/clang", "python3"}) {
        INFO(program);
        const auto killed = tool_of(server, program);
        REQUIRE(killed != 0);
        ::kill(killed, SIGKILL);
        CHECK(client.post("/compile", request_of(rows[0])).json().at("ok").as_bool());
        REQUIRE(eventually([&] {
            const auto before = server.metric(by_warm);
            const auto answer = client.post("/compile", request_of(rows[0])).json();
            return answer.at("ok").as_bool() && server.metric(by_warm) > before;
        }));
        CHECK(tool_of(server, program) != killed);
    }
    CHECK(server.clean());
}

TEST_CASE("tools are started again when a file that they have read changes", "[compile][warm]")
{
    const small_toolchain toolchain;
    server_process server{{.config = toolchain.config()}};
    REQUIRE(server.logs(standing));
    http_client client{server};
    CHECK(client.post("/compile", some_request()).json().at("ok").as_bool());
    CHECK(server.metric(by_warm) > 0);

    auto text = std::string{"import sys\nif __name__ == '__main__':\n  sys.exit('another')\n"};
    write(toolchain / "new.py", text);
    fs::rename(toolchain / "new.py", toolchain / "emcc.py");
    // From the next look on, which is one in a second, jobs get what is there now.
    json::value answer;
    REQUIRE(eventually([&] {
        answer = client.post("/compile", some_request()).json();
        return !answer.at("ok").as_bool();
    }));
    CHECK(answer.at("log").as_string() == "another\n");
    CHECK(server.logs("emcc.py has changed"));
    REQUIRE(eventually([&] {
        const auto before = server.metric(by_warm);
        answer = client.post("/compile", some_request()).json();
        return server.metric(by_warm) > before;
    }));
    CHECK(answer.at("log").as_string() == "another\n");
}

TEST_CASE("tools that take more memory than they may are ended, and compiles go on without", "[compile][warm]")
{
    const small_toolchain toolchain;
    server_process server{{.config = toolchain.config() + R"(, "compile": {"warmMemoryMB": 1})"}};
    REQUIRE(server.logs(standing));
    http_client client{server};
    CHECK(client.post("/compile", some_request()).json().at("ok").as_bool());
    CHECK(server.logs("compile.warmMemoryMB"));
    CHECK(client.post("/compile", some_request()).json().at("ok").as_bool());
    CHECK(server.metric(by_warm) == 0);
    CHECK(server.metric("sandboxd_compile_warm_bytes") == 0);
    CHECK(eventually([&] { return tool_of(server, "python3") == 0 && tool_of(server, "/clang") == 0; }));
}

TEST_CASE("a jail stands before its job comes, with the compilers in it", "[compile][warm]")
{
    server_process server;
    REQUIRE(server.logs(standing));
    http_client client{server};
    const auto waits = [&] {
        return server.metric("sandboxd_compile_warm_jails") == 1 && jails_that_wait(server.pid()).size() == 1;
    };
    const auto compiles = [&](int number) {
        auto request = some_request();
        request["code"] = "int main(void) { return " + std::to_string(number) + "; }\n";
        return client.post("/compile", request).status == 200;
    };
    CHECK(compiles(1));
    REQUIRE(eventually(waits));
    CHECK(fs::status(server.working_dir() / "ready").permissions() == (fs::perms::owner_all | fs::perms::group_exec));
    const auto before = server.metric(by_warm);
    auto standing_jail = jails_that_wait(server.pid()).front();
    // The job is in there, and then in no other's.
    CHECK(compiles(2));
    CHECK(server.metric(by_warm) == before + 1);
    CHECK(survivors(standing_jail) == "");
    REQUIRE(eventually(waits));
    CHECK(jails_that_wait(server.pid()).front() != standing_jail);

    // Whoever helped the compilers into a jail is gone, though no job has ended since.
    const auto has_dead = [&] {
        const auto pid = std::to_string(server.pid());
        return std::ranges::any_of(numbers_in(text_of("/proc/" + pid + "/task/" + pid + "/children")), [](pid_t one) {
            return text_of("/proc/" + std::to_string(one) + "/stat").find(") Z ") != std::string::npos;
        });
    };
    for (int i = 0; i < 10; ++i) {
        CHECK(compiles(100 + i));
        REQUIRE(eventually(waits));
        CHECK(eventually([&] { return !has_dead(); }));
    }

    // It ends by itself, and nobody notices.
    standing_jail = jails_that_wait(server.pid()).front();
    ::kill(standing_jail.front(), SIGKILL);
    CHECK(survivors(standing_jail) == "");
    CHECK(compiles(3));
    REQUIRE(eventually(waits));

    // With its tools: those are others by now.
    standing_jail = jails_that_wait(server.pid()).front();
    ::kill(tool_of(server, "clang"), SIGKILL);
    CHECK(compiles(4));
    CHECK(eventually([&] { return compiles(5) && std::ranges::all_of(standing_jail, has_ended); }));
    CHECK(eventually([&] { return compiles(6) && waits(); }));
    CHECK(server.clean());
    CHECK(server.stop().code == 0);
    CHECK(names_in(server.working_dir() / "ready").empty());
}

TEST_CASE("started tools that are slow once are kept, and a jail is built again", "[compile][warm]")
{
    server_process server;
    REQUIRE(server.logs(standing));
    http_client client{server};
    const auto waits = [&] { return jails_that_wait(server.pid()).size() == 1; };
    const auto compiles = [&](int number) {
        auto request = some_request();
        request["code"] = "int main(void) { return " + std::to_string(number) + "; }\n";
        return client.post("/compile", request).status == 200;
    };
    CHECK(compiles(1));
    REQUIRE(eventually(waits));
    const auto clang = tool_of(server, "clang");
    ::kill(clang, SIGSTOP);
    CHECK(compiles(2));
    REQUIRE(eventually([&] { return server.logs("it is slow"); }));
    ::kill(clang, SIGCONT);
    const auto before = server.metric(by_warm);
    int next = 3;
    REQUIRE(eventually([&] { return waits() && compiles(next++) && server.metric(by_warm) > before; }));
    CHECK(tool_of(server, "clang") == clang);
    CHECK(server.log().find("started anew") == std::string::npos);
    CHECK(server.stop().code == 0);
}

TEST_CASE("a killed server's jail that waited is gone with its directory at the next start", "[compile][warm]")
{
    const temporary_directory work;
    {
        server_process server{{.working_dir = work.path()}};
        REQUIRE(server.logs(standing));
        http_client client{server};
        CHECK(client.post("/compile", some_request()).status == 200);
        REQUIRE(eventually([&] { return jails_that_wait(server.pid()).size() == 1; }));
        const auto jail = jails_that_wait(server.pid()).front();
        server.signal(SIGKILL);
        server.wait();
        CHECK(survivors(jail) == "");
        CHECK(names_in(work.path() / "ready").size() == 1);
    }
    server_process server{{.config = R"("compile": {"warmJails": 0})", .working_dir = work.path()}};
    CHECK(server.logs("removed ready directories of an earlier server count=1"));
    CHECK(names_in(work.path() / "ready").empty());
    // None is built where none is to be.
    REQUIRE(server.logs(standing));
    http_client client{server};
    CHECK(client.post("/compile", some_request()).status == 200);
    CHECK(client.post("/compile", some_request()).status == 200);
    CHECK(server.metric("sandboxd_compile_warm_jails") == 0);
    CHECK(names_in(work.path() / "ready").empty());
    CHECK(server.stop().code == 0);
}
