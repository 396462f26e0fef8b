#include "wiring.hpp"

#include "base/secret_file.hpp"
#include "base/uuid.hpp"

#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <utility>

namespace sandboxd::app {

namespace fs = std::filesystem;

namespace {

// The directory of this program and of the programs that belong to it.
fs::path own_directory()
{
    std::error_code ec;
    return fs::read_symlink("/proc/self/exe", ec).parent_path();
}

std::size_t processors()
{
    cpu_set_t mine;
    if (::sched_getaffinity(0, sizeof mine, &mine) != 0) return 1;
    return static_cast<std::size_t>(CPU_COUNT(&mine));
}

std::string from_environment(const char* name)
{
    const char* const value = std::getenv(name);
    return value == nullptr ? std::string{} : std::string{value};
}

// sandboxd-js is built and installed next to this program.
std::string js_worker_path(const config::js_section& from)
{
    return from.worker_path.empty() ? (own_directory() / "sandboxd-js").native() : from.worker_path;
}

jail::job_limits job_limits(const config::job_limits_section& from)
{
    return {.memory_bytes = config::bytes(from.memory_mb),
            .file_bytes = config::bytes(from.file_mb),
            .tmp_bytes = config::bytes(from.tmp_mb),
            .open_files = static_cast<std::uint32_t>(from.open_files),
            .processes = static_cast<std::uint32_t>(from.processes),
            .cpu_percent = static_cast<std::uint32_t>(from.cpu_percent),
            .cpu = std::chrono::seconds{from.cpu_secs}};
}

std::optional<disk::job_directory::owner> owner_of_jobs(const jail::jail& wall)
{
    const auto owner = wall.owner();
    if (!owner) return std::nullopt;
    return disk::job_directory::owner{.uid = owner->uid, .gid = owner->gid};
}

error fault(const char* key, const error& why) { return {why.code, key + (": " + why.message)}; }

// What an HTTP service of the operator's needs beside its URL.
struct service_access {
    std::string authorization;                       // empty: none
    std::shared_ptr<boost::asio::ssl::context> tls;  // null for http://
};
// Of the URL, the credential and the certificates, for messages.
struct service_keys {
    const char* url;
    const char* credential;
    const char* authorities;
};

result<service_access> access_to(const remote::service_url& where, const service_keys& keys,
                                 const std::string& credential_file, const std::string& ca_file)
{
    service_access made;
    const auto in_url = std::string{"use https:// in "} + keys.url;
    if (!credential_file.empty()) {
        if (!where.tls && !where.is_loopback())
            return fault(keys.credential, invalid_request("would be sent over http:// for all to read; " + in_url));
        const auto text = read_secret(credential_file, 1);
        if (!text) return fault(keys.credential, text.error());
        auto value = remote::authorization_of(*text);
        if (!value) return fault(keys.credential, {value.error().code, credential_file + " " + value.error().message});
        made.authorization = std::move(*value);
    }
    if (where.tls) {
        auto tls = remote::make_tls_context(ca_file);
        if (!tls) return fault(keys.authorities, tls.error());
        made.tls = std::move(*tls);
    } else if (!ca_file.empty()) {
        return fault(keys.authorities, invalid_request("has no use with http://; " + in_url));
    }
    return made;
}

}  // namespace

http::server_settings http_limits(const config::settings& all)
{
    const auto& from = all.http;
    using std::chrono::seconds;
    return {.connections = static_cast<std::size_t>(from.max_connections),
            .connections_a_client = static_cast<std::size_t>(from.max_connections_per_client),
            .requests_a_minute = static_cast<std::size_t>(from.max_requests_per_minute_per_client),
            .trust_forwarded = all.proxy.trust_forwarded,
            .received_bytes = config::bytes(from.max_received_mb),
            .pending_bytes = config::bytes(from.max_pending_mb),
            .unsent_bytes = config::bytes(from.max_unsent_mb),
            .header_bytes = static_cast<std::size_t>(from.max_header_bytes),
            .header_fields = static_cast<std::size_t>(from.max_header_fields),
            .target_bytes = static_cast<std::size_t>(from.max_target_bytes),
            .header_timeout = seconds{from.header_timeout_secs},
            .body_timeout = seconds{from.body_timeout_secs},
            .read_bytes_per_sec = static_cast<std::uint64_t>(from.min_read_bytes_per_sec),
            .idle_timeout = seconds{from.idle_timeout_secs},
            .write_timeout = seconds{from.write_timeout_secs},
            .write_bytes_per_sec = static_cast<std::uint64_t>(from.min_write_bytes_per_sec)};
}

json_limits json_limits_of(const config::settings& all)
{
    return {.max_depth = static_cast<std::size_t>(all.http.max_json_depth),
            .max_members = static_cast<std::size_t>(all.http.max_json_members)};
}

api::request_limits request_limits_of(const config::settings& all, std::int64_t max_files)
{
    return {.json = json_limits_of(all), .max_files = static_cast<std::size_t>(max_files)};
}

admission::gate_settings gate_settings(const config::settings& from)
{
    const auto most = static_cast<std::size_t>(from.max_concurrent_jobs);
    return {.by_memory = from.enable_resource_gating,
            .cgroup = from.cgroup_path(),
            .limits = {.estimate_bytes = config::bytes(from.job_memory_estimate_mb),
                       .max_queued = static_cast<std::size_t>(from.max_queued_jobs),
                       .max_running = most > 0 ? most : 2 * processors(),
                       .max_reserved = static_cast<std::size_t>(from.reserved_jobs),
                       .queue_timeout = std::chrono::seconds{from.queue_timeout_secs}}};
}

admission::gate_settings sandbox_gate_settings(const config::settings& from)
{
    const auto& section = from.sandboxes;
    return {.by_memory = from.enable_resource_gating,
            .cgroup = from.cgroup_path(),
            .limits = {.estimate_bytes = config::bytes(section.memory_estimate_mb),
                       .max_queued = static_cast<std::size_t>(section.max_queued),
                       .max_running = static_cast<std::size_t>(section.max_concurrent_sandboxes),
                       .max_reserved = static_cast<std::size_t>(section.reserved_sandboxes),
                       .queue_timeout = std::chrono::seconds{section.queue_timeout_secs}},
            .label = "kind=\"sandbox\""};
}

compile::emcc_settings emcc_settings(const config::settings& from, const jail::jail& wall)
{
    // If the operator has set the path, the environment does not count.
    const bool looks_around = from.toolchain.path == config::toolchain_section{}.path;
    return {.emcc = from.toolchain.emcc,
            .emsdk = from.toolchain.emsdk,
            .environment_emsdk = looks_around ? from_environment("EMSDK") : std::string{},
            .environment_path = looks_around ? from_environment("PATH") : std::string{},
            .scratch = from.jobs_path(),
            .path = from.toolchain.path,
            .mounts = from.toolchain.mounts.empty() ? compile::default_mounts() : from.toolchain.mounts,
            .env = from.toolchain.env,
            .limits = job_limits(from.job_limits),
            .wall = std::chrono::seconds{from.compile_timeout_secs},
            .output_bytes = static_cast<std::size_t>(from.compile.max_output_bytes),
            .warm_jails = static_cast<std::size_t>(from.compile.warm_jails),
            .ready = from.ready_path(),
            .owner = owner_of_jobs(wall)};
}

toolchain::warm_settings warm_settings(const config::settings& from)
{
    return {.enabled = from.compile.warm != "off",
            .init = init_of(from),
            .kit = {.memory_bytes = config::bytes(from.compile.warm_memory_mb), .inside = jail::inside},
            .answers = {.bytes = config::bytes(from.compile.warm_answers_mb),
                        .preamble_bytes = config::bytes(from.compile.warm_preambles_mb),
                        .preambles_file = from.sandboxes_path().parent_path() / "preambles.json"}};
}

compile::service_settings compile_settings(const config::settings& from, const jail::jail& wall)
{
    compile::service_settings into;
    into.jobs = from.jobs_path();
    into.default_args = from.default_args;
    into.strict_args = from.compile.strict_args;
    into.sources.max_files = static_cast<std::size_t>(from.compile.max_files);
    into.sources.max_total_bytes = static_cast<std::size_t>(from.compile.max_source_bytes);
    into.artifact_bytes = config::bytes(from.compile.max_artifact_mb);
    into.artifacts_bytes = config::bytes(from.compile.max_artifacts_mb);
    into.disk.max_bytes = config::bytes(from.compile.max_job_disk_mb);
    into.disk.max_inodes = static_cast<std::uint64_t>(from.compile.max_job_files);
    into.owner = owner_of_jobs(wall);
    return into;
}

api::mcp_settings mcp_settings_of(const config::settings& from)
{
    return {.enabled = from.mcp.enabled,
            .output_bytes = static_cast<std::size_t>(from.mcp.max_output_bytes),
            .resource_bytes = static_cast<std::size_t>(from.mcp.max_resource_bytes),
            .progress = std::chrono::milliseconds{from.mcp.progress_ms}};
}

js::service_settings js_settings(const config::settings& all)
{
    const auto& from = all.js;
    js::service_settings into;
    into.pool.executable = js_worker_path(from);
    into.pool.workers = from.workers > 0 ? static_cast<std::size_t>(from.workers) : processors();
    into.pool.reserved_workers = static_cast<std::size_t>(from.reserved_workers);
    into.pool.max_waiting = static_cast<std::size_t>(from.max_queued);
    into.pool.queue_timeout = std::chrono::seconds{from.queue_timeout_secs};
    into.pool.runs_a_worker = static_cast<std::uint64_t>(from.runs_per_worker);
    into.pool.worker_memory_bytes = config::bytes(from.worker_memory_mb);
    into.defaults = {.init_fuel = from.fuel,
                     .fuel = from.fuel,
                     .memory_bytes = static_cast<std::uint64_t>(from.memory_limit_bytes),
                     .wall = std::chrono::milliseconds{from.timeout_ms},
                     .console_bytes = static_cast<std::uint32_t>(from.max_console_bytes),
                     .result_bytes = static_cast<std::uint32_t>(from.max_result_bytes)};
    into.most = into.defaults;
    into.most.init_fuel = into.most.fuel = from.max_fuel;
    into.most.memory_bytes = static_cast<std::uint64_t>(from.max_memory_limit_bytes);
    into.most.wall = std::chrono::milliseconds{from.max_timeout_ms};
    into.max_modules = static_cast<std::size_t>(from.max_modules);
    into.cache_bytes = static_cast<std::size_t>(from.cache_bytes);
    into.max_tools = static_cast<std::size_t>(from.max_tools);
    into.max_pending_calls = static_cast<std::uint32_t>(from.max_pending_calls);
    into.continuations = {.max_bytes = static_cast<std::size_t>(from.continuation_bytes),
                          .max_count = static_cast<std::size_t>(from.max_continuations),
                          .ttl = std::chrono::seconds{from.continuation_ttl_secs}};
    return into;
}

artifacts::store_settings store_settings(const config::settings& from)
{
    artifacts::store_settings into;
    into.root = from.artifacts_path();
    into.ttl = std::chrono::hours{24 * from.artifact_ttl_days};
    into.memory_cache_bytes = config::bytes(from.artifacts.memory_cache_mb);
    into.max_total_bytes = config::bytes(from.artifacts.max_total_mb);
    return into;
}

result<shared_store_parts> shared_store_of(const config::settings& from)
{
    const auto& section = from.store;
    auto where = remote::parse_service_url(section.remote);
    if (!where) return fault("store.remote", where.error());
    if (section.signing_key_file.empty())
        return fault("store.signingKeyFile",
                     invalid_request("is missing; without it, whoever can write to store.remote decides what clients "
                                     "get; put at least 32 random bytes, as text, into a file of mode 0400, the same "
                                     "on each machine"));
    auto key = read_secret(section.signing_key_file, remote::signing_key::least_bytes);
    if (!key) return fault("store.signingKeyFile", key.error());
    auto access = access_to(*where, {"store.remote", "store.remoteCredentialFile", "store.remoteCaFile"},
                            section.remote_credential_file, section.remote_ca_file);
    if (!access) return access.error();
    remote::shared_store_settings how{
        .client = {.where = std::move(*where),
                   .authorization = std::move(access->authorization),
                   .connections = static_cast<std::size_t>(section.remote_connections)},
        .key = remote::signing_key{std::move(*key)},
        .timeout = std::chrono::milliseconds{section.remote_timeout_ms},
        .least_rate = static_cast<std::uint64_t>(section.remote_min_kb_per_sec) * 1024,
        .fetches = static_cast<std::size_t>(section.max_remote_fetches),
        .fetches_per_client = static_cast<std::size_t>(section.max_remote_fetches_per_client),
        .fetch_bytes = config::bytes(section.max_remote_fetch_mb),
        .queued = static_cast<std::size_t>(section.max_remote_queued),
        .queue_bytes = config::bytes(section.max_remote_queue_mb),
        .write_timeout = std::chrono::seconds{section.remote_write_timeout_secs},
        .write_attempts = static_cast<unsigned>(section.remote_write_attempts),
        .failures = static_cast<unsigned>(section.remote_failures),
        .pause = std::chrono::seconds{section.remote_pause_secs},
        .caps = {.max_bytes_each = config::bytes(from.compile.max_artifact_mb),
                 .max_bytes_total = config::bytes(from.compile.max_artifacts_mb)}};
    return shared_store_parts{std::move(how), std::move(access->tls)};
}

remote::blob_store_settings blob_store_of(const remote::shared_store_settings& from)
{
    return {.client = from.client,
            .key = from.key,
            .timeout = from.timeout,
            .least_rate = from.least_rate,
            .transfers = from.fetches,
            .transfers_per_client = from.fetches_per_client,
            .transfer_bytes = from.fetch_bytes,
            .failures = from.failures,
            .pause = from.pause};
}

result<cluster_parts> cluster_of(const config::settings& from)
{
    const auto& section = from.cluster;
    auto where = cluster::parse_redis_url(section.redis);
    if (!where) return fault("cluster.redis", where.error());
    cluster::credential secret{.user = where->user, .password = {}};
    if (!section.redis_credential_file.empty()) {
        if (!where->is_private())
            return fault(
                "cluster.redisCredentialFile",
                invalid_request("would be sent over redis:// for all to read; use rediss:// in cluster.redis"));
        auto line = read_secret(section.redis_credential_file, 1);
        if (!line) return fault("cluster.redisCredentialFile", line.error());
        secret = cluster::credential_of(std::move(*line), *where);
        if (secret.password.empty())
            return fault("cluster.redisCredentialFile",
                         invalid_request(section.redis_credential_file +
                                         " has no password behind the user; write PASSWORD or USER:PASSWORD"));
    } else if (!where->user.empty()) {
        return fault("cluster.redisCredentialFile",
                     invalid_request("is missing; the user in cluster.redis needs the file with its password"));
    }
    const bool has_tls = where->by == cluster::redis_url::transport::tls;
    std::shared_ptr<boost::asio::ssl::context> tls;
    if (has_tls) {
        auto made = remote::make_tls_context(section.redis_ca_file);
        if (!made) return fault("cluster.redisCaFile", made.error());
        tls = std::move(*made);
    } else if (!section.redis_ca_file.empty()) {
        return fault("cluster.redisCaFile", invalid_request("has no use without rediss:// in cluster.redis"));
    }
    std::optional<cluster::peer_link_settings> peers;
    if (!section.listen.empty()) {
        const auto at = cluster::parse_peer_address(section.listen);
        if (!at) return fault("cluster.listen", at.error());
        if (!section.advertise.empty())
            if (const auto told = cluster::parse_own_address(section.advertise); !told)
                return fault("cluster.advertise", told.error());
        peers = cluster::peer_link_settings{.listen = *at,
                                            .advertise = section.advertise,
                                            .timeout = std::chrono::milliseconds{section.peer_timeout_ms},
                                            .handshakes = static_cast<std::size_t>(section.max_peer_handshakes),
                                            .calls = static_cast<std::size_t>(section.max_peer_calls)};
    } else if (!section.advertise.empty()) {
        return fault("cluster.advertise", invalid_request("has no use without cluster.listen"));
    }
    const auto message_bytes = static_cast<std::size_t>(section.max_redis_message_kb) * 1024;
    return cluster_parts{.redis = {.where = std::move(*where),
                                   .secret = std::move(secret),
                                   .timeout = std::chrono::milliseconds{section.redis_timeout_ms},
                                   .reconnect = std::chrono::milliseconds{section.reconnect_max_ms},
                                   .calls = static_cast<std::size_t>(section.max_redis_calls),
                                   .message_bytes = message_bytes},
                         .tls = std::move(tls),
                         .leases = {.prefix = section.key_prefix,
                                    .time = std::chrono::seconds{section.lease_secs},
                                    .wait = std::chrono::milliseconds{section.compile_wait_ms},
                                    .waiting = static_cast<std::size_t>(section.max_compile_waits)},
                         .sandboxes = {.prefix = section.key_prefix,
                                       .most = static_cast<std::size_t>(section.max_sandboxes),
                                       .idle = std::chrono::seconds{from.sandboxes.idle_secs},
                                       .files = sandbox_settings(from).files,
                                       .page_bytes = message_bytes / 4},
                         .keys = {.prefix = section.key_prefix,
                                  .poll = std::chrono::milliseconds{section.keys_poll_ms},
                                  .most = static_cast<std::size_t>(from.auth.max_keys)},
                         .deployments = {.prefix = section.key_prefix,
                                         .most = static_cast<std::size_t>(section.max_deployments),
                                         .time = std::chrono::seconds{section.lease_secs},
                                         .files = faas_settings(from).files,
                                         .revisions = static_cast<std::uint64_t>(section.max_revisions),
                                         .gone = std::chrono::hours{24 * section.deleted_days},
                                         .page_bytes = message_bytes / 4},
                         .scripts = {.prefix = section.key_prefix,
                                     .time = std::chrono::seconds{section.lease_secs},
                                     .home = std::chrono::seconds{section.script_home_secs},
                                     .most = static_cast<std::size_t>(section.max_script_homes),
                                     .known = static_cast<std::size_t>(section.max_known_places)},
                         .quotas = {.prefix = section.key_prefix, .time = std::chrono::seconds{section.lease_secs}},
                         .peers = std::move(peers)};
}

result<telemetry_parts> telemetry_of(const config::settings& from)
{
    const auto& section = from.telemetry;
    auto where = remote::parse_service_url(section.otlp_endpoint);
    if (!where) return fault("telemetry.otlpEndpoint", where.error());
    auto access = access_to(*where, {"telemetry.otlpEndpoint", "telemetry.otlpCredentialFile", "telemetry.otlpCaFile"},
                            section.otlp_credential_file, section.otlp_ca_file);
    if (!access) return access.error();
    // Who has the whole URL may write that.
    if (where->path.ends_with(telemetry::traces_path))
        where->path.resize(where->path.size() - telemetry::traces_path.size());
    using telemetry::flag_trust;
    const auto trust = section.trust_traceparent == "everybody" ? flag_trust::everybody
                       : section.trust_traceparent == "keys"    ? flag_trust::keys
                                                                : flag_trust::nobody;
    telemetry_parts made;
    // One connection: whatever is to be sent, the collector gets one request at a time.
    made.exporter.client = {
        .where = std::move(*where), .authorization = std::move(access->authorization), .connections = 1};
    made.exporter.who = {.service = section.service_name, .version = SANDBOXD_VERSION, .instance = new_uuid()};
    made.exporter.queued_bytes = static_cast<std::size_t>(section.max_queued_kb) * 1024;
    made.exporter.batch_bytes = static_cast<std::size_t>(section.max_batch_kb) * 1024;
    made.exporter.delay = std::chrono::milliseconds{section.batch_delay_ms};
    made.exporter.timeout = std::chrono::milliseconds{section.timeout_ms};
    made.exporter.longest_pause = std::chrono::milliseconds{section.retry_max_ms};
    made.exporter.attempts = static_cast<unsigned>(section.max_attempts);
    made.tls = std::move(access->tls);
    made.tracer = {.sample_ratio = section.sample_ratio,
                   .trust = trust,
                   .spans_per_sec = static_cast<std::uint64_t>(section.max_spans_per_sec)};
    return made;
}

jail::jail_settings jail_settings(const config::settings& from, const std::string& instance_id)
{
    jail::jail_settings wanted;
    wanted.kind = from.wanted_jail();
    wanted.written_as = from.as_written("jail");
    wanted.how_to_choose = [&from](std::string_view name) { return from.how_to_choose_jail(name); };
    wanted.bubblewrap_path = from.bubblewrap_path;
    wanted.nsjail_path = from.nsjail_path;
    wanted.oci_runtime_path = from.oci_runtime_path;
    wanted.init_path = init_of(from);
    wanted.docker = {.socket_path = from.docker.socket_path,
                     .image = from.docker.image,
                     .timeout = std::chrono::seconds{from.docker.timeout_secs}};
    wanted.containers_directory = from.containers_path();
    wanted.instance = instance_id;
    wanted.uids = {.first = static_cast<std::uint32_t>(from.jail_uid),
                   .count = static_cast<std::uint32_t>(from.jail_uid_count)};
    wanted.jobs_directory = from.jobs_path();
    return wanted;
}

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
    into.warm_bytes = config::bytes(section.warm_memory_mb);
    into.processors = processors();
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
    into.max_instances = from.cluster.max_instances;
    into.scale_up_requests = static_cast<std::size_t>(section.scale_up_requests);
    into.warm_bytes = config::bytes(section.warm_memory_mb);
    into.processors = processors();
    into.seat_idle = std::chrono::seconds{section.seat_idle_secs};
    into.known_places = static_cast<std::size_t>(from.cluster.max_known_places);
    into.log_bytes = static_cast<std::size_t>(section.log_bytes);
    into.log_bytes_per_sec = static_cast<std::size_t>(section.log_bytes_per_sec);
    into.life.max_waiting = static_cast<std::size_t>(section.max_waiting);
    into.life.most_crashes = static_cast<unsigned>(section.max_crashes);
    into.life.idle = std::chrono::minutes{section.scale_down_after_minutes};
    return into;
}

