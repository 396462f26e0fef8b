#include "base/text_file.hpp"

#include "base/unique_fd.hpp"

#include <fcntl.h>
#include <unistd.h>

namespace sandboxd {

std::string read_text(const std::string& file)
{
    std::string text;
    const unique_fd fd{::open(file.c_str(), O_RDONLY | O_CLOEXEC)};
    char block[4096];
    for (ssize_t got = 0; fd && (got = ::read(fd.get(), block, sizeof block)) > 0;)
        text.append(block, static_cast<std::size_t>(got));
    return text;
}

}  // namespace sandboxd
