#include "http/event_stream.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace sandboxd::http;

TEST_CASE("an Accept field asks for a stream by name", "[http]")
{
    CHECK(wanted_stream("") == stream_form::none);
    CHECK(wanted_stream("*/*") == stream_form::none);
    CHECK(wanted_stream("text/*") == stream_form::none);
    CHECK(wanted_stream("text/event-stream") == stream_form::events);
    CHECK(wanted_stream("Text/Event-Stream; charset=utf-8") == stream_form::events);
    CHECK(wanted_stream("application/json, application/x-ndjson;q=0.5") == stream_form::json_lines);
    CHECK(wanted_stream("text/event-stream;q=0, application/x-ndjson") == stream_form::json_lines);
    CHECK(wanted_stream("text/event-stream;q=0.000") == stream_form::none);
    CHECK(wanted_stream("text/event-streams") == stream_form::none);
}

TEST_CASE("an event has a line of data for each line of its text", "[http]")
{
    const auto event = [](std::string_view id, std::string_view name, std::string_view data) {
        std::string text;
        append_event(text, id, name, data);
        return text;
    };
    CHECK(event("", "", "") == "data: \n\n");
    CHECK(event("7", "log", "x") == "id: 7\nevent: log\ndata: x\n\n");
    CHECK(event("", "", "a\nb\r\nc\rd\n") == "data: a\ndata: b\ndata: c\ndata: d\ndata: \n\n");
    CHECK(stream_head(stream_form::events).content_type == "text/event-stream");
    CHECK(stream_head(stream_form::json_lines).content_type == "application/x-ndjson");
}

TEST_CASE("Last-Event-ID is a number or nothing", "[http]")
{
    CHECK_FALSE(last_event_id(""));
    CHECK_FALSE(last_event_id("x"));
    CHECK_FALSE(last_event_id("1x"));
    CHECK_FALSE(last_event_id("-1"));
    CHECK_FALSE(last_event_id("99999999999999999999"));
    CHECK(last_event_id(" 18 ") == 18);
}
