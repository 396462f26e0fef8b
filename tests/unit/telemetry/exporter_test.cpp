// The exporter against a real collector of the test's own, which answers as it is told.
#include "telemetry/exporter.hpp"

#include "support/captured_stderr.hpp"
#include "support/collector.hpp"
#include "support/on_loop.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

namespace asio = boost::asio;
using namespace sandboxd;
using namespace sandboxd::telemetry;
using namespace sandboxd::test;
using namespace std::chrono_literals;
using answer = collector::answer;

namespace {

struct world {
    world(asio::any_io_executor on, exporter_settings how)
        : executor{std::move(on)}, tasks{executor}, one{executor, tasks, std::move(how), nullptr, metrics}
    {
    }

    // Until the loop, or the collector, has done what makes it true.
    asio::awaitable<bool> becomes(std::function<bool()> is_true)
    {
        const auto until = std::chrono::steady_clock::now() + 60s;
        asio::steady_timer pause{executor};
        while (!is_true()) {
            if (std::chrono::steady_clock::now() > until) co_return false;
            pause.expires_after(1ms);
            co_await pause.async_wait(asio::use_awaitable);
        }
        co_return true;
    }

    std::uint64_t spans(const std::string& result)
    {
        return metrics.add_counter("sandboxd_telemetry_spans_total", "", "result=\"" + result + "\"").value();
    }
    std::uint64_t requests(const std::string& result)
    {
        return metrics.add_counter("sandboxd_telemetry_requests_total", "", "result=\"" + result + "\"").value();
    }

    asio::any_io_executor executor;
    async::task_group tasks;
    metrics::registry metrics;
    exporter one;
};

using user = std::function<asio::awaitable<void>(world&)>;

// Patient enough for a slow machine, and without pauses of its own.
exporter_settings settings_for(const std::string& url)
{
    exporter_settings how;
    how.client.where = remote::parse_service_url(url).value();
    how.client.connections = 1;
    how.who = {.service = "s", .version = "v", .instance = "i"};
    how.delay = 1ms;
    how.timeout = 60s;
    how.longest_pause = 1ms;
    how.attempts = 1'000'000;
    return how;
}

asio::awaitable<bool> use(exporter_settings how, user what)
{
    world with{co_await asio::this_coro::executor, std::move(how)};
    co_await what(with);
    co_await with.one.close();
    CHECK(with.one.queued_bytes() == 0);
    co_await with.tasks.wait_empty();
    co_return true;
}

std::string body_of(const std::string& spans)
{
    const auto around = envelope_of({.service = "s", .version = "v", .instance = "i"});
    return around.head + spans + around.tail;
}

// An object of this many bytes.
std::string span_of(std::size_t number, std::size_t bytes = 0)
{
    auto made = R"({"name":")" + std::to_string(number);
    if (bytes > made.size() + 2) made += std::string(bytes - made.size() - 2, 'x');
    return made + R"("})";
}

}  // namespace

TEST_CASE("spans are sent together, by one connection, as OTLP has it", "[telemetry]")
{
    collector to;
    auto how = settings_for(to.url() + "/prefix");
    how.client.authorization = "Bearer t";
    on_loop(use(std::move(how), [&](world& with) -> asio::awaitable<void> {
        // Nothing is sent before the loop goes on.
        for (std::size_t i = 0; i < 3; ++i) with.one.take(span_of(i));
        CHECK(with.one.queued_bytes() == 3 * (span_of(0).size() + exporter::span_overhead));
        CHECK(co_await with.becomes([&] { return with.spans("exported") == 3; }));
        CHECK(co_await with.becomes([&] { return with.one.queued_bytes() == 0; }));
        with.one.take(span_of(3));
        CHECK(co_await with.becomes([&] { return with.spans("exported") == 4; }));
        CHECK(with.one.trouble().empty());
        CHECK(with.requests("done") == 2);
    }));
    const auto asked = to.requests();
    REQUIRE(asked.size() == 2);
    CHECK(to.connections() == 1);
    for (const auto& one : asked) {
        CHECK(one.method == "POST");
        CHECK(one.target == "/prefix/v1/traces");
        CHECK(one.fields.at("content-type") == "application/json");
        CHECK(one.fields.at("authorization") == "Bearer t");
        CHECK(one.fields.at("user-agent") == "sandboxd");
    }
    CHECK(asked[0].body == body_of(span_of(0) + "," + span_of(1) + "," + span_of(2)));
    CHECK(asked[1].body == body_of(span_of(3)));
}

