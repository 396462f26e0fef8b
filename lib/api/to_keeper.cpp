#include "api/to_keeper.hpp"

#include "api/handlers.hpp"
#include "api/media_type.hpp"
#include "api/reply.hpp"
#include "api/span_facts.hpp"
#include "base/ascii.hpp"
#include "http/forwarded.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

namespace sandboxd::api {

namespace asio = boost::asio;

namespace {

constexpr std::size_t tag_digits = 16;
// Beside what the keys allow, which the other server has, too: for the way there and back, and for a worker that has to
// start before. Nobody needs to change it: a machine that is gone ends the connection earlier (cluster/peer_link).
constexpr std::chrono::milliseconds way_margin{60'000};
// Of a call, the most that its answer has for each of script::tool_call_bytes, by which calls are bounded: a name of
// 128 bytes, an id, and what JSON puts around them. And what JSON makes of a byte at most.
constexpr std::size_t call_growth = 4;
constexpr std::size_t byte_growth = 6;
// A message, a name of a file, numbers.
constexpr std::size_t rest_of_answer = 1u << 20;
// Of an answer's fields those that say something to the client.
constexpr std::array<std::string_view, 4> told_fields{"Retry-After", "RateLimit-Policy", "RateLimit",
                                                      "WWW-Authenticate"};

// The other server runs scripts, which get nothing of a trace, so it needs no `tracestate`.
void add_trace(proxy::peer_call& to, const http::exchange& x, const telemetry::span& hop)
{
    if (auto value = telemetry::traceparent_of(x, hop); !value.empty())
        to.fields.emplace_back("traceparent", std::move(value));
    if (const auto sampled = telemetry::sampling_of(x); !sampled.empty())
        to.fields.emplace_back(telemetry::sampling_field, std::string{sampled});
}

// The longest answer of /execute, by the keys: more is none.
std::size_t longest_answer(const script::run_limits& most)
{
    return call_growth * most.result_bytes + byte_growth * most.console_bytes + rest_of_answer;
}

}  // namespace

asio::awaitable<result<http::response>> ask_server(services& with, const http::exchange& x, async::stop_source& stop,
                                                   std::string server, proxy::peer_call call)
{
    // A server that is asked by another one answers itself, or not at all.
    if (!with.peers || x.from().fleet) co_return make_error(errc::unavailable);
    call.host = std::string{x.host()};
    if (const auto key = x[http::field::authorization]; !key.empty())
        call.fields.emplace_back("Authorization", std::string{key});
    const bool trusted = with.trust_forwarded || x.from().local;
    const auto client = trusted ? http::last_hop(last_field(x, "X-Forwarded-For")) : std::string_view{x.from().address};
    if (!client.empty()) call.fields.emplace_back("X-Forwarded-For", std::string{client});
    call.fields.emplace_back("X-Request-Id", std::string{x.request_id()});
    const auto method = call.method;
    auto hop = telemetry::child_of(x, method, telemetry::span_kind::client);
    add_trace(call, x, hop);
    auto said = co_await proxy::ask_peer(*with.peers, std::move(server), std::move(call), stop);
    describe_hop(hop, method, said);
    hop.end();
    if (!said) co_return said.error();
    if (!is_json((*said)["Content-Type"]))
        co_return error{errc::upstream_failed, "the server that keeps this script does not answer with JSON"};
    if (said->body.ends_with('\n')) said->body.pop_back();
    auto r = json_reply(said->status, std::move(said->body));
    for (const auto name : told_fields)
        if (const auto value = (*said)[name]; !value.empty()) r.fields.emplace_back(name, std::string{value});
    co_return r;
}

asio::awaitable<result<http::response>> ask_keeper(services& with, http::exchange& x, std::string server,
                                                   std::string path, std::string body)
{
    proxy::peer_call call;
    call.target = std::move(path);
    call.fields.emplace_back("Content-Type", "application/json");
    call.body = std::move(body);
    if (with.js) {
        const auto& most = with.js->most();
        call.timeout = with.js->queue_timeout() + std::chrono::ceil<std::chrono::milliseconds>(most.wall) + way_margin;
        call.body_bytes = longest_answer(most);
    }
    co_return co_await ask_server(with, x, x.stop(), std::move(server), std::move(call));
}

std::optional<std::string> take_tag(std::string& continuation)
{
    const auto dash = continuation.rfind('-');
    if (dash == std::string::npos || continuation.size() - dash - 1 != tag_digits) return std::nullopt;
    auto tag = continuation.substr(dash + 1);
    if (!std::ranges::all_of(tag, is_lower_hex)) return std::nullopt;
    continuation.erase(dash);
    return tag;
}

std::string with_tag(std::string continuation, std::string_view tag)
{
    continuation += '-';
    continuation += tag;
    return continuation;
}

}  // namespace sandboxd::api
