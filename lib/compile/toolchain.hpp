// Turns a job directory with sources into artifacts. The service above it knows neither processes nor jails, so a
// faster way to run emcc would be another class here.
#pragma once

#include "async/stop.hpp"
#include "base/client_key.hpp"
#include "base/errc.hpp"
#include "compile/argument_policy.hpp"
#include "compile/source_file.hpp"
#include "disk/job_directory.hpp"
#include "process/cgroup.hpp"

#include <boost/asio/awaitable.hpp>

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::compile {

struct toolchain_info {
    std::string version;  // "3.1.6"
    emcc_version numbers;
    // Changes whenever the same job might yield another result: version, variables, and what the programs are that make
    // bytes (tool_identity.hpp). The same on machines that have the same.
    std::string identity;
};

struct toolchain_job {
    std::filesystem::path directory;  // with src/ (read only for the compiler) and out/ (its own)
    std::vector<std::string> argv;    // effective_arguments::argv
    std::vector<std::string> units;   // relative to src/
    language lang{language::c};
    std::shared_ptr<pid_t> leader{};  // see jail::spec
    client_key client{};              // the same
};

struct toolchain_result {
    bool succeeded{false};  // exit status 0
    std::string log;        // stdout and stderr as printed; may be invalid UTF-8
    bool truncated{false};
    std::string ended;  // how it ended, in words: "exit status 1", "signal 11"
    // The limit that made the job fail, as far as the toolchain can tell: memory_limit, disk_limit or timeout
    // (processor time). Empty: the compiler rejected the source.
    std::optional<errc> limit{};
    std::chrono::microseconds wall{0};
    // How long its steps took, where that is known: "clang", "wasm-ld", ….
    std::vector<std::pair<std::string_view, std::chrono::microseconds>> steps;
    std::optional<process::cgroup_usage> usage;
};

class toolchain {
public:
    virtual ~toolchain() = default;

    // Finds the compiler and reads its version. Call it again after a failure. Errors: unavailable, with cause and
    // cure.
    virtual boost::asio::awaitable<result<toolchain_info>> find() = 0;

    // A directory for the next job, still empty, for which more than that is ready. Nothing: any directory is as good.
    virtual std::optional<disk::job_directory> ready_directory() { return std::nullopt; }

    // Compiles and links: out/app.js and the files beside it. Rejected source is a result. `stop` ends the run early;
    // its cause says why. Errors: unavailable, internal.
    virtual boost::asio::awaitable<result<toolchain_result>> run(toolchain_job job, async::stop_source& stop) = 0;
};

// The artifacts a job may leave, app.js first.
std::span<const std::string> artifact_names();

}  // namespace sandboxd::compile
