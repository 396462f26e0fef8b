#include "faas/dependencies.hpp"

#include "base/ascii.hpp"
#include "base/digest.hpp"
#include "base/json_reader.hpp"
#include "base/utf8.hpp"

#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>

#include <algorithm>

namespace sandboxd::faas {

namespace json = boost::json;

namespace {

// What one package.json itself may name: far more than anybody writes by hand. What is installed has keys
// (faas.maxInstallMB, faas.maxInstallFiles).
constexpr std::size_t most_packages = 512;
constexpr std::size_t most_scripts = 1024;
constexpr std::size_t longest_name = 214;  // as npm has it
constexpr std::size_t longest_spec = 256;

bool is_name_part(std::string_view part)
{
    if (part.empty() || part.front() == '.' || part.front() == '_') return false;
    return std::ranges::all_of(
        part, [](char c) { return is_alphanumeric(c) || c == '-' || c == '_' || c == '.' || c == '~'; });
}

// npm and Bun treat anything with this ending as an archive file.
bool looks_like_archive(std::string_view text)
{
    for (const std::string_view ending : {".tgz", ".tar", ".tar.gz"}) {
        if (text.size() < ending.size()) continue;
        const auto last = text.substr(text.size() - ending.size());
        if (std::ranges::equal(last, ending,
                               [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + ('a' - 'A') : a) == b; }))
            return true;
    }
    return false;
}

bool is_range(std::string_view spec)
{
    // The characters of ranges and tags. ':' and '/' are not among them, so no URL and no path matches.
    // Blanks around it would hide what it begins or ends with.
    return spec.size() <= longest_spec && trim(spec) == spec && !spec.starts_with('-') && !spec.starts_with('.') &&
           !looks_like_archive(spec) && std::ranges::all_of(spec, [](char c) {
               return is_alphanumeric(c) || std::string_view{" .-+^~<>=|*_"}.find(c) != std::string_view::npos;
           });
}

std::string json_string(std::string_view text) { return json::serialize(json::string{text}); }

std::string in_json_quotes(std::string_view text)
{
    constexpr std::size_t most_shown = 120;
    return json_string(utf8_prefix(text, most_shown));
}

std::string fault_text(const json_fault& fault)
{
    switch (fault.what) {
        case json_fault::kind::syntax: return "package.json is not JSON: " + fault.message;
        case json_fault::kind::no_object: return "package.json must hold an object";
        case json_fault::kind::too_many: return "package.json has " + fault.message;
        case json_fault::kind::member:
        case json_fault::kind::too_long: break;
    }
    auto text = fault.message;
    if (!fault.chosen_name.empty())
        text.replace(text.find("." + fault.chosen_name) + 1, fault.chosen_name.size(),
                     in_json_quotes(fault.chosen_name));
    return "package.json: " + text;
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
    return is_package_name(spec.substr(0, at)) && !looks_like_archive(spec.substr(0, at)) &&
           (at == std::string_view::npos || is_range(spec.substr(at + 1)));
}

result<package_manifest> read_package_manifest(std::string_view text)
{
    using pairs = std::vector<std::pair<std::string, std::string>>;
    pairs scripts;
    pairs optional;
    pairs needed;
    json_members root;
    root.text_map("scripts", scripts).at_most(most_scripts).or_null();
    root.text_map("optionalDependencies", optional).at_most(most_packages).or_null();
    root.text_map("dependencies", needed).at_most(most_packages).or_null();
    if (const auto fault = read_json(text, root, {.max_depth = 16})) return unprocessable(fault_text(*fault));
    const auto move_into = [](pairs& from, text_map& into) {
        for (auto& [name, value] : from) into.insert_or_assign(std::move(name), std::move(value));
    };
    package_manifest made;
    move_into(scripts, made.scripts);
    move_into(optional, made.dependencies);
    move_into(needed, made.dependencies);
    if (made.dependencies.size() > most_packages) return unprocessable("package.json lists more than 512 packages");
    for (auto& [name, spec] : made.dependencies) {
        // As npm has it. A set of packages has one key, whatever the blanks.
        spec = std::string{trim(spec)};
        if (!is_package_name(name))
            return unprocessable("package.json: " + in_json_quotes(name) + " is not a package name");
        if (!is_registry_spec(spec))
            return unprocessable("package.json: " + in_json_quotes(name) + " comes from " + in_json_quotes(spec) +
                                 "; use a version, range or tag of the registry");
    }
    return made;
}

std::string install_manifest(const text_map& dependencies)
{
    std::string list;
    for (const auto& [name, spec] : dependencies) {
        if (!list.empty()) list += ',';
        list += json_string(name) + ':' + json_string(spec);
    }
    return R"({"name":"deployment","private":true,"dependencies":{)" + list + "}}";
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
