// Sandboxes over HTTP, against the real server, with the real runtimes in real jails.
#include "support/eventually.hpp"
#include "support/http_client.hpp"
#include "support/look_around.hpp"
#include "support/proc.hpp"
#include "support/server_process.hpp"
#include "support/temporary_directory.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

using namespace sandboxd::test;
namespace json = boost::json;

namespace {

std::string text(const json::value& from, const char* key) { return std::string{from.at(key).as_string()}; }

bool has(http_client& client, std::string_view runtime)
{
    const auto told = client.get("/runtimes").json();
    for (const auto& one : told.at("runtimes").as_array())
        if (one.at("name").as_string() == json::string_view{runtime.data(), runtime.size()}) return true;
    return false;
}

// A server without compilers, and a client of it.
struct ground {
    explicit ground(const std::string& config = {})
        : server{{.config = std::string{no_toolchain} + (config.empty() ? "" : ", " + config), .wait_ready = false}},
          client{server}
    {
        if (!has(client, "node")) SKIP("there is no Node.js on the search path");
    }

    std::string made(json::object what)
    {
        const auto answer = client.post("/sandbox", what);
        INFO(answer.body);
        REQUIRE(answer.status == 200);
        return text(answer.json(), "id");
    }

    json::value executed(const std::string& id, const json::object& how = {})
    {
        const auto answer = client.post("/sandbox/" + id + "/execute", how);
        INFO(answer.body);
        REQUIRE(answer.status == 200);
        return answer.json();
    }

    // Once, in a sandbox of its own.
    json::value ran(const std::string& code, json::object more = {}, const json::object& how = {})
    {
        if (!more.contains("runtime")) more["runtime"] = "node";
        more["code"] = code;
        const auto id = made(std::move(more));
        auto told = executed(id, how);
        CHECK(client.request("DELETE", "/sandbox/" + id).status == 204);
        return told;
    }

    bool idle() const { return server.children().empty(); }

    server_process server;
    http_client client;
};

}  // namespace

TEST_CASE("a sandbox is made, listed, executed and deleted", "[sandboxes]")
{
    ground place;
    auto& client = place.client;
    const auto made = client.post("/sandbox", {{"runtime", "node"},
                                               {"code", "console.log('Hello World');"},
                                               {"entry_point", "index.js"},
                                               {"timeout_ms", 60000},
                                               {"memory_limit_mb", 128},
                                               {"env_vars", json::object{{"NODE_ENV", "sandbox"}}}});
    REQUIRE(made.status == 200);
    const auto id = text(made.json(), "id");
    CHECK(text(made.json(), "status") == "Created");
    CHECK(made.json().at("timeout_ms").as_int64() == 60000);

    for (const auto* path : {"/sandboxes", "/sandbox"}) {
        const auto all = client.get(path).json();
        CHECK(all.at("count").as_int64() == 1);
        CHECK(text(all.at("sandboxes").at(0), "id") == id);
    }
    const auto told = place.executed(id);
    CHECK(text(told, "sandbox_id") == id);
    CHECK(told.at("success").as_bool());
    CHECK(text(told, "stdout") == "Hello World\n");
    CHECK(text(told, "stderr").empty());
    CHECK(told.at("exit_code").as_int64() == 0);
    CHECK(told.at("execution_time_ms").as_int64() > 0);
    CHECK(text(told, "verdict") == "exit");
    CHECK_FALSE(told.at("truncated").as_bool());
    CHECK(place.server.metric("sandboxd_sandbox_executions_total{verdict=\"exit\"}") == 1);

    // As curl sends it: no body, no type; and again, as often as one likes.
    CHECK(client.request("POST", "/sandbox/" + id + "/execute").status == 200);
    const auto info = client.get("/sandbox/" + id).json();
    CHECK(info.at("executions").as_int64() == 2);
    CHECK(text(info, "status") == "Completed");
    CHECK(text(client.get("/health").json(), "status") == "healthy");

    CHECK(client.request("DELETE", "/sandbox/" + id).status == 204);
    CHECK(names_in(place.server.working_dir() / "sandboxes").empty());
    for (const auto* method : {"DELETE", "GET"}) CHECK(client.request(method, "/sandbox/" + id).status == 404);
    CHECK(client.request("POST", "/sandbox/" + id + "/execute").status == 404);
    CHECK(client.get("/sandboxes").json().at("count").as_int64() == 0);
    CHECK(place.idle());
}

