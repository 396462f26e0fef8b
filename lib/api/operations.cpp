// The answers' shapes are those that the handlers write: the integration tests compare every answer with them.
#include "api/operations.hpp"

#include "api/compile_request.hpp"
#include "api/execute_request.hpp"
#include "api/faas_request.hpp"
#include "api/key_request.hpp"
#include "api/sandbox_request.hpp"
#include "compile/diagnostics.hpp"
#include "faas/lifecycle.hpp"
#include "faas/log_ring.hpp"
#include "sandboxes/execution_limits.hpp"
#include "sandboxes/verdict.hpp"
#include "script/run.hpp"

#include <array>

namespace sandboxd::api::operations {

namespace json = boost::json;
using schema::any_of;
using schema::anything;
using schema::boolean;
using schema::constant;
using schema::integer;
using schema::list;
using schema::maybe;
using schema::number;
using schema::one_of;
using schema::record;
using schema::text;

namespace {

constexpr std::string_view as_json = "application/json";
constexpr std::string_view as_text = "text/plain";
constexpr std::string_view as_events = "text/event-stream";
constexpr std::string_view as_lines = "application/x-ndjson";

constexpr std::string_view status_tag = "Status";
constexpr std::string_view compile_tag = "Compile";
constexpr std::string_view script_tag = "Scripts";
constexpr std::string_view sandbox_tag = "Sandboxes";
constexpr std::string_view faas_tag = "Deployments";
constexpr std::string_view agent_tag = "Agents";
constexpr std::string_view playground_tag = "Playground";
constexpr std::string_view job_tag = "Jobs";
constexpr std::string_view key_tag = "Keys";

constexpr std::string_view an_id = "123e4567-e89b-42d3-a456-426614174000";
constexpr std::string_view a_time = "An instant, in UTC (RFC 3339).";

// ---- Compile

std::vector<schema::member> place_members()
{
    return {{"file", text()},
            {"line", integer("From 1; 0: no place.")},
            {"column", integer("In bytes of UTF-8, from 1; 0: no place.")},
            {"columnUtf16", integer("In code units of UTF-16, from 1; 0: no place.")}};
}

json::object diagnostic()
{
    static constexpr std::array severities{std::string_view{"note"}, std::string_view{"remark"},
                                           std::string_view{"warning"}, std::string_view{"error"},
                                           std::string_view{"fatal_error"}};
    auto note = place_members();
    note.push_back({"message", text()});
    auto all = place_members();
    all.push_back({"severity", one_of(severities)});
    all.push_back({"message", text()});
    all.push_back({"notes", list(record(note), "The notes of the message; each is in the list itself, too.")});
    auto origin = record(place_members());
    origin["type"] = json::array{"object", "null"};
    origin["description"] = "The place in the request's own files that caused the message.";
    all.push_back({"origin", std::move(origin)});
    return record(all);
}

json::object compile_usage()
{
    return record({{"memoryPeakBytes", integer()}, {"cpuMs", integer()}, {"oomKills", integer()}},
                  "What the job used, where jobs have cgroups.");
}

// `failed`: the codes of a job that failed; empty: one that succeeded.
json::object compiled(const std::vector<errc>& failed)
{
    std::vector<schema::member> all{
        {"ok", constant(failed.empty())},
        {"id", text("A hash over everything that determines the result.")},
        {"js", text("Where `app.js` is, or empty.")},
        {"wasm", text("Where `app.wasm` is, or empty.")},
    };
    if (!failed.empty()) {
        std::vector<std::string_view> words;
        for (const auto code : failed) words.push_back(sandboxd::name(code));
        all.push_back({"error", text("The compiler's output without what only its developers understand.")});
        all.push_back({"code", one_of(words)});
    }
    all.insert(
        all.end(),
        {{"cached", boolean("Answered from the store.")},
         {"ignoredArgs", list(record({{"arg", text()},
                                      {"reason", text()},
                                      {"effect", text("What it would have changed.")},
                                      {"changesProgram", boolean("Whether the program may behave differently.")}}),
                              "The arguments that were dropped.")},
         {"artifacts", list(record({{"name", text()}, {"url", text()}, {"bytes", integer()}, {"sha256", text()}}))},
         {"log", text("The compiler's output, unchanged.")},
         {"truncated", boolean("`log` is not all of it.")},
         {"diagnostics", list(diagnostic(), "The compiler's messages as data, in the order printed.")},
         {"diagnosticsTruncated", boolean()},
         maybe("usage", compile_usage()),
         {"timings", record({{"queueMs", integer()}, {"compileMs", integer()}, {"totalMs", integer()}})}});
    return record(all);
}

// What a stream of a job's events holds, by the events' names.
json::object job_event()
{
    return any_of({record({{"ahead", integer("`queued`: how many are ahead of it, as things stand.")}}),
                   record({}, "`started`."),
                   record({{"name", text("`step`: of the compile, as `Server-Timing` names it.")}, {"ms", integer()}}),
                   diagnostic(),
                   record({{"status", integer("`done`: of the answer.")},
                           {"answer", anything("The JSON that is the answer without a stream.")}})});
}

constexpr std::string_view job_events =
    "event: started\ndata: {}\n\nevent: done\ndata: {\"status\":200,\"answer\":{\"ok\":true}}\n\n";

constexpr std::string_view a_job = "5f2b1c9d8e7a6b5c4d3e2f1a0b9c8d7e";

std::vector<schema::member> job_members(std::span<const std::string_view> states)
{
    return {{"id", text()},
            {"status", one_of(states)},
            {"url", text("Where it is: poll, stream or DELETE it.")},
            {"request", text("The path of its request.")},
            {"created_at", text(a_time)}};
}

json::object job_under_way()
{
    static constexpr std::array states{std::string_view{"queued"}, std::string_view{"running"},
                                       std::string_view{"done"}};
    return record(job_members(states));
}

constexpr std::string_view job_under_way_example = R"({
    "id": "5f2b1c9d8e7a6b5c4d3e2f1a0b9c8d7e", "status": "running", "url": "/jobs/5f2b1c9d8e7a6b5c4d3e2f1a0b9c8d7e",
    "request": "/compile", "created_at": "2026-04-24T09:50:41Z"})";

