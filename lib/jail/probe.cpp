#include "jail/probe.hpp"

#include <algorithm>
#include <charconv>
#include <vector>

namespace asio = boost::asio;

namespace sandboxd::jail {
namespace {

std::string_view trimmed(std::string_view text)
{
    const auto first = text.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

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

// The value behind `key:` in /proc/self/status.
std::string_view field(const std::vector<std::string_view>& lines, std::string_view key)
{
    for (const auto line : lines)
        if (line.starts_with(key) && line.substr(key.size()).starts_with(':'))
            return trimmed(line.substr(key.size() + 1));
    return {};
}

bool all_zeros(std::string_view digits)
{
    return !digits.empty() && digits.find_first_not_of('0') == std::string_view::npos;
}

// Interfaces of /proc/net/dev: two lines of heading, then "  name: numbers".
bool only_loopback(const std::vector<std::string_view>& lines)
{
    bool heading = false;
    for (const auto line : lines) {
        if (line.starts_with("Inter-|")) heading = true;
        const auto colon = line.find(':');
        if (!heading || line.starts_with(" face") || colon == std::string_view::npos) continue;
        if (trimmed(line.substr(0, colon)) != "lo") return false;
    }
    return heading;
}

}  // namespace

spec probe_spec(const std::string& jobs_directory)
{
    spec what;
    what.argv = {"/usr/bin/cat", "/proc/self/status", "/proc/version", "/proc/net/dev"};
    what.env = {{"PATH", "/usr/bin:/bin"}};
    what.mounts = {{"/usr", "/usr"}};
    for (const char* path : {"/bin", "/lib", "/lib64"}) what.mounts.push_back({path, path, false, true});
    if (!jobs_directory.empty()) what.mounts.push_back({jobs_directory, "/jobs", true});
    what.limits.file_bytes = 1 << 20;
    what.limits.tmp_bytes = 1 << 20;
    what.limits.open_files = 64;
    what.limits.processes = 16;
    return what;
}

std::optional<std::string> missing_wall(std::string_view printed, const expectation& expected)
{
    const auto lines = lines_of(printed);
    const auto four_times = [](std::uint32_t id) {
        const std::string one = std::to_string(id);
        return one + "\t" + one + "\t" + one + "\t" + one;
    };
    const bool own_kernel = !expected.not_this_kernel.empty();
    if (field(lines, "Uid") != four_times(expected.who.uid) || field(lines, "Gid") != four_times(expected.who.gid))
        return "the program does not run as an unprivileged uid";
    int pid = 0;
    const auto pid_text = field(lines, "Pid");
    std::from_chars(pid_text.data(), pid_text.data() + pid_text.size(), pid);
    // The threads of a container engine may have taken the first ones of a new namespace; the host's own below 300 are
    // given once, while it boots (RESERVED_PIDS in the kernel).
    if (pid < 1 || pid >= 300) return "the program is in no process namespace of its own";
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
        if (version == lines.end() || trimmed(*version) == trimmed(expected.not_this_kernel))
            return "the program runs on the host's kernel";
    }
    if (!only_loopback(lines)) return "the program sees network interfaces";
    return std::nullopt;
}

asio::awaitable<std::optional<std::string>> probe(jail& candidate, std::string jobs_directory, expectation expected)
{
    process::run_limits limits;
    limits.wall = std::chrono::seconds{10};
    limits.output_bytes = 1 << 16;
    async::stop_source stop;
    auto ran = co_await candidate.run(probe_spec(jobs_directory), limits, stop);
    if (!ran) co_return ran.error().message;
    if (stop.requested()) co_return "a small program did not end within 10 s";
    if (ran->status != process::wait_status{process::exited{0}}) {
        std::string said{trimmed(ran->err)};
        co_return said.empty() ? "a small program failed in it" : said;
    }
    co_return missing_wall(ran->out, expected);
}

}  // namespace sandboxd::jail
