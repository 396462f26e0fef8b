// Deployments that servers share: one owns each, any takes its requests, and several run what may run on several; with
// real nginx, a real Redis and real jails.
#include "support/agent.hpp"
#include "support/eventually.hpp"
#include "support/files.hpp"
#include "support/http_client.hpp"
#include "support/keys.hpp"
#include "support/server_process.hpp"
#include "support/shared_engines.hpp"
#include "support/spans.hpp"
#include "support/stream_client.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <list>
#include <string>
#include <vector>

using namespace sandboxd::test;
namespace json = boost::json;

namespace {

// No wait of these tests ends by its time, however slow the machine is.
constexpr const char* patient = R"(, "leaseSecs": 600, "redisTimeoutMs": 60000, "peerTimeoutMs": 60000)";

constexpr const char* claims_elsewhere = "sandboxd_cluster_deployments_total{what=\"claim\",result=\"elsewhere\"}";

// Says who it is, what it gets, and how often it has been asked since its start. `/slow` answers when it is asked for
// `/go`.
constexpr const char* program = R"js(
const http = require('http');
const me = require('crypto').randomUUID();
let asked = 0, waiting = [];
const server = http.createServer((q, r) => {
    if (q.url === '/go') { for (const one of waiting) one.end('slow\n'); waiting = []; return r.end('gone\n'); }
    if (q.url === '/slow') { waiting.push(r); r.write('begun '); return; }
    if (q.url === '/end') { r.end(); return process.exit(3); }
    let bytes = 0;
    q.on('data', (piece) => bytes += piece.length);
    q.on('end', () => {
        r.setHeader('Set-Cookie', 'a=b; Path=/');
        r.end(JSON.stringify({me, asked: ++asked, pid: process.pid, method: q.method, url: q.url, bytes,
                              headers: q.headers, word: process.env.WORD, text: TEXT}));
    });
});
server.on('upgrade', (q, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    socket.on('data', (piece) => socket.write(piece));
    socket.on('end', () => socket.end());
});
server.listen(process.env.PORT);
)js";

std::string program_that_says(const std::string& text) { return "const TEXT = '" + text + "';\n" + program; }

std::string missing()
{
    if (::access("/usr/bin/node", X_OK) != 0) return "there is no /usr/bin/node";
    return shared_engines::missing();
}

std::string text(const json::value& from, const char* key) { return std::string{from.at(key).as_string()}; }

// What servers that share everything have in common.
struct fleet : shared_engines {
    server_options options(const std::string& more = {}, const std::string& of_cluster = patient) const
    {
        return {.config = config(R"(, "listen": "127.0.0.1:0")" + of_cluster) + ", " + no_toolchain +
                          (more.empty() ? "" : ", " + more),
                .wait_ready = false};
    }
};

std::string deployed(http_client& client, const std::string& says, const header_list& fields = {})
{
    const auto answer = client.post(
        "/faas/deploy",
        {{"runtime", "node"}, {"code", program_that_says(says)}, {"env_vars", json::object{{"WORD", "secret"}}}},
        fields);
    INFO(answer.body);
    REQUIRE(answer.status == 200);
    CHECK(answer.field("etag") == "\"1\"");
    return text(answer.json(), "deployment_id");
}

json::value asked(http_client& client, const std::string& id, const std::string& path = "/")
{
    const auto answer = client.get("/faas/" + id + path);
    INFO(answer.body);
    REQUIRE(answer.status == 200);
    return answer.json();
}

double starts(const server_process& server) { return server.metric("sandboxd_faas_starts_total"); }

json::object one_file(const std::string& says, bool restart = true)
{
    return {{"files", json::array{json::object{{"path", "index.js"}, {"content", program_that_says(says)}}}},
            {"restart_dev_server", restart}};
}

http_answer put(http_client& client, const std::string& path, const json::object& body, header_list fields = {})
{
    fields.emplace_back("Content-Type", "application/json");
    return client.request("PUT", path, fields, json::serialize(body));
}

// What the tool `logs` returns.
json::object told_logs(http_client& client, json::object arguments, const header_list& fields = {})
{
    const auto answer =
        agent::ask(client, "tools/call", {{"name", "logs"}, {"arguments", std::move(arguments)}}, fields);
    INFO(answer.body);
    REQUIRE(answer.status == 200);
    return answer.json().at("result").as_object();
}

std::vector<std::filesystem::path> files_named(const std::filesystem::path& below, const std::string& name)
{
    std::vector<std::filesystem::path> found;
    for (const auto& one : std::filesystem::recursive_directory_iterator{below})
        if (one.path().filename() == name) found.push_back(one.path());
    return found;
}

// Keeps requests under way at `by` until another program than `not_this` answers there; says which.
std::string other_program(const server_process& by, http_client& client, const std::string& id,
                          const std::string& not_this)
{
    constexpr std::size_t most_slow = 4;
    std::list<stream_client> slow;
    std::string seen;
    const bool is_other = eventually([&] {
        seen = text(asked(client, id), "me");
        if (seen != not_this) return true;
        // The oldest may be one whose program has ended.
        if (slow.size() == most_slow) slow.pop_front();
        slow.emplace_back(by).send("GET /faas/" + id + "/slow HTTP/1.1\r\nHost: localhost\r\n\r\n");
        CHECK(slow.back().until("begun ").find("HTTP/1.1 200") == 0);
        return false;
    });
    CHECK(is_other);
    return seen;
}

}  // namespace

