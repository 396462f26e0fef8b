// Kept JavaScript sandboxes and continuations of several servers: each stays where it is, and any server is asked.
#include "support/eventually.hpp"
#include "support/http_client.hpp"
#include "support/keys.hpp"
#include "support/server_process.hpp"
#include "support/shared_engines.hpp"
#include "support/spans.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <csignal>
#include <string>

using namespace sandboxd::test;
namespace json = boost::json;

namespace {

// No wait of these tests ends by its time, however slow the machine is.
constexpr const char* patient = R"(, "leaseSecs": 600, "redisTimeoutMs": 60000, "peerTimeoutMs": 60000)";

std::string text(const json::value& from, const char* key) { return std::string{from.at(key).as_string()}; }

struct fleet : shared_engines {
    // `members`: with a section `js`.
    server_options options_with(const std::string& members, const std::string& of_cluster = patient) const
    {
        return {.config = config(R"(, "listen": "127.0.0.1:0")" + of_cluster) + ", " + no_toolchain + ", " + members,
                .wait_ready = false,
                .js = true};
    }
    server_options options(const std::string& more = {}, const std::string& of_cluster = patient) const
    {
        return options_with(R"("js": {"workers": 1, "timeoutMs": 60000, "maxTimeoutMs": 60000})" +
                                (more.empty() ? std::string{} : ", " + more),
                            of_cluster);
    }
};

bool is_shared(const server_process& server, const redis_server& redis, int servers)
{
    return is_connected(server) && eventually([&] {
               const auto keys = redis.say("KEYS sandboxd:server:*");
               return keys.starts_with("*" + std::to_string(servers) + "\r\n");
           });
}

json::object counter(const std::string& id)
{
    return {{"sandbox_id", id}, {"init_script", "let n = 0"}, {"script", "++n"}};
}

std::int64_t counted(http_client& client, const std::string& id, const header_list& fields = {})
{
    const auto answer = client.post("/execute", counter(id), fields);
    INFO(answer.body);
    REQUIRE(answer.status == 200);
    return answer.json().at("result").as_int64();
}

const json::object with_tool{{"script", "await tools.add(1, 2)"}, {"tools", json::array{"add"}}};

json::object results(const std::string& continuation)
{
    return {{"continuation", continuation}, {"results", json::array{json::object{{"id", 1}, {"value", 3}}}}};
}

}  // namespace

TEST_CASE("a kept sandbox of scripts goes on whichever server is asked", "[cluster][js]")
{
    if (const auto why = fleet::missing(); !why.empty()) SKIP(why);
    const fleet all;
    server_process one{all.options()};
    server_process two{all.options()};
    http_client first{one};
    http_client second{two};
    REQUIRE(is_shared(one, all.redis, 2));
    REQUIRE(is_shared(two, all.redis, 2));
    REQUIRE(eventually([&] { return first.get("/api/health").status == 200; }));
    REQUIRE(eventually([&] { return second.get("/api/health").status == 200; }));
    CHECK(counted(first, "x") == 1);
    CHECK(counted(second, "x") == 2);
    CHECK(counted(first, "x") == 3);
    CHECK(counted(second, "y") == 1);
    CHECK(counted(first, "y") == 2);
    // What is answered later, and errors, are the same.
    const auto failed = second.post("/execute", {{"sandbox_id", "x"}, {"init_script", "let n = 0"}, {"script", "no"}});
    CHECK(failed.status == 400);
    CHECK(text(failed.json(), "code") == "runtime_error");
    const auto once = second.post("/execute", counter("x"), {{"Idempotency-Key", "k"}});
    CHECK(once.status == 200);
    CHECK(second.post("/execute", counter("x"), {{"Idempotency-Key", "k"}}).body == once.body);
    // Without an id nobody is asked.
    const auto before = two.metric("sandboxd_cluster_peer_connections_total{way=\"out\",result=\"done\"}");
    CHECK(second.post("/execute", {{"script", "1"}}).status == 200);
    CHECK(two.metric("sandboxd_cluster_peer_connections_total{way=\"out\",result=\"done\"}") == before);
    // Its server dies: best effort is to begin anew.
    one.signal(SIGKILL);
    one.wait();
    CHECK(counted(second, "x") == 1);
    CHECK(two.stop().code == 0);
}

