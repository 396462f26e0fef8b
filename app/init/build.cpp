// Three processes: the builder, outside, which waits; PID 1 inside, which builds the jail around itself and then reaps;
// the program. With --as-pid-1 PID 1 becomes the program.
//
// None of them is a copy of another: the page tables that a fork copies cost more processor time than all namespaces.
// PID 1 has the builder's memory, the program has PID 1's until it is executed (begin.hpp). A PID 1 that somebody took
// over could write to the builder's memory, so the builder, which is outside, can only wait and end (seccomp(2)).
//
// PID 1 begins with all capabilities in a user namespace of its own and none outside. It gives them up before the
// program is begun. It has the program's uid, and memory of the host's side in it, so it is not dumpable: nobody inside
// may look at it or at its program's file (proc(5), ptrace(2)).
#include "build.hpp"

#include "begin.hpp"
#include "exit_code.hpp"
#include "init/arguments.hpp"
#include "init/build.hpp"
#include "waiting.hpp"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::init::build {

namespace {

constexpr int could_not_start = 127;

// The host's root and the jail's while it is built, in a file system in memory that is gone before the program begins.
constexpr const char* host_root = "/host";
constexpr const char* jail_root = "/jail";

enum class action { proc, tmpfs, devices, bind, bind_read_only, symlink, file, read_only };

struct step {
    action what;
    bool optional{false};
    std::string source;  // of the host; of a file, its descriptor; of a link, what it says
    std::string target;  // inside
    std::string mode;    // octal; empty: the usual one
    std::string bytes;   // the most in a tmpfs; empty: the kernel's choice
};

struct options {
    std::vector<step> steps;
    std::vector<std::string> env;
    std::string uid{"65534"};
    std::string gid{"65534"};
    std::string hostname;
    std::string directory{"/"};
    bool as_pid_1{false};
    bool share_network{false};
    int filter{-1};
    int status{-1};
    std::string mode;   // of the next step alone
    std::string bytes;  // the same
    char** program{nullptr};
};

[[noreturn]] void fail(const std::string& what)
{
    std::fprintf(stderr, "%s%s: %s\n", speaks_as, what.c_str(), std::strerror(errno));
    ::_exit(could_not_start);
}

void must(bool done, const std::string& what)
{
    if (!done) fail(what);
}

std::string text_of(int fd)
{
    std::string text;
    char block[16'384];
    for (;;) {
        const ssize_t got = ::read(fd, block, sizeof block);
        if (got == 0) return text;
        if (got < 0 && errno == EINTR) continue;
        must(got > 0, "cannot read descriptor " + std::to_string(fd));
        text.append(block, static_cast<std::size_t>(got));
    }
}

// The words of the options, one after the other.
class words {
public:
    explicit words(std::string_view text) : rest_{text} {}

    bool any() const { return !rest_.empty(); }
    std::string_view next()
    {
        const auto end = rest_.find('\0');
        if (end == std::string_view::npos) {
            errno = EINVAL;
            fail("an option lacks its value");
        }
        const auto word = rest_.substr(0, end);
        rest_.remove_prefix(end + 1);
        return word;
    }

private:
    std::string_view rest_;
};

int number(std::string_view digits) { return std::atoi(std::string{digits}.c_str()); }

void read_option(std::string_view name, words& rest, options& into)
{
    const auto add = [&](action what, std::string source, std::string_view target, bool optional = false) {
        into.steps.push_back({what, optional, std::move(source), std::string{target}, std::exchange(into.mode, {}),
                              std::exchange(into.bytes, {})});
    };
    const auto add_pair = [&](action what, bool optional = false) {
        const auto source = rest.next();
        add(what, std::string{source}, rest.next(), optional);
    };
    // All namespaces are new, and nothing survives the builder, in any case.
    if (name == "--unshare-all" || name == "--unshare-user" || name == "--disable-userns" || name == "--clearenv" ||
        name == "--die-with-parent" || name == "--new-session")
        return;
    if (name == "--cap-drop") {
        rest.next();
    } else if (name == "--share-net") {
        into.share_network = true;
    } else if (name == "--as-pid-1") {
        into.as_pid_1 = true;
    } else if (name == "--uid") {
        into.uid = rest.next();
    } else if (name == "--gid") {
        into.gid = rest.next();
    } else if (name == "--hostname") {
        into.hostname = rest.next();
    } else if (name == "--chdir") {
        into.directory = rest.next();
    } else if (name == "--seccomp") {
        into.filter = number(rest.next());
    } else if (name == "--json-status-fd") {
        into.status = number(rest.next());
    } else if (name == "--setenv") {
        auto entry = std::string{rest.next()} + "=";
        into.env.push_back(entry.append(rest.next()));
    } else if (name == "--perms") {
        into.mode = rest.next();
    } else if (name == "--size") {
        into.bytes = rest.next();
    } else if (name == "--proc") {
        add(action::proc, {}, rest.next());
    } else if (name == "--tmpfs") {
        add(action::tmpfs, {}, rest.next());
    } else if (name == "--remount-ro") {
        add(action::read_only, {}, rest.next());
    } else if (name == "--dev-bind") {
        add_pair(action::devices);
    } else if (name == "--bind" || name == "--bind-try") {
        add_pair(action::bind, name == "--bind-try");
    } else if (name == "--ro-bind" || name == "--ro-bind-try") {
        add_pair(action::bind_read_only, name == "--ro-bind-try");
    } else if (name == "--symlink") {
        add_pair(action::symlink);
    } else if (name == "--file") {
        add_pair(action::file);
    } else {
        errno = EINVAL;
        fail(std::string{name});
    }
}

void write_text(const char* file, std::string_view text)
{
    const int fd = ::open(file, O_WRONLY | O_CLOEXEC);
    must(fd >= 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()), file);
    ::close(fd);
}

std::string inside(const std::string& path) { return jail_root + path; }

void make_directory(const std::string& path, mode_t mode)
{
    must(::mkdir(path.c_str(), mode) == 0 || errno == EEXIST, "cannot make " + path);
}

void make_parents(const std::string& path)
{
    for (auto slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1))
        make_directory(path.substr(0, slash), 0755);
}