TEST_CASE("a deployment runs on one server, and every server takes its requests", "[cluster][faas]")
{
    if (const auto why = missing(); !why.empty()) SKIP(why);
    const fleet all;
    server_process one{all.options()};
    server_process two{all.options()};
    http_client first{one};
    http_client second{two};
    REQUIRE(is_connected(one));
    REQUIRE(is_connected(two));
    const auto id = deployed(first, "one");
    const auto here = asked(first, id, "/a?b=c");
    const auto there = asked(second, id, "/a?b=c");
    CHECK(there.at("pid") == here.at("pid"));
    CHECK(there.at("asked").as_int64() == 2);
    CHECK(text(there, "url") == "/a?b=c");
    CHECK(text(there, "word") == "secret");
    CHECK(starts(one) == 1);
    CHECK(starts(two) == 0);
    // The program sees what it sees without a second server.
    const auto& headers = there.at("headers");
    CHECK(text(headers, "x-forwarded-for") == "127.0.0.1");
    CHECK(text(headers, "x-real-ip") == "127.0.0.1");
    CHECK(text(headers, "x-forwarded-prefix") == "/faas/" + id);
    CHECK(text(headers, "x-forwarded-proto") == "http");
    CHECK(text(headers, "host") == text(here.at("headers"), "host"));
    CHECK(text(headers, "x-forwarded-host") == text(headers, "host"));
    // What a client says of that is not believed on the way either.
    const auto liar = second.get("/faas/" + id + "/", {{"X-Forwarded-For", "6.6.6.6"}, {"X-Real-IP", "6.6.6.6"}});
    CHECK(text(liar.json().at("headers"), "x-forwarded-for") == "127.0.0.1");
    CHECK(text(liar.json().at("headers"), "x-real-ip") == "127.0.0.1");
    CHECK(liar.field("set-cookie") == "a=b; Path=/faas/" + id);

    // Its connection to the other server is used again, and bodies go both ways.
    const auto posted = second.request("POST", "/faas/" + id + "/", {}, std::string(3'000'000, 'x'));
    REQUIRE(posted.status == 200);
    CHECK(posted.json().at("bytes").as_int64() == 3'000'000);
    const auto before = two.metric("sandboxd_cluster_peer_connections_total{way=\"out\",result=\"done\"}");
    CHECK(asked(second, id).at("asked").as_int64() == 5);
    CHECK(two.metric("sandboxd_cluster_peer_connections_total{way=\"out\",result=\"done\"}") <= before + 1);

    // As many fields as a client may send, with those that the first server adds.
    header_list many;
    for (int i = 0; i < 99; ++i) many.emplace_back("X-" + std::to_string(i), "y");
    CHECK(second.get("/faas/" + id + "/", many).status == 200);
    many.emplace_back("X-99", "y");
    http_client too_many{two};
    CHECK(too_many.get("/faas/" + id + "/", many).status == 431);

    // By the id of its sandbox, and by what is said of it.
    const auto info = second.get("/faas/deployments/" + id);
    CHECK(text(info.json(), "status") == "Running");
    CHECK(info.json().at("revision").as_int64() == 1);
    CHECK(info.field("etag") == "\"1\"");
    CHECK(second.get("/proxy/" + text(info.json(), "sandbox_id") + "/").status == 200);
    CHECK(second.get("/faas/deployments").json().at("count").as_int64() == 1);
    const auto logs = second.get("/faas/deployments/" + id + "/logs");
    CHECK(logs.status == 200);
    CHECK(logs.json().at("lines").as_array().size() >= 2);
    CHECK(logs.body == first.get("/faas/deployments/" + id + "/logs").body);

    CHECK(second.request("DELETE", "/faas/deployments/" + id).status == 204);
    for (auto* const each : {&first, &second}) {
        CHECK(each->get("/faas/" + id + "/").status == 404);
        CHECK(each->get("/faas/deployments/" + id).status == 404);
        CHECK(each->get("/faas/deployments").json().at("count").as_int64() == 0);
    }
    CHECK(std::filesystem::is_empty(one.working_dir() / "deployments"));
    CHECK(one.stop().code == 0);
    CHECK(two.stop().code == 0);
}

