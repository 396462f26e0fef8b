#include "arena.hpp"

#include "support/eventually.hpp"
#include "support/proc.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <catch2/catch_session.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/reporters/catch_reporter_event_listener.hpp>
#include <catch2/reporters/catch_reporter_registrars.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <random>
#include <sstream>
#include <utility>

namespace sandboxd::test {

namespace fs = std::filesystem;
namespace json = boost::json;

namespace {

// What the server may keep after a row beyond what it had before: the allocator's free lists after the
// largest requests (a body of 4 MiB, read, parsed and copied; a log of 1 MiB as text and as JSON), and
// cached artifacts (memoryCacheMB is set to 0 here). A leak of one such request a row would pass it soon.
// AddressSanitizer keeps what was freed in a quarantine, which is small here, and has shadows of it all.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool sanitized = true;
#elif defined(__has_feature)
constexpr bool sanitized = __has_feature(address_sanitizer);
#else
constexpr bool sanitized = false;
#endif
constexpr std::size_t resident_tolerance_kib = (sanitized ? 96 : 32) * 1024;

// A bound for a hang.
constexpr std::chrono::seconds until_a_jail_stands{60};

constexpr std::string_view honest_code = "#include <stdio.h>\nint main(void) { puts(\"honest\"); return 0; }\n";

const std::array<fs::path, 12> places_to_write{
    "/",     "/tmp",  "/var/tmp", "/dev/shm", "/etc", "/usr", "/usr/bin", "/usr/lib", "/usr/share/emscripten",
    "/root", "/home", "/run"};

// What they are, a line each.
std::string told(const std::vector<pid_t>& processes)
{
    std::string what;
    for (const auto pid : processes)
        what += text_of("/proc/" + std::to_string(pid) + "/stat").substr(0, 60) + " " +
                text_of("/proc/" + std::to_string(pid) + "/cmdline").substr(0, 100) + "\n";
    return what;
}

std::string random_text(std::size_t length)
{
    static constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz0123456789";
    std::random_device entropy;
    std::string text;
    while (text.size() < length) text += letters[entropy() % letters.size()];
    return text;
}

std::vector<std::string> lines_of(const fs::path& file)
{
    std::vector<std::string> lines;
    std::ifstream in{file};
    for (std::string line; std::getline(in, line);) {
        if (line.size() >= 12) lines.push_back(line);
    }
    return lines;
}

// Size, mode and time of what an attacker would like to change.
std::string stamp_of_toolchain()
{
    std::ostringstream text;
    for (const char* file :
         {"/usr/share/emscripten", "/usr/share/emscripten/emcc.py", "/usr/share/emscripten/cache", "/usr/bin/emcc",
          "/usr/bin/python3", "/usr/bin/node", "/etc/passwd", SANDBOXD_STAND_IN, SANDBOXD_STAND_IN_DIRECTORY}) {
        struct stat info{};
        if (::stat(file, &info) != 0) continue;
        text << file << ' ' << info.st_ino << ' ' << info.st_mode << ' ' << info.st_uid << ' ' << info.st_mtim.tv_sec
             << '.' << info.st_mtim.tv_nsec << ' ' << (S_ISREG(info.st_mode) ? info.st_size : 0) << '\n';
    }
    return text.str();
}

std::optional<std::string> nsjail_path()
{
    if (const char* named = std::getenv("SANDBOXD_TEST_NSJAIL")) return named;
    std::stringstream path{std::getenv("PATH") ? std::getenv("PATH") : ""};
    for (std::string directory; std::getline(path, directory, ':');) {
        const auto candidate = fs::path{directory} / "nsjail";
        if (::access(candidate.c_str(), X_OK) == 0) return candidate.native();
    }
    return std::nullopt;
}

// A range of its own for each process, so that whatever runs under it is its job's; tests run side by side.
constexpr uid_t job_uids = 64;
// Of this process, and of no other arena that it has at the same time: jails that wait for a job look like jobs of
// whoever has their uids.
uid_t own_job_uid()
{
    constexpr uid_t arenas = 8;
    constexpr uid_t most_pids = 4'194'304;  // PID_MAX_LIMIT
    static uid_t made = 0;
    return 2'000'000 + (made++ % arenas * most_pids + static_cast<uid_t>(::getpid())) * job_uids;
}

std::map<pid_t, pid_t> parents()
{
    std::map<pid_t, pid_t> found;
    for (const auto& name : names_in("/proc")) {
        if (name.find_first_not_of("0123456789") != std::string::npos) continue;
        // pid (comm) state ppid …; comm may hold anything.
        const auto text = text_of("/proc/" + name + "/stat");
        const auto after = text.rfind(") ");
        if (after == std::string::npos || text.size() < after + 5) continue;
        found[static_cast<pid_t>(std::stol(name))] = static_cast<pid_t>(std::stol(text.substr(after + 4)));
    }
    return found;
}

class summary : public Catch::EventListenerBase {
public:
    using EventListenerBase::EventListenerBase;

