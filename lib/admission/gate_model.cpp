#include "admission/gate_model.hpp"

namespace sandboxd::admission {

bool gate_model::fits(const memory_reading& memory, const client_key& client) const
{
    const auto most = limits_.max_running + (line_.running(client) == 0 ? limits_.max_reserved : 0);
    if (limits_.max_running > 0 && running() >= most) return false;
    return !memory.max || memory.current + reserved_bytes() + limits_.estimate_bytes <= *memory.max;
}

std::optional<gate_model::ticket> gate_model::arrive(std::optional<time_point> now, const memory_reading& memory,
                                                     const client_key& client)
{
    const bool starts_now = line_.would_be_next(client) && fits(memory, client);
    const auto joined = line_.join(client, starts_now);
    if (!joined) return std::nullopt;
    if (joined->gave_way) {
        since_.erase(*joined->gave_way);
        gave_way_.push_back(*joined->gave_way);
    }
    if (now) since_.emplace(joined->mine, *now);
    return joined->mine;
}

std::vector<gate_model::decision> gate_model::poll(time_point now, const memory_reading& memory)
{
    std::vector<decision> decisions;
    for (const auto whose : gave_way_) decisions.push_back({.whose = whose, .what = fate::gave_way});
    gave_way_.clear();
    for (auto next = line_.next(); next && fits(memory, next->client); next = line_.next()) {
        decisions.push_back({next->whose, fate::admitted, next->client});
        line_.take(*next);
        since_.erase(next->whose);
    }
    while (!since_.empty() && now - since_.begin()->second >= limits_.queue_timeout) {
        const auto oldest = since_.begin()->first;
        decisions.push_back({.whose = oldest, .what = fate::timed_out});
        line_.leave(oldest);
        since_.erase(oldest);
    }
    return decisions;
}

bool gate_model::leave(ticket whose)
{
    since_.erase(whose);
    return line_.leave(whose);
}

void gate_model::release(const client_key& client) { line_.end(client); }

}  // namespace sandboxd::admission
