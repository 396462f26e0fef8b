// Deployments that are stopped, and whose next program waits: its runtime has booted in the jail, real ones all.
#include "init/arguments.hpp"
#include "init/hold.hpp"
#include "support/eventually.hpp"
#include "support/http_client.hpp"
#include "support/look_around.hpp"
#include "support/proc.hpp"
#include "support/server_process.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <string>
#include <utility>

using namespace sandboxd;
using namespace sandboxd::test;
namespace json = boost::json;

namespace {

std::string text(const json::value& from, const char* key) { return std::string{from.at(key).as_string()}; }

// A program that answers each request with the text of an expression.
std::string serving(const std::string& expression)
{
    return "require('http').createServer((q, r) => r.end(" + expression + ")).listen(process.env.PORT);";
}

class ground {
public:
    explicit ground(const std::string& faas = {}, const std::string& jail = "auto")
        : server{{.config = std::string{no_toolchain} + R"(, "jail": ")" + jail + R"(", "faas": {)" + faas + "}",
                  .wait_ready = false}},
          client{server}
    {
        if (!has("node")) SKIP("there is no Node.js on the search path");
    }

    bool has(std::string_view runtime)
    {
        const auto told = client.get("/runtimes").json();
        for (const auto& one : told.at("runtimes").as_array())
            if (one.at("name").as_string() == json::string_view{runtime.data(), runtime.size()}) return true;
        return false;
    }

    // One that is idle after a second without a request.
    std::string made(json::object what)
    {
        if (!what.contains("runtime")) what["runtime"] = "node";
        what["auto_scale"] = json::object{{"scale_down_after_minutes", 0.02}};
        const auto answer = client.post("/faas/deploy", what);
        INFO(answer.body);
        REQUIRE(answer.status == 200);
        REQUIRE(text(answer.json(), "status") == "Running");
        return text(answer.json(), "deployment_id");
    }

    json::value told_of(const std::string& id) { return client.get("/faas/deployments/" + id).json(); }
    std::string answer(const std::string& id)
    {
        const auto got = client.get("/faas/" + id + "/");
        INFO(got.body);
        REQUIRE(got.status == 200);
        return got.body;
    }
    bool stops(const std::string& id)
    {
        return eventually([&] { return text(told_of(id), "status") == "Stopped"; });
    }

    double waiting() { return server.metric("sandboxd_faas_warm_runtimes"); }
    double hits() { return server.metric("sandboxd_faas_warm_runtimes_total{result=\"hit\"}"); }
    double misses() { return server.metric("sandboxd_faas_warm_runtimes_total{result=\"miss\"}"); }
    double dropped(const std::string& cause)
    {
        return server.metric("sandboxd_faas_warm_runtimes_dropped_total{cause=\"" + cause + "\"}");
    }
    bool one_waits()
    {
        return eventually([this] { return waiting() == 1; });
    }

    server_process server;
    http_client client;
};

}  // namespace

TEST_CASE("a deployment's program cannot see that its runtime has waited for it", "[faas][warm]")
{
    using clock = std::chrono::steady_clock;
    const std::string runtime = GENERATE("node", "bun");
    // They differ in what they tell a program of its directory.
    const std::string jail = GENERATE("namespaces", "bubblewrap");
    CAPTURE(runtime, jail);
    ground place{{}, jail};
    if (!place.has(runtime)) SKIP("there is no " << runtime);
    const auto content = look_around + look_at_clocks + serving("JSON.stringify(seen)");
    const json::object what{{"runtime", runtime},
                            {"entry_point", "app.cjs"},
                            {"files", json::array{json::object{{"path", "app.cjs"}, {"content", content}}}}};
    ground usual{R"("warmMemoryMB": 0)", jail};
    const auto cold = json::parse(usual.answer(usual.made(what)));
    const auto began = clock::now();
    const auto id = place.made(what);
    REQUIRE(place.stops(id));
    REQUIRE(place.one_waits());
    CHECK(place.server.metric("sandboxd_faas_warm_runtimes_bytes") > 1e6);
    const auto waits = clock::now();
    // It waits for at least this long, and no clock of the program's may have it.
    const std::chrono::milliseconds least{1500};
    REQUIRE(eventually([&] { return clock::now() - waits >= least; }));
    const auto warm = json::parse(place.answer(id));
    const auto whole = std::chrono::duration<double, std::milli>(clock::now() - began).count();
    CHECK(place.hits() == 1);
    CHECK(place.told_of(id).at("starts").to_number<int>() == 2);
    const auto ms = [&](const char* key) { return warm.at("clocks").at(key).to_number<double>(); };
    for (const auto* key : {"now", "uptime", "mark", "whole", "hrtime"}) {
        CAPTURE(key);
        CHECK(ms(key) < whole - least.count());
        CHECK(ms(key) >= 0);
    }
    CHECK(std::abs(ms("drift")) < 500);
    CHECK(ms("begin") == 0);
    CHECK(ms("given") == 5);
    for (const auto& [key, value] : cold.as_object()) {
        CAPTURE(std::string{key});
        if (key != "clocks") CHECK(json::serialize(warm.at(key)) == json::serialize(value));
    }
}

