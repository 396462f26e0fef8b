// A jail that is built in advance and whose program has not started: an execution then waits only for the program.
// Like every jail, it runs one program once.
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
    // Starts to build it, in a task of `tasks`. `what`: the program, without standard input and descriptors. `init`:
    // sandboxd-init, which waits in its place. Returns null when no descriptors are left; `usable` and `run` report
    // later failures.
    static std::unique_ptr<warm_jail> start(boost::asio::any_io_executor executor, async::task_group& tasks,
                                            jail::jail& wall, jail::spec what, const std::string& init,
                                            std::size_t output_bytes);
    // Ends it if it has not ended; soon afterwards nothing of it is left.
    ~warm_jail();
    warm_jail(const warm_jail&) = delete;
    warm_jail& operator=(const warm_jail&) = delete;

    // Whether it is being built or waits.
    bool usable() const noexcept;

    // Starts the program and returns when it has ended; like jail::run, with `wall` counted from here. Call once.
    // Nullopt: the jail had ended before, the program has not started, and another jail may be used.
    boost::asio::awaitable<std::optional<result<process::outcome>>> run(std::string stdin_text,
                                                                        std::chrono::milliseconds wall,
                                                                        async::stop_source& stop,
                                                                        process::output_taker* taker);
    // Ends it and returns when nothing of it is left.
    boost::asio::awaitable<void> end();

private:
    struct state;
    explicit warm_jail(std::shared_ptr<state> made);
    static boost::asio::awaitable<void> keep(std::shared_ptr<state> its, jail::jail& wall, jail::spec what,
                                             process::child_limits bounds);

    std::shared_ptr<state> state_;
};

}  // namespace sandboxd::sandboxes
