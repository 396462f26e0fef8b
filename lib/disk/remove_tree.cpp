#include "disk/remove_tree.hpp"

#include "base/text.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstdio>

namespace sandboxd::disk {

namespace asio = boost::asio;

namespace {

// Bounds the work if somebody adds names while we remove them.
constexpr std::uint64_t most_steps = 50'000'000;

// Clears `chattr +i` and `+a`, which only a job without a jail that ran as root can have set.
void unprotect(int file)
{
    int flags = 0;
    if (::ioctl(file, FS_IOC_GETFLAGS, &flags) != 0) return;
    if ((flags & (FS_IMMUTABLE_FL | FS_APPEND_FL)) == 0) return;
    flags &= ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
    ::ioctl(file, FS_IOC_SETFLAGS, &flags);
}

void unprotect(int directory, const char* name)
{
    if (const auto file = open_in(directory, name, O_RDONLY | O_NONBLOCK)) unprotect(file.get());
}

// Restores the permissions of a directory that we own. It uses a descriptor, because fchmodat(2) would follow a link.
bool make_enterable(int directory, const char* name)
{
    const auto handle = open_in(directory, name, O_PATH | O_DIRECTORY);
    if (!handle) return false;
    char path[32];
    std::snprintf(path, sizeof path, "/proc/self/fd/%d", handle.get());
    return ::chmod(path, 0700) == 0;
}

unique_fd enter(int directory, const char* name)
{
    auto fd = open_in(directory, name, O_RDONLY | O_DIRECTORY);
    if (!fd && errno == EACCES && make_enterable(directory, name))
        fd = open_in(directory, name, O_RDONLY | O_DIRECTORY);
    return fd;
}

}  // namespace

tree_remover::tree_remover(int parent, std::string name) : parent_{parent}, name_{std::move(name)} {}

void tree_remover::start()
{
    auto top = enter(parent_, name_.c_str());
    if (top) {
        top_.emplace(std::move(top));
        return;
    }
    const int cause = errno;
    finished_ = true;
    if (cause == ENOENT) return;
    if ((cause == ENOTDIR || cause == ELOOP) && ::unlinkat(parent_, name_.c_str(), 0) == 0) return;
    // Without a free descriptor, an empty directory can still be removed.
    if (::unlinkat(parent_, name_.c_str(), AT_REMOVEDIR) == 0) return;
    fail(name_.c_str(), cause);
}

bool tree_remover::unlink(int directory, const char* name, unsigned char type)
{
    if (::unlinkat(directory, name, 0) == 0 || errno == ENOENT) return true;
    if (errno == EISDIR) return remove_directory(directory, name);
    if (errno == EPERM || errno == EACCES) {
        // The directory may be write-protected by its mode (if it is ours) or, with what is in it,
        // by a flag.
        ::fchmod(directory, 0700);
        unprotect(directory);
        if (type == DT_REG) unprotect(directory, name);
        if (::unlinkat(directory, name, 0) == 0) return true;
    }
    fail(name, errno);
    return false;
}

// Removes an empty directory, or moves a non-empty one to where it can be emptied.
bool tree_remover::remove_directory(int directory, const char* name)
{
    if (::unlinkat(directory, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return true;
    if (errno == EPERM || errno == EACCES) {
        ::fchmod(directory, 0700);
        unprotect(directory);
        unprotect(directory, name);
        if (::unlinkat(directory, name, AT_REMOVEDIR) == 0) return true;
    }
    if (errno != ENOTEMPTY && errno != EEXIST) {
        fail(name, errno);
        return false;
    }
    if (directory != top_->directory()) return lift(name);
    auto inner = enter(directory, name);
    if (!inner) {
        fail(name, errno);
        return false;
    }
    inner_.emplace(std::move(inner));
    inner_name_ = name;
    inner_progress_ = false;
    return false;
}

bool tree_remover::lift(const char* name)
{
    const int from = inner_->directory();
    bool mended = false;
    for (;;) {
        const std::string free_name = ".lifted-" + std::to_string(lifted_);
        if (::renameat2(from, name, top_->directory(), free_name.c_str(), RENAME_NOREPLACE) == 0 ||
            (errno == EINVAL && ::renameat(from, name, top_->directory(), free_name.c_str()) == 0)) {
            ++lifted_;
            return true;
        }
        if (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR) {
            ++lifted_;
            continue;
        }
        if (errno == ENOENT) return true;
        // Moving a directory rewrites its `..`, so it must be writable itself.
        if ((errno != EACCES && errno != EPERM) || mended) break;
        ::fchmod(from, 0700);
        ::fchmod(top_->directory(), 0700);
        mended = make_enterable(from, name);
        if (!mended) break;
    }
    fail(name, errno);
    return false;
}

void tree_remover::finish_inner()
{
    if (inner_->failure() != 0) fail(inner_name_.c_str(), inner_->failure());
    if (::unlinkat(top_->directory(), inner_name_.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) {
        progress_ = true;
    } else if (inner_progress_) {
        // Some file systems skip names when others are removed between two reads: look again.
        inner_progress_ = false;
        inner_->rewind();
        return;
    } else if (!failure_) {
        fail(inner_name_.c_str(), errno);
    }
    inner_.reset();
}

void tree_remover::finish_pass()
{
    if (top_->failure() != 0) fail(name_.c_str(), top_->failure());
    if (::unlinkat(parent_, name_.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) {
        // Everything was removed after all.
        failure_.reset();
        finished_ = true;
    } else if (progress_ && (errno == ENOTEMPTY || errno == EEXIST)) {
        progress_ = false;
        top_->rewind();
    } else {
        if (!failure_) fail(name_.c_str(), errno);
        finished_ = true;
    }
}

void tree_remover::fail(const char* name, int error_number)
{
    if (!failure_) failure_ = io_error("remove", name_ + ": " + in_quotes(name), error_number);
}

bool tree_remover::step(std::size_t names)
{
    if (!finished_ && !top_) start();
    for (; names > 0 && !finished_; --names) {
        if (++steps_ > most_steps) {
            fail(name_.c_str(), EBUSY);
            finished_ = true;
            break;
        }
        auto& current = inner_ ? *inner_ : *top_;
        const auto* item = current.next();
        if (!item) {
            inner_ ? finish_inner() : finish_pass();
            continue;
        }
        const bool in_inner = inner_.has_value();
        const bool gone = item->type == DT_DIR ? remove_directory(current.directory(), item->name)
                                               : unlink(current.directory(), item->name, item->type);
        if (gone) (in_inner ? inner_progress_ : progress_) = true;
        // Moved names count as progress, too.
        if (gone) progress_ = true;
    }
    if (finished_) {
        inner_.reset();
        top_.reset();
    }
    return finished_;
}

result<void> tree_remover::outcome() const
{
    if (failure_) return *failure_;
    return {};
}

result<void> remove_tree(int parent, const std::string& name)
{
    tree_remover remover{parent, name};
    while (!remover.step(most_steps)) {
    }
    return remover.outcome();
}

asio::awaitable<result<void>> remove_tree_in_turns(int parent, std::string name)
{
    async::turns turn;
    auto removed = co_await remove_tree_in_turns(parent, std::move(name), turn);
    co_return removed;
}

asio::awaitable<result<void>> remove_tree_in_turns(int parent, std::string name, async::turns& turn)
{
    tree_remover remover{parent, std::move(name)};
    while (!remover.step(1))
        if (turn.over()) co_await turn.rest();
    co_return remover.outcome();
}

}  // namespace sandboxd::disk
