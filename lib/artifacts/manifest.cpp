#include "artifacts/manifest.hpp"

#include "artifacts/names.hpp"
#include "base/json_fields.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <limits>
#include <set>

namespace sandboxd::artifacts {

namespace json = boost::json;

namespace {

constexpr std::int64_t version = 1;

json::object form_to_json(const form& from)
{
    json::object object;
    object["bytes"] = from.bytes;
    object["sha256"] = from.sha256;
    return object;
}

bool is_digest(std::string_view text)
{
    return text.size() == 64 && is_id(text.substr(0, 32)) && is_id(text.substr(32));
}

void read_form(json_fields& fields, form& into)
{
    std::int64_t bytes = -1;
    fields.number("bytes", bytes, 0, std::numeric_limits<std::int64_t>::max());
    fields.text("sha256", into.sha256);
    if (bytes < 0) fields.fail("bytes", "is missing");
    if (!is_digest(into.sha256)) fields.fail("sha256", "is not a digest");
    into.bytes = static_cast<std::uint64_t>(bytes);
}

void read_nested(json_fields& outer, std::string_view key, form& into)
{
    const auto* object = outer.object(key);
    if (!object) return;
    json_fields fields{*object, outer.path_of(key)};
    read_form(fields, into);
    outer.take_errors(fields);
}

}  // namespace

std::string form_name(std::string_view artifact, encoding coding)
{
    switch (coding) {
        case encoding::gzip: return "." + std::string{artifact} + ".gz";
        case encoding::brotli: return "." + std::string{artifact} + ".br";
        case encoding::identity: break;
    }
    return std::string{artifact};
}

std::string to_json(const manifest& from)
{
    json::array files;
    for (const auto& file : from.files) {
        auto object = form_to_json(file.in(encoding::identity));
        object["name"] = file.name;
        if (file.in(encoding::gzip).there()) object["gzip"] = form_to_json(file.in(encoding::gzip));
        if (file.in(encoding::brotli).there()) object["brotli"] = form_to_json(file.in(encoding::brotli));
        files.push_back(std::move(object));
    }
    json::object top;
    top["version"] = version;
    top["files"] = std::move(files);
    top["record"] = form_to_json(from.record);
    return json::serialize(top);
}

result<manifest> manifest_from_json(std::string_view text)
{
    boost::system::error_code ec;
    const auto value = json::parse(text, ec);
    if (ec) return error{errc::invalid_request, "is not JSON: " + ec.message()};
    const auto* top = value.if_object();
    if (!top) return error{errc::invalid_request, "is not a JSON object"};

    manifest read;
    json_fields fields{*top, {}};
    std::int64_t written_as = 0;
    fields.number("version", written_as, version, version);
    if (written_as != version) fields.fail("version", "is missing");
    if (!fields.has("record")) fields.fail("record", "is missing");
    read_nested(fields, "record", read.record);
    const auto* files = fields.array("files");
    if (!files) fields.fail("files", "is missing");
    if (files && files->size() > most_files) fields.fail("files", "has too many elements");
    if (fields.failed()) return fields.to_error();

    std::set<std::string_view> seen;
    read.files.reserve(files->size());
    for (std::size_t i = 0; i < files->size(); ++i) {
        const std::string path = "files[" + std::to_string(i) + "]";
        const auto* object = (*files)[i].if_object();
        if (!object) return error{errc::invalid_request, path + " is not an object"};
        auto& file = read.files.emplace_back();
        json_fields own{*object, path};
        own.text("name", file.name);
        read_form(own, file.in(encoding::identity));
        read_nested(own, "gzip", file.in(encoding::gzip));
        read_nested(own, "brotli", file.in(encoding::brotli));
        if (!is_plain_name(file.name)) own.fail("name", "is not a plain name");
        if (!seen.insert(file.name).second) own.fail("name", "comes twice");
        if (own.failed()) return own.to_error();
    }
    return read;
}

}  // namespace sandboxd::artifacts
