#include "async/readable.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <catch2/catch_test_macros.hpp>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <string>

namespace asio = boost::asio;
using namespace sandboxd;

namespace {

void rethrow(std::exception_ptr failed)
{
    if (failed) std::rethrow_exception(failed);
}

// A pipe whose reading side the loop knows.
struct watched_pipe {
    explicit watched_pipe(asio::io_context& loop) : in{loop}, out{loop}
    {
        std::array<int, 2> ends{};
        REQUIRE(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) == 0);
        in.assign(ends[0]);
        out.assign(ends[1]);
    }

    void write() { REQUIRE(::write(out.native_handle(), "x", 1) == 1); }

    asio::posix::stream_descriptor in;
    asio::posix::stream_descriptor out;
};

asio::awaitable<void> wait_for(watched_pipe& what, std::optional<boost::system::error_code>& ended)
{
    ended = co_await async::wait_readable(what.in);
}

void run_ready(asio::io_context& loop)
{
    loop.restart();
    loop.poll();
}

}  // namespace

TEST_CASE("a wait for something to read ends when there is something", "[async][readable]")
{
    asio::io_context loop{1};
    watched_pipe pipe{loop};
    std::optional<boost::system::error_code> ended;
    asio::co_spawn(loop, wait_for(pipe, ended), rethrow);
    run_ready(loop);
    CHECK_FALSE(ended);
    SECTION("a byte") { pipe.write(); }
    SECTION("the end") { pipe.out.close(); }
    run_ready(loop);
    REQUIRE(ended);
    CHECK_FALSE(*ended);
}

TEST_CASE("a wait for something to read ends when it is cancelled", "[async][readable]")
{
    asio::io_context loop{1};
    watched_pipe pipe{loop};
    std::optional<boost::system::error_code> ended;
    asio::co_spawn(loop, wait_for(pipe, ended), rethrow);
    run_ready(loop);
    SECTION("its waits") { pipe.in.cancel(); }
    SECTION("the descriptor") { pipe.in.close(); }
    run_ready(loop);
    REQUIRE(ended);
    CHECK(*ended == asio::error::operation_aborted);
}

TEST_CASE("an event of a descriptor that is closed ends no wait of another one", "[async][readable]")
{
    asio::io_context loop{1};
    watched_pipe first{loop};
    auto second = std::make_unique<watched_pipe>(loop);
    std::unique_ptr<watched_pipe> next;
    std::optional<boost::system::error_code> ended;
    int closed = 0;

    // Both have something to read in the same round. Whoever is told first closes the other one, whose event is queued
    // by then, and opens another descriptor, which gets the closed one's place in the reactor.
    first.in.async_wait(asio::posix::descriptor_base::wait_read, [&](const boost::system::error_code&) {
        second.reset();
        ++closed;
        next = std::make_unique<watched_pipe>(loop);
        asio::co_spawn(loop, wait_for(*next, ended), rethrow);
    });
    second->in.async_wait(asio::posix::descriptor_base::wait_read, [](const boost::system::error_code&) {});
    run_ready(loop);
    first.write();
    second->write();
    run_ready(loop);
    REQUIRE(closed == 1);
    CHECK_FALSE(ended);

    next->write();
    run_ready(loop);
    REQUIRE(ended);
    CHECK_FALSE(*ended);
}

TEST_CASE("nobody trusts a wait of Asio's for something to read", "[async][readable]")
{
    const std::set<std::string> known{
        "lib/async/readable.hpp",  // looks
        "lib/process/tree.cpp",    // looks at all dying processes again
    };
    const std::filesystem::path root{SANDBOXD_SOURCE_DIR};
    std::size_t looked_at = 0;
    for (const auto* const directory : {"lib", "app"}) {
        for (const auto& one : std::filesystem::recursive_directory_iterator{root / directory}) {
            if (one.path().extension() != ".cpp" && one.path().extension() != ".hpp") continue;
            ++looked_at;
            const auto name = one.path().lexically_relative(root).generic_string();
            CAPTURE(name);
            std::ifstream file{one.path()};
            const std::string text{std::istreambuf_iterator<char>{file}, {}};
            CHECK((known.contains(name) || text.find("wait_read,") == std::string::npos));
        }
    }
    CHECK(looked_at > 100);
}
