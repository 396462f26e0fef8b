// The workers: jailed `sandboxd-js` processes, each with one request at a time. They start with the pool, are
// restarted when they die, and replaced after a number of runs.
//
// Requests wait in an order that is fair between clients (admission/fair_line). Order alone does not help a client when
// slow scripts hold all workers for longer than the queue timeout. So some workers are reserved: a client takes one of
// the last idle ones only while it has nothing running.
//
// While a client has quick runs one after the other, and nobody else waits, a worker gets the client's next request
// while it runs the one before, and goes on without waiting for the server: the request is lent. That changes nothing
// of the order between clients. What is lent stays in line; when its turn comes elsewhere, because another worker is
// free, somebody else joins the line or this worker is slow, it is taken back from the worker's socket. That can only
// be too late when the worker has read it: then the answer before it is on its way.
//
// A worker enforces its own deadline; in addition the pool's watchdog kills a worker that does not answer in time. A
// run whose client has left is also ended by killing its worker. Either way the next request gets another worker.
#pragma once

#include "admission/fair_line.hpp"
#include "async/event.hpp"
#include "async/stop.hpp"
#include "async/task_group.hpp"
#include "base/client_key.hpp"
#include "base/metrics.hpp"
#include "jail/jail.hpp"
#include "script/run.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::js {

struct pool_settings {
    std::string executable;  // sandboxd-js, absolute
    std::size_t workers{2};
    std::size_t reserved_workers{1};                  // in addition, for clients that have nothing running
    std::size_t max_waiting{1'024};                   // requests in line; then `queue_full`
    std::chrono::milliseconds queue_timeout{10'000};  // of one request in line; then `queue_timeout`
    std::uint64_t runs_a_worker{100'000};
    // RLIMIT_DATA of a worker; it must hold the largest sandbox, its request and its answer.
    std::uint64_t worker_memory_bytes{512U << 20};
    // How long a worker may take to answer after its own deadline.
    std::chrono::milliseconds patience{1'000};
    // A client's requests are lent to a worker whose latest run was this client's and took no longer.
    std::chrono::microseconds quick_run{1'000};
};

class worker_pool {
public:
    // The executor, the tasks and the jail must outlive the pool.
    worker_pool(boost::asio::any_io_executor executor, async::task_group& tasks, jail::jail& wall,
                pool_settings settings, metrics::registry& counted);
    ~worker_pool();
    worker_pool(const worker_pool&) = delete;
    worker_pool& operator=(const worker_pool&) = delete;

    // Starts the workers; requests may come before they are ready.
    void start();

    // Runs a request in the next free worker. `stop` ends the wait, or the run with its worker. Both must stay until
    // then.
    //
    // `begun` is called when a worker gets the request: from then on it may have used something, also where the result
    // is an error. Empty: nobody asks.
    // Errors: `queue_full`, at once or when it gives way to a client with fewer requests in line; `queue_timeout`; the
    // cause of `stop`; `draining` after `close`; `payload_too_large` when the request does not fit a frame;
    // `unavailable` while workers cannot be started. A worker that dies under a run, or whose answer is not what the
    // request allows, is an answer with status `fault`, one that has to be killed for time one with `timeout`.
    boost::asio::awaitable<result<script::run_answer>> run(const script::run_request& request, client_key client,
                                                           async::stop_source& stop, std::function<void()> begun = {});

    // Waits until every worker is ready, or the first start has failed. Errors: `unavailable`.
    boost::asio::awaitable<result<void>> ready(std::chrono::milliseconds patience);

    // Why no request can run now, for people; empty when one can, also while a worker is being replaced.
    std::string failure() const;
    // Whether it is still unknown if workers can start.
    bool starting() const noexcept { return !was_ready_ && !failing_; }

    // Kills the workers and starts none from now on. The pool's tasks end soon afterwards.
    void close();

    std::size_t waiting() const noexcept { return line_.size(); }

private:
    struct worker;
    struct seat;
    // A worker that is the caller's, and whether it has the request already.
    struct taken {
        worker* who{nullptr};
        bool has_request{false};
    };

    boost::asio::awaitable<void> supervise(worker& w);
    boost::asio::awaitable<void> await_ready(std::shared_ptr<async::event> done, worker& w);
    boost::asio::awaitable<void> watch();
    boost::asio::awaitable<result<taken>> take_worker(client_key client, async::stop_source& stop,
                                                      std::string_view frame);
    // Waits in line for it, until then. Nothing where the request was with a worker that died: to be done again.
    boost::asio::awaitable<std::optional<result<taken>>> wait_in_line(client_key client, async::stop_source& stop,
                                                                      std::string_view frame,
                                                                      std::chrono::steady_clock::time_point until);
    // Sends the request, unless the frame is empty, and returns the answer.
    boost::asio::awaitable<std::optional<script::run_answer>> exchange(worker& w, const script::run_request& request,
                                                                       std::string_view frame, std::uint64_t number);
    void make_idle(worker& w);
    // After a run that was answered.
    void go_on(worker& w);
    void give_up(worker& w);
    void end_run(worker& w);
    bool may_take(const client_key& client) const;
    // For the metric; while some workers start, the others are not the reserved ones.
    std::size_t idle_for_all() const;
    worker* give(const client_key& client);
    void serve_next();
    bool may_be_lent_to(const worker& w) const;
    // Lends the first request in line, if the worker may have it.
    void lend(worker& w);
    // What is lent and in line is lent to nobody any more. False: it has begun.
    bool take_back(seat& lent);
    // Takes back what is lent to others' workers, or while a reserved worker is busy.
    void recall(const client_key& newcomer);
    // Of a worker that does not go on: what it was lent is in line as before. What has begun is told that it is lost.
    void release(worker& w);
    void count_as_running(seat& one);
    jail::spec worker_spec(int inherited) const;

    boost::asio::any_io_executor executor_;
    async::task_group& tasks_;
    jail::jail& wall_;
    pool_settings settings_;
    metrics::counter& starts_;
    metrics::counter& deaths_;
    metrics::counter& kills_;
    metrics::counter& resets_;
    metrics::counter& went_on_;
    metrics::counter& taken_back_;
    metrics::counter& full_;
    metrics::counter& timed_out_;
    std::vector<std::unique_ptr<worker>> workers_;
    std::vector<worker*> idle_;  // the most recently used one is taken first: its memory is warm
    admission::fair_line line_;
    std::map<admission::fair_line::ticket, seat*> waiting_;  // those in line
    async::event closing_;
    std::size_t busy_{0};
    std::uint64_t requests_{0};
    bool watching_{false};
    std::string last_failure_;
    bool was_ready_{false};  // some worker, ever
    bool failing_{false};    // the latest start failed, and none has succeeded since
};

}  // namespace sandboxd::js
