// process::run against real children: how they end, what they get, what is left of them.
#include "process/child.hpp"
#include "process/output_sink.hpp"
#include "process/tree.hpp"
#include "support/on_loop.hpp"
#include "support/proc.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

namespace asio = boost::asio;
using namespace sandboxd;
using namespace sandboxd::test;
using process::exited;
using process::signaled;
using process::wait_status;
using namespace std::chrono_literals;

namespace {

// The subreaper role and SIGPIPE, as main does it.
const bool prepared = (process::prepare_this_process(), true);

// MARK in a script is a number of seconds that no other process on the machine sleeps.
process::command shell(std::string script)
{
    for (auto at = script.find("MARK"); at != std::string::npos; at = script.find("MARK"))
        script.replace(at, 4, marker());
    process::command what;
    what.argv = {"/bin/sh", "-c", std::move(script)};
    what.env = {{"PATH", "/usr/bin:/bin"}};
    return what;
}

process::command program(std::vector<std::string> argv)
{
    process::command what;
    what.argv = std::move(argv);
    return what;
}

result<process::outcome> run(process::command what, async::stop_source& stop, process::child_limits limits = {},
                             std::string in = {})
{
    return on_loop(process::run(std::move(what), std::move(in), limits, stop));
}

// Waits without a bound that a slow machine could reach.
void bury_orphans()
{
    asio::io_context loop;
    asio::co_spawn(loop, process::bury_orphans(10min), asio::detached);
    loop.run();
}

process::outcome run(process::command what, process::child_limits limits = {}, std::string in = {})
{
    async::stop_source stop;
    auto ran = run(std::move(what), stop, limits, std::move(in));
    INFO((ran ? std::string{} : ran.error().message));
    REQUIRE(ran.has_value());
    REQUIRE_FALSE(stop.requested());
    return std::move(*ran);
}

struct temporary_directory {
    temporary_directory() { REQUIRE(::mkdtemp(path.data()) != nullptr); }
    ~temporary_directory() { std::system(("rm -rf " + path).c_str()); }
    std::string path = "/tmp/sandboxd-process-XXXXXX";
};

void nothing_left()
{
    CHECK(processes_with(marker()).empty());
    CHECK(children().empty());
}

}  // namespace

TEST_CASE("a child's exit code and signal are told apart", "[process]")
{
    CHECK(run(shell("exit 0")).status == wait_status{exited{0}});
    CHECK(run(shell("exit 9")).status == wait_status{exited{9}});
    CHECK(run(shell("exit 255")).status == wait_status{exited{255}});
    CHECK(run(shell("kill -9 $$")).status == wait_status{signaled{SIGKILL}});
    CHECK(run(shell("kill -15 $$")).status == wait_status{signaled{SIGTERM}});
    CHECK(run(shell("kill -6 $$")).status == wait_status{signaled{SIGABRT}});
    CHECK(children().empty());
}

TEST_CASE("how a process ended is told in words", "[process]")
{
    CHECK(process::describe_end(exited{3}) == "exit 3");
    CHECK(process::describe_end(exited{3}, "exit status") == "exit status 3");
    CHECK(process::describe_end(signaled{SIGKILL}, "exit status") == "signal 9");
}

TEST_CASE("stdout and stderr are captured, apart or in order", "[process]")
{
    const auto apart = run(shell("echo one; echo two >&2; echo three"));
    CHECK(apart.out == "one\nthree\n");
    CHECK(apart.err == "two\n");
    CHECK_FALSE(apart.truncated);

    auto merged_command = shell("echo one; echo two >&2; echo three");
    merged_command.merge_stderr = true;
    const auto merged = run(merged_command);
    CHECK(merged.out == "one\ntwo\nthree\n");
    CHECK(merged.err.empty());
}

TEST_CASE("output may be anything, also invalid UTF-8 and NUL", "[process]")
{
    CHECK(run(shell(R"(printf '\377\376\000\200x')")).out == std::string("\xff\xfe\0\x80x", 5));
}

