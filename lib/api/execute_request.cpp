#include "api/execute_request.hpp"

#include "base/ascii.hpp"
#include "base/json_fields.hpp"
#include "base/utf8.hpp"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

namespace sandboxd::api {

namespace json = boost::json;

namespace {

constexpr std::size_t longest_sandbox_id = 512;
// Less is no error: the script then runs out of it.
constexpr std::int64_t least_memory_bytes = 1;

result<json::object> parse_script_object(std::string_view body)
{
    boost::system::error_code ec;
    auto value = json::parse({body.data(), body.size()}, ec);
    if (ec) return invalid_request("invalid JSON: " + ec.message());
    if (!value.is_object()) return invalid_request("invalid JSON: the body must be an object");
    return std::move(value).as_object();
}

// JSON clients send null for what they do not set.
bool is_given(const json::object& root, std::string_view key)
{
    const auto* const value = root.if_contains(key);
    return value && !value->is_null();
}

void read_modules(json_fields& fields, std::vector<js::source_module>& into)
{
    const auto* const given = fields.object("modules");
    if (!given) return;
    json_fields sources{*given, fields.path_of("modules")};
    for (const auto& member : *given) {
        js::source_module one{.name = std::string{member.key()}, .source = {}};
        sources.text(member.key(), one.source);
        into.push_back(std::move(one));
    }
    fields.take_error(sources);
}

int hex_digit(char c)
{
    if (is_digit(c)) return c - '0';
    const char lower = static_cast<char>(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// A '%' that begins no escape stands for itself.
std::string decode_form(std::string_view text)
{
    std::string into;
    into.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%' && i + 2 < text.size()) {
            const int high = hex_digit(text[i + 1]);
            const int low = hex_digit(text[i + 2]);
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

result<js::service_request> read_execute_request(std::string_view body, const js::run_limits& defaults,
                                                 const js::run_limits& most)
{
    const auto root = parse_script_object(body);
    if (!root) return root.error();
    json_fields fields{*root, {}};
    js::service_request into;
    auto& run = into.run;
    run.limits = defaults;

    fields.text("sandbox_id", into.sandbox_id);
    if (into.sandbox_id && into.sandbox_id->size() > longest_sandbox_id)
        fields.fail("sandbox_id", "must not be longer than " + std::to_string(longest_sandbox_id) + " bytes");
    fields.text("init_script", run.init_script);
    fields.text("script", run.script);
    if (!fields.has("script")) fields.fail("script", "is required");
    if (is_given(*root, "module")) fields.boolean("module", run.is_module);
    if (is_given(*root, "modules")) read_modules(fields, run.modules);
    if (is_given(*root, "fuel")) {
        fields.number("fuel", run.limits.fuel, 1, most.fuel);
        run.limits.init_fuel = run.limits.fuel;
    }
    if (is_given(*root, "memory_limit_bytes")) {
        auto bytes = static_cast<std::int64_t>(defaults.memory_bytes);
        fields.number("memory_limit_bytes", bytes, least_memory_bytes, static_cast<std::int64_t>(most.memory_bytes));
        run.limits.memory_bytes = static_cast<std::uint64_t>(bytes);
    }
    if (is_given(*root, "timeout_ms")) {
        using std::chrono::milliseconds;
        std::int64_t ms = 0;
        fields.number("timeout_ms", ms, 1, std::chrono::duration_cast<milliseconds>(most.wall).count());
        run.limits.wall = milliseconds{ms};
    }
    if (fields.failed()) return fields.to_error();
    return into;
}

result<script_parameters> read_script_form(std::string_view body)
{
    script_parameters into;
    while (!body.empty()) {
        const auto end = body.find('&');
        const auto pair = body.substr(0, end);
        body = end == std::string_view::npos ? std::string_view{} : body.substr(end + 1);
        const auto equals = pair.find('=');
        const auto name = decode_form(pair.substr(0, equals));
        auto* const wanted = name == "code" ? &into.code : name == "file" ? &into.file : nullptr;
        if (!wanted || *wanted) continue;
        auto value = equals == std::string_view::npos ? std::string{} : decode_form(pair.substr(equals + 1));
        if (!is_valid_utf8(value)) return invalid_request(name + " is not valid UTF-8");
        *wanted = std::move(value);
    }
    return into;
}

result<script_parameters> read_script_multipart(std::string_view body, std::string_view boundary)
{
    constexpr std::string_view line_end = "\r\n";
    const auto cut_short = [] { return invalid_request("the form is cut short"); };
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
    while (!body.starts_with("--")) {
        const auto line = body.find(line_end);  // behind the delimiter there may be white space
        if (line == std::string_view::npos || body.substr(0, line).find_first_not_of(" \t") != std::string_view::npos)
            return cut_short();
        // From this line end on, so that a part without a head has an empty one.
        body.remove_prefix(line);
        const auto head_end = body.find("\r\n\r\n");
        const auto part_end = body.find(delimiter, line_end.size());
        if (head_end == std::string_view::npos || part_end == std::string_view::npos || part_end < head_end + 2)
            return cut_short();
        const auto name = name_of_part(body.substr(0, head_end));
        const auto begin = head_end + 4;
        const auto value = part_end < begin ? std::string_view{} : body.substr(begin, part_end - begin);
        body.remove_prefix(part_end + delimiter.size());
        auto* const wanted = name == "code" ? &into.code : name == "file" ? &into.file : nullptr;
        if (!wanted || *wanted) continue;
        if (!is_valid_utf8(value)) return invalid_request(std::string{name} + " is not valid UTF-8");
        *wanted = std::string{value};
    }
    return into;
}

result<script_parameters> read_script_json(std::string_view body)
{
    script_parameters into;
    if (body.find_first_not_of(" \t\r\n") == std::string_view::npos) return into;
    const auto root = parse_script_object(body);
    if (!root) return root.error();
    json_fields fields{*root, {}};
    fields.text("code", into.code);
    fields.text("file", into.file);
    if (fields.failed()) return fields.to_error();
    return into;
}

}  // namespace sandboxd::api
