// Paths as text: whether one lies below another, valid names of clients' files, and the search for programs.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace sandboxd {

// Whether `path` is `directory` or lies below it. Both are absolute and normal: no "..", no trailing slash except in
// "/". Pure: ignores links.
constexpr bool lies_in(std::string_view path, std::string_view directory) noexcept
{
    if (directory == "/") return path.starts_with('/');
    return path.starts_with(directory) && (path.size() == directory.size() || path[directory.size()] == '/');
}

// Limits for a client's path below a directory of the server, in bytes and in parts ("a/b" has two).
struct path_limits {
    std::size_t max_bytes;
    std::size_t max_part_bytes;
    std::size_t max_parts;
};

// What is wrong with a path below a directory.
enum class path_flaw {
    empty,
    too_long,
    absolute,    // it begins with '/'
    empty_part,  // "a//b", "a/"
    dot_part,    // "." or ".." as a part
    part_too_long,
    too_many_parts,
};

// What a message says of it behind the path's name, such as "is longer than 200 bytes".
std::string describe(path_flaw flaw, const path_limits& limits);

// Iterates over the parts of a relative path and stops at the first fault. The caller decides which characters and
// names are allowed.
//
//     path_walk walk{path, limits};
//     while (const auto part = walk.next()) …
//     if (walk.fault()) …
class path_walk {
public:
    // `path` must outlive it. Faults of the path as a whole are known at once.
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
// The same for a regular file; false for a directory.
bool is_program(const std::string& file);

// The first file of that name that `fits`, in the directories separated by colons (as in PATH); empty when there is
// none. Only absolute directories count: the meaning of a relative one depends on where the server was started.
std::string find_program(std::string_view directories, std::string_view name,
                         const std::function<bool(const std::string& file)>& fits = is_executable);

}  // namespace sandboxd
