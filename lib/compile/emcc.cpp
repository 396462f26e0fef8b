#include "compile/emcc.hpp"

#include "base/digest.hpp"
#include "base/log.hpp"
#include "base/path.hpp"
#include "compile/diagnostics.hpp"
#include "jail/environment.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

namespace sandboxd::compile {

namespace asio = boost::asio;

namespace {

const std::array<std::string, 4> artifacts{"app.js", "app.wasm", "app.data", "app.wasm.map"};

// The job's root in every jail. Without a jail, relative paths lead into the job's directory.
constexpr std::string_view job_root = "/job";
constexpr std::string_view exit_word = "exit status";  // as emcc itself says it

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

// How a tool's own message about a failure begins, and what it contains: LLVM, libstdc++, libc++, Python, V8,
// Node.js, and emcc about the tools that it started.
struct sign {
    std::string_view begin;
    std::string_view holds;
    errc limit;
};
// wasm-ld prints the name of its file: Debian's is wasm-ld-14.
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
    // wasm-ld maps its output into memory: a page without room on the disk raises SIGBUS. The handler removes the
    // output, which another thread may notice first.
    sign{"wasm-ld", "error: failed to write the output file", errc::disk_limit},
    sign{"emcc: error: ", "failed (received SIGBUS", errc::disk_limit},
    sign{"em++: error: ", "failed (received SIGBUS", errc::disk_limit},
    sign{"emcc: error: ", "failed (received SIGXCPU", errc::timeout},
    sign{"em++: error: ", "failed (received SIGXCPU", errc::timeout},
};

// A crashing tool may leave its last line unfinished ("Stack dump:\n0"); emcc's message then continues on it.
std::string_view without_torn_beginning(std::string_view line)
{
    for (const std::string_view driver : {"emcc: error: ", "em++: error: "}) {
        const auto at = line.find(driver);
        if (at != std::string_view::npos && line.find_first_not_of("0123456789.") == at) return line.substr(at);
    }
    return line;
}

// Of one command after another.
void add_usage(std::optional<process::cgroup_usage>& sum, const process::cgroup_usage& more)
{
    if (!sum) sum.emplace();
    sum->memory_peak_bytes = std::max(sum->memory_peak_bytes, more.memory_peak_bytes);
    sum->cpu += more.cpu;
    sum->oom_kills += more.oom_kills;
}

bool tells_of_a_kill(std::string_view line)
{
    return (line.starts_with("emcc: error: ") || line.starts_with("em++: error: ")) &&
           line.ends_with("failed (received SIGKILL (-9))");
}

}  // namespace

std::optional<errc> limit_behind(std::string_view log, const process::wait_status& status, bool used_up_cpu)
{
    // A jail reports a killed driver as 128 + signal, as a shell does.
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
    spec.has_system_files = false;
    // PATH is clean, so `python3` is the system's; HOME and TMPDIR keep Python, Node and clang inside /tmp.
    spec.env = {{"PATH", settings_.path},
                {"HOME", "/tmp"},
                {"TMPDIR", "/tmp"},
                {"LC_ALL", "C.UTF-8"},
                {"PYTHONDONTWRITEBYTECODE", "1"},
                // Debian's acorn, where Node.js comes from another packager (see pitfalls of Debian 12).
                {"NODE_PATH", "/usr/share/nodejs"},
                // wasm-opt's threads free what others allocated: with seven of each size kept for a thread, as glibc
                // has it, they wait for each other ("Memory Allocation Tunables" in the manual of glibc).
                {"GLIBC_TUNABLES", "glibc.malloc.tcache_count=1000"}};
    jail::set_variables(spec.env, settings_.env);
    if (sdk_) {
        // The place of the configuration, which itself needs this variable. The cache is read only here, so emcc must
        // not write to it.
        spec.env.emplace_back("EM_CONFIG", sdk_->config);
        spec.env.emplace_back("EM_CACHE", sdk_->cache);
        spec.env.emplace_back("EM_FROZEN_CACHE", "1");
        for (const auto& path : sdk_->mounts)
            spec.mounts.push_back({.source = path, .target = path, .writable = false, .optional = false});
    }
    for (const auto& path : settings_.mounts)
        spec.mounts.push_back({.source = path, .target = path, .writable = false, .optional = true});
    spec.limits = settings_.limits;
    spec.merge_stderr = true;
    return spec;
}

