// Sandboxes that come from other servers: how often what they are made of is brought, whoever waits for it; and what
// the making of one leaves to others.
#include "base/uuid.hpp"
#include "process/child.hpp"
#include "sandboxes/service.hpp"
#include "support/comes_true.hpp"
#include "support/run_service.hpp"
#include "support/stand_in_jail.hpp"
#include "support/temporary_directory.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
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
    asio::awaitable<result<std::uint64_t>> bytes_of(std::string owner) override
    {
        co_return owner == what.owner ? what.bytes() : 0;
    }

    sandboxes::description what{};
    async::event comes;
    int fetched{0};
};

// Each program prints a version, and ends.
class printing_jail final : public stand_in_jail {
public:
    asio::awaitable<result<process::outcome>> run(sandboxd::jail::spec, process::child_limits, async::stop_source&,
                                                  process::output_taker*) override
    {
        process::outcome end{};
        end.status = process::exited{0};
        end.out = "v20.1.2\n";
        co_return end;
    }
};

// One server's sandboxes, over a jail that is none.
struct ground {
    ground()
    {
        how_.root = own_ / "sandboxes";
        how_.warm_jails = 0;
    }

    asio::any_io_executor executor() { return io_.get_executor(); }

    // Call once. `others`: with whom the server shares them; null: with nobody.
    void run(sandboxes::fleet* others, std::function<asio::awaitable<void>(sandboxes::service&)> body)
    {
        programs::catalog catalog{executor(), tasks_, wall_, programs::runtimes_of({.node = "/usr/bin/node"})};
        admission::gate gate{executor(), tasks_, {}, metrics_};
        sandboxes::service service{executor(), tasks_, wall_, catalog, gate, how_, metrics_};
        if (others) service.share_with(*others);
        const auto thrown = test::run_service(io_, service, body);
        if (thrown) std::rethrow_exception(thrown);
        CHECK(tasks_.size() == 0);
    }

    asio::io_context io_;
    const temporary_directory own_;
    printing_jail wall_;
    sandboxes::service_settings how_;
    metrics::registry metrics_;
    async::task_group tasks_{io_.get_executor()};
};

}  // namespace

TEST_CASE("who leaves while a sandbox is brought, and asks again, does not have it brought twice", "[sandboxes]")
{
    ground on;
    slow_fleet others{on.executor()};
    others.what.id = new_uuid();
    others.what.owner = "a";
    others.what.runtime = "node";
    others.what.entry_point = "index.js";
    others.what.files = {{"index.js", "12345"}};
    on.run(&others, [&](sandboxes::service& service) -> asio::awaitable<void> {
        for (int times = 0; times < 3; ++times) {
            async::stop_source stop;
            bool has_left = false;
            asio::co_spawn(
                on.executor(),
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
        CHECK(on.metrics_.expose().find("sandboxd_sandboxes_bytes 5\n") != std::string::npos);
        // What is for one execution is of this server alone, and its owner's all the same; a copy counts once.
        sandboxes::create_request passing{.runtime = "node",
                                          .code = "123",
                                          .entry_point = {},
                                          .files = {},
                                          .env = {},
                                          .asked = {},
                                          .owner = "a",
                                          .is_passing = true};
        CHECK((co_await service.create(std::move(passing))).has_value());
        CHECK((co_await service.bytes_of("a")).value() == 8);
        CHECK((co_await service.bytes_of("b")).value() == 0);
    });
}

TEST_CASE("a sandbox of many folders is made in turns, and its place is kept meanwhile", "[sandboxes]")
{
    ground on;
    on.how_.max_sandboxes = 1;
    on.how_.files.max_files = 256;
    sandboxes::create_request what;
    what.runtime = "node";
    what.files = {{"index.js", "1"}};
    // 15 folders each.
    for (int i = 1; i < 256; ++i) {
        std::string path;
        for (int depth = 0; depth < 15; ++depth) path += std::to_string(i) + "/";
        what.files.push_back({path + "x", ""});
    }
    on.run(nullptr, [&](sandboxes::service& service) -> asio::awaitable<void> {
        std::size_t under_way = 2;
        std::size_t made = 0;
        std::size_t turns = 0;
        const auto create = [&]() -> asio::awaitable<void> {
            const auto told = co_await service.create(what);
            if (told) ++made;
            if (!told) CHECK(told.error().code == errc::queue_full);
            --under_way;
        };
        on.tasks_.spawn("create", create());
        on.tasks_.spawn("create", create());
        while (under_way > 0) {
            co_await asio::post(on.executor(), asio::use_awaitable);
            // The one is refused at once. The other takes longer than a turn, on any machine.
            if (under_way == 1) ++turns;
        }
        CHECK(turns > 2);
        CHECK(made == 1);
        CHECK(service.size() == 1);
    });
}
