// Sandboxes: clients' programs that run to their end, each execution in its own jail.
//
//     create → check → files on disk
//     execute → gate → jail: the files read-only in a private, writable /tmp → verdict
//                 ╰─ or a warm one, which was built in advance
//                    ╰─ in which the runtime has booted, too, and waits before the program's first line
//
// A runtime waits only if nothing that a client chose acts on it before: not for a sandbox with variables of its own.
// Runtimes boot one at a time, while the machine has processors and memory to spare, and wait within `warm_bytes`. For
// who executes a sandbox again and again without a pause, the next jail is built beside the program that runs, where a
// processor is free for it.
//
// Every execution starts with the sandbox's original files. What it writes is gone at its end, so executions never
// see each other. Sandboxes are kept in memory and their files below `root`; a restart removes them.
//
// Where servers share their sandboxes (share_with), those here are copies, of what was created here or was brought for
// an execution; the oldest make room for others. Whether a sandbox is there, the fleet says, before each execution;
// while it says nothing, what is here can be executed.
#pragma once

#include "admission/gate.hpp"
#include "async/event.hpp"
#include "async/single_flight.hpp"
#include "async/stop.hpp"
#include "async/task_group.hpp"
#include "base/metrics.hpp"
#include "disk/job_directory.hpp"
#include "jail/jail.hpp"
#include "process/child.hpp"
#include "programs/catalog.hpp"
#include "programs/program_files.hpp"
#include "sandboxes/description.hpp"
#include "sandboxes/execution_limits.hpp"
#include "sandboxes/fleet.hpp"
#include "sandboxes/request.hpp"
#include "sandboxes/verdict.hpp"
#include "sandboxes/warm_jail.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::sandboxes {

struct service_settings {
    std::filesystem::path root;  // <baseDir>/sandboxes
    std::size_t max_sandboxes{256};
    std::uint64_t max_total_bytes{256u << 20};  // the files of all sandboxes
    programs::file_limits files;
    execution_limits usual;
    execution_limits most;
    std::uint32_t open_files{512};   // of each process
    std::uint32_t cpu_percent{100};  // of one processor, if jobs have cgroups; 0: not limited
    std::size_t warm_jails{8};       // jails built in advance; not for containers
    std::string init;                // sandboxd-init, absolute; empty: there are no warm jails
    std::uint64_t warm_bytes{0};     // memory of the runtimes that wait in them; 0: none does
    std::size_t processors{1};       // no runtime boots in idle time while half of them are busy
    // Jobs besides executions, running or queued; empty: none.
    std::function<std::size_t()> jobs_elsewhere{};
    // Whether the runtimes that wait must go, because others need the memory; asked every second. Empty: never.
    std::function<bool()> memory_is_short{};
    std::chrono::seconds idle{3'600};  // an unused sandbox is removed after this time
    std::chrono::seconds cleanup_interval{300};
};

struct execution {
    judgement end;
    std::string out;  // as printed; may be invalid UTF-8; empty if a taker got it
    std::string err;
    bool truncated{false};
    std::chrono::microseconds wall{0};
    std::chrono::microseconds queued{0};
    std::optional<process::cgroup_usage> usage;
    std::optional<std::chrono::steady_clock::time_point> begun{};  // its program, where the jail tells
};

class service {
    struct sandbox;

public:
    service(boost::asio::any_io_executor executor, async::task_group& tasks, jail::jail& wall,
            programs::catalog& catalog, admission::gate& gate, service_settings how, metrics::registry& metrics);
    ~service();

    // Before `open`. The fleet outlives the service.
    void share_with(fleet& others) noexcept { others_ = &others; }
    // Makes the directory. Errors: io.
    result<void> open();
    // Also removes what an earlier server left, while serving others.
    void start();
    // From now on no sandbox is created and no execution starts; running ones go on.
    void drain() noexcept { draining_ = true; }
    // Ends every execution. The service's tasks end soon after.
    void close();

    // Errors: invalid_request, payload_too_large, unprocessable (the runtime is not installed), queue_full (the limit
    // of sandboxes or of their bytes is reached), draining, io; index_unavailable, and queue_full, of the fleet.
    boost::asio::awaitable<result<sandbox_info>> create(create_request what);

    // The following ask the fleet, where there is one. Errors: index_unavailable.

    // Those of this owner, or all; in the order of their creation.
    boost::asio::awaitable<result<std::vector<sandbox_info>>> list(std::optional<std::string> owner);
    // Errors: not_found.
    boost::asio::awaitable<result<sandbox_info>> look(std::string id);
    // Whose it is; of what is here without asking. Errors: not_found.
    boost::asio::awaitable<result<std::string>> owner_of(std::string id);
    // Of the files of all sandboxes of this owner.
    boost::asio::awaitable<result<std::uint64_t>> bytes_of(std::string owner);

