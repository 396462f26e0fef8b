#include "compile/emcc.hpp"

#include <catch2/catch_test_macros.hpp>

#include <optional>
#include <string>

using namespace sandboxd;
using compile::limit_behind;
using process::exited;
using process::signaled;

TEST_CASE("the limit behind a failed compile is told by the tools' own lines", "[compile][emcc]")
{
    struct row {
        std::string log;
        std::optional<errc> limit;
    };
    const std::string failed = "emcc: error: '/usr/bin/clang-14 main.c -c' failed ";
    const row rows[] = {
        {"", std::nullopt},
        {"main.c:1:1: error: expected ';'\n" + failed + "(returned 1)\n", std::nullopt},
        {failed + "(received SIGSEGV (-11))\n", std::nullopt},
        {"LLVM ERROR: out of memory\nAllocation failed\n" + failed + "(received SIGABRT (-6))\n", errc::memory_limit},
        {"terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n",
         errc::memory_limit},
        {"libc++abi: terminating with uncaught exception of type std::bad_alloc: std::bad_alloc\n", errc::memory_limit},
        {"Traceback (most recent call last):\n  File \"emcc.py\", line 1\nMemoryError\n", errc::memory_limit},
        {"OSError: [Errno 12] Cannot allocate memory\n", errc::memory_limit},
        {"\nFATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n", errc::memory_limit},
        {"#\n# Fatal process out of memory: Zone\n", errc::memory_limit},
        {"LLVM ERROR: IO failure on output stream: No space left on device\n", errc::disk_limit},
        {"OSError: [Errno 28] No space left on device: '/tmp/x'\n", errc::disk_limit},
        {failed + "(received SIGXFSZ (-25))\n", errc::disk_limit},
        {failed + "(received SIGBUS (-7))\n", errc::disk_limit},
        // Torn: the linker died while it was writing its stack dump.
        {"Stack dump:\n0" + failed + "(received SIGBUS (-7))\n", errc::disk_limit},
        {"OSError: [Errno 122] Disk quota exceeded: '/job/out/app.js'\n", errc::disk_limit},
        {"wasm-ld-14: error: failed to write the output file: No such file or directory\n", errc::disk_limit},
        {failed + "(received SIGXCPU (-24))\n", errc::timeout},
        // What a source says, quoted in a diagnostic, is no sign.
        {"main.cpp:2:20: error: expected expression\n    throw std::bad_alloc;\n", std::nullopt},
        {"main.c:1:2: error: LLVM ERROR: out of memory\n#error LLVM ERROR: out of memory\n", std::nullopt},
        {"main.c:1:2: error: " + failed + "(received SIGBUS (-7))\n", std::nullopt},
        {"puts(\"Cannot allocate memory, received SIGKILL, JavaScript heap out of memory\")\n", std::nullopt},
    };
    for (const auto& one : rows) {
        INFO(one.log);
        CHECK(limit_behind(one.log, exited{1}, false) == one.limit);
    }
}

TEST_CASE("a kill out of nowhere is that of the processor time or of the memory", "[compile][emcc]")
{
    const std::string log = "emcc: error: '/usr/bin/clang-14 main.c' failed (received SIGKILL (-9))";
    CHECK(limit_behind(log, exited{1}, true) == errc::timeout);
    CHECK(limit_behind(log + "\n", exited{1}, false) == errc::memory_limit);
    CHECK(limit_behind("", exited{128 + 9}, true) == errc::timeout);
    CHECK(limit_behind("", exited{128 + 9}, false) == errc::memory_limit);
    CHECK(limit_behind("", signaled{9}, false) == errc::memory_limit);
    CHECK(limit_behind("", exited{128 + 24}, false) == errc::timeout);
    CHECK(limit_behind("", exited{128 + 25}, false) == errc::disk_limit);
    CHECK(limit_behind("", exited{128 + 11}, false) == std::nullopt);
    CHECK(limit_behind("", signaled{11}, false) == std::nullopt);
}
