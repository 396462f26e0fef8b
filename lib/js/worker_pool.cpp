#include "js/worker_pool.hpp"

#include "base/log.hpp"
#include "base/unique_fd.hpp"
#include "script/frame.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/local/seq_packet_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

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
using protocol = asio::local::seq_packet_protocol;

constexpr int socket_inside = 9;  // below lie the descriptors that bubblewrap itself is given
constexpr std::string_view directory_inside = "/worker";
constexpr std::chrono::hours for_ever{24 * 365 * 10};
constexpr std::chrono::milliseconds watch_interval{50};
// A worker that cannot start is retried, with growing pauses.
constexpr std::chrono::milliseconds first_pause{100};
constexpr std::chrono::milliseconds longest_pause{5'000};
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

    protocol::socket socket;
    unique_fd theirs;                                      // its own end
    std::unique_ptr<async::stop_source> life;              // of the process; requesting it kills
    clock::time_point deadline{clock::time_point::max()};  // of the run under way
    std::uint64_t runs{0};
    bool is_ready{false};
    bool is_busy{false};
    client_key client{};                  // while busy
    bool has_request{false};              // all of the one that runs is sent
    clock::time_point since;              // it runs, or is on its way
    std::optional<client_key> quick_for;  // whose latest run was quick, if it was the latest one here
    seat* lent{nullptr};
    bool timed_out{false};
    std::string buffer;
};

// A request that waits:
//
//     in line         in waiting_ and line_; perhaps lent to a worker, too
//     begun           with a worker that has read it and still answers the one before; counts as running
//     served          `got` is its worker, which has the request already or is to get it; counts as running
//     gave way        in line no more
struct worker_pool::seat {
    seat(const asio::any_io_executor& executor, admission::fair_line::seat its_place, std::string_view its_frame)
        : called{executor}, place{its_place}, frame{its_frame}
    {
    }

    async::event called;
    admission::fair_line::seat place;
    std::string_view frame;
    bool counts_as_running{false};
    worker* got{nullptr};
    bool gave_way{false};
    worker* lent_to{nullptr};
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
      went_on_{counted.add_counter("sandboxd_js_requests_ahead_total",
                                   "Requests that a JavaScript worker got before it had answered the one before, by "
                                   "what became of them.",
                                   "end=\"run\"")},
      taken_back_{counted.add_counter("sandboxd_js_requests_ahead_total", "", "end=\"taken_back\"")},
      full_{counted.add_counter("sandboxd_js_refused_total", "JavaScript runs refused before they ran, by cause.",
                                "cause=\"queue_full\"")},
      timed_out_{counted.add_counter("sandboxd_js_refused_total", "", "cause=\"queue_timeout\"")},
      line_{settings_.max_waiting},
      closing_{executor_}
{
    counted.add_gauge("sandboxd_js_workers_idle", "JavaScript workers without a run, beyond the reserved ones.",
                      [this] { return static_cast<double>(idle_for_all()); });
    counted.add_gauge("sandboxd_js_requests_ahead",
                      "Requests that wait in a JavaScript worker for the run before them.", [this] {
                          return static_cast<double>(
                              std::ranges::count_if(workers_, [](const auto& one) { return one->lent != nullptr; }));
                      });
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
        if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
            last_failure_ = std::string{"socketpair: "} + std::strerror(errno);
            if (co_await closing_.wait_for(pause)) break;
            continue;
        }
        w.theirs.reset(ends[1]);
        // Whatever the machine's default: a message fits, and another one behind it.
        const int room = 2 * static_cast<int>(script::max_message_bytes);
        for (const int end : ends) ::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
        w.socket = protocol::socket{executor_, protocol{}, ends[0]};
        w.life = std::make_unique<async::stop_source>();
        w.runs = 0;
        w.is_ready = false;
        w.timed_out = false;
        w.quick_for.reset();
        starts_.add();
        auto reader_done = std::make_shared<async::event>(executor_);
        tasks_.spawn("js worker's start", await_ready(reader_done, w));

        auto spec = worker_spec(w.theirs.get());
        const process::child_limits limits{.wall = for_ever, .output_bytes = 64 << 10};
        const auto ended = co_await wall_.run(std::move(spec), limits, *w.life);

        const bool was_ready = w.is_ready;
        // `internal` is give_up's: nobody asked for that end.
        const bool was_asked = w.life->requested() && w.life->cause() != errc::internal;
        w.is_ready = false;
        std::erase(idle_, &w);
        w.theirs.reset();
        // The reader sees the end, now that both ends of the other side are closed.
        error_code ignored;
        w.socket.shutdown(protocol::socket::shutdown_both, ignored);
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
    asio::socket_base::message_flags flags = 0;
    const auto [ec, count] =
        co_await w.socket.async_receive(asio::buffer(header), flags, asio::as_tuple(asio::use_awaitable));
    done->set();
    if (ec || count != sizeof header || (flags & MSG_TRUNC) != 0 || script::frame_size({header, sizeof header}) != 0)
        co_return;  // supervise tells why
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
    assert(!w.lent);
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
    given->has_request = false;
    given->since = clock::now();
    recall(client);
    return given;
}

