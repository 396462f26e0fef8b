// The Model Context Protocol over Streamable HTTP: POST /mcp. mcp/ has the protocol, api/mcp_tools has the tools.
#include "api/admit_key.hpp"
#include "api/execution_stream.hpp"
#include "api/handlers.hpp"
#include "api/mcp_tools.hpp"
#include "api/media_type.hpp"
#include "api/once.hpp"
#include "api/ownership.hpp"
#include "api/reply.hpp"
#include "async/event.hpp"
#include "base/base64.hpp"
#include "base/log.hpp"
#include "base/utf8.hpp"
#include "base/uuid.hpp"
#include "disk/files.hpp"
#include "http/event_stream.hpp"
#include "http/field_text.hpp"
#include "http/uri.hpp"
#include "mcp/revision.hpp"
#include "telemetry/tracer.hpp"

#include <boost/asio/this_coro.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace sandboxd::api {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

// How often a silent stream sends something, so that no proxy considers it dead.
constexpr std::chrono::seconds agent_keep_alive{15};

mcp::identity identity_of(const services& with) { return {with.version, tool_instructions(with)}; }

http::response rpc_reply(const mcp::rpc_error& why) { return json_reply(why.status, mcp::error_message(why)); }

// The same for what the protocol refuses, which is counted.
http::response refuse_agent(const services& with, const mcp::rpc_error& why)
{
    if (with.agents) with.agents->refused(why.code);
    return rpc_reply(why);
}

mcp::rpc_error rpc_error_of(const mcp::request& asked, int code, std::string message, std::string data = {})
{
    return {.code = code, .message = std::move(message), .data = std::move(data), .id = asked.id};
}

// The fields that the protocol reads. Each comes once: two readers may differ in which of two counts.
std::variant<mcp::request_fields, mcp::rpc_error> protocol_fields(const http::exchange& x)
{
    mcp::request_fields found;
    const std::pair<std::string_view, std::optional<std::string_view>*> wanted[] = {
        {"MCP-Protocol-Version", &found.version},
        {"Mcp-Method", &found.method},
        {"Mcp-Name", &found.name},
        {"Mcp-Session-Id", &found.session}};
    for (const auto& [name, into] : wanted) {
        const auto count = x.fields().count(boost::beast::string_view{name.data(), name.size()});
        if (count > 1)
            return mcp::rpc_error{.code = mcp::code::header_mismatch,
                                  .message = "header mismatch: " + std::string{name} + " comes more than once",
                                  .status = 400};
        if (count == 1) *into = http::trim(x[name]);
    }
    return found;
}

// The last element of the last field of that name: what the nearest proxy says.
std::string_view nearest(const http::exchange& x, std::string_view name)
{
    const auto field = last_field(x, name);
    const auto comma = field.rfind(',');
    return http::trim(comma == std::string_view::npos ? field : field.substr(comma + 1));
}

// By which URLs the client reaches this server: faas.publicUrl, or what the request was sent to, or what a trusted
// proxy says it was sent to.
std::string own_origin(const services& with, const http::exchange& x)
{
    if (!with.public_url.empty()) return with.public_url;
    auto host = x.host();
    std::string_view scheme = "http";
    if (with.trust_forwarded || x.from().local) {
        if (const auto told = nearest(x, "X-Forwarded-Host"); http::is_authority(told)) host = told;
        if (same_word(nearest(x, "X-Forwarded-Proto"), "https")) scheme = "https";
    }
    return std::string{scheme} + "://" + std::string{http::is_authority(host) ? host : std::string_view{"localhost"}};
}

std::string_view media_of(std::string_view name)
{
    return name.ends_with(".js")     ? "text/javascript"
           : name.ends_with(".wasm") ? "application/wasm"
                                     : "application/octet-stream";
}

// A tool's answer, whose JSON has been read once: it may have megabytes.
struct tool_answer {
    http::response done;
    std::string_view whole;
    std::vector<mcp::named_value> members;
    bool has_failed{false};
};

