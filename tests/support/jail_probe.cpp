// Tries, from inside a jail, what a jail must not allow, and prints one line an attempt:
//
//     <attempt> denied <ERRNO>      the kernel refused
//     <attempt> ALLOWED             it went through
//
// Statically linked, so that it runs in a jail without any mount. Attempts are made so that they do
// no harm when they go through, also as root outside of any jail.
//
//     jail_probe walls            every attempt, and a few things that must work ("<thing> works")
//     jail_probe gvisor           all but those that end the jail where init is a program like others
//     jail_probe fork|files|memory|mapped|tmp|shm|file|cpu      runs against one limit, prints how
//     far it came
//     jail_probe descriptors|inotify     takes as much as there is of what the kernel counts for each user
//     jail_probe frozen|tables|forked|sockets|"mapped often"|mappings|pipes     takes memory that no limit of one
//     process counts, and keeps it jail_probe connections      fills connections to itself, prints how much they take
//     jail_probe hold descriptors|inotify     and keeps it
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <utility>

namespace {

void report(const char* attempt, long returned)
{
    if (returned >= 0)
        std::printf("%s ALLOWED\n", attempt);
    else
        std::printf("%s denied %s\n", attempt, ::strerrorname_np(errno));
    std::fflush(stdout);
}

void works(const char* thing, bool it_does) { std::printf("%s %s\n", thing, it_does ? "works" : "FAILS"); }

// In a child, because it may be killed for it or be changed by it.
template <class Attempt>
void report_apart(const char* attempt, Attempt try_it)
{
    std::fflush(stdout);
    const pid_t child = ::fork();
    if (child == 0) {
        errno = 0;
        report(attempt, try_it());
        ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) std::printf("%s denied SIG%s\n", attempt, ::sigabbrev_np(WTERMSIG(status)));
}

long open_and_close(const char* path, int flags)
{
    const int fd = ::open(path, flags | O_CLOEXEC | O_NONBLOCK, 0600);
    if (fd >= 0) ::close(fd);
    return fd;
}

long create(const char* path)
{
    const long fd = open_and_close(path, O_CREAT | O_WRONLY);
    if (fd >= 0) ::unlink(path);
    return fd;
}

long new_process(unsigned long flags)
{
    const long pid = ::syscall(SYS_clone, flags | SIGCHLD, nullptr, nullptr, nullptr, 0UL);
    if (pid == 0) ::_exit(0);
    if (pid > 0) ::waitpid(static_cast<pid_t>(pid), nullptr, 0);
    return pid;
}

long foreign_processes()
{
    DIR* proc = ::opendir("/proc");
    if (proc == nullptr) return -1;
    long highest = 0;
    while (const dirent* entry = ::readdir(proc)) highest = std::max(highest, std::atol(entry->d_name));
    ::closedir(proc);
    // A namespace of our own counts from 1 and knows only this program.
    if (highest > 200) return highest;
    errno = ESRCH;
    return -1;
}

// `killable_init`: PID 1 dies of a signal from inside, and the whole jail with it; so it does in gVisor.
void walls(bool killable_init)
{
    void* const nothing = nullptr;
    alignas(8) char block[4096] = {};

    report_apart("mount",
                 [] { return ::mount("none", "/tmp", "tmpfs", MS_NOSUID, nullptr) == 0 ? ::umount("/tmp") : -1; });
    report("umount2", ::umount2("/proc", UMOUNT_NOFOLLOW | MNT_EXPIRE));
    report("pivot_root", ::syscall(SYS_pivot_root, "/tmp", "/tmp"));
    report_apart("chroot", [] { return ::chroot("/tmp"); });
    report("open_tree", ::syscall(SYS_open_tree, AT_FDCWD, "/", 0));
    report("open_tree_clone", ::syscall(SYS_open_tree, AT_FDCWD, "/", 1));
    report("move_mount", ::syscall(SYS_move_mount, -1, "", -1, "", 0));
    report("fsopen", ::syscall(SYS_fsopen, "tmpfs", 0));
    report("fspick", ::syscall(SYS_fspick, AT_FDCWD, "/", 0));
    report("mount_setattr", ::syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, block, 32));
    report("name_to_handle_at", [&] {
        int mount_id = 0;
        std::memset(block, 0, 4);
        block[0] = 127;
        return ::syscall(SYS_name_to_handle_at, AT_FDCWD, "/", block, &mount_id, 0);
    }());
    report("open_by_handle_at", ::syscall(SYS_open_by_handle_at, AT_FDCWD, block, O_RDONLY));

