// What operators and orchestrators look at: health, readiness, version, metrics.
#include "support/eventually.hpp"
#include "support/held_toolchain.hpp"
#include "support/http_client.hpp"
#include "support/server_process.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>

using namespace sandboxd::test;
namespace json = boost::json;

namespace {

constexpr const char* hello = "int main(void) { return 0; }\n";

// Text exposition format 0.0.4: what a scraper would refuse.
void check_exposition(const std::string& text)
{
    static const std::regex sample{
        R"(([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"(?:,[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*")*\})? (NaN|[+-]?Inf|-?[0-9.]+(?:e[+-]?[0-9]+)?))"};
    std::map<std::string, std::string> types;
    std::set<std::string> helped;
    std::set<std::string> seen;
    std::string current;
    std::istringstream lines{text};
    REQUIRE(text.ends_with('\n'));
    for (std::string line; std::getline(lines, line);) {
        INFO(line);
        if (line.starts_with("# HELP ")) {
            current = line.substr(7, line.find(' ', 7) - 7);
            CHECK(helped.insert(current).second);
            CHECK(line.size() > 7 + current.size() + 1);
            continue;
        }
        if (line.starts_with("# TYPE ")) {
            const auto name = line.substr(7, line.find(' ', 7) - 7);
            CHECK(name == current);
            types[name] = line.substr(7 + name.size() + 1);
            CHECK((types[name] == "counter" || types[name] == "gauge" || types[name] == "histogram"));
            continue;
        }
        std::smatch parts;
        REQUIRE(std::regex_match(line, parts, sample));
        CHECK(seen.insert(parts[1].str() + parts[2].str()).second);
        auto family = parts[1].str();
        if (types[current] == "histogram") {
            for (const std::string suffix : {"_bucket", "_sum", "_count"}) {
                if (family.ends_with(suffix)) family.resize(family.size() - suffix.size());
            }
        }
        CHECK(family == current);
    }
}

}  // namespace

TEST_CASE("a ready server says so", "[health]")
{
    server_process server;
    http_client client{server};

    for (const auto* path : {"/healthz", "/livez"}) {
        const auto alive = client.get(path);
        CHECK(alive.status == 200);
        CHECK(alive.body == "ok");
        CHECK(alive.field("content-type") == "text/plain; charset=utf-8");
        CHECK(client.head(path).status == 200);
    }
    const auto ready = client.get("/readyz");
    CHECK(ready.status == 200);
    CHECK(ready.json().at("ready").as_bool());
    CHECK(ready.json().at("reasons").as_array().empty());

    const auto version = client.get("/version").json();
    CHECK(version.at("name").as_string() == "sandboxd");
    CHECK(run_sandboxd({"--version"}).out == "sandboxd " + std::string{version.at("version").as_string()} + "\n");
    const std::string emcc{version.at("toolchain").at("emcc").as_string()};
    CHECK(std::regex_match(emcc, std::regex{R"(\d+\.\d+\.\d+)"}));
    CHECK(std::string{version.at("toolchain").at("identity").as_string()}.find(emcc) != std::string::npos);
    CHECK(version.at("jail").as_string() == ready.json().at("jail").as_string());
    CHECK_FALSE(version.at("walls").as_array().empty());

    CHECK(client.post("/compile", {{"code", hello}}).status == 200);
    CHECK(client.post("/compile", {{"code", hello}}).status == 200);
    CHECK(client.post("/compile", {{"code", "int"}}).status == 400);
    CHECK(client.get("/nowhere").status == 404);
    const auto metrics = client.get("/metrics");
    CHECK(metrics.status == 200);
    CHECK(metrics.field("content-type").starts_with("text/plain; version=0.0.4"));
    check_exposition(metrics.body);
    for (const auto* sample :
         {"sandboxd_http_requests_total{route=\"/compile\",status=\"200\"} 2\n",
          "sandboxd_http_requests_total{route=\"/compile\",status=\"400\"} 1\n",
          "sandboxd_http_requests_total{route=\"unmatched\",status=\"404\"} 1\n",
          "sandboxd_http_request_seconds_count{route=\"/compile\"} 3\n",
          "sandboxd_http_request_seconds_bucket{route=\"/compile\",le=\"+Inf\"} 3\n",
          "sandboxd_cache_requests_total{from=\"store\"} 1\n", "sandboxd_cache_requests_total{from=\"compiler\"} 2\n",
          "sandboxd_compile_seconds_count 3\n", "sandboxd_jobs_running 0\n", "sandboxd_jobs_queued 0\n",
          "sandboxd_memory_reserved_bytes 0\n", "sandboxd_memory_current_bytes 0\n", "sandboxd_http_connections 1\n",
          "sandboxd_artifacts_entries "}) {
        INFO(sample);
        CHECK(metrics.body.find(std::string{"\n"} + sample) != std::string::npos);
    }
    CHECK(server.metric("sandboxd_artifacts_bytes") > 0);
    CHECK(server.metric("process_resident_memory_bytes") > 0);
    CHECK(server.metric("process_open_fds") > 3);
}

TEST_CASE("without a toolchain it serves, but is not ready, until there is one", "[health]")
{
    const held_toolchain tools;
    tools.remove();
    server_process server{{.config = tools.config(), .wait_ready = false}};
    http_client client{server};
    REQUIRE(eventually([&] { return client.get("/readyz").body.find("toolchain: ") != std::string::npos; }));

    const auto not_ready = client.get("/readyz");
    CHECK(not_ready.status == 503);
    CHECK(not_ready.field("retry-after") == "1");
    CHECK_FALSE(not_ready.json().at("ready").as_bool());
    const std::string reason{not_ready.json().at("reasons").at(0).as_string()};
    CHECK(reason.find(tools.emcc().native() + " is not an executable file") != std::string::npos);
    CHECK(client.get("/healthz").body == "ok");

    const auto refused = client.post("/compile", {{"code", hello}});
    CHECK(refused.status == 503);
    CHECK(refused.field("retry-after") == "1");
    CHECK(refused.json().at("code").as_string() == "unavailable");
    CHECK(refused.json().at("error").as_string() == "the toolchain is not available; /readyz says why");
    CHECK(server.log().find("the toolchain probe failed") != std::string::npos);

    tools.restore();
    REQUIRE(eventually([&] { return client.get("/readyz").status == 200; }));
    CHECK(client.post("/compile", {{"code", hello}}).status == 200);
    CHECK(server.clean());
}

TEST_CASE("a toolchain that cannot compile a hello is not ready, and its output says why", "[health]")
{
    server_process server{{.config = R"("toolchain": {"mounts": ["/bin", "/lib", "/lib64", "/usr/bin", "/usr/lib"]})",
                           .wait_ready = false}};
    http_client client{server};
    REQUIRE(eventually([&] { return client.get("/readyz").body.find("toolchain: ") != std::string::npos; }));
    CHECK(client.get("/readyz").status == 503);
    CHECK(client.post("/compile", {{"code", hello}}).status == 503);
    CHECK(server.clean());
    CHECK(server.stop().code == 0);
}

TEST_CASE("a compile that comes before the probe is over waits for it", "[health]")
{
    server_process server{{.wait_ready = false}};
    http_client client{server};
    CHECK(client.post("/compile", {{"code", hello}}).status == 200);
    CHECK(client.get("/readyz").status == 200);
}

TEST_CASE("a toolchain that vanishes is noticed by the next compile, and so is its return", "[health]")
{
    const held_toolchain tools;
    server_process server{{.config = tools.config()}};
    http_client client{server};
    tools.remove();

    // Not a compile error: the source is not to blame.
    const auto refused = client.post("/compile", {{"code", hello}});
    CHECK(refused.status == 503);
    CHECK(refused.json().at("code").as_string() == "unavailable");
    CHECK(refused.json().at("error").as_string() == "the toolchain is not available; /readyz says why");
    REQUIRE(eventually([&] { return client.get("/readyz").body.find("toolchain: ") != std::string::npos; }));
    CHECK(client.get("/readyz").status == 503);
    CHECK(client.post("/compile", {{"code", hello}}).status == 503);

    tools.restore();
    REQUIRE(eventually([&] { return client.get("/readyz").status == 200; }));
    CHECK(client.post("/compile", {{"code", hello}}).status == 200);
    CHECK(server.clean());
    CHECK(server.stop().code == 0);
}

TEST_CASE("a probe that runs into the time limit is not the last", "[health]")
{
    const held_toolchain tools;
    tools.hold();
    // Enough for a probe on a busy machine, once it is let go.
    server_process server{{.config = tools.config() + ", \"compileTimeoutSecs\": 20", .wait_ready = false}};
    http_client client{server};
    REQUIRE(eventually([&] { return client.get("/readyz").body.find("toolchain: ") != std::string::npos; }));
    CHECK(client.post("/compile", {{"code", hello}}).status == 503);

    tools.release();
    REQUIRE(eventually([&] { return client.get("/readyz").status == 200; }));
    CHECK(server.stop().code == 0);
}