TEST_CASE("megabytes on both pipes at once do not block", "[process]")
{
    process::child_limits limits;
    limits.output_bytes = 16 << 20;
    const auto seen = run(shell("yes | head -c 3000000 & yes | head -c 3000000 >&2; wait"), limits);
    CHECK(seen.out.size() == 3'000'000);
    CHECK(seen.err.size() == 3'000'000);
    CHECK_FALSE(seen.truncated);
}

TEST_CASE("stdin is the given text or nothing", "[process]")
{
    const std::string text(1 << 20, 'x');
    process::child_limits limits;
    limits.output_bytes = 2 << 20;
    CHECK(run(shell("cat"), limits, text).out == text);
    CHECK(run(shell("cat")).out.empty());
    // A child that does not read it harms nobody.
    CHECK(run(shell("head -c 1"), {}, text).out == "x");
    CHECK(run(shell("exit 3"), {}, text).status == wait_status{exited{3}});
    // Nor can it be changed under another reader.
    CHECK(run(shell("echo y > /proc/self/fd/0 || echo refused"), {}, "x").out == "refused\n");
}

TEST_CASE("the environment is what was said and nothing else", "[process]")
{
    ::setenv("SANDBOXD_TEST_SECRET", "1", 1);
    CHECK(run(program({"/usr/bin/env"})).out.empty());
    auto what = program({"/usr/bin/env"});
    what.env = {{"A", "1"}, {"B", ""}};
    CHECK(run(what).out == "A=1\nB=\n");
}

TEST_CASE("a child inherits no descriptor, not even a listening socket", "[process]")
{
    // Deliberately without CLOEXEC, as Asio makes them.
    const int listening = ::socket(AF_INET, SOCK_STREAM, 0);
    REQUIRE(listening >= 0);
    REQUIRE(::listen(listening, 1) == 0);
    const int high = ::fcntl(listening, F_DUPFD, 200);
    // 3 is the directory that ls reads.
    CHECK(run(program({"/bin/ls", "/proc/self/fd"})).out == "0\n1\n2\n3\n");
    ::close(listening);
    ::close(high);
}

TEST_CASE("named descriptors arrive under their numbers, whatever these were before", "[process]")
{
    int first[2], second[2];
    REQUIRE(::pipe2(first, O_CLOEXEC) == 0);
    REQUIRE(::pipe2(second, O_CLOEXEC) == 0);
    REQUIRE(::write(first[1], "first\n", 6) == 6);
    REQUIRE(::write(second[1], "second\n", 7) == 7);
    // Crossed on purpose: each one's target is the other's source.
    auto what =
        shell("read a <&" + std::to_string(second[0]) + "; read b <&" + std::to_string(first[0]) + "; echo $a $b");
    if (second[0] > 9 || first[0] > 9) SKIP("sh takes one digit only");
    what.pass_fds = {{first[0], second[0]}, {second[0], first[0]}};
    CHECK(run(what).out == "first second\n");
    for (const int fd : {first[0], first[1], second[0], second[1]}) ::close(fd);
}

TEST_CASE("a child starts with default signals and its own session", "[process]")
{
    sigset_t blocked;
    ::sigemptyset(&blocked);
    ::sigaddset(&blocked, SIGUSR1);
    ::sigprocmask(SIG_BLOCK, &blocked, nullptr);
    ::signal(SIGUSR2, SIG_IGN);
    const auto seen = run(shell("cat /proc/self/status; cut -d' ' -f1,5,6 /proc/$$/stat"));
    ::signal(SIGUSR2, SIG_DFL);
    ::sigprocmask(SIG_UNBLOCK, &blocked, nullptr);
    CHECK(seen.out.find("SigBlk:\t0000000000000000") != std::string::npos);
    CHECK(seen.out.find("SigIgn:\t0000000000000000") != std::string::npos);
    CHECK(seen.out.find("NoNewPrivs:\t1") != std::string::npos);
    // pid, process group and session are the same number.
    const std::string stat = seen.out.substr(seen.out.rfind('\n', seen.out.size() - 2) + 1);
    const auto blank = stat.find(' ');
    CHECK(stat == stat.substr(0, blank) + " " + stat.substr(0, blank) + " " + stat.substr(0, blank) + "\n");
}

