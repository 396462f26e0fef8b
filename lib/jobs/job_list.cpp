#include "jobs/job_list.hpp"

#include "base/digest.hpp"
#include "http/event_stream.hpp"

#include <algorithm>
#include <exception>
#include <limits>
#include <utility>

namespace sandboxd::jobs {

namespace asio = boost::asio;

namespace {

constexpr admission::client_shares::share one_job{.count = 1, .bytes = 0};
constexpr std::string_view refused_help = "Jobs refused, and readers of their events, by cause.";

}  // namespace

job::job(job_list& in, std::string id, const client_key& client, std::string path, std::string owner)
    : in_{in},
      id_{std::move(id)},
      client_{client},
      path_{std::move(path)},
      owner_{std::move(owner)},
      over_{in.executor_}
{
}

job::~job() { leave(); }

void job::count_in(admission::client_shares& all)
{
    counted_in_ = &all;
    all.add(client_, one_job);
}

void job::leave() noexcept
{
    if (auto* const all = std::exchange(counted_in_, nullptr)) all->remove(client_, {.count = 1, .bytes = held_});
}

bool job::has_room(std::size_t bytes) const
{
    if (!counted_in_ || !counted_in_->has_room({.count = 0, .bytes = bytes})) return false;
    // Of what is not listed nothing can be forgotten, so that no client may have all of it.
    return !is_unlisted() || counted_in_->of(client_).bytes + bytes <= in_.settings_.max_bytes / 2;
}

bool job::is_unlisted() const noexcept { return counted_in_ == &in_.unlisted_; }

// A job has no more than an eighth of what all have.
bool job::take(std::size_t bytes)
{
    const auto most = in_.settings_.max_bytes;
    if (bytes > most / 8 || held_ > most / 8 - bytes || !has_room(bytes)) return false;
    hold(bytes);
    return true;
}

void job::hold(std::size_t bytes)
{
    held_ += bytes;
    if (counted_in_) counted_in_->add(client_, {.count = 0, .bytes = bytes});
}

void job::give(std::size_t bytes) noexcept
{
    held_ -= bytes;
    if (counted_in_) counted_in_->remove(client_, {.count = 0, .bytes = bytes});
}

void job::tell(std::string_view name, std::string_view data)
{
    phase_ = name;
    std::string text;
    http::append_event(text, std::to_string(events_.size() + 1), name, data);
    if (!take(text.size() + sizeof(std::string))) return;
    events_.push_back(std::move(text));
    wake();
}

void job::wake()
{
    for (auto* one : waiting_) one->set();
}

asio::awaitable<bool> job::news(std::size_t known, std::chrono::steady_clock::duration patience,
                                async::stop_source& stop)
{
    if (events_.size() > known || is_over() || stop.requested()) co_return true;
    async::event woken{in_.executor_};
    const auto mine = waiting_.insert(waiting_.end(), &woken);
    bool told = false;
    {
        const async::stop_callback on_stop{stop, [&woken](errc) { woken.set(); }};
        told = co_await woken.wait_for(patience);
    }
    waiting_.erase(mine);
    co_return told;
}

job_list::job_list(asio::any_io_executor executor, async::task_group& tasks, job_list_settings how,
                   metrics::registry& metrics)
    : executor_{std::move(executor)},
      tasks_{tasks},
      settings_{how},
      bytes_of_{{.count = std::numeric_limits<std::size_t>::max(), .bytes = how.max_bytes}},
      unlisted_{{.count = std::numeric_limits<std::size_t>::max(), .bytes = how.max_bytes}},
      shares_{{.count = how.max_jobs, .bytes = 0}},
      started_{metrics.add_counter("sandboxd_async_jobs_started_total", "Jobs started (Prefer: respond-async).")},
      full_{metrics.add_counter("sandboxd_async_jobs_refused_total", refused_help, "cause=\"jobs\"")},
      of_client_{metrics.add_counter("sandboxd_async_jobs_refused_total", "", "cause=\"jobs_of_client\"")},
      no_bytes_{metrics.add_counter("sandboxd_async_jobs_refused_total", "", "cause=\"bytes\"")},
      followers_{metrics.add_counter("sandboxd_async_jobs_refused_total", "", "cause=\"followers\"")},
      too_long_{metrics.add_counter("sandboxd_async_jobs_refused_total", "", "cause=\"answer\"")},
      evicted_{metrics.add_counter("sandboxd_async_jobs_evicted_total",
                                   "Answers forgotten before their time, to make room for others.")}
{
    metrics.add_gauge("sandboxd_async_jobs", "Jobs under way or kept.",
                      [this] { return static_cast<double>(jobs_.size()); });
    metrics.add_gauge("sandboxd_async_jobs_bytes", "Bytes of their requests, events and answers.",
                      [this] { return static_cast<double>(bytes()); });
    metrics.add_gauge("sandboxd_async_jobs_unlisted_bytes",
                      "Bytes of events and answers of requests that are told their progress.",
                      [this] { return static_cast<double>(unlisted_bytes()); });
}

result<std::shared_ptr<job>> job_list::start(const client_key& client, std::string path, std::size_t request_bytes,
                                             work run_it, std::string owner)
{
    if (draining_) return make_error(errc::draining);
    sweep();
    if (shares_.of(client).count >= settings_.max_jobs_per_client && !make_room_of(client)) {
        of_client_.add();
        return error{errc::too_many_requests,
                     "this client has too many jobs (asyncJobs.maxJobsPerClient); DELETE those that are done with"};
    }
    if (jobs_.size() >= settings_.max_jobs && !make_room(client) && !make_room_of(client)) {
        full_.add();
        return error{errc::queue_full, "there are too many jobs (asyncJobs.maxJobs); try again later"};
    }
    auto made = std::make_shared<job>(*this, random_hex(16), client, std::move(path), std::move(owner));
    made->count_in(bytes_of_);
    while (!made->take(request_bytes)) {
        if (request_bytes > settings_.max_bytes / 8 || !make_room_for_bytes(client, request_bytes)) {
            no_bytes_.add();
            return error{errc::queue_full, "there is no room for this job's request (asyncJobs.maxTotalMB)"};
        }
    }
    made->listed_ = true;
    jobs_.emplace(made->id(), made);
    order_.push_back(made);
    shares_.add(client, one_job);
    started_.add();
    running_.push_back(made.get());
    tasks_.spawn("job", run(made, request_bytes, std::move(run_it)));
    return made;
}

std::shared_ptr<job> job_list::start_unlisted(const client_key& client, std::string path, work run_it)
{
    auto made = std::make_shared<job>(*this, std::string{}, client, std::move(path));
    made->count_in(unlisted_);
    running_.push_back(made.get());
    tasks_.spawn("job", run(made, 0, std::move(run_it)));
    return made;
}

asio::awaitable<void> job_list::run(std::shared_ptr<job> which, std::size_t request_bytes, work what)
{
    std::exception_ptr thrown;
    http::response answer;
    try {
        answer = co_await what(*which);
    } catch (...) {
        thrown = std::current_exception();
        answer.status = 500;
    }
    running_.remove(which.get());
    which->give(request_bytes);
    // It is told to any number of readers, and copied for none.
    answer.share_body();
    which->hold(answer.text().size());
    which->answer_ = std::move(answer);
    which->ended_ = job::clock::now();
    which->phase_ = "done";
    which->over_.set();
    which->wake();
    // Over what all may have, the oldest answers of the client that has the most bytes go.
    while (which->listed_ && bytes_of_.all().bytes > settings_.max_bytes) {
        if (make_room_for_bytes(which->client_, 0)) continue;
        evicted_.add();
        forget(oldest_of(which->client_));  // of his own: at the latest this one
    }
    if (thrown) std::rethrow_exception(thrown);
}

std::shared_ptr<job> job_list::find(std::string_view id)
{
    sweep();
    const auto found = jobs_.find(id);
    return found == jobs_.end() ? nullptr : found->second;
}

asio::awaitable<void> job_list::remove(std::shared_ptr<job> which)
{
    which->stop().request(errc::disconnected);
    co_await which->ended();
    forget(which);
}

bool job_list::admits_answer(std::uint64_t bytes)
{
    if (bytes <= settings_.max_bytes / 4) return true;
    too_long_.add();
    return false;
}

bool job_list::has_room_for_answer(const job& of, std::uint64_t bytes)
{
    if (!of.is_unlisted() || of.has_room(bytes)) return true;
    no_bytes_.add();
    return false;
}

bool job_list::admits_follower(const job& of)
{
    if (of.followers() < settings_.max_followers) return true;
    followers_.add();
    return false;
}

void job_list::forget(const std::shared_ptr<job>& which)
{
    // `which` may be one of the references that go.
    const auto kept = which;  // NOLINT(performance-unnecessary-copy-initialization)
    if (!std::exchange(kept->listed_, false)) return;
    // Who reads its answer now keeps it for no longer than its connection lasts.
    kept->leave();
    jobs_.erase(kept->id());
    order_.remove(kept);
    shares_.remove(kept->client_, one_job);
}

// The oldest one that is over; null: there is none.
std::shared_ptr<job> job_list::oldest_of(const client_key& client) const
{
    const auto found =
        std::ranges::find_if(order_, [&client](const auto& one) { return one->ended_ && one->client_ == client; });
    return found == order_.end() ? nullptr : *found;
}

bool job_list::make_room_in(const admission::client_shares& shares, const client_key& client,
                            admission::client_shares::share more)
{
    const auto loser = shares.gives_way(client, more, admission::client_shares::among_equals::who_was_there,
                                        [this](const client_key& whose) { return oldest_of(whose) != nullptr; });
    if (!loser) return false;
    evicted_.add();
    forget(oldest_of(*loser));
    return true;
}

bool job_list::make_room(const client_key& client) { return make_room_in(shares_, client, one_job); }

bool job_list::make_room_for_bytes(const client_key& client, std::size_t more)
{
    return make_room_in(bytes_of_, client, {.count = 0, .bytes = more});
}

bool job_list::make_room_of(const client_key& client)
{
    const auto old = std::ranges::find_if(
        order_, [&client](const auto& one) { return one->ended_ && one->told_ && one->client_ == client; });
    if (old == order_.end()) return false;
    forget(*old);
    return true;
}

void job_list::sweep(job::clock::time_point now)
{
    for (auto at = order_.begin(); at != order_.end();) {
        const auto one = *at++;
        if (one->ended_ && now - *one->ended_ >= settings_.ttl) forget(one);
    }
}

void job_list::drain()
{
    draining_ = true;
    const auto running = running_;
    for (auto* one : running)
        if (one->listed_ && one->followers() == 0) one->stop().request(errc::draining);
}

void job_list::stop(errc cause)
{
    draining_ = true;
    const auto running = running_;
    for (auto* one : running) one->stop().request(cause);
}

}  // namespace sandboxd::jobs
