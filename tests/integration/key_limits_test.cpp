// What a key may use: each limit is asked before work starts, and said by name.
#include "support/eventually.hpp"
#include "support/held_toolchain.hpp"
#include "support/http_client.hpp"
#include "support/keys.hpp"
#include "support/server_process.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace sandboxd::test;
namespace json = boost::json;

namespace {

const std::vector<std::string> all_but_admin{"compile", "execute", "sandbox", "deploy"};
const header_list a = with_key("key-of-a");
const header_list b = with_key("key-of-b");

// Tenant a with these limits, b without any, and an operator.
std::vector<told_key> keys_with(const std::string& limits)
{
    return {{"a", "key-of-a", all_but_admin, limits}, {"b", "key-of-b", all_but_admin}, {"op", "key-of-op", {"admin"}}};
}

bool tells(http_client& client, const std::string& sample)
{
    return client.get("/metrics", with_key("key-of-op")).body.find("\n" + sample + "\n") != std::string::npos;
}

void check_refused(const http_answer& answer, const std::string& code, const std::string& limit,
                   const std::string& policy)
{
    CAPTURE(answer.body, code);
    REQUIRE(answer.status == 429);
    CHECK(answer.json().at("code").as_string() == code);
    CHECK(answer.body.find("limits." + limit + " of the key)") != std::string::npos);
    CHECK(answer.field("ratelimit-policy") == "\"" + limit + "\";" + policy);
    CHECK(answer.field("ratelimit").starts_with("\"" + limit + "\";r=0"));
    CHECK(std::stoi(answer.field("retry-after")) >= 1);
}

json::object script(const std::string& text) { return {{"script", text}}; }

json::object node(const std::string& code) { return {{"runtime", "node"}, {"code", code}, {"timeout_ms", 300'000}}; }

// Tenant b's single jobs, one after the other, until somebody asks what came of them.
class single_jobs {
public:
    explicit single_jobs(const server_process& server)
        : client_{server}, done_{std::async(std::launch::async, [this] { work(); })}
    {
    }
    ~single_jobs() { is_over_ = true; }
    single_jobs(const single_jobs&) = delete;
    single_jobs& operator=(const single_jobs&) = delete;

    void end()
    {
        is_over_ = true;
        done_.get();
    }
    // After the end.
    std::size_t count() const { return count_; }
    const std::vector<std::string>& failed() const { return failed_; }

private:
    void work()
    {
        do {
            expect(200, client_.post("/execute", script("6 * 7"), b));
            const auto made = client_.post("/sandbox", node("console.log('hello')"), b);
            if (!expect(200, made)) continue;
            const auto place = "/sandbox/" + std::string{made.json().at("id").as_string()};
            expect(200, client_.post(place + "/execute", json::object{}, b));
            expect(204, client_.request("DELETE", place, b));
        } while (!is_over_);
    }
    bool expect(unsigned status, const http_answer& answer)
    {
        ++count_;
        if (answer.status == status) return true;
        failed_.push_back(std::to_string(answer.status) + ": " + answer.body);
        return false;
    }

    http_client client_;
    std::atomic<bool> is_over_{false};
    std::size_t count_{0};
    std::vector<std::string> failed_;
    std::future<void> done_;  // the last member: it uses the others
};

// Tenant a's requests, as many as count for the minute.
class counted_requests {
public:
    void start(http_client& by, std::string_view path, const json::object& body)
    {
        ++sent_;
        by.start_post(path, body, a);
    }
    http_answer post(http_client& by, std::string_view path, const json::object& body)
    {
        start(by, path, body);
        return by.receive();
    }
    unsigned remove(http_client& by, std::string_view path)
    {
        ++sent_;
        return by.request("DELETE", path, a).status;
    }
    int sent() const { return sent_; }

private:
    std::atomic<int> sent_{0};
};

// A job, and what of the day was used before it and after it.
struct day_job {
    double before;
    http_answer answer;
    double after;
};

// Runs it again and again until it is refused, and twice more. `sample` has what counts for the day.
std::vector<day_job> use_up(const server_process& server, counted_requests& from_a, std::string path, json::object body,
                            std::string sample)
{
    http_client client{server};
    const header_list op = with_key("key-of-op");
    std::vector<day_job> all;
    for (int refused = 0; refused < 3 && all.size() < 60;) {
        const auto before = server.metric(sample, op);
        auto answer = from_a.post(client, path, body);
        if (answer.status != 200) ++refused;
        all.push_back({before, std::move(answer), server.metric(sample, op)});
    }
    return all;
}

// Tenant a with every limit, who sends more than each of them allows.
class all_limits {
public:
    all_limits()
    {
        REQUIRE(eventually([&] { return client_.get("/api/health").status == 200; }));
    }

    const server_process& server() const { return server_; }

    void make_sandboxes()
    {
        waits_ = make("setInterval(() => {}, 1000)");
        burns_ = make(busy);
    }

    // Three times as many jobs and deployments as may be. No job that has a place gives it back.
    void race_for_places()
    {
        std::deque<http_client> runs;
        for (int i = 0; i < 3 * jobs; ++i) from_a_.start(runs.emplace_back(server_), waits_ + "/execute", {});
        for (int i = 0; i < 3 * deployments; ++i)
            from_a_.start(deploys_.emplace_back(server_), "/faas/deploy", program);
        const auto answered = [&] { return std::ranges::count_if(runs, &http_client::readable); };
        REQUIRE(eventually([&] { return answered() >= 2 * jobs && tells(client_, jobs_of_a + " 3"); }));
        CHECK(answered() == 2 * jobs);
        std::vector<http_client*> held;
        for (auto& one : runs) {
            if (one.readable())
                check(one.receive(), of_jobs);
            else
                held.push_back(&one);
        }
        check(from_a_.post(client_, "/execute", counting), of_jobs);
        check(from_a_.post(client_, "/compile", source), of_jobs);
        check(from_a_.post(client_, burns_ + "/execute", {}), of_jobs);
        int made = 0;
        for (auto& one : deploys_) made += is_made(one.receive(), of_deployments);
        // One that arrives while others are asked for counts twice for them.
        fill_up(made, deployments, "/faas/deploy", program, of_deployments);
        CHECK(from_a_.remove(client_, waits_) == 204);
        for (auto* const one : held) CHECK(one->receive().status == 404);
        CHECK(tells(client_, jobs_of_a + " 0"));
    }

    // As many connections with jobs as may run, until the day is over; and three times the sandboxes that find room.
    void use_up_day()
    {
        // A script burns the same whoever runs it.
        const auto burnt = client_.post("/execute", counting, b).json().at("usage").at("fuel").as_int64();
        const auto runs_of_day = static_cast<int>((fuel + burnt - 1) / burnt);
        REQUIRE(runs_of_day > 1);
        REQUIRE(runs_of_day < 50);
        const std::string used_fuel = "sandboxd_tenant_fuel_total{tenant=\"a\"}";
        auto first = in_background("/execute", counting, used_fuel);
        auto second = in_background("/execute", counting, used_fuel);
        auto programs = in_background(burns_ + "/execute", {}, "sandboxd_tenant_cpu_seconds_total{tenant=\"a\"}");
        race_for_room();
        const auto ran = check_day(first.get(), static_cast<double>(fuel), of_fuel) +
                         check_day(second.get(), static_cast<double>(fuel), of_fuel);
        // When one connection uses up the day, a job of the other may run.
        CHECK(ran >= runs_of_day);
        CHECK(ran <= runs_of_day + 1);
        CHECK(server_.metric(used_fuel, with_key("key-of-op")) == static_cast<double>(ran * burnt));
        check_day(programs.get(), 1, of_cpu);
        CHECK(tells(client_, jobs_of_a + " 0"));
    }

    // Each limit but the minute's is reached: all is refused at once, until the minute's is reached, too.
    void use_up_minute()
    {
        struct request {
            std::string path;
            json::object body;
            refusal expected;
        };
        const std::vector<request> everything{{"/execute", counting, of_fuel},
                                              {"/compile", source, of_cpu},
                                              {burns_ + "/execute", {}, of_cpu},
                                              {"/sandbox", node(small), of_bytes},
                                              {"/faas/deploy", program, of_deployments}};
        std::deque<http_client> all;
        for (std::size_t i = 0; i < 2 * everything.size(); ++i) all.emplace_back(server_);
        const auto what = [&](std::size_t i) -> const request& { return everything[i % everything.size()]; };
        int too_many = 0;
        for (std::ptrdiff_t late = 0; late < std::ssize(all);) {
            REQUIRE(from_a_.sent() < 20 * requests);
            for (std::size_t i = 0; i < all.size(); ++i) from_a_.start(all[i], what(i).path, what(i).body);
            late = 0;
            for (std::size_t i = 0; i < all.size(); ++i) {
                const auto answer = all[i].receive();
                const bool is_late = answer.body.find(of_requests.code) != std::string::npos;
                check(answer, is_late ? of_requests : what(i).expected);
                if (is_late) ++late;
            }
            too_many += static_cast<int>(late);
        }
        const auto spent = std::chrono::steady_clock::now() - began_;
        const auto minutes = std::chrono::floor<std::chrono::minutes>(spent).count() + 1;
        CHECK(from_a_.sent() - too_many <= requests * minutes);
        if (minutes == 1) CHECK(from_a_.sent() - too_many == requests);
    }

    // What is kept is what the lists say. Without it nothing is left that counts, but for the day.
    void clean_up()
    {
        const auto sandboxes_there = client_.get("/sandboxes", a).json().at("sandboxes").as_array();
        const auto deployments_there = client_.get("/faas/deployments", a).json().at("deployments").as_array();
        std::int64_t bytes = std::ssize(deployments_there) * std::ssize(served);
        for (const auto& one : sandboxes_there) bytes += one.at("bytes").as_int64();
        CHECK(deployments_there.size() == deployments);
        CHECK(sandboxes_there.size() == 1 + sandboxes);
        CHECK(bytes == kept);

        keys_.put(keys_with(limits(1'000'000)));
        server_.signal(SIGHUP);
        REQUIRE(eventually([&] { return tells(client_, "sandboxd_auth_reloads_total{result=\"ok\"} 1"); }));
        for (const auto& one : sandboxes_there)
            CHECK(from_a_.remove(client_, "/sandbox/" + std::string{one.at("id").as_string()}) == 204);
        for (const auto& one : deployments_there)
            CHECK(from_a_.remove(client_, "/faas/deployments/" + std::string{one.at("deployment_id").as_string()}) ==
                  204);
        const auto full = make(std::string(static_cast<std::size_t>(kept), ' '));
        check(from_a_.post(client_, "/sandbox", node(" ")), of_bytes);
        CHECK(from_a_.remove(client_, full) == 204);
        CHECK(from_a_.post(client_, "/faas/deploy", program).status == 200);
        check(from_a_.post(client_, "/execute", counting), of_fuel);
        check(from_a_.post(client_, "/compile", source), of_cpu);
        CHECK(tells(client_, jobs_of_a + " 0"));
    }

private:
    static constexpr int requests = 240;
    static constexpr int jobs = 3;
    static constexpr int deployments = 2;
    static constexpr int sandboxes = 3;
    static constexpr std::int64_t fuel = 20'000'000;
    const std::string jobs_of_a = "sandboxd_tenant_jobs{tenant=\"a\"}";
    const std::string busy = "while (process.cpuUsage().user < 4e5);";
    const std::string served = "require('http').createServer((q, r) => r.end('served')).listen(process.env.PORT)";
    const std::string small = std::string(40, ' ');
    const std::int64_t kept = std::ssize(busy) + deployments * std::ssize(served) + sandboxes * std::ssize(small);
    const json::object counting = script("let n = 0; for (let i = 0; i < 20000; ++i) n += i; n");
    const json::object source{{"code", "int main(void) { return 0; }"}};
    const json::object program{{"runtime", "node"}, {"code", served}};

    struct refusal {
        std::string code;
        std::string limit;
        std::string policy;
    };
    const refusal of_requests{"tenant_request_limit", "requestsPerMinute", "q=240;w=60"};
    const refusal of_jobs{"tenant_job_limit", "concurrentJobs", "q=3;qu=\"concurrent-requests\""};
    const refusal of_cpu{"tenant_cpu_limit", "cpuSecondsPerDay", "q=1;w=86400"};
    const refusal of_fuel{"tenant_fuel_limit", "fuelPerDay", "q=20000000;w=86400"};
    const refusal of_deployments{"tenant_deployment_limit", "deployments", "q=2"};
    const refusal of_bytes{"tenant_storage_limit", "keptBytes", "q=" + std::to_string(kept) + ";qu=\"content-bytes\""};

    std::string limits(int a_minute) const
    {
        return R"({"cpuSecondsPerDay": 1, "requestsPerMinute": )" + std::to_string(a_minute) +
               R"(, "concurrentJobs": )" + std::to_string(jobs) + R"(, "fuelPerDay": )" + std::to_string(fuel) +
               R"(, "deployments": )" + std::to_string(deployments) + R"(, "keptBytes": )" + std::to_string(kept) + "}";
    }

    static void check(const http_answer& answer, const refusal& expected)
    {
        check_refused(answer, expected.code, expected.limit, expected.policy);
    }
    static int is_made(const http_answer& answer, const refusal& otherwise)
    {
        if (answer.status == 200) return 1;
        check(answer, otherwise);
        return 0;
    }

    std::string make(const std::string& code)
    {
        const auto made = from_a_.post(client_, "/sandbox", node(code));
        if (made.status == 422) SKIP("there is no Node.js: " << made.body);
        REQUIRE(made.status == 200);
        return "/sandbox/" + std::string{made.json().at("id").as_string()};
    }

    // What is missing is made, one after the other, and not one more.
    void fill_up(int made, int most, std::string_view path, const json::object& body, const refusal& beyond)
    {
        CHECK(made <= most);
        for (; made < most; ++made) REQUIRE(from_a_.post(client_, path, body).status == 200);
        check(from_a_.post(client_, path, body), beyond);
    }

    std::future<std::vector<day_job>> in_background(std::string path, json::object body, std::string sample)
    {
        return std::async(std::launch::async, use_up, std::cref(server_), std::ref(from_a_), std::move(path),
                          std::move(body), std::move(sample));
    }

    void race_for_room()
    {
        std::deque<http_client> makers;
        for (int i = 0; i < 3 * sandboxes; ++i) from_a_.start(makers.emplace_back(server_), "/sandbox", node(small));
        for (auto& one : deploys_) from_a_.start(one, "/faas/deploy", program);
        int made = 0;
        for (auto& one : makers) made += is_made(one.receive(), of_bytes);
        for (auto& one : deploys_) check(one.receive(), of_deployments);
        fill_up(made, sandboxes, "/sandbox", node(small), of_bytes);
    }

    // Whether each ran as long as the day had something left, and none from then on. How many ran.
    static int check_day(const std::vector<day_job>& all, double most, const refusal& expected)
    {
        int ran = 0;
        for (const auto& one : all) {
            CAPTURE(one.before, one.after, most);
            if (one.answer.status == 200) {
                CHECK(one.before < most);
                ++ran;
            } else {
                check(one.answer, expected);
                CHECK(one.after >= most);
            }
        }
        CHECK(std::ssize(all) == ran + 3);
        return ran;
    }

    keys_file keys_{keys_with(limits(requests))};
    // No job ends by its time, however slow the machine is.
    server_process server_{
        {.config = std::string{no_toolchain} +
                   R"(, "js": {"timeoutMs": 60000, "maxTimeoutMs": 60000, "queueTimeoutSecs": 600})" +
                   R"(, "sandboxes": {"queueTimeoutSecs": 600}, )" + keys_.config(),
         .wait_ready = false}};
    http_client client_{server_};
    counted_requests from_a_;
    std::string waits_;  // sandboxes, by their paths
    std::string burns_;
    std::deque<http_client> deploys_;
    const std::chrono::steady_clock::time_point began_{std::chrono::steady_clock::now()};
};

}  // namespace

TEST_CASE("a key has a number of requests in a minute", "[tenants][limits]")
{
    const keys_file keys{keys_with(R"({"requestsPerMinute": 2})")};
    server_process server{{.config = std::string{no_toolchain} + ", " + keys.config(), .wait_ready = false}};
    http_client client{server};
    const auto ask = [&](const header_list& who) { return client.post("/compile", json::object{}, who); };
    for (int i = 0; i < 2; ++i) CHECK(ask(a).status == 400);
    check_refused(ask(a), "tenant_request_limit", "requestsPerMinute", "q=2;w=60");
    const auto agent = client.post("/mcp", json::object{}, a);
    CHECK(agent.status == 429);
    CHECK(agent.json().at("error").at("data").at("code").as_string() == "tenant_request_limit");
    CHECK(client.get("/runtimes", a).status == 200);
    for (int i = 0; i < 5; ++i) CHECK(ask(b).status == 400);
    // A key without the scope is told that first.
    CHECK(ask(with_key("key-of-op")).status == 403);
    CHECK(tells(client, "sandboxd_tenant_refused_total{tenant=\"a\",limit=\"requestsPerMinute\"} 2"));
}

TEST_CASE("a key has a number of jobs at once", "[tenants][limits]")
{
    const held_toolchain tools;
    const keys_file keys{keys_with(R"({"concurrentJobs": 1})")};
    server_process server{{.config = tools.config() + ", " + keys.config()}};
    const auto program = [](int salt) {
        return json::object{{"code", "int main(void) { return " + std::to_string(salt) + "; }"}};
    };
    tools.hold();
    http_client client{server};
    http_client first{server};
    first.start_post("/compile", program(1), a);
    REQUIRE(eventually([&] { return tells(client, "sandboxd_tenant_jobs{tenant=\"a\"} 1"); }));
    check_refused(client.post("/compile", program(2), a), "tenant_job_limit", "concurrentJobs",
                  "q=1;qu=\"concurrent-requests\"");
    http_client others{server};
    others.start_post("/compile", program(2), b);
    REQUIRE(eventually([&] { return tells(client, "sandboxd_tenant_jobs{tenant=\"b\"} 1"); }));
    tools.release();
    CHECK(first.receive().status == 200);
    CHECK(others.receive().status == 200);
    CHECK(client.post("/compile", program(2), a).status == 200);
    CHECK(tells(client, "sandboxd_tenant_jobs{tenant=\"a\"} 0"));
}

TEST_CASE("a job whose client leaves is over, and has used what it has used", "[tenants][limits]")
{
    const held_toolchain tools;
    const keys_file keys{keys_with(R"({"concurrentJobs": 1})")};
    server_process server{{.config = tools.config() + ", " + keys.config()}};
    tools.hold();
    http_client client{server};
    {
        http_client leaving{server};
        leaving.start_post("/compile", json::object{{"code", "int main(void) { return 1; }"}}, a);
        REQUIRE(eventually([&] { return tells(client, "sandboxd_jobs_running 1"); }));
    }
    CHECK(eventually([&] { return tells(client, "sandboxd_tenant_jobs{tenant=\"a\"} 0"); }));
    CHECK(eventually([&] { return !tells(client, "sandboxd_tenant_cpu_seconds_total{tenant=\"a\"} 0"); }));
    tools.release();
}

TEST_CASE("a key has processor seconds of a day", "[tenants][limits]")
{
    const keys_file keys{keys_with(R"({"cpuSecondsPerDay": 1})")};
    server_process server{{.config = keys.config()}};
    http_client client{server};
    const auto compile = [&](int salt, const header_list& who) {
        return client.post("/compile",
                           json::object{{"code", "int main(void) { return " + std::to_string(salt) + "; }"}}, who);
    };
    auto last = compile(0, a);
    CHECK(last.status == 200);
    // Each takes some time, however fast this machine is.
    for (int salt = 1; salt < 200 && last.status == 200; ++salt) last = compile(salt, a);
    check_refused(last, "tenant_cpu_limit", "cpuSecondsPerDay", "q=1;w=86400");
    CHECK(compile(0, b).status == 200);
    CHECK(compile(0, a).status == 429);  // also what is there already
}

TEST_CASE("a key has fuel of a day, also after a reload", "[tenants][limits][js]")
{
    const keys_file keys{keys_with(R"({"fuelPerDay": 1})")};
    server_process server{
        {.config = std::string{no_toolchain} + ", " + keys.config(), .wait_ready = false, .js = true}};
    http_client client{server};
    REQUIRE(eventually([&] { return client.get("/api/health").status == 200; }));
    const auto run = [&](const header_list& who) { return client.post("/execute", script("6 * 7"), who); };
    CHECK(run(a).status == 200);
    check_refused(run(a), "tenant_fuel_limit", "fuelPerDay", "q=1;w=86400");
    CHECK(client.post("/api/execute", json::object{{"code", "6 * 7"}}, a).status == 429);
    CHECK(run(b).status == 200);
    const auto tool =
        client.post("/mcp",
                    json::object{{"jsonrpc", "2.0"},
                                 {"id", 1},
                                 {"method", "tools/call"},
                                 {"params", json::object{{"name", "execute"}, {"arguments", script("6 * 7")}}}},
                    {{"Authorization", "Bearer key-of-a"}, {"Accept", "application/json, text/event-stream"}});
    CHECK(tool.body.find("\"result\":42") == std::string::npos);
    keys.put(keys_with(R"({"fuelPerDay": 1})"));
    server.signal(SIGHUP);
    REQUIRE(eventually([&] { return tells(client, "sandboxd_auth_reloads_total{result=\"ok\"} 1"); }));
    CHECK(run(a).status == 429);
    keys.put(keys_with("{}"));
    server.signal(SIGHUP);
    CHECK(eventually([&] { return run(a).status == 200; }));
}

TEST_CASE("a run that is broken off has used all that it might have", "[tenants][limits][js]")
{
    // More than any run that says what it has burnt.
    const keys_file keys{keys_with(R"({"fuelPerDay": 400000000})")};
    server_process server{
        {.config = std::string{no_toolchain} +
                   R"(, "js": {"timeoutMs": 60000, "maxTimeoutMs": 60000, "workers": 1, "reservedWorkers": 0}, )" +
                   keys.config(),
         .wait_ready = false}};
    http_client client{server};
    REQUIRE(eventually([&] { return client.get("/api/health").status == 200; }));
    CHECK(client.post("/execute", script("1"), a).status == 200);
    CHECK(client.post("/execute", script("1"), a).status == 200);
    {
        http_client leaving{server};
        leaving.start_post("/execute", json::object{{"script", "for (;;);"}, {"fuel", 20'000'000'000}}, a);
        REQUIRE(eventually([&] { return tells(client, "sandboxd_tenant_jobs{tenant=\"a\"} 1"); }));
        REQUIRE(eventually([&] { return tells(client, "sandboxd_js_workers_idle 0"); }));
    }
    REQUIRE(eventually([&] { return tells(client, "sandboxd_tenant_jobs{tenant=\"a\"} 0"); }));
    check_refused(client.post("/execute", script("1"), a), "tenant_fuel_limit", "fuelPerDay", "q=400000000;w=86400");
}

TEST_CASE("a key keeps a number of bytes", "[tenants][limits][sandboxes]")
{
    const keys_file keys{keys_with(R"({"keptBytes": 40})")};
    server_process server{{.config = std::string{no_toolchain} + ", " + keys.config(), .wait_ready = false}};
    http_client client{server};
    const auto make = [&](const std::string& code, const header_list& who) {
        return client.post("/sandbox", json::object{{"runtime", "node"}, {"code", code}}, who);
    };
    const std::string half(21, ' ');
    check_refused(make(half + half, a), "tenant_storage_limit", "keptBytes", "q=40;qu=\"content-bytes\"");
    check_refused(client.post("/faas/deploy", json::object{{"runtime", "node"}, {"code", half + half}}, a),
                  "tenant_storage_limit", "keptBytes", "q=40;qu=\"content-bytes\"");
    const auto first = make(half, a);
    if (first.status == 422) SKIP("there is no Node.js: " << first.body);
    REQUIRE(first.status == 200);
    CHECK(make(half, a).status == 429);
    CHECK(make(half + half, b).status == 200);
    const auto place = "/sandbox/" + std::string{first.json().at("id").as_string()};
    CHECK(client.request("DELETE", place, a).status == 204);
    CHECK(make(half, a).status == 200);
}

TEST_CASE("a key has a number of deployments, also after a restart", "[tenants][limits][faas]")
{
    const keys_file keys{keys_with(R"({"deployments": 1, "keptBytes": 200})")};
    const temporary_directory own;
    const server_options options{
        .config = std::string{no_toolchain} + ", " + keys.config(), .working_dir = own.path(), .wait_ready = false};
    constexpr const char* program = "require('http').createServer((q, r) => r.end('served')).listen(process.env.PORT)";
    const auto deploy = [&](http_client& client, const header_list& who) {
        return client.post("/faas/deploy", json::object{{"runtime", "node"}, {"code", program}}, who);
    };
    std::string id;
    {
        server_process server{options};
        http_client client{server};
        const auto made = deploy(client, a);
        if (made.status == 422) SKIP("there is no Node.js: " << made.body);
        REQUIRE(made.status == 200);
        id = made.json().at("deployment_id").as_string();
        check_refused(deploy(client, a), "tenant_deployment_limit", "deployments", "q=1");
        CHECK(deploy(client, b).status == 200);
        CHECK(server.stop().code == 0);
    }
    server_process server{options};
    http_client client{server};
    check_refused(deploy(client, a), "tenant_deployment_limit", "deployments", "q=1");
    auto fields = a;
    fields.emplace_back("Content-Type", "application/json");
    const auto add = [&](std::size_t bytes) {
        const auto body = R"({"files": [{"path": "a.txt", "content": ")" + std::string(bytes, 'x') + "\"}]}";
        return client.request("PUT", "/faas/deployments/" + id + "/files", fields, body);
    };
    check_refused(add(200), "tenant_storage_limit", "keptBytes", "q=200;qu=\"content-bytes\"");
    CHECK(add(80).status == 200);
    CHECK(add(80).status == 429);
    CHECK(client.request("DELETE", "/faas/deployments/" + id, a).status == 204);
    CHECK(deploy(client, a).status == 200);
}

TEST_CASE("all limits of a key hold at once, and are nobody else's", "[tenants][limits][sandboxes][faas][js]")
{
    all_limits place;
    place.make_sandboxes();
    single_jobs others{place.server()};
    place.race_for_places();
    place.use_up_day();
    place.use_up_minute();
    others.end();
    CAPTURE(others.failed());
    CHECK(others.failed().empty());
    CHECK(others.count() > 0);
    place.clean_up();
}
