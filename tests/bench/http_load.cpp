// Loads one URL with the same request over keep-alive connections: as fast as answers come, or at a given
// pace. One thread; a fraction of a microsecond a request beside the system calls.
//
//   http_load PORT PATH BODY CONNECTIONS SECONDS [REQUESTS_A_SECOND [KEY]]
//
// Prints one line of JSON: requests answered a second, failures (anything but a 200), the microseconds to an answer,
// and all answers, also those that are not counted. REQUESTS_A_SECOND 0: as fast as answers come. KEY: what each
// request has as Authorization. At a given pace they count from when the request was due, whether a connection was free
// then or not, so a server that falls behind cannot hide it. The first tenth of the time warms up and is not counted.
// BODY empty: GET.
//
// It costs so little that a rate of its own says what a server can do at most, which deploy/loadtest cannot say: that
// one takes a mix, any URL and TLS, and is for operators.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace {

using clock_type = std::chrono::steady_clock;
using std::chrono::duration;
using std::chrono::nanoseconds;

[[noreturn]] void fail(const char* what)
{
    std::fprintf(stderr, "http_load: %s: %s\n", what, std::strerror(errno));
    std::exit(1);
}

struct connection {
    int socket{-1};
    clock_type::time_point due;
    std::string answer;
};

int connect_to(std::uint16_t port)
{
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (socket < 0 || ::connect(socket, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) fail("connect");
    const int on = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return socket;
}

// Whether the answer is whole.
bool is_whole(const std::string& answer)
{
    constexpr std::string_view field = "content-length:";
    const auto end = answer.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    const std::string_view head{answer.data(), end};
    const auto at = std::search(head.begin(), head.end(), field.begin(), field.end(),
                                [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a | 0x20 : a) == b; });
    if (at == head.end()) return true;
    const auto bytes = std::strtoul(&*at + field.size(), nullptr, 10);
    return answer.size() >= end + 4 + bytes;
}

class load {
public:
    load(std::uint16_t port, std::string request, std::size_t connections, double seconds, double pace)
        : request_{std::move(request)},
          connections_(connections),
          poll_{::epoll_create1(EPOLL_CLOEXEC)},
          began_{clock_type::now()},
          counted_from_{began_ + length(seconds / 10)},
          end_{began_ + length(seconds)},
          interval_{pace > 0 ? length(1 / pace) : nanoseconds{0}},
          next_{began_}
    {
        for (auto& one : connections_) {
            one.socket = connect_to(port);
            epoll_event wanted{};
            wanted.events = EPOLLIN;
            wanted.data.ptr = &one;
            if (::epoll_ctl(poll_, EPOLL_CTL_ADD, one.socket, &wanted) != 0) fail("epoll_ctl");
            free_.push_back(&one);
        }
    }

    void run()
    {
        while (clock_type::now() < end_) {
            send_what_is_due();
            std::array<epoll_event, 64> ready{};
            const int count = wait(ready);
            for (int i = 0; i < count; ++i)
                receive(*static_cast<connection*>(ready[static_cast<std::size_t>(i)].data.ptr));
        }
    }

    void print()
    {
        std::ranges::sort(microseconds_);
        const auto at = [&](double part) {
            if (microseconds_.empty()) return 0.0;
            return microseconds_[static_cast<std::size_t>(part * static_cast<double>(microseconds_.size() - 1))];
        };
        const double seconds = duration<double>(end_ - counted_from_).count();
        std::printf(
            "{\"rate\": %.1f, \"failures\": %llu, \"p50\": %.1f, \"p99\": %.1f, \"most\": %.1f, \"answers\": %llu}\n",
            static_cast<double>(microseconds_.size()) / seconds, static_cast<unsigned long long>(failures_), at(0.5),
            at(0.99), at(1), static_cast<unsigned long long>(answers_));
    }

private:
    static nanoseconds length(double seconds) { return nanoseconds{static_cast<std::int64_t>(seconds * 1e9)}; }

    void send_what_is_due()
    {
        const auto now = clock_type::now();
        while (!free_.empty() && (interval_.count() == 0 || next_ <= now)) {
            auto& one = *free_.front();
            free_.pop_front();
            one.due = interval_.count() == 0 ? clock_type::now() : next_;
            next_ += interval_;
            one.answer.clear();
            const auto sent = ::send(one.socket, request_.data(), request_.size(), MSG_NOSIGNAL);
            if (sent != static_cast<ssize_t>(request_.size())) fail("send");
        }
    }

    int wait(std::array<epoll_event, 64>& ready) const
    {
        auto until = end_;
        if (interval_.count() != 0 && !free_.empty()) until = std::min(until, next_);
        const auto left = std::max(nanoseconds{until - clock_type::now()}, nanoseconds{0});
        const timespec patience{.tv_sec = left.count() / 1'000'000'000, .tv_nsec = left.count() % 1'000'000'000};
        const int count = ::epoll_pwait2(poll_, ready.data(), static_cast<int>(ready.size()), &patience, nullptr);
        if (count < 0 && errno != EINTR) fail("epoll_pwait2");
        return std::max(count, 0);
    }

    void receive(connection& from)
    {
        std::array<char, 16 * 1024> piece;
        const auto got = ::recv(from.socket, piece.data(), piece.size(), 0);
        if (got <= 0) fail("the server closed a connection");
        from.answer.append(piece.data(), static_cast<std::size_t>(got));
        if (!is_whole(from.answer)) return;
        ++answers_;
        const auto now = clock_type::now();
        if (now >= counted_from_ && now < end_) {
            if (from.answer.starts_with("HTTP/1.1 200"))
                microseconds_.push_back(duration<double, std::micro>(now - from.due).count());
            else
                ++failures_;
        }
        free_.push_back(&from);
    }

    std::string request_;
    std::vector<connection> connections_;
    int poll_;
    clock_type::time_point began_;
    clock_type::time_point counted_from_;
    clock_type::time_point end_;
    nanoseconds interval_;
    clock_type::time_point next_;
    std::deque<connection*> free_;
    std::vector<double> microseconds_;
    std::uint64_t failures_{0};
    std::uint64_t answers_{0};
};

}  // namespace

int main(int count, char** words)
{
    if (count < 6 || count > 8) {
        std::fprintf(stderr, "http_load PORT PATH BODY CONNECTIONS SECONDS [REQUESTS_A_SECOND [KEY]]\n");
        return 2;
    }
    const std::string body = words[3];
    std::string request = (body.empty() ? "GET " : "POST ") + std::string{words[2]} +
                          " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    if (count == 8) request += "Authorization: Bearer " + std::string{words[7]} + "\r\n";
    if (!body.empty()) request += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    request += "\r\n" + body;
    load all{static_cast<std::uint16_t>(std::atoi(words[1])), std::move(request),
             static_cast<std::size_t>(std::atoi(words[4])), std::atof(words[5]), count >= 7 ? std::atof(words[6]) : 0};
    all.run();
    all.print();
    return 0;
}
