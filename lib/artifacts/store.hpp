// The content-addressed store: what a job produced, under the id that its input determines.
//
//     <root>/<id>/app.js app.wasm …         the artifacts, read-only, never rewritten
//     <root>/<id>/.app.js.gz .app.js.br …   the same bytes precompressed, where that is smaller
//     <root>/<id>/.entry.json               names, sizes and digests of all of these
//     <root>/<id>/.record                   the record of the service that made them, as it was
//     <root>/.new-<random>/                 an entry being written
//     <root>/.old-<random>/                 an entry being removed
//
// An entry appears by one rename(2) and disappears by one: a reader never sees half of it. Files
// are only opened beneath the root, without following symbolic links (openat2(2)), and only under
// names that the entry lists. The store survives a restart; a file that no longer has its recorded
// size or digest takes its entry with it. (So nothing is synced to disk: after a power cut, an
// entry that was not yet written out is found to be damaged and is made again.)
//
// The disk is the index: nothing is kept in memory for an entry that is not in use, so neither
// memory nor the time a look-up takes grows with the number of entries. What is in use sits in one
// cache, bounded in bytes. An entry's age is the modification time of its directory, and for what is
// in the cache the time that stands there.
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
    std::vector<artifact> files;  // as they were given to publish; none for a compile that failed
    std::string record;           // the service's own text (JSON), as it was given to publish
};

enum class encoding { identity, gzip, brotli };

// One artifact, ready to send. Small ones come from memory, large ones as an open file; a reader
// keeps its copy alive, so sweeping an entry never cuts a download.
struct content {
    std::uint64_t bytes{};
    std::string etag;             // strong, quoted; different for each encoding (RFC 9110 8.8.3)
    std::string_view media_type;  // by the name's suffix
    encoding coding{encoding::identity};
    std::shared_ptr<const std::string> memory;  // null when it is to be read from `file`
    std::shared_ptr<const unique_fd> file;      // several readers may share it: pread(2) only
};

struct settings {
    std::filesystem::path root;                  // artifactsDir, absolute
    std::chrono::hours ttl{72};                  // artifactTTLDays; 0: nothing expires
    std::uint64_t memory_cache_bytes{8u << 20};  // artifactMemoryCacheMB: hot small artifacts; 0: none
    std::uint64_t max_total_bytes{0};            // artifacts.maxTotalMB, as usage::disk_bytes counts; 0: any size
    // The clock of turns; another one for tests.
    std::function<async::turns::clock::time_point()> turn_clock{async::turns::clock::now};
};

// What is on disk: entries, and every file in them (artifacts, compressed forms, records) with its
// size.
struct usage {
    std::uint64_t entries{};
    std::uint64_t files{};
    std::uint64_t bytes{};
    // What that takes of a disk: sizes rounded up to 4 KiB, and as much for each entry's directory.
    std::uint64_t disk_bytes{};
};

class cache;
struct cached_entry;

// One object a root; it must outlive every coroutine it started. An id that is not one (see is_id)
// is never found. The coroutines throw only when they are cancelled, and clean up after themselves
// then, too.
class store {
public:
    explicit store(settings options);
    ~store();
    store(const store&) = delete;
    store& operator=(const store&) = delete;

    // Makes the root when it is missing (nobody else may look into it), and sees that it can be
    // written. Call it once, before anything else. Errors: io, with path, cause and cure.
    result<void> open();

    // Removes what a killed server left half done, counts what is there (until then `stock` tells of
    // what was counted so far), and makes room where it is more than may be. Once, after open, while
    // everything else goes on; about 10 µs an entry, in turns.
    boost::asio::awaitable<void> take_stock();

    // The entry, or null when there is none, it is damaged (which is logged, and it is removed), or
    // it cannot be read just now (logged). A hit makes the entry young again, at most once a minute.
    std::shared_ptr<const entry> find(std::string_view id);

    // Copies and hashes the files, in turns of bounded size, and makes them appear as one entry; an
    // entry of the same id is replaced atomically, whoever reads from it goes on undisturbed. On an
    // error nothing half-published remains, and an older entry of that id stays. Where the store would
    // become larger than max_total_bytes, those entries go that were used longest ago, but none that
    // is being read. Errors: artifact_rejected (a file changed while it was read), queue_full (what is
    // there is being read, or there is no room for this one at all), io (with path and cause; the disk
    // may be full), internal (an id or name that is not plain, a name twice, a record above 16 MiB).
    boost::asio::awaitable<result<std::shared_ptr<const entry>>> publish(std::string id, std::vector<collected> files,
                                                                         std::string record);

    // An artifact in the best encoding that there is and the client accepts (brotli, gzip,
    // identity); never null. Counts as use, as `find` does. Neither allocates nor calls the kernel
    // for what is in memory (but for renewing the entry, once a minute). Errors: not_found (no such
    // entry, no such name in it, or its bytes are damaged: logged, entry removed), io (it is there
    // as far as anybody knows, but cannot be read just now, as without a descriptor to spare).
    result<std::shared_ptr<const content>> open_content(std::string_view id, std::string_view name, bool accept_gzip,
                                                        bool accept_brotli);

    // Adds the compressed forms of an entry's artifacts where they are at least a tenth smaller, in
    // turns of bounded size, for a background task. Does nothing when the entry is gone, when it
    // has them, or when it is being done; stops when the entry is removed or replaced meanwhile.
    // What goes wrong is logged.
    boost::asio::awaitable<void> compress(std::string id);

    // Removes the entries that were last used longer than the ttl before `now` (none when the ttl is
    // 0), in turns of bounded size, and what a failed removal left of unfinished and of removed ones
    // more than a minute before. Returns how many entries.
    boost::asio::awaitable<std::size_t> sweep(std::chrono::system_clock::time_point now);

    // Removes one entry; false when there was none. What it could not remove is logged.
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
    // Whether there is room for so much more, when what may go has gone.
    boost::asio::awaitable<bool> make_room(std::uint64_t bytes);
    boost::asio::awaitable<bool> evict(std::uint64_t bytes);
    boost::asio::awaitable<void> find_oldest();
    // Nobody reads it and nobody works on it.
    bool may_go(const std::string& id) const;
    std::int64_t last_use(const std::string& id) const;
    void write_use(const cached_entry& of) const;
    // Sees to it that an entry is in the stock, while the stock is being taken.
    void count_in(const std::string& id);

    settings options_;
    unique_fd root_;
    usage stock_;
    bool taking_stock_{false};
    std::set<std::string, std::less<>> counted_;  // while the stock is being taken
    std::deque<candidate> oldest_;                // the first is the oldest; some may be in use again
    std::shared_ptr<async::event> evicting_;      // null: nobody makes room
    std::uint64_t evicted_{0};
    // Open files handed out, by entry. Whoever has one may outlive the store.
    std::shared_ptr<std::map<std::string, std::size_t, std::less<>>> reading_;
    std::unique_ptr<cache> cache_;
    std::vector<std::string> compressing_;  // ids
};

}  // namespace sandboxd::artifacts
