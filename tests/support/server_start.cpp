#include "support/server_start.hpp"

#include "support/proc.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <stdexcept>
#include <string_view>

namespace sandboxd::test {

server_start::server_start(std::vector<std::string> arguments)
{
    arguments.insert(arguments.begin(), SANDBOXD_BINARY);
    std::vector<char*> argv;
    for (auto& one : arguments) argv.push_back(one.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ < 0) throw std::runtime_error("fork failed");
    if (pid_ > 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int null = ::open("/dev/null", O_RDWR);
    for (const int fd : {0, 1, 2}) ::dup2(null, fd);
    ::close_range(3, ~0U, 0);
    ::execv(argv.front(), argv.data());
    ::_exit(127);
}

server_start::~server_start()
{
    if (pid_ < 0) return;
    ::kill(pid_, SIGKILL);
    wait();
}

void server_start::signal(int number) const { ::kill(pid_, number); }

bool server_start::is_ready_for_signals() const
{
    const auto status = text_of("/proc/" + std::to_string(pid_) + "/status");
    const auto mask_of = [&status](std::string_view name) -> std::uint64_t {
        const auto at = status.find(name);
        return at == std::string::npos ? 0 : std::stoull(status.substr(at + name.size(), 16), nullptr, 16);
    };
    const auto taken = mask_of("SigIgn:\t") | mask_of("SigCgt:\t");
    const auto is_taken = [taken](int number) { return ((taken >> (number - 1)) & 1) != 0; };
    return std::ranges::all_of(std::initializer_list<int>{SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2},
                               is_taken);
}

process_end server_start::wait()
{
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return WIFEXITED(status) ? process_end{true, WEXITSTATUS(status)} : process_end{false, WTERMSIG(status)};
}

}  // namespace sandboxd::test
