#include "jail/launcher.hpp"

#include "jail/first_words.hpp"
#include "process/memory_watch.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <variant>

namespace asio = boost::asio;

namespace sandboxd::jail {
namespace {

// Of a builder that did not begin the program; empty where the program was begun, or cannot be for what it was given.
std::string why_not_begun(const launch& built, const process::outcome& seen, const std::string& kept)
{
    const auto* const done = std::get_if<process::exited>(&seen.status);
    if (done == nullptr || done->code == 0) return {};
    std::string said = kept.empty() ? seen.err + seen.out : kept;
    if (auto told = words_of_init(said, built.word)) return *told;
    if (!built.why_not_begun) return {};
    auto told = built.why_not_begun(done->code);
    if (!told) return {};
    if (!told->empty()) said = std::move(*told);
    said.resize(std::min(said.size(), said.find_last_not_of('\n') + 1));
    if (said.ends_with(std::strerror(E2BIG))) return {};
    return said.empty() ? "the jail was not built, and nothing says why" : said;
}

class launcher final : public jail {
public:
    explicit launcher(launch_plan plan) : plan_{std::move(plan)} {}

    kind which() const noexcept override { return plan_.which; }
    std::vector<std::string> walls() const override { return plan_.walls; }
    std::vector<std::string> warnings() const override { return plan_.warnings; }
    std::optional<process::identity> owner() const noexcept override { return owner_beside(plan_.uids.get()); }
    std::string keeps_descriptors() const override { return plan_.keeps_descriptors; }
    std::optional<uid_counts> uids() const noexcept override
    {
        return plan_.uids ? std::optional{plan_.uids->counts()} : std::nullopt;
    }

    asio::awaitable<result<process::outcome>> run(spec what, process::child_limits limits, async::stop_source& stop,
                                                  process::output_taker* taker) override
    {
        if (!what.pass_fds.empty() && !plan_.no_descriptors.empty()) {
            error refused{errc::unavailable, plan_.no_descriptors};
            co_return refused;
        }
        for (const mount& one : what.mounts) {
            if (!one.own_copy || ::access(one.source.c_str(), X_OK) == 0) continue;
            auto broken = system_error(errc::unavailable, one.source + " cannot be executed");
            co_return broken;
        }
        const auto job = what.limits;
        const auto caps = memory_caps(what);
        const auto passed = what.pass_fds;
        auto text = std::move(what.stdin_text);
        auto leader = std::move(what.leader);
        auto begins = std::move(what.begins);
        // Held until all of the jail is gone.
        std::optional<uid_pool::lease> lease;
        std::optional<process::identity> who;
        if (plan_.uids) {
            auto taken = plan_.uids->take();
            if (!taken) co_return taken.error();
            who = lease.emplace(std::move(*taken)).who();
            if (auto given = give_mounts(what, *who); !given) co_return given.error();
        }
        auto built = plan_.build(std::move(what), who);
        if (!built) co_return built.error();
        auto& command = built->command;
        command.leader = std::move(leader);
        command.pass_fds.insert(command.pass_fds.end(), passed.begin(), passed.end());
        limits.term_grace = std::max(limits.term_grace, plan_.term_grace);
        std::optional<first_words> first;
        if (taker && !built->speaks_as.empty()) taker = &first.emplace(*taker, built->speaks_as);
        result<process::outcome> ran = process::outcome{};
        if (plan_.cgroups)
            ran = co_await run_in_cgroup(std::move(command), std::move(text), job, limits, stop, taker);
        else
            ran =
                co_await run_watched(std::move(command), std::move(text), caps, std::move(begins), limits, stop, taker);
        if (built->clean_up) co_await built->clean_up();
        if (ran && built->begun) ran->begun = built->begun();
        if (ran && !stop.requested()) {
            auto why = why_not_begun(*built, *ran, first ? first->text() : std::string{});
            if (!why.empty()) {
                error not_built{errc::unavailable, std::move(why)};
                co_return not_built;
            }
        }
        if (first) co_await first->pass_on();
        co_return ran;
    }

private:
    // Beside the memory itself: stacks, page tables, and what a runtime changes of its libraries.
    static constexpr std::uint64_t beside_memory = 64 << 20;
    static constexpr std::uint64_t most_in_sockets = 1 << 30;

