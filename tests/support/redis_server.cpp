#include "support/redis_server.hpp"

#include "support/eventually.hpp"
#include "support/unused_port.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <utility>

namespace sandboxd::test {

namespace {

struct program {
    const char* file;
    const char* called;
};

// The server is one program with its checkers, which does as it is called. Debian's redis-tools has it under a
// checker's name alone, without a service.
constexpr std::array<program, 4> programs{{{"/usr/bin/redis-server", "redis-server"},
                                           {"/usr/bin/valkey-server", "valkey-server"},
                                           {"/usr/bin/redis-check-rdb", "redis-server"},
                                           {"/usr/bin/valkey-check-rdb", "valkey-server"}}};

const program* found()
{
    for (const auto& one : programs)
        if (::access(one.file, X_OK) == 0) return &one;
    return nullptr;
}

}  // namespace

std::string redis_server::missing() { return found() ? "" : "there is no Redis and no Valkey (Debian: redis-tools)"; }

redis_server::redis_server(options how) : how_{std::move(how)}
{
    // Another may take the port before the server does.
    for (int attempt = 0; attempt < 5; ++attempt) {
        port_ = unused_port();
        if (start()) return;
    }
    throw std::runtime_error("Redis did not start: " + log());
}

redis_server::~redis_server() { end(); }

void redis_server::signal(int number) const { ::kill(pid_, number); }

void redis_server::end()
{
    if (pid_ <= 0) return;
    ::kill(pid_, SIGTERM);
    ::kill(pid_, SIGCONT);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
}

void redis_server::start_again()
{
    end();
    if (!start()) throw std::runtime_error("Redis did not start again: " + log());
}

bool redis_server::start()
{
    const auto* const server = found();
    if (!server) throw std::runtime_error(missing());
    const bool has_tls = !how_.certificate.empty();
    std::vector<std::string> arguments{server->called,
                                       "--bind",
                                       "127.0.0.1",
                                       "--unixsocket",
                                       socket(),
                                       "--save",
                                       "",
                                       "--appendonly",
                                       "no",
                                       "--dir",
                                       here_.path(),
                                       "--daemonize",
                                       "no",
                                       "--port",
                                       has_tls ? "0" : std::to_string(port_)};
    if (has_tls)
        arguments.insert(arguments.end(), {"--tls-port", std::to_string(port_), "--tls-cert-file", how_.certificate,
                                           "--tls-key-file", how_.private_key, "--tls-auth-clients", "no"});
    arguments.insert(arguments.end(), how_.more.begin(), how_.more.end());
    std::vector<char*> argv;
    for (auto& one : arguments) argv.push_back(one.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ < 0) throw std::runtime_error("fork failed");
    if (pid_ == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that is killed for its time takes it with it
        const int out = ::open((here_ / "log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
        ::dup2(::open("/dev/null", O_RDONLY), 0);
        ::dup2(out, 1);
        ::dup2(out, 2);
        ::close_range(3, ~0U, 0);
        ::execv(server->file, argv.data());
        ::_exit(127);
    }
    bool ended = false;
    const bool up = eventually([&] {
        if (::waitpid(pid_, nullptr, WNOHANG) != 0) return ended = true;
        return !say("PING").empty();
    });
    if (up && !ended) return true;
    if (ended) pid_ = -1;
    end();
    return false;
}

std::string redis_server::url(const std::string& user, const std::string& host) const
{
    const auto at = user.empty() ? std::string{} : user + "@";
    return (how_.certificate.empty() ? "redis://" : "rediss://") + at + host + ":" + std::to_string(port_);
}

std::string redis_server::say(const std::string& command) const
{
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un where{};
    where.sun_family = AF_UNIX;
    socket().copy(where.sun_path, sizeof where.sun_path - 1);
    const auto line = command + "\r\n";
    std::string said;
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0 &&
        ::send(fd, line.data(), line.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(line.size())) {
        ::shutdown(fd, SHUT_WR);  // it answers, then it ends
        std::array<char, 4096> piece{};
        for (ssize_t size = 0; (size = ::read(fd, piece.data(), piece.size())) > 0;)
            said.append(piece.data(), static_cast<std::size_t>(size));
    }
    ::close(fd);
    return said;
}

std::string redis_server::log() const
{
    std::ifstream in{here_ / "log"};
    return {std::istreambuf_iterator<char>{in}, {}};
}

}  // namespace sandboxd::test
