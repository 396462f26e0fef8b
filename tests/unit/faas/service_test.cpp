// The service over a jail that is none: programs that throw, that never begin, that do not end; and how many there are.
#include "faas/service.hpp"

#include "support/comes_true.hpp"
#include "support/run_service.hpp"
#include "support/temporary_directory.hpp"
#include "unit/faas/pretended_jail.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace sandboxd;
using namespace sandboxd::test;
using faas::status;
using std::chrono::milliseconds;
namespace asio = boost::asio;

namespace {

class ground {
public:
    ground()
    {
        how_.root = own_ / "deployments";
        how_.init = "/nowhere/sandboxd-init";
        how_.stop_grace = milliseconds{20};
        how_.life.first_pause = milliseconds{1};
        how_.life.most_crashes = 3;
        how_.max_deployments = 2;
    }

    void run(std::function<asio::awaitable<void>(faas::service&)> body)
    {
        metrics::registry metrics;
        async::task_group tasks{io_.get_executor()};
        auto packages = packages_;
        packages.root = own_ / "packages";
        const programs::catalog catalog{
            io_.get_executor(), tasks, wall_,
            programs::runtimes_of({.node = "/usr/bin/node", .wait_node = "/nowhere/wait.cjs"})};
        faas::service service{io_.get_executor(), tasks, wall_, catalog, how_, packages, metrics};
        const auto thrown = test::run_service(io_, service, body);
        CHECK(tasks.size() == 0);
        CHECK(wall_.alive == 0);
        if (thrown) std::rethrow_exception(thrown);
    }