TEST_CASE("a trace goes on where another server runs the deployment, and the one that was asked decides",
          "[cluster][faas][telemetry]")
{
    if (const auto why = missing(); !why.empty()) SKIP(why);
    collector to;
    const fleet all;
    // Neither believes a client. The first one would record nothing of its own, the second one everything.
    const auto records = [&](const char* ratio) {
        return telemetry_section(to.url(), std::string{R"(, "trustTraceparent": "nobody", "sampleRatio": )"} + ratio);
    };
    server_process one{all.options(records("0.0"))};
    server_process two{all.options(records("1.0"))};
    http_client first{one};
    http_client second{two};
    REQUIRE(is_connected(one));
    REQUIRE(is_connected(two));
    const std::string sender = "00f067aa0ba902b7";
    const auto fields = [&](const std::string& trace, header_list more = {}) {
        more.emplace_back("traceparent", "00-" + trace + "-" + sender + "-01");
        more.emplace_back("tracestate", "a=1");
        return more;
    };

    const auto of_first = deployed(first, "one");
    const std::string trace = "4bf92f3577b34da6a3ce00000000000a";
    const auto answer = second.get("/faas/" + of_first + "/", fields(trace));
    REQUIRE(answer.status == 200);
    auto spans = spans_of(to, trace, 5);
    // By what they are parts of: the request, the way to the other server, the request there, the way to the program.
    std::vector<json::object> chain;
    for (auto parent = sender; chain.size() < 4;) {
        const auto next = std::ranges::find_if(spans, [&](const json::object& span) {
            return collector::text(span, "parentSpanId") == parent &&
                   collector::text(span, "name") != "enter deployment";
        });
        REQUIRE(next != spans.end());
        parent = collector::text(*next, "spanId");
        chain.push_back(*next);
    }
    for (const std::size_t i : {0U, 2U}) CHECK(collector::text(chain[i], "name") == "GET /faas/{}/{*}");
    for (const std::size_t i : {1U, 3U}) {
        CHECK(collector::text(chain[i], "name") == "GET");
        CHECK(collector::text(chain[i], "kind") == "3");
        CHECK(collector::attribute(chain[i], "http.response.status_code") == "200");
        CHECK(collector::attribute(chain[i], "sandboxd.deployment.id") == of_first);
    }
    CHECK(is_child(chain[2], named(spans, "enter deployment")));
    const auto seen = answer.json();
    const auto& told = seen.at("headers").as_object();
    CHECK(text(told, "traceparent") == "00-" + trace + "-" + collector::text(chain[3], "spanId") + "-01");
    CHECK(text(told, "tracestate") == "a=1");
    CHECK_FALSE(told.contains("x-forwarded-sampled"));

    // The first one does not record it: then the second one does not either, whatever the client wants, and what he
    // has sent goes on as it came.
    const auto of_second = deployed(second, "two");
    const std::string quiet = "4bf92f3577b34da6a3ce00000000000b";
    const auto unheard = first.get("/faas/" + of_second + "/", fields(quiet, {{"X-Forwarded-Sampled", "1"}}));
    REQUIRE(unheard.status == 200);
    const auto seen_there = unheard.json();
    const auto& as_sent = seen_there.at("headers").as_object();
    CHECK(text(as_sent, "traceparent") == "00-" + quiet + "-" + sender + "-01");
    CHECK(text(as_sent, "tracestate") == "a=1");
    CHECK_FALSE(as_sent.contains("x-forwarded-sampled"));
    CHECK(one.stop().code == 0);
    CHECK(two.stop().code == 0);
    // All that there was has been sent by now.
    for (const auto& span : to.spans()) CHECK(collector::text(span, "traceId") != quiet);
}

