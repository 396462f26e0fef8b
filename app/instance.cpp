#include "instance.hpp"

#include "base/ascii.hpp"
#include "base/digest.hpp"
#include "disk/directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>

namespace sandboxd::app {

namespace fs = std::filesystem;

namespace {

constexpr const char* lock_name = ".sandboxd.lock";
constexpr std::size_t id_bytes = 8;

struct lock_text {
    std::string pid;
    std::string id;
};

// "<pid> <id>\n", written by the server that has or had the lock.
lock_text read_lock(int file)
{
    char text[128];
    const auto got = ::pread(file, text, sizeof text, 0);
    const std::string_view all{text, got > 0 ? static_cast<std::size_t>(got) : 0};
    const auto space = std::min(all.find(' '), all.size());
    lock_text told{std::string{all.substr(0, space)}, {}};
    if (!std::ranges::all_of(told.pid, [](char c) { return c >= '0' && c <= '9'; })) told.pid.clear();
    if (space < all.size()) told.id = all.substr(space + 1, 2 * id_bytes);
    if (told.id.size() != 2 * id_bytes || !std::ranges::all_of(told.id, is_lower_hex)) told.id.clear();
    return told;
}

error taken(std::string_view key, const fs::path& path, const std::string& pid)
{
    return {errc::unavailable, std::string{key} + ": another server" +
                                   (pid.empty() ? std::string{} : ", process " + pid + ",") + " works in " +
                                   path.native() + "; stop it, or give this one another workingDir"};
}

}  // namespace

result<instance> instance::take(const config::settings& settings)
{
    const auto base = (settings.working_path() / settings.base_dir).lexically_normal();
    const auto unusable = [](std::string_view key, const fs::path& path, const std::string& why) {
        return error{errc::io, std::string{key} + ": " + path.native() + " cannot be used: " + why +
                                   "; make it writable for this user, or set another directory"};
    };
    const auto reason = [] { return std::string{std::strerror(errno)}; };
    if (auto made = disk::make_directories(settings.working_path()); !made)
        return unusable("workingDir", settings.working_path(), made.error().message);
    if (auto made = disk::make_directories(base); !made) return unusable("baseDir", base, made.error().message);

    std::vector<unique_fd> held;
    const auto file = base / lock_name;
    unique_fd lock{::open(file.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600)};
    if (!lock) return unusable("baseDir", base, reason());
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) return taken("baseDir", base, read_lock(lock.get()).pid);
        return system_error(errc::io, "baseDir: cannot lock " + file.native());
    }
    auto id = read_lock(lock.get()).id;
    if (id.empty()) id = random_hex(id_bytes);
    const auto text = std::to_string(::getpid()) + " " + id + "\n";
    if (::ftruncate(lock.get(), 0) != 0 ||
        ::pwrite(lock.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
        return system_error(errc::io, "baseDir: cannot write " + file.native());
    held.push_back(std::move(lock));

    // Another server may use any of these under another name.
    const std::pair<const char*, fs::path> parts[] = {
        {"jobsDir", settings.jobs_path()},      {"artifactsDir", settings.artifacts_path()},
        {"baseDir", settings.sandboxes_path()}, {"baseDir", settings.deployments_path()},
        {"baseDir", settings.packages_path()},  {"baseDir", settings.containers_path()},
    };
    std::vector<std::pair<dev_t, ino_t>> seen;
    for (const auto& [key, path] : parts) {
        if (auto made = disk::make_directories(path.parent_path()); !made)
            return unusable(key, path, made.error().message);
        if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return unusable(key, path, reason());
        unique_fd directory{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
        struct stat status{};
        if (!directory || ::fstat(directory.get(), &status) != 0 || ::access(path.c_str(), W_OK | X_OK) != 0)
            return unusable(key, path, reason());
        const std::pair<dev_t, ino_t> same{status.st_dev, status.st_ino};
        if (std::ranges::find(seen, same) != seen.end()) continue;
        seen.push_back(same);
        if (::flock(directory.get(), LOCK_EX | LOCK_NB) != 0) {
            if (errno == EWOULDBLOCK) return taken(key, path, {});
            return system_error(errc::io, std::string{key} + ": cannot lock " + path.native());
        }
        held.push_back(std::move(directory));
    }
    // The rooms that use the others set their modes; this one is used only if jails are containers.
    if (const auto closed = disk::make_private_directory(settings.containers_path()); !closed) return closed.error();
    return instance{std::move(held), std::move(id)};
}

}  // namespace sandboxd::app
