#include "faas/service.hpp"

#include "async/mutex.hpp"
#include "async/task_scope.hpp"
#include "base/log.hpp"
#include "base/uuid.hpp"
#include "faas/wire.hpp"
#include "programs/environment.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <sys/wait.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <limits>
#include <utility>

namespace sandboxd::faas {

namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

constexpr std::uint16_t port_inside = 3000;
constexpr const char* socket_inside = "/tmp/app.sock";
constexpr std::string_view app_inside = "/srv/app";
constexpr std::string_view modules_inside = "/srv/node_modules";
constexpr std::string_view init_inside = "/sandboxd-init";
constexpr auto first_poll = milliseconds{5};
constexpr auto longest_poll = milliseconds{40};
constexpr auto look_interval = milliseconds{1'000};
constexpr auto wrong_port_patience = milliseconds{3'000};
constexpr auto drain_poll = milliseconds{20};
// So long a follower of a log lets more lines come before it takes them.
constexpr auto log_pause = std::chrono::milliseconds{20};
constexpr auto tick_interval = milliseconds{500};
constexpr auto kill_patience = milliseconds{10'000};
constexpr std::chrono::hours for_ever{24 * 365 * 10};
constexpr std::size_t largest_package_json = 256 * 1024;

// What a client is told: what went wrong on the server's side names its paths, and is for the log.
std::string told_outside(const error& what)
{
    return what.code == errc::io || what.code == errc::internal ? std::string{sentence(what.code)} : what.message;
}

// How a program ended. init's word comes first: a jail tells of a signal by a number that a program may exit with, too.
process::wait_status status_of(const process::outcome& end, std::optional<int> told)
{
    if (told && WIFSIGNALED(*told)) return process::signaled{WTERMSIG(*told)};
    if (told) return process::exited{WEXITSTATUS(*told)};
    return end.status;
}

// Takes what waits out of the list again, however the wait ends.
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

// One more, as long as this lives.
class counted {
public:
    explicit counted(std::size_t& count) : count_{count} { ++count_; }
    ~counted() { --count_; }
    counted(const counted&) = delete;
    counted& operator=(const counted&) = delete;

private:
    std::size_t& count_;
};

}  // namespace

std::string describe(const program_end& end)
{
    return (end.cause ? std::string{name(*end.cause)} + ", " : std::string{}) + process::describe_end(end.status);
}

// What is run, and what it needs.
struct service::plan {
    std::vector<std::string> argv;
    std::vector<std::pair<std::string, std::string>> env;
    std::vector<std::pair<std::string, std::string>> runtime_env;
    std::vector<jail::mount> mounts;
    text_map dependencies;
    std::string ignored_packages;  // the file that lists packages which are not installed; empty: there is none
    std::uint64_t reserved_bytes{0};
};

struct service::deployment {
    deployment(asio::any_io_executor executor, async::task_group& all, manifest is, lifecycle_settings how,
               std::size_t log_bytes)
        : what{std::move(is)}, life{how}, logs{log_bytes}, tasks{executor, all}, disk{executor}, launching{executor}
    {
    }

    struct waiter {
        async::event woken;
        std::optional<error> failed;
    };

    manifest what;
    lifecycle life;
    log_ring logs;
    std::string message;
    std::optional<errc> fault;  // the message's code, where it is an error
    std::optional<program_end> last_end;
    std::string package_key;
    std::string broken;                          // why what is on disk cannot be used; empty: it can
    std::shared_ptr<instance> current;           // null while it does not run
    std::list<std::shared_ptr<instance>> going;  // that are to end: of a restart, or idle
    std::list<waiter*> waiters;
    std::list<async::event*> readers;  // of the log
    std::size_t active{0};
    async::task_scope tasks;  // that start it, run it or end it
    bool updating{false};
    async::mutex disk;       // held while its files are read or written as a whole
    async::mutex launching;  // held while a program of it is started
    async::stop_source gone;
};

struct service::instance {
    instance(asio::any_io_executor executor, unique_fd control, std::uint64_t number)
        : channel{executor, std::move(control)}, over{executor}, generation{number}
    {
    }

    async::stop_source life;
    control_channel channel;
    async::event over;        // its processes are gone
    async::stop_source gone;  // the same, for what lasts no longer than they do
    std::uint64_t generation;
    bool told_to_end{false};
    bool hurry{false};               // its requests are not waited for
    std::optional<program_end> end;  // when it is over; empty: it never ran, and `fault` says why
    std::optional<error> fault;
    std::size_t active{0};
    std::string package_key;

    // Ended by itself with 0.
    bool clean() const { return end && end->clean(); }
    std::string how_it_ended() const { return end ? describe(*end) : fault ? fault->message : "no end"; }
};

struct service::log_taker final : process::output_taker {
    log_taker(service& owner, deployment& of, instance& in) : owner_{owner}, of_{of}, in_{in} {}
    virtual ~log_taker() = default;

    asio::awaitable<void> take(process::output_stream which, std::string_view piece) override
    {
        of_.logs.append(which == process::output_stream::out ? log_source::out : log_source::err, piece,
                        std::chrono::system_clock::now());
        for (auto* const one : of_.readers) one->set();
        // A bucket that holds what may be printed in a second, and is filled at that rate.
        const auto now = clock::now();
        const auto rate = static_cast<double>(owner_.settings_.log_bytes_per_sec);
        room_ = std::min(rate, room_ + rate * std::chrono::duration<double>(now - seen_).count());
        seen_ = now;
        room_ -= static_cast<double>(piece.size());
        if (room_ >= 0 || in_.life.requested()) co_return;
        if (!said_) {
            said_ = true;
            owner_.say(of_, "the program prints faster than is allowed, and is slowed down");
        }
        async::event ended{owner_.executor_};
        const async::stop_callback on_end{in_.life, [&ended](errc) { ended.set(); }};
        co_await ended.wait_for(milliseconds{static_cast<std::int64_t>(-room_ / rate * 1000) + 1});
    }

private:
    service& owner_;
    deployment& of_;
    instance& in_;
    clock::time_point seen_{clock::now()};
    double room_{static_cast<double>(owner_.settings_.log_bytes_per_sec)};
    bool said_{false};
};

service::service(asio::any_io_executor executor, async::task_group& tasks, jail::jail& wall,
                 const programs::catalog& catalog, service_settings how, installer_settings packages,
                 metrics::registry& metrics)
    : executor_{executor},
      tasks_{tasks},
      wall_{wall},
      catalog_{catalog},
      settings_{std::move(how)},
      installer_{executor, tasks,
                 wall,     std::move(packages),
                 metrics,  [this](const std::string& key) {
                     return is_in_use(key); }},
      closing_{executor},
      starts_{metrics.add_counter("sandboxd_faas_starts_total", "Programs of deployments started.")},
      crashes_{metrics.add_counter("sandboxd_faas_crashes_total", "Programs of deployments that ended unasked.")},
      idle_stops_{metrics.add_counter("sandboxd_faas_idle_stops_total", "Deployments stopped for idleness.")},
      requests_{metrics.add_counter("sandboxd_faas_requests_total", "Requests let into deployments.")},
      start_seconds_{metrics.add_histogram("sandboxd_faas_start_seconds",
                                           "From the start of a deployment's program to its first connection.")}
{
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

std::shared_ptr<service::deployment> service::add(manifest what)
{
    auto life = settings_.life;
    life.idle = what.idle;
    auto made = std::make_shared<deployment>(executor_, tasks_, std::move(what), life, settings_.log_bytes);
    deployments_[made->what.id] = made;
    if (!made->what.sandbox_id.empty()) sandboxes_[made->what.sandbox_id] = made->what.id;
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
            continue;
        }
        // It is shown, so that somebody can look at it and remove it; the others are served.
        log::error("a deployment on disk cannot be used", {{"id", entry.id}, {"cause", fault}});
        manifest only;
        only.id = entry.id;
        only.created = entry.changed;
        const auto d = add(std::move(only));
        d->life.on_broken();
        d->broken = "what is on disk of this deployment cannot be used: " + fault + "; delete it, and deploy it again";
        d->message = d->broken;
        d->fault = errc::start_failed;
    }
    if (!found->empty()) log::info("deployments of an earlier server are here", {{"count", deployments_.size()}});
    return {};
}

void service::start()
{
    tasks_.spawn("deployments", tick());
    installer_.start();
}

void service::close()
{
    closing_.set();
    installer_.close();
    stop_.request(errc::draining);
    for (const auto& one : instances_) {
        one->told_to_end = true;
        one->life.request(errc::draining);
    }
    for (const auto& [id, d] : deployments_) {
        wake(*d, make_error(errc::draining));
        d->gone.request(errc::draining);
    }
}

// By the files of a deployment, by a program that was started with other ones, or by what is about to be.
bool service::is_in_use(const std::string& key) const
{
    return std::ranges::any_of(deployments_, [&](const auto& one) { return one.second->package_key == key; }) ||
           std::ranges::any_of(instances_, [&](const auto& one) { return one->package_key == key; }) ||
           std::ranges::any_of(wanted_sets_, [&](const auto* one) { return *one == key; });
}

std::string service::package_key(const deployment& d) const
{
    const auto text = store_->read(d.what.id, "package.json", largest_package_json);
    if (text.empty()) return {};
    const auto read = read_package_manifest(text);
    return read ? installer_.key_of(read->dependencies) : std::string{};
}

result<service::plan> service::make_plan(const manifest& what, const std::vector<std::string>& paths,
                                         const std::string& package_json) const
{
    const auto* const own = catalog_.find(what.runtime);
    if (!own) return catalog_.missing(what.runtime);
    package_manifest package;
    if (!package_json.empty()) {
        auto read = read_package_manifest(package_json);
        if (!read) return read.error();
        package = std::move(*read);
    }
    if (what.entry_point.empty() && std::ranges::find(paths, own->entry_name) == paths.end())
        return unprocessable("there is no file '" + own->entry_name + "' in this deployment, which " + own->name +
                             " runs unless told otherwise" + programs::entry_point_cure(own->entry_name, paths));
    const auto command = resolve_entry_point(what.entry_point.empty() ? own->entry_name : what.entry_point,
                                             package.scripts, paths, programs::known_commands());
    if (!command) return command.error();

    plan made;
    made.env = command->env;
    made.dependencies = std::move(package.dependencies);
    for (const auto* list : {"pyproject.toml", "Pipfile", "requirements.txt"})
        if (!own->takes_packages && std::ranges::find(paths, list) != paths.end()) made.ignored_packages = list;
    const auto all = catalog_.all();
    const auto mount = [&made](const programs::runtime& one) {
        for (const auto& each : one.mounts)
            if (std::ranges::find(made.mounts, each) == made.mounts.end()) made.mounts.push_back(each);
        made.reserved_bytes = std::max(made.reserved_bytes, one.reserved_bytes);
    };
    // The runtime itself, and every other one whose command a package's script may call.
    mount(*own);
    for (const auto* one : all)
        if (own->takes_packages && one->takes_packages) mount(*one);
    auto words = command->words;
    made.runtime_env = own->env;
    if (command->is_file) {
        made.argv.push_back(own->program);
        made.argv.insert(made.argv.end(), own->run_file.begin(), own->run_file.end());
    } else if (command->is_package_binary && !own->takes_packages) {
        return unprocessable("'" + words.front() + "' is a program of a package, and none is installed for " +
                             own->name + "; bring it along as files and start it with '" + own->command + " -m " +
                             words.front() + "'");
    } else if (command->is_package_binary) {
        // These are scripts for Node.js; the runtime reads their first line away.
        made.argv.push_back(own->program);
        words.front() = std::string{modules_inside} + "/.bin/" + words.front();
    } else {
        const auto is_called = [&words](const programs::runtime* one) {
            return one->command == words.front() || std::ranges::count(one->aliases, words.front()) > 0;
        };
        const auto named = std::ranges::find_if(all, is_called);
        if (named == all.end())
            return error{errc::unprocessable, "entry_point runs '" + words.front() + "', which is not installed here"};
        // TypeScript and Bun have the same word: what was asked for comes first.
        const auto& meant = is_called(own) ? *own : **named;
        mount(meant);
        made.runtime_env = meant.env;
        words.front() = meant.program;
    }
    made.argv.insert(made.argv.end(), words.begin(), words.end());
    return made;
}

jail::spec service::make_spec(const deployment& d, const plan& how, int control, const std::filesystem::path& files,
                              const std::filesystem::path& packages) const
{
    jail::spec spec;
    spec.argv = {std::string{init_inside}, "--socket-path", socket_inside};
    if (settings_.limits.open_files != 0)
        for (auto word : {std::string{"--open-files"}, std::to_string(settings_.limits.open_files)})
            spec.argv.push_back(std::move(word));
    spec.argv.emplace_back("--");
    spec.argv.insert(spec.argv.end(), how.argv.begin(), how.argv.end());
    spec.env = {{"PATH", "/usr/local/bin:/usr/bin:/bin:" + std::string{modules_inside} + "/.bin"},
                {"HOME", "/tmp"},
                {"TMPDIR", "/tmp"},
                {"LC_ALL", "C.UTF-8"},
                {"DO_NOT_TRACK", "1"},
                {"HOST", "127.0.0.1"}};
    for (const auto* const more : {&how.runtime_env, &d.what.env, &how.env}) programs::set_variables(spec.env, *more);
    // Last: where the server looks for it is not the program's choice.
    programs::set_variable(spec.env, "PORT", std::to_string(port_inside));
    programs::set_variable(spec.env, "SOCKET_PATH", socket_inside);
    spec.cwd = app_inside;
    spec.mounts = how.mounts;
    spec.mounts.push_back({.source = settings_.init, .target = std::string{init_inside}, .own_copy = true});
    spec.mounts.push_back({.source = files, .target = std::string{app_inside}});
    if (!packages.empty()) spec.mounts.push_back({.source = packages, .target = std::string{modules_inside}});
    spec.hostname = "deployment";
    spec.limits = settings_.limits;
    if (spec.limits.open_files != 0) spec.limits.open_files += wire::descriptors_of_init;
    spec.limits.memory_bytes = static_cast<std::uint64_t>(d.what.memory_mb) << 20;
    spec.limits.data_bytes = spec.limits.memory_bytes + how.reserved_bytes;
    spec.network = jail::network_access::own;
    spec.as_pid_1 = true;
    spec.pass_fds.emplace_back(control, wire::control_fd_inside);
    return spec;
}

void service::say(deployment& d, std::string_view text)
{
    d.logs.append(log_source::system, text, std::chrono::system_clock::now());
    for (auto* const one : d.readers) one->set();
}

void service::wake(deployment& d, const std::optional<error>& failed)
{
    for (auto* const one : d.waiters) {
        one->failed = failed;
        one->woken.set();
    }
}

// Runs the jail to its end.
asio::awaitable<void> service::run(std::shared_ptr<deployment> d, std::shared_ptr<instance> i, jail::spec spec,
                                   unique_fd theirs)
{
    // Whatever throws: it is over for all who count on it.
    struct finish {
        ~finish()
        {
            i.channel.close();
            if (!i.end && !i.fault) i.fault = make_error(errc::internal);
            std::erase_if(d.going, [&](const auto& one) { return one.get() == &i; });
            std::erase_if(all, [&](const auto& one) { return one.get() == &i; });
            i.over.set();
            i.gone.request(errc::start_failed);
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
        log_taker taker{*this, *d, *i};
        const process::run_limits limits{.wall = for_ever, .output_bytes = std::numeric_limits<std::size_t>::max()};
        const auto ran = co_await wall_.run(std::move(spec), limits, i->life, &taker);
        theirs.reset();
        d->logs.flush(std::chrono::system_clock::now());
        i->channel.catch_up();
        const auto begun = i->channel.begun();
        if (ran && begun != std::optional{0} && !i->told_to_end && !i->life.requested()) {
            // Neither init nor the runtime is the client's: that they cannot be executed is no end of his program.
            std::string why = begun ? "the runtime cannot be started: " + std::string{std::strerror(*begun)}
                                    : "sandboxd-init did not start in the jail";
            if (!begun && !d->logs.lines().empty()) why += ": " + d->logs.lines().back().text;
            i->fault = error{errc::unavailable, std::move(why)};
            log::error("a deployment's jail cannot be run", {{"id", d->what.id}, {"cause", i->fault->message}});
        } else if (ran) {
            i->end = program_end{status_of(*ran, i->channel.ended()), std::nullopt};
            if (!i->told_to_end && i->life.requested()) i->end->cause = i->life.cause();
        } else {
            // Of paths and daemons of this host the client is told nothing.
            i->fault = make_error(ran.error().code);
            log::error("a deployment's jail cannot be run", {{"id", d->what.id}, {"cause", ran.error().message}});
        }
        say(*d, i->told_to_end ? "stopped" : "ended with " + i->how_it_ended());
        running = d->current == i;
    }
    if (running && !i->told_to_end) ended(d, *i);
}

// A running program has ended that nobody told to; the lifecycle knows.
void service::ended(const std::shared_ptr<deployment>& d, const instance& i)
{
    d->message = i.clean() ? "the program ended by itself with exit 0" : "the program ended with " + i.how_it_ended();
    d->fault = i.clean() ? std::nullopt : std::optional{errc::start_failed};
    if (!i.clean()) crashed(d);
}

void service::crashed(const std::shared_ptr<deployment>& d)
{
    crashes_.add();
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
    const auto until = clock::now() + settings_.start_timeout;
    auto pause = first_poll;
    std::string why = "it does not listen on port " + std::to_string(port_inside);
    std::string elsewhere;  // where it listens instead
    const auto* const runs = catalog_.find(d->what.runtime);
    const auto port_in_code = (runs ? *runs : programs::runtime{}).port_in_code;
    auto look = clock::now() + look_interval;
    std::optional<clock::time_point> since;
    while (!co_await i->over.wait_for(pause)) {
        if (i->life.requested()) {
            co_await i->over.wait();
            co_return make_error(i->life.cause());
        }
        const auto left = std::chrono::duration_cast<milliseconds>(until - clock::now());
        if (left.count() <= 0) {
            i->told_to_end = true;
            say(*d, "not reachable in time: " + why);
            i->life.request(errc::timeout);
            co_await i->over.wait();
            co_return error{errc::start_timeout, "the program was not reachable in " +
                                                     std::to_string(settings_.start_timeout.count()) + " ms: " + why};
        }
        auto connected = co_await i->channel.connect(port_inside, left, i->life);
        if (connected) co_return result<void>{};
        if (connected.error().code == errc::timeout) why = connected.error().message;
        if (clock::now() >= look) {
            // Seen twice: many a program opens one port before the other.
            const auto places = co_await i->channel.listeners(look_interval);
            std::string seen;
            for (const auto& place : places) seen += (seen.empty() ? "" : ", ") + place;
            if (!seen.empty() && seen == elsewhere) {
                auto told = "the program listens on " + seen + ", not on 127.0.0.1:" + std::to_string(port_inside) +
                            "; it must listen on PORT (" + port_in_code + ") of 127.0.0.1 or of all addresses";
                if (told != why) say(*d, told);
                why = std::move(told);
                if (!since) since = clock::now();
                // It may still come; who waits knows now what to do.
                if (clock::now() - *since >= wrong_port_patience && d->life.current() == status::starting) {
                    d->message = why;
                    d->fault = errc::start_failed;
                    wake(*d, error{errc::start_failed, why});
                }
            }
            elsewhere = std::move(seen);
            look = clock::now() + look_interval;
        }
        pause = std::min(pause * 3 / 2, longest_poll);
    }
    if (i->told_to_end) co_return make_error(errc::draining);
    if (i->fault) co_return *i->fault;
    d->last_end = i->end;
    if (i->clean())
        co_return error{errc::start_failed, "the program ended with exit 0 without listening on port " +
                                                std::to_string(port_inside) + " or SOCKET_PATH"};
    co_return error{errc::start_failed, "the program ended with " + i->how_it_ended() + " before it listened"};
}

asio::awaitable<result<file_store::survey>> service::files_of(std::shared_ptr<deployment> d)
{
    const auto held = co_await d->disk.lock();
    co_return co_await store_->look(d->what.id);
}

// A deployment has at most two programs: one that runs or is being started, and one beside it that is about to go.
asio::awaitable<void> service::make_room(std::shared_ptr<deployment> d)
{
    while (!d->going.empty() && d->going.size() + (d->current ? 1 : 0) > 1) {
        const auto oldest = d->going.front();
        oldest->hurry = true;
        co_await oldest->over.wait();
    }
}

// Installs what it needs, starts it, waits until it is reachable; `started`, when it has got so far. On failure
// nothing of it is left. `d->launching` is held.
asio::awaitable<result<void>> service::launch(std::shared_ptr<deployment> d, async::stop_source& stop,
                                              std::shared_ptr<instance>& started)
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
    const auto how = make_plan(d->what, there->paths, store_->read(d->what.id, "package.json", largest_package_json));
    if (!how) co_return how.error();
    std::filesystem::path packages;
    auto key = installer_.key_of(how->dependencies);
    const seat wants{wanted_sets_, key};
    d->package_key = key;
    if (!how->dependencies.empty()) {
        const auto installed = co_await installer_.ensure(how->dependencies, stop);
        if (!installed) co_return installed.error();
        packages = *installed;
    }
    co_await make_room(d);
    if (stop.requested()) co_return make_error(stop.cause());
    auto ends = make_control_socket();
    if (!ends) co_return ends.error();
    const auto i = std::make_shared<instance>(executor_, std::move(ends->ours), ++generations_);
    started = i;
    i->package_key = key;
    auto spec = make_spec(*d, *how, ends->theirs.get(), files, packages);
    // Whatever throws from here on: no program stays that nobody knows of.
    struct end_it {
        ~end_it()
        {
            if (kept) return;
            of.told_to_end = true;
            of.life.request(errc::internal);
        }
        instance& of;
        bool kept{false};
    } at_end{*i};
    const auto began = clock::now();
    starts_.add();
    if (const auto& list = how->ignored_packages; !list.empty())
        say(*d,
            list + " is ignored: nothing is installed for " + d->what.runtime + "; bring the packages along as files");
    say(*d, "starting");
    const async::stop_callback on_stop{stop, [&i](errc cause) {
                                           i->told_to_end = true;
                                           i->life.request(cause);
                                       }};
    instances_.push_back(i);
    try {
        d->tasks.spawn("a deployment's program", run(d, i, std::move(spec), std::move(ends->theirs)));
    } catch (...) {
        instances_.remove(i);
        throw;
    }
    tasks_.spawn("a deployment's control socket",
                 [](std::shared_ptr<instance> one) -> asio::awaitable<void> { co_await one->channel.serve(); }(i));
    const auto ready = co_await await_ready(d, i);
    if (!ready) co_return ready.error();
    if (i->over.is_set()) co_return error{errc::start_failed, "the program ended with " + i->how_it_ended()};
    start_seconds_.observe(std::chrono::duration<double>(clock::now() - began).count());
    say(*d, "reachable");
    at_end.kept = true;
    co_return result<void>{};
}

// The lifecycle says `starting`; makes it `running`, or tells why not to all who wait.
asio::awaitable<void> service::start_now(std::shared_ptr<deployment> d)
{
    const auto held = co_await d->launching.lock();
    if (d->life.current() != status::starting) {  // something else was quicker
        wake(*d, std::nullopt);
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
    if (launched && d->gone.requested()) {  // in this moment
        started->told_to_end = true;
        started->life.request(d->gone.cause());
        launched = make_error(d->gone.cause());
    }
    if (launched) {
        d->current = started;
        d->life.on_ready(now);
        d->message.clear();
        d->fault.reset();
        wake(*d, std::nullopt);
        co_return;
    }
    auto failed = launched.error();
    if (d->gone.requested())
        failed = make_error(d->gone.cause());
    else if (started && started->clean() && failed.code == errc::start_failed)
        d->life.on_ended(now, true);
    else
        d->life.on_start_failed(now);
    d->message = told_outside(failed);
    d->fault = failed.code;
    wake(*d, failed);
    if (!d->gone.requested()) {
        if (d->life.current() != status::completed) crashed(d);
        say(*d, d->message);
        log::warning("a deployment did not start", {{"id", d->what.id}, {"cause", failed.message}});
    }
    if (thrown) std::rethrow_exception(thrown);
}

// `told`: the lifecycle knows already.
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

// Makes a program go that is no longer the deployment's: its requests have so long to be answered.
void service::retire(const std::shared_ptr<deployment>& d, std::shared_ptr<instance> i, milliseconds drain)
{
    i->told_to_end = true;
    if (i->over.is_set()) return;
    d->going.push_back(i);
    try {
        d->tasks.spawn("end a program of a deployment", stop_instance(i, drain));
    } catch (...) {
        i->life.request(errc::draining);
        throw;
    }
}

asio::awaitable<void> service::stop_instance(std::shared_ptr<instance> i, milliseconds drain)
{
    struct make_sure {
        ~make_sure() { of.life.request(errc::draining); }
        instance& of;
    } const at_end{*i};
    const auto until = clock::now() + drain;
    while (i->active > 0 && !i->hurry && clock::now() < until)
        if (co_await i->over.wait_for(drain_poll)) co_return;
    i->channel.terminate();
    if (co_await i->over.wait_for(settings_.stop_grace)) co_return;
    i->life.request(errc::draining);
    co_await i->over.wait();
}

asio::awaitable<void> service::tick()
{
    while (!co_await closing_.wait_for(tick_interval)) {
        const auto now = clock::now();
        for (const auto& [id, d] : deployments_) {
            if (d->updating || !d->life.on_tick(now, d->active) || !d->current) continue;
            idle_stops_.add();
            d->message = "stopped for idleness; the next request starts it";
            d->fault.reset();
            retire(d, std::exchange(d->current, nullptr), milliseconds{0});
        }
    }
}

asio::awaitable<result<deployment_info>> service::deploy(deploy_request what, async::stop_source& stop)
{
    if (closing_.is_set()) co_return make_error(errc::draining);
    if (deployments_.size() + deploying_ + removing_ >= settings_.max_deployments)
        co_return error{errc::queue_full, "there are " + std::to_string(deployments_.size() + removing_) +
                                              " deployments, as many as may be (faas.maxDeployments)"};
    manifest is;
    is.id = new_uuid();
    is.sandbox_id = new_uuid();
    is.runtime = what.runtime;
    is.entry_point = what.entry_point;
    is.env = std::move(what.env);
    is.memory_mb = what.memory_mb.value_or(settings_.default_memory_mb);
    if (is.memory_mb < 1 || is.memory_mb > settings_.max_memory_mb)
        co_return error{errc::invalid_request,
                        "memory_limit_mb must be 1 to " + std::to_string(settings_.max_memory_mb)};
    is.idle = what.idle.value_or(settings_.life.idle);
    is.created = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    const auto* const own = catalog_.find(is.runtime);
    // A file of the name where `code` would go stands in for it.
    if (own && !what.code.empty() &&
        std::ranges::find(what.files, own->entry_name, &deployment_file::path) == what.files.end())
        what.files.push_back({own->entry_name, std::move(what.code)});
    if (auto checked = check_files(what.files, settings_.files); !checked) co_return checked.error();
    std::vector<std::string> paths;
    std::string package_json;
    for (const auto& file : what.files) {
        paths.push_back(file.path);
        if (file.path == "package.json") package_json = file.content;
    }
    const auto how = make_plan(is, paths, package_json);
    if (!how) co_return how.error();

    std::optional<counted> place{deploying_};
    auto key = installer_.key_of(how->dependencies);
    const seat wants{wanted_sets_, key};
    if (!how->dependencies.empty()) {
        const auto installed = co_await installer_.ensure(how->dependencies, stop);
        if (!installed) co_return installed.error();
    }
    if (stop.requested()) co_return make_error(stop.cause());
    if (closing_.is_set()) co_return make_error(errc::draining);
    auto text = to_text(is);
    const auto written = co_await store_->create(is.id, std::move(text), std::move(what.files));
    if (!written) co_return written.error();
    const auto id = is.id;
    const auto d = add(std::move(is));
    d->package_key = key;
    place.reset();
    deployment::waiter mine{async::event{executor_}, std::nullopt};
    const seat waits{d->waiters, mine};
    begin_start(d);
    const async::stop_callback on_stop{stop, [&mine](errc) { mine.woken.set(); }};
    co_await mine.woken.wait();
    co_return info_of(*d);
}

std::shared_ptr<service::deployment> service::get(const std::string& id) const
{
    const auto found = deployments_.find(id);
    return found == deployments_.end() ? nullptr : found->second;
}

deployment_info service::info_of(const deployment& d) const
{
    deployment_info is;
    is.id = d.what.id;
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
    is.requests = d.active;
    is.log_id = d.logs.last_id();
    return is;
}

std::vector<deployment_info> service::list() const
{
    std::vector<deployment_info> all;
    for (const auto& [id, d] : deployments_) all.push_back(info_of(*d));
    std::ranges::sort(
        all, [](const auto& a, const auto& b) { return a.created != b.created ? a.created < b.created : a.id < b.id; });
    return all;
}

std::optional<deployment_info> service::find(const std::string& id) const
{
    const auto d = get(id);
    if (!d) return std::nullopt;
    return info_of(*d);
}

std::optional<std::string> service::by_sandbox(const std::string& sandbox_id) const
{
    const auto found = sandboxes_.find(sandbox_id);
    if (found == sandboxes_.end()) return std::nullopt;
    return found->second;
}

asio::awaitable<result<update_result>> service::update(std::string id, std::vector<deployment_file> files, bool restart,
                                                       async::stop_source& stop)
{
    const auto d = get(id);
    if (!d) co_return make_error(errc::not_found);
    if (!d->broken.empty()) co_return error{errc::unprocessable, d->broken};
    if (d->updating) co_return error{errc::too_many_requests, "another update of this deployment is under way"};
    if (auto checked = check_files(files, settings_.files); !checked) co_return checked.error();
    struct busy {
        explicit busy(bool& is) : flag{is} { flag = true; }
        ~busy() { flag = false; }
        bool& flag;
    } const mark{d->updating};

    // As it will be: everything is checked before anything is written.
    const auto there = co_await files_of(d);
    if (!there) co_return there.error();
    std::vector<deployment_file> merged = files;
    std::string package_json = store_->read(id, "package.json", largest_package_json);
    for (const auto& path : there->paths)
        if (std::ranges::find(files, path, &deployment_file::path) == files.end()) merged.push_back({path, {}});
    if (auto checked = check_files(merged, settings_.files); !checked) co_return checked.error();
    std::uint64_t bytes = there->bytes;
    std::vector<std::string> paths;
    for (const auto& file : merged) paths.push_back(file.path);
    for (const auto& file : files) {
        bytes += file.content.size();
        if (file.path == "package.json") package_json = file.content;
    }
    if (bytes > 2 * settings_.files.max_bytes)
        co_return error{errc::payload_too_large, "the deployment's files are too large together"};
    const auto how = make_plan(d->what, paths, package_json);
    if (!how) co_return how.error();
    auto key = installer_.key_of(how->dependencies);
    const seat wants{wanted_sets_, key};
    if (!how->dependencies.empty()) {
        const auto installed = co_await installer_.ensure(how->dependencies, stop);
        if (!installed) co_return installed.error();
    }
    if (stop.requested()) co_return make_error(stop.cause());
    if (d->gone.requested()) co_return make_error(errc::not_found);
    {
        const auto held = co_await d->disk.lock();
        if (d->gone.requested()) co_return make_error(errc::not_found);
        const auto written = co_await store_->update(id, std::move(files), d->tasks.size() > 0);
        if (!written) co_return written.error();
        d->package_key = key;
    }
    say(*d, "files updated");
    d->life.on_update();

    update_result done;
    if (!restart) co_return done;
    if (d->life.current() == status::running) {
        const auto held = co_await d->launching.lock();
        if (d->life.current() == status::running) {
            done.restart_error = co_await replace(d);
            done.restarted = !done.restart_error;
            co_return done;
        }
    }
    // Nothing runs that it could be switched from.
    auto entered = co_await enter(id, stop);
    if (!entered) done.restart_error = entered.error();
    done.restarted = entered.has_value();
    co_return done;
}

// A new program takes over from the one that runs; `d->launching` is held. Why not, when it does not.
asio::awaitable<std::optional<error>> service::replace(std::shared_ptr<deployment> d)
{
    std::shared_ptr<instance> started;
    auto launched = co_await launch(d, d->gone, started);
    if (!launched) {
        say(*d, "the new one does not run, the old one goes on: " + told_outside(launched.error()));
        co_return launched.error();
    }
    if (d->gone.requested()) {
        started->told_to_end = true;
        started->life.request(d->gone.cause());
        co_return make_error(d->gone.cause());
    }
    const auto old = std::exchange(d->current, started);
    d->life.on_switched(clock::now());
    d->message.clear();
    d->fault.reset();
    wake(*d, std::nullopt);
    if (old) retire(d, old, settings_.drain_grace);
    co_return std::nullopt;
}

asio::awaitable<result<void>> service::remove(std::string id)
{
    const auto d = get(id);
    if (!d) co_return make_error(errc::not_found);
    const counted place{removing_};
    deployments_.erase(id);
    sandboxes_.erase(d->what.sandbox_id);
    d->life.on_delete();
    wake(*d, make_error(errc::not_found));
    for (auto* const one : d->readers) one->set();
    // One that is starting ends by `gone`.
    d->gone.request(errc::not_found);
    auto leaving = d->going;
    if (d->current) leaving.push_back(d->current);
    for (const auto& one : leaving) {
        one->told_to_end = true;
        one->life.request(errc::not_found);
    }
    if (!co_await d->tasks.wait_empty_for(kill_patience))
        log::warning("programs of a deployment that was removed do not end", {{"id", id}});
    const auto held = co_await d->disk.lock();
    co_return co_await store_->remove(id);
}

result<std::vector<log_line>> service::logs(const std::string& id, std::uint64_t after, std::size_t most) const
{
    const auto d = get(id);
    if (!d) return make_error(errc::not_found);
    std::vector<log_line> lines;
    for (const auto& line : d->logs.lines())
        if (line.id > after) lines.push_back(line);
    if (lines.size() > most) lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(most));
    return lines;
}

result<log_ring::told_lines> service::told_logs(const std::string& id, std::uint64_t after, std::size_t most,
                                                log_renderer render) const
{
    const auto d = get(id);
    if (!d) return make_error(errc::not_found);
    return d->logs.told(after, most, render);
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
        const seat reads{d->readers, news};
        if (d->logs.last_id() <= after) co_await news.wait_for(patience);
    }
    // What is printed in quick succession goes out together, to however many.
    if (d->logs.last_id() > after) co_await over.wait_for(log_pause);
    co_return !stop.requested() && !d->gone.requested();
}

asio::awaitable<result<service::lease>> service::enter(std::string id, async::stop_source& stop)
{
    const auto until = clock::now() + settings_.start_timeout + settings_.life.patience;
    const auto d = get(id);
    if (!d) co_return make_error(errc::not_found);
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
                                                             " requests under way (faas.maxRequests)"};
            requests_.add();
            co_return lease{*this, d};
        }
        deployment::waiter mine{async::event{executor_}, std::nullopt};
        const seat waits{d->waiters, mine};
        if (verdict == start) begin_start(d, true);
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
    auto made = co_await in_->channel.connect(port_inside, owner_->settings_.connect_timeout, stop);
    if (made) co_return made;
    switch (made.error().code) {
        case errc::unavailable: co_return error{errc::start_failed, made.error().message};
        case errc::timeout: co_return error{errc::start_timeout, made.error().message};
        default: co_return made.error();
    }
}

}  // namespace sandboxd::faas
