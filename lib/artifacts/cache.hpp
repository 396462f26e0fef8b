// The entries in use and their small, requested artifacts: one list ordered by last use, bounded in bytes.
#pragma once

#include "artifacts/manifest.hpp"
#include "artifacts/store.hpp"

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace sandboxd::artifacts {

struct cached_entry {
    std::shared_ptr<const entry> shown;
    manifest known;
    // Parallel to known.files: the content in memory, by encoding.
    std::vector<std::array<std::shared_ptr<const content>, 3>> loaded;
    ino_t inode{};             // of its directory, to notice when it was replaced
    std::int64_t looked_at{};  // monotonic seconds of the last renewal of its age on disk
    std::uint64_t cost{};      // what the cache counts for it; 0: not in the cache
    std::int64_t used{};       // when it was last used, nanoseconds since 1970
};

class cache {
public:
    // `dropped` is called for each entry that is dropped to make room.
    explicit cache(std::uint64_t budget, std::function<void(const cached_entry&)> dropped = {})
        : budget_{budget}, dropped_{std::move(dropped)}
    {
    }

    // Null when it is not cached. A hit becomes the most recently used one. Does not allocate.
    std::shared_ptr<cached_entry> find(std::string_view id) noexcept;

    // The same, but does not count as a use.
    const cached_entry* look(std::string_view id) const noexcept;

    // Does nothing when the entry alone exceeds the budget.
    void insert(const std::shared_ptr<cached_entry>& item);

    // Whether one artifact of this size is worth keeping: at most an eighth of the budget.
    bool takes(std::uint64_t bytes) const noexcept { return bytes <= budget_ / 8; }

    // Keeps an artifact with its entry and makes room for it. Does nothing when the entry is not cached.
    void keep(cached_entry& item, std::size_t index, std::shared_ptr<const content> loaded);

    void erase(std::string_view id);

    std::uint64_t bytes() const noexcept { return bytes_; }

private:
    void trim(const cached_entry* spared);
    void drop_contents(cached_entry& item);

    using order = std::list<std::shared_ptr<cached_entry>>;

    std::uint64_t budget_;
    std::function<void(const cached_entry&)> dropped_;
    std::uint64_t bytes_{0};
    order used_;                                                   // the most recently used first
    std::unordered_map<std::string_view, order::iterator> by_id_;  // keys live in the entries
};

}  // namespace sandboxd::artifacts
