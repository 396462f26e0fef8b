#include "process/output_sink.hpp"

#include "base/utf8.hpp"

namespace sandboxd::process {

boost::asio::awaitable<void> output_sink::take(output_stream which, std::string_view piece)
{
    auto kept = piece.substr(0, room_bytes_);
    // What a taker gets is written as it comes.
    if (!taker_) kept = kept.substr(0, take_json_room(kept, json_room_));
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
