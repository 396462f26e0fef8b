// Jobs that callers share: who asks for the same work at the same time joins one job (single_flight), which waits at a
// gate for all of them (party).
#pragma once

#include "admission/party.hpp"
#include "async/single_flight.hpp"
#include "async/stop.hpp"
#include "async/task_group.hpp"
#include "base/client_key.hpp"

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

namespace sandboxd::admission {

// T: a result<…>.
template <class T>
class shared_jobs {
public:
    // Acquires the gate's permit for these callers first. The stop_source ends it early.
    using work = std::function<boost::asio::awaitable<T>(std::shared_ptr<party>, async::stop_source&)>;

    shared_jobs(async::task_group& tasks, boost::asio::any_io_executor executor) : flights_{tasks, std::move(executor)}
    {
    }

    // Joins the job of that key, or starts it. Errors: those of the work; queue_timeout, when this caller has waited in
    // line for that long; the cause of `stop`. `queued`: see party.
    boost::asio::awaitable<T> run(std::string key, client_key client, async::stop_source& stop, work start,
                                  std::function<void(std::size_t)> queued = {})
    {
        // The gate ends this caller's wait, which must not look like the end of its request.
        async::stop_source mine;
        const async::stop_callback chain{stop, [&mine](errc cause) { mine.request(cause); }};
        if (!flights_.under_way(key)) parties_[key] = std::make_shared<party>();
        const membership here{*this, key, parties_.at(key), client, mine, std::move(queued)};
        auto fly = [callers = here.of, begin = std::move(start)](async::stop_source& flight) {
            return begin(callers, flight);
        };
        const auto shared = co_await flights_.join(std::move(key), mine, std::move(fly));
        if (!shared) co_return make_error(mine.cause());
        co_return *shared;
    }

    bool under_way(const std::string& key) const { return flights_.under_way(key); }

private:
    struct membership {
        membership(shared_jobs& in, std::string of_key, std::shared_ptr<party> with, const client_key& client,
                   async::stop_source& stop, std::function<void(std::size_t)> queued)
            : all{in}, key{std::move(of_key)}, of{std::move(with)}, place{of->join(client, stop, std::move(queued))}
        {
        }
        ~membership()
        {
            of->leave(place);
            // Another job may have this key by now.
            if (!all.flights_.under_way(key)) all.parties_.erase(key);
        }
        membership(const membership&) = delete;
        membership& operator=(const membership&) = delete;

        shared_jobs& all;
        std::string key;
        std::shared_ptr<party> of;
        party::place place;
    };

    async::single_flight<T> flights_;
    std::map<std::string, std::shared_ptr<party>> parties_;
};

}  // namespace sandboxd::admission
