// The real jails, tried from inside by a probe program (tests/support/jail_probe.cpp) and from
// outside by what is left of them. nsjail is tried where it is on the PATH or in
// SANDBOXD_TEST_NSJAIL. Compiled a second time with SANDBOXD_TEST_CONTAINERS, for the jails that are
// containers: those whose engines are installed.
#include "async/event.hpp"
#include "jail/candidates.hpp"
#include "jail/jail.hpp"
#include "jail/seccomp.hpp"
#include "process/memory_watch.hpp"
#include "support/docker_daemon.hpp"
#include "support/on_loop.hpp"
#include "support/proc.hpp"
#include "support/temporary_directory.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace asio = boost::asio;
namespace fs = std::filesystem;
using namespace sandboxd;
using namespace sandboxd::test;
using process::exited;
using process::wait_status;

namespace {

#ifdef SANDBOXD_TEST_CONTAINERS
constexpr const char* rootless = "oci";
#else
constexpr const char* rootless = "bubblewrap";
#endif

const bool prepared = (process::prepare_this_process(), true);

// Where containers are kept, below a directory that only the server may enter.
const std::string& containers_directory()
{
    static const temporary_directory top;
    static const std::string path = top / "closed/containers";
    static const bool made = fs::create_directory(top / "closed");
    if (made) fs::permissions(top / "closed", fs::perms::owner_all);
    return path;
}

#ifdef SANDBOXD_TEST_CONTAINERS
const docker_daemon& daemon()
{
    static const docker_daemon running;
    return running;
}
#endif

// "oci:runc" is the jail "oci" with the runtime runc.
result<std::unique_ptr<jail::jail>> choose(const std::string& kind, const std::string& jobs = {})
{
    jail::jail_settings wanted;
    wanted.kind = kind.substr(0, kind.find(':'));
    if (kind.starts_with("oci:")) wanted.oci_runtime_path = kind.substr(4);
#ifdef SANDBOXD_TEST_CONTAINERS
    if (kind == "docker") wanted.docker.socket_path = daemon().socket();
#endif
    wanted.jobs_directory = jobs;
    wanted.init_path = SANDBOXD_INIT;
    wanted.containers_directory = containers_directory();
    if (const char* path = std::getenv("SANDBOXD_TEST_NSJAIL")) wanted.nsjail_path = path;
    return on_loop(jail::choose(wanted));
}

std::unique_ptr<jail::jail> open_jail(const std::string& kind, const std::string& jobs = {})
{
    auto chosen = choose(kind, jobs);
    INFO((chosen ? std::string{} : chosen.error().message));
    REQUIRE(chosen.has_value());
    return std::move(*chosen);
}

#ifndef SANDBOXD_TEST_CONTAINERS

bool nsjail_is_there()
{
    static const bool there = [] {
        const auto chosen = choose("nsjail");
        return chosen || chosen.error().message.find("(not installed)") == std::string::npos;
    }();
    return there;
}

// nsjail is in no distribution's packages, so it is tried only where somebody put it.
std::vector<std::string> walled()
{
    std::vector<std::string> kinds{"bubblewrap", "namespaces"};
    if (nsjail_is_there()) kinds.emplace_back("nsjail");
    return kinds;
}

std::vector<std::string> all_jails()
{
    auto kinds = walled();
    kinds.emplace_back("none");
    return kinds;
}

#else

bool is_installed(const std::string& runtime)
{
    for (const char* directory : {"/usr/bin/", "/usr/sbin/", "/usr/local/bin/"})
        if (::access((directory + runtime).c_str(), X_OK) == 0) return true;
    return false;
}

std::vector<std::string> walled()
{
    std::vector<std::string> kinds;
    for (const char* runtime : {"crun", "runc", "runsc"})
        if (is_installed(runtime)) kinds.push_back("oci:" + std::string{runtime});
    if (docker_daemon::missing().empty()) kinds.emplace_back("docker");
    // The generators below want something to run.
    if (kinds.empty()) SKIP("neither crun nor runc nor runsc is installed, and " << docker_daemon::missing());
    return kinds;
}

std::vector<std::string> all_jails() { return walled(); }

#endif

bool has_wall(const jail::jail& wall, std::string_view part)
{
    const auto walls = wall.walls();
    return std::ranges::any_of(walls, [&](const auto& one) { return one.find(part) != std::string::npos; });
}

// A kernel of its own refuses what it does not have, by errors of its own.
bool is_gvisor(const jail::jail& wall) { return has_wall(wall, "gVisor"); }

// A job directory below one that only the server may enter.
struct job_directory {
    job_directory()
    {
        REQUIRE(::mkdtemp(top.data()) != nullptr);
        top = fs::canonical(top);
        path = top + "/jobs/1";
        fs::create_directories(path);
    }
    ~job_directory() { fs::remove_all(top); }
    std::string top = "/tmp/sandboxd-jail-XXXXXX";
    std::string path;
};

jail::spec probe(const std::string& against)
{
    jail::spec what;
    what.argv = {"/probe/jail_probe", against, marker()};
    what.mounts = {{fs::path{SANDBOXD_JAIL_PROBE}.parent_path(), "/probe"}};
    what.limits.memory_bytes = 256 << 20;
    what.limits.file_bytes = 3 << 20;
    what.limits.tmp_bytes = 8 << 20;
    what.limits.open_files = 64;
    what.limits.processes = 20;
    return what;
}

// MARK in a script is a number of seconds that no other process on the machine sleeps.
jail::spec shell(std::string script)
{
    for (auto at = script.find("MARK"); at != std::string::npos; at = script.find("MARK"))
        script.replace(at, 4, marker());
    jail::spec what;
    what.argv = {"/bin/sh", "-c", std::move(script)};
    what.env = {{"PATH", "/usr/bin:/bin"}};
    what.mounts = {{"/usr", "/usr"}};
    for (const char* path : {"/bin", "/lib", "/lib64"}) what.mounts.push_back({path, path, false, true});
    return what;
}

process::outcome run(jail::jail& wall, jail::spec what)
{
    async::stop_source stop;
    process::child_limits limits;
    limits.wall = std::chrono::seconds{300};
    auto ran = on_loop(wall.run(std::move(what), limits, stop));
    INFO((ran ? std::string{} : ran.error().message));
    REQUIRE(ran.has_value());
    CHECK_FALSE(stop.requested());
    return std::move(*ran);
}

std::vector<std::string> lines_of(const std::string& text)
{
    std::vector<std::string> lines;
    std::istringstream stream{text};
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
}

// "<noun> <number> <ERRNO>"
std::pair<long long, std::string> reached(const process::outcome& seen)
{
    std::istringstream stream{seen.out};
    std::string noun, error;
    long long number = -1;
    stream >> noun >> number >> error;
    INFO(seen.out << seen.err);
    CHECK(number >= 0);
    return {number, error};
}

void nothing_left()
{
    CHECK(processes_with(marker()).empty());
    CHECK(children().empty());
}

}  // namespace

