#include "faas/dependencies.hpp"

#include "base/ascii.hpp"
#include "base/digest.hpp"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <optional>

namespace sandboxd::faas {

namespace json = boost::json;

namespace {

constexpr std::size_t most_packages = 512;
constexpr std::size_t longest_name = 214;
constexpr std::size_t longest_spec = 256;

bool is_name_part(std::string_view part)
{
    if (part.empty() || part.front() == '.' || part.front() == '_') return false;
    return std::ranges::all_of(
        part, [](char c) { return is_alphanumeric(c) || c == '-' || c == '_' || c == '.' || c == '~'; });
}

bool is_range(std::string_view spec)
{
    // Everything a range or a tag is written with; neither ':' nor '/' is, so no address and no path.
    return spec.size() <= longest_spec && !spec.starts_with('-') && !spec.starts_with('.') &&
           std::ranges::all_of(spec, [](char c) {
               return is_alphanumeric(c) || std::string_view{" .-+^~<>=|*_"}.find(c) != std::string_view::npos;
           });
}

std::string in_quotes(std::string_view text) { return json::serialize(json::string{text.substr(0, 120)}); }

std::optional<error> read_texts(const json::object& from, std::string_view member, text_map& into)
{
    const auto* const value = from.if_contains(member);
    if (!value || value->is_null()) return std::nullopt;
    const auto* const object = value->if_object();
    if (!object) return unprocessable("package.json: '" + std::string{member} + "' must be an object");
    for (const auto& [key, one] : *object) {
        const auto* const text = one.if_string();
        if (!text)
            return unprocessable("package.json: " + std::string{member} + "." + in_quotes(key) + " must be a string");
        into.insert_or_assign(std::string{key}, std::string{*text});
    }
    return std::nullopt;
}

}  // namespace

bool is_package_name(std::string_view name)
{
    if (name.size() > longest_name) return false;
    if (!name.starts_with('@')) return is_name_part(name) && name != "node_modules";
    const auto slash = name.find('/');
    return slash != std::string_view::npos && is_name_part(name.substr(1, slash - 1)) &&
           is_name_part(name.substr(slash + 1));
}

bool is_registry_spec(std::string_view spec)
{
    if (!spec.starts_with("npm:")) return is_range(spec);
    spec.remove_prefix(4);
    const auto at = spec.find('@', 1);
    return is_package_name(spec.substr(0, at)) && (at == std::string_view::npos || is_range(spec.substr(at + 1)));
}

result<package_manifest> read_package_manifest(std::string_view text)
{
    boost::system::error_code ec;
    json::parse_options options;
    options.max_depth = 16;
    const auto value = json::parse(text, ec, {}, options);
    if (ec) return unprocessable("package.json is not JSON: " + ec.message());
    const auto* const object = value.if_object();
    if (!object) return unprocessable("package.json must hold an object");
    package_manifest made;
    if (auto wrong = read_texts(*object, "scripts", made.scripts)) return *wrong;
    if (auto wrong = read_texts(*object, "optionalDependencies", made.dependencies)) return *wrong;
    if (auto wrong = read_texts(*object, "dependencies", made.dependencies)) return *wrong;
    if (made.dependencies.size() > most_packages) return unprocessable("package.json asks for more than 512 packages");
    for (const auto& [name, spec] : made.dependencies) {
        if (!is_package_name(name)) return unprocessable("package.json: " + in_quotes(name) + " is no package name");
        if (!is_registry_spec(spec))
            return unprocessable("package.json: " + in_quotes(name) + " comes from " + in_quotes(spec) +
                                 "; only packages of the registry, by version, range or tag, are installed");
    }
    return made;
}

std::string install_manifest(const text_map& dependencies)
{
    json::object list;
    for (const auto& [name, spec] : dependencies) list.emplace(name, spec);
    return json::serialize(json::object{{"name", "deployment"}, {"private", true}, {"dependencies", std::move(list)}});
}

std::string install_key(const text_map& dependencies, std::string_view client)
{
    sha256 hash;
    hash.field(client);
    for (const auto& [name, spec] : dependencies) {
        hash.field(name);
        hash.field(spec);
    }
    return to_hex(hash.finish());
}

}  // namespace sandboxd::faas
