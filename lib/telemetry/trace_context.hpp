// W3C Trace Context, level 1 (https://www.w3.org/TR/trace-context-1/): the trace that a request belongs to, and which
// part of it sends the request. Pure.
//
// Both fields come from strangers. A `traceparent` that is not exactly as the specification says is none, and with it
// its `tracestate`; a `tracestate` that is not valid is left out, and is bounded.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sandboxd::telemetry {

// Lower-case hexadecimal digits, not all of them zero.
using trace_id = std::array<char, 32>;
using span_id = std::array<char, 16>;

template <std::size_t digits>
constexpr std::string_view text_of(const std::array<char, digits>& id) noexcept
{
    return {id.data(), id.size()};
}

struct trace_context {
    trace_id trace{};
    span_id span{};       // of the sender
    bool sampled{false};  // it may have recorded its part

    bool operator==(const trace_context&) const = default;
};

inline constexpr std::size_t traceparent_bytes = 55;

// The value of a `traceparent` field; nullopt: it is not valid, and a new trace begins. Of a version that is not known
// yet, the known part counts, and what comes behind it after a dash does not.
std::optional<trace_context> read_traceparent(std::string_view value) noexcept;

// The same in version 00, with no flag but `sampled`: `traceparent_bytes` long.
std::string write_traceparent(const trace_context& from);

// What is passed on of a `tracestate`: entries, each of them whole, of at most so many bytes together. Where there are
// more, first those of more than 128 bytes are left out, then those at the end.
inline constexpr std::size_t most_tracestate_bytes = 512;
inline constexpr std::size_t most_tracestate_members = 32;

// The values of all `tracestate` fields of a request, in their order, as the value of one; empty where there is
// nothing, or where anything of it is not valid.
std::string read_tracestate(std::span<const std::string_view> values);

}  // namespace sandboxd::telemetry
