// Compiles: from a request to artifacts in the store.
//
//     policy → key → store? → elsewhere? → join a flight of the same key → lease → gate → job directory → toolchain
//            → collect → publish → answer
//
// The service knows no HTTP. An error means that the job could not be run or judged; source that the compiler rejects
// is a result.
#pragma once

#include "admission/gate.hpp"
#include "admission/shared_jobs.hpp"
#include "artifacts/elsewhere.hpp"
#include "artifacts/leases.hpp"
#include "artifacts/store.hpp"
#include "async/event.hpp"
#include "async/stop.hpp"
#include "async/task_group.hpp"
#include "base/client_key.hpp"
#include "base/metrics.hpp"
#include "compile/argument_policy.hpp"
#include "compile/diagnostics.hpp"
#include "compile/source_file.hpp"
#include "compile/toolchain.hpp"
#include "disk/job_directory.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <filesystem>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::compile {

// Who wants to know how far a compile has come. Each may be empty. They are called from the loop, must not throw and
// may not end the compile in place.
struct follower {
    std::function<void(std::size_t ahead)> queued{};  // how many are ahead of it; again when that has changed
    std::function<void()> started{};
    std::function<void(std::string_view name, std::chrono::microseconds spent)> step{};
};

struct request {
    std::vector<source_file> files;  // empty: `code` is used
    std::string code;
    std::optional<language> type;
    std::vector<std::string> args;  // after the server's default arguments
    bool cache{true};               // false: compile afresh, and replace what is stored
    bool strict{false};             // refuse the request if a dropped argument may change the program
    client_key client{};            // whom the job counts for while it waits and runs
    std::string owner{};            // the tenant; empty: nobody needs a key
    follower tell{};
    // Told what the job's programs have used, however it ends; the time that it took, where nobody knows more. Empty:
    // nobody asks. Of callers who share a job, the first one's is told.
    std::function<void(std::chrono::microseconds cpu)> charge{};
};

struct timings {
    std::chrono::microseconds queue{0};
    std::chrono::microseconds compile{0};  // the toolchain alone
    std::chrono::microseconds total{0};
    std::vector<std::pair<std::string_view, std::chrono::microseconds>> steps;  // of `compile`, where they are known
};

struct answer {
    std::string id;
    bool ok{false};
    errc code{};  // when not ok: compile_error, timeout, output_limit, memory_limit, …
    // When not ok: a text for people. For compile_error it is the compiler's output without the parts that only its
    // developers understand.
    std::string error;
    bool cached{false};
    std::vector<ignored_argument> ignored;
    std::vector<artifacts::artifact> files;
    std::string log;  // as printed, converted to valid UTF-8
    bool truncated{false};
    diagnostic_list diagnostics;
    struct timings timings;
    std::optional<process::cgroup_usage> usage;  // of this compile, where jobs have cgroups
};

struct service_settings {
    std::filesystem::path jobs;             // jobsDir, absolute
    std::vector<std::string> default_args;  // defaultArgs
    bool strict_args{false};                // compile.strictArgs: every request is strict
    source_limits sources;
    std::uint64_t artifact_bytes{64u << 20};          // compile.maxArtifactMB: one artifact
    std::uint64_t artifacts_bytes{128u << 20};        // compile.maxArtifactsMB: all of a job
    disk::tree_caps disk;                             // compile.maxJobDiskMB, compile.maxJobFiles
    std::optional<disk::job_directory::owner> owner;  // who jobs run as
};

// The result of the start-up probe: the toolchain, or why it is not ready.
struct readiness {
    bool probed{false};
    std::string failure;  // empty: ready
    toolchain_info toolchain;
};

class service {
public:
    service(boost::asio::any_io_executor executor, async::task_group& tasks, service_settings how, toolchain& with,
            artifacts::store& store, admission::gate& gate, metrics::registry& metrics);

    // Looks there for what the store does not have before it compiles, and tells it what it has stored. Call it before
    // start(); `others` must outlive this.
    void share_with(artifacts::elsewhere& others);

    // Has a lease of what it compiles, or waits for the machine that compiles the same. Needs share_with(). Call it
    // before start(); `leases` must outlive this.
    void take_turns(artifacts::leases& leases);

