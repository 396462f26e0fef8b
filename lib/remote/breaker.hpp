// Whether to ask a service that has failed lately. After so many failures in a row nobody asks for a while; then one
// may try, and its success lets all others again. Pure: time is given in.
#pragma once

#include <chrono>

namespace sandboxd::remote {

class breaker {
public:
    using clock = std::chrono::steady_clock;

    // Neither is zero.
    breaker(unsigned failures, clock::duration pause) : most_{failures}, pause_{pause} {}

    // Whether to ask now. While it is open, true once in each pause: to the one who tries, and must tell how it went.
    bool allows(clock::time_point now) noexcept
    {
        if (!is_open()) return true;
        if (now < next_) return false;
        next_ = now + pause_;
        return true;
    }

    void succeeded() noexcept { in_a_row_ = 0; }

    void failed(clock::time_point now) noexcept
    {
        if (in_a_row_ < most_) ++in_a_row_;
        if (is_open()) next_ = now + pause_;
    }

    bool is_open() const noexcept { return in_a_row_ >= most_; }

    // How long until the next try; zero: ask.
    clock::duration wait(clock::time_point now) const noexcept
    {
        return is_open() && now < next_ ? next_ - now : clock::duration::zero();
    }

private:
    unsigned most_;
    clock::duration pause_;
    unsigned in_a_row_{0};
    clock::time_point next_{};
};

}  // namespace sandboxd::remote
