// The fields of a trace as strangers send them, and the answers of a collector. What is let through keeps to the
// grammar and the bounds, is the same when it is read again, and is JSON where it becomes a part of a span.
#include "require.hpp"
#include "telemetry/otlp.hpp"
#include "telemetry/trace_context.hpp"

#include <boost/json/parse.hpp>
#include <boost/system/error_code.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

using namespace sandboxd::telemetry;

namespace {

void check_state(const std::vector<std::string_view>& lines)
{
    const auto state = read_tracestate(lines);
    require(state.size() <= most_tracestate_bytes);
    require(std::ranges::all_of(state, [](char c) { return c >= ' ' && c <= '~'; }));
    require(static_cast<std::size_t>(std::ranges::count(state, ',')) < most_tracestate_members);
    const std::vector<std::string_view> again{state};
    require(read_tracestate(again) == state);
}

void check_span(const trace_context& of, std::string_view text)
{
    attribute_list attributes;
    attributes.add("text", text);
    span_record record;
    record.trace = of.trace;
    record.span = of.span;
    record.parent = of.span;
    record.name = "GET";
    record.attributes = attributes.text();
    boost::system::error_code ec;
    const auto value = boost::json::parse(write_span(record), ec);
    require(!ec && value.is_object());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    std::string_view rest{reinterpret_cast<const char*>(data), size};
    const auto answer = read_partial_success(rest);
    require(answer.message.size() <= rest.size());
    std::vector<std::string_view> lines;
    for (;;) {
        const auto end = rest.find('\n');
        lines.push_back(rest.substr(0, end));
        if (end == std::string_view::npos) break;
        rest.remove_prefix(end + 1);
    }
    trace_context of;
    of.trace.fill('1');
    of.span.fill('2');
    if (const auto read = read_traceparent(lines.front())) {
        const auto written = write_traceparent(*read);
        require(written.size() == traceparent_bytes);
        require(read_traceparent(written) == read);
        require(lines.front().substr(2, 50) == written.substr(2, 50));
        of = *read;
    }
    check_state({lines.begin() + 1, lines.end()});
    check_span(of, lines.front());
    return 0;
}
