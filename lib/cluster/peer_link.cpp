#include "cluster/peer_link.hpp"

#include "base/log.hpp"
#include "cluster/peer_words.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

namespace sandboxd::cluster {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr auto accept_pause = std::chrono::milliseconds{200};  // after a failure, as of a lack of descriptors
constexpr int peer_backlog = 1024;  // the kernel takes the smaller of this and net.core.somaxconn
// A machine that dies says nothing: after 25 s its connections end, which wait for its answer. What was sent is not
// sent again, so a shorter time would save nothing, and break off what a network holds up for a moment.
constexpr int silent_secs = 10;
constexpr int probe_secs = 5;
constexpr int probes = 3;
// Servers that were away when they were called last: they come and go with their addresses.
constexpr std::size_t most_remembered = 1024;
constexpr auto as_peer_pair = asio::as_tuple(asio::use_awaitable);

constexpr const char* links_name = "sandboxd_cluster_peer_connections_total";
constexpr const char* links_help =
    "Connections of other servers of the fleet, and to them, by what came of them (cluster.listen).";

// Ends a socket when it takes too long, or when its owner must end. Lives as long as what uses the socket.
class peer_deadline {
public:
    peer_deadline(tcp::socket& of, std::chrono::milliseconds time) : timer_{of.get_executor()}
    {
        timer_.expires_after(time);
        timer_.async_wait([this, &of, alive = std::weak_ptr<bool>{alive_}](error_code cancelled) {
            if (cancelled || alive.expired()) return;
            is_over_ = true;
            error_code ignored;
            of.close(ignored);
        });
    }
    bool is_over() const noexcept { return is_over_; }

private:
    asio::steady_timer timer_;
    std::shared_ptr<bool> alive_{std::make_shared<bool>(true)};
    bool is_over_{false};
};

void prepare_peer(tcp::socket& socket)
{
    error_code ignored;  // of a socket that is gone
    ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
    socket.set_option(tcp::no_delay{true}, ignored);
    socket.set_option(asio::socket_base::keep_alive{true}, ignored);
    const int fd = socket.native_handle();
    ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &silent_secs, sizeof silent_secs);
    ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &probe_secs, sizeof probe_secs);
    ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    socket.non_blocking(true, ignored);
}

// One line, and nothing behind it: each side waits for the other's before it goes on. Nullopt: it does not come.
asio::awaitable<std::optional<std::string>> receive_line(tcp::socket& socket)
{
    std::string line;
    std::array<char, longest_peer_line> piece{};
    while (line.size() < longest_peer_line) {
        const auto [failed, got] =
            co_await socket.async_read_some(asio::buffer(piece.data(), longest_peer_line - line.size()), as_peer_pair);
        if (failed || got == 0) co_return std::nullopt;
        line.append(piece.data(), got);
        const auto end = line.find('\n');
        if (end == line.size() - 1) co_return line;
        if (end != std::string::npos) co_return std::nullopt;
    }
    co_return std::nullopt;
}

asio::awaitable<bool> send_line(tcp::socket& socket, std::string line)
{
    const auto [failed, sent] = co_await asio::async_write(socket, asio::buffer(line), as_peer_pair);
    co_return !failed && sent == line.size();
}

// The first address of this machine that is no loopback and not of one link alone; IPv4 before IPv6.
std::optional<asio::ip::address> own_address()
{
    ifaddrs* all = nullptr;
    if (::getifaddrs(&all) != 0) return std::nullopt;
    std::optional<asio::ip::address> found;
    for (const auto* one = all; one; one = one->ifa_next) {
        if (!one->ifa_addr) continue;
        if (one->ifa_addr->sa_family == AF_INET) {
            const auto* in = reinterpret_cast<const sockaddr_in*>(one->ifa_addr);
            const asio::ip::address_v4 address{ntohl(in->sin_addr.s_addr)};
            if (address.is_loopback()) continue;
            found = address;
            break;
        }
        if (one->ifa_addr->sa_family == AF_INET6 && !found) {
            const auto* in = reinterpret_cast<const sockaddr_in6*>(one->ifa_addr);
            asio::ip::address_v6::bytes_type bytes{};
            std::copy_n(in->sin6_addr.s6_addr, bytes.size(), bytes.begin());
            const asio::ip::address_v6 address{bytes};
            if (!address.is_loopback() && !address.is_link_local()) found = address;
        }
    }
    ::freeifaddrs(all);
    return found;
}

}  // namespace

