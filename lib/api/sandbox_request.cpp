#include "api/sandbox_request.hpp"

#include "api/program_request.hpp"

#include <boost/json/object.hpp>

#include <limits>

namespace sandboxd::api {

namespace json = boost::json;

namespace {

// Whether they are in range is settled against the configuration.
void read_limits(json_fields& fields, const json::object& object, sandboxes::asked_limits& into)
{
    for (std::size_t i = 0; i < into.size(); ++i) {
        const auto& row = sandboxes::limit_table[i];
        const auto* const value = object.if_contains(row.name);
        if (!value || value->is_null()) continue;
        std::int64_t asked = 0;
        fields.number(row.name, asked, std::numeric_limits<std::int64_t>::min(),
                      std::numeric_limits<std::int64_t>::max());
        into[i] = asked;
    }
}

}  // namespace

result<sandboxes::create_request> read_sandbox_request(std::string_view body)
{
    const auto value = parse_object(body);
    if (!value) return value.error();
    const auto& object = value->as_object();
    json_fields fields{object, {}};
    sandboxes::create_request made;
    std::optional<std::string> code;
    std::optional<std::string> entry_point;
    fields.text("runtime", made.runtime);
    if (made.runtime.empty()) fields.fail("runtime", "is required: node, typescript or bun");
    fields.text("code", code);
    fields.text("entry_point", entry_point);
    made.code = std::move(code).value_or(std::string{});
    made.entry_point = std::move(entry_point).value_or(std::string{});
    read_files(fields, made.files);
    read_env(fields, made.env);
    read_limits(fields, object, made.asked);
    if (made.code.empty() && made.files.empty()) fields.fail("code", "is required where there are no files");
    if (fields.failed()) return fields.to_error();
    return made;
}

result<sandboxes::execute_request> read_execution_request(std::string_view body)
{
    sandboxes::execute_request made;
    if (body.find_first_not_of(" \t\r\n") == std::string_view::npos) return made;
    const auto value = parse_object(body);
    if (!value) return value.error();
    const auto& object = value->as_object();
    json_fields fields{object, {}};
    std::optional<std::string> text;
    fields.text("stdin", text);
    made.stdin_text = std::move(text).value_or(std::string{});
    read_limits(fields, object, made.asked);
    if (fields.failed()) return fields.to_error();
    return made;
}

}  // namespace sandboxd::api
