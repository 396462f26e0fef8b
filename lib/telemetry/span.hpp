// A span while it is made.
#pragma once

#include "telemetry/otlp.hpp"
#include "telemetry/trace_context.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

namespace sandboxd::telemetry {

// Who sends spans, as write_span() writes them.
class span_sender {
public:
    virtual ~span_sender() = default;
    // What has no room is dropped.
    virtual void take(std::string span) = 0;
    // One was not made, because too many are.
    virtual void refuse() noexcept = 0;
};

// Where spans go when they are over; and where their ids are from.
class span_sink {
public:
    virtual ~span_sink() = default;
    // A span as write_span() writes it.
    virtual void take(std::string span) = 0;
    // One that there was no memory for.
    virtual void lose() noexcept = 0;
    virtual span_id new_span_id() = 0;
    virtual std::chrono::steady_clock::time_point now() const = 0;
};

// The time of day of a trace's spans: that of its beginning here, and what the steady clock says since. A clock that is
// set meanwhile moves no span.
struct day_time {
    std::chrono::system_clock::time_point day;
    std::chrono::steady_clock::time_point steady;

    std::int64_t nanoseconds(std::chrono::steady_clock::time_point at) const noexcept
    {
        using std::chrono::duration_cast;
        using std::chrono::nanoseconds;
        return (duration_cast<nanoseconds>(day.time_since_epoch()) + duration_cast<nanoseconds>(at - steady)).count();
    }
};

// One that records nothing costs nothing: no id, no clock, no allocation. The sink must outlive the others.
class span {
public:
    using clock = std::chrono::steady_clock;

    // Records nothing.
    span() = default;
    // `parent` with `is_remote`: the sender's span. `began`: now, if it is left out.
    span(span_sink& to, const trace_id& trace, std::optional<span_id> parent, bool is_remote, day_time times,
         std::string name, span_kind kind, std::optional<clock::time_point> began = std::nullopt);
    span(span&& other) noexcept = default;
    span& operator=(span&& other) noexcept;
    // Ends it.
    ~span() { end(); }

    bool is_recorded() const noexcept { return its_ != nullptr; }

    // What a part of it that is done elsewhere is told. Only of one that is recorded.
    trace_context context() const noexcept;

    // A part of it. Nothing is recorded of a part of nothing. `name` is a literal.
    span child(std::string_view name, span_kind kind = span_kind::internal,
               std::optional<clock::time_point> began = std::nullopt) const;

    template <class Value>
    void set(std::string_view key, const Value& value)
    {
        if (!its_) return;
        if constexpr (std::is_same_v<Value, bool>)
            its_->attributes.add(key, value);
        else if constexpr (std::is_integral_v<Value>)
            its_->attributes.add(key, static_cast<std::int64_t>(value));
        else
            its_->attributes.add(key, std::string_view{value});
    }
    void rename(std::string name);
    // That of one that was made before its time.
    void begin_at(clock::time_point when) noexcept;
    // It is an error. `type`: why, one of few words (error.type).
    void fail(std::string_view type);

    // As its sink has it; of one that records nothing, never.
    clock::time_point now() const { return its_ ? its_->to.now() : clock::time_point{}; }

    // Hands it over; what is done with it afterwards is lost.
    void end(std::optional<clock::time_point> when = std::nullopt) noexcept;
    // Forgets it: it has not taken place.
    void drop() noexcept { its_.reset(); }

private:
    struct state {
        span_sink& to;
        day_time times;
        trace_id trace;
        span_id id;
        std::optional<span_id> parent;
        bool is_remote;
        std::string name;
        span_kind kind;
        clock::time_point began;
        attribute_list attributes{};
        bool has_failed{false};
    };
    std::unique_ptr<state> its_;
};

}  // namespace sandboxd::telemetry
