// What requests that bring a program have in common, for deployments and sandboxes.
#pragma once

#include "base/json_fields.hpp"
#include "runtimes/program_files.hpp"

#include <boost/json/value.hpp>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::api {

// Errors: invalid_request, for what is no JSON object.
result<boost::json::value> parse_object(std::string_view body);

// `files: [{path, content}]`. The paths are checked by whoever takes the files.
void read_files(json_fields& fields, std::vector<runtimes::program_file>& into);

// `env_vars: {NAME: "value"}`: at most 256, of 64 KiB each and 256 KiB together.
void read_env(json_fields& fields, std::vector<std::pair<std::string, std::string>>& into);

}  // namespace sandboxd::api
