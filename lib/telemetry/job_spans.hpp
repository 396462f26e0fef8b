// The spans of a request's job: it waits for its turn ("queue"), its jail is built ("jail", where that is known), it
// runs.
#pragma once

#include "telemetry/tracer.hpp"

#include <chrono>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::telemetry {

class job_spans {
public:
    using clock = span::clock;

    // It waits from now on. `name`: what its run is called, a literal.
    job_spans(const http::exchange& x, std::string_view name);
    job_spans(const job_spans&) = delete;
    job_spans& operator=(const job_spans&) = delete;
    // What has begun ends now.
    ~job_spans();

    bool are_recorded() const noexcept { return run_.is_recorded(); }
    // Has an id before it has begun.
    span& run() noexcept { return run_; }

    // Its turn has come. Only the first call counts.
    void start();
    // Until then its jail was being built.
    void begin_at(std::optional<clock::time_point> begun);
    // How long its steps took, one after another from its start: when each of them began is not known. The names are
    // literals.
    void add_steps(const std::vector<std::pair<std::string_view, std::chrono::microseconds>>& steps);
    void fail(std::string_view code);
    // There was nothing to do.
    void drop() noexcept;

private:
    const http::exchange& x_;
    span queue_;
    span run_;
    std::optional<clock::time_point> started_;
};

}  // namespace sandboxd::telemetry
