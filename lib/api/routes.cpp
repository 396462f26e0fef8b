#include "api/routes.hpp"

#include "api/admit_key.hpp"
#include "api/handlers.hpp"
#include "api/once.hpp"
#include "api/openapi.hpp"
#include "api/operations.hpp"
#include "api/own_limits.hpp"
#include "api/problem.hpp"
#include "api/reply.hpp"
#include "api/web_page.hpp"
#include "base/log.hpp"
#include "http/router.hpp"
#include "http/uri.hpp"
#include "telemetry/tracer.hpp"

#include <algorithm>
#include <array>
#include <exception>
#include <map>
#include <memory>
#include <vector>

namespace sandboxd::api {

namespace asio = boost::asio;
using http::verb;

namespace {

// The audience of a row decides which web pages may use it: those of http.apiCorsOrigins, those of
// http.artifactCorsOrigins, none, or those that the deployment's own program allows. The playground's rows are not
// there if it is off, nor are those of the description's page, nor the agents' (which pages use as they do the API).
enum class audience { api, artifacts, operators, program, playground, docs, agents };

http::response refuse(const error& why) { return error_reply(why); }

using service_route = http::route<services>;
namespace described = operations;

struct endpoint {
    service_route route;
    // Who may ask, on a server with keys.
    tenants::access needs;
    // What it says about itself in the API's description.
    void (*describe)(operation& it);
    audience who{audience::api};
    // Writes errors that happen before the handler is reached.
    http::response (*refuse)(const error& why){sandboxd::api::refuse};
    // Of a POST: whether it may be answered later, and whether its progress can be streamed.
    bool may_wait{false};
    bool tells{false};
    // Whether its answers may be kept for an Idempotency-Key.
    bool keeps{true};
};

using tenants::scope;
constexpr auto everybody = tenants::access::open();
constexpr auto any_key = tenants::access::any_key();
constexpr auto artifact = tenants::access::artifact();

constexpr std::array endpoints{
    endpoint{{verb::get, "/healthz", get_health}, everybody, described::health},
    endpoint{{verb::get, "/artifacts/{}/{}", get_artifact}, artifact, described::artifact, audience::artifacts},
    endpoint{{verb::post, "/compile", post_compile},
             scope::compile,
             described::compile,
             audience::api,
             refuse_compile,
             true,
             true},
    endpoint{
        {verb::post, "/execute", post_execute}, scope::execute, described::execute, audience::api, refuse_script, true},
    endpoint{{verb::post, "/execute/continue", post_continue},
             scope::execute,
             described::continue_execution,
             audience::api,
             refuse_script,
             true},
    endpoint{{verb::post, "/api/execute", post_script}, scope::execute, described::script},
    endpoint{{verb::get, "/api/examples", get_examples}, everybody, described::examples},
    endpoint{{verb::get, "/api/examples/{}", get_example}, everybody, described::example},
    endpoint{{verb::get, "/api/health", get_script_health}, everybody, described::script_health},
    endpoint{{verb::post, "/mcp", post_mcp}, any_key, described::mcp, audience::agents, refuse_mcp},
    endpoint{{verb::get, "/jobs/{}", get_job}, any_key, described::get_job},
    endpoint{{verb::delete_, "/jobs/{}", delete_job}, any_key, described::delete_job},
    endpoint{{verb::get, "/runtimes", get_runtimes}, any_key, described::runtimes},
    endpoint{{verb::get, "/health", get_sandbox_health}, everybody, described::sandbox_health},
    endpoint{{verb::post, "/sandbox", post_sandbox}, scope::sandbox, described::create_sandbox},
    endpoint{{verb::get, "/sandbox", get_sandboxes}, scope::sandbox, described::list_sandboxes_too},
    endpoint{{verb::get, "/sandboxes", get_sandboxes}, scope::sandbox, described::list_sandboxes},
    endpoint{{verb::get, "/sandbox/{}", get_sandbox}, scope::sandbox, described::get_sandbox},
    endpoint{{verb::delete_, "/sandbox/{}", delete_sandbox}, scope::sandbox, described::delete_sandbox},
    endpoint{{verb::post, "/sandbox/{}/execute", post_sandbox_execute},
             scope::sandbox,
             described::execute_sandbox,
             audience::api,
             refuse,
             true},
    endpoint{{verb::post, "/faas/deploy", post_deploy}, scope::deploy, described::deploy},
    endpoint{{verb::get, "/faas/deployments", get_deployments}, scope::deploy, described::list_deployments},
    endpoint{{verb::get, "/faas/deployments/{}", get_deployment}, scope::deploy, described::get_deployment},
    endpoint{{verb::delete_, "/faas/deployments/{}", delete_deployment}, scope::deploy, described::delete_deployment},
    endpoint{{verb::put, "/faas/deployments/{}/files", put_files}, scope::deploy, described::put_files},
    endpoint{{verb::put, "/faas/deployments/{}/revision", put_revision}, scope::deploy, described::put_revision},
    endpoint{{verb::get, "/faas/deployments/{}/logs", get_deployment_logs}, scope::deploy, described::logs},
    endpoint{{http::any_method, "/faas/{}", any_deployment}, everybody, described::deployment_root, audience::program},
    endpoint{
        {http::any_method, "/faas/{}/{*}", any_deployment}, everybody, described::deployment_path, audience::program},
    endpoint{{http::any_method, "/proxy/{}", any_sandbox}, everybody, described::proxy_root, audience::program},
    endpoint{{http::any_method, "/proxy/{}/{*}", any_sandbox}, everybody, described::proxy_path, audience::program},
    endpoint{{verb::get, "/livez", get_health}, everybody, described::live},
    endpoint{{verb::get, "/readyz", get_ready}, everybody, described::ready},
    endpoint{{verb::get, "/metrics", get_metrics}, scope::admin, described::metrics, audience::operators},
    endpoint{{verb::post, "/admin/keys", post_key},
             scope::keys,
             described::create_key,
             audience::operators,
             refuse,
             false,
             false,
             false},
    endpoint{{verb::get, "/admin/keys", get_keys}, scope::keys, described::list_keys, audience::operators},
    endpoint{{verb::delete_, "/admin/keys/{}", delete_key}, scope::keys, described::delete_key, audience::operators},
    endpoint{{verb::get, "/openapi.json", get_description}, everybody, described::description},
    endpoint{{verb::get, "/docs", get_docs}, everybody, described::docs, audience::docs},
    endpoint{{verb::get, "/docs/{}", get_docs_asset}, everybody, described::docs_asset, audience::docs},
    endpoint{{verb::get, "/version", get_version}, everybody, described::version},
    endpoint{{verb::get, "/", get_playground}, everybody, described::playground, audience::playground},
    endpoint{{verb::get, "/playground/{}", get_playground_asset},
             everybody,
             described::playground_asset,
             audience::playground},
};

// The rows in the form that http::find_route takes.
constexpr auto table = [] {
    std::array<service_route, endpoints.size()> routes{};
    for (std::size_t i = 0; i < routes.size(); ++i) routes[i] = endpoints[i].route;
    return routes;
}();

const std::vector<std::string>* origins_of(const services& with, audience who)
{
    switch (who) {
        case audience::api:
        case audience::agents: return &with.api_origins;
        case audience::artifacts: return &with.artifact_origins;
        case audience::operators:
        case audience::program:
        case audience::playground:
        case audience::docs: break;
    }
    return nullptr;
}

// Whether this server has the rows of that audience.
bool is_there(const services& with, audience who)
{
    switch (who) {
        case audience::playground: return with.playground;
        case audience::docs: return with.docs;
        case audience::agents: return with.mcp.enabled;
        case audience::api:
        case audience::artifacts:
        case audience::operators:
        case audience::program: break;
    }
    return true;
}

// OPTIONS: the methods of the path, and the CORS preflight of a page of another origin. admit_origin decides about
// the origin, as for every other answer.
http::response answer_options(const services& with, const http::exchange& x, audience who, std::string allow)
{
    http::response r;
    r.status = 204;
    if (!x[http::field::access_control_request_method].empty() && who != audience::operators &&
        who != audience::playground && who != audience::docs) {
        r.fields.emplace_back("Access-Control-Allow-Methods", allow);
        std::string fields =
            who == audience::artifacts
                ? "range"
                : "content-type, idempotency-key, if-match, last-event-id, mcp-method, mcp-name, "
                  "mcp-protocol-version, mcp-session-id, prefer, traceparent, tracestate, x-request-id";
        // By name: a wildcard does not stand for it.
        if (with.keys) fields = "authorization, " + fields;
        r.fields.emplace_back("Access-Control-Allow-Headers", std::move(fields));
        r.fields.emplace_back("Access-Control-Max-Age", "600");
    }
    r.fields.emplace_back("Allow", allow + ", OPTIONS");
    return r;
}

constexpr std::string_view host_pattern = "{}.baseDomain";

// Requests by route and status, and their durations by route. The routes are few: the rows of the table, one for
// unmatched paths, one for host names of deployments.
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
        // A program may answer with any status: it makes a series for each class, not hundreds.
        constexpr unsigned after_last_class = 6;
        const auto digit = std::min(done.status / 100, after_last_class);
        auto& counted = mine.by_status[done.request.relayed() ? digit : done.status];
        if (!counted) {
            const auto told = !done.request.relayed()     ? std::to_string(done.status)
                              : digit == after_last_class ? std::string{"other"}
                                                          : std::to_string(digit) + "xx";
            counted = &registry_.add_counter("sandboxd_http_requests_total", help_requests,
                                             "route=\"" + mine.pattern + "\",status=\"" + told + "\"");
        }
        counted->add();
        mine.seconds->observe(static_cast<double>(done.total.count()) / 1e6);
    }

private:
    static constexpr std::string_view help_requests =
        "Requests answered, by route and status; answers of programs by its class ('2xx'; 'other': over 599).";

