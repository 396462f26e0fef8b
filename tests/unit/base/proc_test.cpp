#include "base/proc.hpp"

#include <catch2/catch_test_macros.hpp>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

using namespace sandboxd;

TEST_CASE("a thread's children are listed until they are reaped", "[base][proc]")
{
    const auto has = [](pid_t pid) {
        const auto all = children_of_thread("/proc/thread-self");
        return std::ranges::count(all, pid) == 1;
    };
    const pid_t first = ::fork();
    if (first == 0) {
        ::pause();
        ::_exit(0);
    }
    const pid_t second = ::fork();
    if (second == 0) ::_exit(0);
    REQUIRE(first > 0);
    REQUIRE(second > 0);
    CHECK(has(first));
    CHECK(has(second));

    ::waitpid(second, nullptr, 0);
    CHECK(has(first));
    CHECK_FALSE(has(second));

    ::kill(first, SIGKILL);
    ::waitpid(first, nullptr, 0);
    CHECK_FALSE(has(first));
    CHECK(children_of_thread("/proc/0/task/0").empty());
}