std::string_view member_of(const tool_answer& answer, std::string_view quoted_name)
{
    const auto found = std::ranges::find(answer.members, quoted_name, &mcp::named_value::name);
    return found == answer.members.end() ? std::string_view{} : found->value;
}

asio::awaitable<std::unique_ptr<const tool_answer>> read_answer(http::response done)
{
    constexpr std::size_t at_once = 128 * 1024;
    auto made = std::make_unique<tool_answer>();
    made->done = std::move(done);
    auto whole = made->done.text();
    while (whole.ends_with('\n')) whole.remove_suffix(1);
    made->whole = whole.starts_with('{') ? whole : std::string_view{"{}"};
    mcp::member_reader all{made->whole};
    async::turns turn;
    while (!all.read(at_once))
        if (turn.over()) co_await turn.rest();
    made->members = all.found();
    made->has_failed = made->done.status >= 400 || member_of(*made, R"("success")") == "false";
    co_return made;
}

// The artifacts of a compile's answer, as links.
std::string links_in(const tool_answer& answer, const std::string& origin)
{
    const auto all = member_of(answer, R"("artifacts")");
    if (!all.starts_with('[')) return {};
    static constexpr std::array<std::string_view, 3> inner{"name", "url", "bytes"};
    std::string links;
    for (const auto item : mcp::items_of(all)) {
        const auto one = mcp::members_of(item, inner);
        const auto name = one ? mcp::text_of((*one)[0]) : std::nullopt;
        const auto url = one ? mcp::text_of((*one)[1]) : std::nullopt;
        if (!name || !url || (*one)[2].empty()) continue;
        links += R"(,{"type":"resource_link","uri":)" + mcp::json_quoted(origin + *url);
        links += R"(,"name":)" + mcp::json_quoted(*name) + R"(,"mimeType":)" + mcp::json_quoted(media_of(*name));
        links += R"(,"size":)" + std::string{(*one)[2]} + '}';
    }
    return links;
}

// A tool's answer as the result of tools/call.
asio::awaitable<std::string> tool_result(services& with, const mcp::request& asked, const tool_answer& answer,
                                         const std::string& origin)
{
    async::turns turn;
    const auto links = links_in(answer, origin);
    if (turn.over()) co_await turn.rest();
    bool is_cut = false;
    const auto text = cut_output(answer.whole, answer.members, with.mcp.output_bytes, is_cut);
    if (turn.over()) co_await turn.rest();
    std::string members = R"("content":[{"type":"text","text":)";
    co_await append_json_text(members, text, turn);
    members.append("}").append(links).append(R"(],"structuredContent":)").append(text);
    members.append(R"(,"isError":)").append(answer.has_failed ? "true" : "false");
    co_return mcp::complete(asked, identity_of(with), members, mcp::caching::none);
}

// Of a client whose key lacks the scope that this needs.
std::optional<http::response> refuse_key_of(const services& with, const http::exchange& x, const mcp::request& asked,
                                            tenants::access needed)
{
    auto lacking = refuse_scope(x, needed);
    if (!lacking) return std::nullopt;
    if (with.keys) with.keys->count(tenants::refusal_of_key::scope);
    auto why = rpc_error_of(asked, mcp::code::invalid_request, std::move(lacking->why.message),
                            R"({"code":)" + mcp::json_quoted(name(lacking->why.code)) + '}');
    why.status = status_of(lacking->why.code);
    auto r = rpc_reply(why);
    r.fields.emplace_back("WWW-Authenticate", std::move(lacking->challenge));
    return r;
}

