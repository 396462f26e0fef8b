// Which requests are recorded, and what is kept of one while it is answered.
//
// A request belongs to the trace that its `traceparent` names, or begins one. It is recorded if its caller has the say
// and wants it (the flag `sampled`), or else if chance wants it; and if there is room in the budget of spans. Where one
// server of a fleet asks another one for the answer, the first one has decided for both.
#pragma once

#include "http/exchange.hpp"
#include "http/server_state.hpp"
#include "telemetry/span.hpp"
#include "telemetry/span_budget.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::telemetry {

// Whose flag `sampled` counts: nobody's; that of those who have a key of this server; everybody's.
enum class flag_trust : std::uint8_t { nobody, keys, everybody };

struct tracer_settings {
    double sample_ratio{1.0};            // telemetry.sampleRatio: of those whose flag does not count
    flag_trust trust{flag_trust::keys};  // telemetry.trustTraceparent
    std::uint64_t spans_per_sec{500};    // telemetry.maxSpansPerSec
    // So many random bytes, in hexadecimal; empty: sandboxd::random_hex. Another one for tests, as are the clocks.
    std::function<std::string(std::size_t)> random{};
    std::function<std::chrono::steady_clock::time_point()> steady{};
    std::function<std::chrono::system_clock::time_point()> day{};
};

// What somebody else is told, so that his part belongs to the trace.
struct propagation {
    std::string traceparent;
    std::string tracestate{};  // empty: none
};

// What is kept of a request, or of a part of it that has no connection (http::exchange).
class traced_request final : public http::request_trace {
public:
    // `given`: what its caller said.
    traced_request(trace_context mine, std::optional<trace_context> given, span root) noexcept
        : mine_{mine}, given_{given}, root_{std::move(root)}
    {
    }

    bool is_recorded() const noexcept { return root_.is_recorded(); }
    // Of the whole; its parts are its children.
    span& root() noexcept { return root_; }
    const std::optional<trace_context>& given() const noexcept { return given_; }
    // The trace, and the sender of what is asked for in the request's name where nothing is recorded.
    const trace_context& context() const noexcept { return mine_; }

    // The stable name of the error that it ended with, a literal.
    void fail(std::string_view code) noexcept { code_ = code; }
    std::string_view code() const noexcept { return code_; }

    // A request without a connection that does a part of this one's work.
    std::unique_ptr<traced_request> part(std::string_view name) const;

private:
    trace_context mine_;
    std::optional<trace_context> given_;
    span root_;
    std::string_view code_{};
};

class tracer final : public span_sink {
public:
    // `to` must outlive it, and it the requests.
    tracer(tracer_settings how, span_sender& to);
    ~tracer() override = default;

    flag_trust trust() const noexcept { return settings_.trust; }

    // A request has begun. `is_wanted`: what somebody says whose word counts; nullopt: chance decides.
    std::unique_ptr<traced_request> begin(const std::optional<trace_context>& given, std::optional<bool> is_wanted);

    void take(std::string span) override;
    void lose() noexcept override { to_.refuse(); }
    span_id new_span_id() override;
    std::chrono::steady_clock::time_point now() const override;

private:
    std::string random(std::size_t bytes) const;
    bool is_chosen(std::string_view digits) const noexcept;

    tracer_settings settings_;
    span_sender& to_;
    span_budget budget_;
};

// ---- Of a request, with and without a tracer.

// The context that its fields name; nullopt: none, or more than one.
std::optional<trace_context> given_context(const http::exchange& x) noexcept;

// http.request.method: those of RFC 9110 and PATCH; all others, and that of a header that was refused, are `_OTHER`.
std::string_view method_of(const http::exchange& x) noexcept;
// What a span of a request with this method is called.
std::string_view name_of(std::string_view method) noexcept;

// Null: there is no tracer.
traced_request* of(const http::exchange& x) noexcept;

// A part of the request that begins now; it records nothing where the request does not. `name` is a literal.
span child_of(const http::exchange& x, std::string_view name, span_kind kind = span_kind::internal);

// What `child`, or else the request, tells somebody who speaks HTTP, instead of what its own fields say. Nullopt: its
// fields are passed on as they are.
std::optional<propagation> passed_on(const http::exchange& x, const span& child);

// ---- Between servers of a fleet: whether a request is recorded.
//
// The flag in `traceparent` cannot say that: of a request that is not recorded, it is the client's, and goes on as it
// came. So a field of its own says it. It counts from servers of the fleet alone, which pass on no client's
// X-Forwarded-*.

inline constexpr std::string_view sampling_field = "X-Forwarded-Sampled";

// The field's value for another server: "1", "0"; empty: there is no tracer here, and the other one decides.
std::string_view sampling_of(const http::exchange& x) noexcept;

// What another server has decided; nullopt: nothing, or the request is a client's.
std::optional<bool> decided_before(const http::exchange& x) noexcept;

// The value of `traceparent` for a program that is run by `child`; empty: the request has none, and there is no tracer.
std::string traceparent_of(const http::exchange& x, const span& child);

// Has `part`, which is a request without a connection, record what it does of the work of `whole`. `name` is a literal.
void begin_part(const http::exchange& whole, http::exchange& part, std::string_view name);
void end_part(const http::exchange& part);

// It, or the part of it that `x` is, has failed. `code`: the stable name of the error, a literal; empty: it has not.
void fail(const http::exchange& x, std::string_view code) noexcept;

// The request was answered: names its span and ends it.
void end(const http::completed& done) noexcept;

}  // namespace sandboxd::telemetry
