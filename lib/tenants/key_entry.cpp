#include "tenants/key_entry.hpp"

#include "base/ascii.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <utility>

namespace sandboxd::tenants {

namespace json = boost::json;

namespace {

constexpr std::size_t longest_name = 64;

// In the order of the enumeration.
constexpr std::array<std::string_view, limit_count> limit_meanings{
    "Requests other than GET, HEAD and OPTIONS.",
    "Compiles, scripts and executions of sandboxes that run or wait.",
    "Processor seconds of compiles and executions of sandboxes.",
    "Fuel of JavaScript.",
    "Deployments that are there.",
    "Bytes of the files of sandboxes and deployments."};

void add_limits(json_members& of, written_key& into)
{
    of.no_others();
    for (std::size_t i = 0; i < limit_count; ++i) {
        const auto which = static_cast<limit>(i);
        of.number(name(which), into.limits[i], 1, most_of(which)).means(limit_meanings[i]);
    }
}

}  // namespace

// Names become labels of metrics and words of the log.
bool is_tenant_name(std::string_view name) noexcept
{
    return !name.empty() && name.size() <= longest_name && is_alphanumeric(name.front()) &&
           std::ranges::all_of(name, [](char c) { return is_alphanumeric(c) || c == '-' || c == '_' || c == '.'; });
}

void add_key_members(json_members& its, written_key& into)
{
    its.no_others();
    its.text("name", into.name).required().means("The tenant's: 1 to 64 letters, digits, `-`, `_` and `.`.");
    its.texts("scopes", into.scopes).required().at_most(scope_count).means("What the key is for, at least one.");
    its.object("limits", [&into](json_members& of) { add_limits(of, into); }).means("What is left out is not limited.");
}

result<key_entry> check_key(const written_key& said, std::string_view place)
{
    const auto wrong = [place](std::string what) { return invalid_request(std::string{place} + std::move(what)); };
    if (!is_tenant_name(said.name))
        return wrong("name is " + in_quotes(said.name) + ", but must be 1 to 64 letters, digits, '-', '_' and '.', " +
                     "the first of them a letter or a digit");
    key_entry made{.name = said.name};
    if (said.scopes.empty())
        return wrong("scopes is empty, so the key could do nothing; name some of " + all_scope_names());
    for (std::size_t i = 0; i < said.scopes.size(); ++i) {
        const auto at = "scopes[" + std::to_string(i) + "]";
        const auto one = scope_named(said.scopes[i]);
        if (!one) return wrong(at + " is " + in_quotes(said.scopes[i]) + "; there are " + all_scope_names());
        if (made.scopes.has(*one)) return wrong(at + " comes twice");
        made.scopes.add(*one);
    }
    for (std::size_t i = 0; i < limit_count; ++i)
        if (said.limits[i] > 0) made.limits.set(static_cast<limit>(i), said.limits[i]);
    return made;
}

std::optional<sha256_digest> read_digest(std::string_view text) noexcept
{
    sha256_digest made{};
    if (text.size() != 2 * made.size() || !std::ranges::all_of(text, is_lower_hex)) return std::nullopt;
    for (std::size_t i = 0; i < made.size(); ++i)
        made[i] = static_cast<std::uint8_t>(hex_value(text[2 * i]) * 16 + hex_value(text[2 * i + 1]));
    return made;
}

json::array to_json(const scope_set& scopes)
{
    json::array made;
    for (std::size_t i = 0; i < scope_count; ++i)
        if (const auto one = static_cast<scope>(i); scopes.has(one)) made.emplace_back(name(one));
    return made;
}

json::object to_json(const limit_set& limits)
{
    json::object made;
    for (std::size_t i = 0; i < limit_count; ++i) {
        const auto which = static_cast<limit>(i);
        if (const auto most = limits.get(which)) made[name(which)] = *most;
    }
    return made;
}

}  // namespace sandboxd::tenants
