// A jail that is built in advance and whose program has not begun: an execution then waits only for the program. In it
// waits sandboxd-init, which will become the program, or the program's runtime, which has booted and has read nothing
// of the program yet (lib/programs/wait_node.cjs). Like every jail, it runs one program once.
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
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace sandboxd::sandboxes {

class warm_jail {
    struct state;

public:
    // Starts to build it, in a task of `tasks`. `what`: the program, without standard input and descriptors. `init`:
    // sandboxd-init, which waits in its place; empty: the program itself waits (init/hold.hpp). Returns null when no
    // descriptors are left; `usable` and `run` report later failures.
    static std::unique_ptr<warm_jail> start(boost::asio::any_io_executor executor, async::task_group& tasks,
                                            jail::jail& wall, jail::spec what, const std::string& init,
                                            std::size_t output_bytes);
    // Ends it if it has not ended; soon afterwards nothing of it is left.
    ~warm_jail();
    warm_jail(const warm_jail&) = delete;
    warm_jail& operator=(const warm_jail&) = delete;

    // Whether it is being built or waits.
    bool usable() const noexcept;
    // Whether its runtime has booted and waits. Always false if sandboxd-init waits in its place.
    bool has_booted() const noexcept;

    // Looks at the jail from beside, also after its object is gone.
    class watcher {
    public:
        // Returns when the runtime has booted, or false: the jail ended before that, or it takes longer than
        // `patience`.
        boost::asio::awaitable<bool> boot(std::chrono::milliseconds patience) const;
        // What all its processes hold: anonymous memory and page tables; 0 when it has ended.
        boost::asio::awaitable<std::uint64_t> memory() const;
        // Returns whether it has ended, after `patience` at the latest.
        boost::asio::awaitable<bool> ended_within(std::chrono::milliseconds patience) const;
        bool watches(const warm_jail* one) const noexcept { return one && one->state_ == state_; }

    private:
        friend class warm_jail;
        explicit watcher(std::shared_ptr<state> of) : state_{std::move(of)} {}
        std::shared_ptr<state> state_;
    };
    watcher watch() const { return watcher{state_}; }

    // Starts the program and returns when it has ended; like jail::run, with `wall` counted from here. Call once.
    // `traceparent`: the value of that variable (init/hold.hpp), or empty.
    // Nullopt: the jail had ended before, the program has not started, and another jail may be used.
    boost::asio::awaitable<std::optional<result<process::outcome>>> run(std::string stdin_text,
                                                                        std::chrono::milliseconds wall,
                                                                        async::stop_source& stop,
                                                                        process::output_taker* taker,
                                                                        std::string traceparent = {});
    // Ends it and returns when nothing of it is left.
    boost::asio::awaitable<void> end();

private:
    explicit warm_jail(std::shared_ptr<state> made);
    static boost::asio::awaitable<void> keep(std::shared_ptr<state> its, jail::jail& wall, jail::spec what,
                                             process::child_limits bounds);

    std::shared_ptr<state> state_;
};

}  // namespace sandboxd::sandboxes
