#include "toolchain/standing.hpp"

#include "base/proc.hpp"
#include "base/text_file.hpp"
#include "base/unique_fd.hpp"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <vector>

namespace sandboxd::toolchain {

namespace {

constexpr std::array<std::string_view, 7> namespace_names{"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"};
constexpr std::string_view identity_lines[] = {"Umask:",  "Uid:",    "Gid:",    "Groups:", "CapInh:",    "CapPrm:",
                                               "CapEff:", "CapBnd:", "CapAmb:", "Seccomp", "NoNewPrivs:"};

std::string proc(pid_t process, std::string_view name)
{
    return "/proc/" + std::to_string(process) + "/" + std::string{name};
}

std::string_view value_of(std::string_view status, std::string_view line)
{
    const auto at = status.find(line);
    if (at == std::string_view::npos) return {};
    auto value = status.substr(at + line.size());
    value = value.substr(0, value.find('\n'));
    const auto first = value.find_first_not_of(" \t");
    return first == std::string_view::npos ? std::string_view{} : value.substr(first);
}

error gone(pid_t process)
{
    return unavailable("process " + std::to_string(process) + " has gone, or may not be looked at");
}

}  // namespace

result<standing> standing_of(pid_t process)
{
    standing made;
    for (std::size_t i = 0; i < namespace_names.size(); ++i) {
        char target[64];
        const auto link = proc(process, "ns/" + std::string{namespace_names[i]});
        const ssize_t length = ::readlink(link.c_str(), target, sizeof target);
        if (length <= 0) return gone(process);
        made.namespaces[i].assign(target, static_cast<std::size_t>(length));
    }
    const auto status = read_text(proc(process, "status"));
    std::string_view rest = status;
    while (!rest.empty()) {
        const auto line = rest.substr(0, rest.find('\n') + 1);
        if (line.empty()) break;
        rest.remove_prefix(line.size());
        if (std::ranges::any_of(identity_lines, [&](std::string_view name) { return line.starts_with(name); }))
            made.identity += line;
    }
    made.limits = read_text(proc(process, "limits"));
    made.cgroup = read_text(proc(process, "cgroup"));
    struct stat seen{};
    if (made.identity.empty() || made.limits.empty() || made.cgroup.empty() ||
        ::stat(proc(process, "root").c_str(), &seen) != 0)
        return gone(process);
    made.root = {seen.st_dev, seen.st_ino};
    return made;
}

std::string_view difference(const standing& one, const standing& other)
{
    for (std::size_t i = 0; i < namespace_names.size(); ++i)
        if (one.namespaces[i] != other.namespaces[i]) return namespace_names[i];
    if (one.root != other.root) return "root";
    if (one.identity != other.identity) return "identity";
    if (one.limits != other.limits) return "limits";
    if (one.cgroup != other.cgroup) return "control group";
    return {};
}

bool share_a_namespace(const standing& one, const standing& other)
{
    for (std::size_t i = 0; i < namespace_names.size(); ++i)
        if (one.namespaces[i] == other.namespaces[i]) return true;
    return false;
}

std::uint64_t bounding_set(const standing& of)
{
    const auto digits = value_of(of.identity, "CapBnd:");
    std::uint64_t set = 0;
    const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), set, 16);
    return failed == std::errc{} && !digits.empty() ? set : ~std::uint64_t{0};
}

std::optional<std::array<soft_and_hard, resources>> resource_limits(const standing& of)
{
    // "%-25s %-20s %-20s %-10s" in fs/proc/base.c; by these names they have these numbers on every architecture here.
    static constexpr std::array<std::string_view, resources> names{
        "Max cpu time",       "Max file size",     "Max data size",         "Max stack size",
        "Max core file size", "Max resident set",  "Max processes",         "Max open files",
        "Max locked memory",  "Max address space", "Max file locks",        "Max pending signals",
        "Max msgqueue size",  "Max nice priority", "Max realtime priority", "Max realtime timeout"};
    constexpr std::size_t soft_column = 26;
    constexpr std::size_t hard_column = 47;
    const auto number_at = [](std::string_view line, std::size_t column) -> std::optional<std::uint64_t> {
        if (line.size() <= column) return std::nullopt;
        line.remove_prefix(column);
        if (line.starts_with("unlimited")) return RLIM_INFINITY;
        std::uint64_t value = 0;
        if (std::from_chars(line.data(), line.data() + line.size(), value).ec != std::errc{}) return std::nullopt;
        return value;
    };
    std::array<soft_and_hard, resources> made{};
    std::string_view text = of.limits;
    text.remove_prefix(std::min(text.find('\n') + 1, text.size()));
    for (std::size_t i = 0; i < resources; ++i) {
        const auto line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        const auto soft = number_at(line, soft_column);
        const auto hard = number_at(line, hard_column);
        if (!line.starts_with(names[i]) || !soft || !hard) return std::nullopt;
        made[i] = {*soft, *hard};
    }
    return made;
}

bool could_change(const standing& who, const struct stat& file)
{
    // The numbers of a line, separated by white space.
    const auto ids = [&who](std::string_view line) {
        std::vector<std::uint32_t> found;
        auto words = value_of(who.identity, line);
        while (!words.empty()) {
            const auto word = words.substr(0, words.find_first_of(" \t"));
            words.remove_prefix(std::min(word.size() + 1, words.size()));
            std::uint32_t id = 0;
            const auto parsed = std::from_chars(word.data(), word.data() + word.size(), id);
            if (!word.empty() && parsed.ec == std::errc{}) found.push_back(id);
        }
        return found;
    };
    const auto uids = ids("Uid:");
    auto gids = ids("Gid:");
    if (uids.empty() || gids.empty() || (file.st_mode & S_IWOTH) != 0) return true;
    const auto more = ids("Groups:");
    gids.insert(gids.end(), more.begin(), more.end());
    return std::ranges::find(uids, file.st_uid) != uids.end() ||
           ((file.st_mode & S_IWGRP) != 0 && std::ranges::find(gids, file.st_gid) != gids.end());
}

bool descends_from(pid_t process, pid_t ancestor)
{
    constexpr int most_generations = 8;
    for (int generation = 0; generation < most_generations && process > 1; ++generation) {
        if (process == ancestor) return true;
        process = static_cast<pid_t>(number_behind(read_text(proc(process, "status")), "\nPPid:"));
    }
    return false;
}

std::size_t open_descriptors(pid_t process)
{
    const auto place = proc(process, "fd");
    const std::unique_ptr<DIR, int (*)(DIR*)> items{::opendir(place.c_str()), ::closedir};
    std::size_t count = 0;
    while (items) {
        const dirent* const one = ::readdir(items.get());
        if (one == nullptr) break;
        if (one->d_name[0] != '.') ++count;
    }
    return count;
}

}  // namespace sandboxd::toolchain
