#include "api/program_request.hpp"

#include "base/ascii.hpp"
#include "base/utf8.hpp"

#include <algorithm>

namespace sandboxd::api {

namespace {

// A program cannot get much more than that (execve(2): 128 KiB each, and all of them use the stack). What is larger, or
// more, belongs into a file of the request.
constexpr std::size_t most_variables = 256;
constexpr std::size_t longest_value = 64 * 1024;
constexpr std::size_t most_bytes = 256 * 1024;

bool is_variable_name(std::string_view name)
{
    return !name.empty() && !is_digit(name.front()) &&
           std::ranges::all_of(name, [](char c) { return c == '_' || is_alphanumeric(c); });
}

}  // namespace

void add_variables(json_members& root, variables& into)
{
    root.text_map("env_vars", into)
        .at_most(most_variables)
        .means("Environment of the program: names of letters, digits and `_`; 64 KiB each, 256 KiB together.");
}

std::optional<error> check_variables(const variables& given)
{
    std::size_t bytes = 0;
    for (const auto& [name, value] : given) {
        const auto fault = [&name](const char* what) {
            constexpr std::size_t most_shown = 120;
            return invalid_request("env_vars." + std::string{utf8_prefix(name, most_shown)} + " " + what);
        };
        if (!is_variable_name(name))
            return fault("is not a valid variable name: use letters, digits and '_', not a digit first");
        if (value.find('\0') != std::string::npos) return fault("holds a zero byte");
        if (value.size() > longest_value) return fault("is longer than 65536 bytes");
        bytes += name.size() + value.size();
    }
    if (bytes > most_bytes) return invalid_request("env_vars is larger than 262144 bytes");
    return std::nullopt;
}

}  // namespace sandboxd::api
