#include "api/schema.hpp"

#include <boost/json/array.hpp>

#include <cmath>
#include <utility>

namespace sandboxd::api::schema {

namespace json = boost::json;

namespace {

json::object typed(json::value type, std::string_view means)
{
    json::object made;
    if (!type.is_null()) made["type"] = std::move(type);
    if (!means.empty()) made["description"] = means;
    return made;
}

json::value plain_number(double value)
{
    if (std::trunc(value) == value) return static_cast<std::int64_t>(value);
    return value;
}

json::object of_member(const json_member_info& one, const number_map& numbers)
{
    using kind = json_member_info::kind;
    json::object made;
    const auto be = [&](std::string_view type) {
        if (one.takes_null)
            made["type"] = json::array{type, "null"};
        else
            made["type"] = type;
    };
    switch (one.what) {
        case kind::text: be("string"); break;
        case kind::boolean: be("boolean"); break;
        case kind::integer: be("integer"); break;
        case kind::real: be("number"); break;
        case kind::texts:
            be("array");
            made["items"] = json::object{{"type", "string"}};
            break;
        case kind::text_map:
            be("object");
            made["additionalProperties"] = json::object{{"type", "string"}};
            break;
        case kind::anything: break;
        case kind::object: made = of_request(one.members, numbers); break;
        case kind::objects:
            be("array");
            made["items"] = of_request(one.members, numbers);
            break;
    }
    const auto of_key = [&](std::string_view key) -> std::optional<std::int64_t> {
        const auto found = numbers.find(key);
        return found == numbers.end() ? std::nullopt : std::optional{found->second};
    };
    if (one.low) made["minimum"] = plain_number(*one.low);
    if (one.high) made["maximum"] = plain_number(*one.high);
    // What the service checks later, on behalf of the configuration.
    if (const auto most = of_key(one.most_key)) {
        if (!one.low) made["minimum"] = 1;
        made["maximum"] = *most;
    }
    if (const auto usual = of_key(one.usual_key)) made["default"] = *usual;
    if (one.most) made[one.what == kind::text_map ? "maxProperties" : "maxItems"] = *one.most;
    std::string means{one.means};
    if (!one.most_key.empty()) means.append(" At most ").append(one.most_key).append(" of the configuration.");
    if (!means.empty()) made["description"] = means;
    return made;
}

}  // namespace

json::object text(std::string_view means) { return typed("string", means); }

json::object integer(std::string_view means)
{
    auto made = typed("integer", means);
    made["minimum"] = 0;
    return made;
}

json::object number(std::string_view means)
{
    auto made = typed("number", means);
    made["minimum"] = 0;
    return made;
}

json::object boolean(std::string_view means) { return typed("boolean", means); }

json::object anything(std::string_view means) { return typed(nullptr, means); }

json::object constant(json::value value, std::string_view means)
{
    auto made = typed(nullptr, means);
    made["const"] = std::move(value);
    return made;
}

json::object one_of(std::span<const std::string_view> texts, std::string_view means)
{
    auto made = typed("string", means);
    made["enum"] = json::array(texts.begin(), texts.end());
    return made;
}

json::object list(json::object items, std::string_view means)
{
    auto made = typed("array", means);
    made["items"] = std::move(items);
    return made;
}

json::object any_of(std::initializer_list<json::object> each)
{
    json::object made;
    made["anyOf"] = json::array(each.begin(), each.end());
    return made;
}

json::object record(const std::vector<member>& members, std::string_view means)
{
    auto made = typed("object", means);
    json::object properties;
    json::array required;
    for (const auto& one : members) {
        properties[one.name] = one.what;
        if (one.is_required) required.emplace_back(one.name);
    }
    made["properties"] = std::move(properties);
    if (!required.empty()) made["required"] = std::move(required);
    return made;
}

json::object of_request(const std::vector<json_member_info>& members, const number_map& numbers)
{
    std::vector<member> all;
    all.reserve(members.size());
    for (const auto& one : members) all.push_back({one.name, of_member(one, numbers), one.is_required});
    return record(all);
}

}  // namespace sandboxd::api::schema
