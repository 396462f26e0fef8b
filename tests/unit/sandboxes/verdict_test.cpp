#include "sandboxes/verdict.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <csignal>
#include <optional>
#include <string>

using namespace sandboxd;
using namespace sandboxd::sandboxes;
using process::exited;
using process::signaled;
using process::wait_status;

TEST_CASE("every way to end has one name", "[sandboxes]")
{
    struct row {
        wait_status status;
        std::optional<errc> stopped;
        std::string err;
        bool used_up_cpu;
        judgement expected;
    };
    const std::optional<errc> nobody;
    const row rows[] = {
        {exited{0}, nobody, "", false, {verdict::exit, 0, 0}},
        {exited{3}, nobody, "whatever", false, {verdict::exit, 3, 0}},
        {exited{128}, nobody, "", false, {verdict::exit, 128, 0}},
        {exited{255}, nobody, "", false, {verdict::exit, 255, 0}},
        // The first cause wins, whatever it left behind.
        {signaled{SIGKILL}, errc::timeout, "JavaScript heap out of memory", false, {verdict::timeout, 124, 0}},
        {exited{0}, errc::timeout, "", false, {verdict::timeout, 124, 0}},
        {signaled{SIGKILL}, errc::output_limit, "", true, {verdict::output_limit, 137, 0}},
        {signaled{SIGKILL}, errc::memory_limit, "", false, {verdict::memory_limit, 137, 0}},
        // A jail says 128 and the signal.
        {exited{128 + SIGSEGV}, nobody, "", false, {verdict::signalled, 128 + SIGSEGV, SIGSEGV}},
        {signaled{SIGTERM}, nobody, "", false, {verdict::signalled, 128 + SIGTERM, SIGTERM}},
        {exited{128 + SIGKILL}, nobody, "", false, {verdict::signalled, 128 + SIGKILL, SIGKILL}},
        {exited{128 + SIGKILL}, nobody, "", true, {verdict::timeout, 124, 0}},
        {exited{128 + SIGXCPU}, nobody, "", false, {verdict::timeout, 124, 0}},
        {exited{128 + SIGXFSZ}, nobody, "", false, {verdict::disk_limit, 128 + SIGXFSZ, SIGXFSZ}},
        {exited{1}, nobody, "Error: ENOSPC: no space left on device, write", false, {verdict::disk_limit, 1, 0}},
        {exited{128 + SIGABRT},
         nobody,
         "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
         false,
         {verdict::memory_limit, 128 + SIGABRT, SIGABRT}},
        {exited{1}, nobody, "RangeError: Out of memory", false, {verdict::memory_limit, 1, 0}},
        {exited{128 + SIGSEGV},
         nobody,
         "Segmentation fault at address 0xBBADBEEF",
         false,
         {verdict::memory_limit, 128 + SIGSEGV, SIGSEGV}},
        {exited{1},
         nobody,
         "Traceback (most recent call last):\n  File \"main.py\"\nMemoryError\n",
         false,
         {verdict::memory_limit, 1, 0}},
        {exited{1}, nobody, "MemoryError", false, {verdict::memory_limit, 1, 0}},
        {exited{1}, nobody, "MemoryError: 9 bytes\n", false, {verdict::memory_limit, 1, 0}},
        {exited{1},
         nobody,
         "x\nnumpy._core._exceptions._ArrayMemoryError: Unable to allocate",
         false,
         {verdict::memory_limit, 1, 0}},
        {exited{1}, nobody, "OSError: [Errno 12] Cannot allocate", false, {verdict::memory_limit, 1, 0}},
        {exited{128 + SIGTRAP},
         nobody,
         "# Fatal javascript OOM in Reached heap limit",
         false,
         {verdict::memory_limit, 128 + SIGTRAP, SIGTRAP}},
        {exited{1}, nobody, "  raise MemoryError\nValueError: MemoryError: no\n", false, {verdict::exit, 1, 0}},
        {exited{1}, nobody, "NameError: name 'MemoryErrors'\nMemoryErrors\n", false, {verdict::exit, 1, 0}},
        {exited{1}, nobody, "OSError: [Errno 27] File too large", false, {verdict::disk_limit, 1, 0}},
        {exited{1}, nobody, "OSError: [Errno 122] Disk quota exceeded: 'x'", false, {verdict::disk_limit, 1, 0}},
        {exited{1}, nobody, "OSError: [Errno 28]", false, {verdict::disk_limit, 1, 0}},
        {exited{1}, nobody, "OSError: [Errno 2] No such file", false, {verdict::exit, 1, 0}},
        {exited{1}, nobody, "sh: write error: File too large", false, {verdict::disk_limit, 1, 0}},
        // Who only talks of it has run into nothing.
        {exited{0}, nobody, "ENOSPC JavaScript heap out of memory", false, {verdict::exit, 0, 0}},
    };
    for (const auto& one : rows) {
        CAPTURE(one.err, one.expected.exit_code);
        CHECK(judge(one.status, one.stopped, one.err, one.used_up_cpu) == one.expected);
    }
    CHECK(name(verdict::exit) == "exit");
    CHECK(name(verdict::timeout) == "timeout");
    CHECK(name(verdict::memory_limit) == "memory_limit");
    CHECK(name(verdict::output_limit) == "output_limit");
    CHECK(name(verdict::disk_limit) == "disk_limit");
    CHECK(name(verdict::signalled) == "signalled");
}