TEST_CASE("rlimits and the working directory are set", "[process]")
{
    auto what = shell("ulimit -n; ulimit -Hn; ulimit -c; pwd");
    what.rlimits = {{RLIMIT_NOFILE, 77}, {RLIMIT_CORE, 0}};
    what.cwd = "/usr";
    CHECK(run(what).out == "77\n77\n0\n/usr\n");
}

TEST_CASE("what cannot be run is an error that names it and leaves nothing", "[process]")
{
    const temporary_directory directory;
    const auto file = [&](const char* name, const char* content, mode_t mode) {
        const std::string path = directory.path + "/" + name;
        const int fd = ::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, mode);
        REQUIRE(::write(fd, content, strlen(content)) >= 0);
        ::close(fd);
        return path;
    };
    struct row {
        std::string path;
        const char* reason;
    };
    const row rows[] = {
        {"/nonexistent/program", "No such file or directory"},
        {"/usr", "Permission denied"},
        {file("plain", "x", 0644), "Permission denied"},
        {file("script", "#!/nonexistent/interpreter\n", 0755), "No such file or directory"},
        {file("garbage",
              "\x7f"
              "ELF garbage",
              0755),
         "Exec format error"},
    };
    const auto descriptors = open_descriptors();
    for (const auto& [path, reason] : rows) {
        async::stop_source stop;
        const auto ran = run(program({path}), stop);
        REQUIRE_FALSE(ran.has_value());
        CHECK(ran.error().code == errc::unavailable);
        CHECK(ran.error().message == "cannot run " + path + ": " + reason);
        CHECK_FALSE(stop.requested());
        CHECK(children().empty());
    }
    async::stop_source stop;
    auto what = program({"/bin/true"});
    what.cwd = "/nonexistent";
    const auto ran = run(what, stop);
    REQUIRE_FALSE(ran.has_value());
    CHECK(ran.error().message == "cannot run /bin/true: chdir: No such file or directory");
    CHECK(children().empty());
    CHECK(open_descriptors() == descriptors);
}

TEST_CASE("the deadline kills the tree and is the cause", "[process]")
{
    async::stop_source stop;
    process::child_limits limits;
    limits.wall = 50ms;
    const auto ran = run(shell("echo before; sleep MARK & sleep MARK"), stop, limits);
    REQUIRE(ran.has_value());
    CHECK(stop.requested());
    CHECK(stop.cause() == errc::timeout);
    CHECK(ran->status == wait_status{signaled{SIGKILL}});
    CHECK(ran->out == "before\n");
    CHECK(ran->wall >= 50ms);
    nothing_left();
}

