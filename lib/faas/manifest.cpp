#include "faas/manifest.hpp"

#include "base/json_fields.hpp"
#include "base/uuid.hpp"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace sandboxd::faas {

namespace json = boost::json;

std::string to_text(const manifest& what)
{
    json::object env;
    for (const auto& [key, value] : what.env) env.emplace(key, value);
    const json::object all{{"version", 1},
                           {"id", what.id},
                           {"sandbox_id", what.sandbox_id},
                           {"runtime", what.runtime},
                           {"entry_point", what.entry_point},
                           {"env", std::move(env)},
                           {"memory_mb", what.memory_mb},
                           {"idle_ms", what.idle.count()},
                           {"created", what.created}};
    return json::serialize(all);
}

result<manifest> manifest_from(std::string_view text)
{
    boost::system::error_code ec;
    const auto value = json::parse(text, ec);
    if (ec || !value.is_object()) return error{errc::io, "the manifest is not JSON"};
    json_fields fields{value.as_object(), {}};
    manifest made;
    std::int64_t idle = 0;
    fields.text("id", made.id);
    fields.text("sandbox_id", made.sandbox_id);
    fields.text("runtime", made.runtime);
    fields.text("entry_point", made.entry_point);
    fields.number("memory_mb", made.memory_mb, 1, 1 << 20);
    fields.number("idle_ms", idle, 0, std::int64_t{1} << 40);
    fields.number("created", made.created, 0, std::int64_t{1} << 40);
    if (const auto* env = fields.object("env")) {
        json_fields values{*env, "env"};
        for (const auto& member : *env) {
            std::string one;
            values.text(member.key(), one);
            made.env.emplace_back(member.key(), std::move(one));
        }
        fields.take_error(values);
    }
    if (fields.failed()) return fields.to_error(errc::io);
    if (!is_uuid(made.id) || !is_uuid(made.sandbox_id)) return error{errc::io, "the manifest names no id"};
    made.idle = std::chrono::milliseconds{idle};
    return made;
}

}  // namespace sandboxd::faas