TEST_CASE("every runtime runs its language", "[sandboxes]")
{
    ground place;
    const char* const typed = "const greeting: string = \"Hello TypeScript!\"; console.log(greeting);";
    if (has(place.client, "bun")) {
        CHECK(text(place.ran("console.log(\"Hello from Bun!\"); console.log(Bun.version);", {{"runtime", "bun"}}),
                   "stdout")
                  .starts_with("Hello from Bun!\n1."));
        CHECK(text(place.ran(typed, {{"runtime", "typescript"}}), "stdout") == "Hello TypeScript!\n");
    } else {
        WARN("left out: Bun is not there (it is fetched when the build is configured)");
    }
    if (has(place.client, "python")) {
        const auto ran = place.ran(
            "import json, sys, os, shapes\n"
            "print(json.dumps({'argv': len(sys.argv), 'area': shapes.area(3), 'name': __name__}))\n"
            "print(os.environ['WHO'], open('shapes.py').read().count('def'), input())",
            {{"runtime", "python"},
             {"env_vars", json::object{{"WHO", "Ada"}}},
             {"files", json::array{json::object{{"path", "shapes.py"}, {"content", "def area(x): return x * x"}}}}},
            {{"stdin", "a line\n"}});
        CHECK(text(ran, "stderr").empty());
        CHECK(text(ran, "stdout") == "{\"argv\": 1, \"area\": 9, \"name\": \"__main__\"}\nAda 1 a line\n");
        const auto wrong = place.ran("raise SystemExit(3)", {{"runtime", "python"}});
        CHECK(wrong.at("exit_code").as_int64() == 3);
        if (std::filesystem::exists("/usr/share/zoneinfo/Europe/Berlin")) {
            const auto zone = place.ran(
                "import datetime, time, zoneinfo\n"
                "winter = datetime.datetime(2026, 1, 1, tzinfo=zoneinfo.ZoneInfo('Europe/Berlin'))\n"
                "print(winter.utcoffset(), time.strftime('%Z', time.localtime(0)))",
                {{"runtime", "python"}, {"env_vars", json::object{{"TZ", "Europe/Berlin"}}}});
            CHECK(text(zone, "stdout") == "1:00:00 CET\n");
        } else {
            WARN("left out: there are no time zones on this machine");
        }
        // Without a cgroup for each job the interpreter itself is the one that finds no memory.
        const auto greedy = place.ran("x = 'a' * (4 << 30)", {{"runtime", "python"}, {"memory_limit_mb", 128}});
        CHECK(text(greedy, "verdict") == "memory_limit");
        const auto other_name = place.client.post(
            "/sandbox", {{"runtime", "python"},
                         {"files", json::array{json::object{{"path", "lib/x.py"}, {"content", ""}},
                                               json::object{{"path", "app.py"}, {"content", "print(1)"}}}}});
        CHECK(other_name.status == 400);
        CHECK(other_name.body.find("name the file to run as entry_point, such as 'app.py'") != std::string::npos);
    } else {
        WARN("left out: there is no Python");
    }
    const auto told = place.client.get("/runtimes").json();
    for (const auto& one : told.at("runtimes").as_array()) {
        CHECK_FALSE(text(one, "version").empty());
        CHECK_FALSE(text(one, "entry_point").empty());
        CHECK_FALSE(text(one, "command").empty());
    }
}

TEST_CASE("TypeScript without Bun is esbuild's and Node.js'", "[sandboxes]")
{
    // A Bun that is none: TypeScript must not be its business then, and it is not offered.
    ground place{R"("runtimes": {"bun": "/nonexistent/bun"})"};
    const auto refused = place.client.post("/sandbox", {{"runtime", "bun"}, {"code", "1"}});
    CHECK(refused.status == 422);
    CHECK(text(refused.json(), "code") == "unprocessable");
    CHECK(text(refused.json(), "error").find("'bun'") != std::string::npos);
    CHECK(text(refused.json(), "error").find("runtimes.bun") != std::string::npos);
    CHECK_FALSE(has(place.client, "bun"));
    // The list says so, too, and how to get it.
    const auto listed = place.client.get("/runtimes").json();
    std::string cure;
    for (const auto& one : listed.at("missing").as_array()) {
        CHECK_FALSE(has(place.client, text(one, "name")));
        if (text(one, "name") == "bun") cure = text(one, "cure");
    }
    CHECK(cure.find("runtimes.bun") != std::string::npos);
    if (!has(place.client, "typescript")) SKIP("esbuild is not there (it is fetched when the build is configured)");
    const json::array files{
        json::object{{"path", "lib/name.ts"}, {"content", "export const name: string = 'modules';"}}};
    const auto told = place.ran(
        "import { name } from './lib/name'; const fs = require('fs');\n"
        "console.log(await Promise.resolve('hello ' + name), __filename, process.argv.length, "
        "fs.existsSync('lib/name.ts'));",
        {{"runtime", "typescript"}, {"files", files}});
    CHECK(text(told, "stderr").empty());
    CHECK(text(told, "stdout") == "hello modules /tmp/index.ts 2 true\n");
    const auto broken = place.ran("const x: = 1;", {{"runtime", "typescript"}});
    CHECK_FALSE(broken.at("success").as_bool());
    CHECK(text(broken, "stderr").find("index.ts:1:9") != std::string::npos);
}

