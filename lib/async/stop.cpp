#include "async/stop.hpp"

namespace sandboxd::async {

bool stop_source::request(errc cause)
{
    if (cause_) return false;
    cause_ = cause;
    // A callback may destroy itself or a later one: take the next step only from the list as it is now.
    // Callbacks that were called stay in the list, emptied, until their owner goes.
    for (auto place = callbacks_.begin(); place != callbacks_.end();) {
        if (!*place) {
            ++place;
            continue;
        }
        const auto action = std::move(*place);
        *place = nullptr;
        action(cause);
        place = callbacks_.begin();
    }
    return true;
}

stop_callback::stop_callback(stop_source& source, std::function<void(errc)> action) : source_{source}
{
    if (source.cause_) {
        action(*source.cause_);
        action = nullptr;
    }
    place_ = source_.callbacks_.insert(source_.callbacks_.end(), std::move(action));
}

stop_callback::~stop_callback() { source_.callbacks_.erase(place_); }

}  // namespace sandboxd::async
