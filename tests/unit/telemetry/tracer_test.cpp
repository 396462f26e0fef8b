// Which requests are recorded, what is said of them, and what is passed on: with a server whose requests are traced, on
// one loop with its client.
#include "telemetry/tracer.hpp"

#include "http/server.hpp"
#include "telemetry/job_spans.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <sys/socket.h>

#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace asio = boost::asio;
namespace json = boost::json;
using namespace sandboxd;
using namespace sandboxd::telemetry;
using asio::ip::tcp;
using std::chrono::milliseconds;

namespace {

const std::string trace = "4bf92f3577b34da6a3ce929d0e0e4736";
const std::string caller = "00f067aa0ba902b7";

std::string parent(bool sampled = true) { return "00-" + trace + "-" + caller + (sampled ? "-01" : "-00"); }

struct kept final : span_sender {
    void take(std::string span) override { spans.push_back(std::move(span)); }
    void refuse() noexcept override { ++refused; }
    std::vector<std::string> spans{};
    int refused{0};
};

// What is random counts, so that it can be foretold: 01, 02, … in each of its bytes, and `chance` in the last four.
struct counting {
    std::string operator()(std::size_t bytes)
    {
        ++*count;
        std::string made;
        static constexpr char digits[] = "0123456789abcdef";
        for (std::size_t i = 0; i < bytes; ++i) {
            made += digits[(*count >> 4) & 0xf];
            made += digits[*count & 0xf];
        }
        if (bytes > 8) made.replace(made.size() - 8, 8, *chance);
        return made;
    }
    std::shared_ptr<unsigned> count{std::make_shared<unsigned>(0)};
    std::shared_ptr<std::string> chance{std::make_shared<std::string>("00000000")};
};

struct parts {
    explicit parts(tracer_settings how = {}) : one{with_own(std::move(how)), out} {}

