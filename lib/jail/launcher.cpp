#include "jail/launcher.hpp"

#include "jail/aliases.hpp"
#include "jail/bubblewrap.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace asio = boost::asio;

namespace sandboxd::jail {
namespace {

class launcher final : public jail {
public:
    explicit launcher(launch_plan plan) : plan_{std::move(plan)} {}

    kind which() const noexcept override { return plan_.which; }
    std::vector<std::string> walls() const override { return plan_.walls; }
    std::vector<std::string> warnings() const override { return plan_.warnings; }
    std::optional<process::identity> owner() const noexcept override { return plan_.owner; }

    asio::awaitable<result<process::outcome>> run(spec what, process::run_limits limits,
                                                  async::stop_source& stop,
                                                  process::output_taker* taker) override
    {
        std::optional<process::alias_mounts> aliases;
        if (plan_.which != kind::none) {
            auto prepared = prepare_sources(what, plan_.mounted_by, plan_.executable);
            if (!prepared) co_return prepared.error();
            aliases = std::move(*prepared);
        }
        auto command = plan_.build(what);
        if (!command) co_return command.error();
        command->aliases = std::move(aliases);
        command->pass_fds.insert(command->pass_fds.end(), what.pass_fds.begin(), what.pass_fds.end());

        unique_fd program;  // kept open until the child has it
        if (const unique_fd& shared = what.network == network_access::none ? plan_.seccomp : plan_.seccomp_with_network) {
            // A description of its own: bubblewrap reads it from the current position.
            const std::string path = "/proc/self/fd/" + std::to_string(shared.get());
            program.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
            if (!program) {
                error failed{errc::internal, std::string{"cannot open the seccomp program: "} +
                                                 std::strerror(errno)};
                co_return failed;
            }
            command->pass_fds.emplace_back(program.get(), seccomp_fd_inside);
        }
        unique_fd options;
        if (plan_.which == kind::bubblewrap) {
            auto hidden = hide_options(*command);
            if (!hidden) co_return hidden.error();
            options = std::move(*hidden);
        }
        limits.term_grace = std::max(limits.term_grace, plan_.term_grace);
        if (!plan_.cgroups)
            co_return co_await process::run(std::move(*command), std::move(what.stdin_text), limits, stop, taker);
        co_return co_await run_in_cgroup(std::move(*command), std::move(what), limits, stop, taker);
    }

private:
    asio::awaitable<result<process::outcome>> run_in_cgroup(process::command command,
                                                            spec what,
                                                            process::run_limits limits,
                                                            async::stop_source& stop,
                                                            process::output_taker* taker)
    {
        const auto& job = what.limits;
        const process::cgroup_limits caps{.memory_bytes = job.memory_bytes,
                                          .processes = job.processes,
                                          .cpu_percent = job.cpu_percent};
        auto group = plan_.cgroups->create(std::to_string(++jobs_), caps);
        if (!group) co_return group.error();
        command.enter_cgroup = group->procs();
        result<process::outcome> ran = process::outcome{};
        {
            // Beside the signals of process::run, which a process could be quick enough to escape.
            const async::stop_callback on_stop{stop, [&group](errc) { group->kill(); }};
            ran = co_await process::run(std::move(command), std::move(what.stdin_text), limits, stop, taker);
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
        case kind::nsjail: return "nsjail";
    }
    return "unknown";
}

std::unique_ptr<jail> make_jail(launch_plan plan)
{
    return std::make_unique<launcher>(std::move(plan));
}

}  // namespace sandboxd::jail
