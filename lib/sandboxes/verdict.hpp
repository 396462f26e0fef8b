// How an execution ended: by itself, or by which of its limits.
#pragma once

#include "base/errc.hpp"
#include "process/child.hpp"

#include <optional>
#include <string_view>

namespace sandboxd::sandboxes {

enum class verdict { exit, timeout, memory_limit, output_limit, disk_limit, signalled };

// "exit", "timeout", …: on the wire and in the metrics.
std::string_view name(verdict how) noexcept;

struct judgement {
    verdict how{verdict::exit};
    // As a shell reports it: the exit status; 128 plus the signal; 124 for a timeout, as in timeout(1).
    int exit_code{0};
    int signal{0};  // 0: none

    bool operator==(const judgement&) const = default;
};

// Pure. `stopped`: what ended it early. `err`: the end of its standard error, where a runtime reports that it ran out
// of memory or disk; without a cgroup there is no other sign. `used_up_cpu`: its processor time is used up. A jail
// reports a signal as 128 plus its number; a program that exits with such a status counts as signalled, as in a
// shell.
judgement judge(const process::wait_status& status, std::optional<errc> stopped, std::string_view err,
                bool used_up_cpu);

}  // namespace sandboxd::sandboxes
