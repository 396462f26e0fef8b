#include "faas/installer.hpp"

#include "base/ascii.hpp"
#include "base/digest.hpp"
#include "base/log.hpp"
#include "base/utf8.hpp"
#include "disk/directory.hpp"
#include "disk/files.hpp"
#include "disk/remove_tree.hpp"
#include "disk/take_over.hpp"
#include "disk/tree_usage.hpp"
#include "faas/control.hpp"
#include "init/arguments.hpp"
#include "init/control.hpp"

#include <boost/asio/use_awaitable.hpp>

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <limits>
#include <memory>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace sandboxd::faas {

namespace asio = boost::asio;
namespace fs = std::filesystem;

namespace {

constexpr auto disk_interval = std::chrono::milliseconds{200};
constexpr std::size_t output_bytes = 256 * 1024;
constexpr std::size_t shown_of_output = 2'000;
constexpr std::string_view inside = "/install";
constexpr std::string_view ca_inside = "/install-ca.pem";
constexpr std::string_view usual_registry = "https://registry.npmjs.org";
constexpr std::string_view proxy_port = "8000";
constexpr std::string_view proxy_inside = "http://127.0.0.1:8000";
constexpr std::size_t largest_lock_file = 16u << 20;
constexpr std::string_view npm_marks[] = {"\"resolved\"", "\"link\""};
// Bun writes "name@source".
constexpr std::string_view bun_marks[] = {"@file:", "@link:", "@http:", "@https:", "@git:",    "@git+",
                                          "@git@",  "@./",    "@../",   "@/",      "@github:", "@workspace:"};
// It begins an entry of Bun's, "key": ["name@version", "URL", …. npm writes no blank there, or a new line.
constexpr std::string_view bun_entry = ": [\"";
// Archives are smaller than their contents, but the registry's documents about packages may be larger.
constexpr std::uint64_t fetched_for_each_byte = 4;

std::string end_of(const std::string& text)
{
    const auto valid = to_valid_utf8(text.size() > shown_of_output ? text.substr(text.size() - shown_of_output) : text);
    return valid;
}

constexpr const char* work_directory = ".work";

// The minimum that a set counts for. It bounds the number of sets, and the cost of choosing among them.
constexpr std::uint64_t least_counted = 1u << 20;

std::uint64_t counted_size(std::uint64_t bytes) { return std::max(bytes, least_counted); }

// The size of an installed set.
asio::awaitable<disk::used_space> size_of(int root, std::string name)
{
    async::turns turn;
    const disk::tree_caps any{.max_bytes = std::numeric_limits<std::uint64_t>::max(),
                              .max_inodes = std::numeric_limits<std::uint64_t>::max(),
                              .max_depth = 64};
    auto top = disk::open_in(root, name.c_str(), O_RDONLY | O_DIRECTORY);
    auto usage = co_await disk::tree_usage(std::move(top), any, turn);
    co_return usage;
}

struct seen_packages {
    std::uint64_t bytes{0};
    std::uint64_t names{0};  // files, links and directories
};

// The beginning of what packages have chosen, for a message.
std::string start_of(std::string_view text) { return to_valid_utf8(std::string{text.substr(0, 200)}); }

// What is below `top`, in turns; install_failed for a link that leads out of it, and for a path that is too long to be
// looked at: paths in the jail are shorter than those of the server.
asio::awaitable<result<seen_packages>> look_over(fs::path top)
{
    async::turns turn;
    seen_packages sum;
    std::error_code ec;
    for (fs::recursive_directory_iterator at{top, ec}, end; !ec && at != end; at.increment(ec)) {
        struct stat seen{};
        ++sum.names;
        if (::lstat(at->path().c_str(), &seen) != 0) {
            const int cause = errno;
            co_return error{errc::install_failed,
                            "the packages have a path that " +
                                (cause == ENAMETOOLONG ? std::string{"is too long"}
                                                       : std::string{"cannot be read ("} + std::strerror(cause) + ")") +
                                ": " + start_of(at->path().lexically_relative(top).native())};
        }
        sum.bytes += static_cast<std::uint64_t>(seen.st_blocks) * 512;
        if (S_ISLNK(seen.st_mode)) {
            std::error_code unread;
            const auto target = fs::read_symlink(at->path(), unread);
            const auto from = at->path().parent_path().lexically_relative(top);
            const auto leads_to = (from / target).lexically_normal();
            if (unread || target.is_absolute() || leads_to.native().starts_with(".."))
                co_return error{errc::install_failed, "the link " + at->path().lexically_relative(top).native() +
                                                          " leads out of the packages"};
        }
        if (turn.over()) co_await turn.rest();
    }
    if (ec) co_return error{errc::io, top.native() + ": " + ec.message()};
    co_return sum;
}

// Like std::string_view::find, in turns.
asio::awaitable<std::size_t> find_in_turns(std::string_view in, std::string_view mark, std::size_t from,
                                           async::turns& turn)
{
    constexpr std::size_t window = 64 * 1024;
    for (; from < in.size(); from += window) {
        const auto found = in.substr(from, window + mark.size() - 1).find(mark);
        if (turn.over()) co_await turn.rest();
        if (found != std::string_view::npos) co_return from + found;
    }
    co_return std::string_view::npos;
}

bool is_allowed(std::string_view url, const std::vector<origin>& allowed)
{
    const auto read = parse_registry_url(url);
    return read && std::ranges::find(allowed, read->at) != allowed.end();
}

// The string of a lock file from here to the next quote, in turns.
asio::awaitable<std::string_view> string_from(std::string_view text, std::size_t begin, async::turns& turn)
{
    const auto end = co_await find_in_turns(text, "\"", begin, turn);
    co_return text.substr(begin, end - begin);
}

// The first source in Bun's entries that is not the registry; empty: none. An archive on disk has any path or none
// ("x@y.tgz", "x@1.tgz"), so what is no version is refused.
asio::awaitable<std::string> foreign_entry(std::string_view text, const std::vector<origin>& allowed,
                                           async::turns& turn)
{
    for (auto at = co_await find_in_turns(text, bun_entry, 0, turn); at != std::string_view::npos;
         at = co_await find_in_turns(text, bun_entry, at + 1, turn)) {
        const auto begin = at + bun_entry.size();
        const auto name = co_await string_from(text, begin, turn);
        const auto split = name.find('@', 1);
        // Other lists hold names only. A backslash may stand before a quote in the name.
        const bool is_cut = name.find('\\') != std::string_view::npos;
        if (split == std::string_view::npos && !is_cut) continue;
        const auto version = split == std::string_view::npos ? std::string_view{} : name.substr(split + 1);
        if (version.empty() || !is_digit(version.front()) || !is_registry_spec(version))
            co_return start_of(version.empty() ? name : version);
        // Empty for the usual registry.
        constexpr std::string_view between = "\", \"";
        const auto end = begin + name.size();
        if (text.substr(end, between.size()) != between) continue;
        const auto url = co_await string_from(text, end + between.size(), turn);
        if (!url.empty() && !is_allowed(url, allowed)) co_return start_of(url);
    }
    co_return std::string{};
}

// Memory does not gate installs: their number is small, and each has its limit.
admission::gate_settings gate_settings_of(const installer_settings& from)
{
    return {.limits = {.estimate_bytes = 0,
                       .max_queued = from.max_queued,
                       .max_running = from.max_running,
                       .queue_timeout = from.queue_timeout},
            .label = "kind=\"install\""};
}

asio::awaitable<void> serve_control(std::shared_ptr<control_channel> channel) { co_await channel->serve(); }

}  // namespace

