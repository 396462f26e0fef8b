#include "api/execute_request.hpp"

#include "api/read_json.hpp"
#include "base/ascii.hpp"
#include "base/json_reader.hpp"
#include "base/utf8.hpp"
#include "script/module_name.hpp"
#include "script/tool_names.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

namespace sandboxd::api {

namespace {

constexpr std::size_t longest_sandbox_id = 512;
constexpr std::size_t longest_module_name = 1024;
constexpr std::int64_t latest_clock_ms = 9'000'000'000'000;         // in 2255: the engine counts nanoseconds
constexpr std::int64_t largest_seed = (std::int64_t{1} << 53) - 1;  // what every JSON library writes exactly
constexpr std::size_t most_fields = 1000;                           // of a form or a query
// Too little memory is not an error: the script then runs out of it.
constexpr std::int64_t least_memory_bytes = 1;

struct execute_members {
    js::service_request into{};
    std::vector<std::pair<std::string, std::string>> modules{};
    std::optional<std::int64_t> fuel{};
    std::optional<std::int64_t> memory_bytes{};
    std::optional<std::int64_t> timeout_ms{};

    void declare(json_members& root, const script::run_limits& most, std::size_t max_modules, std::size_t max_tools)
    {
        auto& run = into.run;
        root.text("sandbox_id", into.sandbox_id)
            .means(
                "Continues with the sandbox that an earlier request left under this id and `init_script`, if it still "
                "exists; at most 512 bytes. Whoever knows the id can read its contents.");
        root.text("init_script", run.init_script).means("Runs before `script`, in a new sandbox only.");
        root.text("script", run.script)
            .required()
            .means("The code; its last value is the `result`. A promise is awaited; `await` works at the top level.");
        root.boolean("module", run.is_module)
            .or_null()
            .means("`true`: `script` is a module, and the result is its `default` export.");
        root.text_map("modules", modules)
            .at_most(max_modules)
            .or_null()
            .means("Sources by name, for `import`. A name has at most 1024 bytes.");
        root.number("fuel", fuel, 1, most.fuel)
            .set_by("js.maxFuel", "js.fuel")
            .means("WebAssembly instructions for each of the two scripts. A script always burns the same fuel.");
        root.number("memory_limit_bytes", memory_bytes, least_memory_bytes,
                    static_cast<std::int64_t>(most.memory_bytes))
            .set_by("js.maxMemoryLimitBytes", "js.memoryLimitBytes")
            .means("Of the sandbox, of which the interpreter takes 1.5 MiB.");
        root.number("timeout_ms", timeout_ms, 1,
                    std::chrono::duration_cast<std::chrono::milliseconds>(most.wall).count())
            .set_by("js.maxTimeoutMs", "js.timeoutMs")
            .means("Of both scripts together, including the time that their timers wait.");
        auto& tools =
            root.texts("tools", run.tools)
                .at_most(max_tools)
                .or_null()
                .set_by("js.maxTools")
                .means(
                    "Names of functions that the script sees as asynchronous ones, `orders.get` as `tools.orders.get`. "
                    "Their calls are the client's to answer: see `PENDING`. Not together with `sandbox_id`.");
        if (max_tools == 0)
            tools.at_most(0, invalid_request(
                                 "tools: this server keeps no scripts that wait (js.continuationBytes, js.maxTools)"));
        root.number("clock", run.clock_ms, 0, latest_clock_ms)
            .means(
                "Where the script's clocks begin, in milliseconds since 1970. They then depend on nothing but what the "
                "script does.");
        root.number("seed", run.seed, 0, largest_seed)
            .means("The numbers of `Math.random` and `crypto` depend on it alone, and are no secret.");
    }
};

struct result_members {
    std::int64_t id{0};
    bool has_value{false};
    std::optional<std::string> error{};
};

struct continue_members {
    js::continue_request into{};
    std::vector<result_members> results{};

