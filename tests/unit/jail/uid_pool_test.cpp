// Which uids jails get, and which ranges are refused.
#include "jail/uid_pool.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>
#include <set>
#include <string>
#include <vector>

using namespace sandboxd;

namespace {

// Nobody's, and no other process' of this test: the names of the locks are the machine's, and ctest runs cases side by
// side. PID_MAX_LIMIT is 4 194 304 (proc_sys_kernel(5)).
const jail::uid_range quiet{4'100'000'000U + 4 * static_cast<uid_t>(::getpid()), 4};

}  // namespace

TEST_CASE("uids: each jail that lives has one of its own, and the freed come last", "[jail]")
{
    const auto pool = jail::uid_pool::make(quiet);
    std::vector<std::optional<jail::uid_pool::lease>> leases;
    std::set<uid_t> seen;
    for (std::uint32_t i = 0; i < quiet.count; ++i) {
        auto taken = pool->take();
        REQUIRE(taken.has_value());
        CHECK(quiet.holds(taken->who().uid));
        CHECK(taken->who().gid == quiet.first);
        seen.insert(taken->who().uid);
        leases.emplace_back(std::move(*taken));
    }
    CHECK(seen.size() == quiet.count);
    CHECK(pool->counts().in_use == quiet.count);
    const auto none = pool->take();
    REQUIRE_FALSE(none.has_value());
    CHECK(none.error().code == errc::queue_full);
    CHECK(none.error().message.find("jailUidCount") != std::string::npos);
    CHECK(pool->counts().refused == 1);

    const auto second = leases[1]->who();
    const auto first = leases[0]->who();
    leases[1].reset();
    leases[0].reset();
    CHECK(pool->counts().in_use == quiet.count - 2);
    const auto again = pool->take();
    const auto last = pool->take();
    REQUIRE(again.has_value());
    REQUIRE(last.has_value());
    CHECK(again->who() == second);
    CHECK(last->who() == first);
}

TEST_CASE("uids: two servers with one range do not take the same", "[jail]")
{
    const auto one = jail::uid_pool::make(quiet);
    const auto other = jail::uid_pool::make(quiet);
    std::set<uid_t> seen;
    std::vector<jail::uid_pool::lease> leases;
    for (int i = 0; i < 2; ++i) {
        for (const auto& pool : {one, other}) {
            auto taken = pool->take();
            REQUIRE(taken.has_value());
            seen.insert(taken->who().uid);
            leases.push_back(std::move(*taken));
        }
    }
    CHECK(seen.size() == quiet.count);
    CHECK_FALSE(one->take().has_value());
    leases.clear();
    CHECK(one->take().has_value());
}

TEST_CASE("uids: nor do two servers in network namespaces of their own", "[jail]")
{
    if (::geteuid() != 0) SKIP("only root can make a network namespace");
    if (::access("/run", W_OK) != 0) SKIP("/run is read-only");
    const auto one = jail::uid_pool::make(quiet);
    const auto taken = one->take();
    REQUIRE(taken.has_value());
    const pid_t other = ::fork();
    REQUIRE(other >= 0);
    if (other == 0) {
        if (::unshare(CLONE_NEWNET) != 0) ::_exit(2);
        const auto pool = jail::uid_pool::make({taken->who().uid, 1});
        ::_exit(pool->take() ? 1 : 0);
    }
    int status = 0;
    CHECK(::waitpid(other, &status, 0) == other);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("uids: a range that belongs to somebody is named with its owner", "[jail]")
{
    CHECK(jail::owner_of({1, 1}) == "1 is the uid of daemon");
    CHECK(jail::owner_of({65'530, 5}) == "65534 is the uid of nobody");
    CHECK(jail::owner_of({43, 1}).ends_with(" is the gid of utmp"));
    CHECK(jail::owner_of(quiet).empty());

    const jail::uid_range range{61'000, 184};
    CHECK(jail::subordinate_owner_of(range, "", "").empty());
    CHECK(jail::subordinate_owner_of(range, "alice:100000:65536\nbob:60000:1000\n", "alice:61184:10\n").empty());
    CHECK(jail::subordinate_owner_of(range, "alice:60000:1001\n", "") == "61000 is a subordinate uid of alice");
    CHECK(jail::subordinate_owner_of(range, "#\n\nx\nbob:61100:1", "") == "61100 is a subordinate uid of bob");
    CHECK(jail::subordinate_owner_of(range, "", "1000:0:65536\n") == "61000 is a subordinate gid of 1000");
}

TEST_CASE("uids: what a running process has is given to no jail", "[jail]")
{
    CHECK(jail::ids_in_use(quiet).empty());
    if (::geteuid() != 0) SKIP("only root can start a process with another uid");
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        ::close(ends[1]);
        // The gid of all jails, as a jail of another server would have.
        if (::setresgid(quiet.first, quiet.first, quiet.first) != 0) ::_exit(1);
        if (::setresuid(quiet.first + 2, quiet.first + 2, quiet.first + 2) != 0) ::_exit(1);
        char end = 0;
        ::_exit(::read(ends[0], &end, 1) == 0 ? 0 : 1);
    }
    ::close(ends[0]);
    std::vector<std::uint32_t> found;
    // The child needs a moment to change its uid; it waits for us after that.
    const std::vector<std::uint32_t> expected{quiet.first + 2};
    while ((found = jail::ids_in_use(quiet)) != expected && ::waitpid(child, nullptr, WNOHANG) == 0) {
    }
    CHECK(found == expected);
    const auto pool = jail::uid_pool::make(quiet);
    for (const auto id : found) pool->set_aside(id);
    {
        std::vector<jail::uid_pool::lease> all;
        while (pool->counts().in_use < quiet.count) {
            auto taken = pool->take();
            REQUIRE(taken.has_value());
            CHECK(taken->who().uid != quiet.first + 2);
            all.push_back(std::move(*taken));
        }
        CHECK(all.size() == quiet.count - 1);
    }
    {
        // One that a jail of another server has.
        const auto other = jail::uid_pool::make({quiet.first + 2, 1});
        const auto taken = other->take();
        CHECK(taken.has_value());
        CHECK(jail::ids_in_use(quiet).empty());
    }
    // It is no builder of jails.
    CHECK(jail::kill_leftover_builders(quiet) == 0);
    ::close(ends[1]);
    int status = 0;
    CHECK(::waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
}

TEST_CASE("uids: a jail that was being built when its server was killed is ended", "[jail]")
{
    if (::geteuid() != 0) SKIP("only root can start a process with another uid");
    // As it was, at the end: other tests of this process are parents of orphans, too.
    int subreaper = 0;
    REQUIRE(::prctl(PR_GET_CHILD_SUBREAPER, &subreaper) == 0);
    REQUIRE(::prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    int ends[2];  // until the program is running
    int number[2];
    REQUIRE((::pipe2(ends, O_CLOEXEC) == 0 && ::pipe2(number, O_CLOEXEC) == 0));
    int input[2];
    REQUIRE(::pipe2(input, O_CLOEXEC) == 0);
    const pid_t server = ::fork();
    REQUIRE(server >= 0);
    if (server == 0) {
        const pid_t builder = ::fork();
        if (builder == 0) {
            ::dup2(input[0], 0);
            if (::setresuid(quiet.first, quiet.first, quiet.first) != 0) ::_exit(1);
            ::execl("/bin/cat", "/usr/bin/bwrap", nullptr);
            ::_exit(1);
        }
        ::_exit(::write(number[1], &builder, sizeof builder) == sizeof builder ? 0 : 1);
    }
    ::close(ends[1]);
    char end = 0;
    CHECK(::read(ends[0], &end, 1) == 0);  // closed by exec
    pid_t builder = 0;
    REQUIRE(::read(number[0], &builder, sizeof builder) == sizeof builder);
    // Its server has not been reaped yet, and is gone all the same.
    siginfo_t gone{};
    REQUIRE(::waitid(P_PID, static_cast<id_t>(server), &gone, WEXITED | WNOWAIT) == 0);
    CHECK(jail::kill_leftover_builders(quiet, ::getpid()) == 1);
    CHECK(::waitpid(server, nullptr, 0) == server);
    int ended = 0;
    CHECK(::waitpid(builder, &ended, 0) == builder);
    CHECK(WIFSIGNALED(ended));
    ::prctl(PR_SET_CHILD_SUBREAPER, subreaper);
    CHECK(jail::ids_in_use(quiet).empty());
    for (const int fd : {ends[0], number[0], number[1], input[0], input[1]}) ::close(fd);
}

TEST_CASE("uids: what a living server builds is left alone", "[jail]")
{
    if (::geteuid() != 0) SKIP("only root can start a process with another uid");
    int ends[2];
    int input[2];
    REQUIRE((::pipe2(ends, O_CLOEXEC) == 0 && ::pipe2(input, O_CLOEXEC) == 0));
    const pid_t builder = ::fork();
    REQUIRE(builder >= 0);
    if (builder == 0) {
        ::dup2(input[0], 0);
        if (::setresuid(quiet.first, quiet.first, quiet.first) != 0) ::_exit(1);
        ::execl("/bin/cat", "/usr/bin/bwrap", nullptr);
        ::_exit(1);
    }
    ::close(ends[1]);
    char end = 0;
    CHECK(::read(ends[0], &end, 1) == 0);
    CHECK(jail::kill_leftover_builders(quiet) == 0);
    ::close(input[1]);
    int status = 0;
    CHECK(::waitpid(builder, &status, 0) == builder);
    CHECK(WIFEXITED(status));
    ::close(ends[0]);
    ::close(input[0]);
}
