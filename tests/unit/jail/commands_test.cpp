// The commands each jail makes of a spec, to the letter.
#include "jail/bubblewrap.hpp"
#include "jail/docker.hpp"
#include "jail/first_words.hpp"
#include "jail/none.hpp"
#include "jail/nsjail.hpp"
#include "jail/oci.hpp"
#include "jail/rlimits.hpp"
#include "jail/system_files.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <ranges>
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
    what.mounts = {{"/usr", "/usr"}, {"/etc/none", "/etc/none", false, true}, {"/work/1/out", "/job/out", true}};
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

const std::vector<process::rlimit_setting> least_rlimits{{RLIMIT_CORE, 1},
                                                         {RLIMIT_STACK, 8 << 20},
                                                         {RLIMIT_MEMLOCK, 64 << 10},
                                                         {RLIMIT_MSGQUEUE, 0},
                                                         {RLIMIT_SIGPENDING, 256}};

const std::vector<process::rlimit_setting> full_rlimits{
    {RLIMIT_CORE, 1},         {RLIMIT_STACK, 8 << 20}, {RLIMIT_MEMLOCK, 64 << 10},    {RLIMIT_MSGQUEUE, 0},
    {RLIMIT_SIGPENDING, 256}, {RLIMIT_DATA, 1 << 30},  {RLIMIT_FSIZE, (1 << 20) + 1}, {RLIMIT_NOFILE, 300},
    {RLIMIT_CPU, 60}};

}  // namespace

TEST_CASE("rlimits: only what is limited, and never a core", "[jail]")
{
    CHECK(jail::common_rlimits({}) == least_rlimits);
    CHECK(jail::common_rlimits(full_spec().limits) == full_rlimits);
}

TEST_CASE("bubblewrap tells whether it began the program", "[jail]")
{
    CHECK(jail::tells_of_program("{ \"child-pid\": 4150 }\n{ \"exit-code\": 1 }\n"));
    CHECK_FALSE(jail::tells_of_program("{ \"child-pid\": 4150, \"mnt-namespace\": 4026532179 }\n"));
    CHECK_FALSE(jail::tells_of_program(""));
}

TEST_CASE("the own builder takes bubblewrap's options, and tells what it began", "[jail]")
{
    jail::bubblewrap_setup own;
    own.own_builder = std::make_shared<const unique_fd>();
    auto made = jail::bubblewrap_command(full_spec(), own);
    jail::bubblewrap_setup its_own;
    its_own.executable = "/usr/bin/bwrap";
    const auto by_bubblewrap = jail::bubblewrap_command(full_spec(), its_own);
    REQUIRE(made.argv.size() == by_bubblewrap.argv.size() + 1);
    CHECK(std::ranges::equal(made.argv | std::views::drop(2), by_bubblewrap.argv | std::views::drop(1)));
    const auto options = jail::hide_options(made);
    REQUIRE(options.has_value());
    const words first{"/proc/self/fd/6", "--build", "--args", "4", "--"};
    CHECK(std::ranges::equal(made.argv | std::views::take(5), first));

    using clock = std::chrono::steady_clock;
    const auto now = clock::now();
    const std::int64_t nanoseconds = std::chrono::nanoseconds{now.time_since_epoch()}.count();
    std::string told = "b";
    told.append(reinterpret_cast<const char*>(&nanoseconds), sizeof nanoseconds);
    CHECK(jail::begun_at(told) == now);
    for (const auto& other : {std::string{}, std::string{"b"}, told + "f", "f" + told.substr(1), told.substr(0, 8)}) {
        CAPTURE(other);
        CHECK_FALSE(jail::begun_at(other).has_value());
    }
}

