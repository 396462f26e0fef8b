#include "remote/connection.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <sys/socket.h>

#include <cerrno>

namespace sandboxd::remote {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr auto as_pair = asio::as_tuple(asio::use_awaitable);

bool is_address(const std::string& host)
{
    error_code ec;
    asio::ip::make_address(host, ec);
    return !ec;
}

}  // namespace

result<std::shared_ptr<asio::ssl::context>> make_tls_context(const std::string& ca_file)
{
    auto made = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
    error_code ec;
    made->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                          asio::ssl::context::no_tlsv1_1 | asio::ssl::context::no_compression,
                      ec);
    if (!ec) made->set_verify_mode(asio::ssl::verify_peer, ec);
    if (ec) return error{errc::internal, "TLS cannot be set up: " + ec.message()};
    if (ca_file.empty()) {
        made->set_default_verify_paths(ec);
        if (ec) return error{errc::io, "the system's certificates cannot be read: " + ec.message()};
    } else {
        made->load_verify_file(ca_file, ec);
        if (ec) return invalid_request(ca_file + " holds no certificate (PEM) that can be read: " + ec.message());
    }
    return made;
}

connection::connection(asio::any_io_executor executor, std::shared_ptr<asio::ssl::context> tls)
    : socket_{executor}, context_{std::move(tls)}, deadline_{executor}
{
}

asio::awaitable<result<void>> connection::connect(asio::generic::stream_protocol::endpoint to)
{
    close();
    tls_.reset();
    received.clear();
    const auto [failed] = co_await socket_.async_connect(to, as_pair);
    if (failed) co_return error{errc::unavailable, "cannot connect: " + failed.message()};
    co_return result<void>{};
}

asio::awaitable<result<void>> connection::open_socket(std::string path)
{
    if (auto connected = co_await connect(asio::local::stream_protocol::endpoint{path}); !connected)
        co_return connected.error();
    is_ready_ = true;
    co_return result<void>{};
}

asio::awaitable<result<void>> connection::open(asio::ip::tcp::endpoint to, std::string host)
{
    peer_ = to;
    if (auto connected = co_await connect(to); !connected) co_return connected.error();
    error_code failed;
    error_code ignored;
    socket_.set_option(asio::ip::tcp::no_delay{true}, ignored);
    if (context_) {
        auto& secured = tls_.emplace(socket_, *context_);
        secured.set_verify_callback(asio::ssl::host_name_verification{host}, failed);
        // An address has no name to ask for (RFC 6066 3).
        if (!failed && !is_address(host) && SSL_set_tlsext_host_name(secured.native_handle(), host.c_str()) != 1)
            failed = asio::error::invalid_argument;
        if (!failed) {
            const auto [ec] = co_await secured.async_handshake(asio::ssl::stream_base::client, as_pair);
            failed = ec;
        }
        if (failed) {
            close();
            co_return error{errc::unavailable, "the TLS handshake failed: " + failed.message()};
        }
    }
    is_ready_ = true;
    co_return result<void>{};
}

asio::awaitable<error_code> connection::receive()
{
    piece_.resize(piece_bytes);
    const auto into = asio::buffer(piece_);
    error_code failed;
    std::size_t size = 0;
    if (tls_) {
        const auto [ec, got] = co_await tls_->async_read_some(into, as_pair);
        failed = ec;
        size = got;
    } else {
        const auto [ec, got] = co_await socket_.async_read_some(into, as_pair);
        failed = ec;
        size = got;
    }
    received.append(piece_.data(), size);
    co_return failed;
}

asio::awaitable<error_code> connection::send(std::string_view bytes)
{
    const auto from = asio::buffer(bytes.data(), bytes.size());
    error_code failed;
    if (tls_) {
        const auto [ec, sent] = co_await asio::async_write(*tls_, from, as_pair);
        static_cast<void>(sent);
        failed = ec;
    } else {
        const auto [ec, sent] = co_await asio::async_write(socket_, from, as_pair);
        static_cast<void>(sent);
        failed = ec;
    }
    co_return failed;
}

void connection::end_at(clock::time_point until)
{
    timed_out_ = false;
    deadline_.expires_at(until);
    // A wait that is over already cannot be cancelled; its number tells that it is not meant any more.
    deadline_.async_wait([weak = weak_from_this(), number = ++watch_](error_code cancelled) {
        const auto self = weak.lock();
        if (cancelled || !self || self->watch_ != number) return;
        self->timed_out_ = true;
        self->close();
    });
}

void connection::no_end()
{
    ++watch_;
    deadline_.cancel();
}

void connection::close()
{
    is_ready_ = false;
    error_code ignored;
    socket_.close(ignored);
}

bool connection::is_stale()
{
    char one = 0;
    if (!is_open() || !received.empty()) return true;
    // With TLS there may be a session ticket, which is read with the next answer.
    const auto got = ::recv(socket_.native_handle(), &one, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got > 0) return !tls_;
    return got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

}  // namespace sandboxd::remote
