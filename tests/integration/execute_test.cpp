// JavaScript over HTTP: both interfaces as their manuals have them, and what load, clients that leave
// and the server's end do to runs.
#include "load/family.hpp"
#include "support/eventually.hpp"
#include "support/http_client.hpp"
#include "support/proc.hpp"
#include "support/server_process.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <csignal>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

using namespace sandboxd::test;
namespace json = boost::json;

namespace {

constexpr const char* forever = "for (;;);";

server_options with_js(const std::string& members = {}, const std::string& others = {})
{
    server_options how;
    how.config = std::string{no_toolchain} + ", \"js\": {" + members + "}" + others;
    how.wait_ready = false;
    how.js = true;
    return how;
}

// A server whose workers are there.
class js_server : public server_process {
public:
    explicit js_server(const std::string& members = {}, const std::string& others = {})
        : server_process{with_js(members, others)}
    {
        REQUIRE(eventually([this] { return http_client{*this}.get("/api/health").status == 200; }));
    }
};

std::string text(const json::value& of, std::string_view member)
{
    const auto& found = of.at(member).as_string();
    return {found.data(), found.size()};
}

// What members an answer has, in their order.
std::string members(const json::value& of)
{
    std::string names;
    for (const auto& one : of.as_object()) names += (names.empty() ? "" : " ") + std::string{one.key()};
    return names;
}

http_answer execute(http_client& client, json::object body) { return client.post("/execute", std::move(body)); }

json::object endless() { return {{"script", forever}, {"fuel", 20'000'000'000}, {"timeout_ms", 10'000}}; }

}  // namespace

