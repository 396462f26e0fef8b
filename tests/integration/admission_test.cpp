// The gate before the compiler: memory of a control group, the queue and its limits. The control group is a
// directory with the two files that count, so the test plays the kernel.
#include "support/eventually.hpp"
#include "support/held_toolchain.hpp"
#include "support/http_client.hpp"
#include "support/server_process.hpp"
#include "support/temporary_directory.hpp"

#include <boost/json/object.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

using namespace sandboxd::test;
namespace json = boost::json;
namespace fs = std::filesystem;

namespace {

json::object program(int salt) { return {{"code", "int main(void) { return " + std::to_string(salt) + "; }\n"}}; }

std::string code_of(const http_answer& answer) { return std::string{answer.json().at("code").as_string()}; }

double queue_ms(const http_answer& answer) { return answer.json().at("timings").at("queueMs").to_number<double>(); }

class fake_cgroup {
public:
    explicit fake_cgroup(std::string max_mb, int current_mb)
    {
        put("memory.max", max_mb == "max" ? max_mb : max_mb + "000000");
        current(current_mb);
    }
    void current(int megabytes) const { put("memory.current", std::to_string(megabytes) + "000000"); }
    std::string config() const
    {
        return R"("enableResourceGating": true, "jobMemoryEstimateMB": 100, "cgroupV2Root": ")" + own_.path().native() +
               "\"";
    }
    fs::path path() const { return own_.path(); }

private:
    // Atomically, as the kernel does.
    void put(const std::string& name, const std::string& text) const
    {
        std::ofstream{own_ / (name + ".new")} << text << "\n";
        fs::rename(own_ / (name + ".new"), own_ / name);
    }
    temporary_directory own_;
};

bool queued(const server_process& server, int jobs)
{
    return eventually([&] { return server.metric("sandboxd_jobs_queued") == jobs; });
}

std::size_t count(const std::string& text, const std::string& part)
{
    std::size_t found = 0;
    for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
    return found;
}

}  // namespace

TEST_CASE("jobs wait for memory, first come, first served", "[admission]")
{
    const fake_cgroup group{"1000", 0};
    server_process server{{.config = group.config()}};
    group.current(990);

    std::vector<std::unique_ptr<http_client>> clients;
    for (int i = 0; i < 3; ++i) {
        clients.push_back(std::make_unique<http_client>(server));
        clients.back()->start_post("/compile", program(i));
        REQUIRE(queued(server, i + 1));
    }
    CHECK(server.metric("sandboxd_memory_current_bytes") == 990e6);
    CHECK(server.metric("sandboxd_memory_max_bytes") == 1000e6);
    CHECK(server.metric("sandboxd_memory_reserved_bytes") == 0);
    CHECK(server.job_directories().empty());
    http_client other{server};
    CHECK(other.get("/healthz").body == "ok");

    // Somebody in the middle gives up, and leaves the queue.
    clients[1].reset();
    CHECK(queued(server, 2));

    // Room for one at a time: the order is theirs.
    group.current(850);
    const auto first = clients[0]->receive();
    CHECK(first.status == 200);
    CHECK(queue_ms(first) > 0);
    const auto last = clients[2]->receive();
    CHECK(last.status == 200);
    CHECK(queue_ms(last) > queue_ms(first));
    CHECK(server.metric("sandboxd_memory_reserved_bytes") == 0);
    CHECK(server.clean());
    CHECK(server.stop().code == 0);
    CHECK(server.log().find("status=499") != std::string::npos);
}

TEST_CASE("reservations count before the memory is used", "[admission]")
{
    const held_toolchain tools;
    const fake_cgroup group{"1000", 0};
    server_process server{{.config = group.config() + ", \"maxConcurrentJobs\": 10, " + tools.config()}};
    group.current(750);  // room for two of 100 MiB
    tools.hold();
    std::vector<std::unique_ptr<http_client>> clients;
    for (int i = 0; i < 4; ++i) {
        clients.push_back(std::make_unique<http_client>(server));
        clients.back()->start_post("/compile", program(i));
    }
    CHECK(queued(server, 2));
    CHECK(server.metric("sandboxd_jobs_running") == 2);
    CHECK(server.metric("sandboxd_memory_reserved_bytes") == 2 * 100 * 1024 * 1024);
    tools.release();
    for (auto& client : clients) CHECK(client->receive().status == 200);
    CHECK(server.metric("sandboxd_memory_reserved_bytes") == 0);
}

TEST_CASE("the queue has an end, in length and in time", "[admission]")
{
    const fake_cgroup group{"1000", 0};
    server_process server{{.config = group.config() + R"(, "maxQueuedJobs": 2, "queueTimeoutSecs": 1)"}};
    group.current(1000);
    http_client first{server};
    http_client second{server};
    http_client third{server};
    first.start_post("/compile", program(1));
    REQUIRE(queued(server, 1));
    second.start_post("/compile", program(2));
    // The first may have timed out before the third comes: ask until it is refused for the length.
    const bool refused = eventually([&] {
        const auto full = third.post("/compile", program(3));
        CHECK(full.status == 503);
        CHECK(full.field("retry-after") == "1");
        if (code_of(full) == "queue_full") return true;
        CHECK(code_of(full) == "queue_timeout");
        first.start_post("/compile", program(1));
        second.start_post("/compile", program(2));
        return false;
    });
    CHECK(refused);
    for (auto* waiting : {&first, &second}) {
        const auto late = waiting->receive();
        CHECK(late.status == 503);
        CHECK(code_of(late) == "queue_timeout");
        CHECK(late.field("retry-after") == "1");
    }
    CHECK(server.metric("sandboxd_jobs_refused_total{cause=\"queue_full\"}") >= 1);
    CHECK(server.metric("sandboxd_jobs_refused_total{cause=\"queue_timeout\"}") >= 2);
    CHECK(queued(server, 0));
    group.current(0);
    CHECK(third.post("/compile", program(3)).status == 200);
    CHECK(server.clean());
}

