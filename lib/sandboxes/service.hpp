// Sandboxes: clients' programs that run to their end, each execution in its own jail.
//
//     create → check → files on disk
//     execute → gate → jail: the files read-only in a private, writable /tmp → verdict
//                 ╰─ or a warm one, which was built in advance
//
// Every execution starts with the sandbox's original files. What it writes is gone at its end, so executions never
// see each other. Sandboxes are kept in memory and their files below `root`; a restart removes them.
#pragma once

#include "admission/gate.hpp"
#include "async/event.hpp"
#include "async/stop.hpp"
#include "async/task_group.hpp"
#include "base/metrics.hpp"
#include "disk/job_directory.hpp"
#include "jail/jail.hpp"
#include "process/child.hpp"
#include "programs/catalog.hpp"
#include "programs/program_files.hpp"
#include "sandboxes/execution_limits.hpp"
#include "sandboxes/request.hpp"
#include "sandboxes/verdict.hpp"
#include "sandboxes/warm_jail.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
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
    std::uint32_t open_files{512};     // of each process
    std::uint32_t cpu_percent{100};    // of one processor, if jobs have cgroups; 0: not limited
    std::size_t warm_jails{8};         // jails built in advance; not for containers
    std::string init;                  // sandboxd-init, absolute; empty: there are no warm jails
    std::chrono::seconds idle{3'600};  // an unused sandbox is removed after this time
    std::chrono::seconds cleanup_interval{300};
};

struct sandbox_info {
    std::string id;
    std::string runtime;
    std::string entry_point;
    std::chrono::system_clock::time_point created;
    std::chrono::system_clock::time_point last_used;
    std::size_t files{0};
    std::uint64_t bytes{0};
    std::uint64_t executions{0};  // begun
    std::size_t running{0};       // or waiting to run
    execution_limits bounds;
};

struct execution {
    judgement end;
    std::string out;  // as printed; may be invalid UTF-8; empty if a taker got it
    std::string err;
    bool truncated{false};
    std::chrono::microseconds wall{0};
    std::chrono::microseconds queued{0};
    std::optional<process::cgroup_usage> usage;
};

class service {
    struct sandbox;

public:
    service(boost::asio::any_io_executor executor, async::task_group& tasks, jail::jail& wall,
            programs::catalog& catalog, admission::gate& gate, service_settings how, metrics::registry& metrics);
    ~service();

    // Makes the directory. Errors: io.
    result<void> open();
    // Also removes what an earlier server left, while serving others.
    void start();
    // From now on no sandbox is created and no execution starts; running ones go on.
    void drain() noexcept { draining_ = true; }
    // Ends every execution. The service's tasks end soon after.
    void close();

    // Errors: invalid_request, payload_too_large, unprocessable (the runtime is not installed), queue_full (the limit
    // of sandboxes or of their bytes is reached), draining, io.
    boost::asio::awaitable<result<sandbox_info>> create(create_request what);

    std::vector<sandbox_info> list() const;
    std::optional<sandbox_info> find(const std::string& id) const;

    // Runs it once; executions may run at the same time. Whatever the program does is a result. `taker` gets the
    // output while it is printed. Errors: not_found (also if it is removed meanwhile), invalid_request (a limit out
    // of range), queue_full, queue_timeout, draining, unavailable, internal, the cause of `stop`.
    boost::asio::awaitable<result<execution>> run(std::string id, execution_request how, async::stop_source& stop,
                                                  process::output_taker* taker = nullptr);

    // Returns when its processes and files are gone. Errors: not_found, io.
    boost::asio::awaitable<result<void>> remove(std::string id);

    std::size_t size() const noexcept { return sandboxes_.size(); }
    std::size_t running() const noexcept { return running_; }

private:
    struct tail_taker;

    // Builds a jail for the next execution; it replaces the oldest one if the limit is reached.
    void warm_up(sandbox& one);
    void drop_warm(sandbox& one);
    // Null if there is none with these limits.
    std::unique_ptr<warm_jail> take_warm(sandbox& one, const execution_limits& bounds);
    boost::asio::awaitable<result<process::outcome>> run(sandbox& one, const execution_limits& bounds,
                                                         std::string stdin_text, async::stop_source& stop,
                                                         process::output_taker* taker);
    jail::spec make_spec(const sandbox& of, const execution_limits& bounds) const;
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
    std::map<std::string, std::shared_ptr<sandbox>> sandboxes_;
    std::vector<sandbox*> warm_;  // those with a warm jail, the latest at the end
    std::uint64_t bytes_{0};
    std::size_t running_{0};
    bool draining_{false};
    async::event closing_;
    std::map<verdict, metrics::counter*> ended_;
    metrics::counter& expired_;
    metrics::counter& from_warm_;
    metrics::counter& built_;
    metrics::histogram& seconds_;
};

}  // namespace sandboxd::sandboxes
