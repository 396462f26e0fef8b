// The service and its pool, on a loop, with real workers in real jails.
#include "js/service.hpp"

#include "support/comes_true.hpp"
#include "support/on_loop.hpp"
#include "support/proc.hpp"
#include "support/temporary_directory.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace asio = boost::asio;
using namespace sandboxd;
using namespace std::chrono_literals;
using script::run_status;

namespace {

struct house {
    explicit house(asio::any_io_executor its_executor, std::unique_ptr<jail::jail> its_wall,
                   js::service_settings settings)
        : executor{its_executor},
          tasks{its_executor},
          wall{std::move(its_wall)},
          service{executor, tasks, *wall, std::move(settings), counted}
    {
    }
    asio::any_io_executor executor;
    async::task_group tasks;
    std::unique_ptr<jail::jail> wall;
    metrics::registry counted;
    js::service service;
};

js::service_settings settings_for_tests()
{
    js::service_settings settings;
    settings.pool.executable = SANDBOXD_JS_BINARY;
    settings.pool.workers = 2;
    settings.pool.patience = 300ms;
    settings.pool.queue_timeout = 10min;  // how fast this machine starts workers is not what is tested
    settings.most.wall = 10s;
    settings.most.fuel = std::int64_t{1} << 60;
    settings.most.init_fuel = settings.most.fuel;
    settings.most.memory_bytes = 256 << 20;
    return settings;
}

jail::jail_settings settings_of(const std::string& kind)
{
    jail::jail_settings wanted;
    wanted.kind = kind;
    wanted.init_path = SANDBOXD_INIT;
    // nsjail's jails have files there.
    static const test::temporary_directory files;
    wanted.containers_directory = files.path();
    if (const char* path = std::getenv("SANDBOXD_TEST_NSJAIL")) wanted.nsjail_path = path;
    return wanted;
}

js::service_request script(std::string text)
{
    js::service_request request;
    request.run.script = std::move(text);
    return request;
}

using body = std::function<asio::awaitable<void>(house&)>;

asio::awaitable<bool> in_house(std::string kind, js::service_settings settings, body what)
{
    const auto executor = co_await asio::this_coro::executor;
    auto wall = co_await jail::choose(settings_of(kind));
    if (!wall) co_return false;
    house all{executor, std::move(*wall), std::move(settings)};
    all.service.start();
    const auto ready = co_await all.service.ready(20s);
    INFO((ready ? std::string{} : ready.error().message));
    CHECK(ready.has_value());
    if (ready) co_await what(all);
    all.service.close();
    co_await all.tasks.wait_empty();
    co_return true;
}

bool with_house(const std::string& kind, js::service_settings settings, body what)
{
    process::prepare_this_process();
    return test::on_loop(in_house(kind, std::move(settings), std::move(what)));
}

asio::awaitable<void> run_many(house& h)
{
    for (int i = 0; i < 50; ++i) {
        async::stop_source stop;
        const auto answer = co_await h.service.run(script("1+" + std::to_string(i)), stop);
        REQUIRE(answer.has_value());
        CHECK(answer->result == std::to_string(i + 1));
    }
}

asio::awaitable<void> one_of_many(house& h, int i, int& done)
{
    async::stop_source stop;
    const auto answer = co_await h.service.run(
        script("let s = 0; for (let k = 0; k < 1e4; k++) s += k; [s, " + std::to_string(i) + "]"), stop);
    CHECK(answer.has_value());
    if (answer) CHECK(answer->result == "[49995000," + std::to_string(i) + "]");
    ++done;
}

asio::awaitable<void> run_at_once(house& h)
{
    int done = 0;
    for (int i = 0; i < 200; ++i) h.tasks.spawn("one", one_of_many(h, i, done));
    while (done < 200) {
        asio::steady_timer soon{h.executor, 1ms};
        co_await soon.async_wait(asio::as_tuple(asio::use_awaitable));
    }
}

asio::awaitable<void> count_ends(house& h, int& fine, int& full)
{
    async::stop_source stop;
    const auto answer = co_await h.service.run(script("for (let k = 0; k < 1e5; k++);"), stop);
    if (answer)
        ++fine;
    else if (answer.error().code == errc::queue_full)
        ++full;
}

asio::awaitable<void> reuse_sandboxes(house& h)
{
    const auto call = [&h](std::string id, std::string init, std::string text) -> asio::awaitable<std::string> {
        js::service_request request = script(std::move(text));
        request.sandbox_id = std::move(id);
        request.run.init_script = std::move(init);
        async::stop_source stop;
        const auto answer = co_await h.service.run(std::move(request), stop);
        if (!answer) co_return answer.error().message;
        co_return answer->status == run_status::ok ? answer->result : std::string{name(answer->status)};
    };
    const std::string init = "globalThis.n = 0";
    CHECK(co_await call("a", init, "++n") == "1");
    CHECK(co_await call("a", init, "++n") == "2");
    CHECK(co_await call("b", init, "++n") == "1");
    CHECK(co_await call("a", init, "throw 1") == "runtime_error");
    CHECK(co_await call("a", init, "++n") == "3");
    CHECK(co_await call("a", init + ";1", "++n") == "1");
    CHECK(co_await call("a", init, "++n") == "1");
    CHECK(co_await call("a", init, "for (;;);") == "out_of_fuel");
    CHECK(co_await call("a", init, "++n") == "1");
    CHECK(co_await call("c", "globalThis.secret = 'canary'", "1") == "1");
    CHECK(co_await call("d", "", "typeof secret") == "\"undefined\"");
}

asio::awaitable<void> cancel_by(async::stop_source& stop, asio::any_io_executor executor,
                                std::chrono::milliseconds after)
{
    asio::steady_timer soon{executor, after};
    co_await soon.async_wait(asio::as_tuple(asio::use_awaitable));
    stop.request(errc::disconnected);
}

asio::awaitable<void> lose_clients(house& h)
{
    for (int i = 0; i < 4; ++i) {
        js::service_request request = script("for (;;);");
        request.run.limits.fuel = std::int64_t{1} << 60;
        request.run.limits.wall = 300s;
        async::stop_source stop;
        h.tasks.spawn("cancel", cancel_by(stop, h.executor, 50ms));
        const auto answer = co_await h.service.run(std::move(request), stop);
        REQUIRE_FALSE(answer.has_value());
        CHECK(answer.error().code == errc::disconnected);
    }
    co_await run_many(h);
}

// The state of the one worker below this process, and how long it has run, in clock ticks: "S 12" is one that waits.
std::string state_of_worker()
{
    constexpr std::string_view name = "(sandboxd-js) ";
    for (const auto pid : test::family_of(::getpid())) {
        const auto stat = test::text_of("/proc/" + std::to_string(pid) + "/stat");
        const auto at = stat.find(name);
        if (at == std::string::npos) continue;
        // proc_pid_stat(5): the state is field 3, utime field 14.
        std::istringstream fields{stat.substr(at + name.size())};
        std::vector<std::string> words{std::istream_iterator<std::string>{fields}, {}};
        return words.at(0) + " " + words.at(11);
    }
    return {};
}

// A run of that length, which is its limit.
js::service_request run_of(std::chrono::milliseconds length)
{
    js::service_request request = script("for (;;);");
    request.run.limits.fuel = std::int64_t{1} << 60;
    request.run.limits.wall = length;
    return request;
}

asio::awaitable<void> leave_as_it_is_answered(house& h)
{
    async::stop_source stays;
    async::stop_source leaves;
    const auto first = co_await h.service.run(script("1"), stays);
    CHECK(first.has_value());
    bool leaving_done = false;
    bool behind_done = false;
    const auto run = [&h](js::service_request request, async::stop_source& stop, std::string expected,
                          bool& done) -> asio::awaitable<void> {
        const auto answer = co_await h.service.run(std::move(request), stop);
        CHECK((answer ? std::string{name(answer->status)} + " " + answer->result : answer.error().message) == expected);
        done = true;
    };
    h.tasks.spawn("leaving", run(run_of(1s), leaves, "timeout null", leaving_done));
    // It has read that request.
    const auto before = state_of_worker();
    const bool runs = co_await test::comes_true([&] { return state_of_worker().substr(1) != before.substr(1); });
    REQUIRE(runs);
    h.tasks.spawn("behind", run(script("1+1"), stays, "ok 2", behind_done));
    const bool is_ahead = co_await test::comes_true(
        [&h] { return h.counted.expose().find("\nsandboxd_js_requests_ahead 1\n") != std::string::npos; });
    REQUIRE(is_ahead);
    // Nothing else happens on this thread until the worker has answered both.
    REQUIRE(test::eventually([] { return state_of_worker().starts_with("S"); }));
    leaves.request(errc::disconnected);
    const bool all_done = co_await test::comes_true([&] { return leaving_done && behind_done; });
    CHECK(all_done);
}

}  // namespace

