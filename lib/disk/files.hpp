// Files and directories by descriptor, for walking, reading and writing trees that others may change meanwhile. Every
// operation takes an open directory and one plain component.
#pragma once

#include "base/errc.hpp"
#include "base/unique_fd.hpp"

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sandboxd::disk {

// "cannot <doing> <path>: <what errno says>".
error io_error(std::string_view doing, std::string_view path, int error_number);

// Opens `name`, one component, in the directory without following links or crossing a mount point (openat2(2); if the
// kernel lacks it, openat(2) with O_NOFOLLOW, which differs for one component only in the mount point). Adds
// O_CLOEXEC and O_NOFOLLOW to `flags`. Empty with errno set on failure.
unique_fd open_in(int directory, const char* name, int flags, mode_t mode = 0);

// Another descriptor for the same directory with its own offset, so that it can be listed.
unique_fd reopen_directory(int directory);

// The kind of file, by its mode: "a symbolic link", "a FIFO", …
std::string_view kind_of(mode_t mode) noexcept;

// Reads up to `into.size()` bytes at `offset`, fewer only at the end of the file; -1 with errno set
// on failure.
std::int64_t read_at(int file, std::span<char> into, std::uint64_t offset);

// Writes all of it at the file's offset; false with errno set on failure.
bool write_all(int file, std::string_view bytes);

// Reads a whole plain file of at most `most` bytes. False with errno set: EFBIG when it is larger,
// EINVAL when it is not a plain file.
bool read_small(int directory, const char* name, std::size_t most, std::string& into);

// Creates `name`, which must not exist, with these bytes, this mode and group; on failure, false with
// errno set and nothing left.
bool write_new(int directory, const char* name, std::string_view bytes, mode_t mode,
               std::optional<gid_t> group = std::nullopt);

// Lists a directory without `.` and `..`, through a buffer of fixed size (getdents64(2)).
class listing {
public:
    struct item {
        const char* name;    // until the next call
        unsigned char type;  // DT_REG, …, or DT_UNKNOWN
    };

    // Takes over a descriptor that nobody else uses for listing.
    explicit listing(unique_fd directory);

    // Null at the end and on an error; `failure` distinguishes them.
    const item* next();
    // errno of the call that failed, or 0.
    int failure() const noexcept { return failure_; }
    int directory() const noexcept { return directory_.get(); }
    // Starts again from the beginning.
    void rewind();

private:
    static constexpr std::size_t capacity = 16 * 1024;

    unique_fd directory_;
    std::unique_ptr<char[]> buffer_;
    std::size_t filled_{0};
    std::size_t place_{0};
    int failure_{0};
    item item_{};
};

}  // namespace sandboxd::disk
