// Passes a job's output to a taker or into the outcome, up to the job's output limit. It does not matter whether the
// output comes from a pipe or a socket.
#pragma once

#include "async/stop.hpp"
#include "process/child.hpp"

#include <cstddef>
#include <string_view>

namespace sandboxd::process {

class output_sink {
public:
    // `into`, `stop` and `taker` outlive it. Without a taker the output is collected in `into`: for an answer, in
    // which a byte can have up to six. So that nobody multiplies the limit with what he prints, the answer has at most
    // `json_bytes_of` the limit.
    output_sink(outcome& into, std::size_t room_bytes, output_taker* taker, async::stop_source& stop)
        : into_{into}, room_bytes_{room_bytes}, json_room_{json_bytes_of(room_bytes)}, taker_{taker}, stop_{stop}
    {
    }

    // The most bytes that output of at most `bytes` has as JSON strings: half as much again, which is more than any
    // text needs, and 64 KiB, so that little output is never cut for what it is.
    static constexpr std::size_t json_bytes_of(std::size_t bytes) noexcept
    {
        constexpr auto most = static_cast<std::size_t>(-1);
        const auto more = bytes / 2 + std::size_t{64} * 1024;
        return bytes > most - more ? most : bytes + more;
    }

    // Output beyond the limit is dropped, noted in the outcome, and requests a stop (`output_limit`). The caller goes
    // on reading, so that the job does not block while it is being killed.
    boost::asio::awaitable<void> take(output_stream which, std::string_view piece);

private:
    outcome& into_;
    std::size_t room_bytes_;
    std::size_t json_room_;
    output_taker* taker_;
    async::stop_source& stop_;
};

}  // namespace sandboxd::process
