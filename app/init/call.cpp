#include "call.hpp"

#include "toolchain/tool_protocol.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::init {

namespace {

namespace protocol = sandboxd::toolchain::protocol;

struct job {
    char word{0};
    std::string text;  // the argument vector, each word with its NUL; empty: there is no job
};

// Reads a whole file, which is the server's.
std::string content_of(int file)
{
    std::string text;
    struct stat seen{};
    if (::fstat(file, &seen) != 0 || seen.st_size > static_cast<off_t>(protocol::most_call_bytes)) return text;
    text.resize(static_cast<std::size_t>(seen.st_size));
    std::size_t filled = 0;
    while (filled < text.size()) {
        const ssize_t got = ::pread(file, text.data() + filled, text.size() - filled, static_cast<off_t>(filled));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return {};
        filled += static_cast<std::size_t>(got);
    }
    return text;
}

// Says that the jail stands, and waits until there is a job for it.
job wait_for_job()
{
    job given;
    const char nothing = 0;
    iovec piece{&given.word, sizeof given.word};
    int file = -1;
    alignas(cmsghdr) char space[CMSG_SPACE(sizeof file)];
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = space;
    message.msg_controllen = CMSG_LEN(sizeof file);
    ssize_t got = -1;
    if (::send(protocol::ready_fd_inside, &nothing, 1, MSG_NOSIGNAL) == 1) {
        do {
            got = ::recvmsg(protocol::ready_fd_inside, &message, MSG_CMSG_CLOEXEC);
        } while (got < 0 && errno == EINTR);
    }
    ::close(protocol::ready_fd_inside);
    const cmsghdr* const head = got == 1 ? CMSG_FIRSTHDR(&message) : nullptr;
    if (head == nullptr || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) return given;
    std::memcpy(&file, CMSG_DATA(head), sizeof file);
    given.text = content_of(file);
    ::close(file);
    return given;
}

int connect_to(std::uint32_t tool)
{
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un name{};
    const auto size = protocol::put_name(name, tool);
    if (fd >= 0 && ::connect(fd, reinterpret_cast<const sockaddr*>(&name), size) == 0) return fd;
    if (fd >= 0) ::close(fd);
    return -1;
}

bool send_all(int to, std::string_view text)
{
    while (!text.empty()) {
        const ssize_t put = ::send(to, text.data(), text.size(), MSG_NOSIGNAL);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return false;
        text.remove_prefix(static_cast<std::size_t>(put));
    }
    return true;
}

// How the call ended; nothing where the tool is not there, or vanished.
std::optional<int> call(std::uint32_t tool, char** words)
{
    std::string text;
    protocol::call told{};
    for (char** one = words; *one != nullptr; ++one, ++told.arguments) text.append(*one, std::strlen(*one) + 1);
    for (char** one = environ; *one != nullptr; ++one, ++told.variables) text.append(*one, std::strlen(*one) + 1);
    if (text.size() > protocol::most_call_bytes) return std::nullopt;
    told.bytes = static_cast<std::uint32_t>(text.size());

    const int to = connect_to(tool);
    const int here = ::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (to < 0 || here < 0) return std::nullopt;
    const int given[protocol::most_descriptors] = {0, 1, 2, here, protocol::ask_fd_inside};
    const bool asks = ::fcntl(protocol::ask_fd_inside, F_GETFD) >= 0;
    const std::size_t given_bytes = asks ? sizeof given : sizeof given - sizeof *given;
    iovec piece{&told, sizeof told};
    alignas(cmsghdr) char space[CMSG_SPACE(sizeof given)]{};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = space;
    message.msg_controllen = CMSG_SPACE(given_bytes);
    cmsghdr* const head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(given_bytes);
    std::memcpy(CMSG_DATA(head), given, given_bytes);
    protocol::ended how{};
    const bool sent = ::sendmsg(to, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof told) && send_all(to, text);
    // It is Python's alone from now on: its end is the end of the questions.
    if (asks) ::close(protocol::ask_fd_inside);
    if (!sent || ::recv(to, &how, sizeof how, MSG_WAITALL) != static_cast<ssize_t>(sizeof how)) return std::nullopt;
    return how.status;
}

// By the same signal; a jail's limit keeps any core from being dumped.
[[noreturn]] void end_by(int signal)
{
    ::signal(signal, SIG_DFL);
    ::raise(signal);
    ::_exit(128 + signal);
}

}  // namespace

int call_main(int argc)
{
    if (argc != 2) {
        std::fprintf(stderr, "usage: sandboxd-init --call\n");
        return 2;
    }
    auto given = wait_for_job();
    if (given.text.empty() || given.text.back() != '\0') return 127;
    std::vector<char*> words;
    for (std::size_t at = 0; at < given.text.size(); at = given.text.find('\0', at) + 1)
        words.push_back(&given.text[at]);
    words.push_back(nullptr);
    if (given.word == protocol::warm) {
        if (const auto status = call(0, words.data())) {
            if (WIFSIGNALED(*status)) end_by(WTERMSIG(*status));
            return WEXITSTATUS(*status);
        }
    }
    ::execv(words[0], words.data());
    std::fprintf(stderr, "sandboxd-init: %s: %s\n", words[0], std::strerror(errno));
    return 127;
}

}  // namespace sandboxd::init
