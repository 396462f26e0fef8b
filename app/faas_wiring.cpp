#include "faas_wiring.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <sstream>

namespace sandboxd::app {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t mib = 1024 * 1024;
// What JavaScriptCore maps writable when it starts, used or not; V8 takes care not to.
constexpr std::uint64_t bun_reserves = 512 * mib;
constexpr std::uint64_t node_reserves = 128 * mib;

std::string find_program(const std::string& path, const std::string& name)
{
    std::istringstream directories{path};
    for (std::string directory; std::getline(directories, directory, ':');) {
        const auto candidate = directory + "/" + name;
        if (directory.starts_with('/') && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    }
    return {};
}

// Tells one build of a program from the next without running it.
std::string identity_of(const std::string& file)
{
    struct stat seen{};
    if (::stat(file.c_str(), &seen) != 0) return file;
    return file + " " + std::to_string(seen.st_size) + " " + std::to_string(seen.st_mtim.tv_sec);
}

std::vector<jail::mount> library_mounts()
{
    std::vector<jail::mount> made;
    for (const char* path : {"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache"})
        made.push_back({.source = path, .target = path, .optional = true});
    return made;
}

faas::hosted_runtime node_at(const std::string& file)
{
    faas::hosted_runtime made{.name = "node", .command = "node", .program = "/runtime/node",
                              .mounts = library_mounts(), .entry_name = "index.js",
                              .reserved_bytes = node_reserves};
    made.mounts.push_back({.source = file, .target = made.program});
    return made;
}

faas::hosted_runtime bun_at(const std::string& file)
{
    faas::hosted_runtime made{.name = "bun", .command = "bun", .program = "/runtime/bun",
                              .mounts = library_mounts(), .run_file = {"run"}, .entry_name = "index.ts",
                              .reserved_bytes = bun_reserves};
    made.mounts.push_back({.source = file, .target = made.program});
    return made;
}

std::string node_of(const config::settings& from)
{
    return from.faas.node.empty() ? find_program(from.toolchain.path, "node") : from.faas.node;
}

std::string bun_of(const config::settings& from)
{
    return from.faas.bun.empty() ? find_program(from.toolchain.path, "bun") : from.faas.bun;
}

// npm is a script; its folder holds what it needs.
std::string npm_of(const config::settings& from)
{
    const auto named = from.faas.npm.empty() ? find_program(from.toolchain.path, "npm") : from.faas.npm;
    std::error_code ec;
    const auto script = fs::canonical(named, ec);
    return ec ? std::string{} : script.native();
}

std::optional<faas::install_client> client_of(const config::settings& from)
{
    faas::install_client made;
    if (const auto bun = bun_of(from); !bun.empty()) {
        const auto runtime = bun_at(bun);
        made.bun = true;
        made.version = identity_of(bun);
        made.argv = {runtime.program};
        made.mounts = runtime.mounts;
        made.reserved_bytes = runtime.reserved_bytes;
        return made;
    }
    const auto node = node_of(from);
    const auto npm = npm_of(from);
    if (node.empty() || npm.empty()) return std::nullopt;
    const auto runtime = node_at(node);
    const auto folder = fs::path{npm}.parent_path().parent_path();
    made.version = identity_of(npm);
    made.argv = {runtime.program, npm};
    made.mounts = runtime.mounts;
    made.reserved_bytes = runtime.reserved_bytes;
    // Below /usr/lib it is there already; Debian's npm keeps its parts in /usr/share/nodejs.
    made.mounts.push_back({.source = "/usr/share/nodejs", .target = "/usr/share/nodejs", .optional = true});
    if (!folder.native().starts_with("/usr/lib/") && !folder.native().starts_with("/usr/share/nodejs/"))
        made.mounts.push_back({.source = folder, .target = folder});
    return made;
}

}  // namespace

faas::service_settings faas_settings(const config::settings& from, const jail::jail& wall)
{
    const auto& section = from.faas;
    faas::service_settings into;
    into.root = from.deployments_path();
    if (section.init_path.empty()) {
        std::error_code ec;
        into.init = (fs::read_symlink("/proc/self/exe", ec).parent_path() / "sandboxd-init").native();
    } else {
        into.init = section.init_path;
    }
    if (const auto node = node_of(from); !node.empty()) into.runtimes.push_back(node_at(node));
    if (const auto bun = bun_of(from); !bun.empty()) {
        into.runtimes.push_back(bun_at(bun));
        // Bun runs TypeScript as it is.
        into.runtimes.push_back(bun_at(bun));
        into.runtimes.back().name = "typescript";
    }
    into.max_deployments = static_cast<std::size_t>(section.max_deployments);
    into.files = {.max_files = static_cast<std::size_t>(section.max_files),
                  .max_bytes = static_cast<std::size_t>(section.max_file_bytes)};
    into.default_memory_mb = section.memory_mb;
    into.max_memory_mb = section.max_memory_mb;
    const auto walls = wall.walls();
    into.memory_by_cgroup =
        std::ranges::any_of(walls, [](const auto& one) { return one.find("(cgroup)") != std::string::npos; });
    into.limits = {.file_bytes = static_cast<std::uint64_t>(section.tmp_mb) * mib,
                   .tmp_bytes = static_cast<std::uint64_t>(section.tmp_mb) * mib,
                   .open_files = static_cast<std::uint32_t>(section.open_files),
                   .processes = static_cast<std::uint32_t>(section.processes),
                   .cpu_percent = static_cast<std::uint32_t>(section.cpu_percent)};
    into.start_timeout = std::chrono::seconds{section.start_timeout_secs};
    into.stop_grace = std::chrono::seconds{section.stop_grace_secs};
    into.drain_grace = std::chrono::seconds{section.drain_grace_secs};
    into.max_requests = static_cast<std::size_t>(section.max_requests);
    into.log_bytes = static_cast<std::size_t>(section.log_bytes);
    into.log_bytes_per_sec = static_cast<std::size_t>(section.log_bytes_per_sec);
    into.life.max_waiting = static_cast<std::size_t>(section.max_waiting);
    into.life.most_crashes = static_cast<unsigned>(section.max_crashes);
    into.life.idle = std::chrono::minutes{section.scale_down_after_minutes};
    return into;
}

faas::installer_settings install_settings(const config::settings& from)
{
    const auto& section = from.faas;
    faas::installer_settings into;
    into.root = from.packages_path();
    into.allow = section.allow_install;
    into.client = client_of(from);
    into.registry = section.registry;
    into.ca_file = section.install_ca_file;
    into.proxy = section.install_proxy;
    into.wall = std::chrono::seconds{section.install_timeout_secs};
    into.max_bytes = static_cast<std::uint64_t>(section.max_install_mb) * mib;
    into.max_total_bytes = static_cast<std::uint64_t>(section.max_packages_mb) * mib;
    into.limits = {.memory_bytes = static_cast<std::uint64_t>(section.install_memory_mb) * mib,
                   .file_bytes = into.max_bytes,
                   .tmp_bytes = 64 * mib,
                   .open_files = 4096,
                   .processes = 256};
    return into;
}

}  // namespace sandboxd::app
