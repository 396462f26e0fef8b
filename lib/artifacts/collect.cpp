#include "artifacts/collect.hpp"

#include "artifacts/names.hpp"
#include "base/text.hpp"
#include "disk/files.hpp"

#include <fcntl.h>

#include <cerrno>
#include <cstring>

namespace sandboxd::artifacts {

namespace {

error rejected(std::string_view name, std::string_view what)
{
    return {errc::artifact_rejected, "the job left " + in_quotes(name) + ", which " + std::string{what}};
}

class collector {
public:
    collector(int directory, const collect_caps& caps) : directory_{directory}, caps_{caps} {}

    // Adds one file, if it exists.
    result<void> add(const std::string& name)
    {
        // Look first, so that we do not open anything that reacts to being opened, such as a device. The opened file
        // may be another one, so it is checked again through the descriptor.
        struct stat status{};
        if (::fstatat(directory_, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
            if (errno == ENOENT) return {};
            return disk::io_error("look at", in_quotes(name), errno);
        }
        if (auto fine = check(name, status); !fine) return fine;
        if (found_.size() >= caps_.max_files) {
            return rejected(name, "exceeds the limit of " + std::to_string(caps_.max_files) + " files");
        }

        // O_NONBLOCK, so that neither a FIFO nor a lease (fcntl(2), F_SETLEASE) blocks us.
        auto file = disk::open_in(directory_, name.c_str(), O_RDONLY | O_NONBLOCK);
        if (!file) return could_not_open(name, errno);
        if (::fstat(file.get(), &status) != 0) return disk::io_error("look at", in_quotes(name), errno);
        if (auto fine = check(name, status); !fine) return fine;

        const auto bytes = static_cast<std::uint64_t>(status.st_size);
        if (bytes > caps_.max_bytes_total - total_) {
            return rejected(name, "exceeds the limit of " + std::to_string(caps_.max_bytes_total) +
                                      " bytes for all files together");
        }
        total_ += bytes;
        found_.push_back({name, std::move(file), bytes});
        return {};
    }

    std::vector<collected> take() { return std::move(found_); }

private:
    result<void> check(const std::string& name, const struct stat& status) const
    {
        if (!S_ISREG(status.st_mode))
            return rejected(name, "is " + std::string{disk::kind_of(status.st_mode)} + ", not a plain file");
        if (status.st_nlink != 1) return rejected(name, "is a hard link: the file has other names, too");
        if (static_cast<std::uint64_t>(status.st_size) > caps_.max_bytes_each) {
            return rejected(name, "is too large: " + std::to_string(status.st_size) + " bytes, where " +
                                      std::to_string(caps_.max_bytes_each) + " are allowed");
        }
        return {};
    }

    static result<void> could_not_open(const std::string& name, int cause)
    {
        switch (cause) {
            case ELOOP: return rejected(name, "is a symbolic link, not a plain file");
            case ENXIO: return rejected(name, "is a socket, not a plain file");
            case EXDEV: return rejected(name, "is a mount point, not a plain file");
            case EACCES:
            case EPERM: return rejected(name, "may not be read");
            case EWOULDBLOCK: return rejected(name, "is locked by a lease");
            case ENOENT: return {};
            default: return disk::io_error("open", in_quotes(name), cause);
        }
    }

    int directory_;
    const collect_caps& caps_;
    std::uint64_t total_{0};
    std::vector<collected> found_;
};

}  // namespace

result<std::vector<collected>> collect(int out_dir, std::span<const std::string> names, const collect_caps& caps)
{
    collector found{out_dir, caps};
    for (const auto& name : names) {
        if (!is_plain_name(name)) return error{errc::internal, in_quotes(name) + " is not a plain name"};
        if (auto added = found.add(name); !added) return added.error();
    }
    return found.take();
}

}  // namespace sandboxd::artifacts