// A place for a mount: a directory, or an empty file.
void make_place(const std::string& path, bool directory)
{
    make_parents(path);
    if (directory) return make_directory(path, 0755);
    const int fd = ::open(path.c_str(), O_CREAT | O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0444);
    must(fd >= 0, "cannot make " + path);
    ::close(fd);
}

void set_attributes(const std::string& path, std::uint64_t attributes, unsigned flags)
{
    mount_attr wanted{};
    wanted.attr_set = attributes;
    must(::mount_setattr(AT_FDCWD, path.c_str(), flags, &wanted, sizeof wanted) == 0, "mount " + path);
}

void bind(const step& one)
{
    const auto source = host_root + one.source;
    struct stat seen{};
    if (::stat(source.c_str(), &seen) != 0) {
        if (one.optional && errno == ENOENT) return;
        fail(one.source);
    }
    const auto target = inside(one.target);
    make_place(target, S_ISDIR(seen.st_mode));
    must(::mount(source.c_str(), target.c_str(), nullptr, MS_BIND | MS_REC, nullptr) == 0, "mount " + one.target);
    std::uint64_t attributes = MOUNT_ATTR_NOSUID;
    if (one.what != action::devices) attributes |= MOUNT_ATTR_NODEV;
    if (one.what == action::bind_read_only) attributes |= MOUNT_ATTR_RDONLY;
    set_attributes(target, attributes, AT_RECURSIVE);
}

void make_file(const step& one)
{
    const auto target = inside(one.target);
    make_parents(target);
    const int fd = ::open(target.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600);
    must(fd >= 0, "cannot make " + one.target);
    const auto text = text_of(number(one.source));
    for (std::size_t at = 0; at < text.size();) {
        const ssize_t put = ::write(fd, text.data() + at, text.size() - at);
        must(put > 0 || errno == EINTR, "cannot write " + one.target);
        if (put > 0) at += static_cast<std::size_t>(put);
    }
    must(::fchmod(fd, static_cast<mode_t>(std::strtoul(one.mode.c_str(), nullptr, 8))) == 0, one.target);
    ::close(fd);
}