TEST_CASE("the output cap cuts, marks and kills", "[process]")
{
    process::child_limits limits;
    limits.output_bytes = 1000;
    SECTION("a flood on stdout")
    {
        async::stop_source stop;
        const auto ran = run(shell("yes MARK"), stop, limits);
        REQUIRE(ran.has_value());
        CHECK(ran->out.size() == 1000);
        CHECK(ran->truncated);
        CHECK(stop.cause() == errc::output_limit);
        nothing_left();
    }
    SECTION("both streams share it")
    {
        async::stop_source stop;
        const auto ran = run(shell("head -c 600 /dev/zero; head -c 600 /dev/zero >&2"), stop, limits);
        REQUIRE(ran.has_value());
        CHECK(ran->out.size() + ran->err.size() == 1000);
        CHECK(ran->truncated);
        CHECK(stop.cause() == errc::output_limit);
    }
    SECTION("it counts what JSON makes of it")
    {
        limits.output_bytes = 100'000;
        async::stop_source stop;
        const auto ran = run(shell("head -c 100000 /dev/zero"), stop, limits);
        REQUIRE(ran.has_value());
        CHECK(ran->out.size() == process::output_sink::json_bytes_of(100'000) / 6);
        CHECK(ran->truncated);
        CHECK(stop.cause() == errc::output_limit);
        // Not against text.
        const auto text =
            run(shell("head -c 50000 /dev/zero | tr '\\0' '\\n'; head -c 50000 /dev/zero | tr '\\0' a"), limits);
        CHECK(text.out.size() == 100'000);
        CHECK_FALSE(text.truncated);
    }
    SECTION("exactly as much is not too much")
    {
        const auto seen = run(shell("head -c 1000 /dev/zero"), limits);
        CHECK(seen.out.size() == 1000);
        CHECK_FALSE(seen.truncated);
    }
}

TEST_CASE("the first cause is the one that counts", "[process]")
{
    asio::io_context loop;
    async::stop_source stop;
    process::child_limits limits;
    limits.wall = 10s;
    bool done = false;
    asio::co_spawn(loop, process::run(shell("sleep MARK"), {}, limits, stop),
                   [&](std::exception_ptr failed, const result<process::outcome>& ran) {
                       CHECK_FALSE(failed);
                       CHECK(ran->status == wait_status{signaled{SIGKILL}});
                       done = true;
                   });
    asio::post(loop, [&] { stop.request(errc::disconnected); });
    asio::post(loop, [&] { stop.request(errc::draining); });
    loop.run();
    CHECK(done);
    CHECK(stop.cause() == errc::disconnected);
    nothing_left();
}

TEST_CASE("a stop before the start starts nothing", "[process]")
{
    const temporary_directory directory;
    async::stop_source stop;
    stop.request(errc::draining);
    const auto ran = run(shell("touch " + directory.path + "/ran"), stop);
    REQUIRE(ran.has_value());
    CHECK(ran->status == wait_status{signaled{SIGKILL}});
    CHECK(names_in(directory.path).empty());
}

TEST_CASE("a stop at any turn of the loop ends the child", "[process]")
{
    for (int turns = 0; turns < 40; ++turns) {
        asio::io_context loop;
        async::stop_source stop;
        bool done = false;
        asio::co_spawn(loop, process::run(shell("sleep MARK & sleep MARK"), {}, {}, stop),
                       [&](std::exception_ptr failed, const result<process::outcome>& ran) {
                           CHECK_FALSE(failed);
                           CHECK(ran->status == wait_status{signaled{SIGKILL}});
                           done = true;
                       });
        for (int turn = 0; turn < turns && loop.poll_one() != 0; ++turn) {
        }
        stop.request(errc::disconnected);
        loop.run();
        REQUIRE(done);
    }
    nothing_left();
}

TEST_CASE("SIGTERM comes first when there is a grace", "[process]")
{
    const char* const waits = "echo ready; while :; do sleep 0.01; done";
    async::stop_source stop;
    process::child_limits limits;
    limits.wall = 100ms;
    SECTION("time to clean up")
    {
        limits.term_grace = 20s;
        const auto ran = run(shell(std::string{"trap 'echo cleaned; exit 3' TERM; "} + waits), stop, limits);
        CHECK(ran->status == wait_status{exited{3}});
        CHECK(ran->out == "ready\ncleaned\n");
    }
    SECTION("but not for ever")
    {
        limits.term_grace = 50ms;
        const auto ran = run(shell(std::string{"trap '' TERM; "} + waits), stop, limits);
        CHECK(ran->status == wait_status{signaled{SIGKILL}});
    }
    CHECK(stop.cause() == errc::timeout);
    CHECK(children().empty());
}

TEST_CASE("survivors of every kind are dead when run returns", "[process]")
{
    const temporary_directory directory;
    const std::string fifo = directory.path + "/up";
    REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    // Each survivor tells through the FIFO that it is up, so the leader never ends too early.
    const std::string up = "echo up > " + fifo;
    const std::string survivor = GENERATE_COPY(
        // in the group
        "sh -c '" + up + "; exec sleep MARK' & read x < " + fifo + "; ",
        // in a session of its own, holding the pipes
        "setsid sh -c '" + up + "; exec sleep MARK' & read x < " + fifo + "; ",
        // double fork into a session of its own, ignoring SIGTERM and SIGHUP
        "(setsid sh -c \"trap '' TERM HUP; " + up + "; exec sleep MARK\" &) ; read x < " + fifo + "; ",
        // a tree: the survivor's own children are in other sessions again
        "setsid sh -c 'setsid sh -c \"setsid sleep MARK & " + up + "; sleep MARK\" & sleep MARK' & read x < " + fifo +
            "; ",
        // without any pipe of ours
        "setsid sh -c '" + up + "; exec sleep MARK' >/dev/null 2>&1 & read x < " + fifo + "; ");
    CAPTURE(survivor);
    SECTION("the leader exits by itself")
    {
        const auto seen = run(shell(survivor + "echo gone; exit 7"));
        CHECK(seen.status == wait_status{exited{7}});
        CHECK(seen.out == "gone\n");
    }
    SECTION("the leader is killed")
    {
        async::stop_source stop;
        process::child_limits limits;
        limits.output_bytes = 4;
        const auto ran = run(shell(survivor + "echo gone; sleep MARK"), stop, limits);
        REQUIRE(ran.has_value());
        CHECK(stop.cause() == errc::output_limit);
    }
    nothing_left();
}

TEST_CASE("burying one run's orphans spares those in the group of another", "[process]")
{
    const temporary_directory directory;
    const auto fifo = [&](const char* name) {
        std::string path = directory.path + "/" + name;
        REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
        return path;
    };
    const std::string up = fifo("up"), go = fifo("go"), done = fifo("done");
    asio::io_context loop;
    async::stop_source stop_long, stop_short;
    process::child_limits limits;
    limits.wall = 10s;
    int ended = 0;
    // The inner subshell is re-parented to us while its job still runs, and goes on when it is told
    // to.
    asio::co_spawn(loop,
                   process::run(shell("( (echo up > " + up + "; read x < " + go + "; echo alive; echo > " + done +
                                      ") & ); read x < " + done + "; echo end"),
                                {}, limits, stop_long),
                   [&](std::exception_ptr failed, const result<process::outcome>& ran) {
                       CHECK_FALSE(failed);
                       REQUIRE(ran.has_value());
                       CHECK(ran->status == wait_status{exited{0}});
                       CHECK(ran->out == "alive\nend\n");
                       ++ended;
                   });
    // Ends, with orphans of its own to bury, when the other's orphan is up; only then that one is
    // told.
    asio::co_spawn(loop, process::run(shell("setsid sleep MARK & read x < " + up + "; exit 4"), {}, limits, stop_short),
                   [&](std::exception_ptr failed, const result<process::outcome>& ran) {
                       CHECK_FALSE(failed);
                       REQUIRE(ran.has_value());
                       CHECK(ran->status == wait_status{exited{4}});
                       ++ended;
                       asio::co_spawn(loop, process::run(shell("echo > " + go), {}, limits, stop_short),
                                      [&](std::exception_ptr, const result<process::outcome>&) { ++ended; });
                   });
    loop.run();
    CHECK(ended == 3);
    nothing_left();
}

TEST_CASE("two hundred at once, each with its own answer, and no descriptor leaks", "[process]")
{
    const auto descriptors = open_descriptors();
    {
        asio::io_context loop;
        async::stop_source stop;
        int ended = 0;
        for (int i = 0; i < 200; ++i)
            asio::co_spawn(
                loop, process::run(shell("echo " + std::to_string(i) + "; exit " + std::to_string(i)), {}, {}, stop),
                [&ended, i](std::exception_ptr failed, const result<process::outcome>& ran) {
                    CHECK_FALSE(failed);
                    REQUIRE(ran.has_value());
                    CHECK(ran->status == wait_status{exited{i}});
                    CHECK(ran->out == std::to_string(i) + "\n");
                    ++ended;
                });
        loop.run();
        CHECK(ended == 200);
    }
    CHECK(open_descriptors() == descriptors);
    CHECK(children().empty());
}

TEST_CASE("running out of descriptors is an error, not an end", "[process]")
{
    struct rlimit before = {};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    for (rlim_t spare = 0; spare < 16; ++spare) {
        asio::io_context loop;
        async::stop_source stop;
        std::optional<result<process::outcome>> ended;
        struct rlimit tight = before;
        tight.rlim_cur = open_descriptors() - 1 + spare;
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &tight) == 0);
        asio::co_spawn(loop, process::run(shell("exit 5"), "text", {}, stop),
                       [&](std::exception_ptr failed, result<process::outcome> ran) {
                           // Asio throws when it cannot make its own descriptors.
                           if (!failed) ended = std::move(ran);
                       });
        try {
            loop.run();
        } catch (const std::exception&) {
        }
        ::setrlimit(RLIMIT_NOFILE, &before);
        if (ended && *ended) CHECK((*ended)->status == wait_status{exited{5}});
        if (ended && !*ended) CHECK((*ended).error().code == errc::internal);
        CHECK(children().empty());
    }
}

TEST_CASE("Asio's cancellation does not tear a run down", "[process]")
{
    asio::io_context loop;
    async::stop_source stop;
    asio::cancellation_signal cancel;
    std::optional<wait_status> status;
    asio::co_spawn(loop, process::run(shell("sleep MARK"), {}, {}, stop),
                   asio::bind_cancellation_slot(cancel.slot(),
                                                [&](std::exception_ptr failed, const result<process::outcome>& ran) {
                                                    CHECK_FALSE(failed);
                                                    REQUIRE(ran.has_value());
                                                    status = ran->status;
                                                }));
    loop.poll();
    cancel.emit(asio::cancellation_type::terminal);
    loop.poll();
    CHECK_FALSE(status);
    CHECK_FALSE(children().empty());
    stop.request(errc::disconnected);
    loop.run();
    CHECK(status == wait_status{signaled{SIGKILL}});
    nothing_left();
}

TEST_CASE("a loop that is destroyed takes its children along", "[process]")
{
    {
        asio::io_context loop;
        static async::stop_source stop;
        asio::co_spawn(loop, process::run(shell("sleep MARK & sleep MARK"), {}, {}, stop), asio::detached);
        loop.poll();
    }
    bury_orphans();
    nothing_left();
}

TEST_CASE("a child dies with its server", "[process]")
{
    int said[2];
    REQUIRE(::pipe2(said, O_CLOEXEC) == 0);
    const pid_t server = ::fork();
    if (server == 0) {
        asio::io_context loop;
        async::stop_source stop;
        // An end of its own after a while, so that a failing test ends too.
        auto what = shell("echo $$ >&5; exec sleep 30");
        what.pass_fds = {{said[1], 5}};
        asio::co_spawn(loop, process::run(what, {}, {}, stop), asio::detached);
        loop.run();
        ::_exit(0);
    }
    ::close(said[1]);
    char text[32] = {};
    REQUIRE(::read(said[0], text, sizeof text - 1) > 0);
    ::close(said[0]);
    const pid_t child = std::atoi(text);
    REQUIRE(::kill(server, SIGKILL) == 0);
    REQUIRE(::waitpid(server, nullptr, 0) == server);
    // We are a subreaper, so the orphan is ours.
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGKILL);
}

