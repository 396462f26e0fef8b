#include "support/syscall_faults.hpp"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>

namespace sandboxd::test {

namespace {

constexpr int threw = 99;
constexpr int no_listener = 98;
constexpr unsigned hang_guard_secs = 120;

enum class sort { opens, makes, changes };

struct watched_call {
    int number;
    sort is;
};

const std::vector<watched_call>& watched()
{
    static const std::vector<watched_call> all{
        {SYS_openat, sort::opens},       {SYS_openat2, sort::opens},   {SYS_mkdirat, sort::makes},
        {SYS_write, sort::makes},        {SYS_pwrite64, sort::makes},  {SYS_writev, sort::makes},
        {SYS_linkat, sort::makes},       {SYS_symlinkat, sort::makes}, {SYS_renameat2, sort::makes},
        {SYS_ftruncate, sort::makes},    {SYS_fallocate, sort::makes}, {SYS_copy_file_range, sort::makes},
        {SYS_sendfile, sort::makes},     {SYS_fsync, sort::makes},     {SYS_fdatasync, sort::makes},
        {SYS_unlinkat, sort::changes},   {SYS_fchmod, sort::changes},  {SYS_fchmodat, sort::changes},
        {SYS_fchownat, sort::changes},   {SYS_fchown, sort::changes},  {SYS_utimensat, sort::changes},
        {SYS_getdents64, sort::changes},
#ifdef SYS_open
        {SYS_open, sort::opens},         {SYS_mkdir, sort::makes},     {SYS_rename, sort::makes},
        {SYS_link, sort::makes},         {SYS_symlink, sort::makes},   {SYS_unlink, sort::changes},
        {SYS_rmdir, sort::changes},      {SYS_chmod, sort::changes},
#endif
#ifdef SYS_renameat
        {SYS_renameat, sort::makes},
#endif
    };
    return all;
}

int listen_for_calls()
{
    std::vector<sock_filter> program;
    program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
    for (const auto& one : watched()) {
        program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(one.number), 0, 1));
        program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
    }
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    const sock_fprog all{static_cast<unsigned short>(program.size()), program.data()};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
    return static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &all));
}

void send_descriptor(int through, int fd)
{
    char byte = 0;
    iovec piece{&byte, 1};
    alignas(cmsghdr) char space[CMSG_SPACE(sizeof fd)]{};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = space;
    message.msg_controllen = sizeof space;
    cmsghdr* const head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(head), &fd, sizeof fd);
    ::sendmsg(through, &message, 0);
}

int receive_descriptor(int through)
{
    char byte = 0;
    iovec piece{&byte, 1};
    alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int))]{};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = space;
    message.msg_controllen = sizeof space;
    if (::recvmsg(through, &message, MSG_CMSG_CLOEXEC) != 1) return -1;
    const cmsghdr* const head = CMSG_FIRSTHDR(&message);
    if (head == nullptr || head->cmsg_type != SCM_RIGHTS) return -1;
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(head), sizeof fd);
    return fd;
}

// The errno with which the call is to fail; 0: this fault does not concern it.
int failure_of(syscall_fault::kind what, sort is, const seccomp_data& call)
{
    using enum syscall_fault::kind;
    const bool may_make = call.nr == SYS_openat && (call.args[2] & O_CREAT) != 0;
    switch (what) {
        case no_space: return is == sort::makes || may_make ? ENOSPC : 0;
        case over_quota: return is == sort::makes || may_make ? EDQUOT : 0;
        case no_descriptor: return is == sort::opens ? EMFILE : 0;
        case broken: return EIO;
        case none:
        case kill: break;
    }
    return 0;
}

}  // namespace

std::string describe(const syscall_fault& fault)
{
    static constexpr std::array names{"none", "kill", "no space", "over quota", "no descriptor", "broken"};
    return std::string{names[static_cast<std::size_t>(fault.what)]} + " at call " + std::to_string(fault.at) +
           (fault.lasts ? " and after" : "");
}

