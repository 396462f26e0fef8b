// Starting, stopping, and being killed: what runs is finished or named, and nothing is left.
#include "support/eventually.hpp"
#include "support/held_toolchain.hpp"
#include "support/http_client.hpp"
#include "support/proc.hpp"
#include "support/server_process.hpp"
#include "support/server_start.hpp"
#include "support/slow_source.hpp"
#include "support/temporary_directory.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <sys/mount.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

using namespace sandboxd::test;
namespace fs = std::filesystem;
namespace json = boost::json;

namespace {

json::object program(int salt) { return {{"code", "int main(void) { return " + std::to_string(salt) + "; }\n"}}; }

std::string code_of(const http_answer& answer) { return std::string{answer.json().at("code").as_string()}; }

bool refuses_connections(const server_process& server)
{
    return eventually([&] {
        try {
            http_client client{server};
            return false;
        } catch (const std::exception&) {
            return true;
        }
    });
}

std::string threads_of(pid_t pid)
{
    const auto status = text_of("/proc/" + std::to_string(pid) + "/status");
    const auto at = status.find("\nThreads:");
    const auto end = status.find('\n', at + 1);
    return at == std::string::npos ? std::string{} : status.substr(at + 1, end - at - 1);
}

}  // namespace

TEST_CASE("a signal ends a start with exit code 0, whenever it comes, and no socket stays", "[lifecycle]")
{
    const temporary_directory own;
    const auto socket = own / "socket";
    const std::vector<std::string> arguments{"--addr", "unix:" + socket.native(), "--working-dir", own / "work"};
    for (const int number : {SIGTERM, SIGINT, SIGQUIT}) {
        for (int round = 0; round < 4; ++round) {
            CAPTURE(number, round);
            server_start server{arguments};
            REQUIRE(eventually([&] { return server.is_ready_for_signals(); }));
            if (round % 2 == 1) REQUIRE(eventually([&] { return fs::exists(socket); }));
            server.signal(number);
            const auto end = server.wait();
            CHECK(end.exited);
            CHECK(end.code == 0);
            CHECK_FALSE(fs::exists(socket));
        }
    }
}

TEST_CASE("a signal ends a start that waits for its jail", "[lifecycle]")
{
    const temporary_directory own;
    const auto socket = own / "socket";
    // It never comes to an end.
    std::ofstream{own / "bwrap"} << "#!/bin/sh\n: > " << (own / "asked").native() << "\nexec sleep 1000\n";
    fs::permissions(own / "bwrap", fs::perms::owner_all);
    std::ofstream{own / "config.json"} << R"({"jail": "bubblewrap", "bubblewrapPath": ")" << (own / "bwrap").native()
                                       << "\"}";
    server_start server{
        {"--config", own / "config.json", "--addr", "unix:" + socket.native(), "--working-dir", own / "work"}};
    REQUIRE(eventually([&] { return fs::exists(own / "asked"); }));
    CHECK(fs::exists(socket));
    server.signal(SIGTERM);
    const auto end = server.wait();
    CHECK(end.exited);
    CHECK(end.code == 0);
    CHECK_FALSE(fs::exists(socket));
}

TEST_CASE("signals without a meaning do not end a start", "[lifecycle]")
{
    const temporary_directory own;
    const auto socket = own / "socket";
    server_start server{{"--addr", "unix:" + socket.native(), "--working-dir", own / "work"}};
    REQUIRE(eventually([&] { return server.is_ready_for_signals(); }));
    for (const int number : {SIGHUP, SIGUSR1, SIGUSR2}) server.signal(number);
    REQUIRE(eventually([&] { return fs::exists(socket); }));
    for (const int number : {SIGHUP, SIGUSR1, SIGUSR2}) server.signal(number);
    server.signal(SIGTERM);
    const auto end = server.wait();
    CHECK(end.exited);
    CHECK(end.code == 0);
    CHECK_FALSE(fs::exists(socket));
}

TEST_CASE("SIGTERM, SIGINT and SIGQUIT end an idle server at once, with exit code 0", "[lifecycle]")
{
    for (const int number : {SIGTERM, SIGINT, SIGQUIT}) {
        server_process server;
        http_client idle{server};
        CHECK(idle.get("/healthz").body == "ok");
        server.signal(number);
        const auto end = server.wait();
        CHECK(end.exited);
        CHECK(end.code == 0);
        CHECK(idle.closed());
        CHECK(server.log().find("shutting down signal=" + std::to_string(number)) != std::string::npos);
        CHECK(server.log().find("stopped") != std::string::npos);
        CHECK(server.job_directories().empty());
        CHECK(server.job_processes().empty());
    }
}

