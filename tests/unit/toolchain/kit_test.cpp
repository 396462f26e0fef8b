#include "toolchain/kit.hpp"

#include "support/temporary_directory.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

using namespace sandboxd;
using namespace sandboxd::toolchain;
using namespace std::string_literals;

TEST_CASE("what a started Python says is read whole or not at all", "[toolchain]")
{
    const auto said = parse_greeting("/usr/bin/clang\0/usr/bin/lld\0\0/usr/bin/node\0--stack\0\0/usr/lib/a.py\0"s);
    REQUIRE(said);
    CHECK(said->tools == std::vector<std::string>{"/usr/bin/clang", "/usr/bin/lld"});
    CHECK(said->node == std::vector<std::string>{"/usr/bin/node", "--stack"});
    CHECK(said->files == std::vector<std::string>{"/usr/lib/a.py"});
    const auto nothing = parse_greeting("\0\0"s);
    REQUIRE(nothing);
    CHECK(nothing->tools.empty());
    CHECK(nothing->node.empty());

    CHECK_FALSE(parse_greeting(""));
    CHECK_FALSE(parse_greeting("tool"));
    CHECK_FALSE(parse_greeting("/usr/bin/clang\0\0"s));            // too few lists
    CHECK_FALSE(parse_greeting("clang\0\0\0"s));                   // not absolute
    CHECK_FALSE(parse_greeting("\0node\0\0"s));                    // the same
    CHECK_FALSE(parse_greeting("/usr/bin/clang\0\0\0\0/a\0"s));    // too many lists
    CHECK_FALSE(parse_greeting("/usr/bin/clang\0\0\0/usr/lib"s));  // cut off
    std::string many;
    for (int i = 0; i < 16; ++i) many += "/t"s + std::to_string(i) + '\0';
    CHECK_FALSE(parse_greeting(many + '\0' + '\0'));
}

TEST_CASE("the files that a process has mapped are found in its maps", "[toolchain]")
{
    CHECK(mapped_files("00400000-00420000 r--p 00000000 fe:00 1 /usr/lib/llvm-14/bin/clang\n"
                       "00420000-00430000 r-xp 00020000 fe:00 1 /usr/lib/llvm-14/bin/clang\n"
                       "7f000000-7f001000 rw-p 00000000 00:00 0 [heap]\n"
                       "7f001000-7f002000 rw-p 00000000 00:00 0\n"
                       "7f002000-7f003000 r--p 00000000 00:01 7 /memfd:tool (deleted)\n"
                       "7f003000-7f004000 r--p 00000000 fe:00 2 /lib/x86_64-linux-gnu/libc.so.6") ==
          std::vector<std::string>{"/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/llvm-14/bin/clang"});
    CHECK(mapped_files("").empty());
}

TEST_CASE("memory that a process shares with its children is found in its maps", "[toolchain]")
{
    const auto alone =
        "00400000-00420000 r--p 00000000 fe:00 1 /usr/lib/llvm-14/bin/clang\n"
        "7f000000-7f001000 rw-p 00000000 00:00 0 [heap]\n"
        "7f000000-7f001000 r--s 00000000 fe:00 3 /usr/lib/x86_64-linux-gnu/gconv/gconv-modules.cache\n"s;
    CHECK_FALSE(shares_memory(alone));
    CHECK(shares_memory(alone + "7f002000-7f003000 rw-s 00000000 00:01 7 /dev/zero (deleted)\n"));
    CHECK(shares_memory(alone + "7f002000-7f003000 -w-s 00000000 00:01 7 /SYSV00000000 (deleted)\n"));
    CHECK(shares_memory(alone + "something else\n"));
}

TEST_CASE("who owns a program, or may write to it, could change it", "[toolchain]")
{
    standing job;
    job.identity = "Uid:\t1000\t1000\t1000\t1000\nGid:\t100\t100\t100\t100\nGroups:\t27 44 \n";
    struct stat file{};
    file.st_mode = S_IFREG | 0755;
    CHECK_FALSE(could_change(job, file));
    file.st_uid = 1000;
    CHECK(could_change(job, file));
    file.st_uid = 0;
    file.st_mode = S_IFREG | 0775;
    CHECK_FALSE(could_change(job, file));
    for (const gid_t gid : {100U, 27U, 44U}) {
        file.st_gid = gid;
        CHECK(could_change(job, file));
    }
    file.st_gid = 0;
    file.st_mode = S_IFREG | 0757;
    CHECK(could_change(job, file));
    file.st_mode = S_IFREG | 0755;
    job.identity = "Groups:\t\n";
    CHECK(could_change(job, file));
}

