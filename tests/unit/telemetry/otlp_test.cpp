#include "telemetry/otlp.hpp"

#include <boost/json/parse.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <limits>
#include <string>

using namespace sandboxd::telemetry;
using namespace std::chrono_literals;

namespace {

span_record full()
{
    const auto context = read_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").value();
    span_record made;
    made.trace = context.trace;
    made.span = context.span;
    made.name = "POST /compile";
    made.kind = span_kind::server;
    made.began_ns = 1'544'712'660'000'000'001;
    made.ended_ns = 1'544'712'661'000'000'002;
    return made;
}

}  // namespace

TEST_CASE("a span is written as OTLP has it in JSON", "[telemetry]")
{
    auto one = full();
    CHECK(write_span(one) == R"({"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","spanId":"00f067aa0ba902b7","flags":257,)"
                             R"("name":"POST /compile","kind":2,"startTimeUnixNano":"1544712660000000001",)"
                             R"("endTimeUnixNano":"1544712661000000002"})");
    one.parent = read_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-b7ad6b7169203331-01")->span;
    one.kind = span_kind::internal;
    attribute_list attributes;
    attributes.add("http.request.method", "POST");
    attributes.add("http.response.status_code", std::int64_t{400});
    attributes.add("sandboxd.compile.cached", false);
    attributes.add("least", std::numeric_limits<std::int64_t>::min());
    attributes.add("quoted", "a \"b\" \\ \n\t\x01\x7f \xc3\xa9");
    one.attributes = attributes.text();
    one.has_failed = true;
    const auto written = write_span(one);
    CHECK(written ==
          R"({"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","spanId":"00f067aa0ba902b7",)"
          R"("parentSpanId":"b7ad6b7169203331","flags":257,"name":"POST /compile","kind":1,)"
          R"("startTimeUnixNano":"1544712660000000001","endTimeUnixNano":"1544712661000000002","attributes":[)"
          R"({"key":"http.request.method","value":{"stringValue":"POST"}},)"
          R"({"key":"http.response.status_code","value":{"intValue":"400"}},)"
          R"({"key":"sandboxd.compile.cached","value":{"boolValue":false}},)"
          R"({"key":"least","value":{"intValue":"-9223372036854775808"}},)"
          R"({"key":"quoted","value":{"stringValue":"a \"b\" \\ \u000a\u0009\u0001\u007f )"
          "\xc3\xa9"
          R"("}}],"status":{"code":2}})");
    CHECK(boost::json::parse(written).is_object());
    // A span whose parent is the sender of the request.
    one.is_parent_remote = true;
    CHECK(write_span(one).find(R"("flags":769,)") != std::string::npos);
    // One that ends before it begins, by a clock's whim, takes no time.
    one.ended_ns = 7;
    CHECK(write_span(one).find(R"("endTimeUnixNano":"1544712660000000001")") != std::string::npos);
}

TEST_CASE("texts of attributes are bounded, and valid UTF-8", "[telemetry]")
{
    const auto only = [](const std::string& text) {
        attribute_list made;
        made.add("k", text);
        const auto value = boost::json::parse("[" + made.text() + "]").at(0).at("value").at("stringValue").as_string();
        return std::string{value};
    };
    CHECK(only(std::string(1'000, 'x')) == std::string(attribute_list::longest_value, 'x'));
    CHECK(only("\xff\xfe") == "\xef\xbf\xbd\xef\xbf\xbd");
    // A character is not cut.
    CHECK(only(std::string(attribute_list::longest_value - 1, 'x') + "\xc3\xa9") ==
          std::string(attribute_list::longest_value - 1, 'x'));
    CHECK(only("").empty());
}

TEST_CASE("a request has its sender around its spans", "[telemetry]")
{
    const auto around = envelope_of({.service = "my \"own\"", .version = "1.2", .instance = "i"});
    CHECK(around.head == R"({"resourceSpans":[{"resource":{"attributes":[)"
                         R"({"key":"service.name","value":{"stringValue":"my \"own\""}},)"
                         R"({"key":"service.version","value":{"stringValue":"1.2"}},)"
                         R"({"key":"service.instance.id","value":{"stringValue":"i"}}]},)"
                         R"("scopeSpans":[{"scope":{"name":"sandboxd","version":"1.2"},"spans":[)");
    CHECK(around.tail == "]}]}]}");
    CHECK(boost::json::parse(around.head + write_span(full()) + "," + write_span(full()) + around.tail).is_object());
}

