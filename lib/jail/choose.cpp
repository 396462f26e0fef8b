#include "base/log.hpp"
#include "jail/candidates.hpp"
#include "jail/jail.hpp"
#include "jail/launcher.hpp"
#include "jail/none.hpp"
#include "jail/probe.hpp"

#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string>

namespace asio = boost::asio;

namespace sandboxd::jail {
namespace {

// All jails, in the order in which "auto" tries them: the same wall each, the cheapest first. bubblewrap works where
// only its program may create user namespaces (AppArmor). If none of the three works, an unprivileged OCI runtime does
// not either. Access to Docker's daemon means root, so only the operator may choose it.
struct row {
    kind which;
    bool by_auto;
    asio::awaitable<result<candidates>> (*find)(const jail_settings& wanted, std::shared_ptr<uid_pool> pool);
};

constexpr row rows[] = {
    {kind::namespaces, true, namespaces_candidates}, {kind::bubblewrap, true, bubblewrap_candidates},
    {kind::nsjail, true, nsjail_candidates},         {kind::oci, false, oci_candidates},
    {kind::docker, false, docker_candidates},
};

std::unique_ptr<jail> no_jail(const jail_settings& wanted)
{
    launch_plan plan;
    plan.which = kind::none;
    plan.build = [](const spec& what, const std::optional<process::identity>&) -> result<launch> {
        return launch{.command = none_command(what), .open = {}, .clean_up = {}};
    };
    plan.walls = {"no new privileges", "rlimits"};
    if (wanted.cgroups) {
        plan.cgroups = wanted.cgroups;
        plan.walls.emplace_back("memory and process limits of the whole job (cgroup)");
    }
    plan.warnings = {
        "jail \"none\": compilers run with the rights of the server and see its files; use it only on a "
        "disposable host"};
    return make_jail(std::move(plan));
}

error not_ours(const std::string& owner)
{
    return {errc::invalid_request, "jailUid, jailUidCount: " + owner + "; set them to a range of unused uids and gids"};
}

bool is_about_uids(const error& one) { return one.code == errc::invalid_request; }

// Ends the jails of an earlier server and sets aside the ids that others use. False when too few ids are left.
bool make_sure_of(uid_pool& pool)
{
    if (const auto killed = kill_leftover_builders(pool.range()); killed > 0)
        log::warning("killed half-built jails of an earlier server", {{"count", killed}});
    for (const auto id : ids_in_use(pool.range())) pool.set_aside(id);
    return pool.counts().all - pool.counts().in_use > 1;
}

// The best way to use one kind of jail that passes the probe. Errors: `unavailable`, with the reason; not_ours().
asio::awaitable<result<std::unique_ptr<jail>>> try_kind(const row& one, const jail_settings& wanted,
                                                        std::shared_ptr<uid_pool> pool)
{
    auto found = co_await one.find(wanted, pool);
    if (!found) co_return found.error();
    // Only after the leftovers of an earlier server were removed.
    if (pool && !make_sure_of(*pool)) co_return not_ours("running processes use nearly all of these ids");
    // bubblewrap and nsjail work without it.
    const auto init = ::access(wanted.init_path.c_str(), X_OK) == 0 ? wanted.init_path : std::string{};
    std::string why_not_better;
    for (candidate& way : *found) {
        std::vector<std::string> more;
        if (!way.compromise.empty() && !why_not_better.empty())
            more.push_back(way.compromise + " (" + why_not_better + ")");
        else if (!way.compromise.empty())
            more.push_back(way.compromise);
        std::unique_ptr<jail> made = way.make(std::move(more));
        auto broken = co_await probe(*made, wanted.jobs_directory, init, way.expected);
        if (!broken) co_return made;
        if (why_not_better.empty()) why_not_better = *broken;
    }
    co_return unavailable(why_not_better);
}

// How to make bubblewrap work; every distribution has it. Empty where the reason tells the cure.
std::string bubblewrap_cure(std::string_view why_not)
{
    if (why_not.find("; set faas.initPath") != std::string_view::npos) return {};
    if (why_not == "not installed" || why_not.ends_with("is not an executable file"))
        return "Install bubblewrap (apt-get install bubblewrap), or set bubblewrapPath";
    return "Allow user namespaces, which bubblewrap needs (sysctl user.max_user_namespaces, "
           "kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns; in a container, a seccomp "
           "profile that allows them)";
}

// Why the chosen jail does not work, and which other one does.
std::string refusal(const jail_settings& wanted, std::string_view why_not, const std::optional<std::string>& works,
                    const std::string& others)
{
    std::string text =
        wanted.written_as + ": the jail \"" + wanted.kind + "\" does not work here (" + std::string{why_not} + ").";
    if (wanted.kind == name(kind::nsjail) && why_not == "not installed")
        text += " Debian and Ubuntu do not package nsjail: build it and put it on PATH, or set nsjailPath.";
    if (works) {
        const auto how = wanted.how_to_choose ? wanted.how_to_choose(*works) : "set \"jail\" to \"" + *works + "\"";
        return text + " " + *works + " works here: to use it, " + how;
    }
    return text + " No other jail works either (" + others + ")";
}

}  // namespace

asio::awaitable<result<std::unique_ptr<jail>>> choose(jail_settings wanted)
{
    const bool automatic = wanted.kind == "auto";
    if (wanted.kind == "none") co_return no_jail(wanted);
    std::shared_ptr<uid_pool> pool;
    if (::geteuid() == 0) {
        if (const auto owner = owner_of(wanted.uids); !owner.empty()) co_return not_ours(owner);
        pool = uid_pool::make(wanted.uids);
    }
    std::string why_not;
    if (!automatic) {
        const auto asked = std::ranges::find_if(rows, [&](const row& one) { return name(one.which) == wanted.kind; });
        if (asked == std::end(rows)) {
            std::string known = "auto";
            for (const row& one : rows) known += ", " + std::string{name(one.which)};
            co_return unavailable(wanted.written_as + ": there is no jail \"" + wanted.kind + "\"; choose " + known +
                                  " or none");
        }
        auto made = co_await try_kind(*asked, wanted, pool);
        if (made || is_about_uids(made.error())) co_return made;
        why_not = made.error().message;
    }

    std::string reasons;
    std::string cure;
    for (const row& one : rows) {
        const auto kind_name = std::string{name(one.which)};
        if (!one.by_auto || kind_name == wanted.kind) continue;
        auto made = co_await try_kind(one, wanted, pool);
        if (!made && is_about_uids(made.error())) co_return made;
        if (made && automatic) co_return made;
        if (made) co_return unavailable(refusal(wanted, why_not, kind_name, {}));
        reasons += (reasons.empty() ? "" : "; ") + kind_name + ": " + made.error().message;
        if (one.which == kind::bubblewrap) cure = bubblewrap_cure(made.error().message);
    }
    auto text = automatic ? wanted.written_as + ": no jail works here (" + reasons + ")"
                          : refusal(wanted, why_not, std::nullopt, reasons);
    if (!cure.empty()) text += ". " + cure;
    // Comes last, so that the operator reads the safe choices first.
    text += ". The jail \"none\" does not isolate anything; use it only on a disposable host";
    co_return unavailable(std::move(text));
}

}  // namespace sandboxd::jail
