// Jobs and cgroups, with the files of a real kernel. Each test has a cgroup of its own at the top of the
// hierarchy, which stands for the one that systemd would delegate, and a server in it.
#include "process/cgroup.hpp"

#include "support/eventually.hpp"
#include "support/http_client.hpp"
#include "support/on_loop.hpp"
#include "support/proc.hpp"
#include "support/server_process.hpp"
#include "support/temporary_directory.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace sandboxd;
using namespace sandboxd::test;
namespace fs = std::filesystem;
namespace json = boost::json;

namespace {

constexpr uid_t ordinary_user = 1000;
constexpr std::size_t mib = 1 << 20;

bool write_text(const fs::path& file, std::string_view text)
{
    std::ofstream out{file};
    out << text;
    return static_cast<bool>(out.flush());
}

// A cgroup; on destruction what is in it is killed, and it is removed with all below it.
class cgroup {
public:
    explicit cgroup(fs::path path) : path_{std::move(path)} { fs::create_directory(path_); }
    ~cgroup()
    {
        write("cgroup.kill", "1");
        std::vector<fs::path> below;
        std::error_code gone;
        for (const auto& entry : fs::directory_iterator{path_, gone})
            if (entry.is_directory()) below.push_back(entry.path());
        below.push_back(path_);
        eventually([&] {
            for (const auto& one : below) ::rmdir(one.c_str());
            return !fs::exists(path_);
        });
    }
    cgroup(const cgroup&) = delete;
    cgroup& operator=(const cgroup&) = delete;

    const fs::path& path() const { return path_; }
    std::string read(const std::string& file) const { return text_of(path_ / file); }
    bool write(const std::string& file, std::string_view text) const { return write_text(path_ / file, text); }

    // The cgroups of jobs in it.
    std::vector<std::string> jobs() const
    {
        std::vector<std::string> found;
        for (const auto& name : names_in(path_))
            if (name.starts_with("job-")) found.push_back(name);
        return found;
    }

private:
    fs::path path_;
};

cgroup delegated() { return cgroup{"/sys/fs/cgroup/sandboxd"}; }

// A process in a cgroup, with so much memory.
class inhabitant {
public:
    explicit inhabitant(const fs::path& where, std::size_t mebibytes = 0) : pid_{::fork()}
    {
        if (pid_ == 0) {
            if (!write_text(where / "cgroup.procs", "0")) ::_exit(1);
            const std::string memory(mebibytes * mib, 'm');
            ::raise(SIGSTOP);
            ::_exit(0);
        }
        int status = 0;
        ::waitpid(pid_, &status, WUNTRACED);
        if (!WIFSTOPPED(status)) throw std::runtime_error("nobody can be in " + where.native());
    }
    ~inhabitant() { end(); }
    inhabitant(const inhabitant&) = delete;
    inhabitant& operator=(const inhabitant&) = delete;

    void end()
    {
        if (pid_ < 0) return;
        ::kill(pid_, SIGKILL);
        wait();
    }
    // Until somebody has killed it; by which signal.
    int wait()
    {
        int status = 0;
        ::waitpid(std::exchange(pid_, -1), &status, 0);
        return WTERMSIG(status);
    }

private:
    pid_t pid_;
};

std::string config_with(const std::string& members)
{
    return R"("toolchain": {"emcc": "/toolchain/emcc", "mounts": ["/toolchain"]})" +
           (members.empty() ? "" : ", " + members);
}

server_options in(const cgroup& group, const std::string& members = {})
{
    return {.config = config_with(members), .env = {{"VM_CGROUP", group.path().native()}}};
}

json::object source(const std::string& what)
{
    return {{"code", "//! " + what + "\nint main(void) { return 0; }\n"}, {"cache", false}};
}

json::object compile(const server_process& server, const std::string& what)
{
    http_client client{server};
    const auto answer = client.post("/compile", source(what));
    UNSCOPED_INFO(what << ": " << answer.status << " " << answer.body);
    return answer.json().as_object();
}

std::string code_of(const json::object& answer)
{
    return answer.at("ok").as_bool() ? "ok" : std::string{answer.at("code").as_string()};
}

std::uint64_t used(const json::object& answer, std::string_view figure)
{
    const auto* usage = answer.if_contains("usage");
    return usage ? usage->at(figure).to_number<std::uint64_t>() : 0;
}

// The cgroup of the one job that is running, once its processes are in it.
fs::path running_job(const cgroup& group)
{
    fs::path job;
    const bool there = eventually([&] {
        const auto jobs = group.jobs();
        if (jobs.size() != 1) return false;
        job = group.path() / jobs.front();
        return !text_of(job / "cgroup.procs").empty();
    });
    REQUIRE(there);
    return job;
}

std::vector<pid_t> compilers() { return processes_with("/toolchain/"); }

bool compiling()
{
    return eventually([] { return !compilers().empty(); });
}

// No process and no cgroup of a job.
bool nothing_left(const cgroup& group) { return compilers().empty() && group.jobs().empty(); }

std::string cgroup_of(const server_process& server)
{
    return text_of("/proc/" + std::to_string(server.pid()) + "/cgroup");
}

std::string walls(const server_process& server)
{
    http_client client{server};
    return json::serialize(client.get("/readyz").json().at("walls"));
}

bool names_cgroups(const std::string& walls) { return walls.find("(cgroup)") != std::string::npos; }

std::string with_jail(const char* jail) { return std::string{"\"jail\": \""} + jail + "\""; }

}  // namespace

