#include "tenants/account.hpp"

#include "tenants/tenant.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <limits>
#include <memory>
#include <set>
#include <string>

using namespace sandboxd;
using namespace sandboxd::tenants;
using namespace std::chrono_literals;

namespace {

using std::chrono::sys_days;

constexpr account::utc_time noon = sys_days{std::chrono::year{2026} / 11 / 29} + 12h;
constexpr account::steady_time start{};

struct table {
    metrics::registry registry;
    std::shared_ptr<meters> counted = std::make_shared<meters>(registry, "tenant=\"a\"");
    std::shared_ptr<account> his = std::make_shared<account>(counted);

    void limit_to(limit one, std::int64_t most)
    {
        limit_set limits;
        limits.set(one, most);
        his->set_limits(limits);
    }
    bool tells(const std::string& sample) const { return registry.expose().find(sample + "\n") != std::string::npos; }
};

}  // namespace

TEST_CASE("without limits nothing is refused", "[tenants]")
{
    table t;
    for (int i = 0; i < 1000; ++i) CHECK_FALSE(t.his->take_request(start));
    t.his->spend_cpu(1000h, noon);
    t.his->spend_fuel(most_of(limit::fuel_per_day), noon);
    CHECK_FALSE(t.his->refuse(work::processor, noon));
    CHECK_FALSE(t.his->refuse(work::script, noon));
    CHECK_FALSE(t.his->refuse({.deployments = 1000, .bytes = 1}, {.deployments = 1, .bytes = 1 << 30}));
    CHECK(t.registry.expose().find("sandboxd_tenant_refused_total") == std::string::npos);
}

