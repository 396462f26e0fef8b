#include "admission/gate_model.hpp"

#include <algorithm>

namespace sandboxd::admission {

bool gate_model::fits(const memory_reading& memory) const
{
    if (limits_.max_running > 0 && running_ >= limits_.max_running) return false;
    return !memory.max || memory.current + reserved_bytes() + limits_.estimate_bytes <= *memory.max;
}

std::optional<gate_model::ticket> gate_model::arrive(time_point now, const memory_reading& memory)
{
    const bool starts_now = queue_.empty() && fits(memory);
    if (!starts_now && queue_.size() >= limits_.max_queued) return std::nullopt;
    queue_.push_back({next_, now});
    return next_++;
}

std::vector<gate_model::decision> gate_model::poll(time_point now, const memory_reading& memory)
{
    std::vector<decision> decisions;
    while (!queue_.empty() && fits(memory)) {
        decisions.push_back({queue_.front().whose, true});
        queue_.pop_front();
        ++running_;
    }
    while (!queue_.empty() && now - queue_.front().since >= limits_.queue_timeout) {
        decisions.push_back({queue_.front().whose, false});
        queue_.pop_front();
    }
    return decisions;
}

bool gate_model::leave(ticket whose)
{
    const auto place =
        std::find_if(queue_.begin(), queue_.end(), [whose](const waiting& one) { return one.whose == whose; });
    if (place == queue_.end()) return false;
    queue_.erase(place);
    return true;
}

void gate_model::release() { --running_; }

}  // namespace sandboxd::admission