// A request that may be answered later.
void may_wait(operation& it)
{
    it.header("Prefer", text("`respond-async`: be told at once where the answer will be (RFC 7240). With `wait=10`, be "
                             "answered if that takes no longer than 10 seconds (at most 60)."));
    it.answers(202, "It is under way (`Prefer: respond-async`).", as_json, job_under_way(), job_under_way_example);
    it.answer_header(202, "Location", text("The job: `/jobs/{id}`."));
    it.answer_header(202, "Preference-Applied", text());
    it.answer_header(202, "Retry-After", integer("Seconds after which to ask."));
    it.fails({errc::queue_full, errc::draining});
}

// ---- Scripts

std::vector<std::string_view> failures_of_scripts(bool with_fault)
{
    std::vector<std::string_view> words;
    for (std::uint8_t i = 0; i < script::run_status_count; ++i) {
        const auto status = static_cast<script::run_status>(i);
        if (status == script::run_status::ok || status == script::run_status::pending ||
            (status == script::run_status::fault && !with_fault))
            continue;
        words.push_back(script::name(status));
    }
    return words;
}

std::vector<schema::member> console_members()
{
    return {{"stdout", text("What `console.log`, `info`, `warn`, `debug` and `trace` printed.")},
            {"stderr", text("What `console.error` and `assert` printed.")},
            maybe("truncated", constant(true, "There was more than `js.maxConsoleBytes`.")),
            {"usage", record({{"fuel", integer()}, {"memory_bytes", integer()}, {"microseconds", integer()}})}};
}

json::object script_result()
{
    std::vector<schema::member> all{{"status", constant("OK")},
                                    {"result", anything("The script's last value, as JSON; `undefined` is null.")}};
    const auto console = console_members();
    all.insert(all.end(), console.begin(), console.end());
    return record(all);
}

json::object script_pending()
{
    std::vector<schema::member> all{
        {"status", constant("PENDING")},
        {"calls", list(record({{"id", integer("Counts from 1.")},
                               {"name", text("One of the request's `tools`.")},
                               {"arguments", list(anything())}}),
                       "The calls that the script waits for.")},
        {"continuation", text("For `/execute/continue`. Whoever knows it can go on with the script.")}};
    const auto console = console_members();
    all.insert(all.end(), console.begin(), console.end());
    return record(all);
}

json::object script_failure(std::span<const std::string_view> statuses, std::span<const std::string_view> codes,
                            bool with_console)
{
    static constexpr std::array stages{std::string_view{"INIT"}, std::string_view{"SCRIPT"}};
    std::vector<schema::member> all{
        {"status", one_of(statuses)},
        {"code", one_of(codes)},
        {"stage", one_of(stages)},
        {"message", text()},
        maybe("file", text("Of a SyntaxError: `init`, `script` or a module's name.")),
        maybe("line", integer("From 1.")),
        maybe("column", integer("In bytes of UTF-8, from 1.")),
    };
    if (with_console) {
        const auto console = console_members();
        all.insert(all.end(), console.begin(), console.end());
    }
    return record(all);
}

// ---- Sandboxes

json::object sandbox()
{
    static constexpr std::array states{std::string_view{"Created"}, std::string_view{"Running"},
                                       std::string_view{"Completed"}};
    std::vector<schema::member> all{
        {"id", text()},
        {"sandbox_id", text("The same as `id`.")},
        {"runtime", text()},
        {"entry_point", text()},
        {"status", one_of(states)},
        {"created_at", text(a_time)},
        {"last_used_at", text(a_time)},
        {"files", integer("How many files it has.")},
        {"bytes", integer("Of its files.")},
        {"executions", integer("How many have begun.")},
        {"running", integer("How many run now.")},
    };
    for (const auto& row : sandboxes::limit_table) all.push_back({row.name, integer(row.means)});
    return record(all);
}

std::vector<schema::member> execution_end()
{
    std::vector<std::string_view> verdicts;
    for (int i = 0; i <= static_cast<int>(sandboxes::verdict::signalled); ++i)
        verdicts.push_back(sandboxes::name(static_cast<sandboxes::verdict>(i)));
    return {{"sandbox_id", text()},
            {"success", boolean("It ended by itself, with 0.")},
            {"exit_code", integer("As a shell reports it; 124 for a timeout, 128 plus the number of a signal.")},
            {"execution_time_ms", integer()},
            {"verdict", one_of(verdicts, "How it ended.")},
            {"truncated", boolean("Its output was more than it may be.")},
            {"queue_time_ms", integer()},
            maybe("signal", integer()),
            maybe("usage", record({{"memory_peak_bytes", integer()}, {"cpu_ms", integer()}, {"oom_kills", integer()}},
                                  "What it used, where jobs have cgroups."))};
}

// What a stream of an execution holds. In lines, `event` is a member; of server-sent events it is the event's name.
json::object execution_event(bool in_lines)
{
    const auto named = [in_lines](std::string_view name, std::vector<schema::member> members) {
        if (in_lines) members.insert(members.begin(), schema::member{"event", constant(json::value(name))});
        return record(members);
    };
    return any_of({named("stdout", {{"text", text()}}), named("stderr", {{"text", text()}}),
                   named("exit", execution_end()), named("error", {{"error", text()}, {"code", text()}})});
}

// ---- Deployments

std::vector<schema::member> deployment_members()
{
    std::vector<std::string_view> states;
    for (int i = 0; i <= static_cast<int>(faas::status::deleting); ++i)
        states.push_back(faas::name(static_cast<faas::status>(i)));
    return {{"deployment_id", text()},
            {"url", text("Where the program answers.")},
            {"sandbox_id", text("Of the jail that it runs in; see `/proxy/{sandbox_id}`.")},
            {"status", one_of(states)},
            {"runtime", text()},
            {"entry_point", text()},
            {"created_at", text(a_time)},
            {"memory_limit_mb", integer()},
            {"scale_down_after_minutes", number("0: never.")},
            {"auto_scale", record({{"scale_down_after_minutes", number("0: never.")},
                                   {"max_instances", integer("Servers that may run it at the same time.")}})},
            {"starts", integer()},
            {"restarts", integer("After crashes.")},
            {"active_requests", integer()},
            {"log_id", integer("Of the last line of its log.")},
            {"logs_url", text()},
            maybe("message", text("Why it does not run.")),
            maybe("last_exit", text("How the program ended the last time.")),
            maybe("next_start_in_ms", integer("Of one that crashed.")),
            maybe("revision", integer("Of its files, where servers share their deployments; see `ETag`.")),
            maybe("instances",
                  integer("How many servers run it, where they share it: its owner, and others while it has much to "
                          "do (`auto_scale.max_instances`)."))};
}

