#include "faas/instance.hpp"

#include "async/turns.hpp"
#include "base/log.hpp"
#include "faas/lifecycle.hpp"
#include "faas/plan.hpp"

#include <boost/asio/use_awaitable.hpp>

#include <sys/wait.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

namespace sandboxd::faas {

namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

// Whether a program listens is asked again after an eighth of the time that it has had: a start takes at most that much
// longer than the program needs, and a slow one is asked seldom.
constexpr auto shortest_poll = milliseconds{3};
constexpr auto longest_poll = milliseconds{40};
constexpr int polls_by_age = 8;
constexpr auto look_interval = milliseconds{1'000};
constexpr auto wrong_port_patience = milliseconds{3'000};
// Where only UDP and Unix sockets are there: some programs have such ones for themselves and open their port later.
constexpr auto no_port_patience = milliseconds{8'000};
constexpr auto drain_poll = milliseconds{20};
constexpr std::size_t lines_at_once = 256;  // that go into the log before others may run
constexpr std::chrono::hours without_end{24 * 365 * 10};

// How a program ended. init's report takes precedence: a jail reports a signal by a number that a program may also
// exit with.
process::wait_status status_of(const process::outcome& end, std::optional<int> told)
{
    if (told && WIFSIGNALED(*told)) return process::signaled{WTERMSIG(*told)};
    if (told) return process::exited{WEXITSTATUS(*told)};
    return end.status;
}

// Appends a program's output to its log, and slows down a program that prints too much.
class log_taker final : public process::output_taker {
public:
    log_taker(program_log& log, instance& of, asio::any_io_executor executor, std::size_t bytes_per_sec)
        : log_{log}, of_{of}, executor_{std::move(executor)}, rate_{static_cast<double>(bytes_per_sec)}
    {
    }
    virtual ~log_taker() = default;

    asio::awaitable<void> take(process::output_stream which, std::string_view piece) override
    {
        if (!of_.has_begun()) co_return;
        const auto from = which == process::output_stream::out ? log_source::out : log_source::err;
        const auto bytes = static_cast<double>(piece.size());
        async::turns turn;
        while (!piece.empty()) {
            piece = log_.add_some(from, piece, lines_at_once);
            if (turn.over()) co_await turn.rest();
        }
        // A token bucket with the bytes of one second.
        const auto now = clock::now();
        room_ = std::min(rate_, room_ + rate_ * std::chrono::duration<double>(now - seen_).count());
        seen_ = now;
        room_ -= bytes;
        if (room_ >= 0 || of_.life.requested()) co_return;
        if (!said_) {
            said_ = true;
            log_.say("the program prints too fast and is slowed down (faas.logBytesPerSec)");
        }
        async::event ended{executor_};
        const async::stop_callback on_end{of_.life, [&ended](errc) { ended.set(); }};
        co_await ended.wait_for(milliseconds{static_cast<std::int64_t>(-room_ / rate_ * 1000) + 1});
    }

private:
    program_log& log_;
    instance& of_;
    asio::any_io_executor executor_;
    double rate_;
    clock::time_point seen_{clock::now()};
    double room_{rate_};
    bool said_{false};
};

}  // namespace

std::string describe(const program_end& end)
{
    return (end.cause ? std::string{name(*end.cause)} + ", " : std::string{}) + process::describe_end(end.status);
}

instance::instance(asio::any_io_executor executor, unique_fd control, std::uint64_t number)
    : channel{executor, std::move(control)}, over{executor}, generation{number}, executor_{std::move(executor)}
{
}

asio::awaitable<void> instance::run(jail::jail& wall, jail::spec spec, unique_fd theirs, program_log& output,
                                    std::size_t bytes_per_sec, std::string_view id)
{
    log_taker taker{output, *this, executor_, bytes_per_sec};
    const process::child_limits limits{.wall = without_end, .output_bytes = std::numeric_limits<std::size_t>::max()};
    const auto ran = co_await wall.run(std::move(spec), limits, life, &taker);
    theirs.reset();
    output.flush();
    channel.catch_up();
    const auto begun = channel.begun();
    if (ran && begun != std::optional{0} && !told_to_end && !life.requested()) {
        // init and the runtime belong to the server: if they cannot be executed, the client's program has not run.
        std::string why = begun ? "the runtime cannot be started: " + std::string{std::strerror(*begun)}
                                : "sandboxd-init did not start in the jail";
        if (!begun && !output.ring.lines().empty()) why += ": " + output.ring.lines().back().text;
        fault = error{errc::unavailable, std::move(why)};
        log::error("cannot run a deployment's jail", {{"id", id}, {"cause", fault->message}});
    } else if (ran) {
        end = program_end{status_of(*ran, channel.ended()), std::nullopt};
        if (!told_to_end && life.requested()) end->cause = life.cause();
    } else {
        // The client must not see paths and daemons of this host.
        fault = make_error(ran.error().code);
        log::error("cannot run a deployment's jail", {{"id", id}, {"cause", ran.error().message}});
    }
    if (has_begun()) output.say(told_to_end ? "stopped" : "ended with " + how_it_ended());
}

bool instance::has_begun()
{
    if (word && is_told_ && word->is_read()) word.reset();
    return !word;
}

asio::awaitable<instance::readiness> instance::await_ready(program_log& output, ready_terms terms)
{
    const auto begun = clock::now();
    const auto until = begun + terms.timeout;
    auto pause = shortest_poll;
    std::string why = "it does not listen on port " + std::to_string(port_inside);
    std::string elsewhere;  // where it listens instead
    auto look = clock::now() + look_interval;
    std::optional<clock::time_point> since;
    while (!co_await over.wait_for(pause)) {
        if (life.requested()) {
            co_await over.wait();
            co_return readiness{make_error(life.cause())};
        }
        const auto left = std::chrono::duration_cast<milliseconds>(until - clock::now());
        if (left.count() <= 0) {
            told_to_end = true;
            output.say("not reachable in time: " + why);
            life.request(errc::timeout);
            co_await over.wait();
            co_return readiness{error{errc::start_timeout, "the program was not reachable in " +
                                                               std::to_string(terms.timeout.count()) + " ms: " + why}};
        }
        auto connected = co_await channel.connect(port_inside, left, life);
        if (connected) co_return readiness{};
        if (connected.error().code == errc::timeout) why = connected.error().message;
        if (clock::now() >= look) {
            // Wait until it is seen twice: some programs open another port first.
            const auto places = co_await channel.listeners(look_interval);
            std::string seen;
            for (const auto& place : places) seen += (seen.empty() ? "" : ", ") + place;
            if (!seen.empty() && seen == elsewhere) {
                auto told = "the program listens on " + seen + ", not on 127.0.0.1:" + std::to_string(port_inside) +
                            "; it must listen on PORT (" + terms.port_in_code + ") on 127.0.0.1 or on all addresses";
                if (told != why) output.say(told);
                why = std::move(told);
                if (!since) since = clock::now();
                // The right port may still open, but waiting requests already learn what to do.
                const bool has_port = std::ranges::any_of(places, is_tcp_place);
                if (clock::now() - *since >= (has_port ? wrong_port_patience : no_port_patience))
                    terms.on_wrong_port(why);
            }
            elsewhere = std::move(seen);
            look = clock::now() + look_interval;
        }
        const auto age = std::chrono::duration_cast<milliseconds>(clock::now() - begun);
        pause = std::clamp(age / polls_by_age, shortest_poll, longest_poll);
    }
    if (told_to_end) co_return readiness{make_error(errc::draining)};
    if (fault) co_return readiness{*fault};
    auto why_not = clean() ? "the program ended with exit 0 without listening on port " + std::to_string(port_inside) +
                                 " or SOCKET_PATH"
                           : "the program ended with " + how_it_ended() + " before it listened";
    co_return readiness{error{errc::start_failed, std::move(why_not)}, true};
}

asio::awaitable<result<stream_socket>> instance::connect(milliseconds patience, async::stop_source& stop)
{
    auto made = co_await channel.connect(port_inside, patience, stop);
    if (made) co_return made;
    switch (made.error().code) {
        case errc::unavailable: co_return error{errc::start_failed, made.error().message};
        case errc::timeout: co_return error{errc::start_timeout, made.error().message};
        default: co_return made.error();
    }
}

void instance::close()
{
    channel.close();
    if (!end && !fault) fault = make_error(errc::internal);
}

void instance::bury()
{
    over.set();
    gone.request(errc::start_failed);
}

asio::awaitable<void> serve_control(std::shared_ptr<instance> of) { co_await of->channel.serve(); }

asio::awaitable<void> end_gently(std::shared_ptr<instance> which, milliseconds drain, milliseconds grace)
{
    struct make_sure {
        ~make_sure() { of.life.request(errc::draining); }
        instance& of;
    } const at_end{*which};
    const auto until = clock::now() + drain;
    while (which->active > 0 && !which->hurry && clock::now() < until)
        if (co_await which->over.wait_for(drain_poll)) co_return;
    which->channel.terminate();
    if (co_await which->over.wait_for(grace)) co_return;
    which->life.request(errc::draining);
    co_await which->over.wait();
}

}  // namespace sandboxd::faas
