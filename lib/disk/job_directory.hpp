// The directory of one job, from its first source file to its last trace.
//
//     <jobs root>/                      ours: the jobs' group passes through, and lists nothing
//     <jobs root>/<id>.<random>/        the same
//     <jobs root>/<id>.<random>/src/    the sources, written by us, for whoever gets that far
//     <jobs root>/<id>.<random>/out/    the job's, mode 0700, given to the uid it runs as
//
// No other user of the machine reads any of it, whatever the umask.
//
// Whatever the job leaves in it is gone when the object is gone: directories nested deeper than
// PATH_MAX, a hundred thousand files, directories that nobody may enter. Directories left behind by
// a server that was killed are removed at the next start by `remove_leftovers`; a lock (flock(2))
// on each directory keeps that from taking those of another server that is alive.
#pragma once

#include "async/turns.hpp"
#include "base/errc.hpp"
#include "base/unique_fd.hpp"
#include "disk/tree_usage.hpp"

#include <boost/asio/awaitable.hpp>

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::disk {

class job_directory {
public:
    // Who the job runs as, where that is not this process' own uid and gid.
    struct owner {
        uid_t uid{};
        gid_t gid{};
    };

    // Makes the directories; `jobs_root` is absolute and is made when missing. `id` is 1 to 64
    // characters of [A-Za-z0-9_-]. Giving `out/` to another owner needs CAP_CHOWN. Without `job`, under root, whoever
    // gets through the root may read the sources: then its group is the wall. Errors: io, with path and cause.
    static result<job_directory> create(const std::filesystem::path& jobs_root, std::string_view id,
                                        std::optional<owner> job = std::nullopt);

    job_directory(job_directory&& other) noexcept { *this = std::move(other); }
    job_directory& operator=(job_directory&& other) noexcept;
    // Removes the tree, as `remove` does, when nobody has; what then stays is logged as a warning.
    // Prefer `remove_in_turns`: this holds everybody up when the job left very many files.
    ~job_directory();

    const std::filesystem::path& path() const noexcept { return path_; }
    std::filesystem::path source_path() const { return path_ / "src"; }
    std::filesystem::path output_path() const { return path_ / "out"; }
    // The output directory, open (O_RDONLY | O_DIRECTORY), for `collect`.
    int output() const noexcept { return output_.get(); }

    // Writes one source file, making the directories that its path names. The path is
    // relative, with plain components: none empty, `.` or `..`; at most 255 bytes each, 16 of them,
    // 1024 in all. Errors: invalid_request (a bad path, the same path twice, a file where a
    // directory must be), io.
    result<void> write_source(std::string_view relative_path, std::string_view content);

    // What `out/` occupies, as tree_usage counts it, with what was deleted and is still in use as find_deleted
    // (deleted_files.hpp) sees it; safe while the job is running. `leader`: the process that leads the job, 0 when
    // none does. This must not be removed or moved meanwhile.
    boost::asio::awaitable<used_space> usage(tree_caps caps, pid_t leader, async::turns& turn) const;

    // Whether its file system has hardly any room left for anybody: less than 16 MiB or 64 inodes,
    // where it tells either. What then fails in the job need not be the job's doing.
    bool short_of_room() const;

    // Removes the tree. Call it only when every process of the job is gone. Calling it again does
    // nothing. Errors: io, naming the first thing that could not be removed; the rest is removed
    // all the same.
    result<void> remove();

    // The same in turns of bounded length, so that others are served in between. After an error it
    // may be called again; when it is cancelled or not called again, the destructor does the rest.
    boost::asio::awaitable<result<void>> remove_in_turns();

private:
    job_directory() = default;

    unique_fd root_;    // jobs_root
    std::string name_;  // beneath it; empty when there is nothing (left) to remove
    unique_fd own_;     // the directory itself; holds the lock
    unique_fd source_;
    unique_fd output_;
    std::filesystem::path path_;
    std::optional<gid_t> group_;  // that reads the sources
    mode_t file_mode_{};
    mode_t directory_mode_{};
};

struct removed_leftovers {
    std::size_t count{0};
    // Of those that cannot be removed, why; and of a root that cannot be listed. They stay.
    std::vector<std::string> failures;
};

// Removes the job directories of earlier servers beneath `jobs_root` (which is there) and nothing else: not what has
// another kind of name, not what a living server, this one among them, holds. In turns, while others work, until
// `over` says that it is to end (asked before each directory; may be empty).
boost::asio::awaitable<removed_leftovers> remove_leftovers(std::filesystem::path jobs_root,
                                                           std::function<bool()> over = {});

// The same, and the log tells of it: `what` they were, such as "job directories".
boost::asio::awaitable<void> clear_leftovers(std::filesystem::path jobs_root, std::string what,
                                             std::function<bool()> over);

}  // namespace sandboxd::disk