result<tcp::endpoint> parse_peer_address(std::string_view text)
{
    const auto wrong = [&] {
        return invalid_request("'" + std::string{text} + "' is no ADDRESS:PORT, such as 10.1.2.3:8081 or [::1]:8081");
    };
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) return wrong();
    auto host = text.substr(0, colon);
    const auto digits = text.substr(colon + 1);
    std::uint16_t port = 0;
    const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (ec != std::errc{} || digits.empty() || end != digits.data() + digits.size()) return wrong();
    if (host.starts_with('[') && host.ends_with(']'))
        host = host.substr(1, host.size() - 2);
    else if (host.find(':') != std::string_view::npos)
        return wrong();
    if (host.empty()) return tcp::endpoint{tcp::v6(), port};
    error_code no_address;
    const auto address = asio::ip::make_address(std::string{host}, no_address);
    if (no_address) return wrong();
    return tcp::endpoint{address, port};
}

result<tcp::endpoint> parse_own_address(std::string_view text)
{
    error_code no_address;
    const auto alone = asio::ip::make_address(std::string{text}, no_address);
    auto found = no_address ? parse_peer_address(text) : result<tcp::endpoint>{tcp::endpoint{alone, 0}};
    if (!found)
        return invalid_request("'" + std::string{text} +
                               "' is no ADDRESS or ADDRESS:PORT, such as 10.1.2.3, 10.1.2.3:8081, fd00::12 or "
                               "[fd00::12]:8081");
    if (found->address().is_unspecified())
        return invalid_request("'" + std::string{text} +
                               "' is no address that others can reach; name this machine's own");
    return found;
}

std::string peer_address_of(const tcp::endpoint& of)
{
    const auto host = of.address().to_string();
    return (of.address().is_v6() ? "[" + host + "]" : host) + ":" + std::to_string(of.port());
}

struct peer_link::handshake {
    explicit handshake(tcp::socket accepted) : socket{std::move(accepted)} {}
    tcp::socket socket;
};

peer_link::peer_link(asio::any_io_executor executor, async::task_group& tasks, peer_link_settings how,
                     remote::signing_key key, taker to, metrics::registry& metrics)
    : executor_{executor},
      tasks_{tasks},
      settings_{std::move(how)},
      key_{std::move(key)},
      to_{std::move(to)},
      acceptor_{executor},
      closing_{executor},
      metrics_{metrics}
{
    metrics.add_gauge("sandboxd_cluster_peer_handshakes", "Connections that have not proved yet to be of the fleet.",
                      [this] { return static_cast<double>(proving_.size()); });
}

metrics::counter& peer_link::came_of_it(std::string_view way, std::string_view what)
{
    return metrics_.add_counter(links_name, links_help,
                                "way=\"" + std::string{way} + "\",result=\"" + std::string{what} + "\"");
}

result<void> peer_link::listen()
{
    auto at = settings_.listen;
    const auto open = [&]() -> error_code {
        error_code ec;
        acceptor_.open(at.protocol(), ec);
        if (ec) return ec;
        ::fcntl(acceptor_.native_handle(), F_SETFD, FD_CLOEXEC);
        acceptor_.set_option(tcp::acceptor::reuse_address{true}, ec);
        if (!ec && at.address().is_v6() && at.address().is_unspecified())
            acceptor_.set_option(asio::ip::v6_only{false}, ec);
        if (!ec) acceptor_.bind(at, ec);
        if (!ec) acceptor_.listen(peer_backlog, ec);
        return ec;
    };
    auto failed = open();
    // A machine without IPv6.
    if (failed == asio::error::address_family_not_supported && at.address().is_unspecified()) {
        at = {tcp::v4(), at.port()};
        failed = open();
    }
    if (failed)
        return error{errc::unavailable,
                     "cluster.listen: cannot listen on " + peer_address_of(at) + ": " + failed.message()};
    at.port(acceptor_.local_endpoint().port());
    if (!settings_.advertise.empty()) {
        auto told = parse_own_address(settings_.advertise);
        if (!told) return error{told.error().code, "cluster.advertise: " + told.error().message};
        if (told->port() == 0) told->port(at.port());
        address_ = peer_address_of(*told);
        return {};
    }
    if (at.address().is_unspecified()) {
        const auto own = own_address();
        if (!own)
            return error{errc::invalid_request,
                         "cluster.advertise: this machine has no address but loopback; set the one by which the others "
                         "reach it"};
        at.address(*own);
    }
    address_ = peer_address_of(at);
    return {};
}

void peer_link::start() { tasks_.spawn("accept other servers", accept()); }

