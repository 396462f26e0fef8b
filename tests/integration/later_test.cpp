// Requests that are done once (Idempotency-Key), answered later (Prefer: respond-async), or told of as they go
// (Accept: text/event-stream).
#include "support/eventually.hpp"
#include "support/held_toolchain.hpp"
#include "support/http_client.hpp"
#include "support/server_process.hpp"
#include "support/stream_client.hpp"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

using namespace sandboxd::test;
namespace json = boost::json;

namespace {

constexpr const char* forever = "for (;;);";

class js_only : public server_process {
public:
    explicit js_only(const std::string& others = {})
        : server_process{{.config = std::string{no_toolchain} + others, .wait_ready = false, .js = true}}
    {
        REQUIRE(eventually([this] { return http_client{*this}.get("/api/health").status == 200; }));
    }
};

json::object script(std::string code) { return {{"script", std::move(code)}}; }

json::object endless() { return {{"script", forever}, {"fuel", 20'000'000'000}, {"timeout_ms", 10'000}}; }

std::string code_of(const http_answer& answer) { return std::string{answer.json().at("code").as_string()}; }

std::string place(const http_answer& answer) { return answer.field("location"); }

// Polls a job until it is over.
json::value answer_of_job(http_client& client, const std::string& where)
{
    json::value told;
    REQUIRE(eventually([&] {
        const auto answer = client.get(where);
        if (answer.status == 202) return false;
        told = answer.json();
        return true;
    }));
    REQUIRE(told.at("status") == "done");
    return told.at("answer");
}

// The data of each event of that name.
std::vector<json::value> events(const std::string& stream, std::string_view name)
{
    std::vector<json::value> found;
    const std::string opening = "event: " + std::string{name} + "\ndata: ";
    for (auto at = stream.find(opening); at != std::string::npos; at = stream.find(opening, at)) {
        at += opening.size();
        found.push_back(json::parse(stream.substr(at, stream.find('\n', at) - at)));
    }
    return found;
}

header_list key(std::string name) { return {{"Idempotency-Key", "\"" + std::move(name) + "\""}}; }

std::string post_head(const char* path, const std::string& body, const std::string& more)
{
    return std::string{"POST "} + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + more +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

}  // namespace

TEST_CASE("the same request with the same key runs once", "[later]")
{
    const js_only server;
    http_client client{server};
    const auto random = script("Math.random()");
    const auto first = client.post("/execute", random, key("a"));
    REQUIRE(first.status == 200);
    CHECK(first.field("idempotency-replayed").empty());
    const auto again = client.post("/execute", random, key("a"));
    CHECK(again.status == 200);
    CHECK(again.body == first.body);
    CHECK(again.field("idempotency-replayed") == "true");
    CHECK(again.field("content-type") == "application/json");
    // Without the quotes it is the same key.
    CHECK(client.post("/execute", random, {{"Idempotency-Key", "a"}}).body == first.body);
    CHECK(client.post("/execute", random, key("b")).body != first.body);
    CHECK(client.post("/execute", random).body != first.body);

    const auto other = client.post("/execute", script("1"), key("a"));
    CHECK(other.status == 422);
    CHECK(code_of(other) == "idempotency_key_reused");
    CHECK(other.json().as_object().contains("message"));  // the endpoint's own shape
    const auto elsewhere = client.post("/api/execute", json::object{{"code", "1"}}, key("a"));
    CHECK(elsewhere.status == 422);
    CHECK(elsewhere.json().at("ok") == false);

    // A script that fails was run, too.
    const auto failed = client.post("/execute", script("throw Error(Math.random())"), key("c"));
    CHECK(failed.status == 400);
    CHECK(client.post("/execute", script("throw Error(Math.random())"), key("c")).body == failed.body);
    CHECK(server.metric("sandboxd_idempotency_keys_total{found=\"answer\"}") == 3);
    CHECK(server.metric("sandboxd_idempotency_keys_total{found=\"other_request\"}") == 2);

    for (const auto* wrong : {"", "\"", "a b", "\"a\", \"b\""})
        CHECK(client.post("/execute", random, {{"Idempotency-Key", wrong}}).status == 400);
    CHECK(client.post("/execute", random, {{"Idempotency-Key", "a"}, {"Idempotency-Key", "a"}}).status == 400);
    // Methods that are idempotent anyway have no keys.
    CHECK(client.get("/healthz", {{"Idempotency-Key", "a b"}}).status == 200);
}

TEST_CASE("a key whose request is under way answers 409, and is free when its client leaves", "[later]")
{
    const js_only server;
    auto first = std::make_unique<http_client>(server);
    first->start_post("/execute", endless(), key("a"));
    http_client second{server};
    REQUIRE(eventually([&] { return server.metric("sandboxd_idempotency_keys") == 1; }));
    const auto conflict = second.post("/execute", endless(), key("a"));
    CHECK(conflict.status == 409);
    CHECK(code_of(conflict) == "conflict");
    first.reset();
    REQUIRE(eventually([&] { return server.metric("sandboxd_idempotency_keys") == 0; }));
    CHECK(second.post("/execute", script("1"), key("a")).status == 200);
}

TEST_CASE("another client has keys of its own", "[later]")
{
    // A trusted proxy names the clients.
    const js_only server{R"(, "proxy": {"trustForwarded": true})"};
    http_client client{server};
    const auto ask = [&client](std::string address, header_list more = {}) {
        auto fields = key("guessed");
        fields.emplace_back("X-Forwarded-For", std::move(address));
        fields.insert(fields.end(), more.begin(), more.end());
        return client.post("/execute", script("Math.random()"), fields);
    };
    const auto mine = ask("192.0.2.1");
    REQUIRE(mine.status == 200);
    CHECK(ask("192.0.2.1").body == mine.body);
    const auto foreign = ask("192.0.2.2");
    CHECK(foreign.status == 200);
    CHECK(foreign.body != mine.body);
    CHECK(foreign.field("idempotency-replayed").empty());
    // Nor does it learn that there is one, or whose it is, behind the same address.
    const auto user = ask("192.0.2.1", {{"Authorization", "Bearer b"}});
    CHECK(user.status == 200);
    CHECK(user.body != mine.body);
}

TEST_CASE("a request is answered later, by a job", "[later]")
{
    const js_only server;
    http_client client{server};
    const auto accepted = client.post("/execute", script("6 * 7"), {{"Prefer", "respond-async"}});
    REQUIRE(accepted.status == 202);
    CHECK(accepted.field("preference-applied") == "respond-async");
    CHECK(accepted.field("retry-after") == "1");
    REQUIRE(place(accepted).starts_with("/jobs/"));
    CHECK(accepted.json().at("url").as_string() == place(accepted));
    CHECK(accepted.json().at("request") == "/execute");
    const auto answer = answer_of_job(client, place(accepted));
    CHECK(answer.at("status") == 200);
    CHECK(answer.at("answer").at("result") == 42);
    // It stays until it is deleted.
    CHECK(client.get(place(accepted)).status == 200);
    CHECK(client.request("DELETE", place(accepted)).status == 204);
    CHECK(client.get(place(accepted)).status == 404);
    CHECK(client.request("DELETE", place(accepted)).status == 404);

    // What is wrong with it is its answer.
    const auto wrong = client.post("/execute", json::object{{"script", 1}}, {{"Prefer", "respond-async"}});
    REQUIRE(wrong.status == 202);
    CHECK(answer_of_job(client, place(wrong)).at("status") == 400);

    // One that is over in time is answered as usual.
    const auto waited = client.post("/execute", script("6 * 7"), {{"Prefer", "respond-async, wait=60"}});
    CHECK(waited.status == 200);
    CHECK(waited.json().at("result") == 42);
    // With a key it is the same job.
    auto both = key("a");
    both.emplace_back("Prefer", "respond-async");
    const auto once = client.post("/execute", script("Math.random()"), both);
    const auto twice = client.post("/execute", script("Math.random()"), both);
    CHECK(once.status == 202);
    CHECK(place(twice) == place(once));
    // Others do not have jobs.
    CHECK(client.post("/api/execute", json::object{{"code", "1"}}, {{"Prefer", "respond-async"}}).status == 200);
}

TEST_CASE("a job goes on without its client, until it is deleted", "[later]")
{
    const js_only server;
    std::string where;
    {
        http_client client{server};
        where = place(client.post("/execute", endless(), {{"Prefer", "respond-async"}}));
    }
    http_client client{server};
    REQUIRE(eventually([&] { return client.get(where).json().at("status") == "running"; }));
    CHECK(client.get(where).status == 202);
    CHECK(client.request("DELETE", where).status == 204);
    CHECK(server.metric("sandboxd_async_jobs") == 0);
}

TEST_CASE("a server without jobs and keys ignores the fields", "[later]")
{
    const js_only server{R"(, "asyncJobs": {"maxJobs": 0}, "idempotency": {"maxKeys": 0})"};
    http_client client{server};
    CHECK(client.post("/execute", script("1"), {{"Prefer", "respond-async"}}).status == 200);
    CHECK(client.post("/execute", script("1"), key("a")).status == 200);
    CHECK(client.post("/execute", script("2"), key("a")).status == 200);
}

TEST_CASE("a compile is told of as it goes", "[later][compile]")
{
    const held_toolchain tools;
    server_process server{{.config = tools.config() + R"(, "maxConcurrentJobs": 1, "reservedJobs": 0)"}};
    tools.hold();
    http_client before{server};
    before.start_post("/compile", json::object{{"code", "int main(void) { return 1; }"}});
    REQUIRE(eventually([&] { return server.metric("sandboxd_jobs_running") == 1; }));

    stream_client client{server};
    const auto body = json::serialize(json::object{{"code", "int main(void) { int unused; return 2 }"}});
    REQUIRE(client.send(post_head("/compile", body, "Accept: text/event-stream\r\nConnection: close\r\n")));
    auto told = client.until("event: queued\ndata: {\"ahead\":0}\n\n");
    CHECK(told.find("Content-Type: text/event-stream") != std::string::npos);
    tools.release();
    told += client.rest();
    CHECK(before.receive().status == 200);
    CHECK(events(told, "started").size() == 1);
    const auto messages = events(told, "diagnostic");
    REQUIRE(messages.size() == 1);
    CHECK(messages[0].at("severity") == "error");
    const auto done = events(told, "done");
    REQUIRE(done.size() == 1);
    CHECK(done[0].at("status") == 400);
    CHECK(done[0].at("answer").at("code") == "compile_error");
    CHECK(done[0].at("answer").at("diagnostics").as_array().size() == 1);
    CHECK(told.find("event: started") < told.find("event: diagnostic"));
    CHECK(told.find("event: diagnostic") < told.find("event: done"));
    // The same, as a plain answer: from the store.
    http_client plain{server};
    const auto answer = plain.request("POST", "/compile", {{"Content-Type", "application/json"}}, body);
    CHECK(answer.json().at("error") == done[0].at("answer").at("error"));
    CHECK(server.clean());
}

TEST_CASE("a job of a compile is followed, and its processes are gone when it is deleted", "[later][compile]")
{
    const held_toolchain tools;
    server_process server{{.config = tools.config()}};
    tools.hold();
    http_client client{server};
    const auto accepted =
        client.post("/compile", json::object{{"code", "int main(void) { return 3; }"}}, {{"Prefer", "respond-async"}});
    REQUIRE(accepted.status == 202);
    stream_client follower{server};
    REQUIRE(
        follower.send("GET " + place(accepted) + " HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"));
    CHECK(follower.until("event: started\ndata: {}\n\n").ends_with("id: 1\nevent: started\ndata: {}\n\n"));
    REQUIRE(eventually([&] { return !server.job_processes().empty(); }));
    CHECK(client.request("DELETE", place(accepted)).status == 204);
    // Nothing of it is left by now.
    CHECK(server.job_processes().empty());
    CHECK(server.job_directories().empty());
    const auto end = follower.until("0\r\n\r\n");
    REQUIRE(events(end, "done").size() == 1);
    CHECK(events(end, "done")[0].at("status") == 408);

    // One that is over is told from where the reader left it.
    tools.release();
    const auto second = place(
        client.post("/compile", json::object{{"code", "int main(void) { return 4; }"}}, {{"Prefer", "respond-async"}}));
    CHECK(answer_of_job(client, second).at("answer").at("ok") == true);
    const auto all = client.get(second, {{"Accept", "text/event-stream"}});
    CHECK(events(all.body, "started").size() == 1);
    CHECK(events(all.body, "done").size() == 1);
    const auto rest = client.get(second, {{"Accept", "text/event-stream"}, {"Last-Event-ID", "1"}});
    CHECK(events(rest.body, "started").empty());
    CHECK(events(rest.body, "done").size() == 1);
    CHECK(client.get(second, {{"Accept", "text/event-stream"}, {"Last-Event-ID", "1000"}}).status == 204);
    CHECK(server.clean());
}

TEST_CASE("who listens to a compile and goes away ends it", "[later][compile]")
{
    const held_toolchain tools;
    server_process server{{.config = tools.config()}};
    tools.hold();
    {
        stream_client client{server};
        const auto body = json::serialize(json::object{{"code", "int main(void) { return 5; }"}});
        REQUIRE(client.send(post_head("/compile", body, "Accept: text/event-stream\r\n")));
        client.until("event: started");
    }
    CHECK(server.clean());
    CHECK(server.metric("sandboxd_jail_kills_total{cause=\"disconnected\"}") == 1);
}

TEST_CASE("a server that ends does not wait for jobs that nobody follows", "[later][compile]")
{
    const held_toolchain tools;
    server_process server{{.config = tools.config() + R"(, "shutdownGraceSecs": 600)"}};
    tools.hold();
    http_client client{server};
    CHECK(client.post("/compile", json::object{{"code", "int main(void) { return 6; }"}}, {{"Prefer", "respond-async"}})
              .status == 202);
    client.close();
    REQUIRE(eventually([&] { return !server.job_processes().empty(); }));
    CHECK(server.stop().code == 0);
    CHECK(server.clean());
}
