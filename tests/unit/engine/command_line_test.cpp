#include "support/js_worker.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch_test_macros.hpp>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

using sandboxd::test::run_js_command;

TEST_CASE("the result goes to standard output, the script's streams to standard error", "[js]")
{
    const auto got = run_js_command({"-s", "console.log('out'); console.error('err'); ({a: [1, 'x']})"});
    CHECK(got.status == 0);
    CHECK(got.out == "{\"a\":[1,\"x\"]}\n");
    CHECK(got.err == "out\nerr\n");
}

TEST_CASE("what is loaded when it is first needed is not seen twice", "[js]")
{
    const auto got = run_js_command(
        {"--init-script", "console.log('init')", "-s",
         "globalThis.n = (globalThis.n ?? 0) + 1; console.log('before'); console.log({n}); new URL('http://h').host + n",
         "--repeat", "2", "--reuse"});
    CHECK(got.status == 0);
    CHECK(got.out == "\"h1\"\n\"h2\"\n");
    CHECK(got.err == "init\nbefore\n{ n: 1 }\nbefore\n{ n: 2 }\n");
    // It burns what it burns in a worker, where it is there from the start.
    sandboxd::test::js_worker worker;
    const std::string script = "console.log({a: 1}); structuredClone([1])";
    const auto fuel = worker.eval(script).fuel_used;
    CHECK(run_js_command({"-s", script, "--fuel", std::to_string(fuel)}).status == 0);
    CHECK(run_js_command({"-s", script, "--fuel", std::to_string(fuel - 1)}).status == 101);
}

TEST_CASE("exit statuses name what ended the script", "[js]")
{
    CHECK(run_js_command({"--script=1"}).status == 0);
    CHECK(run_js_command({"--script", "throw 1"}).status == 100);
    CHECK(run_js_command({"--script", "new Promise(() => {})"}).status == 100);
    CHECK(run_js_command({"--script", "for (;;);", "--fuel", "100000"}).status == 101);
    CHECK(run_js_command({"--script", "new ArrayBuffer(1e8)"}).status == 102);
    CHECK(run_js_command({"--script", "new ArrayBuffer(1e7)", "--memory-limit-bytes=5000000"}).status == 102);
    CHECK(run_js_command({}).status == 1);
    CHECK(run_js_command({"--script"}).status == 1);
    CHECK(run_js_command({"--nonsense"}).status == 1);
    CHECK(run_js_command({"--script", "1", "--fuel", "x"}).status == 1);
    CHECK(run_js_command({"--script", "1", "--fuel", "0"}).status == 1);
    CHECK(run_js_command({"repl", "--script", "1"}).status == 1);
    CHECK(run_js_command({"--help"}).status == 0);
}

TEST_CASE("an init script runs first, once for each sandbox", "[js]")
{
    const std::string fib = "function fib(n) { return n <= 1 ? 1 : fib(n-1) + fib(n-2); } 'not a result'";
    const auto got = run_js_command({"--init-script", fib, "--script", "fib(13)"});
    CHECK(got.status == 0);
    CHECK(got.out == "377\n");
    CHECK(got.err.empty());
    CHECK(run_js_command({"--init-script=let n = 0; console.log('init')", "-s", "++n", "--repeat", "3"}).out ==
          "1\n1\n1\n");
    const auto kept =
        run_js_command({"--init-script=let n = 0; console.log('init')", "-s", "++n", "--repeat", "3", "--reuse"});
    CHECK(kept.out == "1\n2\n3\n");
    CHECK(kept.err == "init\n");
    CHECK(run_js_command({"--init-script", "globalThis.x = await Promise.resolve(4)", "-s", "x"}).out == "4\n");
    const auto line = run_js_command({"repl", "--init-script", fib}, "fib(5)\nvar a = fib(6)\na + 1\n");
    CHECK(line.out == "8\nnull\n14\n");

    // What ends it has the same exit statuses, and its name.
    const auto bad = run_js_command({"--init-script", "let a = 1;\nlet b = ;", "-s", "1"});
    CHECK(bad.status == 100);
    CHECK(bad.out.empty());
    CHECK(bad.err.starts_with("SyntaxError: "));
    CHECK(bad.err.find("(init:2:9)") != std::string::npos);
    const auto endless = run_js_command({"--init-script", "for (;;);", "-s", "1", "--fuel", "100000"});
    CHECK(endless.status == 101);
    CHECK(endless.err.starts_with("init script: Ran out of CPU time"));
    CHECK(endless.err.find("--fuel") != std::string::npos);
    CHECK(run_js_command({"--init-script", "new ArrayBuffer(1e8)", "-s", "1"}).status == 102);
}

