// From what a deployment is to what is run in its jail. Pure: no file is looked at and nothing is started, so that a
// table of tests can have every case.
#pragma once

#include "base/errc.hpp"
#include "faas/dependencies.hpp"
#include "faas/manifest.hpp"
#include "faas/program_address.hpp"
#include "jail/spec.hpp"
#include "programs/environment.hpp"
#include "programs/runtime.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace sandboxd::faas {

// What is run, and what it needs.
struct plan {
    std::vector<std::string> argv;
    programs::environment env;          // of the entry point: `NAME=value` before the command
    programs::environment runtime_env;  // of the runtime; the client's variables stand above it
    std::vector<jail::mount> mounts;
    text_map dependencies;         // packages to install, by name
    std::string ignored_packages;  // the file that lists packages which are not installed; empty: there is none
    std::uint64_t reserved_bytes{0};
};

// `paths`: all files of the deployment. `package_json`: the text of its package.json, empty when there is none. `own`:
// the runtime that the deployment names. `all`: every runtime that works here; `own` may be among them.
// Errors: unprocessable, for a package.json, an entry point or a runtime that cannot be used; the message says how to
// mend it.
result<plan> make_plan(const manifest& what, const std::vector<std::string>& paths, const std::string& package_json,
                       const programs::runtime& own, const std::vector<const programs::runtime*>& all);

// Where on this host the parts of a deployment are.
struct plan_places {
    std::string init;                // sandboxd-init, absolute
    std::filesystem::path files;     // the deployment's
    std::filesystem::path packages;  // its node_modules; empty: it has none
    int control{-1};                 // the program's end of the control socket
};

// The jail: sandboxd-init as its first process, which starts the program. `limits` are those of every deployment; the
// memory is the manifest's.
jail::spec make_spec(const manifest& what, const plan& how, const plan_places& where, const jail::limits& limits);

}  // namespace sandboxd::faas