TEST_CASE("bubblewrap and nsjail: the nodes of devices are those that it is told", "[jail]")
{
    jail::bubblewrap_setup by_bubblewrap;
    by_bubblewrap.devices = "/mnt";
    const auto binds = [](const words& argv, const words& wanted) {
        return !std::ranges::search(argv, wanted).empty();
    };
    const auto made = jail::bubblewrap_command(least_spec(), by_bubblewrap).argv;
    CHECK(binds(made, {"--dev-bind", "/mnt/null", "/dev/null", "--dev-bind", "/mnt/full", "/dev/full"}));
    CHECK(binds(made, {"--dev-bind", "/mnt/null", "/dev/zero"}));
    jail::nsjail_setup by_nsjail;
    by_nsjail.devices = "/mnt";
    const auto other = jail::nsjail_command(least_spec(), by_nsjail);
    REQUIRE(other.has_value());
    CHECK(binds(other->argv, {"--bindmount_ro", "/mnt/null:/dev/null", "--bindmount_ro", "/mnt/full:/dev/full"}));
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
                             "--perms",
                             "0755",
                             "--tmpfs",
                             "/dev",
                             "--dev-bind",
                             "/dev/null",
                             "/dev/null",
                             "--dev-bind",
                             "/dev/full",
                             "/dev/full",
                             "--dev-bind",
                             "/dev/random",
                             "/dev/random",
                             "--dev-bind",
                             "/dev/urandom",
                             "/dev/urandom",
                             "--dev-bind",
                             "/dev/null",
                             "/dev/zero",
                             "--symlink",
                             "/proc/self/fd",
                             "/dev/fd",
                             "--symlink",
                             "/proc/self/fd/0",
                             "/dev/stdin",
                             "--symlink",
                             "/proc/self/fd/1",
                             "/dev/stdout",
                             "--symlink",
                             "/proc/self/fd/2",
                             "/dev/stderr",
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
                             "/proc",
                             "--remount-ro",
                             "/",
                             "--chdir",
                             "/job/src",
                             "--seccomp",
                             "3",
                             "--json-status-fd",
                             "5",
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
                             "--perms",
                             "0755",
                             "--tmpfs",
                             "/dev",
                             "--dev-bind",
                             "/dev/null",
                             "/dev/null",
                             "--dev-bind",
                             "/dev/full",
                             "/dev/full",
                             "--dev-bind",
                             "/dev/random",
                             "/dev/random",
                             "--dev-bind",
                             "/dev/urandom",
                             "/dev/urandom",
                             "--dev-bind",
                             "/dev/null",
                             "/dev/zero",
                             "--symlink",
                             "/proc/self/fd",
                             "/dev/fd",
                             "--symlink",
                             "/proc/self/fd/0",
                             "/dev/stdin",
                             "--symlink",
                             "/proc/self/fd/1",
                             "/dev/stdout",
                             "--symlink",
                             "/proc/self/fd/2",
                             "/dev/stderr",
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
                             "/proc",
                             "--remount-ro",
                             "/",
                             "--chdir",
                             "/",
                             "--seccomp",
                             "3",
                             "--json-status-fd",
                             "5",
                             "--",
                             "/bin/true"});
    // Counted for the whole uid it would be somebody else's limit.
    CHECK(made.rlimits == least_rlimits);
    CHECK_FALSE(made.run_as);
    CHECK(made.merge_stderr);
}

TEST_CASE("bubblewrap: what another mount has already is a link", "[jail]")
{
    const auto mounted = [](std::vector<sandboxd::jail::mount> mounts) {
        sandboxd::jail::spec what;
        what.argv = {"/bin/true"};
        what.mounts = std::move(mounts);
        const auto words = bubblewrap_command(what, {.executable = "/usr/bin/bwrap", .run_as = std::nullopt}).argv;
        const auto first = std::ranges::find(words, "/tmp") + 1;
        const auto last = std::ranges::find(words, "--remount-ro");
        std::string text;
        for (auto word = first; word < last; ++word) text += (text.empty() ? "" : " ") + *word;
        return text;
    };
    const sandboxd::jail::mount libraries{"/usr/lib", "/usr/lib"};
    CHECK(mounted({{"/usr/lib", "/lib"}, libraries}) == "--symlink /usr/lib /lib --ro-bind /usr/lib /usr/lib");
    // Not the same directory, one that is writable, one that may be missing, and one below another mount.
    CHECK(mounted({{"/lib", "/lib"}, libraries}) == "--ro-bind /lib /lib --ro-bind /usr/lib /usr/lib");
    CHECK(mounted({{"/usr/lib", "/lib", true}, libraries}) == "--bind /usr/lib /lib --ro-bind /usr/lib /usr/lib");
    CHECK(mounted({{"/usr/lib", "/lib"}, {"/usr/lib", "/usr/lib", false, true}}) ==
          "--ro-bind /usr/lib /lib --ro-bind-try /usr/lib /usr/lib");
    CHECK(mounted({{"/usr/lib", "/opt/lib"}, libraries}) == "--ro-bind /usr/lib /opt/lib --ro-bind /usr/lib /usr/lib");
}

