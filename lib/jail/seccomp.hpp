// What no compiler and no script needs from the kernel, as one table for all jails: bubblewrap
// takes it as a BPF program made by libseccomp, nsjail as text for its own policy language (kafel),
// container engines as JSON.
//
// It is a list of what is denied, with an error and not with a kill: runtimes such as Node.js probe
// for what is there and go on without. Foreign ABIs (i386, x32) are refused altogether.
#pragma once

#include "base/errc.hpp"
#include "base/unique_fd.hpp"

#include <boost/json/object.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::jail {

struct seccomp_policy {
    bool network{false};  // allows TCP, UDP and asking for addresses (NETLINK_ROUTE) beside Unix sockets

    bool operator==(const seccomp_policy&) const = default;
};

// A condition on one argument of a system call, all in 64 bits.
struct argument_test {
    enum class comparison { masked_equal, equal, not_equal, greater };

    unsigned index;
    comparison how;
    std::uint64_t value;
    std::uint64_t mask{~std::uint64_t{0}};  // for masked_equal
};

struct seccomp_rule {
    std::string_view syscall;         // its name; one that this architecture does not have is left out
    int error;                        // what the call returns as errno
    std::vector<argument_test> when;  // all of them, each of another argument; always, when empty
};

// The policy in full, in the order of the table.
std::vector<seccomp_rule> seccomp_rules(const seccomp_policy& policy);

// The number of a system call here. -1: there is none of that name. Calls that libseccomp is too old for have their
// number all the same.
int number_of(std::string_view syscall);

// Calls with a higher number are newer than this table: they are not implemented (ENOSYS), whatever they do.
inline constexpr int highest_known_call = 470;

// The BPF program, as the kernel takes it (an array of sock_filter), in hexadecimal digits: for sandboxd-init, which
// puts it on top of what a container engine has made of seccomp_object(). Error: `unavailable` when libseccomp refuses.
result<std::string> seccomp_digits(const seccomp_policy& policy);

// A sealed file in memory that holds the BPF program, for bubblewrap's --seccomp. Its readers share
// one position, so give each job a description of its own: open /proc/self/fd/<n>. Error:
// `unavailable` when libseccomp or the kernel refuses.
result<unique_fd> seccomp_program(const seccomp_policy& policy);

// The same policy for nsjail's --seccomp_string.
std::string seccomp_text(const seccomp_policy& policy);

// The same policy as the `linux.seccomp` of an OCI configuration, which Docker takes, too.
// https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#seccomp
// `any_error`: the engine lets calls fail with the error that a rule names. gVisor fails them with EPERM, which
// clone3 must not: libc does without it only where it is not implemented. That rule is left out then.
boost::json::object seccomp_object(const seccomp_policy& policy, bool any_error = true);

}  // namespace sandboxd::jail
