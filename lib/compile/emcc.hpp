// emcc, one child process for each job, in a jail.
#pragma once

#include "compile/emsdk.hpp"
#include "compile/tool_identity.hpp"
#include "compile/toolchain.hpp"
#include "jail/jail.hpp"

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

namespace sandboxd::compile {

struct emcc_settings {
    std::string emcc;   // toolchain.emcc: absolute path, or empty to look for one
    std::string emsdk;  // toolchain.emsdk: absolute path, or empty
    // From the server's environment, for operators who sourced emsdk_env.sh: EMSDK, or the emsdk whose emcc comes
    // first on PATH. Takes precedence over `path`.
    std::string environment_emsdk;
    std::string environment_path;
    std::string scratch;                               // a directory for warming the cache
    std::string path{"/usr/local/bin:/usr/bin:/bin"};  // toolchain.path: PATH of the search and of the job
    std::vector<std::string> mounts;  // toolchain.mounts: directories and files the toolchain needs, read only
    std::vector<std::pair<std::string, std::string>> env;  // toolchain.env: added to the few that every job gets
    jail::job_limits limits;
    std::chrono::seconds wall{60};       // compileTimeoutSecs
    std::size_t output_bytes{1u << 20};  // compile.maxOutputBytes
    std::size_t warm_jails{0};           // compile.warmJails: built ahead, where the jail can
    // Where the directories of the jobs are made for which these stand: on the file system of all jobs' directories.
    std::filesystem::path ready;
    std::optional<disk::job_directory::owner> owner;  // of the jobs' directories
};

// The paths that Debian's or Ubuntu's emscripten needs, and nothing else of the host.
std::vector<std::string> default_mounts();

// The limit that made a run fail, read from the messages of compilers and their tools: without a cgroup nothing else
// tells. `status`: how the driver ended. `used_up_cpu`: the processor time of a process is used up, so an unexplained
// SIGKILL comes from RLIMIT_CPU and not from the kernel's OOM killer. Only whole lines count, and only if they begin
// like a tool's own message: a source that mentions memory and is quoted in a diagnostic must not count.
std::optional<errc> limit_behind(std::string_view log, const process::wait_status& status, bool used_up_cpu);

// The commands of a job, in order, each as emcc gets it in src/; the last one links. One is enough, except when a
// request has a -std= and units of both languages: -std= applies to every unit of a command, and clang refuses it for
// the other language. Then each C unit gets its own command, and its object takes its place in the link.
std::vector<std::vector<std::string>> command_lines(const toolchain_job& job, const std::string& c_driver,
                                                    const std::string& cpp_driver);

class emcc : public toolchain {
public:
    emcc(jail::jail& wall, emcc_settings settings);

    boost::asio::awaitable<result<toolchain_info>> find() override;
    // The same without letting an emsdk fill its cache: changes nothing.
    boost::asio::awaitable<result<toolchain_info>> look();
    std::optional<disk::job_directory> ready_directory() override;
    boost::asio::awaitable<result<toolchain_result>> run(toolchain_job job, async::stop_source& stop) override;

private:
    // The jail of a job's commands, complete except for the command.
    jail::spec spec_for(const toolchain_job& job) const;
    jail::spec base_spec() const;
    process::child_limits child_limits() const;
    // Has a jail built ahead for another job.
    void prepare_next();
    // Decides which emcc it is: c_driver_, and sdk_ where it belongs to an emsdk.
    result<void> choose();
    // The same, and that its programs are there.
    result<void> locate();
    // Asks the one that was located for its version.
    boost::asio::awaitable<result<toolchain_info>> ask();
    // Of the one that was located, as its configuration file has them.
    tool_places places_of_tools() const;
    // Lets the emsdk's emcc fill its cache, outside of any jail: inside, the cache is read only.
    boost::asio::awaitable<void> warm_cache();

    jail::jail& jail_;
    emcc_settings settings_;
    std::optional<emsdk> sdk_;
    std::string c_driver_;    // …/emcc
    std::string cpp_driver_;  // …/em++
    tool_identity identity_;
    struct next {
        disk::job_directory directory;
        bool stands{false};
    };
    // Of the jails that are built ahead, while these live; the oldest first.
    std::deque<std::weak_ptr<next>> ready_;
};

}  // namespace sandboxd::compile
