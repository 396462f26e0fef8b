#include "compile/emcc.hpp"

#include "base/digest.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <optional>

namespace sandboxd::compile {

namespace asio = boost::asio;

namespace {

const std::array<std::string, 4> artifacts{"app.js", "app.wasm", "app.data", "app.wasm.map"};

// Inside every jail; without one, the job's directory stands for /job by the relative paths alone.
constexpr std::string_view job_root = "/job";

bool executable(const std::string& file)
{
    struct stat info{};
    return ::stat(file.c_str(), &info) == 0 && S_ISREG(info.st_mode) && ::access(file.c_str(), X_OK) == 0;
}

std::string search(std::string_view path, std::string_view program)
{
    while (!path.empty()) {
        const auto colon = path.find(':');
        const auto directory = path.substr(0, colon);
        path.remove_prefix(colon == std::string_view::npos ? path.size() : colon + 1);
        if (!directory.starts_with('/')) continue;
        auto candidate = std::string{directory} + "/" + std::string{program};
        if (executable(candidate)) return candidate;
    }
    return {};
}

// "emcc (Emscripten gcc/clang-like replacement + linker emulating GNU ld) 3.1.6 (abc)": the first
// dotted triple.
std::optional<std::pair<std::string, emcc_version>> parse_version(std::string_view text)
{
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] < '0' || text[at] > '9') continue;
        if (at > 0 && ((text[at - 1] >= '0' && text[at - 1] <= '9') || text[at - 1] == '.')) continue;
        emcc_version version;
        const char* const end = text.data() + text.size();
        auto one = std::from_chars(text.data() + at, end, version.major);
        if (one.ec != std::errc{} || one.ptr == end || *one.ptr != '.') continue;
        auto two = std::from_chars(one.ptr + 1, end, version.minor);
        if (two.ec != std::errc{} || two.ptr == end || *two.ptr != '.') continue;
        auto three = std::from_chars(two.ptr + 1, end, version.patch);
        if (three.ec != std::errc{}) continue;
        return std::pair{std::string{text.data() + at, three.ptr}, version};
    }
    return std::nullopt;
}

std::string describe_end(const process::wait_status& status)
{
    if (const auto* done = std::get_if<process::exited>(&status)) return "exit status " + std::to_string(done->code);
    return "signal " + std::to_string(std::get<process::signaled>(status).signal);
}

// Path, size and time of what runs: an upgrade in place must not be answered from the old one's results.
void stamp(sha256& hash, const std::string& file)
{
    struct stat info{};
    hash.field(file);
    if (::stat(file.c_str(), &info) != 0) return;
    hash.field(std::to_string(info.st_size));
    hash.field(std::to_string(info.st_mtim.tv_sec));
}

// How a tool's own line about a failure begins, and what it then holds: LLVM, libstdc++, libc++, Python, V8,
// Node.js, and emcc about the tools that it started.
struct sign {
    std::string_view begin;
    std::string_view holds;
    errc limit;
};
// wasm-ld calls itself by the name of its file: Debian's is wasm-ld-14.
constexpr std::array signs{
    sign{"LLVM ERROR: ", "out of memory", errc::memory_limit},
    sign{"LLVM ERROR: ", "Cannot allocate memory", errc::memory_limit},
    sign{"terminate called after throwing an instance of ", "std::bad_alloc", errc::memory_limit},
    sign{"libc++abi: ", "std::bad_alloc", errc::memory_limit},
    sign{"MemoryError", "", errc::memory_limit},
    sign{"OSError: [Errno 12] ", "", errc::memory_limit},
    sign{"FATAL ERROR: ", "out of memory", errc::memory_limit},
    sign{"# Fatal process out of memory", "", errc::memory_limit},
    sign{"wasm-ld", "Cannot allocate memory", errc::memory_limit},
    sign{"LLVM ERROR: ", "No space left on device", errc::disk_limit},
    sign{"LLVM ERROR: ", "File too large", errc::disk_limit},
    sign{"fatal error: error in backend: ", "No space left on device", errc::disk_limit},
    sign{"wasm-ld", "No space left on device", errc::disk_limit},
    sign{"wasm-ld", "File too large", errc::disk_limit},
    sign{"wasm-ld", "Disk quota exceeded", errc::disk_limit},
    sign{"LLVM ERROR: ", "Disk quota exceeded", errc::disk_limit},
    sign{"OSError: [Errno 28] ", "", errc::disk_limit},
    sign{"OSError: [Errno 122] ", "", errc::disk_limit},
    sign{"OSError: [Errno 27] ", "", errc::disk_limit},
    sign{"Error: ENOSPC", "", errc::disk_limit},
    sign{"emcc: error: ", "failed (received SIGXFSZ", errc::disk_limit},
    sign{"em++: error: ", "failed (received SIGXFSZ", errc::disk_limit},
    // wasm-ld maps its output: a page for which there is no room on the disk is a SIGBUS. Its handler for that
    // removes the output, which another thread may notice first.
    sign{"wasm-ld", "error: failed to write the output file", errc::disk_limit},
    sign{"emcc: error: ", "failed (received SIGBUS", errc::disk_limit},
    sign{"em++: error: ", "failed (received SIGBUS", errc::disk_limit},
    sign{"emcc: error: ", "failed (received SIGXCPU", errc::timeout},
    sign{"em++: error: ", "failed (received SIGXCPU", errc::timeout},
};

