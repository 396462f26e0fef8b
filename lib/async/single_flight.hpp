// Callers who ask for the same work at the same time share it: the first starts it, the others join, and all get the
// same result. Work that can be stopped ends early only when the last of them has left (join); work that cannot goes on
// without them, and whoever comes meanwhile joins it again (join_to_the_end).
#pragma once

#include "async/event.hpp"
#include "async/stop.hpp"
#include "async/task_group.hpp"

#include <boost/asio/awaitable.hpp>

#include <exception>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace sandboxd::async {

template <class T>
class single_flight {
public:
    // The work. The stop_source ends it early, and lives as long as the work.
    using work = std::function<boost::asio::awaitable<T>(stop_source&)>;
    // Work that ends by itself, in bounded time.
    using whole_work = std::function<boost::asio::awaitable<T>()>;

    explicit single_flight(task_group& tasks, boost::asio::any_io_executor executor)
        : tasks_{tasks}, executor_{std::move(executor)}
    {
    }

    // Joins the flight of that key, or starts it. Returns null when `stop` was requested before the result was there:
    // the caller no longer counts, and the work ends with the same cause if nobody else waits. This last one returns
    // when the work has ended: then nothing of it is left. An exception of the work reaches every caller; when all have
    // left, it is logged.
    boost::asio::awaitable<std::shared_ptr<const T>> join(std::string key, stop_source& stop, work start)
    {
        return board(std::move(key), stop, std::move(start), true);
    }

    // The same for work that nothing ends early: null when `stop` was requested before the result was there, at once.
    // The work goes on, and until it has ended there is no second of that key.
    boost::asio::awaitable<std::shared_ptr<const T>> join_to_the_end(std::string key, stop_source& stop,
                                                                     whole_work start)
    {
        return board(std::move(key), stop, [start = std::move(start)](stop_source&) { return start(); }, false);
    }

    // Whether a call with this key would join a flight rather than start one.
    bool under_way(const std::string& key) const { return flights_.contains(key); }

private:
    struct flight {
        explicit flight(const boost::asio::any_io_executor& executor) : ended{executor} {}
        event ended;
        stop_source stop;
        std::list<event*> waiting;
        std::optional<T> value;
        std::exception_ptr thrown;
    };

    boost::asio::awaitable<std::shared_ptr<const T>> board(std::string key, stop_source& stop, work start,
                                                           bool can_be_stopped)
    {
        const auto [place, first] = flights_.try_emplace(key);
        if (first) place->second = std::make_shared<flight>(executor_);
        const auto mine = place->second;
        event woken{executor_};
        const auto seat = mine->waiting.insert(mine->waiting.end(), &woken);
        // Seated before the start: work that never suspends (it fails at once) is over when spawn returns.
        if (first) tasks_.spawn("flight", fly(key, mine, std::move(start)));
        {
            const stop_callback on_stop{stop, [&woken](errc) { woken.set(); }};
            co_await woken.wait();
        }
        mine->waiting.erase(seat);
        if (mine->thrown) std::rethrow_exception(mine->thrown);
        if (mine->value) co_return std::shared_ptr<const T>{mine, &*mine->value};
        if (can_be_stopped && mine->waiting.empty()) {
            forget(key, mine);  // later callers start anew instead of joining work that is being killed
            mine->stop.request(stop.cause());
            co_await mine->ended.wait();
        }
        co_return nullptr;
    }

    void forget(const std::string& key, const std::shared_ptr<flight>& which)
    {
        const auto place = flights_.find(key);
        if (place != flights_.end() && place->second == which) flights_.erase(place);
    }

    boost::asio::awaitable<void> fly(std::string key, std::shared_ptr<flight> mine, work start)
    {
        try {
            mine->value = co_await start(mine->stop);
        } catch (...) {
            mine->thrown = std::current_exception();
        }
        forget(key, mine);
        mine->ended.set();
        for (auto* one : mine->waiting) one->set();
        // Nobody is left to hear of it: let the group log it.
        if (mine->thrown && mine->waiting.empty()) std::rethrow_exception(mine->thrown);
    }

    task_group& tasks_;
    boost::asio::any_io_executor executor_;
    std::map<std::string, std::shared_ptr<flight>> flights_;
};

}  // namespace sandboxd::async