    struct route_metrics {
        std::string pattern;
        metrics::histogram* seconds;
        std::map<unsigned, metrics::counter*> by_status;  // or by its first digit: of programs' answers
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
    // A deployment's own answers, and a /readyz that says "not ready", are not failures of this server.
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
                    {"total_ms", total_ms},
                    log::in_json("trace_id", x.trace_id())});
        return;
    }
    log::write(severity, "request",
               {{"id", x.request_id()},
                {"route", x.route()},
                {"status", done.status},
                {"bytes", done.body_bytes},
                {"total_ms", total_ms},
                log::in_json("trace_id", x.trace_id())});
}

}  // namespace

namespace {

using refusal = http::response (*)(const error& why);

// `refuse_here` becomes the one of the requested row.
asio::awaitable<http::response> dispatch(services& with, http::exchange& x, refusal& refuse_here)
{
    // For every route and host, including deployments: a cache or proxy in front would resolve the segments and store
    // the answer under another path.
    if (http::has_dot_segment(x.path()))
        co_return error_reply(invalid_request("the path has a segment '.' or '..'; send the resolved path"));
    if (x.path().find('#') != std::string_view::npos)
        co_return error_reply(invalid_request("the path has a '#'; leave out the fragment, or write %23 in a name"));
    if (!with.base_domain.empty()) {
        if (auto id = deployment_of_host(x.host(), with.base_domain)) {
            x.set_route(host_pattern, table.size() + 1);
            co_return co_await any_host(with, x, std::move(*id));
        }
    }
    auto found = http::find_route(std::span<const service_route>{table}, x);
    const auto* there = found.of_path ? &endpoints[*found.of_path] : nullptr;
    if (there) refuse_here = there->refuse;
    if (there && !is_there(with, there->who)) there = nullptr;
    // A client of the Unix socket is a proxy and decides itself which host names it accepts.
    if (!x.from().local)
        if (const auto named = with.hosts.admit(x.host()); !named) co_return refuse_here(named.error());
    if (!there) co_return refuse_here({errc::not_found, "there is nothing at " + std::string{x.path()}});
    const auto* const origins = origins_of(with, there->who);
    if (origins) allow_origin(x, *origins);
    if (there->who != audience::program) {
        static const std::vector<std::string> nobody;
        const auto marks = marks_of(x);
        if (!marks) co_return refuse_here(marks.error());
        if (const auto admitted = admit_page(*marks, origins ? *origins : nobody); !admitted)
            co_return refuse_here(admitted.error());
    }
    // Before the body is read. OPTIONS and 405 tell nothing that is anybody's.
    if (with.keys && found.answers) {
        const auto needed = endpoints[*x.row()].needs.settled(with.open_artifacts);
        if (auto refused = admit_key(*with.keys, x, needed)) {
            auto r = refuse_here(refused->why);
            if (!refused->challenge.empty()) r.fields.emplace_back("WWW-Authenticate", std::move(refused->challenge));
            co_return r;
        }
        if (!needed.is_open() && counts_as_request(x))
            if (auto over = co_await refuse_request(with, x))
                co_return limited(refuse_here(over->why), std::move(*over));
    }
    if (found.answers && found.answers->method == verb::post) {
        const auto& row = endpoints[*x.row()];
        const posted how{row.route.handle, row.refuse, row.route.pattern, row.may_wait, row.tells, row.keeps};
        co_return co_await answer_post(with, x, how);
    }
    if (found.answers) co_return co_await found.answers->handle(with, x);
    if (x.method() == verb::options) co_return answer_options(with, x, there->who, found.allow);
    auto r = refuse_here({errc::method_not_allowed, "this path takes " + found.allow});
    r.fields.emplace_back("Allow", std::move(found.allow));
    co_return r;
}

// Answers requests that are refused before routing: a malformed header, one request too many.
http::response refuse_early(const services& with, const error& why, http::exchange& x)
{
    if (!with.base_domain.empty() && deployment_of_host(x.host(), with.base_domain)) {
        x.set_route(host_pattern, table.size() + 1);
        return error_reply(why);
    }
    const auto found = http::find_route(std::span<const service_route>{table}, x);
    if (!found.of_path) return error_reply(why);
    const auto& there = endpoints[*found.of_path];
    if (const auto* const origins = origins_of(with, there.who)) allow_origin(x, *origins);
    return there.refuse(why);
}

}  // namespace

