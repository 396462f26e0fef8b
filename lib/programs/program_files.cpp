#include "programs/program_files.hpp"

#include "base/path.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"

#include <algorithm>
#include <array>
#include <set>

namespace sandboxd::programs {

namespace {

constexpr path_limits program_paths{.max_bytes = 512, .max_part_bytes = 200, .max_parts = 16};

constexpr std::array<std::string_view, 8> plain_extensions{"js", "cjs", "mjs", "jsx", "ts", "cts", "mts", "tsx"};

// A file that a runtime does not read for settings or variables of its own.
bool is_plain_program(std::string_view path)
{
    const auto dot = path.rfind('.');
    return !path.starts_with('.') && path.find('/') == std::string_view::npos && dot != std::string_view::npos &&
           std::ranges::find(plain_extensions, path.substr(dot + 1)) != plain_extensions.end();
}

}  // namespace

std::string path_fault(std::string_view path)
{
    path_walk walk{path, program_paths};
    if (walk.fault()) return describe(*walk.fault(), program_paths);
    if (!is_valid_utf8(path)) return "is not UTF-8";
    if (std::ranges::any_of(path,
                            [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\'; }))
        return "holds a control character or a backslash";
    for (bool first = true; const auto part = walk.next(); first = false) {
        if (first && *part == "node_modules")
            return "lies in node_modules, which only the server fills; put your own modules into another "
                   "folder, such as vendor/, and import it by its path, or bundle all into one file (a deployment may "
                   "name packages of the registry in package.json, under dependencies)";
        if (*part == ".npmrc" || *part == "bunfig.toml")
            return "would configure the package manager, which only the server does; leave it out";
    }
    return walk.fault() ? describe(*walk.fault(), program_paths) : std::string{};
}

error too_many_files(std::size_t most)
{
    return {errc::payload_too_large, "more than " + std::to_string(most) + " files"};
}

result<void> check_files(const std::vector<program_file>& files, const file_limits& limits)
{
    if (files.size() > limits.max_files) return too_many_files(limits.max_files);
    std::size_t bytes = 0;
    std::set<std::string, std::less<>> seen;
    for (const auto& file : files) {
        if (const auto fault = path_fault(file.path); !fault.empty())
            return error{errc::invalid_request, "file " + in_quotes(file.path) + " " + fault};
        if (!seen.insert(file.path).second)
            return error{errc::invalid_request,
                         "file " + in_quotes(file.path) + " comes twice; give each file its own path"};
        bytes += file.content.size();
    }
    if (bytes > limits.max_bytes)
        return error{errc::payload_too_large,
                     "the files are larger than " + std::to_string(limits.max_bytes) + " bytes in total"};
    for (const auto& path : seen) {
        const auto below = seen.lower_bound(path + "/");
        if (below != seen.end() && below->starts_with(path + "/"))
            return error{errc::invalid_request, "file " + in_quotes(path) + " is also a directory; rename one of them"};
    }
    return {};
}

std::string entry_point_cure(std::string_view usual, const std::vector<std::string>& paths)
{
    const auto extension = usual.substr(std::min(usual.rfind('.'), usual.size()));
    const std::string* best = nullptr;
    for (const auto& path : paths) {
        if (!path.ends_with(extension)) continue;
        if (!best || std::ranges::count(path, '/') < std::ranges::count(*best, '/')) best = &path;
    }
    return "; name the file to run as entry_point" + (best ? ", such as '" + *best + "'" : std::string{});
}

bool can_boot_before(const std::vector<std::string>& paths, const waiting& how)
{
    return !how.reads_other_files || (paths.size() == 1 && is_plain_program(paths.front()));
}

}  // namespace sandboxd::programs
