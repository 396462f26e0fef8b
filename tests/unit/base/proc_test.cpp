#include "base/proc.hpp"

#include <catch2/catch_test_macros.hpp>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

using namespace sandboxd;

TEST_CASE("a number is read behind its key", "[base][proc]")
{
    constexpr std::string_view status = "Name:\tcat 7\nPPid:\t12\nRssAnon:\t     340 kB\nVmSwap:\t";
    CHECK(number_behind(status, "\nPPid:") == 12);
    CHECK(number_behind(status, "\nRssAnon:") == 340);
    CHECK(number_behind(status, "\nVmPTE:") == 0);
    CHECK(number_behind(status, "\nVmSwap:") == 0);
    CHECK(number_behind(status, "Name:") == 0);
}

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
