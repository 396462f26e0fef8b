// Connections between the servers of a fleet: a listener for the others (cluster.listen), and the way to them. A
// connection first proves who is at its two ends (peer_words.hpp); then it carries HTTP, as of a proxy that is trusted.
//
// Until a caller has proved that he has the key, he costs a descriptor and less than a KB, for `timeout` at most; of
// those there are at most `handshakes`, and a further one takes the place of the oldest. So nobody without the key
// keeps the servers from each other for longer than he keeps calling. A server calls another one with `calls` of them
// at once at most, the others in line behind, so that the fleet does not crowd out itself.
#pragma once

#include "async/event.hpp"
#include "async/stop.hpp"
#include "async/task_group.hpp"
#include "base/errc.hpp"
#include "base/metrics.hpp"
#include "base/seldom.hpp"
#include "http/exchange.hpp"
#include "proxy/peers.hpp"
#include "remote/entry_document.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::cluster {

// "10.1.2.3:8081" or "[::1]:8081". Errors: invalid_request, with what is wrong.
result<boost::asio::ip::tcp::endpoint> parse_peer_address(std::string_view text);
// The same, or an address alone, as "10.1.2.3" and "fd00::12"; then the port is 0. An IPv6 address with a port has
// brackets. Errors: invalid_request, also for one that nobody can reach (0.0.0.0, ::).
result<boost::asio::ip::tcp::endpoint> parse_own_address(std::string_view text);
std::string peer_address_of(const boost::asio::ip::tcp::endpoint& of);

struct peer_link_settings {
    boost::asio::ip::tcp::endpoint listen;    // cluster.listen
    std::string advertise;                    // cluster.advertise, see parse_own_address; empty: see peer_link::address
    std::chrono::milliseconds timeout{1000};  // cluster.peerTimeoutMs: to connect, and to prove who is there
    std::size_t handshakes{64};               // cluster.maxPeerHandshakes
    std::size_t calls{8};                     // cluster.maxPeerCalls: of this server, to each other one
};

class peer_link final : public proxy::peers {
public:
    // Who gets each connection of another server that has proved to be one.
    struct taker {
        std::function<void(http::stream_socket)> take;
        // Whether it would take one now; if not, the caller is told so, and no request of his is lost. Empty: always.
        std::function<bool()> has_place{};
    };

    peer_link(boost::asio::any_io_executor executor, async::task_group& tasks, peer_link_settings how,
              remote::signing_key key, taker to, metrics::registry& metrics);
    peer_link(const peer_link&) = delete;
    peer_link& operator=(const peer_link&) = delete;

    // Errors: unavailable, with the address and the cause; invalid_request (no address to tell the others).
    result<void> listen();
    void start();
    // Takes no more calls: who calls is refused at once. Calls of this server go on.
    void stop_listening();
    // And makes none; open connections stay.
    void close();

    // How others reach this server: cluster.advertise, else the address that it listens on, or if that is any, the
    // first of this machine that is no loopback.
    const std::string& address() const noexcept { return address_; }

    boost::asio::awaitable<result<http::stream_socket>> connect(std::string server, async::stop_source& stop) override;
    std::chrono::milliseconds away_for(const std::string& server) const override;

private:
    using tcp = boost::asio::ip::tcp;
    using clock = std::chrono::steady_clock;

    struct handshake;
    // Calls of this server to another one that is away, or is being called.
    struct called {
        std::size_t under_way{0};
        std::list<async::event*> waiting;
        std::optional<clock::time_point> away_since;
    };
    class place;

    boost::asio::awaitable<result<http::stream_socket>> call(std::string server, const tcp::endpoint& at,
                                                             std::chrono::milliseconds time, async::stop_source& stop);
    // `is_known`: the log has it.
    error refuse(const std::string& server, std::string_view what, const std::string& why, bool is_known = false);
    boost::asio::awaitable<void> accept();
    boost::asio::awaitable<void> prove(std::shared_ptr<handshake> one);
    metrics::counter& came_of_it(std::string_view way, std::string_view what);

    boost::asio::any_io_executor executor_;
    async::task_group& tasks_;
    peer_link_settings settings_;
    remote::signing_key key_;
    taker to_;
    tcp::acceptor acceptor_;
    std::string address_;
    async::event closing_;  // takes no more
    bool makes_no_more_{false};
    std::list<std::shared_ptr<handshake>> proving_;  // the oldest first
    std::map<std::string, called, std::less<>> calls_;
    seldom warns_;  // of callers without the key
    metrics::registry& metrics_;
};

}  // namespace sandboxd::cluster
