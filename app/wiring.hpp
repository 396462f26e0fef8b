// Turns the configuration, and this program's place on the host, into the settings of each room: one function each. A
// setting is documented at its declaration; its key and bounds in config/config.hpp.
#pragma once

#include "admission/gate.hpp"
#include "api/mcp.hpp"
#include "api/read_json.hpp"
#include "artifacts/store.hpp"
#include "base/json_reader.hpp"
#include "cluster/compile_leases.hpp"
#include "cluster/peer_link.hpp"
#include "cluster/redis_client.hpp"
#include "cluster/script_homes.hpp"
#include "cluster/shared_deployments.hpp"
#include "cluster/shared_keys.hpp"
#include "cluster/shared_quotas.hpp"
#include "cluster/shared_sandboxes.hpp"
#include "compile/emcc.hpp"
#include "compile/service.hpp"
#include "config/config.hpp"
#include "faas/service.hpp"
#include "http/server.hpp"
#include "jail/jail.hpp"
#include "jobs/answer_store.hpp"
#include "jobs/job_list.hpp"
#include "js/service.hpp"
#include "programs/table.hpp"
#include "proxy/forwarder.hpp"
#include "remote/blob_store.hpp"
#include "remote/shared_store.hpp"
#include "sandboxes/service.hpp"
#include "telemetry/exporter.hpp"
#include "telemetry/tracer.hpp"
#include "tenants/key_table.hpp"
#include "toolchain/warm_way.hpp"

#include <memory>
#include <optional>
#include <string>

namespace sandboxd::app {

http::server_settings http_limits(const config::settings& all);
// Of bodies that are JSON; `max_files` is the family's own.
json_limits json_limits_of(const config::settings& all);
api::request_limits request_limits_of(const config::settings& all, std::int64_t max_files);
api::mcp_settings mcp_settings_of(const config::settings& from);
proxy::forwarder_settings proxy_limits(const config::settings& from);
jobs::job_list_settings job_list_settings(const config::settings& from);
// Without keys, `file` is empty.
tenants::key_table_settings keys_of(const config::settings& from);
jobs::answer_store_settings answer_store_settings(const config::settings& from);

// The settings of compiles, and of sandboxes' executions. Reads the number of this process' processors.
admission::gate_settings gate_settings(const config::settings& from);
admission::gate_settings sandbox_gate_settings(const config::settings& from);

// Without the jobs' cgroups. `instance_id`: this server's.
jail::jail_settings jail_settings(const config::settings& from, const std::string& instance_id);

// If `toolchain.path` is the default, EMSDK and PATH of the environment count, too.
compile::emcc_settings emcc_settings(const config::settings& from, const jail::jail& wall);
toolchain::warm_settings warm_settings(const config::settings& from);
// `wall`: the jail of compiles.
compile::service_settings compile_settings(const config::settings& from, const jail::jail& wall);
artifacts::store_settings store_settings(const config::settings& from);

// What store.remote needs, with the secrets of its files. Errors: those of the files and of the URL, each with its key.
struct shared_store_parts {
    remote::shared_store_settings how;
    std::shared_ptr<boost::asio::ssl::context> tls;  // null for http://
};
result<shared_store_parts> shared_store_of(const config::settings& from);
// The same cache for what servers have in common besides artifacts.
remote::blob_store_settings blob_store_of(const remote::shared_store_settings& from);

// What cluster.redis needs, with the secret of its file. Errors: those of the files and of the URL, each with its key.
struct cluster_parts {
    cluster::redis_client_settings redis;
    std::shared_ptr<boost::asio::ssl::context> tls;  // null without rediss://
    cluster::compile_leases_settings leases;
    cluster::shared_sandboxes_settings sandboxes;
    cluster::shared_keys_settings keys;
    cluster::shared_deployments_settings deployments;
    cluster::script_homes_settings scripts;
    cluster::shared_quotas_settings quotas;
    std::optional<cluster::peer_link_settings> peers;  // nullopt: cluster.listen is empty
};
result<cluster_parts> cluster_of(const config::settings& from);

// What telemetry.otlpEndpoint needs, with the secret of its file. Errors: those of the files and of the URL, each with
// its key.
struct telemetry_parts {
    telemetry::exporter_settings exporter;
    std::shared_ptr<boost::asio::ssl::context> tls;  // null for http://
    telemetry::tracer_settings tracer;
};
result<telemetry_parts> telemetry_of(const config::settings& from);

js::service_settings js_settings(const config::settings& all);

// The programs of runtimes: configured, next to this one, or on toolchain.path.
programs::program_places programs_of(const config::settings& from);
// sandboxd-init: `faas.initPath`, or next to this program.
std::string init_of(const config::settings& from);
sandboxes::service_settings sandbox_settings(const config::settings& from);
faas::service_settings faas_settings(const config::settings& from);
faas::installer_settings install_settings(const config::settings& from, const programs::program_places& there);

}  // namespace sandboxd::app