result<void> emcc::choose()
{
    sdk_.reset();
    const auto take = [this](const std::string& root) -> result<void> {
        auto found = read_emsdk(root);
        if (!found) return found.error();
        c_driver_ = found->emcc;
        sdk_ = std::move(*found);
        return {};
    };
    c_driver_ = settings_.emcc;
    if (c_driver_.empty() && !settings_.emsdk.empty()) return take(settings_.emsdk);
    if (c_driver_.empty() && !settings_.environment_emsdk.empty()) {
        const auto taken = take(settings_.environment_emsdk);
        if (taken) return {};
        log::warning("EMSDK is set in the environment, but cannot be used", {{"cause", taken.error().message}});
    }
    if (c_driver_.empty()) {
        const auto first = find_program(settings_.environment_path, "emcc", is_program);
        if (!first.empty() && emsdk_of(first)) c_driver_ = first;
    }
    if (c_driver_.empty()) c_driver_ = find_program(settings_.path, "emcc", is_program);
    if (c_driver_.empty())
        return unavailable("there is no emcc on " + settings_.path +
                           "; install emscripten, or set toolchain.emcc or toolchain.emsdk");
    if (const auto root = emsdk_of(c_driver_)) return take(*root);
    return {};
}

asio::awaitable<void> emcc::warm_cache()
{
    // Beside the cache's own files, so that `emcc --clear-cache` removes it, too.
    const auto mark = sdk_->cache + "/sandboxd-has-warmed-this";
    if (::access(mark.c_str(), F_OK) == 0) co_return;
    std::error_code failed;
    std::filesystem::create_directories(sdk_->cache, failed);
    if (::access(sdk_->cache.c_str(), W_OK) != 0) {
        log::warning("this user cannot write the emsdk's cache: missing system libraries stay missing",
                     {{"cache", sdk_->cache}, {"cure", "run `embuilder build SYSTEM` as its owner"}});
        co_return;
    }
    auto scratch = settings_.scratch + "/warm-XXXXXX";
    if (settings_.scratch.empty() || ::mkdtemp(scratch.data()) == nullptr) co_return;
    log::info("warming the emsdk's cache, once", {{"cache", sdk_->cache}});
    std::ofstream{scratch + "/warm.c"}
        << "#include <stdio.h>\n#include <math.h>\n#include <stdlib.h>\n"
           "int main(int c, char** v) { printf(\"%g %s\", sin(c), v[0]); free(malloc(c)); }\n";
    std::ofstream{scratch + "/warm.cpp"} << "#include <iostream>\n#include <string>\n#include <vector>\n"
                                            "int main(int c, char** v) { std::vector<std::string> w(v, v + c); "
                                            "std::cout << w.size() << std::endl; }\n";
    bool works = true;
    const auto rows = warmings();
    for (std::size_t i = 0; i < rows.size() && works; ++i) {
        const auto& one = rows[i];
        process::command command;
        command.argv = {one.cpp ? cpp_driver_ : c_driver_};
        command.argv.insert(command.argv.end(), one.args.begin(), one.args.end());
        command.argv.insert(command.argv.end(), {one.cpp ? "warm.cpp" : "warm.c", "-o", "warm.js"});
        command.env = {{"PATH", settings_.path},
                       {"HOME", scratch},
                       {"TMPDIR", scratch},
                       {"LC_ALL", "C.UTF-8"},
                       {"EM_CONFIG", sdk_->config},
                       {"EM_CACHE", sdk_->cache},
                       {"NODE_PATH", "/usr/share/nodejs"}};
        command.cwd = scratch;
        command.merge_stderr = true;
        // A system library takes a minute on a slow machine.
        const process::child_limits limits{.wall = std::chrono::minutes{15}, .output_bytes = 1 << 20};
        async::stop_source stop;
        const auto ran = co_await process::run(std::move(command), {}, limits, stop);
        const auto* done = ran ? std::get_if<process::exited>(&ran->status) : nullptr;
        if (done == nullptr || done->code != 0) {
            works = i > 0;  // an emcc that makes no program at all has another problem
            std::string args;
            for (const auto& arg : one.args) args += (args.empty() ? "" : " ") + arg;
            log::warning("could not warm the emsdk's cache for some arguments",
                         {{"args", args}, {"cause", ran ? ran->out.substr(0, 500) : ran.error().message}});
        }
    }
    std::filesystem::remove_all(scratch, failed);
    if (works) std::ofstream{mark} << "\n";
}

result<void> emcc::locate()
{
    if (const auto chosen = choose(); !chosen) return chosen.error();
    if (!is_program(c_driver_)) return unavailable(c_driver_ + " is not an executable file; set toolchain.emcc");
    cpp_driver_ = c_driver_.substr(0, c_driver_.rfind('/')) + "/em++";
    if (!is_program(cpp_driver_))
        return unavailable(cpp_driver_ + " is not an executable file; reinstall emscripten or set toolchain.emcc");
    return {};
}

asio::awaitable<result<toolchain_info>> emcc::find()
{
    if (const auto located = locate(); !located) co_return located.error();
    if (sdk_) co_await warm_cache();
    co_return co_await ask();
}