TEST_CASE("a run behind one whose client leaves as it is answered is run", "[js]")
{
    auto settings = settings_for_tests();
    settings.pool.workers = 1;
    settings.pool.reserved_workers = 0;
    settings.pool.quick_run = 1h;
    REQUIRE(with_house("none", settings, leave_as_it_is_answered));
}

TEST_CASE("runs go through a pool without a jail", "[js]")
{
    REQUIRE(with_house("none", settings_for_tests(), run_many));
    REQUIRE(with_house("none", settings_for_tests(), run_at_once));
}

TEST_CASE("runs go through a pool in each jail, and workers that are killed are replaced", "[js]")
{
    const std::string kind = GENERATE("bubblewrap", "namespaces", "nsjail");
    process::prepare_this_process();
    const auto found = test::on_loop(jail::choose(settings_of(kind)));
    const std::string why = found ? std::string{} : found.error().message;
    if (why.find("(not installed)") != std::string::npos) SKIP(why);
    INFO(why);
    REQUIRE(with_house(kind, settings_for_tests(), run_at_once));
    REQUIRE(with_house(kind, settings_for_tests(), reuse_sandboxes));
    REQUIRE(with_house(kind, settings_for_tests(), lose_clients));
}

TEST_CASE("a sandbox id gets its sandbox back, and only that one", "[js]")
{
    REQUIRE(with_house("none", settings_for_tests(), reuse_sandboxes));
}

