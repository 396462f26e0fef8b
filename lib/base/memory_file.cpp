#include "base/memory_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
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

result<unique_fd> empty_memory_file(const char* name)
{
    unique_fd file{::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    if (!file) return system_error(errc::internal, "cannot make the file in memory '" + std::string{name} + "'");
    return file;
}

result<void> seal_memory_file(const unique_fd& file)
{
    // The seals are about its bytes; the mode keeps everybody but its owner from its times.
    if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0 ||
        ::fchmod(file.get(), S_IRUSR | S_IRGRP | S_IROTH) != 0)
        return system_error(errc::internal, "cannot seal a file in memory");
    return {};
}

}  // namespace sandboxd