TEST_CASE("a trace goes on where a script's sandbox is kept", "[cluster][js][telemetry]")
{
    if (const auto why = fleet::missing(); !why.empty()) SKIP(why);
    collector to;
    const fleet all;
    // Neither believes a client. The one that keeps the sandbox would record nothing of its own.
    const auto records = [&](const char* ratio) {
        return telemetry_section(to.url(), std::string{R"(, "trustTraceparent": "nobody", "sampleRatio": )"} + ratio);
    };
    server_process one{all.options(records("0.0"))};
    server_process two{all.options(records("1.0"))};
    http_client first{one};
    http_client second{two};
    REQUIRE(is_shared(one, all.redis, 2));
    REQUIRE(is_shared(two, all.redis, 2));
    REQUIRE(eventually([&] { return first.get("/api/health").status == 200; }));
    REQUIRE(eventually([&] { return second.get("/api/health").status == 200; }));
    CHECK(counted(first, "x") == 1);
    const std::string trace = "4bf92f3577b34da6a3ce00000000000c";
    CHECK(counted(second, "x", {{"traceparent", "00-" + trace + "-00f067aa0ba902b7-00"}}) == 2);
    const auto spans = spans_of(to, trace, 5);
    const auto hop = named(spans, "POST");
    CHECK(collector::text(hop, "kind") == "3");
    CHECK(collector::attribute(hop, "http.response.status_code") == "200");
    // Of the two requests of that name, one is the other's.
    json::object asked;
    json::object kept;
    for (const auto& span : spans) {
        if (collector::text(span, "name") != "POST /execute") continue;
        (collector::text(span, "parentSpanId") == "00f067aa0ba902b7" ? asked : kept) = span;
    }
    CHECK(is_child(asked, hop));
    CHECK(is_child(hop, kept));
    for (const auto* const part : {"queue", "run"}) {
        CAPTURE(part);
        CHECK(is_child(kept, named(spans, part)));
    }
    CHECK(one.stop().code == 0);
    CHECK(two.stop().code == 0);
}

TEST_CASE("what another server answers for a script may be as long as what this one answers", "[cluster][js]")
{
    if (const auto why = fleet::missing(); !why.empty()) SKIP(why);
    const fleet all;
    // Of each byte that it prints JSON makes six.
    const std::string more = R"("js": {"workers": 1, "timeoutMs": 60000, "maxTimeoutMs": 60000,
                                       "maxConsoleBytes": 12000000})";
    server_process one{all.options_with(more)};
    server_process two{all.options_with(more)};
    http_client first{one};
    http_client second{two};
    REQUIRE(is_shared(one, all.redis, 2));
    REQUIRE(is_shared(two, all.redis, 2));
    REQUIRE(eventually([&] { return first.get("/api/health").status == 200; }));
    const json::object prints{{"sandbox_id", "x"},
                              {"script", "console.log('\\x01'.repeat(11500000)); 7"},
                              {"fuel", 20'000'000'000},
                              {"memory_limit_bytes", 134'217'728}};
    for (auto* const each : {&first, &second}) {
        const auto answer = each->post("/execute", prints);
        CHECK(answer.status == 200);
        CHECK(answer.body.size() > 6 * 11'500'000);
        CHECK(answer.body.find("\"result\":7,") != std::string::npos);
    }
    CHECK(one.metric("sandboxd_cluster_peer_connections_total{way=\"in\",result=\"done\"}") == 1);
}

