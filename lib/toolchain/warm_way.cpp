#include "toolchain/warm_way.hpp"

#include "async/event.hpp"
#include "async/readable.hpp"
#include "base/log.hpp"
#include "base/memory_file.hpp"
#include "base/path.hpp"
#include "base/text_file.hpp"
#include "base/unique_fd.hpp"
#include "init/arguments.hpp"
#include "toolchain/outputs.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

namespace sandboxd::toolchain {

namespace asio = boost::asio;

namespace {

// A hang's bound: then the job begins the plain way.
constexpr std::chrono::seconds enter_bound{5};
// Of a jail for its job.
constexpr std::chrono::hours longest_wait{24 * 365};
constexpr std::chrono::milliseconds answer_first{10};
// For how long a jail that is built ahead waits for them, or is built again because they did not get in. Nobody waits
// for it, and on a busy machine they may take long to start.
constexpr std::chrono::minutes tools_bound{2};
constexpr std::chrono::milliseconds tools_interval{200};
constexpr std::chrono::milliseconds first_pause{500};  // before it is built again; then twice as long
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

// Of a file, whatever its name becomes. Nothing: there is none.
std::optional<std::pair<dev_t, ino_t>> place_of(const std::string& path)
{
    struct stat seen{};
    if (::stat(path.c_str(), &seen) != 0) return std::nullopt;
    return std::pair{seen.st_dev, seen.st_ino};
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
    // An emsdk's drivers lie beside their files. Debian's are links to a script that does, and names them.
    std::error_code missing;
    const auto linked = std::filesystem::canonical(driver, missing).parent_path().string();
    for (const auto& directory : {driver.substr(0, slash), linked}) {
        if (directory.empty()) continue;
        if (!is_readable(directory + "/emcc.py") || !is_readable(directory + "/em++.py")) continue;
        made.directory = directory;
        break;
    }
    if (made.directory.empty()) return std::nullopt;
    const auto starts = [](std::string_view text, const std::string& what) {
        return text.starts_with("#!/bin/sh") && text.find(what) != std::string_view::npos;
    };
    auto script = read_text(driver);
    // Debian 12 starts Python; Debian 13 starts a driver that is an emsdk's.
    const bool names_file = starts(script, made.directory + "/$BASENAME.py\"");
    const bool names_driver = !names_file && starts(script, "exec \"" + made.directory + "/$BASENAME\"");
    if (names_driver) script = read_text(made.directory + "/" + name);
    const bool lies_beside = names_driver || made.directory == driver.substr(0, slash);
    if (!names_file && !(lies_beside && starts(script, "\"$0.py\""))) return std::nullopt;
    // These make such a driver start something else.
    if (!names_file && !(variable(what, "PYTHON").empty() && variable(what, "_EMCC_CCACHE").empty()))
        return std::nullopt;
    auto python = std::string{variable(what, "EMSDK_PYTHON")};
    if (python.empty()) python = find_python(what);
    if (python.empty() || python.front() != '/') return std::nullopt;
    made.python.push_back(std::move(python));
    if (script.find(" -E ") != std::string::npos) made.python.emplace_back("-E");
    made.env = what.env;
    return made;
}

// A jail with its tools and, sooner or later, its job. Belongs to the tasks that attend to it, too.
struct warm_way::job {
    explicit job(const asio::any_io_executor& executor)
        : ready{executor},
          questions{executor},
          attended{executor},
          answered{executor},
          ended{executor},
          begins{std::make_shared<async::event>(executor)}
    {
    }

    bool has_ended();
    // Whether that is what the jail was built for.
    bool fits(const walls::spec& what, const process::child_limits& limits);
    // Tells the jail's first program its job.
    void begin(const std::vector<std::string>& argv);

    walls::spec built_for;
    std::vector<std::optional<std::pair<dev_t, ino_t>>> places;  // of its mounts
    std::size_t output_bytes{0};
    std::uint64_t generation{0};
    std::function<void()> stands;  // of what is built ahead
    standing there;                // when the tools had entered
    std::size_t changeable{0};     // of their programs, then

