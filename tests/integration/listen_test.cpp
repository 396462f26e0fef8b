// Where the server listens: every form of `addr`, the ready line, and Unix sockets.
#include "support/command_output.hpp"
#include "support/http_client.hpp"
#include "support/server_process.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <grp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

using namespace sandboxd::test;
namespace fs = std::filesystem;

namespace {

bool ipv6_works()
{
    const int fd = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in6 here{};
    here.sin6_family = AF_INET6;
    here.sin6_addr = in6addr_loopback;
    const bool works = fd >= 0 && ::bind(fd, reinterpret_cast<const sockaddr*>(&here), sizeof here) == 0;
    if (fd >= 0) ::close(fd);
    return works;
}

bool socket_at(const fs::path& path) { return fs::is_socket(fs::symlink_status(path)); }

server_options listening_on(std::string addr)
{
    return {.config = no_toolchain, .addr = std::move(addr), .wait_ready = false};
}

run_result try_on(const std::string& addr, const fs::path& working_dir)
{
    return run_sandboxd({"--addr", addr, "--working-dir", working_dir});
}

}  // namespace

TEST_CASE("port 0 becomes the real port in the ready line", "[listen]")
{
    // What is listened on, not where a client on this machine finds it: an operator must see that it is everywhere.
    const std::pair<const char*, const char*> rows[] = {{":0", "http://[::]:"},
                                                        {"127.0.0.1:0", "http://127.0.0.1:"},
                                                        {"localhost:0", "http://127.0.0.1:"},
                                                        {"0.0.0.0:0", "http://0.0.0.0:"}};
    for (const auto& [addr, bound] : rows) {
        INFO(addr);
        server_process server{listening_on(addr)};
        CHECK(server.url() == bound + std::to_string(server.port()));
        CHECK(server.port() != 0);
        http_client client{server};
        CHECK(client.get("/healthz").body == "ok");
        CHECK(server.stop().code == 0);
    }
}

TEST_CASE("an IPv6 address in brackets", "[listen]")
{
    if (!ipv6_works()) SKIP("this machine has no IPv6 loopback address");
    server_process server{listening_on("[::1]:0")};
    CHECK(server.url() == "http://[::1]:" + std::to_string(server.port()));
    CHECK(output_of("curl -sg --max-time 60 " + server.url() + "/healthz").out == "ok");
    CHECK(server.stop().code == 0);

    // Without a host it is both families.
    server_process both{listening_on(":0")};
    CHECK(output_of("curl -sg --max-time 60 http://[::1]:" + std::to_string(both.port()) + "/healthz").out == "ok");
}

TEST_CASE("a Unix socket", "[listen]")
{
    const temporary_directory own;
    const auto path = own / "sandboxd.socket";
    const auto addr = "unix:" + path.native();
    {
        server_process server{listening_on(addr)};
        CHECK(server.url() == addr);
        CHECK(socket_at(path));
        http_client client{server};
        CHECK(client.get("/healthz").body == "ok");
        CHECK(output_of("curl -s --max-time 60 --unix-socket " + path.native() + " http://any/healthz").out == "ok");

        // Somebody answers there: the socket is left alone.
        const auto second = try_on(addr, own / "second");
        CHECK(second.end.code == 2);
        CHECK(second.err.find("--addr: cannot listen on " + path.native() + ": another server answers there") !=
              std::string::npos);
        CHECK(client.get("/healthz").body == "ok");

        CHECK(server.stop().code == 0);
        CHECK_FALSE(fs::exists(fs::symlink_status(path)));
    }
    {
        server_process killed{listening_on(addr)};
        killed.signal(SIGKILL);
        killed.wait();
        CHECK(socket_at(path));
    }
    // A stale socket file is replaced.
    server_process after{listening_on(addr)};
    http_client client{after};
    CHECK(client.get("/healthz").body == "ok");
}

TEST_CASE("a file where the Unix socket should be is not touched", "[listen]")
{
    const temporary_directory own;
    std::ofstream{own / "file"} << "precious";
    const auto refused = try_on("unix:" + (own / "file").native(), own / "work");
    CHECK(refused.end.code == 2);
    CHECK(refused.err.find("the path exists and is not a socket") != std::string::npos);
    CHECK(fs::file_size(own / "file") == 8);

    const auto nowhere = try_on("unix:" + (own / "missing/socket").native(), own / "work");
    CHECK(nowhere.end.code == 2);
    CHECK(nowhere.err.find("missing/socket: No such file or directory") != std::string::npos);

    const auto long_path = try_on("unix:/" + std::string(200, 'x'), own / "work");
    CHECK(long_path.end.code == 2);
    CHECK(long_path.err.find("too long for a Unix socket") != std::string::npos);
}

TEST_CASE("who may connect to the Unix socket is what the keys say, whatever the umask is", "[listen]")
{
    const temporary_directory own;
    const auto path = own / "http.socket";
    const auto mode = [&path] {
        struct stat seen{};
        REQUIRE(::lstat(path.c_str(), &seen) == 0);
        return std::pair{seen.st_mode & 07777, seen.st_gid};
    };
    const auto started = [&path](const std::string& keys) {
        return server_options{.config = std::string{no_toolchain} + ", \"http\": {" + keys + "}",
                              .addr = "unix:" + path.native(),
                              .wait_ready = false};
    };
    const auto before = ::umask(0);
    {
        server_process server{started("")};
        CHECK(mode().first == 0660);
    }
    {
        server_process server{started(R"("unixSocketMode": "0600")")};
        CHECK(mode().first == 0600);
    }
    ::umask(0077);
    {
        server_process server{started(R"("unixSocketMode": "0666")")};
        CHECK(mode().first == 0666);
    }
    ::umask(before);
    const auto* const group = ::getgrnam("nogroup");
    if (::geteuid() == 0 && group) {
        const auto wanted = group->gr_gid;
        server_process server{started(R"("unixSocketGroup": "nogroup")")};
        CHECK(mode() == std::pair{mode_t{0660}, wanted});
    }
    std::ofstream{own / "config.json"} << R"({"http": {"unixSocketGroup": "no-such-group"}})";
    const auto refused = run_sandboxd(
        {"--config", own / "config.json", "--addr", "unix:" + (own / "other").native(), "--working-dir", own / "work"});
    CHECK(refused.end.code == 2);
    CHECK(refused.err.find("http.unixSocketGroup: there is no group 'no-such-group'") != std::string::npos);
}
