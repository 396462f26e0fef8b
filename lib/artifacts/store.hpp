// The content-addressed store: a job's output, under the id that its input determines.
//
//     <root>/<id>/app.js app.wasm …         the artifacts, read-only, never rewritten
//     <root>/<id>/.app.js.gz .app.js.br …   the same bytes precompressed, if that is smaller
//     <root>/<id>/.entry.json               names, sizes and digests of all of these
//     <root>/<id>/.record                   the record of the service that made them, as it was
//     <root>/.new-<random>/                 an entry being written
//     <root>/.old-<random>/                 an entry being removed
//
// An entry appears and disappears by one rename(2): a reader never sees half of it. Files are opened only below the
// root, without following symbolic links (openat2(2)), and only under names that the entry lists. The store survives
// a restart. If a file no longer has its recorded size or digest, its entry is removed. So nothing is synced to disk:
// after a power failure, an entry that was not written out is found to be damaged and made again.
//
// The disk is the index: an unused entry needs no memory, so neither memory nor the time of a look-up grows with the
// number of entries. Entries in use are in one cache, bounded in bytes. An entry's age is the modification time of
// its directory, or the cache's time for a cached one.
#pragma once

#include "artifacts/collect.hpp"
#include "async/event.hpp"
#include "async/turns.hpp"
#include "base/errc.hpp"
#include "base/unique_fd.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::artifacts {

struct artifact {
    std::string name;  // `app.js`; see is_plain_name
    std::uint64_t bytes{};
    std::string sha256;  // 64 hex digits
};

struct entry {
    std::string id;
    std::vector<artifact> files;  // as given to publish; none for a failed compile
    std::string record;           // the service's own text (JSON), as given to publish
};

enum class encoding { identity, gzip, brotli };

// One artifact, ready to send. Small ones come from memory, large ones as an open file; a reader
// keeps its copy alive, so sweeping an entry never cuts a download.
struct content {
    std::uint64_t bytes{};
    std::string etag;             // strong, quoted; different for each encoding (RFC 9110 8.8.3)
    std::string_view media_type;  // by the name's suffix
    encoding coding{encoding::identity};
    std::shared_ptr<const std::string> memory;  // null: read it from `file`
    std::shared_ptr<const unique_fd> file;      // several readers may share it: pread(2) only
};

struct store_settings {
    std::filesystem::path root;                  // artifactsDir, absolute
    std::chrono::hours ttl{72};                  // artifactTTLDays; 0: nothing expires
    std::uint64_t memory_cache_bytes{8u << 20};  // artifacts.memoryCacheMB: hot small artifacts; 0: none
    std::uint64_t max_total_bytes{0};            // artifacts.maxTotalMB, as usage::disk_bytes counts; 0: no limit
    // The clock of turns; another one for tests.
    std::function<async::turns::clock::time_point()> turn_clock{async::turns::clock::now};
};

// The contents of the disk: entries, and all their files (artifacts, compressed forms, records) with their sizes.
struct usage {
    std::uint64_t entries{};
    std::uint64_t files{};
    std::uint64_t bytes{};
    // The disk space of these: sizes rounded up to 4 KiB, plus 4 KiB for each entry's directory.
    std::uint64_t disk_bytes{};
};

class cache;
struct cached_entry;

// One object for each root; it must outlive every coroutine that it started. An invalid id (see is_id) is never
// found. The coroutines throw only when they are cancelled, and also clean up then.
class store {
public:
    explicit store(store_settings options);
    ~store();
    store(const store&) = delete;
    store& operator=(const store&) = delete;

    // Makes the root if it is missing (nobody else may enter it), and checks that it is writable. Call it once,
    // before anything else. Errors: io, with path, cause and cure.
    result<void> open();

    // Removes what a killed server left half done, counts the entries (until then `stock` is incomplete), and makes
    // room if they exceed the limit. Call it once, after open, while everything else runs; about 10 µs for each
    // entry, in turns.
    boost::asio::awaitable<void> take_stock();

    // The entry, or null when there is none, it is damaged (then it is logged and removed), or it cannot be read now
    // (logged). A hit renews the entry's age, at most once a minute.
    std::shared_ptr<const entry> find(std::string_view id);