void has_etag(operation& it)
{
    it.answer_header(200, "ETag", text("The revision, where servers share their deployments."));
}

json::object updated_deployment()
{
    auto all = deployment_members();
    all.push_back({"updated_files", integer()});
    all.push_back({"restarted", boolean()});
    return record(all);
}

// The error of a deployment that exists but does not run. `codes` are all of that status.
json::object not_running(std::initializer_list<std::string_view> codes, bool updated)
{
    std::vector<schema::member> all{{"ok", constant(false)}, {"error", text()}, {"code", one_of(std::vector(codes))}};
    auto members = deployment_members();
    if (updated) {
        members.push_back({"updated_files", integer()});
        members.push_back({"restarted", boolean()});
    }
    all.insert(all.end(), members.begin(), members.end());
    return record(all);
}

json::object log_line()
{
    std::vector<std::string_view> streams;
    for (int i = 0; i <= static_cast<int>(faas::log_source::system); ++i)
        streams.push_back(faas::name(static_cast<faas::log_source>(i)));
    return record({{"id", integer()},
                   {"time", text(a_time)},
                   {"stream", one_of(streams, "`system` is the server.")},
                   {"text", text()}});
}

constexpr std::string_view deployment_example = R"({
    "deployment_id": "220ec9f5-c0ed-442d-9142-d12aece213f6",
    "url": "http://localhost:8080/faas/220ec9f5-c0ed-442d-9142-d12aece213f6",
    "sandbox_id": "bcb198e2-2d4b-4d0a-b6f7-6f1d24e6ad0c", "status": "Running", "runtime": "node",
    "entry_point": "index.js", "created_at": "2026-04-24T09:50:41Z", "memory_limit_mb": 256,
    "scale_down_after_minutes": 10, "auto_scale": {"scale_down_after_minutes": 10, "max_instances": 1},
    "starts": 1, "restarts": 0, "active_requests": 0, "log_id": 3,
    "logs_url": "/faas/deployments/220ec9f5-c0ed-442d-9142-d12aece213f6/logs"})";

constexpr std::string_view deployment_id = "220ec9f5-c0ed-442d-9142-d12aece213f6";

std::string in_list(std::string_view name, std::string_view item)
{
    return "{\"" + std::string{name} + "\": [" + std::string{item} + "], \"count\": 1}";
}

constexpr std::string_view sandbox_example = R"({
    "id": "123e4567-e89b-42d3-a456-426614174000", "sandbox_id": "123e4567-e89b-42d3-a456-426614174000",
    "runtime": "node", "entry_point": "index.js", "status": "Created", "created_at": "2026-04-24T09:50:41Z",
    "last_used_at": "2026-04-24T09:50:41Z", "files": 1, "bytes": 34, "executions": 0, "running": 0,
    "timeout_ms": 30000, "memory_limit_mb": 512, "cpu_limit_secs": 60, "max_processes": 64,
    "max_output_bytes": 1048576, "disk_limit_mb": 64})";

// ---- Keys

constexpr std::string_view a_digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

std::vector<schema::member> key_members()
{
    std::vector<std::string_view> scopes;
    for (std::size_t i = 0; i < tenants::scope_count; ++i)
        scopes.push_back(tenants::name(static_cast<tenants::scope>(i)));
    std::vector<schema::member> limits;
    for (std::size_t i = 0; i < tenants::limit_count; ++i)
        limits.push_back(maybe(tenants::name(static_cast<tenants::limit>(i)), integer()));
    return {{"name", text("The tenant's.")},
            {"sha256", text("Of the key: 64 hexadecimal digits. It is the key's name here, and is no secret.")},
            {"scopes", list(one_of(scopes), "What the key is for.")},
            {"limits", record(limits, "What is left out is not limited.")}};
}

json::object listed_key()
{
    static constexpr std::array sources{std::string_view{"file"}, std::string_view{"redis"}};
    auto all = key_members();
    all.push_back({"from", one_of(sources, "The keys file, or Redis: made by `POST /admin/keys`.")});
    all.push_back(maybe("created", text("Of one that was made: an instant, in UTC (RFC 3339).")));
    all.push_back(maybe("by", text("Of one that was made: the tenant whose key has made it.")));
    return record(all);
}

json::object key_told_once()
{
    auto all = key_members();
    all.insert(all.begin(), schema::member{"ok", constant(true)});
    all.push_back({"key", text("The key itself. No other answer has it.")});
    all.push_back({"created", text(a_time)});
    all.push_back({"by", text("The tenant whose key has made it.")});
    return record(all);
}

void is_status(operation& it, std::string_view id, std::string_view summary, std::string_view more = {})
{
    it.named(id, status_tag, summary, more);
}

void is_of_deployment(operation& it) { it.segment("id", "The deployment's id.", deployment_id); }

void passes_on(operation& it)
{
    it.answers_anything("The program's own answer, of any status and type.");
    it.fails({errc::not_found, errc::request_timeout, errc::payload_too_large, errc::too_many_requests,
              errc::start_failed, errc::upstream_failed, errc::queue_full, errc::draining, errc::unavailable,
              errc::start_timeout, errc::upstream_timeout, errc::index_unavailable});
}

}  // namespace

void health(operation& it)
{
    is_status(it, "getHealthz", "Whether the process serves");
    it.answers(200, "It does.", as_text, text(), "ok");
}

void live(operation& it)
{
    is_status(it, "getLivez", "The same, under Kubernetes' name");
    it.answers(200, "It does.", as_text, text(), "ok");
}

void ready(operation& it)
{
    is_status(it, "getReadyz", "Whether work can be taken, and why not");
    const auto shape = [](bool is_ready) {
        return record({{"ready", constant(is_ready)},
                       {"reasons", list(text(), "Why no work can be taken.")},
                       {"degraded", list(text(), "What does not work while the rest does.")},
                       {"warnings", list(text(), "What works, and is not safe.")},
                       {"jail", text()},
                       {"walls", list(text(), "What the jail enforces.")}});
    };
    it.answers(200, "Work can be taken.", as_json, shape(true),
               R"({"ready": true, "reasons": [], "degraded": [], "warnings": [], "jail": "namespaces",
                   "walls": ["user namespace"]})");
    it.answers(503, "The server drains, or the toolchain does not work.", as_json, shape(false),
               R"({"ready": false, "reasons": ["draining"], "degraded": [], "warnings": [],
                   "jail": "namespaces", "walls": []})");
}

