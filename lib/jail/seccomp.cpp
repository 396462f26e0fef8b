#include "jail/seccomp.hpp"

#include <boost/json/array.hpp>
#include <boost/json/string.hpp>

#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace sandboxd::jail {
namespace {

struct denied {
    std::string_view syscall;
    std::string_view why;
};

// Sorted by subject. A name that libseccomp or the architecture does not know does no harm.
constexpr denied always_denied[] = {
    // The view of the file system is the wall.
    {"mount", "changes the file-system view"},
    {"umount2", "uncovers what a mount hides"},
    {"umount", "uncovers what a mount hides (old form)"},
    {"pivot_root", "changes the root"},
    {"chroot", "changes the root"},
    {"move_mount", "new mount interface"},
    {"open_tree", "new mount interface"},
    {"open_tree_attr", "new mount interface"},
    {"fsopen", "new mount interface"},
    {"fsconfig", "new mount interface: parses file-system images and options"},
    {"fsmount", "new mount interface"},
    {"fspick", "new mount interface"},
    {"mount_setattr", "makes read-only mounts writable"},
    {"open_by_handle_at", "opens files by inode, past every mount"},
    {"name_to_handle_at", "makes the handles for it"},
    {"quotactl", "administers disks"},
    {"quotactl_fd", "administers disks"},
    {"swapon", "administers disks"},
    {"swapoff", "administers disks"},
    {"fanotify_init", "watches whole file systems"},
    {"lookup_dcookie", "paths of other processes"},
    // Namespaces: each new one is a new attack surface of the kernel.
    {"unshare", "makes namespaces"},
    {"setns", "enters namespaces"},
    // Other processes.
    {"ptrace", "controls processes"},
    {"process_vm_readv", "reads other processes"},
    {"process_vm_writev", "writes other processes"},
    {"process_madvise", "acts on other processes"},
    {"pidfd_getfd", "takes descriptors of other processes"},
    {"kcmp", "compares other processes' kernel objects"},
    // Kernel subsystems with a record of bugs, of no use here.
    {"bpf", "programs in the kernel"},
    {"perf_event_open", "profiling, a record of kernel bugs"},
    {"userfaultfd", "the favourite helper of kernel exploits"},
    {"io_uring_setup", "a second system-call interface that no filter sees"},
    {"io_uring_enter", "the same"},
    {"io_uring_register", "the same"},
    {"add_key", "kernel keyrings are not private to a namespace"},
    {"request_key", "the same, and starts a helper outside"},
    {"keyctl", "the same"},
    {"memfd_secret", "memory that nobody can account for"},
    {"shmget", "System V memory: outlives its process, under no limit of ours"},
    {"msgget", "System V queues: the same"},
    {"semget", "System V semaphores: the same"},
    {"modify_ldt", "x86 segments, for Wine and old kernels' bugs"},
    {"vm86", "x86 real mode"},
    {"vm86old", "x86 real mode"},
    {"iopl", "x86 I/O ports"},
    {"ioperm", "x86 I/O ports"},
    {"nfsservctl", "gone from the kernel, kept closed"},
    {"uselib", "old library loader"},
    // The machine.
    {"kexec_load", "starts another kernel"},
    {"kexec_file_load", "starts another kernel"},
    {"init_module", "loads code into the kernel"},
    {"finit_module", "loads code into the kernel"},
    {"delete_module", "unloads drivers"},
    {"reboot", "stops the machine"},
    {"syslog", "the kernel's log: addresses, other tenants"},
    {"acct", "accounting of the whole machine"},
    {"settimeofday", "the machine's clock"},
    {"clock_settime", "the machine's clock"},
    {"clock_adjtime", "the machine's clock"},
    {"adjtimex", "the machine's clock"},
    {"stime", "the machine's clock"},
    {"sethostname", "the machine's name"},
    {"setdomainname", "the machine's name"},
    {"vhangup", "other sessions' terminals"},
};

constexpr std::uint64_t namespace_flags[] = {
    CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP,
};

constexpr std::uint64_t low_half = 0xffff'ffff;  // where the kernel reads an int, whatever lies above

// Address families up to the last that Linux knows; above that everything is denied by one rule.
constexpr std::uint64_t last_family = 46;

bool internet_family(std::uint64_t family)
{
    // Netlink: resolvers ask it for the addresses of the interfaces.
    return family == AF_UNIX || family == AF_INET || family == AF_INET6 || family == AF_NETLINK;
}

// Whether x86 system-call numbers come with a second set (x32) in the same ABI word.
constexpr bool has_x32 =
#ifdef __x86_64__
    true;
#else
    false;
#endif

}  // namespace