TEST_CASE("the server moves into a leaf and divides its cgroup")
{
    const auto group = delegated();
    const server_process server{in(group)};
    CHECK(cgroup_of(server) == "0::/sandboxd/server\n");
    CHECK(group.read("cgroup.subtree_control") == "cpu memory pids\n");
    CHECK(names_cgroups(walls(server)));
    CHECK(nothing_left(group));
}

TEST_CASE("a running job has the configured limits")
{
    const auto group = delegated();
    const server_process server{in(group, R"("jobLimits": {"memoryMB": 64, "processes": 40, "cpuPercent": 50})")};
    http_client client{server};
    client.start_post("/compile", source("wait"));
    const auto job = running_job(group);
    CHECK(text_of(job / "memory.max") == "67108864\n");
    CHECK(text_of(job / "memory.swap.max") == "0\n");
    CHECK(text_of(job / "memory.oom.group") == "1\n");
    CHECK(text_of(job / "pids.max") == "40\n");
    CHECK(text_of(job / "cpu.max") == "50000 100000\n");
}

TEST_CASE("a job that needs too much memory as a whole ends with memory_limit")
{
    const auto jail = GENERATE("namespaces", "bubblewrap", "none");
    CAPTURE(jail);
    const auto group = delegated();
    const server_process server{in(group, with_jail(jail) + R"(, "jobLimits": {"memoryMB": 64})")};
    // Each of them stays below what one process may have.
    const auto answer = compile(server, "crowd 6 24");
    CHECK(code_of(answer) == "memory_limit");
    CHECK(used(answer, "oomKills") > 0);
    CHECK(used(answer, "memoryPeakBytes") > 32 * mib);
    CHECK(used(answer, "memoryPeakBytes") <= 64 * mib);
    CHECK(server.metric("sandboxd_job_oom_kills_total") > 0);
    CHECK(server.metric(R"(sandboxd_jail_kills_total{cause="memory_limit"})") == 1);
    CHECK(nothing_left(group));
    const auto next = compile(server, "touch 24");
    CHECK(code_of(next) == "ok");
    CHECK(used(next, "oomKills") == 0);
}

TEST_CASE("when the server's own cgroup has no memory left, a job dies and not the server")
{
    const auto group = delegated();
    REQUIRE(group.write("memory.max", std::to_string(200 * mib)));
    const server_process server{in(group, R"("jobLimits": {"memoryMB": 1024})")};
    // Each of them is smaller than the server.
    CHECK(code_of(compile(server, "cling crowd 100 4")) == "memory_limit");
    CHECK(code_of(compile(server, "touch 1")) == "ok");
}

TEST_CASE("the number of processes is limited for the whole job")
{
    const auto group = delegated();
    // Without a jail there is no other such limit.
    const server_process server{in(group, with_jail("none") + R"(, "jobLimits": {"processes": 20})")};
    const auto answer = compile(server, "forks");
    CHECK(code_of(answer) == "ok");
    CHECK(answer.at("log").as_string() == "processes 20 EAGAIN\n");
    CHECK(nothing_left(group));
}

