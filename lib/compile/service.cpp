#include "compile/service.hpp"

#include "artifacts/collect.hpp"
#include "base/log.hpp"
#include "base/utf8.hpp"
#include "compile/cache_key.hpp"
#include "compile/record.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>

namespace sandboxd::compile {

namespace asio = boost::asio;
using clock = std::chrono::steady_clock;

namespace {

constexpr auto probe_interval = std::chrono::seconds{5};
// How often a request that waits for the first probe checks whether its client has left.
constexpr auto probe_patience = std::chrono::milliseconds{200};
constexpr auto removal_interval = std::chrono::seconds{1};
constexpr auto disk_interval = std::chrono::milliseconds{200};
constexpr std::string_view probe_source = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n";

std::chrono::microseconds since(clock::time_point start)
{
    return std::chrono::duration_cast<std::chrono::microseconds>(clock::now() - start);
}

double seconds(std::chrono::microseconds time) { return static_cast<double>(time.count()) / 1e6; }

// A failure may be stored if it is reproducible: the compiler found an error in one of the job's own files.
bool is_pure_failure(const answer& result, const source_set& sources)
{
    if (result.truncated) return false;
    return std::any_of(result.diagnostics.items.begin(), result.diagnostics.items.end(), [&](const diagnostic& one) {
        return (one.level == severity::error || one.level == severity::fatal_error) &&
               std::any_of(sources.files.begin(), sources.files.end(),
                           [&](const source_file& file) { return file.path == one.file; });
    });
}

answer failed(std::string id, errc code, std::string why, std::string log)
{
    answer no;
    no.id = std::move(id);
    no.code = code;
    no.error = std::move(why);
    no.log = std::move(log);
    return no;
}

// A limit that the job itself hit is an answer; an outside cause is an error.
bool is_jobs_own_limit(errc cause)
{
    return cause == errc::timeout || cause == errc::output_limit || cause == errc::memory_limit ||
           cause == errc::disk_limit;
}

}  // namespace

service::service(asio::any_io_executor executor, async::task_group& tasks, service_settings how, toolchain& with,
                 artifacts::store& store, admission::gate& gate, metrics::registry& metrics)
    : executor_{std::move(executor)},
      tasks_{tasks},
      settings_{std::move(how)},
      toolchain_{with},
      store_{store},
      gate_{gate},
      jobs_{tasks, executor_},
      probed_{executor_},
      hits_{metrics.add_counter("sandboxd_cache_requests_total", "Compile requests by where their answer came from.",
                                "from=\"store\"")},
      misses_{metrics.add_counter("sandboxd_cache_requests_total", "", "from=\"compiler\"")},
      joined_{metrics.add_counter("sandboxd_cache_requests_total", "", "from=\"flight\"")},
      oom_kills_{
          metrics.add_counter("sandboxd_job_oom_kills_total", "Processes that the OOM killer ended in jobs' cgroups.")},
      compile_seconds_{metrics.add_histogram("sandboxd_compile_seconds", "Time of each job in the toolchain.")},
      queue_seconds_{metrics.add_histogram("sandboxd_queue_seconds", "Time of each job before the toolchain.")},
      metrics_{metrics}
{
    metrics.add_gauge("sandboxd_job_cpu_seconds_total", "Processor time of jobs that have cgroups.",
                      [this] { return std::chrono::duration<double>{job_cpu_}.count(); });
}

void service::share_with(artifacts::elsewhere& others)
{
    others_ = &others;
    brought_ = &metrics_.add_counter("sandboxd_cache_requests_total", "", "from=\"remote\"");
}

void service::take_turns(artifacts::leases& leases) { leases_ = &leases; }

void service::start() { probe_in_background(); }

void service::stop(errc cause)
{
    drain();
    stop_.request(cause);
}

void service::probe_in_background()
{
    if (probing_ || stop_.requested()) return;
    probing_ = true;
    tasks_.spawn("probe the toolchain", probe());
}

asio::awaitable<void> service::probe()
{
    asio::steady_timer timer{executor_};
    for (;;) {
        const auto found = co_await probe_once();
        if (stop_.requested()) break;
        // A full queue says nothing about the toolchain.
        const bool crowded =
            !found && (found.error().code == errc::queue_full || found.error().code == errc::queue_timeout);
        if (!crowded) {
            const std::string failure = found ? std::string{} : found.error().message;
            const bool news = !readiness_.probed || readiness_.failure != failure;
            readiness_.probed = true;
            readiness_.failure = failure;
            probed_.set();
            if (found) {
                log::info("toolchain ready", {{"version", readiness_.toolchain.version}});
                break;
            }
            if (news) log::error("the toolchain probe failed", {{"cause", readiness_.failure}});
        }
        const async::stop_callback wake{stop_, [&timer](errc) { timer.cancel(); }};
        boost::system::error_code ignored;  // woken early only to see that the service stops
        timer.expires_after(probe_interval);
        co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        if (stop_.requested()) break;
    }
    probing_ = false;
}

// Compiles a test program for real, without the store.
asio::awaitable<result<void>> service::probe_once()
{
    const auto found = co_await toolchain_.find();
    if (!found) co_return found.error();
    readiness_.toolchain = *found;
    job hello{.id = "probe", .sources = {}, .argv = {"-O0"}, .store = false};
    auto sources = single_source(std::string{probe_source}, language::c);
    if (!sources) co_return sources.error();
    hello.sources = std::move(*sources);
    // A separate source: the time limit of this attempt must not end the service's probing.
    async::stop_source stop;
    const async::stop_callback chain{stop_, [&stop](errc cause) { stop.request(cause); }};
    const auto ran = co_await run(std::move(hello), stop);
    if (!ran) co_return ran.error();
    if (!ran->ok) co_return error{errc::unavailable, "a test program does not compile: " + ran->error.substr(0, 2000)};
    co_return result<void>{};
}

std::optional<answer> service::from_store(const std::string& id)
{
    const auto entry = store_.find(id);
    if (!entry) return std::nullopt;
    auto stored = from_record(entry->record);
    if (!stored) return std::nullopt;
    stored->id = id;
    stored->cached = true;
    stored->files = entry->files;
    return stored;
}

asio::awaitable<std::optional<answer>> service::from_elsewhere(std::string id, client_key client)
{
    const auto found = co_await others_->fetch(id, client);
    if (found != artifacts::elsewhere::found::here) co_return std::nullopt;
    auto stored = from_store(id);
    if (stored) brought_->add();
    co_return stored;
}

asio::awaitable<result<answer>> service::compile(request what, async::stop_source& stop)
{
    const auto started = clock::now();
    if (draining_) co_return make_error(errc::draining);
    const auto lang = what.type.value_or(language::c);
    auto sources = what.files.empty() ? single_source(std::move(what.code), lang, settings_.sources)
                                      : check_sources(std::move(what.files), what.type, settings_.sources);
    if (!sources) co_return sources.error();

    if (!readiness_.probed) {
        while (!stop.requested() && !co_await probed_.wait_for(probe_patience)) {
        }
        if (stop.requested()) co_return make_error(stop.cause());
    }
    if (!readiness_.failure.empty())
        co_return error{errc::unavailable, "the toolchain is not available: " + readiness_.failure};

    auto tokens = settings_.default_args;
    tokens.insert(tokens.end(), what.args.begin(), what.args.end());
    const policy_limits limits{.version = readiness_.toolchain.numbers};
    auto arguments = apply_policy(tokens, sources->paths(), sources->lang, limits);
    if (!arguments) co_return arguments.error();
    if (what.strict || settings_.strict_args) {
        if (auto refusal = strict_refusal(arguments->ignored, settings_.default_args.size())) co_return *refusal;
    }

    job work{.id = {},
             .sources = std::move(*sources),
             .argv = std::move(arguments->argv),
             .may_be_others = what.cache,
             .client = what.client};
    work.id = job_id({.files = work.sources.files,
                      .argv = work.argv,
                      .lang = work.sources.lang,
                      .toolchain = readiness_.toolchain.identity,
                      .owner = what.owner});
    if (what.cache) {
        auto stored = from_store(work.id);
        if (stored) hits_.add();
        // Whoever compiles it here is nearer than others.
        if (!stored && others_ && !jobs_.under_way(work.id)) stored = co_await from_elsewhere(work.id, what.client);
        if (stored) {
            stored->ignored = std::move(arguments->ignored);
            stored->timings.total = since(started);
            co_return std::move(*stored);
        }
    }

    // A forced compile is not shared: its caller asked for a fresh one.
    auto key = what.cache ? work.id : work.id + "!" + std::to_string(++fresh_);
    const bool joins = jobs_.under_way(key);
    if (joins) joined_.add();
    auto told = joins ? ways_[key].lock() : nullptr;
    if (!told) ways_[key] = told = std::make_shared<way>();
    work.told = told;
    work.charge = std::move(what.charge);
    const membership follows{*this, key, std::move(told), what.tell};
    auto start = [this, moved = std::make_shared<job>(std::move(work))](std::shared_ptr<admission::party> callers,
                                                                        async::stop_source& job_stop) {
        moved->callers = std::move(callers);
        return run(std::move(*moved), job_stop);
    };
    auto shared = co_await jobs_.run(std::move(key), what.client, stop, std::move(start), what.tell.queued);
    if (!shared) co_return shared.error();
    auto& mine = *shared;
    mine.ignored = std::move(arguments->ignored);
    mine.timings.total = since(started);
    co_return std::move(mine);
}

void service::way::start()
{
    started = true;
    for (auto* one : followers)
        if (one->started) one->started();
}

void service::way::step(std::string_view name, std::chrono::microseconds spent)
{
    steps.emplace_back(name, spent);
    for (auto* one : followers)
        if (one->step) one->step(name, spent);
}

void service::way::catch_up(follower& late) const
{
    if (started && late.started) late.started();
    for (const auto& [name, spent] : steps)
        if (late.step) late.step(name, spent);
}

service::membership::membership(service& in, std::string of_key, std::shared_ptr<way> of, follower& who)
    : all{in}, key{std::move(of_key)}, mine{std::move(of)}, place{mine->followers.insert(mine->followers.end(), &who)}
{
    mine->catch_up(who);
}

service::membership::~membership()
{
    mine->followers.erase(place);
    // Nobody can join a flight that nobody waits for.
    const auto known = all.ways_.find(key);
    if (mine->followers.empty() && known != all.ways_.end() && known->second.lock() == mine) all.ways_.erase(known);
}

asio::awaitable<service::outcome> service::run(job what, async::stop_source& stop)
{
    const auto arrived = clock::now();
    if (auto made = co_await take_turn(what, stop)) co_return std::move(*made);
    if (stop.requested()) co_return make_error(stop.cause());
    if (what.callers) misses_.add();
    auto turn = what.callers ? gate_.acquire(what.callers, stop) : gate_.acquire(client_key{}, stop);
    auto permit = co_await std::move(turn);
    if (!permit) co_return permit.error();
    const auto queued = since(arrived);
    queue_seconds_.observe(seconds(queued));
    if (what.told) what.told->start();

    auto directory = directory_for(what.id);
    if (!directory) co_return directory.error();
    auto done = co_await run_in(std::move(what), *directory, stop);
    if (auto removed = co_await directory->remove_in_turns(); !removed) {
        log::error("cannot remove a job directory yet", {{"cause", removed.error().message}});
        tasks_.spawn("remove a job directory", remove_later(std::move(*directory)));
    }
    if (done) done->timings.queue = queued;
    // The toolchain worked at the last probe; another probe tells whether the failure lasts.
    if (!done && done.error().code == errc::unavailable) probe_in_background();
    co_return done;
}

// What another machine has made meanwhile; nullopt: it is to be made here. Nobody waits with a permit, which others can
// use.
asio::awaitable<std::optional<answer>> service::take_turn(job& what, async::stop_source& stop)
{
    if (!leases_ || !others_ || !what.may_be_others) co_return std::nullopt;
    auto turn = co_await leases_->take(what.id, stop);
    what.lease = std::move(turn.mine);
    if (!turn.others_had_it || stop.requested()) co_return std::nullopt;
    co_return co_await from_elsewhere(what.id, what.client);
}

result<disk::job_directory> service::directory_for(const std::string& id)
{
    auto ready = toolchain_.ready_directory();
    if (ready && ready->move_to(settings_.jobs, id)) return std::move(*ready);
    return disk::job_directory::create(settings_.jobs, id, settings_.owner);
}

// Removing fails, too, when descriptors run out or the disk is read-only for a while. The last attempt is at the end
// of the service; the next start removes what is left.
asio::awaitable<void> service::remove_later(disk::job_directory directory)
{
    asio::steady_timer timer{executor_};
    const async::stop_callback wake{stop_, [&timer](errc) { timer.cancel(); }};
    while (!stop_.requested()) {
        boost::system::error_code ignored;  // woken early only to see that the service stops
        timer.expires_after(removal_interval);
        co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        const auto removed = co_await directory.remove_in_turns();
        if (removed) co_return;
    }
}

asio::awaitable<service::outcome> service::run_in(job what, disk::job_directory& directory, async::stop_source& stop)
{
    for (const auto& file : what.sources.files) {
        if (auto written = directory.write_source(file.path, file.content); !written) co_return written.error();
    }
    disk_watch watch{.over{executor_}, .ended{executor_}};
    toolchain_job command{.directory = directory.path(),
                          .argv = what.argv,
                          .units = what.sources.units,
                          .lang = what.sources.lang,
                          .leader = watch.leader,
                          .client = what.client};
    tasks_.spawn("watch a job's disk", watch_disk(directory, stop, watch));
    const auto began = clock::now();
    auto ran = co_await toolchain_.run(std::move(command), stop);
    if (what.charge) what.charge(ran && ran->usage ? ran->usage->cpu : since(began));
    watch.over.set();
    co_await watch.ended.wait();
    if (!ran) co_return ran.error();
    if (what.told)
        for (const auto& [step, spent] : ran->steps) what.told->step(step, spent);
    // Includes what was written since the watcher last looked.
    watch.was_full = watch.was_full || directory.short_of_room();
    if (!stop.requested()) {
        async::turns turn;
        const auto usage = co_await directory.usage(settings_.disk, 0, turn);
        if (!usage.over.empty()) stop.request(errc::disk_limit);
    }
    co_return co_await judge(what, std::move(*ran), directory, watch.was_full, stop);
}

asio::awaitable<void> service::watch_disk(disk::job_directory& directory, async::stop_source& stop, disk_watch& watch)
{
    std::chrono::steady_clock::duration pause = disk_interval;
    while (!co_await watch.over.wait_for(pause)) {
        async::turns turn{async::turns::metered};
        const auto usage = co_await directory.usage(settings_.disk, *watch.leader, turn);
        // Walking a large tree must not take more than its share of the loop.
        pause = std::max<std::chrono::steady_clock::duration>(disk_interval, turn.pause(4));
        if (!usage.over.empty()) stop.request(errc::disk_limit);
        watch.was_full = watch.was_full || directory.short_of_room();
    }
    watch.ended.set();
}

asio::awaitable<service::outcome> service::judge(const job& what, toolchain_result ran, disk::job_directory& directory,
                                                 bool disk_was_full, async::stop_source& stop)
{
    auto log = to_valid_utf8(ran.log);
    if (ran.usage) {
        job_cpu_ += ran.usage->cpu;
        oom_kills_.add(ran.usage->oom_kills);
    }
    if (stop.requested()) {
        const auto cause = stop.cause();
        metrics_
            .add_counter("sandboxd_jail_kills_total", "Jobs killed, by cause.",
                         "cause=\"" + std::string{name(cause)} + "\"")
            .add();
        if (!is_jobs_own_limit(cause)) co_return make_error(cause);
        auto no = failed(what.id, cause, std::string{sentence(cause)}, std::move(log));
        no.truncated = ran.truncated;
        no.timings.compile = ran.wall;
        no.usage = ran.usage;
        co_return no;
    }
    compile_seconds_.observe(seconds(ran.wall));

    answer done;
    done.id = what.id;
    done.ok = ran.succeeded;
    const job_text about{.files = what.sources.files, .units = what.sources.units};
    done.diagnostics = parse_diagnostics(log, about);
    done.truncated = ran.truncated;
    done.timings.compile = ran.wall;
    done.timings.steps = std::move(ran.steps);
    done.usage = ran.usage;
    done.log = std::move(log);

    // A full disk shows in many ways: ENOSPC in a tool's words, a SIGBUS in one that maps its output, a missing file.
    // None of them means that the compiler rejected the source.
    const error no_room{errc::io, "the disk of the job directories is full"};
    std::vector<artifacts::collected> files;
    if (done.ok) {
        const artifacts::collect_caps caps{.max_bytes_each = settings_.artifact_bytes,
                                           .max_bytes_total = settings_.artifacts_bytes};
        auto collected = artifacts::collect(directory.output(), artifact_names(), caps);
        if (!collected) {
            auto no = failed(what.id, collected.error().code, collected.error().message, std::move(done.log));
            if (no.code != errc::artifact_rejected) co_return collected.error();
            no.timings.compile = ran.wall;
            co_return no;
        }
        files = std::move(*collected);
        if (files.empty() || files.front().name != artifact_names().front()) {
            if (disk_was_full) co_return no_room;
            done.ok = false;
            done.code = errc::compile_error;
            done.error = "the compiler reported success but did not write " + artifact_names().front();
            co_return done;
        }
    } else {
        const bool may_be_the_disks = !ran.limit || *ran.limit == errc::disk_limit;
        if (disk_was_full && may_be_the_disks && !is_pure_failure(done, what.sources)) co_return no_room;
        done.code = ran.limit.value_or(errc::compile_error);
        done.error = ran.limit ? std::string{sentence(done.code)} : for_people(done.log, about);
        if (done.error.empty()) done.error = "the compiler ended with " + ran.ended;
        if (ran.limit || !is_pure_failure(done, what.sources)) co_return done;
    }
    if (!what.store) co_return done;

    // If the result needs no files, a failure to store it must not lose it.
    auto published = co_await store_.publish(what.id, std::move(files), to_record(done));
    if (!published) {
        if (done.ok) co_return published.error();
        log::warning("cannot store a result", {{"cause", published.error().message}});
        co_return done;
    }
    done.files = (*published)->files;
    if (others_) others_->share(what.id);
    if (what.lease) what.lease->made();
    if (done.ok) tasks_.spawn("compress artifacts", store_.compress(what.id));
    co_return done;
}

}  // namespace sandboxd::compile
