#include "toolchain/warm_way.hpp"

#include "async/event.hpp"
#include "base/path.hpp"
#include "base/text_file.hpp"
#include "base/unique_fd.hpp"
#include "disk/files.hpp"
#include "disk/remove_tree.hpp"
#include "init/arguments.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

namespace sandboxd::toolchain {

namespace asio = boost::asio;

namespace {

constexpr std::string_view caller_inside = "/sandboxd-init";
// A hang's bound: then the job begins the plain way.
constexpr std::chrono::seconds enter_bound{5};
constexpr std::string_view help_paths = "sandboxd_compile_path_total";
constexpr std::string_view help_of_paths =
    "Compilers' runs in a jail, by their way: with tools that were started already, or plain.";

std::string_view variable(const walls::spec& what, std::string_view name)
{
    for (const auto& [key, value] : what.env)
        if (key == name) return value;
    return {};
}

// Whether a job sees the file by the same path.
bool is_inside(const walls::spec& what, std::string_view path)
{
    return std::ranges::any_of(
        what.mounts, [&](const walls::mount& one) { return one.source == one.target && lies_in(path, one.target); });
}

// The Python that a job finds on its PATH. Empty: none.
std::string find_python(const walls::spec& what)
{
    return find_program(variable(what, "PATH"), "python3",
                        [&](const std::string& file) { return is_inside(what, file) && is_program(file); });
}

// What a run has left where it could write.
asio::awaitable<void> empty_outputs(const walls::spec& what)
{
    for (const auto& one : what.mounts) {
        if (!one.writable) continue;
        disk::listing items{unique_fd{::open(one.source.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)}};
        std::vector<std::string> names;
        while (const auto* const item = items.next()) names.emplace_back(item->name);
        for (const auto& name : names) {
            const auto removed = co_await disk::remove_tree_in_turns(items.directory(), name);
            static_cast<void>(removed);  // the next run says what is in its way
        }
    }
}

// What every job has, without what this one brings: its own directories are elsewhere in there than outside.
ground ground_of(const walls::spec& job, const kit& tools, const std::string& directory)
{
    ground made{.node = tools.node(), .directory = directory, .clang = tools.clang(), .base = job};
    made.base.argv.clear();
    made.base.leader.reset();
    made.base.pass_fds.clear();
    std::erase_if(made.base.mounts, [](const auto& one) { return one.writable || one.source != one.target; });
    return made;
}

bool is_readable(const std::string& path) { return ::access(path.c_str(), R_OK) == 0; }

}  // namespace

std::optional<kit_key> key_of(const walls::spec& what)
{
    const auto& driver = what.argv.front();
    const auto slash = driver.rfind('/');
    const auto name = driver.substr(slash + 1);
    if (slash == std::string::npos || (name != "emcc" && name != "em++")) return std::nullopt;
    kit_key made;
    // An emsdk's drivers lie beside their files; Debian's name theirs.
    for (const auto& directory : {driver.substr(0, slash), std::string{"/usr/share/emscripten"}}) {
        if (!is_readable(directory + "/emcc.py") || !is_readable(directory + "/em++.py")) continue;
        made.directory = directory;
        break;
    }
    if (made.directory.empty()) return std::nullopt;
    const auto script = read_text(driver);
    if (!script.starts_with("#!/bin/sh") || script.find(made.directory + "/$BASENAME.py") == std::string::npos) {
        // An emsdk's: exec "$PYTHON" -E "$0.py" "$@"
        if (script.find("\"$0.py\"") == std::string::npos) return std::nullopt;
    }
    auto python = std::string{variable(what, "EMSDK_PYTHON")};
    if (python.empty()) python = find_python(what);
    if (python.empty() || python.front() != '/') return std::nullopt;
    made.python.push_back(std::move(python));
    if (script.find(" -E ") != std::string::npos) made.python.emplace_back("-E");
    made.env = what.env;
    return made;
}

// Belongs to the task that attends to it, too.
struct warm_way::job {
    job(const asio::any_io_executor& executor, unique_fd end, std::shared_ptr<pid_t> its_leader)
        : ready{executor, end.release()},
          questions{executor},
          attended{executor},
          answered{executor},
          leader{std::move(its_leader)}
    {
    }

