#include "jail/probe.hpp"

#include "base/ascii.hpp"
#include "init/arguments.hpp"

#include <stdlib.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <map>
#include <vector>

namespace asio = boost::asio;

namespace sandboxd::jail {
namespace {

std::vector<std::string_view> lines_of(std::string_view text)
{
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        const auto end = text.find('\n');
        lines.push_back(text.substr(0, end));
        text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    }
    return lines;
}

// The value after `key:` in /proc/self/status.
std::string_view field(const std::vector<std::string_view>& lines, std::string_view key)
{
    for (const auto line : lines)
        if (line.starts_with(key) && line.substr(key.size()).starts_with(':')) return trim(line.substr(key.size() + 1));
    return {};
}

bool all_zeros(std::string_view digits)
{
    return !digits.empty() && digits.find_first_not_of('0') == std::string_view::npos;
}

constexpr std::string_view init_for_look = "/.look";
constexpr std::string_view writable_place = "/jobs";
constexpr std::string_view readonly_place = "/jobs-to-read";

// Where a program may write.
bool is_for_writing(std::string_view place)
{
    for (const std::string_view device : {"null", "zero", "full", "random", "urandom", "tty", "console"})
        if (place.starts_with("/dev/") && place.substr(5) == device) return true;
    return place == "/tmp" || place == "/dev/shm" || place == writable_place;
}

// By what app/init/look.cpp tried, or else by the flags in mountinfo (proc_pid_mountinfo(5)), whose last line for a
// place is the topmost mount there.
std::optional<std::string> changeable_mount(const std::vector<std::string_view>& lines)
{
    const auto words_of = [](std::string_view line) {
        std::vector<std::string_view> words;
        while (!line.empty()) {
            const auto end = line.find(' ');
            words.push_back(line.substr(0, end));
            line = end == std::string_view::npos ? std::string_view{} : line.substr(end + 1);
        }
        return words;
    };
    std::map<std::string_view, bool> writable;
    for (const auto line : lines) {
        const auto words = words_of(line);
        if (words.size() == 5 && words[0] == "mount") {
            if (!is_for_writing(words[1]) && line.find("=ALLOWED") != std::string_view::npos)
                return "the program can change what is mounted at " + std::string{words[1]} + " (" +
                       std::string{words[2]} + " " + std::string{words[3]} + " " + std::string{words[4]} + ")";
        } else if (words.size() > 6 && words[4].starts_with('/') && line.find(" - ") != std::string_view::npos) {
            writable[words[4]] = words[5] == "rw" || words[5].starts_with("rw,");
        }
    }
    for (const auto& [place, can] : writable)
        if (can && !is_for_writing(place)) return "the mount at " + std::string{place} + " is not read-only";
    return std::nullopt;
}

// Interfaces of /proc/net/dev: two lines of heading, then "  name: numbers".
bool only_loopback(const std::vector<std::string_view>& lines)
{
    bool heading = false;
    for (const auto line : lines) {
        if (line.starts_with("Inter-|")) heading = true;
        const auto colon = line.find(':');
        if (!heading || line.starts_with(" face") || colon == std::string_view::npos) continue;
        if (trim(line.substr(0, colon)) != "lo") return false;
    }
    return heading;
}

}  // namespace

spec probe_spec(const std::string& directory, const std::string& init)
{
    spec what;
    if (init.empty()) {
        what.argv = {"/usr/bin/cat", "/proc/self/status", "/proc/version", "/proc/self/mountinfo", "/proc/net/dev"};
    } else {
        what.argv = {std::string{init_for_look}, init::argument::look};
        what.mounts.push_back({.source = init, .target = std::string{init_for_look}, .own_copy = true});
    }
    what.env = {{"PATH", "/usr/bin:/bin"}};
    what.mounts.push_back({"/usr", "/usr"});
    for (const char* path : {"/bin", "/lib", "/lib64"}) what.mounts.push_back({path, path, false, true});
    if (!directory.empty()) {
        what.mounts.push_back({directory, std::string{writable_place}, true});
        // Mounted once more as a place that must not be writable, although the job's uid owns it.
        what.mounts.push_back({directory, std::string{readonly_place}});
    }
    what.limits.file_bytes = 1 << 20;
    what.limits.tmp_bytes = 1 << 20;
    what.limits.open_files = 64;
    what.limits.processes = 16;
    return what;
}

