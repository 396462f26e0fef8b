// The environment of a program: pairs of a name and a value, as in jail::spec, each name once.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::programs {

using environment = std::vector<std::pair<std::string, std::string>>;

// Gives the variable this value: in its place where it is there, else at the end.
void set_variable(environment& into, std::string_view name, std::string value);

// Sets all of `from`, in its order: what comes later wins.
void set_variables(environment& into, const environment& from);

}  // namespace sandboxd::programs
