// What an OCI runtime is told: its command line, and the config.json of one container.
// https://github.com/opencontainers/runtime-spec
//
// The program's PID 1 is sandboxd-init (app/init/jail.hpp), which ends with the program's status and takes
// everything with it when the runtime or the server dies.
#pragma once

#include "base/errc.hpp"
#include "jail/spec.hpp"
#include "process/command.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::jail {

// What differs between them:
//     crun   works without root, and without cgroups
//     runc   wants root in the user namespace mapped, and a cgroup of its own
//     runsc  (gVisor) is a kernel in user space: system calls of the program do not reach the host's
enum class oci_runtime { crun, runc, runsc };

// By the first line that `--version` prints; another runtime is taken for one like runc.
oci_runtime runtime_of(std::string_view version);
std::string_view name(oci_runtime which) noexcept;

struct oci_setup {
    oci_runtime runtime{oci_runtime::crun};
    std::string executable;
    std::string init;  // sandboxd-init
    // seccomp_digits() without and with network. Empty: only what the runtime makes of seccomp_object().
    std::string filter_offline;
    std::string filter_online;
    bool copied_init{false};  // it is in the root directory already
    // Outside: the uid and gid of the program.
    process::identity outside;
    // Outside: root's in the user namespace, where the runtime needs one; the program never has it.
    std::optional<process::identity> root_outside;
    // The runtime itself runs as `outside`, too, instead of as root.
    bool drop{false};
    std::string platform;        // runsc: how it intercepts system calls; empty: its default
    bool pass_by_option{false};  // runsc: has --pass-fd
    // An empty directory is put over this one for the runtime: crun does not start where it finds both versions
    // of cgroups, of which it is to use neither (https://github.com/containers/crun, cgroup-utils.c). Empty: no.
    std::string covered;
};

// Where the init is inside.
inline constexpr std::string_view init_inside = "/.init";

// The text of config.json. `cgroup`: the path of the container's own cgroup, for a runtime that wants one. Pure.
std::string oci_config(const spec& what, const oci_setup& setup, const std::string& cgroup);

// `bundle`: the path of the bundle as the runtime sees it. Pure; the caller sees to it that every descriptor
// below the highest in `what.pass_fds` is open.
process::command oci_command(const spec& what, const oci_setup& setup, const std::string& bundle,
                             const std::string& container);

// The command that removes a container, whatever it does. Pure.
process::command oci_delete_command(const oci_setup& setup, const std::string& bundle, const std::string& container);

// The folders in /tmp that the mounts lie in, each before what is below it. They are to be the program's; some engines
// make them for whoever builds the container. Pure.
std::vector<std::string> folders_in_tmp(const spec& what);

// The arguments of the init that starts the spec's program under its limits. `count_processes`: RLIMIT_NPROC counts
// the container's alone. `more`: options for this engine. `own_kernel`: the program runs on gVisor's. Pure.
std::vector<std::string> init_arguments(const spec& what, bool count_processes, std::vector<std::string> more = {},
                                        bool own_kernel = false);

}  // namespace sandboxd::jail
