// The callers that one job is for. They come while it waits and while it runs, and go when they no longer want it.
//
// While the job waits in a gate's line, it is in line for the client of each caller. While it runs, it counts for one
// of them: where that one's last caller goes, for another. Each caller waits in line no longer than the gate's queue
// timeout: then its stop_source is told so.
#pragma once

#include "admission/gate_model.hpp"
#include "async/stop.hpp"
#include "base/client_key.hpp"

#include <cstddef>
#include <functional>
#include <list>
#include <map>
#include <optional>

namespace sandboxd::admission {

class gate;

class party {
    struct caller {
        client_key client;
        gate_model::time_point since;
        async::stop_source& stop;
        std::function<void(std::size_t)> queued;
        std::optional<std::size_t> told{};
    };

public:
    using place = std::list<caller>::iterator;

    party() = default;
    party(const party&) = delete;
    party& operator=(const party&) = delete;

    // `stop` must outlive the place. `queued` may be empty; while the job waits, it hears how many are ahead, at first
    // and when that has changed (the gate looks every 200 ms).
    place join(const client_key& client, async::stop_source& stop, std::function<void(std::size_t)> queued = {});
    void leave(place which);

private:
    friend class gate;
    friend class permit;

    void tell_ahead(std::size_t ahead);
    void tell_late(gate_model::time_point now, gate_model::time_point::duration most);

    std::list<caller> callers_;  // in order of arrival
    std::map<client_key, std::size_t> clients_;
    gate* at_{nullptr};                       // where it waits or runs
    std::optional<gate_model::ticket> seat_;  // while it waits
    client_key counted_{};                    // while it runs: the client for whom
};

}  // namespace sandboxd::admission