    asio::posix::stream_descriptor ready;
    asio::local::stream_protocol::socket questions;
    ground where;
    async::event attended;
    async::event answered;
    std::shared_ptr<pid_t> leader;
    step_times steps;
    bool over{false};
    bool is_warm{false};
};

warm_way::warm_way(asio::any_io_executor executor, async::task_group& tasks, walls::jail& wall, warm_settings how,
                   metrics::registry& metrics)
    : executor_{executor},
      tasks_{tasks},
      wall_{wall},
      settings_{std::move(how)},
      tools_{executor, tasks, settings_.kit},
      answers_{executor, tasks, wall, settings_.answers, metrics},
      warm_{metrics.add_counter(help_paths, help_of_paths, "path=\"warm\"")},
      plain_{metrics.add_counter(help_paths, help_of_paths, "path=\"plain\"")}
{
    metrics.add_gauge("sandboxd_compile_warm_bytes",
                      "Memory of the compilers that are started and wait (proportional set size).",
                      [this] { return static_cast<double>(tools_.bytes()); });
}

asio::awaitable<void> warm_way::answer(std::shared_ptr<job> its)
{
    struct at_end {
        ~at_end() { of.answered.set(); }
        job& of;
    } const told{*its};
    its->steps = co_await answers_.serve(its->questions, its->where);
    boost::system::error_code ignored;
    its->questions.close(ignored);
}

asio::awaitable<void> warm_way::attend(std::shared_ptr<job> its)
{
    struct at_end {
        ~at_end() { of.attended.set(); }
        job& of;
    } const told{*its};
    const auto [failed] =
        co_await its->ready.async_wait(asio::posix::descriptor_base::wait_read, asio::as_tuple(asio::use_awaitable));
    if (failed || its->over) co_return;
    // One byte without a meaning; the kernel says whose it is.
    char nothing = 0;
    const auto sender = take_message(its->ready.native_handle(), &nothing, 1);
    if (!sender) co_return;
    const auto until = std::chrono::steady_clock::now() + enter_bound;
    const bool in = co_await tools_.enter(*sender, *its->leader, until);
    const char word = in ? protocol::warm : 'p';
    its->is_warm = in && !its->over;
    const auto sent = ::send(its->ready.native_handle(), &word, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    static_cast<void>(sent);  // the jail may have ended
}

// What is made for others waits for its end.
asio::awaitable<result<process::outcome>> warm_way::run_beside(walls::spec what, process::child_limits limits,
                                                               async::stop_source& stop, process::output_taker* taker)
{
    struct at_end {
        ~at_end() { of.job_ends(); }
        answers& of;
    } const ends{answers_};
    answers_.job_begins();
    co_return co_await wall_.run(std::move(what), limits, stop, taker);
}

asio::awaitable<result<process::outcome>> warm_way::run(walls::spec what, process::child_limits limits,
                                                        async::stop_source& stop, process::output_taker* taker)
{
    // Asking for the version is no job.
    const bool compiles = what.argv.size() > 2;
    // Whose walls the tools know how to enter.
    const bool enters = serves() && what.network == walls::network_access::none;
    std::optional<kit_key> key;
    if (enters && compiles && what.pass_fds.empty() && taker == nullptr) key = key_of(what);
    auto ready = key && tools_.ready_for(*key) ? telling_socket()
                                               : result<std::pair<unique_fd, unique_fd>>{make_error(errc::unavailable)};
    if (!ready) {
        if (compiles) plain_.add();
        co_return co_await run_beside(std::move(what), limits, stop, taker);
    }
    auto& [ours, theirs] = *ready;

    const auto plainly = what;
    if (!what.leader) what.leader = std::make_shared<pid_t>(0);
    const auto its = std::make_shared<job>(executor_, std::move(ours), what.leader);
    what.pass_fds.emplace_back(theirs.get(), protocol::ready_fd_inside);
    what.mounts.push_back({.source = settings_.init, .target = std::string{caller_inside}, .own_copy = true});
    const std::string words[] = {std::string{caller_inside}, init::argument::call, "--"};
    what.argv.insert(what.argv.begin(), std::begin(words), std::end(words));
    if (what.limits.processes != 0) what.limits.processes += tools_.processes();
    const auto generation = tools_.generation();
    // The tools may have been given up because a file of the toolchain is another one.
    if (generation != std::exchange(known_generation_, generation)) answers_.clear();
    its->where = ground_of(plainly, tools_, key->directory);
    unique_fd asking;
    int ends[2];
    if (settings_.answers.bytes + settings_.answers.preamble_bytes > 0 && !its->where.node.empty() &&
        ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0) {
        asking.reset(ends[1]);
        its->questions.assign(asio::local::stream_protocol{}, ends[0]);
        what.pass_fds.emplace_back(asking.get(), protocol::ask_fd_inside);
        tasks_.spawn("answer a job's questions", answer(its));
    } else {
        its->answered.set();
    }
    tasks_.spawn("let tools into a jail", attend(its));
    auto ran = co_await run_beside(std::move(what), limits, stop, taker);
    its->over = true;
    boost::system::error_code ignored;
    its->ready.cancel(ignored);
    its->questions.cancel(ignored);
    asking.reset();
    co_await its->attended.wait();
    co_await its->answered.wait();
    (its->is_warm ? warm_ : plain_).add();
    if (plainly.steps) *plainly.steps = std::move(its->steps);

    const auto* const done = ran ? std::get_if<process::exited>(&ran->status) : nullptr;
    const bool failed = ran && (done == nullptr || done->code != 0);
    if (!failed || stop.requested() || !its->is_warm || tools_.generation() == generation) co_return ran;
    plain_.add();
    co_await empty_outputs(plainly);
    const auto spent = std::chrono::duration_cast<std::chrono::milliseconds>(ran->wall);
    limits.wall = std::max(limits.wall - spent, std::chrono::milliseconds{1});
    co_return co_await wall_.run(plainly, limits, stop, taker);
}

}  // namespace sandboxd::toolchain