#ifndef SANDBOXD_TEST_CONTAINERS

TEST_CASE("nsjail is tried too", "[jail][real]")
{
    if (!nsjail_is_there()) SKIP("nsjail is not on the PATH and SANDBOXD_TEST_NSJAIL is not set");
    CHECK(open_jail("nsjail")->which() == jail::kind::nsjail);
}

#else

TEST_CASE("every engine is tried", "[jail][real]")
{
    for (const char* runtime : {"crun", "runc", "runsc"}) {
        CAPTURE(runtime);
        if (!is_installed(runtime)) SKIP(runtime << " is not installed");
        const auto wall = open_jail("oci:" + std::string{runtime});
        CHECK(wall->which() == jail::kind::oci);
        CHECK(is_gvisor(*wall) == (std::string_view{runtime} == "runsc"));
    }
    if (const auto missing = docker_daemon::missing(); !missing.empty()) SKIP(missing);
    CHECK(open_jail("docker")->which() == jail::kind::docker);
}

#endif

TEST_CASE("inside a jail nothing forbidden goes through", "[jail][real]")
{
    const auto wall = open_jail(GENERATE(from_range(walled())));
    const auto seen = run(*wall, probe(is_gvisor(*wall) ? "gvisor" : "walls"));
    INFO(seen.out << seen.err);
    CHECK(seen.status == wait_status{exited{0}});
    const auto lines = lines_of(seen.out);
    CHECK(lines.size() > 80);
    const bool gvisor = is_gvisor(*wall);
    std::vector<std::string> bad;
    std::ranges::copy_if(lines, std::back_inserter(bad), [](const std::string& line) {
        return line.find(" denied ") == std::string::npos && !line.ends_with(" works");
    });
    // What gVisor allows is a matter of its own kernel's: a device node there opens no device.
    if (gvisor)
        std::erase_if(bad, [](const auto& line) {
            return line == "nice_up ALLOWED" || line == "mknod_device ALLOWED" || line == "read_sys ALLOWED" ||
                   line == "personality_query FAILS";
        });
    CHECK(bad == std::vector<std::string>{});
    // Where another error would show that the call got past the filter.
    for (const char* attempt :
         {"pivot_root",        "move_mount", "open_tree", "pidfd_getfd",     "bpf",          "socket_inet",
          "socket_packet",     "socket_alg", "acct",      "swapon",          "quotactl",     "tiocsti",
          "tiocsti_high_bits", "tioclinux",  "reboot",    "perf_event_open", "memfd_secret", "keyctl",
          "io_uring_setup",    "ptrace"}) {
        CAPTURE(attempt);
        // gVisor does not know every call.
        CHECK(std::ranges::count(lines, std::string{attempt} + " denied EPERM") +
                  (gvisor ? std::ranges::count(lines, std::string{attempt} + " denied ENOSYS") : 0) ==
              1);
    }
    if (!gvisor) CHECK(std::ranges::count(lines, "clone3 denied ENOSYS") == 1);
    CHECK(std::ranges::count(lines, "write_root denied EROFS") == 1);
}

namespace {

// A call that the rule refuses: "number arguments name".
std::string call_for(const jail::seccomp_rule& rule)
{
    using enum jail::argument_test::comparison;
    std::uint64_t arguments[6] = {};
    for (const auto& test : rule.when) {
        const bool exact = test.how == equal || test.how == masked_equal;
        arguments[test.index] = exact ? test.value : test.value + 1;
    }
    std::string line = std::to_string(jail::number_of(rule.syscall));
    for (const auto one : arguments) line += ' ' + std::to_string(one);
    return line + ' ' + std::string{rule.syscall} + '\n';
}

}  // namespace

TEST_CASE("every row of the seccomp table is refused inside every jail", "[jail][real]")
{
    const auto wall = open_jail(GENERATE(from_range(walled())));
    const auto policy = GENERATE(jail::seccomp_policy{}, jail::seccomp_policy{.network = true},
                                 jail::seccomp_policy{.own_filters = true});
    std::string calls;
    std::vector<std::string> wanted;
    for (const auto& rule : jail::seccomp_rules(policy)) {
        if (jail::number_of(rule.syscall) < 0) continue;
        calls += call_for(rule);
        wanted.push_back(std::string{rule.syscall} + (rule.error == 0
                                                          ? std::string{" ALLOWED"}
                                                          : " denied " + std::string{::strerrorname_np(rule.error)}));
    }
    for (const int newer : {jail::highest_known_call + 1, 500, 1000}) {
        calls += std::to_string(newer) + " 0 0 0 0 0 0 newer\n";
        wanted.emplace_back("newer denied ENOSYS");
    }
    // What only programs of the server may do gets as far as their arguments.
    if (policy.own_filters && !is_gvisor(*wall)) {
        calls += std::to_string(jail::number_of("seccomp")) + " 1 0 0 0 0 0 filter\n";
        calls += std::to_string(jail::number_of("prctl")) + " 22 2 0 0 0 0 filter\n";
        wanted.insert(wanted.end(), 2, "filter denied EFAULT");
    }
    auto what = probe("rows");
    what.stdin_text = calls;
    what.network = policy.network ? jail::network_access::own : jail::network_access::none;
    what.own_filters = policy.own_filters;
    const auto seen = run(*wall, what);
    INFO(seen.err);
    CHECK(lines_of(seen.out) == wanted);
}

TEST_CASE("what is the whole machine's, and memory that no limit counts, are out of reach", "[jail][real]")
{
    const auto wall = open_jail(GENERATE(from_range(walled())));
    const auto lines = lines_of(run(*wall, probe("resources")).out);
    CHECK(lines.size() >= 25);
    std::vector<std::string> bad;
    std::ranges::copy_if(lines, std::back_inserter(bad), [](const std::string& line) {
        return line.find(" denied ") == std::string::npos && !line.ends_with(" works");
    });
    // gVisor's terminals are its own kernel's, and its memory is limited by a cgroup or not at all.
    if (is_gvisor(*wall))
        std::erase_if(bad, [](const auto& line) {
            return line == "ptmx ALLOWED" || line == "pts_ptmx ALLOWED" || line == "map_dev_zero ALLOWED";
        });
    CHECK(bad == std::vector<std::string>{});
}