void peer_link::close()
{
    stop_listening();
    makes_no_more_ = true;
}

void peer_link::stop_listening()
{
    closing_.set();
    error_code ignored;
    acceptor_.close(ignored);
    for (const auto& one : proving_) one->socket.close(ignored);
}

asio::awaitable<void> peer_link::accept()
{
    while (!closing_.is_set()) {
        auto [failed, socket] = co_await acceptor_.async_accept(as_peer_pair);
        if (closing_.is_set()) break;
        if (failed) {
            log::warning("a connection of another server cannot be accepted (cluster.listen)",
                         {{"cause", failed.message()}});
            if (co_await closing_.wait_for(accept_pause)) break;
            continue;
        }
        prepare_peer(socket);
        if (proving_.size() >= settings_.handshakes) {
            came_of_it("in", "crowded_out").add();
            error_code ignored;
            proving_.front()->socket.close(ignored);
            proving_.pop_front();
        }
        const auto one = std::make_shared<handshake>(std::move(socket));
        proving_.push_back(one);
        try {
            tasks_.spawn("prove who another server is", prove(one));
        } catch (...) {
            proving_.remove(one);
            throw;
        }
    }
}

asio::awaitable<void> peer_link::prove(std::shared_ptr<handshake> one)
{
    struct at_end {
        std::list<std::shared_ptr<handshake>>& all;
        const std::shared_ptr<handshake>& one;
        ~at_end() { all.remove(one); }
    };
    bool is_proved = false;
    bool is_full = false;
    {
        const at_end left{proving_, one};
        peer_deadline until{one->socket, settings_.timeout};
        const auto nonce = new_peer_nonce();
        if (co_await send_line(one->socket, peer_greeting(nonce))) {
            const auto line = co_await receive_line(one->socket);
            auto caller = line ? read_peer_request(key_, nonce, address_, *line) : std::nullopt;
            if (caller) {
                const peer_nonces both{.listener = nonce, .caller = std::move(*caller)};
                is_full = to_.has_place && !to_.has_place();
                is_proved = co_await send_line(
                    one->socket, is_full ? peer_full_answer(key_, both, address_) : peer_answer(key_, both, address_));
            } else if (line && warns_.again()) {
                log::warning(
                    "a caller of cluster.listen does not have the fleet's key, or wants another address; all servers "
                    "need the same store.signingKeyFile, and each the cluster.advertise by which it is reached");
            }
        }
        is_proved = is_proved && !until.is_over() && !closing_.is_set();
    }
    came_of_it("in", is_full ? "full" : is_proved ? "done" : "refused").add();
    if (is_proved && !is_full) to_.take(http::stream_socket{std::move(one->socket)});
}

// A turn to call a server. Whoever gives it up hands it to the next in line.
class peer_link::place {
public:
    place(peer_link& of, std::string server) : of_{of}, server_{std::move(server)} {}
    place(const place&) = delete;
    place& operator=(const place&) = delete;
    ~place()
    {
        const auto found = of_.calls_.find(server_);
        if (found == of_.calls_.end()) return;
        auto& its = found->second;
        if (has_) --its.under_way;
        if (!its.waiting.empty() && its.under_way < of_.settings_.calls) its.waiting.front()->set();
        if (its.under_way == 0 && its.waiting.empty() && !its.away_since) of_.calls_.erase(found);
    }

    // False: it was not its turn in that time.
    asio::awaitable<bool> wait(std::chrono::milliseconds time, async::stop_source& stop)
    {
        if (of_.calls_.size() >= most_remembered)
            std::erase_if(of_.calls_,
                          [](const auto& one) { return one.second.under_way == 0 && one.second.waiting.empty(); });
        auto& its = of_.calls_[server_];
        const auto until = clock::now() + time;
        bool is_next = its.waiting.empty();
        while (!is_next || its.under_way >= of_.settings_.calls) {
            async::event woken{of_.executor_};
            // Who was woken in vain keeps his place.
            const auto seat = its.waiting.insert(is_next ? its.waiting.begin() : its.waiting.end(), &woken);
            {
                // However the wait ends, nobody wakes who is gone.
                struct leave {
                    ~leave() { line.erase(at); }
                    std::list<async::event*>& line;
                    std::list<async::event*>::iterator at;
                } const at_end{its.waiting, seat};
                const async::stop_callback on_stop{stop, [&woken](errc) { woken.set(); }};
                co_await woken.wait_for(std::max(until - clock::now(), clock::duration::zero()));
            }
            if (stop.requested() || !woken.is_set()) co_return false;
            is_next = true;
        }
        has_ = true;
        ++its.under_way;
        if (!its.waiting.empty() && its.under_way < of_.settings_.calls) its.waiting.front()->set();
        co_return true;
    }

private:
    peer_link& of_;
    std::string server_;
    bool has_{false};
};