// Scans the text without parsing it: packages choose the member names of a lock file.
asio::awaitable<std::string> foreign_source(std::string lock, std::vector<origin> allowed)
{
    async::turns turn;
    const std::string_view text{lock};
    for (const auto mark : npm_marks) {
        for (auto at = co_await find_in_turns(text, mark, 0, turn); at != std::string_view::npos;
             at = co_await find_in_turns(text, mark, at + 1, turn)) {
            const auto value = text.find_first_not_of(" \t\r\n:", at + mark.size());
            if (value == std::string_view::npos) break;
            if (mark == "\"link\"" && text.substr(value).starts_with("true")) co_return "a link";
            if (mark == "\"link\"" || text[value] != '"') continue;
            const auto source = text.substr(value + 1, text.find('"', value + 1) - value - 1);
            if (!is_allowed(source, allowed)) co_return start_of(source);
        }
    }
    for (const auto mark : bun_marks) {
        const auto at = co_await find_in_turns(text, mark, 0, turn);
        if (at != std::string_view::npos) co_return start_of(text.substr(at + 1, text.find('"', at) - at - 1));
    }
    co_return co_await foreign_entry(text, allowed, turn);
}

installer::installer(asio::any_io_executor executor, async::task_group& tasks, jail::jail& wall, installer_settings how,
                     metrics::registry& metrics, package_user& user)
    : executor_{std::move(executor)},
      tasks_{tasks},
      wall_{wall},
      settings_{std::move(how)},
      user_{user},
      gate_{executor_, tasks, gate_settings_of(settings_), metrics},
      jobs_{tasks, executor_},
      installs_{metrics.add_counter("sandboxd_faas_installs_total", "Installs of sets of packages, by their end.",
                                    "end=\"installed\"")},
      failures_{metrics.add_counter("sandboxd_faas_installs_total", "", "end=\"failed\"")},
      reused_{metrics.add_counter("sandboxd_faas_installs_total", "", "end=\"reused\"")},
      refusals_{metrics.add_counter("sandboxd_faas_install_refusals_total",
                                    "Refused connections of installs to places other than the registry.")},
      removed_{metrics.add_counter("sandboxd_faas_packages_removed_total",
                                   "Sets of packages removed to make room (faas.maxPackagesMB).")},
      no_room_{metrics.add_counter("sandboxd_faas_packages_refused_total",
                                   "Sets of packages refused because there was no room (faas.maxPackagesMB), or the "
                                   "client had its share of it (faas.maxPackagesMBPerClient).")}
{
    metrics.add_gauge("sandboxd_faas_package_bytes",
                      "Size of the installed sets of packages, each counted as at least 1 MiB (faas.maxPackagesMB).",
                      [this] { return static_cast<double>(total_bytes()); });
}

