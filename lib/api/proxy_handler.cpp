#include "api/admit_key.hpp"
#include "api/handlers.hpp"
#include "api/reply.hpp"
#include "api/span_facts.hpp"
#include "api/to_owner.hpp"
#include "base/ascii.hpp"
#include "faas/program_address.hpp"
#include "http/field_text.hpp"
#include "http/uri.hpp"
#include "proxy/forwarder.hpp"

#include <boost/json/object.hpp>

#include <algorithm>

namespace sandboxd::api {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

// Connects into the jail of the lease's deployment.
class lease_dialer final : public proxy::dialer {
public:
    explicit lease_dialer(faas::service::lease& to) : to_{to} {}
    ~lease_dialer() override = default;
    asio::awaitable<result<http::stream_socket>> connect(async::stop_source& stop) override
    {
        return to_.connect(stop);
    }
    async::stop_source& ended() override { return to_.ended(); }

private:
    faas::service::lease& to_;
};

// The target that the program sees: the path after the prefix, and the query.
std::string target_behind(const http::exchange& x, std::string_view prefix)
{
    auto path = x.path();
    path.remove_prefix(prefix.size());
    std::string target{path.empty() ? std::string_view{"/"} : path};
    if (x.has_query()) target.append("?").append(x.query());
    return target;
}

// Why a request did not reach the program, or got no answer; points to the log.
http::response refuse_proxy(const services& with, const std::string& id, const error& why)
{
    if (why.code == errc::not_found) return error_reply({errc::not_found, "there is no such deployment"});
    const auto status = status_of(why.code);
    // With keys, what its installer or its disk said is for its owner, at /faas/deployments/{id}.
    if (with.keys) return error_reply(make_error(why.code));
    if (status != 502 && status != 504) return error_reply(why);
    json::object more{{"deployment_id", id}, {"logs_url", "/faas/deployments/" + id + "/logs"}};
    if (const auto info = with.faas->find(id)) more["log_id"] = info->log_id;
    return error_reply(why, more);
}

asio::awaitable<http::response> forward(services& with, http::exchange& x, std::string id, std::string_view prefix)
{
    if (!with.faas || !with.proxy)
        co_return error_reply(
            {errc::unavailable,
             "this server hosts no deployments: faas.enabled is false, or its jail is 'none' or gVisor"});
    // CONNECT would hand over the connection, TRACE would show what proxies add.
    if (x.method() == http::verb::connect || x.method() == http::verb::trace) {
        auto r = error_reply({errc::method_not_allowed, "the server does not pass on this method"});
        r.fields.emplace_back("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        co_return r;
    }
    // The program may have to be started first. If the client still has a body to send, reading it will notice a
    // disconnect.
    if (x.body_done()) x.watch_disconnect_if_slow();
    auto found = co_await find_place(with, x, id);
    if (!found && found.error().code == errc::misdirected_request) {
        auto r = error_reply(found.error());
        r.fields.emplace_back(proxy::moved_field, "1");
        co_return r;
    }
    if (!found) co_return refuse_proxy(with, id, found.error());
    auto& place = *found;
    if (!place) co_return http::response{};
    auto hop = telemetry::child_of(x, telemetry::name_of(telemetry::method_of(x)), telemetry::span_kind::client);
    const auto told = telemetry::passed_on(x, hop).value_or(telemetry::propagation{});
    const auto target = target_behind(x, prefix);
    const bool trusted = with.trust_forwarded || x.from().local;
    const proxy::relay_route how{.prefix = prefix,
                                 .target = target,
                                 .host = x.host(),
                                 .peer = x.from().address,
                                 .forwarded_host = trusted ? last_field(x, "X-Forwarded-Host") : std::string_view{},
                                 .own_hosts = faas::hosts_inside,
                                 .trusted = trusted,
                                 .keeps_authorization = has_key_of_ours(with, x),
                                 .sandbox_pages = with.sandbox_pages,
                                 .request_id = x.request_id(),
                                 .traceparent = told.traceparent,
                                 .tracestate = told.tracestate};
    lease_dialer to{*place};
    const auto done = co_await with.proxy->forward(x, how, id, place->generation(), to);
    describe_hop(hop, x, id, done);
    if (!done && !x.begun()) co_return refuse_proxy(with, id, done.error());
    co_return http::response{};  // already answered
}

// "/faas/<id>" of "/faas/<id>/new".
std::string_view prefix_of(const http::exchange& x)
{
    const auto id = x.param(0);
    return x.path().substr(0, static_cast<std::size_t>(id.data() + id.size() - x.path().data()));
}

}  // namespace

std::string_view last_field(const http::exchange& x, std::string_view name)
{
    std::string_view last;
    for (const auto& one : x.fields())
        if (same_word({one.name_string().data(), one.name_string().size()}, name))
            last = {one.value().data(), one.value().size()};
    return last;
}

asio::awaitable<http::response> any_deployment(services& with, http::exchange& x)
{
    return forward(with, x, std::string{x.param(0)}, prefix_of(x));
}

// Finds a deployment by the id of the sandbox that it runs in. Sandboxes without a deployment have no network, so
// there is nothing to proxy to.
asio::awaitable<http::response> any_sandbox(services& with, http::exchange& x)
{
    std::string id;
    if (with.faas) {
        auto found = co_await with.faas->by_sandbox(std::string{x.param(0)});
        if (!found && found.error().code == errc::not_found)
            co_return error_reply({errc::not_found, "no deployment runs in a sandbox of this id"});
        if (!found) co_return error_reply(found.error());
        id = std::move(*found);
    }
    co_return co_await forward(with, x, std::move(id), prefix_of(x));
}

asio::awaitable<http::response> any_host(services& with, http::exchange& x, std::string id)
{
    return forward(with, x, std::move(id), {});
}

std::optional<std::string> deployment_of_host(std::string_view host, std::string_view domain)
{
    const auto asked = http::read_authority(host);
    if (!asked) return std::nullopt;  // refused by the gate
    host = asked->host;
    if (host.ends_with('.')) host.remove_suffix(1);
    if (domain.empty() || host.size() <= domain.size() + 1) return std::nullopt;
    const auto label = host.substr(0, host.size() - domain.size() - 1);
    if (host[label.size()] != '.' || !same_word(host.substr(label.size() + 1), domain)) return std::nullopt;
    return in_lower_case(label);
}

}  // namespace sandboxd::api
