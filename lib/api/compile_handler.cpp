#include "api/compile_request.hpp"
#include "api/handlers.hpp"
#include "api/media_type.hpp"
#include "api/own_limits.hpp"
#include "api/ownership.hpp"
#include "api/reply.hpp"
#include "api/span_facts.hpp"
#include "base/log.hpp"
#include "compile/record.hpp"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

namespace sandboxd::api {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

std::string url_of(const std::string& id, std::string_view name)
{
    return "/artifacts/" + id + "/" + std::string{name};
}

json::array describe(const std::vector<compile::ignored_argument>& ignored)
{
    json::array list;
    for (const auto& one : ignored) {
        list.push_back({{"arg", one.token},
                        {"reason", one.reason},
                        {"effect", one.effect},
                        {"changesProgram", one.changes_program}});
    }
    return list;
}

http::response describe(const compile::answer& done)
{
    std::string js;
    std::string wasm;
    json::array files;
    for (const auto& file : done.files) {
        const auto url = url_of(done.id, file.name);
        if (file.name == "app.js") js = url;
        if (file.name == "app.wasm") wasm = url;
        files.push_back({{"name", file.name}, {"url", url}, {"bytes", file.bytes}, {"sha256", file.sha256}});
    }
    json::object body{{"ok", done.ok}, {"id", done.id}, {"js", js}, {"wasm", wasm}};
    if (!done.ok) {
        body["error"] = done.error;
        body["code"] = name(done.code);
    }
    body["cached"] = done.cached;
    body["ignoredArgs"] = describe(done.ignored);
    body["artifacts"] = std::move(files);
    body["log"] = done.log;
    body["truncated"] = done.truncated;
    body["diagnostics"] = compile::to_json(done.diagnostics);
    body["diagnosticsTruncated"] = done.diagnostics.truncated;
    if (done.usage) {
        body["usage"] = json::object{{"memoryPeakBytes", done.usage->memory_peak_bytes},
                                     {"cpuMs", milliseconds(done.usage->cpu)},
                                     {"oomKills", done.usage->oom_kills}};
    }
    body["timings"] = json::object{{"queueMs", milliseconds(done.timings.queue)},
                                   {"compileMs", milliseconds(done.timings.compile)},
                                   {"totalMs", milliseconds(done.timings.total)}};
    auto r = json_reply(done.ok ? 200 : status_of(done.code), body);
    if (r.status == 500) r.cause = done.error;
    if (!done.ok) r.error_code = name(done.code);
    return r;
}

// What is told of a compile while it goes on.
compile::follower follower_of(const http::exchange::follower& tell)
{
    return {.queued = [tell](std::size_t ahead) { tell("queued", json::serialize(json::object{{"ahead", ahead}})); },
            .started = [tell] { tell("started", "{}"); },
            .step =
                [tell](std::string_view name, std::chrono::microseconds spent) {
                    tell("step", json::serialize(json::object{{"name", name}, {"ms", milliseconds(spent)}}));
                }};
}

}  // namespace

http::response refuse_compile(const error& why)
{
    const json::object members{{"id", ""}, {"js", ""}, {"wasm", ""}};
    if (why.code != errc::unavailable) return error_reply(why, members);
    // The cause names paths of this host, and what its programs say.
    auto r = error_reply({why.code, "the toolchain is not available; /readyz says why"}, members);
    r.cause = why.message;
    return r;
}

asio::awaitable<http::response> post_compile(services& with, http::exchange& x)
{
    if (!x.body_done() && !is_json(x[http::field::content_type]))
        co_return refuse_compile(make_error(errc::unsupported_media_type));
    auto body = co_await x.read_body(with.max_body_bytes);
    if (!body) co_return refuse_compile(body.error());
    auto request = read_compile_request(*body, with.compile_limits);
    if (!request) co_return refuse_compile(request.error());
    body->clear();
    body->shrink_to_fit();
    request->client = x.client();
    request->owner = owner_of(x);
    auto place = co_await take_job_place(with, x, tenants::work::processor);
    if (place.refused) co_return limited(refuse_compile(place.refused->why), std::move(*place.refused));
    request->charge = charge_cpu(x);
    if (x.followed_by()) request->tell = follower_of(x.followed_by());
    telemetry::job_spans spans{x, "compile"};
    if (spans.are_recorded())
        request->tell.started = [&spans, tell = std::move(request->tell.started)] {
            spans.start();
            if (tell) tell();
        };

    x.watch_disconnect();
    auto done = co_await with.compiler.compile(std::move(*request), x.stop());
    describe_compile(spans, x, done);
    http::response r;
    if (done) {
        x.note_timing("queue", done->timings.queue);
        x.note_timing("compile", done->timings.compile);
        for (const auto& [step, spent] : done->timings.steps) x.note_timing(step, spent);
        x.note_timing("total", done->timings.total);
        r = describe(*done);
        if (x.followed_by())
            for (const auto& one : compile::to_json(done->diagnostics))
                x.followed_by()("diagnostic", json::serialize(one));
    } else {
        r = refuse_compile(done.error());
    }
    co_return r;
}

}  // namespace sandboxd::api
