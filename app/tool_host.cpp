// A tool that is started once and called often: a shared object that is preloaded into the tool (LD_PRELOAD), takes the
// place of __libc_start_main and stops where `main` would begin. From there the server has it fork children, one for
// each jail. A child enters the jail completely, waits for the server, who looks at it from outside, and then serves
// the job in there: for each call it forks once more, and that process runs the tool's `main`
// (lib/toolchain/tool_protocol.hpp).
//
//     host ─ fork ─▶ first child ─ setns ─ vfork ─▶ second child ─ fork ─▶ child in the jail ─ fork ─▶ call
//
// The first call's process is forked before there is a call, and takes memory of its own then (`be_spare`). The second
// is needed because a process cannot change its own pid namespace. It ends at once, so that the jail's PID 1 adopts the
// third: what serves a job descends from the job's first process, as all that is counted and watched there does, and
// does not depend on the host any more. The host ignores SIGCHLD, and the kernel reaps.
//
// The host itself reads nothing but the server's requests. Python, which is to stop later than at `main`, loads this
// as a library and calls sandboxd_tool_serve.
//
// No libstdc++: what is preloaded into C programs must bring nothing along.
#include "toolchain/tool_protocol.hpp"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

namespace protocol = sandboxd::toolchain::protocol;
using protocol::step;

constexpr int all_namespaces =
    CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

sock_filter filter[4096];
sock_fprog policy{0, filter};

// Of a call: what `main` is to get.
struct work {
    int argc;
    char** argv;
    char** envp;
    int asks;  // the descriptor for questions, or -1
};

// Where a call writes: what the host has of private memory that can be written to, without its stack.
struct span {
    unsigned long begin;
    unsigned long bytes;
};
constexpr int most_spans = 64;
constexpr unsigned long most_span_bytes = 16ul << 20;
span written[most_spans];
int spans = 0;

// The descriptors that came with a message; -1 where there is none.
struct gifts {
    int fd[protocol::most_descriptors] = {-1, -1, -1, -1, -1};
};

