#include "api/faas_request.hpp"

#include "base/json_fields.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <algorithm>
#include <cmath>

namespace sandboxd::api {

namespace json = boost::json;

namespace {

constexpr double most_minutes = 60.0 * 24 * 365;
constexpr std::size_t most_variables = 256;

result<json::value> parse_object(std::string_view body)
{
    boost::system::error_code ec;
    auto value = json::parse(body, ec);
    if (ec) return error{errc::invalid_request, "the body is not JSON: " + ec.message()};
    if (!value.is_object()) return error{errc::invalid_request, "the body must be a JSON object"};
    return value;
}

void read_files(json_fields& fields, std::vector<faas::deployment_file>& into)
{
    const auto* const list = fields.array("files");
    if (!list) return;
    for (std::size_t i = 0; i < list->size(); ++i) {
        const auto place = "files[" + std::to_string(i) + "]";
        const auto* const one = (*list)[i].if_object();
        if (!one) {
            fields.fail(place, "must be an object with path and content");
            return;
        }
        json_fields file{*one, fields.path_of(place)};
        faas::deployment_file made;
        file.text("path", made.path);
        file.text("content", made.content);
        if (!file.has("path")) file.fail("path", "is required");
        if (!file.has("content")) file.fail("content", "is required");
        fields.take_error(file);
        into.push_back(std::move(made));
    }
}

bool is_variable_name(std::string_view name)
{
    return !name.empty() && !(name.front() >= '0' && name.front() <= '9') && std::ranges::all_of(name, [](char c) {
        return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    });
}

void read_env(json_fields& fields, std::vector<std::pair<std::string, std::string>>& into)
{
    const auto* const object = fields.object("env_vars");
    if (!object) return;
    if (object->size() > most_variables) fields.fail("env_vars", "has more than 256 members");
    json_fields values{*object, fields.path_of("env_vars")};
    for (const auto& member : *object) {
        const std::string key{member.key()};
        std::string value;
        values.text(key, value);
        if (!is_variable_name(key)) values.fail(key, "is no name of a variable");
        if (value.find('\0') != std::string::npos) values.fail(key, "holds a NUL");
        into.emplace_back(key, std::move(value));
    }
    fields.take_error(values);
}

void read_auto_scale(json_fields& fields, std::optional<std::chrono::milliseconds>& into)
{
    const auto* const object = fields.object("auto_scale");
    if (!object) return;
    const auto* const value = object->if_contains("scale_down_after_minutes");
    if (!value || value->is_null()) return;
    boost::system::error_code ec;
    const auto minutes = value->to_number<double>(ec);
    if (ec || !std::isfinite(minutes) || minutes < 0 || minutes > most_minutes) {
        fields.fail("auto_scale.scale_down_after_minutes", "must be a number from 0 to 525600");
        return;
    }
    into = std::chrono::milliseconds{static_cast<std::int64_t>(minutes * 60'000)};
}

}  // namespace

result<faas::deploy_request> read_deploy_request(std::string_view body)
{
    const auto value = parse_object(body);
    if (!value) return value.error();
    json_fields fields{value->as_object(), {}};
    faas::deploy_request made;
    fields.text("runtime", made.runtime);
    if (made.runtime.empty()) fields.fail("runtime", "is required: node, typescript or bun");
    fields.text("code", made.code);
    fields.text("entry_point", made.entry_point);
    read_files(fields, made.files);
    read_env(fields, made.env);
    if (fields.has("memory_limit_mb")) {
        std::int64_t memory = 0;
        fields.number("memory_limit_mb", memory, 1, 1 << 20);
        made.memory_mb = memory;
    }
    read_auto_scale(fields, made.idle);
    if (made.code.empty() && made.files.empty()) fields.fail("code", "is required where there are no files");
    if (fields.failed()) return fields.to_error();
    return made;
}

result<files_request> read_files_request(std::string_view body)
{
    const auto value = parse_object(body);
    if (!value) return value.error();
    json_fields fields{value->as_object(), {}};
    files_request made;
    read_files(fields, made.files);
    if (made.files.empty()) fields.fail("files", "must hold at least one file");
    fields.boolean("restart_dev_server", made.restart);
    if (fields.failed()) return fields.to_error();
    return made;
}

}  // namespace sandboxd::api
