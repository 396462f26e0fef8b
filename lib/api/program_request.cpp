#include "api/program_request.hpp"

#include "base/ascii.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <algorithm>

namespace sandboxd::api {

namespace json = boost::json;

namespace {

constexpr std::size_t most_variables = 256;
// A program can be given no longer ones (execve(2): 128 KiB each, and all together a part of the stack).
constexpr std::size_t longest_value = 64 * 1024;
constexpr std::size_t most_bytes = 256 * 1024;

bool is_variable_name(std::string_view name)
{
    return !name.empty() && !is_digit(name.front()) &&
           std::ranges::all_of(name, [](char c) { return c == '_' || is_alphanumeric(c); });
}

}  // namespace

result<json::value> parse_object(std::string_view body)
{
    boost::system::error_code ec;
    auto value = json::parse(body, ec);
    if (ec) return error{errc::invalid_request, "the body is not JSON: " + ec.message()};
    if (!value.is_object()) return error{errc::invalid_request, "the body must be a JSON object"};
    return value;
}

void read_files(json_fields& fields, std::vector<runtimes::program_file>& into)
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
        runtimes::program_file made;
        file.text("path", made.path);
        file.text("content", made.content);
        if (!file.has("path")) file.fail("path", "is required");
        if (!file.has("content")) file.fail("content", "is required");
        fields.take_error(file);
        into.push_back(std::move(made));
    }
}

void read_env(json_fields& fields, std::vector<std::pair<std::string, std::string>>& into)
{
    const auto* const object = fields.object("env_vars");
    if (!object) return;
    if (object->size() > most_variables) fields.fail("env_vars", "has more than 256 members");
    json_fields values{*object, fields.path_of("env_vars")};
    std::size_t bytes = 0;
    for (const auto& member : *object) {
        const std::string key{member.key()};
        std::string value;
        values.text(key, value);
        if (!is_variable_name(key)) values.fail(key, "is no name of a variable");
        if (value.find('\0') != std::string::npos) values.fail(key, "holds a NUL");
        if (value.size() > longest_value) values.fail(key, "is longer than 65536 bytes");
        bytes += key.size() + value.size();
        into.emplace_back(key, std::move(value));
    }
    fields.take_error(values);
    if (bytes > most_bytes) fields.fail("env_vars", "is larger than 262144 bytes");
}

}  // namespace sandboxd::api
