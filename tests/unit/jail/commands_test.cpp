// The commands each jail makes of a spec, to the letter.
#include "jail/bubblewrap.hpp"
#include "jail/none.hpp"
#include "jail/nsjail.hpp"
#include "jail/rlimits.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <string>
#include <vector>

using namespace sandboxd;
using words = std::vector<std::string>;

namespace {

jail::spec full_spec()
{
    jail::spec what;
    what.argv = {"/usr/bin/emcc", "-O2", "a b.c", ""};
    what.env = {{"PATH", "/usr/bin:/bin"}, {"EMPTY", ""}};
    what.cwd = "/job/src";
    what.mounts = {{"/usr", "/usr"},
                   {"/etc/none", "/etc/none", false, true},
                   {"/work/1/out", "/job/out", true}};
    what.hostname = "compile";
    what.limits.memory_bytes = 1 << 30;
    what.limits.file_bytes = (1 << 20) + 1;
    what.limits.tmp_bytes = 4096;
    what.limits.open_files = 300;
    what.limits.processes = 72;
    what.limits.cpu = std::chrono::seconds{60};
    return what;
}

jail::spec least_spec()
{
    jail::spec what;
    what.argv = {"/bin/true"};
    return what;
}

const std::vector<process::rlimit_setting> full_rlimits{{RLIMIT_CORE, 0},
                                                        {RLIMIT_DATA, 1 << 30},
                                                        {RLIMIT_FSIZE, (1 << 20) + 1},
                                                        {RLIMIT_NOFILE, 300},
                                                        {RLIMIT_CPU, 60}};

}  // namespace

TEST_CASE("rlimits: only what is limited, and never a core", "[jail]")
{
    CHECK(jail::common_rlimits({}) == std::vector<process::rlimit_setting>{{RLIMIT_CORE, 0}});
    CHECK(jail::common_rlimits(full_spec().limits) == full_rlimits);
}

TEST_CASE("bubblewrap: a full spec", "[jail]")
{
    const jail::bubblewrap_setup setup{"/usr/bin/bwrap", process::identity{61'000, 61'000}, true};
    auto made = jail::bubblewrap_command(full_spec(), setup);
    CHECK(made.argv == words{"/usr/bin/bwrap",
                             "--unshare-all",
                             "--unshare-user",
                             "--disable-userns",
                             "--die-with-parent",
                             "--new-session",
                             "--cap-drop",
                             "ALL",
                             "--uid",
                             "65534",
                             "--gid",
                             "65534",
                             "--hostname",
                             "compile",
                             "--clearenv",
                             "--setenv",
                             "PATH",
                             "/usr/bin:/bin",
                             "--setenv",
                             "EMPTY",
                             "",
                             "--proc",
                             "/proc",
                             "--dev",
                             "/dev",
                             "--perms",
                             "1777",
                             "--size",
                             "4096",
                             "--tmpfs",
                             "/dev/shm",
                             "--perms",
                             "1777",
                             "--size",
                             "4096",
                             "--tmpfs",
                             "/tmp",
                             "--ro-bind",
                             "/usr",
                             "/usr",
                             "--ro-bind-try",
                             "/etc/none",
                             "/etc/none",
                             "--bind",
                             "/work/1/out",
                             "/job/out",
                             "--remount-ro",
                             "/dev",
                             "--remount-ro",
                             "/",
                             "--chdir",
                             "/job/src",
                             "--seccomp",
                             "3",
                             "--",
                             "/usr/bin/emcc",
                             "-O2",
                             "a b.c",
                             ""});
    auto rlimits = full_rlimits;
    rlimits.push_back({RLIMIT_NPROC, 74});
    CHECK(made.rlimits == rlimits);
    CHECK(made.env.empty());
    CHECK(made.cwd == "/");
    CHECK(made.run_as == process::identity{61'000, 61'000});
    CHECK(made.own_user_namespace);
    CHECK(made.no_new_privs);
    CHECK_FALSE(made.merge_stderr);
    CHECK(made.pass_fds.empty());
}

