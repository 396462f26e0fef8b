// What the service knows of one deployment: what it is, what state it is in, and who waits for it.
#pragma once

#include "async/event.hpp"
#include "async/mutex.hpp"
#include "async/stop.hpp"
#include "async/task_group.hpp"
#include "async/task_scope.hpp"
#include "base/errc.hpp"
#include "faas/instance.hpp"
#include "faas/lifecycle.hpp"
#include "faas/manifest.hpp"
#include "faas/program_log.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace sandboxd::faas {

struct deployment {
    // `all`: the group that its tasks belong to as well.
    deployment(boost::asio::any_io_executor executor, async::task_group& all, manifest is, lifecycle_settings how,
               std::size_t log_bytes)
        : what{std::move(is)}, life{how}, log{log_bytes}, tasks{executor, all}, disk{executor}, launching{executor}
    {
    }

    struct waiter {
        async::event woken;
        std::optional<error> failed;
    };
    // Lets all go on who wait for its start; `failed`: why it does not run.
    void wake(const std::optional<error>& failed)
    {
        for (auto* const one : waiters) {
            one->failed = failed;
            one->woken.set();
        }
    }

    manifest what;
    lifecycle life;
    program_log log;
    std::string message;        // why it is not running, where that needs words
    std::optional<errc> fault;  // the message's code, where it is an error
    std::optional<program_end> last_end;
    std::string package_key;
    std::string broken;                          // why what is on disk cannot be used; empty: it can
    std::shared_ptr<instance> current;           // null while it does not run
    std::list<std::shared_ptr<instance>> going;  // that are to end: of a restart, or idle
    std::list<waiter*> waiters;
    std::size_t active{0};    // requests under way
    async::task_scope tasks;  // that start it, run it or end it
    bool updating{false};
    async::mutex disk;       // held while its files are read or written as a whole
    async::mutex launching;  // held while a program of it is started
    async::stop_source gone;
};

}  // namespace sandboxd::faas
