#include "preflight.hpp"

#include "compile/argument_policy.hpp"
#include "compile/source_file.hpp"
#include "daemon.hpp"
#include "http/address.hpp"
#include "jail/jail.hpp"
#include "process/spawn.hpp"

#include <boost/asio/io_context.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <utility>

namespace sandboxd::app {

namespace fs = std::filesystem;

namespace {

// Empty, or why this directory neither is there for this user nor can be made.
std::string unusable(const fs::path& directory)
{
    fs::path there = directory;
    std::error_code ec;
    while (!fs::exists(there, ec) && there.has_relative_path()) there = there.parent_path();
    if (!fs::is_directory(there, ec)) return there.native() + " is not a directory";
    if (::access(there.c_str(), W_OK | X_OK) == 0) return {};
    const std::string why = std::strerror(errno);
    return there == directory ? there.native() + " cannot be written to: " + why
                              : directory.native() + " cannot be made: " + there.native() + ": " + why;
}

void check_directories(const config::settings& settings, std::vector<std::string>& problems)
{
    // Without the first none of the others can be: one problem, one cure.
    if (const auto why = unusable(settings.working_path()); !why.empty()) {
        problems.push_back("workingDir: " + why + "; make it writable for this user, or choose another workingDir");
        return;
    }
    const std::pair<const char*, fs::path> rows[] = {{"jobsDir", settings.jobs_path()},
                                                     {"artifactsDir", settings.artifacts_path()}};
    for (const auto& [key, path] : rows)
        if (const auto why = unusable(path); !why.empty())
            problems.push_back(std::string{key} + ": " + why + "; make it writable for this user, or set another");
}

void check_paths(const config::settings& settings, std::vector<std::string>& problems)
{
    for (const auto& mount : settings.toolchain.mounts)
        if (::access(mount.c_str(), F_OK) != 0)
            problems.push_back("toolchain.mounts: " + mount + ": " + std::strerror(errno));
    const std::pair<const char*, std::string> programs[] = {
        {"toolchain.emcc", settings.toolchain.emcc},   {"toolchain.emsdk", settings.toolchain.emsdk},
        {"js.workerPath", settings.js.worker_path},    {"runtimes.node", settings.runtimes.node},
        {"runtimes.bun", settings.runtimes.bun},       {"runtimes.esbuild", settings.runtimes.esbuild},
        {"runtimes.python", settings.runtimes.python}, {"faas.initPath", settings.faas.init_path},
        {"ociRuntimePath", settings.oci_runtime_path}};
    for (const auto& [key, path] : programs) {
        // A bare name is looked up on PATH, by the jail that it is for.
        if (path.find('/') != std::string::npos && ::access(path.c_str(), X_OK) != 0)
            problems.push_back(std::string{key} + ": " + path + " cannot be executed: " + std::strerror(errno));
    }
    const std::pair<const char*, std::string> files[] = {{"faas.npm", settings.faas.npm},
                                                         {"faas.installCaFile", settings.faas.install_ca_file}};
    for (const auto& [key, path] : files)
        if (!path.empty() && ::access(path.c_str(), R_OK) != 0)
            problems.push_back(std::string{key} + ": " + path + " cannot be read: " + std::strerror(errno));
}

// A directory of this check alone: what a jail finds in a server's own it takes for an earlier server's, and ends it.
class scratch_directory {
public:
    scratch_directory()
    {
        auto name = (fs::temp_directory_path() / "sandboxd-check-XXXXXX").native();
        if (::mkdtemp(name.data()) != nullptr) path_ = name;
    }
    ~scratch_directory()
    {
        std::error_code ignored;
        if (!path_.empty()) fs::remove_all(path_, ignored);
    }
    scratch_directory(const scratch_directory&) = delete;
    scratch_directory& operator=(const scratch_directory&) = delete;

    const fs::path& path() const noexcept { return path_; }

private:
    fs::path path_;
};

void check_jail(const config::settings& settings, std::vector<std::string>& problems)
{
    const scratch_directory scratch;
    if (scratch.path().empty()) {
        problems.push_back("jail: cannot be tried: " + fs::temp_directory_path().native() + ": " +
                           std::strerror(errno));
        return;
    }
    process::prepare_this_process();
    auto elsewhere = settings;
    elsewhere.working_dir = scratch.path();
    elsewhere.base_dir = ".";
    elsewhere.jobs_dir = "jobs";
    std::error_code ec;
    // Jobs get to theirs as another user.
    ::chmod(scratch.path().c_str(), 0711);
    fs::create_directory(elsewhere.jobs_path(), ec);
    boost::asio::io_context io{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE};
    if (const auto chosen = choose_jail(io, elsewhere); !chosen) problems.push_back(chosen.error().message);
}

}  // namespace

std::vector<std::string> lost_default_args(const config::settings& settings)
{
    std::vector<std::string> problems;
    // What some compile gets is not lost: one in C, one in C++, one with files of that name.
    const compile::policy_limits limits{.any_files = true};
    const auto applied = compile::apply_policy(settings.default_args, {}, compile::language::mixed, limits);
    if (!applied) {
        problems.push_back("defaultArgs: " + applied.error().message);
        return problems;
    }
    for (const auto& one : applied->ignored) {
        if (!one.changes_program) continue;
        problems.push_back("defaultArgs: '" + one.token + "' " + one.reason + ", and no compile will get it");
    }
    return problems;
}

std::vector<std::string> check_start(const config::settings& settings)
{
    std::vector<std::string> problems;
    check_directories(settings, problems);
    check_paths(settings, problems);
    auto lost = lost_default_args(settings);
    problems.insert(problems.end(), std::make_move_iterator(lost.begin()), std::make_move_iterator(lost.end()));
    check_jail(settings, problems);
    return problems;
}

}  // namespace sandboxd::app