std::vector<seccomp_rule> seccomp_rules(const seccomp_policy& policy)
{
    using enum argument_test::comparison;
    std::vector<seccomp_rule> rules;
    for (const denied& row : always_denied) rules.push_back({row.syscall, EPERM, std::nullopt});
    for (const std::uint64_t flag : namespace_flags)
        rules.push_back({"clone", EPERM, argument_test{0, masked_equal, flag, flag}});
    // Its flags are in memory, where a filter cannot look. "Not implemented" makes libc use clone.
    rules.push_back({"clone3", ENOSYS, std::nullopt});
    // Typing into the terminal that the server was started from.
    rules.push_back({"ioctl", EPERM, argument_test{1, masked_equal, TIOCSTI, low_half}});
    rules.push_back({"ioctl", EPERM, argument_test{1, masked_equal, TIOCLINUX, low_half}});
    // Only asking is allowed: some personalities switch hardening off.
    rules.push_back({"personality", EPERM, argument_test{0, not_equal, low_half}});
    if (!policy.network) {
        rules.push_back({"socket", EPERM, argument_test{0, not_equal, AF_UNIX}});
    } else {
        for (std::uint64_t family = 0; family <= last_family; ++family)
            if (!internet_family(family)) rules.push_back({"socket", EPERM, argument_test{0, equal, family}});
        rules.push_back({"socket", EPERM, argument_test{0, greater, last_family}});
    }
    return rules;
}

