// The service's record of one deployment: its description, its state, and who waits for it.
#pragma once

#include "async/event.hpp"
#include "async/mutex.hpp"
#include "async/stop.hpp"
#include "async/task_group.hpp"
#include "async/task_scope.hpp"
#include "base/client_key.hpp"
#include "base/errc.hpp"
#include "faas/instance.hpp"
#include "faas/lifecycle.hpp"
#include "faas/manifest.hpp"
#include "faas/program_log.hpp"
#include "programs/hold_pipe.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace sandboxd::faas {

// What all records of one id share, since there may be two: where another server has taken the lease, a new record
// stands for the copy here, while the program of the former one still ends (service::lose).
struct premises {
    // `all`: the group that the tasks belong to as well.
    premises(boost::asio::any_io_executor executor, async::task_group& all)
        : tasks{executor, all}, disk{executor}, bringing{executor}, launching{executor}
    {
    }

    async::task_scope tasks;                     // tasks that start, run or end a program of it
    async::mutex disk;                           // held while its files are read or written as one set
    async::mutex bringing;                       // held while its files are brought from the cache
    async::mutex launching;                      // held while one of its programs starts
    std::list<std::shared_ptr<instance>> going;  // programs that are finishing: after a restart, or idle
};

// A program of a stopped deployment whose runtime boots, or has booted, and waits before its first line (warm.cpp).
struct warm_program {
    warm_program(const boost::asio::any_io_executor& executor, programs::hold_pipe pipe, std::uint64_t changes)
        : word{std::make_shared<programs::hold_pipe>(std::move(pipe))},
          begins{std::make_shared<async::event>(executor)},
          of_changes{changes}
    {
    }

    // Whether its runtime has booted, and waits.
    bool has_booted() const { return word->is_read() && !program->over.is_set(); }

    std::shared_ptr<programs::hold_pipe> word;
    std::shared_ptr<async::event> begins;  // from here on its memory is watched
    std::shared_ptr<pid_t> leader{std::make_shared<pid_t>(0)};
    std::shared_ptr<instance> program{};  // null until its jail is begun
    std::uint64_t bytes{0};               // its memory; estimated until it has booted
    const std::uint64_t of_changes;       // deployment::changes when it began
    const clock::time_point since{clock::now()};
};

// One that this server has of a deployment, or that it has just got and brings the files for (fleet::take_seat).
struct held_seat {
    held_seat(const boost::asio::any_io_executor& executor, std::uint64_t of, clock::time_point asked,
              std::chrono::milliseconds time)
        : over{executor}, revision{of}, taken{asked}, until{asked + time}
    {
    }

    async::event over;  // set as soon as this server does not have it any more
    const std::uint64_t revision;
    const clock::time_point taken;
    clock::time_point until;  // no request is answered by it from then on: nobody counts it any more
};

// Of a deployment whose lease, or seat, has just gone.
inline error moved()
{
    return {errc::index_unavailable, "another server may run this deployment by now; send the request again"};
}

struct deployment {
    deployment(std::shared_ptr<premises> at, manifest is, lifecycle_settings how, std::size_t log_bytes)
        : what{std::move(is)}, life{how}, log{log_bytes}, place{std::move(at)}
    {
    }

    struct waiter {
        async::event woken;
        std::optional<error> failed;
    };
    // Wakes everybody who waits for its start; `failed`: why it does not run.
    void wake(const std::optional<error>& failed)
    {
        for (auto* const one : waiters) {
            one->failed = failed;
            one->woken.set();
        }
    }

    // Tasks that start, run or end a program, without that of the one that waits.
    std::size_t working_tasks() const
    {
        const bool one_waits = warm && !warm->program->over.is_set();
        return tasks.size() - (one_waits ? 1 : 0);
    }

    // Once it is gone from here.
    error why_gone() const { return gone.cause() == errc::index_unavailable ? moved() : make_error(gone.cause()); }

    manifest what;
    lifecycle life;
    program_log log;
    std::string message;        // why it is not running, if that needs an explanation
    std::optional<errc> fault;  // the message's code, if it is an error
    std::optional<program_end> last_end;
    std::string package_key;
    std::optional<client_key> payer;     // whom its installs count for; after a restart known of tenants alone
    std::optional<std::uint64_t> bytes;  // of its files, as far as somebody has looked
    std::string broken;                  // how it is damaged on disk; empty: it is not
    std::shared_ptr<instance> current;   // null while it does not run
    std::shared_ptr<warm_program> warm;  // waits for the next start; null: none does
    bool to_warm_up{false};              // in idle time
    bool cannot_wait{false};             // its next program, or its runtime did not boot in advance
    std::uint64_t changes{0};            // of its files, here
    std::list<waiter*> waiters;
    std::size_t active{0};  // requests under way
    bool updating{false};
    // Where servers share their deployments: ends who keeps the lease of this server; null: it has none.
    std::shared_ptr<async::event> lease{};
    clock::time_point wanted_until{};  // no earlier it is given back
    // The seat by which its program runs here, though another server has the lease; null: there is none.
    std::shared_ptr<held_seat> seat{};
    async::stop_source gone;

    const std::shared_ptr<premises> place;
    async::task_scope& tasks{place->tasks};
    async::mutex& disk{place->disk};
    async::mutex& launching{place->launching};
    std::list<std::shared_ptr<instance>>& going{place->going};
};

}  // namespace sandboxd::faas
