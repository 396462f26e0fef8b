// The JS sandbox backend's interface: POST /api/execute, the example scripts, GET /api/health. A failed script is
// answered with status 200; only requests that cannot run are errors.
#include "api/example_scripts.hpp"
#include "api/execute_request.hpp"
#include "api/handlers.hpp"
#include "api/media_type.hpp"
#include "api/own_limits.hpp"
#include "api/reply.hpp"
#include "api/run_script.hpp"
#include "base/utf8.hpp"
#include "script/run.hpp"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include <time.h>

#include <algorithm>
#include <cstdio>

namespace sandboxd::api {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

using script::console_level;
using script::run_status;

const error not_run_here{errc::not_found, "this server does not run JavaScript (js.enabled)"};

const example_script* find_example(std::string_view wanted)
{
    const auto all = example_scripts();
    const auto found = std::ranges::find(all, wanted, &example_script::name);
    return found == all.end() ? nullptr : &*found;
}

// "2024-04-24T09:50:41.362Z". The number comes from a worker and may be anything.
std::string iso_time(std::int64_t unix_ms)
{
    constexpr std::int64_t end_of_year_9999 = 253'402'300'799'999;
    unix_ms = std::clamp<std::int64_t>(unix_ms, 0, end_of_year_9999);
    const std::time_t seconds = unix_ms / 1000;
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    char text[40];
    const auto size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    std::snprintf(text + size, sizeof text - size, ".%03dZ", static_cast<int>(unix_ms % 1000));
    return text;
}

// This interface has five types.
std::string_view type_of(console_level level)
{
    if (level == console_level::trace) return "debug";
    if (level == console_level::assertion) return "error";
    return name(level);
}

// The `name` of errors that the script did not throw itself.
std::string_view error_name(run_status status)
{
    switch (status) {
        case run_status::never_settled: return "NeverSettledError";
        case run_status::out_of_fuel: return "OutOfFuelError";
        case run_status::out_of_memory: return "OutOfMemoryError";
        case run_status::timeout: return "TimeoutError";
        case run_status::output_limit: return "OutputLimitError";
        case run_status::stack_overflow: return "StackOverflowError";
        case run_status::ok:
        case run_status::runtime_error:
        case run_status::pending:  // its scripts have no tools
        case run_status::fault: break;
    }
    return "InternalError";
}

// An object for errors, otherwise a string: the thrown value, as JSON if it is an object.
std::string describe_error(const script::run_answer& done)
{
    const auto& thrown = done.thrown;
    if (done.status != run_status::runtime_error)
        return json::serialize(
            json::object{{"name", error_name(done.status)}, {"message", message_of(done)}, {"stack", ""}});
    if (thrown.is_error)
        return json::serialize(
            json::object{{"name", thrown.name}, {"message", thrown.message}, {"stack", thrown.stack}});
    const bool is_object = thrown.json.starts_with('{') || thrown.json.starts_with('[');
    return json_text(is_object ? thrown.json : thrown.message);
}

std::string describe_log(const std::vector<script::console_entry>& console)
{
    std::string list = "[";
    for (const auto& entry : console) {
        if (list.size() > 1) list += ',';
        list += R"({"type":")";
        list += type_of(entry.level);
        list += R"(","timestamp":")" + iso_time(entry.unix_ms);
        list += R"(","data":)";
        list += entry.data;
        list += '}';
    }
    return list + "]";
}

http::response describe_script(const script::run_answer& done)
{
    const bool fine = done.status == run_status::ok;
    std::string body = R"({"status":")";
    body += fine ? "success" : "error";
    body += R"(","result":)";
    body += fine ? std::string_view{done.result} : "null";
    body += R"(,"error":)";
    body += fine ? "false" : describe_error(done);
    body += R"(,"log":)";
    body += describe_log(done.console);
    if (done.console_truncated) body += R"(,"logTruncated":true)";
    if (!fine) {
        body += R"(,"code":")";
        body += name(done.status);
        body += '"';
    }
    body += R"(,"executionTime":)" + std::to_string(milliseconds(done.wall)) + "}";
    return json_reply(200, std::move(body));
}