result<void> installer::open()
{
    // Only programs that use the packages can reach them.
    auto root = disk::make_private_directory(settings_.root, wall_.group());
    if (!root) return root.error();
    root_ = std::move(*root);
    const auto work = disk::make_private_directory(settings_.root / work_directory, wall_.group());
    if (!work) return work.error();
    disk::listing items{disk::reopen_directory(root_.get())};
    while (const auto* item = items.next()) {
        const std::string name{item->name};
        struct stat seen{};
        if (name == work_directory || ::fstatat(root_.get(), item->name, &seen, AT_SYMLINK_NOFOLLOW) != 0) continue;
        if (name.starts_with('.'))
            half_removed_.push_back(name);
        else
            // `measure` will know its size.
            sets_[name] = {.used = std::chrono::system_clock::from_time_t(seen.st_mtime)};
    }
    if (items.directory() < 0 || items.failure() != 0)
        return disk::io_error("list", settings_.root.native(), items.directory() < 0 ? errno : items.failure());
    return {};
}

void installer::start() { tasks_.spawn("measure the packages", measure()); }

asio::awaitable<void> installer::measure()
{
    co_await disk::clear_leftovers(settings_.root / work_directory, "installs", [this] { return closing_; });
    for (const auto& name : std::exchange(half_removed_, {})) {
        if (closing_) co_return;
        co_await remove_set(name);
    }
    std::vector<std::string> keys;
    for (const auto& [key, set] : sets_) keys.push_back(key);
    for (const auto& key : keys) {
        if (closing_) co_return;
        const auto usage = co_await size_of(root_.get(), key);
        // Unless it was removed or installed anew.
        const auto known = sets_.find(key);
        if (known != sets_.end() && known->second.bytes == 0) known->second.bytes = usage.bytes;
    }
    const bool enough = co_await make_room(0);
    if (!enough) log::warning("the packages in use exceed faas.maxPackagesMB");
}

// A set that cannot be removed stays, under a name that nobody uses.
asio::awaitable<void> installer::remove_set(std::string name)
{
    const auto removed = co_await disk::remove_tree_in_turns(root_.get(), name);
    if (!removed)
        log::error("cannot remove packages, which still use space; remove them by hand",
                   {{"path", (settings_.root / name).native()}, {"cause", removed.error().message}});
}