    asio::posix::stream_descriptor ready;
    asio::local::stream_protocol::socket questions;
    unique_fd inside_ready;
    unique_fd inside_questions;
    ground where;
    async::event attended;  // the tools are in there, or will not be
    async::event answered;  // it asks no more
    async::event ended;
    async::stop_source stop;
    std::shared_ptr<async::event> begins;
    std::shared_ptr<pid_t> leader{std::make_shared<pid_t>(0)};
    step_times steps;
    result<process::outcome> ran{make_error(errc::internal)};
    bool over{false};
    bool is_warm{false};
};

// Whether the jail's first program, which waits for the job, has gone.
bool warm_way::job::has_ended()
{
    pollfd state{ready.native_handle(), 0, 0};
    return over || stop.requested() || (attended.is_set() && ::poll(&state, 1, 0) != 0);
}

bool warm_way::job::fits(const walls::spec& what, const process::child_limits& limits)
{
    const auto& mine = built_for;
    if (has_ended() || limits.output_bytes != output_bytes || limits.term_grace.count() != 0 ||
        what.mounts.size() != mine.mounts.size())
        return false;
    if (what.env != mine.env || what.cwd != mine.cwd || what.hostname != mine.hostname || what.limits != mine.limits ||
        what.network != mine.network || what.has_system_files != mine.has_system_files ||
        what.stdin_text != mine.stdin_text || what.merge_stderr != mine.merge_stderr || what.as_pid_1 != mine.as_pid_1)
        return false;
    for (std::size_t i = 0; i < places.size(); ++i) {
        auto with_that_name = mine.mounts[i];
        with_that_name.source = what.mounts[i].source;
        if (what.mounts[i] != with_that_name) return false;
        if (what.mounts[i].source != mine.mounts[i].source &&
            (!places[i] || place_of(what.mounts[i].source) != places[i]))
            return false;
    }
    return true;
}

void warm_way::job::begin(const std::vector<std::string>& argv)
{
    begins->set();
    std::string text;
    for (const auto& word : argv) text.append(word.c_str(), word.size() + 1);
    auto file = memory_file("argv", text);
    if (!file) {
        stop.request(errc::internal);
        return;
    }
    const char word = is_warm ? protocol::warm : protocol::plain;
    const int given = file->get();
    const auto sent = send_message(ready.native_handle(), &word, 1, {&given, 1});
    static_cast<void>(sent);  // the jail may have ended
}

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
    metrics.add_gauge("sandboxd_compile_warm_jails", "Jails that stand with compilers in them and wait for a job.",
                      [this] { return static_cast<double>(waiting_.size()); });
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
    const auto failed = co_await async::wait_readable(its->ready);
    if (failed || its->over) co_return;
    // One byte without a meaning; the kernel says whose it is.
    char nothing = 0;
    const auto sender = take_message(its->ready.native_handle(), &nothing, 1);
    if (!sender) co_return;
    const auto until = std::chrono::steady_clock::now() + enter_bound;
    const bool in = co_await tools_.enter(*sender, *its->leader, until, its->changeable);
    its->is_warm = in && !its->over;
    // From now on its end is that of the jail's first program.
    its->inside_ready.reset();
    auto there = standing_of(*sender);
    its->is_warm = its->is_warm && there;
    if (!there) co_return;
    its->there = std::move(*there);
    if (its->is_warm && its->stands) its->stands();
}

asio::awaitable<void> warm_way::live(std::shared_ptr<job> its, walls::spec what, process::child_limits limits)
{
    struct at_end {
        ~at_end() { of.ended.set(); }
        job& of;
    } const told{*its};
    its->ran = co_await wall_.run(std::move(what), limits, its->stop, nullptr);
    its->over = true;
    boost::system::error_code ignored;
    its->ready.cancel(ignored);
    its->questions.cancel(ignored);
    its->inside_ready.reset();
    its->inside_questions.reset();
    co_await its->attended.wait();
    co_await its->answered.wait();
    its->built_for.holds.reset();
    std::erase(waiting_, its);
}

std::shared_ptr<warm_way::job> warm_way::build(walls::spec what, process::child_limits limits, const kit_key& key)
{
    auto ends = telling_socket();
    if (!ends) return nullptr;
    const auto its = std::make_shared<job>(executor_);
    its->ready.assign(ends->first.release());
    its->inside_ready = std::move(ends->second);
    its->generation = tools_.generation();
    its->output_bytes = limits.output_bytes;
    for (const auto& one : what.mounts) its->places.push_back(place_of(one.source));
    its->where = ground_of(what, tools_, key.directory);
    its->built_for = what;

    what.holds.reset();
    what.leader = its->leader;
    what.begins = its->begins;
    what.steps.reset();
    what.pass_fds.emplace_back(its->inside_ready.get(), protocol::ready_fd_inside);
    what.mounts.push_back({.source = settings_.init, .target = std::string{init::program_inside}, .own_copy = true});
    what.argv = {std::string{init::program_inside}, init::argument::call};
    if (what.limits.processes != 0) what.limits.processes += tools_.processes();
    // The tools may have been given up because a file of the toolchain is another one.
    if (its->generation != std::exchange(known_generation_, its->generation)) answers_.clear();
    answers_.recall(its->where);
    int pair[2];
    if (settings_.answers.bytes + settings_.answers.preamble_bytes > 0 && !its->where.node.empty() &&
        ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0) {
        its->inside_questions.reset(pair[1]);
        its->questions.assign(asio::local::stream_protocol{}, pair[0]);
        what.pass_fds.emplace_back(its->inside_questions.get(), protocol::ask_fd_inside);
        tasks_.spawn("answer a job's questions", answer(its));
    } else {
        its->answered.set();
    }
    // A job's time begins with the job.
    limits.wall = longest_wait;
    tasks_.spawn("let tools into a jail", attend(its));
    tasks_.spawn("keep a jail with tools", live(its, std::move(what), limits));
    return its;
}

bool warm_way::is_spoilt(const job& one) const
{
    return one.generation != tools_.generation() ||
           (one.attended.is_set() && tools_.changeable_by(one.there) > one.changeable);
}

void warm_way::drop_stale()
{
    std::erase_if(waiting_, [this](const auto& one) {
        const bool is_stale = is_spoilt(*one) || one->has_ended() || (one->attended.is_set() && !one->is_warm);
        if (is_stale) one->stop.request(errc::unavailable);
        return is_stale;
    });
}

std::shared_ptr<warm_way::job> warm_way::take(const walls::spec& what, const process::child_limits& limits)
{
    const auto at = std::ranges::find_if(waiting_, [&](const auto& one) { return one->fits(what, limits); });
    if (at == waiting_.end()) return nullptr;
    auto taken = std::move(*at);
    waiting_.erase(at);
    return taken;
}

bool warm_way::prepares() const noexcept
{
    const auto ids = wall_.uids();
    return serves() && !closed_ && (!ids || 2 * ids->in_use < ids->all);
}

void warm_way::prepare(walls::spec what, process::child_limits limits, std::function<void()> stands)
{
    if (prepares()) tasks_.spawn("build a jail ahead", build_ahead(std::move(what), limits, std::move(stands)));
}

asio::awaitable<void> warm_way::build_ahead(walls::spec what, process::child_limits limits,
                                            std::function<void()> stands)
{
    // The answer to the job before goes first.
    asio::steady_timer timer{executor_, answer_first};
    co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    const auto key = prepares() ? key_of(what) : std::nullopt;
    if (!key) co_return;
    const auto until = std::chrono::steady_clock::now() + tools_bound;
    auto pause = first_pause;
    for (;;) {
        // After a start of the server, and after they were given up, the tools are still being started.
        while (prepares() && !tools_.ready_for(*key)) {
            if (std::chrono::steady_clock::now() > until) co_return;
            timer.expires_after(tools_interval);
            co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
        }
        if (!prepares()) co_return;
        drop_stale();
        const auto its = build(what, limits, *key);
        if (!its) co_return;
        its->stands = stands;
        waiting_.push_back(its);
        co_await its->attended.wait();
        const auto waits = std::ranges::find(waiting_, its);
        if (its->is_warm || waits == waiting_.end() || std::chrono::steady_clock::now() > until) co_return;
        waiting_.erase(waits);
        its->stop.request(errc::unavailable);
        co_await its->ended.wait();
        timer.expires_after(pause);
        co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
        pause *= 2;
    }
}

void warm_way::close()
{
    closed_ = true;
    tools_.close();
    answers_.close();
    for (const auto& one : std::exchange(waiting_, {})) one->stop.request(errc::draining);
}

asio::awaitable<std::optional<result<process::outcome>>> warm_way::run_warm(std::shared_ptr<job> its, walls::spec what,
                                                                            process::child_limits limits,
                                                                            async::stop_source& stop)
{
    // From outside it is the job's process as long as the job is under way.
    struct following {
        ~following()
        {
            if (leader) *leader = 0;
        }
        std::shared_ptr<pid_t> leader;
    } const follows{what.leader};
    const auto began = std::chrono::steady_clock::now();
    const async::stop_callback on_stop{stop, [&its](errc why) { its->stop.request(why); }};
    asio::steady_timer deadline{executor_, began + limits.wall};
    deadline.async_wait([its](const boost::system::error_code& cancelled) {
        if (!cancelled) its->stop.request(errc::timeout);
    });
    co_await its->attended.wait();
    if (its->is_warm && !its->stop.requested() && is_spoilt(*its)) {
        its->stop.request(errc::unavailable);
        co_await its->ended.wait();
        co_return std::nullopt;
    }
    if (what.leader) *what.leader = *its->leader;
    its->where.base.client = what.client;  // it asks from now on, whoever it was built for
    its->begin(what.argv);
    co_await its->ended.wait();
    deadline.cancel();
    if (its->stop.requested()) stop.request(its->stop.cause());
    if (its->ran)
        its->ran->wall =
            std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - began);
    co_return std::move(its->ran);
}

