// The limits of one execution. A request may override the defaults up to the configured maximum. The table names the
// limits in requests, configuration and answers.
#pragma once

#include "base/errc.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sandboxd::sandboxes {

struct execution_limits {
    std::int64_t wall_ms{30'000};        // from its start to its end
    std::int64_t memory_mb{512};         // with a cgroup of all its processes, otherwise data of each process
    std::int64_t cpu_secs{60};           // processor time of each process
    std::int64_t processes{64};          // processes and threads
    std::int64_t output_bytes{1 << 20};  // standard output and standard error together
    std::int64_t disk_mb{64};            // its private /tmp, where its working directory is

    bool operator==(const execution_limits&) const = default;
};

struct limit_row {
    std::string_view name;      // in requests and answers
    std::string_view most_key;  // the configuration's key of the maximum
    std::int64_t execution_limits::* value;
    std::int64_t least;
    std::string_view usual_key;  // of the default
    std::string_view means;      // for the API's description
};

inline constexpr std::array<limit_row, 6> limit_table{{
    {"timeout_ms", "sandboxes.maxTimeoutMs", &execution_limits::wall_ms, 1, "sandboxes.timeoutMs",
     "Time of one execution."},
    {"memory_limit_mb", "sandboxes.maxMemoryMB", &execution_limits::memory_mb, 1, "sandboxes.memoryMB",
     "Memory of all its processes together, and of Node.js' heap."},
    {"cpu_limit_secs", "sandboxes.maxCpuSecs", &execution_limits::cpu_secs, 1, "sandboxes.cpuSecs",
     "Processor time of each process."},
    {"max_processes", "sandboxes.maxProcesses", &execution_limits::processes, 1, "sandboxes.processes",
     "Processes and threads; one Node.js has about 12 of them."},
    {"max_output_bytes", "sandboxes.maxOutputBytes", &execution_limits::output_bytes, 1, "sandboxes.outputBytes",
     "Standard output and standard error together."},
    {"disk_limit_mb", "sandboxes.maxDiskMB", &execution_limits::disk_mb, 1, "sandboxes.diskMB",
     "Of `/tmp`, the working directory and the only place that the program can write."},
}};

// One for each row of the table; nullopt: not requested.
using asked_limits = std::array<std::optional<std::int64_t>, limit_table.size()>;

// The requested limits, and `usual` for the others. Error: invalid_request for a value out of range, with its name
// and the key of its maximum.
result<execution_limits> settle(const asked_limits& asked, const execution_limits& usual, const execution_limits& most);

}  // namespace sandboxd::sandboxes