TEST_CASE("what waits for a deployment has its newest files", "[faas][warm]")
{
    ground place;
    const auto id = place.made({{"code", serving("'first'")}});
    REQUIRE(place.stops(id));
    REQUIRE(place.one_waits());
    const json::object newer{
        {"files", json::array{json::object{{"path", "index.js"}, {"content", serving("'second'")}}}}};
    const auto updated = place.client.request("PUT", "/faas/deployments/" + id + "/files",
                                              {{"Content-Type", "application/json"}}, json::serialize(newer));
    INFO(updated.body);
    REQUIRE(updated.status == 200);
    CHECK(place.dropped("update") == 1);
    CHECK(place.waiting() == 0);
    CHECK(place.answer(id) == "second");
    CHECK(place.hits() == 0);
    REQUIRE(place.stops(id));
    REQUIRE(place.one_waits());
    CHECK(place.answer(id) == "second");
    CHECK(place.hits() == 1);
}

TEST_CASE("no runtime waits for a deployment that could act before the word", "[faas][warm]")
{
    ground place;
    const std::string early = "--import=data:text/javascript,globalThis.early=1";
    const auto code = serving("String(globalThis.early)");
    const auto by_variable = place.made({{"code", code}, {"env_vars", json::object{{"NODE_OPTIONS", early}}}});
    const auto by_option = place.made({{"code", code}, {"entry_point", "node " + early + " index.js"}});
    const auto script =
        json::object{{"path", "package.json"},
                     {"content", R"({"scripts": {"start": "NODE_OPTIONS=)" + early + R"( node index.js"}})"}};
    const auto by_script = place.made({{"code", code}, {"entry_point", "npm start"}, {"files", json::array{script}}});
    std::vector<std::string> all{by_variable, by_option, by_script};
    if (place.has("bun"))
        all.push_back(place.made({{"runtime", "bun"},
                                  {"code", serving("process.env.early")},
                                  {"files", json::array{json::object{{"path", ".env"}, {"content", "early=1\n"}}}}}));
    for (const auto& id : all) REQUIRE(place.stops(id));
    // Stopped after them: when its runtime waits, theirs had their turn.
    const auto last = place.made({{"code", serving("'last'")}});
    REQUIRE(place.stops(last));
    REQUIRE(place.one_waits());
    for (const auto& id : all) CHECK(place.answer(id) == "1");
    CHECK(place.hits() == 0);
    CHECK(place.answer(last) == "last");
    CHECK(place.hits() == 1);
}

