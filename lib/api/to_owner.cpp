#include "api/to_owner.hpp"

#include "api/admit_key.hpp"
#include "api/handlers.hpp"
#include "api/span_facts.hpp"
#include "async/event.hpp"
#include "proxy/forwarder.hpp"

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace sandboxd::api {

namespace asio = boost::asio;

namespace {

// A pace, and no limit: how long a request waits is up to cluster.leaseSecs, and how many of them to faas.maxWaiting.
constexpr auto retry_pause = std::chrono::milliseconds{200};
// A deployment is not taken from a server that was out of reach for a moment, or had too much to do to answer.
constexpr auto away_time = std::chrono::milliseconds{1'000};
// Who has asked for a deployment that this server has lost gets it first: it looks once in each retry_pause.
constexpr auto moving_pause = 3 * retry_pause;
// Beside cluster.leaseSecs: Redis ends a lease by its own clock, a little after this machine believes that it has.
constexpr auto lease_margin = std::chrono::milliseconds{2'000};

class peer_dialer final : public proxy::dialer {
public:
    peer_dialer(proxy::peers& by, std::string server) : by_{by}, server_{std::move(server)} {}
    ~peer_dialer() override = default;

    void give(http::stream_socket one) { ready_.emplace(std::move(one)); }
    asio::awaitable<result<http::stream_socket>> connect(async::stop_source& stop) override
    {
        if (ready_) {
            auto one = std::move(*ready_);
            ready_.reset();
            co_return std::move(one);
        }
        co_return co_await by_.connect(server_, stop);
    }
    // Its connections end with it.
    async::stop_source& ended() override { return never_; }

private:
    proxy::peers& by_;
    std::string server_;
    std::optional<http::stream_socket> ready_;
    async::stop_source never_;
};

error unreachable()
{
    return {errc::index_unavailable,
            "the server that runs this deployment cannot be reached; send the request again in a moment"};
}

// False: the request is to be given up.
asio::awaitable<bool> pause_for(http::exchange& x, std::chrono::milliseconds time)
{
    async::event woken{co_await asio::this_coro::executor};
    const async::stop_callback on_stop{x.stop(), [&woken](errc) { woken.set(); }};
    co_await woken.wait_for(time);
    co_return !x.stop().requested();
}

// One of the requests that wait for the lease of a deployment to end.
class waiting_for {
public:
    waiting_for(std::map<std::string, std::size_t>& all, std::string id) : all_{all}, id_{std::move(id)}
    {
        ++all_[id_];
    }
    ~waiting_for()
    {
        if (const auto mine = all_.find(id_); --mine->second == 0) all_.erase(mine);
    }
    waiting_for(const waiting_for&) = delete;
    waiting_for& operator=(const waiting_for&) = delete;

private:
    std::map<std::string, std::size_t>& all_;
    std::string id_;
};

}  // namespace

asio::awaitable<result<passed>> pass_to_owner(services& with, http::exchange& x, std::string id, errand what)
{
    if (!with.faas || !with.faas->is_shared()) co_return passed::here;
    const auto until = std::chrono::steady_clock::now() + with.faas->lease_time() + lease_margin;
    // Bounded from their first byte, tunnels have no connection that was kept, and are counted by deployment.
    const bool upgrades = !proxy::upgrade_of(x.fields()).empty();
    std::optional<waiting_for> waits;
    bool has_asked = false;
    std::optional<faas::service::passage> load;
    for (;;) {
        // Another server passes on what only the owner answers.
        const bool may_answer = what == errand::program && !x.from().fleet;
        if (may_answer && with.faas->has_seat(id)) co_return passed::here;
        const auto server = co_await with.faas->settle(id, what != errand::removal, x.stop());
        if (!server) co_return server.error();
        if (server->empty()) co_return passed::here;
        if (!x.has_connection()) co_return passed::elsewhere;
        // The lease has moved while the request was on its way.
        if (x.from().fleet && what == errand::program) co_return passed::moved;
        if (x.from().fleet || !with.peers || !with.proxy) co_return unreachable();
        if (may_answer && !load) load.emplace(with.faas->pass_on(id, x.client()));
        if (x.body_done()) x.watch_disconnect_if_slow();
        const auto key = (upgrades ? "tunnel to " + id + " at " : std::string{"server "}) + *server;
        peer_dialer to{*with.peers, *server};
        if (upgrades || !with.proxy->has_idle(key, 1)) {
            auto made = co_await with.peers->connect(*server, x.stop());
            if (x.stop().requested()) co_return make_error(x.stop().cause());
            if (!made) {
                if (made.error().code != errc::unavailable) co_return made.error();
                if (std::chrono::steady_clock::now() >= until) co_return unreachable();
                if (!waits && with.waits_for_servers[id] >= with.faas->most_waiting())
                    co_return error{
                        errc::queue_full,
                        "too many requests wait for a server that cannot be reached (faas.maxWaiting); send the "
                        "request again in a moment"};
                if (!waits) waits.emplace(with.waits_for_servers, id);
                // It may be dead: then its lease ends. Or the way there is cut: then it is asked to give it back.
                if (!has_asked && with.peers->away_for(*server) >= away_time) {
                    has_asked = true;
                    co_await with.faas->ask_for(id);
                }
                if (!co_await pause_for(x, retry_pause)) co_return make_error(x.stop().cause());
                continue;
            }
            to.give(std::move(*made));
        }
        waits.reset();
        std::string target{x.path()};
        if (x.has_query()) target.append("?").append(x.query());
        auto hop = telemetry::child_of(x, telemetry::name_of(telemetry::method_of(x)), telemetry::span_kind::client);
        const auto of_trace = telemetry::passed_on(x, hop).value_or(telemetry::propagation{});
        const bool trusted = with.trust_forwarded || x.from().local;
        // The last address is the client's, as this server has it: that is what the other one goes by.
        const proxy::relay_route how{.prefix = {},
                                     .target = target,
                                     .host = x.host(),
                                     .peer = trusted ? std::string_view{} : std::string_view{x.from().address},
                                     .forwarded_host = trusted ? last_field(x, "X-Forwarded-Host") : std::string_view{},
                                     .own_hosts = {},
                                     .trusted = trusted,
                                     .keeps_authorization = what == errand::program && has_key_of_ours(with, x),
                                     .sandbox_pages = false,
                                     .request_id = x.request_id(),
                                     .traceparent = of_trace.traceparent,
                                     .tracestate = of_trace.tracestate,
                                     .sampled = telemetry::sampling_of(x),
                                     .may_have_moved = what == errand::program};
        const auto done = co_await with.proxy->forward(x, how, key, 1, to);
        describe_hop(hop, x, id, done);
        if (done || x.begun()) co_return passed::answered;
        if (done.error().code == errc::unavailable) co_return unreachable();
        if (done.error().code != errc::misdirected_request) co_return done.error();
        if (std::chrono::steady_clock::now() >= until) co_return unreachable();
        if (!co_await pause_for(x, moving_pause)) co_return make_error(x.stop().cause());
    }
}

asio::awaitable<result<std::optional<faas::service::lease>>> find_place(services& with, http::exchange& x,
                                                                        std::string id)
{
    using place = std::optional<faas::service::lease>;
    const auto until = std::chrono::steady_clock::now() + with.faas->lease_time() + lease_margin;
    for (;;) {
        result<passed> gone_there{passed::here};
        // Where nothing is shared, a frame as large as that one's is saved.
        if (with.faas->is_shared()) gone_there = co_await pass_to_owner(with, x, id, errand::program);
        if (!gone_there) co_return gone_there.error();
        if (*gone_there == passed::answered) co_return place{};
        if (*gone_there != passed::moved) {
            auto entering = telemetry::child_of(x, "enter deployment");
            auto entered = co_await with.faas->enter(id, x.client(), x.stop());
            if (!entered) entering.fail(name(entered.error().code));
            entering.end();
            if (entered) co_return place{std::move(*entered)};
            if (entered.error().code != errc::index_unavailable) co_return entered.error();
        }
        if (x.from().fleet) co_return make_error(errc::misdirected_request);
        if (std::chrono::steady_clock::now() >= until) co_return unreachable();
        if (!co_await pause_for(x, moving_pause)) co_return make_error(x.stop().cause());
    }
}

}  // namespace sandboxd::api
