#include "toolchain/kit.hpp"

#include "base/log.hpp"
#include "base/proc.hpp"
#include "base/text_file.hpp"
#include "jail/seccomp.hpp"
#include "process/cgroup.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <string_view>
#include <utility>

namespace sandboxd::toolchain {

namespace asio = boost::asio;
using std::chrono::steady_clock;

namespace {

// Nothing can be there for emcc to find, whoever may write to the jails' home on this machine.
constexpr std::string_view nobodys_home = "/nonexistent/sandboxd";
constexpr std::chrono::seconds start_bound{30};
constexpr std::chrono::seconds shortest_pause{1};
constexpr std::chrono::seconds longest_pause{60};
// One after the other, and then it is not the jails.
constexpr int most_failures = 3;
constexpr std::chrono::seconds look_interval{1};
constexpr std::chrono::seconds weigh_interval{10};
// 0, 1, 2, its socket, the signals of its children, and the server's socket.
constexpr std::size_t descriptors_of_a_child = 6;

// cgroup.procs of the group that a process is in.
result<unique_fd> open_cgroup(std::string_view cgroup)
{
    const auto path = process::find_cgroup(cgroup, read_text("/proc/self/mountinfo"));
    if (!path) return unavailable("the jail's control group is not to be found");
    unique_fd procs{::open((*path / "cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC)};
    if (!procs) return system_error(errc::unavailable, (*path / "cgroup.procs").native());
    return procs;
}

// Who was forked, and not executed, in a jail has a way to its program beside the jail's read-only mounts:
// /proc/self/exe.
bool could_change_program(const standing& job, const host& of)
{
    struct stat seen{};
    const auto link = "/proc/" + std::to_string(of.pid()) + "/exe";
    return ::stat(link.c_str(), &seen) == 0 && could_change(job, seen);
}

}  // namespace

std::optional<read_file> look_at(const std::string& path)
{
    struct stat seen{};
    if (::stat(path.c_str(), &seen) != 0) return std::nullopt;
    return read_file{path, seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtim};
}

bool has_changed(const read_file& one)
{
    const auto now = look_at(one.path);
    return !now || now->device != one.device || now->inode != one.inode || now->size != one.size ||
           now->modified.tv_sec != one.modified.tv_sec || now->modified.tv_nsec != one.modified.tv_nsec;
}

std::vector<std::string> mapped_files(std::string_view maps)
{
    std::set<std::string, std::less<>> found;
    while (!maps.empty()) {
        const auto line = maps.substr(0, maps.find('\n'));
        maps.remove_prefix(std::min(line.size() + 1, maps.size()));
        const auto slash = line.find('/');
        if (slash == std::string_view::npos) continue;
        const auto path = line.substr(slash);
        if (!path.starts_with("/memfd:") && !path.starts_with("/dev/")) found.emplace(path);
    }
    return {found.begin(), found.end()};
}

bool shares_memory(std::string_view maps)
{
    while (!maps.empty()) {
        auto line = maps.substr(0, maps.find('\n'));
        maps.remove_prefix(std::min(line.size() + 1, maps.size()));
        // "from-to rwxs offset …"
        line.remove_prefix(std::min(line.find(' ') + 1, line.size()));
        const bool alone = line.size() >= 4 && (line[3] == 'p' || (line[3] == 's' && line[1] == '-'));
        if (!alone) return true;
    }
    return false;
}

std::optional<python_greeting> parse_greeting(std::string_view text)
{
    python_greeting made;
    std::vector<std::string>* const lists[] = {&made.tools, &made.node, &made.files};
    std::size_t which = 0;
    while (!text.empty()) {
        const auto end = text.find('\0');
        if (end == std::string_view::npos) return std::nullopt;
        const auto word = text.substr(0, end);
        text.remove_prefix(end + 1);
        if (word.empty() && ++which == std::size(lists)) return std::nullopt;
        if (word.empty()) continue;
        // Only options of Node.js are no paths.
        if (word.front() != '/' && (lists[which] != &made.node || made.node.empty())) return std::nullopt;
        lists[which]->emplace_back(word);
    }
    if (which + 1 != std::size(lists) || made.tools.size() + 1 > protocol::most_tools) return std::nullopt;
    return made;
}

// By their numbers; null where a tool cannot be started so. The first is Python.
struct kit::tool_set {
    std::vector<std::unique_ptr<host>> hosts;
    std::vector<read_file> files;
    std::vector<std::string> node;
    std::string clang;
};

struct kit::entering {
    host* of{nullptr};
    unique_fd reply;
    bool in{false};
    bool is_slow{false};
};

kit::kit(asio::any_io_executor executor, async::task_group& tasks, kit_settings how)
    : executor_{std::move(executor)}, tasks_{tasks}, settings_{how}
{
}

kit::~kit() = default;

void kit::close()
{
    closed_ = true;
    set_.reset();
    if (!coming_) return;
    for (const auto& one : coming_->hosts)
        if (one) one->end();
}

void kit::give_up(std::string_view why)
{
    log::warning("the started compilers are started anew", {{"cause", why}});
    set_.reset();
    ++generation_;
    bytes_ = 0;
    retry_ = steady_clock::now() + pause_;
    pause_ = std::min(2 * pause_, longest_pause);
}

void kit::look()
{
    const auto now = steady_clock::now();
    for (const auto& one : set_->hosts)
        if (one && !one->alive()) return give_up("one of them has ended");
    if (now < look_again_) return;
    look_again_ = now + look_interval;
    for (const auto& one : set_->files)
        if (has_changed(one)) return give_up(one.path + " has changed");
    if (now < weigh_again_) return;
    weigh_again_ = now + weigh_interval;
    bytes_ = 0;
    for (const auto& one : set_->hosts)
        if (one)
            bytes_ +=
                1024 * number_behind(read_text("/proc/" + std::to_string(one->pid()) + "/smaps_rollup"), "\nPss:");
    if (bytes_ <= settings_.memory_bytes) return;
    log::warning("the started compilers take more memory than compile.warmMemoryMB: they are ended for good",
                 {{"bytes", bytes_}, {"allowed", settings_.memory_bytes}});
    close();
    ++generation_;
    bytes_ = 0;
}

bool kit::ready_for(const kit_key& key)
{
    if (closed_) return false;
    if (set_ && key != key_) give_up("jobs have another environment");
    if (set_) look();
    if (set_) return true;
    if (closed_ || starting_ || steady_clock::now() < retry_) return false;
    key_ = key;
    starting_ = true;
    tasks_.spawn("start compilers", bring_up());
    return false;
}

std::size_t kit::changeable_by(const standing& who) const
{
    if (!set_) return 0;
    return static_cast<std::size_t>(
        std::ranges::count_if(set_->hosts, [&](const auto& one) { return one && could_change_program(who, *one); }));
}

std::string kit::clang() const { return set_ ? set_->clang : std::string{}; }

std::vector<std::string> kit::node() const { return set_ ? set_->node : std::vector<std::string>{}; }

std::uint32_t kit::processes() const noexcept
{
    if (!set_) return 0;
    // The server's children in there, the processes that wait for their first calls, and the moment between two forks.
    return static_cast<std::uint32_t>(3 * set_->hosts.size());
}

asio::awaitable<void> kit::bring_up()
{
    const auto began = steady_clock::now();
    auto made = co_await start_all();
    starting_ = false;
    coming_.reset();
    if (closed_) co_return;
    if (!made) {
        log::info("compiles take the plain way", {{"cause", made.error().message}});
        retry_ = steady_clock::now() + pause_;
        pause_ = std::min(2 * pause_, longest_pause);
        co_return;
    }
    set_ = std::move(*made);
    look_again_ = weigh_again_ = {};
    const auto started = std::ranges::count_if(set_->hosts, [](const auto& one) { return one != nullptr; });
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now() - began);
    log::info("compilers are started", {{"tools", started}, {"ms", took.count()}});
    look();
}

asio::awaitable<result<std::shared_ptr<kit::tool_set>>> kit::start_all()
{
    const auto until = steady_clock::now() + start_bound;
    auto filter = jail::seccomp_program({.network = false});
    if (!filter) co_return filter.error();
    filter_ = std::move(*filter);
    auto own = standing_of(::getpid());
    if (!own) co_return own.error();
    here_ = std::move(*own);

    const auto set = std::make_shared<tool_set>();
    coming_ = set;
    host_plan python{.argv = key_.python, .env = key_.env, .python = true};
    std::string home = "/";
    for (auto& [name, value] : python.env) {
        if (name != "HOME") continue;
        home = value;
        value = nobodys_home;
    }
    for (const auto& word : {key_.directory, home, std::string{"emcc"}, std::string{"em++"}})
        python.argv.push_back(word);
    // What is in the environment is what the jobs have; a search by PATH finds the same.
    set->hosts.push_back(host::start(executor_, tasks_, std::move(python), filter_));
    if (!set->hosts.front()) co_return make_error(errc::internal);
    auto told = co_await set->hosts.front()->greeting(until);
    if (!told) {
        error why{errc::unavailable, "Python: " + told.error().message};
        co_return why;
    }
    const auto found = parse_greeting(*told);
    if (!found) co_return unavailable("Python says something else than expected");

    set->node = found->node;
    for (const auto& path : found->tools) {
        if (set->clang.empty() && path.substr(path.rfind('/') + 1).starts_with("clang")) set->clang = path;
        host_plan plan{.argv = {path}, .env = {}};
        for (const auto& variable : key_.env)
            if (variable.first == "PATH" || variable.first == "LC_ALL" || variable.first == "GLIBC_TUNABLES")
                plan.env.push_back(variable);
        set->hosts.push_back(host::start(executor_, tasks_, std::move(plan), filter_));
    }
    std::set<std::string> files{found->files.begin(), found->files.end()};
    files.insert(found->tools.begin(), found->tools.end());
    for (std::size_t i = 0; i < set->hosts.size(); ++i) {
        auto& one = set->hosts[i];
        if (i > 0 && one) {
            const auto stands = co_await one->greeting(until);
            if (!stands) {
                log::info("a compiler's tool is started for each call",
                          {{"tool", found->tools[i - 1]}, {"cause", stands.error().message}});
                one.reset();
            }
        }
        if (closed_) co_return make_error(errc::draining);
        if (!one) continue;
        const auto maps = read_text("/proc/" + std::to_string(one->pid()) + "/maps");
        // A job would write what the next one reads.
        if (maps.empty() || shares_memory(maps))
            co_return unavailable("a compiler's tool shares memory with its children");
        for (auto& path : mapped_files(maps)) files.insert(std::move(path));
    }
    for (const auto& path : files) {
        auto seen = look_at(path);
        if (!seen) co_return unavailable(path + " was replaced");
        set->files.push_back(std::move(*seen));
    }
    co_return set;
}

// Says so once, until one gets in again.
bool kit::not_in(std::string_view why)
{
    if (!std::exchange(complained_, true)) log::warning("a compiler's tool has not entered a jail", {{"cause", why}});
    return false;
}

// Whether the child may serve.
asio::awaitable<bool> kit::admit(entering& one, const standing& there, pid_t leader, steady_clock::time_point soon)
{
    const bool told = co_await readable(executor_, one.reply.get(), soon);
    if (!told) {
        one.is_slow = true;
        co_return not_in("it is slow");
    }
    protocol::entered how{};
    const auto sender = take_message(one.reply.get(), &how, sizeof how);
    if (!sender) co_return false;  // so has its jail
    if (how.at != protocol::step::in) {
        co_return not_in("step " + std::to_string(static_cast<int>(how.at)) + ": " + std::strerror(how.error));
    }
    const auto stands = standing_of(*sender);
    if (!stands) co_return not_in(stands.error().message);
    if (const auto other = difference(*stands, there); !other.empty()) {
        log::error("a compiler's tool is not in its jail completely: compiles take the plain way from now on",
                   {{"differs", other}});
        close();
        ++generation_;
        co_return false;
    }
    // What watches the job's memory and files goes down from there.
    if (!descends_from(*sender, leader)) co_return not_in("it does not descend from the jail's first process");
    if (open_descriptors(*sender) != descriptors_of_a_child) co_return not_in("it has another number of descriptors");
    co_return true;
}

asio::awaitable<bool> kit::enter(pid_t process, pid_t leader, steady_clock::time_point soon, std::size_t& changeable)
{
    // The tools may be given up meanwhile.
    const auto set = set_;
    if (!set || !here_) co_return not_in("they have been given up");
    const unique_fd pidfd{static_cast<int>(::syscall(SYS_pidfd_open, process, 0U))};
    if (!pidfd || leader == 0 || !descends_from(process, leader)) co_return not_in("the jail has gone");
    const auto there = standing_of(process);
    if (!there) co_return not_in(there.error().message);
    if (share_a_namespace(*there, *here_)) co_return not_in("the jail shares a namespace with the server");
    protocol::enter wanted{};
    wanted.uid = settings_.inside.uid;
    wanted.gid = settings_.inside.gid;
    wanted.bounding = bounding_set(*there);
    const auto limits = resource_limits(*there);
    if (!limits) co_return not_in("the jail's limits cannot be read");
    for (std::size_t i = 0; i < limits->size(); ++i) wanted.limit[i] = {(*limits)[i].soft, (*limits)[i].hard};
    unique_fd cgroup;
    if (there->cgroup != here_->cgroup) {
        auto opened = open_cgroup(there->cgroup);
        if (!opened) co_return not_in(opened.error().message);
        cgroup = std::move(*opened);
        wanted.has_cgroup = 1;
    }
    // Until now it was this process, and no other with its number.
    if (::syscall(SYS_pidfd_send_signal, pidfd.get(), 0, nullptr, 0U) != 0) co_return not_in("the jail has gone");

    if (could_change_program(*there, *set->hosts.front())) {
        log::warning("jobs could change emcc's Python: compiles take the plain way from now on",
                     {{"program", key_.python.front()}});
        close();
        ++generation_;
        co_return false;
    }

    changeable = changeable_by(*there);
    std::vector<entering> all;
    all.reserve(set->hosts.size());
    for (const auto& one : set->hosts) {
        entering next;
        next.of = one.get();
        wanted.tool = static_cast<std::uint32_t>(all.size());
        // It is started for each call, then.
        const bool keeps = one && !could_change_program(*there, *one);
        auto ends = keeps ? telling_socket() : result<std::pair<unique_fd, unique_fd>>{make_error(errc::unavailable)};
        if (ends) {
            const int given[] = {pidfd.get(), ends->second.get(), cgroup.get()};
            if (one->ask(wanted, {given, cgroup ? 3u : 2u})) next.reply = std::move(ends->first);
        }
        all.push_back(std::move(next));
    }
    for (auto& one : all) {
        if (!one.reply) continue;
        const bool admitted = co_await admit(one, *there, leader, soon);
        one.in = admitted;
        if (closed_) co_return false;
    }
    // A busy machine has slow ones, too, and a start of all would make it no faster.
    const bool any_slow = std::ranges::any_of(all, &entering::is_slow);
    slow_in_a_row_ = any_slow ? slow_in_a_row_ + 1 : 0;
    for (auto& one : all)
        if (one.in) one.in = ::send(one.reply.get(), &protocol::serve, 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
    if (all.front().in) {
        failures_ = 0;
        complained_ = false;
        pause_ = shortest_pause;
    } else if (::syscall(SYS_pidfd_send_signal, pidfd.get(), 0, nullptr, 0U) == 0 && ++failures_ == most_failures) {
        failures_ = 0;
        give_up("they do not get into jails");
    }
    if (slow_in_a_row_ >= most_failures && set_ == set) {
        slow_in_a_row_ = 0;
        give_up("they are slow");
    }
    co_return all.front().in;
}

}  // namespace sandboxd::toolchain
