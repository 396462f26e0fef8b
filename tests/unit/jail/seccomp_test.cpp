// The seccomp policy: the table is complete and its two forms agree. What it does is tried in a
// real jail.
#include "jail/seccomp.hpp"

#include <catch2/catch_test_macros.hpp>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

using namespace sandboxd;

namespace {

bool denies_always(const std::vector<jail::seccomp_rule>& rules, std::string_view name, int error)
{
    return std::ranges::any_of(
        rules, [&](const auto& rule) { return rule.syscall == name && rule.when.empty() && rule.error == error; });
}

std::size_t size_of(const unique_fd& file)
{
    struct stat status = {};
    REQUIRE(::fstat(file.get(), &status) == 0);
    return static_cast<std::size_t>(status.st_size);
}

}  // namespace

TEST_CASE("seccomp: what no compiler needs is denied, without a kill", "[jail]")
{
    for (const bool network : {false, true}) {
        const auto rules = jail::seccomp_rules({network});
        for (const char* name : {"mount",
                                 "umount2",
                                 "pivot_root",
                                 "move_mount",
                                 "open_tree",
                                 "fsopen",
                                 "fsconfig",
                                 "fsmount",
                                 "fspick",
                                 "mount_setattr",
                                 "ptrace",
                                 "process_vm_readv",
                                 "process_vm_writev",
                                 "bpf",
                                 "keyctl",
                                 "add_key",
                                 "request_key",
                                 "userfaultfd",
                                 "io_uring_setup",
                                 "io_uring_enter",
                                 "io_uring_register",
                                 "kexec_load",
                                 "kexec_file_load",
                                 "init_module",
                                 "finit_module",
                                 "delete_module",
                                 "unshare",
                                 "setns",
                                 "perf_event_open",
                                 "open_by_handle_at",
                                 "name_to_handle_at",
                                 "quotactl",
                                 "swapon",
                                 "swapoff",
                                 "reboot",
                                 "settimeofday",
                                 "clock_settime",
                                 "adjtimex",
                                 "clock_adjtime",
                                 "acct",
                                 "syslog",
                                 "nfsservctl",
                                 "lookup_dcookie",
                                 "vm86",
                                 "iopl",
                                 "ioperm",
                                 "pidfd_getfd",
                                 "memfd_secret"}) {
            CAPTURE(name, network);
            CHECK(denies_always(rules, name, EPERM));
        }
        for (const char* name : {"clone3", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"})
            CHECK(denies_always(rules, name, ENOSYS));
        // A slip in the table would stop every compiler.
        for (const char* name :
             {"clone", "execve", "openat", "mmap", "socket", "ioctl", "personality", "inotify_add_watch", "prlimit64"})
            CHECK_FALSE(denies_always(rules, name, EPERM));
    }
}

TEST_CASE("seccomp: sockets by policy", "[jail]")
{
    using enum jail::argument_test::comparison;
    const auto denied = [](const std::vector<jail::seccomp_rule>& rules, std::uint64_t family,
                           std::uint64_t type = SOCK_STREAM, std::uint64_t protocol = 0) {
        const std::uint64_t arguments[] = {family, type, protocol};
        return std::ranges::any_of(rules, [&](const auto& rule) {
            if (rule.syscall != "socket") return false;
            return std::ranges::all_of(rule.when, [&](const jail::argument_test& test) {
                REQUIRE(test.index < 3);
                const auto given = arguments[test.index];
                switch (test.how) {
                    case equal: return given == test.value;
                    case not_equal: return given != test.value;
                    case greater: return given > test.value;
                    case masked_equal: return (given & test.mask) == test.value;
                }
                return false;
            });
        });
    };
    const auto offline = jail::seccomp_rules({.network = false});
    const auto online = jail::seccomp_rules({.network = true});
    for (const std::uint64_t family :
         {0, AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_ALG, AF_VSOCK, AF_XDP, 46, 47, 1000}) {
        CAPTURE(family);
        CHECK(denied(offline, family) == (family != AF_UNIX));
        CHECK(denied(online, family) ==
              (family != AF_UNIX && family != AF_INET && family != AF_INET6 && family != AF_NETLINK));
        // The kernel reads an int; what stands above it must not be a way around.
        CHECK(denied(offline, family | (std::uint64_t{1} << 32)));
        CHECK(denied(online, family | (std::uint64_t{1} << 32)));
    }
    for (const std::uint64_t family : {AF_INET, AF_INET6}) {
        CAPTURE(family);
        const std::uint64_t flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
        for (const std::uint64_t protocol : {0, int{IPPROTO_TCP}})
            CHECK_FALSE(denied(online, family, SOCK_STREAM | flags, protocol));
        for (const std::uint64_t protocol : {0, int{IPPROTO_UDP}})
            CHECK_FALSE(denied(online, family, SOCK_DGRAM | flags, protocol));
        for (const std::uint64_t type : {SOCK_RAW, SOCK_RDM, SOCK_SEQPACKET, SOCK_DCCP, SOCK_PACKET})
            CHECK(denied(online, family, type | flags, 0));
        for (const std::uint64_t protocol : {1, 2, 17, 58, 132, 262})
            CHECK(denied(online, family, SOCK_STREAM, protocol));
        for (const std::uint64_t protocol : {1, 6, 58, 115, 136}) CHECK(denied(online, family, SOCK_DGRAM, protocol));
        CHECK(denied(online, family, SOCK_STREAM, (std::uint64_t{1} << 32) | IPPROTO_TCP));
    }
    CHECK_FALSE(denied(online, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
    CHECK(denied(online, AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT));
    CHECK(denied(online, AF_NETLINK, SOCK_DGRAM, NETLINK_GENERIC));
}

TEST_CASE("seccomp: the BPF program is whole, sealed, and depends on the policy", "[jail]")
{
    const auto offline = jail::seccomp_program({.network = false});
    const auto online = jail::seccomp_program({.network = true});
    REQUIRE(offline.has_value());
    REQUIRE(online.has_value());
    CHECK(size_of(*offline) > 0);
    CHECK(size_of(*offline) % sizeof(sock_filter) == 0);
    CHECK(size_of(*online) != size_of(*offline));
    CHECK(::pwrite(offline->get(), "x", 1, 0) == -1);
    CHECK((::fcntl(offline->get(), F_GETFD) & FD_CLOEXEC) != 0);
    // Each job opens its own description, at the start.
    const unique_fd again{::open(("/proc/self/fd/" + std::to_string(offline->get())).c_str(), O_RDONLY | O_CLOEXEC)};
    REQUIRE(again);
    CHECK(::lseek(again.get(), 0, SEEK_CUR) == 0);
}

TEST_CASE("seccomp: names that libseccomp does not know have their number", "[jail]")
{
    for (const auto& [name, number] : {std::pair{"open_tree_attr", 467}, std::pair{"map_shadow_stack", 453},
                                       std::pair{"listns", 470}, std::pair{"memfd_secret", 447}})
        CHECK(jail::number_of(name) == number);
    CHECK(jail::number_of("no_such_call") == -1);
    // Every row that this architecture has is in the program.
    for (const auto& rule : jail::seccomp_rules({.network = true})) {
        CAPTURE(rule.syscall);
        CHECK(jail::number_of(rule.syscall) <= jail::highest_known_call);
    }
    const auto digits = jail::seccomp_digits({.network = true});
    REQUIRE(digits.has_value());
    CHECK(digits->size() % (2 * sizeof(sock_filter)) == 0);
    CHECK(digits->size() < 100'000);  // an argument's most is 128 KiB
}

TEST_CASE("seccomp: nsjail's text has every rule by number", "[jail]")
{
    const std::string text = jail::seccomp_text({.network = false});
    CHECK(text.ends_with("\nDEFAULT ALLOW\n"));
#ifdef __x86_64__
    CHECK(text.find("ERRNO(1) { SYSCALL[165] }\n") != std::string::npos);         // mount
    CHECK(text.find("ERRNO(1) { SYSCALL[1073741989] }\n") != std::string::npos);  // mount, x32
    CHECK(text.find("ERRNO(1) { SYSCALL[1073742345] }\n") != std::string::npos);  // ptrace has an x32 number of its own
    CHECK(text.find("ERRNO(38) { SYSCALL[435] }\n") != std::string::npos);        // clone3
    CHECK(text.find("ERRNO(1) { SYSCALL[41](a) { a != 1 } }\n") != std::string::npos);
    CHECK(text.find("ERRNO(1) { SYSCALL[16](a, b) { (b & 4294967295) == 21522 } }\n") != std::string::npos);
    CHECK(text.find("ERRNO(1) { SYSCALL[56](a) { (a & 268435456) == 268435456 } }\n") != std::string::npos);
#endif
}
