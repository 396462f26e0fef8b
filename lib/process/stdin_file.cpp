#include "process/stdin_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

namespace sandboxd::process {

result<unique_fd> make_stdin_file()
{
    unique_fd file{::memfd_create("stdin", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    if (!file) return system_error(errc::internal, "cannot make a file for stdin");
    return file;
}

result<void> fill_stdin_file(const unique_fd& file, std::string_view text)
{
    for (std::size_t done = 0; done < text.size();) {
        const ssize_t count = ::pwrite(file.get(), text.data() + done, text.size() - done, static_cast<off_t>(done));
        if (count < 0) return system_error(errc::internal, "cannot write the file for stdin");
        done += static_cast<std::size_t>(count);
    }
    ::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
    return {};
}

}  // namespace sandboxd::process
