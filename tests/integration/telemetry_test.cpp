// Traces: a `traceparent` that is taken over and passed on, and spans that a collector gets, against the real server.
#include "support/agent.hpp"
#include "support/collector.hpp"
#include "support/eventually.hpp"
#include "support/files.hpp"
#include "support/http_client.hpp"
#include "support/keys.hpp"
#include "support/refused_start.hpp"
#include "support/server_process.hpp"
#include "support/shared_artifacts.hpp"
#include "support/spans.hpp"
#include "support/temporary_directory.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

using namespace sandboxd::test;
namespace json = boost::json;
using answer = collector::answer;

namespace {

const std::string caller = "00f067aa0ba902b7";
constexpr const char* json_log = R"("log": {"format": "json"})";

// Another trace each time.
std::string new_trace()
{
    static unsigned count = 0;
    const auto digits = std::to_string(++count);
    return "4bf92f3577b34da6a3ce" + std::string(12 - digits.size(), '0') + digits;
}

std::string traceparent(const std::string& trace, bool sampled = true)
{
    return "00-" + trace + "-" + caller + (sampled ? "-01" : "-00");
}

header_list asking(const std::string& trace, header_list more = {})
{
    more.emplace_back("traceparent", traceparent(trace));
    return more;
}

constexpr const char* trust_all = R"(, "trustTraceparent": "everybody", "sampleRatio": 0.0)";

std::string spans_metric(const std::string& result)
{
    return "sandboxd_telemetry_spans_total{result=\"" + result + "\"}";
}

// The one of that name in a trace, as soon as it is there.
json::object span_of(const collector& to, const std::string& trace, const std::string& name)
{
    json::object found;
    const bool there = eventually([&] {
        for (const auto& one : to.spans())
            if (collector::text(one, "traceId") == trace && collector::text(one, "name") == name) found = one;
        return !found.empty();
    });
    CAPTURE(trace, name);
    REQUIRE(there);
    return found;
}

// Whether it took place within the other, to the nanosecond.
bool is_within(const json::object& span, const json::object& of)
{
    const auto time = [](const json::object& one, const char* key) { return std::stoull(collector::text(one, key)); };
    return time(span, "startTimeUnixNano") >= time(of, "startTimeUnixNano") &&
           time(span, "endTimeUnixNano") <= time(of, "endTimeUnixNano") &&
           time(span, "startTimeUnixNano") <= time(span, "endTimeUnixNano");
}

bool has_node() { return ::access("/usr/bin/node", X_OK) == 0; }

// The JSON line of the log of the request with this id; empty while there is none.
json::object line_of(const server_process& server, const std::string& id)
{
    json::object found;
    const bool there = eventually([&] {
        std::istringstream lines{server.log()};
        for (std::string line; std::getline(lines, line);) {
            boost::system::error_code ec;
            const auto value = json::parse(line, ec);
            if (ec || !value.is_object()) continue;
            const auto& one = value.as_object();
            if (collector::text(one, "message") == "request" && collector::text(one, "id") == id) found = one;
        }
        return !found.empty();
    });
    CHECK(there);
    return found;
}

std::string text(const json::value& from, const char* key) { return std::string{from.at(key).as_string()}; }

std::string made_sandbox(http_client& client, json::object what)
{
    const auto made = client.post("/sandbox", what);
    INFO(made.body);
    REQUIRE(made.status == 200);
    return text(made.json(), "id");
}

// What the program printed, without its newline.
std::string printed(http_client& client, const std::string& sandbox, const header_list& fields = {},
                    const json::object& how = {})
{
    const auto ran = client.post("/sandbox/" + sandbox + "/execute", how, fields);
    INFO(ran.body);
    REQUIRE(ran.status == 200);
    auto out = text(ran.json(), "stdout");
    if (out.ends_with('\n')) out.pop_back();
    return out;
}

constexpr const char* print_trace = "console.log(String(process.env.TRACEPARENT))";

// A deployment that tells the fields that it gets.
constexpr const char* tell_fields = R"js(
require('http').createServer((q, r) => {
  const told = {};
  for (let i = 0; i < q.rawHeaders.length; i += 2)
    if (/^trace/i.test(q.rawHeaders[i])) (told[q.rawHeaders[i]] ??= []).push(q.rawHeaders[i + 1]);
  if (q.url === '/broken') r.statusCode = 500;
  r.end(JSON.stringify(told));
}).listen(process.env.PORT);
)js";