TEST_CASE("bubblewrap: files of its own", "[jail]")
{
    const jail::bubblewrap_setup setup{"/usr/bin/bwrap", std::nullopt, false};
    const auto made = jail::bubblewrap_command(least_spec(), setup, {{"/etc/hosts", "0444"}, {"/program", "0555"}});
    const words wanted{"--perms",      "0444", "--file",       "20",    "/etc/hosts",
                       "--perms",      "0555", "--file",       "21",    "/program",
                       "--remount-ro", "/dev", "--remount-ro", "/proc", "--remount-ro"};
    CHECK(std::ranges::search(made.argv, wanted).size() == wanted.size());
}

TEST_CASE("system files: the jail's own, and none that a mount brings or covers", "[jail]")
{
    auto what = least_spec();
    const auto paths = [&what] {
        words made;
        for (const auto& file : jail::system_files(what, {61'000, 61'001})) made.push_back(file.path);
        return made;
    };
    CHECK(paths() == words{"/etc/group", "/etc/hosts", "/etc/nsswitch.conf", "/etc/passwd", "/etc/resolv.conf"});
    const auto files = jail::system_files(what, {61'000, 61'001});
    CHECK(files[0].text == "sandbox:x:61001:\n");
    CHECK(files[1].text == "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\tsandbox\n");
    CHECK(files[2].text == "passwd: files\ngroup: files\nhosts: files\n");
    CHECK(files[3].text == "sandbox:x:61000:61001::/tmp:/usr/sbin/nologin\n");
    CHECK(files[4].text.empty());
    what.network = jail::network_access::host;
    CHECK(jail::system_files(what, {1, 1})[2].text == "passwd: files\ngroup: files\nhosts: files dns\n");
    what.mounts = {{"/etc/hosts", "/etc/hosts"}, {"/etc/alternatives", "/etc/alternatives"}};
    CHECK(paths() == words{"/etc/group", "/etc/nsswitch.conf", "/etc/passwd", "/etc/resolv.conf"});
    what.mounts = {{"/srv/etc", "/etc"}};
    CHECK(paths().empty());
    what.mounts.clear();
    what.has_system_files = false;
    CHECK(paths().empty());
}

