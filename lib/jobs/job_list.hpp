// Requests that are answered later: work that lasts longer than its connection may (`Prefer: respond-async`, RFC 7240
// 4.1), or whose progress is told as events.
//
// A job is its work, the events that tell how far it has come, and its answer, which is kept for a while. Its id is
// random (128 bits) and all that is needed to ask for it. All is bounded: jobs, jobs of one client, bytes of requests,
// events and answers, who follows one, and the time that an answer is kept. Where there are too many bytes, the client
// that has the most loses its oldest answer, so that nobody's large answers push out what others have. What belongs to
// a request under way (start_unlisted) counts apart, up to the same bound, so that slow readers take nothing from those
// whose answers are kept.
#pragma once

#include "admission/client_shares.hpp"
#include "async/event.hpp"
#include "async/stop.hpp"
#include "async/task_group.hpp"
#include "base/client_key.hpp"
#include "base/errc.hpp"
#include "base/metrics.hpp"
#include "http/message.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::jobs {

struct job_list_settings {
    std::chrono::seconds ttl{600};             // asyncJobs.ttlSecs
    std::size_t max_jobs{128};                 // asyncJobs.maxJobs
    std::size_t max_jobs_per_client{32};       // asyncJobs.maxJobsPerClient
    std::size_t max_bytes{64u * 1024 * 1024};  // asyncJobs.maxTotalMB
    std::size_t max_followers{8};              // asyncJobs.maxFollowersPerJob
};

class job_list;

class job {
public:
    using clock = std::chrono::steady_clock;

    job(job_list& in, std::string id, const client_key& client, std::string path, std::string owner = {});
    ~job();
    job(const job&) = delete;
    job& operator=(const job&) = delete;

    const std::string& id() const noexcept { return id_; }
    const std::string& path() const noexcept { return path_; }    // of its request
    const std::string& owner() const noexcept { return owner_; }  // the tenant; empty: nobody needs a key
    std::chrono::system_clock::time_point created() const noexcept { return created_; }
    async::stop_source& stop() noexcept { return stop_; }

    // An event, as the stream tells it. Dropped when there is no room for it: the answer has it all.
    void tell(std::string_view name, std::string_view data);
    // The name of the last one; "queued" before the first.
    std::string_view phase() const noexcept { return phase_; }
    // The events so far, each in the form of a stream, the first with the id 1.
    const std::vector<std::string>& events() const noexcept { return events_; }

    // Somebody has seen the answer: it may be forgotten first.
    void mark_told() noexcept { told_ = true; }

    // Null until the end.
    const http::response* answer() const noexcept { return answer_ ? &*answer_ : nullptr; }
    bool is_over() const noexcept { return over_.is_set(); }

    // Waits for an event behind the first `known` ones, or the end. False when there is none after `patience`.
    boost::asio::awaitable<bool> news(std::size_t known, std::chrono::steady_clock::duration patience,
                                      async::stop_source& stop);
    boost::asio::awaitable<void> ended() { return over_.wait(); }

    // One who follows its events.
    class follower {
    public:
        explicit follower(std::shared_ptr<job> of) : of_{std::move(of)} { ++of_->followers_; }
        ~follower() { --of_->followers_; }
        follower(const follower&) = delete;
        follower& operator=(const follower&) = delete;

    private:
        std::shared_ptr<job> of_;
    };
    std::size_t followers() const noexcept { return followers_; }

private:
    friend class job_list;
    void count_in(admission::client_shares& all);
    void leave() noexcept;
    bool is_unlisted() const noexcept;
    bool has_room(std::size_t bytes) const;
    bool take(std::size_t bytes);
    void hold(std::size_t bytes);
    void give(std::size_t bytes) noexcept;
    void wake();