// Runs a tool to its end. Whatever is thrown becomes an internal error of the tool.
asio::awaitable<http::response> run_tool(const tool& which, tool_call& call)
{
    http::response r;
    std::string thrown;
    if (auto* const its = telemetry::of(call.of)) {
        its->root().set("mcp.method.name", "tools/call");
        its->root().set("gen_ai.tool.name", which.name);
    }
    try {
        r = co_await which.run(call);
    } catch (const std::exception& e) {
        thrown = std::string{"a tool threw: "} + e.what();
    }
    if (!thrown.empty()) {
        r = error_reply(make_error(errc::internal));
        r.cause = std::move(thrown);
    }
    if (!r.cause.empty())
        log::error("internal error", {{"id", call.of.request_id()},
                                      {"tool", which.name},
                                      {"cause", r.cause},
                                      log::in_json("trace_id", call.of.trace_id())});
    telemetry::fail(call.of, r.error_code);
    co_return r;
}

call_outcome outcome_of(const mcp_calls::running& mine, const tool_call& call, const tool_answer& answer)
{
    if (mine.cancelled()) return call_outcome::cancelled;
    if (call.stop.requested() && call.stop.cause() == errc::disconnected) return call_outcome::gone;
    return answer.has_failed ? call_outcome::error : call_outcome::ok;
}

asio::awaitable<void> run_tool_beside(const tool& which, tool_call& call, http::response& into, async::event& over)
{
    into = co_await run_tool(which, call);
    over.set();
}

struct told_progress {
    std::string last{"started"};
};

// Sends events until the tool is done. False when the client has gone.
asio::awaitable<bool> tell_until_over(services& with, http::exchange& x, const mcp::request& asked,
                                      const told_progress& told, const mcp_calls::running& mine, async::event& over)
{
    const bool wants = !asked.progress_token.empty();
    const std::chrono::milliseconds interval = wants ? with.mcp.progress : agent_keep_alive;
    std::uint64_t progress = 0;
    std::string text;
    while (!over.is_set() && !mine.cancelled()) {
        text.clear();
        if (wants) {
            ++progress;
            http::append_event(text, {}, {}, mcp::progress_message(asked, progress, told.last));
        } else {
            text = http::event_keep_alive;
        }
        if (const auto sent = co_await x.write(text); !sent) co_return false;
        co_await over.wait_for(interval);
    }
    co_return true;
}

// Answers with events: progress while the tool runs, then its result. Returns how the call has ended, and in
// `says_for_now` whether it was not done, and may be later.
asio::awaitable<call_outcome> call_in_events(services& with, http::exchange& x, const mcp::request& asked,
                                             const tool& which, tool_call& call, const mcp_calls::running& mine,
                                             const std::string& origin, bool& says_for_now)
{
    const auto executor = co_await asio::this_coro::executor;
    async::event over{executor};
    http::response done;
    told_progress told;
    call.tell = [&told](std::string_view name, const std::string& data) {
        constexpr std::size_t longest = 512;
        told.last = name;
        if (data != "{}") told.last.append(" ").append(utf8_prefix(data, longest));
    };
    x.begin(http::stream_head(http::stream_form::events));
    with.tasks->spawn("run a tool", run_tool_beside(which, call, done, over));
    // From here on nothing may leave before the tool is over: it uses what is here.
    bool there = false;
    std::exception_ptr thrown;
    try {
        there = co_await tell_until_over(with, x, asked, told, mine, over);
    } catch (...) {
        thrown = std::current_exception();
    }
    if (!there) x.stop().request(errc::disconnected);
    co_await over.wait();
    if (thrown) std::rethrow_exception(thrown);
    if (!there) co_return call_outcome::gone;
    const auto answer = co_await read_answer(std::move(done));
    const auto ended = outcome_of(mine, call, *answer);
    says_for_now = says_not_now(answer->done.status);
    std::string text;
    // Nobody waits for the result of a call that its client has ended.
    if (!mine.cancelled()) http::append_event(text, {}, {}, co_await tool_result(with, asked, *answer, origin));
    const auto sent = co_await x.finish(text);
    co_return sent ? ended : call_outcome::gone;
}

