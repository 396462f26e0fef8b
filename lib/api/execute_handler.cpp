// secure-javascript-sandbox's interface: POST /execute, and /execute/continue, which it does not have. Its clients know
// six values of `status`; `code` has the engine's exact status.
#include "api/execute_request.hpp"
#include "api/handlers.hpp"
#include "api/media_type.hpp"
#include "api/own_limits.hpp"
#include "api/ownership.hpp"
#include "api/reply.hpp"
#include "api/run_script.hpp"
#include "api/span_facts.hpp"
#include "api/to_keeper.hpp"
#include "script/run.hpp"

namespace sandboxd::api {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

using script::run_status;

std::string_view legacy_status(run_status status)
{
    switch (status) {
        case run_status::ok: return "OK";
        case run_status::runtime_error:
        case run_status::never_settled:
        case run_status::output_limit:  // the result is too long for this JSON
        case run_status::stack_overflow: return "RUNTIME_ERROR";
        case run_status::out_of_fuel:
        case run_status::timeout: return "OUT_OF_FUEL";
        case run_status::out_of_memory: return "OUT_OF_MEMORY";
        case run_status::pending: return "PENDING";
        case run_status::fault: break;
    }
    return "INTERNAL_SERVER_ERROR";
}

// The arguments are already JSON.
std::string describe_calls(const std::vector<script::tool_call>& calls)
{
    std::string list = "[";
    for (const auto& one : calls) {
        if (list.size() > 1) list += ',';
        list += R"({"id":)" + std::to_string(one.id) + R"(,"name":)" + json_text(one.name);
        list += R"(,"arguments":)" + one.arguments + '}';
    }
    return list + ']';
}

// Why a continuation cannot be used; the codes are of this endpoint alone.
http::response refuse_continuation(js::continue_fault why)
{
    const bool is_used = why == js::continue_fault::used;
    const std::string_view code = is_used ? "continuation_used" : "continuation_gone";
    auto r =
        json_reply(is_used ? 409 : 410,
                   json::object{{"status", "INVALID_REQUEST"},
                                {"message", is_used ? "this continuation has been used; send \"keep\": true to use "
                                                      "one again"
                                                    : "there is no such continuation, or it has expired "
                                                      "(js.continuationTtlSecs); run the script again"},
                                {"code", code}});
    r.error_code = code;
    return r;
}

// Where servers share, the id of what waits says which one has it.
void name_server(const services& with, script::run_answer& done)
{
    if (with.scripts && !done.continuation.empty())
        done.continuation = with_tag(std::move(done.continuation), with.scripts->tag());
}

// Written by hand, because the result is already JSON and may be long; and in turns, because what the script printed
// may be, too.
asio::awaitable<http::response> describe(const script::run_answer& done)
{
    async::turns turn;
    const bool inside = done.status == run_status::fault;
    const bool is_pending = done.status == run_status::pending;
    constexpr std::size_t all_but_texts = 256;
    std::string body;
    body.reserve(all_but_texts + done.result.size());
    body += R"({"status":")";
    body += legacy_status(done.status);
    if (done.status == run_status::ok) {
        body += R"(","result":)";
        body += done.result;
    } else if (is_pending) {
        body += R"(","calls":)";
        body += describe_calls(done.calls);
        body += R"(,"continuation":")" + done.continuation + '"';
    } else {
        body += R"(","code":")";
        body += name(done.status);
        body += R"(","stage":")";
        body += done.stage == script::run_stage::init ? "INIT" : "SCRIPT";
        body += R"(","message":)";
        const auto cure = cure_of(done, script::run_place::server);
        body += json_text(cure.empty() ? message_of(done) : message_of(done) + ": " + cure);
        if (done.thrown.name == "SyntaxError" && done.thrown.line > 0) {
            body += R"(,"file":)" + json_text(done.thrown.file);
            body += R"(,"line":)" + std::to_string(done.thrown.line);
            body += R"(,"column":)" + std::to_string(done.thrown.column);
        }
    }
    if (!inside) {
        for (const bool to_stderr : {false, true}) {
            const auto text = console_text(done, to_stderr);
            body += to_stderr ? R"(,"stderr":)" : R"(,"stdout":)";
            // Most scripts print nothing, which is not worth a coroutine.
            if (text.empty())
                body += R"("")";
            else
                co_await append_json_text(body, text, turn);
        }
        if (done.console_truncated) body += R"(,"truncated":true)";
        body += R"(,"usage":{"fuel":)" + std::to_string(done.fuel_used);
        body += R"(,"memory_bytes":)" + std::to_string(done.memory_bytes);
        body += R"(,"microseconds":)" + std::to_string(done.told_time.value_or(done.wall).count()) + "}";
    }
    body += '}';
    const bool is_fine = done.status == run_status::ok || is_pending;
    auto r = json_reply(is_fine ? 200 : inside ? 500 : 400, std::move(body));
    if (inside) r.cause = message_of(done);
    if (!is_fine) r.error_code = name(done.status);
    co_return r;
}

}  // namespace

