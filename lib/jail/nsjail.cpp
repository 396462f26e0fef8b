#include "jail/nsjail.hpp"

#include "base/digest.hpp"
#include "jail/aliases.hpp"
#include "jail/builder_log.hpp"
#include "jail/bundle.hpp"
#include "jail/candidates.hpp"
#include "jail/jail.hpp"
#include "jail/rlimits.hpp"
#include "jail/seccomp.hpp"
#include "jail/system_files.hpp"

#include <unistd.h>

#include <algorithm>
#include <initializer_list>

namespace asio = boost::asio;

namespace sandboxd::jail {
namespace {

constexpr std::uint64_t mebibyte = 1 << 20;

// In nsjail the program itself is PID 1, so nothing is added to its number of processes.
std::string or_inherited(std::uint64_t value) { return value == 0 ? "hard" : std::to_string(value); }

// nsjail mounts what is there, so the jail's own files are made in a directory beside it: those below /etc, and copies
// of what the job's uid owns. Null: there are none.
result<std::shared_ptr<bundle>> own_files(spec& what, const process::identity& outside, const std::string& containers,
                                          const std::string& name)
{
    const auto files = system_files(what, inside);
    const auto is_to_copy = [&](const mount& one) { return one.own_copy && is_owned_by(one.source, outside.uid); };
    if (files.empty() && std::ranges::none_of(what.mounts, is_to_copy)) return std::shared_ptr<bundle>{};
    auto made = bundle::make(containers, name, std::nullopt);
    if (!made) return made.error();
    auto kept = std::make_shared<bundle>(std::move(*made));
    for (mount& one : what.mounts) {
        if (!is_to_copy(one)) continue;
        if (auto copied = kept->put_program(one.target, one.source); !copied) return copied.error();
        one.source = kept->outside(one.target);
    }
    for (const auto& file : files) {
        if (auto put = kept->put(file.path, file.text); !put) return put.error();
        what.mounts.push_back({.source = kept->outside(file.path), .target = file.path});
    }
    return kept;
}

// What is given here is kept until the job has ended.
asio::awaitable<void> let_go(std::shared_ptr<bundle>) { co_return; }

}  // namespace

std::optional<std::string> nsjail_failure(std::string_view log, int code)
{
    // Of nsjail itself, but programs may end like that, too: so it must also have said something about it.
    constexpr int failed = 255;
    if (code != failed) return std::nullopt;
    std::string said;
    while (!log.empty()) {
        const auto line = log.substr(0, log.find('\n'));
        log.remove_prefix(std::min(line.size() + 1, log.size()));
        const bool is_failure = line.find("[E]") != std::string_view::npos ||
                                line.find("[F]") != std::string_view::npos ||
                                line.find(" clone(") != std::string_view::npos;
        if (is_failure) said.append(said.empty() ? "nsjail: " : "; ").append(line);
    }
    return said.empty() ? std::nullopt : std::optional{said};
}

result<process::command> nsjail_command(const spec& what, const nsjail_setup& setup)
{
    process::command made;
    const auto add = [&made](std::initializer_list<std::string> words) {
        made.argv.insert(made.argv.end(), words.begin(), words.end());
    };
    const auto map = [](std::uint32_t within, std::uint32_t without) {
        return std::to_string(within) + ":" + std::to_string(without) + ":1";
    };
    add({setup.executable, "--mode", "o"});
    // Not to standard error, where it would mix with the program's output. Warnings, too: a clone(2) that fails is one.
    add({"--quiet", "--log", setup.log});
    // Name the outer id, too: as root and with one number only, nsjail maps it to the host's root.
    add({"--user", map(inside.uid, setup.outside.uid), "--group", map(inside.gid, setup.outside.gid)});
    add({"--hostname", what.hostname});
    add({"--cwd", what.cwd});
    // process::run keeps the deadline; the nice value stays the server's.
    add({"--time_limit", "0", "--nice_level", "0"});
    if (what.network == network_access::host) add({"--disable_clone_newnet"});
    if (what.network == network_access::none) add({"--iface_no_lo"});

    const job_limits& wanted = what.limits;
    // V8 reserves 10 GB of address space. nsjail does not know RLIMIT_DATA, which is inherited, and takes MiB for a
    // core.
    add({"--rlimit_as", "inf", "--rlimit_core", "hard"});
    add({"--rlimit_cpu", or_inherited(static_cast<std::uint64_t>(wanted.cpu.count()))});
    const std::uint64_t file_mebibytes = (wanted.file_bytes + mebibyte - 1) / mebibyte;
    add({"--rlimit_fsize", or_inherited(file_mebibytes)});
    add({"--rlimit_nofile", or_inherited(wanted.open_files)});
    add({"--rlimit_nproc", or_inherited(wanted.processes)});

    for (const auto& [key, value] : what.env) add({"--env", key + "=" + value});
    for (const auto& [ours, number] : what.pass_fds) add({"--pass_fd", std::to_string(number)});

    const std::string size = wanted.tmp_bytes == 0 ? "" : ",size=" + std::to_string(wanted.tmp_bytes);
    for (const auto& device : process::device_nodes) {
        const std::string inside_path = std::string{"/dev/"} + device.name;
        const std::string outside_path = setup.devices + "/" + device.name;
        add({"--bindmount_ro", outside_path == inside_path ? inside_path : outside_path + ":" + inside_path});
    }
    add({"--symlink", "/proc/self/fd:/dev/fd", "--symlink", "/proc/self/fd/0:/dev/stdin"});
    add({"--symlink", "/proc/self/fd/1:/dev/stdout", "--symlink", "/proc/self/fd/2:/dev/stderr"});
    add({"--mount", "none:/dev/shm:tmpfs:mode=1777" + size, "--mount", "none:/tmp:tmpfs:mode=1777" + size});
    for (const mount& one : what.mounts) {
        if (one.source.find(':') != std::string::npos || one.target.find(':') != std::string::npos) {
            error colon{errc::unavailable, "nsjail cannot mount a path with a colon: " + one.source};
            return colon;
        }
        add({one.writable ? "--bindmount" : "--bindmount_ro", one.source + ":" + one.target});
    }
    add({"--seccomp_string", setup.seccomp.of(policy_of(what))});
    add({"--"});
    made.argv.insert(made.argv.end(), what.argv.begin(), what.argv.end());

    // nsjail runs under these limits and cannot raise them: they must not be below what it sets, in MiB.
    job_limits own = wanted;
    own.file_bytes = file_mebibytes * mebibyte;
    made.rlimits = common_rlimits(own);
    if (setup.drop) made.run_as = setup.outside;
    made.merge_stderr = what.merge_stderr;
    return made;
}

asio::awaitable<result<candidates>> nsjail_candidates(const jail_settings& wanted, std::shared_ptr<uid_pool> pool)
{
    const auto executable = find_executable(wanted.nsjail_path, "nsjail");
    if (!executable) co_return executable.error();
    if (wanted.containers_directory.empty())
        co_return error{errc::unavailable, "there is no directory for the files of nsjail's jails"};
    if (auto there = make_containers_directory(wanted.containers_directory); !there) co_return there.error();
    // What an earlier server left goes with its object.
    for (const auto& left : bundles_in(wanted.containers_directory))
        static_cast<void>(bundle::adopt(wanted.containers_directory, left));

    const auto prefix = std::string{container_prefix} + random_hex(8) + "-";
    const auto count = std::make_shared<std::uint64_t>(0);
    const auto filters = *make_for_each_policy<std::string>(
        [](const seccomp_policy& policy) { return result<std::string>{seccomp_text(policy)}; });
    const bool root = ::geteuid() == 0;
    candidates made;
    const auto add = [&](bool drop, const char* compromise) {
        nsjail_setup setup;
        setup.executable = *executable;
        setup.outside = {::geteuid(), ::getegid()};
        setup.drop = drop;
        setup.seccomp = filters;
        launch_plan plan;
        plan.which = kind::nsjail;
        // nsjail mounts in the user namespace, where it has the job's uid even if root started it.
        plan.uids = pool;
        plan.walls = common_walls();
        plan.walls.emplace_back("unprivileged uid outside");
        plan.walls.emplace_back("process limit");
        // SIGKILL would leave its children behind.
        plan.term_grace = std::chrono::milliseconds{500};
        plan.build = [=, containers = wanted.containers_directory](
                         spec what, const std::optional<process::identity>& who) -> result<launch> {
            auto own = setup;
            if (who) own.outside = *who;
            const auto files = own_files(what, own.outside, containers, prefix + std::to_string(++*count));
            if (!files) return files.error();
            auto aliases = prepare_sources(what, who, own.executable, {}, true);
            if (!aliases) return aliases.error();
            if (*aliases && (*aliases)->devices) own.devices = (*aliases)->directory;
            auto log = builder_log::make(what.pass_fds);
            if (!log) return log.error();
            own.log = log->path();
            auto command = nsjail_command(what, own);
            if (!command) return command.error();
            command->aliases = std::move(*aliases);
            command->pass_fds.push_back(log->passed());
            launch job{.command = std::move(*command), .open = {}, .clean_up = {}};
            job.why_not_begun = [kept = std::move(*log)](int code) { return nsjail_failure(kept.text(), code); };
            if (*files) job.clean_up = [kept = *files] { return let_go(kept); };
            return job;
        };
        made.push_back(from_plan(std::move(plan), compromise, wanted));
    };
    if (root) {
        add(true, "");
        add(false, "an unprivileged uid cannot create user namespaces here, so nsjail itself runs as root");
    } else {
        add(false, "");
    }
    co_return made;
}

}  // namespace sandboxd::jail