namespace {

// Finds out to which trace the request belongs, and whether it is recorded. Whether its caller is known is asked here,
// before it is known whether that matters for its endpoint: then it makes no difference for anything else.
void begin_trace(const services& with, http::exchange& x) noexcept
{
    using telemetry::flag_trust;
    const auto given = telemetry::given_context(x);
    if (given) x.set_trace_id(telemetry::text_of(given->trace));
    if (!with.tracer) return;
    try {
        const auto trust = with.tracer->trust();
        auto is_wanted = telemetry::decided_before(x);
        if (!is_wanted && given &&
            (trust == flag_trust::everybody || (trust == flag_trust::keys && with.keys && find_tenant(*with.keys, x))))
            is_wanted = given->sampled;
        auto its = with.tracer->begin(given, is_wanted);
        x.set_trace_id(telemetry::text_of(its->context().trace));
        x.set_trace(std::move(its));
    } catch (const std::exception& e) {
        log::error("a request is not traced", {{"id", x.request_id()}, {"exception", e.what()}});
    }
}

}  // namespace

std::vector<described_route> described_routes(const services& with)
{
    std::vector<described_route> all;
    for (const auto& one : endpoints) {
        if (!is_there(with, one.who)) continue;
        all.push_back(
            {one.route.method, one.route.pattern, one.describe, one.needs.settled(with.open_artifacts || !with.keys)});
    }
    return all;
}

