#include "api/openapi.hpp"

#include "api/handlers.hpp"
#include "api/problem.hpp"
#include "api/reply.hpp"
#include "base/ascii.hpp"
#include "base/digest.hpp"
#include "http/conditional.hpp"
#include "http/router.hpp"

#include <boost/json/serialize.hpp>

#include <algorithm>
#include <array>

namespace sandboxd::api {

namespace asio = boost::asio;
namespace json = boost::json;
using http::verb;

namespace {

// Those of a row for any method: what RFC 9110 defines, and PATCH, without CONNECT and TRACE.
constexpr std::array passed_on{verb::get, verb::head, verb::post, verb::put, verb::patch, verb::delete_, verb::options};

// The configuration's keys that clients meet. `numbers` has them all, but the others are the operator's.
constexpr std::array<std::string_view, 47> shown_limits{
    "http.maxBodyBytes",
    "http.maxHeaderBytes",
    "http.maxHeaderFields",
    "http.maxTargetBytes",
    "http.maxJsonDepth",
    "http.maxJsonMembers",
    "http.maxRequestsPerMinutePerClient",
    "http.headerTimeoutSecs",
    "http.bodyTimeoutSecs",
    "http.idleTimeoutSecs",
    "compileTimeoutSecs",
    "queueTimeoutSecs",
    "compile.maxSourceBytes",
    "compile.maxFiles",
    "compile.maxOutputBytes",
    "compile.maxArtifactMB",
    "compile.maxArtifactsMB",
    "artifactTTLDays",
    "js.maxFuel",
    "js.maxMemoryLimitBytes",
    "js.maxTimeoutMs",
    "js.maxModules",
    "js.maxTools",
    "js.maxPendingCalls",
    "js.continuationTtlSecs",
    "js.maxConsoleBytes",
    "js.maxResultBytes",
    "js.queueTimeoutSecs",
    "sandboxes.maxSandboxes",
    "sandboxes.maxFiles",
    "sandboxes.maxFileBytes",
    "sandboxes.idleSecs",
    "sandboxes.queueTimeoutSecs",
    "faas.maxDeployments",
    "faas.maxFiles",
    "faas.maxFileBytes",
    "faas.maxRequests",
    "faas.startTimeoutSecs",
    "cluster.maxInstances",
    "proxy.maxBodyMB",
    "mcp.maxOutputBytes",
    "mcp.maxResourceBytes",
    "idempotency.ttlSecs",
    "idempotency.maxKeysPerClient",
    "asyncJobs.ttlSecs",
    "asyncJobs.maxJobs",
    "asyncJobs.maxJobsPerClient",
};

std::string_view name_of(verb method)
{
    const auto name = boost::beast::http::to_string(method);
    return {name.data(), name.size()};
}

// "/faas/{id}/{path}" of "/faas/{}/{*}".
std::string path_of(std::string_view pattern, const std::vector<std::string>& segments)
{
    std::string made;
    std::size_t next = 0;
    while (!pattern.empty()) {
        const auto open = std::min(pattern.find('{'), pattern.size());
        made.append(pattern.substr(0, open));
        pattern.remove_prefix(open);
        if (pattern.empty()) break;
        pattern.remove_prefix(std::min(pattern.find('}') + 1, pattern.size()));
        made.append("{").append(segments.at(next++)).append("}");
    }
    return made;
}

// Adds what a row says about itself as the operation of `method`.
void add_operation(json::object& paths, json::object& responses, const services& with, const described_route& row,
                   verb method, std::string_view id_suffix)
{
    operation one{with};
    one.is_change = method != verb::get && method != verb::head && method != verb::options;
    one.is_post = row.method == verb::post;
    if (!row.needs.is_open()) one.needs = row.needs;
    row.describe(one);
    auto& item = paths[path_of(row.pattern, one.segments())];
    if (item.is_null()) item.emplace_object();
    item.get_object()[in_lower_case(name_of(method))] = one.made(responses, id_suffix);
}

json::object limits_of(const services& with)
{
    json::object made;
    for (const auto key : shown_limits)
        if (const auto found = with.numbers.find(key); found != with.numbers.end()) made[key] = found->second;
    return made;
}

std::string introduction(const json::object& limits)
{
    std::string text =
        "Compiles, runs and hosts untrusted code.\n\n"
        "Every path that answers GET answers HEAD, and OPTIONS with the methods of the path. Every answer carries "
        "`X-Request-Id`. An error is JSON with `ok: false`, an `error` for people and a stable `code` for programs; "
        "`/execute` has `status` and `message` instead of the first two. Clients whose `Accept` names "
        "`application/problem+json` get errors in that form (RFC 9457), with the same members as extensions. Web pages of other origins may change nothing, "
        "unless the operator allows them (`http.apiCorsOrigins`).\n\n"
        "Members that are not described are ignored in requests, and may be added to answers later.\n\n"
        "This server's limits:\n\n| key | value |\n|---|---|\n";
    for (const auto& one : limits)
        text.append("| `").append(one.key()).append("` | ").append(json::serialize(one.value())).append(" |\n");
    return text;
}

json::object codes_of_errors()
{
    json::object made;
    for (const auto& [name, status, meaning] : told_codes())
        made[name] = json::object{{"status", status}, {"meaning", meaning}};
    return made;
}

json::object components_of(const services& with, json::object responses)
{
    json::object made{{"headers", json::object{{"X-Request-Id",
                                                json::object{{"description", "The request's own id, if it was valid."},
                                                             {"schema", json::object{{"type", "string"}}}}}}},
                      {"responses", std::move(responses)},
                      {"schemas", json::object{{"Problem", problem_schema()}}}};
    if (with.keys)
        made["securitySchemes"] =
            json::object{{"key", json::object{{"type", "http"},
                                              {"scheme", "bearer"},
                                              {"description",
                                               "A key of the operator's. Each operation names the scope that it needs; "
                                               "without a name, any key will do."}}}};
    return made;
}

json::array tags()
{
    const auto tag = [](std::string_view name, std::string_view means) {
        return json::object{{"name", name}, {"description", means}};
    };
    return {tag("Compile", "C and C++ to WebAssembly."),
            tag("Scripts", "JavaScript in an interpreter."),
            tag("Sandboxes", "Programs that run to their end."),
            tag("Deployments", "Programs that listen."),
            tag("Jobs", "Requests that are answered later."),
            tag("Agents", "The tools, by the Model Context Protocol."),
            tag("Keys", "Who may ask for what; for operators."),
            tag("Playground", "A page for people."),
            tag("Status", "Health, metrics, versions, this description.")};
}

}  // namespace

asio::awaitable<std::shared_ptr<const api_description>> describe_api(const services& with,
                                                                     std::vector<described_route> routes)
{
    async::turns turn;
    json::object paths;
    json::object responses;
    for (const auto& row : routes) {
        if (row.method != http::any_method) add_operation(paths, responses, with, row, row.method, {});
        for (const auto method : passed_on)
            if (row.method == http::any_method)
                add_operation(paths, responses, with, row, method, "By" + std::string{name_of(method)});
        if (turn.over()) co_await turn.rest();
    }
    responses["refused"] = refused_response(error_shape::usual);
    auto limits = limits_of(with);
    const json::object document{
        {"openapi", "3.1.1"},
        {"info", json::object{{"title", "sandboxd"},
                              {"version", with.version},
                              {"summary", "Compiles, runs and hosts untrusted code over HTTP."},
                              {"description", introduction(limits)},
                              {"license", json::object{{"name", "MIT"}, {"identifier", "MIT"}}}}},
        {"servers", json::array{json::object{{"url", "/"}, {"description", "This server."}}}},
        {"security", json::array{}},
        {"tags", tags()},
        {"paths", std::move(paths)},
        {"components", components_of(with, std::move(responses))},
        {"x-limits", std::move(limits)},
        {"x-error-codes", codes_of_errors()}};
    if (turn.over()) co_await turn.rest();
    auto text = std::make_shared<const std::string>(json::serialize(document) + '\n');
    if (turn.over()) co_await turn.rest();
    auto etag = '"' + to_hex(sha256_of(*text)).substr(0, 32) + '"';
    co_return std::make_shared<const api_description>(std::move(text), std::move(etag));
}

asio::awaitable<http::response> get_description(services& with, http::exchange& x)
{
    // Several may make the same one at the same time; the next finds it.
    if (!with.description) with.description = co_await describe_api(with, described_routes(with));
    const auto described = with.description;
    const auto& [text, etag] = *described;
    http::conditions asked;
    asked.head = x.method() == verb::head;
    if (const auto field = x[http::field::if_none_match]; !field.empty()) asked.if_none_match = field;
    if (const auto field = x[http::field::if_match]; !field.empty()) asked.if_match = field;
    http::response r;
    r.status = http::plan_response(asked, text->size(), etag).status;
    r.fields.emplace_back("ETag", etag);
    r.fields.emplace_back("Cache-Control", "no-cache");
    if (r.status != 200) co_return r;
    r.content_type = "application/json";
    r.body = http::memory_slice{.owner = text, .bytes = *text};
    co_return r;
}

}  // namespace sandboxd::api
