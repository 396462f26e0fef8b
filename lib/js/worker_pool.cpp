#include "js/worker_pool.hpp"

#include "base/log.hpp"
#include "base/unique_fd.hpp"
#include "script/frame.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <sys/socket.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <new>

namespace asio = boost::asio;

namespace sandboxd::js {

namespace {

using boost::system::error_code;
using clock = std::chrono::steady_clock;

constexpr int socket_inside = 9;  // below lie the descriptors that bubblewrap itself is given
constexpr std::string_view directory_inside = "/worker";
constexpr std::chrono::hours for_ever{24 * 365 * 10};
constexpr std::chrono::milliseconds watch_interval{50};
// A worker that cannot start is retried, with growing pauses.
constexpr std::chrono::milliseconds first_pause{100};
constexpr std::chrono::milliseconds longest_pause{5'000};
constexpr std::size_t first_read_bytes = 64 << 10;
constexpr std::size_t shown_of_output = 500;

error waited_too_long() { return {errc::queue_timeout, "no JavaScript worker became free in time; try again later"}; }

// Whether the other end is open and has written nothing.
bool is_quiet(int socket)
{
    char unasked = 0;
    return ::recv(socket, &unasked, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

// The last output of a dead worker is for the log.
error unavailable() { return {errc::unavailable, "the JavaScript workers do not start"}; }

}  // namespace

struct worker_pool::worker {
    explicit worker(const asio::any_io_executor& executor) : socket{executor} {}

    asio::local::stream_protocol::socket socket;
    std::unique_ptr<async::stop_source> life;              // of the process; requesting it kills
    clock::time_point deadline{clock::time_point::max()};  // of the run under way
    std::uint64_t runs{0};
    bool is_ready{false};
    bool is_busy{false};
    client_key client{};  // while busy
    bool timed_out{false};
    std::string buffer;
};

// A request in line.
struct worker_pool::seat {
    explicit seat(const asio::any_io_executor& executor) : called{executor} {}

    async::event called;
    worker* got{nullptr};
    bool gave_way{false};
};

worker_pool::worker_pool(asio::any_io_executor executor, async::task_group& tasks, jail::jail& wall,
                         pool_settings settings, metrics::registry& counted)
    : executor_{std::move(executor)},
      tasks_{tasks},
      wall_{wall},
      settings_{std::move(settings)},
      starts_{counted.add_counter("sandboxd_js_worker_starts_total", "JavaScript workers started.")},
      deaths_{counted.add_counter("sandboxd_js_worker_deaths_total", "JavaScript workers that died by themselves.")},
      kills_{counted.add_counter("sandboxd_js_worker_kills_total",
                                 "JavaScript workers killed after a timeout or for a client that left.")},
      resets_{counted.add_counter("sandboxd_js_resets_total",
                                  "Sandboxes reset to the boot image, each before its answer.")},
      full_{counted.add_counter("sandboxd_js_refused_total", "JavaScript runs refused before they ran, by cause.",
                                "cause=\"queue_full\"")},
      timed_out_{counted.add_counter("sandboxd_js_refused_total", "", "cause=\"queue_timeout\"")},
      line_{settings_.max_waiting},
      closing_{executor_}
{
    counted.add_gauge("sandboxd_js_workers_idle", "JavaScript workers without a run, beyond the reserved ones.",
                      [this] { return static_cast<double>(idle_for_all()); });
    counted.add_gauge("sandboxd_js_waiting", "JavaScript runs that wait for a worker.",
                      [this] { return static_cast<double>(waiting()); });
}

worker_pool::~worker_pool() = default;

void worker_pool::start()
{
    for (std::size_t i = 0; i < settings_.workers + settings_.reserved_workers; ++i) {
        workers_.push_back(std::make_unique<worker>(executor_));
        tasks_.spawn("js worker", supervise(*workers_.back()));
    }
}

void worker_pool::close()
{
    closing_.set();
    for (const auto& one : workers_)
        if (one->life) one->life->request(errc::draining);
    for (const auto& [ticket, one] : waiting_) one->called.set();
}

jail::spec worker_pool::worker_spec(int inherited) const
{
    const auto slash = settings_.executable.rfind('/');
    const std::string name = settings_.executable.substr(slash + 1);
    const std::string inside = std::string{directory_inside} + "/" + name;
    jail::spec spec;
    spec.argv = {inside, "--worker-fd", std::to_string(socket_inside)};
    spec.mounts.push_back({.source = settings_.executable, .target = inside});
    spec.limits.memory_bytes = settings_.worker_memory_bytes;
    spec.limits.file_bytes = 1;
    spec.limits.tmp_bytes = 4'096;
    spec.limits.open_files = 16;
    spec.limits.processes = 4;
    spec.pass_fds.emplace_back(inherited, socket_inside);
    spec.own_filters = true;
    return spec;
}

// One worker's place: its process, then the next one.
asio::awaitable<void> worker_pool::supervise(worker& w)
{
    auto pause = first_pause;
    while (!closing_.is_set()) {
        int ends[2];
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
            last_failure_ = std::string{"socketpair: "} + std::strerror(errno);
            if (co_await closing_.wait_for(pause)) break;
            continue;
        }
        unique_fd theirs{ends[1]};
        w.socket = asio::local::stream_protocol::socket{executor_, asio::local::stream_protocol{}, ends[0]};
        w.life = std::make_unique<async::stop_source>();
        w.runs = 0;
        w.is_ready = false;
        w.timed_out = false;
        starts_.add();
        auto reader_done = std::make_shared<async::event>(executor_);
        tasks_.spawn("js worker's start", await_ready(reader_done, w));

        auto spec = worker_spec(theirs.get());
        const process::child_limits limits{.wall = for_ever, .output_bytes = 64 << 10};
        const auto ended = co_await wall_.run(std::move(spec), limits, *w.life);

        const bool was_ready = w.is_ready;
        // `internal` is give_up's: nobody asked for that end.
        const bool was_asked = w.life->requested() && w.life->cause() != errc::internal;
        w.is_ready = false;
        std::erase(idle_, &w);
        theirs.reset();
        // The reader sees the end of the stream, now that both ends of the other side are closed.
        error_code ignored;
        w.socket.shutdown(asio::local::stream_protocol::socket::shutdown_both, ignored);
        co_await reader_done->wait();
        while (w.is_busy) {  // the run under way finds the end by itself
            asio::steady_timer soon{executor_, std::chrono::milliseconds{1}};
            co_await soon.async_wait(asio::as_tuple(asio::use_awaitable));
        }
        w.socket.close(ignored);
        if (closing_.is_set()) break;
        if (was_asked && was_ready) continue;

        deaths_.add();
        last_failure_ =
            ended ? process::describe_end(ended->status) + ": " + (ended->err + ended->out).substr(0, shown_of_output)
                  : ended.error().message;
        log::error("a JavaScript worker died", {{"end", last_failure_}, {"was_ready", was_ready}});
        if (was_ready) {
            pause = first_pause;
            continue;
        }
        failing_ = true;
        if (!failure().empty())
            for (const auto& [ticket, one] : waiting_) one->called.set();
        if (co_await closing_.wait_for(pause)) break;
        pause = std::min(pause * 2, longest_pause);
    }
}

std::string worker_pool::failure() const
{
    if (std::ranges::any_of(workers_, [](const auto& one) { return one->is_ready; })) return {};
    if (failing_) return "the JavaScript workers do not start: " + last_failure_;
    return was_ready_ ? std::string{} : "the JavaScript workers have not started yet";
}

asio::awaitable<void> worker_pool::await_ready(std::shared_ptr<async::event> done, worker& w)
{
    char header[script::frame_header_bytes];
    const auto [ec, count] =
        co_await asio::async_read(w.socket, asio::buffer(header), asio::as_tuple(asio::use_awaitable));
    static_cast<void>(count);
    done->set();
    if (ec || script::frame_size({header, sizeof header}) != 0) co_return;  // supervise tells why
    w.is_ready = true;
    was_ready_ = true;
    failing_ = false;
    make_idle(w);
}

asio::awaitable<result<void>> worker_pool::ready(std::chrono::milliseconds patience)
{
    const auto until = clock::now() + patience;
    for (;;) {
        if (std::ranges::all_of(workers_, [](const auto& one) { return one->is_ready; })) co_return result<void>{};
        if (clock::now() >= until) {
            error late{errc::unavailable, "the JavaScript workers do not start: " +
                                              (last_failure_.empty() ? std::string{"no answer yet"} : last_failure_)};
            co_return late;
        }
        co_await closing_.wait_for(std::chrono::milliseconds{2});
        if (closing_.is_set()) co_return make_error(errc::draining);
    }
}

void worker_pool::make_idle(worker& w)
{
    w.deadline = clock::time_point::max();
    if (!w.is_ready || w.life->requested()) return;
    if (w.runs >= settings_.runs_a_worker) {
        w.life->request(errc::draining);  // supervise starts the next one
        return;
    }
    idle_.push_back(&w);
    serve_next();
}

std::size_t worker_pool::idle_for_all() const
{
    const auto ready =
        static_cast<std::size_t>(std::ranges::count_if(workers_, [](const auto& one) { return one->is_ready; }));
    const auto reserved = ready - std::min(ready, settings_.workers);
    return idle_.size() - std::min(idle_.size(), reserved);
}

bool worker_pool::may_take(const client_key& client) const
{
    return idle_.size() > (line_.running(client) == 0 ? 0 : settings_.reserved_workers);
}

// The client has a running job more in `line_` by now.
worker_pool::worker* worker_pool::give(const client_key& client)
{
    worker* const given = idle_.back();
    idle_.pop_back();
    given->is_busy = true;
    given->client = client;
    return given;
}

void worker_pool::serve_next()
{
    for (auto next = line_.next(); next && may_take(next->client); next = line_.next()) {
        const auto place = waiting_.find(next->whose);
        seat& served = *place->second;
        waiting_.erase(place);
        line_.take(*next);
        served.got = give(next->client);
        served.called.set();
    }
}

// The worker is no longer busy. Its client may now have nothing running, and take a reserved worker.
void worker_pool::end_run(worker& w)
{
    w.is_busy = false;
    line_.end(w.client);
    if (!closing_.is_set()) serve_next();
}

// Runs as long as somebody is busy.
asio::awaitable<void> worker_pool::watch()
{
    watching_ = true;
    while (busy_ > 0 && !co_await closing_.wait_for(watch_interval)) {
        const auto now = clock::now();
        for (const auto& one : workers_) {
            if (!one->is_busy || one->deadline > now) continue;
            one->deadline = clock::time_point::max();
            one->timed_out = true;
            kills_.add();
            one->life->request(errc::timeout);
        }
    }
    watching_ = false;
}

// Empty when the worker died, or wrote what it should not have.
asio::awaitable<std::optional<script::run_answer>> worker_pool::exchange(worker& w, const script::run_request& request,
                                                                         const std::string& frame, std::uint64_t number)
{
    const auto [write_failed, written] =
        co_await asio::async_write(w.socket, asio::buffer(frame), asio::as_tuple(asio::use_awaitable));
    static_cast<void>(written);
    if (write_failed) co_return std::nullopt;
    const auto nonsense = [](std::string_view why) {
        log::error("a JavaScript worker violated the protocol", {{"error", why}});
        return std::nullopt;
    };
    w.buffer.resize(first_read_bytes);
    std::size_t have = 0;
    std::size_t need = script::frame_header_bytes;
    bool knows_size = false;
    while (have < need) {
        // Do not allocate what a frame announces before it arrives.
        if (have == w.buffer.size()) w.buffer.resize(std::min(need, 2 * have));
        const auto [ec, count] = co_await w.socket.async_read_some(
            asio::buffer(w.buffer.data() + have, w.buffer.size() - have), asio::as_tuple(asio::use_awaitable));
        if (ec) co_return std::nullopt;
        have += count;
        if (knows_size || have < script::frame_header_bytes) continue;
        const std::uint32_t size = script::frame_size(w.buffer);
        if (size > script::max_frame_bytes || size > script::max_answer_bytes(request))
            co_return nonsense("an answer that is too long");
        need = script::frame_header_bytes + std::size_t{size};
        knows_size = true;
    }
    if (have > need) co_return nonsense("more than an answer");
    auto answer = script::decode_answer(
        std::string_view{w.buffer}.substr(script::frame_header_bytes, need - script::frame_header_bytes));
    if (w.buffer.size() > first_read_bytes) w.buffer = {};
    if (!answer) co_return nonsense(answer.error().message);
    if (answer->number != number) co_return nonsense("an answer to another request");
    if (!keeps_to(answer->message, request)) co_return nonsense("more than the request allows");
    co_return std::move(answer->message);
}

// Ends this worker, whatever the reason.
void worker_pool::give_up(worker& w)
{
    w.deadline = clock::time_point::max();
    w.life->request(errc::internal);
    end_run(w);
}

// The next free worker, which is then busy.
asio::awaitable<result<worker_pool::worker*>> worker_pool::take_worker(client_key client, async::stop_source& stop)
{
    const bool at_once = may_take(client) && line_.would_be_next(client);
    if (at_once) {
        line_.begin(client);
        co_return give(client);
    }
    if (failing_ && !failure().empty()) co_return unavailable();
    const auto place = line_.join(client);
    if (!place) {
        full_.add();
        co_return make_error(errc::queue_full);
    }
    if (place->gave_way) {
        const auto other = waiting_.find(*place->gave_way);
        other->second->gave_way = true;
        other->second->called.set();
        waiting_.erase(other);
    }
    seat mine{executor_};
    waiting_.emplace(place->mine, &mine);
    {
        const async::stop_callback on_stop{stop, [&mine](errc) { mine.called.set(); }};
        co_await mine.called.wait_for(settings_.queue_timeout);
    }
    waiting_.erase(place->mine);
    line_.leave(place->mine);
    worker* w = mine.got;
    if (w && stop.requested()) {
        end_run(*w);
        make_idle(*w);
        w = nullptr;
    }
    if (w) co_return w;
    if (stop.requested()) co_return make_error(stop.cause());
    if (closing_.is_set()) co_return make_error(errc::draining);
    if (mine.gave_way) {
        full_.add();
        co_return make_error(errc::queue_full);
    }
    if (mine.called.is_set()) co_return unavailable();
    timed_out_.add();
    co_return waited_too_long();
}

asio::awaitable<result<script::run_answer>> worker_pool::run(const script::run_request& request, client_key client,
                                                             async::stop_source& stop, std::function<void()> begun)
{
    if (closing_.is_set()) co_return make_error(errc::draining);
    if (stop.requested()) co_return make_error(stop.cause());
    const std::uint64_t number = ++requests_;
    const std::string frame = encode_frame(request, number);
    if (frame.size() > script::max_frame_bytes) co_return make_error(errc::payload_too_large);

    worker* w = nullptr;
    while (!w) {
        const auto taken = co_await take_worker(client, stop);
        if (!taken) co_return taken.error();
        // A worker that died while idle, or sent something unexpected, must not get the request.
        if (is_quiet((*taken)->socket.native_handle()))
            w = *taken;
        else
            give_up(**taken);
    }
    if (begun) begun();

    const auto began = clock::now();
    const auto& limits = request.limits;
    const auto over = request.resumed ? request.resumed->wall : std::chrono::microseconds{0};
    w->deadline = limits.wall.count() > 0
                      ? began + std::max(limits.wall - over, std::chrono::microseconds{0}) + settings_.patience
                      : clock::time_point::max();
    ++busy_;
    if (!watching_) {
        watching_ = true;
        tasks_.spawn("js watchdog", watch());
    }
    std::optional<script::run_answer> answer;
    try {
        const async::stop_callback on_stop{stop, [this, w](errc cause) {
                                               kills_.add();
                                               w->life->request(cause);
                                           }};
        answer = co_await exchange(*w, request, frame, number);
    } catch (const std::bad_alloc&) {
        log::error("no memory for the answer of a JavaScript worker", {});
    }
    --busy_;
    ++w->runs;
    if (answer) {
        resets_.add();
        end_run(*w);
        make_idle(*w);
        co_return std::move(*answer);
    }
    const bool timed_out = w->timed_out;
    give_up(*w);
    if (stop.requested()) co_return make_error(stop.cause());
    if (closing_.is_set()) co_return make_error(errc::draining);
    script::run_answer lost;
    lost.status = timed_out ? script::run_status::timeout : script::run_status::fault;
    lost.wall = std::chrono::duration_cast<std::chrono::microseconds>(clock::now() - began);
    co_return lost;
}

}  // namespace sandboxd::js
