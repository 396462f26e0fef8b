#include "jail/bubblewrap.hpp"
#include "jail/jail.hpp"
#include "jail/launcher.hpp"
#include "jail/none.hpp"
#include "jail/nsjail.hpp"
#include "jail/probe.hpp"
#include "jail/seccomp.hpp"

#include <unistd.h>

#include <cstdlib>

namespace asio = boost::asio;

namespace sandboxd::jail {
namespace {

// The executable's absolute path; empty when there is none.
std::string find_executable(const std::string& wanted, std::string_view default_name)
{
    const std::string name = wanted.empty() ? std::string{default_name} : wanted;
    if (name.find('/') != std::string::npos)
        return ::access(name.c_str(), X_OK) == 0 ? name : std::string{};
    const char* variable = std::getenv("PATH");
    std::string_view path = variable == nullptr ? "/usr/bin:/bin" : variable;
    while (!path.empty()) {
        const auto end = path.find(':');
        const auto directory = path.substr(0, end);
        path = end == std::string_view::npos ? std::string_view{} : path.substr(end + 1);
        if (!directory.starts_with('/')) continue;
        std::string candidate = std::string{directory} + "/" + name;
        if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    }
    return {};
}

std::vector<std::string> common_walls()
{
    return {"user namespace",  "pid namespace",     "mount namespace",   "ipc namespace",
            "uts namespace",   "cgroup namespace",  "network namespace", "unprivileged uid inside",
            "no capabilities", "no new privileges", "seccomp",           "rlimits"};
}

// One way to use a jail on this host; the earlier in the list, the better.
struct candidate {
    launch_plan plan;
    std::string
        compromise;  // what is not as it should be, when this one must do; empty for the best
};

result<std::vector<candidate>> bubblewrap_candidates(const settings& wanted,
                                                     const std::string& executable)
{
    struct way {
        bool drop;
        bool count_processes;
        const char* compromise;
    };
    static constexpr way as_root[] = {
        {true, true, ""},
        {true, false,
         "the number of processes of a job is not limited, since user namespaces cannot be nested here"},
        {false, false,
         "jobs keep the uid root outside of their jail and the number of their processes is not limited, since an "
         "unprivileged uid may not make user namespaces here"},
    };
    static constexpr way as_user[] = {
        {false, true, ""},
        {false, false,
         "the number of processes of a job is not limited, since user namespaces cannot be nested here"},
    };
    const bool root = ::geteuid() == 0;
    std::vector<candidate> candidates;
    const auto add = [&](const way& one) -> result<void> {
        bubblewrap_setup setup;
        setup.executable = executable;
        if (one.drop) setup.run_as = process::identity{wanted.job_uid, wanted.job_uid};
        setup.own_user_namespace = one.count_processes;
        candidate made;
        made.compromise = one.compromise;
        launch_plan& plan = made.plan;
        plan.which = kind::bubblewrap;
        plan.executable = executable;
        plan.mounted_by = setup.run_as;
        plan.owner = setup.run_as;
        plan.walls = common_walls();
        plan.walls.emplace_back("no nested user namespaces");
        if (one.drop || !root) plan.walls.emplace_back("unprivileged uid outside");
        if (one.count_processes) plan.walls.emplace_back("process limit");
        auto offline = seccomp_program({.network = false});
        if (!offline) return offline.error();
        auto online = seccomp_program({.network = true});
        if (!online) return online.error();
        plan.seccomp = std::move(*offline);
        plan.seccomp_with_network = std::move(*online);
        plan.build = [setup](const spec& what) -> result<process::command> {
            return bubblewrap_command(what, setup);
        };
        candidates.push_back(std::move(made));
        return {};
    };
    if (root) {
        for (const way& one : as_root)
            if (auto added = add(one); !added) return added.error();
    } else {
        for (const way& one : as_user)
            if (auto added = add(one); !added) return added.error();
    }
    return candidates;
}

result<std::vector<candidate>> nsjail_candidates(const settings& wanted,
                                                 const std::string& executable)
{
    const bool root = ::geteuid() == 0;
    std::vector<candidate> candidates;
    const auto add = [&](bool drop, const char* compromise) {
        nsjail_setup setup;
        setup.executable = executable;
        setup.outside = root ? process::identity{wanted.job_uid, wanted.job_uid}
                             : process::identity{::geteuid(), ::getegid()};
        setup.drop = drop;
        setup.seccomp = seccomp_text({.network = false});
        setup.seccomp_with_network = seccomp_text({.network = true});
        candidate made;
        made.compromise = compromise;
        launch_plan& plan = made.plan;
        plan.which = kind::nsjail;
        plan.executable = executable;
        // nsjail mounts in the user namespace, where even one that was started by root is the job's
        // uid.
        if (root) plan.mounted_by = plan.owner = setup.outside;
        plan.walls = common_walls();
        plan.walls.emplace_back("unprivileged uid outside");
        plan.walls.emplace_back("process limit");
        // SIGKILL would leave its children behind.
        plan.term_grace = std::chrono::milliseconds{500};
        plan.build = [setup](const spec& what) {
            return nsjail_command(what, setup);
        };
        candidates.push_back(std::move(made));
    };
    if (root) {
        add(true, "");
        add(false,
            "nsjail itself keeps the uid root, since an unprivileged uid may not make user namespaces here");
    } else {
        add(false, "");
    }
    return candidates;
}

std::unique_ptr<jail> no_jail(const settings& wanted)
{
    launch_plan plan;
    plan.which = kind::none;
    plan.build = [](const spec& what) -> result<process::command> {
        return none_command(what);
    };
    plan.walls = {"no new privileges", "rlimits"};
    if (wanted.cgroups) {
        plan.cgroups = wanted.cgroups;
        plan.walls.emplace_back("memory and process limits of the whole job (cgroup)");
    }
    plan.warnings = {
        "jail \"none\": compilers run with the rights of the server and see its files; use it only on a "
        "host that is itself disposable"};
    return make_jail(std::move(plan));
}

}  // namespace

asio::awaitable<result<std::unique_ptr<jail>>> choose(settings wanted)
{
    const bool automatic = wanted.kind == "auto";
    if (wanted.kind == "none") co_return no_jail(wanted);
    if (!automatic && wanted.kind != "bubblewrap" && wanted.kind != "nsjail") {
        error unknown{errc::unavailable, "there is no jail \"" + wanted.kind +
                                             "\"; say auto, bubblewrap, nsjail or none"};
        co_return unknown;
    }

    std::string reasons;
    for (const kind which : {kind::bubblewrap, kind::nsjail}) {
        if (!automatic && wanted.kind != name(which)) continue;
        const bool bubblewrap = which == kind::bubblewrap;
        const std::string& path = bubblewrap ? wanted.bubblewrap_path : wanted.nsjail_path;
        const std::string executable = find_executable(path, bubblewrap ? "bwrap" : "nsjail");
        if (!reasons.empty()) reasons += "; ";
        reasons += std::string{name(which)} + ": ";
        if (executable.empty()) {
            reasons += path.empty() ? "not installed" : path + " is not an executable file";
            continue;
        }
        auto candidates = bubblewrap ? bubblewrap_candidates(wanted, executable)
                                     : nsjail_candidates(wanted, executable);
        if (!candidates) co_return candidates.error();
        std::string why_not_better;
        for (candidate& one : *candidates) {
            if (!one.compromise.empty())
                one.plan.warnings.push_back(one.compromise + " (" + why_not_better + ")");
            if (wanted.cgroups) {
                one.plan.cgroups = wanted.cgroups;
                one.plan.walls.emplace_back("memory and process limits of the whole job (cgroup)");
            }
            std::unique_ptr<jail> made = make_jail(std::move(one.plan));
            auto broken = co_await probe(*made, wanted.jobs_directory);
            if (!broken) co_return made;
            if (why_not_better.empty()) why_not_better = *broken;
        }
        reasons += why_not_better;
    }
    error none_works{
        errc::unavailable,
        "no jail works here (" + reasons +
            "). Install bubblewrap (apt-get install bubblewrap) and allow unprivileged user "
            "namespaces, or say \"jail\": \"none\" to run compilers without a wall"};
    co_return none_works;
}

}  // namespace sandboxd::jail
