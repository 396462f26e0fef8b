// Reads the configuration. One function for each section has its keys with their bounds; after them come constraints
// between keys, suggestions for unknown keys, and the resolution of relative paths.
#include "config/config.hpp"

#include "base/ascii.hpp"
#include "base/json_fields.hpp"
#include "base/path.hpp"
#include "base/text.hpp"
#include "config/repeated_key.hpp"

#include <boost/json/error.hpp>
#include <boost/json/object.hpp>
#include <boost/json/stream_parser.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <tuple>
#include <utility>

namespace sandboxd::config {

namespace json = boost::json;

namespace {

constexpr std::int64_t bytes_most = 1024 * 1024 * 1024;
constexpr std::int64_t secs_most = 7 * 24 * 3600;
constexpr std::int64_t count_most = 1'000'000;
constexpr std::int64_t reserved_most = 64;
constexpr std::int64_t fuel_most = 1'000'000'000'000'000;
constexpr std::int64_t js_memory_least = 2 * 1024 * 1024;  // the interpreter takes 1.5 MiB of it
constexpr std::int64_t js_ms_most = 3'600'000;
constexpr std::int64_t js_text_most = 64 * 1024 * 1024;  // an answer must fit a frame
constexpr std::string_view unknown_key = "see config.json.example for the known keys";

void one_of(json_fields& fields, std::string_view key, const std::string& value,
            std::initializer_list<std::string_view> allowed)
{
    if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return;
    std::string list;
    for (const auto one : allowed) list += (list.empty() ? "'" : ", '") + std::string{one} + "'";
    fields.fail(key, "is '" + value + "'; it must be one of " + list);
}

// A default and its maximum. If one of them is wrong itself, it is not compared with the other.
void not_more(json_fields& fields, std::string_view key, std::int64_t value, std::string_view most_key,
              std::int64_t most)
{
    if (value > most && !fields.failed_at(key) && !fields.failed_at(most_key))
        fields.fail(key, "must not be more than " + fields.path_of(most_key));
}

// "host" or "[v6]" with an optional ":port", as a browser writes it (WHATWG URL, host serializing): lower case, the
// shortest form of an IPv6 address, no default port. Empty when it is not a host.
std::string origin_host(std::string_view text, std::string_view scheme)
{
    const bool v6 = text.starts_with('[');
    const auto end = v6 ? text.find(']') : text.find(':');
    auto host = in_lower_case(text.substr(0, v6 && end != std::string_view::npos ? end + 1 : end));
    if (v6) {
        in6_addr address{};
        char shortest[INET6_ADDRSTRLEN];
        if (end == std::string_view::npos ||
            ::inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &address) != 1)
            return {};
        host = "[" + std::string{::inet_ntop(AF_INET6, &address, shortest, sizeof shortest)} + "]";
    } else if (host.empty() || !std::ranges::all_of(host, [](char c) {
                   return is_alphanumeric(c) || c == '-' || c == '.' || c == '_';
               })) {
        return {};
    }
    auto rest = text.substr(std::min(text.size(), v6 ? end + 1 : end));
    if (rest.empty()) return host;
    rest.remove_prefix(1);
    std::uint16_t port = 0;
    const auto [used, failed] = std::from_chars(rest.data(), rest.data() + rest.size(), port);
    if (text[text.size() - rest.size() - 1] != ':' || failed != std::errc{} || used != rest.data() + rest.size())
        return {};
    const bool usual = (scheme == "https" && port == 443) || (scheme == "http" && port == 80);
    return usual ? host : host + ":" + std::to_string(port);
}

// Rewrites each origin as a browser sends it in Origin: scheme, host, and the port unless it is the scheme's default;
// nothing after them (RFC 6454 6.2). Anything else would match no page.
void read_origins(json_fields& fields, std::string_view key, std::vector<std::string>& origins)
{
    fields.texts(key, origins);
    for (auto& one : origins) {
        if (one == "*") continue;
        if (one == "null") {
            fields.fail_item(key,
                             "holds 'null', which is the origin of every sandboxed frame and of every local file, " +
                                 std::string{"whoever wrote it; list the origins of your pages, or '*' for all"});
            continue;
        }
        const auto colon = one.find("://");
        const bool has_scheme = colon != std::string::npos && colon > 0;
        const auto scheme = has_scheme ? in_lower_case(std::string_view{one}.substr(0, colon)) : std::string{"https"};
        const bool is_scheme = is_letter(scheme.front()) && std::ranges::all_of(scheme, [](char c) {
                                   return is_alphanumeric(c) || c == '+' || c == '-' || c == '.';
                               });
        const auto rest = std::string_view{one}.substr(has_scheme ? colon + 3 : 0);
        const auto authority = rest.substr(0, rest.find_first_of("/?#"));
        const auto host = origin_host(authority, scheme);
        if (has_scheme && is_scheme && !host.empty() && authority.size() == rest.size()) {
            one = scheme + "://" + host;
            continue;
        }
        if (authority.find('*') != std::string_view::npos) {
            fields.fail_item(key,
                             "holds '" + one + "', but origins have no wildcards; list each host, " + "or '*' for all");
            continue;
        }
        const auto such = is_scheme && !host.empty() ? scheme + "://" + host : std::string{"https://play.example"};
        fields.fail_item(key, "holds '" + one +
                                  "', which is not an origin: write a scheme, a host, an optional port and " +
                                  "nothing after them, such as '" + such + "', or '*' for all");
    }
}

// A name or an address, or "*." and the name of a domain.
bool is_host_pattern(std::string_view text)
{
    if (text == "*") return true;
    const bool v6 = text.starts_with('[') && text.ends_with(']');
    const auto name = text.starts_with("*.") ? text.substr(2) : text;
    return !name.empty() && !name.starts_with('.') && name.find_first_of("/ ,@*") == std::string_view::npos &&
           (v6 || name.find(':') == std::string_view::npos);
}

void read_http(json_fields& fields, http_section& into)
{
    fields.text("unixSocketMode", into.unix_socket_mode);
    const bool octal = into.unix_socket_mode.size() == 4 && into.unix_socket_mode.front() == '0' &&
                       into.unix_socket_mode.find_first_not_of("01234567") == std::string::npos;
    if (!octal) fields.fail("unixSocketMode", "must be four octal digits in quotes, such as \"0660\"");
    fields.text("unixSocketGroup", into.unix_socket_group);
    fields.number("maxConnections", into.max_connections, 1, count_most);
    fields.number("maxConnectionsPerClient", into.max_connections_per_client, 1, count_most);
    fields.number("maxRequestsPerMinutePerClient", into.max_requests_per_minute_per_client, 0, count_most);
    fields.number("maxReceivedMB", into.max_received_mb, 1, mib_most);
    fields.number("maxPendingMB", into.max_pending_mb, 1, mib_most);
    fields.number("maxUnsentMB", into.max_unsent_mb, 1, mib_most);
    fields.number("maxHeaderBytes", into.max_header_bytes, 1024, 1024 * 1024);
    fields.number("maxHeaderFields", into.max_header_fields, 16, 10'000);
    fields.number("maxTargetBytes", into.max_target_bytes, 256, 512 * 1024);
    fields.number("maxBodyBytes", into.max_body_bytes, 1, bytes_most);
    fields.number("maxJsonDepth", into.max_json_depth, 4, 256);
    fields.number("maxJsonMembers", into.max_json_members, 100, 10'000'000);
    fields.number("headerTimeoutSecs", into.header_timeout_secs, 1, secs_most);
    fields.number("bodyTimeoutSecs", into.body_timeout_secs, 1, secs_most);
    fields.number("minReadBytesPerSec", into.min_read_bytes_per_sec, 1, bytes_most);
    fields.number("idleTimeoutSecs", into.idle_timeout_secs, 1, secs_most);
    fields.number("writeTimeoutSecs", into.write_timeout_secs, 1, secs_most);
    fields.number("minWriteBytesPerSec", into.min_write_bytes_per_sec, 1, bytes_most);
    read_origins(fields, "artifactCorsOrigins", into.artifact_cors_origins);
    read_origins(fields, "apiCorsOrigins", into.api_cors_origins);
    if (static_cast<std::uint64_t>(into.max_body_bytes) > bytes(into.max_received_mb) &&
        !fields.failed_at("maxReceivedMB"))
        fields.fail("maxBodyBytes", "must not be more than http.maxReceivedMB");
    if (static_cast<std::uint64_t>(into.max_body_bytes) > bytes(into.max_pending_mb))
        fields.fail("maxBodyBytes", "must not be more than http.maxPendingMB");
    fields.texts("allowedHosts", into.allowed_hosts);
    for (const auto& one : into.allowed_hosts) {
        if (!is_host_pattern(one))
            fields.fail_item("allowedHosts", "holds '" + one +
                                                 "'; write a name or an address without scheme and port, " +
                                                 "such as 'play.example', '*.play.example' or '[::1]', or '*' for all");
    }
}

void read_auth(json_fields& fields, auth_section& into)
{
    fields.text("keysFile", into.keys_file);
    if (!into.keys_file.empty() && !into.keys_file.starts_with('/'))
        fields.fail("keysFile", "must be an absolute path, or empty so that nobody needs a key");
    fields.number("maxKeys", into.max_keys, 1, 10'000);
    fields.number("maxKeysFileKB", into.max_keys_file_kb, 1, 16 * 1024);
    fields.number("reloadSecs", into.reload_secs, 1, 3600);
    fields.boolean("openArtifacts", into.open_artifacts);
}

void read_log(json_fields& fields, log_section& into)
{
    fields.text("level", into.level);
    if (const auto known = parse_level(into.level))
        into.level = name_of(*known);
    else
        one_of(fields, "level", into.level, {"debug", "info", "warning", "warn", "error"});
    fields.text("format", into.format);
    if (const auto known = parse_format(into.format))
        into.format = name_of(*known);
    else
        one_of(fields, "format", into.format, {"text", "json"});
}

void read_env(json_fields& fields, std::vector<std::pair<std::string, std::string>>& into)
{
    const auto* object = fields.object("env");
    if (!object) return;
    into.clear();
    json_fields values{*object, fields.path_of("env")};
    for (const auto& member : *object) {
        std::string value;
        const std::string name{member.key()};
        if (name.empty() || name.find_first_of(std::string_view{"=\0", 2}) != std::string::npos) {
            fields.fail_item("env", "holds the name '" + name +
                                        "', which is not a variable's name (environ(7)): a name is not " +
                                        "empty and has no '='");
            continue;
        }
        values.text(name, value);
        if (value.find('\0') != std::string::npos) values.fail(name, "must not hold a zero byte");
        into.emplace_back(member.key(), std::move(value));
    }
    fields.take_errors(values);
}

void read_toolchain(json_fields& fields, toolchain_section& into)
{
    fields.text("emcc", into.emcc);
    if (!into.emcc.empty() && !into.emcc.starts_with('/'))
        fields.fail("emcc", "must be an absolute path, or empty to search toolchain.path");
    fields.text("emsdk", into.emsdk);
    if (!into.emsdk.empty() && !into.emsdk.starts_with('/')) fields.fail("emsdk", "must be an absolute path, or empty");
    fields.text("path", into.path);
    fields.texts("mounts", into.mounts);
    for (const auto& path : into.mounts) {
        if (!path.starts_with('/') || path == "/")
            fields.fail_item("mounts", "must hold absolute paths below /, not '" + path + "'");
    }
    read_env(fields, into.env);
}

void read_compile(json_fields& fields, compile_section& into)
{
    fields.number("maxSourceBytes", into.max_source_bytes, 1, bytes_most);
    fields.number("maxFiles", into.max_files, 1, 10'000);
    fields.number("maxOutputBytes", into.max_output_bytes, 1024, bytes_most);
    fields.number("maxArtifactMB", into.max_artifact_mb, 1, mib_most);
    fields.number("maxArtifactsMB", into.max_artifacts_mb, 1, mib_most);
    fields.number("maxJobDiskMB", into.max_job_disk_mb, 1, mib_most);
    fields.number("maxJobFiles", into.max_job_files, 1, count_most);
    fields.boolean("strictArgs", into.strict_args);
    fields.text("warm", into.warm);
    one_of(fields, "warm", into.warm, {"auto", "off"});
    fields.number("warmJails", into.warm_jails, 0, 64);
    fields.number("warmMemoryMB", into.warm_memory_mb, 1, mib_most);
    fields.number("warmAnswersMB", into.warm_answers_mb, 0, mib_most);
    fields.number("warmPreamblesMB", into.warm_preambles_mb, 0, mib_most);
}

void read_job_limits(json_fields& fields, job_limits_section& into)
{
    fields.number("memoryMB", into.memory_mb, 0, mib_most);
    fields.number("cpuSecs", into.cpu_secs, 0, secs_most);
    fields.number("cpuPercent", into.cpu_percent, 0, 100'000);
    fields.number("processes", into.processes, 0, count_most);
    fields.number("openFiles", into.open_files, 0, count_most);
    fields.number("fileMB", into.file_mb, 0, mib_most);
    fields.number("tmpMB", into.tmp_mb, 1, mib_most);
}

void read_artifacts(json_fields& fields, artifacts_section& into)
{
    fields.number("maxTotalMB", into.max_total_mb, 0, mib_most);
    fields.number("memoryCacheMB", into.memory_cache_mb, 0, mib_most);
    fields.number("maxAgeSecs", into.max_age_secs, 0, 10LL * 365 * 24 * 3600);
}

void read_store(json_fields& fields, store_section& into)
{
    fields.text("remote", into.remote);
    fields.text("signingKeyFile", into.signing_key_file);
    fields.text("remoteCredentialFile", into.remote_credential_file);
    fields.text("remoteCaFile", into.remote_ca_file);
    fields.number("remoteTimeoutMs", into.remote_timeout_ms, 10, 60'000);
    fields.number("remoteMinKBPerSec", into.remote_min_kb_per_sec, 1, 1'000'000);
    // One is for writing, which must not keep readers waiting.
    fields.number("remoteConnections", into.remote_connections, 2, 256);
    fields.number("remoteFailures", into.remote_failures, 1, 1'000);
    fields.number("remotePauseSecs", into.remote_pause_secs, 1, 3'600);
    fields.number("maxRemoteFetches", into.max_remote_fetches, 1, 10'000);
    fields.number("maxRemoteFetchesPerClient", into.max_remote_fetches_per_client, 1, 10'000);
    fields.number("maxRemoteFetchMB", into.max_remote_fetch_mb, 1, mib_most);
    fields.number("maxRemoteQueued", into.max_remote_queued, 0, count_most);
    fields.number("maxRemoteQueueMB", into.max_remote_queue_mb, 0, mib_most);
    fields.number("remoteWriteTimeoutSecs", into.remote_write_timeout_secs, 1, 3'600);
    fields.number("remoteWriteAttempts", into.remote_write_attempts, 1, 100);
    not_more(fields, "maxRemoteFetchesPerClient", into.max_remote_fetches_per_client, "maxRemoteFetches",
             into.max_remote_fetches);
}

void read_cluster(json_fields& fields, cluster_section& into)
{
    fields.text("redis", into.redis);
    fields.text("redisCredentialFile", into.redis_credential_file);
    fields.text("redisCaFile", into.redis_ca_file);
    fields.number("redisTimeoutMs", into.redis_timeout_ms, 10, 60'000);
    fields.number("reconnectMaxMs", into.reconnect_max_ms, 100, 600'000);
    fields.number("maxRedisCalls", into.max_redis_calls, 1, count_most);
    fields.number("maxRedisMessageKB", into.max_redis_message_kb, 256, 1'024 * 1'024);
    fields.text("keyPrefix", into.key_prefix);
    fields.number("leaseSecs", into.lease_secs, 1, 3'600);
    fields.number("compileWaitMs", into.compile_wait_ms, 0, 600'000);
    fields.number("maxCompileWaits", into.max_compile_waits, 0, count_most);
    fields.number("maxSandboxes", into.max_sandboxes, 1, count_most);
    fields.number("keysPollMs", into.keys_poll_ms, 100, 600'000);
    fields.text("listen", into.listen);
    fields.text("advertise", into.advertise);
    fields.number("peerTimeoutMs", into.peer_timeout_ms, 10, 60'000);
    fields.number("maxPeerHandshakes", into.max_peer_handshakes, 1, count_most);
    fields.number("maxPeerCalls", into.max_peer_calls, 1, count_most);
    fields.number("maxDeployments", into.max_deployments, 1, count_most);
    fields.number("maxRevisions", into.max_revisions, 1, count_most);
    fields.number("maxInstances", into.max_instances, 1, 1'000);
    fields.number("deletedDays", into.deleted_days, 1, 3'650);
    fields.number("scriptHomeSecs", into.script_home_secs, 1, secs_most);
    fields.number("maxScriptHomes", into.max_script_homes, 1, count_most);
    fields.number("maxKnownPlaces", into.max_known_places, 1, count_most);
    const auto is_plain = [](char c) { return c > ' ' && c < 0x7f; };
    if (into.key_prefix.size() > 128 || !std::ranges::all_of(into.key_prefix, is_plain))
        fields.fail("keyPrefix", "must be at most 128 characters of ASCII without blanks");
    // It is renewed three times in that time.
    if (into.lease_secs * 1'000 < 3 * into.redis_timeout_ms && !fields.failed_at("redisTimeoutMs"))
        fields.fail("leaseSecs", "must be at least three times cluster.redisTimeoutMs");
}

void read_telemetry(json_fields& fields, telemetry_section& into)
{
    fields.text("otlpEndpoint", into.otlp_endpoint);
    fields.text("otlpCredentialFile", into.otlp_credential_file);
    fields.text("otlpCaFile", into.otlp_ca_file);
    fields.text("serviceName", into.service_name);
    fields.ratio("sampleRatio", into.sample_ratio);
    fields.text("trustTraceparent", into.trust_traceparent);
    one_of(fields, "trustTraceparent", into.trust_traceparent, {"nobody", "keys", "everybody"});
    fields.number("maxSpansPerSec", into.max_spans_per_sec, 1, count_most);
    fields.number("maxQueuedKB", into.max_queued_kb, 16, 1'024 * 1'024);
    fields.number("maxBatchKB", into.max_batch_kb, 16, 16 * 1'024);
    fields.number("batchDelayMs", into.batch_delay_ms, 1, 600'000);
    fields.number("timeoutMs", into.timeout_ms, 10, 600'000);
    fields.number("retryMaxMs", into.retry_max_ms, 100, 3'600'000);
    fields.number("maxAttempts", into.max_attempts, 1, 1'000);
    if (into.service_name.empty() || into.service_name.size() > 128)
        fields.fail("serviceName", "must be a name of 1 to 128 bytes");
    not_more(fields, "maxBatchKB", into.max_batch_kb, "maxQueuedKB", into.max_queued_kb);
}

void read_js(json_fields& fields, js_section& into)
{
    fields.boolean("enabled", into.enabled);
    fields.text("workerPath", into.worker_path);
    fields.number("workers", into.workers, 0, 1'024);
    fields.number("reservedWorkers", into.reserved_workers, 0, reserved_most);
    fields.number("runsPerWorker", into.runs_per_worker, 1, 1'000'000'000);
    fields.number("workerMemoryMB", into.worker_memory_mb, 1, mib_most);
    fields.number("maxQueued", into.max_queued, 0, count_most);
    fields.number("queueTimeoutSecs", into.queue_timeout_secs, 1, secs_most);
    fields.number("fuel", into.fuel, 1, fuel_most);
    fields.number("maxFuel", into.max_fuel, 1, fuel_most);
    fields.number("memoryLimitBytes", into.memory_limit_bytes, js_memory_least, bytes_most);
    fields.number("maxMemoryLimitBytes", into.max_memory_limit_bytes, js_memory_least, bytes_most);
    fields.number("timeoutMs", into.timeout_ms, 1, js_ms_most);
    fields.number("maxTimeoutMs", into.max_timeout_ms, 1, js_ms_most);
    fields.number("maxModules", into.max_modules, 0, count_most);
    fields.number("maxConsoleBytes", into.max_console_bytes, 0, js_text_most);
    fields.number("maxResultBytes", into.max_result_bytes, 16, js_text_most);
    fields.number("cacheBytes", into.cache_bytes, 0, 64 * bytes_most);
    fields.number("maxTools", into.max_tools, 0, 1'000);
    fields.number("maxPendingCalls", into.max_pending_calls, 1, 10'000);
    fields.number("continuationBytes", into.continuation_bytes, 0, 64 * bytes_most);
    fields.number("maxContinuations", into.max_continuations, 1, 1'000'000);
    fields.number("continuationTtlSecs", into.continuation_ttl_secs, 1, 30 * 86'400);

    if (!into.worker_path.empty() && !into.worker_path.starts_with('/'))
        fields.fail("workerPath", "must be an absolute path, or empty for the sandboxd-js next to this program");
    not_more(fields, "fuel", into.fuel, "maxFuel", into.max_fuel);
    not_more(fields, "memoryLimitBytes", into.memory_limit_bytes, "maxMemoryLimitBytes", into.max_memory_limit_bytes);
    not_more(fields, "timeoutMs", into.timeout_ms, "maxTimeoutMs", into.max_timeout_ms);
    // The sandbox, the image that it is restored from, and the frame that carries an image.
    const auto needed = 3 * into.max_memory_limit_bytes;
    if (into.worker_memory_mb * 1024 * 1024 < needed && !fields.failed_at("maxMemoryLimitBytes"))
        fields.fail("workerMemoryMB", "must be at least three times js.maxMemoryLimitBytes, " +
                                          std::to_string((needed + 1024 * 1024 - 1) / (1024 * 1024)));
}

void read_runtimes(json_fields& fields, runtimes_section& into)
{
    for (const auto& [key, path] : runtime_paths) {
        auto& value = into.*path;
        fields.text(key, value);
        if (!value.empty() && !value.starts_with('/')) fields.fail(key, "must be an absolute path, or empty");
    }
}

void read_sandboxes(json_fields& fields, sandboxes_section& into)
{
    fields.boolean("enabled", into.enabled);
    fields.number("maxSandboxes", into.max_sandboxes, 1, count_most);
    fields.number("maxTotalMB", into.max_total_mb, 1, mib_most);
    fields.number("maxFiles", into.max_files, 1, 10'000);
    fields.number("maxFileBytes", into.max_file_bytes, 1, bytes_most);
    fields.number("maxConcurrentSandboxes", into.max_concurrent_sandboxes, 1, count_most);
    fields.number("reservedSandboxes", into.reserved_sandboxes, 0, reserved_most);
    fields.number("warmJails", into.warm_jails, 0, 1'000);
    fields.number("warmMemoryMB", into.warm_memory_mb, 0, mib_most);
    fields.number("maxQueued", into.max_queued, 0, count_most);
    fields.number("queueTimeoutSecs", into.queue_timeout_secs, 1, secs_most);
    fields.number("memoryEstimateMB", into.memory_estimate_mb, 1, mib_most);
    fields.number("idleSecs", into.idle_secs, 1, 10LL * 365 * 24 * 3600);
    fields.number("cleanupIntervalSecs", into.cleanup_interval_secs, 1, secs_most);
    fields.number("timeoutMs", into.timeout_ms, 1, secs_most * 1000);
    fields.number("maxTimeoutMs", into.max_timeout_ms, 1, secs_most * 1000);
    fields.number("memoryMB", into.memory_mb, 1, mib_most);
    fields.number("maxMemoryMB", into.max_memory_mb, 1, mib_most);
    fields.number("cpuSecs", into.cpu_secs, 1, secs_most);
    fields.number("maxCpuSecs", into.max_cpu_secs, 1, secs_most);
    fields.number("cpuPercent", into.cpu_percent, 0, 100'000);
    fields.number("processes", into.processes, 1, count_most);
    fields.number("maxProcesses", into.max_processes, 1, count_most);
    fields.number("openFiles", into.open_files, 64, count_most);
    fields.number("outputBytes", into.output_bytes, 1, bytes_most);
    fields.number("maxOutputBytes", into.max_output_bytes, 1, bytes_most);
    fields.number("diskMB", into.disk_mb, 1, mib_most);
    fields.number("maxDiskMB", into.max_disk_mb, 1, mib_most);

    const std::tuple<const char*, std::int64_t, const char*, std::int64_t> pairs[] = {
        {"timeoutMs", into.timeout_ms, "maxTimeoutMs", into.max_timeout_ms},
        {"memoryMB", into.memory_mb, "maxMemoryMB", into.max_memory_mb},
        {"cpuSecs", into.cpu_secs, "maxCpuSecs", into.max_cpu_secs},
        {"processes", into.processes, "maxProcesses", into.max_processes},
        {"outputBytes", into.output_bytes, "maxOutputBytes", into.max_output_bytes},
        {"diskMB", into.disk_mb, "maxDiskMB", into.max_disk_mb}};
    for (const auto& [key, usual, most_key, most] : pairs) not_more(fields, key, usual, most_key, most);
}

// "play.example:8080" of "https://play.example:8080/below".
std::string_view authority_of(std::string_view url)
{
    const auto rest = url.substr(url.find("://") + 3);
    return rest.substr(0, rest.find_first_of("/?#"));
}

// A name below which others can be: labels of letters, digits and inner hyphens (RFC 1123 2.1), no IPv4 address.
bool is_domain(std::string_view text)
{
    constexpr std::size_t longest = 253;
    constexpr std::size_t longest_label = 63;
    if (text.size() > longest) return false;
    for (;;) {
        const auto label = text.substr(0, text.find('.'));
        if (label.empty() || label.size() > longest_label || label.starts_with('-') || label.ends_with('-') ||
            !std::ranges::all_of(label, [](char c) { return is_lower(c) || is_digit(c) || c == '-'; }))
            return false;
        if (label.size() == text.size()) return !std::ranges::all_of(label, is_digit);
        text.remove_prefix(label.size() + 1);
    }
}

void read_faas(json_fields& fields, faas_section& into)
{
    fields.boolean("enabled", into.enabled);
    fields.text("initPath", into.init_path);
    fields.text("publicUrl", into.public_url);
    fields.text("baseDomain", into.base_domain);
    fields.number("maxDeployments", into.max_deployments, 1, 10'000);
    fields.number("maxFiles", into.max_files, 1, 10'000);
    fields.number("maxFileBytes", into.max_file_bytes, 1, bytes_most);
    fields.number("memoryMB", into.memory_mb, 1, mib_most);
    fields.number("maxMemoryMB", into.max_memory_mb, 1, mib_most);
    fields.number("cpuPercent", into.cpu_percent, 0, 100'000);
    fields.number("processes", into.processes, 0, count_most);
    fields.number("openFiles", into.open_files, 64, count_most);
    fields.number("tmpMB", into.tmp_mb, 1, mib_most);
    fields.number("scaleDownAfterMinutes", into.scale_down_after_minutes, 0, 525'600);
    fields.number("warmMemoryMB", into.warm_memory_mb, 0, mib_most);
    fields.number("scaleUpRequests", into.scale_up_requests, 0, count_most);
    fields.number("seatIdleSecs", into.seat_idle_secs, 1, secs_most);
    fields.number("startTimeoutSecs", into.start_timeout_secs, 1, secs_most);
    fields.number("stopGraceSecs", into.stop_grace_secs, 0, secs_most);
    fields.number("drainGraceSecs", into.drain_grace_secs, 0, secs_most);
    fields.number("maxRequests", into.max_requests, 1, count_most);
    fields.number("maxWaiting", into.max_waiting, 1, count_most);
    fields.number("maxCrashes", into.max_crashes, 1, 1'000);
    fields.number("logBytes", into.log_bytes, 1024, bytes_most);
    fields.number("logBytesPerSec", into.log_bytes_per_sec, 1024, bytes_most);
    fields.boolean("allowInstall", into.allow_install);
    fields.text("npm", into.npm);
    fields.text("registry", into.registry);
    fields.text("installCaFile", into.install_ca_file);
    fields.text("installProxy", into.install_proxy);
    fields.texts("installHosts", into.install_hosts);
    fields.number("installTimeoutSecs", into.install_timeout_secs, 1, secs_most);
    fields.number("installMemoryMB", into.install_memory_mb, 1, mib_most);
    fields.number("maxInstallMB", into.max_install_mb, 1, mib_most);
    fields.number("maxInstallFiles", into.max_install_files, 1, count_most);
    fields.number("maxPackagesMB", into.max_packages_mb, 1, mib_most);
    fields.number("maxPackagesMBPerClient", into.max_packages_mb_per_client, 0, mib_most);
    fields.number("maxConcurrentInstalls", into.max_concurrent_installs, 1, 1'000);
    fields.number("maxQueuedInstalls", into.max_queued_installs, 0, count_most);
    fields.number("installQueueTimeoutSecs", into.install_queue_timeout_secs, 1, secs_most);

    const std::pair<const char*, const std::string*> paths[] = {
        {"initPath", &into.init_path}, {"npm", &into.npm}, {"installCaFile", &into.install_ca_file}};
    for (const auto& [key, value] : paths)
        if (!value->empty() && !value->starts_with('/')) fields.fail(key, "must be an absolute path, or empty");
    if (!into.public_url.empty() &&
        (!(into.public_url.starts_with("http://") || into.public_url.starts_with("https://")) ||
         into.public_url.ends_with('/')))
        fields.fail("publicUrl", "must begin with http:// or https:// and not end with a slash");
    else if (!into.public_url.empty() && origin_host(authority_of(into.public_url), "").empty())
        fields.fail("publicUrl",
                    "must have a host, and a port of at most 65535 where it has one, such as "
                    "'https://play.example' or 'http://[::1]:8080'");
    // Paths are put behind it.
    else if (std::ranges::any_of(into.public_url,
                                 [](unsigned char c) { return c <= ' ' || c == 0x7f || c == '?' || c == '#'; }))
        fields.fail("publicUrl", "must have no query, no fragment and no blank");
    if (!into.base_domain.empty() && !is_domain(into.base_domain))
        fields.fail("baseDomain",
                    "must be a domain in lower case, without a port, such as 'apps.example.com', or empty");
    not_more(fields, "memoryMB", into.memory_mb, "maxMemoryMB", into.max_memory_mb);
    not_more(fields, "maxInstallMB", into.max_install_mb, "maxPackagesMB", into.max_packages_mb);
    if (into.max_packages_mb_per_client > 0)
        not_more(fields, "maxInstallMB", into.max_install_mb, "maxPackagesMBPerClient",
                 into.max_packages_mb_per_client);
}

void read_docker(json_fields& fields, docker_section& into)
{
    fields.text("socketPath", into.socket_path);
    fields.text("image", into.image);
    fields.number("timeoutSecs", into.timeout_secs, 1, secs_most);
    if (!into.socket_path.starts_with('/') || into.socket_path.size() > 107)
        fields.fail("socketPath", "must be an absolute path of at most 107 bytes");
    // The name becomes a part of a URL.
    if (into.image.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:@") !=
        std::string::npos)
        fields.fail("image", "is not an image's name; use letters, digits and . _ - / : @");
}

void read_playground(json_fields& fields, playground_section& into) { fields.boolean("enabled", into.enabled); }

void read_mcp(json_fields& fields, mcp_section& into)
{
    fields.boolean("enabled", into.enabled);
    fields.number("maxOutputBytes", into.max_output_bytes, 4096, 1024 * 1024);
    fields.number("maxResourceBytes", into.max_resource_bytes, 0, 16 * 1024 * 1024);
    fields.number("progressMs", into.progress_ms, 100, 60'000);
}

void read_docs(json_fields& fields, docs_section& into) { fields.boolean("enabled", into.enabled); }

void read_idempotency(json_fields& fields, idempotency_section& into)
{
    fields.number("ttlSecs", into.ttl_secs, 1, secs_most);
    fields.number("maxKeys", into.max_keys, 0, 1'000'000);
    fields.number("maxKeysPerClient", into.max_keys_per_client, 1, 1'000'000);
    fields.number("maxAnswersMB", into.max_answers_mb, 1, mib_most);
}

void read_async_jobs(json_fields& fields, async_jobs_section& into)
{
    fields.number("ttlSecs", into.ttl_secs, 1, secs_most);
    fields.number("maxJobs", into.max_jobs, 0, 100'000);
    fields.number("maxJobsPerClient", into.max_jobs_per_client, 1, 100'000);
    fields.number("maxTotalMB", into.max_total_mb, 1, mib_most);
    fields.number("maxFollowersPerJob", into.max_followers_per_job, 1, 10'000);
}

void read_proxy(json_fields& fields, proxy_section& into)
{
    fields.number("headerTimeoutSecs", into.header_timeout_secs, 1, secs_most);
    fields.number("idleTimeoutSecs", into.idle_timeout_secs, 1, secs_most);
    fields.number("tunnelIdleTimeoutSecs", into.tunnel_idle_timeout_secs, 1, secs_most);
    fields.number("maxTunnels", into.max_tunnels, 0, 1'000'000);
    fields.number("maxTunnelsPerProgram", into.max_tunnels_per_program, 0, 1'000'000);
    fields.number("tunnelBufferBytes", into.tunnel_buffer_bytes, 4096, 16 * 1024 * 1024);
    fields.number("maxIdleConnections", into.max_idle_connections, 0, 10'000);
    fields.number("idleConnectionSecs", into.idle_connection_secs, 1, secs_most);
    fields.number("maxBodyMB", into.max_body_mb, 0, mib_most);
    fields.number("maxHeaderBytes", into.max_header_bytes, 1024, 1024 * 1024);
    fields.boolean("trustForwarded", into.trust_forwarded);
    fields.boolean("sandboxPages", into.sandbox_pages);
    fields.boolean("earlyHints", into.early_hints);
}

void read_flat(json_fields& fields, settings& into)
{
    fields.text("workingDir", into.working_dir);
    fields.text("addr", into.addr);
    fields.text("baseDir", into.base_dir);
    fields.text("jobsDir", into.jobs_dir);
    fields.text("artifactsDir", into.artifacts_dir);
    fields.boolean("enableStaticArtifacts", into.enable_static_artifacts);
    fields.number("artifactTTLDays", into.artifact_ttl_days, 0, 36'500);
    fields.number("cleanupIntervalMins", into.cleanup_interval_mins, 1, 7 * 24 * 60);
    fields.texts("defaultArgs", into.default_args);
    fields.boolean("nsjailEnabled", into.nsjail_enabled);
    fields.text("nsjailPath", into.nsjail_path);
    fields.text("cgroupV2Root", into.cgroup_v2_root);
    fields.boolean("enableResourceGating", into.enable_resource_gating);
    fields.number("jobMemoryEstimateMB", into.job_memory_estimate_mb, 1, mib_most);

    fields.text("jail", into.jail);
    if (const auto known = check_jail(into.jail); !known) fields.fail("jail", known.error().message);
    fields.text("bubblewrapPath", into.bubblewrap_path);
    fields.text("ociRuntimePath", into.oci_runtime_path);
    fields.number("jailUid", into.jail_uid, 1, 4'294'967'294);
    fields.number("jailUidCount", into.jail_uid_count, 2, 65'536);
    if (into.jail_uid + into.jail_uid_count > 4'294'967'295)
        fields.fail("jailUidCount", "is too large: jailUid + jailUidCount must be at most 4294967295");
    fields.text("perJobCgroup", into.per_job_cgroup);
    one_of(fields, "perJobCgroup", into.per_job_cgroup, {"auto", "on", "off"});
    fields.number("compileTimeoutSecs", into.compile_timeout_secs, 1, secs_most);
    fields.number("maxConcurrentJobs", into.max_concurrent_jobs, 0, count_most);
    fields.number("reservedJobs", into.reserved_jobs, 0, reserved_most);
    fields.number("maxQueuedJobs", into.max_queued_jobs, 0, count_most);
    fields.number("queueTimeoutSecs", into.queue_timeout_secs, 1, secs_most);
    fields.number("shutdownGraceSecs", into.shutdown_grace_secs, 0, secs_most);
    fields.number("minFreeDiskMB", into.min_free_disk_mb, 0, mib_most);

    for (const auto* key : {"jobsDir", "artifactsDir"}) {
        const auto& value = std::strcmp(key, "jobsDir") == 0 ? into.jobs_dir : into.artifacts_dir;
        if (value.empty()) fields.fail(key, "must not be empty");
    }
    const bool told = fields.failed_at("jobsDir") || fields.failed_at("baseDir") || fields.failed_at("workingDir");
    if (const auto clash = clash_of(into.jobs_path(), into.artifacts_path()); !told && !clash.empty())
        fields.fail("artifactsDir", clash);
    if (into.nsjail_enabled && into.jail != "auto" && into.jail != "nsjail" && !fields.failed_at("jail"))
        fields.fail("nsjailEnabled", "contradicts jail '" + into.jail + "'; leave one of the two out");
    if (into.nsjail_enabled && into.jail == "auto") into.written_as["jail"] = "nsjailEnabled";
}

std::string_view last_part(std::string_view path) { return path.substr(path.rfind('.') + 1); }

// The key that was probably meant by an unknown one: a similar name, in this section or another.
std::string meant_by(const std::string& path)
{
    constexpr std::size_t longest_key = 64;
    std::string nearest;
    // One slip for every three letters: "adr" for "addr", "maxConection" for "maxConnections".
    auto least = std::min(last_part(path).size(), longest_key) / 3 + 1;
    if (last_part(path).size() <= longest_key) {
        auto all = all_keys();
        for (std::size_t i = 0, keys = all.size(); i < keys; ++i) {
            const auto section = all[i].substr(0, all[i].rfind('.') + 1);
            if (!section.empty() && !all[i - 1].starts_with(section))
                all.push_back(section.substr(0, section.size() - 1));
        }
        for (const auto& known : all) {
            // A key of another section is as far as one more slip.
            const auto far = 2 * edit_distance(last_part(path), last_part(known)) +
                             (path.substr(0, path.rfind('.') + 1) == known.substr(0, known.rfind('.') + 1) ? 0 : 2);
            if (far < 2 * least) {
                least = (far + 1) / 2;
                nearest = known;
            }
        }
    }
    // "http.maxConnections" as one name.
    if (const auto dot = nearest.rfind('.'); nearest == path && dot != std::string::npos)
        return "write " + nearest.substr(dot + 1) + " in the object " + nearest.substr(0, dot);
    return nearest.empty() ? std::string{unknown_key}
                           : "did you mean " + nearest + "? S" + std::string{unknown_key.substr(1)};
}

// Each unknown key is compared with every known one. If the file is something else altogether, a few suggestions are
// enough.
constexpr std::size_t others_told = 16;

void refuse_others(json_fields& fields)
{
    auto others = fields.others();
    if (others.size() > others_told) others.resize(others_told);
    for (const auto& other : others) fields.fail(other, "is not a known key; " + meant_by(fields.path_of(other)));
}

struct keys_read {
    std::vector<std::string> all;
    std::vector<std::pair<std::string, std::int64_t>> numbers;
};

// Limits of the shared store that contradict those of what it shares. Each of them alone is right.
void check_shared_store(json_fields& flat, const settings& of)
{
    if (of.store.remote.empty()) return;
    const std::string_view largest_key = "compile.maxArtifactsMB";
    const auto largest = of.compile.max_artifacts_mb;
    const auto hold = [&](std::string_view key, std::int64_t value, std::string_view otherwise) {
        if (value >= largest || flat.failed_at(key) || flat.failed_at(largest_key)) return;
        flat.fail(key, "must be at least " + std::string{largest_key} + ", " + std::to_string(largest) +
                           ", with store.remote; else the largest entries " + std::string{otherwise});
    };
    hold("store.maxRemoteFetchMB", of.store.max_remote_fetch_mb, "are compiled again on each server");
    const auto whole = 2 * of.faas.max_file_bytes;
    if (!of.cluster.redis.empty() && bytes(of.store.max_remote_fetch_mb) < static_cast<std::uint64_t>(whole) &&
        !flat.failed_at("store.maxRemoteFetchMB") && !flat.failed_at("faas.maxFileBytes"))
        flat.fail("store.maxRemoteFetchMB",
                  "must have room for a deployment, which may have twice as much as "
                  "faas.maxFileBytes: " +
                      std::to_string(whole) + " bytes");
    // Zero: nothing is written.
    if (of.store.max_remote_queued > 0 && of.store.max_remote_queue_mb > 0)
        hold("store.maxRemoteQueueMB", of.store.max_remote_queue_mb, "are never shared");
    if (of.artifacts.max_total_mb > 0)
        hold("artifacts.maxTotalMB", of.artifacts.max_total_mb, "are fetched, and then have no room");
}

// Reads every key. all_keys() and numbers_of() call it with an empty object to learn the keys.
void read_all(settings& into, json_fields& flat, keys_read& asked)
{
    read_flat(flat, into);
    asked = {flat.asked(), flat.numbers()};
    const json::object nothing;
    const auto section = [&](std::string_view name, auto read, auto& part) {
        const auto* object = flat.object(name);
        json_fields fields{object ? *object : nothing, std::string{name}};
        read(fields, part);
        refuse_others(fields);
        flat.take_errors(fields);
        const auto paths = fields.asked();
        asked.all.insert(asked.all.end(), paths.begin(), paths.end());
        const auto& numbers = fields.numbers();
        asked.numbers.insert(asked.numbers.end(), numbers.begin(), numbers.end());
    };
    section("http", read_http, into.http);
    section("auth", read_auth, into.auth);
    section("log", read_log, into.log);
    section("toolchain", read_toolchain, into.toolchain);
    section("compile", read_compile, into.compile);
    section("jobLimits", read_job_limits, into.job_limits);
    section("artifacts", read_artifacts, into.artifacts);
    section("store", read_store, into.store);
    section("cluster", read_cluster, into.cluster);
    section("telemetry", read_telemetry, into.telemetry);
    section("js", read_js, into.js);
    section("runtimes", read_runtimes, into.runtimes);
    section("sandboxes", read_sandboxes, into.sandboxes);
    section("faas", read_faas, into.faas);
    section("docker", read_docker, into.docker);
    section("proxy", read_proxy, into.proxy);
    section("playground", read_playground, into.playground);
    section("docs", read_docs, into.docs);
    section("mcp", read_mcp, into.mcp);
    section("idempotency", read_idempotency, into.idempotency);
    section("asyncJobs", read_async_jobs, into.async_jobs);
    check_shared_store(flat, into);
    refuse_others(flat);
}

// Normal, and without a slash at its end: two spellings of one directory compare equal.
std::filesystem::path resolve(const std::filesystem::path& base, const std::filesystem::path& path)
{
    auto normal = (base / path).lexically_normal();
    return normal.has_filename() || !normal.has_relative_path() ? normal : normal.parent_path();
}

std::string place_of(std::string_view text, std::size_t offset)
{
    const auto before = text.substr(0, offset);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const auto line_start = before.rfind('\n');
    const auto column = line_start == std::string_view::npos ? offset + 1 : offset - line_start;
    return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

}  // namespace

std::string clash_of(const std::filesystem::path& jobs, const std::filesystem::path& artifacts)
{
    if (jobs == artifacts) return "must not be the same directory as jobsDir";
    if (lies_in(artifacts.native(), jobs.native())) return "must not lie within jobsDir";
    if (lies_in(jobs.native(), artifacts.native())) return "must not hold jobsDir";
    return {};
}

std::filesystem::path settings::working_path() const { return resolve(std::filesystem::current_path(), working_dir); }

std::filesystem::path settings::jobs_path() const { return resolve(working_path() / base_dir, jobs_dir); }
std::filesystem::path settings::ready_path() const { return jobs_path().parent_path() / "ready"; }

std::filesystem::path settings::artifacts_path() const { return resolve(working_path() / base_dir, artifacts_dir); }

std::filesystem::path settings::sandboxes_path() const { return resolve(working_path() / base_dir, "sandboxes"); }

std::filesystem::path settings::deployments_path() const { return resolve(working_path() / base_dir, "deployments"); }

std::filesystem::path settings::packages_path() const { return resolve(working_path() / base_dir, "packages"); }

std::filesystem::path settings::containers_path() const { return resolve(working_path() / base_dir, "containers"); }

std::filesystem::path settings::cgroup_path() const { return resolve(working_path(), cgroup_v2_root); }

unsigned http_section::socket_mode() const
{
    return static_cast<unsigned>(std::strtoul(unix_socket_mode.c_str(), nullptr, 8));
}

std::string settings::wanted_jail() const { return nsjail_enabled ? "nsjail" : jail; }

std::string settings::as_written(std::string_view key) const
{
    const auto found = written_as.find(key);
    return found == written_as.end() ? std::string{key} : found->second;
}

std::string settings::how_to_choose_jail(std::string_view name) const
{
    const auto written = as_written("jail");
    const std::string chosen{name};
    if (written == "nsjailEnabled") return "set \"nsjailEnabled\" to false and \"jail\" to \"" + chosen + "\"";
    if (written.starts_with("--")) return "start with " + written + " " + chosen;
    if (written.starts_with("SANDBOX_")) return "set " + written + "=" + chosen;
    if (written == "sandbox.backend") return "set backend = \"" + chosen + "\" in [sandbox]";
    return "set \"jail\" to \"" + chosen + "\"";
}

namespace {

// Says what is wrong with a text that is not JSON, where Boost.JSON's "syntax error" does not.
std::string not_json(std::string_view text, std::size_t at, const boost::system::error_code& ec)
{
    const auto before = text.substr(0, at).find_last_not_of(" \t\r\n");
    const bool closing = at < text.size() && (text[at] == '}' || text[at] == ']');
    if (closing && before != std::string_view::npos && text[before] == ',')
        return "not JSON (a comma before the closing '" + std::string{text[at]} + "'); remove the comma at " +
               place_of(text, before);
    if (text.substr(at).starts_with("//") || text.substr(at).starts_with("/*") || text.substr(at).starts_with('#'))
        return "not JSON (JSON has no comments); remove the comment";
    return "not JSON (" + ec.message() + ")";
}

// Some editors start a file with one; RFC 8259 8.1 lets a reader ignore it.
constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";

}  // namespace

findings read_into(settings& into, std::string_view text)
{
    if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
    findings found;
    if (const auto told = find_text(text, "log.format"))
        if (const auto known = parse_format(*told)) found.format = *known;
    const auto unreadable = [&found](std::string why) {
        found.readable = false;
        found.problems.push_back(std::move(why));
        return std::move(found);
    };
    json::stream_parser parser;
    boost::system::error_code ec;
    const auto used = parser.write_some(text.data(), text.size(), ec);
    if (!ec) parser.finish(ec);
    if (!ec && text.find_first_not_of(" \t\r\n", used) != std::string_view::npos) ec = json::error::extra_data;
    if (ec) return unreadable(place_of(text, used) + ": " + not_json(text, used, ec));
    const auto value = parser.release();
    const auto* root = value.if_object();
    if (!root) return unreadable("the file must hold a JSON object, not " + std::string{kind_name(value)});
    for (const auto& twice : find_repeated_keys(text))
        found.problems.push_back(place_of(text, twice.offset) + ": " + twice.path + " comes twice; keep one of them");
    keys_read asked;
    json_fields flat{*root, {}};
    read_all(into, flat, asked);
    const auto wrong = flat.messages();
    found.problems.insert(found.problems.end(), wrong.begin(), wrong.end());
    return found;
}

result<settings> parse(std::string_view text)
{
    settings into;
    if (auto read = read_into(into, text); !read.problems.empty())
        return invalid_request(std::move(read.problems.front()));
    return into;
}

std::vector<std::string> all_keys()
{
    settings into;
    keys_read asked;
    const json::object nothing;
    json_fields flat{nothing, {}};
    read_all(into, flat, asked);
    return std::move(asked.all);
}

std::vector<std::pair<std::string, std::int64_t>> numbers_of(settings from)
{
    keys_read asked;
    const json::object nothing;
    json_fields flat{nothing, {}};
    read_all(from, flat, asked);
    return std::move(asked.numbers);
}

std::span<const std::string_view> jail_names() noexcept
{
    static constexpr std::string_view known[] = {"auto", "bubblewrap", "namespaces", "nsjail", "oci", "docker", "none"};
    return known;
}

namespace {

// The hint for a jail's other name, or for the name of the program that builds it. Empty for any other name.
std::string jail_meant_by(std::string_view name)
{
    const auto lower = in_lower_case(name);
    if (lower == "bwrap") return "; for bwrap choose 'bubblewrap'";
    if (lower == "crun" || lower == "runc" || lower == "runsc")
        return "; " + lower +
               " is a runtime of 'oci'; set ociRuntimePath if it is not the first of crun, runc and runsc on the PATH";
    if (lower == "gvisor" || lower == "podman")
        return "; choose 'oci' and set ociRuntimePath to the path of " +
               std::string{lower == "gvisor" ? "runsc" : "crun or runc"};
    for (const auto known : jail_names())
        if (name.size() < 2 * known.size() && edit_distance(lower, known) <= known.size() / 4)
            return "; did you mean '" + std::string{known} + "'?";
    return {};
}

}  // namespace

result<void> check_jail(std::string_view name)
{
    const auto known = jail_names();
    if (std::ranges::find(known, name) != known.end()) return {};
    std::string list;
    for (const auto one : known) list += (list.empty() ? "'" : ", '") + std::string{one} + "'";
    return invalid_request("is '" + std::string{name} + "'; it must be one of " + list + jail_meant_by(name));
}

namespace {

}  // namespace

result<log::level> parse_level(std::string_view text)
{
    constexpr std::pair<std::string_view, log::level> known[] = {
        {"trace", log::level::debug},     {"debug", log::level::debug},  {"info", log::level::info},
        {"warning", log::level::warning}, {"warn", log::level::warning}, {"error", log::level::error}};
    for (const auto& [name, level] : known)
        if (same_word(text, name)) return level;
    return invalid_request("'" + std::string{text} + "' is not a log level; use debug, info, warning or error");
}

result<log::format> parse_format(std::string_view text)
{
    if (same_word(text, "text")) return log::format::text;
    if (same_word(text, "json")) return log::format::json;
    return invalid_request("'" + std::string{text} + "' is not a log format; use text or json");
}

std::string_view name_of(log::level level) noexcept
{
    switch (level) {
        case log::level::debug: return "debug";
        case log::level::warning: return "warning";
        case log::level::error: return "error";
        case log::level::info: break;
    }
    return "info";
}

std::string_view name_of(log::format format) noexcept { return format == log::format::json ? "json" : "text"; }

}  // namespace sandboxd::config
