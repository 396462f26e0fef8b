#include "sandboxes/description.hpp"

#include "base/json_reader.hpp"
#include "base/uuid.hpp"
#include "programs/bundle.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace sandboxd::sandboxes {

namespace json = boost::json;
using std::chrono::milliseconds;
using std::chrono::system_clock;

namespace {

constexpr std::int64_t version = 1;
constexpr std::int64_t any_number = std::int64_t{1} << 53;
// Variables, paths and the rest of a description; a request's body is bounded before.
constexpr std::size_t largest_about = 16u << 20;

std::int64_t to_number(system_clock::time_point when)
{
    return std::chrono::duration_cast<milliseconds>(when.time_since_epoch()).count();
}

json::object common(const sandbox_info& what)
{
    json::object limits;
    for (const auto& row : limit_table) limits[row.name] = what.bounds.*row.value;
    json::object made{{"version", version},
                      {"id", what.id},
                      {"runtime", what.runtime},
                      {"entry_point", what.entry_point},
                      {"created_ms", to_number(what.created)},
                      {"limits", std::move(limits)}};
    if (!what.owner.empty()) made["owner"] = what.owner;
    return made;
}

// What is read, before it is looked at.
struct read_info {
    sandbox_info is;
    std::int64_t written_as{0};
    std::int64_t created_ms{0};

    void tell(json_members& root)
    {
        root.number("version", written_as, version, version).required();
        root.text("id", is.id).required();
        root.text("runtime", is.runtime).required();
        root.text("entry_point", is.entry_point).required();
        root.number("created_ms", created_ms, 0, any_number).required();
        root.text("owner", is.owner);
        root.object("limits",
                    [this](json_members& its) {
                        for (const auto& row : limit_table)
                            its.number(row.name, is.bounds.*row.value, row.least, any_number).required();
                    })
            .required();
    }
    result<sandbox_info> taken()
    {
        if (!is_uuid(is.id)) return invalid_request("id is no UUID");
        is.created = is.last_used = system_clock::time_point{milliseconds{created_ms}};
        return std::move(is);
    }
};

}  // namespace

std::uint64_t description::bytes() const noexcept
{
    std::uint64_t sum = 0;
    for (const auto& one : files) sum += one.content.size();
    return sum;
}

sandbox_info info_of(const description& what)
{
    return {.id = what.id,
            .owner = what.owner,
            .runtime = what.runtime,
            .entry_point = what.entry_point,
            .created = what.created,
            .last_used = what.created,
            .files = what.files.size(),
            .bytes = what.bytes(),
            .bounds = what.bounds};
}

std::string to_bytes(const description& what)
{
    auto about = json::serialize(common(info_of(what)));
    // Written as text and not as an object, because a client chose the names.
    std::string env;
    for (const auto& [key, value] : what.env) {
        if (!env.empty()) env += ',';
        env += json::serialize(json::string{key}) + ':' + json::serialize(json::string{value});
    }
    about.insert(about.size() - 1, ",\"env\":{" + env + "}");
    return programs::pack(about, what.files);
}

std::size_t most_bytes_of(const programs::file_limits& limits)
{
    return programs::packed_size(limits.max_bytes + largest_about, limits.max_files);
}

result<description> description_from(std::string_view bytes, std::size_t most_files)
{
    auto packed = programs::unpack(bytes, most_files);
    if (!packed) return packed.error();
    read_info read;
    description made;
    json_members root;
    read.tell(root);
    root.text_map("env", made.env).required();
    if (const auto fault = read_json(packed->about, root)) return invalid_request(fault->message);
    auto is = read.taken();
    if (!is) return is.error();
    made.id = std::move(is->id);
    made.owner = std::move(is->owner);
    made.runtime = std::move(is->runtime);
    made.entry_point = std::move(is->entry_point);
    made.bounds = is->bounds;
    made.created = is->created;
    made.files = std::move(packed->files);
    return made;
}

std::string to_text(const sandbox_info& what)
{
    auto all = common(what);
    all["files"] = what.files;
    all["bytes"] = what.bytes;
    return json::serialize(all);
}

result<sandbox_info> info_from(std::string_view text)
{
    read_info read;
    std::int64_t files = 0;
    std::int64_t bytes = 0;
    json_members root;
    read.tell(root);
    root.number("files", files, 0, any_number).required();
    root.number("bytes", bytes, 0, any_number).required();
    if (const auto fault = read_json(text, root, {.max_depth = 4, .max_members = 64}))
        return invalid_request(fault->message);
    auto made = read.taken();
    if (!made) return made;
    made->files = static_cast<std::size_t>(files);
    made->bytes = static_cast<std::uint64_t>(bytes);
    return made;
}

}  // namespace sandboxd::sandboxes
