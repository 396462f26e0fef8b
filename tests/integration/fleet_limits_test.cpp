// What a key may use holds for all servers of a fleet together; with a real Redis. Requests, jobs and days need nothing
// else; what is kept needs what servers keep together (real nginx).
#include "support/eventually.hpp"
#include "support/held_toolchain.hpp"
#include "support/http_client.hpp"
#include "support/keys.hpp"
#include "support/server_process.hpp"
#include "support/shared_engines.hpp"

#include <boost/json/object.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <csignal>
#include <future>
#include <string>
#include <vector>

using namespace sandboxd::test;
namespace json = boost::json;

namespace {

// No call of Redis, and nothing that counts, ends by its time, however slow the machine is.
constexpr const char* patient = R"(, "leaseSecs": 600, "redisTimeoutMs": 60000)";

const header_list a = with_key("key-of-a");
const header_list op = with_key("key-of-op");

std::vector<told_key> keys_with(const std::string& limits)
{
    return {{"a", "key-of-a", {"compile", "execute", "sandbox", "deploy"}, limits}, {"op", "key-of-op", {"admin"}}};
}

bool shows(const server_process& server, const std::string& sample)
{
    http_client client{server};
    return client.get("/metrics", op).body.find("\n" + sample + "\n") != std::string::npos;
}

std::string code_of(const http_answer& answer)
{
    INFO(answer.body);
    return answer.status == 429 ? std::string{answer.json().at("code").as_string()} : std::to_string(answer.status);
}

std::string with_redis(const redis_server& redis, const keys_file& keys)
{
    return cluster_section(redis.url_by_name(), patient) + ", " + keys.config();
}

json::object script(const std::string& text) { return {{"script", text}}; }

}  // namespace

TEST_CASE("a minute's requests are those to all servers", "[tenants][limits][cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    redis_server redis;
    const keys_file keys{keys_with(R"({"requestsPerMinute": 3})")};
    const server_options options{.config = std::string{no_toolchain} + ", " + with_redis(redis, keys),
                                 .wait_ready = false};
    server_process one{options};
    server_process two{options};
    server_process three{options};
    for (auto* const each : {&one, &two, &three}) REQUIRE(is_connected(*each, op));
    http_client first{one};
    http_client second{two};
    http_client third{three};
    const auto ask = [](http_client& client) { return client.post("/compile", json::object{}, a); };
    CHECK(ask(first).status == 400);
    CHECK(ask(second).status == 400);
    CHECK(ask(first).status == 400);
    const auto refused = ask(second);
    CHECK(code_of(refused) == "tenant_request_limit");
    CHECK(std::stoi(refused.field("retry-after")) <= 60);
    CHECK(code_of(ask(first)) == "tenant_request_limit");
    CHECK(second.get("/runtimes", a).status == 200);
    // As the minute's end does, for a server that has not been told that it is full.
    CHECK(redis.say("DEL sandboxd:tenant-minute:a") == ":1\r\n");
    CHECK(ask(third).status == 400);

    // Without Redis each server counts for itself, with what it has counted before.
    redis.end();
    REQUIRE(eventually([&] { return shows(three, "sandboxd_cluster_redis_connected 0"); }));
    for (int i = 0; i < 2; ++i) CHECK(ask(third).status == 400);
    CHECK(code_of(ask(third)) == "tenant_request_limit");
}

TEST_CASE("jobs at once are those on all servers", "[tenants][limits][cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    const redis_server redis;
    const held_toolchain tools;
    const keys_file keys{keys_with(R"({"concurrentJobs": 1})")};
    const server_options options{.config = tools.config() + ", " + with_redis(redis, keys)};
    server_process one{options};
    server_process two{options};
    REQUIRE(is_connected(one, op));
    REQUIRE(is_connected(two, op));
    const auto program = [](int salt) {
        return json::object{{"code", "int main(void) { return " + std::to_string(salt) + "; }"}};
    };
    tools.hold();
    http_client first{one};
    http_client second{two};
    first.start_post("/compile", program(1), a);
    REQUIRE(eventually([&] { return shows(one, "sandboxd_jobs_running 1"); }));
    CHECK(code_of(second.post("/compile", program(2), a)) == "tenant_job_limit");
    tools.release();
    CHECK(first.receive().status == 200);
    // It is told behind the answer.
    CHECK(eventually([&] { return second.post("/compile", program(2), a).status == 200; }));
    CHECK(eventually([&] { return first.post("/compile", program(3), a).status == 200; }));
}

