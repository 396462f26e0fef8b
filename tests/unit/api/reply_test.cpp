#include "api/reply.hpp"

#include "base/utf8.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace sandboxd;
namespace asio = boost::asio;

TEST_CASE("what a program printed is written in turns, and as if in one", "[api]")
{
    std::string mixed;
    for (int i = 0; mixed.size() < 100'000; ++i)
        mixed += std::string(static_cast<std::size_t>(i % 7), 'x') +
                 "\xf0\x9f\x98\x80\xe2\x82\xac\xe2\x82\x80\"\n\x01\xf0\x9f";
    for (const auto& bytes : {std::string(1 << 20, '\x80'), std::string(1 << 20, '\x01'), mixed, std::string{}}) {
        CAPTURE(bytes.size());
        asio::io_context io;
        // Each look at the clock is a millisecond later than the one before.
        async::turns::clock::time_point now{};
        async::turns turn{[&now] { return now += std::chrono::milliseconds{1}; }};
        std::string into = "before";
        bool done = false;
        int others = 0;
        asio::co_spawn(
            io,
            [&]() -> asio::awaitable<void> {
                co_await api::append_json_text(into, bytes, turn);
                done = true;
            },
            asio::detached);
        while (!done && io.poll_one() > 0) ++others;
        CHECK(done);
        CHECK(into == "before" + api::json_text(to_valid_utf8(bytes)));
        CHECK(turn.most_entries() <= 2);
        CHECK(turn.taken() >= bytes.size() / (128 * 1024));
        CHECK(others >= static_cast<int>(turn.taken()));
    }
}
