#include "api/mcp_tools.hpp"

#include "api/faas_request.hpp"
#include "api/handlers.hpp"
#include "api/operations.hpp"
#include "api/ownership.hpp"
#include "api/read_json.hpp"
#include "api/reply.hpp"
#include "api/sandbox_request.hpp"
#include "api/to_keeper.hpp"
#include "async/stop.hpp"
#include "base/json_reader.hpp"
#include "telemetry/tracer.hpp"

#include <boost/json/serialize.hpp>

#include <algorithm>
#include <array>
#include <exception>
#include <utility>
#include <variant>

namespace sandboxd::api {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

using endpoint_handler = asio::awaitable<http::response> (*)(services& with, http::exchange& x);

// Has an endpoint answer a request of this text. `what`: a literal, for its span. `id`: what its pattern captures.
asio::awaitable<http::response> ask(tool_call& call, async::stop_source& stop, std::string_view what,
                                    endpoint_handler handle, std::string body, std::string_view id = {})
{
    const auto apart = std::make_shared<http::exchange>(call.of, std::move(body));
    telemetry::begin_part(call.of, *apart, what);
    const async::stop_callback chain{stop, [&apart](errc cause) { apart->stop().request(cause); }};
    apart->set_param(0, id);
    apart->set_follower(call.tell);
    auto r = co_await handle(call.with, *apart);
    apart->set_follower({});
    note_timings_of(*apart, call.of);
    telemetry::fail(*apart, r.error_code);
    telemetry::end_part(*apart);
    co_return r;
}

// A tool that is an endpoint.
template <endpoint_handler handle>
asio::awaitable<http::response> ask(tool_call& call)
{
    return ask(call, call.stop, "tool", handle, std::move(call.arguments));
}

// The schema of an operation's request, and of its answers of these statuses and its errors.
json::object made_by(const services& with, void (*describe)(operation& it), json::object& shared)
{
    operation one{with};
    one.is_change = true;
    describe(one);
    return one.made(shared, {});
}

json::object input_of(const services& with, void (*describe)(operation& it))
{
    json::object shared;
    const auto made = made_by(with, describe, shared);
    return made.at("requestBody").at("content").at("application/json").at("schema").as_object();
}

json::object cut_members()
{
    return schema::list(schema::text(), "The members that are not whole, because the output was too long.");
}

// Adds the member `cut` to an object's shape, or to each of several.
json::object with_cut(json::object shape)
{
    if (auto* const each = shape.if_contains("anyOf")) {
        for (auto& one : each->as_array()) one = with_cut(one.as_object());
    } else if (auto* const members = shape.if_contains("properties")) {
        members->as_object()["cut"] = cut_members();
    }
    return shape;
}

json::object output_of(const services& with, void (*describe)(operation& it), error_shape errors)
{
    json::object shared;
    const auto made = made_by(with, describe, shared);
    json::array shapes;
    for (const auto* status : {"200", "400", "409", "410", "422", "500", "502", "504"}) {
        const auto* const answer = made.at("responses").as_object().if_contains(status);
        if (!answer || answer->as_object().contains("$ref")) continue;
        const auto& shape = answer->at("content").at("application/json").at("schema").as_object();
        if (const auto* const each = shape.if_contains("anyOf"))
            for (const auto& one : each->as_array()) shapes.emplace_back(with_cut(one.as_object()));
        else
            shapes.emplace_back(with_cut(shape));
    }
    for (const auto which : {errors, error_shape::usual}) {
        shapes.emplace_back(with_cut(error_schema(which, all_codes())));
        if (errors == error_shape::usual) break;
    }
    return {{"type", "object"}, {"anyOf", std::move(shapes)}};
}

template <void (*describe)(operation& it)>
json::object input_of(const services& with)
{
    return input_of(with, describe);
}

template <void (*describe)(operation& it), error_shape errors>
json::object output_of(const services& with)
{
    return output_of(with, describe, errors);
}

// ---- run_program: a sandbox for one execution

json::object program_input(const services& with)
{
    auto made = input_of(with, operations::create_sandbox);
    const auto run = input_of(with, operations::execute_sandbox);
    for (const auto& one : run.at("properties").as_object())
        made["properties"].as_object().emplace(one.key(), one.value());
    return made;
}

asio::awaitable<http::response> run_program(tool_call& call)
{
    auto made = co_await ask(call, call.stop, "create sandbox", post_passing_sandbox, call.arguments);
    if (made.status != 200) co_return made;
    std::string id;
    json_members shown;
    shown.text("id", id).required();
    http::response r;
    if (read_json(made.text(), shown)) {
        r = error_reply(make_error(errc::internal));
        r.cause = "a new sandbox has no id";
        co_return r;
    }
    std::exception_ptr thrown;
    try {
        r = co_await ask(call, call.stop, "execute", post_sandbox_execute, std::move(call.arguments), id);
    } catch (...) {
        thrown = std::current_exception();
    }
    // It is nobody else's, and goes whatever became of the execution.
    async::stop_source never;
    const auto removed = co_await ask(call, never, "delete sandbox", delete_sandbox, {}, id);
    if (r.cause.empty()) r.cause = removed.cause;
    if (thrown) std::rethrow_exception(thrown);
    co_return r;
}

// ---- deploy, logs, undeploy

constexpr std::int64_t usual_lines = 100;

struct deployment_arguments {
    std::string id{};
    std::optional<std::int64_t> lines{};
    std::optional<std::int64_t> after{};

