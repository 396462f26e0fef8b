#include "daemon.hpp"

#include "admission/gate.hpp"
#include "api/mcp_tools.hpp"
#include "api/routes.hpp"
#include "artifacts/store.hpp"
#include "async/task_group.hpp"
#include "async/turns.hpp"
#include "base/log.hpp"
#include "base/metrics.hpp"
#include "cluster/compile_leases.hpp"
#include "cluster/peer_link.hpp"
#include "cluster/redis_client.hpp"
#include "cluster/script_homes.hpp"
#include "cluster/shared_deployments.hpp"
#include "cluster/shared_keys.hpp"
#include "cluster/shared_quotas.hpp"
#include "cluster/shared_sandboxes.hpp"
#include "compile/emcc.hpp"
#include "compile/service.hpp"
#include "disk/directory.hpp"
#include "disk/files.hpp"
#include "disk/job_directory.hpp"
#include "http/server.hpp"
#include "instance.hpp"
#include "jail/jail.hpp"
#include "js/service.hpp"
#include "preflight.hpp"
#include "process/cgroup.hpp"
#include "proxy/forwarder.hpp"
#include "remote/blob_store.hpp"
#include "remote/shared_store.hpp"
#include "telemetry/exporter.hpp"
#include "telemetry/tracer.hpp"
#include "tenants/key_table.hpp"
#include "toolchain/warm_way.hpp"
#include "wiring.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

