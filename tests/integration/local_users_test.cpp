// Who else has an account on the machine: they read nothing of what tenants brought and got.
#include "support/eventually.hpp"
#include "support/http_client.hpp"
#include "support/server_process.hpp"
#include "support/temporary_directory.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

using namespace sandboxd::test;
namespace fs = std::filesystem;
namespace json = boost::json;

namespace {

constexpr uid_t nobody = 65'534;

// Everything below, as root sees it.
std::vector<fs::path> all_below(const fs::path& top)
{
    std::vector<fs::path> found;
    std::error_code ec;
    for (fs::recursive_directory_iterator at{top, ec}, end; !ec && at != end; at.increment(ec))
        found.push_back(at->path());
    return found;
}

// Those that nobody can open, for reading, listing or writing.
std::vector<std::string> open_to_nobody(const std::vector<fs::path>& paths)
{
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const auto child = ::fork();
    if (child == 0) {
        ::close(ends[0]);
        if (::setgid(nobody) != 0 || ::setuid(nobody) != 0) ::_exit(1);
        for (const auto& path : paths) {
            bool open = false;
            for (const int how : {O_RDONLY, O_WRONLY}) {
                const int file = ::open(path.c_str(), how | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
                open = open || file >= 0;
                if (file >= 0) ::close(file);
            }
            const auto line = path.native() + "\n";
            if (open && ::write(ends[1], line.data(), line.size()) < 0) ::_exit(1);
        }
        ::_exit(0);
    }
    ::close(ends[1]);
    std::string text;
    char piece[4096];
    for (ssize_t got = 0; (got = ::read(ends[0], piece, sizeof piece)) > 0;)
        text.append(piece, static_cast<std::size_t>(got));
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    REQUIRE(WIFEXITED(status));
    REQUIRE(WEXITSTATUS(status) == 0);
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < text.size();) {
        const auto end = text.find('\n', at);
        lines.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return lines;
}

}  // namespace

TEST_CASE("under umask 000, also over directories found wide open, another user reads nothing of a tenant's", "[modes]")
{
    if (::geteuid() != 0) SKIP("needs root, to be another user");
    const temporary_directory work;
    fs::permissions(work.path(), static_cast<fs::perms>(0755));
    const bool found_wide = GENERATE(false, true);
    CAPTURE(found_wide);
    if (found_wide) {
        for (const char* name : {"jobs", "artifacts", "sandboxes", "deployments", "packages", "containers"}) {
            fs::create_directory(work / name);
            fs::permissions(work / name, fs::perms::all);
        }
    }
    const auto umask = ::umask(0);
    server_process server{{.working_dir = work.path()}};
    ::umask(umask);
    http_client client{server};

    const auto compiled = client.post("/compile", {{"code", "int main(void) { return 0; } /* mine */"}});
    INFO(compiled.body);
    REQUIRE(compiled.status == 200);
    const auto sandbox = client.post("/sandbox", {{"runtime", "node"}, {"code", "console.log('mine')"}});
    INFO(sandbox.body);
    const bool has_node = sandbox.status == 200;
    if (has_node) {
        const auto path = "/sandbox/" + std::string{sandbox.json().at("id").as_string()};
        const auto ran = client.request("POST", path + "/execute", {}, {});
        INFO(ran.body);
        CHECK(ran.json().at("success").as_bool());
        const auto deployed =
            client.post("/faas/deploy",
                        {{"runtime", "node"},
                         {"code", "require('http').createServer((q, r) => r.end('mine')).listen(process.env.PORT)"}});
        INFO(deployed.body);
        REQUIRE(deployed.status == 200);
    } else {
        WARN("left out: sandboxes and deployments (there is no Node.js here)");
    }
    // A compile under way: its sources are there.
    client.start_post("/compile", {{"code", "int main(void) { return 1; } /* mine, too */"}, {"cache", false}});
    std::vector<fs::path> seen;
    CHECK(eventually([&] {
        for (const auto& path : all_below(work / "jobs")) seen.push_back(path);
        return !seen.empty();
    }));
    const auto during = open_to_nobody(seen);
    for (const auto& path : during) UNSCOPED_INFO(path);
    CHECK(during.empty());
    CHECK(client.receive().status == 200);

    auto everything = all_below(work.path());
    CHECK(everything.size() > 10);
    const auto open = open_to_nobody(everything);
    for (const auto& path : open) UNSCOPED_INFO(path);
    CHECK(open.empty());
    CHECK(server.stop().code == 0);
}