asio::awaitable<result<toolchain_info>> emcc::look()
{
    if (const auto located = locate(); !located) co_return located.error();
    co_return co_await ask();
}

tool_places emcc::places_of_tools() const
{
    const auto given = [this](std::string_view variable) {
        const auto found = std::ranges::find(settings_.env, variable, [](const auto& one) { return one.first; });
        return found == settings_.env.end() ? std::string{} : found->second;
    };
    const auto directory = std::filesystem::path{c_driver_}.parent_path().native();
    std::string scripts = sdk_ ? sdk_->root + "/upstream/emscripten" : directory;
    // Debian's and Ubuntu's /usr/bin/emcc starts what is there.
    if (::access((scripts + "/emcc.py").c_str(), F_OK) != 0) scripts = "/usr/share/emscripten";
    auto config = given("EM_CONFIG");
    if (config.empty()) config = sdk_ ? sdk_->config : scripts + "/.emscripten";
    std::ifstream in{config, std::ios::binary};
    std::string text(64 * 1024, '\0');
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(in.gcount()));
    auto where = places_of(text, scripts, sdk_ ? sdk_->root : scripts);
    const std::pair<const char*, std::string*> others[] = {
        {"EM_LLVM_ROOT", &where.llvm}, {"EM_BINARYEN_ROOT", &where.binaryen}, {"EM_NODE_JS", &where.node}};
    for (const auto& [variable, place] : others)
        if (auto value = given(variable); !value.empty()) *place = std::move(value);
    return where;
}

asio::awaitable<result<toolchain_info>> emcc::ask()
{
    auto spec = base_spec();
    spec.argv = {c_driver_, "--version"};
    const process::child_limits limits{.wall = settings_.wall, .output_bytes = 64 * 1024};
    async::stop_source stop;
    const auto ran = co_await jail_.run(std::move(spec), limits, stop);
    if (!ran) co_return ran.error();
    if (stop.requested()) co_return unavailable(c_driver_ + " --version: " + std::string{sentence(stop.cause())});
    const auto version = parse_version(ran->out);
    if (!version)
        co_return unavailable(c_driver_ + " --version printed no version of emcc (" +
                              process::describe_end(ran->status, exit_word) +
                              "): " + ran->out.substr(0, ran->out.find('\n')).substr(0, 200));

    toolchain_info info{.version = version->first, .numbers = version->second, .identity = {}};
    sha256 hash;
    hash.field(ran->out);
    for (const auto& [variable, value] : settings_.env) {
        hash.field(variable);
        hash.field(value);
    }
    std::vector<std::string> more{c_driver_, cpp_driver_};
    if (sdk_) more.insert(more.end(), sdk_->tools.begin(), sdk_->tools.end());
    const auto tools = co_await identity_.of(places_of_tools(), std::move(more));
    hash.field(to_hex(tools));
    info.identity = "emcc " + info.version + " " + to_hex(hash.finish()).substr(0, 16);
    co_return info;
}

std::vector<std::vector<std::string>> command_lines(const toolchain_job& job, const std::string& c_driver,
                                                    const std::string& cpp_driver)
{
    constexpr std::string_view standard = "-std=";
    const auto is_standard = [&](const std::string& arg) { return arg.starts_with(standard); };
    const auto is_standard_of_cpp = [&](const std::string& arg) {
        return is_standard(arg) && arg.find("++") != std::string::npos;
    };
    const std::string output = "../out/" + artifacts[0];
    const bool mixed = job.lang == language::mixed;
    std::vector<std::vector<std::string>> commands;
    if (!mixed || std::ranges::none_of(job.argv, is_standard)) {
        // emcc decides by the file's ending; em++ treats everything as C++.
        auto& command = commands.emplace_back(1, job.lang == language::cpp ? cpp_driver : c_driver);
        command.insert(command.end(), job.argv.begin(), job.argv.end());
        // With -sSTRICT emcc does not link the C++ library by itself.
        if (mixed) command.emplace_back("-sDEFAULT_TO_CXX=1");
        command.insert(command.end(), job.units.begin(), job.units.end());
        command.insert(command.end(), {"-o", output});
        return commands;
    }
    std::vector<std::string> link{cpp_driver};
    std::ranges::copy_if(job.argv, std::back_inserter(link),
                         [&](const std::string& arg) { return !is_standard(arg) || is_standard_of_cpp(arg); });
    for (std::size_t i = 0; i < job.units.size(); ++i) {
        const auto& unit = job.units[i];
        if (unit_language(unit) != language::c) {
            link.push_back(unit);
            continue;
        }
        auto stem = unit.substr(unit.rfind('/') + 1);
        stem.resize(stem.rfind('.'));
        auto object = "../out/" + std::string{object_prefix} + stem + "_" + std::to_string(i) + ".o";
        auto& command = commands.emplace_back(1, c_driver);
        // Packing and linking belong to the last command; each setting knows when it is read.
        std::ranges::copy_if(job.argv, std::back_inserter(command), [&](const std::string& arg) {
            return !arg.starts_with("--") && !arg.starts_with("-l") && !is_standard_of_cpp(arg);
        });
        command.insert(command.end(), {"-Wno-unused-command-line-argument", "-c", unit, "-o", object});
        link.push_back(std::move(object));
    }
    link.insert(link.end(), {"-o", output});
    commands.push_back(std::move(link));
    return commands;
}

