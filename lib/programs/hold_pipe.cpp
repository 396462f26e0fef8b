#include "programs/hold_pipe.hpp"

#include "init/hold.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace sandboxd::programs {

std::optional<hold_pipe> hold_pipe::make(bool for_runtime)
{
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return std::nullopt;
    hold_pipe made{unique_fd{ends[0]}, unique_fd{ends[1]}};
    if (for_runtime && ::write(made.ours_.get(), &init::hold::booted, 1) != 1) return std::nullopt;
    return made;
}

bool hold_pipe::is_read() const noexcept
{
    int count = 0;
    return ::ioctl(inside_.get(), FIONREAD, &count) != 0 || count == 0;
}

void hold_pipe::say(std::string_view word) noexcept
{
    const auto told = ::write(ours_.get(), word.data(), word.size());  // both ends are open here
    static_cast<void>(told);
}

}  // namespace sandboxd::programs