asio::awaitable<http::response> handle(services& with, http::exchange& x)
{
    refusal refuse_here = refuse;
    http::response r;
    std::string thrown;
    try {
        r = co_await dispatch(with, x, refuse_here);
    } catch (const std::exception& e) {
        thrown = std::string{"a handler threw: "} + e.what();
    }
    if (!thrown.empty()) {
        r = refuse_here(make_error(errc::internal));
        r.cause = std::move(thrown);
    }
    // The one place that logs internal errors of all handlers.
    if (r.status == 500 || !r.cause.empty())
        log::error(
            "internal error",
            {{"id", x.request_id()}, {"route", x.route()}, {"cause", r.cause}, log::in_json("trace_id", x.trace_id())});
    telemetry::fail(x, r.error_code);
    if (r.status >= 400 && wants_problem(x[http::field::accept])) make_problem(r);
    co_return r;
}

http::server::hooks make_hooks(services& with, metrics::registry& metrics)
{
    auto counted = std::make_shared<request_metrics>(metrics);
    return {.handle = [&with](http::exchange& x) { return handle(with, x); },
            .refuse =
                [&with](const error& why, http::exchange& x) {
                    auto r = refuse_early(with, why, x);
                    telemetry::fail(x, r.error_code);
                    if (wants_problem(x[http::field::accept])) make_problem(r);
                    return r;
                },
            .observe =
                [counted](const http::completed& done) {
                    counted->observe(done);
                    log_access(done);
                    telemetry::end(done);
                },
            .identify =
                [&with](http::exchange& x) {
                    if (with.keys) identify(*with.keys, x);
                },
            .begin = [&with](http::exchange& x) { begin_trace(with, x); }};
}

}  // namespace sandboxd::api
