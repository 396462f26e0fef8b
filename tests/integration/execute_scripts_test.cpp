// The committed scripts over HTTP: every conformance script gives its result, every hostile one ends in a
// named status, in each jail; and the requests after it are none the worse.
#include "support/eventually.hpp"
#include "support/http_client.hpp"
#include "support/js_worker.hpp"
#include "support/server_process.hpp"

#include <boost/json/array.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>

using namespace sandboxd;
using namespace sandboxd::test;
namespace json = boost::json;

namespace {

// Members of the configuration that ask for this jail; SKIPs where it is not installed.
std::string jailed_by(const std::string& kind)
{
    std::string members = ", \"jail\": \"" + kind + "\"";
    if (kind != "nsjail") return members;
    const char* path = std::getenv("SANDBOXD_TEST_NSJAIL");
    for (const char* usual : {"/usr/local/bin/nsjail", "/usr/bin/nsjail"})
        if (!path && ::access(usual, X_OK) == 0) path = usual;
    if (!path) SKIP("nsjail is not installed; set SANDBOXD_TEST_NSJAIL to its path to test with it");
    return members + ", \"nsjailPath\": \"" + path + "\"";
}

struct script_server : server_process {
    explicit script_server(const std::string& kind)
        // What /api/execute runs without fuel is not to take long.
        : server_process{{.config = std::string{no_toolchain} + R"(, "js": {"timeoutMs": 200})" + jailed_by(kind),
                          .wait_ready = false,
                          .js = true}}
    {
        REQUIRE(eventually([this] { return http_client{*this}.get("/api/health").status == 200; }));
    }
};

std::string text(const json::value& of, std::string_view member)
{
    const auto* const found = of.as_object().if_contains(member);
    return found && found->is_string() ? std::string{found->as_string()} : std::string{};
}

// The result as it was written: parsing is not precise to the last digit.
std::string raw_result(const std::string& body)
{
    constexpr std::string_view before = "\"result\":";
    const auto begin = body.find(before);
    const auto end = body.rfind(",\"stdout\":");
    if (begin == std::string::npos || end == std::string::npos) return {};
    return body.substr(begin + before.size(), end - begin - before.size());
}

// What an answer of /execute calls what happened: a run_status' name.
std::string ended(const json::value& body) { return text(body, "status") == "OK" ? "ok" : text(body, "code"); }

}  // namespace

TEST_CASE("every conformance script gives what it should over HTTP", "[js]")
{
    const script_server server{GENERATE("bubblewrap", "namespaces", "nsjail")};
    http_client client{server};
    const auto examples = read_js_examples();
    REQUIRE(examples.size() >= 300);
    int failed = 0;
    for (const auto& one : examples) {
        const auto answer = client.post("/execute", {{"script", one.script}, {"timeout_ms", 10'000}});
        const auto body = answer.json();
        const auto end = ended(body);
        const auto status = end == "ok"              ? script::run_status::ok
                            : end == "runtime_error" ? script::run_status::runtime_error
                                                     : script::run_status::fault;
        const auto why = differs(one, status, raw_result(answer.body), text(body, "message"));
        if (!why) continue;
        ++failed;
        UNSCOPED_INFO(*why);
    }
    CHECK(failed == 0);
    CHECK(server.metric("sandboxd_js_worker_deaths_total") == 0);
}

TEST_CASE("hostile scripts over HTTP end in a named status, and the next one is right", "[js]")
{
    const script_server server{GENERATE("bubblewrap", "namespaces", "nsjail")};
    http_client client{server};
    const auto attacks = read_js_attacks();
    REQUIRE(attacks.size() >= 60);
    for (const auto& one : attacks) {
        CAPTURE(one.name);
        const auto answer = client.post("/execute", {{"script", one.script}, {"timeout_ms", 10'000}});
        CHECK((answer.status == 200 || answer.status == 400));
        const auto end = ended(answer.json());
        CAPTURE(end, answer.body.substr(0, 300));
        CHECK(std::ranges::find(one.allowed, end) != one.allowed.end());
        // For the other interface, too, it is an answer.
        CHECK(client.post("/api/execute", {{"code", one.script}}).status == 200);
        const auto next = client.post("/execute", {{"script", "[1 + 2, typeof secret]"}}).json();
        CHECK(next.at("result") == json::array{3, "undefined"});
    }
    CHECK(server.metric("sandboxd_js_worker_deaths_total") == 0);
    CHECK(server.metric("sandboxd_js_worker_kills_total") == 0);
}
