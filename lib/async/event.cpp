#include "async/event.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace sandboxd::async {

namespace asio = boost::asio;

event::event(const asio::any_io_executor& executor) : timer_{executor, asio::steady_timer::time_point::max()} {}

void event::set()
{
    set_ = true;
    timer_.cancel();
    for (auto& one : patient_) one.cancel();
}

asio::awaitable<void> event::wait()
{
    while (!set_) {
        boost::system::error_code ignored;  // the timer ends only by cancellation: that is the wake-up
        co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
}

asio::awaitable<bool> event::wait_for(std::chrono::steady_clock::duration patience)
{
    if (set_) co_return true;
    const auto mine = patient_.emplace(patient_.end(), timer_.get_executor(), patience);
    boost::system::error_code ignored;  // cancelled: set; expired: look
    co_await mine->async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    patient_.erase(mine);
    co_return set_;
}

}  // namespace sandboxd::async