// What it tells.
json::value told_fields(const std::vector<std::string>& tracestates, const std::string& traceparent)
{
    json::object made{{"traceparent", json::array{json::string{traceparent}}}};
    json::array all;
    for (const auto& one : tracestates) all.emplace_back(one);
    if (!all.empty()) made["tracestate"] = std::move(all);
    return made;
}

std::string deployed(http_client& client)
{
    const auto made = client.post("/faas/deploy", {{"runtime", "node"}, {"code", tell_fields}});
    INFO(made.body);
    REQUIRE(made.status == 200);
    return text(made.json(), "deployment_id");
}

}  // namespace

TEST_CASE("without a collector a trace is taken over into the log, and nothing else is done", "[telemetry]")
{
    server_process server{{.config = std::string{no_toolchain} + ", " + json_log, .wait_ready = false}};
    http_client client{server};
    const auto trace = new_trace();
    CHECK(client.get("/healthz", asking(trace, {{"X-Request-Id", "valid"}})).status == 200);
    client.get("/nowhere", {{"X-Request-Id", "future"}, {"traceparent", "cc" + traceparent(trace).substr(2) + "-x"}});
    client.get("/healthz", {{"X-Request-Id", "invalid"}, {"traceparent", "ff" + traceparent(trace).substr(2)}});
    client.get("/healthz", {{"X-Request-Id", "none"}});
    CHECK(client.get("/metrics").body.find("sandboxd_telemetry") == std::string::npos);
    CHECK(server.stop().code == 0);
    CHECK(collector::text(line_of(server, "valid"), "trace_id") == trace);
    CHECK(collector::text(line_of(server, "future"), "trace_id") == trace);
    CHECK_FALSE(line_of(server, "invalid").contains("trace_id"));
    CHECK_FALSE(line_of(server, "none").contains("trace_id"));
}

TEST_CASE("a program in a sandbox sees the trace of the request that runs it, however its jail comes about",
          "[telemetry][sandboxes]")
{
    if (!has_node()) SKIP("there is no /usr/bin/node");
    struct row {
        const char* what;
        const char* config;
        bool waits;
    };
    const auto way = GENERATE(row{"a new jail", R"("sandboxes": {"warmJails": 0})", false},
                              row{"a jail that waits", R"("sandboxes": {"warmMemoryMB": 0})", false},
                              row{"a runtime that waits", R"("sandboxes": {"memoryMB": 512})", true});
    CAPTURE(way.what);
    server_process server{{.config = std::string{no_toolchain} + ", " + way.config, .wait_ready = false}};
    http_client client{server};
    const auto ready = [&](const json::object& what) {
        auto id = made_sandbox(client, what);
        if (way.waits) REQUIRE(eventually([&] { return server.metric("sandboxd_sandbox_warm_runtimes") >= 1; }));
        return id;
    };
    const json::object program{{"runtime", "node"}, {"code", print_trace}};
    const auto trace = new_trace();
    CHECK(printed(client, ready(program), asking(trace)) == traceparent(trace));
    CHECK(printed(client, ready(program), {{"traceparent", traceparent(trace, false)}}) == traceparent(trace, false));
    // What it is told is always of the version that is known.
    CHECK(printed(client, ready(program), {{"traceparent", "cc" + traceparent(trace).substr(2) + "-x"}}) ==
          traceparent(trace));
    CHECK(printed(client, ready(program), {{"traceparent", traceparent(trace) + "x"}}) == "undefined");
    CHECK(printed(client, ready(program)) == "undefined");
    // It does not disturb what else there is.
    const json::object echo{{"runtime", "node"},
                            {"code", "console.log(process.env.TRACEPARENT + require('fs').readFileSync(0, 'utf8'))"}};
    CHECK(printed(client, ready(echo), asking(trace), {{"stdin", "input"}}) == traceparent(trace) + "input");
    // Its own children have it, too.
    const json::object parent_of_one{
        {"runtime", "node"},
        {"code",
         "const {execFileSync} = require('child_process');"
         "console.log(String(execFileSync(process.execPath, ['-p', 'process.env.TRACEPARENT'])).trim())"}};
    CHECK(printed(client, ready(parent_of_one), asking(trace)) == traceparent(trace));
    if (way.waits) CHECK(server.metric("sandboxd_sandbox_warm_runtimes_total{result=\"hit\"}") > 0);
    // A sandbox that has a variable of that name keeps it.
    const auto own = made_sandbox(
        client, {{"runtime", "node"}, {"code", print_trace}, {"env_vars", json::object{{"TRACEPARENT", "mine"}}}});
    CHECK(printed(client, own, asking(trace)) == "mine");
    CHECK(printed(client, own) == "mine");
}