TEST_CASE("the probe program itself can tell: without a jail much goes through", "[jail][real]")
{
    const auto wall = open_jail("none");
    CHECK_FALSE(wall->warnings().empty());
    const auto lines = lines_of(run(*wall, probe("walls")).out);
    for (const char* attempt :
         {"socket_inet", "personality", "process_vm_readv", "read_host_file", "foreign_processes"}) {
        CAPTURE(attempt);
        CHECK(std::ranges::count(lines, std::string{attempt} + " ALLOWED") == 1);
    }
}

TEST_CASE("a jail with network has Internet sockets and no others", "[jail][real]")
{
    const auto wall = open_jail(GENERATE(from_range(walled())));
    if (is_gvisor(*wall)) SKIP("gVisor has a network stack of its own, and does not start with the host's everywhere");
    auto what = probe("walls");
    what.network = jail::network_access::host;
    const auto lines = lines_of(run(*wall, what).out);
    for (const char* attempt : {"socket_inet", "socket_inet6", "socket_netlink"})
        CHECK(std::ranges::count(lines, std::string{attempt} + " ALLOWED") == 1);
    for (const char* attempt : {"socket_raw", "socket_packet", "socket_alg", "socket_vsock"})
        CHECK(std::ranges::count(lines, std::string{attempt} + " denied EPERM") == 1);
}

TEST_CASE("a jail's own network is a loopback and nothing else", "[jail][real]")
{
    const auto wall = open_jail(GENERATE(from_range(walled())));
    auto what = shell("cat /proc/net/dev; cat /proc/net/route; cat /proc/net/fib_trie");
    what.network = jail::network_access::own;
    const auto ran = run(*wall, what);
    INFO(ran.out);
    CHECK(ran.out.find("  lo:") != std::string::npos);
    CHECK((is_gvisor(*wall) || ran.out.find("127.0.0.1") != std::string::npos));
    const auto devices = lines_of(ran.out);
    CHECK(std::ranges::count_if(devices, [](const auto& line) { return line.find(": ") != std::string::npos; }) == 1);
    if (is_gvisor(*wall)) return;
    CHECK(lines_of(run(*wall,
                       [] {
                           auto walls = probe("walls");
                           walls.network = jail::network_access::own;
                           return walls;
                       }())
                       .out) == [&] {
        auto walls = probe("walls");
        walls.network = jail::network_access::host;
        return lines_of(run(*wall, walls).out);
    }());
}

TEST_CASE("standard input and the place of PID 1 are given to the program", "[jail][real]")
{
    const auto wall = open_jail(GENERATE(from_range(walled())));
    auto what = shell("echo pid $$; cat");
    what.stdin_text = "a text\n";
    what.as_pid_1 = true;
    CHECK(run(*wall, what).out == "pid 1\na text\n");
}

TEST_CASE("limits hold inside a jail", "[jail][real]")
{
    const auto wall = open_jail(GENERATE(from_range(walled())));
    SECTION("processes, for each job even when several run")
    {
        const auto walls = wall->walls();
        if (std::ranges::count(walls, "process limit") == 0) SKIP("this host cannot count a job's processes");
        asio::io_context loop;
        async::stop_source stop;
        std::vector<long long> numbers;
        for (int job = 0; job < 4; ++job)
            asio::co_spawn(loop, wall->run(probe("fork"), {}, stop),
                           [&](std::exception_ptr failed, const result<process::outcome>& ran) {
                               CHECK_FALSE(failed);
                               REQUIRE(ran.has_value());
                               const auto [number, error] = reached(*ran);
                               CHECK(error == "EAGAIN");
                               numbers.push_back(number);
                           });
        loop.run();
        REQUIRE(numbers.size() == 4);
        for (const auto number : numbers) {
            CHECK(number >= 19);
            CHECK(number <= 21);
        }
        nothing_left();
    }
    SECTION("open files") { CHECK(reached(run(*wall, probe("files"))) == std::pair{64LL, std::string{"EMFILE"}}); }
    SECTION("data")
    {
        if (is_gvisor(*wall)) SKIP("gVisor does not limit memory; a cgroup does");
        const auto [number, error] = reached(run(*wall, probe("memory")));
        CHECK(error == "ENOMEM");
        CHECK(number > 200);
        CHECK(number <= 256);
    }
    SECTION("one file") { CHECK(reached(run(*wall, probe("file"))) == std::pair{3LL << 20, std::string{"EFBIG"}}); }
    SECTION("/tmp") { CHECK(reached(run(*wall, probe("tmp"))) == std::pair{8LL << 20, std::string{"ENOSPC"}}); }
    SECTION("/dev/shm") { CHECK(reached(run(*wall, probe("shm"))) == std::pair{8LL << 20, std::string{"ENOSPC"}}); }
    SECTION("processor time")
    {
        if (is_gvisor(*wall)) SKIP("gVisor does not limit processor time; the deadline does");
        auto what = probe("cpu");
        what.limits.cpu = std::chrono::seconds{1};
        CHECK(run(*wall, what).status == wait_status{exited{128 + SIGKILL}});
    }
}

TEST_CASE("memory that no limit of one process counts ends the job", "[jail][real]")
{
    const auto wall = open_jail(GENERATE(from_range(walled())));
    if (is_gvisor(*wall) || wall->which() == jail::kind::docker || has_wall(*wall, "runtime's cgroup"))
        SKIP("a cgroup limits the memory of the whole job there");
    const std::string way = GENERATE("frozen", "tables", "forked", "sockets", "mapped often", "mappings", "pipes");
    CAPTURE(way);
    auto what = probe(way);
    what.limits.memory_bytes = 64 << 20;
    what.limits.open_files = 1024;
    what.limits.processes = 50;
    async::stop_source stop;
    // Hangs without a watcher; that it took so long is no verdict.
    const process::child_limits limits{.wall = std::chrono::minutes{10}};
    const auto ran = on_loop(wall->run(std::move(what), limits, stop));
    REQUIRE(ran.has_value());
    CHECK(stop.requested());
    CHECK(name(stop.cause()) == name(errc::memory_limit));
    nothing_left();
}