TEST_CASE("one client's slow compiles keep nobody else out", "[admission]")
{
    const held_toolchain tools;
    server_process server{{.config = R"("maxConcurrentJobs": 2, "maxQueuedJobs": 3, "queueTimeoutSecs": 600, )"
                                     R"("compileTimeoutSecs": 600, "proxy": {"trustForwarded": true}, )" +
                                     tools.config()}};
    tools.hold();
    const header_list many{{"X-Forwarded-For", "192.0.2.1"}};
    const auto running = [&] { return server.metric("sandboxd_jobs_running"); };
    std::vector<std::unique_ptr<http_client>> clients;
    for (int i = 0; i < 5; ++i) {
        clients.push_back(std::make_unique<http_client>(server));
        clients.back()->start_post("/compile", program(i), many);
        REQUIRE(eventually([&] { return running() + server.metric("sandboxd_jobs_queued") == i + 1; }));
    }
    CHECK(running() == 2);
    http_client same{server};
    const auto full = same.post("/compile", program(5), many);
    CHECK(full.status == 503);
    CHECK(code_of(full) == "queue_full");

    // Another client: the reserved job starts; its next one gets a place in the line.
    const header_list few{{"X-Forwarded-For", "192.0.2.2"}};
    http_client others[] = {http_client{server}, http_client{server}};
    others[0].start_post("/compile", program(6), few);
    CHECK(eventually([&] { return running() == 3; }));
    others[1].start_post("/compile", program(7), few);
    const auto gave_way = clients[4]->receive();
    CHECK(gave_way.status == 503);
    CHECK(code_of(gave_way) == "queue_full");
    CHECK(queued(server, 3));
    CHECK(server.metric("sandboxd_jobs_refused_total{cause=\"queue_full\"}") == 2);

    tools.release();
    for (auto& one : others) CHECK(one.receive().status == 200);
    for (std::size_t i = 0; i < 4; ++i) CHECK(clients[i]->receive().status == 200);
    CHECK(server.clean());
}

TEST_CASE("gating without a limit or without files is off, and says so once", "[admission]")
{
    const temporary_directory nothing;
    const fake_cgroup unlimited{"max", 5};
    const fake_cgroup unreadable{"1000", 5};
    fs::remove(unreadable.path() / "memory.current");
    for (const auto& config : {unlimited.config(), unreadable.config(),
                               R"("enableResourceGating": true, "cgroupV2Root": "no/such/place")" + std::string{}}) {
        INFO(config);
        server_process server{{.config = config}};
        http_client client{server};
        CHECK(client.post("/compile", program(1)).status == 200);
        CHECK(client.post("/compile", program(2)).status == 200);
        CHECK(server.stop().code == 0);
        CHECK(count(server.log(), "memory gating is off") == 1);
    }
}

TEST_CASE("a compile that several clients ask for is in line for each of them", "[admission]")
{
    const held_toolchain tools;
    server_process server{{.config = R"("maxConcurrentJobs": 1, "reservedJobs": 0, "maxQueuedJobs": 3, )"
                                     R"("queueTimeoutSecs": 600, "compileTimeoutSecs": 600, )"
                                     R"("proxy": {"trustForwarded": true}, )" +
                                     tools.config()}};
    tools.hold();
    const header_list many{{"X-Forwarded-For", "192.0.2.1"}};
    std::vector<std::unique_ptr<http_client>> clients;
    for (int i = 0; i < 4; ++i) {
        clients.push_back(std::make_unique<http_client>(server));
        clients.back()->start_post("/compile", program(i), many);
        REQUIRE(eventually(
            [&] { return server.metric("sandboxd_jobs_running") + server.metric("sandboxd_jobs_queued") == i + 1; }));
    }
    http_client joined{server};
    joined.start_post("/compile", program(3), {{"X-Forwarded-For", "192.0.2.2"}});
    REQUIRE(eventually([&] { return server.metric("sandboxd_cache_requests_total{from=\"flight\"}") == 1; }));

    // The line is full: the newest that is of the first client alone gives way. That one may also go.
    http_client third{server};
    third.start_post("/compile", program(4), {{"X-Forwarded-For", "192.0.2.3"}});
    const auto gave_way = clients[2]->receive();
    CHECK(gave_way.status == 503);
    CHECK(code_of(gave_way) == "queue_full");
    clients[3].reset();
    REQUIRE(eventually([&] { return server.log().find("status=499") != std::string::npos; }));
    CHECK(queued(server, 3));

    tools.release();
    const auto first = joined.receive();
    CHECK(first.status == 200);
    CHECK(third.receive().status == 200);
    CHECK(clients[0]->receive().status == 200);
    const auto last = clients[1]->receive();
    CHECK(last.status == 200);
    CHECK(queue_ms(last) > queue_ms(first));  // it came earlier and began later
    CHECK(server.metric("sandboxd_jobs_running") == 0);
    CHECK(server.clean());
}
