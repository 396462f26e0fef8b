#include "faas_wiring.hpp"

#include <filesystem>

namespace sandboxd::app {

namespace fs = std::filesystem;

namespace {

// Where this program is, and what belongs to it.
fs::path own_directory()
{
    std::error_code ec;
    return fs::read_symlink("/proc/self/exe", ec).parent_path();
}

}  // namespace

programs::program_places programs_of(const config::settings& from)
{
    const auto& section = from.runtimes;
    const auto helpers = (own_directory().parent_path() / "libexec/sandboxd").native();
    return programs::find_programs(
        {.node = section.node, .bun = section.bun, .esbuild = section.esbuild, .python = section.python}, helpers,
        from.toolchain.path);
}

sandboxes::service_settings sandbox_settings(const config::settings& from)
{
    const auto& section = from.sandboxes;
    sandboxes::service_settings into;
    into.root = from.sandboxes_path();
    into.max_sandboxes = static_cast<std::size_t>(section.max_sandboxes);
    into.max_total_bytes = config::bytes(section.max_total_mb);
    into.files = {.max_files = static_cast<std::size_t>(section.max_files),
                  .max_bytes = static_cast<std::size_t>(section.max_file_bytes)};
    into.usual = {.wall_ms = section.timeout_ms,
                  .memory_mb = section.memory_mb,
                  .cpu_secs = section.cpu_secs,
                  .processes = section.processes,
                  .output_bytes = section.output_bytes,
                  .disk_mb = section.disk_mb};
    into.most = {.wall_ms = section.max_timeout_ms,
                 .memory_mb = section.max_memory_mb,
                 .cpu_secs = section.max_cpu_secs,
                 .processes = section.max_processes,
                 .output_bytes = section.max_output_bytes,
                 .disk_mb = section.max_disk_mb};
    into.open_files = static_cast<std::uint32_t>(section.open_files);
    into.cpu_percent = static_cast<std::uint32_t>(section.cpu_percent);
    into.warm_jails = static_cast<std::size_t>(section.warm_jails);
    into.init = init_of(from);
    into.idle = std::chrono::seconds{section.idle_secs};
    into.cleanup_interval = std::chrono::seconds{section.cleanup_interval_secs};
    return into;
}

std::string init_of(const config::settings& from)
{
    return from.faas.init_path.empty() ? (own_directory() / "sandboxd-init").native() : from.faas.init_path;
}

faas::service_settings faas_settings(const config::settings& from)
{
    const auto& section = from.faas;
    faas::service_settings into;
    into.root = from.deployments_path();
    into.init = init_of(from);
    into.max_deployments = static_cast<std::size_t>(section.max_deployments);
    into.files = {.max_files = static_cast<std::size_t>(section.max_files),
                  .max_bytes = static_cast<std::size_t>(section.max_file_bytes)};
    into.default_memory_mb = section.memory_mb;
    into.max_memory_mb = section.max_memory_mb;
    into.limits = {.file_bytes = config::bytes(section.tmp_mb),
                   .tmp_bytes = config::bytes(section.tmp_mb),
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

http::proxy_limits proxy_limits(const config::settings& from)
{
    using std::chrono::seconds;
    const auto& section = from.proxy;
    return {.header_timeout = seconds{section.header_timeout_secs},
            .idle_timeout = seconds{section.idle_timeout_secs},
            .tunnel_idle_timeout = seconds{section.tunnel_idle_timeout_secs},
            .write_timeout = seconds{from.http.write_timeout_secs},
            .write_bytes_per_sec = static_cast<std::uint64_t>(from.http.min_write_bytes_per_sec),
            .tunnels = static_cast<std::size_t>(section.max_tunnels),
            .tunnels_a_program = static_cast<std::size_t>(section.max_tunnels_per_program),
            .tunnel_buffer_bytes = static_cast<std::size_t>(section.tunnel_buffer_bytes),
            .early_hints = section.early_hints,
            .idle_connections = static_cast<std::size_t>(section.max_idle_connections),
            .idle_connection_time = seconds{section.idle_connection_secs},
            .body_bytes = config::bytes(section.max_body_mb),
            .header_bytes = static_cast<std::size_t>(section.max_header_bytes)};
}

faas::installer_settings install_settings(const config::settings& from, const programs::program_places& there)
{
    const auto& section = from.faas;
    faas::installer_settings into;
    into.root = from.packages_path();
    into.allow = section.allow_install;
    into.client = faas::find_install_client(there, section.npm, from.toolchain.path);
    into.registry = section.registry;
    into.hosts = section.install_hosts;
    into.init = init_of(from);
    into.ca_file = section.install_ca_file;
    into.proxy = section.install_proxy;
    into.wall = std::chrono::seconds{section.install_timeout_secs};
    into.max_bytes = config::bytes(section.max_install_mb);
    into.max_total_bytes = config::bytes(section.max_packages_mb);
    into.max_running = static_cast<std::size_t>(section.max_concurrent_installs);
    into.limits = {.memory_bytes = config::bytes(section.install_memory_mb),
                   .file_bytes = into.max_bytes,
                   .tmp_bytes = config::bytes(64),
                   .open_files = 4096,
                   .processes = 256};
    return into;
}

}  // namespace sandboxd::app
