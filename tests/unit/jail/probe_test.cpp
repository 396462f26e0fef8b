// What the probe reads out of a jail's own view of itself.
#include "jail/probe.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace sandboxd;

namespace {

const std::string good =
    "Name:\tcat\nUmask:\t0022\nState:\tR (running)\nTgid:\t2\nNgid:\t0\nPid:\t2\nPPid:\t1\nTracerPid:\t0\n"
    "Uid:\t65534\t65534\t65534\t65534\nGid:\t65534\t65534\t65534\t65534\n"
    "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n"
    "CapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n"
    "Inter-|   Receive\n face |bytes    packets\n    lo:       0       0\n";

std::string with(std::string from, const std::string& to)
{
    std::string text = good;
    const auto at = text.find(from);
    REQUIRE(at != std::string::npos);
    return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("probe: every wall is looked at", "[jail]")
{
    CHECK(jail::missing_wall(good) == std::nullopt);
    CHECK(jail::missing_wall(with("    lo:       0       0\n", "")) == std::nullopt);

    CHECK(jail::missing_wall(""));
    CHECK(jail::missing_wall(with("Uid:\t65534\t65534\t65534\t65534", "Uid:\t65534\t65534\t0\t65534")));
    CHECK(jail::missing_wall(with("Gid:\t65534\t65534\t65534\t65534", "Gid:\t0\t0\t0\t0")));
    CHECK(jail::missing_wall(with("\nPid:\t2", "\nPid:\t4711")));
    CHECK(jail::missing_wall(with("CapEff:\t0000000000000000", "CapEff:\t000001ffffffffff")));
    CHECK(jail::missing_wall(with("CapPrm:\t0000000000000000", "CapPrm:\t0000000000000001")));
    CHECK(jail::missing_wall(with("CapInh:\t0000000000000000", "CapInh:\t0000000000000001")));
    CHECK(jail::missing_wall(with("CapAmb:\t0000000000000000", "CapAmb:\t0000000000000001")));
    CHECK(jail::missing_wall(with("NoNewPrivs:\t1", "NoNewPrivs:\t0")));
    CHECK(jail::missing_wall(with("Seccomp:\t2", "Seccomp:\t0")));
    CHECK(jail::missing_wall(with("    lo:", "  eth0: 1 2 3\n    lo:")));
    CHECK(jail::missing_wall(with("Inter-|   Receive\n face |bytes    packets\n    lo:       0       0\n", "")));
}

TEST_CASE("probe: nothing that is mounted can be changed from inside", "[jail]")
{
    const std::string denied = " write=EROFS chmod=EROFS utimes=EROFS\n";
    const std::string tried = good + "mount / write=EROFS chmod=EPERM utimes=EROFS\nmount /usr" + denied +
                              "mount /tmp write=ALLOWED chmod=EPERM utimes=EPERM\n";
    CHECK(jail::missing_wall(tried + "looked 3\n") == std::nullopt);
    for (const char* how : {" write=ALLOWED chmod=EROFS utimes=EROFS\n", " write=EROFS chmod=ALLOWED utimes=EROFS\n",
                            " write=EROFS chmod=EROFS utimes=ALLOWED\n"}) {
        CAPTURE(how);
        const auto missing = jail::missing_wall(tried + "mount /.init" + how + "looked 4\n");
        REQUIRE(missing);
        CHECK(missing->starts_with("the program can change what is mounted at /.init ("));
    }
    // The last line for a place is the topmost mount.
    const std::string under = "92 89 254:0 /bin/init /dev/init ro,nosuid,nodev,relatime - ext4 /dev/vda rw\n";
    const std::string over = "107 105 254:0 /bin/init /dev/init rw,relatime - ext4 /dev/vda rw\n";
    const std::string others =
        "90 89 0:43 / /dev/shm rw,nosuid - tmpfs shm rw\n108 105 0:6 /null /dev/null rw - devtmpfs devtmpfs rw\n";
    CHECK(jail::missing_wall(others + under + good) == std::nullopt);
    CHECK(jail::missing_wall(under + others + over + good) == "the mount at /dev/init is not read-only");
}

TEST_CASE("probe: a kernel of its own says less, but not that it is the host's", "[jail]")
{
    const jail::expectation gvisor{.not_this_kernel = "Linux version 6.1.0 (host)\n"};
    const std::string version = "Linux version 4.4.0 #1 SMP\n";
    CHECK(jail::missing_wall(good, gvisor));
    CHECK(jail::missing_wall(version + good, gvisor) == std::nullopt);
    CHECK(jail::missing_wall("Linux version 6.1.0 (host)\n" + good, gvisor));
    CHECK(jail::missing_wall(version + with("CapAmb:\t0000000000000000\nNoNewPrivs:\t1\n", ""), gvisor) ==
          std::nullopt);
    CHECK(jail::missing_wall(version + with("NoNewPrivs:\t1", "NoNewPrivs:\t0"), gvisor));
    CHECK(jail::missing_wall(version + with("Seccomp:\t2", "Seccomp:\t0"), gvisor));
}

TEST_CASE("probe: another uid where that is what is expected", "[jail]")
{
    const jail::expectation other{.uids = {60'990, 11}, .gid = 61'000};
    CHECK(jail::missing_wall(good, other));
    const auto ids = with("Uid:\t65534\t65534\t65534\t65534\nGid:\t65534\t65534\t65534\t65534",
                          "Uid:\t61000\t61000\t61000\t61000\nGid:\t61000\t61000\t61000\t61000");
    CHECK(jail::missing_wall(ids, other) == std::nullopt);
    CHECK(jail::missing_wall(ids));
}