syscall_run run_with_fault(const syscall_fault& fault, const std::function<int()>& work)
{
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) throw std::runtime_error("socketpair failed");
    const pid_t child = ::fork();
    if (child < 0) throw std::runtime_error("fork failed");
    if (child == 0) {
        ::close(ends[0]);
        ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        ::alarm(hang_guard_secs);
        const int listener = listen_for_calls();
        if (listener < 0) ::_exit(no_listener);
        send_descriptor(ends[1], listener);
        ::close(listener);
        ::close(ends[1]);
        int code = threw;
        try {
            code = work();
        } catch (const std::exception& e) {
            std::fprintf(stderr, "the work threw: %s\n", e.what());
        } catch (...) {
            std::fprintf(stderr, "the work threw\n");
        }
        ::_exit(code);
    }
    ::close(ends[1]);
    const int listener = receive_descriptor(ends[0]);
    ::close(ends[0]);
    syscall_run seen;
    seccomp_notif_sizes sizes{};
    ::syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes);
    std::vector<std::max_align_t> request_space(sizes.seccomp_notif / sizeof(std::max_align_t) + 1);
    std::vector<std::max_align_t> answer_space(sizes.seccomp_notif_resp / sizeof(std::max_align_t) + 1);
    while (listener >= 0) {
        pollfd one{listener, POLLIN, 0};
        if (::poll(&one, 1, -1) < 0 && errno == EINTR) continue;
        if ((one.revents & POLLIN) == 0) break;  // the child has ended
        auto* const asked = reinterpret_cast<seccomp_notif*>(request_space.data());
        std::memset(request_space.data(), 0, sizes.seccomp_notif);
        if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, asked) != 0) continue;
        sort is = sort::changes;
        for (const auto& known : watched())
            if (known.number == asked->data.nr) is = known.is;
        auto* const answer = reinterpret_cast<seccomp_notif_resp*>(answer_space.data());
        std::memset(answer_space.data(), 0, sizes.seccomp_notif_resp);
        answer->id = asked->id;
        answer->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
        // What is logged is no file.
        if (asked->data.nr != SYS_write || asked->data.args[0] > 2) {
            ++seen.calls;
            const bool now = seen.calls == fault.at || (fault.lasts && fault.at > 0 && seen.calls > fault.at);
            if (now && fault.what == syscall_fault::kind::kill) {
                ::kill(child, SIGKILL);
                seen.hit = seen.killed = true;
                break;
            }
            if (now) {
                seen.hit = true;
                if (const int why = failure_of(fault.what, is, asked->data); why != 0) {
                    answer->flags = 0;
                    answer->error = -why;
                }
            }
        }
        ::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, answer);
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (listener >= 0) ::close(listener);
    if (listener < 0) throw std::runtime_error("no listener for system calls");
    if (WIFEXITED(status)) seen.code = WEXITSTATUS(status);
    if (WIFSIGNALED(status) && !seen.killed)
        throw std::runtime_error("the work died of signal " + std::to_string(WTERMSIG(status)));
    return seen;
}

bool can_make_faults(std::string& why)
{
    try {
        const auto seen = run_with_fault({}, [] {
            const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
            return fd < 0 ? 1 : 0;
        });
        if (seen.code == 0 && seen.calls > 0) return true;
        why = "the kernel does not tell of system calls";
    } catch (const std::exception& e) {
        why = e.what();
    }
    return false;
}

std::size_t for_every_fault(const std::function<bool(const syscall_fault&)>& attempt)
{
    using enum syscall_fault::kind;
    const syscall_fault kinds[] = {
        {kill, 0, false}, {no_space, 0, true}, {over_quota, 0, false}, {no_descriptor, 0, true}, {broken, 0, false}};
    std::size_t runs = 0;
    for (auto fault : kinds)
        for (fault.at = 1; attempt(fault); ++fault.at) ++runs;
    return runs;
}

}  // namespace sandboxd::test
