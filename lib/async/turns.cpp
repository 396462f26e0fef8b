#include "async/turns.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

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
    ++taken_;
    entries_ = 0;
    co_await boost::asio::post(boost::asio::use_awaitable);
    began_ = now_();
}

turns::clock::duration turns::spent() const { return spent_ + (now_() - began_); }

}  // namespace sandboxd::async