TEST_CASE("without a collector a deployment gets the fields of a trace as they were sent", "[telemetry][proxy]")
{
    if (!has_node()) SKIP("there is no /usr/bin/node");
    server_process server{{.config = no_toolchain, .wait_ready = false}};
    http_client client{server};
    const auto path = "/faas/" + deployed(client) + "/";
    CHECK(client.get(path).body == "{}");
    const auto trace = new_trace();
    CHECK(client.get(path, asking(trace, {{"tracestate", "a=1"}, {"tracestate", "b=2"}})).json() ==
          told_fields({"a=1", "b=2"}, traceparent(trace)));
    // Whoever does not take part does not judge.
    CHECK(client.get(path, {{"traceparent", "nonsense"}}).json() == told_fields({}, "nonsense"));
}

TEST_CASE("a collector gets a span of each request, with what was asked and what came of it", "[telemetry]")
{
    collector to;
    server_process server{
        {.config = std::string{no_toolchain} + ", " + json_log + ", " + telemetry_section(to.url(), trust_all),
         .wait_ready = false,
         .js = true}};
    REQUIRE(eventually([&] { return http_client{server}.get("/api/health").status == 200; }));
    http_client client{server};
    auto trace = new_trace();
    CHECK(client.get("/healthz?token=secret", asking(trace, {{"X-Request-Id", "the-health"}})).status == 200);
    const auto health = named(spans_of(to, trace, 1), "GET /healthz");
    CHECK(collector::text(health, "parentSpanId") == caller);
    CHECK(collector::text(health, "kind") == "2");
    CHECK(collector::text(health, "flags") == "769");
    CHECK_FALSE(health.contains("status"));
    CHECK(collector::attribute(health, "http.request.method") == "GET");
    CHECK(collector::attribute(health, "http.route") == "/healthz");
    CHECK(collector::attribute(health, "http.response.status_code") == "200");
    CHECK(collector::attribute(health, "http.response.body.size") == "2");
    CHECK(collector::attribute(health, "network.protocol.version") == "1.1");
    CHECK(collector::attribute(health, "sandboxd.request.id") == "the-health");
    CHECK(collector::text(line_of(server, "the-health"), "trace_id") == trace);

    // Errors by their code; only those of the server are its failures.
    trace = new_trace();
    CHECK(client.get("/sandbox/../x", asking(trace)).status == 400);
    const auto wrong = spans_of(to, trace, 1).front();
    CHECK(collector::attribute(wrong, "sandboxd.error.code") == "invalid_request");
    CHECK_FALSE(wrong.contains("status"));
    trace = new_trace();
    CHECK(client.post("/compile", {{"code", "int main"}}, asking(trace)).status == 503);
    const auto failed = named(spans_of(to, trace, 2), "POST /compile");
    CHECK(collector::attribute(failed, "sandboxd.error.code") == "unavailable");
    CHECK(collector::attribute(failed, "error.type") == "unavailable");
    CHECK(collector::text(failed, "status") == R"({"code":2})");

    // A script: it waits for a worker, and runs.
    trace = new_trace();
    CHECK(client.post("/execute", {{"script", "6 * 7"}}, asking(trace)).status == 200);
    const auto script = spans_of(to, trace, 3);
    const auto root = named(script, "POST /execute");
    for (const auto* name : {"queue", "run"}) {
        CAPTURE(name);
        CHECK(is_child(root, named(script, name)));
        CHECK(is_within(named(script, name), root));
    }
    CHECK(collector::attribute(named(script, "run"), "sandboxd.script.status") == "ok");
    CHECK(std::stoll(collector::attribute(named(script, "run"), "sandboxd.script.fuel")) > 0);

    // One that is answered later: its job is a part of the request, and goes on after it.
    trace = new_trace();
    const auto later = client.post("/execute", {{"script", "x."}}, asking(trace, {{"Prefer", "respond-async"}}));
    CHECK(later.status == 202);
    const auto job = spans_of(to, trace, 4);
    CHECK(is_child(named(job, "POST /execute"), named(job, "job")));
    CHECK(is_child(named(job, "job"), named(job, "queue")));
    CHECK(is_child(named(job, "job"), named(job, "run")));
    CHECK(collector::attribute(named(job, "POST /execute"), "http.response.status_code") == "202");
    CHECK(collector::attribute(named(job, "job"), "sandboxd.error.code") == "runtime_error");
    CHECK(collector::attribute(named(job, "job"), "error.type") == "runtime_error");

    // A tool of an agent.
    trace = new_trace();
    const auto call =
        agent::ask(client, "tools/call", {{"name", "run_javascript"}, {"arguments", json::object{{"script", "1"}}}},
                   asking(trace));
    CHECK(call.status == 200);
    const auto tool = spans_of(to, trace, 4);
    CHECK(is_child(named(tool, "POST /mcp"), named(tool, "tool")));
    CHECK(is_child(named(tool, "tool"), named(tool, "run")));
    CHECK(collector::attribute(named(tool, "POST /mcp"), "gen_ai.tool.name") == "run_javascript");

    CHECK(server.metric(spans_metric("exported")) > 0);
    CHECK(server.stop().code == 0);
    for (const auto& one : to.requests()) {
        CHECK(one.target == "/v1/traces");
        CHECK(one.body.find("secret") == std::string::npos);
        CHECK(one.body.find("6 * 7") == std::string::npos);
        const auto resource = json::parse(one.body).at("resourceSpans").at(0).at("resource").as_object();
        CHECK(collector::attribute(resource, "service.name") == "sandboxd");
        CHECK_FALSE(collector::attribute(resource, "service.instance.id").empty());
    }
}

