#include "preflight.hpp"

#include "base/path.hpp"
#include "base/unique_fd.hpp"
#include "compile/argument_policy.hpp"
#include "compile/emcc.hpp"
#include "compile/emsdk.hpp"
#include "compile/source_file.hpp"
#include "daemon.hpp"
#include "faas/registry_proxy.hpp"
#include "http/address.hpp"
#include "jail/jail.hpp"
#include "process/spawn.hpp"
#include "tenants/keys_file.hpp"
#include "wiring.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <grp.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <memory>
#include <string_view>
#include <utility>
#include <variant>

namespace sandboxd::app {

namespace fs = std::filesystem;

namespace {

// Why this directory cannot be used or made by this user; empty if it can. It tries to make one, because modes do not
// tell on a file system like /proc.
std::string unusable(const fs::path& directory)
{
    fs::path there = directory;
    std::error_code ec;
    while (!fs::exists(there, ec) && there.has_relative_path()) there = there.parent_path();
    if (!fs::is_directory(there, ec)) return there.native() + " is not a directory";
    auto trial = (there / ".sandboxd-check-XXXXXX").native();
    if (::mkdtemp(trial.data()) != nullptr) {
        ::rmdir(trial.c_str());
        return {};
    }
    const std::string why = std::strerror(errno);
    return there == directory ? there.native() + " is not writable: " + why
                              : directory.native() + " cannot be made: " + there.native() + ": " + why;
}

// What helps against it; to be followed by how to set another directory.
std::string cure_of(std::string_view why)
{
    return why.ends_with("is not a directory") ? "; " : "; make it writable for this user, or ";
}

void check_directories(const config::settings& settings, std::vector<std::string>& problems)
{
    // Without the first one none of the others can exist: report one problem.
    if (const auto why = unusable(settings.working_path()); !why.empty()) {
        problems.push_back("workingDir: " + why + cure_of(why) + "choose another workingDir");
        return;
    }
    const std::pair<const char*, fs::path> rows[] = {
        {"baseDir", (settings.working_path() / settings.base_dir).lexically_normal()},
        {"jobsDir", settings.jobs_path()},
        {"artifactsDir", settings.artifacts_path()}};
    for (const auto& [key, path] : rows)
        if (const auto why = unusable(path); !why.empty())
            problems.push_back(std::string{key} + ": " + why + cure_of(why) + "set another");
}

// Whether this address can be bound; does not listen. An address in use is fine: usually the server of this
// configuration uses it.
std::string cannot_bind(const sockaddr* address, socklen_t size)
{
    const unique_fd socket{::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (!socket) return std::strerror(errno);
    const int on = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(socket.get(), address, size) == 0 || errno == EADDRINUSE) return {};
    return std::strerror(errno);
}

void check_tcp(const http::tcp_address& where, std::vector<std::string>& problems)
{
    const auto fault = [&](const std::string& why) {
        problems.push_back("addr: cannot listen on " + where.host + ":" + std::to_string(where.port) + ": " + why);
    };
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE;
    addrinfo* found = nullptr;
    const auto port = std::to_string(where.port);
    if (const int failure =
            ::getaddrinfo(where.host.empty() ? nullptr : where.host.c_str(), port.c_str(), &hints, &found);
        failure != 0)
        return fault(::gai_strerror(failure));
    // One address of a name is enough, as in the server: `localhost` may have an IPv6 address on a machine without
    // IPv6.
    std::string first;
    for (const addrinfo* one = found; one; one = one->ai_next) {
        const auto why = cannot_bind(one->ai_addr, one->ai_addrlen);
        if (why.empty()) {
            first.clear();
            break;
        }
        if (first.empty()) first = why;
    }
    ::freeaddrinfo(found);
    if (!first.empty()) fault(first);
}

bool may_give_to(gid_t group)
{
    if (::geteuid() == 0 || ::getegid() == group) return true;
    const int count = ::getgroups(0, nullptr);
    std::vector<gid_t> mine(count > 0 ? static_cast<std::size_t>(count) : 0);
    return !mine.empty() && ::getgroups(count, mine.data()) == count && std::ranges::find(mine, group) != mine.end();
}

void check_unix(const http::unix_address& where, const std::string& group, std::vector<std::string>& problems)
{
    const fs::path file{where.path};
    std::error_code ec;
    const auto fault = [&](const std::string& why) {
        problems.push_back("addr: cannot listen on " + where.path + ": " + why);
    };
    const auto kind = fs::symlink_status(file, ec).type();
    if (kind != fs::file_type::not_found && kind != fs::file_type::socket)
        fault("the path exists and is not a socket");
    else if (!fs::is_directory(file.parent_path(), ec))
        fault(file.parent_path().native() + " is not a directory");
    else if (const auto why = unusable(file.parent_path()); !why.empty())
        fault(why);
    if (group.empty()) return;
    const auto* const found = ::getgrnam(group.c_str());
    if (!found)
        problems.push_back("http.unixSocketGroup: there is no group '" + group +
                           "' on this machine; create it (groupadd --system) or set another one");
    else if (!may_give_to(found->gr_gid))
        problems.push_back("http.unixSocketGroup: " + where.path + " cannot be given to group '" + group +
                           "'; run the server as root or as a member of the group");
}

void check_address(const config::settings& settings, std::vector<std::string>& problems)
{
    const auto where = http::parse_address(settings.addr);
    if (!where)
        problems.push_back("addr: " + where.error().message);
    else if (const auto* const tcp = std::get_if<http::tcp_address>(&*where))
        check_tcp(*tcp, problems);
    else
        check_unix(std::get<http::unix_address>(*where), settings.http.unix_socket_group, problems);
}

// Without a toolchain the server starts, but is never ready.
void check_toolchain(const config::settings& settings, std::vector<std::string>& problems)
{
    const auto& from = settings.toolchain;
    if (!from.emcc.empty()) return;  // checked with the other programs
    if (!from.emsdk.empty()) {
        if (const auto found = compile::read_emsdk(from.emsdk); !found)
            problems.push_back("toolchain.emsdk: " + found.error().message);
        return;
    }
    const bool looks_around = from.path == config::toolchain_section{}.path;
    const char* const emsdk = looks_around ? std::getenv("EMSDK") : nullptr;
    const char* const path = looks_around ? std::getenv("PATH") : nullptr;
    if ((emsdk && compile::read_emsdk(emsdk)) || (path && !find_program(path, "emcc").empty()) ||
        !find_program(from.path, "emcc").empty())
        return;
    problems.push_back("toolchain.path: there is no emcc on " + from.path +
                       "; install emscripten, or set toolchain.emcc or toolchain.emsdk");
}

// The settings of installs; requests that need one would be refused.
void check_registry(const config::settings& settings, std::vector<std::string>& problems)
{
    const auto& from = settings.faas;
    const auto check = [&](const char* key, const std::string& url, const char* such = "https://registry.example") {
        const auto read = faas::parse_registry_url(url);
        if (!read)
            problems.push_back(std::string{key} + ": " + read.error().message + "; write it with a scheme, such as '" +
                               such + "'");
        return read.has_value() && read->at.tls;
    };
    if (!from.registry.empty()) check("faas.registry", from.registry);
    for (const auto& one : from.install_hosts) check("faas.installHosts", one);
    if (!from.install_proxy.empty() && check("faas.installProxy", from.install_proxy, "http://proxy.example:3128"))
        problems.push_back("faas.installProxy: must be an http: URL (TLS connections go through it, too)");
}

void check_store(const config::settings& settings, std::vector<std::string>& problems)
{
    if (settings.store.remote.empty()) return;
    if (const auto parts = shared_store_of(settings); !parts) problems.push_back(parts.error().message);
}

void check_cluster(const config::settings& settings, std::vector<std::string>& problems)
{
    if (settings.cluster.redis.empty()) return;
    if (const auto parts = cluster_of(settings); !parts) problems.push_back(parts.error().message);
}

void check_telemetry(const config::settings& settings, std::vector<std::string>& problems)
{
    if (settings.telemetry.otlp_endpoint.empty()) return;
    if (const auto parts = telemetry_of(settings); !parts) problems.push_back(parts.error().message);
}

// Why this file cannot be used, by access(2); empty if it can.
std::string unusable_file(const std::string& file, int how)
{
    struct stat seen{};
    if (::stat(file.c_str(), &seen) == 0 && !S_ISREG(seen.st_mode))
        return file + (S_ISDIR(seen.st_mode) ? " is a directory" : " is not a file");
    if (::access(file.c_str(), how) == 0) return {};
    return file + (how == X_OK ? " cannot be executed: " : " cannot be read: ") + std::strerror(errno);
}

void check_keys(const config::settings& settings, std::vector<std::string>& problems)
{
    const auto from = keys_of(settings);
    if (from.file.empty()) return;
    if (const auto read = tenants::load_keys(from.file, from.limits); !read)
        problems.push_back("auth.keysFile: " + read.error().message);
}

void check_paths(const config::settings& settings, std::vector<std::string>& problems)
{
    for (const auto& mount : settings.toolchain.mounts)
        if (::access(mount.c_str(), F_OK) != 0)
            problems.push_back("toolchain.mounts: " + mount + ": " + std::strerror(errno));
    std::vector<std::pair<std::string, std::string>> programs{{"toolchain.emcc", settings.toolchain.emcc},
                                                              {"js.workerPath", settings.js.worker_path},
                                                              {"faas.initPath", settings.faas.init_path},
                                                              {"ociRuntimePath", settings.oci_runtime_path}};
    for (const auto& [key, path] : config::runtime_paths)
        programs.emplace_back(std::string{"runtimes."} + key, settings.runtimes.*path);
    for (const auto& [key, path] : programs) {
        // The jail looks up a bare name on PATH.
        if (path.find('/') == std::string::npos) continue;
        if (const auto why = unusable_file(path, X_OK); !why.empty()) problems.push_back(key + ": " + why);
    }
    const std::pair<const char*, std::string> files[] = {{"faas.npm", settings.faas.npm},
                                                         {"faas.installCaFile", settings.faas.install_ca_file}};
    for (const auto& [key, path] : files) {
        if (path.empty()) continue;
        if (const auto why = unusable_file(path, R_OK); !why.empty()) problems.push_back(std::string{key} + ": " + why);
    }
}

// Without these files the server starts, and no job waits for memory.
void check_gate(const config::settings& settings, std::vector<std::string>& problems)
{
    if (!settings.enable_resource_gating) return;
    for (const auto* const name : {"memory.max", "memory.current"}) {
        const auto why = unusable_file(settings.cgroup_path() / name, R_OK);
        if (why.empty()) continue;
        problems.push_back("cgroupV2Root: " + why +
                           "; set it to the directory of a cgroup v2 with a memory limit, or "
                           "enableResourceGating to false");
        return;
    }
}

// A directory for this check only: a jail would end everything in a server's directory as an earlier server's.
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

bool is_told(const std::vector<std::string>& problems, std::string_view key)
{
    return std::ranges::any_of(problems, [&](const std::string& one) { return one.starts_with(key); });
}

// Starts emcc in its jail.
void check_emcc(boost::asio::io_context& io, const config::settings& settings, jail::jail& wall,
                std::vector<std::string>& problems)
{
    if (is_told(problems, "toolchain.")) return;
    compile::emcc toolchain{wall, emcc_settings(settings, wall)};
    std::exception_ptr thrown;
    boost::asio::co_spawn(io, toolchain.look(), [&](std::exception_ptr e, const result<compile::toolchain_info>& got) {
        thrown = std::move(e);
        if (thrown || got) return;
        const std::string key = !settings.toolchain.emcc.empty()    ? "emcc"
                                : !settings.toolchain.emsdk.empty() ? "emsdk"
                                                                    : "path";
        problems.push_back("toolchain." + key + ": " + got.error().message);
    });
    io.run();
    io.restart();
    if (thrown) std::rethrow_exception(thrown);
}

void check_jail(const config::settings& settings, std::vector<std::string>& problems)
{
    // They are a part of the jail: it would fail of the same cause.
    if (is_told(problems, "faas.initPath") || (settings.wanted_jail() == "oci" && is_told(problems, "ociRuntimePath")))
        return;
    const scratch_directory scratch;
    if (scratch.path().empty()) {
        problems.push_back("jail: cannot be tested: " + fs::temp_directory_path().native() + ": " +
                           std::strerror(errno));
        return;
    }
    process::prepare_this_process();
    auto elsewhere = settings;
    elsewhere.working_dir = scratch.path();
    elsewhere.base_dir = ".";
    elsewhere.jobs_dir = "jobs";
    std::error_code ec;
    // Jobs reach their directories as another user.
    ::chmod(scratch.path().c_str(), 0711);
    fs::create_directory(elsewhere.jobs_path(), ec);
    boost::asio::io_context io{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE};
    const auto chosen = choose_jail(io, elsewhere);
    if (!chosen)
        problems.push_back(chosen.error().message);
    else
        check_emcc(io, elsewhere, **chosen, problems);
}

}  // namespace

std::vector<std::string> lost_default_args(const config::settings& settings)
{
    std::vector<std::string> problems;
    // An argument is lost only if no compile gets it: neither in C nor in C++ nor with files of that name.
    const compile::policy_limits limits{.any_files = true};
    const auto applied = compile::apply_policy(settings.default_args, {}, compile::language::mixed, limits);
    if (!applied) {
        problems.push_back("defaultArgs: " + applied.error().message);
        return problems;
    }
    for (const auto& one : applied->ignored) {
        if (!one.changes_program) continue;
        problems.push_back("defaultArgs: '" + one.token + "' " + one.reason + ", so no compile gets it; remove it");
    }
    return problems;
}

std::vector<std::string> check_start(const config::settings& settings)
{
    std::vector<std::string> problems;
    check_address(settings, problems);
    check_directories(settings, problems);
    check_keys(settings, problems);
    check_paths(settings, problems);
    check_toolchain(settings, problems);
    check_registry(settings, problems);
    check_store(settings, problems);
    check_cluster(settings, problems);
    check_telemetry(settings, problems);
    check_gate(settings, problems);
    auto lost = lost_default_args(settings);
    problems.insert(problems.end(), std::make_move_iterator(lost.begin()), std::make_move_iterator(lost.end()));
    check_jail(settings, problems);
    return problems;
}

}  // namespace sandboxd::app