void metrics(operation& it)
{
    is_status(it, "getMetrics", "Metrics for Prometheus");
    it.answers(200, "Prometheus' text format.", as_text, text(),
               "# HELP sandboxd_http_requests_total Requests answered, by route and status; answers of programs by its "
               "class ('2xx'; 'other': over 599).\n");
}

void version(operation& it)
{
    is_status(it, "getVersion", "Versions of the server and its toolchain, the jail and its walls");
    it.answers(200, "What serves.", as_json,
               record({{"name", constant("sandboxd")},
                       {"version", text()},
                       {"toolchain", record({{"emcc", text()}, {"identity", text()}})},
                       {"compile", record({{"path", text("`warm`: with compilers that are started already.")}})},
                       {"jail", text()},
                       {"walls", list(text())}}),
               R"({"name": "sandboxd", "version": "0.1.0", "toolchain": {"emcc": "3.1.6", "identity": "5b72"},
                   "compile": {"path": "warm"}, "jail": "namespaces", "walls": ["user namespace"]})");
}

void description(operation& it)
{
    is_status(it, "getDescription", "This description (OpenAPI 3.1)",
              "It is made from the tables that the server itself uses, with the limits of this server.");
    it.header("If-None-Match", text("The ETag of an earlier answer."));
    it.answers(200, "An OpenAPI document.", as_json, json::object{{"type", "object"}}, R"({"openapi": "3.1.1"})");
    it.answer_header(200, "ETag", text());
    it.answers(304, "It is still the same.");
    it.answers(412, "`If-Match` names another one.");
}

void compile(operation& it)
{
    it.named("compile", compile_tag, "Compiles C or C++ to WebAssembly",
             "Identical requests share one compile, and its result is stored: the same request again is answered at "
             "once. A program that does not compile is a 400 with the compiler's messages.");
    it.json_body(compile_request_members(it.with().compile_limits), R"({
        "code": "#include <stdio.h>\nint main() { printf(\"Hello WebAssembly!\"); return 0; }", "type": "c"})");
    it.errors_are(error_shape::compile);
    may_wait(it);
    it.answers(200, {}, as_events,
               text("Events of the compile as it goes: `queued` while it waits, `started`, `step`, `diagnostic`, then "
                    "`done` with the status and the answer."),
               job_events, job_event());
    it.answers(200, "It compiled.", as_json, compiled({}), R"({
        "ok": true, "id": "abde6e8b89cd7a7bf074f41cf88e6c57",
        "js": "/artifacts/abde6e8b89cd7a7bf074f41cf88e6c57/app.js",
        "wasm": "/artifacts/abde6e8b89cd7a7bf074f41cf88e6c57/app.wasm", "cached": false, "ignoredArgs": [],
        "artifacts": [{"name": "app.js", "url": "/artifacts/abde6e8b89cd7a7bf074f41cf88e6c57/app.js",
                       "bytes": 90937, "sha256": "5b72"}],
        "log": "", "truncated": false, "diagnostics": [], "diagnosticsTruncated": false,
        "timings": {"queueMs": 0, "compileMs": 340, "totalMs": 346}})");
    it.answers(400, "It did not compile, exceeded a limit, or the request is not valid.", as_json,
               compiled({errc::compile_error, errc::timeout, errc::output_limit, errc::memory_limit, errc::disk_limit,
                         errc::artifact_rejected}),
               R"({"ok": false, "id": "abde6e8b89cd7a7bf074f41cf88e6c57", "js": "", "wasm": "",
                   "error": "main.c:1:11: error: expected parameter declarator\n", "code": "compile_error",
                   "cached": false, "ignoredArgs": [], "artifacts": [], "log": "", "truncated": false,
                   "diagnostics": [{"file": "main.c", "line": 1, "column": 11, "columnUtf16": 11, "severity": "error",
                                    "message": "expected parameter declarator", "notes": [], "origin": null}],
                   "diagnosticsTruncated": false, "timings": {"queueMs": 0, "compileMs": 40, "totalMs": 41}})");
    it.answers(500, "The server failed, not the program.", as_json, compiled({errc::io, errc::internal}));
    it.fails({errc::compile_error, errc::timeout, errc::output_limit, errc::memory_limit, errc::disk_limit,
              errc::artifact_rejected, errc::io, errc::queue_timeout, errc::draining, errc::unavailable});
}

void mcp(operation& it)
{
    it.named(
        "mcp", agent_tag, "The tools, for agents: Model Context Protocol over Streamable HTTP",
        "Revisions 2026-07-28 (stateless, `server/discover`) and 2025-11-25 (`initialize`). One message a request. "
        "A request is answered with JSON, or with events if it has a `progressToken`; closing the connection, or "
        "`notifications/cancelled` with the session's id, ends the tool's job.");
    it.header("MCP-Protocol-Version", text("The revision; every request but `initialize` needs it."));
    it.header("Mcp-Method", text("2026-07-28: the message's method."));
    it.header("Mcp-Name", text("2026-07-28: the name of the tool, or the URI of the resource."));
    it.header("Mcp-Session-Id", text("2025-11-25: what `initialize` has returned."));
    it.body(as_json, record({{"jsonrpc", constant("2.0")},
                             maybe("id", anything("An integer or a string; a notification has none.")),
                             {"method", text()},
                             maybe("params", record({}))}));
    it.errors_are(error_shape::rpc);
    const auto result = record({{"jsonrpc", constant("2.0")}, {"id", anything()}, {"result", anything()}});
    it.answers(200, "The answer to the message.", as_json, any_of({result, error_schema(error_shape::rpc, {})}),
               R"({"jsonrpc": "2.0", "id": 1, "result": {}})");
    it.answers(200, {}, as_events, text("Messages: notifications, then the answer."),
               "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n",
               any_of({result, error_schema(error_shape::rpc, {}),
                       record({{"jsonrpc", constant("2.0")}, {"method", text()}, {"params", anything()}})}));
    it.answer_header(200, "Mcp-Session-Id", text("Of `initialize`."));
    it.answers(202, "A notification was taken.");
    it.fails({errc::not_found, errc::invalid_request, errc::queue_full, errc::draining});
}