TEST_CASE("a request without a trace begins one, which its log line has", "[telemetry]")
{
    collector to;
    server_process server{{.config = std::string{no_toolchain} + ", " + json_log + ", " + telemetry_section(to.url()),
                           .wait_ready = false}};
    http_client client{server};
    client.get("/healthz", {{"X-Request-Id", "first"}});
    client.get("/healthz",
               {{"X-Request-Id", "second"}, {"traceparent", "00-" + std::string(32, '0') + "-" + caller + "-01"}});
    std::set<std::string> traces;
    for (const auto* id : {"first", "second"}) {
        const auto trace = collector::text(line_of(server, id), "trace_id");
        CHECK(trace.size() == 32);
        CHECK(trace != std::string(32, '0'));
        traces.insert(trace);
        const auto span = spans_of(to, trace, 1).front();
        CHECK_FALSE(span.contains("parentSpanId"));
        CHECK(collector::attribute(span, "sandboxd.request.id") == id);
    }
    CHECK(traces.size() == 2);
}

TEST_CASE("an execution's spans are those that its program belongs to", "[telemetry][sandboxes]")
{
    if (!has_node()) SKIP("there is no /usr/bin/node");
    collector to;
    server_process server{{.config = std::string{no_toolchain} + ", " + telemetry_section(to.url(), trust_all) +
                                     R"(, "sandboxes": {"warmJails": 0})",
                           .wait_ready = false}};
    http_client client{server};
    const auto id = made_sandbox(client, {{"runtime", "node"}, {"code", print_trace}});
    // Other jails do not tell when they are built.
    const bool tells = client.get("/version").json().at("jail").as_string() == "namespaces";
    auto trace = new_trace();
    const auto told = printed(client, id, asking(trace));
    const auto all = spans_of(to, trace, tells ? 4 : 3);
    const auto root = named(all, "POST /sandbox/{}/execute");
    const auto run = named(all, "run");
    const auto queue = named(all, "queue");
    const auto jail = tells ? named(all, "jail") : queue;
    for (const auto& one : {queue, jail, run}) {
        CAPTURE(json::serialize(one));
        CHECK(is_child(root, one));
        CHECK(is_within(one, root));
    }
    CHECK(told == "00-" + trace + "-" + collector::text(run, "spanId") + "-01");
    CHECK(collector::attribute(run, "sandboxd.execution.verdict") == "exit");
    CHECK(collector::text(jail, "endTimeUnixNano") == collector::text(run, "startTimeUnixNano"));
    if (tells) {
        CHECK(collector::text(queue, "endTimeUnixNano") == collector::text(jail, "startTimeUnixNano"));
        CHECK(std::stoull(collector::text(jail, "endTimeUnixNano")) >
              std::stoull(collector::text(jail, "startTimeUnixNano")));
    }

    // One that is not recorded tells the program of its caller, and one without a caller of nobody.
    trace = new_trace();
    CHECK(printed(client, id, {{"traceparent", traceparent(trace, false)}}) == traceparent(trace, false));
    const auto alone = printed(client, id);
    CHECK(alone.size() == 55);
    CHECK(alone.ends_with("-00"));

    // Streamed, and ended by its limit.
    trace = new_trace();
    const auto slow = made_sandbox(client, {{"runtime", "node"}, {"code", "for (;;);"}, {"timeout_ms", 200}});
    client.post("/sandbox/" + slow + "/execute", json::object{}, asking(trace, {{"Accept", "text/event-stream"}}));
    const auto ended = span_of(to, trace, "run");
    CHECK(collector::attribute(ended, "sandboxd.execution.verdict") == "timeout");
    CHECK(collector::attribute(ended, "error.type") == "timeout");
}

