// Passes requests to a program that speaks HTTP/1.1 over a stream socket (the upstream), and its answers back. Both
// directions stream at the pace of the slower side. Connections to programs are kept and reused.
//
//     exchange ── head, body, framed anew ──▶ upstream         a request that has been sent is never sent again
//     exchange ◀── head, body, framed anew ── upstream
//     exchange ◀────────── tunnel ──────────▶ upstream         once both have agreed on an upgrade (101)
//
// One task checks all deadlines periodically, as in the server.
#pragma once

#include "async/event.hpp"
#include "async/stop.hpp"
#include "async/task_group.hpp"
#include "base/metrics.hpp"
#include "http/exchange.hpp"
#include "proxy/relay.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace sandboxd::proxy {

struct forwarder_settings {
    std::chrono::milliseconds header_timeout{60'000};  // from the request's last byte to the head of the answer
    std::chrono::milliseconds idle_timeout{120'000};   // between two pieces of a body, either way
    std::chrono::milliseconds tunnel_idle_timeout{600'000};
    // As with answers: a tunnel ends if its client reads nothing for this time, or keeps it waiting for longer than
    // this time plus what it read at this rate.
    std::chrono::milliseconds write_timeout{30'000};
    std::uint64_t write_bytes_per_sec{4096};
    std::size_t tunnels{256};                    // at once, including upgrades that the program has not accepted yet
    std::size_t tunnels_a_program{64};           // of them, to one program
    std::size_t tunnel_buffer_bytes{64 * 1024};  // SO_SNDBUF and SO_RCVBUF of both sockets of a tunnel
    bool early_hints{false};                     // 103 and 102 are passed on
    std::size_t idle_connections{128};           // kept for one program
    std::chrono::milliseconds idle_connection_time{4'000};
    std::uint64_t body_bytes{100u << 20};  // of a request; 0: any number
    std::size_t header_bytes{32 * 1024};   // of an answer's head
};

// Makes connections to the program.
class dialer {
public:
    virtual ~dialer() = default;
    virtual boost::asio::awaitable<result<http::stream_socket>> connect(async::stop_source& stop) = 0;
    // Requested when the program has ended. Lives as long as the dialer.
    virtual async::stop_source& ended() = 0;
};

class forwarder {
public:
    using clock = std::chrono::steady_clock;

    forwarder(boost::asio::any_io_executor executor, async::task_group& tasks, forwarder_settings how,
              metrics::registry& metrics);
    ~forwarder();

    void start();
    // Ends the task that checks deadlines; no request may be active.
    void close();

    // Passes a request to program `id`. Connections are reused within one `generation`; a higher one closes those of
    // lower ones. Errors are returned only before an answer has begun: upstream_failed (no connection, no answer, not
    // valid HTTP), upstream_timeout, payload_too_large, request_timeout, invalid_request, queue_full (the limit of
    // tunnels is reached), disconnected, the cause of the exchange's `stop`, errors of the dialer; where the deployment
    // may have moved, and has, misdirected_request: the same request can be forwarded again, or index_unavailable: it
    // cannot, as its body has gone. Later failures cut the answer.
    boost::asio::awaitable<result<void>> forward(http::exchange& x, relay_route how, std::string id,
                                                 std::uint64_t generation, dialer& to);

    std::size_t idle() const noexcept { return idle_; }
    // Whether a connection to it waits, so that `forward` does not dial, unless the connection ends at that moment.
    bool has_idle(const std::string& id, std::uint64_t generation) const;

private:
    struct upstream;
    struct call;
    struct tunnel_end;
    struct kept {
        std::uint64_t generation{0};
        std::vector<std::unique_ptr<upstream>> connections;  // the most recently used at the end
    };

    std::unique_ptr<upstream> take(const std::string& id, std::uint64_t generation);
    void give_back(const std::string& id, std::uint64_t generation, std::unique_ptr<upstream> one,
                   std::optional<std::chrono::seconds> hint);
    boost::asio::awaitable<result<void>> exchange_with(http::exchange& x, const relay_route& how, const std::string& id,
                                                       std::uint64_t generation, dialer& to, call& c);
    boost::asio::awaitable<result<void>> send_request(http::exchange& x, const relay_route& how, const std::string& id,
                                                      std::uint64_t generation, dialer& to, call& c);
    boost::asio::awaitable<result<void>> read_head(http::exchange& x, const relay_route& how, call& c);
    boost::asio::awaitable<void> relay_body(http::exchange& x, call& c);
    boost::asio::awaitable<void> pump(http::exchange& x, call& c);
    boost::asio::awaitable<void> end_pump(http::exchange& x, call& c);
    boost::asio::awaitable<result<void>> tunnel(http::exchange& x, dialer& to, call& c);
    // One direction of a tunnel.
    struct way {
        http::stream_socket& from;
        http::stream_socket& to;
        std::string first;            // bytes that were already read
        clock::time_point& deadline;  // of the write under way
        std::chrono::milliseconds patience;
        http::exchange* counted;  // counts the bytes; may be null
    };
    boost::asio::awaitable<bool> send_all(call& c, way& w, std::string_view bytes, std::uint64_t& sent,
                                          clock::duration& waited);
    boost::asio::awaitable<void> one_way(call& c, way w);
    boost::asio::awaitable<void> other_way(call& c, way w);
    boost::asio::awaitable<bool> receive(call& c, clock::time_point until);
    boost::asio::awaitable<bool> send(call& c, std::string_view bytes, std::size_t& sent);
    error failure(const http::exchange& x, const call& c, std::string_view otherwise) const;
    boost::asio::awaitable<void> reap();

    boost::asio::any_io_executor executor_;
    async::task_group& tasks_;
    forwarder_settings settings_;
    std::map<std::string, kept> pool_;
    std::size_t idle_{0};
    std::size_t tunnels_{0};
    std::size_t upgrades_{0};  // requested upgrades and the resulting tunnels
    std::list<call*> calls_;
    async::event closing_;
    std::array<metrics::counter*, 6> answers_{};  // by the first digit of the status
    metrics::counter& failures_;
    metrics::counter& cut_;
    metrics::counter& from_pool_;
    metrics::counter& dialled_;
    metrics::counter& tunnels_refused_;
    metrics::counter& tunnels_slow_;
};

}  // namespace sandboxd::proxy