std::uint64_t installer::total_bytes() const
{
    std::uint64_t sum = 0;
    for (const auto& [key, set] : sets_) sum += counted_size(set.bytes);
    return sum;
}

std::string installer::key_of(const text_map& dependencies) const
{
    if (dependencies.empty() || !settings_.client) return {};
    const auto& client = *settings_.client;
    return install_key(dependencies, (client.bun ? "bun " : "npm ") + client.version + " " + settings_.registry)
        .substr(0, 40);
}

asio::awaitable<result<fs::path>> installer::ensure(text_map dependencies, client_key client, async::stop_source& stop)
{
    const auto key = key_of(dependencies);
    if (const auto known = sets_.find(key); known != sets_.end()) {
        if (!is_within_share(client)) co_return exceeds_share();
        reused_.add();
        const auto path = settings_.root / key;
        // Decides the order of removal; written to disk for the next start.
        known->second.used = std::chrono::system_clock::now();
        ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0);
        co_return path;
    }
    if (!settings_.allow)
        co_return error{errc::unprocessable,
                        "package.json has dependencies, but installing packages is off (faas.allowInstall)"};
    if (!settings_.client)
        co_return error{
            errc::unprocessable,
            "package.json has dependencies, but this server has neither Bun nor npm; ask the operator for one"};
    // What it has already is too much: nothing is fetched for that.
    if (!is_within_share(client)) co_return exceeds_share();
    auto start = [this, dependencies, key](std::shared_ptr<admission::party> callers, async::stop_source& flight) {
        return install(dependencies, key, std::move(callers), flight);
    };
    co_return co_await jobs_.run(key, client, stop, std::move(start));
}

result<std::vector<origin>> installer::allowed_origins() const
{
    std::vector<origin> made;
    auto all = settings_.hosts;
    all.insert(all.begin(), settings_.registry.empty() ? std::string{usual_registry} : settings_.registry);
    for (const auto& url : all) {
        const auto read = parse_registry_url(url);
        if (!read) return unavailable("faas.registry or faas.installHosts: " + read.error().message);
        made.push_back(read->at);
    }
    if (!settings_.proxy.empty()) {
        const auto proxy = parse_registry_url(settings_.proxy);
        if (!proxy) return unavailable("faas.installProxy: " + proxy.error().message);
        if (proxy->at.tls)
            return unavailable("faas.installProxy must be an http: URL (TLS connections go through it, too)");
    }
    return made;
}