TEST_CASE("a batch has a bound, and so has the queue", "[telemetry]")
{
    collector to;
    auto how = settings_for(to.url());
    const std::size_t each = 200;
    const auto counted = each + exporter::span_overhead;
    how.batch_bytes = 3 * counted + counted / 2;
    how.queued_bytes = 7 * counted;
    on_loop(use(std::move(how), [&](world& with) -> asio::awaitable<void> {
        for (std::size_t i = 0; i < 10; ++i) {
            with.one.take(span_of(i, each));
            CHECK(with.one.queued_bytes() <= 7 * counted);
        }
        CHECK(with.spans("queue_full") == 3);
        // One that would have no place in any batch.
        with.one.take(span_of(99, 4 * counted));
        CHECK(with.spans("queue_full") == 4);
        CHECK(co_await with.becomes([&] { return with.spans("exported") == 7; }));
    }));
    const auto asked = to.requests();
    REQUIRE(asked.size() == 3);
    CHECK(asked[0].body == body_of(span_of(0, each) + "," + span_of(1, each) + "," + span_of(2, each)));
    CHECK(asked[1].body == body_of(span_of(3, each) + "," + span_of(4, each) + "," + span_of(5, each)));
    CHECK(asked[2].body == body_of(span_of(6, each)));
}

TEST_CASE("a full batch does not wait for more", "[telemetry]")
{
    collector to;
    auto how = settings_for(to.url());
    how.delay = 1h;
    how.batch_bytes = 2 * (200 + exporter::span_overhead);
    on_loop(use(std::move(how), [&](world& with) -> asio::awaitable<void> {
        with.one.take(span_of(0, 200));
        asio::steady_timer moment{with.executor, 1ms};
        co_await moment.async_wait(asio::use_awaitable);
        CHECK(to.requests().empty());
        with.one.take(span_of(1, 200));
        CHECK(co_await with.becomes([&] { return with.spans("exported") == 2; }));
    }));
}

TEST_CASE("while a collector says nothing, the queue fills and no more", "[telemetry]")
{
    collector to;
    to.answer_with([](const auto&, std::size_t) { return answer{.says_nothing = true}; });
    auto how = settings_for(to.url());
    const auto counted = 200 + exporter::span_overhead;
    how.batch_bytes = 2 * counted;
    how.queued_bytes = 4 * counted;
    on_loop(use(std::move(how), [&](world& with) -> asio::awaitable<void> {
        for (std::size_t i = 0; i < 4; ++i) with.one.take(span_of(i, 200));
        CHECK(co_await with.becomes([&] { return to.requests().size() == 1; }));
        // What is on its way has its place until it is taken.
        with.one.take(span_of(4, 200));
        CHECK(with.one.queued_bytes() == 4 * counted);
        CHECK(with.spans("queue_full") == 1);
        CHECK(with.spans("exported") == 0);
    }));
}

TEST_CASE("a collector that has no time is asked again, with the same batch", "[telemetry]")
{
    for (const unsigned status : {429U, 502U, 503U, 504U}) {
        CAPTURE(status);
        collector to;
        to.answer_with(
            [status](const auto&, std::size_t number) { return answer{.status = number < 2 ? status : 200}; });
        on_loop(use(settings_for(to.url()), [&](world& with) -> asio::awaitable<void> {
            const captured_stderr log;
            with.one.take(span_of(0));
            CHECK(co_await with.becomes([&] { return with.spans("exported") == 1; }));
            CHECK(with.requests("try_again") == 2);
            CHECK(with.requests("done") == 1);
            CHECK(with.spans("failed") == 0);
            CHECK(with.one.trouble().empty());
        }));
        const auto asked = to.requests();
        REQUIRE(asked.size() == 3);
        for (const auto& one : asked) CHECK(one.body == body_of(span_of(0)));
        CHECK(to.connections() == 1);
    }
}

