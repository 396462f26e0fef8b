#include "jail/bubblewrap.hpp"

#include "base/memory_file.hpp"
#include "base/text_file.hpp"
#include "init/arguments.hpp"
#include "init/build.hpp"
#include "jail/aliases.hpp"
#include "jail/candidates.hpp"
#include "jail/jail.hpp"
#include "jail/rlimits.hpp"
#include "jail/seccomp.hpp"
#include "jail/system_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <initializer_list>

namespace asio = boost::asio;

namespace sandboxd::jail {
namespace {

// A builder has two processes in the job's user namespace: one that waits outside, and PID 1 inside.
constexpr rlim_t processes_of_builder = 2;

using filters = for_each_policy<unique_fd>;

// A separate file description: bubblewrap reads it from the current position.
result<unique_fd> open_filter(const unique_fd& shared)
{
    const std::string path = "/proc/self/fd/" + std::to_string(shared.get());
    unique_fd program{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!program) return system_error(errc::internal, "cannot open the seccomp program");
    return program;
}

// A file that the job's uid owns is copied instead of mounted: only the mount's flags would protect its mode and its
// bytes, and others use the file, too.
result<void> take_copies(spec& what, const bubblewrap_setup& setup, std::vector<file_inside>& files,
                         std::vector<unique_fd>& texts)
{
    const uid_t owner = setup.run_as ? setup.run_as->uid : ::geteuid();
    const auto is_to_copy = [&](const mount& one) {
        struct stat seen{};
        return one.own_copy && ::stat(one.source.c_str(), &seen) == 0 && seen.st_uid == owner;
    };
    for (const mount& one : what.mounts) {
        if (!is_to_copy(one)) continue;
        unique_fd program{::open(one.source.c_str(), O_RDONLY | O_CLOEXEC)};
        if (!program) return system_error(errc::unavailable, one.source);
        files.push_back({one.target, "0555"});
        texts.push_back(std::move(program));
    }
    std::erase_if(what.mounts, is_to_copy);
    return {};
}

// What the builder has written, once it has ended.
class told_status {
public:
    explicit told_status(int from) : from_{from} {}