TEST_CASE("execute: the example of the manual", "[js]")
{
    const js_server server;
    http_client client{server};
    const auto answer = client.request(
        "POST", "/execute", {{"Content-Type", "application/json"}},
        R"js({"sandbox_id": "x", "init_script": "function fib(n) { return n <= 1 ? 1 : fib(n-1) + fib(n-2); }", "script": "fib(13)"})js");
    CHECK(answer.status == 200);
    CHECK(answer.field("content-type") == "application/json");
    CHECK(answer.field("cache-control") == "no-store");
    CHECK(answer.field("server-timing").find("run;dur=") != std::string::npos);
    const auto body = answer.json();
    CHECK(members(body) == "status result stdout stderr usage");
    CHECK(text(body, "status") == "OK");
    CHECK(body.at("result") == 377);
    CHECK(text(body, "stdout").empty());
    CHECK(text(body, "stderr").empty());
    CHECK(body.at("usage").at("fuel").to_number<std::int64_t>() > 10'000);
    CHECK(server.metric("sandboxd_js_runs_total{status=\"ok\"}") == 1);
}

TEST_CASE("execute: every end of a script has its status", "[js]")
{
    // However busy the machine is, fuel runs out first.
    const js_server server{R"("timeoutMs": 60000, "maxTimeoutMs": 60000)"};
    http_client client{server};
    struct row {
        const char* script;
        unsigned http;
        const char* status;
        const char* code;
        const char* message;
    };
    const row rows[] = {
        {"throw new TypeError('no')", 400, "RUNTIME_ERROR", "runtime_error", "TypeError: no"},
        {"throw 'a word'", 400, "RUNTIME_ERROR", "runtime_error", "a word"},
        {"let let", 400, "RUNTIME_ERROR", "runtime_error", "SyntaxError: "},
        {"Promise.reject(new Error('late'))", 400, "RUNTIME_ERROR", "runtime_error", "Error: late"},
        {"(function () {})", 400, "RUNTIME_ERROR", "runtime_error", "TypeError: the result is a function"},
        {"new Promise(() => {})", 400, "RUNTIME_ERROR", "never_settled", "The script's promise never settles"},
        {forever, 400, "OUT_OF_FUEL", "out_of_fuel", "Ran out of CPU time while evaluating the script"},
        {"const a = []; for (;;) a.push(new Uint8Array(1e6).fill(1))", 400, "OUT_OF_MEMORY", "out_of_memory",
         "Ran out of memory while evaluating the script"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.script);
        const auto answer = execute(client, {{"script", row.script}});
        CHECK(answer.status == row.http);
        const auto body = answer.json();
        const bool has_place = std::string_view{row.message}.starts_with("SyntaxError");
        CHECK(members(body) == (has_place ? "status code stage message file line column stdout stderr usage"
                                          : "status code stage message stdout stderr usage"));
        CHECK(text(body, "status") == row.status);
        CHECK(text(body, "code") == row.code);
        CHECK(text(body, "stage") == "SCRIPT");
        CHECK(text(body, "message").starts_with(row.message));

        const auto early = execute(client, {{"init_script", row.script}, {"script", "1"}});
        // Only the script's value matters.
        const std::string script = row.script;
        if (script.starts_with("(function") || script.starts_with("new Promise") || script.starts_with("Promise"))
            continue;
        CHECK(early.status == row.http);
        CHECK(text(early.json(), "status") == row.status);
        CHECK(text(early.json(), "stage") == "INIT");
    }
    // What helps is named.
    CHECK(text(execute(client, {{"script", forever}}).json(), "message").find("\"fuel\"") != std::string::npos);
    CHECK(text(execute(client, {{"script", rows[7].script}}).json(), "message").find("\"memory_limit_bytes\"") !=
          std::string::npos);
    const auto late = execute(client, {{"script", forever}, {"fuel", 20'000'000'000}, {"timeout_ms", 30}});
    CHECK(late.status == 400);
    CHECK(text(late.json(), "message").find("\"timeout_ms\"") != std::string::npos);
    CHECK(text(late.json(), "status") == "OUT_OF_FUEL");
    CHECK(text(late.json(), "code") == "timeout");

    const auto good = execute(client, {{"script", "({a: [1, null, undefined], b: 'x'})"}});
    CHECK(good.status == 200);
    CHECK(good.json().at("result") == json::parse(R"({"a": [1, null, null], "b": "x"})"));
    CHECK(execute(client, {{"script", "undefined"}}).json().at("result").is_null());
    CHECK(execute(client, {{"script", ""}}).json().at("result").is_null());
}

TEST_CASE("execute: a syntax error says where it is", "[js]")
{
    server_process server{with_js()};
    http_client client{server.port()};
    struct row {
        json::object body;
        const char* file;
        int line;
        int column;
    };
    const row rows[] = {
        {{{"script", "let a = 1;\nlet b = ;\n3"}}, "script", 2, 9},
        {{{"script", "let let"}}, "script", 1, 5},
        {{{"script", "1"}, {"init_script", "\n\n  function f( {"}}, "init", 3, 16},
        {{{"script", "await import('./lib/m.js')"}, {"modules", {{"lib/m.js", "export default 1;\nexport const = 2"}}}},
         "lib/m.js",
         2,
         14},
        {{{"script", "import x from 'y"}, {"module", true}}, "script", 1, 15},
        {{{"script", "const s = 'ü' +\n  'never ends"}}, "script", 2, 3},
        {{{"script", "function f() {"}}, "script", 1, 15},
    };
    for (const auto& row : rows) {
        CAPTURE(json::serialize(row.body));
        const auto answer = execute(client, row.body);
        CHECK(answer.status == 400);
        const auto body = answer.json();
        CAPTURE(json::serialize(body));
        CHECK(text(body, "code") == "runtime_error");
        CHECK(text(body, "message").starts_with("SyntaxError: "));
        REQUIRE(body.as_object().contains("line"));
        CHECK(text(body, "file") == row.file);
        CHECK(body.at("line").as_int64() == row.line);
        CHECK(body.at("column").as_int64() == row.column);
    }
    // Two names of one module.
    const auto twice = execute(client, {{"script", "1"}, {"modules", {{"./a.js", ""}, {"lib/../a.js", ""}}}});
    CHECK(twice.status == 400);
    CHECK(text(twice.json(), "code") == "invalid_request");
    CHECK(text(twice.json(), "message").find("'a.js'") != std::string::npos);
    const auto dotted = execute(
        client, {{"script", "(await import('./a.js')).default"}, {"modules", {{"./a.js", "export default 5"}}}});
    CHECK(dotted.json().at("result") == 5);
}

TEST_CASE("execute: the result and the console have limits of their own", "[js]")
{
    const js_server server{R"("maxConsoleBytes": 1000, "maxResultBytes": 1000)"};
    http_client client{server};
    const auto result = execute(client, {{"script", "'x'.repeat(2000)"}});
    CHECK(result.status == 400);
    CHECK(text(result.json(), "status") == "RUNTIME_ERROR");
    CHECK(text(result.json(), "code") == "output_limit");
    const auto console = execute(client, {{"script", "for (let i = 0; i < 1000; i++) console.log(i); 5"}});
    CHECK(console.status == 200);
    CHECK(console.json().at("truncated").as_bool());
    CHECK(text(console.json(), "stdout").starts_with("0\n1\n2\n"));
    CHECK(text(console.json(), "stdout").size() < 200);
    const auto log = client.post("/api/execute", {{"code", "for (let i = 0; i < 1000; i++) console.log(i); 5"}});
    CHECK(log.json().at("logTruncated").as_bool());
}

TEST_CASE("execute: the console is text in two streams, kept when the script fails", "[js]")
{
    const js_server server;
    http_client client{server};
    const auto answer = execute(
        client,
        {{"script",
          "console.log('a', 1, {b: [2]}); console.info('i'); console.warn('w'); console.debug('d');"
          "console.error('e'); console.assert(1 === 2, 'must'); console.log('\\ud800'); throw new Error('end')"}});
    CHECK(answer.status == 400);
    CHECK(text(answer.json(), "stdout") == "a 1 { b: [ 2 ] }\ni\nw\nd\n\xef\xbf\xbd\n");
    CHECK(text(answer.json(), "stderr") == "e\nAssertion failed: must\n");
}

TEST_CASE("execute: what is no request is refused", "[js]")
{
    const js_server server{"", R"(, "http": {"maxBodyBytes": 1000, "apiCorsOrigins": ["https://a.example"]})"};
    http_client client{server};
    const auto refused = [&](std::string_view body, unsigned status, std::string_view code) {
        CAPTURE(body);
        http_client one{server};
        const auto answer = one.request("POST", "/execute", {{"Content-Type", "application/json"}}, body);
        CHECK(answer.status == status);
        CHECK(text(answer.json(), "status") == "INVALID_REQUEST");
        CHECK_FALSE(text(answer.json(), "message").empty());
        CHECK(text(answer.json(), "code") == code);
    };
    refused("", 400, "invalid_request");
    refused("{", 400, "invalid_request");
    refused("[1]", 400, "invalid_request");
    refused("{}", 400, "invalid_request");
    refused(R"({"script": 1})", 400, "invalid_request");
    refused(R"({"script": "1", "sandbox_id": 1})", 400, "invalid_request");
    refused(R"({"script": "1", "fuel": 20000000001})", 400, "invalid_request");
    refused(R"({"script": ")" + std::string(2000, '1') + "\"}", 413, "payload_too_large");

    const auto form = client.request("POST", "/execute", {{"Content-Type", "text/plain"}}, R"({"script": "1"})");
    CHECK(form.status == 415);
    CHECK(text(form.json(), "status") == "INVALID_REQUEST");
    const auto got = client.get("/execute");
    CHECK(got.status == 405);
    CHECK(got.field("allow") == "POST");
    CHECK(text(got.json(), "status") == "INVALID_REQUEST");
    CHECK(text(got.json(), "code") == "method_not_allowed");
    const auto page = client.post("/execute", {{"script", "1"}}, {{"Origin", "https://a.example"}});
    CHECK(page.field("access-control-allow-origin") == "https://a.example");
    CHECK(execute(client, {{"script", "1"}, {"unknown", "member"}}).status == 200);
}

TEST_CASE("execute: modules and top-level await", "[js]")
{
    const js_server server;
    http_client client{server};
    const auto module =
        execute(client, {{"script", "import {half} from './lib/math.js'; export default half(84)"},
                         {"module", true},
                         {"modules", json::object{{"lib/math.js", "export * from './half.js'"},
                                                  {"lib/half.js", "export const half = (n) => n / 2"}}}});
    CHECK(module.status == 200);
    CHECK(module.json().at("result") == 42);
    const auto dynamic = execute(
        client, {{"script", "(await import('m')).x"}, {"modules", json::object{{"m", "export const x = await 7"}}}});
    CHECK(dynamic.json().at("result") == 7);
    const auto missing = execute(client, {{"script", "import 'nowhere'"}, {"module", true}});
    CHECK(missing.status == 400);
    CHECK(text(missing.json(), "message").find("nowhere") != std::string::npos);
}

TEST_CASE("execute: a sandbox id goes on where the last request ended", "[js]")
{
    const js_server server;
    http_client client{server};
    const auto count = [&](const json::value& id, const char* init = "let n = 0") {
        return execute(client, {{"sandbox_id", id}, {"init_script", init}, {"script", "++n"}}).json().at("result");
    };
    CHECK(count("a") == 1);
    CHECK(count("a") == 2);
    CHECK(count("b") == 1);
    CHECK(count("a") == 3);
    CHECK(count(nullptr) == 1);
    CHECK(count(nullptr) == 1);
    // Another init script is another sandbox.
    CHECK(count("a", "let n = 10") == 11);
    CHECK(count("a", "let n = 10") == 12);
    // A script that throws leaves its sandbox, one that runs out of fuel does not.
    CHECK(execute(client, {{"sandbox_id", "b"}, {"init_script", "let n = 0"}, {"script", "n = 7; throw 1"}}).status ==
          400);
    CHECK(count("b") == 8);
    CHECK(text(execute(client, {{"sandbox_id", "b"}, {"init_script", "let n = 0"}, {"script", forever}}).json(),
               "status") == "OUT_OF_FUEL");
    CHECK(count("b") == 1);
    CHECK(server.metric("sandboxd_js_sandbox_requests_total{cache=\"hit\"}") == 6);

    // Two at once with one id: one of them has a fresh sandbox.
    http_client other{server};
    const json::object slow{
        {"sandbox_id", "b"}, {"init_script", "let n = 0"}, {"script", "for (let i = 0; i < 1e6; i++); ++n"}};
    client.start_post("/execute", slow);
    other.start_post("/execute", slow);
    const auto first = client.receive().json().at("result").to_number<int>();
    const auto second = other.receive().json().at("result").to_number<int>();
    CHECK(std::min(first, second) == 1);
    CHECK(std::max(first, second) == 2);
}

TEST_CASE("execute: many at once, each its own answer", "[js]")
{
    const js_server server;
    std::vector<std::unique_ptr<http_client>> clients;
    for (int i = 0; i < 64; ++i) clients.push_back(std::make_unique<http_client>(server));
    for (int round = 0; round < 5; ++round) {
        for (int i = 0; i < 64; ++i)
            clients[static_cast<std::size_t>(i)]->start_post(
                "/execute", {{"script", "globalThis.seen = (globalThis.seen ?? 0) + 1; console.log(" +
                                            std::to_string(i) + "); [seen, " + std::to_string(i) + "]"}});
        for (int i = 0; i < 64; ++i) {
            const auto answer = clients[static_cast<std::size_t>(i)]->receive();
            REQUIRE(answer.status == 200);
            CHECK(answer.json().at("result") == json::array{1, i});
            CHECK(text(answer.json(), "stdout") == std::to_string(i) + "\n");
        }
    }
    CHECK(server.metric("sandboxd_js_runs_total{status=\"ok\"}") == 320);
    CHECK(server.metric("sandboxd_js_worker_deaths_total") == 0);
}

TEST_CASE("execute: a client that leaves ends its run", "[js]")
{
    const js_server server{R"("workers": 1, "reservedWorkers": 0)"};
    {
        http_client leaving{server};
        leaving.start_post("/execute", endless());
        REQUIRE(eventually([&] { return server.metric("sandboxd_js_workers_idle") == 0; }));
    }
    http_client client{server};
    CHECK(execute(client, {{"script", "1 + 1"}}).json().at("result") == 2);
    CHECK(server.metric("sandboxd_js_worker_kills_total") == 1);
    CHECK(server.metric("sandboxd_js_worker_starts_total") == 2);
}

TEST_CASE("execute: the line for a worker has an end", "[js]")
{
    const js_server server{R"("workers": 1, "maxQueued": 1, "queueTimeoutSecs": 1)"};
    http_client running{server};
    running.start_post("/execute", endless());
    REQUIRE(eventually([&] { return server.metric("sandboxd_js_workers_idle") == 0; }));
    http_client waiting{server};
    waiting.start_post("/execute", json::object{{"script", "1"}});
    // Not before the other waits; then there is no room.
    REQUIRE(eventually([&] { return server.metric("sandboxd_js_waiting") == 1; }));
    http_client client{server};
    const auto full = client.post("/api/execute", {{"code", "1"}});
    CHECK(full.status == 503);
    CHECK(full.field("retry-after") == "1");
    CHECK(text(full.json(), "code") == "queue_full");
    const auto late = waiting.receive();
    CHECK(late.status == 503);
    CHECK(late.field("retry-after") == "1");
    CHECK(text(late.json(), "status") == "INTERNAL_SERVER_ERROR");
    CHECK(text(late.json(), "code") == "queue_timeout");
}

namespace {

// The requests of one client behind a trusted proxy, each on a connection of its own.
class crowd {
public:
    crowd(const server_process& server, const char* address) : server_{server}, fields_{{"X-Forwarded-For", address}} {}

    http_client& starts(json::object body)
    {
        clients_.push_back(std::make_unique<http_client>(server_));
        clients_.back()->start_post("/execute", body, fields_);
        return *clients_.back();
    }
    http_answer asks(json::object body) { return http_client{server_}.post("/execute", body, fields_); }

private:
    const server_process& server_;
    header_list fields_;
    std::vector<std::unique_ptr<http_client>> clients_;
};

json::object longest() { return {{"script", forever}, {"fuel", 1'000'000'000'000'000}, {"timeout_ms", 3'600'000}}; }

// A server where it runs, and where whoever is not served waits.
std::string where_scripts_are_slow(const std::string& members)
{
    return members + R"(, "maxFuel": 1000000000000000, "maxTimeoutMs": 3600000, "queueTimeoutSecs": 3600)";
}

constexpr const char* behind_a_proxy = R"(, "proxy": {"trustForwarded": true})";

}  // namespace

TEST_CASE("execute: who holds all workers and fills the line keeps nobody else out", "[js]")
{
    const js_server server{where_scripts_are_slow(R"("workers": 2, "maxQueued": 4)"), behind_a_proxy};
    crowd many{server, "192.0.2.1"};
    const auto slow = longest();
    // Two run, no more: the third worker is for others.
    const auto idle = [&] { return server.metric("sandboxd_js_workers_idle"); };
    REQUIRE(eventually([&] { return idle() == 2; }));
    for (int i = 0; i < 2; ++i) many.starts(slow);
    REQUIRE(eventually([&] { return idle() == 0; }));
    for (int i = 0; i < 4; ++i) many.starts(slow);
    REQUIRE(eventually([&] { return server.metric("sandboxd_js_waiting") == 4; }));
    const auto refused = many.asks({{"script", "1"}});
    CHECK(refused.status == 503);
    CHECK(text(refused.json(), "code") == "queue_full");
    CHECK(server.metric("sandboxd_js_refused_total{cause=\"queue_full\"}") == 1);

    // Nothing of the others has ended, or would.
    crowd few{server, "192.0.2.2"};
    for (int i = 0; i < 3; ++i) CHECK(few.asks({{"script", "1 + 2"}}).json().at("result") == 3);
    CHECK(server.metric("sandboxd_js_runs_total{status=\"ok\"}") == 3);
    CHECK(server.metric("sandboxd_js_runs_total{status=\"timeout\"}") == 0);
    CHECK(server.metric("sandboxd_js_waiting") == 4);
    CHECK(server.metric("sandboxd_js_refused_total{cause=\"queue_full\"}") == 1);
}

TEST_CASE("execute: in a full line whoever waits most gives way", "[js]")
{
    const js_server server{where_scripts_are_slow(R"("workers": 1, "reservedWorkers": 0, "maxQueued": 2)"),
                           behind_a_proxy};
    crowd many{server, "192.0.2.1"};
    const auto slow = longest();
    auto& running = many.starts(slow);
    REQUIRE(eventually([&] { return server.metric("sandboxd_js_workers_idle") == 0; }));
    auto& first = many.starts({{"script", "'first'"}});
    REQUIRE(eventually([&] { return server.metric("sandboxd_js_waiting") == 1; }));
    auto& newest = many.starts({{"script", "'newest'"}});
    REQUIRE(eventually([&] { return server.metric("sandboxd_js_waiting") == 2; }));
    crowd few{server, "192.0.2.2"};
    auto& other = few.starts({{"script", "'other'"}});
    const auto gave_way = newest.receive();
    CHECK(gave_way.status == 503);
    CHECK(gave_way.field("retry-after") == "1");
    CHECK(text(gave_way.json(), "code") == "queue_full");
    CHECK(server.metric("sandboxd_js_waiting") == 2);
    CHECK(server.metric("sandboxd_js_refused_total{cause=\"queue_full\"}") == 1);
    running.close();
    CHECK(other.receive().json().at("result") == "other");
    CHECK(first.receive().json().at("result") == "first");
}

namespace {

// A server with stand-ins for workers, which run until they are let go.
class held_server : public js_server {
public:
    explicit held_server(const std::string& workers)
        : js_server{where_scripts_are_slow(
                        R"("reservedWorkers": 0, "workerPath": ")" SANDBOXD_JS_STAND_IN "\", \"workers\": " + workers),
                    behind_a_proxy}
    {
    }

    // Those that have stopped themselves.
    std::vector<pid_t> held() const
    {
        std::vector<pid_t> found;
        for (const auto pid : processes_with("--worker-fd")) {
            const auto stat = text_of("/proc/" + std::to_string(pid) + "/stat");
            if (stat.find("(js_stand_in) T") != std::string::npos &&
                is_below(process_table(), pid, server_process::pid()))
                found.push_back(pid);
        }
        return found;
    }
    // Waits until exactly so many are held.
    std::vector<pid_t> holds(std::size_t count) const
    {
        std::vector<pid_t> found;
        REQUIRE(eventually([&] { return (found = held()).size() == count; }));
        return found;
    }
    bool waiting(double count) const
    {
        return eventually([&] { return metric("sandboxd_js_waiting") == count; });
    }
    bool ahead(double count) const
    {
        return eventually([&] { return metric("sandboxd_js_requests_ahead") == count; });
    }
    double taken_back() const { return metric("sandboxd_js_requests_ahead_total{end=\"taken_back\"}"); }
    double run_ahead() const { return metric("sandboxd_js_requests_ahead_total{end=\"run\"}"); }
};

json::object held_script(const char* text) { return {{"script", text}, {"timeout_ms", 3'600'000}}; }

bool is_ok(http_client& answered) { return text(answered.receive().json(), "status") == "OK"; }

}  // namespace

TEST_CASE("execute: a worker has its client's next request before it has answered", "[js]")
{
    const held_server server{"1"};
    crowd one{server, "192.0.2.1"};
    CHECK(one.asks(held_script("0")).status == 200);  // quick
    auto& first = one.starts(held_script("stop 0"));
    const auto worker = server.holds(1);
    std::vector<http_client*> others;
    for (int i = 1; i <= 5; ++i) {
        others.push_back(&one.starts(held_script("0")));
        REQUIRE(server.waiting(i));
        CHECK(server.ahead(1));
    }
    REQUIRE(::kill(worker.front(), SIGCONT) == 0);
    CHECK(is_ok(first));
    for (auto* const other : others) CHECK(is_ok(*other));
    CHECK(server.run_ahead() >= 1);
    CHECK(server.taken_back() == 0);
    CHECK(server.ahead(0));
    CHECK(server.metric("sandboxd_js_runs_total{status=\"ok\"}") == 7);
}

namespace {

// A client whose run in a quick worker is held, and whose next request is in that worker.
struct held_client {
    held_client(const held_server& server, const char* behind_it) : all{server, "192.0.2.1"}
    {
        CHECK(all.asks(held_script("0")).status == 200);
        first = &all.starts(held_script("stop 0"));
        const auto held = server.holds(1);
        worker = held.front();
        behind = &all.starts(held_script(behind_it));
        REQUIRE(server.waiting(1));
        REQUIRE(server.ahead(1));
    }
    void let_go() const { REQUIRE(::kill(worker, SIGCONT) == 0); }

    crowd all;
    http_client* first{nullptr};
    http_client* behind{nullptr};
    pid_t worker{0};
};

}  // namespace

TEST_CASE("execute: a request that waits in a worker is taken back where another one is free", "[js]")
{
    const held_server server{"2"};
    crowd one{server, "192.0.2.1"};
    CHECK(one.asks(held_script("0")).status == 200);
    // In the worker that was quick: the one used last is taken first.
    auto& slow = one.starts(held_script("stop 0"));
    const auto quick = server.holds(1);
    auto& second = one.starts(held_script("stop 0"));
    auto other = server.holds(2);
    std::erase(other, quick.front());
    auto& behind = one.starts(held_script("0"));
    REQUIRE(server.waiting(1));
    REQUIRE(server.ahead(1));
    REQUIRE(::kill(other.front(), SIGCONT) == 0);
    CHECK(is_ok(second));
    CHECK(is_ok(behind));
    CHECK(server.held() == quick);
    CHECK(server.taken_back() == 1);
    CHECK(server.run_ahead() == 0);
    REQUIRE(::kill(quick.front(), SIGCONT) == 0);
    CHECK(is_ok(slow));
}

TEST_CASE("execute: a request that waits in a worker goes before nobody", "[js]")
{
    const held_server server{"1"};
    held_client many{server, "0"};
    crowd few{server, "192.0.2.2"};
    auto& other = few.starts(held_script("stop 0"));
    REQUIRE(server.waiting(2));
    CHECK(server.ahead(0));
    CHECK(server.taken_back() == 1);
    many.let_go();
    CHECK(is_ok(*many.first));
    // The one who came last runs, and the one before waits.
    REQUIRE(server.waiting(1));
    server.holds(1);
    many.let_go();
    CHECK(is_ok(other));
    CHECK(is_ok(*many.behind));
    CHECK(server.run_ahead() == 0);
}

TEST_CASE("execute: who leaves while his request waits in a worker disturbs nobody", "[js]")
{
    const held_server server{"1"};
    held_client one{server, "0"};
    one.behind->close();
    CHECK(server.waiting(0));
    CHECK(server.ahead(0));
    CHECK(server.taken_back() == 1);
    one.let_go();
    CHECK(is_ok(*one.first));
    CHECK(server.metric("sandboxd_js_worker_kills_total") == 0);
    CHECK(server.metric("sandboxd_js_runs_total{status=\"ok\"}") == 2);
}

TEST_CASE("execute: a request that waits in a worker that dies is another's", "[js]")
{
    const held_server server{"1"};
    held_client one{server, "0"};
    REQUIRE(kill_below(one.worker, server.pid()));
    CHECK(text(one.first->receive().json(), "code") == "fault");
    CHECK(is_ok(*one.behind));
    CHECK(server.ahead(0));
    CHECK(server.waiting(0));
    CHECK(server.run_ahead() == 0);
    CHECK(server.metric("sandboxd_js_worker_deaths_total") == 1);
}

TEST_CASE("execute: ends that only a broken engine has", "[js]")
{
    // A worker that ends every script with the status of that number.
    const js_server server{R"("workers": 1, "workerPath": ")" SANDBOXD_JS_STAND_IN "\""};
    http_client client{server};

    const auto overflow = execute(client, {{"script", "7"}});
    CHECK(overflow.status == 400);
    CHECK(members(overflow.json()) == "status code stage message stdout stderr usage");
    CHECK(text(overflow.json(), "status") == "RUNTIME_ERROR");
    CHECK(text(overflow.json(), "code") == "stack_overflow");
    CHECK(text(overflow.json(), "stage") == "SCRIPT");
    CHECK(text(overflow.json(), "message") == "Ran out of stack while evaluating the script");

    const auto fault = execute(client, {{"script", "8"}});
    CHECK(fault.status == 500);
    CHECK(members(fault.json()) == "status code stage message");
    CHECK(text(fault.json(), "status") == "INTERNAL_SERVER_ERROR");
    CHECK(text(fault.json(), "code") == "fault");
    CHECK(text(fault.json(), "message") == "The interpreter failed while evaluating the script");

    struct row {
        const char* script;
        const char* code;
        const char* error;
    };
    for (const auto& row : {row{"7", "stack_overflow", "StackOverflowError"}, row{"8", "fault", "InternalError"}}) {
        CAPTURE(row.script);
        const auto answer = client.post("/api/execute", {{"code", row.script}});
        CHECK(answer.status == 200);
        const auto body = answer.json();
        CHECK(text(body, "status") == "error");
        CHECK(text(body, "code") == row.code);
        CHECK(text(body.at("error"), "name") == row.error);
        CHECK(body.at("result").is_null());
    }
    CHECK(server.metric("sandboxd_js_runs_total{status=\"fault\"}") == 2);
    CHECK(server.metric("sandboxd_js_runs_total{status=\"stack_overflow\"}") == 2);
}

TEST_CASE("execute: a worker that has been taken over is not believed, and replaced", "[js]")
{
    const js_server server{R"("workers": 1, "reservedWorkers": 0, "workerPath": ")" SANDBOXD_JS_STAND_IN "\""};
    http_client client{server};
    double deaths = 0;
    for (const auto* script : {"announce 0", "other 0", "much 0", "talk 0", "image 0", "garbage 0"}) {
        CAPTURE(script);
        const auto answer = execute(client, {{"script", script}});
        CHECK(answer.status == 500);
        CHECK(text(answer.json(), "code") == "fault");
        CHECK(execute(client, {{"script", "0"}}).status == 200);
        CHECK(server.metric("sandboxd_js_worker_deaths_total") == ++deaths);
    }
    // The second answer is nobody's: neither the script's before nor that of the one behind.
    for (int round = 0; round < 20; ++round) {
        const auto first = text(execute(client, {{"script", "twice 7"}}).json(), "code");
        CHECK((first == "stack_overflow" || first == "fault"));
        const auto second = execute(client, {{"script", "0"}}).json();
        CHECK((text(second, "status") == "OK" || text(second, "code") == "fault"));
    }
}

TEST_CASE("execute: a worker that dies under a run is a fault, and the next run has another", "[js]")
{
    const js_server server{R"("workers": 1, "reservedWorkers": 0)"};
    http_client client{server};
    client.start_post("/execute", endless());
    REQUIRE(eventually([&] { return server.metric("sandboxd_js_workers_idle") == 0; }));
    // The one process below the server's child that is no jail.
    pid_t worker = 0;
    REQUIRE(eventually([&] {
        for (const auto& name : names_in("/proc")) {
            if (text_of("/proc/" + name + "/comm") != "sandboxd-js\n") continue;
            if (!is_below(process_table(), static_cast<pid_t>(std::stol(name)), server.pid())) continue;
            worker = static_cast<pid_t>(std::stol(name));
        }
        return worker != 0;
    }));
    REQUIRE(kill_below(worker, server.pid()));
    const auto answer = client.receive();
    CHECK(answer.status == 500);
    CHECK(text(answer.json(), "code") == "fault");
    CHECK(execute(client, {{"script", "1 + 1"}}).json().at("result") == 2);
    CHECK(server.metric("sandboxd_js_worker_deaths_total") == 1);
    CHECK(server.metric("sandboxd_js_resets_total") == 1);
}

TEST_CASE("execute: workers that cannot start are told, and degrade the server", "[js]")
{
    const server_process server{with_js(R"("workerPath": "/nonexistent/sandboxd-js")")};
    http_client client{server};
    REQUIRE(eventually(
        [&] { return client.get("/readyz").body.find("the JavaScript workers do not start: ") != std::string::npos; }));
    // Its other interfaces are as ready as ever: here, as unready as a server without a toolchain is.
    const auto ready = client.get("/readyz").json();
    CHECK(std::string{ready.at("degraded").at(0).as_string()}.starts_with("the JavaScript workers do not start: "));
    for (const auto& reason : ready.at("reasons").as_array())
        CHECK(json::serialize(reason).find("JavaScript") == std::string::npos);
    const auto health = client.get("/api/health");
    CHECK(health.status == 503);
    CHECK(text(health.json(), "error") == "the JavaScript workers do not start; /readyz says why");
    const auto answer = execute(client, {{"script", "1"}});
    CHECK(answer.status == 503);
    CHECK(text(answer.json(), "status") == "INTERNAL_SERVER_ERROR");
    CHECK(text(answer.json(), "code") == "unavailable");
}

TEST_CASE("execute: JavaScript can be switched off", "[js]")
{
    const server_process server{with_js(R"("enabled": false)")};
    http_client client{server};
    CHECK(execute(client, {{"script", "1"}}).status == 404);
    CHECK(client.post("/api/execute", {{"code", "1"}}).status == 404);
    CHECK(client.get("/api/health").status == 404);
    CHECK(server.children().empty());
}

TEST_CASE("execute: the server's end waits for runs, then ends them", "[js]")
{
    js_server patient{R"("workers": 1)"};
    http_client client{patient};
    client.start_post("/execute", {{"script", "let s = 0; for (let i = 0; i < 3e6; i++) s += i; s"},
                                   {"fuel", 20'000'000'000},
                                   {"timeout_ms", 10'000}});
    REQUIRE(eventually([&] { return patient.metric("sandboxd_js_workers_idle") == 0; }));
    std::istringstream list{patient.children()};
    std::vector<std::string> workers{std::istream_iterator<std::string>{list}, {}};
    CHECK_FALSE(workers.empty());
    patient.signal(SIGTERM);
    CHECK(client.receive().status == 200);
    CHECK(patient.wait().code == 0);
    for (const auto& pid : workers)
        CHECK(text_of("/proc/" + pid + "/cmdline").find("sandboxd-js") == std::string::npos);

    js_server hasty{R"("workers": 1)", R"(, "shutdownGraceSecs": 0)"};
    http_client cut{hasty};
    cut.start_post("/execute", endless());
    REQUIRE(eventually([&] { return hasty.metric("sandboxd_js_workers_idle") == 0; }));
    hasty.signal(SIGTERM);
    const auto answer = cut.receive();
    CHECK(answer.status == 503);
    CHECK(text(answer.json(), "code") == "draining");
    CHECK(hasty.wait().code == 0);
}

TEST_CASE("api/execute: the manual's answer, from JSON and from forms", "[js]")
{
    const js_server server;
    http_client client{server};
    const auto check = [](const http_answer& answer) {
        CHECK(answer.status == 200);
        const auto body = answer.json();
        CHECK(members(body) == "status result error log executionTime");
        CHECK(text(body, "status") == "success");
        CHECK(body.at("result") == 3);
        CHECK(body.at("error") == false);
        CHECK(body.at("executionTime").is_int64());
        const auto& entry = body.at("log").as_array().at(0);
        CHECK(members(entry) == "type timestamp data");
        CHECK(text(entry, "type") == "log");
        const auto time = text(entry, "timestamp");
        CHECK(time.size() == 24);
        CHECK(time[10] == 'T');
        CHECK(time.ends_with('Z'));
        CHECK(entry.at("data") == json::array{"Hello!"});
    };
    check(client.post("/api/execute", {{"code", "console.log('Hello!'); 1 + 2"}}));
    const header_list form{{"Content-Type", "application/x-www-form-urlencoded"}};
    check(client.request("POST", "/api/execute", form, "code=console.log(%27Hello!%27)%3B+1+%2B+2"));
    check(client.request("POST", "/api/execute", form, "file=log.js"));
    check(client.request("POST", "/api/execute", {{"Content-Type", "multipart/form-data; boundary=xyz"}},
                         "--xyz\r\nContent-Disposition: form-data; name=\"code\"\r\n\r\n"
                         "console.log('Hello!'); 1 + 2\r\n--xyz--\r\n"));
    check(client.post("/api/execute", {{"file", "log.js"}}));
    check(client.request("POST", "/api/execute?file=log.js"));
    // The file's text follows the code.
    const auto both = client.post("/api/execute?file=simple.js", {{"code", "console.log('first')"}}).json();
    CHECK(text(both, "result").starts_with("Hello, Ada!"));
    CHECK(both.at("log").at(0).at("data") == json::array{"first"});
}

TEST_CASE("api/execute: a script that fails is an answer", "[js]")
{
    const js_server hasty{R"("timeoutMs": 100)"};
    const js_server patient{R"("timeoutMs": 10000)"};
    http_client client{patient};
    const auto run = [&](const char* code, const js_server* other = nullptr) {
        const auto answer = http_client{other ? *other : patient}.post("/api/execute", {{"code", code}});
        CHECK(answer.status == 200);
        CHECK(text(answer.json(), "status") == "error");
        CHECK(answer.json().at("result").is_null());
        return answer.json();
    };
    const auto thrown = run("console.warn('kept'); console.trace('t'); throw new RangeError('far')");
    CHECK(text(thrown.at("error"), "name") == "RangeError");
    CHECK(text(thrown.at("error"), "message") == "far");
    CHECK(text(thrown.at("error"), "stack").find("script:1") != std::string::npos);
    CHECK(text(thrown.at("log").at(0), "type") == "warn");
    CHECK(text(thrown.at("log").at(1), "type") == "debug");
    CHECK(run("throw 0").at("error") == "0");
    CHECK(run("throw 'word'").at("error") == "word");
    CHECK(run("throw {a: 1}").at("error") == R"({"a":1})");
    const auto late = run("console.assert(false); for (;;);", &hasty);
    CHECK(text(late.at("error"), "name") == "TimeoutError");
    CHECK(text(late, "code") == "timeout");
    CHECK(text(late.at("log").at(0), "type") == "error");
    CHECK(text(run("new Promise(() => {})").at("error"), "name") == "NeverSettledError");
    CHECK(text(run("const a = []; for (;;) a.push(new Uint8Array(4e6))").at("error"), "name") == "OutOfMemoryError");

    // What falsy and promised values were once mistaken for.
    for (const auto* code : {"0", "false", "\"\"", "Promise.resolve(0)"}) {
        const auto fine = client.post("/api/execute", {{"code", code}}).json();
        CHECK(text(fine, "status") == "success");
        CHECK_FALSE(fine.at("result").is_null());
    }
}

TEST_CASE("api/execute: what is missing, and what is not there", "[js]")
{
    const js_server server;
    http_client client{server};
    for (const auto* body : {"", "{}", R"({"code": ""})", R"({"code": null, "file": ""})"}) {
        const auto missing = client.request("POST", "/api/execute", {{"Content-Type", "application/json"}}, body);
        CHECK(missing.status == 400);
        CHECK(text(missing.json(), "error") == "Required 'code' or 'file' parameter");
    }
    CHECK(client.request("POST", "/api/execute").status == 400);
    CHECK(client.request("POST", "/api/execute", {{"Content-Type", "application/json"}}, "{").status == 400);
    CHECK(client.request("POST", "/api/execute", {{"Content-Type", "text/plain"}}, "1").status == 415);
    for (const auto* file : {"nowhere.js", "../examples/log.js", "/etc/passwd", "log.js/"}) {
        const auto answer = client.post("/api/execute", {{"file", file}});
        CHECK(answer.status == 200);
        CHECK(text(answer.json(), "status") == "error");
        CHECK(text(answer.json(), "error").find(file) != std::string::npos);
        CHECK(answer.json().at("log").as_array().empty());
    }
}

TEST_CASE("api/examples: every example is listed, readable, and ends as it says", "[js]")
{
    const js_server server;
    http_client client{server};
    const auto list = client.get("/api/examples");
    CHECK(list.status == 200);
    const auto body = list.json();
    const auto& examples = body.at("examples").as_array();
    CHECK(examples.size() >= 6);
    for (const auto& one : examples) {
        CAPTURE(text(one, "name"));
        const auto source = client.get(text(one, "url"));
        CHECK(source.status == 200);
        CHECK(source.field("content-type") == "text/javascript; charset=utf-8");
        CHECK_FALSE(source.body.empty());
        const auto ran = client.post("/api/execute", {{"file", one.at("name")}});
        CHECK(text(ran.json(), "status") == (text(one, "name") == "error.js" ? "error" : "success"));
    }
    CHECK(client.get("/api/examples/nowhere.js").status == 404);
    CHECK(client.get("/api/health").json() == json::object{{"status", "ok"}});
    CHECK(
        text(client.post("/api/execute", {{"file", "pi.js"}}).json(), "result").starts_with("3.14159265358979323846"));
}