// A tool that crashes may leave its last line unfinished ("Stack dump:\n0"); emcc's then goes on behind it.
std::string_view without_torn_beginning(std::string_view line)
{
    for (const std::string_view driver : {"emcc: error: ", "em++: error: "}) {
        const auto at = line.find(driver);
        if (at != std::string_view::npos && line.find_first_not_of("0123456789.") == at) return line.substr(at);
    }
    return line;
}

bool tells_of_a_kill(std::string_view line)
{
    return (line.starts_with("emcc: error: ") || line.starts_with("em++: error: ")) &&
           line.ends_with("failed (received SIGKILL (-9))");
}

}  // namespace

std::optional<errc> limit_behind(std::string_view log, const process::wait_status& status, bool used_up_cpu)
{
    // A jail reports a driver that was killed as 128 + signal, as a shell does.
    const auto* done = std::get_if<process::exited>(&status);
    const int signal = done ? done->code - 128 : std::get<process::signaled>(status).signal;
    bool killed = signal == SIGKILL;
    while (!log.empty()) {
        const auto end = log.find('\n');
        const auto line = without_torn_beginning(log.substr(0, end));
        log.remove_prefix(end == std::string_view::npos ? log.size() : end + 1);
        for (const auto& one : signs) {
            if (line.starts_with(one.begin) && line.find(one.holds) != std::string_view::npos) return one.limit;
        }
        killed = killed || tells_of_a_kill(line);
    }
    if (killed) return used_up_cpu ? errc::timeout : errc::memory_limit;
    if (signal == SIGXCPU) return errc::timeout;
    if (signal == SIGXFSZ) return errc::disk_limit;
    return std::nullopt;
}

std::span<const std::string> artifact_names() { return artifacts; }

std::vector<std::string> default_mounts()
{
    return {"/bin",
            "/lib",
            "/lib64",
            "/usr/bin",
            "/usr/lib",
            "/usr/lib64",
            "/usr/libexec",
            "/usr/share/emscripten",
            "/usr/share/nodejs",
            "/usr/share/node_modules",
            "/usr/share/binaryen",
            "/etc/alternatives",
            "/etc/ld.so.cache"};
}

emcc::emcc(jail::jail& wall, emcc_settings settings) : jail_{wall}, settings_{std::move(settings)} {}

jail::spec emcc::base_spec() const
{
    jail::spec spec;
    // PATH is clean, so `python3` is the system's; HOME and TMPDIR keep Python, Node and clang inside /tmp.
    spec.env = {{"PATH", settings_.path},
                {"HOME", "/tmp"},
                {"TMPDIR", "/tmp"},
                {"LC_ALL", "C.UTF-8"},
                {"PYTHONDONTWRITEBYTECODE", "1"},
                // Debian's acorn, where Node.js comes from another packager (see pitfalls of Debian 12).
                {"NODE_PATH", "/usr/share/nodejs"}};
    for (const auto& variable : settings_.env) spec.env.push_back(variable);
    for (const auto& path : settings_.mounts)
        spec.mounts.push_back({.source = path, .target = path, .writable = false, .optional = true});
    spec.limits = settings_.limits;
    spec.merge_stderr = true;
    return spec;
}