    std::string_view text()
    {
        if (from_) {
            text_.resize(longest);
            const auto got = ::read(from_.get(), text_.data(), text_.size());
            text_.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
            from_.reset();
        }
        return text_;
    }

private:
    static constexpr std::size_t longest = 4096;
    unique_fd from_;
    std::string text_;
};

result<launch> build(spec what, bubblewrap_setup setup, const filters& programs)
{
    std::vector<file_inside> files;
    std::vector<unique_fd> texts;
    for (auto& file : system_files(what, inside)) {
        auto text = memory_file("file", file.text);
        if (!text) return text.error();
        files.push_back({std::move(file.path), "0444"});
        texts.push_back(std::move(*text));
    }
    if (auto copied = take_copies(what, setup, files, texts); !copied) return copied.error();
    auto aliases = prepare_sources(what, setup.run_as, setup.executable, {}, true);
    if (!aliases) return aliases.error();
    if (*aliases && (*aliases)->devices) setup.devices = (*aliases)->directory;
    const auto policy = policy_of(what);
    launch made{.command = bubblewrap_command(what, setup, files), .open = {}, .clean_up = {}};
    made.command.aliases = std::move(*aliases);
    // bubblewrap writes the files under the limits of its program.
    rlim_t largest = 0;
    for (const auto& text : texts) {
        struct stat seen{};
        if (::fstat(text.get(), &seen) == 0) largest = std::max(largest, static_cast<rlim_t>(seen.st_size));
    }
    for (auto& limit : made.command.rlimits)
        if (limit.resource == RLIMIT_FSIZE) limit.value = std::max(limit.value, largest);
    int number = first_file_fd_inside;
    for (auto& text : texts) {
        made.command.pass_fds.emplace_back(text.get(), number++);
        made.open.push_back(std::move(text));
    }
    auto program = open_filter(programs.of(policy));
    if (!program) return program.error();
    made.command.pass_fds.emplace_back(program->get(), seccomp_fd_inside);
    made.open.push_back(std::move(*program));
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return system_error(errc::internal, "pipe");
    const auto status = std::make_shared<told_status>(ends[0]);
    made.open.emplace_back(ends[1]);
    made.command.pass_fds.emplace_back(ends[1], status_fd_inside);
    const bool is_own = setup.own_builder != nullptr;
    made.speaks_as = {is_own ? init::build::speaks_as : "bwrap: "};
    made.why_not_begun = [status, is_own](int) -> std::optional<std::string> {
        const auto told = status->text();
        if (is_own ? begun_at(told).has_value() : tells_of_program(told)) return std::nullopt;
        return std::string{};
    };
    if (is_own) made.begun = [status] { return begun_at(status->text()); };
    if (setup.own_builder)
        made.command.pass_fds.emplace_back(setup.own_builder->get(), init::argument::program_fd_inside);
    auto options = hide_options(made.command);
    if (!options) return options.error();
    made.open.push_back(std::move(*options));
    return made;
}

}  // namespace

bool tells_of_program(std::string_view status) { return status.find("\"exit-code\"") != std::string_view::npos; }

std::optional<std::chrono::steady_clock::time_point> begun_at(std::string_view status)
{
    if (status.size() != init::build::begins_bytes || status.front() != init::build::begins) return std::nullopt;
    std::int64_t nanoseconds = 0;
    std::memcpy(&nanoseconds, status.data() + 1, sizeof nanoseconds);
    // std::chrono::steady_clock is CLOCK_MONOTONIC.
    return std::chrono::steady_clock::time_point{std::chrono::nanoseconds{nanoseconds}};
}

process::command bubblewrap_command(const spec& what, const bubblewrap_setup& setup,
                                    const std::vector<file_inside>& files)
{
    process::command made;
    const auto add = [&made](std::initializer_list<std::string> words) {
        made.argv.insert(made.argv.end(), words.begin(), words.end());
    };
    if (setup.own_builder)
        add({"/proc/self/fd/" + std::to_string(init::argument::program_fd_inside), init::argument::build});
    else
        add({setup.executable});
    add({"--unshare-all", "--unshare-user", "--disable-userns"});
    // bubblewrap cannot set anything of a network that it makes.
    const bool ready_network = what.network == network_access::own && setup.own_user_namespace;
    if (what.network == network_access::host || ready_network) add({"--share-net"});
    if (what.as_pid_1) add({"--as-pid-1"});
    add({"--die-with-parent", "--new-session", "--cap-drop", "ALL"});
    add({"--uid", std::to_string(inside.uid), "--gid", std::to_string(inside.gid)});
    add({"--hostname", what.hostname});
    add({"--clearenv"});
    for (const auto& [key, value] : what.env) add({"--setenv", key, value});

    const auto tmpfs = [&](const char* target) {
        add({"--perms", "1777"});
        if (what.limits.tmp_bytes != 0) add({"--size", std::to_string(what.limits.tmp_bytes)});
        add({"--tmpfs", target});
    };
    // The job's uid owns the root and /dev. Both are made read-only; writable, they would be a /tmp without a limit.
    add({"--proc", "/proc"});
    // Not --dev: it also makes what must then be covered again. That is pseudo-terminals, for which the machine has one
    // limit, and /dev/zero, a shared mapping of which is memory that RLIMIT_DATA does not count.
    add({"--perms", "0755", "--tmpfs", "/dev"});
    for (const auto& device : process::device_nodes)
        add({"--dev-bind", setup.devices + "/" + device.name, std::string{"/dev/"} + device.name});
    add({"--dev-bind", setup.devices + "/null", "/dev/zero"});
    add({"--symlink", "/proc/self/fd", "/dev/fd"});
    add({"--symlink", "/proc/self/fd/0", "/dev/stdin"});
    add({"--symlink", "/proc/self/fd/1", "/dev/stdout"});
    add({"--symlink", "/proc/self/fd/2", "/dev/stderr"});
    tmpfs("/dev/shm");
    tmpfs("/tmp");
    // Each mount costs about 0.1 ms. On most hosts /lib is a link to /usr/lib; inside it is one, too.
    const auto is_link = [&what](const mount& one) {
        return one.target != one.source && one.target.find('/', 1) == std::string::npos && !one.writable &&
               std::ranges::any_of(what.mounts, [&one](const mount& other) {
                   return other.source == one.source && other.target == one.source && !other.writable &&
                          !other.optional;
               });
    };
    for (const mount& one : what.mounts) {
        if (is_link(one)) {
            add({"--symlink", one.source, one.target});
            continue;
        }
        std::string option = one.writable ? "--bind" : "--ro-bind";
        if (one.optional) option += "-try";
        add({option, one.source, one.target});
    }
    int number = first_file_fd_inside;
    for (const file_inside& one : files) add({"--perms", one.mode, "--file", std::to_string(number++), one.path});
    add({"--remount-ro", "/dev", "--remount-ro", "/proc", "--remount-ro", "/"});
    add({"--chdir", what.cwd});
    add({"--seccomp", std::to_string(seccomp_fd_inside)});
    add({"--json-status-fd", std::to_string(status_fd_inside)});
    add({"--"});
    made.argv.insert(made.argv.end(), what.argv.begin(), what.argv.end());

    made.rlimits = common_rlimits(what.limits);
    made.run_as = setup.run_as;
    made.own_user_namespace = setup.own_user_namespace;
    made.own_network = ready_network;
    if (setup.own_user_namespace && what.limits.processes != 0)
        made.rlimits.push_back({RLIMIT_NPROC, what.limits.processes + processes_of_builder});
    made.merge_stderr = what.merge_stderr;
    return made;
}

result<unique_fd> hide_options(process::command& command)
{
    const auto first = command.argv.begin() + (command.argv.at(1) == init::argument::build ? 2 : 1);
    const auto last = std::find(first, command.argv.end(), "--");
    std::string options;
    for (auto option = first; option != last; ++option) {
        options += *option;
        options += '\0';
    }
    auto file = memory_file("options", options);
    if (!file) return file.error();
    const auto place = command.argv.erase(first, last);
    command.argv.insert(place, {init::argument::build_options, std::to_string(options_fd_inside)});
    command.pass_fds.emplace_back(file->get(), options_fd_inside);
    return file;
}

namespace {

// `setup`: who builds.
result<candidates> ways_to_build(kind which, const bubblewrap_setup& setup, const jail_settings& wanted,
                                 const std::shared_ptr<uid_pool>& pool)
{
    struct way {
        bool drop;
        bool count_processes;
        const char* compromise;
    };
    static constexpr way as_root[] = {
        {true, true, ""},
        {true, false, "user namespaces cannot be nested here, so the number of processes of a job is not limited"},
        {false, false,
         "an unprivileged uid cannot create user namespaces here, so jobs are root outside of their jail and the number "
         "of their processes is not limited"},
    };
    static constexpr way as_user[] = {
        {false, true, ""},
        {false, false, "user namespaces cannot be nested here, so the number of processes of a job is not limited"},
    };
    auto made_filters = make_for_each_policy<unique_fd>(seccomp_program);
    if (!made_filters) return made_filters.error();
    const auto programs = std::make_shared<const filters>(std::move(*made_filters));

    const bool root = ::geteuid() == 0;
    candidates made;
    const auto add = [&](const way& one) {
        auto own = setup;
        own.own_user_namespace = one.count_processes;
        launch_plan plan;
        plan.which = which;
        if (one.drop) plan.uids = pool;
        plan.walls = common_walls();
        plan.walls.emplace_back("no nested user namespaces");
        if (one.drop || !root) plan.walls.emplace_back("unprivileged uid outside");
        if (one.count_processes) plan.walls.emplace_back("process limit");
        plan.build = [own, programs](spec what, const std::optional<process::identity>& who) {
            auto job = own;
            job.run_as = who;
            return build(std::move(what), std::move(job), *programs);
        };
        made.push_back(from_plan(std::move(plan), one.compromise, wanted));
    };
    if (root) {
        for (const way& one : as_root) add(one);
    } else {
        for (const way& one : as_user) add(one);
    }
    return made;
}

}  // namespace

asio::awaitable<result<candidates>> bubblewrap_candidates(const jail_settings& wanted, std::shared_ptr<uid_pool> pool)
{
    auto executable = find_executable(wanted.bubblewrap_path, "bwrap");
    if (!executable) co_return executable.error();
    bubblewrap_setup setup;
    setup.executable = std::move(*executable);
    co_return ways_to_build(kind::bubblewrap, setup, wanted, pool);
}

asio::awaitable<result<candidates>> namespaces_candidates(const jail_settings& wanted, std::shared_ptr<uid_pool> pool)
{
    if (::access(wanted.init_path.c_str(), X_OK) != 0)
        co_return unavailable("sandboxd-init is missing (" + wanted.init_path + "); set faas.initPath");
    // Jails with the server's uid must not have its file, and those with another may not be able to reach it.
    const auto bytes = read_text(wanted.init_path);
    if (bytes.empty()) co_return unavailable("cannot read " + wanted.init_path);
    auto program = memory_program("sandboxd-init", bytes);
    if (!program) co_return program.error();
    bubblewrap_setup setup;
    setup.own_builder = std::make_shared<const unique_fd>(std::move(*program));
    co_return ways_to_build(kind::namespaces, setup, wanted, pool);
}

}  // namespace sandboxd::jail