http::response refuse_script(const error& why)
{
    const auto status = status_of(why.code);
    const bool inside = status == 500;
    auto r =
        json_reply(status, json::object{{"status", status >= 500 ? "INTERNAL_SERVER_ERROR" : "INVALID_REQUEST"},
                                        {"message", inside ? sentence(errc::internal) : std::string_view{why.message}},
                                        {"code", name(why.code)}});
    if (inside) r.cause = why.message;
    r.error_code = name(why.code);
    if (status == 503 || status == 429) r.fields.emplace_back("Retry-After", "1");
    return r;
}

asio::awaitable<http::response> post_execute(services& with, http::exchange& x)
{
    if (!with.js) co_return refuse_script({errc::not_found, "this server does not run JavaScript (js.enabled)"});
    if (!x.body_done() && !is_json(x[http::field::content_type]))
        co_return refuse_script(make_error(errc::unsupported_media_type));
    auto body = co_await x.read_body(with.max_body_bytes);
    if (!body) co_return refuse_script(body.error());
    auto request = read_execute_request(*body, with.js->defaults(), with.js->most(), with.js->max_modules(), with.json,
                                        with.js->max_tools());
    if (!request) co_return refuse_script(request.error());
    // A server that is asked by another one answers itself.
    if (with.scripts && request->sandbox_id && !x.from().fleet) {
        const auto home = co_await with.scripts->home_of(owner_of(x), *request->sandbox_id);
        if (home && !home->empty()) {
            x.watch_disconnect();
            auto answered = co_await ask_keeper(with, x, *home, "/execute", *body);
            if (answered) co_return std::move(*answered);
            if (answered.error().code != errc::unavailable) co_return refuse_script(answered.error());
        }
        // Kept sandboxes are best effort: where nobody says who has it, or nothing could be sent there, it begins anew.
    }
    body->clear();
    body->shrink_to_fit();

    auto place = co_await take_job_place(with, x, tenants::work::script);
    if (place.refused) co_return limited(refuse_script(place.refused->why), std::move(*place.refused));
    auto done = co_await run_script(with, x, std::move(*request));
    if (!done) co_return refuse_script(done.error());
    name_server(with, *done);
    co_return co_await describe(*done);
}

asio::awaitable<http::response> post_continue(services& with, http::exchange& x)
{
    if (!with.js) co_return refuse_script({errc::not_found, "this server does not run JavaScript (js.enabled)"});
    if (!x.body_done() && !is_json(x[http::field::content_type]))
        co_return refuse_script(make_error(errc::unsupported_media_type));
    auto body = co_await x.read_body(with.max_body_bytes);
    if (!body) co_return refuse_script(body.error());
    std::string for_others;
    if (with.scripts) for_others = *body;
    auto request = read_continue_request(std::move(*body), with.js->max_pending_calls(), with.json);
    if (!request) co_return refuse_script(request.error());
    const auto tag = with.scripts ? take_tag(request->continuation) : std::nullopt;
    if (tag && *tag != with.scripts->tag()) {
        if (x.from().fleet) co_return refuse_continuation(js::continue_fault::unknown);
        const auto server = co_await with.scripts->server_of(*tag);
        if (!server && server.error().code == errc::not_found)
            co_return refuse_continuation(js::continue_fault::unknown);
        if (!server) co_return refuse_script(server.error());
        x.watch_disconnect();
        auto answered = co_await ask_keeper(with, x, *server, "/execute/continue", std::move(for_others));
        if (answered) co_return std::move(*answered);
        if (answered.error().code == errc::unavailable)
            co_return refuse_script({errc::index_unavailable,
                                     "the server that keeps this continuation cannot be reached; send the request "
                                     "again in a moment"});
        co_return refuse_script(answered.error());
    }
    for_others = {};

    auto place = co_await take_job_place(with, x, tenants::work::script);
    if (place.refused) co_return limited(refuse_script(place.refused->why), std::move(*place.refused));
    x.watch_disconnect_if_slow();
    request->client = x.client();
    request->owner = owner_of(x);
    request->charge = charge_fuel(x);
    telemetry::job_spans spans{x, "run"};
    if (spans.are_recorded()) request->started = [&spans] { spans.start(); };
    auto why = js::continue_fault::none;
    auto done = co_await with.js->resume(std::move(*request), why, x.stop());
    describe_run(spans, done);
    if (why != js::continue_fault::none) co_return refuse_continuation(why);
    if (!done) co_return refuse_script(done.error());
    x.note_timing("run", done->wall);
    name_server(with, *done);
    co_return co_await describe(*done);
}

}  // namespace sandboxd::api