jobs::job_list_settings job_list_settings(const config::settings& from)
{
    const auto& how = from.async_jobs;
    return {.ttl = std::chrono::seconds{how.ttl_secs},
            .max_jobs = static_cast<std::size_t>(how.max_jobs),
            .max_jobs_per_client = static_cast<std::size_t>(how.max_jobs_per_client),
            .max_bytes = config::bytes(how.max_total_mb),
            .max_followers = static_cast<std::size_t>(how.max_followers_per_job)};
}

tenants::key_table_settings keys_of(const config::settings& from)
{
    const auto& section = from.auth;
    return {.file = section.keys_file,
            .limits = {.max_keys = static_cast<std::size_t>(section.max_keys),
                       .max_bytes = static_cast<std::size_t>(section.max_keys_file_kb) * 1024}};
}

jobs::answer_store_settings answer_store_settings(const config::settings& from)
{
    const auto& how = from.idempotency;
    return {.ttl = std::chrono::seconds{how.ttl_secs},
            .max_keys = static_cast<std::size_t>(how.max_keys),
            .max_keys_per_client = static_cast<std::size_t>(how.max_keys_per_client),
            .max_bytes = config::bytes(how.max_answers_mb)};
}

proxy::forwarder_settings proxy_limits(const config::settings& from)
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
    into.max_files = static_cast<std::uint64_t>(section.max_install_files);
    into.max_total_bytes = config::bytes(section.max_packages_mb);
    const auto share = section.max_packages_mb_per_client;
    into.max_client_bytes = share > 0 ? config::bytes(share) : std::max(into.max_total_bytes / 2, into.max_bytes);
    into.max_running = static_cast<std::size_t>(section.max_concurrent_installs);
    into.max_queued = static_cast<std::size_t>(section.max_queued_installs);
    into.queue_timeout = std::chrono::seconds{section.install_queue_timeout_secs};
    into.limits = {.memory_bytes = config::bytes(section.install_memory_mb),
                   .file_bytes = into.max_bytes,
                   .tmp_bytes = config::bytes(64),
                   .open_files = 4096,
                   .processes = 256};
    return into;
}

}  // namespace sandboxd::app