TEST_CASE("scripts come from files and from standard input", "[js]")
{
    const sandboxd::test::temporary_directory place;
    const auto file = [&place](const char* name, const std::string& text) {
        const auto path = place.path() / name;
        std::ofstream{path} << text;
        return path.string();
    };
    const auto library =
        file("library.js", "const big = '" + std::string(300'000, 'x') + "';\nfunction size() { return big.length }");
    const auto main = file("main.js", "size()");
    CHECK(run_js_command({"--init-script-file", library, "--script-file", main}).out == "300000\n");
    CHECK(run_js_command({"--init-script-file=" + library, "--script-file=-"}, "size() + 1\n").out == "300001\n");
    CHECK(run_js_command({"repl", "--init-script-file", library}, "size()\nsize()").out == "300000\n300000\n");
    const auto missing = run_js_command({"--script-file", (place.path() / "missing.js").string()});
    CHECK(missing.status == 1);
    CHECK(missing.err.find("missing.js: No such file") != std::string::npos);
    CHECK(run_js_command({"--script-file", place.path().string()}).status == 1);
    CHECK(run_js_command({"--script-file", main, "-s", "1"}).status == 1);
    CHECK(run_js_command({"--init-script-file", main, "--init-script", "1", "-s", "1"}).status == 1);
    CHECK(run_js_command({"--init-script-file", "-", "--script-file", "-"}).status == 1);
    CHECK(run_js_command({"repl", "--script-file", main}).status == 1);
    CHECK(run_js_command({"--init-script", "1"}).status == 1);
}

TEST_CASE("a result that cannot be written is a failure", "[js]")
{
    const pid_t pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        ::dup2(::open("/dev/full", O_WRONLY), STDOUT_FILENO);
        ::dup2(::open("/dev/null", O_WRONLY), STDERR_FILENO);
        ::execl(SANDBOXD_JS_BINARY, "sandboxd-js", "-s", "1", nullptr);
        ::_exit(127);
    }
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 1);
}

TEST_CASE("repeat runs it again, reuse does so in the same sandbox", "[js]")
{
    const char* script = "globalThis.n = (globalThis.n ?? 0) + 1";
    CHECK(run_js_command({"-s", script, "--repeat", "3"}).out == "1\n1\n1\n");
    CHECK(run_js_command({"-s", script, "--repeat", "3", "--reuse"}).out == "1\n2\n3\n");
    const auto quiet = run_js_command({"-s", "console.log(1); 2", "-q"});
    CHECK(quiet.out.empty());
    CHECK(quiet.err.empty());
}

TEST_CASE("repl keeps its sandbox from line to line, and says when it is lost", "[js]")
{
    const auto got = run_js_command({"repl", "--fuel", "10000000"},
                                    "let x = 20\nfunction f() { return x + 1 }\nf()\n\nfor(;;);\ntypeof x");
    CHECK(got.status == 0);
    CHECK(got.out == "null\nnull\n21\n\"undefined\"\n");
    CHECK(got.err.find("Ran out of CPU time") != std::string::npos);
    CHECK(got.err.find("The sandbox is lost") != std::string::npos);
}
