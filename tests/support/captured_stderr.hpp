// What goes to file descriptor 2 while this lives, for tests of what is logged.
#pragma once

#include "base/log.hpp"
#include "base/unique_fd.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <stdexcept>
#include <string>

namespace sandboxd::test {

class captured_stderr {
public:
    captured_stderr() : real_{::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)}, file_{::memfd_create("stderr", MFD_CLOEXEC)}
    {
        log::flush();
        if (!real_ || !file_ || ::dup2(file_.get(), STDERR_FILENO) < 0)
            throw std::runtime_error("cannot redirect standard error");
    }
    ~captured_stderr()
    {
        log::flush();
        ::dup2(real_.get(), STDERR_FILENO);
    }
    captured_stderr(const captured_stderr&) = delete;
    captured_stderr& operator=(const captured_stderr&) = delete;

    // Everything so far; `flush` first what the log may still hold back, or look without.
    std::string text(bool flush = true) const
    {
        if (flush) log::flush();
        std::string bytes(static_cast<std::size_t>(::lseek(file_.get(), 0, SEEK_END)), '\0');
        const auto got = ::pread(file_.get(), bytes.data(), bytes.size(), 0);
        bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
        return bytes;
    }

private:
    unique_fd real_;
    unique_fd file_;
};

}  // namespace sandboxd::test