void artifact(operation& it)
{
    it.named("getArtifact", compile_tag, "A file that a compile produced",
             "`app.js`, `app.wasm`, and `app.data` or `app.wasm.map` if the arguments ask for them. Conditional and "
             "partial requests work (RFC 9110), gzip and brotli are there in advance.");
    it.segment("id", "The `id` of the compile's answer.", "abde6e8b89cd7a7bf074f41cf88e6c57");
    it.segment("name", "The artifact's name.", "app.js");
    it.header("If-None-Match", text());
    it.header("Range", text("A single range of bytes."));
    it.answers(200, "The file.", "*/*", {});
    it.answer_header(200, "ETag", text());
    it.answers(206, "The part of it that `Range` asks for.", "*/*", {});
    it.answer_header(206, "Content-Range", text());
    it.answers(304, "It is still the same.");
    it.answers(412, "`If-Match` names another one.");
    it.fails({errc::not_found, errc::range_not_satisfiable, errc::io, errc::unavailable});
}

namespace {

// The ends that both ways of running a script have.
void script_ends(operation& it)
{
    static constexpr std::array failures{std::string_view{"RUNTIME_ERROR"}, std::string_view{"OUT_OF_FUEL"},
                                         std::string_view{"OUT_OF_MEMORY"}};
    it.answers(200, "It waits for its tools.", as_json, script_pending());
    it.answers(400, "It failed, exceeded a limit, or the request is not valid.", as_json,
               script_failure(failures, failures_of_scripts(false), true),
               R"({"status": "RUNTIME_ERROR", "code": "runtime_error", "stage": "SCRIPT",
                   "message": "TypeError: cannot read property 'name' of undefined", "stdout": "on my way\n",
                   "stderr": "", "usage": {"fuel": 4264, "memory_bytes": 1441792, "microseconds": 200}})");
    static constexpr std::array internal{std::string_view{"INTERNAL_SERVER_ERROR"}};
    static constexpr std::array fault{std::string_view{"fault"}};
    it.answers(500, "The engine or the server failed.", as_json, script_failure(internal, fault, false));
    it.fails({errc::not_found, errc::queue_timeout, errc::draining, errc::unavailable, errc::index_unavailable,
              errc::upstream_failed, errc::upstream_timeout});
}

}  // namespace

void execute(operation& it)
{
    it.named("execute", script_tag, "Runs JavaScript in a fresh interpreter, or in a kept one",
             "Without network and files. The limits of the request are bounded by those of the server.");
    const script::run_limits none{};
    const auto members = it.with().js ? execute_request_members(it.with().js->most(), it.with().js->max_modules(),
                                                                it.with().js->max_tools())
                                      : execute_request_members(none, 1'000, 128);
    it.json_body(members, R"({"script": "fib(13);",
        "init_script": "function fib(n) { return n <= 1 ? 1 : fib(n-1) + fib(n-2); }"
})");
    it.errors_are(error_shape::script);
    may_wait(it);
    it.answers(200, "It ran to its end.", as_json, script_result(),
               R"({"status": "OK", "result": 377, "stdout": "", "stderr": "",
                   "usage": {"fuel": 426438, "memory_bytes": 1441792, "microseconds": 313}})");
    script_ends(it);
}

void continue_execution(operation& it)
{
    it.named("continueExecution", script_tag, "Goes on with a script that waits for its tools",
             "Fuel and time count on over the continuations; the time in between does not count. A request that is "
             "refused, with 400, 429 or 503, leaves the continuation as it was.");
    it.json_body(continue_request_members(it.with().js ? it.with().js->max_pending_calls() : 100),
                 R"({"continuation": "6b0f1c5f7f0d4c6e", "results": [{"id": 1, "value": {"total": 3}},
                     {"id": 2, "error": "no such order"}]})");
    it.errors_are(error_shape::script);
    may_wait(it);
    it.answers(200, "It ran to its end.", as_json, script_result(),
               R"({"status": "OK", "result": 3, "stdout": "", "stderr": "",
                   "usage": {"fuel": 426438, "memory_bytes": 1441792, "microseconds": 313}})");
    const auto refused = [](std::string_view code) {
        return record(
            {{"status", constant("INVALID_REQUEST")}, {"message", text()}, {"code", one_of(std::array{code})}});
    };
    it.answers(409, "The continuation has been used.", as_json, refused("continuation_used"));
    it.answers(410, "There is no such continuation, or it has expired.", as_json, refused("continuation_gone"));
    script_ends(it);
}

void script(operation& it)
{
    it.named("executeScript", script_tag, "The same with a log of values; a failed script is a 200",
             "Send `code`, or `file` with the name of an example script, or both.");
    it.query("file", text("The name of an example script, unless the body has one."));
    it.json_body(script_members(), R"({"code": "console.log(\"Hello!\"); 1 + 2"})", false);
    const auto fields = [] { return record({maybe("code", text()), maybe("file", text())}); };
    it.body("application/x-www-form-urlencoded", fields());
    it.body("multipart/form-data", fields());
    static constexpr std::array outcomes{std::string_view{"success"}, std::string_view{"error"}};
    static constexpr std::array types{std::string_view{"log"}, std::string_view{"info"}, std::string_view{"warn"},
                                      std::string_view{"error"}, std::string_view{"debug"}};
    auto codes = failures_of_scripts(true);
    codes.push_back(sandboxd::name(errc::not_found));
    it.answers(200, "It ran, or failed.", as_json,
               record({{"status", one_of(outcomes)},
                       {"result", anything("The script's last value, as JSON.")},
                       {"error", any_of({constant(false), text("What was thrown, if it was no error."),
                                         record({{"name", text()}, {"message", text()}, {"stack", text()}})})},
                       {"log", list(record({{"type", one_of(types)},
                                            {"timestamp", text(a_time)},
                                            {"data", list(anything(), "The values that the console got.")}}))},
                       maybe("logTruncated", constant(true)),
                       maybe("code", one_of(codes)),
                       {"executionTime", integer("In milliseconds.")}}),
               R"({"status": "success", "result": 3, "error": false,
            "log": [{"type": "log", "timestamp": "2026-04-24T09:50:41.362Z", "data": ["Hello!"]}], "executionTime": 0})");
    it.fails({errc::not_found, errc::queue_timeout, errc::draining, errc::unavailable});
}

void examples(operation& it)
{
    it.named("listExamples", script_tag, "The example scripts");
    it.answers(200, "All of them.", as_json, record({{"examples", list(record({{"name", text()}, {"url", text()}}))}}),
               R"({"examples": [{"name": "simple.js", "url": "/api/examples/simple.js"}]})");
}

void example(operation& it)
{
    it.named("getExample", script_tag, "An example script");
    it.segment("name", "Its name.", "simple.js");
    it.answers(200, "The script.", "text/javascript", text(), "1 + 2\n");
    it.fails({errc::not_found});
}

