// sandboxd-init: PID 1 of a deployment's jail. Its first argument (lib/init/arguments.hpp) selects five other modes:
// PID 1 of a container (jail.hpp), the builder of a jail of namespaces (build.hpp), a check of the walls (look.hpp), a
// program that waits (lib/sandboxes/warm_jail.hpp), the first program of a jail whose compilers are already started
// (call.hpp).
//
// Starts the program, reaps whatever is adopted, and hands connections to the program out to the server: the
// jail has a network of its own, so only somebody inside can connect to what listens there. When the program
// ends, so does this, with its status (128 + n for signal n), and the kernel ends all else in the namespace.
// With --accept it listens on that port of the loopback and hands out what connects there: an install's way out.
// The program may open --open-files; the limit of this process is higher, so that it can always do its work.
// When the server's end of the control socket closes, everything ends, too.
//
// The program runs under the same uid and must not reach the control socket: the socket is closed on exec, and this
// process is not dumpable, so neither /proc/1/fd nor ptrace nor pidfd_getfd (which the seccomp filter also refuses)
// gives access. Nothing here blocks: a connect that must wait (a full backlog) does not delay the others.
#include "begin.hpp"
#include "build.hpp"
#include "call.hpp"
#include "exit_code.hpp"
#include "init/arguments.hpp"
#include "init/control.hpp"
#include "jail.hpp"
#include "look.hpp"
#include "waiting.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

