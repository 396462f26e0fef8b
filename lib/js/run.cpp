#include "js/run.hpp"

#include "js/json_text.hpp"

namespace sandboxd::js {

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
    }
    return {};
}

std::string console_text(const run_answer& answer, bool to_stderr)
{
    std::string text;
    for (const auto& entry : answer.console) {
        const bool is_stderr = entry.level == console_level::error || entry.level == console_level::assertion;
        if (is_stderr != to_stderr) continue;
        append_elements(text, entry.data);
        text += '\n';
    }
    return text;
}

}  // namespace sandboxd::js
