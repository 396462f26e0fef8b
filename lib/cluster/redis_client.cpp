#include "cluster/redis_client.hpp"

#include "base/counted.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "cluster/backoff.hpp"
#include "process/host_lookup.hpp"

#include <boost/asio/error.hpp>

#include <algorithm>
#include <array>
#include <exception>
#include <string_view>
#include <utility>

namespace sandboxd::cluster {

namespace asio = boost::asio;
using boost::system::error_code;
using kind = reply::kind;
using transport = redis_url::transport;

namespace {

// The resolver has times of its own (resolv.conf(5)); this ends one that hangs, and nobody waits for it.
constexpr auto lookup_patience = std::chrono::seconds{10};
// Further addresses of a name are not tried: one name means one server, or one that serves now.
constexpr std::size_t most_addresses = 16;

constexpr const char* calls_name = "sandboxd_cluster_redis_calls_total";
constexpr const char* calls_help = "Calls of Redis (cluster.redis), by what came of them.";
constexpr const char* connects_name = "sandboxd_cluster_redis_connects_total";
constexpr const char* connects_help = "Attempts to connect to Redis (cluster.redis), by what came of them.";

// What a server says that cannot serve as it is now: another one may, or this one after a while.
bool cannot_serve(const reply& said)
{
    constexpr std::array<std::string_view, 4> words{"LOADING ", "MASTERDOWN ", "READONLY ", "NOAUTH "};
    return said.is == kind::failure &&
           std::ranges::any_of(words, [&said](std::string_view word) { return said.text.starts_with(word); });
}

error unasked() { return {errc::upstream_failed, "Redis sends what nobody has asked for"}; }

error refusal(const reply& said) { return {errc::upstream_failed, "Redis answers " + in_quotes(said.text)}; }

}  // namespace

redis_client::redis_client(asio::any_io_executor executor, async::task_group& tasks, redis_client_settings how,
                           std::shared_ptr<asio::ssl::context> tls, metrics::registry& metrics)
    : executor_{std::move(executor)},
      tasks_{tasks},
      settings_{std::move(how)},
      tls_{std::move(tls)},
      closing_{executor_},
      chance_{std::random_device{}()},
      tried_{executor_},
      connected_{metrics.add_counter(connects_name, connects_help, "result=\"done\"")},
      not_connected_{metrics.add_counter(connects_name, connects_help, "result=\"failed\"")},
      seconds_{metrics.add_histogram("sandboxd_cluster_redis_call_seconds",
                                     "Time of calls of Redis (cluster.redis) that were answered.")},
      metrics_{metrics}
{
    metrics.add_gauge("sandboxd_cluster_redis_connected", "1 while there is a connection to Redis (cluster.redis).",
                      [this] { return session_ ? 1.0 : 0.0; });
    metrics.add_gauge("sandboxd_cluster_redis_calls_running", "Calls of Redis that wait for their answer.",
                      [this] { return session_ ? static_cast<double>(session_->waiting.size()) : 0.0; });
}

void redis_client::start()
{
    tasks_.spawn("keep the connection to Redis", keep());
    has_started_ = true;
}

void redis_client::close()
{
    if (!stop_.request(errc::draining)) return;
    closing_.set();
    tried_.set();
    if (const auto one = connecting_.lock()) one->close();
    if (session_) session_->on->close();
}

std::string redis_client::trouble() const
{
    return !why_away_.empty()
               ? "cluster.redis: Redis cannot be used; compiles do not wait for other servers, and requests for shared "
                 "sandboxes and deployments may get 503; the log says why"
               : std::string{};
}

void redis_client::is_away(const error& why)
{
    if (why_away_ != why.message)
        log::warning(
            "Redis cannot be used (cluster.redis); compiles do not wait for other servers, and requests for shared "
            "sandboxes and deployments may get 503",
            {{"url", settings_.where.text()}, {"reason", why.message}});
    why_away_ = why.message;
}

void redis_client::is_back()
{
    log::info("connected to Redis", {{"url", settings_.where.text()}});
    why_away_.clear();
}

asio::awaitable<void> redis_client::keep()
{
    unsigned failures = 0;
    while (!closing_.is_set()) {
        const auto began = clock::now();
        error why;
        try {
            why = co_await one_connection();
        } catch (const std::exception& thrown) {
            why = {errc::internal, thrown.what()};
        }
        tried_.set();
        if (closing_.is_set()) break;
        is_away(why);
        // One that takes connections and loses them at once is no better than one that takes none.
        failures = has_connected_ && clock::now() - began >= settings_.reconnect ? 1 : failures + 1;
        const auto chance = std::uniform_real_distribution<double>{0, 1}(chance_);
        if (co_await closing_.wait_for(backoff(failures, settings_.reconnect, chance))) break;
    }
}

// From the attempt to its end. Returns why it ended.
asio::awaitable<error> redis_client::one_connection()
{
    has_connected_ = false;
    const auto opened = co_await connect();
    if (!opened) {
        not_connected_.add();
        co_return opened.error();
    }
    const auto& one = *opened;
    // However it ends, nobody waits for it any longer.
    struct at_end {
        redis_client& of;
        session& its;
        error why{errc::internal, "the connection ended"};
        ~at_end()
        {
            of.session_ = nullptr;
            of.lose(its, why);
        }
    } told{*this, *one};
    if (closing_.is_set()) co_return make_error(errc::draining);
    connected_.add();
    has_connected_ = true;
    is_back();
    session_ = one;
    tried_.set();
    told.why = co_await serve(*one);
    co_return told.why;
}

// One address after the other, each with its time: nobody waits for it.
asio::awaitable<result<std::shared_ptr<redis_client::session>>> redis_client::connect()
{
    const auto& where = settings_.where;
    std::vector<asio::ip::address> addresses{{}};
    if (where.by != transport::local) {
        auto found = co_await process::look_up(where.host, lookup_patience, stop_);
        if (!found) co_return found.error();
        addresses = std::move(*found);
        addresses.resize(std::min(addresses.size(), most_addresses));
    }
    error why{errc::unavailable, "the host of cluster.redis has no address"};
    for (const auto& address : addresses) {
        if (closing_.is_set()) co_return make_error(errc::draining);
        auto on = std::make_shared<remote::connection>(executor_, where.by == transport::tls ? tls_ : nullptr);
        connecting_ = on;
        on->end_at(clock::now() + settings_.timeout);
        result<void> opened;
        if (where.by == transport::local) {
            opened = co_await on->open_socket(where.path);
        } else {
            const asio::ip::tcp::endpoint to{address, where.port};
            opened = co_await on->open(to, where.host);
        }
        if (opened && on->timed_out())
            opened = error{errc::upstream_timeout, "no connection in time (cluster.redisTimeoutMs)"};
        if (!opened) {
            why = on->timed_out() ? error{errc::upstream_timeout, "no connection in time (cluster.redisTimeoutMs)"}
                                  : opened.error();
            continue;
        }
        auto made = std::make_shared<session>(on, settings_.message_bytes);
        const auto known = co_await introduce(*made);
        if (known) {
            on->no_end();
            co_return made;
        }
        on->close();
        why = known.error();
    }
    co_return why;
}

// PING last: it tells whether this is a Redis, and whether it lets us in.
asio::awaitable<result<void>> redis_client::introduce(session& to)
{
    const auto& secret = settings_.secret;
    std::vector<std::vector<std::string>> words;
    if (!secret.password.empty()) {
        words.push_back({"AUTH"});
        if (!secret.user.empty()) words.back().push_back(secret.user);
        words.back().push_back(secret.password);
    }
    if (settings_.where.database != 0) words.push_back({"SELECT", std::to_string(settings_.where.database)});
    words.push_back({"PING"});
    for (auto& one : words) {
        const auto said = co_await ask(to, std::move(one));
        if (!said) co_return said.error();
        if (said->is == kind::failure) co_return refusal(*said);
        if (said->is != kind::status) co_return error{errc::upstream_failed, "what answers there is not Redis"};
    }
    if (!to.answers.is_empty()) co_return unasked();
    co_return result<void>{};
}

// Before anybody else uses the connection.
asio::awaitable<result<reply>> redis_client::ask(session& to, std::vector<std::string> words)
{
    const auto bytes = request_of(words, settings_.message_bytes);
    if (!bytes) co_return bytes.error();
    to.on->end_at(clock::now() + settings_.timeout);
    if (const auto ec = co_await to.on->send(*bytes); ec) co_return lost(*to.on, ec);
    for (;;) {
        auto said = to.answers.next();
        if (!said) co_return said.error();
        if (*said) co_return std::move(**said);
        const auto ec = co_await to.on->receive();
        if (ec && to.on->received.empty()) co_return lost(*to.on, ec);
        to.answers.feed(std::exchange(to.on->received, {}));
    }
}

// Until the connection ends. Returns why.
asio::awaitable<error> redis_client::serve(session& one)
{
    for (;;) {
        const auto ec = co_await one.on->receive();
        if (ec && one.on->received.empty()) co_return lost(*one.on, ec);
        if (one.waiting.empty()) co_return unasked();
        one.answers.feed(one.on->received);
        one.on->received.clear();
        const auto goes_on = hand_out(one);
        if (!goes_on) co_return goes_on.error();
    }
}

// What is whole, to those who have asked for it.
result<bool> redis_client::hand_out(session& one)
{
    for (;;) {
        auto said = one.answers.next();
        if (!said) return said.error();
        if (!*said && one.waiting.empty() && !one.answers.is_empty()) return unasked();
        if (!*said) return true;
        if (one.waiting.empty()) return unasked();
        const auto next = std::move(one.waiting.front());
        one.waiting.pop_front();
        watch(one);
        const bool ends = cannot_serve(**said);
        auto failure = (*said)->is == kind::failure ? refusal(**said) : error{};
        next->said = (*said)->is == kind::failure ? result<reply>{failure} : result<reply>{std::move(**said)};
        next->answered.set();
        if (ends) return failure;
    }
}

// The first in line has the least time.
void redis_client::watch(session& one)
{
    if (one.waiting.empty())
        one.on->no_end();
    else
        one.on->end_at(one.waiting.front()->until);
}

void redis_client::lose(session& one, const error& why)
{
    one.on->close();
    bool is_first = true;
    for (const auto& each : std::exchange(one.waiting, {})) {
        const bool has_no_time = is_first && why.code == errc::upstream_timeout;
        is_first = false;
        if (stop_.requested())
            each->said = make_error(errc::draining);
        else
            each->said = has_no_time ? why : unavailable("the connection to Redis was lost: " + why.message);
        each->answered.set();
    }
}

error redis_client::lost(const remote::connection& on, const error_code& ec) const
{
    if (stop_.requested()) return make_error(errc::draining);
    if (on.timed_out()) return {errc::upstream_timeout, "no answer in time (cluster.redisTimeoutMs)"};
    return {errc::upstream_failed, "the connection ended: " + ec.message()};
}

asio::awaitable<void> redis_client::write(std::shared_ptr<session> to)
{
    struct at_end {
        session& of;
        ~at_end() { of.writing = false; }
    } const told{*to};
    while (!to->unsent.empty()) {
        const auto bytes = std::exchange(to->unsent, {});
        // Who reads sees it, too.
        if (const auto ec = co_await to->on->send(bytes); ec) {
            to->on->close();
            co_return;
        }
    }
}

result<reply> redis_client::counted(result<reply> said, clock::time_point began)
{
    std::string result{"done"};
    if (!said && said.error().code == errc::upstream_failed && refused_ != said.error().message) {
        refused_ = said.error().message;
        log::warning(
            "Redis refuses a call (cluster.redis); if the reason is NOPERM, give its user the rights in "
            "lib/cluster/README.md",
            {{"reason", refused_}});
    }
    if (!said) result = said.error().code == errc::upstream_failed ? "refused" : name(said.error().code);
    metrics_.add_counter(calls_name, calls_help, "result=\"" + result + "\"").add();
    if (said) seconds_.observe(std::chrono::duration<double>(clock::now() - began).count());
    return said;
}

asio::awaitable<result<reply>> redis_client::call(std::vector<std::string> words, bool renews)
{
    if (has_started_ && !tried_.is_set() && early_ < settings_.calls) {
        const sandboxd::counted waits{early_};
        co_await tried_.wait_for(settings_.timeout);
    }
    const auto began = clock::now();
    if (stop_.requested()) co_return counted(make_error(errc::draining), began);
    // A connection whose end nobody has read yet is none.
    if (!session_ || !session_->on->is_open())
        co_return counted(unavailable("there is no connection to Redis (cluster.redis)"), began);
    // Strangers' questions take no place from what this server holds.
    if (session_->waiting.size() >= (renews ? 2 : 1) * settings_.calls)
        co_return counted(error{errc::queue_full, "too many calls of Redis are under way (cluster.maxRedisCalls)"},
                          began);
    const auto bytes = request_of(words, settings_.message_bytes);
    if (!bytes) co_return counted(bytes.error(), began);
    const auto mine = std::make_shared<caller>(executor_, began + settings_.timeout);
    {
        const auto on = session_;
        on->unsent += *bytes;
        on->waiting.push_back(mine);
        if (on->waiting.size() == 1) watch(*on);
        if (!on->writing) {
            // It may end before `spawn` returns, or never begin.
            on->writing = true;
            try {
                tasks_.spawn("write to Redis", write(on));
            } catch (...) {
                on->writing = false;
                on->on->close();
                throw;
            }
        }
    }
    co_await mine->answered.wait();
    co_return counted(std::move(mine->said), began);
}

}  // namespace sandboxd::cluster
