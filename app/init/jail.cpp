#include "jail.hpp"

#include "begin.hpp"
#include "exit_code.hpp"
#include "init/arguments.hpp"
#include "init/descriptors.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::init {

namespace {

constexpr int could_not_start = 127;
constexpr int server_is_gone = 128 + SIGKILL;

struct options {
    bool exec{false};
    bool merge{false};
    bool stdin_is_life{false};
    unsigned long long stdin_bytes{0};
    const char* descriptors{nullptr};
    const char* filter{nullptr};
    std::vector<int> keep;
    std::vector<std::pair<int, rlim_t>> limits;
    char** program{nullptr};
};

std::string word_of_failures;

[[noreturn]] void fail(const char* what)
{
    const bool is_clients = errno == E2BIG;
    const char* const why = std::strerror(errno);
    if (word_of_failures.empty() || is_clients)
        std::fprintf(stderr, "sandboxd-init: %s: %s\n", what, why);
    else
        std::fprintf(stderr, "sandboxd-init %s: %s: %s\n", word_of_failures.c_str(), what, why);
    ::_exit(could_not_start);
}

bool parse(int argc, char** argv, options& into)
{
    for (int at = 2; at < argc; ++at) {
        const std::string_view name = argv[at];
        if (name == "--") {
            into.program = argv + at + 1;
            return at + 1 < argc;
        }
        if (name == argument::exec) {
            into.exec = true;
            continue;
        }
        if (name == argument::merge) {
            into.merge = true;
            continue;
        }
        if (at + 1 == argc) return false;
        char* const value = argv[++at];
        if (name == argument::stdin_bytes) {
            into.stdin_is_life = true;
            into.stdin_bytes = std::strtoull(value, nullptr, 10);
        } else if (name == argument::descriptors) {
            into.descriptors = value;
        } else if (name == argument::word) {
            word_of_failures = value;
            // The program may read the arguments of PID 1.
            std::memset(value, 0, std::strlen(value));
        } else if (name == argument::filter) {
            into.filter = value;
        } else if (name == argument::keep) {
            into.keep.push_back(std::atoi(value));
        } else if (name == argument::rlimit) {
            char* rest = nullptr;
            const long resource = std::strtol(value, &rest, 10);
            if (*rest != ':') return false;
            into.limits.emplace_back(static_cast<int>(resource), std::strtoull(rest + 1, nullptr, 10));
        } else if (name == argument::unset) {
            ::unsetenv(value);
        } else {
            return false;
        }
    }
    return false;
}

bool nobody_reads(int fd)
{
    pollfd one{fd, 0, 0};
    return ::poll(&one, 1, 0) == 1 && (one.revents & POLLERR) != 0;
}

// Receives one message: descriptors and their numbers.
void receive_descriptors(options& how)
{
    const int fd = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    std::strncpy(to.sun_path, how.descriptors, sizeof to.sun_path - 1);
    if (fd < 0 || ::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
        fail("cannot connect for the program's descriptors");
    init::descriptor_numbers numbers{};
    iovec piece{&numbers, sizeof numbers};
    alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int) * init::max_descriptors)]{};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = space;
    message.msg_controllen = sizeof space;
    if (::recvmsg(fd, &message, MSG_CMSG_CLOEXEC) != static_cast<ssize_t>(sizeof numbers))
        fail("cannot receive the program's descriptors");
    const cmsghdr* const head = CMSG_FIRSTHDR(&message);
    if (head == nullptr || head->cmsg_type != SCM_RIGHTS || numbers.count > init::max_descriptors ||
        head->cmsg_len != CMSG_LEN(sizeof(int) * numbers.count)) {
        errno = EBADMSG;
        fail("the program's descriptors");
    }
    // Move them above the target numbers first.
    std::vector<int> got(numbers.count);
    std::memcpy(got.data(), CMSG_DATA(head), sizeof(int) * numbers.count);
    int highest = 2;
    for (std::uint32_t i = 0; i < numbers.count; ++i) highest = std::max(highest, numbers.number[i]);
    for (int& one : got) {
        one = ::fcntl(one, F_DUPFD_CLOEXEC, highest + 1);
        if (one < 0) fail("the program's descriptors");
    }
    for (std::uint32_t i = 0; i < numbers.count; ++i) {
        if (::dup2(got[i], numbers.number[i]) < 0) fail("the program's descriptors");
        how.keep.push_back(numbers.number[i]);
    }
}

// Marks every other descriptor to be closed when the program starts.
void close_others(const options& how)
{
    ::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
    for (const int one : how.keep)
        if (::fcntl(one, F_SETFD, 0) != 0) fail("a descriptor of the program's");
}

// Adds our filter to the engine's: the engine reads our rules by name and may not know all names.
void install_filter(const char* digits)
{
    const auto value = [](char digit) { return digit <= '9' ? digit - '0' : digit - 'a' + 10; };
    const std::size_t bytes = std::strlen(digits) / 2;
    std::vector<sock_filter> program(bytes / sizeof(sock_filter));
    auto* const into = reinterpret_cast<unsigned char*>(program.data());
    for (std::size_t i = 0; i < program.size() * sizeof(sock_filter); ++i)
        into[i] = static_cast<unsigned char>(value(digits[2 * i]) * 16 + value(digits[2 * i + 1]));
    const sock_fprog whole{static_cast<unsigned short>(program.size()), program.data()};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &whole) != 0)
        fail("seccomp");
}

