#include "process/spawn.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sandboxd::process {
namespace {

// Why vfork and not a launcher of Boost.Process: the launchers of 1.83 run the parent's exit handlers in a child that
// failed to exec, leave it a zombie, and miscount the descriptors to close. With vfork the child reports a failure
// through the parent's memory: there is no pipe to read, and the cost does not grow with the server's memory. The
// price is that the child shares the parent's memory until exec: it may only make system calls and write what it
// owns, and no signal handler may run in it.

// Everything that the child needs, prepared before the vfork; the child allocates nothing.
struct plan {
    const command* what;
    std::vector<char*> argv;
    std::vector<char*> envp;
    std::vector<std::pair<int, int>> fds;  // each source is above every target
    struct alias {
        const char* source;
        std::string target;
        bool directory;
    };
    std::vector<alias> aliases;
    struct device {
        std::string target;
        std::string source;  // the host's, where no node can be made
        dev_t number;
    };
    std::vector<device> devices;
    std::string uid_map;
    std::string gid_map;
    pid_t parent;
};

constexpr unsigned memory_devices = 1;

struct failure {
    const char* volatile step{nullptr};
    volatile int reason{0};
};

char* mutable_c_str(const std::string& text) { return const_cast<char*>(text.c_str()); }

[[noreturn]] void give_up(failure& why, const char* step)
{
    why.reason = errno;
    why.step = step;
    ::_exit(127);
}

bool write_file(const char* path, std::string_view text)
{
    const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return false;
    const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    const int reason = errno;
    ::close(fd);
    errno = reason;
    return written;
}

void default_signals()
{
    struct sigaction action = {};
    action.sa_handler = SIG_DFL;
    // SIGKILL, SIGSTOP and the two that libc keeps for itself refuse; that is fine.
    for (int number = 1; number < NSIG; ++number) ::sigaction(number, &action, nullptr);
}

void make_device(const plan::device& device, failure& why)
{
    const char* const path = device.target.c_str();
    if (::mknod(path, S_IFCHR | 0600, device.number) == 0 && ::chmod(path, 0666) == 0) return;
    const int fd = ::open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) give_up(why, "create file");
    ::close(fd);
    if (::mount(device.source.c_str(), path, nullptr, MS_BIND, nullptr) != 0) give_up(why, "bind mount");
}

void make_aliases(const plan& p, failure& why)
{
    const auto& directory = p.what->aliases->directory;
    if (::unshare(CLONE_NEWNS) != 0) give_up(why, "unshare mounts");
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) give_up(why, "make mounts private");
    const unsigned long flags = MS_NOSUID | (p.devices.empty() ? MS_NODEV : 0);
    if (::mount("tmpfs", directory.c_str(), "tmpfs", flags, "mode=0711,size=1m") != 0) give_up(why, "mount tmpfs");
    for (const auto& device : p.devices) make_device(device, why);
    for (const auto& alias : p.aliases) {
        if (alias.directory) {
            if (::mkdir(alias.target.c_str(), 0700) != 0) give_up(why, "mkdir");
        } else {
            const int fd = ::open(alias.target.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
            if (fd < 0) give_up(why, "create file");
            ::close(fd);
        }
        if (::mount(alias.source, alias.target.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0)
            give_up(why, "bind mount");
    }
}

// Raw system calls: libc's wrappers would change every thread of the process, and the process' memory is the
// parent's.
void drop_to(const identity& who, failure& why)
{
    if (::syscall(SYS_setgroups, 0, nullptr) != 0) give_up(why, "setgroups");
    if (::syscall(SYS_setresgid, who.gid, who.gid, who.gid) != 0) give_up(why, "setresgid");
    if (::syscall(SYS_setresuid, who.uid, who.uid, who.uid) != 0) give_up(why, "setresuid");
}

void enter_user_namespace(const plan& p, failure& why)
{
    // Dropping the uid made the memory (the parent's, until exec) undumpable, so root owns /proc/self. Make it
    // dumpable only while the maps are written; the parent restores its flag afterwards.
    if (::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0) give_up(why, "set dumpable");
    if (::unshare(CLONE_NEWUSER) != 0) give_up(why, "unshare user namespace");
    if (!write_file("/proc/self/setgroups", "deny")) give_up(why, "write setgroups");
    if (!write_file("/proc/self/uid_map", p.uid_map)) give_up(why, "write uid_map");
    if (!write_file("/proc/self/gid_map", p.gid_map)) give_up(why, "write gid_map");
    if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) give_up(why, "clear dumpable");
}

void enter_network_namespace(failure& why)
{
    if (::unshare(CLONE_NEWNET) != 0) give_up(why, "unshare network");
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) give_up(why, "make a socket");
    ifreq loopback = {};
    loopback.ifr_name[0] = 'l';
    loopback.ifr_name[1] = 'o';
    loopback.ifr_flags = IFF_UP | IFF_RUNNING;
    if (::ioctl(fd, SIOCSIFFLAGS, &loopback) != 0) give_up(why, "bring the loopback up");
    ::close(fd);
    // Who has no /proc/sys that can be written has the count of sockets to bound them (process::memory_of).
    static_cast<void>(write_file("/proc/sys/net/ipv4/tcp_rmem", tcp_buffers));
    static_cast<void>(write_file("/proc/sys/net/ipv4/tcp_wmem", tcp_buffers));
}