ssize_t receive(int from, void* into, size_t bytes, gifts& with)
{
    iovec piece{into, bytes};
    alignas(cmsghdr) char space[CMSG_SPACE(sizeof with.fd)];
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = space;
    // Without the padding, in which one more would have room.
    message.msg_controllen = CMSG_LEN(sizeof with.fd);
    ssize_t got = 0;
    do {
        got = recvmsg(from, &message, MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    const cmsghdr* const head = got > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
    if (head != nullptr && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS)
        memcpy(with.fd, CMSG_DATA(head), head->cmsg_len - CMSG_LEN(0));
    return got;
}

void reset_signals(int except)
{
    for (int number = 1; number < NSIG; ++number)
        if (number != except) signal(number, SIG_DFL);
}

// --- In the jail, for one call.

// In the place of the caller's socket, which is read no more.
constexpr unsigned asks_fd = 3;

[[noreturn]] void give_up_call() { _exit(127); }

bool read_all(int from, char* into, size_t bytes)
{
    while (bytes > 0) {
        const ssize_t got = read(from, into, bytes);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        into += got;
        bytes -= static_cast<size_t>(got);
    }
    return true;
}

// Everything comes from another process of the same job.
work read_call(int from)
{
    protocol::call told{};
    gifts given;
    if (receive(from, &told, sizeof told, given) != static_cast<ssize_t>(sizeof told)) give_up_call();
    for (int i = 0; i < 4; ++i)
        if (given.fd[i] < 0) give_up_call();
    if (told.bytes > protocol::most_call_bytes || told.arguments == 0 || told.arguments > told.bytes ||
        told.variables > told.bytes - told.arguments)
        give_up_call();
    const size_t words = static_cast<size_t>(told.arguments) + told.variables;
    auto* const text = static_cast<char*>(malloc(told.bytes));
    auto* const places = static_cast<char**>(calloc(words + 2, sizeof(char*)));
    if (text == nullptr || places == nullptr || !read_all(from, text, told.bytes)) give_up_call();
    work made{static_cast<int>(told.arguments), places, places + told.arguments + 1, -1};
    char* at = text;
    char* const end = text + told.bytes;
    for (size_t i = 0; i < words; ++i) {
        auto* const nul = static_cast<char*>(memchr(at, '\0', static_cast<size_t>(end - at)));
        if (nul == nullptr) give_up_call();
        places[i < told.arguments ? i : i + 1] = at;
        at = nul + 1;
    }
    if (fchdir(given.fd[3]) != 0) give_up_call();
    for (int number = 0; number < 3; ++number)
        if (dup2(given.fd[number], number) < 0) give_up_call();
    if (given.fd[4] >= 0) {
        made.asks = static_cast<int>(asks_fd);
        if (dup3(given.fd[4], static_cast<int>(asks_fd), O_CLOEXEC) < 0) give_up_call();
    }
    syscall(SYS_close_range, made.asks < 0 ? asks_fd : asks_fd + 1U, ~0U, 0U);
    return made;
}

// --- In the jail, for one job: returns in the process that is to do a call's work.

constexpr int listening_fd = 3;
constexpr int signals_fd = 4;
constexpr int most_calls = 64;  // at once; others wait in the backlog

work begin_call(int caller)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    dup2(caller, listening_fd);
    const work made = read_call(listening_fd);
    // As every process is that has executed a program: by now it belongs to the job.
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    return made;
}

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

// Takes copies of the pages that a call writes to, and some more memory to allocate from. The kernel would do the same
// page by page, each with a fault: that is a third of a compile's processor time. A kernel that cannot (before Linux
// 5.14) does it so.
void take_memory()
{
    for (int i = 0; i < spans; ++i)
        madvise(reinterpret_cast<void*>(written[i].begin), written[i].bytes, MADV_POPULATE_WRITE);
    constexpr int more = 1536 * 1024;
    // Large pieces come from the heap, too, which keeps what it has.
    mallopt(M_MMAP_THRESHOLD, 32 * 1024 * 1024);
    mallopt(M_TRIM_THRESHOLD, 64 * 1024 * 1024);
    constexpr unsigned long page = 4096;
    void* const piece = malloc(more);
    if (piece == nullptr) return;
    const auto begin = (reinterpret_cast<unsigned long>(piece) + page - 1) / page * page;
    madvise(reinterpret_cast<void*>(begin), more - page, MADV_POPULATE_WRITE);
    free(piece);
}

// The process of the first call: gets the caller's socket from the one that listens.
work be_spare(int from)
{
    // A caller is to be refused where nobody listens any more.
    close(listening_fd);
    close(signals_fd);
    take_memory();
    char word = 0;
    gifts given;
    if (receive(from, &word, sizeof word, given) != static_cast<ssize_t>(sizeof word) || given.fd[0] < 0) _exit(0);
    return begin_call(given.fd[0]);
}

bool pass_on(int to, int caller)
{
    char word = 0;
    iovec piece{&word, sizeof word};
    alignas(cmsghdr) char space[CMSG_SPACE(sizeof caller)]{};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = space;
    message.msg_controllen = sizeof space;
    cmsghdr* const head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof caller);
    memcpy(CMSG_DATA(head), &caller, sizeof caller);
    return sendmsg(to, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == static_cast<ssize_t>(sizeof word);
}

work serve_job()
{
    // Empty from the first call on, and where there is none.
    struct {
        pid_t pid;
        int calls;
    } spare{-1, -1};
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0) {
        spare = {fork(), ends[0]};
        if (spare.pid == 0) {
            close(ends[0]);
            return be_spare(ends[1]);
        }
        close(ends[1]);
    }
    struct running {
        pid_t pid;
        int caller;
    } calls[most_calls];
    int count = 0;
    for (;;) {
        pollfd polled[] = {{signals_fd, POLLIN, 0}, {count < most_calls ? listening_fd : -1, POLLIN, 0}};
        if (poll(polled, 2, -1) < 0) continue;
        if (polled[0].revents != 0) {
            signalfd_siginfo seen;
            while (read(signals_fd, &seen, sizeof seen) > 0) {
            }
            protocol::ended told{};
            for (pid_t pid = 0; (pid = waitpid(-1, &told.status, WNOHANG)) > 0;) {
                if (pid == spare.pid) spare.pid = -1;
                for (int i = 0; i < count; ++i) {
                    if (calls[i].pid != pid) continue;
                    send(calls[i].caller, &told, sizeof told, MSG_NOSIGNAL | MSG_DONTWAIT);
                    close(calls[i].caller);
                    calls[i] = calls[--count];
                    break;
                }
            }
        }
        if (polled[1].revents == 0) continue;
        const int caller = accept4(listening_fd, nullptr, nullptr, SOCK_CLOEXEC);
        if (caller < 0) continue;
        const bool is_first = spare.pid > 0 && pass_on(spare.calls, caller);
        const pid_t pid = is_first ? spare.pid : fork();
        if (pid == 0) return begin_call(caller);
        if (spare.calls >= 0) close(spare.calls);
        spare = {-1, -1};
        if (pid < 0)
            close(caller);  // the caller starts the tool itself, and is told why that cannot be
        else
            calls[count++] = {pid, caller};
    }
}