jail::spec installer::install_spec(const disk::job_directory& directory, int control) const
{
    const auto& client = *settings_.client;
    jail::spec spec;
    spec.argv = {std::string{init::program_inside}, init::argument::accept, std::string{proxy_port}, "--"};
    spec.argv.insert(spec.argv.end(), client.argv.begin(), client.argv.end());
    const auto add = [&spec](std::initializer_list<const char*> words) {
        spec.argv.insert(spec.argv.end(), words.begin(), words.end());
    };
    // With --production Bun writes no lock file.
    if (client.bun)
        add({"install", "--ignore-scripts", "--omit=dev", "--no-progress"});
    else
        add({"install", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--no-package-lock"});
    spec.cwd = inside;
    spec.env = {{"PATH", "/usr/local/bin:/usr/bin:/bin"},
                {"HOME", "/tmp"},
                {"TMPDIR", "/tmp"},
                {"BUN_INSTALL_CACHE_DIR", std::string{inside} + "/cache"},
                {"npm_config_cache", std::string{inside} + "/cache"},
                {"npm_config_update_notifier", "false"},
                {"DO_NOT_TRACK", "1"},
                {"CI", "1"}};
    const auto registry = settings_.registry.empty() ? std::string{usual_registry} : settings_.registry;
    for (const char* name : {"npm_config_registry", "BUN_CONFIG_REGISTRY"}) spec.env.emplace_back(name, registry);
    for (const char* name : {"HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"})
        spec.env.emplace_back(name, proxy_inside);
    spec.mounts = client.mounts;
    spec.mounts.push_back({.source = settings_.init, .target = std::string{init::program_inside}, .own_copy = true});
    for (const char* path : {"/etc/ssl", "/etc/pki"})
        spec.mounts.push_back({.source = path, .target = path, .optional = true});
    if (!settings_.ca_file.empty()) {
        spec.mounts.push_back({.source = settings_.ca_file, .target = std::string{ca_inside}});
        spec.env.emplace_back("NODE_EXTRA_CA_CERTS", ca_inside);
        spec.env.emplace_back("npm_config_cafile", ca_inside);
        if (client.bun) spec.argv.insert(spec.argv.end(), {"--cafile", std::string{ca_inside}});
    }
    spec.mounts.push_back({.source = directory.output_path(), .target = std::string{inside}, .writable = true});
    spec.limits = settings_.limits;
    spec.limits.data_bytes = spec.limits.memory_bytes + client.reserved_bytes;
    spec.network = jail::network_access::own;
    spec.as_pid_1 = true;
    spec.pass_fds.emplace_back(control, init::control::control_fd_inside);
    spec.merge_stderr = true;
    return spec;
}

asio::awaitable<installer::outcome> installer::install(text_map dependencies, std::string key,
                                                       std::shared_ptr<admission::party> callers,
                                                       async::stop_source& stop)
{
    // Each install may use twice the size of a set while it runs.
    const auto turn = co_await gate_.acquire(std::move(callers), stop);
    if (!turn) co_return turn.error();
    std::optional<disk::job_directory::owner> owner;
    if (const auto who = wall_.owner()) owner = {.uid = who->uid, .gid = who->gid};
    auto directory = disk::job_directory::create(settings_.root / work_directory, key, owner);
    if (!directory) co_return directory.error();
    auto done = co_await install_in(dependencies, key, *directory, stop);
    (done ? installs_ : failures_).add();
    if (auto removed = co_await directory->remove_in_turns(); !removed)
        log::error("cannot remove an install's directory", {{"cause", removed.error().message}});
    co_return done;
}

asio::awaitable<void> installer::watch_disk(disk::job_directory& directory, std::shared_ptr<pid_t> leader,
                                            async::stop_source& stop, async::event& over)
{
    // Twice, because unpacked files and their archive may exist at the same time.
    const disk::tree_caps caps{
        .max_bytes = 2 * settings_.max_bytes, .max_inodes = 2 * settings_.max_files, .max_depth = 64};
    std::chrono::steady_clock::duration pause = disk_interval;
    while (!co_await over.wait_for(pause)) {
        async::turns turn{async::turns::metered};
        const auto usage = co_await directory.usage(caps, *leader, turn);
        if (!usage.over.empty()) stop.request(errc::disk_limit);
        // Walking a large tree must not take more than its share of the loop.
        pause = std::max<std::chrono::steady_clock::duration>(disk_interval, turn.pause(4));
    }
}

asio::awaitable<installer::outcome> installer::install_in(const text_map& dependencies, const std::string& key,
                                                          disk::job_directory& directory, async::stop_source& stop)
{
    if (!disk::write_new(directory.output(), "package.json", install_manifest(dependencies), 0644))
        co_return disk::io_error("write", "package.json", errno);
    const auto allowed = allowed_origins();
    if (!allowed) co_return allowed.error();
    auto ends = make_control_socket();
    if (!ends) co_return ends.error();
    // A separate source: the install's own limits must not look like the caller's stop.
    async::stop_source mine;
    const async::stop_callback chain{stop, [&mine](errc cause) { mine.request(cause); }};
    registry_proxy_settings how{
        .allowed = *allowed, .proxy = settings_.proxy, .max_bytes = fetched_for_each_byte * settings_.max_bytes};
    registry_proxy way_out{executor_, tasks_, std::move(how), mine, refusals_};
    const auto channel = std::make_shared<control_channel>(executor_, std::move(ends->ours));
    channel->on_accepted([&way_out](stream_socket one) { way_out.take(std::move(one)); });
    auto spec = install_spec(directory, ends->theirs.get());
    spec.leader = std::make_shared<pid_t>(0);
    const auto leader = spec.leader;
    const process::child_limits limits{.wall = settings_.wall, .output_bytes = output_bytes};
    async::event over{executor_};
    async::task_scope helpers{executor_, tasks_};
    helpers.spawn("watch an install's disk", watch_disk(directory, leader, mine, over));
    helpers.spawn("an install's control socket", serve_control(channel));
    result<process::outcome> ran{make_error(errc::internal)};
    std::exception_ptr thrown;
    try {
        ran = co_await wall_.run(std::move(spec), limits, mine);
    } catch (...) {
        thrown = std::current_exception();
    }
    const bool ended_early = mine.requested();
    mine.request(errc::draining);  // what is left of its connections
    over.set();
    channel->close();
    co_await way_out.wait();
    while (!co_await helpers.wait_empty_for(std::chrono::seconds{60})) {
    }
    if (thrown) std::rethrow_exception(thrown);
    if (stop.requested()) co_return make_error(stop.cause());
    if (!ran) {
        // The client must not see paths and daemons of this host.
        log::error("cannot run an install's jail", {{"key", key}, {"cause", ran.error().message}});
        co_return make_error(ran.error().code);
    }
    if (ended_early)
        co_return error{errc::install_failed,
                        "the install was stopped: " + std::string{sentence(mine.cause())} +
                            (mine.cause() == errc::disk_limit ? " (faas.maxInstallMB, faas.maxInstallFiles)" : "")};
    const auto* const end = std::get_if<process::exited>(&ran->status);
    if (!way_out.refused().empty())
        co_return error{errc::install_failed, "a package comes from " + way_out.refused() +
                                                  ", but only the registry is allowed (faas.registry, "
                                                  "faas.installHosts): " +
                                                  end_of(ran->out)};
    if (!end || end->code != 0)
        co_return error{errc::install_failed, "the packages could not be installed: " + end_of(ran->out)};
    const unique_fd modules = disk::open_in(directory.output(), "node_modules", O_RDONLY | O_DIRECTORY);
    if (!modules) co_return error{errc::install_failed, "the install produced no packages: " + end_of(ran->out)};
    std::string lock;
    const bool got_lock = settings_.client->bun
                              ? disk::read_small(directory.output(), "bun.lock", largest_lock_file, lock)
                              : disk::read_small(modules.get(), ".package-lock.json", largest_lock_file, lock);
    // Packages whose sources cannot be checked are not trusted.
    if (!got_lock && errno == ENOENT && !dependencies.empty())
        co_return error{errc::install_failed,
                        "the package manager wrote no lock file, so nobody can check where the packages come from; "
                        "ask the operator for Bun 1.2 or npm 7, or later ones"};
    if (!got_lock && errno != ENOENT)
        co_return error{errc::install_failed, std::string{"the packages' lock file cannot be read: "} +
                                                  (errno == EFBIG ? "it is larger than 16 MiB" : std::strerror(errno))};
    const auto elsewhere = co_await foreign_source(std::move(lock), *allowed);
    if (!elsewhere.empty())
        co_return error{errc::install_failed, "a package comes from " + elsewhere + ", which is not the registry"};
    const auto looked = co_await look_over(directory.output_path() / "node_modules");
    if (!looked) co_return looked.error();
    const auto size = looked->bytes;
    if (looked->names > settings_.max_files)
        co_return error{errc::install_failed, "the packages have more than " + std::to_string(settings_.max_files) +
                                                  " files (faas.maxInstallFiles)"};
    if (size > settings_.max_bytes)
        co_return error{errc::install_failed, "the packages are larger than " + std::to_string(settings_.max_bytes) +
                                                  " bytes (faas.maxInstallMB)"};
    // Another job will use the install's uid.
    if (auto taken = co_await disk::take_over_in_turns(directory.output(), "node_modules"); !taken)
        co_return taken.error();
    // An install that all callers have left may still end, and another of the same set beside it: the first is kept.
    if (!sets_.contains(key) && !is_within_a_share(key, size)) co_return exceeds_share();
    const bool room = sets_.contains(key) || co_await make_room(size);  // after which nothing is awaited
    if (!room) {
        no_room_.add();
        co_return error{errc::install_failed,
                        "there is no room for the packages: running programs use all of faas.maxPackagesMB"};
    }
    if (sets_.contains(key)) co_return settings_.root / key;
    // Others may have come while room was made.
    if (!is_within_a_share(key, size)) co_return exceeds_share();
    if (::renameat(directory.output(), "node_modules", root_.get(), key.c_str()) != 0)
        co_return disk::io_error("keep", key, errno);
    sets_[key] = {.bytes = size, .used = std::chrono::system_clock::now()};
    log::info("packages installed",
              {{"key", key}, {"packages", dependencies.size()}, {"bytes", size}, {"ms", ran->wall.count() / 1000}});
    co_return settings_.root / key;
}

bool installer::is_within_share(const package_needs& needs, const client_key& client, std::uint64_t more) const
{
    if (client == client_key{}) return true;
    std::uint64_t sum = more;
    for (const auto& [key, clients] : needs.running) {
        const auto there = sets_.find(key);
        if (there != sets_.end() && clients.contains(client)) sum += counted_size(there->second.bytes);
    }
    return sum <= settings_.max_client_bytes;
}

bool installer::is_within_a_share(const std::string& key, std::uint64_t bytes) const
{
    const auto needs = user_.needs();
    const auto clients = needs.running.find(key);
    // All may have left: then it is nobody's, and goes first.
    return clients == needs.running.end() || std::ranges::any_of(clients->second, [&](const client_key& one) {
               return is_within_share(needs, one, counted_size(bytes));
           });
}

error installer::exceeds_share()
{
    no_room_.add();
    return {errc::install_failed,
            "there is no room for the packages: this client's running programs use all that one client may have "
            "(faas.maxPackagesMBPerClient); delete a deployment, or wait until one is stopped"};
}

bool installer::may_go(const std::string& key, const package_needs& needs) const
{
    const bool comes_back = settings_.allow && settings_.client;
    return !needs.running.contains(key) && (comes_back || !needs.deployed.contains(key));
}

std::optional<std::string> installer::next_to_go() const
{
    const auto needs = user_.needs();
    std::map<client_key, std::uint64_t> held;
    for (const auto& [key, clients] : needs.deployed) {
        const auto there = sets_.find(key);
        if (there == sets_.end()) continue;
        for (const auto& one : clients) held[one] += counted_size(there->second.bytes);
    }
    std::optional<std::string> found;
    std::tuple<std::uint64_t, std::chrono::system_clock::time_point> first;
    for (const auto& [key, set] : sets_) {
        if (!may_go(key, needs)) continue;
        // It stays as long as it would for the one of its clients that has the least.
        auto of_client = std::numeric_limits<std::uint64_t>::max();
        if (const auto deployed = needs.deployed.find(key); deployed != needs.deployed.end())
            for (const auto& one : deployed->second) of_client = std::min(of_client, held[one]);
        const std::tuple rank{std::numeric_limits<std::uint64_t>::max() - of_client, set.used};
        if (found && first <= rank) continue;
        found = key;
        first = rank;
    }
    return found;
}

asio::awaitable<bool> installer::make_room(std::uint64_t bytes)
{
    const auto wanted = bytes == 0 ? 0 : counted_size(bytes);
    auto least = wanted;
    const auto needs = user_.needs();
    for (const auto& [key, set] : sets_)
        if (!may_go(key, needs)) least += counted_size(set.bytes);
    if (bytes > 0 && least > settings_.max_total_bytes) co_return false;
    while (total_bytes() + wanted > settings_.max_total_bytes) {
        const auto goes = next_to_go();
        if (!goes) co_return false;
        const auto& key = *goes;
        user_.gives_up(key);
        // Another set of this key may be in removal.
        const auto gone = ".gone-" + key + "." + random_hex(8);
        if (::renameat(root_.get(), key.c_str(), root_.get(), gone.c_str()) != 0) {
            const int cause = errno;
            if (cause == ENOENT) {  // somebody else has removed it
                sets_.erase(key);
                continue;
            }
            log::error("cannot remove packages", {{"key", key}, {"cause", std::strerror(cause)}});
            co_return false;
        }
        sets_.erase(key);
        removed_.add();
        co_await remove_set(gone);
    }
    co_return true;
}

}  // namespace sandboxd::faas