[[noreturn]] void become(const plan& p, failure& why)
{
    const command& what = *p.what;
    if (::setsid() < 0) give_up(why, "setsid");
    if (what.enter_cgroup >= 0 && ::write(what.enter_cgroup, "0", 1) != 1) give_up(why, "enter the cgroup");
    // When memory runs out, a child is killed before the server, however small it is. Raising the score needs no
    // privilege; if it fails nevertheless (a read-only /proc), the kernel chooses. It does not affect the parent
    // whose memory we share: the kernel makes an exception for vfork.
    static_cast<void>(write_file("/proc/self/oom_score_adj", "1000"));
    default_signals();
    // The usual umask, whatever the server's is. Only the child gets it: vfork does not share the umask.
    ::umask(022);
    // Mark every descriptor first. Copying one to its number in the child clears its mark.
    if (::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) != 0) give_up(why, "close_range");
    for (const auto& [source, target] : p.fds)
        if (::dup2(source, target) < 0) give_up(why, "dup2");
    if (what.aliases) make_aliases(p, why);
    if (what.run_as) drop_to(*what.run_as, why);
    if (what.own_user_namespace) enter_user_namespace(p, why);
    if (what.own_network) enter_network_namespace(why);
    for (const auto& limit : what.rlimits) {
        struct rlimit now = {};
        // glibc types the resource as an enumeration in C++ when _GNU_SOURCE is set.
        if (::syscall(SYS_prlimit64, 0, limit.resource, nullptr, &now) != 0) give_up(why, "getrlimit");
        now.rlim_cur = now.rlim_max = limit.value < now.rlim_max ? limit.value : now.rlim_max;
        if (::syscall(SYS_prlimit64, 0, limit.resource, &now, nullptr) != 0) give_up(why, "setrlimit");
    }
    // After the change of uid, which clears it. The server may have died before it was set.
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) give_up(why, "set parent-death signal");
    if (::getppid() != p.parent) ::_exit(127);
    if (what.no_new_privs && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) give_up(why, "set no_new_privs");
    if (::chdir(what.cwd.c_str()) != 0) give_up(why, "chdir");
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execve(p.argv.front(), p.argv.data(), p.envp.data());
    give_up(why, "exec");
}

// Keep this function small: no value may live across vfork in a register that the child could overwrite.
[[gnu::noinline]] pid_t fork_into(const plan& p, failure& why)
{
    const pid_t pid = ::vfork();   // NOLINT(bugprone-unsafe-functions): see the top
    if (pid == 0) become(p, why);  // NOLINT(clang-analyzer-unix.Vfork): system calls only
    return pid;
}

error step_failed(const command& what, const char* step, int reason)
{
    std::string message = "cannot run " + what.argv.front() + ": ";
    if (std::string_view{step} != "exec") message += std::string{step} + ": ";
    return {errc::unavailable, message + std::strerror(reason)};
}

}  // namespace

result<started> start(const command& what, int in, int out, int err)
{
    // A script without its interpreter, a directory, a missing file: exec reports them all.
    plan p{};
    p.what = &what;
    p.parent = ::getpid();
    for (const auto& argument : what.argv) p.argv.push_back(mutable_c_str(argument));
    p.argv.push_back(nullptr);
    std::vector<std::string> env;
    env.reserve(what.env.size());
    for (const auto& [key, value] : what.env) env.push_back(key + "=" + value);
    for (const auto& entry : env) p.envp.push_back(mutable_c_str(entry));
    p.envp.push_back(nullptr);

    if (what.aliases) {
        std::size_t index = 0;
        for (const auto& source : what.aliases->sources) {
            struct stat status = {};
            if (::stat(source.c_str(), &status) != 0) return step_failed(what, source.c_str(), errno);
            p.aliases.push_back(
                {source.c_str(), what.aliases->directory + "/" + std::to_string(index++), S_ISDIR(status.st_mode)});
        }
        if (what.aliases->devices)
            for (const auto& [name, minor] : device_nodes)
                p.devices.push_back({what.aliases->directory + "/" + name, std::string{"/dev/"} + name,
                                     makedev(memory_devices, minor)});
    }
    if (what.own_user_namespace) {
        const identity self = what.run_as.value_or(identity{::geteuid(), ::getegid()});
        p.uid_map = std::to_string(self.uid) + " " + std::to_string(self.uid) + " 1\n";
        p.gid_map = std::to_string(self.gid) + " " + std::to_string(self.gid) + " 1\n";
    }

    // Move the sources above every target, so that no dup2 in the child overwrites a later source.
    p.fds = {{in, 0}, {out, 1}, {err, 2}};
    p.fds.insert(p.fds.end(), what.pass_fds.begin(), what.pass_fds.end());
    int highest = 2;
    for (const auto& entry : p.fds) highest = std::max(highest, entry.second);
    std::vector<unique_fd> moved;
    for (auto& [source, target] : p.fds) {
        if (source > highest) continue;
        moved.emplace_back(::fcntl(source, F_DUPFD_CLOEXEC, highest + 1));
        if (!moved.back()) return system_error(errc::internal, "cannot duplicate a descriptor");
        source = moved.back().get();
    }

    failure why;
    const int dumpable = ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
    sigset_t all, before;
    ::sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, &before);
    const pid_t pid = fork_into(p, why);
    const int fork_error = errno;
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    if (what.run_as || what.own_user_namespace) ::prctl(PR_SET_DUMPABLE, dumpable == 1 ? 1 : 0, 0, 0, 0);

    if (pid < 0) return system_error(errc::internal, "cannot fork", fork_error);
    if (why.step != nullptr) {
        ::waitpid(pid, nullptr, 0);
        return step_failed(what, why.step, why.reason);
    }
    unique_fd pidfd{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0U))};
    if (!pidfd) {
        const int reason = errno;
        ::kill(-pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
        return system_error(errc::internal, "cannot watch a child", reason);
    }
    started child{pid, std::move(pidfd)};
    return child;
}

}  // namespace sandboxd::process