// --- Between host and jail: only system calls, and nothing of the job's.

[[noreturn]] void give_up(int reply, step at)
{
    const protocol::entered told{at, errno};
    send(reply, &told, sizeof told, MSG_NOSIGNAL);
    _exit(127);
}

// uid, gid and capabilities are those of the jail's processes, for good.
bool take_identity(const protocol::enter& as)
{
    // While there are capabilities in the jail's user namespace.
    for (unsigned long one = 0; one < 64; ++one)
        if ((as.bounding >> one & 1) == 0 && prctl(PR_CAPBSET_DROP, one, 0, 0, 0) != 0 && errno != EINVAL) return false;
    if (syscall(SYS_setresgid, as.gid, as.gid, as.gid) != 0) return false;
    if (syscall(SYS_setresuid, as.uid, as.uid, as.uid) != 0) return false;
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    __user_cap_header_struct head{_LINUX_CAPABILITY_VERSION_3, 0};
    const __user_cap_data_struct nothing[2]{};
    if (syscall(SYS_capset, &head, nothing) != 0) return false;
    // For the server, who looks at this process before the job begins; it may be no root.
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0;
}

int listen_as(std::uint32_t tool)
{
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    sockaddr_un name{};
    const auto size = protocol::put_name(name, tool);
    if (bind(fd, reinterpret_cast<const sockaddr*>(&name), size) != 0 || listen(fd, most_calls) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

// Moves what it is given out of the way, closes everything else, and puts the jail's /dev/null where a host's output
// was.
bool take_descriptors(int& reply)
{
    constexpr int kept = 10;
    if (reply != kept && dup3(reply, kept, O_CLOEXEC) < 0) return false;
    reply = kept;
    if (syscall(SYS_close_range, kept + 1U, ~0U, 0U) != 0) return false;
    for (int number = 0; number < kept; ++number) close(number);
    const int null = open("/dev/null", O_RDWR);
    return null == 0 && dup2(0, 1) == 1 && dup2(0, 2) == 2;
}

// Returns in a child of the jail's PID 1, and nowhere else; false when there is none.
[[gnu::noinline]] bool fork_into_jail()
{
    // The kernel tells a process that it has been adopted: by this signal, which waits until then.
    sigset_t told;
    sigemptyset(&told);
    sigaddset(&told, SIGUSR1);
    sigprocmask(SIG_BLOCK, &told, nullptr);
    // In this process' own memory: until it has ended, this one stands still. It makes two system calls.
    const pid_t second = vfork();  // NOLINT(bugprone-unsafe-functions)
    if (second < 0) return false;
    if (second > 0) {
        // It lets go of the memory before it is dead, and would be the server's then. As nobody waits for children
        // here, this one returns when it is gone.
        waitpid(second, nullptr, 0);
        _exit(0);
    }
    const long third =
        syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr);  // NOLINT(clang-analyzer-unix.Vfork)
    if (third != 0) _exit(0);  // without it, the end of the reply socket says so
    if (prctl(PR_SET_PDEATHSIG, SIGUSR1, 0, 0, 0) != 0) return false;
    while (getppid() != 1) {
        int number = 0;
        sigwait(&told, &number);
    }
    // Adopted before it looked, it has the signal still to come: that is to be nobody's end once it is let through.
    return prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0) == 0 && signal(SIGUSR1, SIG_IGN) != SIG_ERR;
}

