#include "faas/manifest.hpp"

#include "base/json_reader.hpp"
#include "base/uuid.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace sandboxd::faas {

namespace json = boost::json;

std::string to_text(const manifest& what)
{
    // Written as text and not as an object, because a client chose the names.
    std::string env;
    for (const auto& [key, value] : what.env) {
        if (!env.empty()) env += ',';
        env += json::serialize(json::string{key}) + ':' + json::serialize(json::string{value});
    }
    json::object others{{"version", 1},
                        {"id", what.id},
                        {"sandbox_id", what.sandbox_id},
                        {"runtime", what.runtime},
                        {"entry_point", what.entry_point},
                        {"memory_mb", what.memory_mb},
                        {"idle_ms", what.idle.count()},
                        {"created", what.created}};
    if (!what.owner.empty()) others["owner"] = what.owner;
    if (what.revision > 0) others["revision"] = what.revision;
    if (what.max_instances > 1) others["max_instances"] = what.max_instances;
    auto text = json::serialize(others);
    text.insert(text.size() - 1, ",\"env\":{" + env + "}");
    return text;
}

result<manifest> manifest_from(std::string_view text)
{
    manifest made;
    std::int64_t idle = 0;
    std::int64_t revision = 0;
    json_members root;
    root.text("id", made.id);
    root.text("sandbox_id", made.sandbox_id);
    root.text("runtime", made.runtime);
    root.text("entry_point", made.entry_point);
    root.number("memory_mb", made.memory_mb, 1, 1 << 20);
    root.number("idle_ms", idle, 0, std::int64_t{1} << 40);
    root.number("created", made.created, 0, std::int64_t{1} << 40);
    root.text("owner", made.owner);
    root.number("revision", revision, 0, std::int64_t{1} << 53);
    root.number("max_instances", made.max_instances, 1, std::int64_t{1} << 20);
    root.text_map("env", made.env);
    if (const auto fault = read_json(text, root)) {
        const bool is_json = fault->what == json_fault::kind::member;
        return error{errc::io, is_json ? fault->message : std::string{"the manifest is not JSON"}};
    }
    if (!is_uuid(made.id) || !is_uuid(made.sandbox_id)) return error{errc::io, "the manifest has no valid id"};
    if (made.entry_point.size() > longest_entry_point)
        return error{errc::io, "its entry point is longer than " + std::to_string(longest_entry_point) + " bytes"};
    made.idle = std::chrono::milliseconds{idle};
    made.revision = static_cast<std::uint64_t>(revision);
    return made;
}

}  // namespace sandboxd::faas