TEST_CASE("a job's cgroup is killed as a whole, strangers too, and removed")
{
    const auto group = delegated();
    REQUIRE(group.write("cgroup.subtree_control", "+memory +pids"));
    const process::cgroup_tree tree{group.path()};
    auto job = tree.create("1", {.memory_bytes = 64 * mib});
    REQUIRE(job.has_value());
    inhabitant stranger{group.path() / "job-1", 16};
    SECTION("at its end")
    {
        const auto peak = on_loop([](process::job_cgroup ended) -> boost::asio::awaitable<std::uint64_t> {
            const auto used = ended.usage();
            co_await ended.remove();
            co_return used.memory_peak_bytes;
        }(std::move(*job)));
        CHECK(peak > 16 * mib);
        CHECK(group.jobs().empty());
    }
    SECTION("when it is dropped") { const auto dropped = std::move(*job); }
    CHECK(stranger.wait() == SIGKILL);
}

TEST_CASE("nothing is left of a job, however it ends")
{
    const auto jail = GENERATE("namespaces", "bubblewrap", "none");
    CAPTURE(jail);
    const auto group = delegated();
    const server_process server{in(group, with_jail(jail) + R"(, "compileTimeoutSecs": 10)")};
    SECTION("by its deadline")
    {
        CHECK(code_of(compile(server, "daemons 3 wait")) == "timeout");
        CHECK(nothing_left(group));
    }
    SECTION("by its client's leaving")
    {
        {
            http_client client{server};
            client.start_post("/compile", source("daemons 3 wait"));
            running_job(group);
            REQUIRE(compiling());
        }
        CHECK(eventually([&] { return nothing_left(group); }));
    }
    SECTION("by itself, twenty times")
    {
        for (int i = 0; i < 20; ++i) CHECK(code_of(compile(server, "daemons 1")) == "ok");
        CHECK(nothing_left(group));
    }
    CHECK(server.log().find("cgroup=") == std::string::npos);  // which one could not be killed, or removed
}

TEST_CASE("the answer says what the job used")
{
    const auto group = delegated();
    const server_process server{in(group)};
    const auto answer = compile(server, "touch 20 spin 300");
    CHECK(used(answer, "memoryPeakBytes") > 20 * mib);
    CHECK(used(answer, "memoryPeakBytes") < 100 * mib);
    CHECK(used(answer, "cpuMs") >= 300);
    CHECK(server.metric("sandboxd_job_cpu_seconds_total") >= 0.3);
}

TEST_CASE("jobs wait for memory of the server's cgroup")
{
    const auto group = delegated();
    REQUIRE(group.write("memory.max", std::to_string(256 * mib)));
    const server_process server{in(group, R"("enableResourceGating": true, "jobMemoryEstimateMB": 100,
                                             "cgroupV2Root": ")" +
                                              group.path().native() + "\"")};
    CHECK(server.metric("sandboxd_memory_max_bytes") == 256 * mib);
    const cgroup beside{group.path() / "beside"};
    inhabitant big{beside.path(), 180};
    CHECK(server.metric("sandboxd_memory_current_bytes") > 180 * mib);
    http_client client{server};
    client.start_post("/compile", source("spin 1"));
    REQUIRE(eventually([&] { return server.metric("sandboxd_jobs_queued") == 1; }));
    CHECK_FALSE(client.closed_within(std::chrono::seconds{1}));
    CHECK(server.metric("sandboxd_jobs_queued") == 1);
    CHECK(group.jobs().empty());
    big.end();
    CHECK(client.receive().json().at("ok").as_bool());

    const inhabitant again{beside.path(), 180};
    REQUIRE(group.write("memory.max", "max"));
    CHECK(code_of(compile(server, "spin 1")) == "ok");
    CHECK(server.logs("memory gating is off"));
}

TEST_CASE("jobs die with a killed server, and the next one clears up")
{
    const temporary_directory work;
    const auto group = delegated();
    auto how = in(group);
    how.working_dir = work.path();
    {
        server_process server{how};
        http_client client{server};
        client.start_post("/compile", source("daemons 2 wait"));
        running_job(group);
        REQUIRE(compiling());
        server.signal(SIGKILL);
        server.wait();
    }
    CHECK(eventually([] { return compilers().empty(); }));
    CHECK(group.jobs().size() == 1);
    // As if a process of it had not died.
    const auto left = group.path() / "job-left";
    fs::create_directory(left);
    const inhabitant survivor{left};

    // The cgroup is divided: nobody can be put into it any more, only into the leaf.
    how.env = {{"VM_CGROUP", group.path() / "server"}};
    const server_process next{how};
    CHECK(group.jobs().empty());
    CHECK(code_of(compile(next, "touch 1")) == "ok");
    CHECK(nothing_left(group));
}

