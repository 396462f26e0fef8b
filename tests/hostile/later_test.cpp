// Floods of keys, of jobs and of readers that read nothing: what the server keeps for them is bounded, and others are
// served meanwhile.
#include "support/eventually.hpp"
#include "support/http_client.hpp"
#include "support/server_process.hpp"
#include "support/stream_client.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <catch2/catch_test_macros.hpp>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <vector>

using namespace sandboxd::test;
namespace json = boost::json;

namespace {

class small_server : public server_process {
public:
    small_server()
        : server_process{{.config = std::string{no_toolchain} + R"(, "http": {"maxRequestsPerMinutePerClient": 100000},
              "idempotency": {"maxKeys": 40, "maxKeysPerClient": 20, "maxAnswersMB": 1},
              "asyncJobs": {"maxJobs": 12, "maxJobsPerClient": 8, "maxTotalMB": 1, "maxFollowersPerJob": 3},
              "proxy": {"trustForwarded": true})",
                          .wait_ready = false,
                          .js = true}}
    {
        REQUIRE(eventually([this] { return http_client{*this}.get("/api/health").status == 200; }));
    }
};

json::object script(std::string code) { return {{"script", std::move(code)}}; }

header_list fields(const std::string& who, const std::string& name, const std::string& value)
{
    return {{"X-Forwarded-For", who}, {name, value}};
}

}  // namespace

TEST_CASE("a flood of keys forgets its own", "[hostile][later]")
{
    const small_server server;
    http_client client{server};
    const auto mine = client.post("/execute", script("Math.random()"), fields("192.0.2.1", "Idempotency-Key", "mine"));
    REQUIRE(mine.status == 200);
    for (int i = 0; i < 200; ++i) {
        const auto who = "198.51.100." + std::to_string(i % 2);
        CHECK(client.post("/execute", script("1"), fields(who, "Idempotency-Key", "k" + std::to_string(i))).status ==
              200);
    }
    CHECK(server.metric("sandboxd_idempotency_keys") <= 40);
    CHECK(server.metric("sandboxd_idempotency_keys_evicted_total") >= 160);
    const auto again = client.post("/execute", script("Math.random()"), fields("192.0.2.1", "Idempotency-Key", "mine"));
    CHECK(again.body == mine.body);
}

TEST_CASE("large answers of keys are bounded", "[hostile][later]")
{
    const small_server server;
    http_client client{server};
    for (int i = 0; i < 30; ++i)
        CHECK(client
                  .post("/execute", script("'x'.repeat(100000)"),
                        fields("192.0.2.1", "Idempotency-Key", "k" + std::to_string(i)))
                  .status == 200);
    CHECK(server.metric("sandboxd_idempotency_answer_bytes") <= 1024.0 * 1024);
    // Larger than its share: it is done once all the same.
    const auto large = script("'x'.repeat(500000)");
    CHECK(client.post("/execute", large, fields("192.0.2.1", "Idempotency-Key", "large")).status == 200);
    CHECK(client.post("/execute", large, fields("192.0.2.1", "Idempotency-Key", "large")).status == 409);
}

