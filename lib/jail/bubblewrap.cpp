#include "jail/bubblewrap.hpp"

#include "jail/jail.hpp"
#include "jail/rlimits.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <initializer_list>

namespace sandboxd::jail {
namespace {

// bubblewrap is two processes of the job's user namespace itself: the monitor outside and PID 1
// inside.
constexpr rlim_t own_processes = 2;

}  // namespace

process::command bubblewrap_command(const spec& what, const bubblewrap_setup& setup)
{
    process::command made;
    const auto add = [&made](std::initializer_list<std::string> words) {
        made.argv.insert(made.argv.end(), words.begin(), words.end());
    };
    add({setup.executable});
    add({"--unshare-all", "--unshare-user", "--disable-userns"});
    if (what.network == network_access::host) add({"--share-net"});
    if (what.as_pid_1) add({"--as-pid-1"});
    add({"--die-with-parent", "--new-session", "--cap-drop", "ALL"});
    add({"--uid", std::to_string(inside.uid), "--gid", std::to_string(inside.gid)});
    add({"--hostname", what.hostname});
    add({"--clearenv"});
    for (const auto& [key, value] : what.env)
        add({"--setenv", key, value});

    const auto tmpfs = [&](const char* target) {
        add({"--perms", "1777"});
        if (what.limits.tmp_bytes != 0) add({"--size", std::to_string(what.limits.tmp_bytes)});
        add({"--tmpfs", target});
    };
    // The job's uid owns the root and /dev, so both are made read-only; otherwise they were a /tmp
    // without a size.
    add({"--proc", "/proc"});
    add({"--dev", "/dev"});
    tmpfs("/dev/shm");
    tmpfs("/tmp");
    for (const mount& one : what.mounts) {
        std::string option = one.writable ? "--bind" : "--ro-bind";
        if (one.optional) option += "-try";
        add({option, one.source, one.target});
    }
    add({"--remount-ro", "/dev", "--remount-ro", "/"});
    add({"--chdir", what.cwd});
    add({"--seccomp", std::to_string(seccomp_fd_inside)});
    add({"--"});
    made.argv.insert(made.argv.end(), what.argv.begin(), what.argv.end());

    made.rlimits = common_rlimits(what.limits);
    made.run_as = setup.run_as;
    made.own_user_namespace = setup.own_user_namespace;
    if (setup.own_user_namespace && what.limits.processes != 0)
        made.rlimits.push_back({RLIMIT_NPROC, what.limits.processes + own_processes});
    made.merge_stderr = what.merge_stderr;
    return made;
}

result<unique_fd> hide_options(process::command& command)
{
    const auto first = command.argv.begin() + 1;
    const auto last = std::find(first, command.argv.end(), "--");
    std::string options;
    for (auto option = first; option != last; ++option) {
        options += *option;
        options += '\0';
    }
    unique_fd file{::memfd_create("options", MFD_CLOEXEC)};
    if (!file || ::pwrite(file.get(), options.data(), options.size(), 0) !=
                     static_cast<ssize_t>(options.size()))
        return error{errc::internal,
                     std::string{"cannot write the jail's options: "} + std::strerror(errno)};
    const auto place = command.argv.erase(first, last);
    command.argv.insert(place, {"--args", std::to_string(options_fd_inside)});
    command.pass_fds.emplace_back(file.get(), options_fd_inside);
    return file;
}

}  // namespace sandboxd::jail
