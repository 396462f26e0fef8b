#include "base/path.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace sandboxd {

std::string describe(path_flaw flaw, const path_limits& limits)
{
    switch (flaw) {
        using enum path_flaw;
        case empty: return "is empty";
        case too_long: return "is longer than " + std::to_string(limits.max_bytes) + " bytes";
        case absolute: return "is absolute; it must be relative";
        case empty_part: return "has an empty component";
        case dot_part: return "has a '.' or '..' component";
        case part_too_long: return "has a component longer than " + std::to_string(limits.max_part_bytes) + " bytes";
        case too_many_parts: break;
    }
    return "has more than " + std::to_string(limits.max_parts) + " components";
}

path_walk::path_walk(std::string_view path, const path_limits& limits) noexcept : rest_{path}, limits_{limits}
{
    if (path.empty())
        fault_ = path_flaw::empty;
    else if (path.size() > limits.max_bytes)
        fault_ = path_flaw::too_long;
    else if (path.front() == '/')
        fault_ = path_flaw::absolute;
}

std::optional<std::string_view> path_walk::next() noexcept
{
    if (fault_ || at_end_) return std::nullopt;
    const auto slash = rest_.find('/');
    const auto part = rest_.substr(0, slash);
    if (part.empty()) return stop(path_flaw::empty_part);
    if (part == "." || part == "..") return stop(path_flaw::dot_part);
    if (part.size() > limits_.max_part_bytes) return stop(path_flaw::part_too_long);
    if (++parts_ > limits_.max_parts) return stop(path_flaw::too_many_parts);
    at_end_ = slash == std::string_view::npos;
    rest_.remove_prefix(at_end_ ? rest_.size() : slash + 1);
    return part;
}

std::optional<std::string_view> path_walk::stop(path_flaw why) noexcept
{
    fault_ = why;
    return std::nullopt;
}

bool is_executable(const std::string& file) { return ::access(file.c_str(), X_OK) == 0; }

bool is_program(const std::string& file)
{
    struct stat seen{};
    return ::stat(file.c_str(), &seen) == 0 && S_ISREG(seen.st_mode) && is_executable(file);
}

std::string find_program(std::string_view directories, std::string_view name,
                         const std::function<bool(const std::string&)>& fits)
{
    while (!directories.empty()) {
        const auto directory = directories.substr(0, directories.find(':'));
        directories.remove_prefix(std::min(directories.size(), directory.size() + 1));
        if (!directory.starts_with('/')) continue;
        auto candidate = std::string{directory} + "/" + std::string{name};
        if (fits(candidate)) return candidate;
    }
    return {};
}

}  // namespace sandboxd
