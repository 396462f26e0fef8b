#include "api/reply.hpp"

#include "api/execution_stream.hpp"
#include "base/utf8.hpp"
#include "process/output_sink.hpp"

#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>

#include <algorithm>

namespace sandboxd::api {

namespace json = boost::json;

unsigned status_of(errc code) noexcept
{
    switch (code) {
        case errc::invalid_request:
        // A limit that the job hit is the request's fault, like a compile error.
        case errc::compile_error:
        case errc::timeout:
        case errc::output_limit:
        case errc::memory_limit:
        case errc::disk_limit:
        case errc::artifact_rejected: return 400;
        case errc::unauthorized: return 401;
        case errc::insufficient_scope:
        case errc::forbidden: return 403;
        case errc::not_found: return 404;
        case errc::method_not_allowed: return 405;
        case errc::request_timeout:
        case errc::disconnected: return 408;
        case errc::conflict: return 409;
        case errc::precondition_failed: return 412;
        case errc::payload_too_large: return 413;
        case errc::target_too_long: return 414;
        case errc::unsupported_media_type: return 415;
        case errc::range_not_satisfiable: return 416;
        case errc::misdirected_request: return 421;
        case errc::unprocessable:
        case errc::idempotency_key_reused:
        case errc::install_failed: return 422;
        case errc::too_many_requests:
        case errc::tenant_request_limit:
        case errc::tenant_job_limit:
        case errc::tenant_cpu_limit:
        case errc::tenant_fuel_limit:
        case errc::tenant_deployment_limit:
        case errc::tenant_storage_limit: return 429;
        case errc::header_too_large: return 431;
        case errc::method_not_implemented: return 501;
        case errc::start_failed:
        case errc::upstream_failed: return 502;
        case errc::start_timeout:
        case errc::upstream_timeout: return 504;
        case errc::queue_full:
        case errc::queue_timeout:
        case errc::draining:
        case errc::unavailable:
        case errc::index_unavailable: return 503;
        case errc::version_not_supported: return 505;
        case errc::io:
        case errc::internal: break;
    }
    return 500;
}

std::vector<errc> all_codes()
{
    std::vector<errc> all;
    for (int i = static_cast<int>(errc::invalid_request); i <= static_cast<int>(errc::internal); ++i)
        all.push_back(static_cast<errc>(i));
    return all;
}

http::response json_reply(unsigned status, const json::object& body)
{
    return json_reply(status, json::serialize(body));
}

http::response json_reply(unsigned status, std::string body)
{
    http::response r;
    r.status = status;
    r.content_type = "application/json";
    body += '\n';
    r.body = std::move(body);
    r.fields.emplace_back("Cache-Control", "no-store");
    return r;
}

std::string json_text(std::string_view text) { return json::serialize(json::string{text}); }

void make_json_room(std::string& into, std::size_t bytes)
{
    into.reserve(into.size() + process::output_sink::json_bytes_of(bytes));
}

boost::asio::awaitable<void> append_json_text(std::string& into, std::string_view bytes, async::turns& turn)
{
    constexpr std::size_t at_once = 32 * 1024;
    if (bytes.size() > at_once)
        make_json_room(into, bytes.size());
    else
        into.reserve(into.size() + bytes.size() + 2);
    into += '"';
    while (!bytes.empty()) {
        auto piece = bytes.substr(0, at_once);
        // A character is not cut in two.
        if (piece.size() < bytes.size()) piece.remove_suffix(unfinished_utf8(piece));
        bytes.remove_prefix(piece.size());
        const auto text = json_text(to_valid_utf8(piece));
        into.append(text, 1, text.size() - 2);
        if (turn.over()) co_await turn.rest();
    }
    into += '"';
}

http::response text_reply(unsigned status, std::string text)
{
    http::response r;
    r.status = status;
    r.content_type = "text/plain; charset=utf-8";
    r.body = std::move(text);
    return r;
}

std::int64_t milliseconds(std::chrono::microseconds time)
{
    return std::chrono::round<std::chrono::milliseconds>(time).count();
}

http::response error_reply(const error& what, const json::object& more)
{
    const auto status = status_of(what.code);
    // The cause of an internal error is for the log, not for the client.
    const bool inside = status == 500;
    json::object body{{"ok", false},
                      {"error", inside ? sentence(errc::internal) : std::string_view{what.message}},
                      {"code", name(what.code)}};
    for (const auto& member : more) body.emplace(member.key(), member.value());
    auto r = json_reply(status, body);
    if (inside) r.cause = what.message;
    r.error_code = name(what.code);
    if (status == 503 || status == 429) r.fields.emplace_back("Retry-After", "1");
    return r;
}

}  // namespace sandboxd::api
