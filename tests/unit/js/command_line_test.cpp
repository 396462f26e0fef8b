#include "support/js_worker.hpp"

#include <catch2/catch_test_macros.hpp>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

using sandboxd::test::run_js_command;

TEST_CASE("the result goes to standard output, the script's streams to standard error", "[js]")
{
    const auto got = run_js_command({"-s", "console.log('out'); console.error('err'); ({a: [1, 'x']})"});
    CHECK(got.status == 0);
    CHECK(got.out == "{\"a\":[1,\"x\"]}\n");
    CHECK(got.err == "out\nerr\n");
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
