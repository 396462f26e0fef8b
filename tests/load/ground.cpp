#include "load/ground.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <initializer_list>
#include <stdexcept>

namespace sandboxd::test {

namespace {

constexpr std::uint64_t slack_bytes = 256 * 1024;

}  // namespace

ground::ground(std::uint64_t bytes) : work_{own_ / "work"}, bytes_{bytes}
{
    std::filesystem::create_directories(work_);
    const auto options = "mode=0755,size=" + std::to_string(bytes);
    const char* step = nullptr;
    if (::unshare(CLONE_NEWNS) != 0) {
        step = "unshare";
    } else if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
        step = "make mounts private";
    } else if (::mount("tmpfs", work_.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, options.c_str()) != 0) {
        step = "mount tmpfs";
    }
    if (step) {
        why_not_ = std::string{step} + ": " + std::strerror(errno);
        return;
    }
    const auto artifacts = work_ / "artifacts";
    std::filesystem::create_directory(artifacts);
    if (::mount(artifacts.c_str(), artifacts.c_str(), nullptr, MS_BIND, nullptr) != 0)
        throw std::runtime_error(std::string{"bind mount: "} + std::strerror(errno));
}

ground::~ground()
{
    if (!why_not_.empty()) return;
    ::umount2((work_ / "artifacts").c_str(), MNT_DETACH);
    ::umount2(work_.c_str(), MNT_DETACH);
}

bool ground::resize(std::uint64_t bytes)
{
    const auto options = "size=" + std::to_string(bytes);
    return ::mount("tmpfs", work_.c_str(), nullptr, MS_REMOUNT | MS_NOSUID | MS_NODEV, options.c_str()) == 0;
}

bool ground::fill()
{
    // The size comes down to what is used, so that a large disk need not be filled with memory.
    if (!shrunk_) {
        struct statvfs disk{};
        if (::statvfs(work_.c_str(), &disk) != 0) return false;
        const auto used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize;
        shrunk_ = resize(used + slack_bytes);
        if (!shrunk_) return false;  // somebody has written since; next time
    }
    const int filler = ::open((work_ / "filler").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (filler < 0) return errno == ENOSPC;
    static constexpr std::array<char, 4096> piece{};
    while (::write(filler, piece.data(), piece.size()) > 0) {
    }
    const bool full = errno == ENOSPC;
    ::close(filler);
    return full;
}

void ground::free()
{
    ::unlink((work_ / "filler").c_str());
    if (!resize(bytes_)) throw std::runtime_error(std::string{"remount tmpfs: "} + std::strerror(errno));
    shrunk_ = false;
}

bool ground::make_read_only()
{
    constexpr unsigned long how = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV;
    if (::mount(nullptr, (work_ / "artifacts").c_str(), nullptr, how, nullptr) == 0) return true;
    if (errno != EBUSY) throw std::runtime_error(std::string{"remount read-only: "} + std::strerror(errno));
    return false;
}

void ground::make_writable()
{
    constexpr unsigned long how = MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV;
    if (::mount(nullptr, (work_ / "artifacts").c_str(), nullptr, how, nullptr) != 0)
        throw std::runtime_error(std::string{"remount: "} + std::strerror(errno));
}

}  // namespace sandboxd::test
