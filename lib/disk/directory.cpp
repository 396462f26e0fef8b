#include "disk/directory.hpp"

#include "base/log.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace sandboxd::disk {

namespace fs = std::filesystem;

namespace {

constexpr mode_t permissions = 07777;

error cannot(const char* what, const fs::path& path, int number = errno)
{
    return system_error(errc::io, "cannot " + std::string{what} + " " + path.native(), number);
}

// Whether the directory is meant to be shared with others.
bool is_shared(const fs::path& path, const struct stat& seen)
{
    std::error_code ec;
    const auto real = fs::canonical(path, ec);
    return ec || (seen.st_mode & S_ISVTX) != 0 || real == "/" || real.parent_path() == "/";
}

// At no moment is the mode wider than the old or the new one.
bool set_mode(int directory, std::optional<gid_t> group)
{
    if (::fchmod(directory, 0700) != 0) return false;
    if (!group) return true;
    if (::fchown(directory, static_cast<uid_t>(-1), *group) == 0) return ::fchmod(directory, 0710) == 0;
    // The group does not exist here, as in a user namespace that does not map it. Then everybody may pass through.
    return ::fchmod(directory, 0711) == 0;
}

}  // namespace

result<void> make_directories(const fs::path& path)
{
    struct stat seen{};
    if (path.empty() || ::stat(path.c_str(), &seen) == 0) {
        if (path.empty() || S_ISDIR(seen.st_mode)) return {};
        return cannot("make", path, ENOTDIR);
    }
    const auto clean = path.has_filename() ? path : path.parent_path();
    if (clean.has_parent_path() && clean.parent_path() != clean)
        if (auto above = make_directories(clean.parent_path()); !above) return above;
    if (::mkdir(clean.c_str(), 0700) != 0) {
        if (errno == EEXIST) return {};
        return cannot("make", clean);
    }
    const unique_fd made{::open(clean.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    if (!made || ::fchmod(made.get(), 0755) != 0) return cannot("set the mode of", clean);
    return {};
}

result<unique_fd> make_private_directory(const fs::path& path, std::optional<gid_t> group)
{
    if (auto above = make_directories(path.parent_path()); !above) return above.error();
    const bool made = ::mkdir(path.c_str(), 0700) == 0;
    if (!made && errno != EEXIST) return cannot("make", path);
    unique_fd directory{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    struct stat seen{};
    if (!directory || ::fstat(directory.get(), &seen) != 0) return cannot("open", path);
    const mode_t wanted = group ? 0710 : 0700;
    const auto mode = seen.st_mode & permissions;
    if (mode == wanted && (!group || seen.st_gid == *group)) return directory;
    const bool ours = seen.st_uid == ::geteuid();
    // A directory that only we can enter is private.
    if (made || (ours && ((mode & 0077) == 0 || !is_shared(path, seen)))) {
        if (!set_mode(directory.get(), group)) return cannot("set the mode of", path);
        if (!made && (mode & ~wanted) != 0)
            log::info("closed a directory that other users could read", {{"path", path.native()}});
        return directory;
    }
    if ((mode & 0077 & ~wanted) != 0)
        log::warning(
            "other users of this machine can read a directory of the server",
            {{"path", path.native()},
             {"cure", ours ? "configure a directory that only the server uses" : "make the server's user its owner"}});
    return directory;
}

}  // namespace sandboxd::disk
