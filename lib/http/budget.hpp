// A limit for the bytes that the server keeps for all clients together: incomplete requests, unsent answers. The
// limits of a request bound what one client costs; this bounds the sum.
#pragma once

#include <cassert>
#include <cstddef>

namespace sandboxd::http {

class budget {
public:
    explicit budget(std::size_t most) noexcept : most_{most} {}

    bool fits(std::size_t bytes) const noexcept { return bytes <= most_ && held_ <= most_ - bytes; }
    // Call only if `bytes` fits.
    void take(std::size_t bytes) noexcept
    {
        assert(fits(bytes));
        held_ += bytes;
    }
    void give(std::size_t bytes) noexcept
    {
        assert(bytes <= held_);
        held_ -= bytes;
    }
    std::size_t held() const noexcept { return held_; }

private:
    std::size_t most_;
    std::size_t held_{0};
};

}  // namespace sandboxd::http
