// Where a job's output goes, whoever reads it out of pipes or off a socket: to a taker, or into the outcome; and not
// more of it than the job may print.
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

    // What there is no room for is thrown away, noted in the outcome, and requests a stop (`output_limit`): whoever
    // reads goes on reading, so that the job is not blocked while it is being killed.
    boost::asio::awaitable<void> take(output_stream which, std::string_view piece);

private:
    outcome& into_;
    std::size_t room_bytes_;
    output_taker* taker_;
    async::stop_source& stop_;
};

}  // namespace sandboxd::process
