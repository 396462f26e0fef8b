// For what strangers can cause as often as they like, and the log needs now and then alone. Metrics count all of it.
#pragma once

#include <chrono>

namespace sandboxd {

class seldom {
public:
    // True for the first time, and then once in ten seconds at most.
    bool again() noexcept
    {
        const auto now = std::chrono::steady_clock::now();
        if (now < next_) return false;
        next_ = now + std::chrono::seconds{10};
        return true;
    }

private:
    std::chrono::steady_clock::time_point next_{};
};

}  // namespace sandboxd