    // In the background, finds the toolchain and compiles a test program with it, every few seconds until that works.
    // Until the first attempt is over, compile() waits. The same happens whenever a job finds that its toolchain
    // cannot be run.
    void start();
    const readiness& ready() const noexcept { return readiness_; }

    // From now on new compiles are refused with `draining`; running ones go on.
    void drain() noexcept { draining_ = true; }
    // Also ends a running probe.
    void stop(errc cause);

    // Errors: invalid_request, payload_too_large, queue_full, queue_timeout, draining, disconnected, unavailable, io,
    // internal. Rejected source, or a limit that the job hit, is an answer with ok false.
    boost::asio::awaitable<result<answer>> compile(request what, async::stop_source& stop);

private:
    // What those who follow a flight have heard so far, for those who join it later.
    struct way {
        bool started{false};
        std::vector<std::pair<std::string_view, std::chrono::microseconds>> steps{};
        std::list<follower*> followers{};

        void start();
        void step(std::string_view name, std::chrono::microseconds spent);
        void catch_up(follower& late) const;
    };
    struct membership {
        membership(service& in, std::string of_key, std::shared_ptr<way> of, follower& who);
        ~membership();
        membership(const membership&) = delete;
        membership& operator=(const membership&) = delete;

        service& all;
        std::string key;
        std::shared_ptr<way> mine;
        std::list<follower*>::iterator place;
    };
    struct job {
        std::string id;
        source_set sources;
        std::vector<std::string> argv;
        bool store{true};
        bool may_be_others{false};  // what another machine makes will do
        std::shared_ptr<artifacts::leases::lease> lease{};
        std::shared_ptr<admission::party> callers{};  // null: the server itself
        client_key client{};                          // who asked first
        std::shared_ptr<way> told{};
        std::function<void(std::chrono::microseconds)> charge{};
    };
    // What the watcher sees of a job's disk while the job runs.
    struct disk_watch {
        async::event over;                                          // set when the job has ended
        async::event ended;                                         // set when the watcher has ended after that
        std::shared_ptr<pid_t> leader{std::make_shared<pid_t>(0)};  // the root of the process tree to look at
        bool was_full{false};
    };
    using outcome = result<answer>;

    void probe_in_background();
    boost::asio::awaitable<void> probe();
    boost::asio::awaitable<result<void>> probe_once();
    boost::asio::awaitable<outcome> run(job what, async::stop_source& stop);
    result<disk::job_directory> directory_for(const std::string& id);
    boost::asio::awaitable<void> remove_later(disk::job_directory directory);
    boost::asio::awaitable<outcome> run_in(job what, disk::job_directory& directory, async::stop_source& stop);
    boost::asio::awaitable<outcome> judge(const job& what, toolchain_result ran, disk::job_directory& directory,
                                          bool disk_was_full, async::stop_source& stop);
    boost::asio::awaitable<void> watch_disk(disk::job_directory& directory, async::stop_source& stop,
                                            disk_watch& watch);
    boost::asio::awaitable<std::optional<answer>> take_turn(job& what, async::stop_source& stop);
    std::optional<answer> from_store(const std::string& id);
    boost::asio::awaitable<std::optional<answer>> from_elsewhere(std::string id, client_key client);

    boost::asio::any_io_executor executor_;
    async::task_group& tasks_;
    service_settings settings_;
    toolchain& toolchain_;
    artifacts::store& store_;
    artifacts::elsewhere* others_{nullptr};  // null: there are none
    artifacts::leases* leases_{nullptr};     // null: machines do not wait for each other
    admission::gate& gate_;
    admission::shared_jobs<outcome> jobs_;
    async::event probed_;
    async::stop_source stop_;
    readiness readiness_;
    bool probing_{false};
    bool draining_{false};
    std::map<std::string, std::weak_ptr<way>> ways_{};  // by the key of the flight
    std::uint64_t fresh_{0};
    std::chrono::microseconds job_cpu_{0};

    metrics::counter& hits_;
    metrics::counter& misses_;
    metrics::counter& joined_;
    metrics::counter* brought_{nullptr};  // null without others
    metrics::counter& oom_kills_;
    metrics::histogram& compile_seconds_;
    metrics::histogram& queue_seconds_;
    metrics::registry& metrics_;
};

}  // namespace sandboxd::compile
