#include "disk/job_directory.hpp"

#include "base/ascii.hpp"
#include "base/digest.hpp"
#include "base/log.hpp"
#include "base/path.hpp"
#include "base/text.hpp"
#include "disk/deleted_files.hpp"
#include "disk/directory.hpp"
#include "disk/files.hpp"
#include "disk/remove_tree.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <vector>

namespace sandboxd::disk {

namespace asio = boost::asio;

namespace {

constexpr path_limits source_limits{.max_bytes = 1024, .max_part_bytes = 255, .max_parts = 16};
constexpr std::size_t random_bytes = 8;
// What a linker's output may need at once. A full disk has some free bytes again when the writer has removed its
// partial output.
constexpr std::uint64_t little_room_bytes = 16u << 20;
constexpr std::uint64_t little_room_inodes = 64;

bool is_job_id(std::string_view id)
{
    return !id.empty() && id.size() <= 64 &&
           std::all_of(id.begin(), id.end(), [](char c) { return is_alphanumeric(c) || c == '_' || c == '-'; });
}

// Exactly the names that `create` makes, so that a `jobsDir` that points at a home directory does no harm.
bool is_job_name(std::string_view name)
{
    const auto dot = name.find('.');
    if (dot == std::string_view::npos || !is_job_id(name.substr(0, dot))) return false;
    const auto tail = name.substr(dot + 1);
    return tail.size() == 2 * random_bytes && std::all_of(tail.begin(), tail.end(), is_lower_hex);
}

// The group first, so that the mode never applies to another group.
bool give_to(int file, std::optional<gid_t> group, mode_t mode)
{
    return (!group || ::fchown(file, static_cast<uid_t>(-1), *group) == 0) && ::fchmod(file, mode) == 0;
}

// Makes a directory with exactly this mode and opens it.
unique_fd make_directory(int parent, const char* name, std::optional<gid_t> group, mode_t mode)
{
    if (::mkdirat(parent, name, 0700) != 0) return unique_fd{};
    auto made = open_in(parent, name, O_RDONLY | O_DIRECTORY);
    if (made && !give_to(made.get(), group, mode)) made.reset();
    return made;
}

error bad_path(std::string_view path, std::string_view what)
{
    return {errc::invalid_request, "the path " + in_quotes(path) + " " + std::string{what}};
}

// The components of the path; the last one is the file's name.
result<std::vector<std::string>> split(std::string_view path)
{
    path_walk walk{path, source_limits};
    if (!walk.fault() && path.find('\0') != std::string_view::npos) return bad_path(path, "holds a NUL character");
    std::vector<std::string> components;
    while (const auto part = walk.next()) components.emplace_back(*part);
    if (walk.fault()) return bad_path(path, describe(*walk.fault(), source_limits));
    return components;
}

}  // namespace

result<job_directory> job_directory::create(const std::filesystem::path& jobs_root, std::string_view id,
                                            std::optional<owner> job)
{
    if (!is_job_id(id)) return error{errc::internal, in_quotes(id) + " cannot name a job"};
    job_directory made;
    if (job) made.group_ = job->gid;
    made.root_.reset(::open(jobs_root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!made.root_) {
        auto root = make_private_directory(jobs_root, made.group_);
        if (!root) return root.error();
        made.root_ = std::move(*root);
    }
    // If jobs run under this process' uid, nobody else needs access. Otherwise the two parent directories are the
    // wall: the process that serves files to a jail need not be in its group (gVisor's runs as another user).
    const bool own_uid = !job && ::geteuid() != 0;
    made.file_mode_ = own_uid ? 0600 : 0644;
    made.directory_mode_ = own_uid ? 0700 : 0755;
    std::string name = std::string{id} + "." + random_hex(random_bytes);
    made.path_ = jobs_root / name;
    // From here on the destructor removes everything.
    if (::mkdirat(made.root_.get(), name.c_str(), 0700) != 0) return io_error("create", made.path_.native(), errno);
    made.name_ = std::move(name);
    made.own_ = open_in(made.root_.get(), made.name_.c_str(), O_RDONLY | O_DIRECTORY);
    if (!made.own_) return io_error("open", made.path_.native(), errno);
    if (::flock(made.own_.get(), LOCK_EX | LOCK_NB) != 0) return io_error("lock", made.path_.native(), errno);
    made.source_ = make_directory(made.own_.get(), "src", made.group_, made.directory_mode_);
    if (!made.source_) return io_error("create", made.source_path().native(), errno);
    made.output_ = make_directory(made.own_.get(), "out", std::nullopt, 0700);
    if (!made.output_) return io_error("create", made.output_path().native(), errno);
    if (job && ::fchown(made.output_.get(), job->uid, job->gid) != 0)
        return io_error("change the owner of", made.output_path().native(), errno);
    const mode_t pass = job ? 0710 : own_uid ? 0700 : 0711;
    if (!give_to(made.own_.get(), made.group_, pass)) return io_error("set the mode of", made.path_.native(), errno);
    return made;
}

result<void> job_directory::move_to(const std::filesystem::path& jobs_root, std::string_view id)
{
    if (!is_job_id(id)) return error{errc::internal, in_quotes(id) + " cannot name a job"};
    unique_fd root{::open(jobs_root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!root) return io_error("open", jobs_root.native(), errno);
    std::string name = std::string{id} + "." + random_hex(random_bytes);
    if (::renameat(root_.get(), name_.c_str(), root.get(), name.c_str()) != 0)
        return io_error("move a directory to", jobs_root.native(), errno);
    root_ = std::move(root);
    path_ = jobs_root / name;
    name_ = std::move(name);
    return {};
}

job_directory& job_directory::operator=(job_directory&& other) noexcept
{
    std::swap(root_, other.root_);
    std::swap(name_, other.name_);
    std::swap(own_, other.own_);
    std::swap(source_, other.source_);
    std::swap(output_, other.output_);
    std::swap(path_, other.path_);
    std::swap(group_, other.group_);
    std::swap(file_mode_, other.file_mode_);
    std::swap(directory_mode_, other.directory_mode_);
    return *this;
}

job_directory::~job_directory()
{
    if (const auto removed = remove(); !removed)
        log::warning("cannot remove a job directory", {{"reason", removed.error().message}});
}

result<void> job_directory::write_source(std::string_view relative_path, std::string_view content)
{
    auto components = split(relative_path);
    if (!components) return components.error();

    const std::string shown = (source_path() / relative_path).native();
    auto directory = reopen_directory(source_.get());
    if (!directory) return io_error("open", source_path().native(), errno);
    for (std::size_t i = 0; i + 1 < components->size(); ++i) {
        const char* name = (*components)[i].c_str();
        auto next = open_in(directory.get(), name, O_RDONLY | O_DIRECTORY);
        if (!next && errno == ENOENT) next = make_directory(directory.get(), name, group_, directory_mode_);
        if (!next && (errno == ENOTDIR || errno == ELOOP)) return bad_path(relative_path, "leads through a file");
        if (!next) return io_error("create", shown, errno);
        directory = std::move(next);
    }
    if (!write_new(directory.get(), components->back().c_str(), content, file_mode_, group_)) {
        if (errno == EEXIST) return bad_path(relative_path, "comes twice");
        return io_error("write", shown, errno);
    }
    return {};
}

asio::awaitable<used_space> job_directory::usage(tree_caps caps, pid_t leader, async::turns& turn) const
{
    used_space used;
    if (!output_) co_return used;
    const auto deleted = co_await find_deleted(leader, "/" + name_ + "/out", turn);
    used.bytes = deleted.bytes;
    used.inodes = deleted.inodes;
    if (deleted.too_many) used.over = "holds too many files open";
    auto top = reopen_directory(output_.get());
    // Without a free descriptor nothing is known; the next check will tell.
    if (!top && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) co_return used;
    co_return co_await tree_usage(std::move(top), caps, turn, std::move(used));
}

bool job_directory::short_of_room() const
{
    struct statvfs disk{};
    if (!output_ || ::fstatvfs(output_.get(), &disk) != 0) return false;
    // Zero means a file system without a size (ramfs) or without an inode table (btrfs).
    if (disk.f_blocks != 0 && disk.f_bavail * disk.f_frsize < little_room_bytes) return true;
    return disk.f_files != 0 && disk.f_favail < little_room_inodes;
}

result<void> job_directory::remove()
{
    if (name_.empty()) return {};
    const auto name = std::exchange(name_, {});
    // First: removing needs descriptors, too, and there may be no others.
    source_.reset();
    output_.reset();
    own_.reset();
    return remove_tree(root_.get(), name);
}

asio::awaitable<result<void>> job_directory::remove_in_turns()
{
    if (name_.empty()) co_return result<void>{};
    // First: removing needs descriptors, too, and there may be no others.
    source_.reset();
    output_.reset();
    auto removed = co_await remove_tree_in_turns(root_.get(), name_);
    // After a cancellation the destructor removes the rest; after a failure, another attempt does.
    if (!removed) co_return removed;
    name_.clear();
    own_.reset();
    co_return removed;
}

asio::awaitable<removed_leftovers> remove_leftovers(std::filesystem::path jobs_root, std::function<bool()> over)
{
    async::turns turn;
    removed_leftovers done;
    const unique_fd root{::open(jobs_root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    std::vector<std::string> names;
    int cause = errno;
    if (root) {
        listing items{reopen_directory(root.get())};
        while (const auto* item = items.next()) {
            if (is_job_name(item->name)) names.emplace_back(item->name);
            if (turn.over()) co_await turn.rest();
        }
        cause = items.failure();
    }
    if (!root || cause != 0) done.failures.push_back(io_error("list", jobs_root.native(), cause).message);

    for (const auto& name : names) {
        if (over && over()) break;
        // A directory that cannot be opened is not in use; removing it reports why.
        const auto own = open_in(root.get(), name.c_str(), O_RDONLY | O_DIRECTORY);
        if (own && ::flock(own.get(), LOCK_EX | LOCK_NB) != 0) continue;
        const auto gone = co_await remove_tree_in_turns(root.get(), name, turn);
        if (gone)
            ++done.count;
        else
            done.failures.push_back(jobs_root.native() + ": " + gone.error().message);
    }
    co_return done;
}

asio::awaitable<void> clear_leftovers(std::filesystem::path jobs_root, std::string what, std::function<bool()> over)
{
    const auto done = co_await remove_leftovers(std::move(jobs_root), std::move(over));
    if (done.count > 0) log::warning("removed " + what + " of an earlier server", {{"count", done.count}});
    for (const auto& cause : done.failures)
        log::error(what + " of an earlier server cannot be removed and still use space; remove them by hand",
                   {{"cause", cause}});
}

}  // namespace sandboxd::disk