std::optional<std::string> missing_wall(std::string_view printed, const expectation& expected)
{
    const auto lines = lines_of(printed);
    const bool own_kernel = !expected.not_this_kernel.empty();
    const auto uid_text = field(lines, "Uid");
    std::uint64_t uid = 0;
    std::from_chars(uid_text.data(), uid_text.data() + uid_text.size(), uid);
    const auto four_times = [](std::uint64_t id) {
        const auto one = std::to_string(id);
        return one + "\t" + one + "\t" + one + "\t" + one;
    };
    if (!expected.uids.holds(uid) || uid_text != four_times(uid) || field(lines, "Gid") != four_times(expected.gid))
        return "the program does not run as an unprivileged uid";
    int pid = 0;
    const auto pid_text = field(lines, "Pid");
    std::from_chars(pid_text.data(), pid_text.data() + pid_text.size(), pid);
    // The threads of a container engine may have used the first pids of a new namespace. The host uses pids below 300
    // only once, while it boots (RESERVED_PIDS in the kernel).
    if (pid < 1 || pid >= 300) return "the program does not have its own pid namespace";
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"}) {
        const auto value = field(lines, set);
        if (!all_zeros(value) && !(own_kernel && value.empty())) return "the program has capabilities";
    }
    const auto no_new_privs = field(lines, "NoNewPrivs");
    if (no_new_privs != "1" && !(own_kernel && no_new_privs.empty())) return "no_new_privs is not set";
    if (field(lines, "Seccomp") != "2") return "there is no seccomp filter";
    if (own_kernel) {
        const auto version =
            std::ranges::find_if(lines, [](const auto line) { return line.starts_with("Linux version "); });
        if (version == lines.end() || trim(*version) == trim(expected.not_this_kernel))
            return "the program runs on the host's kernel";
    }
    if (!only_loopback(lines)) return "the program sees network interfaces";
    return changeable_mount(lines);
}

asio::awaitable<std::optional<std::string>> probe(jail& candidate, std::string jobs_directory, std::string init,
                                                  expectation expected)
{
    struct own_directory {
        ~own_directory()
        {
            std::error_code ignored;
            if (!path.empty()) std::filesystem::remove_all(path, ignored);
        }
        std::string path;
    } own;
    if (!jobs_directory.empty()) {
        auto pattern = jobs_directory + "/probe-XXXXXX";
        if (::mkdtemp(pattern.data()) == nullptr)
            co_return "cannot make a directory in " + jobs_directory + ": " + std::strerror(errno);
        own.path = pattern;
    }
    process::child_limits limits;
    limits.wall = std::chrono::seconds{10};
    limits.output_bytes = 1 << 16;
    async::stop_source stop;
    auto ran = co_await candidate.run(probe_spec(own.path, init), limits, stop);
    if (!ran) co_return ran.error().message;
    if (stop.requested()) co_return "a test program did not end within 10 s";
    if (ran->status != process::wait_status{process::exited{0}}) {
        std::string said{trim(ran->err)};
        co_return said.empty() ? "a test program failed in it" : said;
    }
    if (!init.empty() && ran->out.find("\nlooked ") == std::string::npos)
        co_return init + " is not the sandboxd-init of this server; set faas.initPath to it, or leave that out";
    if (!own.path.empty() && !init.empty() && ran->out.find("\nmount /jobs write=ALLOWED ") == std::string::npos)
        co_return "the program cannot write to its directory";
    co_return missing_wall(ran->out, expected);
}

}  // namespace sandboxd::jail
