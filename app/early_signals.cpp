#include "early_signals.hpp"

#include <unistd.h>

namespace sandboxd::app {

namespace {

constexpr std::array<int, 6> numbers{SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2};

extern "C" void end_at_once(int) { ::_exit(0); }

}  // namespace

early_signals::early_signals() noexcept
{
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        struct sigaction now{};
        now.sa_handler = numbers[i] == SIGTERM || numbers[i] == SIGINT || numbers[i] == SIGQUIT ? end_at_once : SIG_IGN;
        ::sigaction(numbers[i], &now, &before_[i]);
    }
}

void early_signals::give_back() noexcept
{
    for (std::size_t i = 0; i < numbers.size(); ++i) ::sigaction(numbers[i], &before_[i], nullptr);
}

}  // namespace sandboxd::app