    void testRunEnded(const Catch::TestRunStats&) override
    {
        const auto& all = tally();
        if (all.attacks == 0) return;
        std::printf("attacks=%zu leaks=%zu crashes=%zu leftovers=%zu\n", all.attacks, all.leaks, all.crashes,
                    all.leftovers);
        std::fflush(stdout);
    }
};

CATCH_REGISTER_LISTENER(summary)

}  // namespace

score& tally()
{
    static score all;
    return all;
}

canaries::canaries()
    : secret_{"canary-" + random_text(24)},
      marker_{"written-" + random_text(16)},
      toolchain_before_{stamp_of_toolchain()}
{
    for (const char* place : {"/tmp", "/var/tmp"}) {
        std::string pattern = std::string{place} + "/sandboxd-kept-XXXXXX";
        if (!::mkdtemp(pattern.data())) throw std::runtime_error("mkdtemp failed");
        // Nothing but the jail protects them: all the world may read and write.
        ::chmod(pattern.c_str(), 0777);
        directories_.emplace_back(pattern);
        const auto file = directories_.back() / "secret.h";
        std::ofstream{file} << "static const char* secret = \"" << secret_ << "\";\n";
        ::chmod(file.c_str(), 0666);
        files_.push_back(file);
    }
    for (const char* file : {"/etc/passwd", "/etc/shadow"}) {
        for (auto& line : lines_of(file)) host_lines_.push_back(std::move(line));
    }
}

canaries::~canaries()
{
    std::error_code ignored;
    for (const auto& directory : directories_) fs::remove_all(directory, ignored);
}

std::string canaries::found_in(std::string_view bytes) const
{
    if (bytes.find(secret_) != std::string_view::npos) return "the canary's secret";
    for (const auto& line : host_lines_) {
        if (bytes.find(line) != std::string_view::npos) return "a line of a host's file: " + line.substr(0, 12);
    }
    return {};
}

std::string canaries::changed() const
{
    for (const auto& file : files_) {
        if (text_of(file).find(secret_) == std::string::npos) return file.native() + " was changed";
    }
    for (const auto& directory : directories_) {
        if (names_in(directory).size() != 1) return directory.native() + " holds something new";
    }
    for (const auto& place : places_to_write) {
        struct stat info{};
        if (::lstat((place / marker_).c_str(), &info) == 0) return (place / marker_).native() + " was written";
    }
    if (stamp_of_toolchain() != toolchain_before_)
        return "before:\n" + toolchain_before_ + "after:\n" + stamp_of_toolchain();
    return {};
}

std::string verdict::member(std::string_view name) const
{
    const auto* found = body.if_contains(name);
    if (!found) return {};
    return found->is_string() ? std::string{found->as_string()} : json::serialize(*found);
}

arena::arena(arena_options options) : job_uid_{own_job_uid()}
{
    server_options how;
    how.config = "\"jail\": \"" + std::string{options.jail} + "\", \"jailUid\": " + std::to_string(job_uid_) +
                 ", \"jailUidCount\": " + std::to_string(job_uids);
    if (options.jail == in_nsjail::name) {
        const auto nsjail = nsjail_path();
        if (!nsjail) SKIP("nsjail is not on the PATH and SANDBOXD_TEST_NSJAIL does not name one");
        how.config += ", \"nsjailPath\": \"" + *nsjail + "\"";
    }
    if (options.stand_in) {
        how.config +=
            ", \"toolchain\": {\"emcc\": \"" SANDBOXD_STAND_IN "\", \"mounts\": [\"" SANDBOXD_STAND_IN_DIRECTORY "\"]}";
    }
    how.config += ", \"artifacts\": {\"memoryCacheMB\": 0}";
    if (!options.config.empty()) how.config += ", " + options.config;
    how.env = {{"SANDBOXD_TEST_SECRET", canaries_.secret()}};
    if (sanitized) how.env.emplace_back("ASAN_OPTIONS", "quarantine_size_mb=8:thread_local_quarantine_size_kb=64");
    how.open_files = options.open_files;
    server_ = std::make_unique<server_process>(std::move(how));
    // What the first requests take for good belongs to the base line.
    honest_compile();
    // The compilers that are started stay; they are as many after every attack.
    is_warm_ = !options.stand_in && options.jail != in_nsjail::name;
    if (is_warm_) REQUIRE(server_->logs("compilers are started"));
    eventually([&] { return !compressing() && std::exchange(base_descriptors_, descriptors()) == descriptors(); });
    base_resident_kib_ = resident_kib();
}

verdict arena::read_compile(const http_answer& answer)
{
    verdict v;
    v.status = answer.status;
    if (answer.status == 0) {
        v.code = "no answer";
        return v;
    }
    look_for_secrets(answer.body, "the answer");
    CHECK(answer.field("content-type") == "application/json");
    boost::system::error_code ec;
    const auto value = json::parse(answer.body, ec);
    INFO(answer.body.substr(0, 2000));
    REQUIRE_FALSE(ec);
    REQUIRE(value.is_object());
    v.body = value.as_object();
    v.code = v.body.at("ok").as_bool() ? "ok" : v.member("code");
    v.log = v.member("log") + "\n" + v.member("error");
    look_for_secrets(v.log, "the log");
    CHECK(answer.status != 500);
    if (const auto* files = v.body.if_contains("artifacts")) {
        auto client = connect();
        for (const auto& file : files->as_array()) {
            const std::string url{file.at("url").as_string()};
            const auto got = client.get(url);
            CHECK(got.status == 200);
            CHECK(got.body.size() == file.at("bytes").to_number<std::size_t>());
            look_for_secrets(got.body, url);
        }
    }
    return v;
}

verdict arena::compile(const json::object& request)
{
    auto client = connect();
    return read_compile(client.post("/compile", request));
}

verdict arena::compile(std::string_view code, std::string_view type)
{
    return compile({{"code", code}, {"type", type}});
}

void arena::look_for_secrets(std::string_view bytes, std::string_view where)
{
    const auto found = canaries_.found_in(bytes);
    if (found.empty()) return;
    ++tally().leaks;
    FAIL_CHECK("in " << where << " there is " << found);
}

void arena::honest_compile()
{
    auto client = connect();
    const auto answer = client.post("/compile", {{"code", honest_code}, {"args", {"-O0"}}, {"cache", false}});
    INFO("an honest compile: " << answer.body.substr(0, 2000));
    REQUIRE(answer.status == 200);
    const auto body = answer.json();
    REQUIRE(body.at("ok").as_bool());
    const auto wasm = client.get(std::string{body.at("wasm").as_string()});
    REQUIRE(wasm.status == 200);
    REQUIRE(wasm.body.starts_with(std::string_view{"\0asm", 4}));
}

void arena::check_alive()
{
    const auto state = text_of("/proc/" + std::to_string(server_->pid()) + "/stat");
    const auto after = state.rfind(") ");
    const bool alive = after != std::string::npos && state[after + 2] != 'Z' && state[after + 2] != 'X';
    const auto log = server_->log();
    const bool threw = log.find("a handler threw") != std::string::npos ||
                       log.find("AddressSanitizer") != std::string::npos ||
                       log.find("runtime error:") != std::string::npos;
    if (!alive || threw) ++tally().crashes;
    INFO("the server's log ends: " << log.substr(log.size() - std::min<std::size_t>(log.size(), 4000)));
    REQUIRE(alive);
    REQUIRE_FALSE(threw);
}

void arena::nothing_left(std::chrono::seconds patience)
{
    check_alive();
    // Nobody waits for these jobs of the server's own.
    eventually([&] { return metric("sandboxd_compile_answers_wanted") == 0; });
    // Until a jail that is built for the next one stands, it looks like a job's; and no metric counts it yet.
    if (is_warm_) patience = std::max(patience, until_a_jail_stands);
    const bool gone = eventually([&] { return job_processes().empty() && job_files().empty(); }, patience);
    if (!gone) {
        ++tally().leftovers;
        auto what = told(job_processes());
        for (const auto& file : job_files()) what += file + "\n";
        FAIL_CHECK("left behind:\n" << what);
    }
    if (const auto changed = canaries_.changed(); !changed.empty()) {
        ++tally().leaks;
        FAIL_CHECK("the host was changed: " << changed);
    }

    honest_compile();

    eventually([&] { return metric("sandboxd_compile_answers_wanted") == 0; });
    if (!eventually([&] { return job_processes().empty(); }, until_a_jail_stands))
        FAIL_CHECK("left behind:\n" << told(job_processes()));
    CHECK(job_files().empty());
    // Closing connections and compressing artifacts go on behind the last answer.
    const auto settled = [&] { return descriptors() <= base_descriptors_; };
    if (!eventually(settled, std::chrono::seconds{20})) {
        ++tally().leftovers;
        FAIL_CHECK("descriptors: " << descriptors() << ", before: " << base_descriptors_);
    }
    const auto slim = [&] { return resident_kib() <= base_resident_kib_ + resident_tolerance_kib; };
    if (!eventually(slim, std::chrono::seconds{5})) {
        ++tally().leftovers;
        FAIL_CHECK("resident: " << resident_kib() << " KiB, before: " << base_resident_kib_ << " KiB");
    }
    check_alive();
}

std::vector<pid_t> arena::job_processes() const
{
    std::vector<pid_t> found;
    const auto all = parents();
    for (const auto& [pid, parent] : all) {
        auto up = parent;
        for (int depth = 0; depth < 64 && up > 1 && up != server_->pid(); ++depth) {
            const auto next = all.find(up);
            up = next == all.end() ? 0 : next->second;
        }
        // A compiler that is started, and no child of one.
        if (parent == server_->pid() && text_of("/proc/" + std::to_string(pid) + "/comm") == "sandboxd-tool\n")
            continue;
        // Of a server that was killed, and not reaped yet by whoever has it now.
        if (parent == 1 && text_of("/proc/" + std::to_string(pid) + "/cmdline").empty()) continue;
        bool mine = up == server_->pid();
        if (!mine && ::geteuid() == 0) {
            const auto status = text_of("/proc/" + std::to_string(pid) + "/status");
            const auto uids = status.find("\nUid:\t");
            if (uids != std::string::npos) {
                const auto uid = std::strtoul(status.c_str() + uids + 6, nullptr, 10);
                mine = uid >= job_uid_ && uid - job_uid_ < job_uids;
            }
        }
        if (mine) found.push_back(pid);
    }
    for (const auto& jail : jails_that_wait(server_->pid()))
        for (const auto one : jail) std::erase(found, one);
    return found;
}

std::vector<std::string> arena::job_files() const
{
    auto found = paths_below(server_->working_dir() / "jobs");
    for (const auto& name : names_in(server_->working_dir() / "sandboxes")) found.push_back("sandboxes/" + name);
    // Nothing but published entries among the artifacts.
    for (const auto& name : names_in(server_->working_dir() / "artifacts")) {
        if (name.starts_with('.')) found.push_back("artifacts/" + name);
    }
    return found;
}

std::size_t arena::descriptors() const
{
    // Each known preamble is a file that stays (compile.warmPreamblesMB), and a jail that waits has some.
    return names_in("/proc/" + std::to_string(server_->pid()) + "/fd").size() -
           descriptors_of_a_waiting_jail * jails_that_wait(server_->pid()).size() -
           static_cast<std::size_t>(metric("sandboxd_compile_preambles_kept"));
}

bool arena::compressing() const
{
    const auto entries = (server_->working_dir() / "artifacts/").native();
    const fs::path open = "/proc/" + std::to_string(server_->pid()) + "/fd";
    for (const auto& name : names_in(open)) {
        std::error_code gone;
        if (fs::read_symlink(open / name, gone).native().starts_with(entries)) return true;
    }
    return false;
}

std::size_t arena::resident_kib() const
{
    const auto status = text_of("/proc/" + std::to_string(server_->pid()) + "/status");
    const auto at = status.find("VmRSS:");
    return at == std::string::npos ? 0 : std::stoul(status.substr(at + 6));
}

double arena::metric(std::string_view series) const
{
    http_client client{*server_};
    const auto text = client.get("/metrics").body;
    std::istringstream lines{text};
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with(series) && line.size() > series.size() && line[series.size()] == ' ')
            return std::stod(line.substr(series.size() + 1));
    }
    return 0;
}

}  // namespace sandboxd::test