asio::awaitable<http::response> call_tool(services& with, http::exchange& x, const mcp::request& asked,
                                          std::string arguments)
{
    const auto* const which = find_tool(with, asked.name);
    if (!which) {
        std::string known;
        for (const auto& one : list_tool_names(with)) known.append(known.empty() ? "" : ", ").append(one);
        co_return refuse_agent(
            with, rpc_error_of(asked, mcp::code::invalid_params, "there is no such tool; there are " + known));
    }
    if (auto refused = refuse_key_of(with, x, asked, which->needs)) co_return std::move(*refused);
    const auto origin = own_origin(with, x);
    tool_call call{.with = with, .of = x, .stop = x.stop(), .arguments = std::move(arguments)};
    x.watch_disconnect();
    const mcp_calls::running mine{
        with.calls, {.owner = owner_of(x), .session = asked.session, .id = asked.id}, x.stop()};
    const auto count = [&with, which](call_outcome how) {
        if (with.agents) with.agents->called(which->name, how);
    };
    const auto accept = x[http::field::accept];
    const bool takes_events = http::names_type(accept, "text/event-stream");
    if (takes_events && (!asked.progress_token.empty() || !http::names_type(accept, "application/json"))) {
        http::response told;
        count(co_await call_in_events(with, x, asked, *which, call, mine, origin, told.is_for_now));
        co_return told;
    }
    const auto answer = co_await read_answer(co_await run_tool(*which, call));
    count(outcome_of(mine, call, *answer));
    if (mine.cancelled())
        co_return rpc_reply(rpc_error_of(asked, mcp::code::internal_error, "the client has cancelled the request"));
    auto told = json_reply(200, co_await tool_result(with, asked, *answer, origin));
    told.is_for_now = says_not_now(answer->done.status);
    co_return told;
}

asio::awaitable<http::response> tell_tools(services& with, const mcp::request& asked)
{
    if (!with.tools) with.tools = std::make_shared<const std::string>(json::serialize(list_tools(with)));
    const auto tools = with.tools;
    co_return json_reply(200, mcp::complete(asked, identity_of(with), R"("tools":)" + *tools, mcp::caching::list));
}

// All of an artifact; nullopt: it cannot be read now. In turns, since it may have megabytes.
asio::awaitable<std::optional<std::string>> bytes_of_artifact(const artifacts::content& from, async::turns& turn)
{
    if (from.memory) co_return *from.memory;
    constexpr std::size_t at_once = 256 * 1024;
    std::string bytes(static_cast<std::size_t>(from.bytes), '\0');
    for (std::size_t at = 0; at < bytes.size();) {
        const auto wanted = std::min(at_once, bytes.size() - at);
        if (disk::read_at(from.file->get(), {bytes.data() + at, wanted}, at) != static_cast<std::int64_t>(wanted))
            co_return std::nullopt;
        at += wanted;
        if (turn.over()) co_await turn.rest();
    }
    co_return bytes;
}

asio::awaitable<bool> is_text_in_turns(std::string_view bytes, async::turns& turn)
{
    constexpr std::size_t at_once = 128 * 1024;
    while (!bytes.empty()) {
        auto piece = bytes.substr(0, at_once);
        // A character is not cut in two.
        if (piece.size() < bytes.size()) piece.remove_suffix(unfinished_utf8(piece));
        if (!is_valid_utf8(piece)) co_return false;
        bytes.remove_prefix(piece.size());
        if (turn.over()) co_await turn.rest();
    }
    co_return true;
}

asio::awaitable<void> append_base64(std::string& into, std::string_view bytes, async::turns& turn)
{
    constexpr std::size_t at_once = 96 * 1024;  // a multiple of three: no padding but at the end
    into.reserve(into.size() + (bytes.size() + 2) / 3 * 4 + 16);
    while (!bytes.empty()) {
        into += encode_base64(bytes.substr(0, at_once));
        bytes.remove_prefix(std::min(at_once, bytes.size()));
        if (turn.over()) co_await turn.rest();
    }
}

