// The common part of requests with a program, for deployments and sandboxes.
#pragma once

#include "base/errc.hpp"
#include "base/json_reader.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::api {

using variables = std::vector<std::pair<std::string, std::string>>;

// `env_vars: {NAME: "value"}`: at most 256.
void add_variables(json_members& root, variables& into);
// Checks the names and the sizes: 64 KiB each and 256 KiB together. Errors: invalid_request.
std::optional<error> check_variables(const variables& given);

}  // namespace sandboxd::api
