#include "faas/control.hpp"

#include "async/readable.hpp"
#include "base/log.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sandboxd::faas {

namespace asio = boost::asio;

namespace {

constexpr std::string_view unix_place = "a Unix socket that is not SOCKET_PATH";
constexpr std::string_view udp_place = "UDP ";

std::string place_of(const init::control::reply& told)
{
    if (told.sort == init::control::sort_unix) return std::string{unix_place};
    std::string host{told.sort == init::control::sort_udp ? udp_place : std::string_view{}};
    for (int shift = 24; told.v6 == 0 && shift >= 0; shift -= 8)
        host += std::to_string(told.address >> shift & 255) + (shift > 0 ? "." : "");
    if (told.v6 != 0)
        host += told.v6 == init::control::v6_any        ? "[::]"
                : told.v6 == init::control::v6_loopback ? "[::1]"
                                                        : "another IPv6 address";
    return host + ":" + std::to_string(told.value & 0xffff);
}

}  // namespace

bool is_tcp_place(std::string_view place) noexcept { return place != unix_place && !place.starts_with(udp_place); }

result<control_ends> make_control_socket()
{
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        return system_error(errc::internal, "socketpair");
    return control_ends{unique_fd{ends[0]}, unique_fd{ends[1]}};
}

std::optional<std::string_view> descriptor_fault(int fd)
{
    const auto option = [fd](int which) {
        int value = -1;
        socklen_t size = sizeof value;
        return ::getsockopt(fd, SOL_SOCKET, which, &value, &size) == 0 ? value : -1;
    };
    const int family = option(SO_DOMAIN);
    if (family != AF_INET && family != AF_INET6 && family != AF_UNIX) return "is no socket of a known family";
    if (option(SO_TYPE) != SOCK_STREAM) return "is no stream socket";
    if (option(SO_ACCEPTCONN) != 0) return "is a listening socket";
    const int protocol = option(SO_PROTOCOL);
    if (family == AF_UNIX ? protocol != 0 : protocol != IPPROTO_TCP) return "speaks another protocol";
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0 && errno == ENOTCONN) {
        // A connection that the other side has already closed is valid, too.
        if (family == AF_UNIX) return "is not connected";
    }
    return std::nullopt;
}

control_channel::control_channel(asio::any_io_executor executor, unique_fd ours)
    : executor_{std::move(executor)}, socket_{executor_, ours.release()}
{
}

bool control_channel::send(const init::control::request& what)
{
    return open_ && ::send(socket_.native_handle(), &what, sizeof what, MSG_DONTWAIT | MSG_NOSIGNAL) ==
                        static_cast<ssize_t>(sizeof what);
}

void control_channel::catch_up()
{
    if (open_) take_answers();
}

void control_channel::terminate() { send({init::control::request_kind::terminate, 0, 0}); }

void control_channel::close()
{
    if (!open_) return;
    open_ = false;
    boost::system::error_code ignored;  // nobody may be waiting
    socket_.cancel(ignored);
    if (listing_ != nullptr) listing_->answered.set();
    for (auto& [id, one] : waiting_) {
        one->failed = ECONNRESET;
        one->answered.set();
    }
}

asio::awaitable<void> control_channel::serve()
{
    while (open_ && take_answers()) {
        const auto failed = co_await async::wait_readable(socket_);
        if (failed) break;
    }
    close();
    boost::system::error_code ignored;
    socket_.close(ignored);
}