asio::awaitable<http::response> read_resource(services& with, const http::exchange& x, const mcp::request& asked)
{
    // What is longer names nothing here, and is not told back.
    constexpr std::size_t longest_uri = 1024;
    const auto data = R"({"uri":)" + mcp::json_quoted(utf8_prefix(asked.name, longest_uri)) + '}';
    // 2025-11-25 has a code of its own for it.
    constexpr int not_found_before = -32002;
    const auto no_such = [&] {
        return refuse_agent(with, rpc_error_of(asked, asked.stateless ? mcp::code::invalid_params : not_found_before,
                                               "there is no such resource", data));
    };
    if (auto refused = refuse_key_of(with, x, asked, tenants::access::artifact().settled(with.open_artifacts)))
        co_return std::move(*refused);
    const auto before = own_origin(with, x) + "/artifacts/";
    if (!with.serve_artifacts || !asked.name.starts_with(before)) co_return no_such();
    const auto rest = std::string_view{asked.name}.substr(before.size());
    const auto slash = rest.find('/');
    if (slash == std::string_view::npos) co_return no_such();
    const auto name = rest.substr(slash + 1);
    auto found = with.store.open_content(rest.substr(0, slash), name, false, false);
    if (!found && with.others)
        found = co_await bring_artifact(with, std::string{rest.substr(0, slash)}, std::string{name}, false, false,
                                        x.client(), found.error());
    if (!found && found.error().code == errc::not_found) co_return no_such();
    // It may exist: an agent that hears otherwise would not ask again.
    if (!found)
        co_return refuse_agent(
            with, rpc_error_of(asked, mcp::code::internal_error,
                               found.error().code == errc::unavailable
                                   ? "the resource is unavailable: it is not on this server, and the others do not "
                                     "answer now; ask again later"
                                   : "the resource cannot be read now",
                               data));
    const auto& content = *found;
    if (content->bytes > with.mcp.resource_bytes)
        co_return refuse_agent(with, rpc_error_of(asked, mcp::code::internal_error,
                                                  "the resource has " + std::to_string(content->bytes) +
                                                      " bytes, more than mcp.maxResourceBytes; fetch it from its URI",
                                                  data));
    async::turns turn;
    const auto bytes = co_await bytes_of_artifact(*content, turn);
    if (!bytes)
        co_return refuse_agent(with, rpc_error_of(asked, mcp::code::internal_error, "the resource cannot be read now"));
    std::string members = R"("contents":[{"uri":)" + mcp::json_quoted(asked.name);
    members += R"(,"mimeType":)" + mcp::json_quoted(media_of(name));
    bool as_text = name.ends_with(".js");
    if (as_text) as_text = co_await is_text_in_turns(*bytes, turn);
    if (as_text) {
        members += R"(,"text":)";
        co_await append_json_text(members, *bytes, turn);
    } else {
        members += R"(,"blob":")";
        co_await append_base64(members, *bytes, turn);
        members += '"';
    }
    members += "}]";
    co_return json_reply(200, mcp::complete(asked, identity_of(with), members, mcp::caching::resource));
}

json::object resource_template(const std::string& origin)
{
    return {{"uriTemplate", origin + "/artifacts/{id}/{name}"},
            {"name", "artifact"},
            {"title", "A file that a compile has produced"},
            {"description", "Its id and name are in the result of the tool compile."}};
}

// No notification of those that a client may wish for is ever sent: neither tools nor resources change while the
// server runs. The stream says so, and stays until the client leaves or the server drains.
asio::awaitable<http::response> listen(services& with, http::exchange& x, const mcp::request& asked)
{
    x.watch_disconnect();
    x.end_when_draining();
    const auto executor = co_await asio::this_coro::executor;
    async::event over{executor};
    const async::stop_callback wake{x.stop(), [&over](errc) { over.set(); }};
    x.begin(http::stream_head(http::stream_form::events));
    std::string text;
    http::append_event(text, {}, {}, mcp::acknowledged_message(asked));
    do {
        if (const auto sent = co_await x.write(text); !sent) co_return http::response{};
        text = http::event_keep_alive;
    } while (!co_await over.wait_for(agent_keep_alive));
    text.clear();
    http::append_event(text, {}, {}, mcp::listened_message(asked, identity_of(with)));
    const auto ended = co_await x.finish(text);
    static_cast<void>(ended);  // the client may be gone
    co_return http::response{};
}

