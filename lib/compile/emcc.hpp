// emcc, one child process a job, in a jail.
#pragma once

#include "compile/emsdk.hpp"
#include "compile/toolchain.hpp"
#include "jail/jail.hpp"

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

namespace sandboxd::compile {

struct emcc_settings {
    std::string emcc;   // toolchain.emcc: absolute path, or empty to look for one
    std::string emsdk;  // toolchain.emsdk: absolute path, or empty
    // Of the server's environment, for who has sourced emsdk_env.sh: EMSDK, and a PATH on which an emsdk's emcc comes
    // first. Looked at before `path`.
    std::string environment_emsdk;
    std::string environment_path;
    std::string scratch;                               // a directory for the warming of a cache
    std::string path{"/usr/local/bin:/usr/bin:/bin"};  // toolchain.path: PATH of the search and of the job
    std::vector<std::string> mounts;  // toolchain.mounts: directories and files the toolchain needs, read only
    std::vector<std::pair<std::string, std::string>> env;  // toolchain.env: beyond the few that every job gets
    jail::limits limits;
    std::chrono::seconds wall{60};       // compileTimeoutSecs
    std::size_t output_bytes{1u << 20};  // compile.maxOutputBytes
};

// What a Debian or Ubuntu emscripten needs to see, and nothing of the host's own.
std::vector<std::string> default_mounts();

// Which limit is behind a failed run, told by what compilers and their tools print when they meet one: without
// a cgroup nobody else knows. `status`: how the driver ended; `used_up_cpu`: it ran for as long as a process may
// compute, so that a SIGKILL out of nowhere is that of RLIMIT_CPU and not that of the kernel's memory killer.
// Only whole lines count, and only those that begin as the tools' own do: a source that speaks of memory and is
// quoted in a diagnostic is no sign.
std::optional<errc> limit_behind(std::string_view log, const process::wait_status& status, bool used_up_cpu);

// The commands for a job, one after the other, each as emcc gets it in src/; the last one links. One is enough, but
// where a standard is asked for and there are units of both languages: -std= reaches every unit of a command, and
// clang refuses it for the other language. Then each C unit is a command of its own, and its object takes its place
// in the link.
std::vector<std::vector<std::string>> command_lines(const toolchain_job& job, const std::string& c_driver,
                                                    const std::string& cpp_driver);

class emcc : public toolchain {
public:
    emcc(jail::jail& wall, emcc_settings settings);

    boost::asio::awaitable<result<toolchain_info>> find() override;
    boost::asio::awaitable<result<toolchain_result>> run(toolchain_job job, async::stop_source& stop) override;

private:
    // The jail in which a job's commands run, all but for the command.
    jail::spec spec_for(const toolchain_job& job) const;
    jail::spec base_spec() const;
    // Decides which emcc it is: c_driver_, and sdk_ where it belongs to an emsdk.
    result<void> choose();
    // Lets the emsdk's emcc make what its cache lacks, outside every jail: in one the cache cannot be written.
    boost::asio::awaitable<void> warm_cache();

    jail::jail& jail_;
    emcc_settings settings_;
    std::optional<emsdk> sdk_;
    std::string c_driver_;    // …/emcc
    std::string cpp_driver_;  // …/em++
};

}  // namespace sandboxd::compile