result<unique_fd> seccomp_program(const seccomp_policy& policy)
{
    using enum argument_test::comparison;
    const auto refused = [](const char* step, int code) {
        return error{errc::unavailable,
                     std::string{"cannot make the seccomp filter: "} + step + ": " + std::strerror(code)};
    };
    const std::unique_ptr<void, void (*)(void*)> context{::seccomp_init(SCMP_ACT_ALLOW), ::seccomp_release};
    if (!context) return refused("init", ENOMEM);
    // Any ABI but the native one.
    if (const int code = ::seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS); code != 0)
        return refused("foreign architectures", -code);
    // Sorted by number as a binary tree instead of one comparison a rule.
    ::seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
    for (const seccomp_rule& rule : seccomp_rules(policy)) {
        const int number = ::seccomp_syscall_resolve_name(std::string{rule.syscall}.c_str());
        if (number < 0) continue;
        const std::uint32_t action = SCMP_ACT_ERRNO(static_cast<std::uint16_t>(rule.error));
        int code = 0;
        if (!rule.when) {
            code = ::seccomp_rule_add_array(context.get(), action, number, 0, nullptr);
        } else {
            const auto& test = *rule.when;
            scmp_arg_cmp comparison{};
            comparison.arg = test.index;
            comparison.datum_a = test.value;
            switch (test.how) {
                case masked_equal:
                    comparison.op = SCMP_CMP_MASKED_EQ;
                    comparison.datum_a = test.mask;
                    comparison.datum_b = test.value;
                    break;
                case equal: comparison.op = SCMP_CMP_EQ; break;
                case not_equal: comparison.op = SCMP_CMP_NE; break;
                case greater: comparison.op = SCMP_CMP_GT; break;
            }
            code = ::seccomp_rule_add_array(context.get(), action, number, 1, &comparison);
        }
        if (code != 0) return refused(std::string{rule.syscall}.c_str(), -code);
    }
    unique_fd program{::memfd_create("seccomp", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    if (!program) return refused("memfd_create", errno);
    if (const int code = ::seccomp_export_bpf(context.get(), program.get()); code != 0) return refused("export", -code);
    ::fcntl(program.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
    return program;
}

std::string seccomp_text(const seccomp_policy& policy)
{
    using enum argument_test::comparison;
    // By number: nsjail's table of names is its own, and a name it does not know is an error there.
    std::string text;
    const auto add = [&text](int number, const seccomp_rule& rule) {
        text += "ERRNO(" + std::to_string(rule.error) + ") { SYSCALL[" + std::to_string(number) + "]";
        if (rule.when) {
            const auto& test = *rule.when;
            const std::string argument{static_cast<char>('a' + test.index)};
            text += "(";
            for (unsigned index = 0; index <= test.index; ++index)
                text += std::string{index == 0 ? "" : ", "} + static_cast<char>('a' + index);
            text += ") { ";
            switch (test.how) {
                case masked_equal:
                    text += "(" + argument + " & " + std::to_string(test.mask) + ") == " + std::to_string(test.value);
                    break;
                case equal: text += argument + " == " + std::to_string(test.value); break;
                case not_equal: text += argument + " != " + std::to_string(test.value); break;
                case greater: text += argument + " > " + std::to_string(test.value); break;
            }
            text += " }";
        }
        text += " }\n";
    };
    for (const seccomp_rule& rule : seccomp_rules(policy)) {
        const std::string name{rule.syscall};
        if (const int number = ::seccomp_syscall_resolve_name(name.c_str()); number >= 0) add(number, rule);
        // Kafel refuses i386 but takes x32 numbers for native ones that nobody named.
        if (has_x32)
            if (const int number = ::seccomp_syscall_resolve_name_arch(SCMP_ARCH_X32, name.c_str()); number >= 0)
                add(number, rule);
    }
    return text + "DEFAULT ALLOW\n";
}

boost::json::object seccomp_object(const seccomp_policy& policy, bool any_error)
{
    using enum argument_test::comparison;
    namespace json = boost::json;
    json::array rules;
    const auto add = [&rules](json::array names, int error, json::array tests) {
        json::object rule{{"names", std::move(names)}, {"action", "SCMP_ACT_ERRNO"}, {"errnoRet", error}};
        if (!tests.empty()) rule["args"] = std::move(tests);
        rules.push_back(std::move(rule));
    };
    json::array always;  // one rule for all that are refused in the same way
    for (const seccomp_rule& rule : seccomp_rules(policy)) {
        const std::string name{rule.syscall};
        if (::seccomp_syscall_resolve_name(name.c_str()) < 0) continue;
        if (rule.error != EPERM && !any_error) continue;
        if (!rule.when && rule.error == EPERM) {
            always.push_back(json::string{name});
            continue;
        }
        json::array tests;
        if (rule.when) {
            const auto& test = *rule.when;
            json::object one{{"index", test.index}, {"value", test.value}};
            switch (test.how) {
                case masked_equal:
                    one["op"] = "SCMP_CMP_MASKED_EQ";
                    one["value"] = test.mask;
                    one["valueTwo"] = test.value;
                    break;
                case equal: one["op"] = "SCMP_CMP_EQ"; break;
                case not_equal: one["op"] = "SCMP_CMP_NE"; break;
                case greater: one["op"] = "SCMP_CMP_GT"; break;
            }
            tests.push_back(std::move(one));
        }
        add(json::array{json::string{name}}, rule.error, std::move(tests));
    }
    add(std::move(always), EPERM, {});
    // Any ABI but the native one is refused altogether.
    const char* const native =
#if defined(__x86_64__)
        "SCMP_ARCH_X86_64";
#elif defined(__aarch64__)
        "SCMP_ARCH_AARCH64";
#else
#error "name this architecture as OCI does"
#endif
    return {
        {"defaultAction", "SCMP_ACT_ALLOW"}, {"architectures", json::array{native}}, {"syscalls", std::move(rules)}};
}

}  // namespace sandboxd::jail