TEST_CASE("jobs of a server that dies do not count for ever", "[tenants][limits][cluster]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    const redis_server redis;
    const held_toolchain tools;
    const keys_file keys{keys_with(R"({"concurrentJobs": 1})")};
    const server_options options{.config = tools.config() + ", " + with_redis(redis, keys)};
    server_process one{options};
    server_process two{options};
    REQUIRE(is_connected(one, op));
    REQUIRE(is_connected(two, op));
    const json::object program{{"code", "int main(void) { return 0; }"}};
    tools.hold();
    http_client first{one};
    first.start_post("/compile", program, a);
    REQUIRE(eventually([&] { return shows(one, "sandboxd_jobs_running 1"); }));
    one.signal(SIGKILL);
    one.wait();
    tools.release();
    http_client second{two};
    CHECK(code_of(second.post("/compile", program, a)) == "tenant_job_limit");
    // The job that was refused has gone; and now, as its time would end it, that of the dead server.
    REQUIRE(eventually([&] { return redis.say("ZCARD sandboxd:tenant-now:a") == ":1\r\n"; }));
    CHECK(redis.say("ZREMRANGEBYRANK sandboxd:tenant-now:a 0 -1") == ":1\r\n");
    CHECK(second.post("/compile", program, a).status == 200);
}

TEST_CASE("a day's fuel is that of all servers, also after a restart", "[tenants][limits][cluster][js]")
{
    if (const auto why = redis_server::missing(); !why.empty()) SKIP(why);
    const redis_server redis;
    const keys_file keys{keys_with(R"({"fuelPerDay": 1})")};
    const server_options options{
        .config = std::string{no_toolchain} + ", " + with_redis(redis, keys), .wait_ready = false, .js = true};
    server_process one{options};
    server_process two{options};
    for (auto* const each : {&one, &two}) {
        REQUIRE(is_connected(*each, op));
        http_client client{*each};
        REQUIRE(eventually([&] { return client.get("/api/health").status == 200; }));
    }
    http_client first{one};
    http_client second{two};
    const auto run = [](http_client& client) { return client.post("/execute", script("6 * 7"), a); };
    CHECK(run(first).status == 200);
    CHECK(code_of(run(first)) == "tenant_fuel_limit");
    CHECK(eventually([&] { return code_of(run(second)) == "tenant_fuel_limit"; }));
    CHECK(one.stop().code == 0);
    server_process third{options};
    REQUIRE(is_connected(third, op));
    http_client last{third};
    REQUIRE(eventually([&] { return last.get("/api/health").status == 200; }));
    CHECK(code_of(run(last)) == "tenant_fuel_limit");
}

TEST_CASE("what two servers are asked to keep at the same moment finds room once", "[tenants][limits][cluster]")
{
    if (const auto why = shared_engines::missing(); !why.empty()) SKIP(why);
    const shared_engines all;
    const std::string code(30, ' ');
    const keys_file keys{keys_with(R"({"keptBytes": 40})")};
    const server_options options{.config = all.config(patient) + ", " + no_toolchain + ", " + keys.config(),
                                 .wait_ready = false};
    server_process one{options};
    server_process two{options};
    REQUIRE(is_connected(one, op));
    REQUIRE(is_connected(two, op));
    http_client first{one};
    http_client second{two};
    const auto make = [&](http_client& client) {
        return client.post("/sandbox", json::object{{"runtime", "node"}, {"code", code}}, a);
    };
    for (int round = 0; round < 20; ++round) {
        auto other = std::async(std::launch::async, [&] { return make(second); });
        const auto here = make(first);
        const auto there = other.get();
        if (here.status == 422) SKIP("there is no Node.js: " << here.body);
        std::vector<std::string> made;
        for (const auto* const each : {&here, &there}) {
            INFO(each->body);
            CHECK((each->status == 200 || code_of(*each) == "tenant_storage_limit"));
            if (each->status == 200) made.emplace_back(each->json().at("id").as_string());
        }
        // Both may be refused: each sees the other on its way.
        CHECK(made.size() <= 1);
        for (const auto& id : made) CHECK(first.request("DELETE", "/sandbox/" + id, a).status == 204);
    }
    CHECK(eventually([&] { return make(second).status == 200; }));
}