void worker_pool::count_as_running(seat& one)
{
    waiting_.erase(one.place.whose);
    line_.take(one.place);
    one.counts_as_running = true;
}

void worker_pool::serve_next()
{
    for (auto next = line_.next(); next && may_take(next->client); next = line_.next()) {
        seat& served = *waiting_.at(next->whose);
        if (served.lent_to && !take_back(served)) continue;
        count_as_running(served);
        served.got = give(next->client);
        served.called.set();
    }
}

// As if it were idle already: then its client would be served, and it would be the one.
bool worker_pool::may_be_lent_to(const worker& w) const
{
    return !closing_.is_set() && !w.lent && w.is_busy && w.has_request && w.quick_for == w.client &&
           w.runs + 1 < settings_.runs_a_worker && idle_.size() >= settings_.reserved_workers &&
           line_.has_only(w.client);
}

void worker_pool::lend(worker& w)
{
    // It is to have read the request that it runs: then nothing but the lent one is ever in its socket.
    if (!may_be_lent_to(w) || !is_quiet(w.theirs.get())) return;
    const auto now = clock::now();
    for (const auto& [ticket, waiting] : waiting_) {
        seat& next = *waiting;
        if (next.frame.size() > script::max_message_bytes) return;
        if (next.lent_to) {
            // It is soon run there; or that worker is slow, and would be overtaken.
            if (now - next.lent_to->since <= settings_.quick_run) continue;
            if (!take_back(next)) return;
        }
        const auto sent =
            ::send(w.socket.native_handle(), next.frame.data(), next.frame.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent != static_cast<ssize_t>(next.frame.size())) return;
        next.lent_to = &w;
        w.lent = &next;
        return;
    }
}

bool worker_pool::take_back(seat& lent)
{
    char some = 0;
    if (::recv(lent.lent_to->theirs.get(), &some, sizeof some, MSG_DONTWAIT) <= 0) {
        count_as_running(lent);
        return false;
    }
    lent.lent_to->lent = nullptr;
    lent.lent_to = nullptr;
    taken_back_.add();
    return true;
}

void worker_pool::recall(const client_key& newcomer)
{
    for (const auto& one : workers_) {
        if (!one->lent || one->lent->counts_as_running) continue;
        if (one->client != newcomer || idle_.size() < settings_.reserved_workers) take_back(*one->lent);
    }
}

void worker_pool::release(worker& w)
{
    if (!w.lent) return;
    seat& lent = *std::exchange(w.lent, nullptr);
    lent.lent_to = nullptr;
    if (lent.counts_as_running) lent.called.set();
}

// The worker is no longer busy. Its client may now have nothing running, and take a reserved worker.
void worker_pool::end_run(worker& w)
{
    w.is_busy = false;
    line_.end(w.client);
    if (!closing_.is_set()) serve_next();
}

// The worker may have the next request already; then that one runs.
void worker_pool::go_on(worker& w)
{
    if (!w.lent || !w.is_ready || w.life->requested()) {
        release(w);
        end_run(w);
        make_idle(w);
        return;
    }
    seat& next = *std::exchange(w.lent, nullptr);
    w.deadline = clock::time_point::max();
    w.since = clock::now();
    next.lent_to = nullptr;
    if (!next.counts_as_running) count_as_running(next);
    line_.end(w.client);
    went_on_.add();
    next.got = &w;
    next.called.set();
    lend(w);
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
                                                                         std::string_view frame, std::uint64_t number)
{
    for (auto left = frame; !left.empty();) {
        const auto piece = left.substr(0, script::max_message_bytes);
        const auto [failed, count] = co_await w.socket.async_send(
            asio::buffer(piece), asio::socket_base::message_flags{0}, asio::as_tuple(asio::use_awaitable));
        if (failed) co_return std::nullopt;
        left.remove_prefix(count);
    }
    w.has_request = true;
    const auto nonsense = [](std::string_view why) {
        log::error("a JavaScript worker violated the protocol", {{"error", why}});
        return std::nullopt;
    };
    std::size_t have = 0;
    std::size_t need = script::frame_header_bytes;
    while (have < need) {
        // Do not allocate what a frame announces before it arrives.
        if (w.buffer.size() < have + script::max_message_bytes) w.buffer.resize(have + script::max_message_bytes);
        asio::socket_base::message_flags flags = 0;
        const auto [ec, count] =
            co_await w.socket.async_receive(asio::buffer(w.buffer.data() + have, script::max_message_bytes), flags,
                                            asio::as_tuple(asio::use_awaitable));
        if (ec || count == 0) co_return std::nullopt;
        if ((flags & MSG_TRUNC) != 0) co_return nonsense("a message that is too long");
        const bool is_first = have == 0;
        have += count;
        if (!is_first) continue;
        if (have < script::frame_header_bytes) co_return nonsense("a message that is too short");
        const std::uint32_t size = script::frame_size(w.buffer);
        if (size > script::max_frame_bytes || size > script::max_answer_bytes(request))
            co_return nonsense("an answer that is too long");
        need += size;
    }
    if (have > need) co_return nonsense("more than an answer");
    auto answer = script::decode_answer(
        std::string_view{w.buffer}.substr(script::frame_header_bytes, need - script::frame_header_bytes));
    if (w.buffer.size() > script::max_message_bytes) w.buffer = {};
    if (!answer) co_return nonsense(answer.error().message);
    if (answer->number != number) co_return nonsense("an answer to another request");
    if (!keeps_to(answer->message, request)) co_return nonsense("more than the request allows");
    co_return std::move(answer->message);
}

