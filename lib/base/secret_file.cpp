#include "base/secret_file.hpp"

#include "base/unique_fd.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace sandboxd {

namespace {

constexpr std::size_t most_bytes = 4096;
constexpr mode_t not_for_a_secret = S_IWGRP | S_IRWXO;

}  // namespace

result<std::string> read_secret(const std::string& file, std::size_t least)
{
    // O_NONBLOCK: a FIFO must not hold up the start.
    const unique_fd opened{::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
    if (!opened) return system_error(errc::io, file + " cannot be opened");
    struct stat status{};
    if (::fstat(opened.get(), &status) != 0) return system_error(errc::io, file + " cannot be looked at");
    if (!S_ISREG(status.st_mode)) return invalid_request(file + " is not a plain file");
    if ((status.st_mode & not_for_a_secret) != 0)
        return invalid_request(file + " can be read or changed by other users; chmod it to 0400 or 0440");
    std::string text(most_bytes + 1, '\0');
    std::size_t size = 0;
    while (size < text.size()) {
        const auto got = ::read(opened.get(), text.data() + size, text.size() - size);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return system_error(errc::io, file + " cannot be read");
        if (got == 0) break;
        size += static_cast<std::size_t>(got);
    }
    text.resize(size);
    if (size > most_bytes) return invalid_request(file + " has more than " + std::to_string(most_bytes) + " bytes");
    if (text.ends_with('\n')) text.pop_back();
    if (text.ends_with('\r')) text.pop_back();
    if (text.find_first_of("\r\n") != std::string::npos)
        return invalid_request(file + " has several lines, where one is the secret");
    if (text.size() < least)
        return invalid_request(file + " is too short: " + std::to_string(text.size()) + " bytes, where at least " +
                               std::to_string(least) + " are needed");
    return text;
}

}  // namespace sandboxd