TEST_CASE("a file that is replaced, rewritten or removed has changed", "[toolchain]")
{
    const test::temporary_directory place;
    const auto path = (place.path() / "tool").native();
    CHECK_FALSE(look_at(path));
    std::ofstream{path} << "one";
    const auto seen = look_at(path);
    REQUIRE(seen);
    CHECK_FALSE(has_changed(*seen));
    // The same text and time in another inode.
    const auto time = std::filesystem::last_write_time(path);
    std::ofstream{path + ".new"} << "one";
    std::filesystem::last_write_time(path + ".new", time);
    std::filesystem::rename(path + ".new", path);
    CHECK(has_changed(*seen));
    const auto again = look_at(path);
    REQUIRE(again);
    std::filesystem::last_write_time(path, time + std::chrono::seconds{1});
    CHECK(has_changed(*again));
    std::filesystem::remove(path);
    CHECK(has_changed(*again));
}

TEST_CASE("two processes of one place stand alike, and who has another limit or identity does not", "[toolchain]")
{
    const auto here = standing_of(::getpid());
    REQUIRE(here.has_value());
    CHECK(difference(*here, *here).empty());
    CHECK(share_a_namespace(*here, *here));
    CHECK(here->identity.find("CapEff:") != std::string::npos);
    CHECK(here->identity.find("Seccomp:") != std::string::npos);
    CHECK(here->identity.find("NoNewPrivs:") != std::string::npos);

    auto other = *here;
    other.identity += "x";
    CHECK(difference(*here, other) == "identity");
    other = *here;
    other.limits += "x";
    CHECK(difference(*here, other) == "limits");
    other = *here;
    other.cgroup += "x";
    CHECK(difference(*here, other) == "control group");
    other = *here;
    other.root.second += 1;
    CHECK(difference(*here, other) == "root");
    for (std::size_t i = 0; i < other.namespaces.size(); ++i) {
        other = *here;
        other.namespaces[i] += "x";
        CHECK_FALSE(difference(*here, other).empty());
        CHECK(share_a_namespace(*here, other));
    }
    for (auto& one : other.namespaces) one += "x";
    CHECK_FALSE(share_a_namespace(*here, other));

    // A process that has gone cannot be looked at.
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    ::waitpid(child, nullptr, 0);
    CHECK_FALSE(standing_of(child).has_value());
}

TEST_CASE("the bounding set is read, and is full where it is not told", "[toolchain]")
{
    standing some;
    some.identity = "Uid:\t0\t0\t0\t0\nCapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\n";
    CHECK(bounding_set(some) == 0xa80425fb);
    some.identity = "CapBnd:\tnothing\n";
    CHECK(bounding_set(some) == ~std::uint64_t{0});
    some.identity.clear();
    CHECK(bounding_set(some) == ~std::uint64_t{0});
}

TEST_CASE("the limits of a process are read out of the kernel's table", "[toolchain]")
{
    const auto here = standing_of(::getpid());
    REQUIRE(here.has_value());
    const auto limits = resource_limits(*here);
    REQUIRE(limits);
    for (std::size_t i = 0; i < limits->size(); ++i) {
        INFO("resource " << i);
        rlimit seen{};
        REQUIRE(::syscall(SYS_prlimit64, 0, i, nullptr, &seen) == 0);
        CHECK((*limits)[i] == soft_and_hard{seen.rlim_cur, seen.rlim_max});
    }
    auto other = *here;
    other.limits.resize(other.limits.size() / 2);
    CHECK_FALSE(resource_limits(other));
    other.limits.clear();
    CHECK_FALSE(resource_limits(other));
    // Another order would set one limit for another.
    other = *here;
    const auto first = other.limits.find("Max cpu time");
    other.limits.replace(first, 12, "Max new time");
    CHECK_FALSE(resource_limits(other));
}

TEST_CASE("a process descends from itself and from its parents", "[toolchain]")
{
    CHECK(descends_from(::getpid(), ::getpid()));
    CHECK(descends_from(::getpid(), ::getppid()));
    int hold[2];
    REQUIRE(::pipe(hold) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
        ::close(hold[1]);
        char end = 0;
        const auto got = ::read(hold[0], &end, 1);
        ::_exit(got < 0 ? 1 : 0);
    }
    CHECK(descends_from(child, ::getpid()));
    CHECK_FALSE(descends_from(::getpid(), child));
    ::close(hold[1]);
    ::close(hold[0]);
    ::waitpid(child, nullptr, 0);
    CHECK_FALSE(descends_from(child, ::getpid()));
}