namespace sandboxd::app {

namespace asio = boost::asio;
namespace fs = std::filesystem;

namespace {

constexpr auto log_flush_interval = std::chrono::milliseconds{250};
// After the grace: time to clean up and answer killed jobs.
constexpr auto kill_patience = std::chrono::seconds{5};
constexpr auto same_signal = std::chrono::seconds{1};
// If a signal arrives while the start tests the jail, how long the test may take to end in order.
constexpr auto start_patience = std::chrono::seconds{2};

// The configuration's own check does not follow symbolic links.
result<void> tell_apart(const config::settings& settings)
{
    std::error_code ec;
    const auto jobs = fs::canonical(settings.jobs_path(), ec);
    const auto artifacts = ec ? fs::path{} : fs::canonical(settings.artifacts_path(), ec);
    if (ec) return error{errc::io, "cannot resolve jobsDir and artifactsDir: " + ec.message()};
    if (const auto clash = config::clash_of(jobs, artifacts); !clash.empty())
        return error{errc::invalid_request, "artifactsDir: " + clash + "; their real paths are " + artifacts.native() +
                                                " and " + jobs.native()};
    return {};
}

// Every connection and every pipe of a job needs a descriptor, but the soft limit is often 1024.
void raise_open_files()
{
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return;
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
}

double resident_bytes()
{
    std::ifstream in{"/proc/self/statm"};
    double total = 0;
    double resident = 0;
    in >> total >> resident;
    return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

// What is short where the server writes: bytes or inodes (statvfs(3)); empty when nothing is. One check for each file
// system would be enough, but it is only three calls.
std::string disk_shortage(const config::settings& settings)
{
    for (const auto& directory : {settings.jobs_path(), settings.artifacts_path(), settings.working_path()}) {
        struct statvfs seen{};
        if (::statvfs(directory.c_str(), &seen) != 0)
            return "disk: " + directory.native() + ": " + std::strerror(errno);
        const auto free_mb = static_cast<std::uint64_t>(seen.f_bavail) * seen.f_frsize / (1024 * 1024);
        if (free_mb < static_cast<std::uint64_t>(settings.min_free_disk_mb))
            return "disk: " + std::to_string(free_mb) + " MB are free in " + directory.native() +
                   ", less than minFreeDiskMB (" + std::to_string(settings.min_free_disk_mb) + ")";
        // A file system without a fixed number of inodes reports zero.
        if (seen.f_files > 0 && seen.f_favail < static_cast<std::uint64_t>(settings.compile.max_job_files))
            return "disk: " + std::to_string(seen.f_favail) + " inodes are free in " + directory.native() +
                   ", fewer than one job may use (compile.maxJobFiles)";
    }
    return {};
}

bool needs_key_for_artifacts(const config::settings& settings)
{
    return !settings.auth.keys_file.empty() && !settings.auth.open_artifacts;
}

// This process' open descriptors; 0 if the kernel does not report them (before Linux 6.2). Listing thousands of them
// takes tens of milliseconds.
std::uint64_t kernel_counts_descriptors()
{
    struct stat seen{};
    return ::stat("/proc/self/fd", &seen) == 0 ? static_cast<std::uint64_t>(seen.st_size) : 0;
}

// The cgroups of jobs, if configured and possible; null if configured but not possible.
result<std::shared_ptr<const process::cgroup_tree>> take_cgroups(const std::string& wanted)
{
    std::shared_ptr<const process::cgroup_tree> none;
    if (wanted == "off") return none;
    auto taken = process::cgroup_tree::take(wanted == "on");
    if (taken) return std::make_shared<const process::cgroup_tree>(std::move(*taken));
    if (wanted == "on")
        return error{errc::unavailable, "perJobCgroup: " + taken.error().message + "; or set it to \"auto\""};
    log::info("jobs have no cgroups; rlimits limit each process", {{"cause", taken.error().message}});
    return none;
}

// Installed before anything is made that must be removed again; a signal that arrives before somebody waits for it is
// kept.
struct signals {
    explicit signals(asio::io_context& io) : ending{io, SIGTERM, SIGINT, SIGQUIT}, ignored{io, SIGHUP, SIGUSR1, SIGUSR2}
    {
    }
    // Removing the sets restores the default actions; the process is about to end anyway.
    ~signals()
    {
        sigset_t all;
        ::sigemptyset(&all);
        for (const int number : {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2}) ::sigaddset(&all, number);
        ::sigprocmask(SIG_BLOCK, &all, nullptr);
    }
    signals(const signals&) = delete;
    signals& operator=(const signals&) = delete;

    asio::signal_set ending;
    asio::signal_set ignored;
};

// Binds the server's address before anything else: a start that finds it in use has not swept, adopted or killed
// anything. The handlers come later.
class front {
public:
    front(asio::io_context& io, const config::settings& settings)
        : server{io, http_limits(settings),
                 http::server::hooks{
                     .handle = [this](http::exchange& x) { return hooks.handle(x); },
                     .refuse = [this](const error& why, http::exchange& x) { return hooks.refuse(why, x); },
                     .observe = [this](const http::completed& done) { hooks.observe(done); },
                     .identify =
                         [this](http::exchange& x) {
                             if (hooks.identify) hooks.identify(x);
                         },
                     .begin =
                         [this](http::exchange& x) {
                             if (hooks.begin) hooks.begin(x);
                         }},
                 metrics}
    {
    }

    metrics::registry metrics;
    http::server::hooks hooks;  // set before the server starts
    http::server server;
};

// Everything that lives as long as the server; each member may depend on the ones before it.
class daemon {
public:
    daemon(asio::io_context& io, const config::settings& settings, signals& told, front& door,
           std::unique_ptr<jail::jail> wall)
        : io_{io},
          settings_{settings},
          wall_{std::move(wall)},
          metrics_{door.metrics},
          tasks_{io.get_executor()},
          store_{store_settings(settings)},
          gate_{io.get_executor(), tasks_, beside(gate_settings(settings), sandbox_gate_), metrics_},
          sandbox_gate_{io.get_executor(), tasks_, beside(sandbox_gate_settings(settings), gate_), metrics_},
          warm_{io.get_executor(), tasks_, *wall_, warm_settings(settings), metrics_},
          toolchain_{warm_, emcc_settings(settings, *wall_)},
          programs_{programs_of(settings)},
          catalog_{io.get_executor(), tasks_, *wall_, programs::runtimes_of(programs_)},
          compiler_{io.get_executor(), tasks_, compile_settings(settings, *wall_), toolchain_, store_, gate_, metrics_},
          services_{
              .compiler = compiler_,
              .store = store_,
              .metrics = metrics_,
              .runtimes = catalog_,
              .version = SANDBOXD_VERSION,
              .jail = std::string{jail::name(wall_->which())},
              .walls = wall_->walls(),
              .compile_path = warm_.serves() ? "warm" : "plain",
              .serve_artifacts = settings.enable_static_artifacts,
              .playground = settings.playground.enabled,
              .docs = settings.docs.enabled,
              .mcp = mcp_settings_of(settings),
              .max_body_bytes = static_cast<std::size_t>(settings.http.max_body_bytes),
              .json = json_limits_of(settings),
              .compile_limits = request_limits_of(settings, settings.compile.max_files),
              .sandbox_limits = request_limits_of(settings, settings.sandboxes.max_files),
              .faas_limits = request_limits_of(settings, settings.faas.max_files),
              // What needs a key is not for the caches of others.
              .artifact_cache_control = (needs_key_for_artifacts(settings) ? "private, max-age=" : "public, max-age=") +
                                        std::to_string(settings.artifacts.max_age_secs) + ", immutable",
              .artifact_origins = settings.http.artifact_cors_origins,
              .api_origins = settings.http.api_cors_origins},
          server_{door.server},
          stopping_{io.get_executor()},
          signals_{told.ending},
          ignored_signals_{told.ignored}
    {
        door.hooks = api::make_hooks(services_, metrics_);
        if (settings.js.enabled)
            services_.js = &js_.emplace(io.get_executor(), tasks_, *wall_, js_settings(settings), metrics_);
        // Without a jail, programs would run on the host itself.
        if (settings.sandboxes.enabled && wall_->which() != jail::kind::none)
            services_.sandboxes = &sandboxes_.emplace(io.get_executor(), tasks_, *wall_, catalog_, sandbox_gate_,
                                                      beside_jobs(sandbox_settings(settings)), metrics_);
        if (settings.min_free_disk_mb > 0) services_.disk_shortage = [&settings] { return disk_shortage(settings); };
        for (auto& [key, value] : config::numbers_of(settings)) services_.numbers.emplace(key, value);
        services_.tasks = &tasks_;
        services_.public_url = settings.faas.public_url;
        services_.base_domain = settings.faas.base_domain;
        services_.trust_forwarded = settings.proxy.trust_forwarded;
        services_.sandbox_pages = settings.proxy.sandbox_pages;
        if (settings.faas.enabled && wall_->which() != jail::kind::none && wall_->keeps_descriptors().empty())
            services_.faas =
                &faas_.emplace(io.get_executor(), tasks_, *wall_, catalog_, beside_jobs(faas_settings(settings)),
                               install_settings(settings, programs_), metrics_);
        services_.jobs = &jobs_.emplace(io.get_executor(), tasks_, job_list_settings(settings), metrics_);
        if (settings.idempotency.max_keys > 0)
            services_.answers = &answers_.emplace(answer_store_settings(settings), metrics_);
        if (services_.faas)
            services_.proxy = &proxy_.emplace(io.get_executor(), tasks_, proxy_limits(settings), metrics_);
        services_.open_artifacts = settings.auth.open_artifacts;
        if (!settings.auth.keys_file.empty()) services_.keys = &keys_.emplace(keys_of(settings), metrics_);
        if (settings.mcp.enabled) services_.agents = &agents_.emplace(metrics_, api::list_tool_names(services_));
        add_gauges();
    }

    result<void> prepare()
    {
        services_.hosts = {settings_.http.allowed_hosts, server_.bound().loopback_only, settings_.faas.base_domain,
                           settings_.faas.public_url};
        if (!settings_.store.remote.empty())
            if (auto shared = share_artifacts(); !shared) return shared;
        if (!settings_.cluster.redis.empty())
            if (auto joined = join_cluster(); !joined) return joined;
        if (!settings_.telemetry.otlp_endpoint.empty())
            if (auto begun = trace_requests(); !begun) return begun;
        if (keys_)
            if (auto loaded = keys_->load(); !loaded)
                return error{loaded.error().code, "auth.keysFile: " + loaded.error().message};
        const auto bound = server_.bound();
        services_.keyless_and_exposed = !keys_ && !bound.loopback_only && !bound.addr.starts_with("unix:");
        if (services_.keyless_and_exposed)
            log::warning(
                "other machines can reach this server, and nobody needs a key; set auth.keysFile, or listen "
                "on loopback or a Unix socket",
                {{"addr", bound.addr}});
        const auto jobs = disk::make_private_directory(settings_.jobs_path(), wall_->group());
        if (!jobs) return jobs.error();
        const auto ready = disk::make_private_directory(settings_.ready_path(), wall_->group());
        if (!ready) return ready.error();
        if (sandboxes_)
            if (auto opened = sandboxes_->open(); !opened) return opened;
        if (faas_)
            if (auto opened = faas_->open(); !opened) return opened;
        return store_.open();
    }

    void start()
    {
        if (redis_) redis_->start();
        if (shared_keys_) shared_keys_->start();
        if (peers_) peers_->start();
        if (script_homes_) script_homes_->start();
        if (quotas_) quotas_->start();
        compiler_.start();
        if (js_) js_->start();
        if (sandboxes_) sandboxes_->start();
        if (faas_) faas_->start();
        if (proxy_) proxy_->start();
        server_.start();
        tasks_.spawn("flush the log", flush_log());
        tasks_.spawn(
            "remove the jobs of an earlier server",
            disk::clear_leftovers(settings_.jobs_path(), "job directories", [this] { return stopping_.is_set(); }));
        tasks_.spawn(
            "remove what an earlier server had ready",
            disk::clear_leftovers(settings_.ready_path(), "ready directories", [this] { return stopping_.is_set(); }));
        if (kernel_counts_descriptors() == 0) tasks_.spawn("count descriptors", count_descriptors());
        tasks_.spawn("count the artifacts", store_.take_stock());
        tasks_.spawn("sweep artifacts", sweep());
        supervision_.spawn("supervise", supervise());
        if (keys_) tasks_.spawn("watch the keys", watch_keys());
        supervision_.spawn("heed other signals", heed_other_signals());
    }

    http::server::bound_address bound() const { return server_.bound(); }

private:
    result<void> share_artifacts()
    {
        auto parts = shared_store_of(settings_);
        if (!parts) return parts.error();
        // Servers that know of each other have more in common than artifacts.
        if (!settings_.cluster.redis.empty())
            blobs_.emplace(io_.get_executor(), tasks_, blob_store_of(parts->how), parts->tls, metrics_);
        auto& others =
            others_.emplace(io_.get_executor(), tasks_, std::move(parts->how), std::move(parts->tls), store_, metrics_);
        compiler_.share_with(others);
        services_.others = &others;
        services_.others_trouble = [&others] { return others.trouble(); };
        return {};
    }

    result<void> join_cluster()
    {
        auto parts = cluster_of(settings_);
        if (!parts) return parts.error();
        auto& redis =
            redis_.emplace(io_.get_executor(), tasks_, std::move(parts->redis), std::move(parts->tls), metrics_);
        services_.cluster_trouble = [&redis] { return redis.trouble(); };
        if (keys_)
            services_.quotas = &quotas_.emplace(io_.get_executor(), tasks_, redis, std::move(parts->quotas), metrics_);
        if (!others_) {
            log::warning(
                "cluster.redis: servers share nothing but what keys use without a cache for artifacts, and for the "
                "files of sandboxes and deployments; set store.remote");
            return {};
        }
        compiler_.take_turns(
            leases_.emplace(io_.get_executor(), tasks_, std::move(parts->leases), redis, *others_, metrics_));
        if (sandboxes_)
            sandboxes_->share_with(shared_sandboxes_.emplace(redis, *blobs_, std::move(parts->sandboxes), metrics_));
        // Where nobody needs a key, none is made: it would shut out all others.
        if (keys_)
            services_.fleet_keys = &shared_keys_.emplace(io_.get_executor(), tasks_, redis, blobs_->key(),
                                                         std::move(parts->keys), *keys_, metrics_);
        if (auto reached = reach_others(*parts, redis); !reached) return reached;
        services_.cluster_trouble = [&redis, this] {
            auto trouble = redis.trouble();
            return trouble.empty() ? blobs_->trouble() : trouble;
        };
        return {};
    }

    // What needs a way between the servers.
    result<void> reach_others(cluster_parts& parts, cluster::redis_client& redis)
    {
        if (!parts.peers) return {};
        // What another server passes on is as of a proxy that is trusted.
        auto& peers = peers_.emplace(
            io_.get_executor(), tasks_, std::move(*parts.peers), blobs_->key(),
            cluster::peer_link::taker{
                .take = [this](http::stream_socket one) { server_.adopt(std::move(one), http::fleet_peer()); },
                .has_place = [this] { return server_.has_place(); }},
            metrics_);
        if (auto listening = peers.listen(); !listening) return listening;
        log::info("other servers reach this one", {{"address", peers.address()}});
        services_.peers = &peers;
        if (faas_)
            faas_->share_with(
                shared_deployments_.emplace(redis, *blobs_, std::move(parts.deployments), peers.address(), metrics_));
        if (js_)
            services_.scripts = &script_homes_.emplace(io_.get_executor(), tasks_, redis, blobs_->key(),
                                                       std::move(parts.scripts), peers.address(), metrics_);
        return {};
    }

    result<void> trace_requests()
    {
        auto parts = telemetry_of(settings_);
        if (!parts) return parts.error();
        auto& spans =
            spans_.emplace(io_.get_executor(), tasks_, std::move(parts->exporter), std::move(parts->tls), metrics_);
        services_.tracer = &tracer_.emplace(std::move(parts->tracer), spans);
        services_.telemetry_trouble = [&spans] { return spans.trouble(); };
        return {};
    }

    // Two gates in front of one memory.
    static admission::gate_settings beside(admission::gate_settings mine, const admission::gate& other)
    {
        mine.reserved_elsewhere = [&other] { return other.reserved_bytes(); };
        return mine;
    }

    // What the runtimes that wait for executions and requests must leave to others.
    sandboxes::service_settings beside_jobs(sandboxes::service_settings mine) const
    {
        mine.jobs_elsewhere = [this] { return gate_.running() + gate_.queued(); };
        mine.memory_is_short = [this] { return memory_is_short(); };
        return mine;
    }
    faas::service_settings beside_jobs(faas::service_settings mine) const
    {
        mine.jobs = [this] {
            return gate_.running() + gate_.queued() + sandbox_gate_.running() + sandbox_gate_.queued();
        };
        mine.memory_is_short = [this] { return memory_is_short(); };
        return mine;
    }
    bool memory_is_short() const
    {
        return gate_.waits_for_memory() || sandbox_gate_.waits_for_memory() || admission::memory_is_short();
    }

    void add_gauges()
    {
        metrics_.add_gauge("sandboxd_artifacts_entries", "Entries in the artifact store.",
                           [this] { return static_cast<double>(store_.stock().entries); });
        metrics_.add_gauge("sandboxd_artifacts_files", "Artifacts on disk, compressed forms included.",
                           [this] { return static_cast<double>(store_.stock().files); });
        metrics_.add_gauge("sandboxd_artifacts_bytes", "Bytes of artifacts on disk.",
                           [this] { return static_cast<double>(store_.stock().bytes); });
        metrics_.add_gauge("sandboxd_artifacts_disk_bytes",
                           "Disk space of the artifacts, in blocks of 4 KiB (artifacts.maxTotalMB).",
                           [this] { return static_cast<double>(store_.stock().disk_bytes); });
        metrics_.add_gauge("sandboxd_artifacts_evicted_total", "Entries removed to make room (artifacts.maxTotalMB).",
                           [this] { return static_cast<double>(store_.evicted()); });
        metrics_.add_gauge("sandboxd_artifacts_memory_bytes", "Bytes of artifacts kept in memory.",
                           [this] { return static_cast<double>(store_.memory_bytes()); });
        if (agents_)
            metrics_.add_gauge("sandboxd_mcp_calls_running", "Calls of tools by agents that are under way.",
                               [this] { return static_cast<double>(services_.calls.size()); });
        if (wall_->uids()) {
            metrics_.add_gauge("sandboxd_jail_uids", "Uids for jails.",
                               [this] { return static_cast<double>(wall_->uids()->all); });
            metrics_.add_gauge("sandboxd_jail_uids_in_use", "Uids that jails use.",
                               [this] { return static_cast<double>(wall_->uids()->in_use); });
            metrics_.add_gauge("sandboxd_jail_uids_refused_total", "Jails that were not built because no uid was free.",
                               [this] { return static_cast<double>(wall_->uids()->refused); });
        }
        metrics_.add_gauge("process_resident_memory_bytes", "Resident memory of the server.", resident_bytes);
        metrics_.add_gauge("process_open_fds", "Open descriptors of the server.", [this] {
            const auto told = kernel_counts_descriptors();
            return static_cast<double>(told != 0 ? told : counted_descriptors_);
        });
    }

    asio::awaitable<void> flush_log()
    {
        while (!co_await stopping_.wait_for(log_flush_interval)) log::flush();
    }

    asio::awaitable<void> sweep()
    {
        const std::chrono::minutes interval{settings_.cleanup_interval_mins};
        auto& swept = metrics_.add_counter("sandboxd_artifacts_swept_total", "Entries removed because they expired.");
        do {
            jobs_->sweep();
            if (answers_) answers_->sweep();
            const auto removed = co_await store_.sweep(std::chrono::system_clock::now());
            swept.add(removed);
            if (removed > 0) log::info("swept artifacts", {{"removed", removed}});
            if (js_) js_->sweep();
        } while (!co_await stopping_.wait_for(interval));
    }

    asio::awaitable<void> drain(async::event& drained)
    {
        co_await server_.drain();
        drained.set();
    }

    // A supervisor, a terminal and a script may each send the same signal: signals within a second count as one.
    asio::awaitable<void> end_at_second_signal(int first_number)
    {
        const auto first = std::chrono::steady_clock::now();
        for (;;) {
            boost::system::error_code ec;
            const int second = co_await signals_.async_wait(asio::redirect_error(asio::use_awaitable, ec));
            if (ec) co_return;
            if (second == first_number && std::chrono::steady_clock::now() - first < same_signal) continue;
            log::warning("a second signal: ending at once", {{"signal", second}});
            ::_exit(128 + second);
        }
    }

    asio::awaitable<void> watch_keys()
    {
        while (!co_await stopping_.wait_for(std::chrono::seconds{settings_.auth.reload_secs})) keys_->look();
    }

    // Their default action would end the process. Only keys can be reloaded: a new configuration needs a restart.
    asio::awaitable<void> heed_other_signals()
    {
        for (;;) {
            boost::system::error_code ec;
            const int number = co_await ignored_signals_.async_wait(asio::redirect_error(asio::use_awaitable, ec));
            if (ec) co_return;
            if (number == SIGHUP && keys_) {
                keys_->reload();
                continue;
            }
            log::info("ignoring a signal: nothing can be reloaded, restart the server instead", {{"signal", number}});
        }
    }

    // Used if the kernel does not report the number.
    asio::awaitable<void> count_descriptors()
    {
        constexpr std::chrono::seconds interval{5};
        do {
            async::turns turn;
            std::uint64_t count = 0;
            disk::listing items{unique_fd{::open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC)}};
            while (items.next()) {
                ++count;
                if (turn.over()) co_await turn.rest();
            }
            counted_descriptors_ = count - std::min<std::uint64_t>(count, 1);  // without its own
        } while (!co_await stopping_.wait_for(interval));
    }

    asio::awaitable<void> supervise()
    {
        boost::system::error_code ec;
        const int signal = co_await signals_.async_wait(asio::redirect_error(asio::use_awaitable, ec));
        supervision_.spawn("second signal", end_at_second_signal(signal));
        log::info("shutting down", {{"signal", signal}, {"grace_secs", settings_.shutdown_grace_secs}});
        services_.draining = true;
        compiler_.drain();
        if (sandboxes_) sandboxes_->drain();
        // Before the listener of clients closes, the others know that they may take over.
        if (peers_) peers_->stop_listening();
        if (faas_) faas_->hand_over();
        jobs_->drain();
        async::event drained{io_.get_executor()};
        tasks_.spawn("drain", drain(drained));
        if (!co_await drained.wait_for(std::chrono::seconds{settings_.shutdown_grace_secs})) {
            log::warning("shutdownGraceSecs are over: killing running jobs");
            server_.stop_requests(errc::draining);
            jobs_->stop(errc::draining);
            if (others_) others_->close();
            if (blobs_) blobs_->close();
            if (!co_await drained.wait_for(kill_patience)) server_.abort();
            co_await drained.wait();
        }
        jobs_->stop(errc::draining);
        compiler_.stop(errc::draining);
        warm_.close();
        if (others_) others_->close();
        if (blobs_) blobs_->close();
        if (leases_) co_await leases_->close();
        if (script_homes_) co_await script_homes_->close();
        if (quotas_) co_await quotas_->close();
        if (peers_) peers_->close();
        if (shared_keys_) shared_keys_->close();
        if (redis_) redis_->close();
        if (js_) js_->close();
        if (proxy_) proxy_->close();
        if (sandboxes_) sandboxes_->close();
        if (faas_) faas_->close();
        stopping_.set();
        co_await server_.closed();
        if (spans_) co_await spans_->close();
        co_await tasks_.wait_empty();
        signals_.cancel();
        ignored_signals_.cancel();
        log::info("stopped");
        log::flush();
    }

    asio::io_context& io_;
    const config::settings& settings_;
    std::unique_ptr<jail::jail> wall_;
    metrics::registry& metrics_;
    async::task_group tasks_;
    artifacts::store store_;
    std::optional<remote::shared_store> others_;
    std::optional<remote::blob_store> blobs_;
    std::optional<cluster::redis_client> redis_;
    std::optional<cluster::compile_leases> leases_;
    std::optional<cluster::shared_sandboxes> shared_sandboxes_;
    std::optional<cluster::peer_link> peers_;
    std::optional<cluster::shared_deployments> shared_deployments_;
    std::optional<cluster::script_homes> script_homes_;
    std::optional<cluster::shared_quotas> quotas_;
    std::optional<telemetry::exporter> spans_;
    std::optional<telemetry::tracer> tracer_;
    admission::gate gate_;
    admission::gate sandbox_gate_;
    toolchain::warm_way warm_;
    compile::emcc toolchain_;
    programs::program_places programs_;
    programs::catalog catalog_;
    compile::service compiler_;
    std::optional<js::service> js_;
    std::optional<sandboxes::service> sandboxes_;
    std::optional<faas::service> faas_;
    std::optional<proxy::forwarder> proxy_;
    std::optional<jobs::job_list> jobs_;
    std::optional<jobs::answer_store> answers_;
    std::optional<tenants::key_table> keys_;
    std::optional<cluster::shared_keys> shared_keys_;
    std::optional<api::mcp_counts> agents_;
    api::services services_;
    http::server& server_;
    async::event stopping_;
    std::uint64_t counted_descriptors_{0};
    asio::signal_set& signals_;
    asio::signal_set& ignored_signals_;
    async::task_group supervision_{io_.get_executor()};
};

}  // namespace

result<std::unique_ptr<jail::jail>> choose_jail(asio::io_context& io, const config::settings& from,
                                                const std::string& instance_id, const std::function<void()>& then)
{
    auto cgroups = take_cgroups(from.per_job_cgroup);
    if (!cgroups) return cgroups.error();
    auto wanted = jail_settings(from, instance_id);
    wanted.cgroups = std::move(*cgroups);
    std::optional<result<std::unique_ptr<jail::jail>>> chosen;
    std::exception_ptr thrown;
    asio::co_spawn(io, jail::choose(wanted), [&](std::exception_ptr e, result<std::unique_ptr<jail::jail>> got) {
        thrown = e;
        chosen = std::move(got);
        if (then) then();
    });
    io.run();
    io.restart();
    if (thrown) std::rethrow_exception(thrown);
    if (!chosen) return error{errc::draining, "a signal ended the start before the jail was tested"};
    return std::move(*chosen);
}

result<int> run_daemon(const config::settings& settings)
{
    auto where = http::parse_address(settings.addr);
    if (!where) return error{where.error().code, "addr: " + where.error().message};
    if (auto* const socket = std::get_if<http::unix_address>(&*where)) {
        socket->mode = settings.http.socket_mode();
        socket->group = settings.http.unix_socket_group;
    }
    process::prepare_this_process();
    raise_open_files();
    // Files are private by default; their modes are widened explicitly.
    ::umask(0077);
    const auto alone = instance::take(settings);
    if (!alone) return alone.error();
    if (auto apart = tell_apart(settings); !apart) return apart.error();

    // One thread only: no locks, and operations that need another thread (async_resolve) fail.
    asio::io_context io{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE};
    signals told{io};
    std::optional<front> entrance;
    auto& door = entrance.emplace(io, settings);
    if (auto listening = door.server.listen(*where); !listening)
        return listening.error().message.starts_with("http.")
                   ? listening.error()
                   : error{listening.error().code, "addr: " + listening.error().message};

    int ended_by = 0;
    bool chosen = false;
    asio::steady_timer patience{io};
    told.ending.async_wait([&](boost::system::error_code ec, int number) {
        if (ec) return;
        ended_by = number;
        if (chosen) return;
        patience.expires_after(start_patience);
        patience.async_wait([&io](boost::system::error_code cancelled) {
            if (!cancelled) io.stop();
        });
    });
    auto wall = choose_jail(io, settings, alone->id(), [&] {
        chosen = true;
        told.ending.cancel();
        patience.cancel();
    });
    if (ended_by != 0) {
        log::info("a signal ended the start", {{"signal", ended_by}});
        log::flush();
        if (chosen) return 0;
        // The test hangs and nobody waits for it: its processes die with this one.
        entrance.reset();
        ::_exit(0);
    }
    if (!wall) return wall.error();
    for (const auto& one : lost_default_args(settings)) log::warning(one);
    std::string walls;
    for (const auto& one : (*wall)->walls()) walls += (walls.empty() ? "" : ", ") + one;
    log::info("jail", {{"kind", jail::name((*wall)->which())}, {"walls", walls}});
    for (const auto& warning : (*wall)->warnings()) log::warning(warning);

    daemon all{io, settings, told, door, std::move(*wall)};
    if (auto prepared = all.prepare(); !prepared) return prepared.error();
    const auto bound = all.bound();
    log::info("listening", {{"addr", bound.addr}, {"url", bound.url}});
    log::flush();
    if (bound.addr == bound.url)
        std::printf("sandboxd listening on %s\n", bound.addr.c_str());
    else
        std::printf("sandboxd listening on %s (every interface; from this machine: %s)\n", bound.addr.c_str(),
                    bound.url.c_str());
    std::fflush(stdout);
    all.start();
    io.run();
    return 0;
}

}  // namespace sandboxd::app