TEST_CASE("bubblewrap: the least spec, with network", "[jail]")
{
    auto what = least_spec();
    what.network = jail::network_access::host;
    what.merge_stderr = true;
    what.limits.processes = 72;
    const jail::bubblewrap_setup setup{"/opt/bwrap", std::nullopt, false};
    auto made = jail::bubblewrap_command(what, setup);
    CHECK(made.argv == words{"/opt/bwrap",
                             "--unshare-all",
                             "--unshare-user",
                             "--disable-userns",
                             "--share-net",
                             "--die-with-parent",
                             "--new-session",
                             "--cap-drop",
                             "ALL",
                             "--uid",
                             "65534",
                             "--gid",
                             "65534",
                             "--hostname",
                             "sandbox",
                             "--clearenv",
                             "--proc",
                             "/proc",
                             "--dev",
                             "/dev",
                             "--perms",
                             "1777",
                             "--tmpfs",
                             "/dev/shm",
                             "--perms",
                             "1777",
                             "--tmpfs",
                             "/tmp",
                             "--remount-ro",
                             "/dev",
                             "--remount-ro",
                             "/",
                             "--chdir",
                             "/",
                             "--seccomp",
                             "3",
                             "--",
                             "/bin/true"});
    // Counted for the whole uid it would be somebody else's limit.
    CHECK(made.rlimits == std::vector<process::rlimit_setting>{{RLIMIT_CORE, 0}});
    CHECK_FALSE(made.run_as);
    CHECK(made.merge_stderr);
}

TEST_CASE("nsjail: a full spec", "[jail]")
{
    const jail::nsjail_setup setup{"/usr/bin/nsjail", {61'000, 61'001}, true, "OFFLINE", "ONLINE"};
    const auto made = jail::nsjail_command(full_spec(), setup);
    REQUIRE(made.has_value());
    CHECK(made->argv == words{"/usr/bin/nsjail",
                              "--mode",
                              "o",
                              "--really_quiet",
                              "--user",
                              "65534:61000:1",
                              "--group",
                              "65534:61001:1",
                              "--hostname",
                              "compile",
                              "--cwd",
                              "/job/src",
                              "--time_limit",
                              "0",
                              "--nice_level",
                              "0",
                              "--iface_no_lo",
                              "--rlimit_as",
                              "inf",
                              "--rlimit_core",
                              "0",
                              "--rlimit_cpu",
                              "60",
                              "--rlimit_fsize",
                              "2",
                              "--rlimit_nofile",
                              "300",
                              "--rlimit_nproc",
                              "72",
                              "--env",
                              "PATH=/usr/bin:/bin",
                              "--env",
                              "EMPTY=",
                              "--bindmount_ro",
                              "/dev/null",
                              "--bindmount_ro",
                              "/dev/zero",
                              "--bindmount_ro",
                              "/dev/full",
                              "--bindmount_ro",
                              "/dev/random",
                              "--bindmount_ro",
                              "/dev/urandom",
                              "--symlink",
                              "/proc/self/fd:/dev/fd",
                              "--symlink",
                              "/proc/self/fd/0:/dev/stdin",
                              "--symlink",
                              "/proc/self/fd/1:/dev/stdout",
                              "--symlink",
                              "/proc/self/fd/2:/dev/stderr",
                              "--mount",
                              "none:/dev/shm:tmpfs:mode=1777,size=4096",
                              "--mount",
                              "none:/tmp:tmpfs:mode=1777,size=4096",
                              "--bindmount_ro",
                              "/usr:/usr",
                              "--bindmount_ro",
                              "/etc/none:/etc/none",
                              "--bindmount",
                              "/work/1/out:/job/out",
                              "--seccomp_string",
                              "OFFLINE",
                              "--",
                              "/usr/bin/emcc",
                              "-O2",
                              "a b.c",
                              ""});
    // Rounded up for nsjail itself as well: it cannot raise its own limit to what it is told to set.
    auto rlimits = full_rlimits;
    rlimits.at(2) = {RLIMIT_FSIZE, 2 << 20};
    CHECK(made->rlimits == rlimits);
    CHECK(made->run_as == process::identity{61'000, 61'001});
    CHECK_FALSE(made->own_user_namespace);
}

