#include "http/server.hpp"

#include "async/readable.hpp"
#include "base/log.hpp"
#include "http/giving_up.hpp"
#include "http/session.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace sandboxd::http {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using unix_stream = asio::local::stream_protocol;

namespace {

constexpr auto reap_interval = std::chrono::milliseconds{250};
constexpr auto accept_pause = std::chrono::milliseconds{200};
// Sent without a session, so without waiting.
constexpr std::string_view too_many_connections =
    "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nContent-Length: 144\r\n"
    "Retry-After: 1\r\nConnection: close\r\n\r\n"
    "{\"ok\":false,\"error\":\"this client has as many connections as it may, all of them busy "
    "(http.maxConnectionsPerClient)\",\"code\":\"too_many_requests\"}";
constexpr int backlog = 4096;  // the kernel takes the smaller of this and net.core.somaxconn

error cannot_listen(std::string where, std::string_view why)
{
    return {errc::unavailable, "cannot listen on " + std::move(where) + ": " + std::string{why}};
}

// Resolves with getaddrinfo(3) in place, at start: Asio's resolver would need a thread.
result<tcp::endpoint> resolve(const tcp_address& where)
{
    if (where.host.empty()) return tcp::endpoint{tcp::v6(), where.port};
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE;
    addrinfo* found = nullptr;
    if (const int failure = ::getaddrinfo(where.host.c_str(), nullptr, &hints, &found); failure != 0)
        return cannot_listen(where.host, ::gai_strerror(failure));
    // `localhost` may have both; clients without brackets mean IPv4.
    const addrinfo* chosen = found;
    for (const addrinfo* one = found; one; one = one->ai_next) {
        if (one->ai_family == AF_INET) {
            chosen = one;
            break;
        }
    }
    tcp::endpoint endpoint;
    std::copy_n(reinterpret_cast<const char*>(chosen->ai_addr), chosen->ai_addrlen,
                reinterpret_cast<char*>(endpoint.data()));
    endpoint.resize(chosen->ai_addrlen);
    endpoint.port(where.port);
    ::freeaddrinfo(found);
    return endpoint;
}

template <class Acceptor, class Endpoint>
error_code open_acceptor(Acceptor& acceptor, const Endpoint& endpoint)
{
    error_code ec;
    acceptor.open(endpoint.protocol(), ec);
    if (ec) return ec;
    ::fcntl(acceptor.native_handle(), F_SETFD, FD_CLOEXEC);
    if constexpr (std::is_same_v<Acceptor, tcp::acceptor>) {
        acceptor.set_option(tcp::acceptor::reuse_address{true}, ec);
        if (!ec && endpoint.protocol() == tcp::v6() && endpoint.address().is_unspecified())
            acceptor.set_option(asio::ip::v6_only{false}, ec);
    }
    if (!ec) acceptor.bind(endpoint, ec);
    if (!ec) acceptor.listen(backlog, ec);
    return ec;
}

}  // namespace

server::server(asio::io_context& io, server_settings how_much, hooks what, metrics::registry& metrics)
    : io_{io}, state_{io.get_executor(), how_much, std::move(what), metrics}, reaper_{io}
{
}

server::~server() { unlink_own_socket(); }

void server::unlink_own_socket() noexcept
{
    struct stat info{};
    if (!unix_path_.empty() && ::lstat(unix_path_.c_str(), &info) == 0 && info.st_dev == unix_device_ &&
        info.st_ino == unix_inode_)
        ::unlink(unix_path_.c_str());
    unix_path_.clear();
}

result<void> server::listen(const address& where)
{
    if (const auto* tcp_where = std::get_if<tcp_address>(&where)) return listen_tcp(*tcp_where);
    return listen_unix(std::get<unix_address>(where));
}

result<void> server::listen_tcp(const tcp_address& where)
{
    const auto resolved = resolve(where);
    if (!resolved) return resolved.error();
    auto endpoint = *resolved;
    tcp_acceptor acceptor{io_};
    auto ec = open_acceptor(acceptor, endpoint);
    if (where.host.empty() && ec == asio::error::address_family_not_supported) {
        endpoint = {tcp::v4(), where.port};
        acceptor = tcp_acceptor{io_};
        ec = open_acceptor(acceptor, endpoint);
    }
    if (ec) {
        std::string text = endpoint.address().to_string();
        if (endpoint.address().is_v6()) text = "[" + text + "]";
        auto why = ec.message();
        if (ec == asio::error::address_in_use) why += "; stop the other program or choose another addr";
        return cannot_listen(text + ":" + std::to_string(where.port), why);
    }
    acceptor_ = std::move(acceptor);
    return {};
}