[[noreturn]] void become(const options& how)
{
    for (const auto& [resource, value] : how.limits) {
        rlimit now{};
        if (::getrlimit(static_cast<__rlimit_resource>(resource), &now) != 0) fail("getrlimit");
        now.rlim_cur = now.rlim_max = std::min(value, now.rlim_max);
        if (::setrlimit(static_cast<__rlimit_resource>(resource), &now) != 0) fail("setrlimit");
    }
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::signal(SIGPIPE, SIG_DFL);
    if (how.filter != nullptr) install_filter(how.filter);
    ::execv(how.program[0], how.program);
    fail(how.program[0]);
}

// Copies the program's part of our standard input to the program.
class feeder {
public:
    feeder(unsigned long long bytes, int to) : left_{bytes}, to_{to} { close_when_done(); }

    int to() const { return to_; }
    bool wants_input() const { return left_ > 0 && at_ == size_; }
    bool has_output() const { return to_ >= 0 && at_ < size_; }

    // False at the end of our input.
    bool read()
    {
        if (left_ == 0) {  // nothing more is expected: this does not belong to the program
            const ssize_t got = ::read(0, block_, sizeof block_);
            return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
        }
        const auto wanted = std::min<unsigned long long>(left_, sizeof block_);
        const ssize_t got = ::read(0, block_, static_cast<std::size_t>(wanted));
        if (got < 0) return errno == EAGAIN || errno == EINTR;
        if (got == 0) return false;
        left_ -= static_cast<unsigned long long>(got);
        at_ = 0;
        size_ = static_cast<std::size_t>(got);
        if (to_ < 0) at_ = size_;
        return true;
    }

    void write()
    {
        const ssize_t put = ::write(to_, block_ + at_, size_ - at_);
        if (put > 0) at_ += static_cast<std::size_t>(put);
        if (put < 0 && errno != EAGAIN && errno != EINTR) {  // the program has closed it
            ::close(to_);
            to_ = -1;
            at_ = size_;
        }
        close_when_done();
    }

private:
    void close_when_done()
    {
        if (left_ > 0 || at_ < size_ || to_ < 0) return;
        ::close(to_);
        to_ = -1;
    }

    unsigned long long left_;
    int to_;
    std::size_t at_{0};
    std::size_t size_{0};
    char block_[16'384];
};

[[noreturn]] void end_with(int status) { ::_exit(exit_code_of(status)); }

}  // namespace

int jail_main(int argc, char** argv)
{
    options how;
    if (!parse(argc, argv, how)) {
        std::fprintf(
            stderr,
            "usage: sandboxd-init --jail [--exec] [--merge] [--stdin BYTES] [--descriptors SOCKET] [--word WORD] [--filter DIGITS] [--keep NUMBER]... "
            "[--rlimit RESOURCE:VALUE]... [--unset NAME]... -- PROGRAM ARGUMENTS...\n");
        return 2;
    }
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    // The server may have died before that; then nobody reads our output either.
    if (nobody_reads(1) || nobody_reads(2)) return server_is_gone;
    ::signal(SIGPIPE, SIG_IGN);
    if (how.merge) ::dup2(1, 2);
    if (how.descriptors != nullptr) receive_descriptors(how);
    close_others(how);
    if (how.exec) become(how);

    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    sigset_t watched;
    ::sigemptyset(&watched);
    ::sigaddset(&watched, SIGCHLD);
    ::sigaddset(&watched, SIGTERM);
    ::sigprocmask(SIG_SETMASK, &watched, nullptr);
    const int signals = ::signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
    int input[2] = {-1, -1};
    if (how.stdin_is_life && how.stdin_bytes > 0) {
        if (::pipe2(input, O_CLOEXEC) != 0) fail("pipe");
        ::fcntl(input[1], F_SETFL, O_NONBLOCK);
    } else if (how.stdin_is_life) {
        input[0] = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    }

    const pid_t program = begin_program([&] {
        if (input[0] >= 0) ::dup2(input[0], 0);
        become(how);
    });
    if (program < 0) fail("fork");
    for (const int one : how.keep) ::close(one);
    if (input[0] >= 0) ::close(input[0]);
    feeder feed{how.stdin_bytes, input[1]};

    for (;;) {
        const bool listens = how.stdin_is_life && !feed.has_output();
        pollfd polled[] = {{signals, POLLIN, 0},
                           {1, 0, 0},
                           {2, 0, 0},
                           {listens ? 0 : -1, POLLIN, 0},
                           {feed.has_output() ? feed.to() : -1, POLLOUT, 0}};
        if (::poll(polled, std::size(polled), -1) < 0) continue;
        if (((polled[1].revents | polled[2].revents) & POLLERR) != 0) return server_is_gone;
        if (polled[0].revents != 0) {
            signalfd_siginfo seen{};
            while (::read(signals, &seen, sizeof seen) == static_cast<ssize_t>(sizeof seen))
                if (seen.ssi_signo == SIGTERM) return 128 + SIGTERM;
            int status = 0;
            for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;)
                if (pid == program) end_with(status);
        }
        if (polled[3].revents != 0 && !feed.read()) return server_is_gone;
        if (polled[4].revents != 0) feed.write();
    }
}

}  // namespace sandboxd::init
