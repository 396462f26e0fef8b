// A separate uid for each running jail, so that tenants do not share what the kernel counts for each uid: descriptors
// in transit through sockets, inotify instances, epoll watches, pipe buffers, keys, pending signals. All jails have
// one gid, which gives access to the directories that they mount.
//
// Servers on one machine may share a range. To take an id, a server locks a file below /run (flock(2)) and binds an
// abstract Unix socket with the id in its name (unix(7)). Both exclude others and end with the process. The file
// works across network namespaces, the socket without a shared /run.
#pragma once

#include "base/errc.hpp"
#include "base/unique_fd.hpp"
#include "process/command.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sandboxd::jail {

// Ids `first` to `first + count - 1`, as uids and as gids.
struct uid_range {
    std::uint32_t first{61'000};
    std::uint32_t count{1};

    // The gid of all jails.
    gid_t group() const noexcept { return first; }
    // Another gid of the range: that of root in the user namespaces of jails that need one.
    gid_t root_group() const noexcept { return first + 1; }
    bool holds(std::uint64_t id) const noexcept { return id >= first && id - first < count; }
};

struct uid_counts {
    std::size_t all{0};
    std::size_t in_use{0};
    std::uint64_t refused{0};  // jails that were not built because no id was free
};

struct uid_lock {
    unique_fd socket;
    unique_fd file;  // empty: /run is not writable
};

class uid_pool : public std::enable_shared_from_this<uid_pool> {
public:
    // Holds one id until destruction. Keep it until no process of the jail is left.
    class lease {
    public:
        lease(lease&&) noexcept = default;
        lease& operator=(lease&&) = delete;
        ~lease();
        // The uid, with the gid of all jails.
        process::identity who() const noexcept { return {id_, from_->range_.group()}; }

    private:
        friend class uid_pool;
        lease(std::shared_ptr<uid_pool> from, std::uint32_t id, uid_lock lock)
            : from_{std::move(from)}, id_{id}, lock_{std::move(lock)}
        {
        }

        std::shared_ptr<uid_pool> from_;  // null: moved from
        std::uint32_t id_;
        uid_lock lock_;
    };

    static std::shared_ptr<uid_pool> make(const uid_range& range);

    // Takes the least recently used id. Error: `queue_full` when all are in use.
    result<lease> take();

    // Never hands out this id, because somebody else uses it.
    void set_aside(std::uint32_t id);

    const uid_range& range() const noexcept { return range_; }
    uid_counts counts() const noexcept { return {range_.count, range_.count - free_.size(), refused_}; }

private:
    explicit uid_pool(const uid_range& range);

    uid_range range_;
    std::deque<std::uint32_t> free_;
    std::uint64_t refused_{0};
};

// The owner of an id of the range, by the databases of users and groups (getpwuid(3), getgrgid(3)) and the ranges of
// subordinate ids (/etc/subuid and /etc/subgid, subuid(5)): "61003 is the uid of alice". Empty: nobody.
std::string owner_of(const uid_range& range);

// The same, given the texts of the two files. Pure.
std::string subordinate_owner_of(const uid_range& range, std::string_view subuid, std::string_view subgid);

// Kills what a killed server left under ids of the range that no server has taken: jail builders (bwrap, nsjail,
// crun) that `adopter` has adopted, because they did not yet end with their parent. Returns how many.
std::size_t kill_leftover_builders(const uid_range& range, pid_t adopter = 1);

// Ids of the range that a running process uses and no server has taken.
std::vector<std::uint32_t> ids_in_use(const uid_range& range);

}  // namespace sandboxd::jail
