// An upstream that costs next to nothing: what a proxy in front of it can do is the proxy's own.
//
//     PORT=3000 bench_upstream …        every request is answered with `hello` or, for "/big", 64 KiB
//
//     BENCH_PROCESSES=120               with so many children that do nothing
//     BENCH_LINES=1                     and prints lines, as fast as somebody takes them
//     bench_upstream … install …        leaves node_modules with 90 000 files in it, as a package manager does
//
// Other arguments are ignored: a deployment starts it in the place of a runtime.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>

namespace {

std::string answer(const std::string& body)
{
    return "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body;
}

bool send_all(int fd, std::string_view bytes)
{
    while (!bytes.empty()) {
        const auto sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
}

constexpr int package_files = 90'000;

int install()
{
    if (::mkdir("node_modules", 0755) != 0 || ::chdir("node_modules") != 0) return 1;
    for (int i = 0; i < package_files; ++i) {
        const auto directory = std::to_string(i / 1000);
        if (i % 1000 == 0 && ::mkdir(directory.c_str(), 0755) != 0) return 1;
        const int file = ::open((directory + "/" + std::to_string(i)).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (file < 0 || ::write(file, "x", 1) != 1) return 1;
        ::close(file);
    }
    return 0;
}

int number_of(const char* variable)
{
    const char* const given = std::getenv(variable);
    return given ? std::atoi(given) : 0;
}

[[noreturn]] void do_nothing()
{
    for (;;) ::pause();
}

[[noreturn]] void print_lines()
{
    const std::string line = std::string(99, 'x') + "\n";
    for (;;)
        if (::write(1, line.data(), line.size()) < 0) do_nothing();
}

}  // namespace

int main(int count, char** words)
{
    for (int i = 1; i < count; ++i)
        if (std::string_view{words[i]} == "install") return install();
    for (int i = number_of("BENCH_PROCESSES"); i > 0; --i)
        if (::fork() == 0) do_nothing();
    if (number_of("BENCH_LINES") > 0 && ::fork() == 0) print_lines();

    const char* const given = std::getenv("PORT");
    const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
    const int on = 1;
    ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(static_cast<std::uint16_t>(given ? std::atoi(given) : 3000));
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::bind(listener, reinterpret_cast<sockaddr*>(&where), sizeof where) != 0 || ::listen(listener, 1024) != 0)
        return 1;

    const std::string small = answer("hello");
    const std::string big = answer(std::string(65536, 'x'));
    const int poll = ::epoll_create1(0);
    epoll_event event{EPOLLIN, {.fd = listener}};
    ::epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    std::map<int, std::string> pending;
    std::array<epoll_event, 256> events;
    std::array<char, 65536> piece;
    for (;;) {
        const int ready = ::epoll_wait(poll, events.data(), static_cast<int>(events.size()), -1);
        for (int i = 0; i < ready; ++i) {
            const int fd = events[static_cast<std::size_t>(i)].data.fd;
            if (fd == listener) {
                const int made = ::accept(listener, nullptr, nullptr);
                if (made < 0) continue;
                ::setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                event = {EPOLLIN, {.fd = made}};
                ::epoll_ctl(poll, EPOLL_CTL_ADD, made, &event);
                continue;
            }
            const auto got = ::recv(fd, piece.data(), piece.size(), 0);
            if (got <= 0) {
                pending.erase(fd);
                ::close(fd);
                continue;
            }
            auto& bytes = pending[fd];
            bytes.append(piece.data(), static_cast<std::size_t>(got));
            for (auto end = bytes.find("\r\n\r\n"); end != std::string::npos; end = bytes.find("\r\n\r\n")) {
                const bool ok = send_all(fd, bytes.starts_with("GET /big") ? big : small);
                bytes.erase(0, end + 4);
                if (!ok) break;
            }
        }
    }
}
