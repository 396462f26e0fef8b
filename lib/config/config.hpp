// Every setting with its default: the keys of emcc-sandboxd, unchanged, then those of each room.
// `config.json.example` holds every key with its default; a test compares the two.
//
// Sizes and times have their unit in the key's name. Relative paths resolve from `workingDir`; `baseDir`,
// below it, holds `jobsDir` and `artifactsDir`.
#pragma once

#include "base/errc.hpp"
#include "base/log.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::config {

// Keys that end in MB count mebibytes. This is their maximum: 1 TiB.
inline constexpr std::int64_t mib_most = 1024 * 1024;
constexpr std::uint64_t bytes(std::int64_t mib) noexcept { return static_cast<std::uint64_t>(mib) * 1024 * 1024; }

// The `http` section.
struct http_section {
    std::string unix_socket_mode{"0660"};
    std::string unix_socket_group;  // empty: the server's own
    std::int64_t max_connections{10'000};
    std::int64_t max_connections_per_client{5'000};
    std::int64_t max_requests_per_minute_per_client{0};  // 0: no limit
    std::int64_t max_received_mb{128};
    std::int64_t max_pending_mb{256};
    std::int64_t max_unsent_mb{128};
    std::int64_t max_header_bytes{16 * 1024};
    std::int64_t max_header_fields{100};
    std::int64_t max_target_bytes{8 * 1024};
    std::int64_t max_body_bytes{4 * 1024 * 1024};
    std::int64_t max_json_depth{32};
    std::int64_t max_json_members{20'000};
    std::int64_t header_timeout_secs{10};
    std::int64_t body_timeout_secs{30};
    std::int64_t min_read_bytes_per_sec{1024};
    std::int64_t idle_timeout_secs{75};
    std::int64_t write_timeout_secs{30};
    std::int64_t min_write_bytes_per_sec{4096};
    std::vector<std::string> artifact_cors_origins{"*"};
    std::vector<std::string> api_cors_origins;
    std::vector<std::string> allowed_hosts;  // empty: loopback's names on a loopback address, else every name

    // unixSocketMode as a number.
    unsigned socket_mode() const;

    bool operator==(const http_section&) const = default;
};

// The `auth` section: the keys of tenants.
struct auth_section {
    std::string keys_file;  // empty: nobody needs a key
    std::int64_t max_keys{1'000};
    std::int64_t max_keys_file_kb{512};
    std::int64_t reload_secs{5};
    bool open_artifacts{true};

    bool operator==(const auth_section&) const = default;
};

// The `log` section.
struct log_section {
    std::string level{"info"};
    std::string format{"text"};

    bool operator==(const log_section&) const = default;
};

// The `toolchain` section. Empty `mounts`: what a Debian or Ubuntu emscripten needs.
struct toolchain_section {
    std::string emcc;
    std::string emsdk;
    std::string path{"/usr/local/bin:/usr/bin:/bin"};
    std::vector<std::string> mounts;
    std::vector<std::pair<std::string, std::string>> env;

    bool operator==(const toolchain_section&) const = default;
};

// The `compile` section: what a request may bring and what its job may leave.
struct compile_section {
    std::int64_t max_source_bytes{1024 * 1024};
    std::int64_t max_files{64};
    std::int64_t max_output_bytes{1024 * 1024};
    std::int64_t max_artifact_mb{64};
    std::int64_t max_artifacts_mb{128};
    std::int64_t max_job_disk_mb{256};
    std::int64_t max_job_files{4096};
    bool strict_args{false};
    std::string warm{"auto"};    // "auto": with tools that are started already, where the jail allows it; "off": never
    std::int64_t warm_jails{1};  // built ahead; 0: none
    std::int64_t warm_memory_mb{300};
    std::int64_t warm_answers_mb{16};     // 0: none are kept
    std::int64_t warm_preambles_mb{128};  // 0: none are kept

    bool operator==(const compile_section&) const = default;
};

// The `jobLimits` section: what the jail allows a job's processes.
struct job_limits_section {
    std::int64_t memory_mb{1024};
    std::int64_t cpu_secs{60};
    std::int64_t cpu_percent{0};
    std::int64_t processes{128};
    std::int64_t open_files{512};
    std::int64_t file_mb{256};
    std::int64_t tmp_mb{256};

    bool operator==(const job_limits_section&) const = default;
};

// The `artifacts` section.
struct artifacts_section {
    std::int64_t max_total_mb{2048};  // 0: no bound
    std::int64_t memory_cache_mb{8};
    std::int64_t max_age_secs{365 * 24 * 3600};

    bool operator==(const artifacts_section&) const = default;
};

// The `store` section: an HTTP cache that machines share their artifacts through. Empty `remote`: none.
struct store_section {
    std::string remote;
    std::string signing_key_file;
    std::string remote_credential_file;
    std::string remote_ca_file;  // empty: the system's certificates
    std::int64_t remote_timeout_ms{2'000};
    std::int64_t remote_min_kb_per_sec{256};
    std::int64_t remote_connections{8};
    std::int64_t remote_failures{5};
    std::int64_t remote_pause_secs{10};
    std::int64_t max_remote_fetches{64};
    std::int64_t max_remote_fetches_per_client{16};
    std::int64_t max_remote_fetch_mb{512};
    std::int64_t max_remote_queued{1'024};
    std::int64_t max_remote_queue_mb{512};
    std::int64_t remote_write_timeout_secs{30};
    std::int64_t remote_write_attempts{4};

    bool operator==(const store_section&) const = default;
};

// The `cluster` section: a Redis or Valkey server that servers with one `store.remote` share. Empty `redis`: none.
struct cluster_section {
    std::string redis;
    std::string redis_credential_file;
    std::string redis_ca_file;  // empty: the system's certificates
    std::int64_t redis_timeout_ms{500};
    std::int64_t reconnect_max_ms{5'000};
    std::int64_t max_redis_calls{256};
    std::int64_t max_redis_message_kb{1'024};
    std::string key_prefix{"sandboxd:"};
    std::int64_t lease_secs{10};
    std::int64_t compile_wait_ms{15'000};
    std::int64_t max_compile_waits{256};
    std::int64_t max_sandboxes{4'096};
    std::int64_t keys_poll_ms{1'000};
    std::string listen;     // empty: deployments are not shared
    std::string advertise;  // ADDRESS or ADDRESS:PORT; empty: made of `listen`
    std::int64_t peer_timeout_ms{1'000};
    std::int64_t max_peer_handshakes{64};
    std::int64_t max_peer_calls{8};
    std::int64_t max_deployments{1'024};
    std::int64_t max_revisions{20};
    std::int64_t max_instances{8};
    std::int64_t deleted_days{7};
    std::int64_t script_home_secs{3'600};
    std::int64_t max_script_homes{65'536};
    std::int64_t max_known_places{4'096};

    bool operator==(const cluster_section&) const = default;
};

// The `telemetry` section: spans of requests for a collector. Empty `otlp_endpoint`: none.
struct telemetry_section {
    std::string otlp_endpoint;
    std::string otlp_credential_file;
    std::string otlp_ca_file;  // empty: the system's certificates
    std::string service_name{"sandboxd"};
    double sample_ratio{1.0};
    std::string trust_traceparent{"keys"};  // whose flag `sampled` counts: "nobody", "keys", "everybody"
    std::int64_t max_spans_per_sec{500};
    std::int64_t max_queued_kb{1'024};
    std::int64_t max_batch_kb{256};
    std::int64_t batch_delay_ms{1'000};
    std::int64_t timeout_ms{5'000};
    std::int64_t retry_max_ms{60'000};
    std::int64_t max_attempts{5};

    bool operator==(const telemetry_section&) const = default;
};

// The `js` section: the JavaScript workers, and the default and maximum of what a run may ask for.
struct js_section {
    bool enabled{true};
    std::string worker_path;           // empty: sandboxd-js, next to this program
    std::int64_t workers{0};           // 0: the processors
    std::int64_t reserved_workers{1};  // in addition
    std::int64_t runs_per_worker{100'000};
    std::int64_t worker_memory_mb{512};
    std::int64_t max_queued{1'024};
    std::int64_t queue_timeout_secs{10};
    std::int64_t fuel{440'000'000};
    std::int64_t max_fuel{20'000'000'000};
    std::int64_t memory_limit_bytes{52'428'800};
    std::int64_t max_memory_limit_bytes{134'217'728};
    std::int64_t timeout_ms{2'000};
    std::int64_t max_timeout_ms{10'000};
    std::int64_t max_modules{1'000};
    std::int64_t max_console_bytes{1024 * 1024};
    std::int64_t max_result_bytes{8 * 1024 * 1024};
    std::int64_t cache_bytes{134'217'728};
    std::int64_t max_tools{128};
    std::int64_t max_pending_calls{100};
    std::int64_t continuation_bytes{134'217'728};
    std::int64_t max_continuations{10'000};
    std::int64_t continuation_ttl_secs{86'400};

    bool operator==(const js_section&) const = default;
};

// The `runtimes` section: absolute paths. Empty: next to this program, or searched on toolchain.path.
struct runtimes_section {
    std::string node;
    std::string bun;
    std::string esbuild;
    std::string python;

    bool operator==(const runtimes_section&) const = default;
};
// One of its keys; in the order of config.json.example.
struct runtime_path {
    const char* key;
    std::string runtimes_section::* path;
};
inline constexpr runtime_path runtime_paths[] = {{"node", &runtimes_section::node},
                                                 {"bun", &runtimes_section::bun},
                                                 {"esbuild", &runtimes_section::esbuild},
                                                 {"python", &runtimes_section::python}};

// The `sandboxes` section: how many sandboxes there are, and the default and maximum of what an execution may ask
// for.
struct sandboxes_section {
    bool enabled{true};
    std::int64_t max_sandboxes{256};
    std::int64_t max_total_mb{256};
    std::int64_t max_files{64};
    std::int64_t max_file_bytes{4 * 1024 * 1024};
    std::int64_t max_concurrent_sandboxes{10};
    std::int64_t reserved_sandboxes{1};  // in addition
    std::int64_t warm_jails{8};
    std::int64_t warm_memory_mb{128};
    std::int64_t max_queued{64};
    std::int64_t queue_timeout_secs{30};
    std::int64_t memory_estimate_mb{128};
    std::int64_t idle_secs{3600};
    std::int64_t cleanup_interval_secs{300};
    std::int64_t timeout_ms{30'000};
    std::int64_t max_timeout_ms{300'000};
    std::int64_t memory_mb{512};
    std::int64_t max_memory_mb{1024};
    std::int64_t cpu_secs{60};
    std::int64_t max_cpu_secs{600};
    std::int64_t cpu_percent{100};
    std::int64_t processes{64};
    std::int64_t max_processes{256};
    std::int64_t open_files{512};
    std::int64_t output_bytes{1024 * 1024};
    std::int64_t max_output_bytes{8 * 1024 * 1024};
    std::int64_t disk_mb{64};
    std::int64_t max_disk_mb{256};

    bool operator==(const sandboxes_section&) const = default;
};

// The `faas` section: deployments.
struct faas_section {
    bool enabled{true};
    std::string init_path;    // empty: sandboxd-init, next to this program
    std::string public_url;   // empty: from each request's Host
    std::string base_domain;  // empty: no host names of deployments
    std::int64_t max_deployments{64};
    std::int64_t max_files{256};
    std::int64_t max_file_bytes{8 * 1024 * 1024};
    std::int64_t memory_mb{256};
    std::int64_t max_memory_mb{1024};
    std::int64_t cpu_percent{100};
    std::int64_t processes{128};
    std::int64_t open_files{1024};
    std::int64_t tmp_mb{64};
    std::int64_t scale_down_after_minutes{10};
    std::int64_t warm_memory_mb{64};
    std::int64_t scale_up_requests{16};
    std::int64_t seat_idle_secs{60};
    std::int64_t start_timeout_secs{30};
    std::int64_t stop_grace_secs{2};
    std::int64_t drain_grace_secs{10};
    std::int64_t max_requests{128};
    std::int64_t max_waiting{256};
    std::int64_t max_crashes{10};
    std::int64_t log_bytes{256 * 1024};
    std::int64_t log_bytes_per_sec{1024 * 1024};
    bool allow_install{true};
    std::string npm;  // empty: npm-cli.js, found from the npm on toolchain.path
    std::string registry;
    std::string install_ca_file;
    std::string install_proxy;
    std::vector<std::string> install_hosts;
    std::int64_t install_timeout_secs{120};
    std::int64_t install_memory_mb{1024};
    std::int64_t max_install_mb{512};
    std::int64_t max_install_files{100'000};
    std::int64_t max_packages_mb{4096};
    std::int64_t max_packages_mb_per_client{0};  // 0: half of them, and at least one set
    std::int64_t max_concurrent_installs{2};
    std::int64_t max_queued_installs{64};
    std::int64_t install_queue_timeout_secs{600};

    bool operator==(const faas_section&) const = default;
};

// The `docker` section: the daemon that runs the containers of the jail "docker".
struct docker_section {
    std::string socket_path{"/var/run/docker.sock"};
    std::string image;  // empty: an image without files
    std::int64_t timeout_secs{30};

    bool operator==(const docker_section&) const = default;
};

// The `proxy` section: requests passed on to deployments.
struct proxy_section {
    std::int64_t header_timeout_secs{60};
    std::int64_t idle_timeout_secs{120};
    std::int64_t tunnel_idle_timeout_secs{600};
    std::int64_t max_tunnels{256};
    std::int64_t max_tunnels_per_program{64};
    std::int64_t tunnel_buffer_bytes{64 * 1024};
    std::int64_t max_idle_connections{128};
    std::int64_t idle_connection_secs{4};
    std::int64_t max_body_mb{100};  // 0: any size
    std::int64_t max_header_bytes{32 * 1024};
    bool trust_forwarded{false};
    bool sandbox_pages{true};
    bool early_hints{false};

    bool operator==(const proxy_section&) const = default;
};

// The `playground` section: the page at `/`.
struct playground_section {
    bool enabled{true};

    bool operator==(const playground_section&) const = default;
};

// The `mcp` section: the tools for agents at `/mcp`.
struct mcp_section {
    bool enabled{true};
    std::int64_t max_output_bytes{64 * 1024};
    std::int64_t max_resource_bytes{1024 * 1024};
    std::int64_t progress_ms{1'000};

    bool operator==(const mcp_section&) const = default;
};

// The `docs` section: the page at `/docs`.
struct docs_section {
    bool enabled{true};

    bool operator==(const docs_section&) const = default;
};

// The `idempotency` section: answers that are kept for requests with an `Idempotency-Key`.
struct idempotency_section {
    std::int64_t ttl_secs{3600};
    std::int64_t max_keys{1024};  // 0: the field is ignored
    std::int64_t max_keys_per_client{256};
    std::int64_t max_answers_mb{32};

    bool operator==(const idempotency_section&) const = default;
};

// The `asyncJobs` section: requests that are answered later (`Prefer: respond-async`).
struct async_jobs_section {
    std::int64_t ttl_secs{600};
    std::int64_t max_jobs{128};  // 0: the preference is ignored
    std::int64_t max_jobs_per_client{32};
    std::int64_t max_total_mb{64};
    std::int64_t max_followers_per_job{8};

    bool operator==(const async_jobs_section&) const = default;
};

struct settings {
    std::string working_dir{"/srv/emcc-sandboxd"};
    std::string addr{":8080"};
    std::string base_dir{"."};
    std::string jobs_dir{"jobs"};
    std::string artifacts_dir{"artifacts"};
    bool enable_static_artifacts{true};
    std::int64_t artifact_ttl_days{3};
    std::int64_t cleanup_interval_mins{30};
    std::vector<std::string> default_args{"-sINVOKE_RUN=0", "-sENVIRONMENT=web", "-sALLOW_MEMORY_GROWTH=1",
                                          "-sMODULARIZE=1"};
    bool nsjail_enabled{false};
    std::string nsjail_path{"nsjail"};
    std::string cgroup_v2_root{"cgroup"};
    bool enable_resource_gating{false};
    std::int64_t job_memory_estimate_mb{256};

    std::string jail{"auto"};
    std::string bubblewrap_path{"bwrap"};
    std::string oci_runtime_path;   // empty: the first of crun, runc and runsc
    std::int64_t jail_uid{61'000};  // the first of them
    std::int64_t jail_uid_count{184};
    std::string per_job_cgroup{"auto"};  // "auto", "on", "off"
    std::int64_t compile_timeout_secs{60};
    std::int64_t max_concurrent_jobs{0};  // 0: twice the processors
    std::int64_t reserved_jobs{1};        // in addition
    std::int64_t max_queued_jobs{64};
    std::int64_t queue_timeout_secs{30};
    std::int64_t shutdown_grace_secs{30};
    std::int64_t min_free_disk_mb{64};  // 0: /readyz does not look

    http_section http;
    auth_section auth;
    log_section log;
    toolchain_section toolchain;
    compile_section compile;
    job_limits_section job_limits;
    artifacts_section artifacts;
    store_section store;
    cluster_section cluster;
    telemetry_section telemetry;
    js_section js;
    runtimes_section runtimes;
    sandboxes_section sandboxes;
    faas_section faas;
    docker_section docker;
    proxy_section proxy;
    playground_section playground;
    docs_section docs;
    mcp_section mcp;
    idempotency_section idempotency;
    async_jobs_section async_jobs;

    // The source of a value that was not written under its own key: {"jail", "nsjailEnabled"}, {"addr",
    // "SANDBOX_PORT"}, {"workingDir", "--working-dir"}. Messages name what the operator wrote.
    std::map<std::string, std::string, std::less<>> written_as;

    bool operator==(const settings&) const = default;

    // How the operator wrote this key; the key itself where nothing else set it.
    std::string as_written(std::string_view key) const;
    // How to choose this jail instead, by the same means by which the current one was chosen.
    std::string how_to_choose_jail(std::string_view name) const;

    // workingDir, absolute and normal; the current directory when it is empty.
    std::filesystem::path working_path() const;
    std::filesystem::path jobs_path() const;
    // Of the jobs to come; beside the jobs.
    std::filesystem::path ready_path() const;
    std::filesystem::path artifacts_path() const;
    std::filesystem::path sandboxes_path() const;    // <baseDir>/sandboxes
    std::filesystem::path deployments_path() const;  // <baseDir>/deployments
    std::filesystem::path packages_path() const;     // <baseDir>/packages
    std::filesystem::path containers_path() const;   // <baseDir>/containers
    std::filesystem::path cgroup_path() const;
    // The requested jail: `nsjailEnabled` stands for "nsjail".
    std::string wanted_jail() const;
};

// Why `artifactsDir` cannot be this directory: it must not overlap with `jobsDir`, whose leftovers are removed at the
// start. Empty when it can. Both paths are absolute and normal.
std::string clash_of(const std::filesystem::path& jobs, const std::filesystem::path& artifacts);

// Reads the text of a configuration file. Errors: invalid_request; the message names the key by its path, or the line
// and column where the text is not JSON, and the cure.
result<settings> parse(std::string_view text);

// The result of reading a configuration.
struct findings {
    // Every problem, in the order of the keys, each named by its path. Empty when there is none.
    std::vector<std::string> problems;
    // False: the text is neither JSON nor TOML, and nothing was taken from it. Otherwise every valid value was taken.
    bool readable{true};
    // `log.format`, if it can be read, even when the rest is wrong: the problems are printed in this format.
    std::optional<log::format> format;
};

// Like parse, but reports every problem.
findings read_into(settings& into, std::string_view text);

// Reads a file: TOML (sandbox_names.hpp) if its name ends in .toml, otherwise JSON. Problems begin with its name.
findings read_file(const std::filesystem::path& file, settings& into);

// Every key's path, in the order of config.json.example: `addr`, …, `http.maxConnections`, ….
std::vector<std::string> all_keys();

// The keys that are numbers, with their values in `from`: {"http.maxBodyBytes", 4194304}.
std::vector<std::pair<std::string, std::int64_t>> numbers_of(settings from);

// The values of `jail`: "auto" and every jail.
std::span<const std::string_view> jail_names() noexcept;

// Checks a value of `jail`. Error: invalid_request, with the known values and the one that was probably meant.
result<void> check_jail(std::string_view name);

// Ignores case; "trace" is "debug". Errors: invalid_request.
result<log::level> parse_level(std::string_view text);
result<log::format> parse_format(std::string_view text);
std::string_view name_of(log::level level) noexcept;
std::string_view name_of(log::format format) noexcept;

}  // namespace sandboxd::config