TEST_CASE("a deployment belongs to the trace of each request that it gets", "[telemetry][proxy]")
{
    if (!has_node()) SKIP("there is no /usr/bin/node");
    collector to;
    server_process server{
        {.config = std::string{no_toolchain} + ", " + telemetry_section(to.url(), trust_all), .wait_ready = false}};
    http_client client{server};
    const auto id = deployed(client);
    const auto path = "/faas/" + id + "/";
    auto trace = new_trace();
    const auto told =
        client.get(path + "?token=secret", asking(trace, {{"tracestate", "a=1 , b=2"}, {"tracestate", "c=3"}})).json();
    const auto all = spans_of(to, trace, 3);
    const auto root = named(all, "GET /faas/{}/{*}");
    const auto hop = named(all, "GET");
    CHECK(is_child(root, named(all, "enter deployment")));
    CHECK(is_child(root, hop));
    CHECK(is_within(hop, root));
    CHECK(collector::text(hop, "kind") == "3");
    CHECK(collector::attribute(hop, "sandboxd.deployment.id") == id);
    CHECK(collector::attribute(hop, "http.response.status_code") == "200");
    CHECK(told == told_fields({"a=1,b=2,c=3"}, "00-" + trace + "-" + collector::text(hop, "spanId") + "-01"));
    // The program's own failures are its, and those of the answer.
    trace = new_trace();
    CHECK(client.get(path + "broken", asking(trace)).status == 500);
    const auto broken = spans_of(to, trace, 3);
    CHECK(collector::attribute(named(broken, "GET"), "error.type") == "500");
    // Not recorded: as it was sent; and without a trace, one that nobody records.
    trace = new_trace();
    CHECK(client.get(path, {{"traceparent", traceparent(trace, false)}, {"tracestate", "x="}}).json() ==
          told_fields({"x="}, traceparent(trace, false)));
    const auto alone = client.get(path, {{"tracestate", "a=1"}}).json().as_object();
    REQUIRE(alone.size() == 1);
    const std::string made{alone.at("traceparent").at(0).as_string()};
    CHECK(made.size() == 55);
    CHECK(made.ends_with("-00"));
    for (const auto& one : to.requests()) CHECK(one.body.find("secret") == std::string::npos);
}

