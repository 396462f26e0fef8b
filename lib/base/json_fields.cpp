#include "base/json_fields.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <algorithm>
#include <cmath>

namespace sandboxd {

namespace json = boost::json;

std::string_view kind_name(const json::value& value)
{
    switch (value.kind()) {
        case json::kind::null: return "null";
        case json::kind::bool_: return "a boolean";
        case json::kind::int64:
        case json::kind::uint64: return "an integer";
        case json::kind::double_: return "a number with a fraction";
        case json::kind::string: return "a string";
        case json::kind::array: return "an array";
        case json::kind::object: break;
    }
    return "an object";
}

namespace {

std::string mismatch(std::string_view wanted, const json::value& got)
{
    return "must be " + std::string{wanted} + ", not " + std::string{kind_name(got)};
}

}  // namespace

json_fields::json_fields(const json::object& object, std::string path) : object_{object}, path_{std::move(path)} {}

std::string json_fields::path_of(std::string_view key) const
{
    return path_.empty() ? std::string{key} : path_ + "." + std::string{key};
}

bool json_fields::has(std::string_view key) const { return object_.contains(key); }

const json::value* json_fields::find(std::string_view key)
{
    asked_.emplace_back(key);
    return object_.if_contains(key);
}

bool json_fields::failed_at(std::string_view key) const
{
    return std::ranges::find(errors_, path_of(key), &failure::path) != errors_.end();
}

void json_fields::fail(std::string_view key, std::string_view what)
{
    if (!failed_at(key)) errors_.push_back({path_of(key), std::string{what}});
}

void json_fields::fail_item(std::string_view key, std::string_view what)
{
    errors_.push_back({path_of(key), std::string{what}});
}

void json_fields::take_errors(const json_fields& nested)
{
    errors_.insert(errors_.end(), nested.errors_.begin(), nested.errors_.end());
}

void json_fields::text(std::string_view key, std::string& into)
{
    const auto* value = find(key);
    if (!value) return;
    if (const auto* text = value->if_string()) {
        into.assign(text->data(), text->size());
    } else {
        fail(key, mismatch("a string", *value));
    }
}

void json_fields::text(std::string_view key, std::optional<std::string>& into)
{
    const auto* value = find(key);
    if (!value || value->is_null()) return;
    if (const auto* text = value->if_string()) {
        into.emplace(text->data(), text->size());
    } else {
        fail(key, mismatch("a string", *value));
    }
}

void json_fields::boolean(std::string_view key, bool& into)
{
    const auto* value = find(key);
    if (!value) return;
    if (const auto* flag = value->if_bool()) {
        into = *flag;
    } else {
        fail(key, mismatch("true or false", *value));
    }
}

void json_fields::number(std::string_view key, std::int64_t& into, std::int64_t low, std::int64_t high)
{
    const auto* value = find(key);
    if (!value) {
        numbers_.emplace_back(path_of(key), into);
        return;
    }
    boost::system::error_code ec;
    const auto number = value->to_number<std::int64_t>(ec);
    // A number with too many digits for an integer is parsed as a double without a fraction.
    const bool fraction = value->is_double() && std::trunc(value->get_double()) != value->get_double();
    if (!value->is_number() || fraction) {
        fail(key, mismatch("an integer", *value));
    } else if (ec || number < low || number > high) {
        fail(key, "must be between " + std::to_string(low) + " and " + std::to_string(high));
    } else {
        into = number;
    }
    numbers_.emplace_back(path_of(key), into);
}

void json_fields::ratio(std::string_view key, double& into)
{
    const auto* value = find(key);
    if (!value) return;
    boost::system::error_code ec;
    const auto number = value->to_number<double>(ec);
    if (!value->is_number()) {
        fail(key, mismatch("a number", *value));
    } else if (ec || !(number >= 0 && number <= 1)) {
        fail(key, "must be between 0 and 1");
    } else {
        into = number;
    }
}

void json_fields::texts(std::string_view key, std::vector<std::string>& into)
{
    const auto* items = array(key);
    if (!items) return;
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < items->size(); ++i) {
        if (const auto* text = (*items)[i].if_string())
            texts.emplace_back(text->data(), text->size());
        else
            fail(std::string{key} + "[" + std::to_string(i) + "]", mismatch("a string", (*items)[i]));
    }
    if (texts.size() == items->size()) into = std::move(texts);
}

const json::object* json_fields::object(std::string_view key)
{
    const auto* value = find(key);
    if (!value) return nullptr;
    if (const auto* object = value->if_object()) return object;
    fail(key, mismatch("an object", *value));
    return nullptr;
}

const json::array* json_fields::array(std::string_view key)
{
    const auto* value = find(key);
    if (!value) return nullptr;
    if (const auto* array = value->if_array()) return array;
    fail(key, mismatch("an array", *value));
    return nullptr;
}

std::vector<std::string> json_fields::others() const
{
    std::vector<std::string> found;
    for (const auto& member : object_) {
        const std::string_view key = member.key();
        if (std::find(asked_.begin(), asked_.end(), key) == asked_.end()) found.emplace_back(key);
    }
    return found;
}

std::vector<std::string> json_fields::asked() const
{
    std::vector<std::string> paths;
    for (const auto& key : asked_) paths.push_back(path_of(key));
    return paths;
}

std::vector<std::string> json_fields::messages() const
{
    std::vector<std::string> all;
    for (const auto& [path, what] : errors_) all.push_back(path + " " + what);
    return all;
}

error json_fields::to_error(errc code) const
{
    return {code, failed() ? errors_.front().path + " " + errors_.front().what : std::string{}};
}

}  // namespace sandboxd