TEST_CASE("what a sandbox is made of reaches its program", "[sandboxes]")
{
    ground place;
    const json::array files{json::object{{"path", "main.js"},
                                         {"content",
                                          "console.log(require('./data/x.json').y, process.env.WHO, "
                                          "require('fs').readFileSync(0, 'utf8'))"}},
                            json::object{{"path", "data/x.json"}, {"content", "{\"y\": \"\u00e4\"}"}}};
    const auto id = place.made({{"runtime", "node"},
                                {"files", files},
                                {"entry_point", "./main.js"},
                                {"env_vars", json::object{{"WHO", "you"}}}});
    CHECK(text(place.executed(id, {{"stdin", "in\nput"}}), "stdout") == "\u00e4 you in\nput\n");
    CHECK(text(place.executed(id), "stdout") == "\u00e4 you \n");

    // What one execution writes the next one does not see, and what it was made of it cannot change.
    const auto writes = place.made({{"runtime", "node"}, {"code", R"(const fs = require('fs');
        console.log(fs.readdirSync('.').join());
        fs.writeFileSync('left.txt', 'x');
        try { fs.writeFileSync('index.js', 'x'); console.log('changed'); } catch (e) { console.log(e.code); }
        try { fs.unlinkSync('index.js'); console.log('removed'); } catch (e) { console.log(e.code); })"}});
    for (int i = 0; i < 2; ++i) CHECK(text(place.executed(writes), "stdout") == "index.js\nEROFS\nEBUSY\n");
}

TEST_CASE("a program writes beside the files that it brought, in their folders, too", "[sandboxes]")
{
    ground place;
    const json::array files{json::object{{"path", "data/in.csv"}, {"content", "1,2"}},
                            json::object{{"path", "data/deep/er/x.bin"}, {"content", "AP/+"}, {"encoding", "base64"}},
                            json::object{{"path", "src/main.js"}, {"content", R"(const fs = require('fs');
            const tell = (what) => { try { console.log(what()); } catch (e) { console.log(e.code); } };
            console.log(fs.readdirSync('data').join(), fs.readFileSync('data/deep/er/x.bin').toString('hex'));
            tell(() => { fs.writeFileSync('data/out.csv', fs.readFileSync('data/in.csv') + ',3');
                         return fs.readFileSync('data/out.csv', 'utf8'); });
            tell(() => { fs.mkdirSync('data/deep/er/new/er', {recursive: true}); return 'made'; });
            tell(() => { fs.writeFileSync('data/deep/y', 'y'); return 'written'; });
            tell(() => { fs.writeFileSync(__dirname + '/cache.json', '{}'); return __dirname; });
            tell(() => { fs.writeFileSync('data/in.csv', 'x'); return 'changed'; });
            tell(() => { fs.unlinkSync('data/in.csv'); return 'removed'; });
            tell(() => fs.readFileSync('data/in.csv', 'utf8'));)"}}};
    const auto id = place.made({{"runtime", "node"}, {"files", files}, {"entry_point", "src/main.js"}});
    // What one execution writes the next one does not see.
    for (int i = 0; i < 2; ++i)
        CHECK(text(place.executed(id), "stdout") ==
              "deep,in.csv 00fffe\n1,2,3\nmade\nwritten\n/tmp/src\nEROFS\nEBUSY\n1,2\n");
}

TEST_CASE("the verdict names how an execution ended", "[sandboxes]")
{
    ground place;
    const auto slow = place.ran("setInterval(() => {}, 1000); console.log('on');", {{"timeout_ms", 1500}});
    CHECK_FALSE(slow.at("success").as_bool());
    CHECK(slow.at("exit_code").as_int64() == 124);
    CHECK(text(slow, "verdict") == "timeout");
    CHECK(place.ran("for (;;);", {}, {{"timeout_ms", 300}}).at("exit_code").as_int64() == 124);
    CHECK(text(place.ran("for (;;);", {{"cpu_limit_secs", 1}}), "verdict") == "timeout");

    const auto failed = place.ran("console.error('no'); process.exit(3)");
    CHECK_FALSE(failed.at("success").as_bool());
    CHECK(failed.at("exit_code").as_int64() == 3);
    CHECK(text(failed, "stderr") == "no\n");
    CHECK(text(failed, "verdict") == "exit");
    CHECK(place.ran("throw new Error('x')").at("exit_code").as_int64() == 1);

    const auto signalled = place.ran("process.kill(process.pid, 'SIGTERM'); setInterval(() => {}, 1000);");
    CHECK(text(signalled, "verdict") == "signalled");
    CHECK(signalled.at("signal").as_int64() == SIGTERM);
    CHECK(signalled.at("exit_code").as_int64() == 128 + SIGTERM);

    const auto loud = place.ran("const line = 'x'.repeat(999) + '\\n'; for (;;) require('fs').writeSync(1, line);",
                                {{"max_output_bytes", 100'000}});
    CHECK(text(loud, "verdict") == "output_limit");
    CHECK(loud.at("truncated").as_bool());
    CHECK(text(loud, "stdout").size() == 100'000);

    const auto greedy = place.ran("const all = []; for (;;) all.push(new Array(1000).fill(all.length));",
                                  {{"memory_limit_mb", 64}, {"timeout_ms", 300'000}});
    INFO(text(greedy, "stderr"));
    CHECK(text(greedy, "verdict") == "memory_limit");
    const auto full =
        place.ran("const fs = require('fs'); for (let i = 0;; ++i) fs.writeFileSync('f' + i, Buffer.alloc(1 << 20));",
                  {{"disk_limit_mb", 4}});
    CHECK(text(full, "verdict") == "disk_limit");

    const auto strange = place.ran("process.stdout.write(Buffer.from([0x61, 0xff, 0xc3, 0x28, 0]))");
    CHECK(text(strange, "stdout") == std::string{"a\ufffd\ufffd(\0", 9});
    CHECK(place.idle());
}

TEST_CASE("sandboxes that cannot be are refused", "[sandboxes]")
{
    ground place{R"("sandboxes": {"maxSandboxes": 2, "maxTimeoutMs": 40000, "maxFiles": 2, "maxFileBytes": 100})"};
    auto& client = place.client;
    const auto refused = [&](json::object what, unsigned status) {
        const auto answer = client.post("/sandbox", what);
        INFO(answer.body);
        CHECK(answer.status == status);
        return text(answer.json(), "error");
    };
    CHECK(refused({{"runtime", "cobol"}, {"code", "x"}}, 422).find("'cobol'") != std::string::npos);
    CHECK(refused({{"runtime", "node"}, {"code", "x"}, {"timeout_ms", 40'001}}, 400).find("maxTimeoutMs") !=
          std::string::npos);
    CHECK(refused({{"runtime", "node"}, {"code", "x"}, {"timeout_ms", 0}}, 400).find("timeout_ms") !=
          std::string::npos);
    for (const auto* path : {"../x", "/etc/passwd", "a//b", "bun dev/../x", "."}) {
        const json::array files{json::object{{"path", path}, {"content", "x"}}};
        refused({{"runtime", "node"}, {"code", "x"}, {"files", files}}, 400);
        refused({{"runtime", "node"}, {"code", "x"}, {"entry_point", path}}, 400);
    }
    refused({{"runtime", "node"}, {"code", "x"}, {"entry_point", "-e"}}, 400);
    CHECK(refused({{"runtime", "node"}, {"code", std::string(101, 'x')}}, 413).find("100") != std::string::npos);
    CHECK(client.request("POST", "/sandbox", {{"Content-Type", "text/plain"}}, "x").status == 415);
    const auto id = place.made({{"runtime", "node"}, {"code", "1"}});
    place.made({{"runtime", "node"}, {"code", "1"}});
    const auto full = client.post("/sandbox", {{"runtime", "node"}, {"code", "1"}});
    CHECK(full.status == 503);
    CHECK_FALSE(full.field("retry-after").empty());
    CHECK(client.post("/sandbox/" + id + "/execute", {{"timeout_ms", 40'001}}).status == 400);
    CHECK(client.request("POST", "/sandbox/" + id + "/execute", {{"Content-Type", "text/plain"}}, "stdin").status ==
          415);
    CHECK(client.request("POST", "/sandbox/" + id + "/execute", {{"Content-Type", "application/json"}}, "[").status ==
          400);
    for (const auto* none : {"x", "00000000-0000-4000-8000-000000000000", "...", "a.."})
        CHECK(client.get(std::string{"/sandbox/"} + none).status == 404);
    for (const auto* dots : {"..", "%2e%2e"}) CHECK(client.get(std::string{"/sandbox/"} + dots).status == 400);
}

TEST_CASE("one client's endless executions keep nobody else out", "[sandboxes]")
{
    ground place{R"("sandboxes": {"maxConcurrentSandboxes": 2, "maxQueued": 2, "queueTimeoutSecs": 600, )"
                 R"("timeoutMs": 300000}, "proxy": {"trustForwarded": true})"};
    const auto slow =
        "/sandbox/" + place.made({{"runtime", "node"}, {"code", "setInterval(() => {}, 1000)"}}) + "/execute";
    const auto quick = "/sandbox/" + place.made({{"runtime", "node"}, {"code", "console.log(3)"}}) + "/execute";
    const header_list many{{"X-Forwarded-For", "192.0.2.1"}};
    http_client clients[] = {http_client{place.server}, http_client{place.server}, http_client{place.server},
                             http_client{place.server}};
    for (auto& one : clients) one.start_post(slow, json::object{}, many);
    REQUIRE(eventually([&] { return place.server.metric("sandboxd_jobs_queued{kind=\"sandbox\"}") == 2; }));
    CHECK(place.client.post(quick, json::object{}, many).status == 503);
    for (int i = 0; i < 2; ++i) {
        const auto answer = place.client.post(quick, json::object{}, {{"X-Forwarded-For", "192.0.2.2"}});
        REQUIRE(answer.status == 200);
        CHECK(text(answer.json(), "stdout") == "3\n");
    }
    CHECK(place.server.metric("sandboxd_jobs_running{kind=\"sandbox\"}") == 2);
    CHECK(place.server.metric("sandboxd_jobs_queued{kind=\"sandbox\"}") == 2);
}

TEST_CASE("executions run side by side, more wait, and even more are told to come back", "[sandboxes]")
{
    ground place{R"("sandboxes": {"maxConcurrentSandboxes": 2, "maxQueued": 1, "timeoutMs": 300000})"};
    const auto id = place.made({{"runtime", "node"}, {"code", "setInterval(() => {}, 1000)"}});
    const auto path = "/sandbox/" + id + "/execute";
    http_client clients[] = {http_client{place.server}, http_client{place.server}, http_client{place.server}};
    const auto running = [&] { return place.server.metric("sandboxd_jobs_running{kind=\"sandbox\"}"); };
    for (int i = 0; i < 2; ++i) {
        clients[i].start_post(path, json::object{});
        REQUIRE(eventually([&] { return running() == i + 1; }));
    }
    clients[2].start_post(path, json::object{});
    REQUIRE(eventually([&] { return place.server.metric("sandboxd_jobs_queued{kind=\"sandbox\"}") == 1; }));
    const auto refused = place.client.post(path, json::object{});
    CHECK(refused.status == 503);
    CHECK(text(refused.json(), "code") == "queue_full");
    CHECK_FALSE(refused.field("retry-after").empty());

    // Who goes away makes room: its program is killed, and the next one starts.
    clients[0].close();
    REQUIRE(eventually(
        [&] { return place.server.metric("sandboxd_jobs_queued{kind=\"sandbox\"}") == 0 && running() == 2; }));
    CHECK(place.client.get("/sandbox/" + id).json().at("running").as_int64() == 2);
    // To delete it is to end them all; when that is answered they are gone.
    CHECK(place.client.request("DELETE", "/sandbox/" + id).status == 204);
    CHECK(place.idle());
    CHECK(names_in(place.server.working_dir() / "sandboxes").empty());
    for (int i = 1; i < 3; ++i) CHECK(clients[i].receive().status == 404);
}

TEST_CASE("output is streamed while the program runs", "[sandboxes]")
{
    ground place;
    const auto id = place.made({{"runtime", "node"},
                                {"code",
                                 "console.log('one'); console.error('two'); process.stdin.on('data', () => {}); "
                                 "setInterval(() => {}, 1000);"},
                                {"timeout_ms", 300'000}});
    const auto path = "/sandbox/" + id + "/execute";
    {
        // The first line comes while the program is still there; then it is taken away.
        http_client client{place.server};
        client.start_post(path, json::object{}, {{"Accept", "application/x-ndjson"}});
        REQUIRE(eventually([&] { return client.readable(); }));
        CHECK(place.client.get("/sandbox/" + id).json().at("running").as_int64() == 1);
        CHECK(place.client.request("DELETE", "/sandbox/" + id).status == 204);
        const auto answer = client.receive();
        CHECK(answer.status == 200);
        CHECK(answer.field("content-type").starts_with("application/x-ndjson"));
        CHECK(answer.body.find("{\"event\":\"stdout\",\"text\":\"one\\n\"}\n") != std::string::npos);
        CHECK(answer.body.find("\"event\":\"error\"") != std::string::npos);
        CHECK(answer.body.find("not_found") != std::string::npos);
    }
    const auto ends =
        place.made({{"runtime", "node"},
                    {"code", "process.stdout.write('\u00e4\\nb'); console.error('e'); process.exitCode = 4"}});
    const auto lines =
        place.client.post("/sandbox/" + ends + "/execute", json::object{}, {{"Accept", "application/x-ndjson"}});
    std::string out;
    std::string err;
    json::value last;
    for (std::size_t at = 0; at < lines.body.size();) {
        const auto end = lines.body.find('\n', at);
        last = json::parse(lines.body.substr(at, end - at));
        if (last.at("event") == "stdout") out += text(last, "text");
        if (last.at("event") == "stderr") err += text(last, "text");
        at = end + 1;
    }
    CHECK(out == "\u00e4\nb");
    CHECK(err == "e\n");
    CHECK(text(last, "event") == "exit");
    CHECK(last.at("exit_code").as_int64() == 4);
    CHECK(last.as_object().contains("execution_time_ms"));
    CHECK_FALSE(last.as_object().contains("stdout"));

    const auto events =
        place.client.post("/sandbox/" + ends + "/execute", json::object{}, {{"Accept", "text/event-stream"}});
    CHECK(events.field("content-type").starts_with("text/event-stream"));
    CHECK(events.body.find("event: stdout\ndata: {\"text\":\"") != std::string::npos);
    CHECK(events.body.find("event: exit\ndata: {") != std::string::npos);
    CHECK(events.body.ends_with("\n\n"));
    // What cannot begin has a status.
    CHECK(place.client.post(path, json::object{}, {{"Accept", "text/event-stream"}}).status == 404);
}

TEST_CASE("what cannot be run for this host's own reasons tells the client nothing of the host", "[sandboxes]")
{
    // A jail that is built beforehand may have found the files.
    ground place{R"("sandboxes": {"warmJails": 0})"};
    const auto id = place.made({{"runtime", "node"}, {"code", "1"}});
    const auto all = place.server.working_dir() / "sandboxes";
    REQUIRE(names_in(all).size() == 1);
    std::filesystem::remove_all(all / names_in(all).at(0));
    const bool streamed = GENERATE(false, true);
    CAPTURE(streamed);
    const auto answer = place.client.request("POST", "/sandbox/" + id + "/execute",
                                             {{"Accept", streamed ? "text/event-stream" : "application/json"}});
    INFO(answer.body);
    CHECK(answer.status == 503);
    CHECK(answer.body.find(all.native()) == std::string::npos);
    CHECK(answer.body.find(place.server.working_dir().native()) == std::string::npos);
    CHECK(text(answer.json(), "code") == "unavailable");
    const std::string request{answer.field("x-request-id")};
    CHECK(eventually([&] {
        const auto log = place.server.log();
        return log.find("id=" + request + " ") != std::string::npos && log.find("cannot mount") != std::string::npos;
    }));
}

TEST_CASE("who listens to a stream and goes away ends the program", "[sandboxes]")
{
    ground place;
    const auto id = place.made(
        {{"runtime", "node"}, {"code", "console.log(1); setInterval(() => {}, 1000)"}, {"timeout_ms", 300'000}});
    http_client client{place.server};
    client.start_post("/sandbox/" + id + "/execute", json::object{}, {{"Accept", "text/event-stream"}});
    REQUIRE(eventually([&] { return client.readable(); }));
    client.close();
    CHECK(eventually([&] { return place.idle(); }));
    CHECK(eventually([&] { return place.client.get("/sandbox/" + id).json().at("running").as_int64() == 0; }));
}

TEST_CASE("unused sandboxes go, and a restart forgets all of them", "[sandboxes]")
{
    ground place{R"("sandboxes": {"idleSecs": 1, "cleanupIntervalSecs": 1})"};
    const auto id = place.made({{"runtime", "node"}, {"code", "1"}});
    CHECK(eventually([&] { return place.client.get("/sandbox/" + id).status == 404; }));
    CHECK(eventually([&] { return names_in(place.server.working_dir() / "sandboxes").empty(); }));

    const temporary_directory work;
    {
        server_process server{{.config = no_toolchain, .working_dir = work.path(), .wait_ready = false}};
        http_client client{server};
        CHECK(client.post("/sandbox", {{"runtime", "node"}, {"code", "1"}}).status == 200);
        CHECK(names_in(work / "sandboxes").size() == 1);
        server.signal(SIGKILL);
        server.wait();
        CHECK(names_in(work / "sandboxes").size() == 1);
    }
    server_process server{{.config = no_toolchain, .working_dir = work.path(), .wait_ready = false}};
    CHECK(eventually([&] { return names_in(work / "sandboxes").empty(); }));
    http_client client{server};
    CHECK(client.post("/sandbox", {{"runtime", "node"}, {"code", "1"}}).status == 200);
    CHECK(server.stop().code == 0);
    CHECK(names_in(work / "sandboxes").empty());
}

TEST_CASE("a server that drains lets executions end, and kills them when its patience does", "[sandboxes]")
{
    ground place{R"("shutdownGraceSecs": 1, "sandboxes": {"timeoutMs": 300000})"};
    const auto id = place.made({{"runtime", "node"}, {"code", "setInterval(() => {}, 1000)"}});
    http_client client{place.server};
    client.start_post("/sandbox/" + id + "/execute", json::object{});
    REQUIRE(eventually([&] { return place.server.metric("sandboxd_jobs_running{kind=\"sandbox\"}") == 1; }));
    place.server.signal(SIGTERM);
    const auto answer = client.receive();
    CHECK(answer.status == 503);
    CHECK(text(answer.json(), "code") == "draining");
    const auto end = place.server.wait();
    CHECK(end.exited);
    CHECK(end.code == 0);
}

TEST_CASE("a jail is built before an execution asks for it, and is as good as any other", "[sandboxes]")
{
    ground place{R"("sandboxes": {"memoryMB": 512, "warmMemoryMB": 0})"};
    const auto warm = [&] { return place.server.metric("sandboxd_sandbox_warm_jails"); };
    const auto from_warm = [&] { return place.server.metric("sandboxd_sandbox_jails_total{from=\"warm\"}"); };
    const auto built = [&] { return place.server.metric("sandboxd_sandbox_jails_total{from=\"new\"}"); };
    const auto id =
        place.made({{"runtime", "node"},
                    {"code",
                     "const fs = require('fs'); console.log(fs.readFileSync(0, 'utf8') + fs.existsSync('x'));"
                     " fs.writeFileSync('x', ''); if (fs.existsSync('/sandboxd-init')) console.error(fs"
                     ".readdirSync('/proc/self/fd').length)"}});
    CHECK(warm() == 1);
    const auto first = place.executed(id, {{"stdin", "one "}});
    CHECK(text(first, "stdout") == "one false\n");
    const auto descriptors = text(first, "stderr");
    CHECK(from_warm() == 1);
    // Who has executed it once need not do so again; who has done so twice will.
    CHECK(warm() == 0);
    const auto second = place.executed(id, {{"stdin", "two "}});
    CHECK(text(second, "stdout") == "two false\n");
    CHECK(text(second, "stderr").empty());
    CHECK(built() == 1);
    CHECK(warm() == 1);
    const auto third = place.executed(id);
    CHECK(text(third, "stdout") == "false\n");
    CHECK(text(third, "stderr") == descriptors);
    CHECK(from_warm() == 2);
    // Another limit is another jail; the time counts from the beginning of the program.
    CHECK(text(place.executed(id, {{"memory_limit_mb", 256}}), "stdout") == "false\n");
    CHECK(built() == 2);
    CHECK(warm() == 1);
    CHECK(text(place.executed(id, {{"timeout_ms", 20'000}}), "stdout") == "false\n");
    CHECK(from_warm() == 3);
    // One that has died while it waited is replaced.
    REQUIRE(eventually([&] { return !place.server.children().empty(); }));
    ::kill(static_cast<pid_t>(std::stol(place.server.children())), SIGKILL);
    REQUIRE(eventually([&] { return place.server.children().empty(); }));
    CHECK(text(place.executed(id, {{"stdin", "again "}}), "stdout") == "again false\n");
    CHECK(built() == 3);
    CHECK(place.client.request("DELETE", "/sandbox/" + id).status == 204);
    CHECK(place.idle());
    CHECK(warm() == 0);

    const auto slow = place.made({{"runtime", "node"}, {"code", "console.log('up'); setInterval(() => {}, 1000)"}});
    const auto ended = place.executed(slow, {{"timeout_ms", 8'000}});
    CHECK(text(ended, "verdict") == "timeout");
    CHECK(text(ended, "stdout") == "up\n");
    CHECK(from_warm() == 4);
}

namespace {

// Whether the process that is to become the jail's program is in there, behind every wall. Who builds one is outside,
// or is PID 1.
bool stands(pid_t jail)
{
    return std::ranges::any_of(family_of(jail), [](pid_t one) {
        const auto status = text_of("/proc/" + std::to_string(one) + "/status");
        const auto ids = status.find("\nNSpid:\t");
        if (ids == std::string::npos || status.find("\nSeccomp:\t2\n") == std::string::npos) return false;
        std::istringstream numbers{status.substr(ids + 8, status.find('\n', ids + 1) - ids - 8)};
        const std::vector<long> all{std::istream_iterator<long>{numbers}, {}};
        return all.size() > 1 && all.back() != 1;
    });
}

}  // namespace

TEST_CASE("there are as many warm jails as may be, and they end with the server", "[sandboxes]")
{
    const json::object hello{{"runtime", "node"}, {"code", "console.log('hello')"}};
    {
        ground none{R"("sandboxes": {"warmJails": 0})"};
        const auto id = none.made(hello);
        CHECK(none.server.metric("sandboxd_sandbox_warm_jails") == 0);
        CHECK(none.idle());
        CHECK(text(none.executed(id), "stdout") == "hello\n");
    }
    ground place{R"("sandboxes": {"warmJails": 2, "warmMemoryMB": 0})"};
    const auto first = place.made(hello);
    for (int i = 0; i < 3; ++i) place.made(hello);
    CHECK(place.server.metric("sandboxd_sandbox_warm_jails") == 2);
    CHECK(text(place.executed(first), "stdout") == "hello\n");
    CHECK(place.server.metric("sandboxd_sandbox_jails_total{from=\"warm\"}") == 0);
    // One that is still being built does not notice the server's end.
    const auto two = [&] {
        const auto all = numbers_in(place.server.children());
        return all.size() == 2 && std::ranges::all_of(all, stands);
    };
    REQUIRE(eventually(two));
    const auto one = numbers_in(place.server.children()).front();
    place.server.signal(SIGKILL);
    place.server.wait();
    CHECK(eventually([&] { return has_ended(one); }));

    ground polite{R"("sandboxes": {"warmJails": 2, "warmMemoryMB": 0})"};
    polite.made(hello);
    CHECK(polite.server.stop().code == 0);
}

namespace {

// A server whose runtimes wait, and what it says about them.
struct waiting_ground : ground {
    explicit waiting_ground(const std::string& more = {}, const std::string& jail = "auto")
        : ground{R"("jail": ")" + jail + R"(", "sandboxes": {"memoryMB": 512)" + (more.empty() ? "" : ", " + more) +
                 "}"}
    {
    }
    double waiting() { return server.metric("sandboxd_sandbox_warm_runtimes"); }
    double hits() { return server.metric("sandboxd_sandbox_warm_runtimes_total{result=\"hit\"}"); }
    double dropped(const std::string& cause)
    {
        return server.metric("sandboxd_sandbox_warm_runtimes_dropped_total{cause=\"" + cause + "\"}");
    }
    bool one_waits()
    {
        return eventually([this] { return waiting() == 1; });
    }
};

std::string entry_of(const std::string& runtime) { return runtime == "node" ? "index.cjs" : "index.js"; }

}  // namespace

TEST_CASE("a program cannot see that its runtime has waited for it", "[sandboxes][warm]")
{
    using clock = std::chrono::steady_clock;
    const std::string runtime = GENERATE("node", "bun");
    // They differ in what they tell a program of its directory.
    const std::string jail = GENERATE("namespaces", "bubblewrap");
    CAPTURE(runtime, jail);
    waiting_ground place{{}, jail};
    if (!has(place.client, runtime)) SKIP("there is no " << runtime);
    const auto began = clock::now();
    const auto id = place.made({{"runtime", runtime},
                                {"entry_point", entry_of(runtime)},
                                {"code", look_around + look_at_clocks + "console.log(JSON.stringify(seen))"}});
    REQUIRE(place.one_waits());
    CHECK(place.server.metric("sandboxd_sandbox_warm_runtimes_bytes") > 1e6);
    const auto waits = clock::now();
    // It waits for at least this long, and no clock of the program's may have it.
    const std::chrono::milliseconds least{1500};
    REQUIRE(eventually([&] { return clock::now() - waits >= least; }));
    const auto told = place.executed(id, {{"stdin", "what was sent"}});
    const auto whole = std::chrono::duration<double, std::milli>(clock::now() - began).count();
    CHECK(place.hits() == 1);
    INFO(json::serialize(told));
    REQUIRE(text(told, "verdict") == "exit");
    CHECK(told.at("execution_time_ms").to_number<double>() < whole - least.count());
    const auto warm = json::parse(text(told, "stdout"));
    const auto ms = [&](const char* key) { return warm.at("clocks").at(key).to_number<double>(); };
    for (const auto* key : {"now", "uptime", "mark", "whole", "hrtime"}) {
        CAPTURE(key);
        CHECK(ms(key) < whole - least.count());
        CHECK(ms(key) >= 0);
    }
    CHECK(std::abs(ms("drift")) < 500);
    CHECK(ms("measured") < least.count());
    CHECK(ms("begin") == 0);
    CHECK(ms("given") == 5);
    CHECK(ms("since") < 1);

    // An execution with another limit gets a jail of its own, and a runtime that starts in it.
    const auto cold =
        json::parse(text(place.executed(id, {{"stdin", "what was sent"}, {"disk_limit_mb", 32}}), "stdout"));
    CHECK(place.hits() == 1);
    for (const auto& [key, value] : cold.as_object()) {
        CAPTURE(std::string{key});
        if (key != "clocks") CHECK(json::serialize(warm.at(key)) == json::serialize(value));
    }
}

TEST_CASE("a runtime that has waited runs one program once", "[sandboxes][warm]")
{
    const std::string runtime = GENERATE("node", "bun");
    CAPTURE(runtime);
    waiting_ground place;
    if (!has(place.client, runtime)) SKIP("there is no " << runtime);
    const auto code = [](const std::string& whose) {
        return "const fs = require('fs'); const was = String(globalThis.left) + fs.existsSync('/tmp/left') +"
               " fs.existsSync('/dev/shm/left'); globalThis.left = 1; fs.writeFileSync('/tmp/left', '');"
               " fs.writeFileSync('/dev/shm/left', ''); console.log('" +
               whose + "' + was + fs.readFileSync(0, 'utf8'))";
    };
    const auto one = place.made({{"runtime", runtime}, {"entry_point", entry_of(runtime)}, {"code", code("one ")}});
    REQUIRE(place.one_waits());
    const auto other = place.made({{"runtime", runtime}, {"entry_point", entry_of(runtime)}, {"code", code("other ")}});
    REQUIRE(eventually([&] { return place.waiting() == 2; }));
    CHECK(text(place.executed(other, {{"stdin", "!"}}), "stdout") == "other undefinedfalsefalse!\n");
    CHECK(text(place.executed(one), "stdout") == "one undefinedfalsefalse\n");
    CHECK(place.hits() == 2);
    CHECK(place.waiting() == 0);
    // From the second execution on there is always another one.
    for (int i = 0; i < 3; ++i) {
        CHECK(text(place.executed(one, {{"stdin", "again"}}), "stdout") == "one undefinedfalsefalseagain\n");
        REQUIRE(place.one_waits());
    }
    CHECK(place.hits() == 4);
    for (const auto& id : {one, other}) CHECK(place.client.request("DELETE", "/sandbox/" + id).status == 204);
    CHECK(place.idle());
    CHECK(place.server.metric("sandboxd_sandbox_warm_runtimes_bytes") == 0);
    CHECK(place.server.stop().code == 0);
}

TEST_CASE("who goes on without a pause has the next runtime boot beside the program", "[sandboxes][warm]")
{
    if (std::thread::hardware_concurrency() < 2) SKIP("there is no processor beside that of the program");
    waiting_ground place;
    const std::string code = "if (require('fs').readFileSync(0, 'utf8') === 'stay') setInterval(() => {}, 1000)";
    // Whether there was no pause, the machine decides, so there are several attempts.
    bool is_there = false;
    for (int attempt = 0; attempt < 20 && !is_there; ++attempt) {
        const auto id = place.made({{"runtime", "node"}, {"code", code}, {"timeout_ms", 60'000}});
        place.executed(id);
        http_client other{place.server};
        other.start_post("/sandbox/" + id + "/execute", {{"stdin", "stay"}}, {{"Accept", "application/x-ndjson"}});
        is_there = eventually([&] { return place.waiting() == 1; }, std::chrono::seconds{3});
        CHECK(place.client.request("DELETE", "/sandbox/" + id).status == 204);
    }
    CHECK(is_there);
}

// Node.js looks for the modules of --require in a package.json of this name first.
TEST_CASE("a package.json does not get its modules into a runtime that boots", "[sandboxes][warm][hostile]")
{
    waiting_ground place;
    const auto package = GENERATE(R"({"name": "/runtime", "exports": {"./wait_node.cjs": "./evil.cjs"}})",
                                  R"({"name": "", "exports": {"./*": "./evil.cjs"}})",
                                  R"({"imports": {"#x": "./evil.cjs"}, "main": "evil.cjs", "exports": "./evil.cjs"})");
    CAPTURE(package);
    const std::string evil = "console.log('evil'); require('fs').readSync(8, Buffer.alloc(1), 0, 1, null);";
    const json::array files{json::object{{"path", "package.json"}, {"content", package}},
                            json::object{{"path", "evil.cjs"}, {"content", evil}}};
    const auto id = place.made({{"runtime", "node"}, {"code", "console.log(process.cwd())"}, {"files", files}});
    REQUIRE(place.one_waits());
    CHECK(text(place.executed(id), "stdout") == "/tmp\n");
    CHECK(place.hits() == 1);
}

TEST_CASE("a runtime that ends while it waits is replaced, once", "[sandboxes][warm]")
{
    waiting_ground place;
    const auto id = place.made({{"runtime", "node"}, {"code", "console.log('hello')"}});
    REQUIRE(place.one_waits());
    const auto kill_it = [&] {
        const auto all = numbers_in(place.server.children());
        REQUIRE(all.size() == 1);
        ::kill(all.front(), SIGKILL);
    };
    kill_it();
    REQUIRE(eventually([&] { return place.dropped("ended") == 1; }));
    REQUIRE(place.one_waits());
    CHECK(text(place.executed(id), "stdout") == "hello\n");
    CHECK(place.hits() == 1);
    CHECK(text(place.executed(id), "stdout") == "hello\n");
    REQUIRE(place.one_waits());
    kill_it();
    REQUIRE(eventually([&] { return place.dropped("ended") == 2; }));
    REQUIRE(place.one_waits());
    kill_it();
    REQUIRE(eventually([&] { return place.dropped("ended") == 3; }));
    CHECK(place.waiting() == 0);
    REQUIRE(eventually([&] { return place.idle(); }));
    CHECK(text(place.executed(id), "stdout") == "hello\n");
}

TEST_CASE("runtimes wait within their memory, and not for programs that could act before the word", "[sandboxes][warm]")
{
    waiting_ground place{R"("warmMemoryMB": 12)"};
    const json::object hello{{"runtime", "node"}, {"code", "console.log('hello')"}};
    const auto id = place.made(hello);
    REQUIRE(place.one_waits());
    place.made(hello);
    REQUIRE(eventually([&] { return place.dropped("budget") == 1; }));
    REQUIRE(place.one_waits());
    CHECK(place.server.metric("sandboxd_sandbox_warm_runtimes_bytes") <= 12 * 1024 * 1024);
    CHECK(text(place.executed(id), "stdout") == "hello\n");
    CHECK(place.hits() == 0);

    // A variable that would run code while Node.js boots, and files that Bun reads then.
    const auto jails = place.server.metric("sandboxd_sandbox_warm_jails");
    auto with_variable = hello;
    with_variable["env_vars"] = json::object{{"NODE_OPTIONS", "--import=data:text/javascript,console.log('early')"}};
    const auto early = place.made(with_variable);
    CHECK(place.server.metric("sandboxd_sandbox_warm_jails") == jails + 1);
    CHECK(text(place.executed(early), "stdout") == "early\nhello\n");
    CHECK(place.hits() == 0);
    if (has(place.client, "bun")) {
        const json::array files{json::object{{"path", ".env"}, {"content", "OF_FILE=yes\n"}}};
        const auto of_bun =
            place.made({{"runtime", "bun"}, {"code", "console.log(process.env.OF_FILE)"}, {"files", files}});
        CHECK(text(place.executed(of_bun), "stdout") == "yes\n");
        CHECK(place.hits() == 0);
    }
    CHECK(place.waiting() == 1);
}

TEST_CASE("runtimes that wait end with the server, whichever way it ends", "[sandboxes][warm]")
{
    const int signal = GENERATE(SIGTERM, SIGKILL);
    CAPTURE(signal);
    waiting_ground place;
    place.made({{"runtime", "node"}, {"code", "console.log('hello')"}});
    REQUIRE(place.one_waits());
    const auto all = numbers_in(place.server.children());
    REQUIRE(all.size() == 1);
    CHECK(runs_below(all.front(), "/runtime/node"));
    place.server.signal(signal);
    place.server.wait();
    CHECK(eventually([&] { return has_ended(all.front()); }));
}

TEST_CASE("runtimes that wait give their memory back when jobs wait for memory", "[sandboxes][warm]")
{
    const temporary_directory cgroup;
    // Atomically, as the kernel does.
    const auto write = [&](const std::string& file, std::int64_t value) {
        std::ofstream{cgroup / (file + ".new")} << value << "\n";
        std::filesystem::rename(cgroup / (file + ".new"), cgroup / file);
    };
    constexpr std::int64_t all = 1'000'000'000;
    write("memory.max", all);
    write("memory.current", 0);
    ground place{R"("enableResourceGating": true, "cgroupV2Root": ")" + cgroup.path().native() + "\""};
    const auto metric = [&](const char* name) { return place.server.metric(name); };
    const auto id = place.made({{"runtime", "node"}, {"code", "console.log('hello')"}});
    REQUIRE(eventually([&] { return metric("sandboxd_sandbox_warm_runtimes") == 1; }));
    const auto other = place.made({{"runtime", "node"}, {"code", "console.log('other')"}});
    REQUIRE(eventually([&] { return metric("sandboxd_sandbox_warm_runtimes") == 2; }));

    write("memory.current", all);
    http_client client{place.server};
    client.start_post("/sandbox/" + other + "/execute", json::object{});
    CHECK(eventually([&] { return metric("sandboxd_sandbox_warm_runtimes_dropped_total{cause=\"pressure\"}") == 2; }));
    CHECK(metric("sandboxd_sandbox_warm_runtimes_bytes") == 0);
    write("memory.current", 0);
    CHECK(text(client.receive().json(), "stdout") == "other\n");
    CHECK(text(place.executed(id), "stdout") == "hello\n");
}