    // Runs it once; executions may run at the same time. Whatever the program does is a result. `taker` gets the
    // output while it is printed. Errors: not_found (also if it is removed here meanwhile), invalid_request (a limit
    // out of range), queue_full, queue_timeout, draining, unavailable, internal, the cause of `stop`; of what must be
    // brought, those of `create`.
    boost::asio::awaitable<result<execution>> run(std::string id, execution_request how, async::stop_source& stop,
                                                  process::output_taker* taker = nullptr);

    // Returns when its processes and files are gone. An execution on another server goes on. Errors: not_found, io,
    // index_unavailable (it is still there).
    boost::asio::awaitable<result<void>> remove(std::string id);

    std::size_t size() const noexcept { return sandboxes_.size(); }
    std::size_t running() const noexcept { return running_; }

private:
    struct tail_taker;
    struct place;
    using copy = std::shared_ptr<sandbox>;

    // Whether one more, with so many bytes of files, is one too many; makes room where it can.
    bool has_no_room(std::uint64_t bytes);
    // Writes the files, in turns. Errors: invalid_request, io, draining.
    boost::asio::awaitable<result<copy>> make(const description& what, const programs::runtime& runtime);
    void add(const copy& made);
    // The one that is here, or brings it.
    boost::asio::awaitable<result<copy>> get(std::string id, async::stop_source& stop);
    boost::asio::awaitable<result<copy>> bring(std::string id);
    // Removes a copy from the map; its files go when nobody uses them. `why`: what those who wanted to use it are told.
    void let_go(const copy& one, errc why);
    boost::asio::awaitable<void> drop_when_quiet(copy one);

    // Builds a jail for the next execution; it replaces the oldest one if the limit is reached. `waits`: its runtime
    // boots in it.
    void warm_up(sandbox& one, bool waits = false);
    void drop_warm(sandbox& one);
    // Warms up when nobody has executed the sandbox for a moment: with its runtime if that may wait, soon.
    void warm_up_later(sandbox& one);
    boost::asio::awaitable<void> warm_up_in_idle_time(std::shared_ptr<sandbox> one);
    // Warms up for who goes on without a pause, while an execution runs, if no other job wants the processor for it.
    boost::asio::awaitable<void> warm_up_beside(std::shared_ptr<sandbox> one);
    // Whether the runtime can wait for this program at all, and whether memory and other boots allow it to any now.
    bool can_wait(const sandbox& one) const;
    bool may_boot() const;
    // Jobs of all kinds that run or wait for their turn.
    std::size_t jobs() const;
    // Whether half of the jails' ids are taken: the others are for programs that run.
    bool ids_are_scarce() const;
    // The memory of runtimes that wait or boot.
    std::uint64_t waiting_bytes() const;
    std::size_t waiting() const;
    // Drops the jails of the oldest that wait until `more` bytes fit.
    void make_room(std::uint64_t more);
    // Follows a jail in which a runtime boots and waits, until it is taken, dropped or lost.
    boost::asio::awaitable<void> attend(std::shared_ptr<sandbox> one, warm_jail::watcher its);
    // Null if there is none with these limits.
    std::unique_ptr<warm_jail> take_warm(sandbox& one, const execution_limits& bounds);
    // `goes_on`: it comes without a pause after another one.
    boost::asio::awaitable<result<process::outcome>> run(sandbox& one, const execution_limits& bounds, bool goes_on,
                                                         std::string stdin_text, std::string traceparent,
                                                         async::stop_source& stop, process::output_taker* taker);
    // `waits`: the runtime first waits (init/hold.hpp).
    jail::spec make_spec(const sandbox& of, const execution_limits& bounds, bool waits = false) const;
    boost::asio::awaitable<void> sweep();
    boost::asio::awaitable<void> drop(std::shared_ptr<sandbox> one);
    // Removes idle sandboxes from the map.
    void expire();
    void forget(const std::string& id);
    sandbox_info info_of(const sandbox& one) const;

    boost::asio::any_io_executor executor_;
    async::task_group& tasks_;
    jail::jail& wall_;
    programs::catalog& catalog_;
    admission::gate& gate_;
    service_settings settings_;
    fleet* others_{nullptr};
    async::single_flight<result<copy>> flights_;  // by id
    std::map<std::string, std::shared_ptr<sandbox>> sandboxes_;
    std::size_t coming_{0};       // that are being made; their bytes count already
    std::vector<sandbox*> warm_;  // those with a warm jail, the latest at the end
    std::uint64_t bytes_{0};
    std::size_t running_{0};
    std::size_t warming_up_{0};  // sandboxes that wait for idle time
    bool draining_{false};
    async::event closing_;
    std::map<verdict, metrics::counter*> ended_;
    metrics::counter& expired_;
    metrics::counter& let_go_;
    metrics::counter& brought_;
    metrics::counter& from_warm_;
    metrics::counter& built_;
    metrics::counter& hits_;
    metrics::counter& misses_;
    metrics::counter& over_budget_;
    metrics::counter& under_pressure_;
    metrics::counter& lost_;
    metrics::histogram& seconds_;
};

}  // namespace sandboxd::sandboxes
