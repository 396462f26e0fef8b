// The scripts that clients may run by name: the files of examples/, put into the program when it is
// built.
#pragma once

#include <span>
#include <string_view>

namespace sandboxd::api {

struct example_script {
    std::string_view name;  // "log.js"
    std::string_view text;
};

// Sorted by name.
std::span<const example_script> example_scripts() noexcept;

}  // namespace sandboxd::api
