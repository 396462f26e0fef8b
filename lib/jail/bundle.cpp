#include "jail/bundle.hpp"

#include "base/text_file.hpp"
#include "base/unique_fd.hpp"
#include "disk/files.hpp"
#include "disk/remove_tree.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>

namespace fs = std::filesystem;

namespace sandboxd::jail {
namespace {

// Nothing where it cannot be read.
std::vector<std::string> names_in(const std::string& directory)
{
    std::vector<std::string> names;
    disk::listing items{unique_fd{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)}};
    while (const auto* item = items.next()) names.emplace_back(item->name);
    return names;
}

result<void> write_file(const std::string& file, std::string_view text, mode_t mode)
{
    const auto slash = file.rfind('/');
    const unique_fd parent{::open(file.substr(0, slash).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    // Its mode is exactly this, whatever the umask: those who run as another uid read it.
    if (!parent || !disk::write_new(parent.get(), file.c_str() + slash + 1, text, mode))
        return system_error(errc::io, file);
    return {};
}

}  // namespace

result<bundle> bundle::make(const std::string& containers, const std::string& name,
                            const std::optional<process::identity>& owner)
{
    bundle made = adopt(containers, name);
    made.owner_ = owner;
    if (::mkdir(made.path_.c_str(), 0700) != 0) {
        auto why = system_error(errc::io, made.path_);
        made.path_.clear();  // somebody else's
        return why;
    }
    for (const auto& path : {made.path_ + "/rootfs", made.path_ + "/state"}) {
        if (::mkdir(path.c_str(), 0755) != 0 || ::chmod(path.c_str(), 0755) != 0) return system_error(errc::io, path);
        if (owner && ::chown(path.c_str(), owner->uid, owner->gid) != 0) return system_error(errc::io, path);
    }
    if (owner && ::chown(made.path_.c_str(), owner->uid, owner->gid) != 0) return system_error(errc::io, made.path_);
    return made;
}

result<void> bundle::make_folders(const std::vector<std::string>& folders,
                                  const std::optional<process::identity>& owner) const
{
    if (folders.empty()) return {};
    auto all = folders;
    all.insert(all.begin(), "/tmp");
    for (const auto& one : all) {
        const auto path = path_ + "/rootfs" + one;
        if (::mkdir(path.c_str(), 0755) != 0 || ::chmod(path.c_str(), 0755) != 0) return system_error(errc::io, path);
        if (owner && ::lchown(path.c_str(), owner->uid, owner->gid) != 0) return system_error(errc::io, path);
    }
    return {};
}

bundle::~bundle()
{
    if (path_.empty()) return;
    const auto slash = path_.rfind('/');
    const unique_fd parent{::open(path_.substr(0, slash).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (parent) static_cast<void>(disk::remove_tree(parent.get(), path_.substr(slash + 1)));
}

result<void> bundle::write_config(std::string_view text) const
{
    return write_file(path_ + "/config.json", text, 0644);
}

result<void> bundle::put(std::string_view path, std::string_view text) const
{
    const auto there = in_root(path);
    return there ? write_file(*there, text, 0444) : there.error();
}

result<void> bundle::put_program(std::string_view path, const std::string& source) const
{
    const unique_fd from{::open(source.c_str(), O_RDONLY | O_CLOEXEC)};
    struct stat seen{};
    if (!from || ::fstat(from.get(), &seen) != 0 || !S_ISREG(seen.st_mode)) return system_error(errc::io, source);
    const auto there = in_root(path);
    if (!there) return there.error();
    const unique_fd to{::open(there->c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0700)};
    if (!to) return system_error(errc::io, *there);
    off_t left = seen.st_size;
    while (left > 0) {
        const ssize_t put =
            ::copy_file_range(from.get(), nullptr, to.get(), nullptr, static_cast<std::size_t>(left), 0);
        if (put > 0) {
            left -= put;
            continue;
        }
        // These two file systems do not support it.
        const ssize_t sent = ::sendfile(to.get(), from.get(), nullptr, static_cast<std::size_t>(left));
        if (sent <= 0) return system_error(errc::io, *there);
        left -= sent;
    }
    if (::fchmod(to.get(), 0555) != 0) return system_error(errc::io, *there);
    return {};
}

// Nothing runs in there yet, so nobody can have placed a link.
result<std::string> bundle::in_root(std::string_view path) const
{
    const auto root = path_ + "/rootfs";
    for (auto slash = path.find('/', 1); slash != std::string_view::npos; slash = path.find('/', slash + 1)) {
        const auto directory = root + std::string{path.substr(0, slash)};
        if (::mkdir(directory.c_str(), 0755) != 0) {
            if (errno == EEXIST) continue;
            return system_error(errc::io, directory);
        }
        if (::chmod(directory.c_str(), 0755) != 0) return system_error(errc::io, directory);
        // The runtime makes mount points there.
        if (owner_ && ::chown(directory.c_str(), owner_->uid, owner_->gid) != 0)
            return system_error(errc::io, directory);
    }
    return root + std::string{path};
}

bool bundle::has_state() const { return !names_in(path_ + "/state").empty(); }

result<void> make_containers_directory(const std::string& path)
{
    std::error_code ec;
    fs::create_directories(path, ec);
    // A runtime that dropped its uid must be able to reach its own files.
    if (ec || ::chmod(path.c_str(), 0711) != 0)
        return error{errc::io, path + " cannot hold containers: " + (ec ? ec.message() : std::strerror(errno))};
    return {};
}

std::vector<std::string> bundles_in(const std::string& containers)
{
    auto names = names_in(containers);
    std::erase_if(names, [](const auto& name) { return !name.starts_with(container_prefix); });
    return names;
}

void kill_container(std::string_view name)
{
    const std::string part = "/" + std::string{name};
    const std::string root = part + "/rootfs ";
    for (const auto& entry : names_in("/proc")) {
        pid_t pid = 0;
        const auto [end, ec] = std::from_chars(entry.data(), entry.data() + entry.size(), pid);
        if (ec != std::errc{} || end != entry.data() + entry.size() || pid == ::getpid()) continue;
        const auto base = "/proc/" + entry;
        if (read_text(base + "/mountinfo").find(root) != std::string::npos ||
            read_text(base + "/cmdline").find(part) != std::string::npos)
            ::kill(pid, SIGKILL);
    }
}

}  // namespace sandboxd::jail