    faas::service_settings how_;
    faas::installer_settings packages_;
    pretended_jail wall_;
    temporary_directory own_;

private:
    asio::io_context io_;
};

asio::awaitable<result<faas::deployment_info>> deployed(faas::service& service,
                                                        std::vector<faas::deployment_file> files = {})
{
    async::stop_source stop;
    faas::deploy_request what;
    what.runtime = "node";
    what.code = "1";
    what.files = std::move(files);
    co_return co_await service.deploy(std::move(what), stop);
}

asio::awaitable<bool> becomes(faas::service& service, std::string id, status wanted)
{
    co_return co_await comes_true([&service, id, wanted] {
        const auto now = service.find(id);
        return now && now->status == wanted;
    });
}

// How often the log of a deployment has a line.
long lines_of(const faas::service& service, const std::string& id, std::string_view text)
{
    const auto all = service.logs(id, 0, 1'000);
    return all ? std::ranges::count(*all, text, &faas::log_line::text) : -1;
}

faas::update_request change(std::vector<faas::deployment_file> files, bool restart)
{
    return {std::move(files), restart, {}};
}

}  // namespace

TEST_CASE("a deployment whose start throws is told, counted, started again and removed", "[faas]")
{
    ground on;
    using enum pretended_jail::act;
    on.wall_.acts = {throws, refuse, throws};
    on.run([&](faas::service& service) -> asio::awaitable<void> {
        const auto made = co_await deployed(service);
        REQUIRE(made.has_value());
        CHECK((made->status == status::crashed || made->status == status::starting));
        CHECK(made->fault.has_value());
        const bool failed = co_await becomes(service, made->id, status::failed);
        CHECK(failed);
        CHECK(on.wall_.started == 3);
        CHECK(service.find(made->id)->restarts == 3);
        const auto removed = co_await service.remove(made->id);
        CHECK(removed.has_value());
        // The next one finds everything as it was.
        const auto good = co_await deployed(service);
        REQUIRE(good.has_value());
        CHECK(good->status == status::running);
        const auto second = co_await deployed(service);
        CHECK(second.has_value());
        const auto third = co_await deployed(service);
        REQUIRE(third.has_error());
        CHECK(third.error().code == errc::queue_full);
    });
}

TEST_CASE("that one ended with 0 before says nothing about the next start", "[faas]")
{
    ground on;
    using enum pretended_jail::act;
    on.wall_.acts = {exit, refuse, refuse, refuse};
    on.run([&](faas::service& service) -> asio::awaitable<void> {
        const auto made = co_await deployed(service);
        REQUIRE(made.has_value());
        CHECK(made->status == status::completed);
        CHECK(made->last_exit == "exit 0");
        async::stop_source stop;
        const auto entered = co_await service.enter(made->id, {}, stop);
        CHECK(entered.has_error());
        const bool failed = co_await becomes(service, made->id, status::failed);
        CHECK(failed);
        CHECK(service.find(made->id)->fault == errc::unavailable);
    });
}

TEST_CASE("a deployment has at most two programs, however often it is started anew", "[faas][hostile]")
{
    ground on;
    on.wall_.stubborn = true;
    on.run([&](faas::service& service) -> asio::awaitable<void> {
        async::stop_source stop;
        const auto made = co_await deployed(service);
        REQUIRE(made.has_value());
        std::list<faas::service::lease> open;
        for (int i = 0; i < 25; ++i) {
            auto lease = co_await service.enter(made->id, {}, stop);
            REQUIRE(lease.has_value());
            open.push_back(std::move(*lease));
            std::vector<faas::deployment_file> files{{"index.js", std::to_string(i)}};
            const auto done = co_await service.update(made->id, change(std::move(files), true), stop);
            REQUIRE(done.has_value());
            CHECK(done->restarted);
        }
        CHECK(on.wall_.started == 26);
        CHECK(on.wall_.most_alive == 2);
        CHECK(service.find(made->id)->requests == 25);
        const auto removed = co_await service.remove(made->id);
        CHECK(removed.has_value());
        CHECK(on.wall_.alive == 0);
    });
}

TEST_CASE("programs that are idle and slow to end do not pile up", "[faas][hostile]")
{
    ground on;
    on.how_.stop_grace = milliseconds{60'000};
    on.wall_.stubborn = true;
    on.how_.life.idle = milliseconds{1};
    on.run([&](faas::service& service) -> asio::awaitable<void> {
        async::stop_source stop;
        const auto made = co_await deployed(service);
        REQUIRE(made.has_value());
        const bool stopped = co_await becomes(service, made->id, status::stopped);
        CHECK(stopped);
        {
            const auto lease = co_await service.enter(made->id, {}, stop);
            CHECK(lease.has_value());
        }
        CHECK(on.wall_.alive == 2);
        const bool again = co_await becomes(service, made->id, status::stopped);
        CHECK(again);
        CHECK(on.wall_.alive == 2);
    });
    CHECK(on.wall_.most_alive == 2);
}

namespace {

// Stopped soon after its only request, with memory for runtimes that wait.
struct warm_ground : ground {
    warm_ground()
    {
        how_.life.idle = milliseconds{1};
        how_.warm_bytes = 64 << 20;
    }

    // The body gets the id of a deployment whose program has run.
    void run_deployed(std::function<asio::awaitable<void>(faas::service&, std::string)> body)
    {
        run([&](faas::service& service) -> asio::awaitable<void> {
            const auto made = co_await deployed(service);
            REQUIRE(made.has_value());
            co_await body(service, made->id);
        });
    }

    // Whether a runtime comes to wait: so many have begun to, and no other program is there.
    asio::awaitable<bool> one_waits(std::size_t of = 1)
    {
        co_return co_await comes_true([this, of] { return wall_.waited == of && wall_.alive == 1; });
    }
};

// Whether a request gets its place; it leaves at once.
asio::awaitable<bool> enters(faas::service& service, std::string id)
{
    async::stop_source stop;
    const auto lease = co_await service.enter(std::move(id), {}, stop);
    co_return lease.has_value();
}

}  // namespace

TEST_CASE("a stopped deployment's next program waits, and begins with the next request", "[faas][warm]")
{
    warm_ground on;
    on.run_deployed([&](faas::service& service, std::string id) -> asio::awaitable<void> {
        for (std::size_t turn = 1; turn <= 3; ++turn) {
            REQUIRE(co_await on.one_waits(turn));
            CHECK(service.find(id)->status == status::stopped);
            CHECK(lines_of(service, id, "starting") == static_cast<long>(turn));
            REQUIRE(co_await enters(service, id));
            CHECK(on.wall_.started == 1 + turn);
            CHECK(service.find(id)->starts == 1 + turn);
            CHECK(lines_of(service, id, "starting") == static_cast<long>(1 + turn));
        }
        CHECK(co_await on.one_waits(4));
        CHECK((co_await service.remove(id)).has_value());
        CHECK(on.wall_.alive == 0);
    });
}

TEST_CASE("a runtime that does not boot keeps nobody from the program", "[faas][warm]")
{
    warm_ground on;
    on.wall_.boots = false;
    on.run_deployed([&](faas::service& service, std::string id) -> asio::awaitable<void> {
        REQUIRE(co_await on.one_waits());
        {
            async::stop_source stop;
            const auto lease = co_await service.enter(id, {}, stop);
            REQUIRE(lease.has_value());
            // A new one, told and counted once, and the other one ends.
            CHECK(on.wall_.started == 3);
            CHECK(service.find(id)->starts == 2);
            CHECK(lines_of(service, id, "starting") == 2);
            CHECK(co_await comes_true([&] { return on.wall_.alive == 1; }));
        }
        // Whoever comes soon does not wait for such a one again.
        CHECK(co_await becomes(service, id, status::stopped));
        REQUIRE(co_await enters(service, id));
        CHECK(on.wall_.waited == 1);
    });
}

TEST_CASE("a runtime that is lost with the word is replaced, and the client hears nothing of it", "[faas][warm]")
{
    warm_ground on;
    on.run_deployed([&](faas::service& service, std::string id) -> asio::awaitable<void> {
        REQUIRE(co_await on.one_waits());
        const auto exit_before = service.find(id)->last_exit;
        // Its control socket is read in a later turn of the loop than the request.
        on.wall_.crash();
        REQUIRE(co_await enters(service, id));
        CHECK(on.wall_.started == 3);
        const auto now = service.find(id);
        CHECK(now->starts == 2);
        CHECK(now->restarts == 0);
        CHECK(now->last_exit == exit_before);
        CHECK(lines_of(service, id, "starting") == 2);
        CHECK(lines_of(service, id, "ended with signal 9") == 0);
    });
}

TEST_CASE("what waits ends when the files change", "[faas][warm]")
{
    warm_ground on;
    on.run_deployed([&](faas::service& service, std::string id) -> asio::awaitable<void> {
        REQUIRE(co_await on.one_waits());
        async::stop_source stop;
        const auto done = co_await service.update(id, change({{"index.js", "2"}}, false), stop);
        REQUIRE(done.has_value());
        CHECK(co_await comes_true([&] { return on.wall_.alive == 0; }));
        CHECK(service.find(id)->status == status::stopped);
        REQUIRE(co_await enters(service, id));
        CHECK(on.wall_.started == 3);
        CHECK(on.wall_.waited == 1);
    });
}

TEST_CASE("packages of a stopped deployment make room, and are installed again for its next start", "[faas][warm]")
{
    warm_ground on;
    on.packages_.client = faas::install_client{.bun = false, .version = "1", .argv = {"/bin/npm"}, .mounts = {}};
    on.packages_.init = on.how_.init;
    on.packages_.max_total_bytes = 1 << 20;  // of one set
    on.run([&](faas::service& service) -> asio::awaitable<void> {
        const auto needing = [](const std::string& package) {
            return std::vector<faas::deployment_file>{
                {"package.json", R"({"dependencies": {")" + package + R"(": "1.0.0"}})"}};
        };
        const auto first = co_await deployed(service, needing("a"));
        REQUIRE(first.has_value());
        const bool waits = co_await comes_true([&] { return on.wall_.waited == 1 && on.wall_.alive == 1; });
        REQUIRE(waits);
        // Nor does the runtime that waits for it keep them.
        const auto second = co_await deployed(service, needing("b"));
        REQUIRE(second.has_value());
        CHECK(on.wall_.installed == 2);
        const bool others_wait = co_await comes_true([&] { return on.wall_.waited == 2 && on.wall_.alive == 1; });
        REQUIRE(others_wait);
        async::stop_source stop;
        const auto lease = co_await service.enter(first->id, {}, stop);
        REQUIRE(lease.has_value());
        CHECK(on.wall_.installed == 3);
    });
}

TEST_CASE("without memory for them no program waits", "[faas][warm]")
{
    warm_ground on;
    on.how_.warm_bytes = 0;
    on.run_deployed([&](faas::service& service, std::string id) -> asio::awaitable<void> {
        REQUIRE(co_await becomes(service, id, status::stopped));
        // Longer than one needs that may; on a slow machine this sees less.
        asio::steady_timer timer{co_await asio::this_coro::executor, milliseconds{300}};
        co_await timer.async_wait(asio::use_awaitable);
        CHECK(on.wall_.started == 1);
        REQUIRE(co_await enters(service, id));
        CHECK(on.wall_.started == 2);
        CHECK(on.wall_.waited == 0);
    });
}
