#include "tenants/fleet_key.hpp"

#include "base/text.hpp"

#include <boost/json/serialize.hpp>

#include <cstdint>
#include <utility>

namespace sandboxd::tenants {

namespace json = boost::json;
using std::chrono::milliseconds;

namespace {

constexpr auto latest_creation = std::int64_t{1} << 43;  // in 2248

}  // namespace

std::string to_text(const fleet_key& key)
{
    const auto created = std::chrono::duration_cast<milliseconds>(key.created.time_since_epoch()).count();
    return json::serialize(json::object{{"name", key.what.name},
                                        {"scopes", to_json(key.what.scopes)},
                                        {"limits", to_json(key.what.limits)},
                                        {"created", created},
                                        {"by", key.by}});
}

result<fleet_key> fleet_key_from(std::string_view text, const sha256_digest& digest)
{
    written_key said;
    std::int64_t created = 0;
    std::string by;
    json_members root;
    add_key_members(root, said);
    root.number("created", created, 0, latest_creation).required();
    root.text("by", by).required();
    // Itself, its members, the items of its scopes and its limits.
    if (const auto fault = read_json(text, root, {.max_depth = 4, .max_members = 64}))
        return invalid_request(fault->message);
    auto what = check_key(said);
    if (!what) return what.error();
    if (!is_tenant_name(by)) return invalid_request("by is " + in_quotes(by) + ", which is no name of a tenant");
    what->digest = digest;
    return fleet_key{std::move(*what), std::chrono::system_clock::time_point{milliseconds{created}}, std::move(by)};
}

}  // namespace sandboxd::tenants