asio::awaitable<http::response> answer_agent(services& with, http::exchange& x, const mcp::request& asked,
                                             std::string arguments)
{
    const auto reply = [&](const json::object& result, mcp::caching how = mcp::caching::none) {
        return json_reply(200, mcp::complete(asked, identity_of(with), result, how));
    };
    if (asked.is_notification) {
        if (!asked.cancelled.empty())
            with.calls.cancel({.owner = owner_of(x), .session = asked.session, .id = asked.cancelled});
        http::response taken;
        taken.status = 202;
        co_return taken;
    }
    if (asked.method == "initialize") {
        x.add_field("Mcp-Session-Id", new_uuid());
        co_return reply(mcp::initialize_result(asked, identity_of(with)));
    }
    if (asked.method == "server/discover") co_return reply(mcp::discover_result(identity_of(with)), mcp::caching::list);
    if (asked.method == "subscriptions/listen") co_return co_await listen(with, x, asked);
    if (asked.method == "tools/list") co_return co_await tell_tools(with, asked);
    if (asked.method == "tools/call") co_return co_await call_tool(with, x, asked, std::move(arguments));
    // Artifacts are found by the ids that compiles return, and are not listed: an id is a secret.
    if (asked.method == "resources/list")
        co_return reply(json::object{{"resources", json::array{}}}, mcp::caching::list);
    if (asked.method == "resources/templates/list") {
        json::array all;
        if (with.serve_artifacts) all.push_back(resource_template(own_origin(with, x)));
        co_return reply(json::object{{"resourceTemplates", std::move(all)}}, mcp::caching::list);
    }
    if (asked.method == "resources/read") co_return co_await read_resource(with, x, asked);
    co_return reply({});  // ping
}

}  // namespace

http::response refuse_mcp(const error& why)
{
    const auto status = status_of(why.code);
    const bool inside = status == 500;
    const mcp::rpc_error told{.code = status >= 500 ? mcp::code::internal_error : mcp::code::invalid_request,
                              .message = std::string{inside ? sentence(errc::internal) : std::string_view{why.message}},
                              .status = status,
                              .data = R"({"code":)" + mcp::json_quoted(name(why.code)) + '}'};
    auto r = rpc_reply(told);
    if (inside) r.cause = why.message;
    r.error_code = name(why.code);
    if (status == 503 || status == 429) r.fields.emplace_back("Retry-After", "1");
    return r;
}

asio::awaitable<http::response> post_mcp(services& with, http::exchange& x)
{
    if (!is_json(x[http::field::content_type])) co_return refuse_mcp(make_error(errc::unsupported_media_type));
    auto body = co_await x.read_body(with.max_body_bytes);
    if (!body) co_return refuse_mcp(body.error());
    const auto fields = protocol_fields(x);
    if (const auto* const wrong = std::get_if<mcp::rpc_error>(&fields)) co_return refuse_agent(with, *wrong);
    const auto message = mcp::read_message(*body, with.json);
    if (const auto* const wrong = std::get_if<mcp::rpc_error>(&message)) co_return refuse_agent(with, *wrong);
    auto asked = mcp::check_request(std::get<mcp::rpc_message>(message), std::get<mcp::request_fields>(fields));
    if (const auto* const wrong = std::get_if<mcp::rpc_error>(&asked)) co_return refuse_agent(with, *wrong);
    auto& request = std::get<mcp::request>(asked);
    // While a tool runs, its arguments are kept once, and nothing else of the message.
    std::string arguments{std::exchange(request.arguments, {})};
    std::string{}.swap(*body);
    co_return co_await answer_agent(with, x, request, std::move(arguments));
}

}  // namespace sandboxd::api
