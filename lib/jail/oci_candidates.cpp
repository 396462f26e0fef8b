// Finds the OCI runtimes, starts their containers and cleans up after them.
#include "base/digest.hpp"
#include "base/log.hpp"
#include "jail/aliases.hpp"
#include "jail/builder_log.hpp"
#include "jail/bundle.hpp"
#include "jail/candidates.hpp"
#include "jail/first_words.hpp"
#include "jail/oci.hpp"
#include "jail/seccomp.hpp"
#include "jail/system_files.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <iterator>

namespace asio = boost::asio;

namespace sandboxd::jail {
namespace {

constexpr const char* cgroups = "/sys/fs/cgroup";

// What all jobs of one candidate share.
struct workshop {
    oci_setup setup;
    std::string containers;
    std::string prefix;  // of the names of this server's containers
    std::uint64_t made{0};
    std::shared_ptr<uid_pool::lease> root;  // root in their user namespaces, if the runtime needs one
};

struct printed {
    bool ended_well;
    std::string text;
};

asio::awaitable<result<printed>> ask(process::command what)
{
    process::child_limits limits;
    limits.wall = std::chrono::seconds{10};
    limits.output_bytes = 1 << 16;
    what.merge_stderr = true;
    async::stop_source stop;
    auto ran = co_await process::run(std::move(what), {}, limits, stop);
    if (!ran) co_return ran.error();
    printed seen{!stop.requested() && ran->status == process::wait_status{process::exited{0}}, std::move(ran->out)};
    co_return seen;
}

// Hides the cgroups from the runtime and makes the bundle reachable for it. Returns the bundle's path.
result<std::string> prepare(spec& what, const oci_setup& setup, const std::string& bundle_path,
                            std::optional<process::alias_mounts>& aliases, std::string* init = nullptr)
{
    what.mounts.push_back({bundle_path, "/", true});
    what.mounts.push_back({setup.init, std::string{init_inside}});
    std::optional<process::identity> who;
    if (::geteuid() == 0) who = setup.outside;
    // gVisor's file server opens them as root inside.
    if (who && setup.runtime == oci_runtime::runsc && setup.root_outside) who = setup.root_outside;
    auto prepared = prepare_sources(what, who, setup.executable, setup.covered);
    if (!prepared) return prepared.error();
    aliases = std::move(*prepared);
    // Missing optional mounts were removed; these two are still the last.
    if (init) *init = what.mounts.back().source;
    what.mounts.pop_back();
    auto seen = what.mounts.back().source;
    what.mounts.pop_back();
    return seen;
}

asio::awaitable<void> forget(oci_setup setup, std::shared_ptr<bundle> of)
{
    if (!of->has_state()) co_return;
    spec nothing;
    std::optional<process::alias_mounts> aliases;
    const auto seen = prepare(nothing, setup, of->path(), aliases);
    if (!seen) co_return;
    auto command = oci_delete_command(setup, *seen, of->name());
    command.aliases = std::move(aliases);
    const auto ended = co_await ask(std::move(command));
    if (!ended) log::warning("cannot remove a container", {{"name", of->name()}, {"cause", ended.error().message}});
}

// Without a cgroup, a container whose processes are gone leaves only its bundle.
asio::awaitable<void> finish(oci_setup setup, std::shared_ptr<bundle> of)
{
    if (setup.runtime == oci_runtime::runc) co_await forget(std::move(setup), std::move(of));
}

// A file that the job's uid owns is copied into the root directory instead of mounted: only the mount's flags would
// protect its mode and its bytes, and others use the file, too.
result<void> take_copies(spec& what, oci_setup& setup, const bundle& into)
{
    for (const mount& one : what.mounts) {
        if (!one.own_copy || !is_owned_by(one.source, setup.outside.uid)) continue;
        if (auto copied = into.put_program(one.target, one.source); !copied) return copied;
    }
    std::erase_if(what.mounts,
                  [&](const mount& one) { return one.own_copy && is_owned_by(one.source, setup.outside.uid); });
    if (!is_owned_by(setup.init, setup.outside.uid)) return {};
    setup.copied_init = true;
    return into.put_program(init_inside, setup.init);
}

result<launch> build(spec what, workshop& shop, const std::optional<process::identity>& who)
{
    const auto name = shop.prefix + std::to_string(++shop.made);
    auto made = bundle::make(shop.containers, name, who);
    if (!made) return made.error();
    const auto kept = std::make_shared<bundle>(std::move(*made));
    if (shop.setup.runtime == oci_runtime::runc)
        if (auto folders = kept->make_folders(folders_in_tmp(what), who); !folders) return folders.error();

    oci_setup setup = shop.setup;
    setup.word = random_hex(16);
    if (who) setup.outside = *who;
    for (const auto& file : system_files(what, inside))
        if (auto put = kept->put(file.path, file.text); !put) return put.error();
    if (auto copied = take_copies(what, setup, *kept); !copied) return copied.error();
    std::optional<process::alias_mounts> aliases;
    if (::access(setup.init.c_str(), X_OK) != 0)
        return system_error(errc::unavailable, setup.init + " cannot be executed");
    const auto seen = prepare(what, setup, kept->path(), aliases, &setup.init);
    if (!seen) return seen.error();
    const bool own_cgroup = setup.runtime == oci_runtime::runc;
    if (auto written = kept->write_config(oci_config(what, setup, own_cgroup ? "/" + name : std::string{})); !written)
        return written.error();
    launch job{.command = oci_command(what, setup, *seen, name), .open = {}, .clean_up = {}};
    job.command.aliases = std::move(aliases);
    // By its own log it is told apart whether the runtime has failed, or the program.
    auto log = builder_log::make(what.pass_fds);
    if (!log) return log.error();
    job.command.argv.insert(job.command.argv.begin() + 1, {"--log", log->path(), "--log-format", "json"});
    job.command.pass_fds.push_back(log->passed());
    job.why_not_begun = [runtime = setup.runtime, log = std::move(*log)](int code) {
        return oci_failure(runtime, log.text(), code);
    };
    job.word = setup.word;
    job.speaks_as = {beginning_of_init(setup.word)};
    // They print their failures, too. What crun prints has no beginning of its own.
    if (setup.runtime == oci_runtime::runc) job.speaks_as.emplace_back("runc run failed: ");
    if (setup.runtime == oci_runtime::runsc) job.speaks_as.emplace_back("running container: ");

    // --preserve-fds keeps all descriptors up to a number; the init closes those that are not the program's.
    int highest = 2;
    for (const auto& [ours, number] : what.pass_fds) highest = std::max(highest, number);
    if (highest > 2 && setup.runtime != oci_runtime::runsc) {
        unique_fd null{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
        if (!null) return system_error(errc::internal, "cannot open /dev/null");
        for (int number = 3; number < highest; ++number) {
            if (std::ranges::none_of(what.pass_fds, [&](const auto& one) { return one.second == number; }))
                job.command.pass_fds.emplace_back(null.get(), number);
        }
        job.open.push_back(std::move(null));
    }
    // Also owns the bundle, which is removed with it.
    job.clean_up = [kept, setup] { return finish(setup, kept); };
    return job;
}

// Ends and removes the containers of an earlier server.
asio::awaitable<void> remove_leftovers(oci_setup setup, std::string containers)
{
    const auto names = bundles_in(containers);
    for (const auto& name : names) {
        kill_container(name);
        co_await forget(setup, std::make_shared<bundle>(bundle::adopt(containers, name)));
    }
    if (!names.empty()) log::warning("removed containers of an earlier server", {{"count", names.size()}});
}

// Whether crun would find a hierarchy that it refuses: version 1 together with version 2.
bool mixed_cgroups()
{
    struct statfs seen{};
    return ::statfs(cgroups, &seen) == 0 && seen.f_type == TMPFS_MAGIC;
}

std::string this_kernel()
{
    std::ifstream in{"/proc/version"};
    return {std::istreambuf_iterator<char>{in}, {}};
}

std::vector<std::string> walls_of(const oci_setup& setup)
{
    if (setup.runtime != oci_runtime::runsc) {
        auto walls = common_walls();
        walls.emplace_back("unprivileged uid outside");
        walls.emplace_back("process limit");
        if (setup.runtime == oci_runtime::runc)
            walls.emplace_back("memory and process limits of the whole job (runtime's cgroup)");
        return walls;
    }
    return {"kernel of its own in user space (gVisor)",
            "user namespace",
            "pid namespace",
            "mount namespace",
            "ipc namespace",
            "uts namespace",
            "network namespace",
            "unprivileged uid inside",
            "unprivileged uid outside",
            "no capabilities",
            "no new privileges",
            "seccomp",
            "file size and descriptor limits"};
}

// The runtime's own threads in a job's cgroup.
std::uint32_t processes_of(oci_runtime which)
{
    // gVisor's kernel has many threads, and each process inside is one or two outside.
    return which == oci_runtime::runsc ? 256 : 8;
}

}  // namespace

asio::awaitable<result<candidates>> oci_candidates(const jail_settings& wanted, std::shared_ptr<uid_pool> pool)
{
    const auto refuse = [](std::string why) { return error{errc::unavailable, std::move(why)}; };
    result<std::string> executable = find_executable(wanted.oci_runtime_path, "crun");
    for (const char* other : {"runc", "runsc"})
        if (!executable && wanted.oci_runtime_path.empty()) executable = find_executable({}, other);
    if (!executable && wanted.oci_runtime_path.empty())
        co_return refuse("neither crun nor runc nor runsc is installed");
    if (!executable) co_return executable.error();
    if (::access(wanted.init_path.c_str(), X_OK) != 0)
        co_return refuse("sandboxd-init is missing (" + wanted.init_path + "); set faas.initPath");
    if (wanted.containers_directory.empty()) co_return refuse("there is no directory for containers");
    if (auto there = make_containers_directory(wanted.containers_directory); !there) co_return there.error();

    process::command version;
    version.argv = {*executable, "--version"};
    auto told = co_await ask(std::move(version));
    if (!told) co_return told.error();
    if (!told->ended_well) co_return refuse(*executable + " --version failed: " + told->text.substr(0, 500));

    const bool root = ::geteuid() == 0;
    workshop shop;
    shop.containers = wanted.containers_directory;
    shop.prefix = std::string{container_prefix} + random_hex(8) + "-";
    oci_setup& setup = shop.setup;
    setup.runtime = runtime_of(told->text);
    auto filters = make_container_filters();
    if (!filters) co_return filters.error();
    setup.filters = std::move(*filters);
    setup.executable = *executable;
    setup.init = wanted.init_path;
    setup.outside = {::geteuid(), ::getegid()};
    if (setup.runtime != oci_runtime::crun && pool) {
        auto taken = pool->take();
        if (!taken) co_return taken.error();
        shop.root = std::make_shared<uid_pool::lease>(std::move(*taken));
        setup.root_outside = process::identity{shop.root->who().uid, pool->range().root_group()};
    }
    if (setup.runtime == oci_runtime::crun && root && mixed_cgroups()) setup.covered = cgroups;
    if (setup.runtime == oci_runtime::runsc) {
        process::command help;
        help.argv = {*executable, "help", "run"};
        auto flags = co_await ask(std::move(help));
        setup.pass_by_option = flags && flags->text.find("-pass-fd") != std::string::npos;
    }
    co_await remove_leftovers(setup, wanted.containers_directory);

    candidates made;
    const auto add = [&](const workshop& from, const char* compromise) {
        const auto shared = std::make_shared<workshop>(from);
        launch_plan plan;
        plan.which = kind::oci;
        plan.uids = pool;
        plan.own_cgroups = setup.runtime == oci_runtime::runc;
        plan.own_kernel = setup.runtime == oci_runtime::runsc;
        plan.walls = walls_of(from.setup);
        plan.own_processes = processes_of(setup.runtime);
        if (setup.runtime == oci_runtime::runsc && !wanted.cgroups)
            plan.warnings.emplace_back(
                "runsc does not limit the memory and the number of processes of a job; enable a cgroup for "
                "each job (perJobCgroup)");
        // runc and what is like it remove their cgroup on SIGTERM.
        if (plan.own_cgroups) plan.term_grace = std::chrono::milliseconds{500};
        if (setup.runtime == oci_runtime::runsc) {
            // Its sockets belong to its own kernel: sendmsg(2) with SCM_RIGHTS to the host fails with EINVAL.
            plan.keeps_descriptors =
                "deployments are off: their connections are passed as descriptors, which gVisor does not let out; "
                "choose another jail for them";
            plan.warnings.push_back(plan.keeps_descriptors);
        }
        if (setup.runtime == oci_runtime::runsc && !setup.pass_by_option) {
            plan.no_descriptors = *executable +
                                  " cannot pass descriptors to a program: it is too old for --pass-fd, which "
                                  "JavaScript workers need";
            plan.warnings.push_back(plan.no_descriptors);
        }
        plan.build = [shared](spec what, const std::optional<process::identity>& who) {
            return build(std::move(what), *shared, who);
        };
        expectation expected;
        if (setup.runtime == oci_runtime::runsc) expected.not_this_kernel = this_kernel();
        made.push_back(from_plan(std::move(plan), compromise, wanted, std::move(expected)));
    };
    switch (setup.runtime) {
        case oci_runtime::crun:
            shop.setup.drop = root;
            add(shop, "");
            if (root) {
                shop.setup.drop = false;
                add(shop, "an unprivileged uid cannot create user namespaces here, so crun itself runs as root");
            }
            break;
        case oci_runtime::runc: add(shop, ""); break;
        case oci_runtime::runsc:
            add(shop, "");
            shop.setup.platform = "ptrace";
            add(shop, "");
            break;
    }
    co_return made;
}

}  // namespace sandboxd::jail