TEST_CASE("SIGTERM while the probe runs", "[lifecycle]")
{
    const held_toolchain tools;
    tools.hold();
    server_process server{{.config = tools.config(), .wait_ready = false}};
    REQUIRE(eventually([&] { return !server.job_processes().empty(); }));
    CHECK(server.stop().code == 0);
    CHECK(server.job_directories().empty());
    CHECK(server.job_processes().empty());
}

TEST_CASE("what runs at SIGTERM is finished, what comes is refused", "[lifecycle]")
{
    const held_toolchain tools;
    server_process server{{.config = tools.config()}};
    tools.hold();
    http_client working{server};
    working.start_post("/compile", program(1));
    // Two that are in the middle of a request keep their connections.
    http_client asking{server};
    http_client late{server};
    const std::string body = json::serialize(program(2));
    late.send("POST /compile HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
              std::to_string(body.size()) + "\r\n\r\n");
    REQUIRE(eventually([&] { return server.metric("sandboxd_http_requests_active") == 3; }));  // with the one that asks
    asking.send("GET /readyz HTTP/1.1\r\nHost: localhost\r\n");
    REQUIRE(eventually([&] { return !server.job_processes().empty(); }));

    server.signal(SIGTERM);
    REQUIRE(refuses_connections(server));
    asking.send("\r\n");
    const auto unready = asking.receive();
    CHECK(unready.status == 503);
    CHECK(unready.json().at("reasons").at(0).as_string() == "draining");
    CHECK(unready.field("connection") == "close");
    late.send(body);
    const auto refused = late.receive();
    CHECK(refused.status == 503);
    CHECK(code_of(refused) == "draining");
    CHECK(refused.field("retry-after") == "1");

    tools.release();
    const auto done = working.receive();
    CHECK(done.status == 200);
    CHECK(done.json().at("ok").as_bool());
    CHECK(done.field("connection") == "close");
    const auto end = server.wait();
    CHECK(end.exited);
    CHECK(end.code == 0);
    CHECK(server.job_directories().empty());
    CHECK(server.job_processes().empty());
}

TEST_CASE("after the grace, jobs are killed and their clients told", "[lifecycle]")
{
    const held_toolchain tools;
    server_process server{{.config = R"("shutdownGraceSecs": 1, "maxConcurrentJobs": 2, )" + tools.config()}};
    tools.hold();
    std::vector<std::unique_ptr<http_client>> clients;  // two run, one waits
    for (int i = 0; i < 3; ++i) {
        clients.push_back(std::make_unique<http_client>(server));
        clients.back()->start_post("/compile", program(i));
    }
    REQUIRE(eventually([&] { return server.metric("sandboxd_jobs_queued") == 1; }));
    REQUIRE(eventually([&] { return !server.job_processes().empty(); }));
    server.signal(SIGTERM);
    for (auto& client : clients) {
        const auto answer = client->receive();
        CHECK(answer.status == 503);
        CHECK(code_of(answer) == "draining");
        CHECK(answer.json().at("id").as_string().empty());
    }
    const auto end = server.wait();
    CHECK(end.exited);
    CHECK(end.code == 0);
    CHECK(server.job_directories().empty());
    CHECK(server.job_processes().empty());
}

TEST_CASE("a second signal ends the server at once", "[lifecycle]")
{
    const held_toolchain tools;
    server_process server{{.config = tools.config()}};
    tools.hold();
    http_client client{server};
    client.start_post("/compile", program(1));
    REQUIRE(eventually([&] { return !server.job_processes().empty(); }));
    server.signal(SIGTERM);
    REQUIRE(server.logs("shutting down"));
    server.signal(SIGINT);
    const auto end = server.wait();
    CHECK(end.exited);
    CHECK(end.code == 128 + SIGINT);
    CHECK(eventually([&] { return server.job_processes().empty(); }));
}

TEST_CASE("a signal that is repeated at once is one", "[lifecycle]")
{
    const held_toolchain tools;
    server_process server{{.config = tools.config()}};
    tools.hold();
    http_client client{server};
    client.start_post("/compile", program(1));
    REQUIRE(eventually([&] { return !server.job_processes().empty(); }));
    server.signal(SIGTERM);
    server.signal(SIGTERM);
    REQUIRE(server.logs("shutting down"));
    tools.release();
    CHECK(client.receive().status == 200);
    const auto end = server.wait();
    CHECK(end.exited);
    CHECK(end.code == 0);
}

