#include "faas/files.hpp"

#include "async/disk_sync.hpp"
#include "async/turns.hpp"
#include "base/log.hpp"
#include "base/uuid.hpp"
#include "disk/directory.hpp"
#include "disk/files.hpp"
#include "disk/remove_tree.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <set>

namespace sandboxd::faas {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using disk::io_error;
using disk::open_in;

namespace {

constexpr const char* truth = "app";
constexpr const char* shown_tree = "live";
constexpr const char* beside = "next";
constexpr const char* aside = "old";  // in between, if the file system cannot exchange
constexpr const char* fresh = ".fresh";
constexpr const char* manifest_name = "manifest.json";
constexpr const char* manifest_beside = ".manifest.json";
constexpr const char* older_marker = "ready";  // an unfinished update of an older version of this server
constexpr std::string_view gone_prefix = ".gone-";

using async::sync_to_disk;
using async::turns;

unique_fd open_directory(int in, const char* path)
{
    return unique_fd{::openat(in, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)};
}

bool exists(int in, const char* name)
{
    struct stat seen{};
    return ::fstatat(in, name, &seen, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

// Sets the modes independent of the umask, because the program runs under another uid.
bool make_directory_in(int in, const char* path, mode_t mode)
{
    return ::mkdirat(in, path, mode) == 0 && ::fchmodat(in, path, mode, 0) == 0;
}

std::string above(const std::string& path)
{
    const auto slash = path.rfind('/');
    return slash == std::string::npos ? std::string{} : path.substr(0, slash);
}

// The next update or the next start removes what stays.
asio::awaitable<result<void>> discard(int in, const char* name) { return disk::remove_tree_in_turns(in, name); }

// A file that is written and never changed afterwards, so that it can have several names.
asio::awaitable<result<void>> write_file(int in, std::string path, std::string_view bytes, mode_t mode, turns& mine)
{
    constexpr std::size_t piece = 256 * 1024;
    const unique_fd file{::openat(in, path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)};
    if (!file) co_return io_error("write", path, errno);
    while (!bytes.empty()) {
        const auto now = bytes.substr(0, piece);
        if (!disk::write_all(file.get(), now)) co_return io_error("write", path, errno);
        bytes.remove_prefix(now.size());
        if (mine.over()) co_await mine.rest();
    }
    if (::fchmod(file.get(), mode) != 0) co_return io_error("write", path, errno);
    const int fault = co_await sync_to_disk(file.get());
    if (fault != 0) co_return io_error("write", path, fault);
    if (mine.over()) co_await mine.rest();
    co_return result<void>{};
}

// Adds a hard link to a file, or copies it if the file system has no links.
asio::awaitable<result<void>> add_name(int from, std::string path, int to, std::string name, turns& mine)
{
    if (::linkat(from, path.c_str(), to, name.c_str(), 0) == 0) co_return result<void>{};
    if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS && errno != EMLINK)
        co_return io_error("link", path, errno);
    const unique_fd source{::openat(from, path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
    struct stat seen{};
    if (!source || ::fstat(source.get(), &seen) != 0) co_return io_error("read", path, errno);
    std::string bytes(static_cast<std::size_t>(seen.st_size), '\0');
    const auto got = disk::read_at(source.get(), bytes, 0);
    if (got < 0) co_return io_error("read", path, errno);
    bytes.resize(static_cast<std::size_t>(got));
    co_return co_await write_file(to, std::move(name), bytes, 0644, mine);
}

struct found_name {
    std::string name;
    bool directory;
    dev_t device;
    ino_t inode;
    std::uint64_t bytes;
};

asio::awaitable<result<std::vector<found_name>>> names_of(int directory, turns& mine)
{
    std::vector<found_name> found;
    disk::listing names{disk::reopen_directory(directory)};
    if (names.directory() < 0) co_return io_error("list", "a directory", errno);
    while (const auto* one = names.next()) {
        struct stat seen{};
        if (::fstatat(directory, one->name, &seen, AT_SYMLINK_NOFOLLOW) != 0) {
            if (errno == ENOENT) continue;
            co_return io_error("look at", one->name, errno);
        }
        found.push_back({one->name, S_ISDIR(seen.st_mode), seen.st_dev, seen.st_ino,
                         S_ISREG(seen.st_mode) ? static_cast<std::uint64_t>(seen.st_size) : 0});
        if (mine.over()) co_await mine.rest();
    }
    if (names.failure() != 0) co_return io_error("list", "a directory", names.failure());
    std::ranges::sort(found, {}, &found_name::name);
    co_return found;
}

asio::awaitable<result<void>> survey_below(int directory, std::string prefix, file_store::survey& into, turns& mine)
{
    const auto names = co_await names_of(directory, mine);
    if (!names) co_return names.error();
    for (const auto& one : *names) {
        if (!one.directory) {
            into.paths.push_back(prefix + one.name);
            into.bytes += one.bytes;
            continue;
        }
        const auto inner = open_directory(directory, one.name.c_str());
        if (!inner) co_return io_error("open", prefix + one.name, errno);
        auto looked = co_await survey_below(inner.get(), prefix + one.name + "/", into, mine);
        if (!looked) co_return looked;
    }
    co_return result<void>{};
}

asio::awaitable<result<file_store::survey>> survey_of(int own, const char* tree, turns& mine)
{
    file_store::survey seen;
    const auto top = open_directory(own, tree);
    if (!top) co_return io_error("open", tree, errno);
    auto looked = co_await survey_below(top.get(), {}, seen, mine);
    if (!looked) co_return looked.error();
    std::ranges::sort(seen.paths);
    co_return seen;
}

struct source_file {
    int tree{-1};  // an existing tree that has the file; -1: write it
    std::string_view content{};
};

// Builds the complete new tree in `next`, on disk.
asio::awaitable<result<void>> build(int own, std::map<std::string, source_file> files, turns& mine)
{
    auto cleared = co_await discard(own, beside);
    if (!cleared) co_return cleared;
    if (!make_directory_in(own, beside, 0755)) co_return io_error("make", beside, errno);
    const auto tree = open_directory(own, beside);
    if (!tree) co_return io_error("open", beside, errno);
    std::set<std::string> directories;
    for (const auto& [path, from] : files) {
        for (auto at = path.find('/'); at != std::string::npos; at = path.find('/', at + 1)) {
            const auto directory = path.substr(0, at);
            if (!directories.insert(directory).second) continue;
            if (!make_directory_in(tree.get(), directory.c_str(), 0755)) co_return io_error("make", directory, errno);
        }
        result<void> there;
        if (from.tree < 0)
            there = co_await write_file(tree.get(), path, from.content, 0644, mine);
        else
            there = co_await add_name(from.tree, path, tree.get(), path, mine);
        if (!there) co_return there;
        if (mine.over()) co_await mine.rest();
    }
    for (const auto& directory : directories) {
        const auto opened = open_directory(tree.get(), directory.c_str());
        if (!opened) co_return io_error("write", directory, errno);
        const int fault = co_await sync_to_disk(opened.get());
        if (fault != 0) co_return io_error("write", directory, fault);
        if (mine.over()) co_await mine.rest();
    }
    const int fault = co_await sync_to_disk(tree.get());
    if (fault != 0) co_return io_error("write", beside, fault);
    co_return result<void>{};
}

// `app` and `next` change places.
result<void> exchange(int own)
{
    if (::renameat2(own, beside, own, truth, RENAME_EXCHANGE) == 0) return {};
    if (errno != EINVAL && errno != ENOSYS) return io_error("exchange", truth, errno);
    // Some file systems cannot. recover() repairs what a death in between leaves.
    if (::renameat(own, truth, own, aside) != 0) return io_error("rename", truth, errno);
    if (::renameat(own, beside, own, truth) != 0) {
        const int cause = errno;
        ::renameat(own, aside, own, truth);
        return io_error("rename", beside, cause);
    }
    ::renameat(own, aside, own, beside);
    return {};
}

// Makes the directory `to` equal to `from`, with hard links to the same files. Existing directories stay.
asio::awaitable<result<void>> mirror(int own, int from, int to, turns& mine)
{
    const auto wanted = co_await names_of(from, mine);
    if (!wanted) co_return wanted.error();
    const auto there = co_await names_of(to, mine);
    if (!there) co_return there.error();
    std::map<std::string_view, const found_name*> old;
    for (const auto& one : *there) old.emplace(one.name, &one);
    std::vector<const found_name*> replaced;
    for (const auto& one : *wanted) {
        const auto place = old.find(one.name);
        const auto* before = place == old.end() ? nullptr : place->second;
        if (place != old.end()) old.erase(place);
        if (before != nullptr && before->directory != one.directory) {
            auto cleared = co_await discard(to, one.name.c_str());
            if (!cleared) co_return cleared;
            before = nullptr;
        }
        if (!one.directory) {
            if (before != nullptr && before->device == one.device && before->inode == one.inode) continue;
            replaced.push_back(&one);
            continue;
        }
        if (before == nullptr && !make_directory_in(to, one.name.c_str(), 0755))
            co_return io_error("make", one.name, errno);
        const auto inner_from = open_directory(from, one.name.c_str());
        const auto inner_to = open_directory(to, one.name.c_str());
        if (!inner_from || !inner_to) co_return io_error("open", one.name, errno);
        auto done = co_await mirror(own, inner_from.get(), inner_to.get(), mine);
        if (!done) co_return done;
    }
    // New files come first, because changed ones may refer to them.
    for (const auto* one : replaced) {
        ::unlinkat(own, fresh, 0);
        auto named = co_await add_name(from, one->name, own, fresh, mine);
        if (!named) co_return named;
        if (::renameat(own, fresh, to, one->name.c_str()) != 0) co_return io_error("rename", one->name, errno);
        if (mine.over()) co_await mine.rest();
    }
    for (const auto& [name, one] : old) {
        auto cleared = co_await discard(to, one->name.c_str());
        if (!cleared) co_return cleared;
    }
    co_return result<void>{};
}

asio::awaitable<result<void>> mirror_live(int own, const char* tree, turns& mine)
{
    if (!exists(own, shown_tree) && !make_directory_in(own, shown_tree, 0755))
        co_return io_error("make", shown_tree, errno);
    const auto from = open_directory(own, tree);
    if (!from) co_return io_error("open", tree, errno);
    const auto to = open_directory(own, shown_tree);
    if (!to) co_return io_error("open", shown_tree, errno);
    co_return co_await mirror(own, from.get(), to.get(), mine);
}

// Finishes an update that an older version of this server had begun: renames files into `app`.
asio::awaitable<result<void>> finish_older(int own, turns& mine)
{
    if (!exists(own, older_marker)) co_return result<void>{};
    const auto app = open_directory(own, truth);
    const auto marker = open_directory(own, older_marker);
    if (!app || !marker) co_return io_error("open", marker ? truth : older_marker, errno);
    const auto before = co_await survey_of(own, truth, mine);
    if (!before) co_return before.error();
    const auto update = co_await survey_of(own, older_marker, mine);
    if (!update) co_return update.error();
    std::map<std::string, source_file> files;
    for (const auto& path : before->paths) files[path] = {.tree = app.get()};
    for (const auto& path : update->paths) {
        // Remove what is in the way of the newer file.
        for (auto up = above(path); !up.empty(); up = above(up)) files.erase(up);
        std::erase_if(files, [&](const auto& one) { return one.first.starts_with(path + "/"); });
        files[path] = {.tree = marker.get()};
    }
    auto built = co_await build(own, std::move(files), mine);
    if (built) built = exchange(own);
    if (!built) co_return built;
    // In one step: half of it must not be carried out again.
    auto cleared = co_await discard(own, aside);
    if (cleared && ::renameat(own, older_marker, own, aside) != 0) cleared = io_error("rename", older_marker, errno);
    if (cleared) cleared = co_await discard(own, aside);
    if (!cleared) co_return cleared;
    co_return co_await discard(own, beside);
}

}  // namespace

unique_fd file_store::open_own(const std::string& id) const
{
    return open_in(directory_.get(), id.c_str(), O_RDONLY | O_DIRECTORY);
}

result<file_store> file_store::open(fs::path root, std::optional<gid_t> group)
{
    auto directory = disk::make_private_directory(root, group);
    if (!directory) return directory.error();
    file_store made{std::move(root), std::move(*directory)};
    std::vector<std::string> names;
    disk::listing all{disk::reopen_directory(made.directory_.get())};
    while (const auto* one = all.next()) names.emplace_back(one->name);
    if (all.directory() < 0 || all.failure() != 0)
        return io_error("list", made.root_.native(), all.failure() != 0 ? all.failure() : errno);
    for (const auto& name : names) {
        const bool gone = name.starts_with(gone_prefix);
        if (!gone && !is_uuid(name)) continue;
        const auto own = gone ? unique_fd{} : made.open_own(name);
        if (!gone && (!own || exists(own.get(), manifest_name))) {
            if (own) made.recover(name);
            continue;
        }
        if (const auto removed = disk::remove_tree(made.directory_.get(), name); !removed)
            log::error("cannot remove the rest of a deployment",
                       {{"path", (made.root_ / name).native()}, {"cause", removed.error().message}});
    }
    return made;
}

// A damaged deployment must not keep the others from working.
void file_store::recover(const std::string& id)
{
    const auto own = open_own(id);
    if (!own) return;
    // An exchange in two steps was interrupted: the newer tree was complete before it began.
    if (!exists(own.get(), truth))
        for (const char* tree : {beside, aside})
            if (::renameat(own.get(), tree, own.get(), truth) == 0) break;
    if (!exists(own.get(), truth)) return;  // whatever is left may be the only copy
    for (const char* name : {beside, aside, fresh, manifest_beside})
        if (const auto removed = disk::remove_tree(own.get(), name); !removed)
            log::error("cannot remove the rest of an update", {{"id", id}, {"cause", removed.error().message}});
}

result<std::vector<file_store::entry>> file_store::load() const
{
    std::vector<entry> found;
    disk::listing all{disk::reopen_directory(directory_.get())};
    if (all.directory() < 0) return io_error("list", root_.native(), errno);
    while (const auto* one = all.next()) {
        if (!is_uuid(one->name)) continue;
        entry made{.id = one->name, .manifest = {}};
        const auto own = open_own(made.id);
        struct stat seen{};
        if (own && ::fstat(own.get(), &seen) == 0) made.changed = seen.st_mtim.tv_sec;
        if (!own) {
            made.fault = std::string{"its directory cannot be opened: "} + std::strerror(errno);
        } else if (!exists(own.get(), manifest_name)) {
            continue;  // what open() could not remove
        } else if (!disk::read_small(own.get(), manifest_name, largest_manifest, made.manifest)) {
            made.fault = std::string{"its manifest cannot be read: "} + std::strerror(errno);
        } else if (!open_directory(own.get(), truth)) {
            made.fault = std::string{"its files cannot be opened: "} + std::strerror(errno);
        }
        found.push_back(std::move(made));
    }
    if (all.failure() != 0) return io_error("list", root_.native(), all.failure());
    std::ranges::sort(found, {}, &entry::id);
    return found;
}

asio::awaitable<result<void>> file_store::create(std::string id, std::string manifest,
                                                 std::vector<deployment_file> files)
{
    if (manifest.size() > largest_manifest)
        co_return error{errc::payload_too_large, "the deployment's environment is too large"};
    turns mine;
    result<void> done;
    // What is there already is another's, and stays.
    if (!make_directory_in(directory_.get(), id.c_str(), 0711))
        co_return io_error("make", (root_ / id).native(), errno);
    if (const auto own = open_own(id); !own) {
        done = io_error("open", (root_ / id).native(), errno);
    } else {
        std::map<std::string, source_file> all;
        for (const auto& file : files) all[file.path] = {.content = file.content};
        done = co_await build(own.get(), std::move(all), mine);
        if (done && ::renameat(own.get(), beside, own.get(), truth) != 0) done = io_error("rename", beside, errno);
        // The deployment exists once this file has its name.
        if (done) done = co_await write_file(own.get(), manifest_beside, manifest, 0600, mine);
        if (done && ::renameat(own.get(), manifest_beside, own.get(), manifest_name) != 0)
            done = io_error("rename", manifest_beside, errno);
        for (const int directory : {own.get(), directory_.get()}) {
            if (!done) break;
            const int fault = co_await sync_to_disk(directory);
            if (fault != 0) done = io_error("write", id, fault);
        }
    }
    if (done) co_return done;
    const auto gone = co_await remove(std::move(id));
    static_cast<void>(gone);  // without a manifest the next start removes it
    co_return done;
}

asio::awaitable<result<void>> file_store::update(std::string id, std::vector<deployment_file> files, bool shown,
                                                 bool alone)
{
    turns mine;
    const auto own = open_own(id);
    if (!own) co_return io_error("open", (root_ / id).native(), errno);
    auto done = co_await finish_older(own.get(), mine);
    if (!done) co_return done;
    const auto there = co_await survey_of(own.get(), truth, mine);
    if (!there) co_return there.error();
    const auto app = open_directory(own.get(), truth);
    if (!app) co_return io_error("open", truth, errno);
    std::map<std::string, source_file> all;
    if (!alone)
        for (const auto& path : there->paths) all[path] = {.tree = app.get()};
    for (const auto& file : files) all[file.path] = {.content = file.content};
    done = co_await build(own.get(), std::move(all), mine);
    // Update the programs' view first, because that may fail; the exchange decides.
    if (done && shown) done = co_await mirror_live(own.get(), beside, mine);
    if (done) done = exchange(own.get());
    if (!done && shown) {
        const auto undone = co_await mirror_live(own.get(), truth, mine);
        if (!undone)
            log::error("a running program has seen part of a failed update",
                       {{"id", id}, {"cause", undone.error().message}});
    }
    if (done) {
        const int fault = co_await sync_to_disk(own.get());
        if (fault != 0)
            log::warning("an update may not survive a power failure", {{"id", id}, {"cause", std::strerror(fault)}});
    }
    const auto cleared = co_await discard(own.get(), beside);
    if (!cleared) log::warning("cannot remove the rest of an update", {{"id", id}});
    co_return done;
}

asio::awaitable<result<void>> file_store::describe(std::string id, std::string manifest)
{
    if (manifest.size() > largest_manifest)
        co_return error{errc::payload_too_large, "the deployment's environment is too large"};
    turns mine;
    const auto own = open_own(id);
    if (!own) co_return io_error("open", (root_ / id).native(), errno);
    ::unlinkat(own.get(), manifest_beside, 0);  // of a server that died
    auto done = co_await write_file(own.get(), manifest_beside, manifest, 0600, mine);
    if (done && ::renameat(own.get(), manifest_beside, own.get(), manifest_name) != 0)
        done = io_error("rename", manifest_beside, errno);
    if (!done) co_return done;
    const int fault = co_await sync_to_disk(own.get());
    if (fault != 0) co_return io_error("write", id, fault);
    co_return done;
}

asio::awaitable<result<std::vector<deployment_file>>> file_store::read_all(std::string id, std::uint64_t most)
{
    turns mine;
    const auto own = open_own(id);
    if (!own) co_return io_error("open", (root_ / id).native(), errno);
    const auto there = co_await survey_of(own.get(), truth, mine);
    if (!there) co_return there.error();
    if (there->bytes > most) co_return error{errc::payload_too_large, "the deployment's files are too large in total"};
    const auto app = open_directory(own.get(), truth);
    if (!app) co_return io_error("open", truth, errno);
    std::vector<deployment_file> all;
    std::uint64_t left = most;
    for (const auto& path : there->paths) {
        const unique_fd file{::openat(app.get(), path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
        struct stat seen{};
        if (!file || ::fstat(file.get(), &seen) != 0) co_return io_error("read", path, errno);
        const auto size = static_cast<std::uint64_t>(seen.st_size);
        if (size > left) co_return error{errc::payload_too_large, "the deployment's files are too large in total"};
        left -= size;
        std::string bytes(static_cast<std::size_t>(size), '\0');
        const auto got = disk::read_at(file.get(), bytes, 0);
        if (got != static_cast<std::int64_t>(size)) co_return io_error("read", path, got < 0 ? errno : EIO);
        all.push_back({path, std::move(bytes)});
        if (mine.over()) co_await mine.rest();
    }
    co_return all;
}

asio::awaitable<result<fs::path>> file_store::prepare(std::string id)
{
    turns mine;
    const auto own = open_own(id);
    if (!own) co_return io_error("open", (root_ / id).native(), errno);
    auto done = co_await finish_older(own.get(), mine);
    if (done) done = co_await mirror_live(own.get(), truth, mine);
    if (!done) co_return done.error();
    co_return root_ / id / shown_tree;
}

asio::awaitable<result<file_store::survey>> file_store::look(std::string id)
{
    turns mine;
    const auto own = open_own(id);
    if (!own) co_return io_error("open", (root_ / id).native(), errno);
    co_return co_await survey_of(own.get(), truth, mine);
}

std::string file_store::read(const std::string& id, const std::string& path, std::size_t most) const
{
    std::string text;
    const auto own = open_own(id);
    const auto app = own ? open_directory(own.get(), truth) : unique_fd{};
    if (!app || !disk::read_small(app.get(), path.c_str(), most, text)) return {};
    return text;
}

asio::awaitable<result<void>> file_store::remove(std::string id)
{
    std::string gone = std::string{gone_prefix} + id + "-" + std::to_string(++removed_);
    if (::renameat(directory_.get(), id.c_str(), directory_.get(), gone.c_str()) != 0) {
        if (errno == ENOENT) co_return result<void>{};
        // A full disk may have no room for the longer name. Without a manifest the deployment is gone, too.
        const int cause = errno;
        const auto own = open_own(id);
        if (!own || (::unlinkat(own.get(), manifest_name, 0) != 0 && errno != ENOENT && errno != EISDIR))
            co_return io_error("rename", id, cause);
        gone = id;
    }
    co_return co_await disk::remove_tree_in_turns(directory_.get(), gone);
}

}  // namespace sandboxd::faas
