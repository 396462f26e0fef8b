#include "api/execution_stream.hpp"
#include "api/handlers.hpp"
#include "api/media_type.hpp"
#include "api/own_limits.hpp"
#include "api/ownership.hpp"
#include "api/reply.hpp"
#include "api/sandbox_request.hpp"
#include "api/span_facts.hpp"
#include "api/timestamp.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace sandboxd::api {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

error no_sandboxes_here()
{
    return {errc::unavailable, "this server runs no sandboxes: sandboxes.enabled is false, or its jail is 'none'"};
}

error no_such_sandbox() { return {errc::not_found, "there is no such sandbox"}; }

// Why a jail cannot be built concerns this host (paths, daemons): it goes into the log, not to the client.
bool is_of_this_host(const error& why) { return status_of(why.code) == 500 || why.code == errc::unavailable; }

http::response refuse_sandbox(const error& why)
{
    if (why.code == errc::not_found) return error_reply(no_such_sandbox());
    if (why.code != errc::unavailable) return error_reply(why);
    auto r = error_reply(make_error(why.code));
    r.cause = why.message;
    return r;
}

json::object to_json(const sandboxes::sandbox_info& info)
{
    json::object made{{"id", info.id},
                      {"sandbox_id", info.id},
                      {"runtime", info.runtime},
                      {"entry_point", info.entry_point},
                      {"status", info.running > 0      ? "Running"
                                 : info.executions > 0 ? "Completed"
                                                       : "Created"},
                      {"created_at", timestamp(info.created)},
                      {"last_used_at", timestamp(info.last_used)},
                      {"files", info.files},
                      {"bytes", info.bytes},
                      {"executions", info.executions},
                      {"running", info.running}};
    for (const auto& row : sandboxes::limit_table) made.emplace(row.name, info.bounds.*row.value);
    return made;
}

// How the execution ended; the caller adds its output. Never empty.
json::object to_json(std::string_view id, const sandboxes::execution& done)
{
    json::object made{{"sandbox_id", id},
                      {"success", done.end.how == sandboxes::verdict::exit && done.end.exit_code == 0},
                      {"exit_code", done.end.exit_code},
                      {"execution_time_ms", milliseconds(done.wall)},
                      {"verdict", sandboxes::name(done.end.how)},
                      {"truncated", done.truncated},
                      {"queue_time_ms", milliseconds(done.queued)}};
    if (done.end.signal != 0) made["signal"] = done.end.signal;
    if (done.usage)
        made["usage"] = json::object{{"memory_peak_bytes", done.usage->memory_peak_bytes},
                                     {"cpu_ms", milliseconds(done.usage->cpu)},
                                     {"oom_kills", done.usage->oom_kills}};
    return made;
}

asio::awaitable<http::response> stream_execution(sandboxes::service& service, http::exchange& x, http::stream_form form,
                                                 std::string id, sandboxes::execution_request asked,
                                                 telemetry::job_spans& spans)
{
    execution_stream output{x, form};
    const auto done = co_await service.run(std::move(id), std::move(asked), x.stop(), &output);
    describe_execution(spans, done);
    if (!done && !output.begun()) co_return refuse_sandbox(done.error());
    if (!done) {
        const auto why = done.error().code == errc::not_found ? no_such_sandbox() : done.error();
        const bool inside = is_of_this_host(why);
        const auto shown = why.code == errc::unavailable ? errc::unavailable : errc::internal;
        json::object told{{"error", inside ? std::string{sentence(shown)} : why.message}, {"code", name(why.code)}};
        co_await output.end("error", std::move(told));
        http::response ended;
        if (inside) ended.cause = why.message;
        ended.error_code = name(why.code);
        co_return ended;
    }
    co_await output.end("exit", to_json(x.param(0), *done));
    co_return http::response{};
}

// `is_passing`: see sandboxes::create_request.
asio::awaitable<http::response> create_sandbox(services& with, http::exchange& x, bool is_passing)
{
    if (!with.sandboxes) co_return error_reply(no_sandboxes_here());
    if (!x.body_done() && !is_json(x[http::field::content_type]))
        co_return error_reply(make_error(errc::unsupported_media_type));
    const auto body = co_await x.read_body(with.max_body_bytes);
    if (!body) co_return error_reply(body.error());
    auto asked = read_sandbox_request(*body, with.sandbox_limits);
    if (!asked) co_return error_reply(asked.error());
    asked->owner = owner_of(x);
    asked->is_passing = is_passing;
    const tenants::keeping more{.bytes = static_cast<std::int64_t>(asked->code.size()) + bytes_of(asked->files)};
    auto place = co_await take_keeping_place(with, x, more);
    if (place.refused) co_return limited(error_reply(place.refused->why), std::move(*place.refused));
    const auto made = co_await with.sandboxes->create(std::move(*asked));
    if (!made) co_return error_reply(made.error());
    audit(with, x, "create sandbox", made->id);
    co_return json_reply(200, to_json(*made));
}

}  // namespace

