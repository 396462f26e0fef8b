#include "cluster/compile_leases.hpp"

#include "base/log.hpp"
#include "base/uuid.hpp"
#include "cluster/lease.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <exception>
#include <utility>

namespace sandboxd::cluster {

namespace asio = boost::asio;

namespace {

// A pace, and no limit: how long a compile waits is up to cluster.compileWaitMs, and how many of them to
// cluster.maxCompileWaits.
constexpr auto poll_interval = std::chrono::milliseconds{200};
// A renewal that is lost must not lose the lease.
constexpr int renewals_a_lease = 3;

constexpr const char* turns_name = "sandboxd_cluster_compile_turns_total";
constexpr const char* turns_help =
    "Compiles of what is in no store, by what came of asking whether another server compiles it (cluster.redis).";

}  // namespace

// What a compile has of it.
class compile_leases::handle final : public artifacts::leases::lease {
public:
    explicit handle(std::shared_ptr<holding> one) : its_{std::move(one)} {}
    ~handle() override { its_->ended.set(); }
    handle(const handle&) = delete;
    handle& operator=(const handle&) = delete;

    void made() override
    {
        its_->made = true;
        its_->ended.set();
    }

private:
    std::shared_ptr<holding> its_;
};

compile_leases::compile_leases(asio::any_io_executor executor, async::task_group& tasks, compile_leases_settings how,
                               redis_client& redis, artifacts::elsewhere& others, metrics::registry& metrics)
    : executor_{std::move(executor)},
      tasks_{tasks},
      settings_{std::move(how)},
      redis_{redis},
      others_{others},
      none_held_{executor_},
      lost_{metrics.add_counter("sandboxd_cluster_leases_lost_total",
                                "Leases of compiles that ended before their compile did.")},
      wait_seconds_{metrics.add_histogram("sandboxd_cluster_compile_wait_seconds",
                                          "Time that a compile waited for another server.")},
      metrics_{metrics}
{
    metrics.add_gauge("sandboxd_cluster_leases_held", "Leases of compiles that this server holds.",
                      [this] { return static_cast<double>(held_.size()); });
    metrics.add_gauge("sandboxd_cluster_compiles_waiting", "Compiles that wait for another server.",
                      [this] { return static_cast<double>(waiting_); });
}

metrics::counter& compile_leases::came_of_it(std::string_view what)
{
    return metrics_.add_counter(turns_name, turns_help, "result=\"" + std::string{what} + "\"");
}

asio::awaitable<artifacts::leases::turn> compile_leases::take(std::string id, async::stop_source& stop)
{
    const auto began = clock::now();
    const auto key = settings_.prefix + "compile:" + id;
    const auto token = new_uuid();
    // A place among those who wait; it is left in any way.
    struct place {
        compile_leases& of;
        clock::time_point began;
        bool waits{false};
        ~place()
        {
            if (!waits) return;
            --of.waiting_;
            of.wait_seconds_.observe(std::chrono::duration<double>(clock::now() - began).count());
        }
    } mine{*this, began};
    asio::steady_timer timer{executor_};
    for (;;) {
        const auto state = closing_ ? result<lease_state>{make_error(errc::draining)}
                                    : co_await take_lease(redis_, key, token, settings_.time);
        if (!state) {
            came_of_it("unavailable").add();
            co_return turn{.others_had_it = mine.waits};
        }
        if (*state == lease_state::mine) {
            came_of_it("taken").add();
            auto one = std::make_shared<holding>(executor_, std::move(id), key, token);
            auto held = std::make_unique<handle>(one);
            held_.push_back(one);
            try {
                tasks_.spawn("keep the lease of a compile", keep(one));
            } catch (...) {
                held_.remove(one);
                throw;
            }
            co_return turn{.mine = std::move(held), .others_had_it = mine.waits};
        }
        if (*state == lease_state::over) {
            came_of_it("over").add();
            co_return turn{.others_had_it = true};
        }
        if (!mine.waits && waiting_ >= settings_.waiting) {
            came_of_it("crowded").add();
            co_return turn{};
        }
        if (!mine.waits) ++waiting_;
        mine.waits = true;
        const auto left = began + settings_.wait - clock::now();
        if (left.count() <= 0 || stop.requested()) {
            came_of_it(stop.requested() ? "stopped" : "wait_over").add();
            co_return turn{.others_had_it = true};
        }
        boost::system::error_code ignored;  // woken early only to see the stop
        timer.expires_after(std::min<clock::duration>(left, poll_interval));
        const async::stop_callback wake{stop, [&timer](errc) { timer.cancel(); }};
        if (!stop.requested()) co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
}

asio::awaitable<bool> compile_leases::renew(holding& one)
{
    const auto renewed = co_await renew_lease(redis_, one.key, one.token, settings_.time);
    // It may last until the next time, if Redis does not answer now.
    if (!renewed || *renewed) co_return true;
    lost_.add();
    co_return false;
}

// However long the compile takes, and then until others can have what it made.
asio::awaitable<void> compile_leases::keep(std::shared_ptr<holding> one)
{
    struct at_end {
        compile_leases& of;
        const std::shared_ptr<holding>& one;
        ~at_end()
        {
            of.held_.remove(one);
            if (of.closing_ && of.held_.empty()) of.none_held_.set();
        }
    } const told{*this, one};
    const clock::duration pause = settings_.renewal.count() > 0 ? clock::duration{settings_.renewal}
                                                                : clock::duration{settings_.time} / renewals_a_lease;
    while (!co_await one->ended.wait_for(pause))
        if (!co_await renew(*one)) co_return;
    // Nobody waits for it longer than that.
    const auto until = clock::now() + settings_.wait;
    while (one->made && !closing_) {
        const auto left = until - clock::now();
        if (left.count() <= 0 || co_await others_.settled(one->id, std::min(left, pause))) break;
        if (!co_await renew(*one)) co_return;
    }
    const auto given = co_await give_lease_back(redis_, one->key, one->token, settings_.over);
    if (given && !*given) lost_.add();
}

asio::awaitable<void> compile_leases::close()
{
    closing_ = true;
    for (const auto& one : held_) one->ended.set();
    if (!held_.empty()) co_await none_held_.wait_for(redis_.timeout());
}

}  // namespace sandboxd::cluster