TEST_CASE("a continuation goes on where it waits, and is gone with its server", "[cluster][js]")
{
    if (const auto why = fleet::missing(); !why.empty()) SKIP(why);
    const fleet all;
    server_process one{all.options()};
    server_process two{all.options()};
    http_client first{one};
    http_client second{two};
    REQUIRE(is_shared(one, all.redis, 2));
    REQUIRE(is_shared(two, all.redis, 2));
    REQUIRE(eventually([&] { return first.get("/api/health").status == 200; }));
    REQUIRE(eventually([&] { return second.get("/api/health").status == 200; }));
    const auto waits = first.post("/execute", with_tool);
    REQUIRE(waits.status == 200);
    const auto id = text(waits.json(), "continuation");
    CHECK(id.size() == 64 + 1 + 16);
    const auto done = second.post("/execute/continue", results(id));
    INFO(done.body);
    REQUIRE(done.status == 200);
    CHECK(done.json().at("result").as_int64() == 3);
    for (auto* const each : {&first, &second}) {
        const auto again = each->post("/execute/continue", results(id));
        CHECK(again.status == 409);
        CHECK(text(again.json(), "code") == "continuation_used");
    }
    CHECK(first.post("/execute/continue", results(text(second.post("/execute", with_tool).json(), "continuation")))
              .status == 200);
    // Not any id, of no server or of one that is there.
    for (const auto& wrong :
         {id.substr(0, 64), std::string(64, '0') + id.substr(64), std::string(64, '0') + "-" + std::string(16, '0')}) {
        CAPTURE(wrong);
        CHECK(second.post("/execute/continue", results(wrong)).status == 410);
    }
    const auto kept = text(first.post("/execute", with_tool).json(), "continuation");
    const auto lost = text(first.post("/execute", with_tool).json(), "continuation");
    // While it cannot be reached, it may come back; when its time is over, it is gone.
    one.signal(SIGKILL);
    one.wait();
    const auto away = second.post("/execute/continue", results(kept));
    CHECK(away.status == 503);
    CHECK(text(away.json(), "code") == "index_unavailable");
    CHECK(all.redis.say("DEL sandboxd:server:" + id.substr(65)) == ":1\r\n");
    const auto gone = second.post("/execute/continue", results(lost));
    CHECK(gone.status == 410);
    CHECK(text(gone.json(), "code") == "continuation_gone");
}

TEST_CASE("what a tenant's script keeps is his on each server, and his limits hold there", "[cluster][js]")
{
    if (const auto why = fleet::missing(); !why.empty()) SKIP(why);
    const fleet all;
    const keys_file keys{{{"a", "key-of-a", {"execute"}}, {"b", "key-of-b", {"execute"}}}};
    server_process one{all.options(keys.config())};
    server_process two{all.options(keys.config())};
    http_client first{one};
    http_client second{two};
    const auto a = with_key("key-of-a");
    const auto b = with_key("key-of-b");
    REQUIRE(eventually([&] { return all.redis.say("KEYS sandboxd:server:*").starts_with("*2\r\n"); }));
    REQUIRE(eventually([&] { return first.get("/api/health").status == 200; }));
    REQUIRE(eventually([&] { return second.get("/api/health").status == 200; }));
    CHECK(counted(first, "x", a) == 1);
    CHECK(counted(second, "x", b) == 1);
    CHECK(counted(second, "x", a) == 2);
    CHECK(counted(first, "x", b) == 2);
    const auto id = text(first.post("/execute", with_tool, a).json(), "continuation");
    CHECK(second.post("/execute/continue", results(id), b).status == 410);
    CHECK(second.post("/execute/continue", results(id)).status == 401);
    CHECK(second.post("/execute/continue", results(id), a).status == 200);
}

TEST_CASE("without Redis scripts go on, and kept ones where they are", "[cluster][js]")
{
    if (const auto why = fleet::missing(); !why.empty()) SKIP(why);
    fleet all;
    server_process one{all.options({}, R"(, "leaseSecs": 600, "redisTimeoutMs": 5000, "peerTimeoutMs": 60000)")};
    http_client first{one};
    REQUIRE(is_shared(one, all.redis, 1));
    REQUIRE(eventually([&] { return first.get("/api/health").status == 200; }));
    CHECK(counted(first, "x") == 1);
    const auto id = text(first.post("/execute", with_tool).json(), "continuation");
    all.redis.end();
    REQUIRE(eventually([&] { return one.metric("sandboxd_cluster_redis_connected") == 0; }));
    CHECK(counted(first, "x") == 2);
    CHECK(first.post("/execute", {{"script", "1"}}).status == 200);
    CHECK(first.post("/execute/continue", results(id)).status == 200);
    const auto unknown = first.post("/execute/continue", results(id.substr(0, 65) + std::string(16, '0')));
    CHECK(unknown.status == 503);
    CHECK(text(unknown.json(), "code") == "index_unavailable");
    CHECK(one.stop().code == 0);
}
