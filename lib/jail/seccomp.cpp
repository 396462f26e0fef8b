#include "jail/seccomp.hpp"

#include <boost/json/array.hpp>
#include <boost/json/string.hpp>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/membarrier.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>

namespace sandboxd::jail {
namespace {

struct denied {
    std::string_view syscall;
    std::string_view why;
};

// Calls that are newer than some supported libseccomp. From 424 on a call has the same number everywhere.
struct numbered {
    std::string_view syscall;
    int number;
};

constexpr numbered numbers[] = {
    {"landlock_add_rule", 445},
    {"landlock_create_ruleset", 444},
    {"landlock_restrict_self", 446},
    {"process_madvise", 440},
    {"mount_setattr", 442},
    {"quotactl_fd", 443},
    {"memfd_secret", 447},
    {"process_mrelease", 448},
    {"cachestat", 451},
    {"map_shadow_stack", 453},
    {"statmount", 457},
    {"listmount", 458},
    {"lsm_set_self_attr", 460},
    {"open_tree_attr", 467},
    {"file_setattr", 469},
    {"listns", 470},
    {"set_mempolicy_home_node", 450},
};

// Grouped by subject. A name that the architecture does not have is ignored.
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
    {"statmount", "reports mounts by number"},
    {"listmount", "the same"},
    {"listns", "reports namespaces by number"},
    {"file_setattr", "new interface to file flags"},
    // Namespaces: each new one is a new attack surface of the kernel.
    {"unshare", "makes namespaces"},
    {"setns", "enters namespaces"},
    // Other processes.
    {"ptrace", "controls processes"},
    {"process_vm_readv", "reads other processes"},
    {"process_vm_writev", "writes other processes"},
    {"process_madvise", "acts on other processes"},
    {"pidfd_getfd", "takes descriptors of other processes"},
    {"process_mrelease", "acts on other processes"},
    {"kcmp", "compares other processes' kernel objects"},
    // Kernel subsystems with a record of bugs, which no job needs.
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
    {"map_shadow_stack", "memory that RLIMIT_DATA does not count"},
    {"vmsplice", "a pipe then holds pages that no limit counts, and whole huge pages for a few bytes"},
    {"remap_file_pages", "old form of shared mappings"},
    {"shmget", "System V memory: outlives its process, under no limit of ours"},
    {"msgget", "System V queues: the same"},
    {"semget", "System V semaphores: the same"},
    {"mq_open", "POSIX queues: the same, and counted for each user"},
    {"mq_unlink", "the same"},
    // Machine-wide counts, or effects on the whole machine.
    {"io_setup", "the machine has one limit for all asynchronous I/O (fs.aio-max-nr)"},
    {"io_destroy", "the same"},
    {"io_submit", "the same"},
    {"io_cancel", "the same"},
    {"io_getevents", "the same"},
    {"io_pgetevents", "the same"},
    {"sync", "writes out all disks of the machine"},
    {"syncfs", "writes out a whole disk that others use, too"},
    {"cachestat", "tells which files others have read"},
    {"mbind", "memory of other nodes"},
    {"set_mempolicy", "the same"},
    {"set_mempolicy_home_node", "the same"},
    {"migrate_pages", "the same, of other processes"},
    {"move_pages", "the same"},
    {"modify_ldt", "x86 segments, for Wine and old kernels' bugs"},
    {"vm86", "x86 real mode"},
    {"vm86old", "x86 real mode"},
    {"iopl", "x86 I/O ports"},
    {"ioperm", "x86 I/O ports"},
    {"nfsservctl", "removed from the kernel; stays denied"},
    {"uselib", "old library loader"},
    {"ustat", "old form of asking about disks"},
    {"sysfs", "old list of file systems"},
    {"_sysctl", "old interface to settings"},
    {"lsm_set_self_attr", "security modules' labels"},
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

// Newer than some of the headers that this is built with.
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#endif

constexpr std::uint64_t low_half = 0xffff'ffff;  // the kernel reads an int here and ignores the upper half

// The last address family that Linux has; one rule denies everything above it.
constexpr std::uint64_t last_family = 46;

bool is_known_family(std::uint64_t family)
{
    return family == AF_UNIX || family == AF_INET || family == AF_INET6 || family == AF_NETLINK;
}

// The bits of the type; flags are above them.
constexpr std::uint64_t type_mask = 0xf;

// Only TCP and UDP, none of the others of an Internet family: raw sockets, ICMP, SCTP, MPTCP, L2TP, ….
void add_internet_rules(std::vector<seccomp_rule>& rules, std::uint64_t family)
{
    using enum argument_test::comparison;
    const argument_test of{0, equal, family};
    const auto type = [](std::uint64_t value) { return argument_test{1, masked_equal, value, type_mask}; };
    for (std::uint64_t other = 0; other <= type_mask; ++other)
        if (other != SOCK_STREAM && other != SOCK_DGRAM) rules.push_back({"socket", EPERM, {of, type(other)}});
    const auto only = [&](std::uint64_t wanted, std::uint64_t protocol) {
        for (std::uint64_t other = 1; other < protocol; ++other)
            rules.push_back({"socket", EPERM, {of, type(wanted), {2, equal, other}}});
        rules.push_back({"socket", EPERM, {of, type(wanted), {2, greater, protocol}}});
    };
    only(SOCK_STREAM, IPPROTO_TCP);
    only(SOCK_DGRAM, IPPROTO_UDP);
}

// Whether x86 system-call numbers come with a second set (x32) in the same ABI word.
constexpr bool has_x32 =
#ifdef __x86_64__
    true;
#else
    false;
#endif

}  // namespace

seccomp_policy policy_of(const spec& what)
{
    return {.network = what.network != network_access::none, .own_filters = what.own_filters};
}

std::vector<seccomp_rule> seccomp_rules(const seccomp_policy& policy)
{
    using enum argument_test::comparison;
    std::vector<seccomp_rule> rules;
    const auto one = [&rules](std::string_view syscall, const argument_test& when) {
        rules.push_back({syscall, EPERM, {when}});
    };
    for (const denied& row : always_denied) rules.push_back({row.syscall, EPERM, {}});
    for (const std::uint64_t flag : namespace_flags) one("clone", {0, masked_equal, flag, flag});
    // Its flags are in memory, which a filter cannot read. "Not implemented" makes libc use clone.
    rules.push_back({"clone3", ENOSYS, {}});
    // Sets of rules are memory of the kernel's, and nothing bounds their number.
    for (const char* call : {"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"})
        rules.push_back({call, ENOSYS, {}});
    // Memory that RLIMIT_DATA does not count. "Not implemented" makes runtimes work without it.
    rules.push_back({"memfd_create", ENOSYS, {}});
    constexpr std::uint64_t kind = MAP_TYPE | MAP_ANONYMOUS;
    one("mmap", {3, masked_equal, MAP_SHARED | MAP_ANONYMOUS, kind});
    one("mmap", {3, masked_equal, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, kind});
    one("mmap", {3, masked_equal, MAP_GROWSDOWN, MAP_GROWSDOWN});
    // The machine has one pool of huge pages.
    one("mmap", {3, masked_equal, MAP_HUGETLB, MAP_HUGETLB});
    // What a socket holds is counted by nothing of ours. The call does nothing and succeeds, as it does in part above
    // the kernel's own limit: programs would take an error for the end of their connection.
    for (const std::uint64_t buffer : {SO_SNDBUF, SO_RCVBUF})
        rules.push_back(
            {"setsockopt", 0, {{1, masked_equal, SOL_SOCKET, low_half}, {2, masked_equal, buffer, low_half}}});
    // Filters are compiled, and the machine has one budget for that (net.core.bpf_jit_limit). Beyond it no jail of ours
    // would start.
    for (const std::uint64_t filter :
         {SO_ATTACH_FILTER, SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_CBPF, SO_ATTACH_REUSEPORT_EBPF})
        rules.push_back(
            {"setsockopt", EPERM, {{1, masked_equal, SOL_SOCKET, low_half}, {2, masked_equal, filter, low_half}}});
    if (!policy.own_filters) {
        // A core dump goes to a helper of the host's with every limit but the one that jails have (common_rlimits). It
        // stays, and programs that forbid core dumps take their wish for granted.
        rules.push_back({"setrlimit", 0, {{0, masked_equal, RLIMIT_CORE, low_half}}});
        rules.push_back({"prlimit64", 0, {{1, masked_equal, RLIMIT_CORE, low_half}, {2, not_equal, 0}, {3, equal, 0}}});
        rules.push_back(
            {"prlimit64", EPERM, {{1, masked_equal, RLIMIT_CORE, low_half}, {2, not_equal, 0}, {3, not_equal, 0}}});
        one("seccomp", {0, masked_equal, SECCOMP_SET_MODE_FILTER, low_half});
        rules.push_back(
            {"prctl",
             EPERM,
             {{0, masked_equal, PR_SET_SECCOMP, low_half}, {1, masked_equal, SECCOMP_MODE_FILTER, low_half}}});
    }
    // A lock that takes no right to write: of a file that others have mounted too, it is one on them. Libraries that
    // hear "not implemented" lock in another way. fcntl(2) keeps others from a file only where it is open for writing.
    rules.push_back({"flock", ENOSYS, {}});
    // A pipe has 64 KiB, and its uid 64 MiB of them (fs.pipe-user-pages-soft).
    one("fcntl", {1, masked_equal, F_SETPIPE_SZ, low_half});
    // Every child has lost huge pages (process::prepare_this_process), and is not to take them back.
    one("prctl", {0, masked_equal, PR_SET_THP_DISABLE, low_half});
    one("madvise", {2, masked_equal, MADV_COLLAPSE, low_half});
    // Pages that are the same in two jails become one, and how long a write to one takes tells so.
    one("madvise", {2, masked_equal, MADV_MERGEABLE, low_half});
    one("prctl", {0, masked_equal, PR_SET_MEMORY_MERGE, low_half});
    // Who may share a processor's core with whom.
    one("prctl", {0, masked_equal, PR_SCHED_CORE, low_half});
    // Waits for, and disturbs, every processor of the machine.
    one("membarrier", {0, masked_equal, MEMBARRIER_CMD_GLOBAL, low_half});
    // Would show who opens and reads files that are mounted from the host. Watching for changes is allowed.
    for (const std::uint64_t event : {IN_ACCESS, IN_OPEN, IN_CLOSE_NOWRITE})
        one("inotify_add_watch", {2, masked_equal, event, event});
    one("fcntl", {1, masked_equal, F_NOTIFY, low_half});  // the older form of it
    // Would throw out of memory what all jails share of the host's files, and tell what of it is in memory: how others
    // use them. The first is advice, which need not be followed.
    rules.push_back({"fadvise64", 0, {{3, masked_equal, POSIX_FADV_DONTNEED, low_half}}});
    rules.push_back({"preadv2", EOPNOTSUPP, {{5, masked_equal, RWF_NOWAIT, RWF_NOWAIT}}});
    // Would make the next opener of the file wait.
    one("fcntl", {1, masked_equal, F_SETLEASE, low_half});
    // Would type into the terminal that started the server.
    one("ioctl", {1, masked_equal, TIOCSTI, low_half});
    one("ioctl", {1, masked_equal, TIOCLINUX, low_half});
    // Only querying is allowed: some personalities turn off hardening.
    one("personality", {0, not_equal, low_half});
    one("socketpair", {0, not_equal, AF_UNIX});
    if (!policy.network) {
        one("socket", {0, not_equal, AF_UNIX});
        return rules;
    }
    for (std::uint64_t family = 0; family <= last_family; ++family)
        if (!is_known_family(family)) one("socket", {0, equal, family});
    one("socket", {0, greater, last_family});
    add_internet_rules(rules, AF_INET);
    add_internet_rules(rules, AF_INET6);
    // Resolvers and runtimes query only the addresses of the interfaces.
    rules.push_back({"socket", EPERM, {{0, equal, AF_NETLINK}, {2, not_equal, NETLINK_ROUTE}}});
    return rules;
}

int number_of(std::string_view syscall)
{
    if (const int number = ::seccomp_syscall_resolve_name(std::string{syscall}.c_str()); number >= 0) return number;
    for (const numbered& row : numbers)
        if (row.syscall == syscall) return row.number;
    return -1;
}

namespace {

// A rule that libseccomp cannot express: calls of the native ABI above the highest known one are not implemented.
std::vector<sock_filter> newer_calls()
{
    constexpr auto to_architecture = offsetof(seccomp_data, arch);
    constexpr auto to_number = offsetof(seccomp_data, nr);
    constexpr std::uint32_t first_of_x32 = 0x4000'0000;
    const auto load = [](std::size_t at) {
        return sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<std::uint32_t>(at)};
    };
    return {load(to_architecture),
            {BPF_JMP | BPF_JEQ | BPF_K, 0, 4, ::seccomp_arch_native()},
            load(to_number),
            {BPF_JMP | BPF_JGE | BPF_K, 2, 0, first_of_x32},
            {BPF_JMP | BPF_JGT | BPF_K, 0, 1, static_cast<std::uint32_t>(highest_known_call)},
            {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | ENOSYS}};
}

}  // namespace

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
    // A binary tree by number, instead of one comparison for each rule.
    ::seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
    for (const seccomp_rule& rule : seccomp_rules(policy)) {
        const int number = number_of(rule.syscall);
        if (number < 0) continue;
        const std::uint32_t action = SCMP_ACT_ERRNO(static_cast<std::uint16_t>(rule.error));
        std::vector<scmp_arg_cmp> comparisons;
        for (const argument_test& test : rule.when) {
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
            comparisons.push_back(comparison);
        }
        const int code = ::seccomp_rule_add_array(context.get(), action, number,
                                                  static_cast<unsigned>(comparisons.size()), comparisons.data());
        if (code != 0) return refused(std::string{rule.syscall}.c_str(), -code);
    }
    unique_fd program{::memfd_create("seccomp", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    if (!program) return refused("memfd_create", errno);
    const auto first = newer_calls();
    const auto bytes = first.size() * sizeof(sock_filter);
    if (::write(program.get(), first.data(), bytes) != static_cast<ssize_t>(bytes)) return refused("write", errno);
    if (const int code = ::seccomp_export_bpf(context.get(), program.get()); code != 0) return refused("export", -code);
    ::fcntl(program.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
    return program;
}

result<std::string> seccomp_digits(const seccomp_policy& policy)
{
    static constexpr char digits[] = "0123456789abcdef";
    const auto program = seccomp_program(policy);
    if (!program) return program.error();
    std::string made;
    unsigned char block[4096];
    off_t at = 0;
    for (ssize_t got = 0; (got = ::pread(program->get(), block, sizeof block, at)) > 0; at += got) {
        for (ssize_t i = 0; i < got; ++i) {
            made += digits[block[i] >> 4];
            made += digits[block[i] & 15];
        }
    }
    return made;
}

result<container_filters> make_container_filters() { return make_for_each_policy<std::string>(seccomp_digits); }

std::string seccomp_text(const seccomp_policy& policy)
{
    using enum argument_test::comparison;
    // By number: nsjail has its own table of names, and an unknown name is an error.
    std::string text;
    const auto add = [&text](int number, const seccomp_rule& rule) {
        text += "ERRNO(" + std::to_string(rule.error) + ") { SYSCALL[" + std::to_string(number) + "]";
        if (!rule.when.empty()) {
            unsigned highest = 0;
            for (const argument_test& test : rule.when) highest = std::max(highest, test.index);
            text += "(";
            for (unsigned index = 0; index <= highest; ++index)
                text += std::string{index == 0 ? "" : ", "} + static_cast<char>('a' + index);
            text += ") { ";
            for (const argument_test& test : rule.when) {
                if (&test != rule.when.data()) text += " && ";
                const std::string argument{static_cast<char>('a' + test.index)};
                switch (test.how) {
                    case masked_equal:
                        text +=
                            "(" + argument + " & " + std::to_string(test.mask) + ") == " + std::to_string(test.value);
                        break;
                    case equal: text += argument + " == " + std::to_string(test.value); break;
                    case not_equal: text += argument + " != " + std::to_string(test.value); break;
                    case greater: text += argument + " > " + std::to_string(test.value); break;
                }
            }
            text += " }";
        }
        text += " }\n";
    };
    for (const seccomp_rule& rule : seccomp_rules(policy)) {
        const std::string name{rule.syscall};
        if (const int number = number_of(name); number >= 0) add(number, rule);
        // Kafel refuses i386, but treats x32 numbers as native ones without a rule.
        if (has_x32)
            if (const int number = ::seccomp_syscall_resolve_name_arch(SCMP_ARCH_X32, name.c_str()); number >= 0)
                add(number, rule);
    }
    // One by one: Kafel cannot compare numbers.
    constexpr int further = 128;
    for (int number = highest_known_call + 1; number <= highest_known_call + further; ++number)
        add(number, {{}, ENOSYS, {}});
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
    json::array always;  // one rule for all calls that return the same error
    for (const seccomp_rule& rule : seccomp_rules({.network = policy.network, .own_filters = true})) {
        const std::string name{rule.syscall};
        if (::seccomp_syscall_resolve_name(name.c_str()) < 0) continue;
        if (rule.error != EPERM && !any_error) continue;
        if (rule.when.empty() && rule.error == EPERM) {
            always.push_back(json::string{name});
            continue;
        }
        json::array tests;
        for (const argument_test& test : rule.when) {
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
