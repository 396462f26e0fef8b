// Names as a weapon: members that all meet in one place of a hash table, wherever a stranger's JSON is read. What a
// request costs the server is measured in its processor time, against the same request with names that nobody chose.
#include "arena.hpp"
#include "support/colliding_names.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <fstream>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

using namespace sandboxd::test;

namespace {

constexpr std::size_t many = 16'384;

using names = std::vector<std::string>;

// Of the same lengths, and apart from each other in every table.
names harmless_names()
{
    names made = colliding_names(many);
    for (std::size_t i = 0; i < made.size(); ++i) {
        const auto number = std::to_string(i);
        made[i].replace(0, number.size(), number);
    }
    return made;
}

std::string members(const names& of, std::string_view value)
{
    std::string text;
    for (const auto& name : of) {
        if (!text.empty()) text += ',';
        text += '"' + name + "\":";
        text += value;
    }
    return text;
}

std::string in_quotes(std::string_view json)
{
    std::string text = "\"";
    for (const char one : json) {
        if (one == '"') text += '\\';
        text += one;
    }
    return text + '"';
}

// The server is one thread: nanoseconds on a processor (https://docs.kernel.org/scheduler/sched-stats.html).
std::uint64_t processor_time(const server_process& server)
{
    std::uint64_t spent = 0;
    std::ifstream{"/proc/" + std::to_string(server.pid()) + "/schedstat"} >> spent;
    return spent;
}

struct request {
    const char* what;
    const char* method;
    std::string target;
    std::function<std::string(const names&)> body;
    unsigned status;
};

}  // namespace

TEST_CASE("chosen member names cost no more than any others", "[hostile][names]")
{
    arena place{{.config = R"("js": {}, "faas": {"maxDeployments": 64}, "sandboxes": {"maxSandboxes": 64})"}};
    auto client = place.connect();
    // A sandbox and a deployment to send further requests to; a program that ends at once needs no runtime's time.
    const auto sandbox = client.post("/sandbox", {{"runtime", "node"}, {"code", "0"}});
    if (sandbox.status != 200) SKIP("sandboxes are not to be had here: " << sandbox.body);
    const auto sandbox_id = std::string{sandbox.json().at("id").as_string()};
    const auto deployment = client.post("/faas/deploy", {{"runtime", "node"}, {"code", "0"}});
    INFO(deployment.body);
    REQUIRE(deployment.status == 200);
    const auto deployment_id = std::string{deployment.json().at("deployment_id").as_string()};

    const auto with = [](const char* before, const char* after, const char* value = "1") {
        return [=](const names& of) { return before + members(of, value) + after; };
    };
    const auto package_json = [](const char* member, unsigned version) {
        return [=](const names& of) {
            // It has at most 256 KiB.
            const names some{of.begin(), of.begin() + std::ssize(of) / 4};
            const auto text = std::string{"{\""} + member + "\":{" + members(some, "\"1\"") + "},\"version\":\"" +
                              std::to_string(version) + "\"}";
            return R"({"runtime":"node","code":"0","files":[{"path":"package.json","content":)" + in_quotes(text) +
                   "}]}";
        };
    };
    // What a script prints is read by nobody but walked: 1 MiB of it at most, so half as many names.
    const auto printing = [](const names& of) {
        const bool chosen = of.front().front() != '0';
        std::string pieces;
        for (const auto& [zero, one] : colliding_pieces(13))
            pieces += (pieces.empty() ? "['" : ",['") + zero + "','" + one + "']";
        const std::string piece = chosen ? "p[b][i>>b&1]" : "(b?'abc':String(100+i%900))";
        const std::string name = chosen ? "s" : "s+i";
        return R"js({"script":"const p=[)js" + pieces +
               R"js(],o={};for(let i=0;i<8192;i++){let s='';for(let b=0;b<13;b++)s+=)js" + piece + ";o[" + name +
               R"js(]=0}console.log(o);console.log(JSON.stringify(o))","fuel":1000000000,"timeout_ms":10000})js";
    };
    const request requests[] = {
        {"unknown members of /compile", "POST", "/compile", with(R"({"code":"int main(){return 1;}",)", "}"), 200},
        {"an unknown object of /compile", "POST", "/compile", with(R"({"x":{)", R"(},"code":"int main(){return 2;}"})"),
         200},
        {"a file of /compile", "POST", "/compile",
         with(R"({"files":[{"path":"a.c","content":"int main(){return 3;}",)", "}]}"), 200},
        {"arguments of /compile", "POST", "/compile", with(R"({"code":"int main(){}","args":{)", "}}"), 400},
        {"unknown members of /execute", "POST", "/execute", with(R"({"script":"1",)", "}"), 200},
        {"modules of /execute", "POST", "/execute", with(R"({"script":"1","fuel":{},"modules":{)", "}}", "\"\""), 400},
        {"unknown members of /api/execute", "POST", "/api/execute", with(R"({"code":"1","x":[{)", "}]}"), 200},
        {"what a script prints", "POST", "/execute", printing, 200},
        {"unknown members of /sandbox", "POST", "/sandbox", with(R"({"runtime":"node","code":"0",)", "}"), 200},
        {"variables of /sandbox", "POST", "/sandbox",
         with(R"({"runtime":"node","code":"0","env_vars":{)", "}}", "\"\""), 400},
        {"an execution in a sandbox", "POST", "/sandbox/" + sandbox_id + "/execute", with(R"({"stdin":"",)", "}"), 200},
        {"unknown members of /faas/deploy", "POST", "/faas/deploy", with(R"({"runtime":"node","code":"0",)", "}"), 200},
        {"a file of /faas/deploy", "POST", "/faas/deploy",
         with(R"({"runtime":"node","code":"0","files":[{"path":"a","content":"",)", "}]}"), 200},
        {"unknown members of package.json", "POST", "/faas/deploy", package_json("x", 1), 200},
        {"dependencies of package.json", "POST", "/faas/deploy", package_json("dependencies", 2), 422},
        {"scripts of package.json", "POST", "/faas/deploy", package_json("scripts", 3), 422},
        {"an update of a deployment", "PUT", "/faas/deployments/" + deployment_id + "/files",
         with(R"({"files":[{"path":"a","content":""}],)", "}"), 200},
    };
    const auto chosen = colliding_names(many);
    const auto harmless = harmless_names();
    for (const auto& one : requests) {
        attack();
        INFO(one.what);
        const auto cost_of = [&](const names& of) {
            const auto body = one.body(of);
            const auto before = processor_time(place.server());
            const auto answer = client.request(one.method, one.target, {{"Content-Type", "application/json"}}, body);
            const auto spent = processor_time(place.server()) - before;
            INFO(answer.body.substr(0, 1000));
            CHECK(answer.status == one.status);
            return spent;
        };
        const auto usual = cost_of(harmless);
        const auto asked = cost_of(chosen);
        CAPTURE(usual, asked);
        // Chosen names made it 300 times as much; the rest of a request (a jail, a job's files) is the same.
        constexpr std::uint64_t slack_ns = 150'000'000;
        CHECK(asked <= 3 * usual + slack_ns);
    }
    // The workers of /execute are there all the time; what else a job leaves is looked for by the other tests.
    CHECK(client.get("/healthz").body == "ok");
    CHECK(place.compile("int main(void) { return 0; }").code == "ok");
}
