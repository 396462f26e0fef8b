// Request ids, Server-Timing and the access log.
#include "support/agent.hpp"
#include "support/http_client.hpp"
#include "support/server_process.hpp"
#include "support/temporary_directory.hpp"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <regex>
#include <set>
#include <sstream>
#include <string>

using namespace sandboxd::test;
namespace json = boost::json;
namespace fs = std::filesystem;

namespace {

constexpr const char* hello = "int main(void) { return 0; }\n";

// The first line of the log that holds `part`.
std::string line_with(const std::string& log, const std::string& part)
{
    std::istringstream lines{log};
    for (std::string line; std::getline(lines, line);) {
        if (line.find(part) != std::string::npos) return line;
    }
    return {};
}

}  // namespace

TEST_CASE("a request id is taken over when it is sane, made when not", "[observability]")
{
    server_process server{{.config = no_toolchain, .wait_ready = false}};
    http_client client{server};
    for (const std::string id :
         {"abc-123", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "A.b_c:d/e+f="}) {
        CHECK(client.get("/healthz", {{"X-Request-Id", id}}).field("x-request-id") == id);
        CHECK(client.get("/nowhere", {{"X-Request-Id", id}}).field("x-request-id") == id);
    }
    std::set<std::string> made;
    for (const auto& id : {std::string{}, std::string{"two words"}, std::string{"<script>"}, std::string{"a\"b"},
                           std::string{"t\xc3\xa9st"}, std::string(129, 'x')}) {
        INFO(id);
        const auto given = client.get("/healthz", {{"X-Request-Id", id}}).field("x-request-id");
        CHECK(given != id);
        CHECK(std::regex_match(given, std::regex{"[0-9a-f]+-[0-9a-f]+"}));
        CHECK(made.insert(given).second);
    }
    const auto none = client.get("/healthz").field("x-request-id");
    CHECK(made.insert(none).second);
    // One that was refused before a handler saw it has an id as well.
    http_client broken{server};
    broken.send("GET / HTTP/1.1\r\n\r\n");
    const auto refused = broken.receive();
    CHECK(refused.status == 400);
    CHECK(made.insert(refused.field("x-request-id")).second);
    CHECK(server.logs("id=" + refused.field("x-request-id")));
    CHECK(server.logs("id=abc-123"));
}

TEST_CASE("the access log has one line a request", "[observability]")
{
    server_process server;
    http_client client{server};
    const auto compiled = client.post("/compile", {{"code", hello}}, {{"X-Request-Id", "the-compile"}});
    CHECK(compiled.status == 200);
    const auto timing = compiled.field("server-timing");
    CHECK(std::regex_match(
        timing, std::regex{R"(queue;dur=[0-9.]+, compile;dur=[0-9.]+(, [a-z-]+;dur=[0-9.]+)*, total;dur=[0-9.]+)"}));
    CHECK(client.get("/healthz", {{"X-Request-Id", "the-health"}}).field("server-timing").empty());
    client.get("/nowhere\"quoted?secret=1", {{"X-Request-Id", "the-lost"}});
    CHECK(server.stop().code == 0);

    const auto log = server.log();
    const auto size = std::to_string(compiled.body.size());
    const auto line = line_with(log, "id=the-compile");
    INFO(line);
    CHECK(std::regex_match(
        line,
        std::regex{
            R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info request id=the-compile route=/compile status=200 bytes=)" +
            size + R"( queue_ms=[0-9.]+ compile_ms=[0-9.]+ total_ms=[0-9.]+)"}));
    CHECK(std::regex_match(
        line_with(log, "id=the-health"),
        std::regex{R"(.* info request id=the-health route=/healthz status=200 bytes=2 total_ms=[0-9.]+)"}));
    const auto lost = line_with(log, "id=the-lost");
    CHECK(lost.find(" warning request ") != std::string::npos);
    CHECK(lost.find("status=404") != std::string::npos);
    CHECK(lost.find("secret") == std::string::npos);
    CHECK(log.find("id=the-health", log.find("id=the-health") + 1) == std::string::npos);
}