TEST_CASE("what is not taken after so many attempts is dropped", "[telemetry]")
{
    collector to;
    to.answer_with([](const auto& asked, std::size_t) {
        return answer{.status = asked.body.find("\"0\"") != std::string::npos ? 503U : 200U};
    });
    auto how = settings_for(to.url());
    how.attempts = 3;
    on_loop(use(std::move(how), [&](world& with) -> asio::awaitable<void> {
        with.one.take(span_of(0));
        CHECK(co_await with.becomes([&] { return with.spans("failed") == 1; }));
        CHECK(with.one.trouble().find("otlpEndpoint") != std::string::npos);
        with.one.take(span_of(1));
        CHECK(co_await with.becomes([&] { return with.spans("exported") == 1; }));
        CHECK(with.requests("try_again") == 3);
        CHECK(with.one.trouble().empty());
    }));
    CHECK(to.requests().size() == 4);
}

TEST_CASE("what a collector refuses is dropped, and is not sent again", "[telemetry]")
{
    collector to;
    to.answer_with([](const auto&, std::size_t number) {
        const std::vector<unsigned> all{400, 401, 413, 500, 301, 200};
        return answer{.status = all[std::min(number, all.size() - 1)]};
    });
    on_loop(use(settings_for(to.url()), [&](world& with) -> asio::awaitable<void> {
        for (std::size_t i = 0; i < 6; ++i) {
            with.one.take(span_of(i));
            CHECK(co_await with.becomes([&] { return with.spans("rejected") + with.spans("exported") == i + 1; }));
            CHECK(with.one.trouble().empty() == (i == 5));
        }
        CHECK(with.spans("rejected") == 5);
        CHECK(with.requests("refused") == 5);
        CHECK(with.requests("try_again") == 0);
    }));
    CHECK(to.requests().size() == 6);
}

TEST_CASE("a collector that takes a part of a batch says how much, and is not asked again", "[telemetry]")
{
    struct row {
        std::string body;
        std::uint64_t rejected;
    };
    const row rows[] = {
        {R"({"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}})", 2},
        {R"({"partialSuccess":{"rejectedSpans":"0","errorMessage":"be brief"}})", 0},
        // More than it was given.
        {R"({"partialSuccess":{"rejectedSpans":"1000000"}})", 3},
        {R"({"partialSuccess":{"rejectedSpans":"-1"}})", 0},
        {"it is not JSON", 0},
        {std::string(most_answer_bytes + 1, 'x'), 0},
    };
    for (const auto& one : rows) {
        CAPTURE(one.body.substr(0, 100));
        collector to;
        to.answer_with([&one](const auto&, std::size_t) { return answer{.body = one.body}; });
        on_loop(use(settings_for(to.url()), [&](world& with) -> asio::awaitable<void> {
            for (std::size_t i = 0; i < 3; ++i) with.one.take(span_of(i));
            CHECK(co_await with.becomes([&] { return with.spans("rejected") + with.spans("exported") == 3; }));
            CHECK(with.spans("rejected") == one.rejected);
            CHECK(with.requests("done") == 1);
        }));
        CHECK(to.requests().size() == 1);
    }
}

