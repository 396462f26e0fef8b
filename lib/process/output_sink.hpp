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
    // `into`, `stop` and `taker` outlive it. Without a taker the output is collected in `into`.
    output_sink(outcome& into, std::size_t room_bytes, output_taker* taker, async::stop_source& stop)
        : into_{into}, room_bytes_{room_bytes}, taker_{taker}, stop_{stop}
    {
    }

    // Output beyond the limit is dropped, noted in the outcome, and requests a stop (`output_limit`). The caller goes
    // on reading, so that the job does not block while it is being killed.
    boost::asio::awaitable<void> take(output_stream which, std::string_view piece);

private:
    outcome& into_;
    std::size_t room_bytes_;
    output_taker* taker_;
    async::stop_source& stop_;
};

}  // namespace sandboxd::process