void script_health(operation& it)
{
    it.named("getScriptHealth", script_tag, "Whether scripts can be run");
    it.answers(200, "They can.", as_json, record({{"status", constant("ok")}}), R"({"status": "ok"})");
    it.fails({errc::not_found, errc::unavailable});
}

void runtimes(operation& it)
{
    it.named("listRuntimes", sandbox_tag, "What sandboxes and deployments can be made of");
    it.answers(
        200, "Those that are installed, and those that are not.", as_json,
        record({{"runtimes", list(record({{"name", text()},
                                          {"version", text()},
                                          {"entry_point", text("The file that is run if the request names none.")},
                                          {"command", text()}}))},
                {"missing", list(record({{"name", text()}, {"cure", text("What the operator can do.")}}),
                                 "Those that are not installed here, or do not work.")}}),
        R"({"runtimes": [{"name": "node", "version": "20.20.2", "entry_point": "index.js",
                          "command": "node index.js"}],
            "missing": [{"name": "python", "cure": "install Python 3, or set runtimes.python"}]})");
}

void sandbox_health(operation& it)
{
    it.named("getSandboxHealth", sandbox_tag, "Whether sandboxes can be used");
    const auto members = [](std::string_view status) {
        return std::vector<schema::member>{
            {"status", constant(json::value(status))},
            {"version", text()},
            {"jail", text()},
            maybe("sandboxes", integer("Of all clients; left out where keys are needed.")),
            maybe("running", integer())};
    };
    it.answers(200, "They can.", as_json, record(members("healthy")),
               R"({"status": "healthy", "version": "0.1.0", "jail": "namespaces", "sandboxes": 1, "running": 0})");
    auto draining = members("draining");
    draining.insert(
        draining.begin(),
        {{"ok", constant(false)}, {"error", text()}, {"code", constant(json::value(sandboxd::name(errc::draining)))}});
    it.answers(503, "The server drains.", as_json, record(draining),
               R"({"ok": false, "error": "the server is shutting down", "code": "draining", "status": "draining",
                   "version": "0.1.0", "jail": "namespaces", "sandboxes": 1, "running": 0})");
    it.fails({errc::draining});
}

void create_sandbox(operation& it)
{
    it.named("createSandbox", sandbox_tag, "Creates a sandbox: a program with its files",
             "For Node.js, TypeScript, Bun and Python. Nothing runs yet.");
    it.json_body(sandbox_request_members(it.with().sandbox_limits),
                 R"js({"runtime": "node", "code": "console.log(\"Hello from Node.js!\")"})js");
    it.answers(200, "It exists.", as_json, sandbox(), sandbox_example);
    it.fails({errc::unprocessable, errc::io, errc::draining, errc::unavailable, errc::index_unavailable});
}

void list_sandboxes_as(operation& it, std::string_view id)
{
    it.named(id, sandbox_tag, "All sandboxes");
    it.answers(200, "All of them.", as_json, record({{"sandboxes", list(sandbox())}, {"count", integer()}}),
               in_list("sandboxes", sandbox_example));
    it.fails({errc::unavailable, errc::index_unavailable});
}

void list_sandboxes(operation& it) { list_sandboxes_as(it, "listSandboxes"); }
void list_sandboxes_too(operation& it) { list_sandboxes_as(it, "listSandboxesToo"); }

void get_sandbox(operation& it)
{
    it.named("getSandbox", sandbox_tag, "One sandbox");
    it.segment("id", "The sandbox's id.", an_id);
    it.answers(200, "That one.", as_json, sandbox(), sandbox_example);
    it.fails({errc::not_found, errc::unavailable, errc::index_unavailable});
}

void delete_sandbox(operation& it)
{
    it.named("deleteSandbox", sandbox_tag, "Removes a sandbox with its processes and files");
    it.segment("id", "The sandbox's id.", an_id);
    it.answers(204, "They are gone.");
    it.fails({errc::not_found, errc::io, errc::unavailable, errc::index_unavailable});
}

void execute_sandbox(operation& it)
{
    it.named("executeSandbox", sandbox_tag, "Runs the program once, in a jail of its own",
             "With `Accept: text/event-stream` or `application/x-ndjson` the answer is a stream of events as they "
             "happen. If the client disconnects, the execution ends.");
    it.segment("id", "The sandbox's id.", an_id);
    it.json_body(execution_request_members(), R"({"stdin": "Ada\n", "timeout_ms": 5000})", false);
    may_wait(it);
    auto shape = execution_end();
    shape.push_back({"stdout", text("What is no UTF-8 in it is U+FFFD.")});
    shape.push_back({"stderr", text()});
    it.answers(200, "How it ended, and what it printed.", as_json, record(shape),
               R"({"sandbox_id": "123e4567-e89b-42d3-a456-426614174000", "success": true, "exit_code": 0,
                   "execution_time_ms": 52, "verdict": "exit", "truncated": false, "queue_time_ms": 0,
                   "stdout": "Hello from Node.js!\n", "stderr": ""})");
    it.answers(200, {}, as_events, text("Events named `stdout`, `stderr`, then `exit` or `error`."),
               "event: stdout\ndata: {\"text\":\"Hello from Node.js!\\n\"}\n\n", execution_event(false));
    it.answers(200, {}, as_lines, text("A JSON object a line, with its name as `event`."),
               "{\"event\":\"stdout\",\"text\":\"Hello from Node.js!\\n\"}\n", execution_event(true));
    it.fails({errc::not_found, errc::unprocessable, errc::io, errc::queue_timeout, errc::draining, errc::unavailable,
              errc::index_unavailable});
}

void deploy(operation& it)
{
    it.named("deploy", faas_tag, "Deploys a program that listens, with its files and packages",
             "It must listen on `PORT` (3000) or on the Unix socket `SOCKET_PATH`. It is stopped when it is idle, and "
             "the next request to its `url` starts it again.");
    it.json_body(
        deploy_request_members(it.with().faas_limits),
        R"js({"runtime": "node", "code": "require('http').createServer((q, r) => r.end('Hello!')).listen(3000)"})js");
    it.answers(200, "It exists and runs, or is starting.", as_json, record(deployment_members()), deployment_example);
    has_etag(it);
    it.answers(502, "It exists but does not run; its log says why.", as_json, not_running({"start_failed"}, false));
    it.answers(504, "It exists but did not accept connections in time.", as_json,
               not_running({"start_timeout"}, false));
    it.answers(422, "The runtime is not installed, the entry point cannot be run, or a package is not there.", as_json,
               not_running({"unprocessable", "install_failed"}, false));
    it.fails({errc::unprocessable, errc::install_failed, errc::start_failed, errc::start_timeout, errc::io,
              errc::queue_timeout, errc::draining, errc::unavailable, errc::index_unavailable});
}

