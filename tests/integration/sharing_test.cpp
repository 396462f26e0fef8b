// Identical requests in flight share one compile; clients that leave take their job with them, unless somebody
// else still waits for it.
#include "support/eventually.hpp"
#include "support/held_toolchain.hpp"
#include "support/http_client.hpp"
#include "support/server_process.hpp"

#include <boost/json/object.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <memory>
#include <string>
#include <vector>

using namespace sandboxd::test;
namespace json = boost::json;

namespace {

json::object program(int salt) { return {{"code", "int main(void) { return " + std::to_string(salt) + "; }\n"}}; }

bool running(const server_process& server, int jobs)
{
    return eventually([&] { return server.metric("sandboxd_jobs_running") == jobs; });
}

bool in_jail(const server_process& server)
{
    return eventually([&] { return !server.job_processes().empty() && server.job_directories().size() == 1; });
}

}  // namespace

TEST_CASE("identical requests in flight share one compile", "[sharing]")
{
    const held_toolchain tools;
    server_process server{{.config = tools.config()}};
    const auto before = server.metric("sandboxd_compile_seconds_count");
    tools.hold();
    std::vector<std::unique_ptr<http_client>> clients;
    for (int i = 0; i < 5; ++i) {
        clients.push_back(std::make_unique<http_client>(server));
        clients.back()->start_post("/compile", program(1));
    }
    REQUIRE(eventually([&] { return server.metric("sandboxd_cache_requests_total{from=\"flight\"}") == 4; }));
    CHECK(server.metric("sandboxd_cache_requests_total{from=\"compiler\"}") == 1);
    CHECK(running(server, 1));
    CHECK(server.job_directories().size() == 1);

    // One that is forced shares with nobody.
    http_client forced{server};
    auto own = program(1);
    own["cache"] = false;
    forced.start_post("/compile", own);
    CHECK(running(server, 2));

    tools.release();
    std::string id;
    for (auto& client : clients) {
        const auto answer = client->receive();
        CHECK(answer.status == 200);
        CHECK_FALSE(answer.json().at("cached").as_bool());
        const std::string mine{answer.json().at("id").as_string()};
        CHECK((id.empty() || id == mine));
        id = mine;
    }
    CHECK(forced.receive().status == 200);
    CHECK(server.metric("sandboxd_compile_seconds_count") == before + 2);
    CHECK(server.clean());
}

TEST_CASE("a client that leaves takes its job with it", "[sharing]")
{
    const held_toolchain tools;
    server_process server{{.config = tools.config()}};
    tools.hold();
    {
        http_client client{server};
        client.start_post("/compile", program(1));
        REQUIRE(in_jail(server));
    }
    // Nothing else ends it: the door stays shut.
    CHECK(server.clean());
    CHECK(running(server, 0));
    CHECK(server.metric("sandboxd_jail_kills_total{cause=\"disconnected\"}") == 1);
    CHECK(server.logs("status=499"));

    // A reset instead of a clean end, and a half-close, which is taken for leaving as well.
    http_client half{server};
    half.start_post("/compile", program(2));
    REQUIRE(in_jail(server));
    half.shutdown_send();
    CHECK(server.clean());

    tools.release();
    http_client next{server};
    CHECK(next.post("/compile", program(1)).status == 200);
    CHECK(server.stop().code == 0);
}

TEST_CASE("a shared job outlives those who leave, down to the last", "[sharing]")
{
    const held_toolchain tools;
    server_process server{{.config = tools.config()}};
    tools.hold();
    auto first = std::make_unique<http_client>(server);
    first->start_post("/compile", program(1));
    REQUIRE(in_jail(server));
    http_client second{server};
    second.start_post("/compile", program(1));
    REQUIRE(eventually([&] { return server.metric("sandboxd_cache_requests_total{from=\"flight\"}") == 1; }));

    first.reset();
    CHECK(server.logs("status=499"));
    CHECK(server.metric("sandboxd_jobs_running") == 1);
    CHECK_FALSE(server.job_processes().empty());
    tools.release();
    CHECK(second.receive().status == 200);

    tools.hold();
    {
        http_client third{server};
        http_client fourth{server};
        third.start_post("/compile", program(2));
        fourth.start_post("/compile", program(2));
        REQUIRE(eventually([&] { return server.metric("sandboxd_cache_requests_total{from=\"flight\"}") == 2; }));
        REQUIRE(in_jail(server));
    }
    CHECK(server.clean());
    CHECK(server.metric("sandboxd_jail_kills_total{cause=\"disconnected\"}") == 1);
}
