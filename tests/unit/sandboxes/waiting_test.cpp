// Runtimes that wait: what becomes of one that holds more memory than it may. Instead of a jail there is this process.
#include "init/hold.hpp"
#include "process/child.hpp"
#include "sandboxes/service.hpp"
#include "support/comes_true.hpp"
#include "support/run_service.hpp"
#include "support/stand_in_jail.hpp"
#include "support/temporary_directory.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>

#include <catch2/catch_test_macros.hpp>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <utility>
#include <vector>

using namespace sandboxd;
using namespace sandboxd::test;
namespace asio = boost::asio;

namespace {

constexpr std::uint64_t mib = 1024 * 1024;

// A runtime that waits is this process; what begins as a program waits for its end.
class own_memory_jail final : public stand_in_jail {
public:
    asio::awaitable<result<process::outcome>> run(sandboxd::jail::spec what, process::child_limits,
                                                  async::stop_source& stop, process::output_taker*) override
    {
        process::outcome end{};
        end.status = process::exited{0};
        end.out = "v20.1.2\n";
        if (what.pass_fds.empty()) co_return end;
        if (what.leader) {
            ++booted;
            *what.leader = ::getpid();
            const auto word =
                std::ranges::find(what.pass_fds, init::hold::begin_fd_inside, &std::pair<int, int>::second)->first;
            char byte = 0;
            CHECK(::read(word, &byte, 1) == 1);
        } else {
            ++held;
        }
        async::event over{co_await asio::this_coro::executor};
        const async::stop_callback on_stop{stop, [&](errc) { over.set(); }};
        co_await over.wait();
        co_return end;
    }

    int booted{0};  // jails whose runtime waits
    int held{0};    // and those whose program has not begun
};

}  // namespace

TEST_CASE("a runtime that holds more memory than all may is not booted in advance again", "[sandboxes]")
{
    // More than the estimate for Node.js, by which there is room for it.
    const std::vector<char> held(32 * mib, 'x');
    asio::io_context io;
    async::task_group tasks{io.get_executor()};
    metrics::registry metrics;
    const temporary_directory own;
    own_memory_jail wall;
    programs::catalog catalog{io.get_executor(), tasks, wall,
                              programs::runtimes_of({.node = "/usr/bin/node", .wait_node = "/nowhere/wait_node.cjs"})};
    admission::gate gate{io.get_executor(), tasks, {}, metrics};
    sandboxes::service_settings how;
    how.root = own / "sandboxes";
    how.init = "/nowhere/sandboxd-init";
    how.warm_bytes = 16 * mib;
    sandboxes::service service{io.get_executor(), tasks, wall, catalog, gate, how, metrics};
    const std::function<asio::awaitable<void>(sandboxes::service&)> body =
        [&](sandboxes::service&) -> asio::awaitable<void> {
        sandboxes::create_request what;
        what.runtime = "node";
        what.code = "1";
        CHECK((co_await service.create(std::move(what))).has_value());
        // A jail without a runtime in its place.
        CHECK(co_await comes_true([&] { return wall.booted == 1 && wall.held == 2; }));
    };
    const auto thrown = run_service(io, service, body);
    if (thrown) std::rethrow_exception(thrown);
    CHECK(wall.booted == 1);
    const auto said = metrics.expose();
    CHECK(said.find("sandboxd_sandbox_warm_runtimes_dropped_total{cause=\"budget\"} 1\n") != std::string::npos);
    CHECK(held.back() == 'x');
}
