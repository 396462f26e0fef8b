#include "script/run.hpp"

#include "script/json_text.hpp"

#include <charconv>

namespace sandboxd::script {

std::string_view name(run_status status) noexcept
{
    switch (status) {
        case run_status::ok: return "ok";
        case run_status::runtime_error: return "runtime_error";
        case run_status::never_settled: return "never_settled";
        case run_status::out_of_fuel: return "out_of_fuel";
        case run_status::out_of_memory: return "out_of_memory";
        case run_status::timeout: return "timeout";
        case run_status::output_limit: return "output_limit";
        case run_status::stack_overflow: return "stack_overflow";
        case run_status::fault: return "fault";
        case run_status::pending: return "pending";
    }
    return "fault";
}

std::string_view name(console_level level) noexcept
{
    switch (level) {
        case console_level::log: return "log";
        case console_level::info: return "info";
        case console_level::warn: return "warn";
        case console_level::error: return "error";
        case console_level::debug: return "debug";
        case console_level::trace: return "trace";
        case console_level::assertion: return "assert";
    }
    return "log";
}

std::string message_of(const run_answer& answer)
{
    switch (answer.status) {
        case run_status::ok: return {};
        case run_status::runtime_error: return answer.thrown.text();
        case run_status::never_settled: return "The script's promise never settles: nothing is left to run";
        case run_status::out_of_fuel: return "Ran out of CPU time while evaluating the script";
        case run_status::out_of_memory: return "Ran out of memory while evaluating the script";
        case run_status::timeout: return "Ran out of time while evaluating the script";
        case run_status::output_limit: return "The script's result is too long";
        case run_status::stack_overflow: return "Ran out of stack while evaluating the script";
        case run_status::fault: return "The interpreter failed while evaluating the script";
        case run_status::pending: return "The script waits for its tools";
    }
    return {};
}

std::string cure_of(const run_answer& answer, run_place place)
{
    const bool is_server = place == run_place::server;
    switch (answer.status) {
        case run_status::out_of_fuel:
            return (is_server ? "raise \"fuel\"" : "raise --fuel") + (" (" + std::to_string(answer.fuel_used)) +
                   " instructions were executed" + (is_server ? "; the maximum is js.maxFuel)" : ")");
        case run_status::out_of_memory:
            return is_server ? "raise \"memory_limit_bytes\" (the maximum is js.maxMemoryLimitBytes)"
                             : "raise --memory-limit-bytes";
        case run_status::timeout:
            return is_server ? "raise \"timeout_ms\", which includes the time that timers wait (the maximum is "
                               "js.maxTimeoutMs)"
                             : std::string{};
        case run_status::ok:
        case run_status::runtime_error:
        case run_status::never_settled:
        case run_status::output_limit:
        case run_status::stack_overflow:
        case run_status::fault:
        case run_status::pending: break;
    }
    return {};
}

// A line of a stack: "    at f (lib/a.js:3:14)" or "    at script:1:9".
void locate(thrown_value& thrown)
{
    const auto number = [](std::string_view text, std::uint32_t& into) {
        const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), into);
        return ec == std::errc{} && end == text.data() + text.size();
    };
    std::string_view left = thrown.stack;
    while (!left.empty()) {
        const auto end = left.find('\n');
        std::string_view line = left.substr(0, end);
        left = end == std::string_view::npos ? std::string_view{} : left.substr(end + 1);
        constexpr std::string_view at = "    at ";
        if (!line.starts_with(at)) continue;
        line.remove_prefix(at.size());
        if (const auto open = line.rfind('('); open != std::string_view::npos && line.ends_with(')'))
            line = line.substr(open + 1, line.size() - open - 2);
        const auto second = line.rfind(':');
        if (second == std::string_view::npos || second == 0) continue;
        const auto first = line.rfind(':', second - 1);
        if (first == std::string_view::npos) continue;
        const auto file = line.substr(0, first);
        std::uint32_t row = 0;
        std::uint32_t column = 0;
        if (!number(line.substr(first + 1, second - first - 1), row) || !number(line.substr(second + 1), column))
            continue;
        if (row == 0 || file == "<input>" || file == "boot" || file.starts_with("library/")) continue;
        thrown.file = file;
        thrown.line = row;
        thrown.column = column;
        return;
    }
}

std::string console_text(const run_answer& answer, bool to_stderr)
{
    std::string text;
    for (const auto& entry : answer.console) {
        const bool is_stderr = entry.level == console_level::error || entry.level == console_level::assertion;
        if (is_stderr != to_stderr) continue;
        if (entry.data.empty())
            text += entry.text;
        else
            append_elements(text, entry.data);
        text += '\n';
    }
    return text;
}

}  // namespace sandboxd::script
