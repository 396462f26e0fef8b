// Every coroutine that is not awaited where it starts belongs to a task_group. The group logs its exceptions, and
// shutdown can wait until all tasks are done.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstddef>
#include <string_view>

namespace sandboxd::async {

class task_group {
public:
    explicit task_group(boost::asio::any_io_executor executor);
    // All tasks must be done by now.
    ~task_group();
    task_group(const task_group&) = delete;
    task_group& operator=(const task_group&) = delete;

    // Starts a task; its first step runs from the io_context, not from here. `what` names it in the log
    // and must be a literal. The task may outlive whoever started it, never the group.
    void spawn(std::string_view what, boost::asio::awaitable<void> task);

    std::size_t size() const noexcept { return running_; }

    // Returns when no task is running.
    boost::asio::awaitable<void> wait_empty();

private:
    boost::asio::any_io_executor executor_;
    std::size_t running_{0};
    boost::asio::steady_timer emptied_;
};

}  // namespace sandboxd::async
