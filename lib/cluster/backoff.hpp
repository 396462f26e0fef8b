// How long to wait before the next attempt to connect. Pure: chance is given in.
#pragma once

#include <algorithm>
#include <chrono>

namespace sandboxd::cluster {

inline constexpr std::chrono::milliseconds shortest_backoff{100};

// After so many failures in a row, at least one: doubled each time, up to `most`; of that a half, and of the other half
// the part `chance`, from 0 to 1, so that servers that lost Redis together do not come back together.
inline std::chrono::milliseconds backoff(unsigned failures, std::chrono::milliseconds most, double chance)
{
    const auto doubled = shortest_backoff * (1u << std::min(failures > 0 ? failures - 1 : 0u, 20u));
    const auto whole = std::min(doubled, most);
    return whole / 2 + std::chrono::milliseconds{static_cast<std::int64_t>(static_cast<double>((whole / 2).count()) *
                                                                           std::clamp(chance, 0.0, 1.0))};
}

}  // namespace sandboxd::cluster
