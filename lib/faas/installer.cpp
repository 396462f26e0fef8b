#include "faas/installer.hpp"

#include "artifacts/files.hpp"
#include "artifacts/remove_tree.hpp"
#include "base/log.hpp"
#include "base/utf8.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace sandboxd::faas {

namespace asio = boost::asio;
namespace fs = std::filesystem;

namespace {

constexpr auto disk_interval = std::chrono::milliseconds{200};
constexpr std::size_t output_bytes = 256 * 1024;
constexpr std::size_t shown_of_output = 2'000;
constexpr std::string_view inside = "/install";
constexpr std::string_view ca_inside = "/install-ca.pem";

std::string end_of(const std::string& text)
{
    const auto valid = to_valid_utf8(text.size() > shown_of_output ? text.substr(text.size() - shown_of_output) : text);
    return valid;
}

std::uint64_t bytes_below(const fs::path& top)
{
    std::uint64_t sum = 0;
    std::error_code ec;
    for (fs::recursive_directory_iterator at{top, ec}, end; !ec && at != end; at.increment(ec)) {
        struct stat seen{};
        if (::lstat(at->path().c_str(), &seen) == 0) sum += static_cast<std::uint64_t>(seen.st_blocks) * 512;
    }
    return sum;
}

}  // namespace

installer::installer(asio::any_io_executor executor, async::task_group& tasks, jail::jail& wall, installer_settings how,
                     metrics::registry& metrics, std::function<bool(const std::string&)> in_use)
    : executor_{std::move(executor)},
      tasks_{tasks},
      wall_{wall},
      settings_{std::move(how)},
      in_use_{std::move(in_use)},
      flights_{tasks, executor_},
      installs_{metrics.add_counter("sandboxd_faas_installs_total", "Sets of packages installed or not.",
                                    "end=\"installed\"")},
      failures_{metrics.add_counter("sandboxd_faas_installs_total", "", "end=\"failed\"")},
      reused_{metrics.add_counter("sandboxd_faas_installs_total", "", "end=\"reused\"")}
{
    metrics.add_gauge("sandboxd_faas_package_bytes", "Bytes of installed packages on disk.", [this] {
        double sum = 0;
        for (const auto& [key, size] : sizes_) sum += static_cast<double>(size);
        return sum;
    });
}

result<void> installer::open()
{
    auto root = artifacts::make_root(settings_.root, 0711);
    if (!root) return root.error();
    root_ = std::move(*root);
    auto work = artifacts::make_root(settings_.root / ".work", 0711);
    if (!work) return work.error();
    if (const auto left = artifacts::remove_leftovers(settings_.root / ".work"); !left) return left.error();
    std::error_code ec;
    for (fs::directory_iterator at{settings_.root, ec}, end; !ec && at != end; at.increment(ec)) {
        const auto key = at->path().filename().native();
        if (key == ".work") continue;
        if (key.starts_with('.')) {
            if (auto removed = artifacts::remove_tree(root_.get(), key); !removed) return removed;
        } else {
            sizes_[key] = bytes_below(at->path());
        }
    }
    if (ec) return error{errc::io, settings_.root.native() + ": " + ec.message()};
    return {};
}

std::string installer::key_of(const text_map& dependencies) const
{
    if (dependencies.empty() || !settings_.client) return {};
    const auto& client = *settings_.client;
    return install_key(dependencies, (client.bun ? "bun " : "npm ") + client.version + " " + settings_.registry)
        .substr(0, 40);
}

asio::awaitable<result<fs::path>> installer::ensure(text_map dependencies, async::stop_source& stop)
{
    const auto key = key_of(dependencies);
    if (!key.empty() && sizes_.contains(key)) {
        reused_.add();
        const auto path = settings_.root / key;
        ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0);  // the order in which unused ones go
        co_return path;
    }
    if (!settings_.allow)
        co_return error{errc::unprocessable,
                        "package.json has dependencies, and packages are not installed here (faas.allowInstall)"};
    if (!settings_.client)
        co_return error{errc::unprocessable,
                        "package.json has dependencies, and neither bun nor npm is installed here"};
    auto fly = [this, dependencies, key](async::stop_source& flight) { return install(dependencies, key, flight); };
    const auto shared = co_await flights_.join(key, stop, std::move(fly));
    if (!shared) co_return make_error(stop.cause());
    co_return *shared;
}

jail::spec installer::install_spec(const artifacts::job_directory& directory) const
{
    const auto& client = *settings_.client;
    jail::spec spec;
    spec.argv = client.argv;
    const auto add = [&spec](std::initializer_list<const char*> words) {
        spec.argv.insert(spec.argv.end(), words.begin(), words.end());
    };
    if (client.bun)
        add({"install", "--ignore-scripts", "--production", "--no-progress"});
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
    if (!settings_.registry.empty()) {
        spec.env.emplace_back("npm_config_registry", settings_.registry);
        spec.env.emplace_back("BUN_CONFIG_REGISTRY", settings_.registry);
    }
    if (!settings_.proxy.empty()) {
        spec.env.emplace_back("HTTPS_PROXY", settings_.proxy);
        spec.env.emplace_back("HTTP_PROXY", settings_.proxy);
    }
    spec.mounts = client.mounts;
    for (const char* path : {"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/ssl", "/etc/pki"})
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
    spec.network = jail::network_access::host;
    spec.merge_stderr = true;
    return spec;
}

