#include "admission/party.hpp"

#include "admission/gate.hpp"

#include <utility>

namespace sandboxd::admission {

party::place party::join(const client_key& client, async::stop_source& stop, std::function<void(std::size_t)> queued)
{
    const auto mine =
        callers_.insert(callers_.end(), caller{client, gate_model::time_point::clock::now(), stop, std::move(queued)});
    if (++clients_[client] == 1 && seat_) at_->share(*seat_, client);
    return mine;
}

void party::leave(place which)
{
    const auto client = which->client;
    callers_.erase(which);
    const auto of = clients_.find(client);
    if (--of->second > 0) return;
    // The last one stays for as long as the job does, which ends now.
    if (clients_.size() == 1) return;
    clients_.erase(of);
    if (seat_) {
        at_->stop_sharing(*seat_, client);
    } else if (at_ && counted_ == client) {
        counted_ = clients_.begin()->first;
        at_->hand_over(client, counted_);
    }
}

void party::tell_ahead(std::size_t ahead)
{
    for (auto& one : callers_) {
        if (!one.queued || one.told == ahead) continue;
        one.told = ahead;
        one.queued(ahead);
    }
}

void party::tell_late(gate_model::time_point now, gate_model::time_point::duration most)
{
    for (const auto& one : callers_) {
        if (now - one.since < most) return;
        one.stop.request(errc::queue_timeout);
    }
}

}  // namespace sandboxd::admission