result<void> server::listen_unix(const unix_address& where)
{
    // A socket file without a listener is left over from a crash.
    struct stat info{};
    if (::lstat(where.path.c_str(), &info) == 0) {
        if (!S_ISSOCK(info.st_mode)) return cannot_listen(where.path, "the path exists and is not a socket");
        unix_stream::socket probe{io_};
        error_code ec;
        probe.connect(unix_stream::endpoint{where.path}, ec);
        if (!ec) return cannot_listen(where.path, "another server answers there");
        ::unlink(where.path.c_str());
    }
    gid_t group = static_cast<gid_t>(-1);
    if (!where.group.empty()) {
        errno = 0;
        const auto* const found = ::getgrnam(where.group.c_str());
        if (!found)
            return error{errc::unavailable, "http.unixSocketGroup: there is no group '" + where.group +
                                                "' on this machine; create it (groupadd --system) or set another one"};
        group = found->gr_gid;
    }
    unix_acceptor acceptor{io_};
    // Nobody else may connect before its mode and group are set.
    const auto before = ::umask(0177);
    const auto ec = open_acceptor(acceptor, unix_stream::endpoint{where.path});
    ::umask(before);
    if (ec) return cannot_listen(where.path, ec.message());
    unix_path_ = where.path;
    acceptor_ = std::move(acceptor);
    if (::lstat(where.path.c_str(), &info) == 0) {
        unix_device_ = info.st_dev;
        unix_inode_ = info.st_ino;
    }
    if (group != static_cast<gid_t>(-1) && ::lchown(where.path.c_str(), static_cast<uid_t>(-1), group) != 0)
        return system_error(errc::unavailable, "http.unixSocketGroup: " + where.path + " cannot be given to group '" +
                                                   where.group +
                                                   "'; run the server as root or as a member of the group");
    if (::fchmodat(AT_FDCWD, where.path.c_str(), where.mode, 0) != 0)
        return system_error(errc::unavailable, "http.unixSocketMode: " + where.path);
    return {};
}

namespace {

// ::ffff:127.0.0.1 is IPv4's loopback (RFC 4291 2.5.5.2).
bool is_loopback(const asio::ip::address& host)
{
    if (host.is_v6() && host.to_v6().is_v4_mapped())
        return asio::ip::make_address_v4(asio::ip::v4_mapped, host.to_v6()).is_loopback();
    return host.is_loopback();
}

}  // namespace

server::bound_address server::bound() const
{
    if (!unix_path_.empty()) return {"unix:" + unix_path_, "unix:" + unix_path_, false};
    const auto* acceptor = std::get_if<tcp_acceptor>(&acceptor_);
    if (!acceptor) return {};
    const auto endpoint = acceptor->local_endpoint();
    const auto host = endpoint.address();
    const auto port = ":" + std::to_string(endpoint.port());
    const auto addr = "http://" + (host.is_v6() ? "[" + host.to_string() + "]" : host.to_string()) + port;
    // Also with [::], which takes IPv4 as well.
    return {addr, host.is_unspecified() ? "http://127.0.0.1" + port : addr, is_loopback(host)};
}

void server::start()
{
    if (auto* tcp_listener = std::get_if<tcp_acceptor>(&acceptor_)) {
        state_.tasks.spawn("accept", accept_loop(*tcp_listener));
    } else if (auto* unix_listener = std::get_if<unix_acceptor>(&acceptor_)) {
        state_.tasks.spawn("accept", accept_loop(*unix_listener));
    }
    state_.tasks.spawn("reap", reap());
}