TEST_CASE("a flood of jobs is refused, and leaves room for others", "[hostile][later]")
{
    const small_server server;
    http_client client{server};
    int refused = 0;
    for (int i = 0; i < 60; ++i) {
        const auto one = client.post("/execute", script("1"), fields("198.51.100.1", "Prefer", "respond-async"));
        if (one.status == 429) ++refused;
        CHECK((one.status == 202 || one.status == 429));
    }
    CHECK(refused == 52);
    CHECK(server.metric("sandboxd_async_jobs") == 8);
    CHECK(server.metric("sandboxd_async_jobs_refused_total{cause=\"jobs_of_client\"}") == 52);
    const auto other = client.post("/execute", script("42"), fields("192.0.2.1", "Prefer", "respond-async"));
    REQUIRE(other.status == 202);
    CHECK(eventually([&] { return client.get(other.field("location")).status == 200; }));
    // Large requests are bounded by their bytes.
    const auto large = client.post("/execute", script("//" + std::string(200'000, 'x')),
                                   fields("192.0.2.2", "Prefer", "respond-async"));
    CHECK(large.status == 503);
    CHECK(server.metric("sandboxd_async_jobs_bytes") <= 1024.0 * 1024);
    // An id is not to be found by trying.
    CHECK(client.get("/jobs/00000000000000000000000000000000").status == 404);
    CHECK(client.get("/jobs/" + std::string(5000, 'a')).status == 404);
}

TEST_CASE("large answers of jobs push out nobody else's, and are sent without a copy", "[hostile][later]")
{
    const small_server server;
    http_client client{server};
    const auto job_of = [&](const char* who, const std::string& code) {
        const auto where =
            client.post("/execute", script(code), fields(who, "Prefer", "respond-async")).field("location");
        REQUIRE(where.starts_with("/jobs/"));
        REQUIRE(eventually([&] { return client.request("HEAD", where).status == 200; }));
        return where;
    };
    const auto small = job_of("192.0.2.1", "42");
    std::string large;
    for (int i = 0; i < 8; ++i) {
        large = job_of("198.51.100.1", "'x'.repeat(200000)");
        CHECK(server.metric("sandboxd_async_jobs_bytes") <= 1024.0 * 1024);
    }
    CHECK(server.metric("sandboxd_async_jobs_evicted_total") >= 3);
    CHECK(client.get(small).status == 200);
    // HEAD says how long it is, and sends nothing of it.
    const auto head = client.request("HEAD", large);
    const auto whole = client.get(large);
    CHECK(head.body.empty());
    CHECK(head.field("content-length") == std::to_string(whole.body.size()));
    CHECK(whole.json().at("answer").at("answer").at("result").as_string().size() == 200'000);
    const auto told = client.get(large, {{"Accept", "text/event-stream"}});
    CHECK(told.body.find("event: done\ndata: {\"status\":200,\"answer\":{") != std::string::npos);
    CHECK(told.body.find("\n\n", told.body.find("event: done")) == told.body.size() - 2);
    // One that is longer than a quarter of all is refused.
    const auto answer = client.get(job_of("198.51.100.2", "'x'.repeat(300000)")).json().at("answer");
    CHECK(answer.at("status") == 400);
    CHECK(answer.at("answer").at("code") == "output_limit");
    CHECK(server.metric("sandboxd_async_jobs_refused_total{cause=\"answer\"}") == 1);
}

TEST_CASE("readers of a job's events are bounded, and end with it", "[hostile][later]")
{
    const small_server server;
    http_client client{server};
    const auto body = json::object{{"script", "for (;;);"}, {"fuel", 20'000'000'000}, {"timeout_ms", 10'000}};
    const auto where = client.post("/execute", body, fields("192.0.2.1", "Prefer", "respond-async")).field("location");
    REQUIRE(where.starts_with("/jobs/"));
    std::vector<std::unique_ptr<stream_client>> readers;
    for (int i = 0; i < 3; ++i) {
        readers.push_back(std::make_unique<stream_client>(server));
        REQUIRE(
            readers.back()->send("GET " + where + " HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"));
        readers.back()->until("event: started");
    }
    const auto refused = client.get(where, {{"Accept", "text/event-stream"}});
    CHECK(refused.status == 429);
    CHECK(server.metric("sandboxd_async_jobs_refused_total{cause=\"followers\"}") == 1);
    readers[0].reset();
    CHECK(eventually([&] {
        stream_client another{server};
        return another.send("GET " + where + " HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n") &&
               another.until("\r\n").find(" 200 ") != std::string::npos;
    }));
    CHECK(client.request("DELETE", where).status == 204);
    CHECK(readers[1]->until("0\r\n\r\n").find("event: done") != std::string::npos);
    CHECK(readers[2]->until("0\r\n\r\n").find("event: done") != std::string::npos);
    CHECK(server.metric("sandboxd_async_jobs") == 0);
}

TEST_CASE("readers of a compile's events that read nothing hold neither jobs nor memory", "[hostile][later]")
{
    // What a sanitizer keeps of freed memory would count as the server's.
    server_process server{{.config = R"("http": {"writeTimeoutSecs": 1, "maxUnsentMB": 8})",
                           .env = {{"ASAN_OPTIONS", "quarantine_size_mb=8:thread_local_quarantine_size_kb=64"}}}};
    http_client client{server};
    const auto before = server.metric("process_resident_memory_bytes");
    // Warnings of a thousand bytes, each of them an event, and all of them once more at the end.
    std::string source;
    for (int i = 0; i < 150; ++i) source += "#pragma message \"" + std::to_string(i) + std::string(1000, 'x') + "\"\n";
    const auto body = json::serialize(json::object{{"code", source + "int main(void) { return 0; }\n"}});
    const auto request =
        "POST /compile HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Accept: text/event-stream\r\nContent-Length: " +
        std::to_string(body.size()) + "\r\n\r\n" + body;
    std::vector<std::unique_ptr<http_client>> readers;
    constexpr int count = 40;
    for (int i = 0; i < count; ++i) {
        readers.push_back(std::make_unique<http_client>(server));
        const int small = 4'096;
        ::setsockopt(readers.back()->native(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        REQUIRE(readers.back()->send(request));
    }
    // The job ends, and so do all answers, though nobody takes them: each is counted, and its memory is given back.
    CHECK(eventually(
        [&] { return server.metric("sandboxd_http_requests_total{route=\"/compile\",status=\"200\"}") == count; }));
    CHECK(server.metric("sandboxd_http_unsent_bytes") <= 8.0 * 1024 * 1024);
    CHECK(server.metric("sandboxd_jobs_running") == 0);
    CHECK(server.metric("sandboxd_async_jobs_unlisted_bytes") == 0);
    CHECK(server.metric("process_resident_memory_bytes") - before < 128.0 * 1024 * 1024);
    CHECK(server.clean());
    CHECK(client.get("/healthz").status == 200);
    readers.clear();
    CHECK(server.stop().code == 0);
}
