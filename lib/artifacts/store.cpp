// One class and its files on disk: finding an entry and its content, publishing one, and removing entries that are
// old, damaged or in the way. The part at the top writes files, compressed or not; what is kept in memory is
// cache.cpp's subject.
#include "artifacts/store.hpp"

#include "artifacts/cache.hpp"
#include "artifacts/compressor.hpp"
#include "artifacts/manifest.hpp"
#include "artifacts/names.hpp"
#include "base/digest.hpp"
#include "base/log.hpp"
#include "base/memory_file.hpp"
#include "base/text.hpp"
#include "disk/directory.hpp"
#include "disk/files.hpp"
#include "disk/remove_tree.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <iterator>
#include <limits>
#include <set>
#include <utility>

namespace sandboxd::artifacts {

namespace asio = boost::asio;

namespace {

constexpr const char* manifest_name = ".entry.json";
constexpr const char* record_name = ".record";
constexpr std::string_view new_prefix = ".new-";
constexpr std::string_view old_prefix = ".old-";
constexpr std::string_view temporary_prefix = ".tmp-";

// Hashing and writing this many bytes takes well under a millisecond.
constexpr std::size_t copy_piece = 256 * 1024;

// Below the minimum, an answer's header fields are larger than the saving. Above the maximum, compression would spend
// its time on files that are rarely built and fetched once.
constexpr std::uint64_t least_compressed = 512;
constexpr std::uint64_t most_compressed = 64u << 20;

constexpr std::int64_t renewal_seconds = 60;

// How many of the least recently used entries are found at once: each search visits every entry.
constexpr std::size_t most_candidates = 256;
constexpr std::uint64_t block_bytes = 4096;
constexpr std::int64_t second_ns = 1'000'000'000;
// No server needs this long between making a directory and locking it.
constexpr std::chrono::minutes leftover_age{1};

std::int64_t monotonic_seconds() noexcept
{
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return now.tv_sec;
}

std::int64_t wall_seconds() noexcept { return std::time(nullptr); }

std::int64_t nanoseconds(const timespec& time) noexcept { return time.tv_sec * second_ns + time.tv_nsec; }

std::int64_t wall_nanoseconds() noexcept
{
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return nanoseconds(now);
}

std::uint64_t in_blocks(std::uint64_t bytes) noexcept { return (bytes + block_bytes - 1) / block_bytes * block_bytes; }

error absent() { return {errc::not_found, "there is no such artifact; it may have expired"}; }

std::string temporary_name(std::string_view prefix) { return std::string{prefix} + random_hex(8); }

bool is_leftover(std::string_view name) { return name.starts_with(new_prefix) || name.starts_with(old_prefix); }

bool is_plain_file_of(int directory, const std::string& name, std::uint64_t bytes)
{
    struct stat status{};
    return ::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode) &&
           static_cast<std::uint64_t>(status.st_size) == bytes;
}

// Whether errno means damage on disk, and not a temporary state of this process or machine.
bool tells_of_damage(int cause)
{
    switch (cause) {
        case ENOENT:
        case ENOTDIR:
        case EISDIR:
        case ELOOP:
        case EXDEV:
        case EFBIG:
        case EINVAL:
        case ENXIO: return true;
        default: return false;
    }
}

enum class temporaries { pass_over, remove };

// What an entry's directory holds, except files that are still being made.
usage measure(int directory, temporaries half_done = temporaries::pass_over)
{
    usage found{1, 0, 0, block_bytes};
    disk::listing items{disk::reopen_directory(directory)};
    while (const auto* item = items.next()) {
        if (std::string_view{item->name}.starts_with(temporary_prefix)) {
            if (half_done == temporaries::remove) ::unlinkat(directory, item->name, 0);
            continue;
        }
        struct stat status{};
        if (::fstatat(directory, item->name, &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
        if (!S_ISREG(status.st_mode)) continue;
        ++found.files;
        found.bytes += static_cast<std::uint64_t>(status.st_size);
        found.disk_bytes += in_blocks(static_cast<std::uint64_t>(status.st_size));
    }
    return found;
}

void add(usage& to, const usage& what)
{
    to.entries += what.entries;
    to.files += what.files;
    to.bytes += what.bytes;
    to.disk_bytes += what.disk_bytes;
}

// The disk may have changed since it was counted.
void subtract(usage& from, const usage& what)
{
    from.entries -= std::min(from.entries, what.entries);
    from.files -= std::min(from.files, what.files);
    from.bytes -= std::min(from.bytes, what.bytes);
    from.disk_bytes -= std::min(from.disk_bytes, what.disk_bytes);
}

std::string etag_of(const form& of, encoding coding)
{
    std::string tag{"\""};
    tag += of.sha256.substr(0, 32);
    if (coding == encoding::gzip) tag += "-gz";
    if (coding == encoding::brotli) tag += "-br";
    return tag += '"';
}

// Writes and hashes the whole of `bytes`, or of the file behind it, as a new file, piece by piece.
class copier {
public:
    copier(int directory, std::string name) : name_{std::move(name)}
    {
        to_ = disk::open_in(directory, name_.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0600);
        if (!to_) failure_ = errno;
    }

    bool write(std::string_view bytes)
    {
        if (failure_ != 0) return false;
        hash_.update(bytes);
        if (disk::write_all(to_.get(), bytes)) return true;
        failure_ = errno;
        return false;
    }

    bool finish()
    {
        if (failure_ == 0 && ::fchmod(to_.get(), 0400) != 0) failure_ = errno;
        to_.reset();
        return failure_ == 0;
    }

    int failure() const noexcept { return failure_; }
    std::string digest() { return to_hex(hash_.finish()); }

private:
    std::string name_;
    unique_fd to_;
    sha256 hash_;
    int failure_{0};
};

asio::awaitable<result<form>> copy_file(int from, std::uint64_t bytes, int directory, std::string name)
{
    copier to{directory, name};
    std::string piece;
    std::uint64_t done = 0;
    for (;;) {
        piece.resize(copy_piece);
        const auto got = disk::read_at(from, piece, done);
        if (got < 0) co_return result<form>{disk::io_error("read", in_quotes(name), errno)};
        piece.resize(static_cast<std::size_t>(got));
        done += static_cast<std::uint64_t>(got);
        // The size was checked when the file was collected; growth since then is not accepted.
        if (done > bytes || (got == 0 && done < bytes)) {
            error changed{errc::artifact_rejected, in_quotes(name) + " changed while it was being read"};
            co_return result<form>{std::move(changed)};
        }
        if (!to.write(piece)) break;
        if (got == 0) break;
        co_await asio::post(asio::use_awaitable);
    }
    if (!to.finish()) co_return result<form>{disk::io_error("write", in_quotes(name), to.failure())};
    form copied{bytes, to.digest()};
    co_return result<form>{std::move(copied)};
}

// `text` outlives the coroutine: its caller holds it.
asio::awaitable<result<form>> copy_text(std::string_view text, int directory, std::string name)
{
    copier to{directory, name};
    const auto bytes = text.size();
    while (!text.empty()) {
        const auto piece = text.substr(0, copy_piece);
        if (!to.write(piece)) break;
        text.remove_prefix(piece.size());
        if (!text.empty()) co_await asio::post(asio::use_awaitable);
    }
    if (!to.finish()) co_return result<form>{disk::io_error("write", in_quotes(name), to.failure())};
    form copied{bytes, to.digest()};
    co_return result<form>{std::move(copied)};
}

// Removes an unfinished file, unless it got its final name.
class temporary_file {
public:
    explicit temporary_file(int directory) : directory_{directory}, name_{temporary_name(temporary_prefix)} {}
    ~temporary_file() { ::unlinkat(directory_, name_.c_str(), 0); }
    temporary_file(const temporary_file&) = delete;
    temporary_file& operator=(const temporary_file&) = delete;

    const std::string& name() const noexcept { return name_; }

private:
    int directory_;
    std::string name_;
};

}  // namespace

// The directory `.new-<random>`, removed again unless it has become an entry. Another server that
// starts on the same root leaves it alone while it is locked.
class store::scratch {
public:
    explicit scratch(int root) : root_{root}, name_{temporary_name(new_prefix)}
    {
        if (::mkdirat(root_, name_.c_str(), 0700) != 0) {
            failure_ = errno;
            name_.clear();
            return;
        }
        directory_ = disk::open_in(root_, name_.c_str(), O_RDONLY | O_DIRECTORY);
        if (!directory_)
            failure_ = errno;
        else
            ::flock(directory_.get(), LOCK_EX | LOCK_NB);
    }
    ~scratch()
    {
        if (name_.empty()) return;
        if (const auto removed = disk::remove_tree(root_, name_); !removed)
            log::warning("cannot remove an unfinished artifact", {{"reason", removed.error().message}});
    }
    scratch(const scratch&) = delete;
    scratch& operator=(const scratch&) = delete;

    int failure() const noexcept { return failure_; }
    int directory() const noexcept { return directory_.get(); }
    const std::string& name() const noexcept { return name_; }
    // It has another name now.
    void keep() noexcept { name_.clear(); }

private:
    int root_;
    std::string name_;
    unique_fd directory_;
    int failure_{0};
};

store::store(store_settings options)
    : options_{std::move(options)},
      reading_{std::make_shared<std::map<std::string, std::size_t, std::less<>>>()},
      cache_{std::make_unique<cache>(options_.memory_cache_bytes, [this](const cached_entry& one) { write_use(one); })}
{
}

store::~store() = default;

std::uint64_t store::memory_bytes() const noexcept { return cache_->bytes(); }

std::string store::shown(std::string_view name) const { return (options_.root / name).native(); }

result<void> store::open()
{
    auto root = disk::make_private_directory(options_.root);
    if (!root) return root.error();
    root_ = std::move(*root);
    {
        scratch probe{root_.get()};
        if (probe.failure() != 0) {
            auto refused = disk::io_error("write into", options_.root.native(), probe.failure());
            refused.message += "; set artifactsDir to a directory that this user can write";
            return refused;
        }
    }

    taking_stock_ = true;
    return {};
}

asio::awaitable<void> store::take_stock()
{
    async::turns turn{options_.turn_clock};
    disk::listing items{disk::reopen_directory(root_.get())};
    while (const auto* item = items.next()) {
        const std::string name{item->name};
        if (is_leftover(name)) remove_leftover(name);
        if (is_id(name)) count_in(name);
        if (turn.over()) co_await turn.rest();
    }
    taking_stock_ = false;
    counted_.clear();
    if (items.failure() != 0) {
        const auto failure = disk::io_error("list", options_.root.native(), items.failure());
        log::error("cannot count the artifacts", {{"reason", failure.message}});
    }
    if (!co_await make_room(0)) log::warning("the artifacts exceed artifacts.maxTotalMB, and all are in use");
}

void store::count_in(const std::string& id)
{
    if (!taking_stock_ || counted_.contains(id)) return;
    const auto directory = disk::open_in(root_.get(), id.c_str(), O_RDONLY | O_DIRECTORY);
    if (!directory) return;  // the damage is found when somebody requests it
    const bool busy = std::ranges::find(compressing_, id) != compressing_.end();
    add(stock_, measure(directory.get(), busy ? temporaries::pass_over : temporaries::remove));
    counted_.insert(id);
}

bool store::has_room(std::uint64_t bytes) const noexcept
{
    return options_.max_total_bytes == 0 ||
           (bytes <= options_.max_total_bytes && stock_.disk_bytes <= options_.max_total_bytes - bytes);
}

asio::awaitable<bool> store::make_room(std::uint64_t bytes)
{
    // One caller at a time: together they would remove more than necessary.
    while (!has_room(bytes) && evicting_) {
        const auto others = evicting_;
        co_await others->wait();
    }
    if (has_room(bytes)) co_return true;
    if (bytes > options_.max_total_bytes) co_return false;
    evicting_ = std::make_shared<async::event>(co_await asio::this_coro::executor);
    struct at_end {
        std::shared_ptr<async::event>& of;
        ~at_end() { std::exchange(of, nullptr)->set(); }
    } const told{evicting_};
    const bool made = co_await evict(bytes);
    co_return made;
}

asio::awaitable<bool> store::evict(std::uint64_t bytes)
{
    async::turns turn{options_.turn_clock};
    std::size_t in_vain = 0;  // searches that found nothing to remove
    while (!has_room(bytes)) {
        if (oldest_.empty()) {
            if (++in_vain > 2) co_return false;
            co_await find_oldest();
            if (oldest_.empty()) co_return false;
        }
        const auto next = std::move(oldest_.front());
        oldest_.pop_front();
        // An entry that was used meanwhile is no longer the oldest.
        if (last_use(next.id) == next.used && may_go(next.id) && take_away(next.id)) {
            ++evicted_;
            in_vain = 0;
        }
        if (turn.over()) co_await turn.rest();
    }
    co_return true;
}

asio::awaitable<void> store::find_oldest()
{
    async::turns turn{options_.turn_clock};
    const auto older = [](const candidate& a, const candidate& b) { return a.used < b.used; };
    std::vector<candidate> found;  // a heap, the youngest on top
    disk::listing items{disk::reopen_directory(root_.get())};
    while (const auto* item = items.next()) {
        std::string id{item->name};
        if (is_id(id) && may_go(id)) {
            if (const auto used = last_use(id); used != 0) {
                found.push_back({used, std::move(id)});
                std::ranges::push_heap(found, older);
            }
            if (found.size() > most_candidates) {
                std::ranges::pop_heap(found, older);
                found.pop_back();
            }
        }
        if (turn.over()) co_await turn.rest();
    }
    std::ranges::sort_heap(found, older);
    oldest_.assign(std::make_move_iterator(found.begin()), std::make_move_iterator(found.end()));
}

bool store::may_go(const std::string& id) const
{
    if (reading_->contains(id) || std::ranges::find(compressing_, id) != compressing_.end()) return false;
    const auto* known = cache_->look(id);
    if (!known) return true;
    // Content in memory belongs to the cache and its readers.
    return std::ranges::none_of(known->loaded, [](const auto& forms) {
        return std::ranges::any_of(forms, [](const auto& one) { return one.use_count() > 1; });
    });
}

// 0: it does not exist.
std::int64_t store::last_use(const std::string& id) const
{
    struct stat status{};
    if (::fstatat(root_.get(), id.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return 0;
    const auto* known = cache_->look(id);
    return std::max(nanoseconds(status.st_mtim), known ? known->used : 0);
}

// If this fails, on a disk that is not writable, the entry is still served.
void store::write_use(const cached_entry& of) const
{
    const timespec when{.tv_sec = of.used / second_ns, .tv_nsec = of.used % second_ns};
    const timespec times[2] = {when, when};
    ::utimensat(root_.get(), of.shown->id.c_str(), times, AT_SYMLINK_NOFOLLOW);
}

// Unless somebody is at work in it.
void store::remove_leftover(const std::string& name)
{
    const auto directory = disk::open_in(root_.get(), name.c_str(), O_RDONLY | O_DIRECTORY);
    if (directory && ::flock(directory.get(), LOCK_EX | LOCK_NB) != 0) return;
    if (const auto removed = disk::remove_tree(root_.get(), name); !removed)
        log::warning("cannot remove a leftover", {{"reason", removed.error().message}});
}

// Renews an entry's age on disk, at most once a minute. False when its directory is gone.
bool store::touch(cached_entry& item)
{
    const auto now = monotonic_seconds();
    item.used = wall_nanoseconds();
    if (item.looked_at != 0 && now - item.looked_at < renewal_seconds) return true;
    const char* id = item.shown->id.c_str();
    struct stat status{};
    if (::fstatat(root_.get(), id, &status, AT_SYMLINK_NOFOLLOW) != 0 || status.st_ino != item.inode) return false;
    item.looked_at = now;
    // Entries outside of the cache have their age only on disk.
    if (item.cost == 0 || wall_seconds() - status.st_mtime >= renewal_seconds) write_use(item);
    return true;
}

result<std::shared_ptr<cached_entry>> store::load(std::string_view id)
{
    if (auto item = cache_->find(id)) {
        if (touch(*item)) return item;
        cache_->erase(id);
    }
    if (!is_id(id)) return absent();
    auto item = read(std::string{id});
    if (item) {
        cache_->insert(*item);
        touch(**item);
    }
    return item;
}

result<std::shared_ptr<cached_entry>> store::read(const std::string& id)
{
    const auto directory = disk::open_in(root_.get(), id.c_str(), O_RDONLY | O_DIRECTORY);
    if (!directory) {
        if (const int cause = errno; cause != ENOENT) return unreadable(id, "", cause);
        return absent();
    }
    struct stat status{};
    std::string text;
    if (::fstat(directory.get(), &status) != 0 ||
        !disk::read_small(directory.get(), manifest_name, longest_manifest, text))
        return unreadable(id, manifest_name, errno);
    auto known = manifest_from_json(text);
    if (!known) return damaged(id, std::string{manifest_name} + " " + known.error().message);

    auto shown_entry = std::make_shared<entry>();
    shown_entry->id = id;
    if (!disk::read_small(directory.get(), record_name, longest_record, shown_entry->record))
        return unreadable(id, record_name, errno);
    if (shown_entry->record.size() != known->record.bytes ||
        to_hex(sha256_of(shown_entry->record)) != known->record.sha256)
        return damaged(id, "its record is not the one that was written");
    for (auto& file : known->files) {
        const auto& whole = file.in(encoding::identity);
        if (!is_plain_file_of(directory.get(), file.name, whole.bytes))
            return damaged(id, in_quotes(file.name) + " is missing or has another size");
        for (const auto coding : {encoding::gzip, encoding::brotli}) {
            auto& form_of = file.in(coding);
            if (form_of.there() && !is_plain_file_of(directory.get(), form_name(file.name, coding), form_of.bytes))
                form_of = {};
        }
        shown_entry->files.push_back({file.name, whole.bytes, whole.sha256});
    }

    auto item = std::make_shared<cached_entry>();
    item->shown = std::move(shown_entry);
    item->known = std::move(*known);
    item->loaded.resize(item->known.files.size());
    item->inode = status.st_ino;
    return item;
}

std::shared_ptr<const entry> store::find(std::string_view id)
{
    auto loaded = load(id);
    if (!loaded) return nullptr;
    auto item = std::move(*loaded);
    // Callers hand out links to the entry, so one system call to check that it still exists is worth it.
    struct stat status{};
    if (::fstatat(root_.get(), item->shown->id.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 ||
        status.st_ino != item->inode) {
        cache_->erase(id);
        auto again = load(id);
        if (!again) return nullptr;
        item = std::move(*again);
    } else if (wall_seconds() - status.st_mtime >= renewal_seconds) {
        ::utimensat(root_.get(), item->shown->id.c_str(), nullptr, AT_SYMLINK_NOFOLLOW);
    }
    return item->shown;
}

result<std::shared_ptr<const content>> store::open_content(std::string_view id, std::string_view name, bool accept_gzip,
                                                           bool accept_brotli)
{
    const auto found = load(id);
    if (!found) return found.error();
    const auto& item = *found;
    const auto& files = item->known.files;
    for (std::size_t index = 0; index < files.size(); ++index) {
        const auto& file = files[index];
        if (file.name != name) continue;
        for (const auto coding : {encoding::brotli, encoding::gzip, encoding::identity}) {
            if (coding == encoding::brotli && !accept_brotli) continue;
            if (coding == encoding::gzip && !accept_gzip) continue;
            if (!file.in(coding).there()) continue;
            if (const auto& loaded = item->loaded[index][static_cast<std::size_t>(coding)]) return loaded;
            auto loaded = load_content(*item, index, coding);
            if (loaded || coding == encoding::identity) return loaded;
        }
    }
    return absent();
}

result<std::shared_ptr<const content>> store::load_content(cached_entry& from, std::size_t index, encoding coding)
{
    auto& file = from.known.files[index];
    const auto& wanted = file.in(coding);
    const auto& id = from.shown->id;
    const auto name = form_name(file.name, coding);

    const auto failed = [&](std::string_view what) {
        // Without a compressed form the entry is complete, only slower to send.
        if (coding == encoding::identity) return damaged(id, in_quotes(file.name) + " " + std::string{what});
        log::warning("a compressed artifact is damaged", {{"id", id}, {"name", file.name}, {"reason", what}});
        file.in(coding) = {};
        return absent();
    };
    const auto not_now = [&](std::string_view doing, int cause) {
        auto failure = disk::io_error(doing, shown(id) + "/" + name, cause);
        log::warning("cannot read an artifact", {{"reason", failure.message}});
        return failure;
    };

    const auto directory = disk::open_in(root_.get(), id.c_str(), O_RDONLY | O_DIRECTORY);
    auto opened = directory ? disk::open_in(directory.get(), name.c_str(), O_RDONLY | O_NONBLOCK) : unique_fd{};
    struct stat status{};
    if (!opened || ::fstat(opened.get(), &status) != 0) {
        const int cause = errno;
        if (tells_of_damage(cause)) return failed("cannot be opened");
        return not_now("open", cause);
    }
    if (!S_ISREG(status.st_mode) || static_cast<std::uint64_t>(status.st_size) != wanted.bytes)
        return failed("has another size than it had");

    auto made = std::make_shared<content>();
    made->bytes = wanted.bytes;
    made->etag = etag_of(wanted, coding);
    made->media_type = media_type_of(file.name);
    made->coding = coding;
    if (!cache_->takes(wanted.bytes)) {
        made->file = std::make_shared<const unique_fd>(std::move(opened));
        ++(*reading_)[id];
        const auto* const plain = made.get();
        return std::shared_ptr<const content>{plain, [made, reading = reading_, id](const content*) {
                                                  const auto mine = reading->find(id);
                                                  if (--mine->second == 0) reading->erase(mine);
                                              }};
    }
    auto bytes = std::make_shared<std::string>(static_cast<std::size_t>(wanted.bytes), '\0');
    const auto got = disk::read_at(opened.get(), *bytes, 0);
    if (got < 0) return not_now("read", errno);
    if (static_cast<std::uint64_t>(got) != wanted.bytes || to_hex(sha256_of(*bytes)) != wanted.sha256)
        return failed("does not have the bytes it had");
    made->memory = std::move(bytes);
    cache_->keep(from, index, made);
    return made;
}

asio::awaitable<result<std::shared_ptr<const entry>>> store::publish(std::string id, std::vector<collected> files,
                                                                     std::string record)
{
    using published = result<std::shared_ptr<const entry>>;
    const auto refuse = [](std::string what) { return published{error{errc::internal, std::move(what)}}; };
    if (!is_id(id)) co_return refuse(in_quotes(id) + " is not an id");
    if (files.size() > most_files) co_return refuse("an entry has too many files");
    if (record.size() > longest_record) co_return refuse("an entry's record is too long");
    std::set<std::string_view> seen;
    for (const auto& file : files) {
        if (!is_plain_name(file.name)) co_return refuse(in_quotes(file.name) + " is not a plain name");
        if (!seen.insert(file.name).second) co_return refuse(in_quotes(file.name) + " comes twice");
    }

    scratch made{root_.get()};
    if (made.failure() != 0)
        co_return published{disk::io_error("create an entry in", options_.root.native(), made.failure())};
    const auto located = [&](error failure) {
        if (failure.code == errc::io) failure.message += " (in " + options_.root.native() + ")";
        return published{std::move(failure)};
    };

    auto shown_entry = std::make_shared<entry>();
    manifest known;
    known.files.reserve(files.size());
    shown_entry->files.reserve(files.size());
    for (auto& file : files) {
        auto copied = co_await copy_file(file.file.get(), file.bytes, made.directory(), file.name);
        if (!copied) co_return located(copied.error());
        file.file.reset();
        shown_entry->files.push_back({file.name, copied->bytes, copied->sha256});
        auto& stored = known.files.emplace_back();
        stored.name = file.name;
        stored.in(encoding::identity) = std::move(*copied);
    }
    auto copied = co_await copy_text(record, made.directory(), record_name);
    if (!copied) co_return located(copied.error());
    known.record = std::move(*copied);
    if (!disk::write_new(made.directory(), manifest_name, to_json(known), 0400))
        co_return located(disk::io_error("write", manifest_name, errno));
    struct stat status{};
    if (::fstat(made.directory(), &status) != 0) co_return located(disk::io_error("finish", made.name(), errno));
    const auto size = measure(made.directory());
    const bool room = co_await make_room(size.disk_bytes);
    if (!room) {
        error full{errc::queue_full,
                   "there is no room for these artifacts: they exceed artifacts.maxTotalMB, or the existing "
                   "ones are being downloaded"};
        co_return published{std::move(full)};
    }

    // No await from here on: the entry, the stock and the cache must change together.
    if (auto placed = put_in_place(made, id); !placed) co_return published{placed.error()};
    add(stock_, size);
    if (taking_stock_) counted_.insert(id);
    shown_entry->id = std::move(id);
    shown_entry->record = std::move(record);
    auto item = std::make_shared<cached_entry>();
    item->shown = std::move(shown_entry);
    item->known = std::move(known);
    item->loaded.resize(item->known.files.size());
    item->inode = status.st_ino;
    item->looked_at = monotonic_seconds();
    item->used = wall_nanoseconds();
    cache_->insert(item);
    if (item->cost == 0) write_use(*item);
    co_return published{item->shown};
}

// Gives a finished entry its name. An older entry gets the name of `made`, which removes it.
result<void> store::put_in_place(scratch& made, const std::string& id)
{
    const int root = root_.get();
    const char* from = made.name().c_str();
    const auto failed = [&](int cause) { return disk::io_error("publish", shown(id), cause); };

    if (::renameat2(root, from, root, id.c_str(), RENAME_NOREPLACE) == 0) {
        made.keep();
        return {};
    }
    // EINVAL: the file system does not support flags. A plain rename works, because it refuses to replace a non-empty
    // directory.
    if (errno == EINVAL && ::renameat(root, from, root, id.c_str()) == 0) {
        made.keep();
        return {};
    }
    if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR) return failed(errno);

    count_in(id);
    usage replaced{};
    if (const auto old = disk::open_in(root, id.c_str(), O_RDONLY | O_DIRECTORY)) replaced = measure(old.get());
    if (::renameat2(root, from, root, id.c_str(), RENAME_EXCHANGE) == 0) {
        subtract(stock_, replaced);
        return {};
    }
    if (errno != EINVAL) return failed(errno);
    if (!take_away(id)) return failed(EEXIST);
    if (::renameat(root, from, root, id.c_str()) != 0) return failed(errno);
    made.keep();
    return {};
}

bool store::take_away(const std::string& id)
{
    cache_->erase(id);
    struct stat status{};
    if (::fstatat(root_.get(), id.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return false;
    count_in(id);
    usage gone{};
    if (const auto directory = disk::open_in(root_.get(), id.c_str(), O_RDONLY | O_DIRECTORY))
        gone = measure(directory.get());

    // Rename it first, so that a crash does not leave half an entry. If the disk is too full for that, remove the
    // entry nevertheless.
    auto name = temporary_name(old_prefix);
    if (::renameat2(root_.get(), id.c_str(), root_.get(), name.c_str(), RENAME_NOREPLACE) != 0) name = id;
    const auto removed = disk::remove_tree(root_.get(), name);
    if (!removed) log::warning("cannot remove an entry", {{"id", id}, {"reason", removed.error().message}});
    if (!removed && name == id) return false;
    subtract(stock_, gone);
    return true;
}

bool store::remove(std::string_view id) { return is_id(id) && take_away(std::string{id}); }

error store::unreadable(const std::string& id, std::string_view name, int cause)
{
    auto failure = disk::io_error("read", shown(id + "/" + std::string{name}), cause);
    if (tells_of_damage(cause)) return damaged(id, failure.message);
    log::warning("cannot read an entry", {{"reason", failure.message}});
    return failure;
}

error store::damaged(std::string_view id, std::string_view what)
{
    const std::string gone{id};  // `id` may live in what is being removed
    log::warning("removing a damaged entry", {{"id", gone}, {"reason", what}});
    take_away(gone);
    return absent();
}

result<unique_fd> store::blank_file() const
{
    unique_fd made{::openat(root_.get(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)};
    if (made) return made;
    if (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT) return empty_memory_file("artifact");
    return disk::io_error("make a file in", options_.root.native(), errno);
}

asio::awaitable<std::size_t> store::sweep(std::chrono::system_clock::time_point now)
{
    const auto seconds_of = [](auto when) {
        return std::chrono::duration_cast<std::chrono::seconds>(when.time_since_epoch()).count();
    };
    const auto oldest =
        options_.ttl.count() > 0 ? seconds_of(now - options_.ttl) : std::numeric_limits<std::int64_t>::min();
    const auto left_before = seconds_of(now - leftover_age);
    disk::listing items{disk::reopen_directory(root_.get())};
    std::size_t removed = 0;
    async::turns turn{options_.turn_clock};
    while (const auto* item = items.next()) {
        const bool left = is_leftover(item->name);
        struct stat status{};
        if ((left || is_id(item->name)) && ::fstatat(root_.get(), item->name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            status.st_mtime < (left ? left_before : oldest)) {
            if (left)
                remove_leftover(item->name);
            else if (take_away(item->name))
                ++removed;
        }
        if (turn.over()) co_await turn.rest();
    }
    if (items.failure() != 0) {
        const auto failure = disk::io_error("list", options_.root.native(), items.failure());
        log::error("the sweeper failed", {{"reason", failure.message}});
    }
    co_return removed;
}

asio::awaitable<void> store::compress(std::string id)
{
    if (std::find(compressing_.begin(), compressing_.end(), id) != compressing_.end()) co_return;
    const auto found = load(id);
    if (!found) co_return;
    const auto& item = *found;
    const auto directory = disk::open_in(root_.get(), id.c_str(), O_RDONLY | O_DIRECTORY);
    if (!directory) co_return;

    struct mark {
        std::vector<std::string>& all;
        std::string id;
        mark(std::vector<std::string>& a, std::string i) : all{a}, id{std::move(i)} { all.push_back(id); }
        ~mark() { std::erase(all, id); }
        mark(const mark&) = delete;
        mark& operator=(const mark&) = delete;
    };
    const mark under_way{compressing_, id};
    for (std::size_t index = 0; index < item->known.files.size(); ++index) {
        const auto bytes = item->known.files[index].in(encoding::identity).bytes;
        if (bytes < least_compressed || bytes > most_compressed) continue;
        for (const auto coding : {encoding::gzip, encoding::brotli}) {
            if (item->known.files[index].in(coding).there()) continue;
            const bool go_on = co_await compress_file(directory.get(), id, index, coding);
            if (!go_on) co_return;
        }
    }
}

// False when the rest of this entry need not be compressed.
asio::awaitable<bool> store::compress_file(int directory, std::string id, std::size_t index, encoding coding)
{
    const auto found = load(id);
    if (!found || index >= (*found)->known.files.size()) co_return false;
    const auto& item = *found;
    const std::string name = item->known.files[index].name;
    const form whole = item->known.files[index].in(encoding::identity);

    const auto failed = [&](error failure) {
        log::warning("an artifact was not compressed", {{"id", id}, {"reason", failure.message}});
        return false;
    };
    const auto from = disk::open_in(directory, name.c_str(), O_RDONLY | O_NONBLOCK);
    if (!from) {
        if (errno == ENOENT) co_return false;  // the entry is being removed
        co_return failed(disk::io_error("open", in_quotes(name), errno));
    }
    const auto engine = make_compressor(coding, whole.bytes);
    if (!engine) co_return failed({errc::internal, "no memory for a compressor"});

    const temporary_file made{directory};
    copier to{directory, made.name()};
    sha256 check;
    const auto most = whole.bytes - whole.bytes / 10;
    std::uint64_t done = 0;
    std::uint64_t written = 0;
    std::string piece;
    std::string out;
    while (done < whole.bytes) {
        piece.resize(static_cast<std::size_t>(std::min<std::uint64_t>(compressor_piece, whole.bytes - done)));
        const auto got = disk::read_at(from.get(), piece, done);
        if (got != static_cast<std::int64_t>(piece.size()))
            co_return failed({errc::io, in_quotes(name) + " cannot be read"});
        done += piece.size();
        check.update(piece);
        out.clear();
        if (!engine->feed(piece, done == whole.bytes, out)) co_return failed({errc::internal, "the compressor failed"});
        written += out.size();
        if (written > most) co_return true;  // not worth it
        if (!to.write(out)) co_return failed(disk::io_error("write", in_quotes(made.name()), to.failure()));
        co_await asio::post(asio::use_awaitable);
    }
    if (!to.finish()) co_return failed(disk::io_error("write", in_quotes(made.name()), to.failure()));
    const bool room = co_await make_room(in_blocks(written));
    if (!room) co_return false;

    // No await from here on. Check that the compressed entry is still the one under that id.
    struct stat mine{};
    struct stat current{};
    if (::fstat(directory, &mine) != 0 || ::fstatat(root_.get(), id.c_str(), &current, AT_SYMLINK_NOFOLLOW) != 0 ||
        mine.st_ino != current.st_ino)
        co_return false;
    if (to_hex(check.finish()) != whole.sha256) {
        damaged(id, in_quotes(name) + " does not have the bytes it had");
        co_return false;
    }
    co_return add_form(directory, id, index, coding, made.name(), written, to.digest());
}

bool store::add_form(int directory, const std::string& id, std::size_t index, encoding coding,
                     const std::string& made_as, std::uint64_t bytes, std::string sha256)
{
    const auto found = load(id);
    if (!found || index >= (*found)->known.files.size()) return false;
    const auto& item = *found;
    auto& file = item->known.files[index];
    count_in(id);
    const auto before = measure(directory);
    form previous = std::exchange(file.in(coding), form{bytes, std::move(sha256)});
    const temporary_file listed{directory};
    const auto name = form_name(file.name, coding);
    const bool done = disk::write_new(directory, listed.name().c_str(), to_json(item->known), 0400) &&
                      ::renameat(directory, made_as.c_str(), directory, name.c_str()) == 0 &&
                      ::renameat(directory, listed.name().c_str(), directory, manifest_name) == 0;
    if (!done) {
        const auto failure = disk::io_error("write", shown(id) + "/" + name, errno);
        log::warning("an artifact was not compressed", {{"id", id}, {"reason", failure.message}});
        file.in(coding) = std::move(previous);
        ::unlinkat(directory, name.c_str(), 0);
    }
    subtract(stock_, before);
    add(stock_, measure(directory));
    return done;
}

}  // namespace sandboxd::artifacts