TEST_CASE("a compile has its times in the access log, however it is answered", "[observability]")
{
    server_process server;
    http_client client{server};
    const json::object body{{"code", hello}};
    const auto send = [&](const std::string& id, const std::string& name, const std::string& value) {
        const auto answer = client.post("/compile", body, {{"X-Request-Id", id}, {name, value}});
        CHECK(answer.status == 200);
        return answer;
    };
    CHECK(send("the-stream", "Accept", "text/event-stream").body.find("event: done") != std::string::npos);
    send("the-wait", "Prefer", "respond-async, wait=60");
    auto params = json::object{{"name", "compile"}, {"arguments", body}, {"_meta", agent::meta()}};
    auto fields = agent::fields("tools/call", "compile");
    fields.emplace_back("X-Request-Id", "the-agent");
    CHECK(client.post("/mcp", agent::message(1, "tools/call", params), fields).status == 200);
    CHECK(server.stop().code == 0);
    const auto log = server.log();
    for (const auto* id : {"the-stream", "the-wait", "the-agent"}) {
        const auto line = line_with(log, std::string{"id="} + id);
        CAPTURE(id, line);
        CHECK(std::regex_match(
            line,
            std::regex{
                R"(.* request id=.* status=200 bytes=\d+ queue_ms=[0-9.]+ compile_ms=[0-9.]+ total_ms=[0-9.]+)"}));
    }
}

TEST_CASE("the log can be JSON", "[observability]")
{
    server_process server{
        {.config = std::string{no_toolchain} + R"(, "log": {"format": "json"})", .wait_ready = false}};
    http_client client{server};
    client.get("/healthz", {{"X-Request-Id", "one"}});
    client.post("/compile", {{"code", hello}}, {{"X-Request-Id", "two"}});
    CHECK(server.stop().code == 0);
    std::istringstream lines{server.log()};
    int requests = 0;
    for (std::string line; std::getline(lines, line);) {
        INFO(line);
        const auto value = json::parse(line);
        CHECK(value.as_object().contains("time"));
        CHECK(value.as_object().contains("level"));
        if (value.at("message").as_string() != "request") continue;
        ++requests;
        const bool first = value.at("id").as_string() == "one";
        CHECK(value.at("status").to_number<int>() == (first ? 200 : 503));
        CHECK(value.at("level").as_string() == (first ? "info" : "error"));
        CHECK(value.at("route").as_string() == (first ? "/healthz" : "/compile"));
        CHECK(value.at("bytes").to_number<int>() > 0);
        CHECK(value.at("total_ms").is_number());
    }
    CHECK(requests == 2);
}

TEST_CASE("a full disk shows as degraded, a draining server's /readyz is no error", "[observability]")
{
    if (::geteuid() != 0) SKIP("mounting a small file system takes root");
    const temporary_directory own;
    fs::create_directory(own / "small");
    // Nobody else sees it, and it goes with this process.
    const auto place = own / "small";
    REQUIRE(::mount("sandboxd-test", place.c_str(), "tmpfs", 0, "size=16m,nr_inodes=100000") == 0);
    const struct unmounted {
        std::string path;
        ~unmounted() { ::umount2(path.c_str(), MNT_DETACH); }
    } at_the_end{place.native()};
    {
        server_process server{{.config = std::string{no_toolchain} + R"(, "minFreeDiskMB": 8)",
                               .working_dir = place / "work",
                               .wait_ready = false}};
        http_client client{server};
        const auto degraded = [&] { return json::serialize(client.get("/readyz").json().at("degraded")); };
        CHECK(degraded().find("disk") == std::string::npos);
        const auto filler = (place / "filler").native();
        const int fd = ::open(filler.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        CHECK(::posix_fallocate(fd, 0, 12 * 1024 * 1024) == 0);
        ::close(fd);
        CHECK(degraded().find("MB are free in") != std::string::npos);
        CHECK(degraded().find("less than minFreeDiskMB (8)") != std::string::npos);
        ::unlink(filler.c_str());
        CHECK(degraded().find("disk") == std::string::npos);
        CHECK(client.get("/readyz", {{"X-Request-Id", "not-ready"}}).status == 503);
        CHECK(server.stop().code == 0);
        const auto line = line_with(server.log(), "id=not-ready");
        CHECK(line.find(" info ") != std::string::npos);
    }
}