// Ends this worker, whatever the reason. What it was lent has not begun: only an answer says so.
void worker_pool::give_up(worker& w)
{
    w.deadline = clock::time_point::max();
    w.life->request(errc::internal);
    release(w);
    end_run(w);
}

asio::awaitable<std::optional<result<worker_pool::taken>>> worker_pool::wait_in_line(client_key client,
                                                                                     async::stop_source& stop,
                                                                                     std::string_view frame,
                                                                                     clock::time_point until)
{
    recall(client);
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
    seat mine{executor_, {place->mine, client}, frame};
    // Nothing leads to a seat that has gone, also where there is no memory to wait.
    struct at_end {
        ~at_end()
        {
            if (mine.lent_to && (mine.counts_as_running || !pool.take_back(mine))) {
                mine.lent_to->life->request(errc::internal);
                mine.lent_to->lent = nullptr;
                pool.line_.end(mine.place.client);
            }
            pool.waiting_.erase(mine.place.whose);
            pool.line_.leave(mine.place.whose);
        }
        worker_pool& pool;
        seat& mine;
    } const leaves{*this, mine};
    waiting_.emplace(place->mine, &mine);
    for (const auto& one : workers_) lend(*one);
    {
        const async::stop_callback on_stop{stop, [&mine](errc) { mine.called.set(); }};
        co_await mine.called.wait_for(until - clock::now());
    }
    if (mine.lent_to && !mine.counts_as_running) take_back(mine);
    // It has begun: the answer before it is on its way, or the worker's end.
    while (mine.lent_to) {
        asio::steady_timer soon{executor_, std::chrono::milliseconds{1}};
        co_await soon.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    if (mine.counts_as_running && !mine.got) {
        // Its worker died, and it was not known to run.
        line_.end(client);
        if (!closing_.is_set()) serve_next();
        co_return std::nullopt;
    }
    if (mine.got && stop.requested()) {
        if (mine.got->has_request) {
            kills_.add();
            mine.got->life->request(stop.cause());
            give_up(*mine.got);
        } else {
            end_run(*mine.got);
            make_idle(*mine.got);
        }
        co_return make_error(stop.cause());
    }
    if (mine.got) co_return taken{mine.got, mine.got->has_request};
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

// The next free worker, which is then busy.
asio::awaitable<result<worker_pool::taken>> worker_pool::take_worker(client_key client, async::stop_source& stop,
                                                                     std::string_view frame)
{
    const auto until = clock::now() + settings_.queue_timeout;
    for (;;) {
        if (stop.requested()) co_return make_error(stop.cause());
        if (closing_.is_set()) co_return make_error(errc::draining);
        if (may_take(client) && line_.would_be_next(client)) {
            line_.begin(client);
            co_return taken{give(client), false};
        }
        if (failing_ && !failure().empty()) co_return unavailable();
        auto got = co_await wait_in_line(client, stop, frame, until);
        if (got) co_return std::move(*got);
    }
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
    bool has_request = false;
    while (!w) {
        const auto got = co_await take_worker(client, stop, frame);
        if (!got) co_return got.error();
        has_request = got->has_request;
        // A worker that died while idle, or sent something unexpected, must not get the request.
        if (has_request || is_quiet(got->who->socket.native_handle()))
            w = got->who;
        else
            give_up(*got->who);
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
        answer = co_await exchange(*w, request, has_request ? std::string_view{} : frame, number);
    } catch (const std::bad_alloc&) {
        log::error("no memory for the answer of a JavaScript worker", {});
    }
    --busy_;
    ++w->runs;
    if (answer) {
        resets_.add();
        w->quick_for = answer->wall <= settings_.quick_run ? std::optional{client} : std::nullopt;
        go_on(*w);
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