TEST_CASE("a compile's spans are its queue, its run and its steps", "[telemetry]")
{
    collector to;
    server_process server{{.config = telemetry_section(to.url(), trust_all)}};
    http_client client{server};
    const json::object body{{"code", "int main(void) { return 42; }\n"}};
    auto trace = new_trace();
    const auto compiled = client.post("/compile", body, asking(trace));
    REQUIRE(compiled.status == 200);
    // The steps that Server-Timing names.
    std::vector<std::string> steps;
    std::istringstream timing{compiled.field("server-timing")};
    for (std::string one; std::getline(timing, one, ',');) {
        one.erase(0, one.find_first_not_of(' '));
        one.resize(one.find(';'));
        if (one != "queue" && one != "compile" && one != "total") steps.push_back(one);
    }
    const auto all = spans_of(to, trace, 3 + steps.size());
    const auto root = named(all, "POST /compile");
    const auto run = named(all, "compile");
    CHECK(is_child(root, named(all, "queue")));
    CHECK(is_child(root, run));
    for (const auto& name : steps) {
        CAPTURE(name);
        CHECK(is_child(run, named(all, name)));
    }
    CHECK(collector::attribute(root, "sandboxd.compile.cached") == "false");
    CHECK(std::stoll(collector::attribute(run, "sandboxd.compile.toolchain_us")) > 0);
    // From the store: nothing waits and nothing runs.
    trace = new_trace();
    CHECK(client.post("/compile", body, asking(trace)).status == 200);
    CHECK(collector::attribute(spans_of(to, trace, 1).front(), "sandboxd.compile.cached") == "true");
    // What the compiler rejects is no failure of the server.
    trace = new_trace();
    CHECK(client.post("/compile", {{"code", "int main(void) { return secret; }"}}, asking(trace)).status == 400);
    const auto rejected = span_of(to, trace, "POST /compile");
    CHECK(collector::attribute(rejected, "sandboxd.error.code") == "compile_error");
    CHECK_FALSE(rejected.contains("status"));
    CHECK(collector::attribute(span_of(to, trace, "compile"), "error.type") == "compile_error");
    for (const auto& one : to.requests()) CHECK(one.body.find("secret") == std::string::npos);
}

