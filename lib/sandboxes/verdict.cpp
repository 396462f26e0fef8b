#include "sandboxes/verdict.hpp"

#include <algorithm>
#include <array>
#include <csignal>

namespace sandboxd::sandboxes {

namespace {

constexpr int timed_out = 124;
constexpr int killed = 128 + SIGKILL;
constexpr int last_signal = 64;

// The messages of Node.js, Bun, Python and the C library. Python's OSError has the number, whatever the locale.
constexpr std::array<std::string_view, 12> no_memory{
    "JavaScript heap out of memory",
    "RangeError: Out of memory",
    "Array buffer allocation failed",
    "Fatal process out of memory",
    "Fatal JavaScript out of memory",
    "Fatal javascript OOM",
    "[Errno 12]",
    "std::bad_alloc",
    "Cannot allocate memory",
    "runtime: out of memory",
    "Bun has run out of memory",
    "address 0xBBADBEEF"};  // the last: the address at which JavaScriptCore crashes on purpose
constexpr std::array<std::string_view, 9> no_room{
    "ENOSPC",     "EFBIG",      "EDQUOT",     "No space left on device", "File too large", "Disk quota exceeded",
    "[Errno 27]", "[Errno 28]", "[Errno 122]"};
// An uncaught Python exception begins a line. In a line of source code, or in another message, the word means
// nothing.
constexpr std::string_view python_no_memory = "MemoryError";

template <std::size_t count>
bool tells(std::string_view err, const std::array<std::string_view, count>& signs)
{
    return std::ranges::any_of(signs,
                               [err](std::string_view sign) { return err.find(sign) != std::string_view::npos; });
}

bool tells_python_no_memory(std::string_view err)
{
    for (auto at = err.find(python_no_memory); at != std::string_view::npos; at = err.find(python_no_memory, at + 1)) {
        // The name of a derived class begins with its module: numpy.exceptions._ArrayMemoryError.
        const auto line = err.substr(0, at).rfind('\n') + 1;
        const auto before = err.substr(line, at - line);
        const auto behind = err.substr(at + python_no_memory.size());
        if (before.find_first_of(" :\"'") == std::string_view::npos &&
            (behind.empty() || behind.front() == '\n' || behind.front() == '\r' || behind.front() == ':'))
            return true;
    }
    return false;
}

}  // namespace

std::string_view name(verdict how) noexcept
{
    switch (how) {
        case verdict::exit: return "exit";
        case verdict::timeout: return "timeout";
        case verdict::memory_limit: return "memory_limit";
        case verdict::output_limit: return "output_limit";
        case verdict::disk_limit: return "disk_limit";
        case verdict::signalled: return "signalled";
    }
    return "exit";
}

judgement judge(const process::wait_status& status, std::optional<errc> stopped, std::string_view err, bool used_up_cpu)
{
    if (stopped == errc::timeout) return {verdict::timeout, timed_out, 0};
    if (stopped == errc::output_limit) return {verdict::output_limit, killed, 0};
    if (stopped == errc::memory_limit) return {verdict::memory_limit, killed, 0};
    const auto* const done = std::get_if<process::exited>(&status);
    const int code = done ? done->code : 128 + std::get<process::signaled>(status).signal;
    const int signal = code > 128 && code <= 128 + last_signal ? code - 128 : 0;
    if (signal == SIGXCPU || (signal == SIGKILL && used_up_cpu)) return {verdict::timeout, timed_out, 0};
    if (code != 0 && (tells(err, no_memory) || tells_python_no_memory(err)))
        return {verdict::memory_limit, code, signal};
    if (signal == SIGXFSZ || (code != 0 && tells(err, no_room))) return {verdict::disk_limit, code, signal};
    return {signal != 0 ? verdict::signalled : verdict::exit, code, signal};
}

}  // namespace sandboxd::sandboxes