void list_deployments(operation& it)
{
    it.named("listDeployments", faas_tag, "All deployments");
    it.answers(200, "All of them.", as_json,
               record({{"deployments", list(record(deployment_members()))}, {"count", integer()}}),
               in_list("deployments", deployment_example));
    it.fails({errc::unavailable, errc::index_unavailable});
}

void get_deployment(operation& it)
{
    it.named("getDeployment", faas_tag, "One deployment");
    is_of_deployment(it);
    it.answers(200, "That one.", as_json, record(deployment_members()), deployment_example);
    has_etag(it);
    it.fails({errc::not_found, errc::unavailable, errc::index_unavailable, errc::queue_full, errc::draining,
              errc::upstream_failed, errc::upstream_timeout});
}

void delete_deployment(operation& it)
{
    it.named("deleteDeployment", faas_tag, "Removes a deployment with its processes and files");
    is_of_deployment(it);
    it.answers(204, "They are gone.");
    it.fails({errc::not_found, errc::io, errc::unavailable, errc::index_unavailable, errc::queue_full, errc::draining,
              errc::upstream_failed, errc::upstream_timeout});
}

void put_files(operation& it)
{
    it.named("putFiles", faas_tag, "Adds and replaces files of a deployment, all or none");
    is_of_deployment(it);
    it.json_body(files_request_members(it.with().faas_limits),
                 R"js({"files": [{"path": "index.js", "content": "setInterval(() => {}, 1000)"}],
                     "restart_dev_server": true})js");
    std::string example{deployment_example};
    example.back() = ',';
    example += R"("updated_files": 1, "restarted": true})";
    it.answers(200, "They are there.", as_json, updated_deployment(), example);
    has_etag(it);
    it.header("If-Match", text("Only if the deployment is still of this revision."));
    it.answers(502, "They are there, but the new program does not run; the old one stays.", as_json,
               not_running({"start_failed"}, true));
    it.answers(504, "They are there, but the new program did not accept connections in time; the old one stays.",
               as_json, not_running({"start_timeout"}, true));
    it.answers(422, "The new program cannot be run, or a package is not there.", as_json,
               not_running({"unprocessable", "install_failed"}, true));
    it.fails({errc::not_found, errc::unprocessable, errc::install_failed, errc::too_many_requests, errc::start_failed,
              errc::conflict, errc::precondition_failed, errc::queue_full, errc::upstream_failed,
              errc::upstream_timeout, errc::start_timeout, errc::io, errc::queue_timeout, errc::draining,
              errc::unavailable, errc::index_unavailable});
}

void put_revision(operation& it)
{
    it.named("putRevision", faas_tag, "Brings the files of a former revision back, as a new one",
             "Where servers share their deployments. Of each deployment the last revisions are kept "
             "(`cluster.maxRevisions`).");
    is_of_deployment(it);
    it.json_body(revision_request_members(), R"({"revision": 2, "restart_dev_server": true})");
    it.header("If-Match", text("Only if the deployment is still of this revision."));
    auto all = deployment_members();
    all.push_back({"restarted", boolean()});
    std::string example{deployment_example};
    example.back() = ',';
    example += R"("revision": 4, "instances": 1, "restarted": true})";
    it.answers(200, "They are there.", as_json, record(all), example);
    has_etag(it);
    it.answers(502, "They are there, but the new program does not run; the old one stays.", as_json,
               not_running({"start_failed"}, false));
    it.answers(504, "They are there, but the new program did not accept connections in time; the old one stays.",
               as_json, not_running({"start_timeout"}, false));
    it.answers(422, "The server keeps no revisions, or the program of that one cannot be run.", as_json,
               not_running({"unprocessable", "install_failed"}, false));
    it.fails({errc::not_found, errc::unprocessable, errc::install_failed, errc::too_many_requests, errc::start_failed,
              errc::conflict, errc::precondition_failed, errc::queue_full, errc::upstream_failed,
              errc::upstream_timeout, errc::start_timeout, errc::io, errc::queue_timeout, errc::draining,
              errc::unavailable, errc::index_unavailable});
}

void logs(operation& it)
{
    it.named("getLogs", faas_tag, "The last lines of a deployment's log, or its lines as they come",
             "With `follow=1`, or `Accept: text/event-stream` or `application/x-ndjson`, the answer goes on.");
    is_of_deployment(it);
    it.query("lines", integer("How many, at most 1000; 100 without it."));
    it.query("after", integer("Only lines behind the one of this id."));
    it.query("follow", integer("1: as events."));
    it.header("Last-Event-ID", text("Goes on after this line."));
    it.answers(200, "The lines.", as_json,
               record({{"deployment_id", text()}, {"lines", list(log_line())}, {"log_id", integer()}}),
               R"({"deployment_id": "220ec9f5-c0ed-442d-9142-d12aece213f6", "log_id": 18, "lines": [
                   {"id": 18, "time": "2026-04-24T09:50:41.362Z", "stream": "stdout", "text": "listening"}]})");
    it.answers(
        200, {}, as_events, text("A line is an event; its id is the line's."),
        "id: 18\ndata: {\"id\":18,\"time\":\"2026-04-24T09:50:41.362Z\",\"stream\":\"stdout\",\"text\":\"x\"}\n\n",
        log_line());
    it.answers(200, {}, as_lines, text("A line of the log is a line of JSON."),
               "{\"id\":18,\"time\":\"2026-04-24T09:50:41.362Z\",\"stream\":\"stdout\",\"text\":\"x\"}\n", log_line());
    it.fails({errc::not_found, errc::unavailable, errc::index_unavailable, errc::queue_full, errc::draining,
              errc::upstream_failed, errc::upstream_timeout});
}

void deployment_root(operation& it)
{
    it.named("callDeployment", faas_tag, "Asks a deployment's program for `/`",
             "Every method is passed on, except CONNECT and TRACE.");
    is_of_deployment(it);
    passes_on(it);
}

void deployment_path(operation& it)
{
    it.named("callDeploymentPath", faas_tag, "Asks a deployment's program for a path",
             "Every method is passed on, except CONNECT and TRACE. Bodies stream both ways; upgrades such as WebSocket "
             "become tunnels.");
    is_of_deployment(it);
    it.segment("path", "The path that the program sees; it may have slashes.", "new");
    passes_on(it);
}