void take(const step& one)
{
    const auto target = inside(one.target);
    switch (one.what) {
        case action::proc:
            make_place(target, true);
            must(::mount("proc", target.c_str(), "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) == 0,
                 "mount " + one.target);
            break;
        case action::tmpfs: {
            make_place(target, true);
            auto how = "mode=" + (one.mode.empty() ? std::string{"0755"} : one.mode);
            if (!one.bytes.empty()) how += ",size=" + one.bytes;
            must(::mount("tmpfs", target.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, how.c_str()) == 0,
                 "mount " + one.target);
            break;
        }
        case action::devices:
        case action::bind:
        case action::bind_read_only: bind(one); break;
        case action::symlink:
            make_parents(target);
            must(::symlink(one.source.c_str(), target.c_str()) == 0, "cannot make " + one.target);
            break;
        case action::file: make_file(one); break;
        case action::read_only: set_attributes(target, MOUNT_ATTR_RDONLY, 0); break;
    }
}

void bring_loopback_up()
{
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifreq loopback{};
    std::strcpy(loopback.ifr_name, "lo");
    loopback.ifr_flags = IFF_UP | IFF_RUNNING;
    must(fd >= 0 && ::ioctl(fd, SIOCSIFFLAGS, &loopback) == 0, "cannot bring the loopback up");
    ::close(fd);
}

void build_jail(const options& how)
{
    if (!how.share_network) bring_loopback_up();
    must(how.hostname.empty() || ::sethostname(how.hostname.data(), how.hostname.size()) == 0, "sethostname");
    must(::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) == 0, "cannot make mounts private");
    // The host's root goes below a file system of our own, whose directories hide nothing of the host.
    constexpr const char* base = "/tmp";
    must(::mount("tmpfs", base, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") == 0 && ::chdir(base) == 0,
         "cannot mount a file system in memory");
    must(::mkdir(host_root + 1, 0755) == 0 && ::mkdir(jail_root + 1, 0755) == 0 &&
             ::mount(jail_root + 1, jail_root + 1, nullptr, MS_BIND, nullptr) == 0 &&
             ::syscall(SYS_pivot_root, base, host_root + 1) == 0 && ::chdir("/") == 0,
         "cannot leave the host's root");
    for (const auto& one : how.steps) {
        // The last steps make all read-only, which the kernel's table of namespaces must not be yet.
        if (one.what == action::read_only && one.target == "/proc")
            write_text((inside("/proc") + "/sys/user/max_user_namespaces").c_str(), "0");
        take(one);
    }
    must(::umount2(host_root, MNT_DETACH) == 0, "cannot leave the host's files");
    // pivot_root(2), "pivot_root(".", ".")": the old root lies below the new one until it is unmounted.
    must(::chdir(jail_root) == 0 && ::syscall(SYS_pivot_root, ".", ".") == 0 && ::umount2(".", MNT_DETACH) == 0,
         "cannot enter the jail's root");
    must(::chdir(how.directory.c_str()) == 0, how.directory);
}

void give_up_capabilities()
{
    for (int one = 0; one <= CAP_LAST_CAP; ++one)
        must(::prctl(PR_CAPBSET_DROP, one, 0, 0, 0) == 0 || errno == EINVAL, "cannot give up capabilities");
    must(::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0, "cannot give up capabilities");
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    const __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3]{};
    must(::syscall(SYS_capset, &header, none) == 0, "cannot give up capabilities");
}

// `env`: as execve(2) wants it, with room for one entry more before its end.
[[noreturn]] void become(const options& how, std::vector<sock_filter>& filter, std::vector<char*>& env)
{
    must(::setsid() >= 0 || errno == EPERM, "setsid");
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const std::int64_t nanoseconds = std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
    char word[begins_bytes]{begins};
    std::memcpy(word + 1, &nanoseconds, sizeof nanoseconds);
    const sock_fprog whole{static_cast<unsigned short>(filter.size()), filter.data()};
    // The filter may refuse all that is not below.
    must(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &whole) == 0, "seccomp");
    const ssize_t told = ::write(how.status, word, sizeof word);
    char** program = how.program;
    hold::trace_entry trace;
    if (hold::is_asked_of(program)) {
        if (!hold::wait_for_word(trace)) ::_exit(could_not_start);
        program += hold::words_of_hold;
        if (trace.is_given()) env[env.size() - 2] = trace.text();
    }
    if (told == static_cast<ssize_t>(sizeof word)) ::execve(program[0], program, env.data());
    const int why = errno;
    const ssize_t ignored = ::write(how.status, &not_executed, 1);
    static_cast<void>(ignored);
    errno = why;
    fail("cannot start " + std::string{program[0]});
}

int wait_for(pid_t child)
{
    for (;;) {
        int status = 0;
        const pid_t ended = ::waitpid(-1, &status, 0);
        if (ended == child) return exit_code_of(status);
        if (ended < 0 && errno != EINTR) return could_not_start;
    }
}

// What PID 1 needs of the builder.
struct beginning {
    options how;
    uid_t uid;
    gid_t gid;
    int builders_end;  // of a pipe whose other end the builder has while it lives
};