TEST_CASE("streams and upgrades go through a second server", "[cluster][faas]")
{
    if (const auto why = missing(); !why.empty()) SKIP(why);
    const fleet all;
    server_process one{all.options()};
    server_process two{all.options()};
    http_client first{one};
    REQUIRE(is_connected(one));
    REQUIRE(is_connected(two));
    const auto id = deployed(first, "one");
    stream_client slow{two};
    slow.send("GET /faas/" + id + "/slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    CHECK(slow.until("begun ").find("HTTP/1.1 200") == 0);
    CHECK(first.get("/faas/" + id + "/go").status == 200);
    CHECK(slow.rest().find("slow\n") != std::string::npos);

    stream_client tunnel{two};
    tunnel.send("GET /faas/" + id + "/ HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    CHECK(tunnel.until("\r\n\r\n").find("HTTP/1.1 101") == 0);
    for (const auto* const word : {"hello\n", "again\n"}) {
        tunnel.send(word);
        CHECK(tunnel.until(word) == word);
    }
    CHECK(two.metric("sandboxd_proxy_tunnels") == 1);
    CHECK(one.metric("sandboxd_proxy_tunnels") == 1);
    tunnel.shutdown_send();
    CHECK(tunnel.rest().empty());
    CHECK(eventually([&] { return one.metric("sandboxd_proxy_tunnels") + two.metric("sandboxd_proxy_tunnels") == 0; }));
    // A client that goes takes its request with it, on both.
    stream_client gone{two};
    gone.send("GET /faas/" + id + "/slow HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CHECK(gone.until("begun ").find("HTTP/1.1 200") == 0);
    gone.close();
    CHECK(
        eventually([&] { return first.get("/faas/deployments/" + id).json().at("active_requests").as_int64() == 0; }));
}

TEST_CASE("an agent reads a deployment's log from whichever server he asks", "[cluster][faas][mcp]")
{
    if (const auto why = missing(); !why.empty()) SKIP(why);
    const fleet all;
    server_process one{all.options()};
    server_process two{all.options()};
    http_client first{one};
    http_client second{two};
    REQUIRE(is_connected(one));
    REQUIRE(is_connected(two));
    const auto id = deployed(first, "one");
    const auto here = told_logs(first, {{"deployment_id", id}});
    const auto there = told_logs(second, {{"deployment_id", id}});
    CHECK(there.at("isError") == false);
    CHECK(there.at("structuredContent") == here.at("structuredContent"));
    const auto& lines = there.at("structuredContent").at("lines").as_array();
    REQUIRE(lines.size() >= 2);
    // As many as he asks for, and behind the one that he names.
    const auto last = told_logs(second, {{"deployment_id", id}, {"lines", 1}});
    REQUIRE(last.at("structuredContent").at("lines").as_array().size() == 1);
    CHECK(last.at("structuredContent").at("lines").at(0) == lines.back());
    const auto rest = told_logs(second, {{"deployment_id", id}, {"after", lines.at(0).at("id")}});
    CHECK(rest.at("structuredContent").at("lines").as_array().size() == lines.size() - 1);
    CHECK(starts(two) == 0);
    // Its server has the log, and nobody else.
    one.signal(SIGKILL);
    one.wait();
    const auto away = told_logs(second, {{"deployment_id", id}});
    CHECK(away.at("isError") == true);
    CHECK(text(away.at("structuredContent"), "code") == "index_unavailable");
    CHECK(text(away.at("structuredContent"), "error").find("ask again in a moment") != std::string::npos);
}

TEST_CASE("what a server that dies was running, another one runs", "[cluster][faas]")
{
    if (const auto why = missing(); !why.empty()) SKIP(why);
    const fleet all;
    server_process one{all.options()};
    server_process two{all.options()};
    http_client first{one};
    http_client second{two};
    REQUIRE(is_connected(one));
    REQUIRE(is_connected(two));
    const auto id = deployed(first, "one");
    const auto lease = "sandboxd:deployment-server:" + id;
    CHECK(asked(second, id).at("asked").as_int64() == 1);
    one.signal(SIGKILL);
    one.wait();
    // The request waits for the lease to end, and is sent once.
    const auto left = std::stoll(all.redis.say("PTTL " + lease).substr(1));
    CHECK(left > 0);
    CHECK(left <= 600'000);
    stream_client waits{two};
    const auto before = two.metric(claims_elsewhere);
    waits.send("GET /faas/" + id + "/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    REQUIRE(eventually([&] { return two.metric(claims_elsewhere) >= before + 2; }));
    CHECK(starts(two) == 0);
    // As its time would end it.
    CHECK(all.redis.say("DEL " + lease) == ":1\r\n");
    const auto answer = waits.rest();
    CHECK(answer.find("HTTP/1.1 200") == 0);
    CHECK(answer.find("\"asked\":1,") != std::string::npos);
    CHECK(answer.find("\"word\":\"secret\"") != std::string::npos);
    CHECK(starts(two) == 1);
    CHECK(text(second.get("/faas/deployments/" + id).json(), "status") == "Running");
    // The one that died comes back with a copy, and runs nothing.
    auto again = all.options();
    again.working_dir = one.working_dir();
    server_process third{again};
    http_client last{third};
    REQUIRE(is_connected(third));
    CHECK(asked(last, id).at("asked").as_int64() == 2);
    CHECK(starts(third) == 0);
    CHECK(last.get("/faas/deployments").json().at("count").as_int64() == 1);
}

TEST_CASE("a request that no program has had goes where its deployment goes", "[cluster][faas]")
{
    if (const auto why = missing(); !why.empty()) SKIP(why);
    const fleet all;
    const std::string patient_start = R"("faas": {"startTimeoutSecs": 600})";
    server_process one{all.options(patient_start)};
    server_process two{all.options(patient_start)};
    server_process three{all.options(patient_start)};
    http_client first{one};
    http_client second{two};
    for (auto* const each : {&one, &two, &three}) REQUIRE(is_connected(*each));
    const auto id = deployed(first, "one");
    // From now on its program does not listen, on this server.
    const auto copies = files_named(one.working_dir(), "index.js");
    REQUIRE(!copies.empty());
    for (const auto& file : copies) write_file(file, "setInterval(() => {}, 1000);\n");
    CHECK(first.get("/faas/" + id + "/end").status == 200);
    REQUIRE(eventually([&] { return starts(one) == 2; }));
    std::list<stream_client> waiting;
    for (const auto* const by : {&one, &three}) {
        waiting.emplace_back(*by).send("GET /faas/" + id +
                                       "/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        waiting.emplace_back(*by).send("POST /faas/" + id +
                                       "/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                                       "Content-Length: 5\r\n\r\n12345");
    }
    // Of them two come from the third server; and who asks for the metric.
    REQUIRE(eventually([&] { return one.metric("sandboxd_http_requests_active") == 5; }));
    CHECK(all.redis.say("DEL sandboxd:deployment-server:" + id) == ":1\r\n");
    CHECK(asked(second, id).at("asked").as_int64() == 1);
    const auto refused = put(first, "/faas/deployments/" + id + "/files", one_file("x"));
    INFO(refused.body);
    CHECK(refused.status == 409);
    std::size_t with_body = 0;
    for (auto& each : waiting) {
        const auto answer = each.rest();
        CHECK(answer.find("HTTP/1.1 200") == 0);
        CHECK(answer.find("\"text\":\"one\"") != std::string::npos);
        with_body += answer.find("\"bytes\":5,") != std::string::npos ? 1 : 0;
    }
    CHECK(with_body == 2);
    CHECK(asked(second, id).at("asked").as_int64() == 6);
    CHECK(starts(one) + starts(two) + starts(three) == 3);
}

TEST_CASE("a server that ends in order hands its deployments over", "[cluster][faas]")
{
    if (const auto why = missing(); !why.empty()) SKIP(why);
    const fleet all;
    server_process one{all.options()};
    server_process two{all.options()};
    http_client first{one};
    http_client second{two};
    REQUIRE(is_connected(one));
    REQUIRE(is_connected(two));
    const auto id = deployed(first, "one");
    // A request that has begun is answered.
    stream_client slow{one};
    slow.send("GET /faas/" + id + "/slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    CHECK(slow.until("begun ").find("HTTP/1.1 200") == 0);
    one.signal(SIGTERM);
    // No lease of this test ends by its time: it was given back.
    REQUIRE(eventually([&] { return second.get("/faas/" + id + "/").status == 200; }));
    CHECK(starts(two) == 1);
    CHECK(one.wait().code == 0);
}

TEST_CASE("a deployment that is idle belongs to nobody, and to whom it is asked from next", "[cluster][faas]")
{
    if (const auto why = missing(); !why.empty()) SKIP(why);
    const fleet all;
    const char* const hasty = R"(, "leaseSecs": 3, "redisTimeoutMs": 1000, "peerTimeoutMs": 60000)";
    server_process one{all.options({}, hasty)};
    server_process two{all.options({}, hasty)};
    http_client first{one};
    http_client second{two};
    REQUIRE(is_connected(one));
    REQUIRE(is_connected(two));
    const auto made = first.post("/faas/deploy", {{"runtime", "node"},
                                                  {"code", program_that_says("idle")},
                                                  {"auto_scale", json::object{{"scale_down_after_minutes", 0.001}}}});
    REQUIRE(made.status == 200);
    const auto id = text(made.json(), "deployment_id");
    REQUIRE(eventually([&] { return all.redis.say("EXISTS sandboxd:deployment-server:" + id) == ":0\r\n"; }));
    CHECK(text(second.get("/faas/deployments/" + id).json(), "status") == "Stopped");
    // Who looks takes nothing.
    CHECK(all.redis.say("EXISTS sandboxd:deployment-server:" + id) == ":0\r\n");
    CHECK(text(asked(second, id), "text") == "idle");
    CHECK(starts(one) == 1);
    CHECK(starts(two) == 1);
}

TEST_CASE("updates have revisions, from whatever server, and a former one comes back", "[cluster][faas]")
{
    if (const auto why = missing(); !why.empty()) SKIP(why);
    const fleet all;
    server_process one{all.options()};
    server_process two{all.options()};
    http_client first{one};
    http_client second{two};
    REQUIRE(is_connected(one));
    REQUIRE(is_connected(two));
    const auto id = deployed(first, "one");
    const auto at = "/faas/deployments/" + id;
    const auto updated = put(second, at + "/files", one_file("two"), {{"If-Match", "\"1\""}});
    INFO(updated.body);
    REQUIRE(updated.status == 200);
    CHECK(updated.field("etag") == "\"2\"");
    CHECK(updated.json().at("revision").as_int64() == 2);
    CHECK(updated.json().at("restarted").as_bool());
    CHECK(text(asked(first, id), "text") == "two");
    // What was read before somebody else has changed it is not written over it.
    for (auto* const each : {&first, &second}) {
        const auto late = put(*each, at + "/files", one_file("lost"), {{"If-Match", "\"1\""}});
        CHECK(late.status == 412);
        CHECK(text(late.json(), "code") == "precondition_failed");
        CHECK(put(*each, at + "/files", one_file("lost"), {{"If-Match", "W/\"2\""}}).status == 412);
        CHECK(put(*each, at + "/files", one_file("lost"), {{"If-Match", "\"2\", \"3\""}}).status == 400);
    }
    CHECK(text(asked(second, id), "text") == "two");
    CHECK(put(first, at + "/files", one_file("three"), {{"If-Match", "*"}}).field("etag") == "\"3\"");
    CHECK(text(asked(second, id), "text") == "three");

    const auto back = put(second, at + "/revision", {{"revision", 1}, {"restart_dev_server", true}});
    INFO(back.body);
    REQUIRE(back.status == 200);
    CHECK(back.json().at("revision").as_int64() == 4);
    CHECK(text(asked(first, id), "text") == "one");
    const auto never = put(second, at + "/revision", {{"revision", 9}});
    CHECK(never.status == 404);
    CHECK(never.body.find("revision 9") != std::string::npos);
    CHECK(put(second, at + "/revision", {{"revision", 0}}).status == 400);
    CHECK(put(second, at + "/revision", {{"revision", 2}}, {{"If-Match", "\"3\""}}).status == 412);
    // Another server starts what is the newest.
    one.signal(SIGTERM);
    CHECK(one.wait().code == 0);
    CHECK(text(asked(second, id), "text") == "one");
    CHECK(second.get(at).field("etag") == "\"4\"");
}

TEST_CASE("a deployment that may runs on several servers, where many requests come", "[cluster][faas]")
{
    if (const auto why = missing(); !why.empty()) SKIP(why);
    const fleet all;
    // What a server learns when it renews, it learns within 10 s.
    const char* const usual = R"(, "leaseSecs": 30, "redisTimeoutMs": 5000, "peerTimeoutMs": 60000)";
    const char* const eager =
        R"("faas": {"scaleUpRequests": 2, "seatIdleSecs": 600}, "http": {"idleTimeoutSecs": 600})";
    server_process one{all.options(eager, usual)};
    server_process two{all.options(eager, usual)};
    http_client first{one};
    http_client second{two};
    REQUIRE(is_connected(one));
    REQUIRE(is_connected(two));
    const auto refused = first.post(
        "/faas/deploy",
        {{"runtime", "node"}, {"code", program_that_says("one")}, {"auto_scale", json::object{{"max_instances", 9}}}});
    CHECK(refused.status == 400);
    CHECK(refused.body.find("cluster.maxInstances") != std::string::npos);
    const auto made = first.post(
        "/faas/deploy",
        {{"runtime", "node"}, {"code", program_that_says("one")}, {"auto_scale", json::object{{"max_instances", 2}}}});
    INFO(made.body);
    REQUIRE(made.status == 200);
    CHECK(made.json().at("auto_scale").at("max_instances").as_int64() == 2);
    CHECK(made.json().at("instances").as_int64() == 1);
    const auto id = text(made.json(), "deployment_id");
    const auto at = "/faas/deployments/" + id;
    const auto owner = text(asked(first, id), "me");
    CHECK(text(asked(second, id), "me") == owner);
    CHECK(starts(two) == 0);

    const auto beside = other_program(two, second, id, owner);
    REQUIRE(beside != owner);
    CHECK(starts(two) >= 1);
    CHECK(two.metric("sandboxd_faas_seats_total{result=\"taken\"}") >= 1);
    // The owner answers what comes to it, and says what there is to say; from wherever it is asked.
    CHECK(text(asked(first, id), "me") == owner);
    CHECK(starts(one) == 1);
    for (auto* const each : {&first, &second})
        CHECK(eventually([&] {
            other_program(two, second, id, owner);
            return each->get(at).json().at("instances").as_int64() == 2;
        }));
    CHECK(second.get(at + "/logs").body == first.get(at + "/logs").body);

    // A change reaches both.
    const auto updated = put(second, at + "/files", one_file("two"), {{"If-Match", "\"1\""}});
    INFO(updated.body);
    REQUIRE(updated.status == 200);
    CHECK(updated.field("etag") == "\"2\"");
    CHECK(text(asked(first, id), "text") == "two");
    REQUIRE(eventually([&] { return text(asked(second, id), "text") == "two"; }));
    const auto later_owner = text(asked(first, id), "me");
    const auto later_beside = other_program(two, second, id, later_owner);
    CHECK(later_beside != later_owner);
    CHECK(later_beside != beside);
    CHECK(text(asked(second, id), "text") == "two");

    // And so does its end.
    CHECK(second.request("DELETE", at).status == 204);
    CHECK(first.get("/faas/" + id + "/").status == 404);
    CHECK(eventually([&] { return second.get("/faas/" + id + "/").status == 404; }));
    for (const auto* const each : {&one, &two}) {
        CHECK(eventually([&] { return std::filesystem::is_empty(each->working_dir() / "deployments"); }));
        CHECK(each->metric("sandboxd_faas_programs{role=\"seat\"}") == 0);
        CHECK(each->metric("sandboxd_faas_programs{role=\"owner\"}") == 0);
    }
    CHECK(one.stop().code == 0);
    CHECK(two.stop().code == 0);
}

TEST_CASE("without Redis what runs goes on, on all servers that have known it", "[cluster][faas]")
{
    if (const auto why = missing(); !why.empty()) SKIP(why);
    fleet all;
    const char* const usual = R"(, "leaseSecs": 30, "redisTimeoutMs": 5000, "peerTimeoutMs": 60000)";
    server_process one{all.options({}, usual)};
    server_process two{all.options({}, usual)};
    server_process three{all.options({}, usual)};
    http_client first{one};
    http_client second{two};
    http_client third{three};
    for (auto* const each : {&one, &two, &three}) REQUIRE(is_connected(*each));
    const auto id = deployed(first, "one");
    CHECK(asked(second, id).at("asked").as_int64() == 1);
    all.redis.end();
    REQUIRE(eventually([&] {
        return one.metric("sandboxd_cluster_redis_connected") + two.metric("sandboxd_cluster_redis_connected") +
                   three.metric("sandboxd_cluster_redis_connected") ==
               0;
    }));
    CHECK(asked(first, id).at("asked").as_int64() == 2);
    CHECK(asked(second, id).at("asked").as_int64() == 3);
    for (const auto& refused :
         {third.get("/faas/" + id + "/"), third.get("/faas/deployments"), third.get("/faas/deployments/" + id),
          third.post("/faas/deploy", {{"runtime", "node"}, {"code", program_that_says("x")}}),
          put(first, "/faas/deployments/" + id + "/files", one_file("x")),
          first.request("DELETE", "/faas/deployments/" + id)}) {
        INFO(refused.body);
        CHECK(refused.status == 503);
        CHECK(text(refused.json(), "code") == "index_unavailable");
        CHECK(refused.field("retry-after") == "1");
    }
    CHECK(third.get("/readyz").body.find("cluster.redis: Redis cannot be used") != std::string::npos);
    // It has forgotten everything when it comes back, and is told again by who runs it.
    all.redis.start_again();
    for (auto* const each : {&one, &two, &three}) REQUIRE(is_connected(*each));
    REQUIRE(eventually([&] { return third.get("/faas/" + id + "/").status == 200; }));
    CHECK(starts(one) + starts(two) + starts(three) == 1);
    CHECK(third.get("/faas/deployments").json().at("count").as_int64() == 1);
}

TEST_CASE("a deployment of a server that shared nothing is shared from then on", "[cluster][faas]")
{
    if (const auto why = missing(); !why.empty()) SKIP(why);
    const fleet all;
    const temporary_directory own;
    std::string id;
    {
        server_process alone{{.config = no_toolchain, .working_dir = own.path(), .wait_ready = false}};
        http_client client{alone};
        const auto made = client.post("/faas/deploy", {{"runtime", "node"}, {"code", program_that_says("alone")}});
        REQUIRE(made.status == 200);
        CHECK(made.field("etag").empty());
        CHECK_FALSE(made.json().as_object().contains("revision"));
        id = text(made.json(), "deployment_id");
        // It keeps no revisions, and says so.
        const auto refused = put(client, "/faas/deployments/" + id + "/revision", {{"revision", 1}});
        CHECK(refused.status == 422);
        CHECK(put(client, "/faas/deployments/" + id + "/files", one_file("alone"), {{"If-Match", "\"7\""}}).status ==
              200);
        CHECK(alone.stop().code == 0);
    }
    auto options = all.options();
    options.working_dir = own.path();
    server_process one{options};
    server_process two{all.options()};
    http_client second{two};
    REQUIRE(is_connected(two));
    REQUIRE(eventually([&] { return second.get("/faas/deployments").json().at("count").as_int64() == 1; }));
    CHECK(text(asked(second, id), "text") == "alone");
    CHECK(second.get("/faas/deployments/" + id).field("etag") == "\"1\"");
}

TEST_CASE("a tenant's deployments are his on each server, and count on each", "[cluster][faas]")
{
    if (const auto why = missing(); !why.empty()) SKIP(why);
    const fleet all;
    const keys_file keys{{{"a", "key-of-a", {"deploy"}, R"({"deployments": 1})"},
                          {"b", "key-of-b", {"deploy"}},
                          {"op", "key-of-op", every_scope}}};
    server_process one{all.options(keys.config())};
    server_process two{all.options(keys.config())};
    http_client first{one};
    http_client second{two};
    const auto a = with_key("key-of-a");
    const auto b = with_key("key-of-b");
    const auto op = with_key("key-of-op");
    for (auto* const each : {&one, &two}) REQUIRE(is_connected(*each, op));
    const auto id = deployed(first, "a", a);
    const auto at = "/faas/deployments/" + id;
    const std::string never = "/faas/deployments/aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa";
    for (const auto* const method : {"GET", "DELETE"}) {
        CAPTURE(method);
        const auto theirs = second.request(method, at, b);
        CHECK(theirs.status == 404);
        CHECK(theirs.body == second.request(method, never, b).body);
    }
    CHECK(second.get(at + "/logs", b).status == 404);
    CHECK(told_logs(second, {{"deployment_id", id}}, b).at("structuredContent").at("code") == "not_found");
    CHECK(told_logs(second, {{"deployment_id", id}}, a).at("isError") == false);
    CHECK(put(second, at + "/files", one_file("b"), b).status == 404);
    CHECK(put(second, at + "/revision", {{"revision", 1}}, b).status == 404);
    CHECK(second.get(at).status == 401);
    CHECK(second.get("/faas/deployments", b).json().at("count").as_int64() == 0);
    CHECK(second.get("/faas/deployments", op).json().at("count").as_int64() == 1);
    CHECK(second.get(at, a).status == 200);
    CHECK(second.get(at, op).status == 200);
    // The program is for everybody, and never sees a key of this fleet.
    const auto answer = second.get("/faas/" + id + "/", a);
    REQUIRE(answer.status == 200);
    CHECK_FALSE(answer.json().at("headers").as_object().contains("authorization"));
    // Before a server knows the fleet's keys, none of these fields passes.
    REQUIRE(eventually([&] { return second.get("/readyz").body.find("are not known yet") == std::string::npos; }));
    const auto basic = second.get("/faas/" + id + "/", {{"Authorization", "Basic dTpw"}});
    CHECK(text(basic.json().at("headers"), "authorization") == "Basic dTpw");
    // One there is one too many here.
    const auto refused = second.post("/faas/deploy", {{"runtime", "node"}, {"code", program_that_says("a")}}, a);
    CHECK(refused.status == 429);
    CHECK(text(refused.json(), "code") == "tenant_deployment_limit");
    CHECK(second.request("DELETE", at, a).status == 204);
}

TEST_CASE("a former revision comes back where its tenant may keep as much", "[cluster][faas][limits]")
{
    if (const auto why = missing(); !why.empty()) SKIP(why);
    const fleet all;
    constexpr int most = 10'000;
    const keys_file keys{{{"a", "key-of-a", {"deploy", "sandbox"}, R"({"keptBytes": )" + std::to_string(most) + "}"},
                          {"op", "key-of-op", every_scope}}};
    server_process server{all.options(keys.config())};
    http_client client{server};
    const auto a = with_key("key-of-a");
    const auto op = with_key("key-of-op");
    REQUIRE(is_connected(server, op));
    const auto id = deployed(client, std::string(most / 2, 'x'), a);
    const auto at = "/faas/deployments/" + id;
    REQUIRE(put(client, at + "/files", one_file("short"), a).status == 200);
    const auto beside = client.post("/sandbox", {{"runtime", "node"}, {"code", std::string(most / 2, ' ')}}, a);
    INFO(beside.body);
    REQUIRE(beside.status == 200);
    const auto refused = put(client, at + "/revision", {{"revision", 1}}, a);
    INFO(refused.body);
    REQUIRE(refused.status == 429);
    CHECK(text(refused.json(), "code") == "tenant_storage_limit");
    CHECK(refused.field("ratelimit-policy").starts_with("\"keptBytes\";q=" + std::to_string(most)));
    CHECK(client.get(at, a).field("etag") == "\"2\"");
    REQUIRE(client.request("DELETE", "/sandbox/" + text(beside.json(), "id"), a).status == 204);
    CHECK(put(client, at + "/revision", {{"revision", 1}}, a).status == 200);
    CHECK(client.get(at, a).field("etag") == "\"3\"");
}

TEST_CASE("a key that the server of a deployment does not know yet reaches no program", "[cluster][faas]")
{
    if (const auto why = missing(); !why.empty()) SKIP(why);
    const fleet all;
    const keys_file older{{{"op", "key-of-op", every_scope}}};
    const keys_file newer{{{"op", "key-of-op", every_scope}, {"new", "key-of-new", {"deploy"}}}};
    server_process one{all.options(older.config())};
    server_process two{all.options(newer.config())};
    http_client first{one};
    http_client second{two};
    const auto op = with_key("key-of-op");
    for (auto* const each : {&one, &two}) REQUIRE(is_connected(*each, op));
    const auto id = deployed(first, "op", op);
    const auto answer = second.get("/faas/" + id + "/", with_key("key-of-new"));
    REQUIRE(answer.status == 200);
    CHECK_FALSE(answer.json().at("headers").as_object().contains("authorization"));
    CHECK(second.request("DELETE", "/faas/deployments/" + id, op).status == 204);
}

TEST_CASE("before a server knows the keys that servers share, no Authorization reaches a program", "[cluster][faas]")
{
    if (const auto why = missing(); !why.empty()) SKIP(why);
    const fleet all;
    const keys_file keys{{{"op", "key-of-op", every_scope}}};
    server_process one{all.options(keys.config())};
    http_client first{one};
    const auto op = with_key("key-of-op");
    REQUIRE(is_connected(one, op));
    const auto made = first.post("/admin/keys", {{"name", "ci"}, {"scopes", json::array{"deploy"}}}, op);
    INFO(made.body);
    REQUIRE(made.status == 201);
    const auto ci = with_key(text(made.json(), "key"));
    const auto id = deployed(first, "one", op);
    const std::string its_path = "/faas/" + id + "/";
    const header_list own{{"Authorization", "Basic dTpw"}};

    // All works on the second one, except that it cannot read the keys.
    REQUIRE(all.redis.say("ACL SETUSER default -hscan") == "+OK\r\n");
    server_process two{all.options(keys.config())};
    http_client second{two};
    REQUIRE(is_connected(two, op));
    CHECK(second.get("/faas/deployments", op).status == 200);
    CHECK(second.get("/faas/deployments", ci).status == 503);
    for (const auto& fields : {ci, own}) {
        const auto answer = second.get(its_path, fields);
        REQUIRE(answer.status == 200);
        CHECK_FALSE(answer.json().at("headers").as_object().contains("authorization"));
    }
    REQUIRE(all.redis.say("ACL SETUSER default +hscan") == "+OK\r\n");
    CHECK(eventually([&] { return second.get("/faas/deployments", ci).status == 200; }));
    CHECK_FALSE(second.get(its_path, ci).json().at("headers").as_object().contains("authorization"));
    CHECK(text(second.get(its_path, own).json().at("headers"), "authorization") == "Basic dTpw");
    CHECK(second.request("DELETE", "/faas/deployments/" + id, op).status == 204);
}

TEST_CASE("the way between servers is closed to those who do not have the fleet's key", "[cluster][faas][hostile]")
{
    if (const auto why = missing(); !why.empty()) SKIP(why);
    const fleet all;
    const keys_file keys{{{"op", "key-of-op", every_scope}}};
    server_process one{all.options(keys.config())};
    REQUIRE(one.logs("other servers reach this one"));
    const auto log = one.log();
    const auto mark = log.find("127.0.0.1:", log.find("other servers reach this one"));
    REQUIRE(mark != std::string::npos);
    const auto port = static_cast<std::uint16_t>(std::stoi(log.substr(mark + 10)));
    for (const std::string& words :
         {std::string{"GET /faas/deployments HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n"},
          std::string(32, '0') + " " + std::string(64, '0') + "\n", std::string(10'000, 'x')}) {
        http_client stranger{port};
        REQUIRE(stranger.send(words));
        const auto heard = stranger.receive_all();
        // A nonce, and no more.
        CHECK((heard.empty() || (heard.find("sandboxd-peer 1 ") == 0 && heard.size() == 49)));
    }
    // The public way gives no trust to who claims to be a server.
    http_client client{one};
    CHECK(client.get("/faas/deployments", {{"X-Forwarded-For", "10.0.0.1"}}).status == 401);
}
