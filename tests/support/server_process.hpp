// The real sandboxd binary, started on a free port with a working directory of its own, and stopped at the
// end of the test.
#pragma once

#include "support/http_client.hpp"
#include "support/temporary_directory.hpp"

#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::test {

struct server_options {
    // JSON members of the configuration, without the braces: `"compileTimeoutSecs": 2, "jail": "none"`.
    std::string config{};
    std::vector<std::pair<std::string, std::string>> env{};
    std::string addr{"127.0.0.1:0"};
    // Reuse the working directory of an earlier server; must outlive this one.
    std::optional<std::filesystem::path> working_dir{};
    // Return as soon as it listens, without waiting for /readyz.
    bool wait_ready{true};
    // The whole command line, instead of one made of the fields above.
    std::optional<std::vector<std::string>> arguments{};
    std::filesystem::path cwd{"/"};
    // Start JavaScript workers: children that are there all the time. Else the configuration says
    // that there are none, unless it has a section `js` of its own.
    bool js{false};
    // RLIMIT_NOFILE, soft and hard.
    std::optional<rlim_t> open_files{};
};

// A toolchain that is not there: nothing is compiled, so the server starts at once and without load. For
// tests of what is not compiling.
inline constexpr const char* no_toolchain = R"("toolchain": {"emcc": "/nonexistent/emcc"})";

struct process_end {
    bool exited;
    int code;  // exit status or signal number
};

class server_process {
public:
    explicit server_process(server_options options = {});
    // SIGKILL, when it is still running.
    ~server_process();
    server_process(const server_process&) = delete;
    server_process& operator=(const server_process&) = delete;

    pid_t pid() const noexcept { return pid_; }
    const std::string& url() const noexcept { return url_; }  // from the ready line
    std::uint16_t port() const noexcept { return port_; }     // 0 for a Unix socket
    const std::filesystem::path& working_dir() const noexcept { return working_dir_; }

    void signal(int number) const;
    // Waits until it has ended by itself (after a signal).
    process_end wait();
    // SIGTERM, then wait.
    process_end stop();

    // Everything it has written to standard error so far.
    std::string log() const;
    // Waits until that holds `text`; false when it does not come. Lines below warning come with a delay.
    bool logs(std::string_view text) const;

    // Names of what is in the jobs directory: empty when no job is under way.
    std::vector<std::string> job_directories() const;
    // Processes that can see this server's jobs directory, or were started with it: its jobs, and what they
    // left behind. Works without the server, too.
    std::vector<pid_t> job_processes() const;
    // The server's own children, as the kernel prints them.
    std::string children() const;
    // Waits until no process and no directory of a job is left.
    bool clean() const;

    // One sample of /metrics, by its whole name: `sandboxd_cache_requests_total{from="store"}`; 0 when there
    // is none. `op`: on a server with keys, those of somebody who may read metrics.
    double metric(std::string_view sample, const header_list& op = {}) const;

private:
    void start(const server_options& options);

    temporary_directory own_;
    std::filesystem::path working_dir_;
    pid_t pid_{-1};
    bool ended_{false};
    std::string url_;
    std::uint16_t port_{0};
};

// Runs `sandboxd` with these arguments to its end; for what ends by itself.
struct run_result {
    process_end end;
    std::string out;
    std::string err;
};
run_result run_sandboxd(const std::vector<std::string>& arguments,
                        const std::vector<std::pair<std::string, std::string>>& env = {},
                        const std::filesystem::path& cwd = "/");

}  // namespace sandboxd::test
