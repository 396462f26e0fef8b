// A jail that is built before it is needed, and in which the program has not begun: an execution then waits for the
// program alone. It runs one program once, as every jail does.
#pragma once

#include "async/stop.hpp"
#include "async/task_group.hpp"
#include "base/errc.hpp"
#include "jail/jail.hpp"
#include "process/child.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>

namespace sandboxd::sandboxes {

class warm_jail {
public:
    // Begins to build it, in a task of `tasks`. `what`: the program, without standard input and descriptors; `init`:
    // sandboxd-init, which waits in its place. Null where there are no descriptors left; what goes wrong later shows
    // in `usable` and `run`.
    static std::unique_ptr<warm_jail> start(boost::asio::any_io_executor executor, async::task_group& tasks,
                                            jail::jail& wall, jail::spec what, const std::string& init,
                                            std::size_t output_bytes);
    // Ends it, if it has not ended; soon after nothing of it is left.
    ~warm_jail();
    warm_jail(const warm_jail&) = delete;
    warm_jail& operator=(const warm_jail&) = delete;

    // Whether it is being built or waits.
    bool usable() const noexcept;

    // Lets the program begin, and returns when it has ended; as jail::run, with `wall` from here on. Once. Nothing:
    // it had ended before, the program has not begun, and another jail may be used.
    boost::asio::awaitable<std::optional<result<process::outcome>>> run(std::string stdin_text,
                                                                        std::chrono::milliseconds wall,
                                                                        async::stop_source& stop,
                                                                        process::output_taker* taker);
    // Ends it, and returns when nothing of it is left.
    boost::asio::awaitable<void> end();

private:
    struct state;
    explicit warm_jail(std::shared_ptr<state> made);
    static boost::asio::awaitable<void> keep(std::shared_ptr<state> its, jail::jail& wall, jail::spec what,
                                             process::run_limits bounds);

    std::shared_ptr<state> state_;
};

}  // namespace sandboxd::sandboxes
