#include "async/stop.hpp"

#include <catch2/catch_test_macros.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

using namespace sandboxd;
using async::stop_callback;
using async::stop_source;

TEST_CASE("the first cause wins", "[async][stop]")
{
    stop_source source;
    std::vector<errc> seen;
    const stop_callback note{source, [&seen](errc cause) { seen.push_back(cause); }};
    CHECK_FALSE(source.requested());
    CHECK(source.request(errc::timeout));
    CHECK(source.requested());
    CHECK(source.cause() == errc::timeout);
    CHECK_FALSE(source.request(errc::disconnected));
    CHECK(source.cause() == errc::timeout);
    CHECK(seen == std::vector{errc::timeout});
}

TEST_CASE("callbacks run in order of registration, each once", "[async][stop]")
{
    stop_source source;
    std::string order;
    const stop_callback a{source, [&order](errc) { order += 'a'; }};
    {
        const stop_callback gone{source, [&order](errc) { order += 'x'; }};
    }
    const stop_callback b{source, [&order](errc) { order += 'b'; }};
    const stop_callback c{source, [&order](errc) { order += 'c'; }};
    source.request(errc::draining);
    source.request(errc::draining);
    CHECK(order == "abc");
}

TEST_CASE("a callback registered after the stop runs at once, and only then", "[async][stop]")
{
    stop_source source;
    source.request(errc::output_limit);
    std::vector<errc> seen;
    {
        const stop_callback late{source, [&seen](errc cause) { seen.push_back(cause); }};
        CHECK(seen == std::vector{errc::output_limit});
    }
    source.request(errc::timeout);
    CHECK(seen.size() == 1);
}

TEST_CASE("a callback may destroy itself, an earlier and a later one", "[async][stop]")
{
    stop_source source;
    std::string order;
    std::optional<stop_callback> first;
    std::optional<stop_callback> itself;
    std::optional<stop_callback> later;
    std::optional<stop_callback> last;
    // Held by the closure: it must live until the callback returns, although the callback is
    // destroyed.
    const auto token = std::make_shared<std::string>("m");
    first.emplace(source, [&](errc) { order += 'f'; });
    itself.emplace(source, [&, token](errc) {
        first.reset();
        later.reset();
        itself.reset();
        order += *token;
    });
    later.emplace(source, [&](errc) { order += 'x'; });
    last.emplace(source, [&](errc) { order += 'l'; });
    source.request(errc::timeout);
    CHECK(order == "fml");
    CHECK(token.use_count() == 1);
    CHECK(last);
}

TEST_CASE("a callback may register another and stop the source again", "[async][stop]")
{
    stop_source source;
    std::string order;
    std::optional<stop_callback> nested;
    const stop_callback outer{source, [&](errc) {
                                  order += 'o';
                                  CHECK_FALSE(source.request(errc::disconnected));
                                  nested.emplace(source,
                                                 [&order](errc cause) { order += cause == errc::timeout ? 'n' : '?'; });
                                  order += 'p';
                              }};
    const stop_callback after{source, [&order](errc) { order += 'a'; }};
    source.request(errc::timeout);
    CHECK(order == "onpa");
}

TEST_CASE("a stop may pass from one source to another", "[async][stop]")
{
    stop_source outer;
    stop_source inner;
    const stop_callback pass{outer, [&inner](errc cause) { inner.request(cause); }};
    outer.request(errc::draining);
    CHECK(inner.cause() == errc::draining);
}
