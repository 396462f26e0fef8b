// Turns the description of a deployment into the command of its jail. Pure: reads no file and starts nothing, so a
// table of tests covers every case.
#pragma once

#include "base/errc.hpp"
#include "faas/dependencies.hpp"
#include "faas/manifest.hpp"
#include "faas/program_address.hpp"
#include "jail/environment.hpp"
#include "jail/spec.hpp"
#include "programs/runtime.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace sandboxd::faas {

// How the program's runtime boots in advance and waits (init/hold.hpp).
struct waiting_plan {
    std::vector<std::string> argv;
    std::string directory;  // where it boots
    jail::mount script;
    std::uint64_t bytes{0};  // about the memory of one that waits
};

// The command and what it needs.
struct plan {
    std::vector<std::string> argv;
    jail::environment env;          // of the entry point: `NAME=value` before the command
    jail::environment runtime_env;  // of the runtime; the client's variables override it
    std::vector<jail::mount> mounts;
    text_map dependencies;         // packages to install, by name
    std::string ignored_packages;  // the file that lists packages that are not installed; empty: there is none
    std::uint64_t reserved_bytes{0};
    // Empty: it must not boot before its program is wanted, since something that a client chose acts on it, or cannot.
    std::optional<waiting_plan> waits{};
};

// `paths`: all files of the deployment. `package_json`: the text of its package.json, empty when there is none.
// `own`: the runtime that the deployment names. `all`: every runtime that works here; `own` may be among them.
// Errors: unprocessable, for an unusable package.json, entry point or runtime; the message has the cure.
result<plan> make_plan(const manifest& what, const std::vector<std::string>& paths, const std::string& package_json,
                       const programs::runtime& own, const std::vector<const programs::runtime*>& all);

// The places of a deployment's parts on this host.
struct plan_places {
    std::string init;                // sandboxd-init, absolute
    std::filesystem::path files;     // the deployment's
    std::filesystem::path packages;  // its node_modules; empty: it has none
    int control{-1};                 // the program's end of the control socket
    int word{-1};                    // the pipe on whose word the program begins (`how.waits`); -1: it begins at once
};

// The jail's spec: sandboxd-init is the first process and starts the program. `limits` are those of every deployment;
// the memory limit is the manifest's.
jail::spec make_spec(const manifest& what, const plan& how, const plan_places& where, const jail::job_limits& limits);

}  // namespace sandboxd::faas
