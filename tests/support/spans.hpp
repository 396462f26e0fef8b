// What tests of traces ask of a collector's spans.
#pragma once

#include "support/collector.hpp"
#include "support/eventually.hpp"

#include <boost/json/object.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace sandboxd::test {

// The member of the configuration. Spans are sent at once, and nothing is given up, however slow the machine is.
inline std::string telemetry_section(const std::string& url, const std::string& more = {})
{
    return R"("telemetry": {"otlpEndpoint": ")" + url +
           R"(", "batchDelayMs": 1, "timeoutMs": 60000, "retryMaxMs": 100, "maxAttempts": 1000)" + more + "}";
}

// The spans of a trace, once there are so many.
inline std::vector<boost::json::object> spans_of(const collector& to, const std::string& trace, std::size_t count)
{
    std::vector<boost::json::object> found;
    const bool all = eventually([&] {
        found.clear();
        for (auto& one : to.spans())
            if (collector::text(one, "traceId") == trace) found.push_back(std::move(one));
        return found.size() >= count;
    });
    std::string names;
    for (const auto& one : found) names += collector::text(one, "name") + "\n";
    INFO(names);
    REQUIRE(all);
    CHECK(found.size() == count);
    return found;
}

// The one of that name; an empty object: there is none, or more than one.
inline boost::json::object named(const std::vector<boost::json::object>& all, const std::string& name)
{
    const auto is_it = [&](const boost::json::object& one) { return collector::text(one, "name") == name; };
    if (std::ranges::count_if(all, is_it) != 1) return {};
    return *std::ranges::find_if(all, is_it);
}

// Whether `span` is a part of `of`, or of what that has sent.
inline bool is_child(const boost::json::object& of, const boost::json::object& span)
{
    return !collector::text(span, "spanId").empty() &&
           collector::text(span, "parentSpanId") == collector::text(of, "spanId") &&
           collector::text(span, "traceId") == collector::text(of, "traceId");
}

}  // namespace sandboxd::test