TEST_CASE("workers are replaced after their number of runs", "[js]")
{
    auto settings = settings_for_tests();
    settings.pool.runs_a_worker = 7;
    REQUIRE(with_house("none", settings, run_at_once));
}

TEST_CASE("a client that goes away takes its run with it", "[js]")
{
    REQUIRE(with_house("none", settings_for_tests(), lose_clients));
}

TEST_CASE("without room in line there is an error at once", "[js]")
{
    auto settings = settings_for_tests();
    settings.pool.max_waiting = 0;
    settings.pool.workers = 1;
    const auto overload = [](house& h) -> asio::awaitable<void> {
        int fine = 0;
        int full = 0;
        h.tasks.spawn("one", count_ends(h, fine, full));
        h.tasks.spawn("two", count_ends(h, fine, full));
        while (fine + full < 2) {
            asio::steady_timer soon{h.executor, 1ms};
            co_await soon.async_wait(asio::as_tuple(asio::use_awaitable));
        }
        CHECK(fine == 1);
        CHECK(full == 1);
    };
    REQUIRE(with_house("none", settings, overload));
}

TEST_CASE("a worker that cannot be started is an error that says why", "[js]")
{
    auto settings = settings_for_tests();
    settings.pool.executable = "/nonexistent/sandboxd-js";
    process::prepare_this_process();
    const auto check = [](js::service_settings wanted) -> asio::awaitable<bool> {
        const auto executor = co_await asio::this_coro::executor;
        jail::jail_settings none;
        none.kind = "none";
        auto wall = co_await jail::choose(none);
        house all{executor, std::move(*wall), std::move(wanted)};
        all.service.start();
        const auto ready = co_await all.service.ready(300ms);
        const bool said = !ready && ready.error().message.find("sandboxd-js") != std::string::npos;
        all.service.close();
        co_await all.tasks.wait_empty();
        co_return said;
    };
    CHECK(test::on_loop(check(settings)));
}
