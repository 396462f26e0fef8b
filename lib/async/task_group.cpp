#include "async/task_group.hpp"

#include "base/log.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cassert>
#include <exception>

namespace sandboxd::async {

namespace asio = boost::asio;

task_group::task_group(asio::any_io_executor executor)
    : executor_{std::move(executor)}, emptied_{executor_, asio::steady_timer::time_point::max()}
{
}

task_group::~task_group() { assert(running_ == 0); }

void task_group::spawn(std::string_view what, asio::awaitable<void> task)
{
    ++running_;
    asio::co_spawn(executor_, std::move(task), [this, what](std::exception_ptr thrown) {
        --running_;
        if (running_ == 0) emptied_.cancel();
        if (!thrown) return;
        try {
            std::rethrow_exception(thrown);
        } catch (const std::exception& e) {
            log::error("a task ended with an exception", {{"task", what}, {"exception", e.what()}});
        } catch (...) {  // escaping from here it would end the loop
            log::error("a task ended with an exception", {{"task", what}, {"exception", "of an unknown type"}});
        }
    });
}

asio::awaitable<void> task_group::wait_empty()
{
    while (running_ > 0) {
        boost::system::error_code ignored;  // ends only by the cancellation in spawn's completion
        co_await emptied_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
}

}  // namespace sandboxd::async
