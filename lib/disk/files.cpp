#include "disk/files.hpp"

#include "base/text.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>

namespace sandboxd::disk {

error io_error(std::string_view doing, std::string_view path, int error_number)
{
    std::string text{"cannot "};
    text += doing;
    text += ' ';
    text += path;
    text += ": ";
    text += std::strerror(error_number);
    return {errc::io, std::move(text)};
}

unique_fd open_in(int directory, const char* name, int flags, mode_t mode)
{
    flags |= O_CLOEXEC | O_NOFOLLOW;
    open_how how{};
    how.flags = static_cast<std::uint64_t>(flags);
    how.mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? mode : 0;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
    for (;;) {
        const auto fd = ::syscall(SYS_openat2, directory, name, &how, sizeof how);
        if (fd >= 0) return unique_fd{static_cast<int>(fd)};
        // EAGAIN can also mean a race with a rename, but not for a single component. So it is a lease, and retrying
        // would be waiting.
        if (errno == EINTR) continue;
        // Some container filters return EPERM for unknown calls.
        if (errno != ENOSYS && errno != EPERM) return unique_fd{};
        break;
    }
    return unique_fd{::openat(directory, name, flags, mode)};
}

unique_fd reopen_directory(int directory)
{
    return unique_fd{::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
}

std::string_view kind_of(mode_t mode) noexcept
{
    switch (mode & S_IFMT) {
        case S_IFREG: return "a plain file";
        case S_IFDIR: return "a directory";
        case S_IFLNK: return "a symbolic link";
        case S_IFIFO: return "a FIFO";
        case S_IFSOCK: return "a socket";
        case S_IFCHR: return "a character device";
        case S_IFBLK: return "a block device";
        default: return "not a file";
    }
}

std::int64_t read_at(int file, std::span<char> into, std::uint64_t offset)
{
    std::size_t filled = 0;
    while (filled < into.size()) {
        const auto got = ::pread(file, into.data() + filled, into.size() - filled, static_cast<off_t>(offset + filled));
        if (got < 0) {
            if (errno == EINTR) continue;
            return -1;
        }
        if (got == 0) break;
        filled += static_cast<std::size_t>(got);
    }
    return static_cast<std::int64_t>(filled);
}

bool write_all(int file, std::string_view bytes)
{
    while (!bytes.empty()) {
        const auto written = ::write(file, bytes.data(), bytes.size());
        if (written < 0) {
            if (errno == EINTR) continue;
            return false;
        }
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
}

bool read_small(int directory, const char* name, std::size_t most, std::string& into)
{
    const auto file = open_in(directory, name, O_RDONLY | O_NONBLOCK);
    if (!file) return false;
    struct stat status{};
    if (::fstat(file.get(), &status) != 0) return false;
    if (!S_ISREG(status.st_mode)) {
        errno = EINVAL;
        return false;
    }
    if (static_cast<std::uint64_t>(status.st_size) > most) {
        errno = EFBIG;
        return false;
    }
    into.resize(static_cast<std::size_t>(status.st_size));
    const auto got = read_at(file.get(), into, 0);
    if (got < 0) return false;
    into.resize(static_cast<std::size_t>(got));
    return true;
}

bool write_new(int directory, const char* name, std::string_view bytes, mode_t mode, std::optional<gid_t> group)
{
    const auto file = open_in(directory, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (!file) return false;
    const bool given = !group || ::fchown(file.get(), static_cast<uid_t>(-1), *group) == 0;
    if (given && write_all(file.get(), bytes) && ::fchmod(file.get(), mode) == 0) return true;
    const int cause = errno;
    ::unlinkat(directory, name, 0);
    errno = cause;
    return false;
}

listing::listing(unique_fd directory) : directory_{std::move(directory)}, buffer_{std::make_unique<char[]>(capacity)} {}

const listing::item* listing::next()
{
    for (;;) {
        if (place_ == filled_) {
            const auto got = ::getdents64(directory_.get(), buffer_.get(), capacity);
            if (got <= 0) {
                failure_ = got < 0 ? errno : 0;
                return nullptr;
            }
            filled_ = static_cast<std::size_t>(got);
            place_ = 0;
        }
        // The kernel aligns the records; the buffer is aligned by operator new.
        const auto* record = reinterpret_cast<const dirent64*>(buffer_.get() + place_);
        place_ += record->d_reclen;
        const std::string_view name{record->d_name};
        if (name == "." || name == "..") continue;
        item_ = {record->d_name, record->d_type};
        return &item_;
    }
}

void listing::rewind()
{
    ::lseek(directory_.get(), 0, SEEK_SET);
    filled_ = 0;
    place_ = 0;
    failure_ = 0;
}

}  // namespace sandboxd::disk
