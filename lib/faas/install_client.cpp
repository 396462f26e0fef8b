#include "faas/install_client.hpp"

#include "base/path.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

namespace sandboxd::faas {

namespace {

// Distinguishes builds of a program without running it.
std::string identity_of(const std::string& file)
{
    struct stat seen{};
    if (::stat(file.c_str(), &seen) != 0) return file;
    return file + " " + std::to_string(seen.st_size) + " " + std::to_string(seen.st_mtim.tv_sec);
}

// npm is a script; its folder contains what it needs. Empty when it is missing.
std::string real_npm(std::string named, std::string_view search_path)
{
    if (named.empty()) named = find_program(search_path, "npm");
    std::error_code ec;
    const auto script = std::filesystem::canonical(named, ec);
    return ec ? std::string{} : script.native();
}

}  // namespace

std::optional<install_client> find_install_client(const programs::program_places& there, std::string npm,
                                                  std::string_view search_path)
{
    // An operator who names an npm wants that one.
    const bool by_bun = !there.bun.empty() && npm.empty();
    npm = real_npm(std::move(npm), search_path);
    if (!by_bun && (there.node.empty() || npm.empty())) return std::nullopt;
    const auto all = programs::runtimes_of(there);
    const auto& runtime = *std::ranges::find(all, by_bun ? "bun" : "node", &programs::runtime::name);
    install_client made;
    made.bun = by_bun;
    made.version = identity_of(by_bun ? there.bun : npm);
    made.argv = {runtime.program};
    made.mounts = runtime.mounts;
    made.reserved_bytes = runtime.reserved_bytes;
    if (by_bun) return made;
    made.argv.push_back(npm);
    const auto folder = std::filesystem::path{npm}.parent_path().parent_path();
    // Node.js' own mounts already include these.
    if (!folder.native().starts_with("/usr/lib/") && !folder.native().starts_with("/usr/share/nodejs/"))
        made.mounts.push_back({.source = folder, .target = folder});
    return made;
}

}  // namespace sandboxd::faas