    job_list& in_;
    std::string id_;
    client_key client_;
    std::string path_;
    std::string owner_;
    std::chrono::system_clock::time_point created_{std::chrono::system_clock::now()};
    std::optional<clock::time_point> ended_;
    async::stop_source stop_;
    async::event over_;
    std::vector<std::string> events_;
    std::string_view phase_{"queued"};
    std::optional<http::response> answer_;
    std::list<async::event*> waiting_;
    admission::client_shares* counted_in_{nullptr};  // null: nowhere any more
    std::size_t held_{0};
    std::size_t followers_{0};
    bool listed_{false};
    bool told_{false};
};

class job_list {
public:
    // The work of a job; it ends early when `stop` of the job is requested.
    using work = std::function<boost::asio::awaitable<http::response>(job&)>;

    // `tasks` runs the jobs and must outlive them.
    job_list(boost::asio::any_io_executor executor, async::task_group& tasks, job_list_settings how,
             metrics::registry& metrics);

    // Starts a job that can be asked for by its id. `request_bytes` are those that the work holds. Errors: queue_full,
    // too_many_requests, draining.
    result<std::shared_ptr<job>> start(const client_key& client, std::string path, std::size_t request_bytes, work run,
                                       std::string owner = {});
    // One that only its caller knows: it is not in the list, and forgotten when the caller forgets it.
    std::shared_ptr<job> start_unlisted(const client_key& client, std::string path, work run);

    bool enabled() const noexcept { return settings_.max_jobs > 0; }
    std::shared_ptr<job> find(std::string_view id);
    // Ends it, waits until its work has answered, and forgets it.
    boost::asio::awaitable<void> remove(std::shared_ptr<job> which);
    bool admits_follower(const job& of);
    // Whether an answer of so many bytes may be a job's: a quarter of what all have. Each handler has bounds of its
    // own; this one is there for what they let through.
    bool admits_answer(std::uint64_t bytes);
    // Whether one of a job that is not listed has room among the others; those of listed jobs make room for themselves.
    bool has_room_for_answer(const job& of, std::uint64_t bytes);

    // Forgets answers that are older than the TTL.
    void sweep(job::clock::time_point now = job::clock::now());
    // From now on no job is started; those that nobody follows end at once, as nobody can ask for them any more.
    void drain();
    // Ends all of them.
    void stop(errc cause);

    std::size_t size() const noexcept { return jobs_.size(); }
    std::size_t bytes() const noexcept { return bytes_of_.all().bytes; }  // of the listed ones
    std::size_t unlisted_bytes() const noexcept { return unlisted_.all().bytes; }

private:
    friend class job;
    boost::asio::awaitable<void> run(std::shared_ptr<job> which, std::size_t request_bytes, work what);
    void forget(const std::shared_ptr<job>& which);
    std::shared_ptr<job> oldest_of(const client_key& client) const;
    // Forgets the oldest answer of who gives way to this client: who has more jobs, or more bytes. False: nobody does.
    bool make_room(const client_key& client);
    bool make_room_for_bytes(const client_key& client, std::size_t more);
    bool make_room_in(const admission::client_shares& shares, const client_key& client,
                      admission::client_shares::share more);
    // Forgets the oldest answer of this client that it has seen. False: there is none.
    bool make_room_of(const client_key& client);

    boost::asio::any_io_executor executor_;
    async::task_group& tasks_;
    job_list_settings settings_;
    // Before the jobs, which count down.
    admission::client_shares bytes_of_;  // of the listed ones; their number does not count
    admission::client_shares unlisted_;  // the same of the others
    std::map<std::string, std::shared_ptr<job>, std::less<>> jobs_;
    std::list<std::shared_ptr<job>> order_;  // of the listed ones, the oldest first
    admission::client_shares shares_;        // of jobs
    std::list<job*> running_;                // also those that are not listed
    bool draining_{false};
    metrics::counter& started_;
    metrics::counter& full_;
    metrics::counter& of_client_;
    metrics::counter& no_bytes_;
    metrics::counter& followers_;
    metrics::counter& too_long_;
    metrics::counter& evicted_;
};

}  // namespace sandboxd::jobs
