#include "jail/uid_pool.hpp"

#include "base/log.hpp"
#include "base/text_file.hpp"
#include "init/build.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <functional>
#include <string_view>
#include <vector>

namespace sandboxd::jail {
namespace {

// The directory of the files whose locks mark ids as taken; -1: none, as on a read-only file system. Only root may
// enter it, because whoever can open a file can lock it.
int locks_directory()
{
    static const unique_fd directory = [] {
        constexpr const char* path = "/run/sandboxd-jail-uids";
        if (::mkdir(path, 0700) != 0 && errno != EEXIST) return unique_fd{};
        unique_fd made{::open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
        struct stat seen{};
        const bool ours =
            made && ::fstat(made.get(), &seen) == 0 && seen.st_uid == ::geteuid() && (seen.st_mode & 07777) == 0700;
        return ours ? std::move(made) : unique_fd{};
    }();
    return directory ? directory.get() : -1;
}

unique_fd lock_file(int directory, std::uint32_t id)
{
    unique_fd file{::openat(directory, std::to_string(id).c_str(), O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600)};
    if (file && ::flock(file.get(), LOCK_EX | LOCK_NB) != 0) file.reset();
    return file;
}

// Nullopt when another process has it.
std::optional<uid_lock> lock_id(std::uint32_t id)
{
    unique_fd made{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    const auto name = "sandboxd-jail-uid-" + std::to_string(id);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, name.data(), name.size());
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    if (made && ::bind(made.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) return std::nullopt;
    if (!made) return std::nullopt;
    uid_lock both{.socket = std::move(made), .file = {}};
    if (const int directory = locks_directory(); directory >= 0) {
        both.file = lock_file(directory, id);
        if (!both.file) return std::nullopt;
    }
    return both;
}

// "name:first:count" lines, by name or by number.
std::string subordinate_owner_in(const uid_range& range, std::string_view text, const char* what)
{
    while (!text.empty()) {
        const auto line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        const auto one = line.find(':');
        const auto two = one == std::string_view::npos ? one : line.find(':', one + 1);
        if (two == std::string_view::npos) continue;
        std::uint64_t first = 0;
        std::uint64_t count = 0;
        std::from_chars(line.data() + one + 1, line.data() + two, first);
        std::from_chars(line.data() + two + 1, line.data() + line.size(), count);
        const std::uint64_t begin = std::max<std::uint64_t>(first, range.first);
        const std::uint64_t end = std::min<std::uint64_t>(first + count, std::uint64_t{range.first} + range.count);
        if (begin < end)
            return std::to_string(begin) + " is a subordinate " + what + " of " + std::string{line.substr(0, one)};
    }
    return {};
}

// The numbers after "Uid:" or "Gid:" in /proc/<pid>/status.
std::vector<std::uint64_t> ids_in(std::string_view status, std::string_view key)
{
    std::vector<std::uint64_t> found;
    const auto at = status.find(key);
    if (at == std::string_view::npos) return found;
    auto line = status.substr(at + key.size());
    line = line.substr(0, line.find('\n'));
    while (!line.empty()) {
        std::uint64_t id = 0;
        const auto [end, ec] = std::from_chars(line.data(), line.data() + line.size(), id);
        if (ec == std::errc{}) found.push_back(id);
        line.remove_prefix(std::max<std::size_t>(1, static_cast<std::size_t>(end - line.data())));
    }
    return found;
}

// A process of which an id of the range is one that no server has taken.
struct stranger {
    pid_t pid{0};
    std::string_view status;  // of /proc
    std::string_view kind;    // "uid" or "gid"
    std::uint32_t id{0};
};

bool is_taken(std::uint64_t id) { return !lock_id(static_cast<std::uint32_t>(id)); }

void for_each_stranger(const uid_range& range, const std::function<void(const stranger&)>& look)
{
    const std::unique_ptr<DIR, int (*)(DIR*)> proc{::opendir("/proc"), ::closedir};
    while (const dirent* entry = proc ? ::readdir(proc.get()) : nullptr) {
        const std::string_view name = entry->d_name;
        pid_t pid = 0;
        const auto [end, failed] = std::from_chars(name.data(), name.data() + name.size(), pid);
        if (failed != std::errc{} || end != name.data() + name.size()) continue;
        const auto status = read_text("/proc/" + std::string{name} + "/status");
        // Zombies use no resources of others.
        if (status.find("\nState:\tZ") != std::string::npos) continue;
        for (const auto& [key, kind] : {std::pair{"\nUid:", "uid"}, std::pair{"\nGid:", "gid"}}) {
            const auto ids = ids_in(status, key);
            const auto id =
                std::ranges::find_if(ids, [&](std::uint64_t one) { return range.holds(one) && !is_taken(one); });
            if (id == ids.end()) continue;
            look({pid, status, kind, static_cast<std::uint32_t>(*id)});
            break;
        }
    }
}

}  // namespace

uid_pool::uid_pool(const uid_range& range) : range_{range}
{
    for (std::uint32_t i = 0; i < range.count; ++i) free_.push_back(range.first + i);
}

std::shared_ptr<uid_pool> uid_pool::make(const uid_range& range)
{
    return std::shared_ptr<uid_pool>{new uid_pool{range}};
}

void uid_pool::set_aside(std::uint32_t id) { std::erase(free_, id); }

uid_pool::lease::~lease()
{
    if (from_) from_->free_.push_back(id_);
}

result<uid_pool::lease> uid_pool::take()
{
    for (std::size_t tries = free_.size(); tries > 0; --tries) {
        const auto id = free_.front();
        free_.pop_front();
        if (auto lock = lock_id(id)) {
            lease taken{shared_from_this(), id, std::move(*lock)};
            return taken;
        }
        free_.push_back(id);  // another server's
    }
    ++refused_;
    log::warning("no uid is free for a jail", {{"first", range_.first}, {"count", range_.count}});
    return error{errc::queue_full, "all " + std::to_string(range_.count) +
                                       " uids for jails are in use; try again, or raise jailUidCount"};
}

std::string subordinate_owner_of(const uid_range& range, std::string_view subuid, std::string_view subgid)
{
    auto found = subordinate_owner_in(range, subuid, "uid");
    return found.empty() ? subordinate_owner_in(range, subgid, "gid") : found;
}

std::string owner_of(const uid_range& range)
{
    for (std::uint32_t i = 0; i < range.count; ++i) {
        const auto id = range.first + i;
        if (const passwd* user = ::getpwuid(id)) return std::to_string(id) + " is the uid of " + user->pw_name;
        if (const group* one = ::getgrgid(id)) return std::to_string(id) + " is the gid of " + one->gr_name;
    }
    return subordinate_owner_of(range, read_text("/etc/subuid"), read_text("/etc/subgid"));
}

std::size_t kill_leftover_builders(const uid_range& range, pid_t adopter)
{
    const auto orphan = "\nPPid:\t" + std::to_string(adopter) + "\n";
    std::size_t killed = 0;
    for_each_stranger(range, [&](const stranger& one) {
        const auto line = read_text("/proc/" + std::to_string(one.pid) + "/cmdline");
        const std::string_view program{line.c_str()};
        const auto name = program.substr(program.rfind('/') + 1);
        const auto own = std::string{"Name:\t"} + init::build::process_name + "\n";
        if (name != "bwrap" && name != "nsjail" && name != "crun" && !one.status.starts_with(own)) return;
        // Only an orphan is a leftover, even if a running server does not see our locks.
        if (one.status.find(orphan) != std::string_view::npos && ::kill(one.pid, SIGKILL) == 0) ++killed;
    });
    return killed;
}

std::vector<std::uint32_t> ids_in_use(const uid_range& range)
{
    std::vector<std::uint32_t> found;
    for_each_stranger(range, [&](const stranger& one) {
        // All jails have the same gid: a process with the uid of another server's jail is that server's.
        const auto is_of_a_jail = [&](std::uint64_t uid) { return range.holds(uid) && is_taken(uid); };
        if (one.kind == "gid" && std::ranges::any_of(ids_in(one.status, "\nUid:"), is_of_a_jail)) return;
        if (std::ranges::find(found, one.id) != found.end()) return;
        found.push_back(one.id);
        log::warning("a process uses an id of the jails' range; the id is skipped",
                     {{"pid", one.pid}, {one.kind, one.id}});
    });
    return found;
}

}  // namespace sandboxd::jail