    void declare(json_members& root, bool of_logs)
    {
        root.text("deployment_id", id).required().means("What `deploy` has returned.");
        if (!of_logs) return;
        root.number("lines", lines, 1, 1'000).means("At most so many lines, the newest; 100 if it is left out.");
        root.number("after", after, 0, std::int64_t{1} << 53).means("Only lines behind the one of this `id`.");
    }
};

json::object deployment_input(const services& with, bool of_logs)
{
    deployment_arguments given;
    json_members root;
    given.declare(root, of_logs);
    return schema::of_request(list_members(root), with.numbers);
}

json::object logs_input(const services& with) { return deployment_input(with, true); }
json::object undeploy_input(const services& with) { return deployment_input(with, false); }

error no_deployments()
{
    return {errc::unavailable,
            "this server hosts no deployments: faas.enabled is false, or its jail is 'none' or gVisor"};
}
error no_such_deployment_id() { return {errc::not_found, "there is no such deployment"}; }

// The lines of a deployment that another server runs. `id`: a UUID, as service::settle has found.
asio::awaitable<http::response> logs_of_server(tool_call& call, std::string server, const std::string& id,
                                               const deployment_arguments& given)
{
    proxy::peer_call asked;
    asked.method = "GET";
    asked.target = "/faas/deployments/" + id + "/logs?lines=" + std::to_string(given.lines.value_or(usual_lines)) +
                   "&after=" + std::to_string(given.after.value_or(0));
    auto said = co_await ask_server(call.with, call.of, call.stop, std::move(server), std::move(asked));
    if (said) co_return std::move(*said);
    if (said.error().code != errc::unavailable) co_return error_reply(said.error());
    co_return error_reply({errc::index_unavailable,
                           "the server that runs this deployment, and has its log, cannot be reached; ask again in a "
                           "moment"});
}

asio::awaitable<http::response> run_logs(tool_call& call)
{
    deployment_arguments given;
    json_members root;
    given.declare(root, true);
    if (auto wrong = read_body(call.arguments, root)) co_return error_reply(*wrong);
    if (!call.with.faas) co_return error_reply(no_deployments());
    const auto id = co_await own_deployment(call.with, call.of, given.id);
    if (!id) co_return error_reply(id.error());
    if (call.with.faas->is_shared()) {
        const auto server = co_await call.with.faas->settle(*id, true, call.stop);
        if (!server && server.error().code == errc::not_found) co_return error_reply(no_such_deployment_id());
        if (!server) co_return error_reply(server.error());
        if (!server->empty()) co_return co_await logs_of_server(call, *server, *id, given);
    }
    const auto after = static_cast<std::uint64_t>(given.after.value_or(0));
    auto lines = call.with.faas->logs(*id, after, static_cast<std::size_t>(given.lines.value_or(usual_lines)));
    if (!lines) co_return error_reply(no_such_deployment_id());
    co_return co_await answer_logs(given.id, std::move(*lines), after);
}

asio::awaitable<http::response> run_undeploy(tool_call& call)
{
    deployment_arguments given;
    json_members root;
    given.declare(root, false);
    if (auto wrong = read_body(call.arguments, root)) co_return error_reply(*wrong);
    auto r = co_await ask(call, call.stop, "tool", delete_deployment, {}, given.id);
    if (r.status != 204) co_return r;
    co_return json_reply(200, json::object{{"ok", true}, {"deployment_id", given.id}});
}

json::object undeploy_output(const services&)
{
    json::array shapes;
    shapes.emplace_back(with_cut(schema::record({{"ok", schema::constant(true)}, {"deployment_id", schema::text()}})));
    shapes.emplace_back(with_cut(error_schema(error_shape::usual, all_codes())));
    return {{"type", "object"}, {"anyOf", std::move(shapes)}};
}

constexpr auto always = [](const services&) { return true; };
constexpr auto with_scripts = [](const services& with) { return with.js != nullptr; };
constexpr auto with_sandboxes = [](const services& with) { return with.sandboxes != nullptr; };
constexpr auto with_deployments = [](const services& with) { return with.faas != nullptr; };

constexpr std::array tools{
    tool{.name = "compile",
         .title = "Compile C or C++ to WebAssembly",
         .text =
             "Compiles C or C++ with Emscripten. The result has the compiler's diagnostics as data, with file, line "
             "and column, and links to the artifacts (app.js, app.wasm). A program that does not compile is an "
             "error whose diagnostics say why.",
         .needs = tenants::scope::compile,
         .is_offered = always,
         .input = input_of<operations::compile>,
         .output = output_of<operations::compile, error_shape::compile>,
         .run = ask<post_compile>},
    tool{.name = "run_javascript",
         .title = "Run JavaScript",
         .text = "Runs JavaScript in a fresh interpreter without network and files, and returns the script's last "
                 "value as JSON, what it printed, and the fuel and memory it used. For calculations and for "
                 "transforming data; run_program has Node.js.",
         .needs = tenants::scope::execute,
         .is_offered = with_scripts,
         .input = input_of<operations::execute>,
         .output = output_of<operations::execute, error_shape::script>,
         .run = ask<post_execute>},
    tool{.name = "continue_javascript",
         .title = "Go on with a script that waits for tools",
         .text =
             "A script that run_javascript was given names of `tools` for, and that waits for them, is PENDING: the "
             "result has the calls and a continuation. This gives it what the calls have returned, and goes on.",
         .needs = tenants::scope::execute,
         .is_offered = with_scripts,
         .input = input_of<operations::continue_execution>,
         .output = output_of<operations::continue_execution, error_shape::script>,
         .run = ask<post_continue>},
    tool{.name = "run_program",
         .title = "Run a program",
         .text =
             "Runs a program in Node.js, TypeScript, Bun or Python once, in a jail of its own without network, with "
             "the given files and standard input, and returns its output and how it ended. Nothing of it remains.",
         .needs = tenants::scope::sandbox,
         .is_offered = with_sandboxes,
         .input = program_input,
         .output = output_of<operations::execute_sandbox, error_shape::usual>,
         .run = run_program},
    tool{.name = "deploy",
         .title = "Deploy a program that listens",
         .text = "Deploys a program that listens on PORT (3000), with its files and npm packages. The result has its "
                 "url and deployment_id. It stays until undeploy removes it; it is stopped when idle and started by "
                 "the next request.",
         .needs = tenants::scope::deploy,
         .is_offered = with_deployments,
         .input = input_of<operations::deploy>,
         .output = output_of<operations::deploy, error_shape::usual>,
         .run = ask<post_deploy>},
    tool{.name = "logs",
         .title = "Read a deployment's log",
         .text = "Returns the newest lines that a deployment has printed.",
         .needs = tenants::scope::deploy,
         .reads_only = true,
         .is_offered = with_deployments,
         .input = logs_input,
         .output = output_of<operations::logs, error_shape::usual>,
         .run = run_logs},
    tool{.name = "undeploy",
         .title = "Remove a deployment",
         .text = "Ends a deployment's program and removes its files and its log.",
         .needs = tenants::scope::deploy,
         .destroys = true,
         .is_offered = with_deployments,
         .input = undeploy_input,
         .output = undeploy_output,
         .run = run_undeploy},
};

}  // namespace

const tool* find_tool(const services& with, std::string_view name)
{
    const auto found = std::ranges::find(tools, name, &tool::name);
    return found != tools.end() && found->is_offered(with) ? &*found : nullptr;
}

std::vector<std::string> list_tool_names(const services& with)
{
    std::vector<std::string> all;
    for (const auto& one : tools)
        if (one.is_offered(with)) all.emplace_back(one.name);
    return all;
}

json::array list_tools(const services& with)
{
    json::array all;
    for (const auto& one : tools) {
        if (!one.is_offered(with)) continue;
        all.push_back(json::object{{"name", one.name},
                                   {"title", one.title},
                                   {"description", one.text},
                                   {"inputSchema", one.input(with)},
                                   {"outputSchema", one.output(with)},
                                   {"annotations", json::object{{"readOnlyHint", one.reads_only},
                                                                {"destructiveHint", one.destroys},
                                                                {"idempotentHint", one.reads_only || one.destroys},
                                                                {"openWorldHint", false}}}});
    }
    return all;
}

std::string tool_instructions(const services& with)
{
    return "Compiles, runs and hosts untrusted code in jails without network. The structured content of a result is "
           "that of the HTTP API (/openapi.json). A result of more than " +
           std::to_string(with.mcp.output_bytes) +
           " bytes is cut, and its member `cut` names what is not whole; print less, or fetch artifacts by their links.";
}

}  // namespace sandboxd::api