namespace {

namespace argument = sandboxd::init::argument;
namespace protocol = sandboxd::init::control;

constexpr int control = protocol::control_fd_inside;
constexpr int could_not_start = 127;

// The places where the program may listen, in the order of the attempts.
enum class place { ipv4, ipv6, unix_socket, none };

struct attempt {
    std::uint32_t id;
    std::uint32_t port;
    place at;
    int fd;
};

const char* socket_path = nullptr;
std::vector<attempt> attempts;  // pending connects
std::vector<attempt> answers;   // to be sent: `fd` connected, or -errno
pid_t program = -1;
int listener = -1;          // the listening socket, if there is one
std::vector<int> accepted;  // accepted, to be passed out
constexpr std::size_t most_accepted = 64;

place next(place at)
{
    switch (at) {
        case place::ipv4: return place::ipv6;
        case place::ipv6: return socket_path ? place::unix_socket : place::none;
        case place::unix_socket:
        case place::none: break;
    }
    return place::none;
}

// 0 when it is connected, otherwise errno.
int start_connect(attempt& one)
{
    const int family = one.at == place::ipv4 ? AF_INET : one.at == place::ipv6 ? AF_INET6 : AF_UNIX;
    one.fd = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (one.fd < 0) return errno;
    sockaddr_storage storage{};
    socklen_t size = 0;
    if (family == AF_INET) {
        auto* const to = reinterpret_cast<sockaddr_in*>(&storage);
        to->sin_family = AF_INET;
        to->sin_port = htons(static_cast<std::uint16_t>(one.port));
        to->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        size = sizeof *to;
    } else if (family == AF_INET6) {
        auto* const to = reinterpret_cast<sockaddr_in6*>(&storage);
        to->sin6_family = AF_INET6;
        to->sin6_port = htons(static_cast<std::uint16_t>(one.port));
        to->sin6_addr = in6addr_loopback;
        size = sizeof *to;
    } else {
        auto* const to = reinterpret_cast<sockaddr_un*>(&storage);
        to->sun_family = AF_UNIX;
        std::strncpy(to->sun_path, socket_path, sizeof to->sun_path - 1);
        size = sizeof *to;
    }
    if (family != AF_UNIX) {
        const int on = 1;
        ::setsockopt(one.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        // The kernel lets a socket hold many times the other side's segments, and the loopback's have 64 KiB. With
        // these the program's socket holds fewer unread bytes.
        const int segment = 8 * 1024;
        ::setsockopt(one.fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
    }
    if (::connect(one.fd, reinterpret_cast<sockaddr*>(&storage), size) == 0) return 0;
    return errno;
}

// Continues an attempt until it is connected, must wait, or has failed everywhere. It reports the errno of the most
// promising place: a full backlog rather than an address without a listener.
void pursue(attempt one)
{
    int told = 0;
    for (; one.at != place::none; one.at = next(one.at)) {
        const int failed = start_connect(one);
        if (failed == 0) {
            answers.push_back(one);
            return;
        }
        if (failed == EINPROGRESS) {
            attempts.push_back(one);
            return;
        }
        if (one.fd >= 0) ::close(one.fd);
        if (told == 0 || failed == EAGAIN || failed == EMFILE) told = failed;
    }
    one.fd = -told;
    answers.push_back(one);
}

void settle(attempt one)
{
    int failed = 0;
    socklen_t size = sizeof failed;
    if (::getsockopt(one.fd, SOL_SOCKET, SO_ERROR, &failed, &size) != 0) failed = errno;
    if (failed == 0) {
        answers.push_back(one);
        return;
    }
    ::close(one.fd);
    one.at = next(one.at);
    one.fd = -failed;
    one.at == place::none ? answers.push_back(one) : pursue(one);
}

// False when the control socket is full.
bool send_reply(const protocol::reply& what, int fd)
{
    iovec piece{const_cast<protocol::reply*>(&what), sizeof what};
    alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int))]{};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    if (fd >= 0) {
        message.msg_control = space;
        message.msg_controllen = sizeof space;
        cmsghdr* const head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int));
        std::memcpy(CMSG_DATA(head), &fd, sizeof fd);
    }
    // ETOOMANYREFS: too many descriptors in transit, until the server receives them.
    if (::sendmsg(control, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return true;
    if (errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS) return false;
    ::_exit(could_not_start);  // the server is gone
}

void send_answers()
{
    while (!answers.empty()) {
        const attempt one = answers.back();
        const bool connected = one.fd >= 0;
        const protocol::reply what{connected ? protocol::reply_kind::connected : protocol::reply_kind::failed, one.id,
                                   connected ? 0 : -one.fd};
        if (!send_reply(what, one.fd)) return;
        if (connected) ::close(one.fd);
        answers.pop_back();
    }
}

// A line of /proc/net/tcp, tcp6, udp or udp6 (proc_net_tcp.rst): "sl local_address rem_address st …". `wanted`: the
// state, TCP_LISTEN, or TCP_CLOSE, in which a UDP socket is that is connected to nobody.
bool read_listener(const char* line, bool v6, const char* wanted, protocol::reply& into)
{
    char local[40];
    char state[4];
    if (std::sscanf(line, " %*[^:]: %39s %*s %3s", local, state) != 2 || std::strcmp(state, wanted) != 0) return false;
    char* const colon = std::strchr(local, ':');
    if (colon == nullptr) return false;
    into.value = static_cast<std::int32_t>(std::strtoul(colon + 1, nullptr, 16));
    *colon = 0;
    std::uint32_t words[4]{};
    const std::size_t count = v6 ? 4 : 1;
    if (std::strlen(local) != 8 * count) return false;
    for (std::size_t i = 0; i < count; ++i) {
        char word[9]{};
        std::memcpy(word, local + 8 * i, 8);
        words[i] = ntohl(static_cast<std::uint32_t>(std::strtoul(word, nullptr, 16)));
    }
    if (!v6) {
        into.address = words[0];
        return true;
    }
    const bool high = words[0] != 0 || words[1] != 0 || words[2] != 0;
    into.v6 = high            ? protocol::v6_other
              : words[3] == 0 ? protocol::v6_any
              : words[3] == 1 ? protocol::v6_loopback
                              : protocol::v6_other;
    return true;
}

// A line of /proc/net/unix (unix(7)): "Num RefCount Protocol Flags Type St Inode Path". Whether a program listens
// there, elsewhere than where the server connects to.
bool is_other_unix_listener(const char* line)
{
    constexpr unsigned long accepts = 0x10000;  // __SO_ACCEPTCON
    unsigned long flags = 0;
    char path[256]{};
    if (std::sscanf(line, "%*[^:]: %*s %*s %lx %*s %*s %*s %255s", &flags, path) < 1 || (flags & accepts) == 0)
        return false;
    return socket_path == nullptr || std::strcmp(path, socket_path) != 0;
}

void tell_listeners(std::uint32_t id)
{
    struct table {
        const char* file;
        bool v6;
        std::uint32_t sort;
    };
    // A program may well have a UDP or a Unix socket beside the port that is wanted of it.
    static constexpr table tables[] = {{"/proc/net/tcp", false, 0},
                                       {"/proc/net/tcp6", true, 0},
                                       {"/proc/net/udp", false, protocol::sort_udp},
                                       {"/proc/net/udp6", true, protocol::sort_udp},
                                       {"/proc/net/unix", false, protocol::sort_unix}};
    // What asks a name server has one of the kernel's choice, which begin here.
    constexpr std::int32_t first_of_kernel = 32768;
    unsigned told = 0;
    for (const auto& one : tables) {
        std::FILE* const file = std::fopen(one.file, "re");
        if (file == nullptr) continue;
        char line[512];
        while (told < protocol::max_listed && std::fgets(line, sizeof line, file) != nullptr) {
            protocol::reply what{protocol::reply_kind::listening, id, 0};
            what.sort = one.sort;
            const bool listens = one.sort == protocol::sort_unix ? is_other_unix_listener(line)
                                 : one.sort == protocol::sort_udp
                                     ? read_listener(line, one.v6, "07", what) && what.value < first_of_kernel
                                     : read_listener(line, one.v6, "0A", what);
            if (listens && send_reply(what, -1)) ++told;
            if (listens && one.sort == protocol::sort_unix) break;  // they are told alike
        }
        std::fclose(file);
        if (told > 0 && one.sort == 0 && one.v6) break;
    }
    send_reply({protocol::reply_kind::listed, id, 0}, -1);
}

bool open_listener(const char* port)
{
    listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(static_cast<std::uint16_t>(std::atoi(port)));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return listener >= 0 && ::bind(listener, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0 &&
           ::listen(listener, 128) == 0;
}

void serve_gate()
{
    while (listener >= 0 && accepted.size() < most_accepted) {
        const int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        if (fd < 0) break;
        accepted.push_back(fd);
    }
    while (!accepted.empty() && send_reply({protocol::reply_kind::accepted, 0, 0}, accepted.front())) {
        ::close(accepted.front());
        accepted.erase(accepted.begin());
    }
}

void read_requests()
{
    for (;;) {
        protocol::request asked{};
        const ssize_t got = ::recv(control, &asked, sizeof asked, MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (got <= 0) ::_exit(could_not_start);  // the server is gone: exiting ends everything here
        if (got != sizeof asked) continue;
        if (asked.kind == protocol::request_kind::terminate) {
            if (program > 0) ::kill(program, SIGTERM);
        } else if (asked.kind == protocol::request_kind::list) {
            tell_listeners(asked.id);
        } else if (asked.kind == protocol::request_kind::connect) {
            attempt one{asked.id, asked.port, place::ipv4, -EAGAIN};
            attempts.size() + answers.size() < protocol::max_pending ? pursue(one) : answers.push_back(one);
        }
    }
}

[[noreturn]] void end_with(int status)
{
    const protocol::reply last{protocol::reply_kind::ended, 0, status};
    send_reply(last, -1);
    ::_exit(sandboxd::init::exit_code_of(status));
}

void reap()
{
    int status = 0;
    for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;)
        if (pid == program) end_with(status);
}

[[noreturn]] void execute(char** argv)
{
    ::execv(argv[0], argv);
    std::fprintf(stderr, "sandboxd-init: cannot start %s: %s\n", argv[0], std::strerror(errno));
    ::_exit(could_not_start);
}

// `why_not`: errno of an exec that failed.
[[noreturn]] void become(char** argv, rlim_t open_files, volatile int& why_not)
{
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::signal(SIGPIPE, SIG_DFL);
    ::setpgid(0, 0);
    if (open_files > 0) {
        rlimit now{};
        ::getrlimit(RLIMIT_NOFILE, &now);
        if (now.rlim_max > open_files) now = {open_files, open_files};
        ::setrlimit(RLIMIT_NOFILE, &now);
    }
    ::execv(argv[0], argv);
    why_not = errno;
    std::fprintf(stderr, "sandboxd-init: cannot start %s: %s\n", argv[0], std::strerror(why_not));
    ::_exit(could_not_start);
}

// Waits until the program may start.
int hold_main(char** argv)
{
    static sandboxd::init::hold::trace_entry trace;
    if (!sandboxd::init::hold::wait_for_word(trace)) return could_not_start;
    if (trace.is_given() && ::putenv(trace.text()) != 0) return could_not_start;
    execute(argv);
}

}  // namespace

int main(int argc, char** argv)
{
    if (argc > 3 && std::string_view{argv[1]} == argument::hold && std::string_view{argv[2]} == "--")
        return hold_main(argv + 3);
    if (argc == 2 && std::string_view{argv[1]} == argument::look) return sandboxd::init::look_main();
    if (argc > 1 && std::string_view{argv[1]} == argument::build) return sandboxd::init::build_main(argc, argv);
    if (argc > 1 && std::string_view{argv[1]} == argument::call) return sandboxd::init::call_main(argc);
    if (argc > 1 && std::string_view{argv[1]} == argument::jail) return sandboxd::init::jail_main(argc, argv);
    int at = 1;
    const char* accept_port = nullptr;
    rlim_t open_files = 0;
    for (; at + 1 < argc && std::string_view{argv[at]} != "--"; at += 2) {
        if (std::string_view{argv[at]} == argument::socket_path)
            socket_path = argv[at + 1];
        else if (std::string_view{argv[at]} == argument::accept)
            accept_port = argv[at + 1];
        else if (std::string_view{argv[at]} == argument::open_files)
            open_files = std::strtoull(argv[at + 1], nullptr, 10);
        else
            break;
    }
    if (at + 1 >= argc || std::string_view{argv[at]} != "--") {
        std::fprintf(
            stderr,
            "usage: sandboxd-init [--socket-path PATH] [--accept PORT] [--open-files NUMBER] -- PROGRAM ARGUMENTS...\n");
        return 2;
    }
    // The program's runtime waits for its word (init/hold.hpp); this process has no use for the pipe.
    const bool is_held = ::fcntl(sandboxd::init::hold::begin_fd_inside, F_GETFD) >= 0;
    // Before another process exists in here.
    if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || ::fcntl(control, F_SETFD, FD_CLOEXEC) != 0 ||
        ::fcntl(control, F_SETFL, O_NONBLOCK) != 0) {
        std::fprintf(stderr, "sandboxd-init: no control socket: %s\n", std::strerror(errno));
        return 2;
    }
    ::signal(SIGPIPE, SIG_IGN);
    sigset_t watched;
    ::sigemptyset(&watched);
    ::sigaddset(&watched, SIGCHLD);
    ::sigaddset(&watched, SIGTERM);
    ::sigaddset(&watched, SIGINT);
    ::sigprocmask(SIG_SETMASK, &watched, nullptr);
    const int signals = ::signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0) return 2;

    if (accept_port && !open_listener(accept_port)) {
        std::fprintf(stderr, "sandboxd-init: cannot listen on port %s: %s\n", accept_port, std::strerror(errno));
        return could_not_start;
    }

    volatile int why_not = 0;
    program = sandboxd::init::begin_program([&] { become(argv + at + 1, open_files, why_not); });
    if (program < 0) {
        const int why = errno;
        std::fprintf(stderr, "sandboxd-init: cannot fork: %s\n", std::strerror(why));
        send_reply({protocol::reply_kind::begun, 0, why}, -1);
        return could_not_start;
    }
    send_reply({protocol::reply_kind::begun, 0, why_not}, -1);
    if (is_held) ::close(sandboxd::init::hold::begin_fd_inside);

    std::vector<pollfd> polled;
    for (;;) {
        send_answers();
        serve_gate();
        const bool waits = !answers.empty() || !accepted.empty();
        const short control_events = static_cast<short>(POLLIN | (waits ? POLLOUT : 0));
        polled.assign({pollfd{signals, POLLIN, 0}, pollfd{control, control_events, 0}});
        for (const attempt& one : attempts) polled.push_back({one.fd, POLLOUT, 0});
        // After the attempts, so that their indexes stay valid.
        if (listener >= 0 && accepted.size() < most_accepted) polled.push_back({listener, POLLIN, 0});
        // There is no event when the server receives descriptors in transit: check again soon.
        if (::poll(polled.data(), polled.size(), waits ? 10 : -1) < 0 && errno != EINTR) return 2;
        if (polled[0].revents != 0) {
            signalfd_siginfo seen{};
            while (::read(signals, &seen, sizeof seen) == static_cast<ssize_t>(sizeof seen))
                if (seen.ssi_signo != SIGCHLD) ::kill(program, static_cast<int>(seen.ssi_signo));
            reap();
        }
        std::vector<attempt> waiting;
        waiting.swap(attempts);
        for (std::size_t i = 0; i < waiting.size(); ++i)
            polled[i + 2].revents != 0 ? settle(waiting[i]) : attempts.push_back(waiting[i]);
        if (polled[1].revents != 0) read_requests();
    }
}
