#include "process/cgroup.hpp"

#include "base/log.hpp"
#include "base/path.hpp"
#include "base/text_file.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <thread>
#include <vector>

namespace sandboxd::process {

namespace asio = boost::asio;
namespace fs = std::filesystem;

namespace {

constexpr std::string_view job_prefix = "job-";
constexpr std::string_view server_leaf = "server";
constexpr std::string_view cure = "; start the server alone in a cgroup delegated to it (systemd: Delegate=yes)";

// Killed processes leave within a few scheduler ticks; one that is stuck in the kernel must not block us for ever.
constexpr auto removal_pause = std::chrono::milliseconds{2};
constexpr int removal_tries = 1000;

// One write(2): the kernel takes each as one command.
result<void> write_text(const fs::path& file, std::string_view text)
{
    const unique_fd fd{::open(file.c_str(), O_WRONLY | O_CLOEXEC)};
    if (!fd || ::write(fd.get(), text.data(), text.size()) < 0) return system_error(errc::unavailable, file.native());
    return {};
}

std::vector<std::string_view> split(std::string_view text, char separator)
{
    std::vector<std::string_view> parts;
    while (!text.empty()) {
        const auto at = text.find(separator);
        parts.push_back(text.substr(0, at));
        text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
    }
    return parts;
}

// "key value" lines, as in cpu.stat and memory.events.
std::uint64_t value_of(std::string_view text, std::string_view key)
{
    for (const auto line : split(text, '\n')) {
        if (!line.starts_with(key) || line.size() <= key.size() || line[key.size()] != ' ') continue;
        std::uint64_t value = 0;
        std::from_chars(line.data() + key.size() + 1, line.data() + line.size(), value);
        return value;
    }
    return 0;
}

bool has_word(std::string_view text, std::string_view word)
{
    while (text.ends_with('\n')) text.remove_suffix(1);
    for (const auto one : split(text, ' ')) {
        if (one == word) return true;
    }
    return false;
}

bool is_busy(const fs::path& group) { return ::rmdir(group.c_str()) != 0 && errno == EBUSY; }

// Removes what a killed server left. Its jobs died with it, or do now.
void remove_leftovers(const fs::path& tree)
{
    std::vector<fs::path> groups;
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator{tree, ec}) {
        if (entry.path().filename().native().starts_with(job_prefix)) groups.push_back(entry.path());
    }
    for (const auto& group : groups) {
        static_cast<void>(write_text(group / "cgroup.kill", "1"));
        for (int tries = 0; is_busy(group) && tries < removal_tries; ++tries)
            std::this_thread::sleep_for(removal_pause);
        if (fs::exists(group))
            log::warning("cannot remove the cgroup of an earlier server", {{"cgroup", group.native()}});
    }
    if (!groups.empty()) log::warning("removed cgroups of an earlier server", {{"count", groups.size()}});
}

}  // namespace

std::optional<fs::path> find_cgroup(std::string_view cgroup, std::string_view mountinfo)
{
    std::optional<std::string_view> inside;
    for (const auto line : split(cgroup, '\n')) {
        if (line.starts_with("0::/")) inside = line.substr(3);
    }
    if (!inside) return std::nullopt;
    // proc_pid_mountinfo(5): id parent major:minor root mount-point options … - type source options
    for (const auto line : split(mountinfo, '\n')) {
        const auto dash = line.find(" - ");
        if (dash == std::string_view::npos || !line.substr(dash + 3).starts_with("cgroup2 ")) continue;
        const auto words = split(line.substr(0, dash), ' ');
        if (words.size() < 5) continue;
        const auto root = words[3];
        auto path = *inside;
        if (root != "/") {
            if (!lies_in(path, root)) continue;
            path.remove_prefix(root.size());
        }
        if (path.starts_with('/')) path.remove_prefix(1);
        return path.empty() ? fs::path{words[4]} : fs::path{words[4]} / path;
    }
    return std::nullopt;
}