asio::awaitable<result<process::outcome>> warm_way::run(walls::spec what, process::child_limits limits,
                                                        async::stop_source& stop, process::output_taker* taker)
{
    // Asking for the version is no job.
    const bool compiles = what.argv.size() > 2;
    // What is made for others waits for its end.
    struct at_end {
        ~at_end() { of.job_ends(); }
        answers& of;
    } const ends{answers_};
    answers_.job_begins();
    // Whose walls the tools know how to enter.
    const bool enters = serves() && what.network == walls::network_access::none;
    std::optional<kit_key> key;
    if (enters && compiles && what.pass_fds.empty() && taker == nullptr) {
        key = key_of(what);
        if (!key && !std::exchange(complained_, true))
            log::warning("compiles take the plain way: how the driver starts Python is not known",
                         {{"driver", what.argv.front()}});
    }
    std::shared_ptr<job> its;
    const bool ready = key && tools_.ready_for(*key);
    // Also where none is taken: the tools may have been given up for good.
    drop_stale();
    if (ready) {
        its = take(what, limits);
        if (!its) its = build(what, limits, *key);
    }
    if (!its) {
        if (compiles) plain_.add();
        co_return co_await wall_.run(std::move(what), limits, stop, taker);
    }
    const outputs made{what};
    auto ended = co_await run_warm(its, what, limits, stop);
    if (!ended) {
        plain_.add();
        co_return co_await wall_.run(std::move(what), limits, stop, taker);
    }
    auto ran = std::move(*ended);
    (its->is_warm ? warm_ : plain_).add();
    if (what.steps) *what.steps = std::move(its->steps);

    const auto* const done = ran ? std::get_if<process::exited>(&ran->status) : nullptr;
    const bool failed = ran && (done == nullptr || done->code != 0);
    if (!failed || stop.requested() || !its->is_warm || tools_.generation() == its->generation) co_return ran;
    plain_.add();
    co_await made.remove_new();
    const auto spent = std::chrono::duration_cast<std::chrono::milliseconds>(ran->wall);
    limits.wall = std::max(limits.wall - spent, std::chrono::milliseconds{1});
    co_return co_await wall_.run(what, limits, stop, taker);
}

}  // namespace sandboxd::toolchain