    // Nothing, where something else limits the job as a whole or nothing is to.
    process::memory_caps memory_caps(const spec& what) const
    {
        const auto memory = std::max(what.limits.memory_bytes, what.limits.data_bytes);
        if (memory == 0 || plan_.own_cgroups || plan_.own_kernel) return {};
        const bool own_sockets = plan_.which != kind::none && what.network != network_access::host;
        return {.bytes = memory + beside_memory,
                .socket_bytes = own_sockets ? std::max(memory, most_in_sockets) : 0,
                .open_files = what.limits.open_files};
    }

    asio::awaitable<result<process::outcome>> run_watched(process::command command, std::string stdin_text,
                                                          process::memory_caps caps,
                                                          std::shared_ptr<async::event> begins,
                                                          process::child_limits limits, async::stop_source& stop,
                                                          process::output_taker* taker)
    {
        if (caps.bytes == 0)
            co_return co_await process::run(std::move(command), std::move(stdin_text), limits, stop, taker);
        const auto executor = co_await asio::this_coro::executor;
        const auto watch = std::make_shared<process::memory_watch>(executor, stop, std::move(begins));
        struct at_end {
            ~at_end()
            {
                of.over.set();
                if (of.begins) of.begins->set();
            }
            process::memory_watch& of;
        } const told{*watch};
        if (!command.leader) command.leader = std::make_shared<pid_t>(0);
        asio::co_spawn(executor, process::watch_memory(watch, command.leader, caps), asio::detached);
        co_return co_await process::run(std::move(command), std::move(stdin_text), limits, stop, taker);
    }

    asio::awaitable<result<process::outcome>> run_in_cgroup(process::command command, std::string stdin_text,
                                                            job_limits job, process::child_limits limits,
                                                            async::stop_source& stop, process::output_taker* taker)
    {
        const process::cgroup_limits caps{.memory_bytes = job.memory_bytes,
                                          .processes = job.processes == 0 ? 0 : job.processes + plan_.own_processes,
                                          .cpu_percent = job.cpu_percent};
        auto group = plan_.cgroups->create(std::to_string(++jobs_), caps);
        if (!group) co_return group.error();
        command.enter_cgroup = group->procs();
        result<process::outcome> ran = process::outcome{};
        {
            // In addition to the signals of process::run, which a fast-forking process could escape.
            const async::stop_callback on_stop{stop, [&group](errc) { group->kill(); }};
            ran = co_await process::run(std::move(command), std::move(stdin_text), limits, stop, taker);
        }
        if (ran) {
            ran->usage = group->usage();
            if (ran->usage->oom_kills > 0) stop.request(errc::memory_limit);
        }
        co_await group->remove();
        co_return ran;
    }

    std::uint64_t jobs_{0};
    launch_plan plan_;
};

}  // namespace

std::string_view name(kind which) noexcept
{
    switch (which) {
        case kind::none: return "none";
        case kind::bubblewrap: return "bubblewrap";
        case kind::namespaces: return "namespaces";
        case kind::nsjail: return "nsjail";
        case kind::oci: return "oci";
        case kind::docker: return "docker";
    }
    return "unknown";
}

std::optional<process::identity> owner_beside(const uid_pool* pool)
{
    if (!pool) return std::nullopt;
    return process::identity{::geteuid(), pool->range().group()};
}

result<void> give_mounts(const spec& what, const process::identity& who)
{
    for (const mount& one : what.mounts) {
        if (!one.writable) continue;
        const unique_fd directory{::open(one.source.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
        if (!directory || ::fchown(directory.get(), who.uid, who.gid) != 0)
            return system_error(errc::unavailable, "cannot give " + one.source + " to a jail");
    }
    return {};
}

std::unique_ptr<jail> make_jail(launch_plan plan) { return std::make_unique<launcher>(std::move(plan)); }

}  // namespace sandboxd::jail
