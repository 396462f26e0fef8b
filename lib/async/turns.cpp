#include "async/turns.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <time.h>

#include <algorithm>
#include <utility>

namespace sandboxd::async {

namespace {

// Walks under way, all on the one thread.
std::uint64_t& walks()
{
    static std::uint64_t count = 0;
    return count;
}

}  // namespace

turns::turns(std::function<clock::time_point()> now) : now_{std::move(now)}, began_{now_()} { ++walks(); }

turns::turns(metered_t, std::function<clock::time_point()> now, std::function<clock::duration()> used)
    : turns{std::move(now)}
{
    used_ = std::move(used);
    used_at_begin_ = used_();
}

turns::~turns() { --walks(); }

bool turns::over()
{
    most_ = std::max(most_, ++entries_);
    const auto part = std::max(least, whole / static_cast<clock::rep>(walks()));
    return now_() - began_ >= part;
}

boost::asio::awaitable<void> turns::rest()
{
    spent_ += now_() - began_;
    if (used_) used_in_turns_ += used_() - used_at_begin_;
    ++taken_;
    entries_ = 0;
    co_await boost::asio::post(boost::asio::use_awaitable);
    began_ = now_();
    if (used_) used_at_begin_ = used_();
}

turns::clock::duration turns::pause(int parts) const
{
    const auto spent = spent_ + (now_() - began_);
    const auto used = used_in_turns_ + (used_() - used_at_begin_);
    return std::max(parts * used, std::min(parts * spent, longest_for_waits));
}

turns::clock::duration turns::used_by_thread()
{
    timespec at{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
    return std::chrono::seconds{at.tv_sec} + std::chrono::nanoseconds{at.tv_nsec};
}

}  // namespace sandboxd::async