TEST_CASE("nsjail: the least spec, with network, nsjail staying root", "[jail]")
{
    auto what = least_spec();
    what.network = jail::network_access::host;
    const jail::nsjail_setup setup{"/opt/nsjail", {61'000, 61'000}, false, "OFFLINE", "ONLINE"};
    const auto made = jail::nsjail_command(what, setup);
    REQUIRE(made.has_value());
    CHECK(made->argv == words{"/opt/nsjail",
                              "--mode",
                              "o",
                              "--really_quiet",
                              "--user",
                              "65534:61000:1",
                              "--group",
                              "65534:61000:1",
                              "--hostname",
                              "sandbox",
                              "--cwd",
                              "/",
                              "--time_limit",
                              "0",
                              "--nice_level",
                              "0",
                              "--disable_clone_newnet",
                              "--rlimit_as",
                              "inf",
                              "--rlimit_core",
                              "0",
                              "--rlimit_cpu",
                              "hard",
                              "--rlimit_fsize",
                              "hard",
                              "--rlimit_nofile",
                              "hard",
                              "--rlimit_nproc",
                              "hard",
                              "--bindmount_ro",
                              "/dev/null",
                              "--bindmount_ro",
                              "/dev/zero",
                              "--bindmount_ro",
                              "/dev/full",
                              "--bindmount_ro",
                              "/dev/random",
                              "--bindmount_ro",
                              "/dev/urandom",
                              "--symlink",
                              "/proc/self/fd:/dev/fd",
                              "--symlink",
                              "/proc/self/fd/0:/dev/stdin",
                              "--symlink",
                              "/proc/self/fd/1:/dev/stdout",
                              "--symlink",
                              "/proc/self/fd/2:/dev/stderr",
                              "--mount",
                              "none:/dev/shm:tmpfs:mode=1777",
                              "--mount",
                              "none:/tmp:tmpfs:mode=1777",
                              "--seccomp_string",
                              "ONLINE",
                              "--",
                              "/bin/true"});
    CHECK_FALSE(made->run_as);
}

TEST_CASE("nsjail: a colon in a mount cannot be said", "[jail]")
{
    for (const jail::mount& bad : {jail::mount{"/a:b", "/a"}, jail::mount{"/a", "/a:b"}}) {
        auto what = least_spec();
        what.mounts = {bad};
        const auto made = jail::nsjail_command(what, {});
        REQUIRE_FALSE(made.has_value());
        CHECK(made.error().code == errc::unavailable);
    }
}

TEST_CASE("none: paths inside are given as paths outside", "[jail]")
{
    auto what = full_spec();
    what.mounts.push_back({"/work/1", "/job"});
    what.mounts.push_back({"/opt/emsdk", "/emsdk"});
    what.argv = {"/emsdk/emcc", "/job/src/a.c", "/job/out/app.js", "/job",
                 "/jobs",       "-I/job",       "job/x",           "/emsdk"};
    what.env = {{"EM_CONFIG", "/emsdk/.config"}, {"PATH", "/usr/bin:/bin"}};
    const auto made = jail::none_command(what);
    CHECK(made.argv == words{"/opt/emsdk/emcc", "/work/1/src/a.c", "/work/1/out/app.js", "/work/1",
                             "/jobs", "-I/job", "job/x", "/opt/emsdk"});
    CHECK(made.env == std::vector<std::pair<std::string, std::string>>{
                          {"EM_CONFIG", "/opt/emsdk/.config"}, {"PATH", "/usr/bin:/bin"}});
    CHECK(made.cwd == "/work/1/src");
    CHECK(made.rlimits == full_rlimits);
    CHECK_FALSE(made.run_as);
    CHECK_FALSE(made.own_user_namespace);
    CHECK(made.no_new_privs);
}

TEST_CASE("none: a root mount translates everything", "[jail]")
{
    auto what = least_spec();
    what.mounts = {{"/image", "/"}, {"/", "/host"}};
    what.argv = {"/bin/true", "/", "/host/etc", "/host"};
    CHECK(jail::none_command(what).argv == words{"/image/bin/true", "/image/", "/etc", "/"});
}
