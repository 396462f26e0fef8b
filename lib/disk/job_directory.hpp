// The directory of one job, from its first source file to its last trace.
//
//     <jobs root>/                      ours: the jobs' group may pass through, but not list it
//     <jobs root>/<id>.<random>/        the same
//     <jobs root>/<id>.<random>/src/    the sources, written by us; whoever can reach them can read them
//     <jobs root>/<id>.<random>/out/    the job's output, mode 0700, owned by the uid that it runs as
//
// No other user of the machine can read any of it, whatever the umask.
//
// Destroying the object removes whatever the job left: directories nested deeper than PATH_MAX, a hundred thousand
// files, directories without permissions. `remove_leftovers` removes the directories of a killed server at the next
// start; a lock (flock(2)) on each directory protects those of another running server.
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
    // The uid and gid that the job runs as, if not this process' own.
    struct owner {
        uid_t uid{};
        gid_t gid{};
    };

    // Makes the directories; `jobs_root` is absolute and is made when missing. `id` is 1 to 64 characters of
    // [A-Za-z0-9_-]. Giving `out/` to another owner needs CAP_CHOWN. Without `job`, as root, everybody who can pass
    // through the root directory may read the sources: its group is the wall. Errors: io, with path and cause.
    static result<job_directory> create(const std::filesystem::path& jobs_root, std::string_view id,
                                        std::optional<owner> job = std::nullopt);

    // Moves it below another root, under a name with `id`, as `create` would have made it there: what is mounted
    // somewhere stays mounted. Errors: io; everything is as before then.
    result<void> move_to(const std::filesystem::path& jobs_root, std::string_view id);

    job_directory(job_directory&& other) noexcept { *this = std::move(other); }
    job_directory& operator=(job_directory&& other) noexcept;
    // Removes the tree like `remove` if nobody has; what stays is logged as a warning. Prefer `remove_in_turns`: this
    // blocks the loop if the job left many files.
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

    // The space used by `out/`, as tree_usage counts it, plus deleted files in use, as find_deleted
    // (deleted_files.hpp) counts them. Safe while the job runs. `leader`: the job's first process, 0 if there is
    // none. This object must not be removed or moved meanwhile.
    boost::asio::awaitable<used_space> usage(tree_caps caps, pid_t leader, async::turns& turn) const;

    // Whether its file system is nearly full: less than 16 MiB or 64 inodes, if it reports them. A failure of the job
    // need not be the job's fault then.
    bool short_of_room() const;

    // Removes the tree. Call it only when every process of the job is gone. Calling it again does nothing. Errors:
    // io, naming the first thing that could not be removed; the rest is removed nevertheless.
    result<void> remove();

    // The same in turns, so that others are served in between. It may be called again after an error; otherwise, or
    // after a cancellation, the destructor does the rest.
    boost::asio::awaitable<result<void>> remove_in_turns();

private:
    job_directory() = default;

    unique_fd root_;    // jobs_root
    std::string name_;  // below it; empty when there is nothing to remove
    unique_fd own_;     // the directory itself; holds the lock
    unique_fd source_;
    unique_fd output_;
    std::filesystem::path path_;
    std::optional<gid_t> group_;  // may read the sources
    mode_t file_mode_{};
    mode_t directory_mode_{};
};

struct removed_leftovers {
    std::size_t count{0};
    // Why directories cannot be removed, or the root cannot be listed. They stay.
    std::vector<std::string> failures;
};

// Removes the job directories of earlier servers below `jobs_root`, which must exist. It leaves other names, and
// directories that a running server holds, including this one. Works in turns until `over` returns true (called
// before each directory; may be empty).
boost::asio::awaitable<removed_leftovers> remove_leftovers(std::filesystem::path jobs_root,
                                                           std::function<bool()> over = {});

// The same, and logs it; `what` names them: "job directories".
boost::asio::awaitable<void> clear_leftovers(std::filesystem::path jobs_root, std::string what,
                                             std::function<bool()> over);

}  // namespace sandboxd::disk
