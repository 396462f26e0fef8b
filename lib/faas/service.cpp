// All deployments: which exist, which requests enter, and operations on one of them. instance.cpp is about one
// program of a deployment, plan.cpp about what it runs, lifecycle.cpp about when it starts and stops.
#include "faas/service.hpp"

#include "base/counted.hpp"
#include "base/log.hpp"
#include "base/uuid.hpp"
#include "faas/deployment.hpp"
#include "tenants/tenant.hpp"

#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <exception>
#include <set>
#include <utility>

namespace sandboxd::faas {

namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

// How long a log's follower collects lines before it sends them.
constexpr auto log_pause = std::chrono::milliseconds{20};
constexpr auto tick_interval = milliseconds{500};
constexpr auto kill_patience = milliseconds{10'000};
// It is read and checked in one turn of the loop; no package.json that somebody wrote is a tenth of it.
constexpr std::size_t largest_package_json = 256 * 1024;

// The message for clients. Internal errors contain paths of this host, so they go only into the log.
std::string told_outside(const error& what)
{
    return what.code == errc::io || what.code == errc::internal ? std::string{sentence(what.code)} : what.message;
}

std::uint64_t bytes_of(const std::vector<deployment_file>& files)
{
    std::uint64_t bytes = 0;
    for (const auto& file : files) bytes += file.content.size();
    return bytes;
}

// The package.json among these files, else `before`.
result<std::string> package_json_of(const std::vector<deployment_file>& files, std::string before)
{
    const auto found = std::ranges::find(files, "package.json", &deployment_file::path);
    if (found == files.end()) return before;
    // A start would read none.
    if (found->content.size() > largest_package_json)
        return error{errc::payload_too_large,
                     "package.json is larger than " + std::to_string(largest_package_json) + " bytes"};
    return found->content;
}

// Removes a waiter from its list, however the wait ends.
template <class T>
class seat {
public:
    seat(std::list<T*>& in, T& mine) : list_{in}, place_{in.insert(in.end(), &mine)} {}
    ~seat() { list_.erase(place_); }
    seat(const seat&) = delete;
    seat& operator=(const seat&) = delete;

private:
    std::list<T*>& list_;
    typename std::list<T*>::iterator place_;
};

}  // namespace

service::service(asio::any_io_executor executor, async::task_group& tasks, jail::jail& wall,
                 const programs::catalog& catalog, service_settings how, installer_settings packages,
                 metrics::registry& metrics)
    : executor_{executor},
      tasks_{tasks},
      wall_{wall},
      catalog_{catalog},
      settings_{std::move(how)},
      installer_{executor, tasks, wall, std::move(packages), metrics, *this},
      settling_{tasks, executor},
      servers_{settings_.known_places, metrics, "deployment"},
      closing_{executor},
      starts_{metrics.add_counter("sandboxd_faas_starts_total", "Programs of deployments started.")},
      crashes_{metrics.add_counter("sandboxd_faas_crashes_total", "Programs of deployments that ended by themselves.")},
      idle_stops_{metrics.add_counter("sandboxd_faas_idle_stops_total", "Deployments stopped because they were idle.")},
      requests_{metrics.add_counter("sandboxd_faas_requests_total", "Requests that entered deployments.")},
      start_seconds_{metrics.add_histogram("sandboxd_faas_start_seconds",
                                           "From the start of a deployment's program to its first connection.")}
{
    add_seat_metrics(metrics);
    add_warm_metrics(metrics);
    for (const auto which :
         {status::stopped, status::starting, status::running, status::crashed, status::failed, status::completed}) {
        metrics.add_gauge(
            "sandboxd_faas_deployments", "Deployments by status.",
            [this, which] {
                return static_cast<double>(std::ranges::count_if(
                    deployments_, [which](const auto& one) { return one.second->life.current() == which; }));
            },
            "status=\"" + std::string{name(which)} + "\"");
    }
}

service::~service() = default;

std::shared_ptr<deployment> service::add(manifest what)
{
    auto life = settings_.life;
    life.idle = what.idle;
    auto place = premises_of(what.id);
    auto made = std::make_shared<deployment>(std::move(place), std::move(what), life, settings_.log_bytes);
    deployments_[made->what.id] = made;
    if (!made->what.sandbox_id.empty()) sandboxes_[made->what.sandbox_id] = made->what.id;
    return made;
}

std::shared_ptr<premises> service::premises_of(const std::string& id)
{
    if (const auto found = premises_.find(id); found != premises_.end())
        if (auto there = found->second.lock()) return there;
    std::erase_if(premises_, [](const auto& one) { return one.second.expired(); });
    auto made = std::make_shared<premises>(executor_, tasks_);
    premises_[id] = made;
    return made;
}

result<void> service::open()
{
    if (auto opened = installer_.open(); !opened) return opened;
    auto store = file_store::open(settings_.root, wall_.group());
    if (!store) return store.error();
    store_.emplace(std::move(*store));
    const auto found = store_->load();
    if (!found) return found.error();
    for (const auto& entry : *found) {
        auto fault = entry.fault;
        result<manifest> what{manifest{}};
        if (fault.empty()) what = manifest_from(entry.manifest);
        if (!what)
            fault = what.error().message;
        else if (fault.empty() && what->id != entry.id)
            fault = "its manifest names another id";
        else if (fault.empty() && sandboxes_.contains(what->sandbox_id))
            fault = "its manifest names the sandbox_id of another deployment";
        if (fault.empty()) {
            const auto d = add(std::move(*what));
            d->package_key = package_key(*d);
            if (!d->what.owner.empty()) d->payer = tenants::client_of_tenant(d->what.owner);
            continue;
        }
        // It is listed, so that somebody can inspect and delete it; the others work.
        log::error("a deployment on disk is damaged", {{"id", entry.id}, {"cause", fault}});
        manifest only;
        only.id = entry.id;
        only.created = entry.changed;
        const auto d = add(std::move(only));
        d->life.on_broken();
        d->broken = "this deployment is damaged on disk: " + fault + "; delete it and deploy it again";
        d->message = d->broken;
        d->fault = errc::start_failed;
    }
    if (!found->empty()) log::info("found deployments of an earlier server", {{"count", deployments_.size()}});
    return {};
}

void service::start()
{
    tasks_.spawn("deployments", tick());
    installer_.start();
    if (others_) tasks_.spawn("compare the copies of deployments with the index", offer_all());
}

void service::close()
{
    closing_.set();
    installer_.close();
    stop_.request(errc::draining);
    for (const auto& one : instances_) one->tell_to_end(errc::draining);
    for (const auto& [id, seat] : seats_) seat->over.set();
    for (const auto& [id, d] : deployments_) {
        if (d->lease) d->lease->set();
        d->wake(make_error(errc::draining));
        d->gone.request(errc::draining);
    }
}

package_needs service::needs() const
{
    package_needs all;
    std::set<const instance*> waiting;
    for (const auto& [id, d] : deployments_) {
        if (!d->package_key.empty()) all.deployed[d->package_key].insert(d->payer.value_or(client_key{}));
        if (d->warm) waiting.insert(d->warm->program.get());
    }
    for (const auto& one : instances_)
        if (!one->package_key.empty() && !waiting.contains(one.get())) all.running[one->package_key].insert(one->payer);
    for (const auto* one : wanted_sets_)
        if (!one->key.empty()) all.running[one->key].insert(one->client);
    return all;
}

void service::gives_up(const std::string& key)
{
    for (const auto& [id, d] : deployments_)
        if (d->warm && d->warm->program->package_key == key) drop_warm(*d);
}

std::string service::package_key(const deployment& d) const
{
    const auto text = store_->read(d.what.id, "package.json", largest_package_json);
    if (text.empty()) return {};
    const auto read = read_package_manifest(text);
    return read ? installer_.key_of(read->dependencies) : std::string{};
}

result<plan> service::plan_for(const manifest& what, const std::vector<std::string>& paths,
                               const std::string& package_json) const
{
    const auto* const own = catalog_.find(what.runtime);
    if (!own) return catalog_.missing(what.runtime);
    return make_plan(what, paths, package_json, *own, catalog_.all());
}

// Runs a program to its end and updates the deployment's state.
asio::awaitable<void> service::run(std::shared_ptr<deployment> d, std::shared_ptr<instance> i, jail::spec spec,
                                   unique_fd theirs)
{
    // Even after an exception, everybody who waits for the end must see it.
    struct finish {
        ~finish()
        {
            i.close();
            std::erase_if(d.going, [&](const auto& one) { return one.get() == &i; });
            std::erase_if(all, [&](const auto& one) { return one.get() == &i; });
            i.bury();
            if (d.current.get() != &i) return;
            d.current.reset();
            if (i.told_to_end) return;
            d.last_end = i.end;
            d.life.on_ended(clock::now(), i.clean());
        }
        std::list<std::shared_ptr<instance>>& all;
        deployment& d;
        instance& i;
    };
    bool running = false;
    {
        const finish at_end{instances_, *d, *i};
        co_await i->run(wall_, std::move(spec), std::move(theirs), d->log, settings_.log_bytes_per_sec, d->what.id);
        running = d->current == i;
    }
    if (running && !i->told_to_end) ended(d, *i);
}

// A running program has ended by itself; the lifecycle knows.
void service::ended(const std::shared_ptr<deployment>& d, const instance& i)
{
    d->message = i.clean() ? "the program ended by itself with exit 0" : "the program ended with " + i.how_it_ended();
    d->fault = i.clean() ? std::nullopt : std::optional{errc::start_failed};
    if (!i.clean()) crashed(d);
    if (const auto seat = d->seat) fail_seat(d->what.id, seat);
}

void service::crashed(const std::shared_ptr<deployment>& d)
{
    crashes_.add();
    if (d->seat) return;  // the owner answers instead: see fail_seat
    if (d->life.current() == status::crashed) d->tasks.spawn("restart a deployment", restart_later(d));
}

asio::awaitable<void> service::restart_later(std::shared_ptr<deployment> d)
{
    async::event gone{executor_};
    {
        const async::stop_callback on_gone{d->gone, [&gone](errc) { gone.set(); }};
        const auto next = d->life.next_start();
        if (next) co_await gone.wait_for(std::max(*next - clock::now(), clock::duration::zero()));
    }
    const bool still = d->life.current() == status::crashed && !d->gone.requested() && !closing_.is_set();
    if (still) begin_start(d);
}

asio::awaitable<result<void>> service::await_ready(std::shared_ptr<deployment> d, std::shared_ptr<instance> i)
{
    const auto* const runs = catalog_.find(d->what.runtime);
    instance::ready_terms terms{settings_.start_timeout, (runs ? *runs : programs::runtime{}).port_in_code, {}};
    terms.on_wrong_port = [&d](const std::string& why) {
        if (d->life.current() != status::starting) return;
        d->message = why;
        d->fault = errc::start_failed;
        d->wake(error{errc::start_failed, why});
    };
    auto ready = co_await i->await_ready(d->log, std::move(terms));
    if (ready.ended_itself) d->last_end = i->end;
    co_return std::move(ready.reached);
}

asio::awaitable<result<file_store::survey>> service::files_of(std::shared_ptr<deployment> d)
{
    const auto held = co_await d->disk.lock();
    co_return co_await store_->look(d->what.id);
}

// A deployment has at most two programs: one that runs or starts, and one that is finishing.
asio::awaitable<void> service::make_room(std::shared_ptr<deployment> d)
{
    while (!d->going.empty() && d->going.size() + (d->current ? 1 : 0) > 1) {
        const auto oldest = d->going.front();
        oldest->hurry = true;
        co_await oldest->over.wait();
    }
}

// Starts a program and waits until it is reachable; sets `started` once it was started. After a failure nothing of it
// is left. The caller holds `d->launching`.
asio::awaitable<result<void>> service::launch(std::shared_ptr<deployment> d, async::stop_source& stop,
                                              std::shared_ptr<instance>& started)
{
    // An exception must not leave an unknown program running.
    struct end_it {
        ~end_it()
        {
            if (!kept && of) of->tell_to_end(errc::internal);
        }
        const std::shared_ptr<instance>& of;
        bool kept{false};
    } at_end{started};
    bool is_told = false;
    auto launched = co_await launch_warm(d, stop, started, is_told);
    if (!launched) {
        const auto begun = co_await begin_program(d, stop, is_told);
        if (!begun) co_return begun.error();
        started = *begun;
        launched = co_await reach(d, started, stop);
    }
    at_end.kept = launched->has_value();
    co_return std::move(*launched);
}

void service::tell_start(deployment& d)
{
    starts_.add();
    d.log.say("starting");
}

asio::awaitable<result<std::shared_ptr<instance>>> service::begin_program(std::shared_ptr<deployment> d,
                                                                          async::stop_source& stop, bool is_told,
                                                                          warm_program* waits)
{
    std::filesystem::path files;
    {
        const auto held = co_await d->disk.lock();
        if (stop.requested()) co_return make_error(stop.cause());
        auto prepared = co_await store_->prepare(d->what.id);
        if (!prepared) co_return prepared.error();
        files = std::move(*prepared);
    }
    const auto there = co_await files_of(d);
    if (!there) co_return there.error();
    const auto how = plan_for(d->what, there->paths, store_->read(d->what.id, "package.json", largest_package_json));
    if (!how) co_return how.error();
    if (waits && (!how->waits || how->waits->bytes > settings_.warm_bytes)) d->cannot_wait = true;
    if (waits && d->cannot_wait) co_return make_error(errc::unavailable);
    std::filesystem::path packages;
    auto key = installer_.key_of(how->dependencies);
    // A program that waits is worth no install.
    if (waits && !key.empty() && !installer_.has(key)) co_return make_error(errc::not_found);
    wanted_set wanted{key, d->payer.value_or(client_key{})};
    const seat wants{wanted_sets_, wanted};
    d->package_key = key;
    if (!how->dependencies.empty()) {
        const auto installed = co_await installer_.ensure(how->dependencies, wanted.client, stop);
        if (!installed) co_return installed.error();
        packages = *installed;
    }
    co_await make_room(d);
    if (stop.requested()) co_return make_error(stop.cause());
    // A program must not wait with old files.
    if (waits && (booting_ || d->updating || d->changes != waits->of_changes)) co_return make_error(errc::unavailable);
    auto ends = make_control_socket();
    if (!ends) co_return ends.error();
    const auto i = std::make_shared<instance>(executor_, std::move(ends->ours), ++generations_);
    i->package_key = key;
    i->payer = wanted.client;
    plan_places places{settings_.init, files, packages, ends->theirs.get()};
    if (waits) places.word = waits->word->inside();
    auto spec = make_spec(d->what, *how, places, settings_.limits);
    if (waits) {
        i->word = waits->word;
        spec.leader = waits->leader;
        spec.begins = waits->begins;
        waits->bytes = how->waits->bytes;
        waits->program = i;
    } else {
        if (const auto& list = how->ignored_packages; !list.empty())
            d->log.say(list + " is ignored: nothing is installed for " + d->what.runtime +
                       "; send the packages as files");
        if (!is_told) tell_start(*d);
    }
    instances_.push_back(i);
    try {
        d->tasks.spawn("a deployment's program", run(d, i, std::move(spec), std::move(ends->theirs)));
    } catch (...) {
        instances_.remove(i);
        throw;
    }
    try {
        tasks_.spawn("a deployment's control socket", serve_control(i));
    } catch (...) {
        i->tell_to_end(errc::internal);
        throw;
    }
    co_return i;
}

asio::awaitable<result<void>> service::reach(std::shared_ptr<deployment> d, std::shared_ptr<instance> i,
                                             async::stop_source& stop)
{
    const auto began = clock::now();
    const async::stop_callback on_stop{stop, [&i](errc cause) { i->tell_to_end(cause); }};
    const auto ready = co_await await_ready(d, i);
    if (!ready) co_return ready.error();
    if (i->over.is_set()) co_return error{errc::start_failed, "the program ended with " + i->how_it_ended()};
    start_seconds_.observe(std::chrono::duration<double>(clock::now() - began).count());
    d->log.say("reachable");
    i->word.reset();
    co_return result<void>{};
}

// The lifecycle is `starting`. Makes it `running`, or tells all waiting requests why not.
asio::awaitable<void> service::start_now(std::shared_ptr<deployment> d)
{
    const auto held = co_await d->launching.lock();
    if (d->life.current() != status::starting) {  // another event was faster
        d->wake(std::nullopt);
        co_return;
    }
    std::shared_ptr<instance> started;
    result<void> launched{make_error(errc::internal)};
    std::exception_ptr thrown;
    try {
        launched = co_await launch(d, d->gone, started);
    } catch (...) {
        thrown = std::current_exception();
    }
    const auto now = clock::now();
    if (launched && d->gone.requested()) {  // deleted meanwhile
        started->tell_to_end(d->gone.cause());
        launched = d->why_gone();
    }
    if (launched) {
        d->current = started;
        d->life.on_ready(now);
        d->message.clear();
        d->fault.reset();
        d->wake(std::nullopt);
        co_return;
    }
    auto failed = launched.error();
    if (d->gone.requested())
        failed = d->why_gone();
    else if (started && started->clean() && failed.code == errc::start_failed)
        d->life.on_ended(now, true);
    else
        d->life.on_start_failed(now);
    d->message = told_outside(failed);
    d->fault = failed.code;
    d->wake(failed);
    if (!d->gone.requested()) {
        if (d->life.current() != status::completed) crashed(d);
        d->log.say(d->message);
        log::warning("a deployment did not start", {{"id", d->what.id}, {"cause", failed.message}});
        if (const auto seat = d->seat) fail_seat(d->what.id, seat);
    }
    if (thrown) std::rethrow_exception(thrown);
}

// `told`: the lifecycle already knows.
void service::begin_start(const std::shared_ptr<deployment>& d, bool told)
{
    if (!told && !d->life.on_start(clock::now())) return;
    try {
        d->tasks.spawn("start a deployment", start_now(d));
    } catch (...) {
        d->life.on_start_failed(clock::now());
        throw;
    }
}

// Ends a program that the deployment has replaced or stopped; its requests get `drain` to finish.
void service::retire(const std::shared_ptr<deployment>& d, std::shared_ptr<instance> i, milliseconds drain)
{
    i->told_to_end = true;
    if (i->over.is_set()) return;
    d->going.push_back(i);
    try {
        d->tasks.spawn("end a program of a deployment", end_gently(i, drain, settings_.stop_grace));
    } catch (...) {
        i->life.request(errc::draining);
        throw;
    }
}

asio::awaitable<void> service::tick()
{
    while (!co_await closing_.wait_for(tick_interval)) {
        const auto now = clock::now();
        for (const auto& [id, d] : deployments_) {
            if (d->seat || d->updating || !d->life.on_tick(now, d->active) || !d->current) continue;
            idle_stops_.add();
            d->message = "stopped because it was idle; the next request starts it";
            d->fault.reset();
            retire(d, std::exchange(d->current, nullptr), milliseconds{0});
            warm_up_later(d);
        }
        end_unused_seats();
    }
}

asio::awaitable<result<deployment_info>> service::deploy(deploy_request what, async::stop_source& stop)
{
    if (closing_.is_set() || handing_over_) co_return make_error(errc::draining);
    manifest is;
    is.id = new_uuid();
    is.sandbox_id = new_uuid();
    is.runtime = what.runtime;
    is.entry_point = what.entry_point;
    is.owner = std::move(what.owner);
    is.env = std::move(what.env);
    is.memory_mb = what.memory_mb.value_or(settings_.default_memory_mb);
    if (is.memory_mb < 1 || is.memory_mb > settings_.max_memory_mb)
        co_return error{errc::invalid_request,
                        "memory_limit_mb must be 1 to " + std::to_string(settings_.max_memory_mb)};
    is.idle = what.idle.value_or(settings_.life.idle);
    is.max_instances = what.max_instances.value_or(1);
    if (is.max_instances < 1 || is.max_instances > settings_.max_instances)
        co_return error{errc::invalid_request, "auto_scale.max_instances must be 1 to " +
                                                   std::to_string(settings_.max_instances) + " (cluster.maxInstances)"};
    is.created = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    is.revision = others_ ? 1 : 0;
    const auto* const own = catalog_.find(is.runtime);
    // A file with the entry file's name replaces `code`.
    if (own && !what.code.empty() &&
        std::ranges::find(what.files, own->entry_name, &deployment_file::path) == what.files.end())
        what.files.push_back({own->entry_name, std::move(what.code)});
    if (auto checked = check_files(what.files, settings_.files); !checked) co_return checked.error();
    std::vector<std::string> paths;
    for (const auto& file : what.files) paths.push_back(file.path);
    const auto package_json = package_json_of(what.files, {});
    if (!package_json) co_return package_json.error();
    const auto how = plan_for(is, paths, *package_json);
    if (!how) co_return how.error();

    if (has_no_place() && !(others_ && co_await make_place()))
        co_return error{errc::queue_full,
                        "this server has as many deployments as it may (faas.maxDeployments); delete one"};
    std::optional<counted> place{deploying_};
    auto key = installer_.key_of(how->dependencies);
    wanted_set wanted{key, what.client};
    const seat wants{wanted_sets_, wanted};
    if (!how->dependencies.empty()) {
        const auto installed = co_await installer_.ensure(how->dependencies, what.client, stop);
        if (!installed) co_return installed.error();
    }
    if (stop.requested()) co_return make_error(stop.cause());
    if (closing_.is_set()) co_return make_error(errc::draining);
    std::vector<deployment_file> for_others;
    result<fleet::room> room{fleet::room{}};
    if (others_) {
        room = others_->make_room(what.client, bytes_of(what.files));
        if (!room) co_return room.error();
        for_others = what.files;
    }
    auto text = to_text(is);
    const auto written = co_await store_->create(is.id, std::move(text), std::move(what.files));
    if (!written) co_return written.error();
    if (others_) {
        // Behind the files: who is told that it is here finds them.
        auto kept = co_await others_->keep(is, std::move(for_others));
        room->reset();
        if (kept && (handing_over_ || closing_.is_set())) {
            if (!co_await others_->forget(is.id)) forget_later(is.id);
            kept = make_error(errc::draining);
        } else if (!kept && kept.error().code == errc::index_unavailable) {
            forget_later(is.id);
        }
        if (!kept) {
            static_cast<void>(co_await store_->remove(is.id));  // what stays has no entry
            co_return kept.error();
        }
    }
    const auto d = add(std::move(is));
    if (others_) begin_hold(d);
    d->package_key = key;
    d->payer = what.client;
    if (what.stored) what.stored();
    place.reset();
    deployment::waiter mine{async::event{executor_}, std::nullopt};
    const seat waits{d->waiters, mine};
    begin_start(d);
    const async::stop_callback on_stop{stop, [&mine](errc) { mine.woken.set(); }};
    co_await mine.woken.wait();
    co_return info_of(*d);
}

std::shared_ptr<deployment> service::get(const std::string& id) const
{
    const auto found = deployments_.find(id);
    return found == deployments_.end() ? nullptr : found->second;
}

deployment_info service::info_of(const deployment& d) const
{
    deployment_info is;
    is.id = d.what.id;
    is.owner = d.what.owner;
    is.sandbox_id = d.what.sandbox_id;
    is.runtime = d.what.runtime;
    is.entry_point = d.what.entry_point;
    is.status = d.life.current();
    is.message = d.message;
    is.fault = d.fault;
    if (d.last_end) is.last_exit = describe(*d.last_end);
    is.created = d.what.created;
    is.memory_mb = d.what.memory_mb;
    is.starts = d.life.starts();
    is.restarts = d.life.crashes();
    if (const auto next = d.life.next_start())
        is.next_start_in =
            std::chrono::duration_cast<milliseconds>(std::max(*next - clock::now(), clock::duration::zero()));
    is.idle = d.what.idle;
    is.max_instances = d.what.max_instances;
    is.requests = d.active;
    is.log_id = d.log.ring.last_id();
    is.revision = d.what.revision;
    return is;
}

std::optional<deployment_info> service::find(const std::string& id) const
{
    const auto d = get(id);
    if (!d) return std::nullopt;
    return info_of(*d);
}

asio::awaitable<result<service::holding>> service::held_by(std::string owner)
{
    if (others_) co_return co_await others_->held_by(std::move(owner));
    const auto is_unknown = [&](const auto& one) { return one.second->what.owner == owner && !one.second->bytes; };
    // Others may come, and be updated, while one is looked at.
    for (;;) {
        const auto next = std::ranges::find_if(deployments_, is_unknown);
        if (next == deployments_.end()) break;
        const auto d = next->second;
        const auto there = co_await files_of(d);
        if (closing_.is_set()) co_return make_error(errc::draining);
        // A deleted one is in no list any more.
        if (d->gone.requested()) continue;
        if (!there) co_return there.error();
        d->bytes = there->bytes;
    }
    holding all;
    for (const auto& [id, d] : deployments_) {
        if (d->what.owner != owner) continue;
        ++all.deployments;
        all.bytes += *d->bytes;
    }
    co_return all;
}

asio::awaitable<result<update_result>> service::update(std::string id, update_request what, async::stop_source& stop)
{
    auto& files = what.files;
    const auto d = get(id);
    if (!d) co_return make_error(errc::not_found);
    if (!d->broken.empty()) co_return error{errc::unprocessable, d->broken};
    if (d->updating) co_return error{errc::too_many_requests, "another update of this deployment is under way"};
    if (!others_ && (what.only_if || what.back_to))
        co_return unprocessable(
            "this server keeps no revisions of deployments: servers that share them do (cluster.listen)");
    if (others_ && !d->lease) co_return moved();
    if (what.only_if && *what.only_if != d->what.revision)
        co_return error{errc::precondition_failed, "the deployment is of revision " + std::to_string(d->what.revision) +
                                                       ", not " + std::to_string(*what.only_if) +
                                                       "; read it again, and send the change for what it is now"};
    const flagged busy{d->updating};
    result<fleet::room> room{fleet::room{}};
    if (what.back_to) {
        auto former = co_await others_->fetch(id, *what.back_to);
        if (!former && former.error().code == errc::not_found)
            co_return error{errc::not_found, "the cache (store.remote) does not have revision " +
                                                 std::to_string(*what.back_to) + " of this deployment"};
        if (!former) co_return former.error();
        const auto more = bytes_of(former->files);
        if (what.admit)
            if (const auto admitted = co_await what.admit(more); !admitted) co_return admitted.error();
        room = others_->make_room(what.client, more);
        if (!room) co_return room.error();
        files = std::move(former->files);
    }
    const bool alone = what.back_to.has_value();
    const file_limits most{.max_files = settings_.files.max_files,
                           .max_bytes = (alone ? 2 : 1) * settings_.files.max_bytes};
    if (auto checked = check_files(files, most); !checked) co_return checked.error();

    // Check the future set of files before anything is written.
    const auto there = co_await files_of(d);
    if (!there) co_return there.error();
    std::vector<deployment_file> merged = files;
    const auto package_json =
        package_json_of(files, alone ? std::string{} : store_->read(id, "package.json", largest_package_json));
    if (!package_json) co_return package_json.error();
    for (const auto& path : there->paths)
        if (!alone && std::ranges::find(files, path, &deployment_file::path) == files.end())
            merged.push_back({path, {}});
    if (auto checked = check_files(merged, most); !checked) co_return checked.error();
    const std::uint64_t bytes = (alone ? 0 : there->bytes) + bytes_of(files);
    std::vector<std::string> paths;
    for (const auto& file : merged) paths.push_back(file.path);
    if (bytes > 2 * settings_.files.max_bytes)
        co_return error{errc::payload_too_large, "the deployment's files are too large in total"};
    const auto how = plan_for(d->what, paths, *package_json);
    if (!how) co_return how.error();
    auto key = installer_.key_of(how->dependencies);
    wanted_set wanted{key, what.client};
    const seat wants{wanted_sets_, wanted};
    if (!how->dependencies.empty()) {
        const auto installed = co_await installer_.ensure(how->dependencies, what.client, stop);
        if (!installed) co_return installed.error();
    }
    if (stop.requested()) co_return make_error(stop.cause());
    if (d->gone.requested()) co_return d->why_gone();
    {
        const auto held = co_await d->disk.lock();
        if (d->gone.requested()) co_return d->why_gone();
        if (others_) {
            auto next = d->what;
            ++next.revision;
            if (!alone) room = others_->make_room(what.client, bytes);
            if (!room) co_return room.error();
            std::vector<deployment_file> whole = files;
            if (!alone) {
                auto all = co_await files_with(id, files);
                if (!all) co_return all.error();
                whole = std::move(*all);
            }
            const auto kept = co_await others_->commit(next, std::move(whole));
            if (d->gone.requested()) co_return d->why_gone();
            // Another server has had the lease, and has changed it.
            if (!kept && kept.error().code == errc::conflict) lose(d);
            if (!kept) co_return kept.error();
            room->reset();
        }
        drop_outdated(*d);
        auto written = co_await store_->update(id, std::move(files), d->tasks.size() > 0, alone);
        if (written && others_) {
            ++d->what.revision;
            written = co_await store_->describe(id, to_text(d->what));
        }
        if (!written) {
            // The copy here is not what the index has: it is brought again for who starts it.
            if (others_) lose(d);
            if (others_) co_await others_->give_back(id);
            co_return written.error();
        }
        d->package_key = key;
        d->payer = what.client;
        d->bytes.reset();
        if (what.stored) what.stored();
    }
    d->log.say("files updated");
    d->life.on_update();

    update_result done;
    if (!what.restart) co_return done;
    if (d->life.current() == status::running) {
        const auto held = co_await d->launching.lock();
        if (d->life.current() == status::running) {
            done.restart_error = co_await replace(d);
            done.restarted = !done.restart_error;
            co_return done;
        }
    }
    // No program runs that a new one could replace.
    auto entered = co_await enter(id, what.client, stop);
    if (!entered) done.restart_error = entered.error();
    done.restarted = entered.has_value();
    co_return done;
}

// A new program replaces the running one; the caller holds `d->launching`. Returns why not if it does not.
asio::awaitable<std::optional<error>> service::replace(std::shared_ptr<deployment> d)
{
    std::shared_ptr<instance> started;
    auto launched = co_await launch(d, d->gone, started);
    if (!launched) {
        d->log.say("the new program does not run, the old one stays: " + told_outside(launched.error()));
        co_return launched.error();
    }
    if (d->gone.requested()) {
        started->tell_to_end(d->gone.cause());
        co_return d->why_gone();
    }
    const auto old = std::exchange(d->current, started);
    d->life.on_switched(clock::now());
    d->message.clear();
    d->fault.reset();
    d->wake(std::nullopt);
    if (old) retire(d, old, settings_.drain_grace);
    co_return std::nullopt;
}

asio::awaitable<result<void>> service::remove(std::string id)
{
    bool was_there = false;
    if (others_ && is_uuid(id)) {
        const auto forgotten = co_await others_->forget(id);
        if (!forgotten) co_return forgotten.error();
        was_there = *forgotten;
        servers_.erase(id);
    }
    const auto d = get(id);
    if (!d && was_there) co_return result<void>{};
    if (!d) co_return make_error(errc::not_found);
    co_return co_await remove_here(d);
}

asio::awaitable<result<void>> service::remove_here(std::shared_ptr<deployment> d)
{
    const auto id = d->what.id;
    if (get(id) != d) co_return result<void>{};
    const counted place{removing_};
    if (d->lease) std::exchange(d->lease, nullptr)->set();
    if (const auto seat = d->seat) drop_seat(id, seat, seat_event::deleted);
    deployments_.erase(id);
    sandboxes_.erase(d->what.sandbox_id);
    d->life.on_delete();
    d->wake(make_error(errc::not_found));
    d->log.wake();
    // `gone` ends a program that is starting.
    d->gone.request(errc::not_found);
    auto leaving = d->going;
    if (d->current) leaving.push_back(d->current);
    for (const auto& one : leaving) one->tell_to_end(errc::not_found);
    drop_warm(*d);
    if (!co_await d->tasks.wait_empty_for(kill_patience))
        log::warning("programs of a deleted deployment do not end", {{"id", id}});
    const auto held = co_await d->disk.lock();
    co_return co_await store_->remove(id);
}

result<std::vector<log_line>> service::logs(const std::string& id, std::uint64_t after, std::size_t most) const
{
    const auto d = get(id);
    if (!d) return make_error(errc::not_found);
    const auto& all = d->log.ring.lines();
    auto from = std::ranges::upper_bound(all, after, {}, &log_line::id);
    if (static_cast<std::size_t>(all.end() - from) > most) from = all.end() - static_cast<std::ptrdiff_t>(most);
    return std::vector<log_line>{from, all.end()};
}

result<log_ring::told_lines> service::told_logs(const std::string& id, std::uint64_t after, std::size_t most,
                                                log_renderer render) const
{
    const auto d = get(id);
    if (!d) return make_error(errc::not_found);
    return d->log.ring.told(after, most, render);
}

asio::awaitable<bool> service::await_log(std::string id, std::uint64_t after, milliseconds patience,
                                         async::stop_source& stop)
{
    const auto d = get(id);
    if (!d) co_return false;
    async::event news{executor_};
    async::event over{executor_};
    const auto end = [&](errc) {
        over.set();
        news.set();
    };
    const async::stop_callback on_stop{stop, end};
    const async::stop_callback on_gone{d->gone, end};
    {
        const seat reads{d->log.readers, news};
        if (d->log.ring.last_id() <= after) co_await news.wait_for(patience);
    }
    // Lines that are printed in quick succession are sent together to all followers.
    if (d->log.ring.last_id() > after) co_await over.wait_for(log_pause);
    co_return !stop.requested() && !d->gone.requested();
}

asio::awaitable<result<service::lease>> service::enter(std::string id, client_key client, async::stop_source& stop)
{
    const auto until = clock::now() + settings_.start_timeout + settings_.life.patience;
    const auto d = get(id);
    if (!d) co_return make_error(errc::not_found);
    if (others_ && !d->lease) {
        if (closing_.is_set()) co_return make_error(errc::draining);
        if (!has_seat(id)) co_return moved();
        d->life.on_use(clock::now());
        requests_.add();
        co_return lease{*this, d};
    }
    for (;;) {
        if (closing_.is_set()) co_return make_error(errc::draining);
        const auto now = clock::now();
        const auto verdict = d->life.on_request(now, d->waiters.size());
        using enum lifecycle::verdict;
        if (verdict == refuse_gone) co_return make_error(errc::not_found);
        if (verdict == refuse_full)
            co_return error{errc::queue_full, "too many requests wait for this deployment to start"};
        if (verdict == refuse_down) co_return error{errc::start_failed, d->message};
        if (verdict == forward) {
            if (d->active >= settings_.max_requests)
                co_return error{errc::too_many_requests, "this deployment has " + std::to_string(d->active) +
                                                             " active requests, which is the limit (faas.maxRequests)"};
            requests_.add();
            co_return lease{*this, d};
        }
        deployment::waiter mine{async::event{executor_}, std::nullopt};
        const seat waits{d->waiters, mine};
        if (verdict == start) {
            if (!d->payer) d->payer = client;
            begin_start(d, true);
        }
        {
            const async::stop_callback on_stop{stop, [&mine](errc) { mine.woken.set(); }};
            co_await mine.woken.wait_for(std::max(until - now, clock::duration::zero()));
        }
        if (stop.requested()) co_return make_error(stop.cause());
        if (mine.failed) co_return *mine.failed;
        if (!mine.woken.is_set() || clock::now() >= until) co_return make_error(errc::start_timeout);
    }
}

service::lease::lease(service& owner, std::shared_ptr<deployment> of)
    : owner_{&owner}, of_{std::move(of)}, in_{of_->current}
{
    ++of_->active;
    if (in_) ++in_->active;
}

service::lease::~lease()
{
    if (!of_) return;
    --of_->active;
    if (in_) --in_->active;
    of_->life.on_use(clock::now());
}

std::uint64_t service::lease::generation() const noexcept { return in_ ? in_->generation : 0; }

const std::string& service::lease::id() const noexcept { return of_->what.id; }

async::stop_source& service::lease::ended() noexcept { return in_ ? in_->gone : of_->gone; }

asio::awaitable<result<stream_socket>> service::lease::connect(async::stop_source& stop)
{
    if (!in_) co_return make_error(errc::start_failed);
    co_return co_await in_->connect(owner_->settings_.connect_timeout, stop);
}

}  // namespace sandboxd::faas