// Enters the jail; returns in the process that is to do a call's work.
work enter_jail(const protocol::enter& into, const gifts& with)
{
    int reply = with.fd[1];
    const int jail = with.fd[0];
    if (into.has_cgroup != 0 && write(with.fd[2], "0", 1) != 1) give_up(reply, step::cgroup);
    for (std::uint32_t one = 0; one < protocol::limits; ++one) {
        const rlimit value{into.limit[one].soft, into.limit[one].hard};
        if (syscall(SYS_prlimit64, 0, one, &value, nullptr) != 0) give_up(reply, step::limits);
    }
    if (setns(jail, all_namespaces) != 0) give_up(reply, step::namespaces);
    if (!fork_into_jail()) give_up(reply, step::fork);

    setsid();
    umask(022);
    if (chdir("/") != 0 || !take_descriptors(reply)) give_up(reply, step::descriptors);
    reset_signals(SIGUSR1);
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    sigprocmask(SIG_SETMASK, &children, nullptr);
    signal(SIGUSR1, SIG_DFL);
    if (listen_as(into.tool) != listening_fd || signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK) != signals_fd)
        give_up(reply, step::listen);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !take_identity(into)) give_up(reply, step::identity);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &policy, 0, 0) != 0) give_up(reply, step::filter);

    const protocol::entered in{step::in, 0};
    char word = 0;
    if (send(reply, &in, sizeof in, MSG_NOSIGNAL) != static_cast<ssize_t>(sizeof in)) _exit(127);
    while (read(reply, &word, 1) < 0 && errno == EINTR) {
    }
    // Nobody in the jail is to look into what serves it.
    if (word != protocol::serve || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) _exit(0);
    close(reply);
    return serve_job();
}

// --- Outside: the host.

bool read_filter()
{
    const ssize_t bytes = read(protocol::filter_fd, filter, sizeof filter);
    close(protocol::filter_fd);
    if (bytes <= 0 || static_cast<size_t>(bytes) == sizeof filter || static_cast<size_t>(bytes) % sizeof *filter != 0)
        return false;
    policy.len = static_cast<unsigned short>(static_cast<size_t>(bytes) / sizeof *filter);
    return true;
}

// Reads /proc/self/maps (proc_pid_maps(5)).
void note_memory()
{
    static char text[64 * 1024];
    const int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (maps < 0) return;
    size_t size = 0;
    for (ssize_t got = 0; size < sizeof text - 1 && (got = read(maps, text + size, sizeof text - 1 - size)) > 0;)
        size += static_cast<size_t>(got);
    close(maps);
    text[size] = '\0';
    for (char* line = text; *line != '\0' && spans < most_spans;) {
        char* const end = strchr(line, '\n');
        if (end == nullptr) return;
        *end = '\0';
        char* rest = nullptr;
        const unsigned long begin = strtoul(line, &rest, 16);
        const unsigned long behind = *rest == '-' ? strtoul(rest + 1, &rest, 16) : begin;
        if (strncmp(rest, " rw-p ", 6) == 0 && strstr(rest, "[stack]") == nullptr && behind - begin <= most_span_bytes)
            written[spans++] = {begin, behind - begin};
        line = end + 1;
    }
}

