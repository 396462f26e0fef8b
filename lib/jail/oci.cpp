#include "jail/oci.hpp"

#include "base/json_reader.hpp"
#include "init/arguments.hpp"
#include "jail/jail.hpp"
#include "jail/rlimits.hpp"
#include "jail/seccomp.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>

#include <algorithm>
#include <initializer_list>
#include <set>

namespace json = boost::json;

namespace sandboxd::jail {
namespace {

json::object mount_of(std::string_view target, std::string_view type, std::string_view source, json::array options)
{
    return {{"destination", target}, {"type", type}, {"source", source}, {"options", std::move(options)}};
}

json::array mounts_of(const spec& what, const oci_setup& setup)
{
    auto scratch = json::array{"nosuid", "nodev", "mode=1777"};
    if (what.limits.tmp_bytes != 0) scratch.push_back(json::string{"size=" + std::to_string(what.limits.tmp_bytes)});
    // runc makes the parent folders of a mount for root; with this it uses the existing folders and their owner.
    auto own_tmp = scratch;
    if (setup.runtime == oci_runtime::runc && !folders_in_tmp(what).empty()) own_tmp.push_back("tmpcopyup");
    json::array made;
    made.push_back(mount_of("/proc", "proc", "proc", json::array{"ro", "nosuid", "noexec", "nodev"}));
    // The job's uid may own /dev; writable, it would be a second /tmp. Not in gVisor, where devices cannot be written
    // to in a read-only directory. Not by `readonlyPaths`: crun binds those once more, and mounts below them lose
    // their flags.
    auto devices = json::array{"nosuid", "noexec", "mode=755", "size=65536"};
    if (setup.runtime != oci_runtime::runsc) devices.push_back("ro");
    made.push_back(mount_of("/dev", "tmpfs", "tmpfs", std::move(devices)));
    made.push_back(mount_of("/dev/shm", "tmpfs", "shm", std::move(scratch)));
    made.push_back(mount_of("/tmp", "tmpfs", "tmpfs", std::move(own_tmp)));
    if (!setup.copied_init)
        made.push_back(mount_of(init_inside, "bind", setup.init, json::array{"bind", "ro", "nosuid", "nodev"}));
    for (const mount& one : what.mounts)
        made.push_back(mount_of(one.target, "bind", one.source,
                                json::array{"rbind", one.writable ? "rw" : "ro", "rprivate", "nosuid", "nodev"}));
    return made;
}

json::object resources_of(const job_limits& wanted)
{
    constexpr int period_us = 100'000;
    json::object made;
    if (wanted.memory_bytes != 0) made["memory"] = json::object{{"limit", wanted.memory_bytes}};
    if (wanted.processes != 0) made["pids"] = json::object{{"limit", wanted.processes + 1}};
    if (wanted.cpu_percent != 0)
        made["cpu"] = json::object{{"quota", wanted.cpu_percent * (period_us / 100)}, {"period", period_us}};
    return made;
}

json::array id_map(std::uint32_t inner, std::uint32_t outer, const std::optional<std::uint32_t>& root)
{
    json::array made;
    if (root) made.push_back(json::object{{"containerID", 0}, {"hostID", *root}, {"size", 1}});
    made.push_back(json::object{{"containerID", inner}, {"hostID", outer}, {"size", 1}});
    return made;
}

}  // namespace

oci_runtime runtime_of(std::string_view version)
{
    if (version.starts_with("crun")) return oci_runtime::crun;
    if (version.starts_with("runsc")) return oci_runtime::runsc;
    return oci_runtime::runc;
}

std::string_view name(oci_runtime which) noexcept
{
    switch (which) {
        case oci_runtime::crun: return "crun";
        case oci_runtime::runc: return "runc";
        case oci_runtime::runsc: return "runsc";
    }
    return "unknown";
}

std::optional<std::string> oci_failure(oci_runtime which, std::string_view log, int code)
{
    // Programs may end like that, too: so the runtime must also have said something about it.
    if (code != (which == oci_runtime::runsc ? 128 : 1)) return std::nullopt;
    std::string said;
    while (!log.empty()) {
        const auto line = log.substr(0, log.find('\n'));
        log.remove_prefix(std::min(line.size() + 1, log.size()));
        std::string level;
        std::string message;
        json_members entry;
        entry.text("level", level).required();
        entry.text("msg", message).required();
        if (read_json(line, entry)) continue;
        const bool is_failure = level == "error" || level == "fatal" || level == "panic";
        if (is_failure) said.append(said.empty() ? "" : "; ").append(message);
    }
    if (said.empty()) return std::nullopt;
    return std::string{name(which)} + ": " + said;
}

std::vector<std::string> folders_in_tmp(const spec& what)
{
    constexpr std::string_view tmp = "/tmp/";
    std::set<std::string> found;
    for (const mount& one : what.mounts) {
        if (!one.target.starts_with(tmp)) continue;
        for (auto slash = one.target.find('/', tmp.size()); slash != std::string::npos;
             slash = one.target.find('/', slash + 1))
            found.insert(one.target.substr(0, slash));
    }
    return {found.begin(), found.end()};
}

std::vector<std::string> init_arguments(const spec& what, bool count_processes, std::vector<std::string> more,
                                        bool own_kernel)
{
    std::vector<std::string> made{std::string{init_inside}, init::argument::jail};
    if (what.as_pid_1) made.emplace_back(init::argument::exec);
    if (what.merge_stderr) made.emplace_back(init::argument::merge);
    made.insert(made.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
    auto rlimits = common_rlimits(what.limits);
    // gVisor's kernel does not have them.
    if (own_kernel)
        std::erase_if(rlimits, [](const process::rlimit_setting& one) {
            return one.resource == RLIMIT_MSGQUEUE || one.resource == RLIMIT_SIGPENDING;
        });
    // Includes the init.
    if (count_processes && what.limits.processes != 0)
        rlimits.push_back({RLIMIT_NPROC, what.limits.processes + (what.as_pid_1 ? 0U : 1U)});
    for (const auto& one : rlimits) {
        made.emplace_back(init::argument::rlimit);
        made.push_back(std::to_string(one.resource) + ":" + std::to_string(one.value));
    }
    // Variables that some engine adds to the environment.
    for (const std::string_view variable : {"HOME", "HOSTNAME", "PATH", "TERM"}) {
        if (std::ranges::any_of(what.env, [&](const auto& one) { return one.first == variable; })) continue;
        made.emplace_back(init::argument::unset);
        made.emplace_back(variable);
    }
    made.emplace_back("--");
    made.insert(made.end(), what.argv.begin(), what.argv.end());
    return made;
}

std::string oci_config(const spec& what, const oci_setup& setup, const std::string& cgroup)
{
    json::array arguments;
    std::vector<std::string> keep;
    for (const auto& [ours, number] : what.pass_fds) {
        keep.emplace_back(init::argument::keep);
        keep.push_back(std::to_string(number));
    }
    if (!setup.word.empty()) keep.insert(keep.end(), {init::argument::word, setup.word});
    const auto& filter = setup.filters.of(policy_of(what));
    if (!filter.empty()) keep.insert(keep.end(), {init::argument::filter, filter});
    // Under crun the container's own user namespace counts processes, under runc its cgroup; gVisor does not count.
    const bool count_processes = setup.runtime == oci_runtime::crun;
    for (const auto& one : init_arguments(what, count_processes, std::move(keep), setup.runtime == oci_runtime::runsc))
        arguments.push_back(json::string{one});
    json::array env;
    for (const auto& [key, value] : what.env) env.push_back(json::string{key + "=" + value});
    json::object capabilities;
    for (const char* set : {"bounding", "effective", "inheritable", "permitted", "ambient"})
        capabilities[set] = json::array{};

    json::array namespaces;
    for (const char* type : {"user", "pid", "mount", "ipc", "uts", "cgroup"})
        namespaces.push_back(json::object{{"type", type}});
    if (what.network != network_access::host) namespaces.push_back(json::object{{"type", "network"}});

    std::optional<std::uint32_t> root_uid;
    std::optional<std::uint32_t> root_gid;
    if (setup.root_outside) {
        root_uid = setup.root_outside->uid;
        root_gid = setup.root_outside->gid;
    }
    json::object on_linux{
        {"namespaces", std::move(namespaces)},
        {"uidMappings", id_map(inside.uid, setup.outside.uid, root_uid)},
        {"gidMappings", id_map(inside.gid, setup.outside.gid, root_gid)},
        {"seccomp", seccomp_object(policy_of(what), setup.runtime != oci_runtime::runsc)},
        // A shared mapping of /dev/zero is memory that RLIMIT_DATA does not count.
        {"maskedPaths",
         json::array{"/dev/zero", "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                     "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/firmware"}},
        {"readonlyPaths", json::array{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}}};
    // The memory of all TCP sockets of the machine is one budget. runc's containers have a cgroup that counts theirs,
    // and it writes no setting below a /proc that is read only; gVisor's are its own kernel's.
    if (what.network == network_access::own && setup.runtime == oci_runtime::crun)
        on_linux["sysctl"] =
            json::object{{"net.ipv4.tcp_rmem", process::tcp_buffers}, {"net.ipv4.tcp_wmem", process::tcp_buffers}};
    if (!cgroup.empty()) {
        on_linux["cgroupsPath"] = cgroup;
        on_linux["resources"] = resources_of(what.limits);
    }
    const json::object config{{"ociVersion", "1.0.2"},
                              {"process", json::object{{"terminal", false},
                                                       {"user", json::object{{"uid", inside.uid}, {"gid", inside.gid}}},
                                                       {"args", std::move(arguments)},
                                                       {"env", std::move(env)},
                                                       {"cwd", what.cwd},
                                                       {"capabilities", std::move(capabilities)},
                                                       // The runtime sets it; it cannot be lowered from inside.
                                                       {"oomScoreAdj", 1000},
                                                       {"noNewPrivileges", true}}},
                              {"root", json::object{{"path", "rootfs"}, {"readonly", true}}},
                              {"hostname", what.hostname},
                              {"mounts", mounts_of(what, setup)},
                              {"linux", std::move(on_linux)}};
    return json::serialize(config);
}

namespace {

// The runtime with its global options.
process::command runtime_command(const oci_setup& setup, const std::string& bundle)
{
    process::command made;
    made.argv = {setup.executable, "--root", bundle + "/state"};
    if (setup.runtime == oci_runtime::crun) made.argv.emplace_back("--cgroup-manager=disabled");
    // The runtime needs to find its own programs. But if newuidmap is installed, crun would try it first; it does not
    // know a job's uid and would print an error into the program's output.
    const bool alone = setup.runtime == oci_runtime::crun;
    made.env = {{"PATH", alone ? "/nonexistent" : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}};
    if (setup.drop) made.run_as = setup.outside;
    return made;
}

}  // namespace

process::command oci_command(const spec& what, const oci_setup& setup, const std::string& bundle,
                             const std::string& container)
{
    auto made = runtime_command(setup, bundle);
    const auto add = [&made](std::initializer_list<std::string> words) {
        made.argv.insert(made.argv.end(), words.begin(), words.end());
    };
    if (setup.runtime == oci_runtime::runsc) {
        add({"--ignore-cgroups", "--oci-seccomp", "--overlay2=none",
             what.network == network_access::host ? "--network=host" : "--network=none"});
        if (!setup.platform.empty()) add({"--platform=" + setup.platform});
    }
    add({"run", "--bundle", bundle});
    if (setup.runtime != oci_runtime::runsc) add({"--no-new-keyring"});
    int highest = 2;
    for (const auto& [ours, number] : what.pass_fds) {
        highest = std::max(highest, number);
        if (setup.runtime == oci_runtime::runsc)
            add({"--pass-fd", std::to_string(number) + ":" + std::to_string(number)});
    }
    if (highest > 2 && setup.runtime != oci_runtime::runsc) add({"--preserve-fds", std::to_string(highest - 2)});
    add({container});
    made.rlimits = {{RLIMIT_CORE, 1}};
    // The runtime maps ids, and runsc restarts itself with other ids.
    made.no_new_privs = setup.drop;
    made.merge_stderr = what.merge_stderr;
    return made;
}

process::command oci_delete_command(const oci_setup& setup, const std::string& bundle, const std::string& container)
{
    auto made = runtime_command(setup, bundle);
    made.argv.insert(made.argv.end(), {"delete", "--force", container});
    return made;
}

}  // namespace sandboxd::jail