// Node.js looks for the modules of --require in a package.json of this name first.
TEST_CASE("a package.json does not get its modules into a deployment's runtime that boots", "[faas][warm][hostile]")
{
    ground place;
    const auto package = GENERATE(R"({"name": "/runtime", "exports": {"./wait_node.cjs": "./evil.cjs"}})",
                                  R"({"name": "", "exports": {"./*": "./evil.cjs"}})");
    CAPTURE(package);
    const std::string evil = "globalThis.evil = 1; require('fs').readSync(8, Buffer.alloc(1), 0, 1, null);";
    const json::array files{json::object{{"path", "package.json"}, {"content", package}},
                            json::object{{"path", "evil.cjs"}, {"content", evil}}};
    const auto id = place.made({{"code", serving("process.cwd() + String(globalThis.evil)")}, {"files", files}});
    REQUIRE(place.stops(id));
    REQUIRE(place.one_waits());
    CHECK(place.answer(id) == "/srv/appundefined");
    CHECK(place.hits() == 1);
}

TEST_CASE("a command of a package's script may wait as a file does", "[faas][warm]")
{
    ground place;
    const auto script = json::object{
        {"path", "package.json"}, {"content", R"({"type": "module", "scripts": {"start": "node app.js --name=x"}})"}};
    const auto file =
        json::object{{"path", "app.js"},
                     {"content",
                      "import { createServer } from 'http';"
                      "createServer((q, r) => r.end(process.argv.slice(1).join())).listen(process.env.PORT);"}};
    const auto id = place.made({{"entry_point", "npm start"}, {"files", json::array{script, file}}});
    REQUIRE(place.stops(id));
    REQUIRE(place.one_waits());
    CHECK(place.answer(id) == "/srv/app/app.js,--name=x");
    CHECK(place.hits() == 1);
}

TEST_CASE("deployments' runtimes wait within their memory", "[faas][warm]")
{
    ground place{R"("warmMemoryMB": 12)"};
    const auto one = place.made({{"code", serving("'one'")}});
    REQUIRE(place.stops(one));
    REQUIRE(place.one_waits());
    const auto other = place.made({{"code", serving("'other'")}});
    REQUIRE(place.stops(other));
    REQUIRE(eventually([&] { return place.dropped("budget") == 1; }));
    REQUIRE(place.one_waits());
    CHECK(place.server.metric("sandboxd_faas_warm_runtimes_bytes") <= 12 * 1024 * 1024);
    CHECK(place.answer(other) == "other");
    CHECK(place.hits() == 1);
    CHECK(place.answer(one) == "one");
    CHECK(place.hits() == 1);
}

TEST_CASE("without memory for them no runtime waits for a deployment", "[faas][warm]")
{
    ground place{R"("warmMemoryMB": 0)"};
    const auto id = place.made({{"code", serving("'hi'")}});
    REQUIRE(place.stops(id));
    CHECK(eventually([&] { return place.server.children().empty(); }));
    CHECK(place.answer(id) == "hi");
    CHECK(place.hits() + place.misses() == 0);
}

TEST_CASE("a runtime that ends while it waits is no end of the deployment's program", "[faas][warm]")
{
    ground place;
    const auto id = place.made({{"code", serving("'hi'")}});
    REQUIRE(place.stops(id));
    REQUIRE(place.one_waits());
    const auto before = place.told_of(id);
    const auto all = numbers_in(place.server.children());
    REQUIRE(all.size() == 1);
    ::kill(all.front(), SIGKILL);
    REQUIRE(eventually([&] { return place.dropped("ended") == 1; }));
    // Neither its state nor its log has anything of it.
    CHECK(json::serialize(place.told_of(id)) == json::serialize(before));
    CHECK(place.server.metric("sandboxd_faas_crashes_total") == 0);
    CHECK(place.answer(id) == "hi");
    CHECK(place.hits() == 0);
}

TEST_CASE("what waits for a deployment goes with it, and with the server", "[faas][warm]")
{
    const int signal = GENERATE(0, SIGTERM, SIGKILL);
    CAPTURE(signal);
    ground place;
    const auto id = place.made({{"code", serving("'hi'")}});
    REQUIRE(place.stops(id));
    REQUIRE(place.one_waits());
    const auto all = numbers_in(place.server.children());
    REQUIRE(all.size() == 1);
    CHECK(runs_below(all.front(), "/runtime/node"));
    // The program's way to its word is nobody else's in the jail.
    std::size_t inits = 0;
    for (const auto one : family_of(all.front())) {
        const auto here = "/proc/" + std::to_string(one);
        if (!text_of(here + "/cmdline").starts_with(init::program_inside)) continue;
        ++inits;
        // Nobody else may look at what is not dumpable.
        if (::geteuid() == 0)
            CHECK_FALSE(std::filesystem::is_symlink(here + "/fd/" + std::to_string(init::hold::begin_fd_inside)));
    }
    CHECK(inits == 1);
    if (signal == 0) {
        CHECK(place.client.request("DELETE", "/faas/deployments/" + id).status == 204);
        CHECK(place.server.children().empty());
        CHECK(place.server.metric("sandboxd_faas_warm_runtimes_bytes") == 0);
        return;
    }
    place.server.signal(signal);
    place.server.wait();
    CHECK(eventually([&] { return has_ended(all.front()); }));
}