TEST_CASE("orphans are killed and reaped", "[process]")
{
    const pid_t stray = ::fork();
    if (stray == 0) {
        ::pause();
        ::_exit(0);
    }
    bury_orphans();
    CHECK(::kill(stray, 0) == -1);
    CHECK(children().empty());
}

TEST_CASE("as root: the child's uid is dropped for good", "[process][root]")
{
    if (::geteuid() != 0) SKIP("needs root");
    auto what = shell("cat /proc/self/status; cat /etc/shadow || echo refused");
    what.run_as = process::identity{61'000, 61'001};
    const auto seen = run(what);
    CHECK(seen.out.find("Uid:\t61000\t61000\t61000\t61000") != std::string::npos);
    CHECK(seen.out.find("Gid:\t61001\t61001\t61001\t61001") != std::string::npos);
    CHECK(seen.out.find("Groups:\t \n") != std::string::npos);
    CHECK(seen.out.find("CapEff:\t0000000000000000") != std::string::npos);
    CHECK(seen.out.find("refused") != std::string::npos);
    // The memory was shared until exec; our own flag is as it was.
    CHECK(::prctl(PR_GET_DUMPABLE) == 1);
}

TEST_CASE("as root: an alias shows a dropped uid what it could not reach", "[process][root]")
{
    if (::geteuid() != 0) SKIP("needs root");
    const temporary_directory directory;  // mkdtemp makes it 0700
    const auto mounts = text_of("/proc/self/mounts");
    REQUIRE(std::system(
                ("mkdir " + directory.path + "/job && echo inside > " + directory.path + "/job/file").c_str()) == 0);
    auto what = shell("cat /mnt/0/file; cat /mnt/1; cat " + directory.path + "/job/file || echo refused");
    what.run_as = process::identity{61'000, 61'000};
    what.aliases = process::alias_mounts{"/mnt", {directory.path + "/job", directory.path + "/job/file"}};
    CHECK(run(what).out == "inside\ninside\nrefused\n");
    // Nothing of it is seen outside.
    CHECK(text_of("/proc/self/mounts") == mounts);

    what.aliases->sources = {"/nonexistent"};
    async::stop_source stop;
    const auto ran = run(what, stop);
    REQUIRE_FALSE(ran.has_value());
    CHECK(ran.error().code == errc::unavailable);
    CHECK(ran.error().message.find("/nonexistent") != std::string::npos);
}

