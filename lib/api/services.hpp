// What the handlers use: the services, and the few facts about the server that clients may ask for.
#pragma once

#include "api/mcp.hpp"
#include "api/read_json.hpp"
#include "api/web_page.hpp"
#include "artifacts/elsewhere.hpp"
#include "artifacts/store.hpp"
#include "async/task_group.hpp"
#include "base/metrics.hpp"
#include "compile/service.hpp"
#include "faas/service.hpp"
#include "jobs/answer_store.hpp"
#include "jobs/job_list.hpp"
#include "js/fleet.hpp"
#include "js/service.hpp"
#include "programs/catalog.hpp"
#include "proxy/forwarder.hpp"
#include "proxy/peers.hpp"
#include "sandboxes/service.hpp"
#include "telemetry/tracer.hpp"
#include "tenants/fleet_keys.hpp"
#include "tenants/fleet_usage.hpp"
#include "tenants/key_table.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace sandboxd::api {

// See api/openapi.hpp.
struct api_description {
    std::shared_ptr<const std::string> text;
    std::string etag;
};

struct services {
    compile::service& compiler;
    artifacts::store& store;
    metrics::registry& metrics;
    programs::catalog& runtimes;
    js::service* js{nullptr};                  // null: js.enabled is false
    sandboxes::service* sandboxes{nullptr};    // null: sandboxes.enabled is false, or the jail is "none"
    faas::service* faas{nullptr};              // null: faas.enabled is false, or the jail cannot have deployments
    proxy::forwarder* proxy{nullptr};          // null without faas
    proxy::peers* peers{nullptr};              // null: servers do not reach each other (cluster.listen)
    js::fleet* scripts{nullptr};               // null: the same, or js.enabled is false
    jobs::answer_store* answers{nullptr};      // null: idempotency.maxKeys is 0
    jobs::job_list* jobs{nullptr};             // null: asyncJobs.maxJobs is 0
    artifacts::elsewhere* others{nullptr};     // null: store.remote is empty
    tenants::key_table* keys{nullptr};         // null: auth.keysFile is empty
    tenants::fleet_keys* fleet_keys{nullptr};  // null: the same, or servers share nothing (cluster.redis, store.remote)
    tenants::fleet_usage* quotas{nullptr};     // null: the same, or servers do not count together (cluster.redis)
    telemetry::tracer* tracer{nullptr};        // null: telemetry.otlpEndpoint is empty
    async::task_group* tasks{nullptr};         // for what goes on beside a handler that waits for it

    std::string version;              // sandboxd's own
    std::string jail;                 // "bubblewrap"
    std::vector<std::string> walls;   // what it enforces
    std::string compile_path;         // "warm": with compilers that are started already, where they can; or "plain"
    bool serve_artifacts{true};       // enableStaticArtifacts
    bool open_artifacts{true};        // auth.openArtifacts
    bool keyless_and_exposed{false};  // other machines reach this server, and nobody needs a key
    bool playground{true};            // playground.enabled
    bool docs{true};                  // docs.enabled
    mcp_settings mcp{};
    mcp_calls calls{};
    mcp_counts* agents{nullptr};   // null: not counted
    std::size_t max_body_bytes{};  // http.maxBodyBytes
    json_limits json{};            // of scripts
    request_limits compile_limits{};
    request_limits sandbox_limits{};
    request_limits faas_limits{};
    std::string artifact_cache_control;         // from artifacts.maxAgeSecs
    std::vector<std::string> artifact_origins;  // http.artifactCorsOrigins
    std::vector<std::string> api_origins;       // http.apiCorsOrigins
    std::string public_url{};                   // faas.publicUrl
    std::string base_domain{};                  // faas.baseDomain
    host_names hosts{{}, false, {}};            // http.allowedHosts
    bool trust_forwarded{false};                // proxy.trustForwarded
    bool sandbox_pages{true};                   // proxy.sandboxPages
    bool draining{false};
    std::map<std::string, std::size_t> waits_for_servers{};  // for the lease of a server that is gone, by deployment
    std::map<std::string, std::int64_t, std::less<>> numbers{};  // config::numbers_of
    std::shared_ptr<const api_description> description{};        // made when somebody asks for it first
    std::shared_ptr<const std::string> tools{};                  // tools/list, as JSON; made when somebody asks
    // What is short on the disk that the server writes to, as text; empty: nothing. Null: no check.
    std::function<std::string()> disk_shortage{};
    // What does not work of store.remote; empty: nothing. Null without it.
    std::function<std::string()> others_trouble{};
    // What does not work of cluster.redis; empty: nothing. Null without it.
    std::function<std::string()> cluster_trouble{};
    // What does not work of telemetry.otlpEndpoint; empty: nothing. Null without it.
    std::function<std::string()> telemetry_trouble{};
};

}  // namespace sandboxd::api