TEST_CASE("the memory of a jail that is built ahead counts from its job on", "[jail][real]")
{
    const auto wall = open_jail(GENERATE(from_range(walled())));
    if (is_gvisor(*wall) || wall->which() == jail::kind::docker || has_wall(*wall, "runtime's cgroup"))
        SKIP("a cgroup limits the memory of the whole job there");
    asio::io_context loop;
    auto what = probe("frozen");
    what.limits.memory_bytes = 64 << 20;
    what.limits.open_files = 1024;
    what.limits.processes = 50;
    const auto leader = what.leader = std::make_shared<pid_t>(0);
    const auto begins = what.begins = std::make_shared<async::event>(loop.get_executor());
    async::stop_source stop;
    bool was_left_alone = false;
    bool over = false;
    // Hangs without a watcher; that it took so long is no verdict.
    const process::child_limits limits{.wall = std::chrono::minutes{10}};
    asio::co_spawn(loop, wall->run(std::move(what), limits, stop), [&](std::exception_ptr failed, const auto& ran) {
        CHECK_FALSE(failed);
        CHECK(ran.has_value());
        over = true;
    });
    const auto let_it_begin = [&]() -> asio::awaitable<void> {
        asio::steady_timer pause{co_await asio::this_coro::executor};
        std::uint64_t bytes = 0;
        while (!over && bytes < 480 << 20) {
            async::turns turn;
            bytes = (co_await process::memory_of(*leader, {.bytes = 1ULL << 50}, turn)).bytes;
            pause.expires_after(std::chrono::milliseconds{10});  // between polls
            co_await pause.async_wait(asio::use_awaitable);
        }
        was_left_alone = !over && !stop.requested();
        begins->set();
    };
    asio::co_spawn(loop, let_it_begin(), asio::detached);
    loop.run();
    CHECK(was_left_alone);
    CHECK(name(stop.cause()) == name(errc::memory_limit));
    nothing_left();
}

TEST_CASE("what connections of a jail to itself hold is bounded", "[jail][real]")
{
    const auto wall = open_jail(GENERATE(from_range(walled())));
    if (is_gvisor(*wall)) SKIP("gVisor's connections are its own kernel's");
    if (wall->which() == jail::kind::nsjail) SKIP("nsjail's network has the machine's buffers");
    if (wall->which() == jail::kind::docker || has_wall(*wall, "runtime's cgroup"))
        SKIP("a cgroup limits the memory of the whole job there");
    if (jail::lets_enter(wall->which()) && ::access("/proc/sys/net/ipv4/tcp_rmem", W_OK) != 0)
        SKIP("/proc/sys cannot be written here");
    auto what = probe("connections");
    what.network = jail::network_access::own;
    const auto [bytes, error] = reached(run(*wall, what));
    CHECK(bytes > 16 << 10);
    CHECK(bytes <= 16 * (256 << 10));
}

TEST_CASE("the job directory is written through closed parents, all else is not", "[jail][real]")
{
    const auto wall = open_jail(GENERATE(from_range(all_jails())));
    const job_directory job;
    auto what = shell("pwd; echo made > made; echo refused > ../refused; cat /probe/../etc/shadow; cd /; echo *");
    what.mounts.push_back({job.path, "/job/out", true});
    what.cwd = "/job/out";
    const auto seen = run(*wall, what);
    INFO(seen.out << seen.err);
    CHECK(text_of(job.path + "/made") == "made\n");
    struct stat status = {};
    REQUIRE(::stat((job.path + "/made").c_str(), &status) == 0);
    CHECK((wall->uids() ? status.st_uid >= 61'000 && status.st_uid < 61'184 : status.st_uid == ::geteuid()));
    if (wall->owner()) {
        CHECK(wall->owner()->uid == ::geteuid());
        CHECK(status.st_gid == wall->owner()->gid);
    }
    if (wall->which() == jail::kind::none) return;
    CHECK(names_in(job.path) == std::vector<std::string>{"made"});
    // gVisor's kernel has a /sys of its own; Docker puts an empty directory over /sys.
    const bool docker = wall->which() == jail::kind::docker;
    const bool sys = docker || is_gvisor(*wall);
    CHECK(seen.out == std::string{"/job/out\nbin dev etc job lib lib64 proc "} + (sys ? "sys " : "") + "tmp usr\n");
}

TEST_CASE("read-only mounts are read-only, also for their owner", "[jail][real]")
{
    const auto wall = open_jail(GENERATE(from_range(walled())));
    const job_directory job;
    auto what = shell("touch /src/x; chmod 777 /src; touch /usr/x; mkdir /x");
    what.mounts.push_back({job.path, "/src"});
    const auto seen = run(*wall, what);
    CHECK(names_in(job.path).empty());
    CHECK(seen.status != wait_status{exited{0}});
    CHECK(lines_of(seen.err).size() == 4);
}

namespace {

// Looks, from inside, for a mount that can be changed. `init`: a copy of sandboxd-init that the jail mounts.
void try_the_mounts(jail::jail& wall, const std::string& init)
{
    const job_directory job;
    const auto file = job.path + "/file";
    std::ofstream{file} << "mine\n";
    struct stat before = {};
    REQUIRE(::stat(init.c_str(), &before) == 0);
    const auto program = text_of(init);

    jail::spec what;
    what.argv = {"/program", "--look"};
    what.mounts = {{.source = init, .target = "/program", .own_copy = true},
                   {"/usr", "/usr"},
                   {job.path, "/directory"},
                   {file, "/with a blank/file"}};
    what.limits.tmp_bytes = 1 << 20;
    const auto seen = run(wall, what);
    INFO(seen.out << seen.err);
    CHECK(seen.status == wait_status{exited{0}});
    const auto lines = lines_of(seen.out);
    for (const std::string place : {"/", "/usr", "/directory", "/with\\040a\\040blank/file"})
        CHECK(std::ranges::any_of(lines, [&](const auto& line) { return line.starts_with("mount " + place + " "); }));
    std::vector<std::string> changed;
    std::ranges::copy_if(lines, std::back_inserter(changed), [](const std::string& line) {
        return line.find("=ALLOWED") != std::string::npos && !line.starts_with("mount /tmp ") &&
               !line.starts_with("mount /dev/shm ");
    });
    CHECK(changed == std::vector<std::string>{});

    // And whatever else may be called the server's own, by a program that wants to.
    auto attack = shell(
        "for each in /program /.init /dev/init /proc/1/exe; do chmod 0777 $each; touch $each; echo x >> $each; "
        "rm -f $each; mv /tmp $each; done 2> /dev/null; mkdir /dev/x /etc/x; echo x >> /etc/hosts; true");
    attack.mounts.push_back({.source = init, .target = "/program", .own_copy = true});
    CHECK(run(wall, attack).status == wait_status{exited{0}});
    struct stat after = {};
    REQUIRE(::stat(init.c_str(), &after) == 0);
    CHECK(after.st_mode == before.st_mode);
    CHECK(after.st_mtim.tv_sec == before.st_mtim.tv_sec);
    CHECK(text_of(init) == program);
    CHECK(names_in(job.path) == std::vector<std::string>{"file"});
    CHECK(text_of(file) == "mine\n");
}

}  // namespace

