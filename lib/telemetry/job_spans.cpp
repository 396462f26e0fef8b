#include "telemetry/job_spans.hpp"

#include <algorithm>

namespace sandboxd::telemetry {

job_spans::job_spans(const http::exchange& x, std::string_view name)
    : x_{x}, queue_{child_of(x, "queue")}, run_{child_of(x, name)}
{
}

job_spans::~job_spans()
{
    if (!started_) run_.drop();
}

void job_spans::start()
{
    if (started_ || !are_recorded()) return;
    started_ = run_.now();
    queue_.end(started_);
    run_.begin_at(*started_);
}

void job_spans::begin_at(std::optional<clock::time_point> begun)
{
    if (!begun || !started_) return;
    const auto until = std::clamp(*begun, *started_, std::max(*started_, run_.now()));
    if (auto* const its = of(x_)) its->root().child("jail", span_kind::internal, started_).end(until);
    run_.begin_at(until);
}

void job_spans::add_steps(const std::vector<std::pair<std::string_view, std::chrono::microseconds>>& steps)
{
    if (!started_) return;
    auto at = *started_;
    for (const auto& [name, spent] : steps) {
        run_.child(name, span_kind::internal, at).end(at + spent);
        at += spent;
    }
}

void job_spans::fail(std::string_view code) { (started_ ? run_ : queue_).fail(code); }

void job_spans::drop() noexcept
{
    queue_.drop();
    run_.drop();
}

}  // namespace sandboxd::telemetry