void proxy_root(operation& it)
{
    it.named("callSandbox", faas_tag, "The same, by the id of the sandbox that it runs in");
    it.segment("sandbox_id", "The deployment's `sandbox_id`.", an_id);
    passes_on(it);
}

void proxy_path(operation& it)
{
    it.named("callSandboxPath", faas_tag, "The same, with a path");
    it.segment("sandbox_id", "The deployment's `sandbox_id`.", an_id);
    it.segment("path", "The path that the program sees; it may have slashes.", "new");
    passes_on(it);
}

void get_job(operation& it)
{
    it.named(
        "getJob", job_tag, "How far a job is, and its answer",
        "A job is a request that was sent with `Prefer: respond-async`. Poll it, or have it streamed with `Accept: "
        "text/event-stream`; `Last-Event-ID` goes on behind that event. Its answer is kept for "
        "`asyncJobs.ttlSecs`.");
    it.segment("id", "The job's id.", a_job);
    it.header("Last-Event-ID", text("The id of the last event that was received."));
    it.answers(202, "It is under way.", as_json, job_under_way(), job_under_way_example);
    it.answer_header(202, "Retry-After", integer("Seconds after which to ask again."));
    static constexpr std::array states{std::string_view{"done"}};
    auto members = job_members(states);
    members.push_back({"answer", record({{"status", integer("Of the answer.")},
                                         {"answer", anything("The answer to the request.")}})});
    it.answers(200, "It is over.", as_json, record(members), R"({
        "id": "5f2b1c9d8e7a6b5c4d3e2f1a0b9c8d7e", "status": "done", "url": "/jobs/5f2b1c9d8e7a6b5c4d3e2f1a0b9c8d7e",
        "request": "/execute", "created_at": "2026-04-24T09:50:41Z",
        "answer": {"status": 200, "answer": {"status": "OK", "result": 377}}})");
    it.answers(200, {}, as_events, text("Its events so far and to come; the last one is `done`."), job_events,
               job_event());
    it.answers(204, "The reader of events has had the last one.");
    it.fails({errc::not_found, errc::too_many_requests});
}

void delete_job(operation& it)
{
    it.named("deleteJob", job_tag, "Ends a job and forgets its answer",
             "Answered when its processes are dead and its files are gone. If others wait for the same compile, that "
             "goes on for them.");
    it.segment("id", "The job's id.", a_job);
    it.answers(204, "It is gone.");
    it.fails({errc::not_found});
}

void create_key(operation& it)
{
    it.named("createKey", key_tag, "Makes a key, for all servers that share a Redis",
             "The server makes the key, and keeps its digest alone. Members that are not described are errors here. "
             "No answer is kept for an `Idempotency-Key`. Where one is lost, delete the key and make it anew: a name "
             "stays the same tenant.");
    it.json_body(key_request_members(),
                 R"({"name": "ci", "scopes": ["compile"], "limits": {"requestsPerMinute": 60}})");
    it.answers(201, "It counts on this server, and within `cluster.keysPollMs` on the others.", as_json,
               key_told_once(),
               R"({"ok": true, "name": "ci",
                   "key": "5f2b1c9d8e7a6b5c4d3e2f1a0b9c8d7e5f2b1c9d8e7a6b5c4d3e2f1a0b9c8d7e",
                   "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                   "scopes": ["compile"], "limits": {"requestsPerMinute": 60},
                   "created": "2026-04-24T09:50:41.362Z", "by": "op"})");
    it.fails({errc::conflict, errc::unprocessable, errc::queue_full, errc::draining, errc::index_unavailable});
}

void list_keys(operation& it)
{
    it.named("listKeys", key_tag, "All keys that count on this server, by their digests");
    it.answers(200, "All of them.", as_json, record({{"keys", list(listed_key())}, {"count", integer()}}),
               R"({"keys": [{"name": "ci",
                   "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                   "scopes": ["compile"], "limits": {}, "from": "redis", "created": "2026-04-24T09:50:41.362Z",
                   "by": "op"}],
                   "count": 1})");
    it.fails({errc::index_unavailable});
}

void delete_key(operation& it)
{
    it.named("deleteKey", key_tag, "Takes a key away that was made",
             "Requests under way end as they began. What its tenant has made stays.");
    it.segment("sha256", "The key's digest.", a_digest);
    it.answers(204, "It counts no more on this server, and within `cluster.keysPollMs` on no other.");
    it.answers(409, "It is one of the keys file: take it out there.");
    it.fails({errc::not_found, errc::conflict, errc::draining, errc::index_unavailable});
}

void docs(operation& it)
{
    is_status(it, "getDocs", "A page that shows this description, and can send its requests",
              "404 if the server was built without it. `docs.enabled` takes it away.");
    it.header("If-None-Match", text("The ETag of an earlier answer."));
    it.answers(200, "The page.", "text/html", text(), "<!doctype html>");
    it.answer_header(200, "ETag", text());
    it.answers(304, "It is still the same.");
    it.fails({errc::not_found});
}

void docs_asset(operation& it)
{
    is_status(it, "getDocsAsset", "A script or style of that page", "Its name changes with its content.");
    it.segment("name", "As the page names it.", "docs-0123456789abcdef.js");
    it.header("If-None-Match", text("The ETag of an earlier answer."));
    it.answers(200, "The file.", "*/*", {});
    it.answer_header(200, "ETag", text());
    it.answers(304, "It is still the same.");
    it.fails({errc::not_found});
}

void playground(operation& it)
{
    it.named("getPlayground", playground_tag, "A page where people write programs and run them here",
             "404 if the server was built without it. `playground.enabled` takes it away.");
    it.header("If-None-Match", text("The ETag of an earlier answer."));
    it.answers(200, "The page.", "text/html", text(), "<!doctype html>");
    it.answer_header(200, "ETag", text());
    it.answers(304, "It is still the same.");
    it.fails({errc::not_found});
}

void playground_asset(operation& it)
{
    it.named("getPlaygroundAsset", playground_tag, "A script or style of the page",
             "Its name changes with its content.");
    it.segment("name", "As the page names it.", "page-0123456789abcdef.js");
    it.header("If-None-Match", text("The ETag of an earlier answer."));
    it.answers(200, "The file.", "*/*", {});
    it.answer_header(200, "ETag", text());
    it.answers(304, "It is still the same.");
    it.fails({errc::not_found});
}

}  // namespace sandboxd::api::operations
