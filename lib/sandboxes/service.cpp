#include "sandboxes/service.hpp"

#include "async/turns.hpp"
#include "base/log.hpp"
#include "base/uuid.hpp"
#include "disk/directory.hpp"
#include "init/hold.hpp"
#include "jail/environment.hpp"

#include <algorithm>
#include <set>
#include <stdexcept>

namespace sandboxd::sandboxes {

namespace asio = boost::asio;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

constexpr std::uint64_t mib = 1024 * 1024;
// A private tmpfs in every jail. The files are mounted into it one by one, so that everything else in it is writable.
constexpr std::string_view directory_inside = init::hold::sandbox_directory;
// The kept end of standard error: it shows why a program ended whose output was streamed.
constexpr std::size_t tail_bytes = 16 * 1024;
// A runtime that has not booted by then is not waited for.
constexpr milliseconds boot_patience{20'000};
constexpr milliseconds pressure_interval{1'000};
// Who executes a sandbox again within this time goes on without a pause.
constexpr milliseconds idle_moment{30};
// While the processors are busy for so long, there are only jails without runtimes.
constexpr milliseconds idle_patience{10'000};

bool is_file_name(std::string_view entry_point)
{
    return programs::path_fault(entry_point).empty() && !entry_point.starts_with('-');
}

}  // namespace

struct service::sandbox : std::enable_shared_from_this<service::sandbox> {
    sandbox(disk::job_directory where, const asio::any_io_executor& executor)
        : directory{std::move(where)}, quiet{executor}
    {
    }

    std::string id;
    std::string owner;
    programs::runtime runtime;  // a copy from its creation
    std::string entry_point;
    std::vector<std::pair<std::string, std::string>> env;
    execution_limits bounds;
    std::vector<std::string> paths;  // of its files
    std::size_t files{0};
    std::uint64_t bytes{0};
    disk::job_directory directory;
    std::chrono::system_clock::time_point created;
    std::chrono::system_clock::time_point last_used;
    steady_clock::time_point used{steady_clock::now()};
    std::unique_ptr<warm_jail> warm;
    std::uint64_t waiting_bytes{0};  // of the runtime in `warm`, estimated until it has booted; 0: none
    bool cannot_wait{false};         // its runtime did not boot in advance, or holds too much memory
    bool to_warm_up{false};          // in idle time
    bool replaced{false};            // the last one that waited was lost, and this is another
    std::uint64_t executions{0};
    std::size_t running{0};
    bool is_shared{false};  // a copy: the fleet has it, too
    async::stop_source gone;
    async::event quiet;  // set when it was removed and nothing of it runs
};

// One that is being made, or that the fleet is told of: its place is kept meanwhile.
struct service::place {
    place(service& its, std::uint64_t of) : owner{its}, bytes{of}
    {
        ++owner.coming_;
        owner.bytes_ += bytes;
    }
    ~place()
    {
        --owner.coming_;
        owner.bytes_ -= bytes;
    }
    place(const place&) = delete;
    place& operator=(const place&) = delete;

    service& owner;
    const std::uint64_t bytes;
};

// Passes output on, and keeps the end of standard error.
struct service::tail_taker final : process::output_taker {
    explicit tail_taker(process::output_taker& next) : next_{next} {}
    virtual ~tail_taker() = default;

    asio::awaitable<void> take(process::output_stream which, std::string_view piece) override
    {
        if (which == process::output_stream::err) {
            tail_ += piece;
            if (tail_.size() > 2 * tail_bytes) tail_.erase(0, tail_.size() - tail_bytes);
        }
        co_await next_.take(which, piece);
    }

    std::string_view tail() const noexcept { return tail_; }

private:
    process::output_taker& next_;
    std::string tail_;
};

service::service(asio::any_io_executor executor, async::task_group& tasks, jail::jail& wall, programs::catalog& catalog,
                 admission::gate& gate, service_settings how, metrics::registry& metrics)
    : executor_{executor},
      tasks_{tasks},
      wall_{wall},
      catalog_{catalog},
      gate_{gate},
      settings_{std::move(how)},
      flights_{tasks, executor},
      closing_{executor},
      expired_{metrics.add_counter("sandboxd_sandboxes_expired_total", "Sandboxes removed because nobody used them.")},
      let_go_{metrics.add_counter("sandboxd_sandboxes_let_go_total",
                                  "Copies of sandboxes removed to make room, or because the fleet has them no more.")},
      brought_{metrics.add_counter("sandboxd_sandboxes_brought_total", "Sandboxes that other servers have created.")},
      from_warm_{metrics.add_counter("sandboxd_sandbox_jails_total", "Jails that executions ran in.", "from=\"warm\"")},
      built_{metrics.add_counter("sandboxd_sandbox_jails_total", "Jails that executions ran in.", "from=\"new\"")},
      hits_{metrics.add_counter("sandboxd_sandbox_warm_runtimes_total",
                                "Executions of runtimes that can wait: a hit found one that had booted.",
                                "result=\"hit\"")},
      misses_{metrics.add_counter("sandboxd_sandbox_warm_runtimes_total", "", "result=\"miss\"")},
      over_budget_{metrics.add_counter("sandboxd_sandbox_warm_runtimes_dropped_total",
                                       "Runtimes that waited, or tried to, and are gone without an execution.",
                                       "cause=\"budget\"")},
      under_pressure_{metrics.add_counter("sandboxd_sandbox_warm_runtimes_dropped_total", "", "cause=\"pressure\"")},
      lost_{metrics.add_counter("sandboxd_sandbox_warm_runtimes_dropped_total", "", "cause=\"ended\"")},
      seconds_{metrics.add_histogram("sandboxd_sandbox_execution_seconds", "From an execution's start to its end.")}
{
    for (const auto how_it_ends : {verdict::exit, verdict::timeout, verdict::memory_limit, verdict::output_limit,
                                   verdict::disk_limit, verdict::signalled})
        ended_[how_it_ends] =
            &metrics.add_counter("sandboxd_sandbox_executions_total", "Executions in sandboxes, by verdict.",
                                 "verdict=\"" + std::string{name(how_it_ends)} + "\"");
    metrics.add_gauge("sandboxd_sandboxes", "Existing sandboxes.",
                      [this] { return static_cast<double>(sandboxes_.size()); });
    metrics.add_gauge("sandboxd_sandboxes_bytes", "Bytes of their files.",
                      [this] { return static_cast<double>(bytes_); });
    metrics.add_gauge("sandboxd_sandbox_warm_jails", "Jails that are built and wait for an execution.",
                      [this] { return static_cast<double>(warm_.size()); });
    metrics.add_gauge("sandboxd_sandbox_warm_runtimes", "Runtimes that have booted and wait for an execution.",
                      [this] { return static_cast<double>(waiting()); });
    metrics.add_gauge("sandboxd_sandbox_warm_runtimes_bytes",
                      "Memory of the runtimes that wait or boot (sandboxes.warmMemoryMB).",
                      [this] { return static_cast<double>(waiting_bytes()); });
}

service::~service() = default;

result<void> service::open()
{
    const auto root = disk::make_private_directory(settings_.root, wall_.group());
    if (!root) return root.error();
    return {};
}

void service::start()
{
    tasks_.spawn("sweep sandboxes", sweep());
    tasks_.spawn("remove the sandboxes of an earlier server",
                 disk::clear_leftovers(settings_.root, "sandboxes", [this] { return closing_.is_set(); }));
}

void service::close()
{
    draining_ = true;
    closing_.set();
    while (!warm_.empty()) drop_warm(*warm_.back());
    for (const auto& [id, one] : sandboxes_) one->gone.request(errc::draining);
}

asio::awaitable<result<sandbox_info>> service::create(create_request what)
{
    if (draining_) co_return make_error(errc::draining);
    const auto bounds = settle(what.asked, settings_.usual, settings_.most);
    if (!bounds) co_return bounds.error();
    co_await catalog_.probed();
    const auto* const runtime = catalog_.find(what.runtime);
    if (!runtime) co_return catalog_.missing(what.runtime);

    auto entry = what.entry_point.empty() ? runtime->entry_name : what.entry_point;
    while (entry.starts_with("./")) entry.erase(0, 2);
    if (!is_file_name(entry))
        co_return error{errc::invalid_request, "entry_point must be the relative path of a file, such as '" +
                                                   runtime->entry_name + "'; command lines are for deployments"};
    // A file with the entry point's name replaces `code`.
    const bool there = std::ranges::find(what.files, entry, &programs::program_file::path) != what.files.end();
    if (!there && what.code.empty()) {
        std::vector<std::string> paths;
        for (const auto& file : what.files) paths.push_back(file.path);
        auto why = "there is no file '" + entry + "' to run, and no code";
        if (what.entry_point.empty() && !paths.empty()) why += programs::entry_point_cure(runtime->entry_name, paths);
        co_return error{errc::invalid_request, std::move(why)};
    }
    if (!there) what.files.push_back({entry, std::move(what.code)});
    if (auto checked = programs::check_files(what.files, settings_.files); !checked) co_return checked.error();

    description is{.id = {},
                   .owner = std::move(what.owner),
                   .runtime = runtime->name,
                   .entry_point = std::move(entry),
                   .env = std::move(what.env),
                   .bounds = *bounds,
                   .created = std::chrono::floor<milliseconds>(std::chrono::system_clock::now()),
                   .files = std::move(what.files)};
    const auto bytes = is.bytes();
    if (has_no_room(bytes))
        co_return error{
            errc::queue_full,
            "this server has as many sandboxes, or bytes of their files, as it may (sandboxes.maxSandboxes, "
            "sandboxes.maxTotalMB); delete one"};
    is.id = new_uuid();
    std::optional<place> held{std::in_place, *this, bytes};
    const auto made = co_await make(is, *runtime);
    if (!made) co_return made.error();
    (*made)->is_shared = others_ && !what.is_passing;
    if ((*made)->is_shared) {
        const auto kept = co_await others_->keep(std::move(is));
        if (!kept) {
            co_await drop(*made);
            co_return kept.error();
        }
    }
    held.reset();
    add(*made);
    co_return info_of(**made);
}

bool service::has_no_room(std::uint64_t bytes)
{
    const auto full = [&] {
        return sandboxes_.size() + coming_ >= settings_.max_sandboxes || bytes_ + bytes > settings_.max_total_bytes;
    };
    if (full()) expire();
    // What is a copy can be brought again.
    while (others_ && full()) {
        copy oldest;
        for (const auto& [id, one] : sandboxes_)
            if (one->is_shared && one->running == 0 && (!oldest || one->used < oldest->used)) oldest = one;
        if (!oldest) break;
        let_go(oldest, errc::queue_full);
    }
    return full();
}

asio::awaitable<result<service::copy>> service::make(const description& what, const programs::runtime& runtime)
{
    auto directory = disk::job_directory::create(settings_.root, what.id);
    if (!directory) co_return directory.error();
    auto made = std::make_shared<sandbox>(std::move(*directory), executor_);
    // A file may have many folders of its own.
    async::turns turn;
    for (const auto& file : what.files) {
        auto written = made->directory.write_source(file.path, file.content);
        if (!written) {
            co_await drop(made);
            co_return written.error();
        }
        made->paths.push_back(file.path);
        if (turn.over()) co_await turn.rest();
    }
    made->id = what.id;
    made->owner = what.owner;
    made->runtime = runtime;
    made->entry_point = what.entry_point;
    made->env = what.env;
    made->bounds = what.bounds;
    made->files = what.files.size();
    made->bytes = what.bytes();
    made->created = made->last_used = what.created;
    if (draining_) {
        co_await drop(made);
        co_return make_error(errc::draining);
    }
    co_return made;
}

void service::add(const copy& made)
{
    if (!sandboxes_.emplace(made->id, made).second) throw std::logic_error("a sandbox with this id is here already");
    bytes_ += made->bytes;
    warm_up(*made);
    if (can_wait(*made)) warm_up_later(*made);
}

asio::awaitable<result<service::copy>> service::get(std::string id, async::stop_source& stop)
{
    if (const auto found = sandboxes_.find(id); found != sandboxes_.end()) co_return found->second;
    if (!others_ || !is_uuid(id)) co_return make_error(errc::not_found);
    const auto came = co_await flights_.join_to_the_end(id, stop, [this, id] { return bring(id); });
    if (!came) co_return make_error(stop.cause());
    co_return *came;
}

asio::awaitable<result<service::copy>> service::bring(std::string id)
{
    auto what = co_await others_->fetch(id);
    if (!what) co_return what.error();
    co_await catalog_.probed();
    const auto* const runtime = catalog_.find(what->runtime);
    if (!runtime) co_return catalog_.missing(what->runtime);
    // Another server may allow more than this one.
    if (const auto checked = programs::check_files(what->files, settings_.files); !checked)
        co_return unprocessable("this server does not take the sandbox's files: " + checked.error().message);
    if (!is_file_name(what->entry_point) ||
        std::ranges::find(what->files, what->entry_point, &programs::program_file::path) == what->files.end())
        co_return unprocessable("this server does not take the sandbox: its entry_point is no file of it");
    for (const auto& row : limit_table) {
        auto& bound = what->bounds.*row.value;
        bound = std::clamp(bound, row.least, settings_.most.*row.value);
    }
    if (has_no_room(what->bytes()))
        co_return error{errc::queue_full,
                        "this server has no room for the sandbox (sandboxes.maxSandboxes, sandboxes.maxTotalMB)"};
    if (draining_) co_return make_error(errc::draining);
    std::optional<place> held{std::in_place, *this, what->bytes()};
    auto made = co_await make(*what, *runtime);
    if (!made) co_return made.error();
    (*made)->is_shared = true;
    held.reset();
    add(*made);
    brought_.add();
    co_return std::move(*made);
}

void service::let_go(const copy& one, errc why)
{
    const auto found = sandboxes_.find(one->id);
    if (found == sandboxes_.end() || found->second != one) return;
    drop_warm(*one);
    forget(one->id);
    one->gone.request(why);
    let_go_.add();
    tasks_.spawn("remove a copy of a sandbox", drop_when_quiet(one));
}

asio::awaitable<void> service::drop_when_quiet(copy one)
{
    if (one->running > 0) co_await one->quiet.wait();
    co_await drop(std::move(one));
}

sandbox_info service::info_of(const sandbox& one) const
{
    sandbox_info is;
    is.id = one.id;
    is.owner = one.owner;
    is.runtime = one.runtime.name;
    is.entry_point = one.entry_point;
    is.created = one.created;
    is.last_used = one.last_used;
    is.files = one.files;
    is.bytes = one.bytes;
    is.executions = one.executions;
    is.running = one.running;
    is.bounds = one.bounds;
    return is;
}

asio::awaitable<result<std::vector<sandbox_info>>> service::list(std::optional<std::string> owner)
{
    result<std::vector<sandbox_info>> all{std::vector<sandbox_info>{}};
    if (others_) {
        all = co_await others_->list(std::move(owner));
        if (!all) co_return all;
        for (auto& one : *all)
            if (const auto here = sandboxes_.find(one.id); here != sandboxes_.end())
                one.running = here->second->running;
    } else {
        for (const auto& [id, one] : sandboxes_)
            if (!owner || one->owner == *owner) all->push_back(info_of(*one));
    }
    std::ranges::sort(*all, [](const auto& a, const auto& b) {
        return a.created != b.created ? a.created < b.created : a.id < b.id;
    });
    co_return all;
}

asio::awaitable<result<std::uint64_t>> service::bytes_of(std::string owner)
{
    std::uint64_t bytes = 0;
    if (others_) {
        const auto shared = co_await others_->bytes_of(owner);
        if (!shared) co_return shared.error();
        bytes = *shared;
    }
    for (const auto& [id, one] : sandboxes_)
        if (one->owner == owner && !one->is_shared) bytes += one->bytes;
    co_return bytes;
}

asio::awaitable<result<std::string>> service::owner_of(std::string id)
{
    if (const auto found = sandboxes_.find(id); found != sandboxes_.end()) co_return found->second->owner;
    auto seen = co_await look(std::move(id));
    if (!seen) co_return seen.error();
    co_return std::move(seen->owner);
}

asio::awaitable<result<sandbox_info>> service::look(std::string id)
{
    const auto own = sandboxes_.find(id);
    const bool is_of_here = own != sandboxes_.end() && !own->second->is_shared;
    if (others_ && !is_of_here && is_uuid(id)) {
        auto seen = co_await others_->look(id);
        const auto here = sandboxes_.find(id);
        if (seen && here != sandboxes_.end()) seen->running = here->second->running;
        // Somebody has deleted it on another server.
        if (!seen && seen.error().code == errc::not_found && here != sandboxes_.end())
            let_go(copy{here->second}, errc::not_found);
        co_return seen;
    }
    if (own == sandboxes_.end()) co_return make_error(errc::not_found);
    co_return info_of(*own->second);
}

jail::spec service::make_spec(const sandbox& of, const execution_limits& bounds, bool waits) const
{
    jail::spec spec;
    spec.argv = {of.runtime.program};
    if (!of.runtime.heap_option.empty()) spec.argv.push_back(of.runtime.heap_option + std::to_string(bounds.memory_mb));
    const auto& run_file = waits ? of.runtime.waits->run_file : of.runtime.run_file;
    spec.argv.insert(spec.argv.end(), run_file.begin(), run_file.end());
    // The absolute path, so that it is never read as a script or a command of the runtime.
    spec.argv.push_back(std::string{directory_inside} + "/" + of.entry_point);
    spec.env = {{"PATH", "/usr/local/bin:/usr/bin:/bin"},
                {"HOME", std::string{directory_inside}},
                {"TMPDIR", std::string{directory_inside}},
                {"LC_ALL", "C.UTF-8"},
                {"DO_NOT_TRACK", "1"},
                // No cache: it would be thrown away with the jail.
                {"BUN_RUNTIME_TRANSPILER_CACHE_PATH", "0"}};
    for (const auto* const more : {&of.runtime.env, &of.env}) jail::set_variables(spec.env, *more);
    spec.cwd = waits ? of.runtime.waits->directory(directory_inside) : std::string{directory_inside};
    spec.mounts = of.runtime.mounts;
    if (waits) spec.mounts.push_back(of.runtime.waits->script);
    // Files are mounted one by one. Their folders belong to the program, so it can write beside its files.
    for (const auto& one : of.paths)
        spec.mounts.push_back({.source = (of.directory.source_path() / one).native(),
                               .target = std::string{directory_inside} + "/" + one});
    const auto memory = static_cast<std::uint64_t>(bounds.memory_mb) * mib;
    spec.limits = {.memory_bytes = memory,
                   .data_bytes = memory + of.runtime.reserved_bytes,
                   .file_bytes = static_cast<std::uint64_t>(bounds.disk_mb) * mib,
                   .tmp_bytes = static_cast<std::uint64_t>(bounds.disk_mb) * mib,
                   .open_files = settings_.open_files,
                   .processes = static_cast<std::uint32_t>(bounds.processes),
                   .cpu_percent = settings_.cpu_percent,
                   .cpu = std::chrono::seconds{bounds.cpu_secs}};
    return spec;
}

void service::warm_up(sandbox& one, bool waits)
{
    const bool containers = jail::makes_containers(wall_.which());
    if (settings_.warm_jails == 0 || settings_.init.empty() || containers) return;
    if (draining_ || one.gone.requested() || one.warm) return;
    if (warm_.size() < settings_.warm_jails && ids_are_scarce()) return;
    if (warm_.size() >= settings_.warm_jails) drop_warm(*warm_.front());
    if (waits) make_room(one.runtime.waits->bytes);
    one.warm =
        warm_jail::start(executor_, tasks_, wall_, make_spec(one, one.bounds, waits),
                         waits ? std::string{} : settings_.init, static_cast<std::size_t>(one.bounds.output_bytes));
    if (!one.warm) return;
    warm_.push_back(&one);
    if (!waits) return;
    one.waiting_bytes = one.runtime.waits->bytes;
    tasks_.spawn("attend a runtime that waits", attend(one.shared_from_this(), one.warm->watch()));
}

void service::drop_warm(sandbox& one)
{
    std::erase(warm_, &one);
    one.warm.reset();
    one.waiting_bytes = 0;
}

void service::warm_up_later(sandbox& one)
{
    if (one.to_warm_up || draining_ || settings_.warm_jails == 0) return;
    one.to_warm_up = true;
    ++warming_up_;
    tasks_.spawn("boot a runtime in idle time", warm_up_in_idle_time(one.shared_from_this()));
}

asio::awaitable<void> service::warm_up_in_idle_time(std::shared_ptr<sandbox> one)
{
    const auto last = steady_clock::now() + idle_patience;
    for (;;) {
        const auto seen = one->executions;
        if (co_await closing_.wait_for(idle_moment)) break;
        if (draining_ || one->gone.requested() || one->running > 0) break;
        if (one->executions != seen) {
            // Who has executed it once need not do so again.
            if (one->executions == 1) break;
            continue;
        }
        if (one->waiting_bytes > 0 || !can_wait(*one)) break;
        const bool boots = 2 * jobs() < settings_.processors && may_boot();
        if (boots) drop_warm(*one);
        warm_up(*one, boots);
        if (boots || steady_clock::now() >= last) break;
    }
    one->to_warm_up = false;
    --warming_up_;
}

asio::awaitable<void> service::warm_up_beside(std::shared_ptr<sandbox> one)
{
    // The program begins first.
    async::turns turn;
    co_await turn.rest();
    if (one->warm || one->running == 0 || jobs() >= settings_.processors || ids_are_scarce()) co_return;
    // For one that boots fast, that it waits takes more of the processor than the next execution gains: 5 ms of it, of
    // which 2 are gained. And whoever waits for idle time comes first, since only one boots at a time.
    const bool others_wait = warming_up_ > (one->to_warm_up ? 1u : 0u);
    const bool boots = !others_wait && can_wait(*one) && !one->runtime.waits->boots_fast && may_boot();
    warm_up(*one, boots);
}

bool service::can_wait(const sandbox& one) const
{
    const auto& how = one.runtime.waits;
    if (!how || how->bytes > settings_.warm_bytes || one.cannot_wait) return false;
    // Variables can make a runtime load and run anything while it boots.
    if (!one.env.empty()) return false;
    return programs::can_boot_before(one.paths, *how);
}

bool service::may_boot() const
{
    const auto boots = [](const sandbox* one) { return one->waiting_bytes > 0 && !one->warm->has_booted(); };
    if (std::ranges::any_of(warm_, boots)) return false;
    return !settings_.memory_is_short || !settings_.memory_is_short();
}

bool service::ids_are_scarce() const
{
    const auto ids = wall_.uids();
    return ids && 2 * ids->in_use >= ids->all;
}

std::size_t service::jobs() const
{
    return gate_.running() + gate_.queued() + (settings_.jobs_elsewhere ? settings_.jobs_elsewhere() : 0);
}

std::uint64_t service::waiting_bytes() const
{
    std::uint64_t sum = 0;
    for (const auto* const one : warm_) sum += one->waiting_bytes;
    return sum;
}

std::size_t service::waiting() const
{
    return static_cast<std::size_t>(
        std::ranges::count_if(warm_, [](const sandbox* one) { return one->warm->has_booted(); }));
}

void service::make_room(std::uint64_t more)
{
    while (waiting_bytes() + more > settings_.warm_bytes) {
        const auto oldest = std::ranges::find_if(warm_, [](const sandbox* one) { return one->waiting_bytes > 0; });
        if (oldest == warm_.end()) return;
        over_budget_.add();
        drop_warm(**oldest);
    }
}

asio::awaitable<void> service::attend(std::shared_ptr<sandbox> one, warm_jail::watcher its)
{
    const auto give_up = [&](metrics::counter& why) {
        why.add();
        one->cannot_wait = true;
        drop_warm(*one);
        warm_up(*one);
    };
    const bool booted = co_await its.boot(boot_patience);
    if (!its.watches(one->warm.get())) co_return;
    if (!booted) co_return give_up(lost_);
    const auto bytes = co_await its.memory();
    if (!its.watches(one->warm.get())) co_return;
    one->waiting_bytes = std::max<std::uint64_t>(bytes, 1);
    if (one->waiting_bytes > settings_.warm_bytes) co_return give_up(over_budget_);
    make_room(0);
    while (its.watches(one->warm.get())) {
        const bool lost = co_await its.ended_within(pressure_interval);
        if (!its.watches(one->warm.get())) co_return;
        const bool pressure = !lost && settings_.memory_is_short && settings_.memory_is_short();
        if (!lost && !pressure) continue;
        (lost ? lost_ : under_pressure_).add();
        drop_warm(*one);
        // Only once: what ends one may end them all.
        if (lost && one->replaced) co_return;
        one->replaced = lost;
        warm_up(*one);
        if (lost) warm_up_later(*one);
    }
}

std::unique_ptr<warm_jail> service::take_warm(sandbox& one, const execution_limits& bounds)
{
    auto wanted = one.bounds;
    wanted.wall_ms = bounds.wall_ms;  // counts from the start of the program
    if (!one.warm || wanted != bounds) return nullptr;
    std::erase(warm_, &one);
    auto taken = std::move(one.warm);
    one.waiting_bytes = 0;
    one.replaced = false;
    return taken->usable() ? std::move(taken) : nullptr;
}

asio::awaitable<result<process::outcome>> service::run(sandbox& one, const execution_limits& bounds, bool goes_on,
                                                       std::string stdin_text, std::string traceparent,
                                                       async::stop_source& stop, process::output_taker* taker)
{
    const auto is_its_name = [](const auto& variable) { return variable.first == init::hold::trace_variable; };
    if (std::ranges::any_of(one.runtime.env, is_its_name) || std::ranges::any_of(one.env, is_its_name))
        traceparent.clear();
    const bool counts = settings_.warm_bytes > 0 && one.runtime.waits.has_value();
    auto ready = take_warm(one, bounds);
    if (goes_on) tasks_.spawn("build a jail beside a program", warm_up_beside(one.shared_from_this()));
    if (ready) {
        const bool hit = ready->has_booted();
        if (auto ran = co_await ready->run(stdin_text, milliseconds{bounds.wall_ms}, stop, taker, traceparent)) {
            from_warm_.add();
            if (counts) (hit ? hits_ : misses_).add();
            co_return std::move(*ran);
        }
    }
    ready.reset();
    built_.add();
    if (counts) misses_.add();
    auto spec = make_spec(one, bounds);
    spec.stdin_text = std::move(stdin_text);
    if (!traceparent.empty()) spec.env.emplace_back(init::hold::trace_variable, std::move(traceparent));
    const process::child_limits run_limits{.wall = milliseconds{bounds.wall_ms},
                                           .output_bytes = static_cast<std::size_t>(bounds.output_bytes)};
    co_return co_await wall_.run(std::move(spec), run_limits, stop, taker);
}

asio::awaitable<result<execution>> service::run(std::string id, execution_request how, async::stop_source& stop,
                                                process::output_taker* taker)
{
    if (draining_) co_return make_error(errc::draining);
    const auto got = co_await get(id, stop);
    if (!got) co_return got.error();
    const auto& one = *got;
    const auto bounds = settle(how.asked, one->bounds, settings_.most);
    if (!bounds) co_return bounds.error();

    const bool goes_on = one->executions > 0 && one->running == 0 && steady_clock::now() - one->used < idle_moment;
    struct mark {
        mark(service& its, sandbox& of) : owner{its}, in{of}
        {
            ++owner.running_;
            ++in.running;
            ++in.executions;
            use();
        }
        ~mark()
        {
            --owner.running_;
            use();
            if (--in.running == 0 && in.gone.requested()) in.quiet.set();
        }
        void use()
        {
            in.used = steady_clock::now();
            in.last_used = std::chrono::system_clock::now();
        }
        service& owner;
        sandbox& in;
    } const running{*this, *one};
    if (one->is_shared) {
        const auto is_there = co_await others_->use(id, milliseconds{bounds->wall_ms} + gate_.longest_wait());
        if (is_there && !*is_there) let_go(one, errc::not_found);
        // While the fleet says nothing, what is here can be executed.
        if (one->gone.requested()) co_return make_error(one->gone.cause());
        if (stop.requested()) co_return make_error(stop.cause());
    }

    async::stop_source mine;
    const async::stop_callback on_stop{stop, [&mine](errc cause) { mine.request(cause); }};
    const async::stop_callback on_gone{one->gone, [&mine](errc cause) { mine.request(cause); }};
    const auto arrived = steady_clock::now();
    auto permit = co_await gate_.acquire(how.client, mine);
    if (!permit) co_return permit.error();
    const auto began = steady_clock::now();
    if (how.started) how.started();

    std::optional<tail_taker> tail;
    if (taker) tail.emplace(*taker);
    auto ran = co_await run(*one, *bounds, goes_on, std::move(how.stdin_text), std::move(how.traceparent), mine,
                            tail ? &*tail : nullptr);
    if (how.charge)
        how.charge(ran && ran->usage ? ran->usage->cpu
                                     : std::chrono::duration_cast<microseconds>(steady_clock::now() - began));
    // A sandbox that was executed twice will probably be executed again.
    if (one->executions > 1) {
        if (can_wait(*one)) warm_up_later(*one);
        // While others run, that may take a while.
        if (!can_wait(*one) || gate_.running() + gate_.queued() > 1) warm_up(*one);
    }
    if (!ran) co_return ran.error();
    std::optional<errc> stopped;
    if (mine.requested()) stopped = mine.cause();
    const bool by_itself = !stopped || *stopped == errc::timeout || *stopped == errc::output_limit ||
                           *stopped == errc::memory_limit || *stopped == errc::disk_limit;
    if (!by_itself) co_return make_error(*stopped);

    execution done;
    std::string_view last = tail ? tail->tail() : std::string_view{ran->err};
    last.remove_prefix(last.size() - std::min(last.size(), tail_bytes));
    done.end = judge(ran->status, stopped, last, ran->wall >= std::chrono::seconds{bounds->cpu_secs});
    done.out = std::move(ran->out);
    done.err = std::move(ran->err);
    done.truncated = ran->truncated;
    done.wall = ran->wall;
    done.queued = std::chrono::duration_cast<microseconds>(began - arrived);
    done.usage = ran->usage;
    done.begun = ran->begun;
    ended_.at(done.end.how)->add();
    seconds_.observe(std::chrono::duration<double>(ran->wall).count());
    co_return done;
}

// The last holder of the sandbox removes its directory.
void service::forget(const std::string& id)
{
    const auto found = sandboxes_.find(id);
    bytes_ -= found->second->bytes;
    sandboxes_.erase(found);
}

asio::awaitable<result<void>> service::remove(std::string id)
{
    bool was_elsewhere = false;
    const auto own = sandboxes_.find(id);
    const bool is_of_here = own != sandboxes_.end() && !own->second->is_shared;
    if (others_ && !is_of_here && is_uuid(id)) {
        const auto forgotten = co_await others_->forget(id);
        if (!forgotten) co_return forgotten.error();
        was_elsewhere = *forgotten;
    }
    const auto found = sandboxes_.find(id);
    if (found == sandboxes_.end() && was_elsewhere) co_return result<void>{};
    if (found == sandboxes_.end()) co_return make_error(errc::not_found);
    const auto one = found->second;
    forget(id);
    one->gone.request(errc::not_found);
    if (const auto warm = take_warm(*one, one->bounds)) co_await warm->end();
    if (one->running > 0) co_await one->quiet.wait();
    co_return co_await one->directory.remove_in_turns();
}

asio::awaitable<void> service::drop(std::shared_ptr<sandbox> one)
{
    if (const auto removed = co_await one->directory.remove_in_turns(); !removed)
        log::warning("cannot remove a sandbox's files", {{"id", one->id}, {"cause", removed.error().message}});
}

void service::expire()
{
    const auto oldest = steady_clock::now() - settings_.idle;
    std::vector<std::shared_ptr<sandbox>> idle;
    for (const auto& [id, one] : sandboxes_)
        if (one->running == 0 && one->used <= oldest) idle.push_back(one);
    for (const auto& one : idle) {
        drop_warm(*one);
        forget(one->id);
        one->gone.request(errc::not_found);
        expired_.add();
        tasks_.spawn("remove an idle sandbox", drop(one));
    }
    if (!idle.empty()) log::info("removed idle sandboxes", {{"count", idle.size()}});
}

asio::awaitable<void> service::sweep()
{
    while (!co_await closing_.wait_for(settings_.cleanup_interval)) expire();
}

}  // namespace sandboxd::sandboxes
