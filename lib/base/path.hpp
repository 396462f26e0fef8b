// Paths, as text: where they lie, what strangers may call a file, and where programs are found.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace sandboxd {

// Whether `path` is `directory` or lies below it. Both are absolute and normal: no "..", no slash at the end but that
// of "/". Pure: links are not looked at.
constexpr bool lies_in(std::string_view path, std::string_view directory) noexcept
{
    if (directory == "/") return path.starts_with('/');
    return path.starts_with(directory) && (path.size() == directory.size() || path[directory.size()] == '/');
}

// What a stranger may call a file below a directory of the server's, in bytes and in parts ("a/b" has two).
struct path_limits {
    std::size_t max_bytes;
    std::size_t max_part_bytes;
    std::size_t max_parts;
};

// Why a path cannot be the name of a file below a directory.
enum class path_flaw {
    empty,
    too_long,
    absolute,    // it begins with '/'
    empty_part,  // "a//b", "a/"
    dot_part,    // "." or ".." as a part
    part_too_long,
    too_many_parts,
};

// Goes through the parts of a relative path and ends at its first fault: what is left to the caller is which
// characters and names he takes, and how he words a fault.
//
//     path_walk walk{path, limits};
//     while (const auto part = walk.next()) …
//     if (walk.fault()) …
class path_walk {
public:
    // `path` must outlive it. The faults of the whole path are known at once.
    path_walk(std::string_view path, const path_limits& limits) noexcept;

    // The next part; empty at the end and from the first fault on.
    std::optional<std::string_view> next() noexcept;
    std::optional<path_flaw> fault() const noexcept { return fault_; }

private:
    std::optional<std::string_view> stop(path_flaw why) noexcept;

    std::string_view rest_;
    path_limits limits_;
    std::size_t parts_{0};
    bool at_end_{false};
    std::optional<path_flaw> fault_;
};

// Whether this process may execute the file (access(2), X_OK). Looks at the disk.
bool is_executable(const std::string& file);
// The same of a plain file, which a directory is not.
bool is_program(const std::string& file);

// The first file of that name in the directories, which colons separate (as in PATH), that `fits`; empty when there is
// none. Only absolute directories count: what a relative one means depends on where the server was started.
std::string find_program(std::string_view directories, std::string_view name,
                         bool (*fits)(const std::string& file) = is_executable);

}  // namespace sandboxd
