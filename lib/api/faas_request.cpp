#include "api/faas_request.hpp"

#include "api/program_request.hpp"

#include <boost/json/object.hpp>

#include <cmath>

namespace sandboxd::api {

namespace json = boost::json;

namespace {

constexpr double most_minutes = 60.0 * 24 * 365;

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
