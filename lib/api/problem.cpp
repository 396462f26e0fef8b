#include "api/problem.hpp"

#include "api/reply.hpp"
#include "http/event_stream.hpp"
#include "script/run.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string>

namespace sandboxd::api {

namespace {

constexpr std::string_view problem_media = "application/problem+json";

std::string_view meaning_of(script::run_status status)
{
    using script::run_status;
    switch (status) {
        case run_status::runtime_error: return "the script threw an error, or its result cannot be JSON";
        case run_status::never_settled: return "the script waits for a promise that nothing can settle";
        case run_status::out_of_fuel: return "the script used up its fuel";
        case run_status::out_of_memory: return "the script exceeded its memory limit";
        case run_status::timeout: return "the script exceeded its time limit";
        case run_status::output_limit: return "the script's result is too long";
        case run_status::stack_overflow: return "the script used up the engine's stack";
        case run_status::ok:
        case run_status::pending:
        case run_status::fault: break;
    }
    return "the engine failed";
}

struct written_member {
    std::string_view name;
    std::string_view value;  // as JSON
};

// Where the string that begins at `at` ends, behind its quote.
std::size_t end_of_string(std::string_view json, std::size_t at)
{
    ++at;
    while ((at = json.find_first_of("\"\\", at)) != std::string_view::npos && json[at] != '"') at += 2;
    return at >= json.size() ? json.size() : at + 1;
}

// The members of an object that this server has written: compact, valid, names without escapes.
std::vector<written_member> members_of(std::string_view json)
{
    std::vector<written_member> all;
    std::size_t at = 1;
    while (at < json.size() && json[at] == '"') {
        const auto name_end = end_of_string(json, at);
        const auto name = json.substr(at + 1, name_end - at - 2);
        const auto begin = std::min(name_end + 1, json.size());
        std::size_t end = begin;
        for (std::size_t depth = 0; end < json.size();) {
            const char c = json[end];
            if (depth == 0 && (c == ',' || c == '}')) break;
            if (c == '{' || c == '[') ++depth;
            if (c == '}' || c == ']') --depth;
            end = c == '"' ? end_of_string(json, end) : end + 1;
        }
        all.push_back({name, json.substr(begin, end - begin)});
        at = end + 1;
    }
    return all;
}

}  // namespace

const std::vector<told_code>& told_codes()
{
    static const auto all = [] {
        std::vector<told_code> made;
        for (const auto code : all_codes()) made.push_back({name(code), status_of(code), sentence(code)});
        for (std::uint8_t i = 0; i < script::run_status_count; ++i) {
            const auto status = static_cast<script::run_status>(i);
            const auto called = script::name(status);
            // `timeout` and `output_limit` are also those of other jobs.
            if (status == script::run_status::ok || status == script::run_status::pending ||
                std::ranges::find(made, called, &told_code::name) != made.end())
                continue;
            made.push_back({called, status == script::run_status::fault ? 500U : 400U, meaning_of(status)});
        }
        made.push_back({"continuation_used", 409, "the continuation of a script has been used"});
        made.push_back({"continuation_gone", 410, "there is no such continuation of a script, or it has expired"});
        return made;
    }();
    return all;
}

bool wants_problem(std::string_view accept) noexcept { return http::names_type(accept, problem_media); }

void make_problem(http::response& answer)
{
    const auto body = answer.text();
    if (answer.status < 400 || answer.content_type != "application/json" || !body.starts_with('{')) return;
    const auto members = members_of(body);
    const auto value_of = [&members](std::string_view name) -> std::string_view {
        const auto found = std::ranges::find(members, name, &written_member::name);
        return found == members.end() ? std::string_view{} : found->value;
    };
    const auto code = value_of("code");
    if (code.size() < 2) return;
    const auto called = code.substr(1, code.size() - 2);
    const auto& known = told_codes();
    const auto told = std::ranges::find(known, called, &told_code::name);
    const auto title = told == known.end() ? http::reason(answer.status) : told->meaning;
    const std::string_view detail_name = value_of("error").empty() ? "message" : "error";
    std::string made = R"({"type":")";
    made.append("/openapi.json#/x-error-codes/").append(called).append(R"(","title":)").append(json_text(title));
    made.append(R"(,"status":)").append(std::to_string(answer.status));
    made.append(R"(,"detail":)").append(value_of(detail_name).empty() ? R"("")" : value_of(detail_name));
    for (const auto& [name, value] : members) {
        if (name == "ok" || name == detail_name) continue;
        made.append(R"(,")").append(name == "status" ? "status_text" : name).append(R"(":)").append(value);
    }
    made += "}\n";
    answer.body = std::move(made);
    answer.content_type = problem_media;
    answer.fields.emplace_back("Vary", "Accept");
}

}  // namespace sandboxd::api