TEST_CASE("processes are counted for each command, not for its uid", "[process]")
{
    auto what = shell("for i in 1 2 3 4 5 6 7 8; do sleep MARK & done; echo all");
    what.own_user_namespace = true;
    if (::geteuid() == 0) what.run_as = process::identity{61'000, 61'000};
    async::stop_source probe_stop;
    if (const auto probe = run(
            [&] {
                auto p = what;
                p.argv = {"/bin/true"};
                return p;
            }(),
            probe_stop);
        !probe)
        SKIP("no user namespaces here: " + probe.error().message);

    asio::io_context loop;
    async::stop_source stop;
    int complete = 0;
    // Together they are many more than one's limit; each one alone is below it.
    what.rlimits = {{RLIMIT_NPROC, 10}};
    for (int i = 0; i < 8; ++i)
        asio::co_spawn(loop, process::run(what, {}, {}, stop),
                       [&](std::exception_ptr failed, const result<process::outcome>& ran) {
                           CHECK_FALSE(failed);
                           REQUIRE(ran.has_value());
                           if (ran->out == "all\n") ++complete;
                       });
    loop.run();
    CHECK(complete == 8);

    what.rlimits = {{RLIMIT_NPROC, 5}};
    async::stop_source tight_stop;
    const auto tight = run(what, tight_stop);
    REQUIRE(tight.has_value());
    CHECK(tight->err.find("fork") != std::string::npos);
    nothing_left();
}

