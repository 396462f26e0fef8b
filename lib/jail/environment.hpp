// The environment of a program: pairs of a name and a value, as in spec, each name once.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::jail {

using environment = std::vector<std::pair<std::string, std::string>>;

// Sets the variable: in its place if it exists, otherwise at the end.
void set_variable(environment& into, std::string_view name, std::string value);

// Sets all variables of `from`, in order; later ones win.
void set_variables(environment& into, const environment& from);

}  // namespace sandboxd::jail