    // Copies and hashes the files, in turns, and publishes them as one entry. An entry of the same id is replaced
    // atomically; its readers continue undisturbed. After an error nothing half-published remains, and an older entry
    // of that id stays. If the store would exceed max_total_bytes, the least recently used entries are removed, but
    // none that is being read. Errors: artifact_rejected (a file changed while it was read), queue_full (all other
    // entries are being read, or this one is too large), io (with path and cause; the disk may be full), internal (an
    // invalid id or name, a name twice, a record above 16 MiB).
    boost::asio::awaitable<result<std::shared_ptr<const entry>>> publish(std::string id, std::vector<collected> files,
                                                                         std::string record);

    // An artifact in the best existing encoding that the client accepts (brotli, gzip, identity); never null. Counts
    // as use, like `find`. For content in memory it neither allocates nor calls the kernel (except to renew the
    // entry, once a minute). Errors: not_found (no such entry, no such name in it, or damaged bytes: logged, entry
    // removed), io (it exists but cannot be read now, for example without a free descriptor).
    result<std::shared_ptr<const content>> open_content(std::string_view id, std::string_view name, bool accept_gzip,
                                                        bool accept_brotli);

    // Adds the compressed forms of an entry's artifacts that are at least a tenth smaller, in turns, for a background
    // task. Does nothing when the entry is gone, already has them, or is being compressed; stops when the entry is
    // removed or replaced. Failures are logged.
    boost::asio::awaitable<void> compress(std::string id);

    // An empty file without a name on the store's disk, for what is to be published; in memory where the file system
    // has none (O_TMPFILE). Errors: io, internal.
    result<unique_fd> blank_file() const;

    // Removes, in turns, the entries whose last use is older than the ttl (none when the ttl is 0), and leftovers of
    // failed removals that are older than a minute. Returns the number of entries.
    boost::asio::awaitable<std::size_t> sweep(std::chrono::system_clock::time_point now);

    // Removes one entry; false when there was none. Failures are logged.
    bool remove(std::string_view id);

    usage stock() const noexcept { return stock_; }
    // Entries removed to make room.
    std::uint64_t evicted() const noexcept { return evicted_; }
    // Bytes held in memory by the cache.
    std::uint64_t memory_bytes() const noexcept;

private:
    class scratch;

    result<std::shared_ptr<cached_entry>> load(std::string_view id);
    result<std::shared_ptr<cached_entry>> read(const std::string& id);
    result<std::shared_ptr<const content>> load_content(cached_entry& from, std::size_t index, encoding coding);
    bool touch(cached_entry& item);
    boost::asio::awaitable<bool> compress_file(int directory, std::string id, std::size_t index, encoding coding);
    bool add_form(int directory, const std::string& id, std::size_t index, encoding coding, const std::string& made_as,
                  std::uint64_t bytes, std::string sha256);
    result<void> put_in_place(scratch& made, const std::string& id);
    bool take_away(const std::string& id);
    void remove_leftover(const std::string& name);
    error unreadable(const std::string& id, std::string_view name, int cause);
    error damaged(std::string_view id, std::string_view what);
    std::string shown(std::string_view name) const;

    struct candidate {
        std::int64_t used;  // nanoseconds since 1970
        std::string id;
    };
    bool has_room(std::uint64_t bytes) const noexcept;
    // Removes entries if necessary; returns whether there is room for so many more bytes.
    boost::asio::awaitable<bool> make_room(std::uint64_t bytes);
    boost::asio::awaitable<bool> evict(std::uint64_t bytes);
    boost::asio::awaitable<void> find_oldest();
    // Whether nobody reads it or works on it.
    bool may_go(const std::string& id) const;
    std::int64_t last_use(const std::string& id) const;
    void write_use(const cached_entry& of) const;
    // Adds an entry to the stock while the stock is being taken.
    void count_in(const std::string& id);

    store_settings options_;
    unique_fd root_;
    usage stock_;
    bool taking_stock_{false};
    std::set<std::string, std::less<>> counted_;  // while the stock is being taken
    std::deque<candidate> oldest_;                // the first is the oldest; some may have been used since
    std::shared_ptr<async::event> evicting_;      // null: nobody is making room
    std::uint64_t evicted_{0};
    // Open files that readers have, by entry. A reader may outlive the store.
    std::shared_ptr<std::map<std::string, std::size_t, std::less<>>> reading_;
    std::unique_ptr<cache> cache_;
    std::vector<std::string> compressing_;  // ids
};

}  // namespace sandboxd::artifacts
