#include "base/memory_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace sandboxd {
namespace {

// memfd_create(2), since Linux 6.3: older ones refuse it, and make every file so that it may be executed.
constexpr unsigned may_be_executed = 0x10;

result<void> seal(const unique_fd& file, mode_t mode)
{
    if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0 ||
        ::fchmod(file.get(), mode) != 0)
        return system_error(errc::internal, "cannot seal a file in memory");
    return {};
}

}  // namespace

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
    return seal(file, S_IRUSR | S_IRGRP | S_IROTH);
}

result<unique_fd> memory_program(const char* name, std::string_view content)
{
    unique_fd file{::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | may_be_executed)};
    if (!file && errno == EINVAL) file.reset(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!file || ::pwrite(file.get(), content.data(), content.size(), 0) != static_cast<ssize_t>(content.size()))
        return system_error(errc::internal, "cannot make the program in memory '" + std::string{name} + "'");
    if (auto sealed = seal(file, S_IRUSR | S_IXUSR | S_IRGRP | S_IXGRP | S_IROTH | S_IXOTH); !sealed)
        return sealed.error();
    return file;
}

}  // namespace sandboxd
