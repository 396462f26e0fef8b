#include "base/text_file.hpp"

#include "base/unique_fd.hpp"

#include <fcntl.h>
#include <unistd.h>

namespace sandboxd {

std::string read_text(const std::string& file, std::size_t most) { return read_text_in(AT_FDCWD, file.c_str(), most); }

std::string read_text_in(int directory, const char* path, std::size_t most)
{
    std::string text;
    const unique_fd fd{::openat(directory, path, O_RDONLY | O_CLOEXEC)};
    char block[16 * 1024];
    ssize_t got = 0;
    while (fd && text.size() < most && (got = ::read(fd.get(), block, sizeof block)) > 0)
        text.append(block, static_cast<std::size_t>(got));
    return text;
}

}  // namespace sandboxd
