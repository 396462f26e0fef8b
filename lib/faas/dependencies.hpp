// The packages that a deployment needs: the `dependencies` of its package.json. Each must come from the registry, by
// a plain name and a version, a range, a tag, or an `npm:` alias. Packages from other sources (git, http, a file, a
// link) are refused by name.
#pragma once

#include "base/errc.hpp"

#include <map>
#include <string>
#include <string_view>

namespace sandboxd::faas {

using text_map = std::map<std::string, std::string, std::less<>>;

struct package_manifest {
    text_map scripts;
    text_map dependencies;  // `dependencies` and `optionalDependencies`; name → spec, without blanks around it
};

// Reads a package.json. Errors: unprocessable, naming the bad member or package: not a JSON object, a value of the
// wrong type, an invalid package name (https://docs.npmjs.com/cli/configuring-npm/package-json#name), a source other
// than the registry, more than 512 packages or 1024 scripts.
result<package_manifest> read_package_manifest(std::string_view text);

// Whether the registry resolves it: a semver range, an exact version, a dist-tag, or `npm:<name>@<range>`.
bool is_registry_spec(std::string_view spec);
bool is_package_name(std::string_view name);

// The package.json of an install: only the dependencies.
std::string install_manifest(const text_map& dependencies);

// Identifies the result of an install: the SHA-256, in hexadecimal, of the dependencies and `client`, which names the
// package manager, its version and its registry.
std::string install_key(const text_map& dependencies, std::string_view client);

}  // namespace sandboxd::faas