TEST_CASE("a minute of requests begins with the first", "[tenants]")
{
    table t;
    t.limit_to(limit::requests_per_minute, 2);
    CHECK_FALSE(t.his->take_request(start));
    CHECK_FALSE(t.his->take_request(start + 30s));
    const auto over = t.his->take_request(start + 59'500ms);
    REQUIRE(over);
    CHECK(over->by == limit::requests_per_minute);
    CHECK(over->most == 2);
    CHECK(over->window == 60s);
    CHECK(over->wait == 1s);
    CHECK_FALSE(t.his->take_request(start + 60s));
    CHECK_FALSE(t.his->take_request(start + 61s));
    CHECK(t.his->take_request(start + 62s));
    CHECK(t.tells("sandboxd_tenant_refused_total{tenant=\"a\",limit=\"requestsPerMinute\"} 2"));
}

TEST_CASE("a job counts from its start to its end", "[tenants]")
{
    table t;
    t.limit_to(limit::concurrent_jobs, 2);
    {
        const account::job first{t.his};
        CHECK_FALSE(t.his->refuse(work::script, noon));
        const account::job second{t.his};
        const auto over = t.his->refuse(work::processor, noon);
        REQUIRE(over);
        CHECK(over->by == limit::concurrent_jobs);
        CHECK_FALSE(over->window);
        CHECK_FALSE(over->wait);
        CHECK(t.tells("sandboxd_tenant_jobs{tenant=\"a\"} 2"));
        CHECK_FALSE(t.his->is_idle(noon));
    }
    CHECK_FALSE(t.his->refuse(work::processor, noon));
    CHECK(t.tells("sandboxd_tenant_jobs{tenant=\"a\"} 0"));
    CHECK(t.his->is_idle(noon));
    const account::job nobodys{nullptr};
}

TEST_CASE("processor time and fuel are those of a UTC day", "[tenants]")
{
    table t;
    limit_set limits;
    limits.set(limit::cpu_seconds_per_day, 10);
    limits.set(limit::fuel_per_day, 100);
    t.his->set_limits(limits);
    t.his->spend_cpu(9'999'999us, noon);
    CHECK_FALSE(t.his->refuse(work::processor, noon));
    // One that began before the limit was reached runs to its end.
    t.his->spend_cpu(30s, noon);
    const auto over = t.his->refuse(work::processor, noon);
    REQUIRE(over);
    CHECK(over->by == limit::cpu_seconds_per_day);
    CHECK(over->window == 86'400s);
    CHECK(over->wait == 12h);
    CHECK_FALSE(t.his->refuse(work::script, noon));
    t.his->spend_fuel(-5, noon);
    t.his->spend_fuel(100, noon);
    CHECK(t.his->refuse(work::script, noon)->by == limit::fuel_per_day);
    CHECK(t.his->refuse(work::script, noon + 12h - 1us)->wait == 1s);
    CHECK_FALSE(t.his->is_idle(noon));

    CHECK_FALSE(t.his->refuse(work::processor, noon + 12h));
    CHECK_FALSE(t.his->refuse(work::script, noon + 12h));
    CHECK(t.his->is_idle(noon + 12h));
    t.his->spend_cpu(10s, noon + 12h);
    CHECK(t.his->refuse(work::processor, noon + 12h));
    CHECK(t.tells("sandboxd_tenant_cpu_seconds_total{tenant=\"a\"} 49.999999"));
    CHECK(t.tells("sandboxd_tenant_fuel_total{tenant=\"a\"} 100"));
}

TEST_CASE("more fuel than there is does not wrap", "[tenants]")
{
    table t;
    t.limit_to(limit::fuel_per_day, most_of(limit::fuel_per_day));
    for (int i = 0; i < 20; ++i) t.his->spend_fuel(std::numeric_limits<std::int64_t>::max(), noon);
    CHECK(t.his->refuse(work::script, noon));
}

TEST_CASE("what is on its way counts as kept until it is there", "[tenants]")
{
    table t;
    limit_set limits;
    limits.set(limit::deployments, 2);
    limits.set(limit::kept_bytes, 100);
    t.his->set_limits(limits);
    const keeping one{.deployments = 1, .bytes = 40};
    CHECK_FALSE(t.his->refuse({}, one));
    account::coming first{t.his, one};
    account::coming second{t.his, one};
    const auto both = t.his->on_its_way();
    CHECK(both == keeping{.deployments = 2, .bytes = 80});
    CHECK(t.his->refuse(both, {.deployments = 1, .bytes = 1})->by == limit::deployments);
    CHECK_FALSE(t.his->refuse(both, {.bytes = 20}));
    CHECK(t.his->refuse(both, {.bytes = 21})->by == limit::kept_bytes);
    CHECK_FALSE(t.his->refuse({.bytes = 1000}, {}));  // what makes nothing more
    first.arrived();
    first.arrived();
    CHECK(t.his->on_its_way() == one);
    // Who has looked before it arrived, and sees nothing of it in what is there, counts it all the same.
    CHECK_FALSE(t.his->refuse(both, {.bytes = 20}));
    CHECK(t.his->refuse(both, {.bytes = 21}));
    CHECK(t.his->refuse(both, {.deployments = 1}));
    second.arrived();
    CHECK(t.his->on_its_way() == keeping{});
    CHECK(t.his->refuse(both, {.bytes = 21}));
    CHECK_FALSE(t.his->refuse(one, one));
    CHECK(t.his->is_idle(noon));
}

TEST_CASE("a tenant counts as a client that no address is", "[tenants]")
{
    std::set<client_key> seen;
    for (const std::string name : {"a", "b", "A", "a.", "ci"}) {
        const auto made = client_of_tenant(name);
        CHECK(made == client_of_tenant(name));
        CHECK(made.front() == 0xff);
        CHECK(seen.insert(made).second);
    }
}

TEST_CASE("what other servers count counts, too", "[tenants]")
{
    table t;
    limit_set limits;
    limits.set(limit::requests_per_minute, 2);
    limits.set(limit::concurrent_jobs, 2);
    limits.set(limit::cpu_seconds_per_day, 10);
    limits.set(limit::fuel_per_day, 100);
    t.his->set_limits(limits);
    CHECK_FALSE(t.his->take_counted({.requests = 2, .left = 30s}, start));
    CHECK_FALSE(t.his->refuse_request(start));
    const auto over = t.his->take_counted({.requests = 3, .left = 29'001ms}, start);
    REQUIRE(over);
    CHECK(over->by == limit::requests_per_minute);
    CHECK(over->wait == 30s);
    CHECK(t.his->take_counted({.requests = 3, .left = 0ms}, start - 1h)->wait == 1s);
    // Until that minute is over, nobody needs to be asked; unless the limits are others.
    CHECK_FALSE(t.his->refuse_request(start));
    CHECK(t.his->take_counted({.requests = 3, .left = 29'001ms}, start));
    CHECK(t.his->refuse_request(start + 29s)->wait == 1s);
    CHECK_FALSE(t.his->refuse_request(start + 29'001ms));
    t.his->set_limits(limits);
    CHECK(t.his->refuse_request(start));
    limits.set(limit::requests_per_minute, 3);
    t.his->set_limits(limits);
    CHECK_FALSE(t.his->refuse_request(start));
    // What has been counted there counts here, should nobody answer any more.
    CHECK_FALSE(t.his->take_counted({.requests = 3, .left = 30s}, start));
    CHECK_FALSE(t.his->take_request(start));
    CHECK(t.his->take_request(start)->by == limit::requests_per_minute);

    const account::job mine{t.his};
    CHECK_FALSE(t.his->refuse_counted(work::processor, noon, {.jobs = 1}));
    CHECK(t.his->refuse_counted(work::processor, noon, {.jobs = 2})->by == limit::concurrent_jobs);
    t.his->spend_cpu(4s, noon);
    t.his->spend_fuel(40, noon);
    CHECK_FALSE(t.his->refuse_counted(work::processor, noon, {.cpu = 5'999'999us}));
    CHECK(t.his->refuse_counted(work::processor, noon, {.cpu = 6s})->by == limit::cpu_seconds_per_day);
    CHECK_FALSE(t.his->refuse_counted(work::script, noon, {.cpu = 6s, .fuel = 59}));
    CHECK(t.his->refuse_counted(work::script, noon, {.fuel = 60})->by == limit::fuel_per_day);
    // The most that Redis says.
    CHECK(t.his->refuse_counted(work::script, noon, {.fuel = 4'000'000'000'000'000'000})->by == limit::fuel_per_day);
}

TEST_CASE("whoever counts for all servers is told what counts here, and when that changes", "[tenants]")
{
    table t;
    t.limit_to(limit::concurrent_jobs, 2);
    CHECK(t.his->is_bounded(work::script));
    CHECK(t.his->is_bounded(work::processor));
    t.limit_to(limit::fuel_per_day, 2);
    CHECK(t.his->is_bounded(work::script));
    CHECK_FALSE(t.his->is_bounded(work::processor));
    int told = 0;
    t.his->on_change([&] { ++told; });
    {
        account::job mine{t.his};
        account::coming kept{t.his, {.deployments = 1, .bytes = 40}};
        CHECK(told == 0);
        CHECK(t.his->here(noon) == usage{.jobs = 1, .coming = {.deployments = 1, .bytes = 40}});
        t.his->spend_cpu(1s, noon);
        t.his->spend_fuel(2, noon);
        CHECK(told == 2);
        kept.arrived();
        CHECK(told == 3);
        const account::job same{std::move(mine)};
        CHECK(t.his->here(noon) == usage{.jobs = 1, .cpu = 1s, .fuel = 2});
    }
    CHECK(told == 4);
    CHECK(t.his->here(noon + 12h) == usage{});
    t.his->on_change({});
    t.his->spend_cpu(1s, noon);
    CHECK(told == 4);
}