    void declare(json_members& root, std::size_t max_calls)
    {
        root.text("continuation", into.continuation)
            .required()
            .means("That of the answer with `PENDING`. It is used once.");
        root.objects<result_members>(
                "results", results,
                [](result_members& one, json_members& its) {
                    its.number("id", one.id, 1, std::numeric_limits<std::uint32_t>::max())
                        .required()
                        .means("The call's.");
                    its.anything("value", one.has_value).means("What the call's promise is fulfilled with.");
                    its.text("error", one.error).means("Or the message of the `Error` that it is rejected with.");
                },
                "an object with id and value or error")
            .required()
            .at_most(max_calls)
            .means("One for each of the `calls`.");
        root.boolean("keep", into.keep)
            .or_null()
            .means("`true`: the continuation can be used again, and goes on from the same place.");
    }
};

void declare_script(json_members& root, script_parameters& into)
{
    root.text("code", into.code).means("The script.");
    root.text("file", into.file).means("The name of an example script; its text follows the code.");
}

// A '%' that does not begin an escape stands for itself.
std::string decode_form(std::string_view text)
{
    std::string into;
    into.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%' && i + 2 < text.size()) {
            const int high = hex_value(text[i + 1]);
            const int low = hex_value(text[i + 2]);
            if (high >= 0 && low >= 0) {
                into += static_cast<char>(high * 16 + low);
                i += 2;
                continue;
            }
        }
        into += text[i] == '+' ? ' ' : text[i];
    }
    return into;
}

// Which parameter a field of a form is; null: none, or one that came before.
std::optional<std::string>* parameter_named(std::string_view name, script_parameters& into)
{
    auto* const wanted = name == "code" ? &into.code : name == "file" ? &into.file : nullptr;
    return wanted && *wanted ? nullptr : wanted;
}

error too_many_fields()
{
    return invalid_request("a form or a query must not have more than " + std::to_string(most_fields) + " fields");
}

// The `name` in a part's head: `Content-Disposition: form-data; name="code"; filename="a.js"`. Empty: none.
std::string_view name_of_part(std::string_view head)
{
    constexpr std::string_view field = "content-disposition:";
    constexpr std::string_view key = "name=\"";
    while (!head.empty()) {
        const auto end = head.find("\r\n");
        const auto line = head.substr(0, end);
        head = end == std::string_view::npos ? std::string_view{} : head.substr(end + 2);
        const auto named = line.substr(0, field.size());
        if (!std::ranges::equal(named, field, {}, to_lower)) continue;
        for (auto at = line.find(key); at != std::string_view::npos; at = line.find(key, at + 1)) {
            if (line[at - 1] != ' ' && line[at - 1] != ';') continue;  // filename="…"
            const auto value = line.substr(at + key.size());
            return value.substr(0, value.find('"'));
        }
    }
    return {};
}

}  // namespace

result<js::service_request> read_execute_request(std::string_view body, const script::run_limits& defaults,
                                                 const script::run_limits& most, std::size_t max_modules,
                                                 const json_limits& json, std::size_t max_tools)
{
    using std::chrono::milliseconds;
    execute_members members;
    auto& [into, modules, fuel, memory_bytes, timeout_ms] = members;
    auto& run = into.run;
    run.limits = defaults;
    json_members root;
    members.declare(root, most, max_modules, max_tools);
    if (auto wrong = read_body(body, root, usual_words, json)) return std::move(*wrong);
    if (into.sandbox_id && into.sandbox_id->size() > longest_sandbox_id)
        return invalid_request("sandbox_id must not be longer than " + std::to_string(longest_sandbox_id) + " bytes");
    for (const auto& [name, source] : modules)
        if (name.size() > longest_module_name)
            return invalid_request("modules: a name must not be longer than " + std::to_string(longest_module_name) +
                                   " bytes");
    for (auto& [name, source] : modules) run.modules.push_back({script::module_name(name), std::move(source)});
    std::vector<std::string_view> sorted;
    for (const auto& one : run.modules) sorted.push_back(one.name);
    std::ranges::sort(sorted);
    if (const auto twice = std::ranges::adjacent_find(sorted); twice != sorted.end())
        return invalid_request("modules: several are named '" + std::string{*twice} +
                               "' (after './' and '../' are resolved); rename one");
    if (auto wrong = script::fault_of_tool_names(run.tools); !wrong.empty()) return invalid_request("tools: " + wrong);
    if (!run.tools.empty() && into.sandbox_id)
        return invalid_request(
            "tools and sandbox_id cannot be together: a script that waits keeps its sandbox in its continuation");
    if (fuel) run.limits.fuel = run.limits.init_fuel = *fuel;
    if (memory_bytes) run.limits.memory_bytes = static_cast<std::uint64_t>(*memory_bytes);
    if (timeout_ms) run.limits.wall = milliseconds{*timeout_ms};
    return std::move(into);
}