asio::awaitable<result<toolchain_info>> emcc::find()
{
    c_driver_ = settings_.emcc.empty() ? search(settings_.path, "emcc") : settings_.emcc;
    if (c_driver_.empty())
        co_return unavailable("there is no emcc on " + settings_.path + "; install emscripten or set toolchain.emcc");
    if (!executable(c_driver_)) co_return unavailable(c_driver_ + " is not an executable file; set toolchain.emcc");
    cpp_driver_ = c_driver_.substr(0, c_driver_.rfind('/')) + "/em++";
    if (!executable(cpp_driver_)) co_return unavailable(cpp_driver_ + " is not an executable file");

    auto spec = base_spec();
    spec.argv = {c_driver_, "--version"};
    const process::run_limits limits{.wall = settings_.wall, .output_bytes = 64 * 1024};
    async::stop_source stop;
    const auto ran = co_await jail_.run(std::move(spec), limits, stop);
    if (!ran) co_return ran.error();
    if (stop.requested()) co_return unavailable(c_driver_ + " --version: " + std::string{sentence(stop.cause())});
    const auto version = parse_version(ran->out);
    if (!version)
        co_return unavailable(c_driver_ + " --version printed no version (" + describe_end(ran->status) +
                              "): " + ran->out.substr(0, 500));

    toolchain_info info{.version = version->first, .numbers = version->second, .identity = {}};
    sha256 hash;
    hash.field(ran->out);
    stamp(hash, c_driver_);
    stamp(hash, "/usr/share/emscripten/emcc.py");
    info.identity = "emcc " + info.version + " " + to_hex(hash.finish()).substr(0, 16);
    co_return info;
}

jail::spec emcc::spec_for(const toolchain_job& job) const
{
    auto spec = base_spec();
    spec.argv.push_back(job.lang == language::cpp ? cpp_driver_ : c_driver_);
    spec.argv.insert(spec.argv.end(), job.argv.begin(), job.argv.end());
    spec.argv.insert(spec.argv.end(), job.units.begin(), job.units.end());
    spec.argv.insert(spec.argv.end(), {"-o", "../out/" + artifacts[0]});
    const std::string root{job_root};
    spec.mounts.push_back({.source = job.directory / "src", .target = root + "/src"});
    spec.mounts.push_back({.source = job.directory / "out", .target = root + "/out", .writable = true});
    spec.cwd = root + "/src";
    // Without a jail /tmp is the host's: temporary files go where they are removed with the job.
    if (jail_.which() == jail::kind::none) {
        for (auto& [variable, value] : spec.env) {
            if (variable == "TMPDIR") value = root + "/out";
        }
    }
    return spec;
}

asio::awaitable<result<toolchain_result>> emcc::run(toolchain_job job, async::stop_source& stop)
{
    auto spec = spec_for(job);
    const auto driver = spec.argv.front();
    const process::run_limits limits{.wall = settings_.wall, .output_bytes = settings_.output_bytes};
    auto ran = co_await jail_.run(std::move(spec), limits, stop);
    if (!ran) co_return ran.error();
    const auto* done = std::get_if<process::exited>(&ran->status);
    toolchain_result outcome{.succeeded = done && done->code == 0,
                             .log = std::move(ran->out),
                             .truncated = ran->truncated,
                             .ended = describe_end(ran->status),
                             .limit = std::nullopt,
                             .wall = ran->wall,
                             .usage = ran->usage};
    // Seen from outside the jail, a compiler that has gone looks like one that says no.
    if (!outcome.succeeded && !stop.requested() && !executable(driver))
        co_return unavailable(driver + " is not an executable file any more; install it again or set toolchain.emcc");
    const auto cpu = settings_.limits.cpu;
    if (!outcome.succeeded) outcome.limit = limit_behind(outcome.log, ran->status, cpu.count() > 0 && ran->wall >= cpu);
    co_return outcome;
}

}  // namespace sandboxd::compile
