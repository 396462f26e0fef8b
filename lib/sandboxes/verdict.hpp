// How an execution ended, by name: which of its limits ended it, or that it ended by itself.
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
    // What a shell would say: its own exit status; 128 and the signal; 124 for a timeout, as timeout(1) has it.
    int exit_code{0};
    int signal{0};  // 0: none

    bool operator==(const judgement&) const = default;
};

// Pure. `stopped`: what ended it early. `err`: the end of its standard error, in which a runtime that found no memory
// or no room says so: without a cgroup nobody else knows. `used_up_cpu`: it ran for as long as its processor time was.
// A jail reports a signal as 128 and its number; a program that exits with such a status is taken to have been
// signalled, as a shell takes it.
judgement judge(const process::wait_status& status, std::optional<errc> stopped, std::string_view err,
                bool used_up_cpu);

}  // namespace sandboxd::sandboxes