std::vector<json_member_info> execute_request_members(const script::run_limits& most, std::size_t max_modules,
                                                      std::size_t max_tools)
{
    execute_members members;
    json_members root;
    members.declare(root, most, max_modules, max_tools);
    return list_members(root);
}

result<js::continue_request> read_continue_request(std::string body, std::size_t max_calls, const json_limits& json)
{
    continue_members members;
    json_members root;
    members.declare(root, max_calls);
    if (auto wrong = read_body(body, root, usual_words, json)) return std::move(*wrong);
    auto& into = members.into;
    for (std::size_t i = 0; i < members.results.size(); ++i) {
        const auto& one = members.results[i];
        if (one.has_value == one.error.has_value())
            return invalid_request("results[" + std::to_string(i) + "] must have either value or error");
        into.calls.push_back(static_cast<std::uint32_t>(one.id));
    }
    into.results = std::move(body);
    return std::move(into);
}

std::vector<json_member_info> continue_request_members(std::size_t max_calls)
{
    continue_members members;
    json_members root;
    members.declare(root, max_calls);
    return list_members(root);
}

result<script_parameters> read_script_form(std::string_view body)
{
    // With each of the letters escaped.
    constexpr std::size_t longest_name = 12;
    script_parameters into;
    for (std::size_t fields = 0; !body.empty();) {
        if (fields++ == most_fields) return too_many_fields();
        const auto end = body.find('&');
        const auto pair = body.substr(0, end);
        body = end == std::string_view::npos ? std::string_view{} : body.substr(end + 1);
        const auto equals = pair.find('=');
        const auto written = pair.substr(0, equals);
        if (written.size() > longest_name) continue;
        const auto name = decode_form(written);
        auto* const wanted = parameter_named(name, into);
        if (!wanted) continue;
        auto value = equals == std::string_view::npos ? std::string{} : decode_form(pair.substr(equals + 1));
        if (!is_valid_utf8(value)) return invalid_request(name + " is not valid UTF-8");
        *wanted = std::move(value);
    }
    return into;
}

result<script_parameters> read_script_multipart(std::string_view body, std::string_view boundary)
{
    constexpr std::string_view line_end = "\r\n";
    const auto cut_short = [] { return invalid_request("the form is incomplete"); };
    script_parameters into;
    // A delimiter begins a line; the first one may begin the body.
    const std::string delimiter = "\r\n--" + std::string{boundary};
    const auto first = std::string_view{delimiter}.substr(line_end.size());
    if (body.starts_with(first)) {
        body.remove_prefix(first.size());
    } else {
        const auto at = body.find(delimiter);
        if (at == std::string_view::npos) return cut_short();
        body.remove_prefix(at + delimiter.size());
    }
    for (std::size_t fields = 0; !body.starts_with("--");) {
        if (fields++ == most_fields) return too_many_fields();
        const auto line = body.find(line_end);  // white space may follow the delimiter
        if (line == std::string_view::npos || body.substr(0, line).find_first_not_of(" \t") != std::string_view::npos)
            return cut_short();
        // Keep this line end, so that a part without a head has an empty one.
        body.remove_prefix(line);
        const auto head_end = body.find("\r\n\r\n");
        const auto part_end = body.find(delimiter, line_end.size());
        if (head_end == std::string_view::npos || part_end == std::string_view::npos || part_end < head_end + 2)
            return cut_short();
        const auto name = name_of_part(body.substr(0, head_end));
        const auto begin = head_end + 4;
        const auto value = part_end < begin ? std::string_view{} : body.substr(begin, part_end - begin);
        body.remove_prefix(part_end + delimiter.size());
        auto* const wanted = parameter_named(name, into);
        if (!wanted) continue;
        if (!is_valid_utf8(value)) return invalid_request(std::string{name} + " is not valid UTF-8");
        *wanted = std::string{value};
    }
    return into;
}

result<script_parameters> read_script_json(std::string_view body, const json_limits& json)
{
    script_parameters into;
    if (body.find_first_not_of(" \t\r\n") == std::string_view::npos) return into;
    json_members root;
    declare_script(root, into);
    if (auto wrong = read_body(body, root, usual_words, json)) return std::move(*wrong);
    return into;
}

std::vector<json_member_info> script_members()
{
    script_parameters into;
    json_members root;
    declare_script(root, into);
    return list_members(root);
}

}  // namespace sandboxd::api
