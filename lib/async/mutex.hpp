// One coroutine at a time, in the order in which they came.
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

    // Its turn; over when this goes. Must not outlive the mutex.
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
        // Whatever ends the wait, nobody may call on a seat that is empty.
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
