// Which packages a deployment asks for: the `dependencies` of its package.json, let through only when each comes
// from the registry by a plain name and a version, a range, a tag, or as an `npm:` alias of such. What would be
// fetched from elsewhere (git, http, a file, a link) is refused by name.
#pragma once

#include "base/errc.hpp"

#include <map>
#include <string>
#include <string_view>

namespace sandboxd::faas {

using text_map = std::map<std::string, std::string, std::less<>>;

struct package_manifest {
    text_map scripts;
    text_map dependencies;  // `dependencies` and `optionalDependencies`; name → what is asked for
};

// Reads a package.json. Errors: unprocessable, with the member or the package at fault: no JSON object, a value
// of another type, a name that is no package's (https://docs.npmjs.com/cli/configuring-npm/package-json#name), a
// source other than the registry, more than 512 packages or 1024 scripts.
result<package_manifest> read_package_manifest(std::string_view text);

// Whether the registry has a say over it: a semver range, an exact version, a dist-tag, or `npm:<name>@<range>`.
bool is_registry_spec(std::string_view spec);
bool is_package_name(std::string_view name);

// The package.json that an install gets: nothing but the dependencies.
std::string install_manifest(const text_map& dependencies);

// What identifies the result of an install: SHA-256, in hexadecimal, of the dependencies and `client`, which
// names the program that installs, its version and its registry.
std::string install_key(const text_map& dependencies, std::string_view client);

}  // namespace sandboxd::faas
