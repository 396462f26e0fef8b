// System calls that jails deny, as one table for all of them: bubblewrap gets it as a BPF program made by libseccomp,
// nsjail as text in its policy language (kafel), container engines as JSON.
//
// A denied call returns an error and does not kill: runtimes such as Node.js probe for features and go on without
// them. Foreign ABIs (i386, x32) are denied altogether.
#pragma once

#include "base/errc.hpp"
#include "base/unique_fd.hpp"
#include "jail/spec.hpp"

#include <boost/json/object.hpp>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::jail {

struct seccomp_policy {
    bool network{false};  // allows TCP, UDP and querying addresses (NETLINK_ROUTE) besides Unix sockets
    // For programs of the server: allows further filters for system calls. The kernel has one budget for the compiled
    // filters of all unprivileged programs (net.core.bpf_jit_limit): once it is used up, no jail starts any more.
    bool own_filters{false};

    bool operator==(const seccomp_policy&) const = default;
};

// What a jail of this spec gets.
seccomp_policy policy_of(const spec& what);

// Something for each policy: a filter, as bytes, digits or text.
template <class Filter>
struct for_each_policy {
    Filter made[4]{};

    static constexpr seccomp_policy policy(std::size_t at)
    {
        return {.network = (at & 1) != 0, .own_filters = (at & 2) != 0};
    }
    const Filter& of(const seccomp_policy& policy) const
    {
        return made[(policy.network ? 1U : 0U) + (policy.own_filters ? 2U : 0U)];
    }
};

// By `make(policy)`, which returns a result<Filter>; the first error is the answer.
template <class Filter, class Make>
result<for_each_policy<Filter>> make_for_each_policy(const Make& make)
{
    for_each_policy<Filter> all;
    for (std::size_t at = 0; at < std::size(all.made); ++at) {
        result<Filter> one = make(all.policy(at));
        if (!one) return one.error();
        all.made[at] = std::move(*one);
    }
    return all;
}

// A condition on one argument of a system call, all in 64 bits.
struct argument_test {
    enum class comparison { masked_equal, equal, not_equal, greater };

    unsigned index;
    comparison how;
    std::uint64_t value;
    std::uint64_t mask{~std::uint64_t{0}};  // for masked_equal
};

struct seccomp_rule {
    std::string_view syscall;         // its name; left out if this architecture does not have it
    int error;                        // the errno that the call returns
    std::vector<argument_test> when;  // all must hold, each on another argument; empty: always
};

// The whole policy, in the order of the table.
std::vector<seccomp_rule> seccomp_rules(const seccomp_policy& policy);

// The number of a system call on this architecture, also for calls that libseccomp is too old to know. -1: there is
// no such call.
int number_of(std::string_view syscall);

// Calls with a higher number are newer than this table and always fail with ENOSYS.
inline constexpr int highest_known_call = 470;

// The BPF program as the kernel takes it (an array of sock_filter), in hexadecimal digits. sandboxd-init adds it to
// the filter that a container engine makes of seccomp_object(). Error: `unavailable` when libseccomp refuses.
result<std::string> seccomp_digits(const seccomp_policy& policy);

// Those that containers need. Empty ones: only the filter that the engine makes.
using container_filters = for_each_policy<std::string>;
// Errors: those of seccomp_digits.
result<container_filters> make_container_filters();

// A sealed file in memory with the BPF program, for bubblewrap's --seccomp. Readers share one file position, so open
// /proc/self/fd/<n> for each job to get a separate file description. Error: `unavailable` when libseccomp or the
// kernel refuses.
result<unique_fd> seccomp_program(const seccomp_policy& policy);

// The same policy for nsjail's --seccomp_string.
std::string seccomp_text(const seccomp_policy& policy);

// The same policy as the `linux.seccomp` of an OCI configuration, which Docker takes, too.
// https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#seccomp `any_error`: the engine supports
// the error that a rule names. gVisor always returns EPERM, with which libc would not fall back from clone3: that
// rule is left out then. So are, in each, the rules against what sandboxd-init has to do before it adds the whole
// table.
boost::json::object seccomp_object(const seccomp_policy& policy, bool any_error = true);

}  // namespace sandboxd::jail