TEST_CASE("whose flag counts: that of who has a key, and no stranger's", "[telemetry][tenants]")
{
    collector to;
    const keys_file keys{{{"ann", "key-of-ann-0123456789abcdef", every_scope}}};
    const auto config = std::string{no_toolchain} + ", " + keys.config();
    const auto section = [&](const char* trust) {
        return telemetry_section(to.url(),
                                 std::string{R"(, "sampleRatio": 0.0, "trustTraceparent": ")"} + trust + "\"");
    };
    const auto known = with_key("key-of-ann-0123456789abcdef");
    const auto unknown = with_key("key-of-bob-0123456789abcdef");
    struct row {
        const char* trust;
        bool of_known;
        bool of_strangers;
    };
    for (const auto& one : {row{"keys", true, false}, row{"nobody", false, false}, row{"everybody", true, true}}) {
        CAPTURE(one.trust);
        server_process server{{.config = config + ", " + section(one.trust), .wait_ready = false}};
        http_client client{server};
        const auto of_known = new_trace();
        const auto of_stranger = new_trace();
        const auto of_impostor = new_trace();
        CHECK(client.get("/runtimes", asking(of_known, known)).status == 200);
        // Also of an endpoint that needs no key.
        const auto open = new_trace();
        CHECK(client.get("/healthz", asking(open, known)).status == 200);
        CHECK(client.get("/healthz", asking(of_stranger)).status == 200);
        CHECK(client.get("/runtimes", asking(of_impostor, unknown)).status == 401);
        // /metrics is for those who have a key.
        const auto exported = std::to_string((one.of_known ? 2 : 0) + (one.of_strangers ? 2 : 0));
        const auto sample = "\n" + spans_metric("exported") + " " + exported + "\n";
        CHECK(eventually([&] {
            const auto all = client.get("/metrics", known).body;
            return all.find(sample) != std::string::npos &&
                   all.find("\nsandboxd_telemetry_queued_bytes 0\n") != std::string::npos;
        }));
        std::multiset<std::string> recorded;
        for (const auto& span : to.spans()) recorded.insert(collector::text(span, "traceId"));
        CHECK(recorded.count(of_known) == (one.of_known ? 1U : 0U));
        CHECK(recorded.count(open) == (one.of_known ? 1U : 0U));
        CHECK(recorded.count(of_stranger) == (one.of_strangers ? 1U : 0U));
        CHECK(recorded.count(of_impostor) == (one.of_strangers ? 1U : 0U));
    }
}

TEST_CASE("a collector that is away, or has no time, costs spans and nothing else", "[telemetry]")
{
    collector to;
    to.end();
    server_process server{{.config = std::string{no_toolchain} + ", " +
                                     telemetry_section(to.url(), R"(, "maxQueuedKB": 16, "maxBatchKB": 16)"),
                           .wait_ready = false}};
    http_client client{server};
    // More than there is room for.
    for (int i = 0; i < 100; ++i) CHECK(client.get("/healthz").status == 200);
    CHECK(eventually([&] { return server.metric("sandboxd_telemetry_requests_total{result=\"try_again\"}") > 0; }));
    CHECK(server.metric(spans_metric("queue_full")) > 0);
    CHECK(server.metric("sandboxd_telemetry_queued_bytes") <= 16 * 1024);
    CHECK(server.metric(spans_metric("exported")) == 0);
    const auto ready = client.get("/readyz");
    CHECK(json::serialize(ready.json().at("degraded")).find("telemetry.otlpEndpoint") != std::string::npos);
    CHECK(ready.body.find(to.url()) == std::string::npos);
    CHECK(server.logs("the collector does not take spans"));

    // It is back, and has no time at first.
    to.answer_with([](const auto&, std::size_t number) {
        return number < 3 ? answer{.status = 429, .fields = {{"Retry-After", "0"}}} : answer{};
    });
    to.start_again();
    CHECK(eventually([&] { return server.metric(spans_metric("exported")) > 0; }));
    CHECK(eventually([&] {
        client.get("/healthz");
        return json::serialize(client.get("/readyz").json().at("degraded")).find("telemetry") == std::string::npos;
    }));
    CHECK(to.requests().size() >= 4);

    // It says nothing any more: neither requests nor the end of the server wait for it.
    to.answer_with([](const auto&, std::size_t) { return answer{.says_nothing = true}; });
    const auto asked = to.requests().size();
    CHECK(client.get("/healthz").status == 200);
    REQUIRE(eventually([&] { return to.requests().size() > asked; }));
    for (int i = 0; i < 10; ++i) CHECK(client.get("/healthz").status == 200);
    CHECK(server.stop().code == 0);
}