    tracer_settings with_own(tracer_settings how)
    {
        how.random = random;
        how.steady = [this] { return time; };
        how.day = [] { return std::chrono::system_clock::time_point{std::chrono::seconds{1'700'000'000}}; };
        return how;
    }
    json::object span(std::size_t i) const { return json::parse(out.spans.at(i)).as_object(); }

    kept out;
    counting random;
    std::chrono::steady_clock::time_point time{std::chrono::hours{1}};
    tracer one;
};

using handler = std::function<asio::awaitable<http::response>(http::exchange&)>;

// What a client gets that sends these field lines; or another server of the fleet.
std::string answered(parts& with, const std::string& lines, handler how, bool has_tracer = true,
                     const std::string& request_line = "POST /compile?secret=1 HTTP/1.1", bool is_of_fleet = false)
{
    asio::io_context io;
    metrics::registry metrics;
    http::server server{io,
                        {},
                        {.handle = std::move(how),
                         .refuse =
                             [](const error& why, http::exchange& x) {
                                 http::response r;
                                 r.status = 400;
                                 r.error_code = name(why.code);
                                 fail(x, r.error_code);
                                 return r;
                             },
                         .observe = [](const http::completed& done) { end(done); },
                         .begin =
                             [&](http::exchange& x) {
                                 if (!has_tracer) return;
                                 const auto given = given_context(x);
                                 auto is_wanted = decided_before(x);
                                 if (!is_wanted && given && with.one.trust() == flag_trust::everybody)
                                     is_wanted = given->sampled;
                                 auto its = with.one.begin(given, is_wanted);
                                 x.set_trace_id(text_of(its->context().trace));
                                 x.set_trace(std::move(its));
                             }},
                        metrics};
    REQUIRE(server.listen(http::tcp_address{"127.0.0.1", 0}).has_value());
    const auto url = server.bound().url;
    const auto port = static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
    server.start();
    std::string got;
    const auto talk = [&]() -> asio::awaitable<void> {
        http::stream_socket socket{io};
        if (is_of_fleet) {
            int ends[2];
            REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
            const asio::generic::stream_protocol local{AF_UNIX, 0};
            server.adopt(http::stream_socket{io, local, ends[1]}, http::fleet_peer());
            socket.assign(local, ends[0]);
        } else {
            co_await socket.async_connect(tcp::endpoint{asio::ip::address_v4::loopback(), port}, asio::use_awaitable);
        }
        const auto text = request_line + "\r\nHost: h\r\nConnection: close\r\nX-Request-Id: id-1\r\n" + lines + "\r\n";
        co_await asio::async_write(socket, asio::buffer(text), asio::use_awaitable);
        for (;;) {
            char piece[4096];
            const auto [ec, size] =
                co_await socket.async_read_some(asio::buffer(piece), asio::as_tuple(asio::use_awaitable));
            got.append(piece, size);
            if (ec) break;
        }
        co_await server.drain();
        co_await server.closed();
    };
    std::exception_ptr thrown;
    asio::co_spawn(io, talk(), [&](std::exception_ptr e) { thrown = e; });
    io.run();
    if (thrown) std::rethrow_exception(thrown);
    return got;
}

handler route(std::string_view pattern, std::function<void(http::exchange&)> what = {}, unsigned status = 200)
{
    return [=](http::exchange& x) -> asio::awaitable<http::response> {
        x.set_route(pattern, 0);
        if (what) what(x);
        http::response r;
        r.status = status;
        r.body = std::string{"hello"};
        co_return r;
    };
}

}  // namespace

TEST_CASE("a request's span says what was asked and what came of it, and nothing of what was sent", "[telemetry]")
{
    parts with{{.trust = flag_trust::everybody}};
    answered(with, "traceparent: " + parent() + "\r\nAuthorization: Bearer secret\r\nCookie: c=secret\r\n",
             route("/compile", [&](http::exchange& x) {
                 CHECK(x.trace_id() == trace);
                 with.time += milliseconds{250};
             }));
    REQUIRE(with.out.spans.size() == 1);
    CHECK(with.out.spans[0] ==
          R"({"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","spanId":"0202020202020202",)"
          R"("parentSpanId":"00f067aa0ba902b7","flags":769,"name":"POST /compile","kind":2,)"
          R"("startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000000250000000","attributes":[)"
          R"({"key":"http.request.method","value":{"stringValue":"POST"}},)"
          R"({"key":"http.route","value":{"stringValue":"/compile"}},)"
          R"({"key":"url.scheme","value":{"stringValue":"http"}},)"
          R"({"key":"network.protocol.version","value":{"stringValue":"1.1"}},)"
          R"({"key":"sandboxd.request.id","value":{"stringValue":"id-1"}},)"
          R"({"key":"http.response.status_code","value":{"intValue":"200"}},)"
          R"({"key":"http.response.body.size","value":{"intValue":"5"}}]})");
    CHECK(with.out.spans[0].find("secret") == std::string::npos);
}

TEST_CASE("a request without a trace begins one", "[telemetry]")
{
    for (const std::string& lines :
         {std::string{}, "traceparent: ff" + parent().substr(2) + "\r\n", "traceparent: " + parent() + "x\r\n",
          // Two are none.
          "traceparent: " + parent() + "\r\ntraceparent: " + parent() + "\r\n", "trace-parent: " + parent() + "\r\n",
          std::string{"tracestate: foo=1\r\n"}}) {
        CAPTURE(lines);
        parts with;
        std::optional<propagation> told;
        answered(with, lines, route("/x", [&](http::exchange& x) {
                     auto hop = child_of(x, "GET", span_kind::client);
                     told = passed_on(x, hop);
                     CHECK(x.trace_id() == "01010101010101010101010101010101");
                     CHECK(traceparent_of(x, hop) == told->traceparent);
                 }));
        REQUIRE(with.out.spans.size() == 2);
        REQUIRE(told.has_value());
        CHECK(told->traceparent == "00-01010101010101010101010101010101-0303030303030303-01");
        CHECK(told->tracestate.empty());
        const auto root = with.span(1);
        CHECK(root.at("traceId").as_string() == "01010101010101010101010101010101");
        CHECK(root.at("spanId").as_string() == "0202020202020202");
        CHECK_FALSE(root.contains("parentSpanId"));
        CHECK(root.at("flags").to_number<int>() == 257);
        const auto hop = with.span(0);
        CHECK(hop.at("parentSpanId").as_string() == "0202020202020202");
        CHECK(hop.at("spanId").as_string() == "0303030303030303");
        CHECK(hop.at("kind").to_number<int>() == 3);
    }
    // In any case of its name, with blanks around it.
    parts with;
    answered(with, "TrAcEpArEnT: \t" + parent() + " \r\n", route("/x"));
    CHECK(with.span(0).at("traceId").as_string() == json::string_view{trace});
}

TEST_CASE("whose word counts decides whether a request is recorded, or chance does", "[telemetry]")
{
    struct row {
        flag_trust trust;
        double ratio;
        std::string chance;
        std::string lines;
        bool is_recorded;
    };
    const auto yes = "traceparent: " + parent(true) + "\r\n";
    const auto no = "traceparent: " + parent(false) + "\r\n";
    const row rows[] = {
        {flag_trust::everybody, 0, "00000000", yes, true},  {flag_trust::everybody, 1, "ffffffff", no, false},
        {flag_trust::nobody, 0, "00000000", yes, false},    {flag_trust::nobody, 1, "ffffffff", no, true},
        {flag_trust::nobody, 0, "00000000", "", false},     {flag_trust::nobody, 1, "ffffffff", "", true},
        {flag_trust::everybody, 0, "00000000", "", false},  {flag_trust::nobody, 0.25, "3fffffff", "", true},
        {flag_trust::nobody, 0.25, "40000000", "", false},  {flag_trust::nobody, 0.25, "3fffffff", no, true},
        {flag_trust::nobody, 0.25, "40000000", yes, false},
    };
    for (const auto& one : rows) {
        CAPTURE(one.ratio, one.chance, one.lines);
        parts with{{.sample_ratio = one.ratio, .trust = one.trust}};
        *with.random.chance = one.chance;
        std::optional<propagation> told;
        std::string of_program;
        answered(with, one.lines, route("/x", [&](http::exchange& x) {
                     auto hop = child_of(x, "GET", span_kind::client);
                     CHECK(hop.is_recorded() == one.is_recorded);
                     told = passed_on(x, hop);
                     of_program = traceparent_of(x, hop);
                 }));
        CHECK(with.out.spans.size() == (one.is_recorded ? 2U : 0U));
        CHECK(with.out.refused == 0);
        if (one.is_recorded) continue;
        // Nothing of ours is in the trace: what the caller said is passed on as it is, to its flag.
        const bool has_own = !one.lines.empty();
        CHECK(told.has_value() == !has_own);
        if (has_own) {
            CHECK(of_program == parent(one.lines == yes));
        } else {
            CHECK(told->traceparent == "00-01010101010101010101010101010101-0101010101010101-00");
            CHECK(of_program == told->traceparent);
        }
    }
}

TEST_CASE("of two servers of a fleet the first one decides whether a request is recorded", "[telemetry]")
{
    struct row {
        bool is_of_fleet;
        flag_trust trust;
        double ratio;
        std::string says;
        bool is_sampled;  // by its client
        bool is_recorded;
    };
    using enum flag_trust;
    const row rows[] = {
        {true, nobody, 0, "1", false, true},
        {true, nobody, 1, "0", true, false},
        {true, everybody, 1, "0", true, false},
        {true, everybody, 0, "1", false, true},
        // It says nothing of it: as any other client.
        {true, nobody, 0, "", true, false},
        {true, nobody, 0, "yes", true, false},
        {true, everybody, 0, "", true, true},
        {true, everybody, 1, "", false, false},
        // A client that says so is not believed.
        {false, nobody, 0, "1", true, false},
        {false, nobody, 1, "0", true, true},
    };
    for (const auto& one : rows) {
        CAPTURE(one.is_of_fleet, static_cast<int>(one.trust), one.ratio, one.says, one.is_sampled);
        parts with{{.sample_ratio = one.ratio, .trust = one.trust}};
        std::optional<propagation> told;
        std::string sampling;
        auto lines = "traceparent: " + parent(one.is_sampled) + "\r\n";
        if (!one.says.empty()) lines += "X-Forwarded-Sampled: " + one.says + "\r\n";
        answered(with, lines,
                 route("/x",
                       [&](http::exchange& x) {
                           const auto hop = child_of(x, "GET", span_kind::client);
                           told = passed_on(x, hop);
                           sampling = sampling_of(x);
                       }),
                 true, "POST /x HTTP/1.1", one.is_of_fleet);
        CHECK(with.out.spans.size() == (one.is_recorded ? 2U : 0U));
        CHECK(sampling == (one.is_recorded ? "1" : "0"));
        if (one.is_recorded)
            CHECK(with.span(1).at("parentSpanId").as_string() == json::string_view{caller});
        else
            CHECK_FALSE(told.has_value());
    }
    // The budget is each server's own.
    parts poor{{.spans_per_sec = 1}};
    for (int i = 0; i < 2; ++i)
        answered(poor, "X-Forwarded-Sampled: 1\r\n", route("/x"), true, "POST /x HTTP/1.1", true);
    CHECK(poor.out.spans.size() == 1);
    CHECK(poor.out.refused == 1);
}

TEST_CASE("more requests than the budget allows are not recorded, and counted", "[telemetry]")
{
    parts with{{.spans_per_sec = 2}};
    for (int i = 0; i < 5; ++i) answered(with, {}, route("/x"));
    CHECK(with.out.spans.size() == 2);
    CHECK(with.out.refused == 3);
    with.time += std::chrono::seconds{1};
    answered(with, {}, route("/x"));
    CHECK(with.out.spans.size() == 3);
}

TEST_CASE("a tracestate is passed on with a trace that was taken over", "[telemetry]")
{
    struct row {
        std::string lines;
        std::string expected;
    };
    std::string many;
    for (int i = 0; i < 33; ++i) many += "tracestate:\r\n";
    const row rows[] = {
        {"tracestate: foo=1 , bar=2\r\ntracestate: baz=3\r\n", "foo=1,bar=2,baz=3"},
        {"tracestate: foo=1,foo=2\r\n", ""},
        {"tracestate: " + std::string(600, 'x') + "\r\n", ""},
        {many, ""},
        {"", ""},
    };
    for (const auto& one : rows) {
        CAPTURE(one.lines);
        parts with;
        std::optional<propagation> told;
        answered(with, "traceparent: " + parent() + "\r\n" + one.lines, route("/x", [&](http::exchange& x) {
                     const auto hop = child_of(x, "GET", span_kind::client);
                     told = passed_on(x, hop);
                 }));
        REQUIRE(told.has_value());
        CHECK(told->traceparent == "00-" + trace + "-0303030303030303-01");
        CHECK(told->tracestate == one.expected);
    }
}

TEST_CASE("how requests fail", "[telemetry]")
{
    const auto attribute = [](const json::object& span, std::string_view key) -> std::string {
        for (const auto& one : span.at("attributes").as_array())
            if (one.at("key").as_string() == json::string_view{key.data(), key.size()})
                return std::string{one.at("value").as_object().begin()->value().as_string()};
        return {};
    };
    struct row {
        unsigned status;
        const char* code;
        bool has_failed;
        std::string type;
    };
    const row rows[] = {{200, "", false, ""},
                        {400, "compile_error", false, ""},
                        {404, "not_found", false, ""},
                        {500, "internal", true, "internal"},
                        {503, "queue_full", true, "queue_full"},
                        {502, "", true, "502"}};
    for (const auto& one : rows) {
        CAPTURE(one.status);
        parts with;
        answered(with, {}, route("/x", [&](http::exchange& x) { fail(x, one.code); }, one.status));
        const auto span = with.span(0);
        CHECK(attribute(span, "http.response.status_code") == std::to_string(one.status));
        CHECK(attribute(span, "sandboxd.error.code") == one.code);
        CHECK(attribute(span, "error.type") == one.type);
        CHECK(span.contains("status") == one.has_failed);
    }
    // A header that is refused has neither method nor route, and its trace is not looked for.
    parts with;
    answered(with, "traceparent: " + parent() + "\r\nbad header\r\n", route("/x"));
    const auto span = with.span(0);
    CHECK(span.at("name").as_string() == "HTTP");
    CHECK(span.at("traceId").as_string() == "01010101010101010101010101010101");
    CHECK(attribute(span, "http.request.method") == "_OTHER");
    CHECK(attribute(span, "http.route").empty());
    CHECK(attribute(span, "sandboxd.error.code") == "invalid_request");
    // A path without a route is not told: it may be anything.
    parts lost;
    answered(lost, {}, [](http::exchange&) -> asio::awaitable<http::response> {
        http::response r;
        r.status = 404;
        co_return r;
    });
    CHECK(lost.span(0).at("name").as_string() == "POST");
    CHECK(lost.out.spans[0].find("compile") == std::string::npos);
}

TEST_CASE("the spans of a job: it waits, its jail is built, it runs", "[telemetry]")
{
    using clock = std::chrono::steady_clock;
    parts with;
    const auto start = with.time;
    const auto ns = [&](clock::time_point at) {
        return std::to_string(1'700'000'000'000'000'000 + std::chrono::nanoseconds{at - start}.count());
    };
    std::string of_program;
    answered(with, {}, route("/x", [&](http::exchange& x) {
                 job_spans spans{x, "run"};
                 CHECK(spans.are_recorded());
                 // Known before it has begun.
                 of_program = traceparent_of(x, spans.run());
                 with.time += milliseconds{10};
                 spans.start();
                 with.time += milliseconds{20};
                 spans.start();
                 spans.begin_at(start + milliseconds{15});
                 spans.add_steps({{"clang", milliseconds{3}}, {"wasm-ld", milliseconds{4}}});
                 spans.fail("timeout");
             }));
    REQUIRE(with.out.spans.size() == 6);
    const auto check = [&](std::size_t i, const std::string& called, int from_ms, int to_ms) {
        const auto span = with.span(i);
        CAPTURE(i, with.out.spans[i]);
        CHECK(std::string{span.at("name").as_string()} == called);
        CHECK(std::string{span.at("startTimeUnixNano").as_string()} == ns(start + milliseconds{from_ms}));
        CHECK(std::string{span.at("endTimeUnixNano").as_string()} == ns(start + milliseconds{to_ms}));
    };
    check(0, "queue", 0, 10);
    check(1, "jail", 10, 15);
    check(2, "clang", 10, 13);
    check(3, "wasm-ld", 13, 17);
    check(4, "run", 15, 30);
    CHECK(with.span(4).contains("status"));
    CHECK(with.span(2).at("parentSpanId") == with.span(4).at("spanId"));
    for (const std::size_t i : {0U, 1U, 4U}) CHECK(with.span(i).at("parentSpanId") == with.span(5).at("spanId"));
    CHECK(of_program ==
          "00-01010101010101010101010101010101-" + std::string{with.span(4).at("spanId").as_string()} + "-01");

    // A moment that the jail tells is between the start and now, whatever it is.
    for (const int told : {-1'000, 1'000'000}) {
        parts other;
        answered(other, {}, route("/x", [&](http::exchange& x) {
                     job_spans spans{x, "run"};
                     spans.start();
                     other.time += milliseconds{20};
                     spans.begin_at(other.time + milliseconds{told});
                 }));
        REQUIRE(other.out.spans.size() == 4);
        CHECK(other.span(1).at("endTimeUnixNano") == other.span(2).at("startTimeUnixNano"));
        CHECK(std::string{other.span(1).at("endTimeUnixNano").as_string()} ==
              ns(start + milliseconds{told < 0 ? 0 : 20}));
    }

    // It was refused while it waited; there was nothing to do.
    parts refused;
    answered(refused, {}, route("/x", [&](http::exchange& x) {
                 job_spans spans{x, "run"};
                 spans.fail("queue_full");
             }));
    REQUIRE(refused.out.spans.size() == 2);
    CHECK(refused.span(0).at("name").as_string() == "queue");
    CHECK(refused.span(0).contains("status"));
    parts idle;
    answered(idle, {}, route("/x", [&](http::exchange& x) {
                 job_spans spans{x, "run"};
                 spans.drop();
             }));
    CHECK(idle.out.spans.size() == 1);
}

TEST_CASE("a part of a request that goes on without its connection has spans of its own", "[telemetry]")
{
    parts with{{.trust = flag_trust::everybody}};
    std::shared_ptr<http::exchange> apart;
    answered(with, "traceparent: " + parent() + "\r\n", route("/x", [&](http::exchange& x) {
                 apart = std::make_shared<http::exchange>(x, std::string{});
                 CHECK(apart->trace_id() == trace);
                 begin_part(x, *apart, "job");
             }));
    CHECK(with.out.spans.size() == 1);
    child_of(*apart, "queue").end();
    fail(*apart, "timeout");
    end_part(*apart);
    apart.reset();
    REQUIRE(with.out.spans.size() == 3);
    const auto root = with.span(0);
    const auto queue = with.span(1);
    const auto job = with.span(2);
    CHECK(job.at("name").as_string() == "job");
    CHECK(job.at("parentSpanId") == root.at("spanId"));
    CHECK(queue.at("parentSpanId") == job.at("spanId"));
    CHECK(job.at("traceId") == root.at("traceId"));
    CHECK(job.contains("status"));
}

TEST_CASE("without a tracer there is nothing, and what a caller says is passed on", "[telemetry]")
{
    parts with;
    for (const std::string& lines : {std::string{}, "traceparent: " + parent() + "\r\n"}) {
        answered(with, lines,
                 route("/x",
                       [&](http::exchange& x) {
                           CHECK(of(x) == nullptr);
                           CHECK(sampling_of(x).empty());
                           job_spans spans{x, "run"};
                           CHECK_FALSE(spans.are_recorded());
                           spans.start();
                           CHECK_FALSE(passed_on(x, spans.run()).has_value());
                           CHECK(traceparent_of(x, spans.run()) == (lines.empty() ? std::string{} : parent()));
                       }),
                 false);
    }
    CHECK(with.out.spans.empty());
    CHECK(*with.random.count == 0);
}