TEST_CASE("no mount can be changed from inside, whoever owns what is mounted", "[jail][real]")
{
    const auto wall = open_jail(GENERATE(from_range(walled())));
    const temporary_directory own;
    const std::string init = own / "init";
    fs::copy_file(SANDBOXD_INIT, init);
    try_the_mounts(*wall, init);
}

TEST_CASE("an init that cannot be executed is no program's exit", "[jail][real]")
{
    const auto wall = open_jail(GENERATE(from_range(walled())));
    const temporary_directory own;
    const std::string init = own / "init";
    fs::copy_file(SANDBOXD_INIT, init);
    fs::permissions(init, fs::perms::owner_read);
    auto what = shell("true");
    what.mounts.push_back({.source = init, .target = "/program", .own_copy = true});
    async::stop_source stop;
    const auto ran = on_loop(wall->run(what, {}, stop));
    REQUIRE_FALSE(ran.has_value());
    CHECK(ran.error().code == errc::unavailable);
    CHECK(ran.error().message == init + " cannot be executed: Permission denied");
}

// The server of somebody who is not root: all that it mounts has its own uid, which is the jail's, too.
TEST_CASE("as another user: no mount can be changed from inside", "[.another_user]")
{
    const auto init = fs::current_path() / "sandboxd-init";
    jail::jail_settings wanted;
    wanted.kind = rootless;
    if (wanted.kind == "oci") wanted.oci_runtime_path = "crun";
    wanted.init_path = init;
    wanted.jobs_directory = fs::current_path() / "jobs";
    fs::create_directory(wanted.jobs_directory);
    wanted.containers_directory = fs::current_path() / "containers";
    const auto wall = on_loop(jail::choose(wanted));
    INFO((wall ? std::string{} : wall.error().message));
    REQUIRE(wall.has_value());
    CHECK_FALSE((*wall)->uids());
    try_the_mounts(**wall, init);
}