jail::spec emcc::spec_for(const toolchain_job& job) const
{
    auto spec = base_spec();
    const std::string root{job_root};
    spec.mounts.push_back({.source = job.directory / "src", .target = root + "/src"});
    spec.mounts.push_back({.source = job.directory / "out", .target = root + "/out", .writable = true});
    spec.cwd = root + "/src";
    spec.leader = job.leader;
    spec.client = job.client;
    // Without a jail /tmp is the host's: put temporary files where they are removed with the job.
    if (jail_.which() == jail::kind::none) {
        for (auto& [variable, value] : spec.env) {
            if (variable == "TMPDIR") value = root + "/out";
        }
    }
    return spec;
}

process::child_limits emcc::child_limits() const
{
    return {.wall = settings_.wall, .output_bytes = settings_.output_bytes};
}

std::optional<disk::job_directory> emcc::ready_directory()
{
    for (auto at = ready_.begin(); at != ready_.end(); ++at) {
        const auto one = at->lock();
        if (!one || !one->stands) continue;
        ready_.erase(at);
        return std::move(one->directory);
    }
    return std::nullopt;
}

void emcc::prepare_next()
{
    std::erase_if(ready_, [](const auto& one) { return one.expired(); });
    if (ready_.size() >= settings_.warm_jails || !jail_.prepares()) return;
    auto made = disk::job_directory::create(settings_.ready, "next", settings_.owner);
    if (!made) return;  // a full disk, or no descriptors: this job will say so
    const auto kept = std::make_shared<next>(std::move(*made));
    ready_.push_back(kept);
    auto spec = spec_for({.directory = kept->directory.path(), .argv = {}, .units = {}});
    spec.argv = {c_driver_};
    spec.holds = kept;
    jail_.prepare(std::move(spec), child_limits(), [one = std::weak_ptr{kept}] {
        if (const auto mine = one.lock()) mine->stands = true;
    });
}

asio::awaitable<result<toolchain_result>> emcc::run(toolchain_job job, async::stop_source& stop)
{
    // At the end, when processors are free for it.
    struct at_end {
        ~at_end() { of.prepare_next(); }
        emcc& of;
    } const then{*this};
    const auto base = spec_for(job);
    const auto commands = command_lines(job, c_driver_, cpp_driver_);
    const auto started = std::chrono::steady_clock::now();
    toolchain_result outcome{.succeeded = false, .log = {}, .ended = {}, .steps = {}, .usage = {}};
    for (const auto& command : commands) {
        auto spec = base;
        spec.argv = command;
        spec.steps = std::make_shared<decltype(outcome.steps)>();
        const auto steps = spec.steps;
        // The limits are the job's: the next command gets what this one left.
        const auto spent =
            std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - started);
        auto limits = child_limits();
        if (&command != &commands.front()) {
            limits.wall = std::max<std::chrono::milliseconds>(settings_.wall - spent, std::chrono::milliseconds{1});
            limits.output_bytes -= std::min(limits.output_bytes, outcome.log.size());
        }
        auto ran = co_await jail_.run(std::move(spec), limits, stop);
        if (!ran) co_return ran.error();
        const auto* done = std::get_if<process::exited>(&ran->status);
        outcome.succeeded = done && done->code == 0;
        outcome.log += ran->out;
        outcome.truncated = outcome.truncated || ran->truncated;
        outcome.ended = process::describe_end(ran->status, exit_word);
        outcome.wall += ran->wall;
        outcome.steps.insert(outcome.steps.end(), steps->begin(), steps->end());
        if (ran->usage) add_usage(outcome.usage, *ran->usage);
        if (outcome.succeeded && !stop.requested()) continue;

        // Seen from outside the jail, a compiler that was removed looks like one that rejected the source.
        if (!outcome.succeeded && !stop.requested() && !is_program(command.front()))
            co_return unavailable(command.front() +
                                  " is no longer an executable file; reinstall it or set toolchain.emcc");
        const auto cpu = settings_.limits.cpu;
        if (!outcome.succeeded)
            outcome.limit = limit_behind(ran->out, ran->status, cpu.count() > 0 && ran->wall >= cpu);
        break;
    }
    co_return outcome;
}

}  // namespace sandboxd::compile
