// What of cgroups needs no kernel that has them. The rest is in tests/vm.
#include "process/cgroup.hpp"

#include "support/proc.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <filesystem>
#include <string>
#include <vector>

using namespace sandboxd;
using namespace sandboxd::process;
using namespace sandboxd::test;

namespace {

const std::string usual_mounts =
    "22 28 0:20 / /proc rw,nosuid shared:12 - proc proc rw\n"
    "29 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

}  // namespace

TEST_CASE("the directory of a cgroup", "[cgroup]")
{
    struct row {
        std::string what;
        std::string cgroup;
        std::string mountinfo;
        std::string found;  // empty: nothing
    };
    const std::vector<row> rows{
        {"a service", "0::/system.slice/sandboxd.service\n", usual_mounts,
         "/sys/fs/cgroup/system.slice/sandboxd.service"},
        {"the root", "0::/\n", usual_mounts, "/sys/fs/cgroup"},
        {"beside version 1", "12:pids:/a\n1:name=systemd:/b\n0::/c\n",
         "30 24 0:27 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
         "31 24 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
         "/sys/fs/cgroup/unified/c"},
        {"version 1 alone", "12:pids:/a\n1:name=systemd:/b\n", usual_mounts, ""},
        {"not mounted", "0::/a\n", "22 28 0:20 / /proc rw - proc proc rw\n", ""},
        {"a container that sees the host's paths", "0::/docker/abc/server\n",
         "29 24 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n", "/sys/fs/cgroup/server"},
        {"the top of such a container", "0::/docker/abc\n",
         "29 24 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n", "/sys/fs/cgroup"},
        {"a neighbour's mount with a similar name", "0::/docker/abcd\n",
         "29 24 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n", ""},
        {"the first mount that holds it", "0::/b/c\n",
         "29 24 0:26 /a /first rw - cgroup2 cgroup rw\n30 24 0:26 /b /second rw - cgroup2 cgroup rw\n", "/second/c"},
        {"optional fields", "0::/a\n", "29 24 0:26 / /cg rw shared:1 master:2 - cgroup2 none rw\n", "/cg/a"},
        {"a file system of that name elsewhere", "0::/a\n", "29 24 0:26 / /cgroup2 rw - tmpfs cgroup2 rw\n", ""},
        {"no path", "0::\n", usual_mounts, ""},
        {"broken lines", "0::/a\n", "29 - cgroup2 \n - cgroup2 x\n\n29 24 0:26 / /cg rw\n", ""},
        {"nothing", "", "", ""},
    };
    for (const auto& one : rows) {
        INFO(one.what);
        CHECK(find_cgroup(one.cgroup, one.mountinfo).value_or("") == one.found);
    }
}

TEST_CASE("a cgroup that cannot be made is named, and leaves nothing", "[cgroup]")
{
    const temporary_directory own;
    const cgroup_tree tree{own.path()};
    const auto refused = [&](const cgroup_limits& limits) {
        const auto made = tree.create("1", limits);
        REQUIRE_FALSE(made.has_value());
        CHECK(made.error().code == errc::unavailable);
        return made.error().message;
    };
    // A plain directory has none of the kernel's files.
    const auto job = (own / "job-1").native();
    CHECK(refused({.memory_bytes = 1}) == job + "/memory.max: No such file or directory");
    CHECK(refused({.processes = 1}) == job + "/pids.max: No such file or directory");
    CHECK(refused({}).starts_with(job + ": cgroup.procs or cgroup.kill: "));
    CHECK(names_in(own.path()).empty());

    std::filesystem::create_directory(job);
    CHECK(refused({}) == job + ": File exists");
    CHECK(std::filesystem::exists(job));

    const cgroup_tree gone{own / "gone"};
    const auto made = gone.create("1", {});
    REQUIRE_FALSE(made.has_value());
    CHECK(made.error().message == own.path().native() + "/gone/job-1: No such file or directory");
}