namespace {

// How a server ends that must not start here.
run_result refused(const cgroup& group, const std::string& uid)
{
    const temporary_directory own;
    std::ofstream{own / "config.json"} << "{" << config_with(R"("perJobCgroup": "on")") << "}";
    fs::create_directory(own / "work");
    fs::permissions(own / "work", fs::perms::all);
    auto ran = run_sandboxd({"--config", own / "config.json", "--addr", "127.0.0.1:0", "--working-dir", own / "work"},
                            {{"VM_CGROUP", group.path()}, {"VM_UID", uid}});
    INFO(ran.err);
    CHECK(ran.end.exited);
    CHECK(ran.end.code == 2);
    CHECK(ran.err.find("perJobCgroup: ") != std::string::npos);
    CHECK(ran.err.find("Delegate=yes") != std::string::npos);
    CHECK_FALSE(fs::exists(group.path() / "server"));
    return ran;
}

}  // namespace

TEST_CASE("perJobCgroup \"on\" is refused among other processes")
{
    const auto group = delegated();
    const inhabitant other{group.path()};
    CHECK(refused(group, "0").err.find("cgroup.subtree_control: Device or resource busy") != std::string::npos);
}

TEST_CASE("perJobCgroup \"on\" is refused in a cgroup that belongs to another user")
{
    const auto group = delegated();
    const auto uid = std::to_string(ordinary_user);
    CHECK(refused(group, uid).err.find("/sandboxd/server: Permission denied") != std::string::npos);
}

TEST_CASE("the root of the cgroups is divided only when that is asked for")
{
    const fs::path root = "/sys/fs/cgroup";
    {
        const server_process server{{.config = config_with(""), .env = {{"VM_CGROUP", root}}}};
        CHECK(cgroup_of(server) == "0::/\n");
        CHECK_FALSE(names_cgroups(walls(server)));
    }
    const cgroup leaf{root / "server"};
    const server_process server{{.config = config_with(R"("perJobCgroup": "on")"), .env = {{"VM_CGROUP", root}}}};
    CHECK(cgroup_of(server) == "0::/server\n");
    CHECK(names_cgroups(walls(server)));
    CHECK(used(compile(server, "touch 20"), "memoryPeakBytes") > 20 * mib);
}

TEST_CASE("perJobCgroup \"auto\" does without cgroups among other processes")
{
    const auto group = delegated();
    const inhabitant other{group.path()};
    const server_process server{in(group)};
    CHECK(cgroup_of(server) == "0::/sandboxd\n");
    CHECK_FALSE(names_cgroups(walls(server)));
    CHECK(server.logs("jobs have no cgroups"));
    const auto answer = compile(server, "touch 1");
    CHECK(code_of(answer) == "ok");
    CHECK_FALSE(answer.contains("usage"));
}

TEST_CASE("an ordinary user has cgroups for jobs in a delegated cgroup")
{
    const auto group = delegated();
    const temporary_directory work;
    // What systemd gives away with Delegate= and User=.
    for (const auto& path : {group.path(), group.path() / "cgroup.procs", group.path() / "cgroup.threads",
                             group.path() / "cgroup.subtree_control", work.path()})
        REQUIRE(::chown(path.c_str(), ordinary_user, ordinary_user) == 0);
    auto how = in(group, R"("perJobCgroup": "on", "jobLimits": {"memoryMB": 64})");
    how.env.emplace_back("VM_UID", std::to_string(ordinary_user));
    how.working_dir = work.path();
    const server_process server{how};
    CHECK(names_cgroups(walls(server)));
    CHECK(code_of(compile(server, "crowd 6 24")) == "memory_limit");
    CHECK(used(compile(server, "daemons 1 touch 20"), "memoryPeakBytes") > 20 * mib);
    // Here a job may cling, but for the jail's process around it, and with that all of the job goes.
    REQUIRE(group.write("memory.max", std::to_string(60 * mib)));
    CHECK(code_of(compile(server, "cling crowd 15 4")) == "memory_limit");
    CHECK(nothing_left(group));
}