TEST_CASE("a taker gets the output while the child runs", "[process]")
{
    struct collector final : process::output_taker {
        explicit collector(std::string file) : answer{std::move(file)} {}

        asio::awaitable<void> take(process::output_stream which, std::string_view piece) override
        {
            (which == process::output_stream::out ? out : err) += piece;
            // The child goes on only when it has been heard.
            if (out == "question\n") std::ofstream{answer} << "go\n";
            co_return;
        }

        std::string answer;
        std::string out;
        std::string err;
    };
    const temporary_directory directory;
    const std::string fifo = directory.path + "/answer";
    REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    // Open at both ends, so that neither side blocks in open(2).
    const unique_fd held{::open(fifo.c_str(), O_RDWR | O_CLOEXEC)};
    collector taker{fifo};
    async::stop_source stop;
    auto what = shell("echo question; read word < " + fifo + "; echo $word; echo late >&2");
    const auto ran = on_loop(process::run(std::move(what), {}, {}, stop, &taker));
    REQUIRE(ran.has_value());
    CHECK(ran->status == process::wait_status{process::exited{0}});
    CHECK(taker.out == "question\ngo\n");
    CHECK(taker.err == "late\n");
    CHECK(ran->out.empty());
    CHECK(ran->err.empty());

    async::stop_source capped;
    collector short_taker{fifo};
    const auto cut = on_loop(process::run(shell("yes"), {}, {.output_bytes = 1'000}, capped, &short_taker));
    REQUIRE(cut.has_value());
    CHECK(short_taker.out.size() == 1'000);
    CHECK(capped.cause() == errc::output_limit);
    nothing_left();
}
