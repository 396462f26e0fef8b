// How many spans a second are recorded, whatever the callers ask for. Pure: time is given in.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace sandboxd::telemetry {

// A bucket that holds what may be spent in one second. Each span is paid for when it begins. It may be overdrawn: a
// request that was let in records all of its spans, and later ones pay for them, so that traces are whole and the rate
// is kept on the average.
class span_budget {
public:
    using clock = std::chrono::steady_clock;

    explicit span_budget(std::uint64_t a_second) noexcept : most_{static_cast<double>(a_second)}, left_{most_} {}

    // Whether a request that begins now may record spans.
    bool admit(clock::time_point now) noexcept
    {
        const auto passed = std::chrono::duration<double>(now - last_).count();
        if (passed > 0) {
            left_ = std::min(most_, left_ + passed * most_);
            last_ = now;
        }
        return left_ >= 1;
    }

    void spend() noexcept { left_ -= 1; }

private:
    double most_;
    double left_;
    clock::time_point last_{};
};

}  // namespace sandboxd::telemetry