result<cgroup_tree> cgroup_tree::take(bool allow_root)
{
    auto found = find_cgroup(read_text("/proc/self/cgroup"), read_text("/proc/self/mountinfo"));
    if (!found) return unavailable("this process is in no mounted cgroup v2");
    // Only the root has no cgroup.type.
    const auto is_root = [](const fs::path& group) { return !fs::exists(group / "cgroup.type"); };
    // Whoever started us put us into the leaf: once the parent was divided, no process can be put into it.
    const bool in_leaf = found->filename() == server_leaf && (allow_root || !is_root(found->parent_path()));
    cgroup_tree tree{in_leaf ? found->parent_path() : std::move(*found)};
    const auto& path = tree.path_;
    if (!allow_root && is_root(path))
        return unavailable("this process is in the root of the cgroups" + std::string{cure});
    const auto controllers = read_text(path / "cgroup.controllers");
    for (const auto* wanted : {"memory", "pids"}) {
        if (!has_word(controllers, wanted))
            return unavailable(path.native() + " has no " + wanted +
                               " controller; enable it in the cgroup.subtree_control of its ancestors");
    }
    const auto leaf = path / server_leaf;
    std::error_code ec;
    const bool made = fs::create_directory(leaf, ec);
    if (ec) return unavailable(leaf.native() + ": " + ec.message() + std::string{cure});
    const auto give_up = [&](std::string why) {
        if (!in_leaf) static_cast<void>(write_text(path / "cgroup.procs", "0"));
        if (made) ::rmdir(leaf.c_str());
        return unavailable(std::move(why));
    };
    if (!fs::exists(leaf / "cgroup.kill")) return give_up("cgroup.kill is missing: it needs Linux 5.14 or later");
    if (auto moved = write_text(leaf / "cgroup.procs", "0"); !moved)
        return give_up(moved.error().message + std::string{cure});
    const std::string enable = has_word(controllers, "cpu") ? "+memory +pids +cpu" : "+memory +pids";
    if (auto enabled = write_text(path / "cgroup.subtree_control", enable); !enabled)
        return give_up(enabled.error().message + std::string{cure});
    remove_leftovers(path);
    return tree;
}

result<job_cgroup> cgroup_tree::create(std::string_view name, const cgroup_limits& limits) const
{
    job_cgroup group;
    const auto path = path_ / (std::string{job_prefix} + std::string{name});
    // Never reuse an existing one: it has statistics of its own.
    if (::mkdir(path.c_str(), 0755) != 0) return system_error(errc::unavailable, path.native());
    group.path_ = path;
    std::vector<std::pair<const char*, std::string>> settings;
    if (limits.memory_bytes > 0) {
        settings.emplace_back("memory.max", std::to_string(limits.memory_bytes));
        settings.emplace_back("memory.oom.group", "1");
        // Kernels without swap have no such file.
        if (fs::exists(path / "memory.swap.max")) settings.emplace_back("memory.swap.max", "0");
    }
    if (limits.processes > 0) settings.emplace_back("pids.max", std::to_string(limits.processes));
    if (limits.cpu_percent > 0 && fs::exists(path / "cpu.max")) {
        constexpr unsigned period_us = 100'000;
        settings.emplace_back("cpu.max",
                              std::to_string(limits.cpu_percent * (period_us / 100)) + " " + std::to_string(period_us));
    }
    for (const auto& [file, value] : settings) {
        if (auto written = write_text(path / file, value); !written) return written.error();
    }
    group.procs_.reset(::open((path / "cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
    group.kill_.reset(::open((path / "cgroup.kill").c_str(), O_WRONLY | O_CLOEXEC));
    if (!group.procs_ || !group.kill_)
        return system_error(errc::unavailable, path.native() + ": cgroup.procs or cgroup.kill");
    return group;
}

job_cgroup::~job_cgroup()
{
    if (path_.empty()) return;
    kill();
    ::rmdir(path_.c_str());
}

void job_cgroup::kill() const
{
    if (kill_ && ::write(kill_.get(), "1", 1) != 1)
        log::error("cgroup.kill failed", {{"cgroup", path_.native()}, {"cause", std::strerror(errno)}});
}

cgroup_usage job_cgroup::usage() const
{
    cgroup_usage used;
    const auto peak = read_text(path_ / "memory.peak");
    std::from_chars(peak.data(), peak.data() + peak.size(), used.memory_peak_bytes);
    used.cpu = std::chrono::microseconds{value_of(read_text(path_ / "cpu.stat"), "usage_usec")};
    used.oom_kills = value_of(read_text(path_ / "memory.events"), "oom_kill");
    return used;
}

asio::awaitable<void> job_cgroup::remove()
{
    kill();
    asio::steady_timer timer{co_await asio::this_coro::executor};
    for (int tries = 0; is_busy(path_) && tries < removal_tries; ++tries) {
        boost::system::error_code ignored;  // nobody cancels this timer
        timer.expires_after(removal_pause);
        co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    if (fs::exists(path_)) log::error("cannot remove a cgroup", {{"cgroup", path_.native()}});
    path_.clear();
}

}  // namespace sandboxd::process
