#include "api/routes.hpp"

#include "api/handlers.hpp"
#include "api/reply.hpp"
#include "base/log.hpp"
#include "http/router.hpp"
#include "http/uri.hpp"

#include <array>
#include <map>
#include <memory>
#include <vector>

namespace sandboxd::api {

namespace asio = boost::asio;
using http::verb;

namespace {

using service_route = http::route<services>;

constexpr std::array table{
    service_route{verb::get, "/healthz", get_health},
    service_route{verb::get, "/artifacts/{}/{}", get_artifact},
    service_route{verb::post, "/compile", post_compile},
    service_route{verb::post, "/execute", post_execute},
    service_route{verb::post, "/api/execute", post_script},
    service_route{verb::get, "/api/examples", get_examples},
    service_route{verb::get, "/api/examples/{}", get_example},
    service_route{verb::get, "/api/health", get_script_health},
    service_route{verb::get, "/runtimes", get_runtimes},
    service_route{verb::get, "/health", get_sandbox_health},
    service_route{verb::post, "/sandbox", post_sandbox},
    service_route{verb::get, "/sandbox", get_sandboxes},
    service_route{verb::get, "/sandboxes", get_sandboxes},
    service_route{verb::get, "/sandbox/{}", get_sandbox},
    service_route{verb::delete_, "/sandbox/{}", delete_sandbox},
    service_route{verb::post, "/sandbox/{}/execute", post_sandbox_execute},
    service_route{verb::post, "/faas/deploy", post_deploy},
    service_route{verb::get, "/faas/deployments", get_deployments},
    service_route{verb::get, "/faas/deployments/{}", get_deployment},
    service_route{verb::delete_, "/faas/deployments/{}", delete_deployment},
    service_route{verb::put, "/faas/deployments/{}/files", put_files},
    service_route{verb::get, "/faas/deployments/{}/logs", get_deployment_logs},
    service_route{http::any_method, "/faas/{}", any_deployment},
    service_route{http::any_method, "/faas/{}/{*}", any_deployment},
    service_route{http::any_method, "/proxy/{}", any_sandbox},
    service_route{http::any_method, "/proxy/{}/{*}", any_sandbox},
    service_route{verb::get, "/livez", get_health},
    service_route{verb::get, "/readyz", get_ready},
    service_route{verb::get, "/metrics", get_metrics},
    service_route{verb::get, "/version", get_version},
};

// OPTIONS: what the path takes; for a page elsewhere, whether it may (CORS preflight).
http::response answer_options(services& with, const http::exchange& x, std::string allow)
{
    http::response r;
    r.status = 204;
    const bool artifact = x.path().starts_with("/artifacts/");
    if (!x[http::field::access_control_request_method].empty()) {
        allow_origin(x, artifact ? with.artifact_origins : with.api_origins, r);
        r.fields.emplace_back("Access-Control-Allow-Methods", allow);
        r.fields.emplace_back("Access-Control-Allow-Headers", artifact ? "range" : "content-type, x-request-id");
        r.fields.emplace_back("Access-Control-Max-Age", "600");
    }
    r.fields.emplace_back("Allow", allow + ", OPTIONS");
    return r;
}

constexpr std::string_view host_pattern = "{}.baseDomain";

// Requests by route and status, and their durations by route. Few of both: the rows of the table, one for what
// matched none, one for host names of deployments.
class request_metrics {
public:
    explicit request_metrics(metrics::registry& into) : registry_{into}
    {
        for (const auto& one : table) add_route(one.pattern);
        add_route("unmatched");
        add_route(host_pattern);
    }

    void observe(const http::completed& done)
    {
        auto& mine = routes_[done.request.row().value_or(table.size())];
        auto& counted = mine.by_status[done.status];
        if (!counted) {
            counted =
                &registry_.add_counter("sandboxd_http_requests_total", help_requests,
                                       "route=\"" + mine.pattern + "\",status=\"" + std::to_string(done.status) + "\"");
        }
        counted->add();
        mine.seconds->observe(static_cast<double>(done.total.count()) / 1e6);
    }

private:
    static constexpr std::string_view help_requests = "Requests answered, by route and status.";

    struct route_metrics {
        std::string pattern;
        metrics::histogram* seconds;
        std::map<unsigned, metrics::counter*> by_status;
    };

    void add_route(std::string_view pattern)
    {
        auto& seconds = registry_.add_histogram("sandboxd_http_request_seconds",
                                                "From a request's header to the end of its answer, by route.",
                                                "route=\"" + std::string{pattern} + "\"");
        routes_.push_back({std::string{pattern}, &seconds, {}});
    }

    metrics::registry& registry_;
    std::vector<route_metrics> routes_;
};

void log_access(const http::completed& done)
{
    // What a client's program answers is no event of this server; that it is not ready is what /readyz was asked.
    const bool expected = done.request.relayed() || (done.status == 503 && done.request.route() == "/readyz");
    const auto severity = expected             ? log::level::info
                          : done.status >= 500 ? log::level::error
                          : done.status >= 400 ? log::level::warning
                                               : log::level::info;
    if (!log::enabled(severity)) return;
    const auto total_ms = static_cast<double>(done.total.count()) / 1000.0;
    const auto& x = done.request;
    const auto queue = x.timing("queue");
    const auto compile = x.timing("compile");
    if (compile) {
        log::write(severity, "request",
                   {{"id", x.request_id()},
                    {"route", x.route()},
                    {"status", done.status},
                    {"bytes", done.body_bytes},
                    {"queue_ms", static_cast<double>(queue.value_or(*compile).count()) / 1000.0},
                    {"compile_ms", static_cast<double>(compile->count()) / 1000.0},
                    {"total_ms", total_ms}});
        return;
    }
    log::write(severity, "request",
               {{"id", x.request_id()},
                {"route", x.route()},
                {"status", done.status},
                {"bytes", done.body_bytes},
                {"total_ms", total_ms}});
}

}  // namespace

asio::awaitable<http::response> handle(services& with, http::exchange& x)
{
    // For every route and host, deployments' included: a cache or a proxy in front would take the answer for that of
    // the path which these lead to.
    if (http::has_dot_segment(x.path()))
        co_return error_reply(invalid_request("the path has a segment '.' or '..'; ask for what it leads to"));
    if (x.path().find('#') != std::string_view::npos)
        co_return error_reply(invalid_request("the path holds a '#'; a fragment is not sent, and a name has %23"));
    if (!with.base_domain.empty()) {
        if (auto id = deployment_of_host(x.host(), with.base_domain)) {
            x.set_route(host_pattern, table.size() + 1);
            co_return co_await any_host(with, x, std::move(*id));
        }
    }
    std::string allow;
    if (const auto* found = http::find_route(std::span<const service_route>{table}, x, allow))
        co_return co_await found->handle(with, x);
    if (allow.empty()) co_return error_reply({errc::not_found, "there is nothing at " + std::string{x.path()}});
    if (x.method() == verb::options) co_return answer_options(with, x, allow);
    auto r = error_reply({errc::method_not_allowed, "this path takes " + allow});
    r.fields.emplace_back("Allow", std::move(allow));
    co_return r;
}

http::server::hooks make_hooks(services& with, metrics::registry& metrics)
{
    auto counted = std::make_shared<request_metrics>(metrics);
    return {.handle = [&with](http::exchange& x) { return handle(with, x); },
            .refuse = [](const error& what) { return error_reply(what); },
            .observe =
                [counted](const http::completed& done) {
                    counted->observe(done);
                    log_access(done);
                }};
}

}  // namespace sandboxd::api