TEST_CASE("a collector that lies is believed nothing", "[telemetry]")
{
    collector to;
    const std::vector<answer> lies{
        {.raw = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n", .close = true},
        {.raw = "SSH-2.0-OpenSSH_9.2\r\n\r\n", .close = true},
        {.body = R"({"partialSuccess":{"rejectedSpans":"18446744073709551615","errorMessage":")" +
                 std::string(9'000, 'x') + "\"}}"},
        {.status = 302, .fields = {{"Location", to.url() + "/elsewhere"}}},
        {.body = std::string(1'000'000, '{')},
        {.status = 503, .fields = {{"Retry-After", "999999999999"}}},
    };
    to.answer_with([&](const auto&, std::size_t number) { return number < lies.size() ? lies[number] : answer{}; });
    server_process server{
        {.config = std::string{no_toolchain} + ", " + telemetry_section(to.url()), .wait_ready = false}};
    http_client client{server};
    CHECK(eventually([&] {
        client.get("/healthz");
        return to.requests().size() > lies.size() + 2;
    }));
    CHECK(eventually([&] { return server.metric(spans_metric("exported")) > 0; }));
    for (const auto& one : to.requests()) CHECK(one.target == "/v1/traces");
    CHECK(client.get("/healthz").status == 200);
    CHECK(server.stop().code == 0);
}

TEST_CASE("the keys of a collector are checked before the start, and its credential is sent", "[telemetry]")
{
    const secret token{"Bearer x"};
    const secret nonsense{"hunter2"};
    const secret open_token{"Bearer x", 0444};
    const auto with = [](const std::string& url, const std::string& more = {}) { return telemetry_section(url, more); };
    const auto file_of = [](const char* key, const std::string& path) {
        return std::string{", \""} + key + "\": \"" + path + "\"";
    };
    const refused_config rows[] = {
        {with("127.0.0.1:4318"), "telemetry.otlpEndpoint: "},
        {with("http://a:b@127.0.0.1:4318"), "put them into a file"},
        {with("http://127.0.0.1:4318?x=y"), "telemetry.otlpEndpoint: "},
        {with("http://10.0.0.1:4318", file_of("otlpCredentialFile", token.path())),
         "telemetry.otlpCredentialFile: would be sent over http://"},
        {with("http://127.0.0.1:4318", file_of("otlpCredentialFile", nonsense.path())), "neither"},
        {with("http://127.0.0.1:4318", file_of("otlpCredentialFile", open_token.path())), "other users"},
        {with("https://127.0.0.1:4318", file_of("otlpCaFile", token.path())), "telemetry.otlpCaFile: "},
        {with("http://127.0.0.1:4318", file_of("otlpCaFile", token.path())), "has no use with http://"},
        {with("http://127.0.0.1:4318", R"(, "sampleRatio": 2)"), "telemetry.sampleRatio must be between 0 and 1"},
    };
    check_refused(rows, "hunter2");
    // The whole URL is as good as its beginning.
    collector to;
    server_process server{
        {.config = std::string{no_toolchain} + ", " +
                   telemetry_section(to.url() + "/v1/traces", file_of("otlpCredentialFile", token.path())),
         .wait_ready = false}};
    http_client client{server};
    client.get("/healthz");
    REQUIRE(eventually([&] { return !to.requests().empty(); }));
    const auto asked = to.requests().front();
    CHECK(asked.target == "/v1/traces");
    CHECK(asked.fields.at("authorization") == "Bearer x");
    CHECK(read_file("/proc/" + std::to_string(server.pid()) + "/status").find("\nThreads:\t1\n") != std::string::npos);
}