bool is_host()
{
    int type = 0;
    socklen_t size = sizeof type;
    return getsockopt(protocol::control_fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

int (*tool_main)(int, char**, char**) = nullptr;

int stand_in(int argc, char** argv, char** envp);

}  // namespace

// Tells the server `bytes` at `about`, and forks children for it until it is gone. Returns in a process that is to do a
// call's work; the rest is for its exit. Where given, `before_forks` is called before all of them, and `in_child` in
// the process that returns.
extern "C" __attribute__((visibility("default"))) const work* sandboxd_tool_serve(const char* about,
                                                                                  unsigned long bytes,
                                                                                  void (*before_forks)(),
                                                                                  void (*in_child)())
{
    static work made;
    if (!is_host() || !read_filter()) _exit(127);
    // Who is no root must stay visible for the server. No jail sees this process.
    if (geteuid() == 0) prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    // Of the host and of what waits in jails, so that a list of processes tells them from compilers at work.
    char own_name[16] = "";
    prctl(PR_GET_NAME, own_name, 0, 0, 0);
    prctl(PR_SET_NAME, "sandboxd-tool", 0, 0, 0);
    // Children that nobody waits for.
    signal(SIGCHLD, SIG_IGN);
    note_memory();
    if (before_forks != nullptr) before_forks();
    if (send(protocol::control_fd, about, bytes, MSG_NOSIGNAL) != static_cast<ssize_t>(bytes)) _exit(127);
    for (;;) {
        protocol::enter wanted{};
        gifts given;
        const ssize_t got = receive(protocol::control_fd, &wanted, sizeof wanted, given);
        if (got == 0 || (got < 0 && errno != EMFILE && errno != ENFILE)) _exit(0);
        if (got == static_cast<ssize_t>(sizeof wanted) && given.fd[1] >= 0) {
            const pid_t child = fork();
            if (child == 0) {
                close(protocol::control_fd);
                made = enter_jail(wanted, given);
                prctl(PR_SET_NAME, own_name, 0, 0, 0);
                if (in_child != nullptr) in_child();
                return &made;
            }
        }
        for (const int fd : given.fd)
            if (fd >= 0) close(fd);
    }
}

namespace {

// Where the tool's `main` would begin.
int stand_in(int argc, char** argv, char** envp)
{
    if (!is_host()) return tool_main(argc, argv, envp);
    // Whoever is in a jail may read /proc/self/environ, and nothing there is to tell of this machine.
    for (char** one = envp; *one != nullptr; ++one) memset(*one, 0, strlen(*one));
    *envp = nullptr;
    const work* const made = sandboxd_tool_serve("tool", 4, nullptr, nullptr);
    environ = made->envp;
    program_invocation_name = made->argv[0];
    const char* const slash = strrchr(made->argv[0], '/');
    program_invocation_short_name = slash == nullptr ? made->argv[0] : const_cast<char*>(slash) + 1;
    return tool_main(made->argc, made->argv, made->envp);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int __libc_start_main(int (*main)(int, char**, char**), int argc,
                                                                        char** argv, void (*init)(), void (*fini)(),
                                                                        void (*rtld_fini)(), void* stack_end)
{
    using start = int(int (*)(int, char**, char**), int, char**, void (*)(), void (*)(), void (*)(), void*);
    auto* const real = reinterpret_cast<start*>(dlsym(RTLD_NEXT, "__libc_start_main"));
    if (real == nullptr) _exit(127);
    tool_main = main;
    return real(stand_in, argc, argv, init, fini, rtld_fini, stack_end);
}
