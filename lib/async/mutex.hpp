// One coroutine at a time, in order of arrival.
#pragma once

#include "async/event.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <list>
#include <utility>

namespace sandboxd::async {

class mutex {
public:
    explicit mutex(boost::asio::any_io_executor executor) : executor_{std::move(executor)} {}
    mutex(const mutex&) = delete;
    mutex& operator=(const mutex&) = delete;

    // Ownership of the mutex, released on destruction. Must not outlive the mutex.
    class hold {
    public:
        hold(hold&& other) noexcept : of_{std::exchange(other.of_, nullptr)} {}
        hold& operator=(hold&&) = delete;
        ~hold()
        {
            if (of_) of_->release();
        }

    private:
        friend class mutex;
        explicit hold(mutex& of) : of_{&of} {}
        mutex* of_;
    };

    boost::asio::awaitable<hold> lock()
    {
        if (!std::exchange(held_, true)) co_return hold{*this};
        event mine{executor_};
        const auto seat = waiting_.insert(waiting_.end(), &mine);
        // However the wait ends, the seat leaves the queue, so that nobody wakes an absent waiter.
        struct leave {
            ~leave()
            {
                if (!own.is_set()) list.erase(place);
            }
            std::list<event*>& list;
            std::list<event*>::iterator place;
            event& own;
        } const at_end{waiting_, seat, mine};
        co_await mine.wait();
        co_return hold{*this};
    }

private:
    void release()
    {
        if (waiting_.empty()) {
            held_ = false;
            return;
        }
        auto* const next = waiting_.front();
        waiting_.pop_front();
        next->set();
    }

    boost::asio::any_io_executor executor_;
    std::list<event*> waiting_;
    bool held_{false};
};

}  // namespace sandboxd::async
