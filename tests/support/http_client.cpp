#include "support/http_client.hpp"

#include "support/server_process.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace sandboxd::test {

namespace {

// A test that waits longer than this hangs; the answer then reads as status 0.
constexpr int receive_patience_ms = 120'000;

int connect_tcp(std::uint16_t port)
{
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        throw std::runtime_error(std::string{"connect: "} + std::strerror(errno));
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

int connect_unix(const std::string& path)
{
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    if (fd < 0 || ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        throw std::runtime_error(std::string{"connect: "} + std::strerror(errno));
    return fd;
}

std::string lower(std::string text)
{
    std::transform(text.begin(), text.end(), text.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
    return text;
}

}  // namespace

std::string http_answer::field(const std::string& lower_name) const
{
    const auto place = fields.find(lower_name);
    return place == fields.end() ? std::string{} : place->second;
}

boost::json::value http_answer::json() const { return boost::json::parse(body); }

http_client::http_client(const server_process& server)
    : fd_{server.port() != 0 ? connect_tcp(server.port()) : connect_unix(server.url().substr(5))}
{
}

http_client::http_client(std::uint16_t port) : fd_{connect_tcp(port)} {}

http_client::http_client(const std::string& unix_path) : fd_{connect_unix(unix_path)} {}

http_client::~http_client() { close(); }

void http_client::close()
{
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
}

bool http_client::readable() const
{
    pollfd ready{.fd = fd_, .events = POLLIN, .revents = 0};
    return !buffer_.empty() || ::poll(&ready, 1, 0) > 0;
}

http_answer http_client::get(std::string_view target, const header_list& fields)
{
    return request("GET", target, fields);
}

http_answer http_client::head(std::string_view target, const header_list& fields)
{
    return request("HEAD", target, fields);
}

http_answer http_client::post(std::string_view target, const boost::json::value& body, const header_list& fields)
{
    start_post(target, body, fields);
    return receive();
}

void http_client::start_post(std::string_view target, const boost::json::value& body, const header_list& fields)
{
    auto all = fields;
    all.emplace_back("Content-Type", "application/json");
    send_request("POST", target, all, boost::json::serialize(body));
}

http_answer http_client::request(std::string_view method, std::string_view target, const header_list& fields,
                                 std::string_view body)
{
    send_request(method, target, fields, body);
    return receive(method == "HEAD");
}

void http_client::send_request(std::string_view method, std::string_view target, const header_list& fields,
                               std::string_view body)
{
    std::string bytes;
    bytes += std::string{method} + " " + std::string{target} + " HTTP/1.1\r\n";
    bool host = false;
    for (const auto& [name, value] : fields) {
        host = host || lower(name) == "host";
        bytes += name + ": " + value + "\r\n";
    }
    if (!host) bytes += "Host: localhost\r\n";
    if (!body.empty() || method == "POST" || method == "PUT")
        bytes += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    bytes += "\r\n";
    bytes += body;
    send(bytes);
}

bool http_client::send(std::string_view bytes)
{
    record_.sent(bytes);
    while (!bytes.empty()) {
        const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR) continue;
            return false;
        }
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
}

void http_client::shutdown_send() { ::shutdown(fd_, SHUT_WR); }

bool http_client::fill()
{
    pollfd ready{.fd = fd_, .events = POLLIN, .revents = 0};
    if (::poll(&ready, 1, receive_patience_ms) <= 0) return false;
    std::array<char, 16384> piece{};
    const auto got = ::recv(fd_, piece.data(), piece.size(), 0);
    if (got <= 0) return false;
    buffer_.append(piece.data(), static_cast<std::size_t>(got));
    return true;
}

http_answer http_client::receive(bool to_head)
{
    auto answer = receive_answer(to_head);
    if (answer.status != 0) record_.got(answer);
    return answer;
}

http_answer http_client::receive_answer(bool to_head)
{
    http_answer answer;
    std::size_t end = 0;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
        if (!fill()) return answer;
    }
    const auto head = buffer_.substr(0, end + 2);
    buffer_.erase(0, end + 4);
    answer.status = static_cast<unsigned>(std::stoul(head.substr(9, 3)));
    for (std::size_t at = head.find("\r\n") + 2; at < head.size();) {
        const auto line_end = head.find("\r\n", at);
        const auto colon = head.find(':', at);
        const auto value = head.find_first_not_of(' ', colon + 1);
        auto& field = answer.fields[lower(head.substr(at, colon - at))];
        if (!field.empty()) field += ", ";
        field += head.substr(value, line_end - value);
        at = line_end + 2;
    }
    if (answer.status == 101) return answer;
    if (answer.status < 200) return receive_answer(to_head);
    const auto length = answer.field("content-length");
    if (answer.field("transfer-encoding") == "chunked" && !to_head) return receive_chunks(std::move(answer));
    // RFC 9112 6.3: neither has a body, whatever the length says.
    if (to_head || answer.status == 304 || answer.status == 204 || length.empty()) return answer;
    const auto wanted = std::stoul(length);
    while (buffer_.size() < wanted) {
        if (!fill()) {
            answer.status = 0;
            return answer;
        }
    }
    answer.body = buffer_.substr(0, wanted);
    buffer_.erase(0, wanted);
    return answer;
}

// RFC 9112 7.1, without extensions and trailers, which this server does not send.
http_answer http_client::receive_chunks(http_answer answer)
{
    for (;;) {
        std::size_t end = 0;
        while ((end = buffer_.find("\r\n")) == std::string::npos) {
            if (fill()) continue;
            answer.status = 0;
            return answer;
        }
        const auto size = std::stoul(buffer_.substr(0, end), nullptr, 16);
        while (buffer_.size() < end + 2 + size + 2) {
            if (fill()) continue;
            answer.status = 0;
            return answer;
        }
        answer.body += buffer_.substr(end + 2, size);
        buffer_.erase(0, end + 2 + size + 2);
        if (size == 0) return answer;
    }
}

std::string http_client::receive_all()
{
    while (fill()) {
    }
    return std::exchange(buffer_, {});
}

bool http_client::closed_within(std::chrono::milliseconds patience)
{
    const auto until = std::chrono::steady_clock::now() + patience;
    for (;;) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
        pollfd ready{.fd = fd_, .events = POLLIN, .revents = 0};
        if (left.count() <= 0 || ::poll(&ready, 1, static_cast<int>(left.count())) <= 0) return false;
        std::array<char, 4096> piece{};
        const auto got = ::recv(fd_, piece.data(), piece.size(), 0);
        if (got == 0 || (got < 0 && errno != EINTR)) return true;
    }
}

}  // namespace sandboxd::test