error peer_link::refuse(const std::string& server, std::string_view what, const std::string& why, bool is_known)
{
    came_of_it("out", what).add();
    if (!is_known) log::info("another server cannot be reached", {{"server", server}, {"reason", why}});
    return {errc::unavailable, "the server that runs it cannot be reached"};
}

std::chrono::milliseconds peer_link::away_for(const std::string& server) const
{
    const auto found = calls_.find(server);
    if (found == calls_.end() || !found->second.away_since) return std::chrono::milliseconds{0};
    return std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - *found->second.away_since);
}

asio::awaitable<result<http::stream_socket>> peer_link::connect(std::string server, async::stop_source& stop)
{
    if (makes_no_more_) co_return make_error(errc::draining);
    const auto at = parse_peer_address(server);
    if (!at) co_return refuse(server, "failed", at.error().message);
    const auto until = clock::now() + settings_.timeout;
    place mine{*this, server};
    const bool is_mine = co_await mine.wait(settings_.timeout, stop);
    if (stop.requested()) co_return make_error(stop.cause());
    if (makes_no_more_) co_return make_error(errc::draining);
    if (!is_mine) {
        came_of_it("out", "crowded_out").add();
        co_return error{errc::queue_full,
                        "too many requests wait for a connection to the server that runs it (cluster.maxPeerCalls)"};
    }
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - clock::now());
    co_return co_await call(std::move(server), *at, left, stop);
}

asio::awaitable<result<http::stream_socket>> peer_link::call(std::string server, const tcp::endpoint& at,
                                                             std::chrono::milliseconds time, async::stop_source& stop)
{
    const auto began = clock::now();
    tcp::socket socket{executor_};
    {
        peer_deadline until{socket, time};
        const async::stop_callback on_stop{stop, [&socket](errc) {
                                               error_code ignored;
                                               socket.close(ignored);
                                           }};
        const auto [failed] = co_await socket.async_connect(at, as_peer_pair);
        if (stop.requested()) co_return make_error(stop.cause());
        // Each request that waits for it tries again and again.
        auto& away_since = calls_[server].away_since;
        const bool is_known = away_since.has_value();
        if (failed) {
            // Who waited for his turn may have had no time left to connect.
            const bool had_time = !until.is_over() || 2 * time >= settings_.timeout;
            if (!is_known && had_time) away_since = began;
            co_return refuse(server, "failed",
                             until.is_over() ? "no connection in time (cluster.peerTimeoutMs)" : failed.message(),
                             is_known || !had_time);
        }
        prepare_peer(socket);
        const auto greeting = co_await receive_line(socket);
        const auto nonce = greeting ? read_peer_greeting(*greeting) : std::nullopt;
        if (stop.requested()) co_return make_error(stop.cause());
        // Who says nothing may have too much to do. Who says something else is somebody else.
        if (!greeting) away_since.reset();
        if (greeting && !nonce && !is_known) away_since = began;
        if (!nonce) co_return refuse(server, "failed", "what answers there is no server of a fleet", is_known);
        const peer_nonces both{.listener = *nonce, .caller = new_peer_nonce()};
        const bool is_sent = co_await send_line(socket, peer_request(key_, both, server));
        const auto proof = is_sent ? co_await receive_line(socket) : std::nullopt;
        if (stop.requested()) co_return make_error(stop.cause());
        if (proof && is_peer_full_answer(key_, both, server, *proof)) {
            away_since.reset();
            came_of_it("out", "full").add();
            co_return error{errc::queue_full,
                            "the server that runs it has as many connections as it may, all of them busy "
                            "(http.maxConnections); send the request again in a moment"};
        }
        if (proof && !is_peer_answer(key_, both, server, *proof)) {
            if (!is_known) away_since = began;
            co_return refuse(server, "refused", "what answers there has another store.signingKeyFile", is_known);
        }
        away_since.reset();
        if (!proof)
            co_return refuse(server, "failed",
                             "it refuses this server; compare store.signingKeyFile of both, and its cluster.advertise");
        if (until.is_over()) co_return refuse(server, "failed", "no proof in time (cluster.peerTimeoutMs)");
    }
    came_of_it("out", "done").add();
    co_return http::stream_socket{std::move(socket)};
}

}  // namespace sandboxd::cluster