// False when the channel has ended.
bool control_channel::take_answers()
{
    // A limited number in one turn: a flood must not block the loop.
    for (unsigned turn = 0; turn < init::control::max_pending; ++turn) {
        init::control::reply told{};
        iovec piece{&told, sizeof told};
        // Room for one descriptor more than allowed; the kernel closes any others.
        alignas(cmsghdr) char space[CMSG_SPACE(2 * sizeof(int))];
        msghdr message{};
        message.msg_iov = &piece;
        message.msg_iovlen = 1;
        message.msg_control = space;
        message.msg_controllen = sizeof space;
        const ssize_t got = ::recvmsg(socket_.native_handle(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return true;
        if (got <= 0) return false;
        unique_fd given[2];
        std::size_t count = 0;
        for (cmsghdr* head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
            if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
            for (std::size_t at = CMSG_LEN(0); at + sizeof(int) <= head->cmsg_len; at += sizeof(int)) {
                int fd = -1;
                std::memcpy(&fd, reinterpret_cast<const char*>(head) + at, sizeof fd);
                unique_fd one{fd};
                if (count < 2) given[count] = std::move(one);
                ++count;
            }
        }
        const bool accepted = told.kind == init::control::reply_kind::accepted && taker_;
        const bool connected = told.kind == init::control::reply_kind::connected;
        const char* wrong = nullptr;
        if (got != sizeof told || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
            wrong = "a packet of another shape";  // MSG_CTRUNC also when this process has no descriptor left
        else if (count != (connected || accepted ? 1U : 0U))
            wrong = "another number of descriptors";
        else if (told.kind == init::control::reply_kind::begun && !begun_)
            begun_ = told.value;
        else if (told.kind == init::control::reply_kind::listening || told.kind == init::control::reply_kind::listed) {
            if (listing_ == nullptr || listing_->id != told.id) continue;  // nobody waits for it
            if (told.kind == init::control::reply_kind::listed)
                listing_->answered.set();
            else if (listing_->found.size() < init::control::max_listed)
                listing_->found.push_back(place_of(told));
        } else if (told.kind == init::control::reply_kind::ended && !ended_)
            ended_ = told.value;
        else if (accepted) {
            if (const auto fault = descriptor_fault(given[0].get()))
                wrong = fault->data();
            else if (auto made = socket_of(given[0]))
                taker_(std::move(*made));
        } else if (!connected && told.kind != init::control::reply_kind::failed)
            wrong = "an unknown kind of answer";
        else if (const auto place = waiting_.find(told.id); place != waiting_.end()) {
            auto& one = *place->second;
            waiting_.erase(place);
            if (connected) {
                if (const auto fault = descriptor_fault(given[0].get())) wrong = fault->data();
                one.fd = std::move(given[0]);
            }
            one.failed = connected && !wrong ? 0 : told.value != 0 ? told.value : EPROTO;
            one.answered.set();
        } else if (forgotten_.erase(told.id) == 0) {
            wrong = "an answer that nobody asked for";
        }
        if (wrong) {
            log::warning("a deployment's init violated the protocol; closing its control socket", {{"sent", wrong}});
            return false;
        }
    }
    return true;
}

std::optional<stream_socket> control_channel::socket_of(unique_fd& fd)
{
    int family = AF_UNIX;
    socklen_t size = sizeof family;
    ::getsockopt(fd.get(), SOL_SOCKET, SO_DOMAIN, &family, &size);
    stream_socket made{executor_};
    boost::system::error_code ec;
    made.assign(asio::generic::stream_protocol{family, family == AF_UNIX ? 0 : IPPROTO_TCP}, fd.get(), ec);
    if (ec) return std::nullopt;
    fd.release();
    made.native_non_blocking(true, ec);
    return made;
}

asio::awaitable<std::vector<std::string>> control_channel::listeners(std::chrono::milliseconds patience)
{
    listing mine{++next_id_, async::event{executor_}, {}};
    if (listing_ != nullptr || !send({init::control::request_kind::list, mine.id, 0}))
        co_return std::vector<std::string>{};
    struct leave {
        ~leave() { place = nullptr; }
        listing*& place;
    } const at_end{listing_};
    listing_ = &mine;
    co_await mine.answered.wait_for(patience);
    if (!mine.answered.is_set()) co_return std::vector<std::string>{};
    std::ranges::sort(mine.found);
    co_return std::move(mine.found);
}

asio::awaitable<result<stream_socket>> control_channel::connect(std::uint16_t port, std::chrono::milliseconds patience,
                                                                async::stop_source& stop)
{
    if (stop.requested()) co_return make_error(stop.cause());
    if (waiting_.size() + forgotten_.size() >= init::control::max_pending)
        co_return make_error(errc::too_many_requests);
    const auto id = ++next_id_;
    waiting mine{async::event{executor_}, {}, 0};
    if (!send({init::control::request_kind::connect, id, port}))
        co_return error{errc::unavailable, "the program has ended"};
    waiting_.emplace(id, &mine);
    {
        const async::stop_callback on_stop{stop, [&mine](errc) { mine.answered.set(); }};
        co_await mine.answered.wait_for(patience);
    }
    if (waiting_.erase(id) > 0) {
        if (open_) forgotten_.emplace(id, true);
        if (stop.requested()) co_return make_error(stop.cause());
        if (!open_) co_return error{errc::unavailable, "the program has ended"};
        co_return error{errc::timeout, "the program does not accept connections"};
    }
    if (mine.failed != 0) co_return system_error(errc::unavailable, "cannot connect to the program", mine.failed);
    auto made = socket_of(mine.fd);
    if (!made) co_return error{errc::internal, "a connection cannot be used"};
    co_return std::move(*made);
}

}  // namespace sandboxd::faas
