// Names of modules, as requests give them and as scripts import them.
#pragma once

#include <string>
#include <string_view>

namespace sandboxd::script {

// A module's name without "." and ".." as parts of it: "./lib/../a.js" is "a.js". What leads out of the top stays
// there.
std::string module_name(std::string_view name);

}  // namespace sandboxd::script
