// Spans as OTLP/HTTP has them in JSON (https://opentelemetry.io/docs/specs/otlp/#otlphttp), and what a collector
// answers. Pure.
//
// 64-bit integers are strings, ids are hexadecimal, enumerators are numbers: the JSON mapping of protocol buffers, with
// OTLP's changes. The names of attributes are those of OpenTelemetry's semantic conventions where they have one
// (https://opentelemetry.io/docs/specs/semconv/), and begin with `sandboxd.` where they do not.
#pragma once

#include "telemetry/trace_context.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::telemetry {

// The path behind an endpoint.
inline constexpr std::string_view traces_path = "/v1/traces";

enum class span_kind : std::uint8_t { internal = 1, server = 2, client = 3 };

// The attributes of a span, as they are written.
class attribute_list {
public:
    // What is longer is cut; what is no UTF-8 becomes U+FFFD.
    static constexpr std::size_t longest_value = 256;

    // `key` is a literal, a name of letters, digits, dots and '_'.
    void add(std::string_view key, std::string_view value);
    void add(std::string_view key, std::int64_t value);
    void add(std::string_view key, bool value);
    // Else a literal would be a boolean.
    void add(std::string_view key, const char* value) { add(key, std::string_view{value}); }

    // Items of a JSON list, without its brackets.
    const std::string& text() const noexcept { return text_; }

private:
    void begin(std::string_view key, std::string_view kind);

    std::string text_;
};

// One span, over.
struct span_record {
    trace_id trace{};
    span_id span{};
    std::optional<span_id> parent{};
    bool is_parent_remote{false};
    std::string_view name;
    span_kind kind{span_kind::internal};
    std::int64_t began_ns{0};  // since 1970, UTC
    std::int64_t ended_ns{0};
    std::string_view attributes;  // attribute_list::text()
    bool has_failed{false};
};

// An object of `spans`.
std::string write_span(const span_record& from);

// Who sends the spans.
struct sender {
    std::string service;   // service.name
    std::string version;   // service.version, and that of the scope
    std::string instance;  // service.instance.id
};

// What a request's body has around its spans, which have commas between them.
struct envelope {
    std::string head;
    std::string tail;
};
envelope envelope_of(const sender& from);

// What becomes of a batch after an answer with this status.
enum class batch_fate : std::uint8_t {
    taken,      // some of it may be refused: partial_success
    try_again,  // 429, 502, 503 and 504
    refused,
};
batch_fate fate_of(unsigned status) noexcept;

// What the body of an answer with status 200 says was not taken.
struct partial_success {
    std::uint64_t rejected{0};  // spans
    std::string message{};      // the collector's words

    bool operator==(const partial_success&) const = default;
};
// Nothing, where it says nothing of that, or is no such JSON: the status counts.
partial_success read_partial_success(std::string_view body);
inline constexpr std::size_t most_answer_bytes = 16 * 1024;

// How long to wait before the next attempt. `failures`: in a row, at least one. What the collector asks for counts, and
// without it a second that is doubled each time; neither is more than `longest`. Of a pause of our own, half is left to
// `chance`, from 0 to 1, so that servers that lost their collector together do not come back together.
std::chrono::milliseconds pause_after(unsigned failures, std::chrono::milliseconds longest, double chance,
                                      std::optional<std::chrono::seconds> asked_for);

}  // namespace sandboxd::telemetry