TEST_CASE("the status of an answer says what becomes of a batch", "[telemetry]")
{
    for (const unsigned status : {200U, 202U, 204U}) CHECK(fate_of(status) == batch_fate::taken);
    for (const unsigned status : {429U, 502U, 503U, 504U}) CHECK(fate_of(status) == batch_fate::try_again);
    for (const unsigned status : {300U, 301U, 400U, 401U, 403U, 404U, 408U, 413U, 415U, 500U, 501U, 505U})
        CHECK(fate_of(status) == batch_fate::refused);
}

TEST_CASE("what a collector says of spans that it has not taken", "[telemetry]")
{
    struct row {
        std::string body;
        std::uint64_t rejected;
        std::string message{};
    };
    const row rows[] = {
        {"{}", 0},
        {"", 0},
        {R"({"partialSuccess":{}})", 0},
        {R"({"partialSuccess":null})", 0},
        {R"({"partialSuccess":{"rejectedSpans":"3","errorMessage":"too old"}})", 3, "too old"},
        {R"({"partialSuccess":{"rejectedSpans":3,"errorMessage":"too old"}})", 3, "too old"},
        {R"({"partialSuccess":{"rejectedSpans":"0","errorMessage":"use gzip"}})", 0, "use gzip"},
        {R"({"partialSuccess":{"errorMessage":"use gzip"}})", 0, "use gzip"},
        {R"({"partialSuccess":{"rejectedSpans":null,"errorMessage":null}})", 0},
        {R"({"more":[1,2],"partialSuccess":{"more":{},"rejectedSpans":"1"}})", 1},
        // What is no such answer says nothing.
        {R"({"partialSuccess":{"rejectedSpans":"-3"}})", 0},
        {R"({"partialSuccess":{"rejectedSpans":"many"}})", 0},
        {R"({"partialSuccess":{"rejectedSpans":"9999999999999999999"}})", 0},
        {R"({"partialSuccess":{"rejectedSpans":1.5}})", 0},
        {R"({"partialSuccess":[]})", 0},
        {R"({"partialSuccess":{"rejectedSpans":"3","rejectedSpans":"4"}})", 0},
        {R"([{"partialSuccess":{"rejectedSpans":"3"}}])", 0},
        {R"({"partialSuccess":{"rejectedSpans":"3")", 0},
        {"<html>", 0},
        {std::string(most_answer_bytes, '['), 0},
        {"\x0a\x02\x08\x03", 0},
    };
    for (const auto& one : rows) {
        CAPTURE(one.body);
        CHECK(read_partial_success(one.body) == partial_success{one.rejected, one.message});
    }
}

TEST_CASE("pauses grow, are left to chance, and are those that the collector asks for", "[telemetry]")
{
    CHECK(pause_after(1, 60s, 1, std::nullopt) == 1s);
    CHECK(pause_after(1, 60s, 0, std::nullopt) == 500ms);
    CHECK(pause_after(2, 60s, 1, std::nullopt) == 2s);
    CHECK(pause_after(4, 60s, 0.5, std::nullopt) == 6s);
    CHECK(pause_after(7, 60s, 1, std::nullopt) == 60s);
    CHECK(pause_after(1'000'000'000, 60s, 1, std::nullopt) == 60s);
    CHECK(pause_after(0, 60s, 1, std::nullopt) == 1s);
    CHECK(pause_after(3, 100ms, 1, std::nullopt) == 100ms);
    CHECK(pause_after(3, 60s, 7, std::nullopt) == 4s);
    // Also where it asks for less than our own would be, and never for no pause at all.
    CHECK(pause_after(7, 60s, 0, 30s) == 30s);
    CHECK(pause_after(7, 60s, 0, 2s) == 2s);
    CHECK(pause_after(1, 60s, 0, 0s) == 1s);
    CHECK(pause_after(1, 100ms, 0, 0s) == 100ms);
    // It cannot silence a server.
    CHECK(pause_after(1, 60s, 0, 61s) == 60s);
    CHECK(pause_after(1, 60s, 0, std::chrono::seconds::max()) == 60s);
}