TEST_CASE("signals without a meaning do not end the server", "[lifecycle]")
{
    server_process server{{.config = no_toolchain, .wait_ready = false}};
    http_client client{server};
    for (const int number : {SIGHUP, SIGUSR1, SIGUSR2}) {
        server.signal(number);
        CHECK(server.logs("restart the server instead signal=" + std::to_string(number)));
        CHECK(client.get("/healthz").status == 200);
    }
    CHECK(server.stop().code == 0);
}

TEST_CASE("a server that drains leaves its successor's Unix socket alone", "[lifecycle]")
{
    const temporary_directory own;
    const auto path = own / "http.socket";
    const held_toolchain tools;
    server_process old{{.config = tools.config(), .addr = "unix:" + path.native()}};
    tools.hold();
    http_client client{old};
    client.start_post("/compile", program(1));
    REQUIRE(eventually([&] { return !old.job_processes().empty(); }));
    old.signal(SIGTERM);
    REQUIRE(eventually([&] { return !std::filesystem::exists(path); }));
    server_process successor{{.config = no_toolchain, .addr = "unix:" + path.native(), .wait_ready = false}};
    tools.release();
    CHECK(client.receive().status == 200);
    CHECK(old.wait().code == 0);
    CHECK(http_client{successor}.get("/healthz").status == 200);
    CHECK(successor.stop().code == 0);
    CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("SIGKILL in the middle of eight compiles leaves nothing behind", "[lifecycle]")
{
    const temporary_directory work;
    {
        server_process server{{.config = R"("maxConcurrentJobs": 8)", .working_dir = work.path()}};
        std::vector<std::unique_ptr<http_client>> clients;
        for (int i = 0; i < 8; ++i) {
            clients.push_back(std::make_unique<http_client>(server));
            clients.back()->start_post("/compile", {{"code", slow_source(i)}, {"type", "cpp"}});
        }
        // All jails are built: bubblewrap's own first process does not notice the end before that.
        REQUIRE(eventually([&] {
            const auto processes = server.job_processes();
            const auto compilers = std::count_if(processes.begin(), processes.end(), [](pid_t pid) {
                return text_of("/proc/" + std::to_string(pid) + "/comm").starts_with("clang");
            });
            return server.job_directories().size() == 8 && compilers >= 8 &&
                   server.metric("sandboxd_jobs_running") == 8;
        }));
        CHECK(threads_of(server.pid()) == "Threads:\t1");
        server.signal(SIGKILL);
        CHECK_FALSE(server.wait().exited);
        CHECK(eventually([&] { return server.job_processes().empty(); }));
        CHECK(server.job_directories().size() == 8);
    }
    server_process server{{.working_dir = work.path()}};
    CHECK(eventually([&] {
        return server.log().find("removed job directories of an earlier server count=8") != std::string::npos;
    }));
    CHECK(server.job_directories().empty());
    http_client client{server};
    CHECK(client.post("/compile", program(1)).status == 200);
    CHECK(server.stop().code == 0);
}

TEST_CASE("a second server on the same directories does not start, whatever they are called, and touches nothing",
          "[lifecycle]")
{
    const temporary_directory own;
    const auto work = own / "work";
    fs::create_directory(work);
    fs::create_directory_symlink(work, own / "link");
    const held_toolchain tools;
    server_process server{{.config = tools.config(), .working_dir = work}};
    tools.hold();
    http_client client{server};
    client.start_post("/compile", program(1));
    REQUIRE(eventually([&] { return !server.job_directories().empty(); }));
    // As an earlier server leaves them.
    const auto leftover = work / "jobs/left.0123456789abcdef";
    fs::create_directory(leftover);

    struct row {
        std::string working_dir;
        std::string config;
    };
    std::vector<row> rows{
        {work, "{}"},
        {work.native() + "/./jobs/..", "{}"},
        {own / "link", "{}"},
        {own.path(), R"({"baseDir": "work"})"},
        {own / "other", R"({"jobsDir": ")" + work.native() + R"(/jobs"})"},
        {own / "other", R"({"artifactsDir": ")" + (own / "link/artifacts").native() + R"("})"},
    };
    const auto bound = own / "bound";
    fs::create_directory(bound);
    const bool mounted = ::mount(work.c_str(), bound.c_str(), nullptr, MS_BIND, nullptr) == 0;
    if (mounted)
        rows.push_back({bound, "{}"});
    else
        WARN("left out: the directory under another mount (mounting is not allowed here)");
    for (const auto& one : rows) {
        CAPTURE(one.working_dir, one.config);
        std::ofstream{own / "config.json"} << one.config;
        const auto second =
            run_sandboxd({"--config", own / "config.json", "--working-dir", one.working_dir, "--addr", "127.0.0.1:0"});
        INFO(second.err);
        CHECK(second.end.exited);
        CHECK(second.end.code == 2);
        CHECK(second.err.find("another server") != std::string::npos);
        CHECK(second.err.find("workingDir") != std::string::npos);
        if (one.config.find("Dir\": \"/") == std::string::npos)
            CHECK(second.err.find("process " + std::to_string(server.pid()) + ",") != std::string::npos);
    }
    if (mounted) CHECK(::umount(bound.c_str()) == 0);
    // One that finds its address in use has swept nothing either.
    fs::create_directories(own / "third/jobs/left.0123456789abcdef");
    const auto third = run_sandboxd(
        {"--working-dir", own / "third", "--addr", "127.0.0.1:" + std::to_string(server.port()), "--backend", "auto"});
    INFO(third.err);
    CHECK(third.end.code == 2);
    CHECK(third.err.find("addr") != std::string::npos);
    CHECK(fs::exists(own / "third/jobs/left.0123456789abcdef"));

    CHECK(fs::exists(leftover));
    tools.release();
    CHECK(client.receive().status == 200);
    CHECK(server.stop().code == 0);
    // The lock has gone with it.
    server_process next{{.config = no_toolchain, .working_dir = own / "link", .wait_ready = false}};
    CHECK(eventually([&] { return !fs::exists(leftover); }));
    CHECK(next.stop().code == 0);
}

TEST_CASE("what an earlier server left and cannot be removed is logged, and the server starts", "[lifecycle]")
{
    const temporary_directory work;
    const std::vector<std::string> left{"jobs/left.0123456789abcdef/out", "sandboxes/left.0123456789abcdef/out",
                                        "packages/.work/left.0123456789abcdef/out", "packages/.gone-left/node"};
    std::vector<fs::path> mounts;
    for (const auto& one : left) {
        fs::create_directories(work / one);
        if (::mount("tmpfs", (work / one).c_str(), "tmpfs", 0, nullptr) == 0) mounts.push_back(work / one);
    }
    if (mounts.size() != left.size()) {
        for (const auto& path : mounts) ::umount(path.c_str());
        SKIP("mounting is not allowed here");
    }
    fs::create_directories(work / "jobs/goes.0123456789abcdef/out");
    server_process server{{.config = no_toolchain, .working_dir = work.path(), .wait_ready = false}};
    http_client client{server};
    CHECK(client.get("/healthz").status == 200);
    for (const char* what :
         {"job directories of an earlier server cannot be removed", "sandboxes of an earlier server cannot be removed",
          "installs of an earlier server cannot be removed", "cannot remove packages"}) {
        CAPTURE(what);
        CHECK(eventually([&] { return server.log().find(what) != std::string::npos; }));
    }
    CHECK(eventually([&] { return !fs::exists(work / "jobs/goes.0123456789abcdef"); }));
    CHECK(server.stop().code == 0);
    for (const auto& path : mounts) CHECK(::umount(path.c_str()) == 0);
}

TEST_CASE("one thread, whatever there is to do", "[lifecycle]")
{
    server_process server{{.config = R"("maxConcurrentJobs": 2)"}};
    std::vector<std::unique_ptr<http_client>> clients;
    for (int i = 0; i < 4; ++i) {
        clients.push_back(std::make_unique<http_client>(server));
        clients.back()->start_post("/compile", program(i));
    }
    http_client other{server};
    while (server.metric("sandboxd_jobs_running") > 0) {
        CHECK(other.get("/healthz").body == "ok");
        REQUIRE(threads_of(server.pid()) == "Threads:\t1");
    }
    for (auto& client : clients) {
        const auto answer = client->receive();
        INFO(answer.body);
        CHECK(answer.status == 200);
    }
    CHECK(threads_of(server.pid()) == "Threads:\t1");
}
