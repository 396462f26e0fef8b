// The command line of an OCI runtime, and the config.json of one container.
// https://github.com/opencontainers/runtime-spec
//
// The program's PID 1 is sandboxd-init (app/init/jail.hpp), which ends with the program's status and takes
// everything with it when the runtime or the server dies.
#pragma once

#include "base/errc.hpp"
#include "jail/seccomp.hpp"
#include "jail/spec.hpp"
#include "process/command.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::jail {

// Their differences:
//     crun   works without root, and without cgroups
//     runc   wants root in the user namespace mapped, and a cgroup of its own
//     runsc  (gVisor) is a kernel in user space: system calls of the program do not reach the host's
enum class oci_runtime { crun, runc, runsc };

// Recognised by the first line that `--version` prints; any other runtime is treated like runc.
oci_runtime runtime_of(std::string_view version);
std::string_view name(oci_runtime which) noexcept;

struct oci_setup {
    oci_runtime runtime{oci_runtime::crun};
    std::string executable;
    std::string init;  // sandboxd-init
    container_filters filters;
    bool copied_init{false};  // a copy is in the root directory
    // Outside: the uid and gid of the program.
    process::identity outside;
    // Outside: the ids of root in the user namespace, if the runtime needs one; the program never has them.
    std::optional<process::identity> root_outside;
    // The runtime itself also runs as `outside`, instead of as root.
    bool drop{false};
    std::string platform;        // runsc: how it intercepts system calls; empty: its default
    bool pass_by_option{false};  // runsc: has --pass-fd
    // Covered by an empty directory for the runtime: crun does not start if it finds both versions of cgroups,
    // although it needs neither (https://github.com/containers/crun, cgroup-utils.c). Empty: none.
    std::string covered;
    std::string word{};  // of this container's init (init::argument::word)
};

// Of a runtime's log in JSON, whose container has ended with that code: why the program was not begun. Nullopt: it was.
// Pure.
std::optional<std::string> oci_failure(oci_runtime which, std::string_view log, int code);

// The init's path inside.
inline constexpr std::string_view init_inside = "/.init";

// The text of config.json. `cgroup`: the path of the container's own cgroup, for a runtime that wants one. Pure.
std::string oci_config(const spec& what, const oci_setup& setup, const std::string& cgroup);

// `bundle`: the path of the bundle as the runtime sees it. Pure. The caller must keep every descriptor below the
// highest in `what.pass_fds` open.
process::command oci_command(const spec& what, const oci_setup& setup, const std::string& bundle,
                             const std::string& container);

// The command that removes a container, even a running one. Pure.
process::command oci_delete_command(const oci_setup& setup, const std::string& bundle, const std::string& container);

// The folders in /tmp that contain mounts, parents first. The program must own them; some engines would make them for
// the user who builds the container. Pure.
std::vector<std::string> folders_in_tmp(const spec& what);

// The arguments of the init that starts the spec's program under its limits. `count_processes`: RLIMIT_NPROC counts
// only the container's processes. `more`: options for this engine. `own_kernel`: the program runs on gVisor's kernel.
// Pure.
std::vector<std::string> init_arguments(const spec& what, bool count_processes, std::vector<std::string> more = {},
                                        bool own_kernel = false);

}  // namespace sandboxd::jail
