#include "tenants/scope.hpp"

#include <algorithm>
#include <array>

namespace sandboxd::tenants {

namespace {

// In the order of the enumeration.
constexpr std::array<std::string_view, scope_count> scope_names{"compile", "execute", "sandbox",
                                                                "deploy",  "admin",   "keys"};

}  // namespace

std::string_view name(scope one) noexcept { return scope_names[static_cast<std::size_t>(one)]; }

std::optional<scope> scope_named(std::string_view name) noexcept
{
    const auto found = std::ranges::find(scope_names, name);
    if (found == scope_names.end()) return std::nullopt;
    return static_cast<scope>(found - scope_names.begin());
}

std::string all_scope_names()
{
    std::string all;
    for (const auto one : scope_names) all.append(all.empty() ? "" : ", ").append(one);
    return all;
}

}  // namespace sandboxd::tenants
