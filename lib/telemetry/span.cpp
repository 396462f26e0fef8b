#include "telemetry/span.hpp"

#include <exception>
#include <utility>

namespace sandboxd::telemetry {

span::span(span_sink& to, const trace_id& trace, std::optional<span_id> parent, bool is_remote, day_time times,
           std::string name, span_kind kind, std::optional<clock::time_point> began)
    : its_{std::make_unique<state>(to, times, trace, to.new_span_id(), parent, is_remote, std::move(name), kind,
                                   began ? *began : to.now())}
{
}

span& span::operator=(span&& other) noexcept
{
    if (this == &other) return *this;
    end();
    its_ = std::move(other.its_);
    return *this;
}

trace_context span::context() const noexcept
{
    if (!its_) return {};
    return {.trace = its_->trace, .span = its_->id, .sampled = true};
}

span span::child(std::string_view name, span_kind kind, std::optional<clock::time_point> began) const
{
    if (!its_) return {};
    return {its_->to, its_->trace, its_->id, false, its_->times, std::string{name}, kind, began};
}

void span::rename(std::string name)
{
    if (its_) its_->name = std::move(name);
}

void span::begin_at(clock::time_point when) noexcept
{
    if (its_) its_->began = when;
}

void span::fail(std::string_view type)
{
    // Why it failed first is why it failed.
    if (!its_ || its_->has_failed) return;
    its_->has_failed = true;
    its_->attributes.add("error.type", type);
}

void span::end(std::optional<clock::time_point> when) noexcept
{
    const auto mine = std::exchange(its_, nullptr);
    if (!mine) return;
    try {
        mine->to.take(write_span({.trace = mine->trace,
                                  .span = mine->id,
                                  .parent = mine->parent,
                                  .is_parent_remote = mine->is_remote,
                                  .name = mine->name,
                                  .kind = mine->kind,
                                  .began_ns = mine->times.nanoseconds(mine->began),
                                  .ended_ns = mine->times.nanoseconds(when ? *when : mine->to.now()),
                                  .attributes = mine->attributes.text(),
                                  .has_failed = mine->has_failed}));
    } catch (const std::exception&) {
        mine->to.lose();  // what it tells of goes on
    }
}

}  // namespace sandboxd::telemetry
