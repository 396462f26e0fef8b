// Sandboxes that come from other servers: how often what they are made of is brought, whoever waits for it.
#include "base/uuid.hpp"
#include "jail/jail.hpp"
#include "process/child.hpp"
#include "sandboxes/service.hpp"
#include "support/comes_true.hpp"
#include "support/temporary_directory.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>

#include <catch2/catch_test_macros.hpp>

#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace sandboxd;
using namespace sandboxd::test;
namespace asio = boost::asio;

namespace {

// Of one sandbox, which another server has created, and whose files come when they may.
class slow_fleet final : public sandboxes::fleet {
public:
    explicit slow_fleet(asio::any_io_executor executor) : comes{std::move(executor)} {}

    asio::awaitable<result<void>> keep(sandboxes::description) override { co_return result<void>{}; }
    asio::awaitable<result<sandboxes::sandbox_info>> look(std::string) override { co_return info_of(what); }
    asio::awaitable<result<sandboxes::description>> fetch(std::string) override
    {
        ++fetched;
        co_await comes.wait();
        co_return what;
    }
    asio::awaitable<result<bool>> use(std::string, std::chrono::milliseconds) override { co_return true; }
    asio::awaitable<result<bool>> forget(std::string) override { co_return true; }
    asio::awaitable<result<std::vector<sandboxes::sandbox_info>>> list(std::optional<std::string>) override
    {
        co_return std::vector<sandboxes::sandbox_info>{};
    }
    asio::awaitable<result<std::uint64_t>> bytes_of(std::string) override { co_return what.bytes(); }

    sandboxes::description what{};
    async::event comes;
    int fetched{0};
};

// Each program prints a version, and ends.
class printing_jail final : public jail::jail {
public:
    sandboxd::jail::kind which() const noexcept override { return sandboxd::jail::kind::bubblewrap; }
    std::vector<std::string> walls() const override { return {}; }
    std::vector<std::string> warnings() const override { return {}; }
    std::optional<process::identity> owner() const noexcept override { return std::nullopt; }
    asio::awaitable<result<process::outcome>> run(sandboxd::jail::spec, process::child_limits, async::stop_source&,
                                                  process::output_taker*) override
    {
        process::outcome end{};
        end.status = process::exited{0};
        end.out = "v20.1.2\n";
        co_return end;
    }
};

}  // namespace

TEST_CASE("who leaves while a sandbox is brought, and asks again, does not have it brought twice", "[sandboxes]")
{
    asio::io_context io;
    const auto executor = io.get_executor();
    const temporary_directory own;
    metrics::registry metrics;
    async::task_group tasks{executor};
    printing_jail wall;
    programs::catalog catalog{executor, tasks, wall, programs::runtimes_of({.node = "/usr/bin/node"})};
    admission::gate gate{executor, tasks, {}, metrics};
    sandboxes::service_settings how;
    how.root = own / "sandboxes";
    how.warm_jails = 0;
    sandboxes::service service{executor, tasks, wall, catalog, gate, how, metrics};
    slow_fleet others{executor};
    others.what.id = new_uuid();
    others.what.runtime = "node";
    others.what.entry_point = "index.js";
    others.what.files = {{"index.js", "12345"}};
    service.share_with(others);
    REQUIRE(service.open().has_value());
    service.start();
    std::exception_ptr thrown;
    asio::co_spawn(
        io,
        [&]() -> asio::awaitable<void> {
            for (int times = 0; times < 3; ++times) {
                async::stop_source stop;
                bool has_left = false;
                asio::co_spawn(
                    executor,
                    [&]() -> asio::awaitable<void> {
                        const auto ended = co_await service.run(others.what.id, {}, stop);
                        CHECK(ended.error().code == errc::disconnected);
                        has_left = true;
                    },
                    asio::detached);
                CHECK(co_await comes_true([&] { return others.fetched > 0; }));
                stop.request(errc::disconnected);
                CHECK(co_await comes_true([&] { return has_left; }));
            }
            CHECK(others.fetched == 1);
            others.comes.set();
            CHECK(co_await comes_true([&] { return service.size() == 1; }));
            async::stop_source stop;
            CHECK((co_await service.run(others.what.id, {}, stop)).has_value());
            CHECK(others.fetched == 1);
            CHECK(metrics.expose().find("sandboxd_sandboxes_bytes 5\n") != std::string::npos);
        },
        [&](std::exception_ptr e) {
            thrown = e;
            service.close();
        });
    io.run();
    if (thrown) std::rethrow_exception(thrown);
    CHECK(tasks.size() == 0);
}
