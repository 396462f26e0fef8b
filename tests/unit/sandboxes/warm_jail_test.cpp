#include "sandboxes/warm_jail.hpp"

#include "async/event.hpp"
#include "async/stop.hpp"
#include "async/task_group.hpp"
#include "init/hold.hpp"
#include "support/stand_in_jail.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>

#include <catch2/catch_test_macros.hpp>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <optional>
#include <string>

using namespace sandboxd;
using namespace sandboxd::sandboxes;
namespace asio = boost::asio;

namespace {

constexpr const char* own_words = "bwrap: Can't find source path /var/lib/sandboxd/sandboxes/x\n";

// Says something of its own when the program may begin; then the program runs and prints, or nothing does.
class talking_jail final : public test::stand_in_jail {
public:
    explicit talking_jail(bool runs) : runs_{runs} {}

    asio::awaitable<result<process::outcome>> run(sandboxd::jail::spec what, process::child_limits, async::stop_source&,
                                                  process::output_taker* taker) override
    {
        async::event asked{co_await asio::this_coro::executor};
        at_work = &asked;
        co_await asked.wait();
        co_await taker->take(process::output_stream::err, own_words);
        process::outcome end{};
        end.status = process::exited{1};
        if (!runs_) co_return end;
        const auto begin =
            std::ranges::find(what.pass_fds, init::hold::begin_fd_inside, &std::pair<int, int>::second)->first;
        char bytes[100]{};
        const auto got = ::read(begin, bytes, sizeof bytes);
        word.assign(bytes, got > 0 ? static_cast<std::size_t>(got) : 0);
        co_await taker->take(process::output_stream::out, "mine");
        end.status = process::exited{0};
        co_return end;
    }

    async::event* at_work{nullptr};
    std::string word;  // what told it to begin

private:
    bool runs_;
};

struct heard final : process::output_taker {
    virtual ~heard() = default;
    asio::awaitable<void> take(process::output_stream, std::string_view piece) override
    {
        text += piece;
        co_return;
    }
    std::string text;
};

struct told {
    bool ran{false};
    std::string text;
    std::string word;
};

told what_is_told(bool runs, const std::string& input = {}, const std::string& traceparent = {})
{
    asio::io_context io;
    async::task_group tasks{io.get_executor()};
    talking_jail wall{runs};
    told seen;
    const auto body = [&]() -> asio::awaitable<void> {
        heard output;
        const auto warm = warm_jail::start(io.get_executor(), tasks, wall, {}, "/nowhere/sandboxd-init", 1000);
        REQUIRE(warm);
        async::stop_source stop;
        // Lets the jail's task begin; what it waits for comes when the byte has been written.
        async::event later{io.get_executor()};
        co_await later.wait_for(std::chrono::milliseconds{1});
        REQUIRE(wall.at_work != nullptr);
        asio::post(io, [&wall] { wall.at_work->set(); });
        const auto ran = co_await warm->run(input, std::chrono::minutes{1}, stop, &output, traceparent);
        seen.ran = ran.has_value();
        seen.text = output.text;
        seen.word = wall.word;
    };
    std::exception_ptr thrown;
    asio::co_spawn(io, body(), [&](std::exception_ptr e) { thrown = e; });
    io.run();
    if (thrown) std::rethrow_exception(thrown);
    return seen;
}

}  // namespace

TEST_CASE("who takes a warm jail's output gets the program's, and nothing that the jail says of this host")
{
    const auto broken = what_is_told(false);
    CHECK_FALSE(broken.ran);
    CHECK(broken.text.empty());
    const auto fine = what_is_told(true);
    CHECK(fine.ran);
    CHECK(fine.text == "mine");
}

TEST_CASE("what waits is told how to begin in one word, with the trace behind it")
{
    const std::string traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    REQUIRE(traceparent.size() == init::hold::trace_bytes);
    CHECK(what_is_told(true).word == "b");
    CHECK(what_is_told(true, "input").word == "f");
    CHECK(what_is_told(true, {}, traceparent).word == "B" + traceparent);
    CHECK(what_is_told(true, "input", traceparent).word == "F" + traceparent);
    // Nothing else is behind it, whoever may have made it.
    CHECK(what_is_told(true, {}, traceparent + "x").word == "b");
}
