#include "jail/environment.hpp"

#include <algorithm>

namespace sandboxd::jail {

void set_variable(environment& into, std::string_view name, std::string value)
{
    const auto there = std::ranges::find(into, name, &environment::value_type::first);
    if (there != into.end())
        there->second = std::move(value);
    else
        into.emplace_back(name, std::move(value));
}

void set_variables(environment& into, const environment& from)
{
    for (const auto& [name, value] : from) set_variable(into, name, value);
}

}  // namespace sandboxd::jail