asio::awaitable<http::response> post_sandbox(services& with, http::exchange& x)
{
    return create_sandbox(with, x, false);
}

asio::awaitable<http::response> post_passing_sandbox(services& with, http::exchange& x)
{
    return create_sandbox(with, x, true);
}

asio::awaitable<http::response> get_sandboxes(services& with, http::exchange& x)
{
    if (!with.sandboxes) co_return error_reply(no_sandboxes_here());
    auto all = co_await with.sandboxes->list(only_owner(with, x));
    if (!all) co_return error_reply(all.error());
    std::erase_if(*all, [&](const auto& one) { return !is_theirs(with, x, one.owner); });
    std::string told = R"({"sandboxes":)";
    async::turns turn;
    co_await append_json_list(told, *all, [](const auto& one) { return to_json(one); }, turn);
    told.append(R"(,"count":)").append(std::to_string(all->size())) += '}';
    co_return json_reply(200, std::move(told));
}

asio::awaitable<http::response> get_sandbox(services& with, http::exchange& x)
{
    if (!with.sandboxes) co_return error_reply(no_sandboxes_here());
    const auto id = co_await own_sandbox(with, x);
    if (!id) co_return refuse_sandbox(id.error());
    const auto found = co_await with.sandboxes->look(*id);
    if (!found) co_return refuse_sandbox(found.error());
    co_return json_reply(200, to_json(*found));
}

asio::awaitable<http::response> delete_sandbox(services& with, http::exchange& x)
{
    if (!with.sandboxes) co_return error_reply(no_sandboxes_here());
    const auto id = co_await own_sandbox(with, x);
    if (!id) co_return refuse_sandbox(id.error());
    const auto removed = co_await with.sandboxes->remove(*id);
    // It is gone even where its files are not.
    if (removed || removed.error().code == errc::io) audit(with, x, "delete sandbox", *id);
    if (!removed) co_return refuse_sandbox(removed.error());
    http::response r;
    r.status = 204;
    co_return r;
}

asio::awaitable<http::response> post_sandbox_execute(services& with, http::exchange& x)
{
    if (!with.sandboxes) co_return error_reply(no_sandboxes_here());
    const auto body = co_await x.read_body(with.max_body_bytes);
    if (!body) co_return error_reply(body.error());
    // An empty body needs no type.
    if (!body->empty() && !is_json(x[http::field::content_type]))
        co_return error_reply(make_error(errc::unsupported_media_type));
    auto asked = read_execution_request(*body, with.sandbox_limits);
    if (!asked) co_return error_reply(asked.error());
    auto place = co_await take_job_place(with, x, tenants::work::processor);
    if (place.refused) co_return limited(error_reply(place.refused->why), std::move(*place.refused));
    asked->client = x.client();
    asked->charge = charge_cpu(x);
    x.watch_disconnect();
    auto id = co_await own_sandbox(with, x);
    if (!id) co_return refuse_sandbox(id.error());
    telemetry::job_spans spans{x, "run"};
    if (spans.are_recorded()) asked->started = [&spans] { spans.start(); };
    asked->traceparent = telemetry::traceparent_of(x, spans.run());
    if (const auto form = http::wanted_stream(x[http::field::accept]); form != http::stream_form::none)
        co_return co_await stream_execution(*with.sandboxes, x, form, std::move(*id), std::move(*asked), spans);
    const auto done = co_await with.sandboxes->run(std::move(*id), std::move(*asked), x.stop());
    describe_execution(spans, done);
    if (!done) co_return refuse_sandbox(done.error());
    x.note_timing("queue", done->queued);
    x.note_timing("run", done->wall);
    auto told = json::serialize(to_json(x.param(0), *done));
    told.back() = ',';
    async::turns turn;
    make_json_room(told, done->out.size() + done->err.size());
    told += R"("stdout":)";
    co_await append_json_text(told, done->out, turn);
    told += R"(,"stderr":)";
    co_await append_json_text(told, done->err, turn);
    told += '}';
    co_return json_reply(200, std::move(told));
}

asio::awaitable<http::response> get_sandbox_health(services& with, http::exchange&)
{
    json::object told{
        {"status", with.draining ? "draining" : "healthy"}, {"version", with.version}, {"jail", with.jail}};
    // With keys, how many there are of all tenants is for the operator (/metrics).
    if (!with.keys) {
        told["sandboxes"] = with.sandboxes ? with.sandboxes->size() : 0;
        told["running"] = with.sandboxes ? with.sandboxes->running() : 0;
    }
    if (with.draining) co_return error_reply(make_error(errc::draining), told);
    co_return json_reply(200, told);
}

}  // namespace sandboxd::api
