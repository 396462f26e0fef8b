#include "jail/candidates.hpp"
#include "jail/jail.hpp"
#include "jail/launcher.hpp"
#include "jail/none.hpp"
#include "jail/probe.hpp"

#include <algorithm>

namespace asio = boost::asio;

namespace sandboxd::jail {
namespace {

// Every wall that there is, the first that "auto" tries first. Where bubblewrap and nsjail do not work, neither
// does an unprivileged OCI runtime; and whoever may speak to Docker's daemon is root, which is for an operator to
// decide.
struct row {
    kind which;
    bool by_auto;
    asio::awaitable<result<candidates>> (*find)(const settings& wanted);
};

constexpr row rows[] = {
    {kind::bubblewrap, true, bubblewrap_candidates},
    {kind::nsjail, true, nsjail_candidates},
    {kind::oci, false, oci_candidates},
    {kind::docker, false, docker_candidates},
};

std::unique_ptr<jail> no_jail(const settings& wanted)
{
    launch_plan plan;
    plan.which = kind::none;
    plan.build = [](const spec& what) -> result<launch> {
        return launch{.command = none_command(what), .open = {}, .clean_up = {}};
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
    if (!automatic && std::ranges::none_of(rows, [&](const row& one) { return name(one.which) == wanted.kind; })) {
        std::string known = "auto";
        for (const row& one : rows) known += ", " + std::string{name(one.which)};
        error unknown{errc::unavailable, "there is no jail \"" + wanted.kind + "\"; say " + known + " or none"};
        co_return unknown;
    }

    std::string reasons;
    for (const row& one : rows) {
        if (automatic ? !one.by_auto : wanted.kind != name(one.which)) continue;
        if (!reasons.empty()) reasons += "; ";
        reasons += std::string{name(one.which)} + ": ";
        auto found = co_await one.find(wanted);
        if (!found) {
            reasons += found.error().message;
            continue;
        }
        std::string why_not_better;
        for (candidate& way : *found) {
            std::vector<std::string> more;
            if (!way.compromise.empty() && !why_not_better.empty())
                more.push_back(way.compromise + " (" + why_not_better + ")");
            else if (!way.compromise.empty())
                more.push_back(way.compromise);
            std::unique_ptr<jail> made = way.make(std::move(more));
            auto broken = co_await probe(*made, wanted.jobs_directory, way.expected);
            if (!broken) co_return made;
            if (why_not_better.empty()) why_not_better = *broken;
        }
        reasons += why_not_better;
    }
    error none_works{errc::unavailable,
                     "no jail works here (" + reasons +
                         "). Install bubblewrap (apt-get install bubblewrap) and allow unprivileged user "
                         "namespaces, or say \"jail\": \"none\" to run compilers without a wall"};
    co_return none_works;
}

}  // namespace sandboxd::jail