template <class Acceptor>
asio::awaitable<void> server::accept_loop(Acceptor& acceptor)
{
    asio::steady_timer pause{io_};
    error_code ec;
    while (!state_.draining) {
        if (state_.sessions.size() >= state_.bounds.connections) {
            // Wait for a new connection before another one is dropped.
            ec = co_await async::wait_readable(acceptor);
            if (ec == asio::error::operation_aborted) continue;
            if (state_.sessions.size() >= state_.bounds.connections && !evict()) {
                pause.expires_after(accept_pause);
                co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, ec));
                continue;
            }
        }
        typename Acceptor::protocol_type::endpoint from;
        auto socket = co_await acceptor.async_accept(from, asio::redirect_error(asio::use_awaitable, ec));
        if (ec == asio::error::operation_aborted) continue;
        if (state_.draining) continue;  // accepted just before the listener closed: too late
        if (ec) {
            // EMFILE, ENFILE, ENOMEM, ECONNABORTED: temporary, the listener is fine.
            state_.accept_errors.add();
            log::warning("accept failed", {{"cause", ec.message()}});
            pause.expires_after(accept_pause);
            co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, ec));
            continue;
        }
        state_.accepted.add();
        ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
        peer who = unix_peer();
        if constexpr (std::is_same_v<Acceptor, tcp_acceptor>) {
            who = tcp_peer(from.data(), from.size());
            socket.set_option(tcp::no_delay{true}, ec);
        }
        socket.non_blocking(true, ec);
        if (ec) continue;  // the peer has already gone
        if (!admit(who)) {
            // The client is at its limit, and all of its connections are being answered.
            ::send(socket.native_handle(), too_many_connections.data(), too_many_connections.size(),
                   MSG_DONTWAIT | MSG_NOSIGNAL);
            continue;
        }
        state_.tasks.spawn("session", serve(stream_socket{std::move(socket)}, std::move(who)));
    }
}

bool server::has_place() const noexcept
{
    return state_.sessions.size() < state_.bounds.connections || for_a_connection(state_.sessions, clock::now()).whom;
}

void server::adopt(stream_socket socket, peer from)
{
    if (state_.draining || (state_.sessions.size() >= state_.bounds.connections && !evict())) return;
    state_.accepted.add();
    state_.tasks.spawn("session", serve(std::move(socket), std::move(from)));
}

asio::awaitable<void> server::serve(stream_socket socket, peer from)
{
    session one{state_, std::move(socket), std::move(from)};
    co_await one.run();
}

asio::awaitable<void> server::reap()
{
    // An expired timer cannot be cancelled, so the flag ends this.
    while (!closing_) {
        error_code ignored;
        reaper_.expires_after(reap_interval);
        co_await reaper_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        const auto now = clock::now();
        state_.sessions.each([now](session_entry& one) { one.owner->reap(now); });
    }
}

bool server::evict()
{
    const auto one = for_a_connection(state_.sessions, clock::now());
    if (!one.whom) return false;
    switch (one.what) {
        case unfinished::nothing: state_.evicted.add(); break;
        case unfinished::header: state_.evicted_headers.add(); break;
        case unfinished::body: state_.evicted_bodies.add(); break;
        case unfinished::answer: state_.evicted_answers.add(); break;
    }
    one.whom->owner->abort();
    return true;
}

bool server::admit(const peer& from)
{
    if (from.local || state_.sessions.of_client(from.client) < state_.bounds.connections_a_client) return true;
    state_.over_connections.add();
    auto* const one = for_a_connection_of(from.client, state_.sessions);
    if (one) one->owner->abort();
    return one != nullptr;
}

asio::awaitable<void> server::drain()
{
    state_.draining = true;
    // Before the listener closes: afterwards a successor may use the path.
    unlink_own_socket();
    error_code ignored;  // closing a listener that is closed already
    if (auto* tcp_listener = std::get_if<tcp_acceptor>(&acceptor_)) tcp_listener->close(ignored);
    if (auto* unix_listener = std::get_if<unix_acceptor>(&acceptor_)) unix_listener->close(ignored);
    state_.sessions.each([](session_entry& one) { one.owner->stop_endless_request(errc::draining); });
    co_await state_.wait_quiet();
    abort();
}

void server::stop_requests(errc cause)
{
    state_.sessions.each([cause](session_entry& one) { one.owner->stop_request(cause); });
}

void server::abort()
{
    state_.sessions.each([](session_entry& one) { one.owner->abort(); });
}

asio::awaitable<void> server::closed()
{
    closing_ = true;
    reaper_.cancel();
    co_await state_.tasks.wait_empty();
}

}  // namespace sandboxd::http
