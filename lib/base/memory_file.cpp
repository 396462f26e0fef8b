#include "base/memory_file.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <string>

namespace sandboxd {

result<unique_fd> memory_file(const char* name, std::string_view content)
{
    unique_fd file{::memfd_create(name, MFD_CLOEXEC)};
    if (!file || ::pwrite(file.get(), content.data(), content.size(), 0) != static_cast<ssize_t>(content.size()))
        return system_error(errc::internal, "cannot make the file in memory '" + std::string{name} + "'");
    return file;
}

}  // namespace sandboxd