    report_apart("unshare_user", [] { return ::unshare(CLONE_NEWUSER); });
    report_apart("unshare_mount", [] { return ::unshare(CLONE_NEWNS); });
    report_apart("unshare_net", [] { return ::unshare(CLONE_NEWNET); });
    report_apart("setns", [] {
        const int fd = ::open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
        return ::setns(fd, 0);
    });
    report("clone_user", new_process(CLONE_NEWUSER));
    report("clone_pid", new_process(CLONE_NEWPID));
    report("clone_net_user", new_process(CLONE_NEWNET | CLONE_NEWUSER));
    report("clone3", ::syscall(SYS_clone3, block, 0));

    report_apart("ptrace", [] { return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr); });
    report("process_vm_readv", [&] {
        iovec mine{block, 8};
        iovec theirs{block + 8, 8};
        return ::process_vm_readv(::getpid(), &mine, 1, &theirs, 1, 0);
    }());
    report("pidfd_getfd", ::syscall(SYS_pidfd_getfd, -1, 0, 0));
    report("foreign_processes", foreign_processes());
    if (!killable_init)
        report("kill_all", [] {
            // Nobody but us: the jail's PID 1 cannot be killed from inside.
            return ::kill(1, SIGKILL) == 0 && ::getpid() != 1 && ::getppid() != 1 ? 0 : (errno = EPERM, -1);
        }());

    report("bpf", ::syscall(SYS_bpf, 5 /* BPF_PROG_LOAD */, block, 128));
    std::memset(block, 0, sizeof block);
    report("perf_event_open", [&] {
        block[0] = 1;  // PERF_TYPE_SOFTWARE
        block[4] = 112;
        return ::syscall(SYS_perf_event_open, block, 0, -1, -1, 0);
    }());
    report("userfaultfd", ::syscall(SYS_userfaultfd, 1 /* UFFD_USER_MODE_ONLY */));
    std::memset(block, 0, sizeof block);
    report("io_uring_setup", ::syscall(SYS_io_uring_setup, 4, block));
    report("add_key", ::syscall(SYS_add_key, "user", "sandboxd-probe", "x", 1, -1 /* thread keyring */));
    report("request_key", ::syscall(SYS_request_key, "user", "sandboxd-probe", nothing, -1));
    report("keyctl", ::syscall(SYS_keyctl, 0 /* GET_KEYRING_ID */, -1, 1));
    report("memfd_secret", ::syscall(447, 0));
    report("shmget", [] {
        const int id = ::shmget(IPC_PRIVATE, 4096, 0600);
        if (id >= 0) ::shmctl(id, IPC_RMID, nullptr);
        return id;
    }());

    report("socket_inet", ::socket(AF_INET, SOCK_STREAM, 0));
    report("socket_inet6", ::socket(AF_INET6, SOCK_DGRAM, 0));
    report("socket_raw", ::socket(AF_INET, SOCK_RAW, 255));
    report("socket_packet", ::socket(AF_PACKET, SOCK_RAW, 0));
    report("socket_netlink", ::socket(AF_NETLINK, SOCK_RAW, 0));
    report("socket_alg", ::socket(AF_ALG, SOCK_SEQPACKET, 0));
    report("socket_vsock", ::socket(AF_VSOCK, SOCK_STREAM, 0));

    report("kexec_load", ::syscall(SYS_kexec_load, 0, 0, nothing, ~0UL));
    report("init_module", ::syscall(SYS_init_module, block, 1, ""));
    report("delete_module", ::syscall(SYS_delete_module, "sandboxd-probe-none", O_NONBLOCK));
    report("reboot", ::syscall(SYS_reboot, 0, 0, 0, nothing));
    report("syslog", ::syscall(SYS_syslog, 10 /* SIZE_BUFFER */, nothing, 0));
    report("acct", ::syscall(SYS_acct, "/nonexistent"));
    report("swapon", ::syscall(SYS_swapon, "/nonexistent", 0));
    report("quotactl", ::syscall(SYS_quotactl, 0x800001, nothing, 0, nothing));
    report("settimeofday", ::syscall(SYS_settimeofday, nothing, nothing));
    report("sethostname", [] {
        char host[65] = {};
        ::gethostname(host, 64);
        return ::sethostname(host, std::strlen(host));
    }());
    report_apart("personality", [] { return ::personality(ADDR_NO_RANDOMIZE); });
    report("tiocsti", [&] { return ::ioctl(0, TIOCSTI, block); }());
    report("tiocsti_high_bits", [&] { return ::syscall(SYS_ioctl, 0, 0xffff'0000'0000'0000UL | TIOCSTI, block); }());
    report("tioclinux", [&] { return ::ioctl(0, TIOCLINUX, block); }());
    report("nice_up", ::setpriority(PRIO_PROCESS, 0, ::getpriority(PRIO_PROCESS, 0) - 1));

    report_apart("setuid_root", [] { return ::setuid(0); });
    report_apart("setgid_root", [] { return ::setgid(0); });
    report_apart("setgroups", [] { return ::setgroups(0, nullptr); });
    report("no_new_privs_off", ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? (errno = EPERM, -1) : 0);
    report("mknod_device", [] {
        const int made = ::mknod("/tmp/device", S_IFBLK | 0600, 0x0800);
        if (made == 0) ::unlink("/tmp/device");
        return made;
    }());

    report("read_shadow", open_and_close("/etc/shadow", O_RDONLY));
    report("read_host_file", open_and_close("/etc/debian_version", O_RDONLY));
    report("read_root_home", open_and_close("/root", O_RDONLY | O_DIRECTORY));
    report("read_home", open_and_close("/home", O_RDONLY | O_DIRECTORY));
    report("read_sys", open_and_close("/sys/kernel", O_RDONLY | O_DIRECTORY));
    report("read_disk", open_and_close("/dev/sda", O_RDONLY));
    report("read_mem", open_and_close("/dev/mem", O_RDONLY));
    report("read_kmsg", open_and_close("/dev/kmsg", O_RDONLY));
    report("write_root", create("/sandboxd-probe"));
    report("write_usr", create("/usr/sandboxd-probe"));
    report("write_dev", create("/dev/sandboxd-probe"));
    report("write_proc_sys", open_and_close("/proc/sys/kernel/core_pattern", O_WRONLY));
    report("write_sysrq", open_and_close("/proc/sysrq-trigger", O_WRONLY));

#ifdef __x86_64__
    // The two other doors into the same kernel.
    report_apart("syscall_x32", [] { return ::syscall(0x4000'0000 | SYS_getpid); });
    report_apart("syscall_i386", [] {
        long returned = 20;  // getpid
        asm volatile("int $0x80" : "+a"(returned) : : "memory");
        return returned;
    });
#endif

    works("fork", new_process(0) > 0);
    bool ran = false;
    std::thread{[&ran] { ran = true; }}.join();
    works("thread", ran);
    works("socket_unix", ::socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
    int pair[2];
    works("socketpair", ::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    works("personality_query", ::personality(0xffff'ffff) >= 0);
    works("write_tmp", create("/tmp/file") >= 0);
    works("write_shm", create("/dev/shm/file") >= 0);
    works("dev_null", open_and_close("/dev/null", O_RDWR) >= 0);
    works("dev_urandom", open_and_close("/dev/urandom", O_RDONLY) >= 0);
    works("proc_self", open_and_close("/proc/self/exe", O_RDONLY) >= 0);
    // Nobody, or under Docker the uid that jobs have outside.
    works("unprivileged",
          ::getuid() >= 1000 && ::geteuid() == ::getuid() && ::getgid() >= 1000 && ::getegid() == ::getgid());
    // bubblewrap names the working directory, and nothing else.
    bool foreign = false;
    for (char** entry = ::environ; entry != nullptr && *entry != nullptr; ++entry)
        foreign = foreign || std::strcmp(*entry, "PWD=/") != 0;
    works("empty_environment", !foreign);
}

// Writes zeros to new files in `directory` until that fails; prints the bytes and why.
void fill(const std::string& directory)
{
    static char block[65536];
    ::signal(SIGXFSZ, SIG_IGN);
    long long bytes = 0;
    int fd = -1;
    for (int number = 0; number < 64;) {
        if (fd < 0)
            fd = ::open((directory + "/fill" + std::to_string(number)).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        if (fd < 0) break;
        const ssize_t count = ::write(fd, block, sizeof block);
        if (count > 0) {
            bytes += count;
        } else if (errno == EFBIG) {
            ::close(fd);
            fd = -1;
            ++number;
        } else {
            break;
        }
    }
    std::printf("bytes %lld %s\n", bytes, ::strerrorname_np(errno));
}

// Sends descriptors to itself that nobody takes out, until the kernel has too many under way of one user.
int descriptors_under_way()
{
    int sent = 0;
    for (int pairs = 0; pairs < 16; ++pairs) {
        int ends[2];
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) return sent;
        for (;;) {
            char byte = 0;
            iovec piece{&byte, 1};
            alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int))]{};
            msghdr message{};
            message.msg_iov = &piece;
            message.msg_iovlen = 1;
            message.msg_control = space;
            message.msg_controllen = sizeof space;
            cmsghdr* const head = CMSG_FIRSTHDR(&message);
            head->cmsg_level = SOL_SOCKET;
            head->cmsg_type = SCM_RIGHTS;
            head->cmsg_len = CMSG_LEN(sizeof(int));
            std::memcpy(CMSG_DATA(head), &ends[0], sizeof(int));
            if (::sendmsg(ends[1], &message, MSG_NOSIGNAL) < 0) break;
            ++sent;
        }
        if (errno != EAGAIN) return sent;
    }
    return sent;
}

int inotify_instances()
{
    int made = 0;
    while (made < 10'000 && ::inotify_init1(IN_CLOEXEC) >= 0) ++made;
    return made;
}

// Each line of standard input is a system call: its number, six arguments, and a name. In a child each, since one may
// go through.
void try_rows()
{
    char name[64];
    long number = 0;
    unsigned long a[6];
    while (std::scanf("%ld %lu %lu %lu %lu %lu %lu %63s", &number, &a[0], &a[1], &a[2], &a[3], &a[4], &a[5], name) == 8)
        report_apart(name, [&] { return ::syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]); });
}

// What one jail could use up for the whole machine, see of it, or hold back from it; and memory that no limit counts.
void host_resources()
{
    report("io_setup", [] {
        unsigned long context = 0;
        return ::syscall(SYS_io_setup, 1, &context);
    }());
    report("ptmx", open_and_close("/dev/ptmx", O_RDWR | O_NOCTTY));
    report("pts_ptmx", open_and_close("/dev/pts/ptmx", O_RDWR | O_NOCTTY));
    report("oom_score_adj", [] {
        const int fd = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
        return fd < 0 ? -1 : ::write(fd, "0", 1);
    }());
    report("proc_self_mem", open_and_close("/proc/self/mem", O_RDWR));
    const int watcher = ::inotify_init1(IN_CLOEXEC);
    for (const auto& [name, mask] :
         {std::pair{"inotify_open", IN_OPEN}, std::pair{"inotify_access", IN_ACCESS},
          std::pair{"inotify_close", IN_CLOSE_NOWRITE}, std::pair{"inotify_all", IN_ALL_EVENTS}})
        report(name, ::inotify_add_watch(watcher, "/", static_cast<std::uint32_t>(mask)));
    works("inotify",
          ::inotify_add_watch(watcher, "/tmp",
                              IN_MODIFY | IN_CREATE | IN_DELETE | IN_MOVE | IN_ATTRIB | IN_CLOSE_WRITE) >= 0);
    const int directory = ::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    report("dnotify", ::fcntl(directory, F_NOTIFY, DN_ACCESS));
    const int own = ::open("/tmp/leased", O_CREAT | O_RDONLY | O_CLOEXEC, 0600);
    report("lease", ::fcntl(own, F_SETLEASE, F_RDLCK));
    int pair[2];
    report("socketpair_inet", ::socketpair(AF_INET, SOCK_STREAM, 0, pair));
    report("socketpair_tipc", ::socketpair(AF_TIPC, SOCK_STREAM, 0, pair));
    report("mq_open", ::syscall(SYS_mq_open, "probe", O_CREAT | O_RDWR, 0600, nullptr));
    report("mqueue_file", create("/dev/mqueue/probe"));

    const auto map = [](int flags, int fd) {
        void* const at = ::mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, flags, fd, 0);
        return at == MAP_FAILED ? -1L : 0L;
    };
    report("map_shared", map(MAP_SHARED | MAP_ANONYMOUS, -1));
    report("map_shared_validate", map(MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1));
    report("map_growsdown", map(MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1));
    report("map_hugetlb", map(MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1));
    report("map_dev_zero", map(MAP_SHARED, ::open("/dev/zero", O_RDWR | O_CLOEXEC)));
    report("memfd_create", ::syscall(SYS_memfd_create, "probe", 0U));
    report("stack", [] {
        rlimit stack{RLIM_INFINITY, RLIM_INFINITY};
        return ::setrlimit(RLIMIT_STACK, &stack);
    }());
    works("map_private", map(MAP_PRIVATE | MAP_ANONYMOUS, -1) == 0);
    const int file = ::open("/tmp/mapped", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    works("map_file", ::ftruncate(file, 1 << 20) == 0 && map(MAP_SHARED, file) == 0);
}

// Takes as much as there is, says how much, and keeps it until it is ended.
int use_up(const std::string& what)
{
    const int got = what == "descriptors" ? descriptors_under_way() : inotify_instances();
    std::printf("%s %d %s\n", what.c_str(), got, ::strerrorname_np(errno));
    std::fflush(stdout);
    return got;
}

char* map_new(std::size_t bytes, int protection)
{
    void* const at = ::mmap(nullptr, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? nullptr : static_cast<char*>(at);
}

// Half a GiB of it, where nothing ends this before.
void take_uncounted(const std::string& how)
{
    constexpr std::size_t mib = 1 << 20;
    if (how == "frozen") {
        for (int piece = 0; piece < 32; ++piece) {
            char* const at = map_new(16 * mib, PROT_READ | PROT_WRITE);
            if (at == nullptr) break;
            std::memset(at, 'x', 16 * mib);
            ::mprotect(at, 16 * mib, PROT_READ);
        }
    }
    if (how == "tables") {
        constexpr std::size_t span = 2 * mib;  // of one page of a page table
        constexpr std::size_t tables = 131'072;
        const volatile char* const at = map_new(tables * span, PROT_READ);
        for (std::size_t i = 0; at != nullptr && i < tables; ++i) static_cast<void>(at[i * span]);
    }
    if (how == "mapped often") {
        // What all have in common is small, and that it is common is only told after a walk over 640 MiB each.
        if (char* const at = map_new(20 * mib, PROT_READ | PROT_WRITE)) std::memset(at, 'x', 20 * mib);
        const int file = ::open("/tmp/often", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
        if (::ftruncate(file, 2 * mib) != 0) return;
        for (int process = 0; process < 10; ++process) {
            if (::fork() != 0) continue;
            for (int time = 0; time < 320; ++time)
                ::mmap(nullptr, 2 * mib, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, 0);
            ::pause();
        }
    }
    if (how == "mappings") {
        constexpr std::size_t page = 4096;
        char* const at = map_new(64'000 * page, PROT_READ);
        for (std::size_t i = 0; at != nullptr && i < 64'000; i += 2) ::mprotect(at + i * page, page, PROT_NONE);
        for (int process = 0; process < 12; ++process)
            if (::fork() == 0) ::pause();
    }
    if (how == "pipes") {
        for (int process = 0; process < 40; ++process) {
            if (::fork() != 0) continue;
            int ends[2];
            while (::pipe2(ends, O_CLOEXEC) == 0) {
            }
            ::pause();
        }
    }
    if (how == "forked" || how == "sockets") {
        for (int process = 0; process < 12; ++process) {
            if (::fork() != 0) continue;
            if (how == "forked") {
                if (char* const at = map_new(40 * mib, PROT_READ | PROT_WRITE)) std::memset(at, 'x', 40 * mib);
            } else {
                int pair[2];
                while (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0) {
                }
            }
            ::pause();
        }
    }
    std::printf("taken\n");
    std::fflush(stdout);
    ::pause();
}

// 16 of them, in one direction; "bytes <number> <ERRNO>".
void fill_connections()
{
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in here{};
    here.sin_family = AF_INET;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof here;
    auto* const address = reinterpret_cast<sockaddr*>(&here);
    if (::bind(listener, address, size) != 0 || ::listen(listener, 16) != 0 ||
        ::getsockname(listener, address, &size) != 0)
        return;
    static char block[65'536];
    const int much = 1 << 30;
    long long bytes = 0;
    for (int pair = 0; pair < 16; ++pair) {
        const int from = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (::connect(from, address, size) != 0) return;
        const int to = ::accept(listener, nullptr, nullptr);
        ::setsockopt(from, SOL_SOCKET, SO_SNDBUF, &much, sizeof much);
        ::setsockopt(to, SOL_SOCKET, SO_RCVBUF, &much, sizeof much);
        // The receiver's side of the loopback may be a moment behind.
        pollfd room{from, POLLOUT, 0};
        while (::poll(&room, 1, 50) == 1)
            for (ssize_t count = 0; (count = ::send(from, block, sizeof block, MSG_DONTWAIT)) > 0;) bytes += count;
    }
    std::printf("bytes %lld %s\n", bytes, ::strerrorname_np(EAGAIN));
}

int against(const std::string& limit)
{
    if (limit == "connections") fill_connections();
    for (const char* way : {"frozen", "tables", "forked", "sockets", "mapped often", "mappings", "pipes"})
        if (limit == way) take_uncounted(limit);
    if (limit == "descriptors" || limit == "inotify") use_up(limit);
    if (limit == "fork") {
        int count = 0;
        while (count < 5000) {
            const pid_t child = ::fork();
            if (child < 0) break;
            if (child == 0) {
                ::pause();
                ::_exit(0);
            }
            ++count;
        }
        std::printf("processes %d %s\n", count + 1, ::strerrorname_np(errno));
        std::fflush(stdout);
        ::kill(0, SIGKILL);
    }
    if (limit == "files") {
        int count = 3;
        while (count < 100'000 && ::open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0) ++count;
        std::printf("files %d %s\n", count, ::strerrorname_np(errno));
    }
    if (limit == "memory" || limit == "mapped") {
        const int flags = MAP_ANONYMOUS | (limit == "memory" ? MAP_PRIVATE : MAP_SHARED);
        int mebibytes = 0;
        while (mebibytes < 4096 && ::mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, flags, -1, 0) != MAP_FAILED)
            ++mebibytes;
        std::printf("mebibytes %d %s\n", mebibytes, ::strerrorname_np(errno));
    }
    if (limit == "file") {
        ::signal(SIGXFSZ, SIG_IGN);
        static char block[4096];
        const int fd = ::open("/tmp/one", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        long long bytes = 0;
        for (ssize_t count = 0; (count = ::write(fd, block, sizeof block)) > 0;) bytes += count;
        std::printf("bytes %lld %s\n", bytes, ::strerrorname_np(errno));
    }
    if (limit == "tmp") fill("/tmp");
    if (limit == "shm") fill("/dev/shm");
    if (limit == "cpu")
        for (volatile unsigned turn = 0;; turn = turn + 1) {
        }
    return 0;
}

}  // namespace

int main(int argc, char** argv)
{
    const std::string what = argc > 1 ? argv[1] : "walls";
    if (what == "hold" && argc > 2) {
        use_up(argv[2]);
        ::pause();
    }
    if (what == "rows" || what == "resources") {
        what == "rows" ? try_rows() : host_resources();
        return 0;
    }
    if (what == "walls" || what == "gvisor")
        walls(what == "gvisor");
    else
        return against(what);
    return 0;
}
