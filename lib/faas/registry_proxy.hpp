// The only way out of an install's jail: a proxy that connects only to the registry.
//
// The jail has its own network. sandboxd-init listens inside and passes each connection out. The gate reads it as a
// request to an HTTP proxy (RFC 9110 3.7, 9.3.6): CONNECT to a registry with TLS, which the client handles, or GET
// and HEAD for one without. Everything else that a package may name is refused and recorded: other hosts, this
// server, cloud metadata addresses. A connection carries one request, so bytes after it are never read as another
// one.
#pragma once

#include "async/event.hpp"
#include "async/stop.hpp"
#include "async/task_scope.hpp"
#include "base/errc.hpp"
#include "base/metrics.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::faas {

// Scheme, host and port of a URL (RFC 6454).
struct origin {
    bool tls{true};
    std::string host;  // lower case; an IPv6 address without brackets
    std::uint16_t port{443};

    bool operator==(const origin&) const = default;
    std::string text() const;  // "https://host:port"
};

struct registry_url {
    origin at;
    std::string user_info{};  // "user:password", unchanged
};

// Errors: invalid_request, unless it is an http: or https: URL of a plain host.
result<registry_url> parse_registry_url(std::string_view url);

struct registry_proxy_settings {
    std::vector<origin> allowed;
    std::string proxy;  // the proxy to them: http://[user:password@]host:port; empty: direct connections
    std::uint64_t max_bytes{1u << 30};
    std::size_t max_connections{128};
};

class registry_proxy {
public:
    // `stop` ends all connections; it and `refusals` must outlive this.
    registry_proxy(boost::asio::any_io_executor executor, async::task_group& tasks, registry_proxy_settings how,
                   async::stop_source& stop, metrics::counter& refusals);

    // Serves one connection from the jail.
    void take(boost::asio::generic::stream_protocol::socket from);
    // Returns when no connection is left; request `stop` first.
    boost::asio::awaitable<void> wait();

    // The first requested place that is not the registry; empty: none.
    const std::string& refused() const noexcept { return refused_; }

private:
    using socket = boost::asio::generic::stream_protocol::socket;
    struct link;

    boost::asio::awaitable<void> serve(std::shared_ptr<link> both);
    boost::asio::awaitable<void> pump(std::shared_ptr<link> both, bool up);
    boost::asio::awaitable<result<void>> dial(link& both, const origin& to);
    boost::asio::awaitable<result<std::vector<boost::asio::ip::tcp::endpoint>>> resolve(std::string host,
                                                                                        std::uint16_t port);
    boost::asio::awaitable<void> answer(link& both, std::string_view status);

    boost::asio::any_io_executor executor_;
    async::task_scope tasks_;
    registry_proxy_settings settings_;
    async::stop_source& stop_;
    metrics::counter& refusals_;
    std::map<std::string, std::vector<boost::asio::ip::address>> known_;
    std::uint64_t bytes_{0};
    std::string refused_;
};

}  // namespace sandboxd::faas
