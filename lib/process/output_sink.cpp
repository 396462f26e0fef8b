#include "process/output_sink.hpp"

namespace sandboxd::process {

boost::asio::awaitable<void> output_sink::take(output_stream which, std::string_view piece)
{
    const auto kept = piece.substr(0, room_bytes_);
    room_bytes_ -= kept.size();
    if (!taker_)
        (which == output_stream::out ? into_.out : into_.err) += kept;
    else if (!kept.empty())
        co_await taker_->take(which, kept);
    if (kept.size() < piece.size()) {
        into_.truncated = true;
        stop_.request(errc::output_limit);
    }
}

}  // namespace sandboxd::process