asio::awaitable<installer::outcome> installer::install(text_map dependencies, std::string key, async::stop_source& stop)
{
    std::optional<artifacts::job_directory::owner> owner;
    if (const auto who = wall_.owner()) owner = {.uid = who->uid, .gid = who->gid};
    auto directory = artifacts::job_directory::create(settings_.root / ".work", key, owner);
    if (!directory) co_return directory.error();
    auto done = co_await install_in(dependencies, key, *directory, stop);
    (done ? installs_ : failures_).add();
    if (auto removed = co_await directory->remove_in_turns(); !removed)
        log::error("an install's directory cannot be removed", {{"cause", removed.error().message}});
    if (done) co_await make_room();
    co_return done;
}

asio::awaitable<void> installer::watch_disk(artifacts::job_directory& directory, async::stop_source& stop,
                                            async::event& over, async::event& ended)
{
    // Twice: what is unpacked may stand beside the archive it came from.
    const artifacts::disk_caps caps{
        .max_bytes = 2 * settings_.max_bytes, .max_inodes = 2 * settings_.max_files, .max_depth = 64};
    while (!co_await over.wait_for(disk_interval))
        if (!directory.usage(caps).over.empty()) stop.request(errc::disk_limit);
    ended.set();
}

asio::awaitable<installer::outcome> installer::install_in(const text_map& dependencies, const std::string& key,
                                                          artifacts::job_directory& directory, async::stop_source& stop)
{
    if (!artifacts::write_new(directory.output(), "package.json", install_manifest(dependencies), 0644))
        co_return artifacts::io_error("write", "package.json", errno);
    // Of its own: what ends the install (its limits) must not look like the caller's wish.
    async::stop_source mine;
    const async::stop_callback chain{stop, [&mine](errc cause) { mine.request(cause); }};
    async::event over{executor_};
    async::event watched{executor_};
    tasks_.spawn("watch an install's disk", watch_disk(directory, mine, over, watched));
    auto spec = install_spec(directory);
    const process::run_limits limits{.wall = settings_.wall, .output_bytes = output_bytes};
    const auto ran = co_await wall_.run(std::move(spec), limits, mine);
    over.set();
    co_await watched.wait();
    if (!ran) co_return ran.error();
    if (stop.requested()) co_return make_error(stop.cause());
    if (mine.requested())
        co_return error{errc::install_failed,
                        "installing the packages was ended: " + std::string{sentence(mine.cause())}};
    const auto* const end = std::get_if<process::exited>(&ran->status);
    if (!end || end->code != 0)
        co_return error{errc::install_failed, "the packages could not be installed: " + end_of(ran->out)};
    const unique_fd modules = artifacts::open_in(directory.output(), "node_modules", O_RDONLY | O_DIRECTORY);
    if (!modules) co_return error{errc::install_failed, "the install left no packages: " + end_of(ran->out)};
    const auto size = bytes_below(directory.output_path() / "node_modules");
    if (size > settings_.max_bytes)
        co_return error{errc::install_failed, "the packages are larger than " + std::to_string(settings_.max_bytes) +
                                                  " bytes (faas.maxInstallMB)"};
    ::fchmod(modules.get(), 0755);
    if (::renameat(directory.output(), "node_modules", root_.get(), key.c_str()) != 0)
        co_return artifacts::io_error("keep", key, errno);
    sizes_[key] = size;
    log::info("packages installed",
              {{"key", key}, {"packages", dependencies.size()}, {"bytes", size}, {"ms", ran->wall.count() / 1000}});
    co_return settings_.root / key;
}

asio::awaitable<void> installer::make_room()
{
    for (;;) {
        std::uint64_t total = 0;
        for (const auto& [key, size] : sizes_) total += size;
        if (total <= settings_.max_total_bytes) co_return;
        std::string oldest;
        fs::file_time_type when = fs::file_time_type::max();
        for (const auto& [key, size] : sizes_) {
            std::error_code ec;
            const auto used = fs::last_write_time(settings_.root / key, ec);
            if (ec || in_use_(key) || used >= when) continue;
            oldest = key;
            when = used;
        }
        if (oldest.empty()) co_return;
        sizes_.erase(oldest);
        const auto gone = ".gone-" + oldest;
        if (::renameat(root_.get(), oldest.c_str(), root_.get(), gone.c_str()) != 0) co_return;
        const auto removed = co_await artifacts::remove_tree_in_turns(root_.get(), gone);
        if (!removed) log::error("packages cannot be removed", {{"cause", removed.error().message}});
    }
}

}  // namespace sandboxd::faas
