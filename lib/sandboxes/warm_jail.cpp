#include "sandboxes/warm_jail.hpp"

#include "async/event.hpp"
#include "async/turns.hpp"
#include "init/arguments.hpp"
#include "init/hold.hpp"
#include "process/memory_watch.hpp"
#include "process/stdin_file.hpp"
#include "programs/hold_pipe.hpp"

#include <string_view>
#include <utility>

namespace sandboxd::sandboxes {

namespace asio = boost::asio;
using std::chrono::steady_clock;

namespace {

// `run` enforces the deadline, because the wait before it does not count.
constexpr std::chrono::milliseconds no_deadline = std::chrono::hours{24 * 365};
// How often the server looks whether a runtime has booted.
constexpr std::chrono::milliseconds look_interval{5};

}  // namespace

// Shared with the task, which may outlive the object. Passes the output on to the later taker.
struct warm_jail::state final : process::output_taker {
    state(const asio::any_io_executor& executor, programs::hold_pipe pipe, unique_fd file)
        : over{executor},
          word{std::move(pipe)},
          input{std::move(file)},
          begins{std::make_shared<async::event>(executor)}
    {
    }
    virtual ~state() = default;

    asio::awaitable<void> take(process::output_stream which, std::string_view piece) override
    {
        // Output before the program starts comes from the jail and is about this host: clients must not see it.
        if (taker && !was_not_heard()) co_return co_await taker->take(which, piece);
        (which == process::output_stream::out ? out : err) += piece;
    }

    // Whether the word was never read. Call after it was written.
    bool was_not_heard() const { return !word.is_read(); }

    async::stop_source stop;
    async::event over;
    result<process::outcome> ran{make_error(errc::internal)};
    process::output_taker* taker{nullptr};
    std::string out;
    std::string err;
    programs::hold_pipe word;
    unique_fd input;
    std::shared_ptr<async::event> begins;
    std::shared_ptr<pid_t> leader;  // null: sandboxd-init waits
};

warm_jail::warm_jail(std::shared_ptr<state> made) : state_{std::move(made)} {}

warm_jail::~warm_jail()
{
    if (!state_->over.is_set()) state_->stop.request(errc::draining);
}

std::unique_ptr<warm_jail> warm_jail::start(asio::any_io_executor executor, async::task_group& tasks, jail::jail& wall,
                                            jail::spec what, const std::string& init, std::size_t output_bytes)
{
    auto pipe = programs::hold_pipe::make(init.empty());
    if (!pipe) return nullptr;
    auto file = process::make_stdin_file();
    if (!file) return nullptr;
    const auto made = std::make_shared<state>(executor, std::move(*pipe), std::move(*file));
    what.pass_fds = {{made->word.inside(), init::hold::begin_fd_inside},
                     {made->input.get(), init::hold::stdin_fd_inside}};
    what.begins = made->begins;
    if (init.empty()) {
        made->leader = what.leader = std::make_shared<pid_t>(0);
    } else {
        what.mounts.push_back({.source = init, .target = std::string{init::program_inside}, .own_copy = true});
        const std::string words[] = {std::string{init::program_inside}, init::argument::hold, "--"};
        what.argv.insert(what.argv.begin(), std::begin(words), std::end(words));
    }
    const process::child_limits bounds{.wall = no_deadline, .output_bytes = output_bytes};
    tasks.spawn("keep a jail warm", keep(made, wall, std::move(what), bounds));
    return std::unique_ptr<warm_jail>{new warm_jail{made}};
}

asio::awaitable<void> warm_jail::keep(std::shared_ptr<state> its, jail::jail& wall, jail::spec what,
                                      process::child_limits bounds)
{
    struct at_end {
        ~at_end() { of.over.set(); }
        state& of;
    } const told{*its};
    its->ran = co_await wall.run(std::move(what), bounds, its->stop, its.get());
}

bool warm_jail::usable() const noexcept { return !state_->over.is_set() && !state_->stop.requested(); }

bool warm_jail::has_booted() const noexcept { return state_->leader && usable() && state_->word.is_read(); }

asio::awaitable<bool> warm_jail::watcher::boot(std::chrono::milliseconds patience) const
{
    const auto its = state_;
    const auto last = steady_clock::now() + patience;
    while (!its->word.is_read() && steady_clock::now() < last)
        if (co_await its->over.wait_for(look_interval)) break;
    co_return its->word.is_read() && !its->over.is_set();
}

asio::awaitable<std::uint64_t> warm_jail::watcher::memory() const
{
    const auto its = state_;
    if (!its->leader || its->over.is_set()) co_return 0;
    async::turns turn;
    const auto use = co_await process::memory_of(*its->leader, {}, turn);
    co_return use.bytes;
}

asio::awaitable<bool> warm_jail::watcher::ended_within(std::chrono::milliseconds patience) const
{
    const auto its = state_;
    co_return co_await its->over.wait_for(patience);
}

asio::awaitable<std::optional<result<process::outcome>>> warm_jail::run(std::string stdin_text,
                                                                        std::chrono::milliseconds wall,
                                                                        async::stop_source& stop,
                                                                        process::output_taker* taker,
                                                                        std::string traceparent)
{
    const auto its = state_;
    its->taker = taker;
    if (!stdin_text.empty())
        if (auto filled = process::fill_stdin_file(its->input, stdin_text); !filled) co_return filled.error();
    const auto began = steady_clock::now();
    const async::stop_callback on_stop{stop, [&its](errc cause) { its->stop.request(cause); }};
    const bool is_traced = traceparent.size() == init::hold::trace_bytes;
    const char plain = stdin_text.empty() ? init::hold::begin : init::hold::begin_with_file;
    const char traced = stdin_text.empty() ? init::hold::begin_traced : init::hold::begin_traced_with_file;
    std::string how{is_traced ? traced : plain};
    if (is_traced) how += traceparent;
    its->begins->set();
    its->word.say(how);
    if (!co_await its->over.wait_for(wall)) its->stop.request(errc::timeout);
    co_await its->over.wait();
    its->taker = nullptr;
    if (its->was_not_heard() && !its->stop.requested()) co_return std::nullopt;
    if (its->stop.requested()) stop.request(its->stop.cause());
    auto ran = std::move(its->ran);
    if (ran) {
        ran->out = std::move(its->out);
        ran->err = std::move(its->err);
        ran->wall = std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() - began);
        // What waited was begun long before.
        ran->begun = began;
    }
    co_return ran;
}

asio::awaitable<void> warm_jail::end()
{
    const auto its = state_;
    its->stop.request(errc::draining);
    co_await its->over.wait();
}

}  // namespace sandboxd::sandboxes
