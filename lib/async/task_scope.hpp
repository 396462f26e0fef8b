// A subset of a task_group's tasks that can be waited for. The tasks belong to the group as well, and the scope may
// be destroyed before they end.
#pragma once

#include "async/event.hpp"
#include "async/task_group.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <string_view>
#include <utility>

namespace sandboxd::async {

class task_scope {
public:
    task_scope(boost::asio::any_io_executor executor, task_group& all)
        : executor_{std::move(executor)}, all_{all}, state_{std::make_shared<state>()}
    {
    }
    task_scope(const task_scope&) = delete;
    task_scope& operator=(const task_scope&) = delete;

    // Like task_group::spawn. The task counts until it ends, however it ends.
    void spawn(std::string_view what, boost::asio::awaitable<void> task)
    {
        all_.spawn(what, counted(mark{state_}, std::move(task)));
    }

    std::size_t size() const noexcept { return state_->running; }

    // Waits until no task runs, but no longer than `patience`. Returns whether none does.
    boost::asio::awaitable<bool> wait_empty_for(std::chrono::steady_clock::duration patience)
    {
        const auto of = state_;
        if (of->running == 0) co_return true;
        event woken{executor_};
        struct seat {
            seat(std::list<event*>& in, event& mine) : list{in}, place{in.insert(in.end(), &mine)} {}
            ~seat() { list.erase(place); }
            seat(const seat&) = delete;
            seat& operator=(const seat&) = delete;
            std::list<event*>& list;
            std::list<event*>::iterator place;
        } const mine{of->waiting, woken};
        co_await woken.wait_for(patience);
        co_return of->running == 0;
    }

private:
    struct state {
        std::size_t running{0};
        std::list<event*> waiting;
    };

    class mark {
    public:
        explicit mark(std::shared_ptr<state> of) : of_{std::move(of)} { ++of_->running; }
        mark(mark&& other) noexcept = default;
        mark& operator=(mark&&) = delete;
        ~mark()
        {
            if (!of_ || --of_->running > 0) return;
            for (auto* const one : of_->waiting) one->set();
        }

    private:
        std::shared_ptr<state> of_;
    };

    static boost::asio::awaitable<void> counted(mark, boost::asio::awaitable<void> task) { co_await std::move(task); }

    boost::asio::any_io_executor executor_;
    task_group& all_;
    std::shared_ptr<state> state_;
};

}  // namespace sandboxd::async