TEST_CASE("without root: no mount can be changed from inside", "[jail][real]")
{
#ifdef SANDBOXD_TEST_CONTAINERS
    if (!is_installed("crun")) SKIP("crun is not installed");
#endif
    if (::geteuid() != 0) SKIP("only root can become another user");
    constexpr uid_t somebody = 60'700;
    const temporary_directory own;
    const auto home = own / "home";
    REQUIRE(fs::create_directory(home));
    fs::copy_file(fs::read_symlink("/proc/self/exe"), home / "tests");
    fs::copy_file(SANDBOXD_INIT, home / "sandboxd-init");
    for (const auto& path : {home, home / "tests", home / "sandboxd-init"})
        REQUIRE(::chown(path.c_str(), somebody, somebody) == 0);
    const auto log = (home / "log").native();
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        const auto must = [](bool done) {
            if (!done) ::_exit(99);
        };
        must(::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) == 0);
        // crun does not start where it finds both versions of cgroups.
        if (fs::exists("/sys/fs/cgroup/unified"))
            must(::mount("tmpfs", "/sys/fs/cgroup", "tmpfs", 0, "mode=0711") == 0);
        must(::chdir(home.c_str()) == 0 && ::setgroups(0, nullptr) == 0);
        must(::setresgid(somebody, somebody, somebody) == 0 && ::setresuid(somebody, somebody, somebody) == 0);
        const int out = ::open(log.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        must(out >= 0 && ::dup2(out, 1) == 1 && ::dup2(out, 2) == 2);
        const std::string runtime_directory = "XDG_RUNTIME_DIR=" + home.native();
        const char* const argv[] = {"tests", "[.another_user]", nullptr};
        const char* const env[] = {"PATH=/usr/bin:/bin:/usr/sbin", runtime_directory.c_str(), nullptr};
        ::execve((home / "tests").c_str(), const_cast<char* const*>(argv), const_cast<char* const*>(env));
        ::_exit(98);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    INFO(text_of(log));
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("a jail has files of its own below /etc", "[jail][real]")
{
    const auto wall = open_jail(GENERATE(from_range(walled())));
    auto what = shell(
        "id -un; id -gn; cat /etc/hosts /etc/resolv.conf /etc/nsswitch.conf; getent hosts localhost >/dev/null && "
        "echo localhost is found; wc -l < /etc/passwd; hostname -f");
    what.hostname = "somewhere";
    const auto network = GENERATE(jail::network_access::none, jail::network_access::own);
    what.network = network;
    const auto seen = run(*wall, what);
    INFO(seen.err);
    CHECK(seen.out ==
          "sandbox\nsandbox\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\tsomewhere\n"
          "passwd: files\ngroup: files\nhosts: files\nlocalhost is found\n1\nsomewhere\n");
}

namespace {

// Sets an event at the first output.
struct listener final : process::output_taker {
    explicit listener(const asio::any_io_executor& executor) : heard{executor} {}
    asio::awaitable<void> take(process::output_stream, std::string_view piece) override
    {
        said += piece;
        heard.set();
        co_return;
    }
    async::event heard;
    std::string said;
};

// What one jail still gets while another has taken all that it could.
asio::awaitable<std::string> beside_a_greedy_one(jail::jail& wall, const char* kind)
{
    const auto executor = co_await asio::this_coro::executor;
    listener greedy{executor};
    async::stop_source stop;
    async::event over{executor};
    auto hold = probe("hold");
    hold.argv.insert(hold.argv.begin() + 2, kind);
    hold.limits.open_files = 400;
    asio::co_spawn(executor, wall.run(hold, {}, stop, &greedy),
                   [&](std::exception_ptr, const result<process::outcome>&) {
                       greedy.heard.set();
                       over.set();
                   });
    co_await greedy.heard.wait();
    auto honest = probe(kind);
    honest.limits.open_files = 400;
    async::stop_source other;
    const auto ran = co_await wall.run(honest, {}, other);
    stop.request(errc::disconnected);
    co_await over.wait();
    co_return greedy.said + (ran ? ran->out : ran.error().message);
}

}  // namespace

TEST_CASE("what the kernel counts for each user, one jail cannot use up for another", "[jail][real]")
{
    if (::geteuid() != 0) SKIP("only a server that is root has uids to give");
    const auto wall = open_jail(GENERATE(from_range(walled())));
    if (is_gvisor(*wall)) SKIP("gVisor counts by itself, for each jail");
    const std::string kind = GENERATE("descriptors", "inotify");
    if (kind == "inotify" && has_wall(*wall, "runtime's cgroup"))
        SKIP("runc makes user namespaces as root, whose count of inotify instances is the limit of all of them");
    const auto said = on_loop(beside_a_greedy_one(*wall, kind.c_str()));
    INFO(said);
    std::istringstream words{said};
    std::string noun, error;
    int greedy = 0;
    int honest = 0;
    words >> noun >> greedy >> error >> noun >> honest;
    CHECK(greedy > 50);
    CHECK(error == (kind == "inotify" ? "EMFILE" : "ETOOMANYREFS"));
    CHECK(honest > 50);
    CHECK(wall->uids()->in_use <= 1);
}

TEST_CASE("exit codes and signals come through", "[jail][real]")
{
    const auto wall = open_jail(GENERATE(from_range(all_jails())));
    CHECK(run(*wall, shell("exit 0")).status == wait_status{exited{0}});
    CHECK(run(*wall, shell("exit 42")).status == wait_status{exited{42}});
    // nsjail makes the program itself PID 1, which such signals do not end.
    if (wall->which() != jail::kind::nsjail) {
        const auto killed = run(*wall, shell("kill -6 $$")).status;
        if (wall->which() == jail::kind::none)
            CHECK(killed == wait_status{process::signaled{SIGABRT}});
        else
            CHECK(killed == wait_status{exited{128 + SIGABRT}});
    }
    auto merged = shell("echo one; echo two >&2; echo three");
    merged.merge_stderr = true;
    CHECK(run(*wall, merged).out == "one\ntwo\nthree\n");
}

TEST_CASE("the environment is what was said and nothing else", "[jail][real]")
{
    ::setenv("SANDBOXD_TEST_SECRET", "1", 1);
    const auto wall = open_jail(GENERATE(from_range(all_jails())));
    auto what = shell("");
    what.argv = {"/usr/bin/env"};
    what.env = {{"A", "1"}, {"B", ""}};
    auto lines = lines_of(run(*wall, what).out);
    // bubblewrap sets PWD when it changes the directory.
    std::erase(lines, "PWD=/");
    std::ranges::sort(lines);  // Docker keeps no order
    CHECK(lines == std::vector<std::string>{"A=1", "B="});
}

TEST_CASE("a missing mount is an error that names it", "[jail][real]")
{
    const auto wall = open_jail(GENERATE(from_range(walled())));
    auto what = shell("true");
    what.mounts.push_back({"/nonexistent/toolchain", "/toolchain"});
    async::stop_source stop;
    const auto ran = on_loop(wall->run(what, {}, stop));
    REQUIRE_FALSE(ran.has_value());
    CHECK(ran.error().code == errc::unavailable);
    CHECK(ran.error().message.find("/nonexistent/toolchain") != std::string::npos);
}

TEST_CASE("whatever a job leaves behind is dead when run returns", "[jail][real]")
{
    const auto wall = open_jail(GENERATE(from_range(all_jails())));
    run(*wall, shell("setsid sleep MARK & (setsid sh -c 'trap \"\" TERM; sleep MARK' &); exit 3"));
    nothing_left();
    async::stop_source stop;
    process::child_limits limits;
    limits.output_bytes = 100;
    const auto ran = on_loop(wall->run(shell("setsid sleep MARK & trap '' TERM; yes MARK"), limits, stop));
    REQUIRE(ran.has_value());
    CHECK(stop.cause() == errc::output_limit);
    nothing_left();
}

TEST_CASE("a stop at any moment of the jail's start leaves nothing", "[jail][real]")
{
    const auto wall = open_jail(GENERATE(from_range(walled())));
    const auto descriptors = open_descriptors();
    for (int step = 0; step < 60; ++step) {
        asio::io_context loop;
        async::stop_source stop;
        asio::steady_timer timer{loop};
        bool ended = false;
        asio::co_spawn(loop, wall->run(shell("sleep MARK & sleep MARK"), {}, stop),
                       [&](std::exception_ptr failed, const result<process::outcome>& ran) {
                           CHECK_FALSE(failed);
                           CHECK(ran.has_value());
                           ended = true;
                       });
        // Spread over the start; no result depends on where it hits.
        timer.expires_after(std::chrono::microseconds{step * 150});
        timer.async_wait([&](boost::system::error_code) { stop.request(errc::disconnected); });
        loop.run();
        REQUIRE(ended);
        REQUIRE(processes_with(marker()).empty());
        REQUIRE(children().empty());
    }
    CHECK(open_descriptors() == descriptors);
}

TEST_CASE("many jails at once, each with its own answer", "[jail][real]")
{
#ifdef SANDBOXD_TEST_CONTAINERS
    constexpr int jobs = 10;  // a container takes as long as ten other jails
#else
    constexpr int jobs = 30;
#endif
    const auto wall = open_jail(GENERATE(from_range(walled())));
    const auto descriptors = open_descriptors();
    {
        asio::io_context loop;
        async::stop_source stop;
        int ended = 0;
        for (int job = 0; job < jobs; ++job)
            asio::co_spawn(loop,
                           wall->run(shell("echo " + std::to_string(job) + "; exit " + std::to_string(job)), {}, stop),
                           [&ended, job](std::exception_ptr failed, const result<process::outcome>& ran) {
                               CHECK_FALSE(failed);
                               REQUIRE(ran.has_value());
                               CHECK(ran->status == wait_status{exited{job}});
                               CHECK(ran->out == std::to_string(job) + "\n");
                               ++ended;
                           });
        loop.run();
        CHECK(ended == jobs);
    }
    CHECK(open_descriptors() == descriptors);
    CHECK(children().empty());
}

TEST_CASE("no helper of the host gets the core of a program", "[jail][real]")
{
    const auto wall = open_jail(GENERATE(from_range(walled())));
    if (is_gvisor(*wall)) SKIP("gVisor has no helpers");
    // The kernel starts none where the limit is 1 (core(5)), and the program cannot lower it.
    const auto seen = run(*wall, shell("ulimit -c 0; ulimit -c unlimited; grep '^Max core' /proc/self/limits"));
    INFO(seen.out << seen.err);
    CHECK(lines_of(seen.out).size() == 1);
    std::istringstream words{seen.out};
    std::string word, soft, hard;
    words >> word >> word >> word >> word >> soft >> hard;
    CHECK(soft == "1");
    CHECK(hard == "1");
}

TEST_CASE("a jail of any kind that cannot be built is no program's exit", "[jail][real]")
{
    const auto kind = GENERATE(from_range(walled()));
    CAPTURE(kind);
    const auto wall = open_jail(kind);
    const bool takes = GENERATE(false, true);
    const bool merges = GENERATE(false, true);
    asio::io_context loop;
    listener taker{loop.get_executor()};
    async::stop_source stop;
    const auto ends = [&](jail::spec what) {
        what.merge_stderr = merges;
        return on_loop(wall->run(std::move(what), {}, stop, takes ? &taker : nullptr));
    };
    // A mount below a file, which the builder cannot make.
    auto broken = shell("true");
    broken.mounts.push_back({"/usr", "/usr/bin/env/x"});
    // gVisor's own failures stay exits: what runsc writes of them into its log cannot be relied on.
    if (kind != "oci:runsc") {
        const auto unbuilt = ends(broken);
        REQUIRE_FALSE(unbuilt.has_value());
        CHECK(unbuilt.error().code == errc::unavailable);
        CHECK_FALSE(unbuilt.error().message.empty());
    }
    taker.said.clear();
    // A program that is not there, which is the server's to bring.
    auto nothing = shell("true");
    nothing.argv = {"/nothing"};
    const auto absent = ends(nothing);
    REQUIRE_FALSE(absent.has_value());
    CHECK(absent.error().code == errc::unavailable);
    CHECK(absent.error().message.find("/nothing") != std::string::npos);
    if (wall->which() != jail::kind::nsjail) CHECK(taker.said.empty());
    // Programs may end like the builders, and say the same.
    for (const int code : {1, 127, 128, 255}) {
        taker.said.clear();
        const auto script = "echo 'sandboxd-init: no' >&2; exit " + std::to_string(code);
        const auto own = ends(shell(script));
        REQUIRE(own.has_value());
        CHECK(own->status == wait_status{exited{code}});
        CHECK(own->out + own->err + taker.said == "sandboxd-init: no\n");
    }
    // The init's word is nothing that a program could learn.
    taker.said.clear();
    const auto read = ends(shell("tr '\\000' ' ' < /proc/1/cmdline; env; exit 3"));
    REQUIRE(read.has_value());
    const auto seen = read->out + taker.said;
    const auto at = seen.find("--word ");
    if (at != std::string::npos) CHECK(seen.substr(at + 7, 32).find_first_not_of(' ') == std::string::npos);
}

#ifndef SANDBOXD_TEST_CONTAINERS

// A stand-in, since nsjail is in no distribution's packages: what the real one writes is taken from its source
// (logs.cc, subproc.cc). Where there is a real one, the test above tries that.
TEST_CASE("an nsjail that cannot build its jail is no program's exit", "[jail][real]")
{
    const temporary_directory own;
    const auto stand_in = [&](const std::string& does) {
        const std::string path = own / "nsjail";
        std::ofstream{path} << "#!/bin/sh\nwhile [ \"$1\" != --log ]; do shift; done\n" << does << "\n";
        fs::permissions(path, fs::perms::owner_all | fs::perms::group_exec | fs::perms::group_read |
                                  fs::perms::others_exec | fs::perms::others_read);
        jail::jail_settings wanted;
        wanted.nsjail_path = path;
        wanted.containers_directory = containers_directory();
        auto ways = on_loop(jail::nsjail_candidates(wanted, nullptr));
        REQUIRE(ways.has_value());
        const auto wall = ways->front().make({});
        async::stop_source stop;
        return on_loop(wall->run(shell("true"), {}, stop));
    };
    const auto failed = stand_in(
        "echo '[2026-01-02T03:04:05+0000] [F][1] runChild():480 Launching child process failed' >> \"$2\"; exit 255");
    REQUIRE_FALSE(failed.has_value());
    CHECK(failed.error().code == errc::unavailable);
    CHECK(failed.error().message.find("Launching child process failed") != std::string::npos);
    // What the program prints is not the log.
    const auto program = stand_in("echo '[F] no' >&2; exit 255");
    REQUIRE(program.has_value());
    CHECK(program->status == wait_status{exited{255}});
    CHECK(program->err == "[F] no\n");
}

TEST_CASE("a jail that cannot be built is no program's exit", "[jail][real]")
{
    const std::string kind = GENERATE("bubblewrap", "namespaces");
    const std::string speaks_as = kind == "bubblewrap" ? "bwrap: " : "sandboxd-build: ";
    const auto wall = open_jail(kind);
    const bool takes = GENERATE(false, true);
    asio::io_context loop;
    listener taker{loop.get_executor()};
    auto broken = shell("true");
    broken.mounts.push_back({"/usr", "/proc/nothing/here"});
    async::stop_source stop;
    const auto ran = on_loop(wall->run(broken, {}, stop, takes ? &taker : nullptr));
    REQUIRE_FALSE(ran.has_value());
    CHECK(ran.error().code == errc::unavailable);
    CHECK(ran.error().message.starts_with(speaks_as));
    CHECK(taker.said.empty());
    // A program may say the same.
    const auto own =
        on_loop(wall->run(shell("echo '" + speaks_as + "no' >&2; exit 1"), {}, stop, takes ? &taker : nullptr));
    REQUIRE(own.has_value());
    CHECK(own->status == wait_status{exited{1}});
    CHECK(own->err + taker.said == speaks_as + "no\n");
    // Nor is what cannot be executed.
    auto missing = shell("true");
    missing.argv = {"/usr/bin/nothing"};
    const auto never = on_loop(wall->run(missing, {}, stop, nullptr));
    REQUIRE_FALSE(never.has_value());
    CHECK(never.error().code == errc::unavailable);
}

TEST_CASE("the devices of a jail are its own", "[jail][real]")
{
    const auto wall = open_jail(GENERATE(from_range(walled())));
    if (!wall->uids()) SKIP("only root can make devices");
    const auto look = shell("cd /dev; stat -c '%n %d %i %t %T %a' null zero full random urandom; echo lost > null");
    const auto seen = lines_of(run(*wall, look).out);
    // nsjail's have no /dev/zero.
    REQUIRE(seen.size() == (wall->which() == jail::kind::nsjail ? 4U : 5U));
    for (const auto& line : seen) {
        std::istringstream words{line};
        std::string name, major, minor, mode;
        dev_t device = 0;
        ino_t node = 0;
        words >> name >> device >> node >> major >> minor >> mode;
        CAPTURE(line);
        struct stat hosts = {};
        REQUIRE(::stat(("/dev/" + name).c_str(), &hosts) == 0);
        const bool own = device != hosts.st_dev || node != hosts.st_ino;
        CHECK(own);
        CHECK(major == "1");
        CHECK(mode == "666");
    }
}

TEST_CASE("the builder of namespaces can only wait and end while a program runs", "[jail][real]")
{
    // Its memory is that of PID 1 inside.
    struct observer final : process::output_taker {
        async::stop_source stop;
        std::string builder;
        std::string inside;

        asio::awaitable<void> take(process::output_stream, std::string_view) override
        {
            const auto first = [](const std::string& pids) { return pids.substr(0, pids.find(' ')); };
            const auto outside = first(children());
            builder = text_of("/proc/" + outside + "/status");
            const auto pid_1 = first(text_of("/proc/" + outside + "/task/" + outside + "/children"));
            inside = text_of("/proc/" + pid_1 + "/status");
            stop.request(errc::disconnected);
            co_return;
        }
    };
    const auto wall = open_jail("namespaces");
    observer seen;
    REQUIRE(on_loop(wall->run(shell("echo up; exec sleep 1000"), {}, seen.stop, &seen)).has_value());
    CHECK(seen.builder.find("Name:\tsandboxd-build\n") != std::string::npos);
    CHECK(seen.builder.find("Seccomp:\t2\n") != std::string::npos);
    CHECK(seen.builder.find("NoNewPrivs:\t1\n") != std::string::npos);
    CHECK(seen.inside.find("Name:\tsandboxd-build\n") != std::string::npos);
    CHECK(seen.inside.find("CapEff:\t0000000000000000\n") != std::string::npos);
}

TEST_CASE("a jail is chosen by name or by strength, and a failure names the cure", "[jail][real]")
{
    jail::jail_settings wanted;
    SECTION("auto takes namespaces first")
    {
        wanted.init_path = SANDBOXD_INIT;
        const auto chosen = on_loop(jail::choose(wanted));
        INFO((chosen ? std::string{} : chosen.error().message));
        REQUIRE(chosen.has_value());
        CHECK((*chosen)->which() == jail::kind::namespaces);
        CHECK(std::ranges::count((*chosen)->walls(), "seccomp") == 1);
    }
    SECTION("then bubblewrap")
    {
        wanted.init_path = "/nonexistent/sandboxd-init";
        const auto chosen = on_loop(jail::choose(wanted));
        INFO((chosen ? std::string{} : chosen.error().message));
        REQUIRE(chosen.has_value());
        CHECK((*chosen)->which() == jail::kind::bubblewrap);
    }
    SECTION("none only when asked for")
    {
        wanted.init_path = "/nonexistent/sandboxd-init";
        wanted.bubblewrap_path = "/nonexistent/bwrap";
        wanted.nsjail_path = "/nonexistent/nsjail";
        const auto chosen = on_loop(jail::choose(wanted));
        REQUIRE_FALSE(chosen.has_value());
        CHECK(chosen.error().code == errc::unavailable);
        for (const char* part :
             {"namespaces: sandboxd-init is missing (/nonexistent/sandboxd-init)",
              "bubblewrap: /nonexistent/bwrap is not an executable file", "nsjail: /nonexistent/nsjail",
              "apt-get install bubblewrap", "The jail \"none\" does not isolate anything"}) {
            CAPTURE(part, chosen.error().message);
            CHECK(chosen.error().message.find(part) != std::string::npos);
        }
    }
    SECTION("a program that only claims to be a jail is found out")
    {
        wanted.kind = "bubblewrap";
        wanted.bubblewrap_path = "/bin/true";
        const auto chosen = on_loop(jail::choose(wanted));
        REQUIRE_FALSE(chosen.has_value());
        CHECK(chosen.error().message.starts_with("jail: the jail \"bubblewrap\" does not work here ("));
    }
    SECTION("an unknown name")
    {
        wanted.kind = "chroot";
        const auto chosen = on_loop(jail::choose(wanted));
        REQUIRE_FALSE(chosen.has_value());
        CHECK(chosen.error().message.find("chroot") != std::string::npos);
    }
    CHECK(children().empty());
}

TEST_CASE("as root: where only root may make namespaces, root it is, with a warning", "[jail][real][root]")
{
    if (::geteuid() != 0) SKIP("needs root");
    jail::jail_settings wanted;
    std::string script = "/tmp/sandboxd-bwrap-XXXXXX";
    const int fd = ::mkstemp(script.data());
    REQUIRE(fd >= 0);
    ::close(fd);
    std::ofstream{script}
        << "#!/bin/sh\n[ $(id -u) = 0 ] || { echo 'bwrap: No permissions' >&2; exit 1; }\nexec /usr/bin/bwrap \"$@\"\n";
    REQUIRE(::chmod(script.c_str(), 0755) == 0);
    wanted.kind = "bubblewrap";
    wanted.bubblewrap_path = script;
    const auto chosen = on_loop(jail::choose(wanted));
    ::unlink(script.c_str());
    REQUIRE(chosen.has_value());
    CHECK_FALSE((*chosen)->uids());
    CHECK(std::ranges::count((*chosen)->walls(), "unprivileged uid outside") == 0);
    CHECK(std::ranges::count((*chosen)->walls(), "process limit") == 0);
    REQUIRE((*chosen)->warnings().size() == 1);
    CHECK((*chosen)->warnings()[0].find("bwrap: No permissions") != std::string::npos);
}

#endif