TEST_CASE("nsjail: a full spec", "[jail]")
{
    const jail::nsjail_setup setup{"/usr/bin/nsjail", {61'000, 61'001}, true, "/dev", {{"OFFLINE", "ONLINE"}}};
    const auto made = jail::nsjail_command(full_spec(), setup);
    REQUIRE(made.has_value());
    CHECK(made->argv == words{"/usr/bin/nsjail",
                              "--mode",
                              "o",
                              "--quiet",
                              "--log",
                              "/dev/null",
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
                              "hard",
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
    std::ranges::find(rlimits, RLIMIT_FSIZE, &process::rlimit_setting::resource)->value = 2 << 20;
    CHECK(made->rlimits == rlimits);
    CHECK(made->run_as == process::identity{61'000, 61'001});
    CHECK_FALSE(made->own_user_namespace);
}

TEST_CASE("nsjail: the least spec, with network, nsjail staying root", "[jail]")
{
    auto what = least_spec();
    what.network = jail::network_access::host;
    const jail::nsjail_setup setup{"/opt/nsjail", {61'000, 61'000}, false, "/dev", {{"OFFLINE", "ONLINE"}}};
    const auto made = jail::nsjail_command(what, setup);
    REQUIRE(made.has_value());
    CHECK(made->argv == words{"/opt/nsjail",
                              "--mode",
                              "o",
                              "--quiet",
                              "--log",
                              "/dev/null",
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
                              "hard",
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

TEST_CASE("nsjail: its log and its code together tell that the program was not begun", "[jail]")
{
    const std::string time = "[2026-01-02T03:04:05+0000] ";
    const auto child = time + "[E][1] mountMount():99 mount('/x') failed: Permission denied\n" + time +
                       "[F][1] runChild():480 Launching child process failed\n";
    const auto clone = time + "[W][7] runChild():470 clone(flags=CLONE_NEWUSER) failed: No space left on device\n";
    const auto other = time + "[W][7] seccompViolation():9 pid=8 committed a syscall/seccomp violation\n";
    CHECK(jail::nsjail_failure(child, 255).value_or("").find("Permission denied") != std::string::npos);
    CHECK(jail::nsjail_failure(clone, 255).value_or("").find("No space left on device") != std::string::npos);
    CHECK_FALSE(jail::nsjail_failure(child, 1));
    CHECK_FALSE(jail::nsjail_failure(other, 255));
    CHECK_FALSE(jail::nsjail_failure("", 255));
}

TEST_CASE("oci: the runtime's log and its code together tell that the program was not begun", "[jail]")
{
    using enum jail::oci_runtime;
    const std::string failed = R"({"level":"warning","msg":"a word","time":"now"})"
                               "\n"
                               R"({"level":"error","msg":"runc run failed: no space","time":"now"})"
                               "\n";
    CHECK(jail::oci_failure(runc, failed, 1) == "runc: runc run failed: no space");
    CHECK(jail::oci_failure(crun, failed, 1) == "crun: runc run failed: no space");
    CHECK(jail::oci_failure(runsc, failed, 128) == "runsc: runc run failed: no space");
    CHECK_FALSE(jail::oci_failure(runsc, failed, 1));
    CHECK_FALSE(jail::oci_failure(runc, failed, 3));
    CHECK_FALSE(jail::oci_failure(runc, R"({"level":"warning","msg":"a word"})", 1));
    CHECK_FALSE(jail::oci_failure(runc, "", 1));
    CHECK_FALSE(jail::oci_failure(runc, "no JSON\n[]\n{\"level\":\"error\"}\n", 1));
}

TEST_CASE("what the init says is known by its word", "[jail]")
{
    const std::string said = "before\nsandboxd-init abc: fork: Resource temporarily unavailable\nafter\n";
    CHECK(jail::words_of_init(said, "abc") == "sandboxd-init: fork: Resource temporarily unavailable");
    CHECK_FALSE(jail::words_of_init(said, "abcd"));
    CHECK_FALSE(jail::words_of_init("sandboxd-init: fork: no\n", "abc"));
    CHECK_FALSE(jail::words_of_init(said, ""));
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
    what.argv = {"/emsdk/emcc", "/job/src/a.c", "/job/out/app.js", "/job", "/jobs", "-I/job", "job/x", "/emsdk"};
    what.env = {{"EM_CONFIG", "/emsdk/.config"}, {"PATH", "/usr/bin:/bin"}};
    const auto made = jail::none_command(what);
    CHECK(made.argv == words{"/opt/emsdk/emcc", "/work/1/src/a.c", "/work/1/out/app.js", "/work/1", "/jobs", "-I/job",
                             "job/x", "/opt/emsdk"});
    CHECK(made.env == std::vector<std::pair<std::string, std::string>>{{"EM_CONFIG", "/opt/emsdk/.config"},
                                                                       {"PATH", "/usr/bin:/bin"}});
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

namespace {

namespace json = boost::json;

jail::oci_setup crun_setup()
{
    jail::oci_setup setup;
    setup.executable = "/usr/bin/crun";
    setup.init = "/opt/sandboxd-init";
    setup.outside = {61'000, 61'001};
    setup.drop = true;
    return setup;
}

json::object oci(const jail::spec& what, const jail::oci_setup& setup, const std::string& cgroup = {})
{
    return json::parse(jail::oci_config(what, setup, cgroup)).as_object();
}

// Written as it is compared: without a space.
std::string text(const json::value& value) { return json::serialize(value); }

}  // namespace

TEST_CASE("containers: folders on the way to a mount in /tmp are the program's", "[jail]")
{
    jail::spec what;
    what.argv = {"/bin/true"};
    what.mounts = {{.source = "/x", .target = "/tmp/a.js"}, {.source = "/y", .target = "/srv/app/b"}};
    CHECK(jail::folders_in_tmp(what).empty());
    auto runc = crun_setup();
    runc.runtime = jail::oci_runtime::runc;
    CHECK(text(oci(what, runc).at("mounts")).find("tmpcopyup") == std::string::npos);

    what.mounts.push_back({.source = "/z", .target = "/tmp/d/e/f.js"});
    what.mounts.push_back({.source = "/z", .target = "/tmp/d/g.js"});
    CHECK(jail::folders_in_tmp(what) == std::vector<std::string>{"/tmp/d", "/tmp/d/e"});
    CHECK(text(oci(what, runc).at("mounts")).find("tmpcopyup") != std::string::npos);
    // crun makes them for the program.
    CHECK(text(oci(what, crun_setup()).at("mounts")).find("tmpcopyup") == std::string::npos);
}

TEST_CASE("oci: the configuration of a full spec", "[jail]")
{
    const auto made = oci(full_spec(), crun_setup());
    CHECK(made.at("ociVersion") == "1.0.2");
    CHECK(made.at("hostname") == "compile");
    CHECK(text(made.at("root")) == R"({"path":"rootfs","readonly":true})");

    const auto& process = made.at("process").as_object();
    CHECK(
        text(process.at("args")) ==
        R"(["/.init","--jail","--rlimit","4:1","--rlimit","3:8388608","--rlimit","8:65536","--rlimit","12:0","--rlimit","11:256","--rlimit","2:1073741824","--rlimit","1:1048577","--rlimit","7:300","--rlimit","0:60","--rlimit","6:73","--unset","HOME","--unset","HOSTNAME","--unset","TERM","--","/usr/bin/emcc","-O2","a b.c",""])");
    CHECK(text(process.at("env")) == R"(["PATH=/usr/bin:/bin","EMPTY="])");
    CHECK(process.at("cwd") == "/job/src");
    CHECK(process.at("terminal") == false);
    CHECK(process.at("noNewPrivileges") == true);
    CHECK(text(process.at("user")) == R"({"uid":65534,"gid":65534})");
    CHECK(text(process.at("capabilities")) ==
          R"({"bounding":[],"effective":[],"inheritable":[],"permitted":[],"ambient":[]})");
    CHECK_FALSE(process.contains("rlimits"));

    std::vector<std::string> mounts;
    for (const auto& one : made.at("mounts").as_array()) mounts.push_back(text(one));
    CHECK(
        mounts ==
        words{
            R"({"destination":"/proc","type":"proc","source":"proc","options":["ro","nosuid","noexec","nodev"]})",
            R"({"destination":"/dev","type":"tmpfs","source":"tmpfs","options":["nosuid","noexec","mode=755","size=65536","ro"]})",
            R"({"destination":"/dev/shm","type":"tmpfs","source":"shm","options":["nosuid","nodev","mode=1777","size=4096"]})",
            R"({"destination":"/tmp","type":"tmpfs","source":"tmpfs","options":["nosuid","nodev","mode=1777","size=4096"]})",
            R"({"destination":"/.init","type":"bind","source":"/opt/sandboxd-init","options":["bind","ro","nosuid","nodev"]})",
            R"({"destination":"/usr","type":"bind","source":"/usr","options":["rbind","ro","rprivate","nosuid","nodev"]})",
            R"({"destination":"/etc/none","type":"bind","source":"/etc/none","options":["rbind","ro","rprivate","nosuid","nodev"]})",
            R"({"destination":"/job/out","type":"bind","source":"/work/1/out","options":["rbind","rw","rprivate","nosuid","nodev"]})"});

    const auto& linux_part = made.at("linux").as_object();
    CHECK(
        text(linux_part.at("namespaces")) ==
        R"([{"type":"user"},{"type":"pid"},{"type":"mount"},{"type":"ipc"},{"type":"uts"},{"type":"cgroup"},{"type":"network"}])");
    CHECK(text(linux_part.at("uidMappings")) == R"([{"containerID":65534,"hostID":61000,"size":1}])");
    CHECK(text(linux_part.at("gidMappings")) == R"([{"containerID":65534,"hostID":61001,"size":1}])");
    // crun binds what is named there once more, and what is mounted below it comes back writable.
    CHECK(text(linux_part.at("readonlyPaths")).find("\"/dev\"") == std::string::npos);
    CHECK(text(linux_part.at("maskedPaths")).find("\"/proc/kcore\"") != std::string::npos);
    CHECK_FALSE(linux_part.contains("resources"));
    CHECK_FALSE(linux_part.contains("cgroupsPath"));
}

TEST_CASE("oci: what a spec and a runtime change in the configuration", "[jail]")
{
    auto what = least_spec();
    const auto refuses_sockets = [](const json::object& made) {
        return text(made.at("linux").at("seccomp"))
                   .find(
                       R"({"names":["socket"],"action":"SCMP_ACT_ERRNO","errnoRet":1,"args":[{"index":0,"value":1,"op":"SCMP_CMP_NE"}]})") !=
               std::string::npos;
    };
    SECTION("the least")
    {
        const auto made = oci(what, crun_setup());
        CHECK(
            text(made.at("process").at("args"))
                .find(
                    R"("--jail","--rlimit","4:1","--rlimit","3:8388608","--rlimit","8:65536","--rlimit","12:0","--rlimit","11:256","--unset")") !=
            std::string::npos);
        CHECK(text(made.at("mounts")).find("size=4096") == std::string::npos);
        CHECK(refuses_sockets(made));
    }
    SECTION("a network of its own: the namespace, and a filter that lets sockets be made")
    {
        what.network = jail::network_access::own;
        const auto made = oci(what, crun_setup());
        CHECK(text(made.at("linux").at("namespaces")).find("network") != std::string::npos);
        CHECK_FALSE(refuses_sockets(made));
    }
    SECTION("the host's network: no namespace")
    {
        what.network = jail::network_access::host;
        const auto made = oci(what, crun_setup());
        CHECK(text(made.at("linux").at("namespaces")).find("network") == std::string::npos);
    }
    SECTION("PID 1, descriptors")
    {
        what.as_pid_1 = true;
        what.merge_stderr = true;
        what.pass_fds = {{40, 8}, {41, 10}};
        what.limits.processes = 3;
        const auto made = oci(what, crun_setup());
        CHECK(
            text(made.at("process").at("args")) ==
            R"(["/.init","--jail","--exec","--merge","--keep","8","--keep","10","--rlimit","4:1","--rlimit","3:8388608","--rlimit","8:65536","--rlimit","12:0","--rlimit","11:256","--rlimit","6:3","--unset","HOME","--unset","HOSTNAME","--unset","PATH","--unset","TERM","--","/bin/true"])");
    }
    SECTION("runc: root is mapped to somebody who is nobody, and it has a cgroup")
    {
        auto setup = crun_setup();
        setup.runtime = jail::oci_runtime::runc;
        setup.root_outside = process::identity{61'002, 61'003};
        what = full_spec();
        what.limits.cpu_percent = 50;
        const auto made = oci(what, setup, "/job-1");
        CHECK(text(made.at("linux").at("uidMappings")) ==
              R"([{"containerID":0,"hostID":61002,"size":1},{"containerID":65534,"hostID":61000,"size":1}])");
        CHECK(text(made.at("linux").at("gidMappings")) ==
              R"([{"containerID":0,"hostID":61003,"size":1},{"containerID":65534,"hostID":61001,"size":1}])");
        CHECK(made.at("linux").at("cgroupsPath") == "/job-1");
        CHECK(text(made.at("linux").at("resources")) ==
              R"({"memory":{"limit":1073741824},"pids":{"limit":73},"cpu":{"quota":50000,"period":100000}})");
        CHECK(text(made.at("process").at("args")).find("\"6:") == std::string::npos);
    }
    SECTION("runsc: no rule whose error it would not tell")
    {
        auto setup = crun_setup();
        CHECK(text(oci(what, setup).at("linux").at("seccomp")).find("clone3") != std::string::npos);
        setup.runtime = jail::oci_runtime::runsc;
        CHECK(text(oci(what, setup).at("linux").at("seccomp")).find("clone3") == std::string::npos);
    }
}

TEST_CASE("oci: the command line of each runtime", "[jail]")
{
    auto what = full_spec();
    auto setup = crun_setup();
    SECTION("crun, as the job's uid")
    {
        const auto made = jail::oci_command(what, setup, "/work/b", "c1");
        CHECK(made.argv == words{"/usr/bin/crun", "--root", "/work/b/state", "--cgroup-manager=disabled", "run",
                                 "--bundle", "/work/b", "--no-new-keyring", "c1"});
        CHECK(made.run_as == process::identity{61'000, 61'001});
        CHECK(made.no_new_privs);
        // The limits are set inside.
        CHECK(made.rlimits == std::vector<process::rlimit_setting>{{RLIMIT_CORE, 1}});
        CHECK(jail::oci_delete_command(setup, "/work/b", "c1").argv == words{"/usr/bin/crun", "--root", "/work/b/state",
                                                                             "--cgroup-manager=disabled", "delete",
                                                                             "--force", "c1"});
    }
    SECTION("runc, as root, with descriptors")
    {
        setup.runtime = jail::oci_runtime::runc;
        setup.executable = "/usr/bin/runc";
        setup.drop = false;
        what.merge_stderr = true;
        what.pass_fds = {{40, 9}};
        const auto made = jail::oci_command(what, setup, "/work/b", "c1");
        CHECK(made.argv == words{"/usr/bin/runc", "--root", "/work/b/state", "run", "--bundle", "/work/b",
                                 "--no-new-keyring", "--preserve-fds", "7", "c1"});
        CHECK_FALSE(made.run_as);
        CHECK(made.merge_stderr);
    }
    SECTION("runsc")
    {
        setup.runtime = jail::oci_runtime::runsc;
        setup.executable = "/usr/bin/runsc";
        setup.drop = false;
        setup.platform = "ptrace";
        what.pass_fds = {{40, 9}};
        CHECK(jail::oci_command(what, setup, "/work/b", "c1").argv ==
              words{"/usr/bin/runsc", "--root", "/work/b/state", "--ignore-cgroups", "--oci-seccomp", "--overlay2=none",
                    "--network=none", "--platform=ptrace", "run", "--bundle", "/work/b", "--pass-fd", "9:9", "c1"});
        what.network = jail::network_access::host;
        CHECK(jail::oci_command(what, setup, "/work/b", "c1").argv[6] == "--network=host");
    }
    CHECK(jail::runtime_of("crun version 1.8.1\n") == jail::oci_runtime::crun);
    CHECK(jail::runtime_of("runsc version 0.0~20221219.0\n") == jail::oci_runtime::runsc);
    CHECK(jail::runtime_of("runc version 1.1.5+ds1\n") == jail::oci_runtime::runc);
    CHECK(jail::runtime_of("youki 0.3\n") == jail::oci_runtime::runc);
}

TEST_CASE("docker: the container of a full spec", "[jail]")
{
    const jail::docker_setup setup{"image:1", "/opt/sandboxd-init", "/srv/containers", {61'000, 61'001}};
    auto what = full_spec();
    what.stdin_text = "12345";
    what.limits.cpu_percent = 150;
    what.pass_fds = {{40, 9}};
    const auto made = jail::docker_container(what, setup, "/srv/containers/1/descriptors");
    CHECK(made.at("Image") == "image:1");
    CHECK(
        text(made.at("Entrypoint")) ==
        R"(["/.init","--jail","--stdin","5","--descriptors","/dev/descriptors","--rlimit","4:1","--rlimit","3:8388608","--rlimit","8:65536","--rlimit","12:0","--rlimit","11:256","--rlimit","2:1073741824","--rlimit","1:1048577","--rlimit","7:300","--rlimit","0:60","--unset","HOME","--unset","HOSTNAME","--unset","TERM","--","/usr/bin/emcc","-O2","a b.c",""])");
    CHECK(text(made.at("Env")) == R"(["PATH=/usr/bin:/bin","EMPTY="])");
    CHECK(made.at("WorkingDir") == "/job/src");
    CHECK(made.at("User") == "61000:61001");
    CHECK(made.at("Hostname") == "compile");
    CHECK(made.at("StdinOnce") == true);
    CHECK(text(made.at("Labels")) == R"({"sandboxd.server":"/srv/containers"})");

    const auto& host = made.at("HostConfig").as_object();
    std::vector<std::string> mounts;
    for (const auto& one : host.at("Mounts").as_array())
        mounts.push_back(text(one.at("Source")) + text(one.at("Target")) + text(one.at("ReadOnly")));
    CHECK(mounts == words{R"("/opt/sandboxd-init""/.init"true)",
                          R"("/srv/containers/1/descriptors""/dev/descriptors"true)", R"("/usr""/usr"true)",
                          R"("/etc/none""/etc/none"true)", R"("/work/1/out""/job/out"false)"});
    CHECK(text(host.at("Tmpfs")) == R"({"/tmp":"rw,exec,nosuid,nodev,mode=1777,size=4096"})");
    CHECK(host.at("ShmSize") == 4096U);
    CHECK(host.at("ReadonlyRootfs") == true);
    CHECK(text(host.at("CapDrop")) == R"(["ALL"])");
    CHECK(host.at("SecurityOpt").at(0) == "no-new-privileges");
    CHECK(host.at("SecurityOpt").at(1).as_string().starts_with(R"(seccomp={"defaultAction":"SCMP_ACT_ALLOW")"));
    CHECK(host.at("NetworkMode") == "none");
    CHECK(host.at("Memory") == 1U << 30);
    CHECK(host.at("MemorySwap") == 1U << 30);
    CHECK(host.at("PidsLimit") == 73U);
    CHECK(host.at("NanoCpus") == 1'500'000'000U);
    CHECK(text(host.at("Ulimits")) == R"([{"Name":"core","Soft":1,"Hard":1}])");
    CHECK(text(host.at("LogConfig")) == R"({"Type":"none"})");
    CHECK(host.at("AutoRemove") == false);
    CHECK(host.at("Privileged") == false);
    CHECK(host.at("UsernsMode") == "host");
}

TEST_CASE("docker: the least spec, as PID 1, with the host's network", "[jail]")
{
    auto what = least_spec();
    what.as_pid_1 = true;
    what.network = jail::network_access::host;
    const auto made = jail::docker_container(what, {"i", "/init", "s", {1000, 1000}}, {});
    CHECK(
        text(made.at("Entrypoint")) ==
        R"(["/.init","--jail","--exec","--rlimit","4:1","--rlimit","3:8388608","--rlimit","8:65536","--rlimit","12:0","--rlimit","11:256","--unset","HOME","--unset","HOSTNAME","--unset","PATH","--unset","TERM","--","/bin/true"])");
    const auto& host = made.at("HostConfig").as_object();
    CHECK(host.at("NetworkMode") == "host");
    for (const char* limit : {"Memory", "MemorySwap", "PidsLimit", "NanoCpus", "ShmSize"})
        CHECK_FALSE(host.contains(limit));
    CHECK(host.at("Mounts").as_array().size() == 1);
}

TEST_CASE("docker: which version of the API is spoken", "[jail]")
{
    CHECK(jail::choose_api("1.12", "1.41") == "1.41");
    CHECK(jail::choose_api("1.24", "1.52") == "1.41");
    CHECK(jail::choose_api("1.44", "1.52") == "1.44");
    CHECK(jail::choose_api("1.12", "1.40") == "1.40");
    CHECK(jail::choose_api("", "1.43") == "1.41");
    CHECK(jail::choose_api("1.12", "1.39").empty());
    CHECK(jail::choose_api("1.12", "").empty());
    CHECK(jail::choose_api("2.0", "2.1").empty());
    CHECK(jail::choose_api("x", "1").empty());
}

TEST_CASE("docker: an image of empty directories, and texts in a URL", "[jail]")
{
    const auto image = jail::empty_image();
    CHECK(image.size() == 7 * 512);
    CHECK(image.compare(257, 5, "ustar") == 0);
    CHECK(image.compare(0, 5, std::string{"dev/\0", 5}) == 0);
    // The sum of the first header's bytes, its own field taken for spaces.
    unsigned sum = 0;
    for (std::size_t i = 0; i < 512; ++i)
        sum += i >= 148 && i < 156 ? unsigned{' '} : static_cast<unsigned char>(image[i]);
    CHECK(std::stoul(image.substr(148, 6), nullptr, 8) == sum);
    CHECK(jail::percent_encoded(R"({"a":["b=/c d"]})") == "%7B%22a%22%3A%5B%22b%3D%2Fc%20d%22%5D%7D");
    CHECK(jail::percent_encoded("-._~aZ9") == "-._~aZ9");
    CHECK(jail::percent_encoded(std::string(1, '\0')) == "%00");
}