TEST_CASE("a collector that says no HTTP, or breaks off, is asked again", "[telemetry]")
{
    for (const std::string said :
         {"", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "220 smtp.example\r\n\r\n",
          "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
        CAPTURE(said);
        collector to;
        to.answer_with([&said](const auto&, std::size_t number) {
            return number == 0 ? answer{.raw = said, .close = true} : answer{};
        });
        on_loop(use(settings_for(to.url()), [&](world& with) -> asio::awaitable<void> {
            with.one.take(span_of(0));
            CHECK(co_await with.becomes([&] { return with.spans("exported") == 1; }));
            CHECK(with.requests("try_again") == 1);
        }));
    }
}

TEST_CASE("a collector that is away is tried until it is back", "[telemetry]")
{
    collector to;
    to.end();
    on_loop(use(settings_for(to.url()), [&](world& with) -> asio::awaitable<void> {
        with.one.take(span_of(0));
        CHECK(co_await with.becomes([&] { return with.requests("try_again") >= 3; }));
        CHECK_FALSE(with.one.trouble().empty());
        with.one.take(span_of(1));
        to.start_again();
        CHECK(co_await with.becomes([&] { return with.spans("exported") == 2; }));
        CHECK(with.one.trouble().empty());
        // One that was restarted has closed the connection that was kept.
        to.end();
        to.start_again();
        with.one.take(span_of(2));
        CHECK(co_await with.becomes([&] { return with.spans("exported") == 3; }));
    }));
    CHECK(to.spans().size() == 3);
}

TEST_CASE("an answer that does not come in time is none", "[telemetry]")
{
    collector to;
    to.answer_with([](const auto&, std::size_t number) { return answer{.says_nothing = number == 0}; });
    auto how = settings_for(to.url());
    how.timeout = 500ms;
    on_loop(use(std::move(how), [&](world& with) -> asio::awaitable<void> {
        with.one.take(span_of(0));
        // On a slow machine others may be late, too.
        CHECK(co_await with.becomes([&] { return with.spans("exported") == 1; }));
        CHECK(with.requests("try_again") >= 1);
    }));
    CHECK(to.requests().size() >= 2);
}

TEST_CASE("a collector gets the time that it asks for", "[telemetry]")
{
    collector to;
    to.answer_with([](const auto&, std::size_t number) {
        return number == 0 ? answer{.status = 429, .fields = {{"Retry-After", "1"}}} : answer{};
    });
    auto how = settings_for(to.url());
    how.longest_pause = 1h;
    on_loop(use(std::move(how), [&](world& with) -> asio::awaitable<void> {
        with.one.take(span_of(0));
        CHECK(co_await with.becomes([&] { return with.spans("exported") == 1; }));
    }));
    const auto asked = to.requests();
    REQUIRE(asked.size() == 2);
    CHECK(asked[1].came - asked[0].came >= 1s);
}

TEST_CASE("at the end what is there is sent at once, and nothing waits for who is away", "[telemetry]")
{
    collector to;
    auto how = settings_for(to.url());
    how.delay = 1h;
    on_loop(use(how, [&](world& with) -> asio::awaitable<void> {
        for (std::size_t i = 0; i < 2; ++i) with.one.take(span_of(i));
        co_await with.one.close();
        CHECK(with.spans("exported") == 2);
        with.one.take(span_of(2));
        CHECK(with.spans("shutdown") == 1);
        CHECK(with.one.queued_bytes() == 0);
    }));
    CHECK(to.spans().size() == 2);

    // Away, or in a pause.
    to.end();
    how.delay = 1ms;
    how.longest_pause = 1h;
    how.batch_bytes = 2 * (200 + exporter::span_overhead);
    on_loop(use(how, [&](world& with) -> asio::awaitable<void> {
        for (std::size_t i = 0; i < 5; ++i) with.one.take(span_of(i, 200));
        CHECK(co_await with.becomes([&] { return with.requests("try_again") == 1; }));
        co_await with.one.close();
        CHECK(with.spans("shutdown") == 5);
    }));

    // It takes the connection, and says nothing.
    to.start_again();
    to.answer_with([](const auto&, std::size_t) { return answer{.says_nothing = true}; });
    how.timeout = 100ms;
    on_loop(use(how, [&](world& with) -> asio::awaitable<void> {
        for (std::size_t i = 0; i < 3; ++i) with.one.take(span_of(i, 200));
        co_await with.one.close();
        CHECK(with.spans("shutdown") == 3);
        CHECK(with.spans("exported") == 0);
    }));
}