[[noreturn]] void be_pid_1(const beginning& from)
{
    const auto& how = from.how;
    // Whoever died before that left its end of the pipe.
    must(::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0, "set parent-death signal");
    pollfd builder{from.builders_end, 0, 0};
    if (::poll(&builder, 1, 0) != 0) ::_exit(could_not_start);

    write_text("/proc/self/setgroups", "deny");
    write_text("/proc/self/uid_map", how.uid + " " + std::to_string(from.uid) + " 1\n");
    write_text("/proc/self/gid_map", how.gid + " " + std::to_string(from.gid) + " 1\n");
    must(::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0, "clear dumpable");

    const auto bytes = text_of(how.filter);
    std::vector<sock_filter> filter(bytes.size() / sizeof(sock_filter));
    std::memcpy(filter.data(), bytes.data(), filter.size() * sizeof(sock_filter));
    build_jail(how);
    must(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "set no_new_privs");
    give_up_capabilities();
    std::vector<char*> env;
    for (const auto& one : how.env) env.push_back(const_cast<char*>(one.c_str()));
    env.insert(env.end(), 2, nullptr);
    if (how.as_pid_1) become(how, filter, env);

    const pid_t program = begin_program([&] { become(how, filter, env); });
    must(program >= 0, "fork");
    ::syscall(SYS_close_range, 3U, ~0U, 0U);
    ::_exit(wait_for(program));
}

#if defined(__x86_64__)
constexpr unsigned native = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr unsigned native = AUDIT_ARCH_AARCH64;
#elif defined(__riscv) && __riscv_xlen == 64
constexpr unsigned native = AUDIT_ARCH_RISCV64;
#else
#error "add this processor's AUDIT_ARCH_ (linux/audit.h), which the builder's filter compares"
#endif

// Leaves this process two system calls: wait4 and exit_group. False: it cannot.
bool keep_waiting_only()
{
    sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, native, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_wait4, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    const sock_fprog whole{std::size(rules), rules};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &whole) == 0;
}

}  // namespace

}  // namespace sandboxd::init::build

namespace sandboxd::init {

int build_main(int argc, char** argv)
{
    using namespace build;
    // sandboxd-init --build --args DESCRIPTOR -- PROGRAM ARGUMENTS…
    if (argc < 6 || std::string_view{argv[2]} != argument::build_options || std::string_view{argv[4]} != "--") {
        std::fprintf(stderr, "usage: sandboxd-init --build --args DESCRIPTOR -- PROGRAM ARGUMENTS...\n");
        return 2;
    }
    ::prctl(PR_SET_NAME, build::process_name, 0, 0, 0);
    const int source = std::atoi(argv[3]);
    const auto text = text_of(source);
    beginning from{.how = {}, .uid = ::geteuid(), .gid = ::getegid(), .builders_end = -1};
    auto& how = from.how;
    how.program = argv + 5;
    for (words rest{text}; rest.any();) {
        const auto name = rest.next();
        read_option(name, rest, how);
    }
    // What is the builder's ends with it.
    for (const int one : {source, how.filter, how.status}) must(::fcntl(one, F_SETFD, FD_CLOEXEC) == 0, "a descriptor");
    for (const auto& one : how.steps)
        if (one.what == action::file) must(::fcntl(number(one.source), F_SETFD, FD_CLOEXEC) == 0, "a descriptor");
    must(::fcntl(argument::program_fd_inside, F_SETFD, FD_CLOEXEC) == 0, "a descriptor");

    int life[2];
    must(::pipe2(life, O_CLOEXEC) == 0, "pipe");
    from.builders_end = life[0];
    const auto pid_1 = [](void* given) -> int { be_pid_1(*static_cast<beginning*>(given)); };
    int flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
    if (!how.share_network) flags |= CLONE_NEWNET;
    // From here on both use one memory at once, also what malloc and errno have for each thread. This process makes
    // system calls, and touches nothing but its own stack: it may not even make a message.
    alignas(16) static char stack[512 * 1024];
    const pid_t child = ::clone(pid_1, stack + sizeof stack, flags | CLONE_VM | SIGCHLD, &from);
    if (child < 0) fail("cannot make namespaces");
    // The pipe's end stays open until this process ends. PID 1 has descriptors of its own.
    if (::dup2(life[1], 3) != 3 || ::syscall(SYS_close_range, 4U, ~0U, 0U) != 0 || !keep_waiting_only())
        ::_exit(could_not_start);
    ::_exit(wait_for(child));
}

}  // namespace sandboxd::init
