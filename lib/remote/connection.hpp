// One connection to a service: TCP, with TLS where its URL says so, or a Unix socket. Whoever uses it sets a deadline
// first; when that passes, the connection closes, and what waits for it fails.
#pragma once

#include "base/errc.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::remote {

// What every TLS connection of a service has in common: TLS 1.2 or later, and whose certificates count. `ca_file`: a
// file of certificates (PEM) to trust instead of the system's. Errors: io, invalid_request.
result<std::shared_ptr<boost::asio::ssl::context>> make_tls_context(const std::string& ca_file);

class connection : public std::enable_shared_from_this<connection> {
public:
    using clock = std::chrono::steady_clock;

    // `tls`: null for none.
    connection(boost::asio::any_io_executor executor, std::shared_ptr<boost::asio::ssl::context> tls);

    // With TLS the certificate must be valid for `host`. May be called again after a failure. Errors: unavailable.
    boost::asio::awaitable<result<void>> open(boost::asio::ip::tcp::endpoint to, std::string host);
    // A Unix socket, without TLS. Errors: unavailable.
    boost::asio::awaitable<result<void>> open_socket(std::string path);
    // Of the last open().
    const boost::asio::ip::tcp::endpoint& peer() const noexcept { return peer_; }
    bool is_open() const noexcept { return is_ready_ && socket_.is_open(); }

    // Appends what comes next to `received`; zero bytes: an error, or the end.
    boost::asio::awaitable<boost::system::error_code> receive();
    boost::asio::awaitable<boost::system::error_code> send(std::string_view bytes);

    // From now on. Replaces the one before.
    void end_at(clock::time_point until);
    void no_end();
    bool timed_out() const noexcept { return timed_out_; }
    void close();

    // Whether the other end has closed it, or has said something that nobody has asked for.
    bool is_stale();

    std::string received;

private:
    using socket = boost::asio::generic::stream_protocol::socket;

    boost::asio::awaitable<result<void>> connect(boost::asio::generic::stream_protocol::endpoint to);

    static constexpr std::size_t piece_bytes = 64 * 1024;

    boost::asio::ip::tcp::endpoint peer_;
    socket socket_;
    std::shared_ptr<boost::asio::ssl::context> context_;
    std::optional<boost::asio::ssl::stream<socket&>> tls_;
    boost::asio::steady_timer deadline_;
    std::uint64_t watch_{0};
    std::vector<char> piece_;
    bool is_ready_{false};
    bool timed_out_{false};
};

}  // namespace sandboxd::remote