http::response no_such_example(std::string_view wanted)
{
    constexpr std::size_t most_shown = 120;
    return json_reply(200, json::object{{"status", "error"},
                                        {"result", nullptr},
                                        {"error", "There is no example script '" +
                                                      std::string{utf8_prefix(wanted, most_shown)} + "'"},
                                        {"log", json::array{}},
                                        {"code", name(errc::not_found)},
                                        {"executionTime", 0}});
}

result<script_parameters> read_parameters(std::string_view content_type, std::string_view body, std::string_view query,
                                          const json_limits& json)
{
    const auto boundary = multipart_boundary(content_type);
    auto given = !boundary.empty()                       ? read_script_multipart(body, boundary)
                 : is_form(content_type) || body.empty() ? read_script_form(body)
                                                         : read_script_json(body, json);
    if (!given) return given;
    auto in_query = read_script_form(query);
    if (!in_query) return in_query;
    if (!given->file) given->file = std::move(in_query->file);
    return given;
}

asio::awaitable<http::response> execute_script(services& with, http::exchange& x)
{
    if (!with.js) co_return error_reply(not_run_here);
    const auto content_type = x[http::field::content_type];
    // An empty body needs no type: `file` may be in the query.
    if (!x.body_done() && !is_json(content_type) && !is_form(content_type) && multipart_boundary(content_type).empty())
        co_return error_reply(make_error(errc::unsupported_media_type));
    const auto body = co_await x.read_body(with.max_body_bytes);
    if (!body) co_return error_reply(body.error());
    const auto given = read_parameters(content_type, *body, x.query(), with.json);
    if (!given) co_return error_reply(given.error());

    const bool has_code = given->code && !given->code->empty();
    const bool has_file = given->file && !given->file->empty();
    if (!has_code && !has_file) co_return error_reply({errc::invalid_request, "Required 'code' or 'file' parameter"});
    js::service_request request;
    if (has_code) request.run.script = *given->code;
    if (has_file) {
        const auto* const example = find_example(*given->file);
        if (!example) co_return no_such_example(*given->file);
        if (has_code) request.run.script += '\n';
        request.run.script += example->text;
    }
    // This interface has no fuel: time is the limit.
    request.run.console_values = true;
    request.run.limits = with.js->defaults();
    request.run.limits.fuel = with.js->most().fuel;

    auto place = co_await take_job_place(with, x, tenants::work::script);
    if (place.refused) co_return limited(error_reply(place.refused->why), std::move(*place.refused));
    const auto done = co_await run_script(with, x, std::move(request));
    co_return done ? describe_script(*done) : error_reply(done.error());
}

}  // namespace

asio::awaitable<http::response> post_script(services& with, http::exchange& x)
{
    auto r = co_await execute_script(with, x);
    co_return r;
}

asio::awaitable<http::response> get_examples(services& with, http::exchange& x)
{
    json::array list;
    for (const auto& one : example_scripts())
        list.push_back({{"name", one.name}, {"url", "/api/examples/" + std::string{one.name}}});
    auto r = json_reply(200, json::object{{"examples", std::move(list)}});
    co_return r;
}

asio::awaitable<http::response> get_example(services& with, http::exchange& x)
{
    const auto* const found = find_example(x.param(0));
    auto r = found ? text_reply(200, std::string{found->text})
                   : error_reply({errc::not_found, "there is no such example script"});
    if (found) r.content_type = "text/javascript; charset=utf-8";
    co_return r;
}

asio::awaitable<http::response> get_script_health(services& with, http::exchange&)
{
    if (!with.js) co_return error_reply(not_run_here);
    if (!with.js->failure().empty())
        co_return error_reply({errc::unavailable, "the JavaScript workers do not start; /readyz says why"});
    co_return json_reply(200, json::object{{"status", "ok"}});
}

}  // namespace sandboxd::api
